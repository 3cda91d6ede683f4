import { expect } from "chai";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { interopSecretKey } from "@lodestar/state-transition";
import { hexlify } from "ethers";
import { startDevnet, type Devnet } from "../../../devnet/devnet.js";
import { isGloasState } from "../../../devnet/consensus/state.js";
import { BeaconClient } from "../../../oracle/beacon/client.js";
import { readDepositRequests } from "../../../oracle/beacon/readPayload.js";
import { readVerifiedState } from "../../../oracle/beacon/readVerified.js";
import { readHeader } from "../../../oracle/execution/header.js";
import { FailoverProvider } from "../../../oracle/execution/provider.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { executionReference } from "../../../oracle/roles/payload.js";
import { credentials, deposit, requestWithdrawal } from "./deposits.js";

const FORK_EPOCH = 2;

describe("devnet of Gloas", () => {
  let devnet: Devnet;
  let provider: FailoverProvider;
  let beacon: BeaconClient;

  before(async () => {
    devnet = await startDevnet({ extraConfig: { GLOAS_FORK_EPOCH: FORK_EPOCH } });
    provider = new FailoverProvider([devnet.rpcUrl], devnet.chainId, createLogger("silent"));
    beacon = new BeaconClient(devnet.beaconUrl);
  });
  after(async () => {
    provider.destroy();
    await devnet.close();
  });

  const gloasState = () => {
    const state = devnet.state();
    if (!isGloasState(state)) throw new Error("the chain has not come to Gloas");
    return state;
  };
  const frames = () => ({ genesisTime: BigInt(devnet.genesisTime), secondsPerSlot: 12n, slotsPerFrame: 32n });
  const outcomeAt = async (root: string) => {
    const state = await readVerifiedState(beacon, root, { pubkeys: new Set() });
    if (state.fork !== "gloas") throw new Error("not of Gloas");
    const depositRequests = () => readDepositRequests(beacon, state);
    return { state, ...(await executionReference(provider, { depositRequests }, state, frames())) };
  };

  it("comes out of Fulu and goes on to finalise, with payloads that are withheld and blocks that are missed", async () => {
    await devnet.advanceEpochs(FORK_EPOCH);
    expect(isGloasState(devnet.state())).to.equal(true);
    for (let epoch = 0; epoch < 5; epoch++) {
      await devnet.withholdPayload();
      await devnet.skipSlot();
      await devnet.withholdPayload();
      await devnet.withholdPayload();
      await devnet.advance(SLOTS_PER_EPOCH - 4);
    }
    expect(devnet.chain.finalized.epoch).to.be.at.least(FORK_EPOCH + 2);
    const finalized = await devnet.provider.getBlock("finalized");
    expect(finalized!.number).to.equal(devnet.chain.finalized.block.processedBlockNumber);
  });

  it("has headers that hash to what the state has, before the payload and, once the next block built on it, of it", async () => {
    await devnet.advance(1);
    const { executionBlockNumber, processedBlockNumber } = devnet.chain.head;
    expect(executionBlockNumber).to.equal(processedBlockNumber + 1);
    const payload = (await devnet.provider.getBlock(executionBlockNumber))!;
    const processed = await readHeader(provider, hexlify(gloasState().latestBlockHash));
    expect(processed.number).to.equal(processedBlockNumber);
    expect(payload.parentHash).to.equal(processed.hash);
    expect(hexlify(gloasState().latestExecutionPayloadBid.blockHash)).to.equal(payload.hash);
    const proof = (await provider.send("eth_getProof", [devnet.accounts[0]!.address, [], "latest"])) as object;
    expect(proof).to.have.property("accountProof");
    await devnet.advance(1);
    expect(hexlify(gloasState().latestBlockHash)).to.equal(payload.hash);
  });

  it("brings the deposits of a payload with the next block, and the beacon node tells them before", async () => {
    const { pubkey } = await deposit(devnet, {
      keyIndex: 900,
      withdrawalCredentials: credentials("01", `0x${"77".repeat(20)}`),
    });
    const waiting = () =>
      gloasState()
        .pendingDeposits.getAllReadonlyValues()
        .map((one) => hexlify(one.pubkey));
    expect(waiting()).to.not.include(pubkey);
    const { root, executionBlockNumber } = devnet.chain.head;
    const { payload, lastNumber, block } = await outcomeAt(root);
    expect([block.number, lastNumber]).to.deep.equal([executionBlockNumber - 1, executionBlockNumber]);
    expect(payload.kind === "delivered" && payload.deposits.map((one) => one.pubkey)).to.deep.equal([pubkey]);
    await devnet.withholdPayload();
    expect(waiting()).to.include(pubkey);
    const withheld = await outcomeAt(devnet.chain.head.root);
    expect(withheld.payload.kind).to.equal("withheld");
    expect([withheld.block.number, withheld.lastNumber]).to.deep.equal([executionBlockNumber, executionBlockNumber]);
    await devnet.advanceEpochs(6);
    expect(devnet.validatorByPubkey(pubkey)?.balanceGwei).to.equal(32_000_000_000n);
    devnet.run(interopSecretKey(900));
  });

  it("keeps what it sweeps for the next payload that comes", async () => {
    const to = devnet.accounts[0]!.address;
    const { pubkey } = await deposit(devnet, { keyIndex: 901, withdrawalCredentials: credentials("01", to) });
    devnet.run(interopSecretKey(901));
    await devnet.advanceUntil(() => devnet.validatorByPubkey(pubkey)?.status === "active_ongoing", 400);
    await devnet.advanceEpochs(4);
    await requestWithdrawal(devnet, pubkey, 0n);
    const expected = () =>
      gloasState()
        .payloadExpectedWithdrawals.getAllReadonlyValues()
        .filter(({ amount }) => amount > 31_000_000_000n);
    await devnet.advanceUntil(() => devnet.validatorByPubkey(pubkey)!.status === "withdrawal_possible", 200);
    const view = devnet.validatorByPubkey(pubkey)!;
    const balance = await devnet.provider.getBalance(to);
    for (let withheld = 0; expected().length === 0; withheld++) {
      expect(withheld).to.be.lessThan(40);
      await devnet.advance(1);
    }
    const amountGwei = expected()[0]!.amount;
    expect(amountGwei).to.equal(view.balanceGwei);
    expect(devnet.validatorByPubkey(pubkey)!.balanceGwei).to.equal(0n);
    expect((await devnet.provider.getBalance(to)) - balance).to.equal(amountGwei * 10n ** 9n);
    const { state, payload } = await outcomeAt(devnet.chain.head.root);
    expect(payload.kind).to.equal("delivered");
    expect(state.payloadExpectedWithdrawals).to.deep.equal([]); // asked for no key
  });
});
