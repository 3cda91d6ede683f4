import { expect } from "chai";
import { hexlify, id, toQuantity, zeroPadValue } from "ethers";
import { DEPOSIT_CONTRACT_ADDRESS, predeploys } from "../../../devnet/execution/predeploys.js";
import { depositDataRoot, signDeposit } from "../../../oracle/keys/depositData.js";
import { append, depositLeaf, depositRoot, DepositReader, type Frontier } from "../../../oracle/execution/deposits.js";
import type { PoolContracts } from "../../../oracle/execution/contracts.js";
import { FailoverProvider, readHead } from "../../../oracle/execution/provider.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { IDepositContract__factory, type IDepositContract } from "../../../types/ethers-contracts/index.js";
import { SecretKey } from "@chainsafe/blst";
import { CHAIN_ID, startNode, type LocalNode } from "./node.js";
import { RULES } from "./support.js";

describe("deposits seen", () => {
  let node: LocalNode;
  let contract: IDepositContract;
  let contracts: PoolContracts;
  const key = SecretKey.fromKeygen(Buffer.from(id("depositor").slice(2), "hex"));
  const publicKey = hexlify(key.toPublicKey().toBytes());

  before(async () => {
    node = await startNode();
    const official = predeploys().find(({ address }) => address === DEPOSIT_CONTRACT_ADDRESS)!;
    await node.send("hardhat_setCode", official.address, official.code);
    for (const [slot, value] of official.storage) {
      await node.send("hardhat_setStorageAt", official.address, toQuantity(slot), zeroPadValue(value, 32));
    }
    await node.send("evm_mine");
    contract = IDepositContract__factory.connect(DEPOSIT_CONTRACT_ADDRESS, node.accounts[0]);
    contracts = {
      depositContract: contract.connect(node.provider),
      addresses: { depositContract: DEPOSIT_CONTRACT_ADDRESS },
    } as unknown as PoolContracts;
  });
  after(() => node.close());

  const deposit = async (gwei: bigint): Promise<void> => {
    const { withdrawalCredentials, genesisForkVersion } = RULES;
    const signature = signDeposit(key.toBytes(), { withdrawalCredentials, amountGwei: gwei, genesisForkVersion });
    const root = depositDataRoot(publicKey, withdrawalCredentials, gwei, signature);
    await (
      await contract.deposit(publicKey, withdrawalCredentials, signature, root, { value: gwei * 10n ** 9n })
    ).wait();
  };
  const head = async () => (await readHead(node.provider, "latest"))!;

  it("are all of them, from any earlier block, as the contract's root proves", async () => {
    const start = await head();
    const heads = [start];
    for (let i = 1n; i <= 9n; i++) {
      await deposit(10n ** 9n + i);
      heads.push(await head());
    }
    for (const [from, earlier] of heads.entries()) {
      const seen = await new DepositReader(node.provider, contracts).read(earlier, heads.at(-1)!);
      expect(seen.count).to.equal(9n);
      expect(seen.deposits.map(({ amountGwei }) => amountGwei - 10n ** 9n)).to.deep.equal(
        Array.from({ length: 9 - from }, (_, i) => BigInt(from + i + 1)),
      );
    }
    const [first] = (await new DepositReader(node.provider, contracts).read(start, heads[1]!)).deposits;
    expect(first).to.deep.include({
      publicKey,
      withdrawalCredentials: RULES.withdrawalCredentials,
      block: start.number + 1,
    });
    expect(depositLeaf(first!)).to.equal(
      hexlify(depositDataRoot(publicKey, RULES.withdrawalCredentials, first!.amountGwei, first!.signature)),
    );
  });

  it("make the contract's root from nothing", async () => {
    const genesis = (await readHead(node.provider, 0))!;
    const { deposits } = await new DepositReader(node.provider, contracts).read(genesis, await head());
    const empty: Frontier = { count: 0n, branch: Array.from({ length: 32 }, () => `0x${"00".repeat(32)}`) };
    const tree = deposits.reduce((frontier, log) => append(frontier, depositLeaf(log)), empty);
    expect(tree.count).to.equal(9n);
    expect(depositRoot(tree)).to.equal(await contract.get_deposit_root());
    expect(depositRoot(empty)).not.to.equal(await contract.get_deposit_root());
  });

  it("are refused when the node hides a log", async () => {
    class Hiding extends FailoverProvider {
      override async send(method: string, params: unknown[]): Promise<unknown> {
        const result: unknown = await super.send(method, params);
        return method === "eth_getLogs" ? (result as unknown[]).slice(1) : result;
      }
    }
    const start = await head();
    await deposit(2n * 10n ** 9n);
    const hiding = new Hiding([node.url], CHAIN_ID, createLogger("silent"));
    const error: unknown = await new DepositReader(hiding, contracts)
      .read(start, await head())
      .catch((thrown: unknown) => thrown);
    hiding.destroy();
    expect(error).to.have.property("code", "DepositsUnseen");
    expect(String(error)).to.include("the execution node hides some");
  });
});
