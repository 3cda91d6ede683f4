import { expect } from "chai";
import { id, parseEther, Wallet } from "ethers";
import type { Head } from "../../../oracle/clock.js";
import { readHead } from "../../../oracle/execution/provider.js";
import type { Action } from "../../../oracle/jobs/job.js";
import { Sender } from "../../../oracle/jobs/sender.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { createMetrics, type Metrics } from "../../../oracle/ops/metrics.js";
import { SSVNetworkDouble__factory, type SSVNetworkDouble } from "../../../types/ethers-contracts/index.js";
import { startNode, type LocalNode } from "./node.js";

describe("keeper's sender", () => {
  let node: LocalNode;
  let ssv: SSVNetworkDouble;
  let metrics: Metrics;
  let sender: Sender;
  let signer: Wallet;
  let keys = 0;
  const logger = createLogger("silent");

  beforeEach(async () => {
    node = await startNode();
    ssv = await (await new SSVNetworkDouble__factory(node.accounts[0]).deploy()).waitForDeployment();
    signer = new Wallet(id("keeper"), node.provider);
    await node.send("hardhat_setBalance", signer.address, `0x${parseEther("10").toString(16)}`);
    await node.send("evm_setAutomine", false);
    metrics = createMetrics();
    sender = new Sender(node.provider, signer, metrics, logger);
  });
  afterEach(() => node.close());

  const head = async (): Promise<Head> => (await readHead(node.provider, "latest"))!;
  const mine = (): Promise<unknown> => node.send("evm_mine");
  const results = async (): Promise<Record<string, number>> => {
    const { values } = await metrics.jobs.get();
    return Object.fromEntries(values.map(({ labels, value }) => [String(labels.result), value]));
  };
  /** Registers an operator: works once a key. */
  const action = async (key: string, writesCluster?: number): Promise<Action> => ({
    job: "vet",
    description: "a test",
    meta: {},
    ...(writesCluster === undefined ? {} : { writesCluster }),
    transaction: await ssv.registerOperator.populateTransaction(key, 0, false),
  });
  const newKey = (): string => id(`operator ${keys++}`);
  const operators = async (): Promise<number> => (await ssv.queryFilter(ssv.filters.OperatorAdded())).length;

  it("sends several in one round, and reports them in the next", async () => {
    expect(await sender.openRound(await head())).to.equal(true);
    await sender.send(await action(newKey()));
    await sender.send(await action(newKey()));
    await mine();
    expect(await operators()).to.equal(2);
    expect(await sender.openRound(await head())).to.equal(true);
    expect(await results()).to.deep.equal({ sent: 2, done: 2 });
  });

  it("sends nothing that the chain would refuse", async () => {
    const key = newKey();
    await sender.openRound(await head());
    await sender.send(await action(key));
    await mine();
    await sender.openRound(await head());
    await sender.send(await action(key));
    expect(await results()).to.deep.equal({ sent: 1, done: 1, refused: 1 });
    expect(await node.provider.getTransactionCount(signer.address, "pending")).to.equal(1);
  });

  it("takes it for news, not for an error, when another keeper was first", async () => {
    const [other] = node.accounts.slice(1);
    const key = newKey();
    await sender.openRound(await head());
    await sender.send(await action(key));
    // the other one pays more and comes first in the block
    await other!.sendTransaction({
      ...(await action(key)).transaction,
      maxPriorityFeePerGas: parseEther("0.000001"),
      gasLimit: 500_000,
    });
    await mine();
    expect(await sender.openRound(await head())).to.equal(true);
    expect(await results()).to.deep.equal({ sent: 1, overtaken: 1 });
    expect(await operators()).to.equal(1);
  });

  it("opens no round while a transaction of its key waits, also one sent before it was killed", async () => {
    await sender.openRound(await head());
    await sender.send(await action(newKey()));
    const restarted = new Sender(node.provider, signer, metrics, logger);
    expect(await restarted.openRound(await head())).to.equal(false);
    await mine();
    expect(await restarted.openRound(await head())).to.equal(true);
  });

  it("replaces what no block takes, with higher fees and the same nonce", async () => {
    const [stuck, later] = [newKey(), newKey()];
    await sender.openRound(await head());
    await sender.send(await action(stuck));
    // fees jump, and the transaction waits
    const mineAtHighFees = async (): Promise<void> => {
      await node.send("hardhat_setNextBlockBaseFeePerGas", `0x${(100n * 10n ** 9n).toString(16)}`);
      await mine();
    };
    for (let block = 0; block < 4; block++) {
      await mineAtHighFees();
      expect(await sender.openRound(await head()), `block ${block}`).to.equal(false);
    }
    await mineAtHighFees();
    expect(await sender.openRound(await head())).to.equal(true);
    await sender.send(await action(later));
    await mine();
    await sender.openRound(await head());
    expect(await results()).to.deep.equal({ sent: 2, done: 1 });
    expect(await operators()).to.equal(1);
    expect(await node.provider.getTransactionCount(signer.address)).to.equal(1);
  });

  it("replaces it again, with fees that rise each time, while fees on the chain rise further", async () => {
    await sender.openRound(await head());
    await sender.send(await action(newKey()));
    const tips: bigint[] = [];
    // the tip the chain asks for stays the same, so that only what was added to it makes a replacement
    for (const baseFeeGwei of [100n, 1_000n, 10_000n]) {
      let isOpen = false;
      while (!isOpen) {
        await node.send("hardhat_setNextBlockBaseFeePerGas", `0x${(baseFeeGwei * 10n ** 9n).toString(16)}`);
        await mine();
        isOpen = await sender.openRound(await head());
      }
      await sender.send(await action(newKey()));
      const { transactions } = (await node.send("eth_getBlockByNumber", "pending", true)) as {
        transactions: { maxPriorityFeePerGas: string }[];
      };
      tips.push(...transactions.map((transaction) => BigInt(transaction.maxPriorityFeePerGas)));
    }
    expect(tips).to.have.length(3);
    expect(tips[1]! * 100n).to.be.greaterThanOrEqual(tips[0]! * 110n);
    expect(tips[2]! * 100n).to.be.greaterThanOrEqual(tips[1]! * 110n);
    expect(await results()).to.deep.equal({ sent: 4 });
  });

  it("has one write to a cluster on its way at a time", async () => {
    await sender.openRound(await head());
    await sender.send(await action(newKey(), 1));
    await sender.send(await action(newKey(), 1));
    await sender.send(await action(newKey(), 2));
    expect(await results()).to.deep.equal({ sent: 2 });
    await mine();
    await sender.openRound(await head());
    await sender.send(await action(newKey(), 1));
    expect(await results()).to.deep.equal({ sent: 3, done: 2 });
  });

  it("in a dry run says what it would send, and sends nothing", async () => {
    const dry = new Sender(node.provider, null, metrics, logger);
    expect(await dry.openRound(await head())).to.equal(true);
    await dry.send(await action(newKey()));
    expect(await results()).to.deep.equal({ "dry-run": 1 });
    await dry.send({ ...(await action(newKey())), transaction: { to: await ssv.getAddress(), data: "0x12345678" } });
    expect(await results()).to.deep.equal({ "dry-run": 1, refused: 1 });
    await mine();
    expect(await operators()).to.equal(0);
  });
});
