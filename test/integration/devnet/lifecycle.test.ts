import { interopSecretKey } from "@lodestar/state-transition";
import { expect } from "chai";
import { hexlify } from "ethers";
import { startDevnet, type Devnet } from "../../../devnet/devnet.js";
import { CONSOLIDATION_REQUESTS_ADDRESS } from "../../../devnet/execution/predeploys.js";
import { credentials, deposit, requestWithdrawal } from "./deposits.js";

const GWEI = 10n ** 9n;

describe("devnet: the life of a validator", () => {
  let devnet: Devnet;
  before(async () => {
    devnet = await startDevnet();
  });
  after(() => devnet.close());

  it("deposits, activates, earns, is skimmed, exits and is paid out", async () => {
    const owner = devnet.accounts[0]!.address;
    devnet.run(interopSecretKey(1000));
    await devnet.advance(2);
    const { pubkey } = await deposit(devnet, { keyIndex: 1000, withdrawalCredentials: credentials("01", owner) });

    // the request left in the block of its transaction
    expect(devnet.state().pendingDeposits.length).to.equal(1);
    expect(devnet.validatorByPubkey(pubkey)).to.equal(null);

    await devnet.advanceUntil(() => devnet.validatorByPubkey(pubkey) !== null);
    expect(devnet.validatorByPubkey(pubkey)!.status).to.match(/^pending_/);
    expect(devnet.validatorByPubkey(pubkey)!.balanceGwei).to.equal(32_000_000_000n);

    await devnet.advanceUntil(() => devnet.validatorByPubkey(pubkey)!.status === "active_ongoing");
    const { index } = devnet.validatorByPubkey(pubkey)!;
    const skimmed: bigint[] = [];
    devnet.onSlot(async () => {
      const body = devnet.chain.head.signedBlock!.message.body;
      if (!("executionPayload" in body) || !("withdrawals" in body.executionPayload)) return;
      for (const w of body.executionPayload.withdrawals) if (w.validatorIndex === index) skimmed.push(w.amount);
    });
    await devnet.advanceUntil(() => skimmed.length > 0);
    expect(skimmed[0]! > 0n).to.equal(true);

    await devnet.advanceEpochs(4); // SHARD_COMMITTEE_PERIOD
    await requestWithdrawal(devnet, pubkey, 0n);
    expect(devnet.validatorByPubkey(pubkey)!.status).to.equal("active_exiting");
    const before = await devnet.provider.getBalance(owner);
    const paidBefore = skimmed.reduce((sum, amount) => sum + amount, 0n);
    await devnet.advanceUntil(() => devnet.validatorByPubkey(pubkey)!.status === "withdrawal_done");
    const paid = skimmed.reduce((sum, amount) => sum + amount, 0n) - paidBefore;
    expect((await devnet.provider.getBalance(owner)) - before).to.equal(paid * GWEI);
    expect(paid >= 32_000_000_000n).to.equal(true);
  });

  it("drops a deposit whose signature does not verify", async () => {
    const { pubkey } = await deposit(devnet, {
      keyIndex: 1001,
      withdrawalCredentials: credentials("01", devnet.accounts[0]!.address),
      badSignature: true,
    });
    expect(devnet.state().pendingDeposits.length).to.equal(1);
    await devnet.advanceUntil(() => devnet.state().pendingDeposits.length === 0);
    expect(devnet.validatorByPubkey(pubkey)).to.equal(null);
  });

  it("pays a partial withdrawal of a compounding validator", async () => {
    const owner = devnet.accounts[0]!.address;
    devnet.run(interopSecretKey(1002));
    const { pubkey } = await deposit(devnet, {
      keyIndex: 1002,
      withdrawalCredentials: credentials("02", owner),
      amountGwei: 64e9,
    });
    await devnet.advanceUntil(() => devnet.validatorByPubkey(pubkey)?.status === "active_ongoing");
    await devnet.advanceEpochs(4);
    await requestWithdrawal(devnet, pubkey, 16_000_000_000n);
    expect(devnet.state().pendingPartialWithdrawals.length).to.equal(1);
    const before = await devnet.provider.getBalance(owner);
    await devnet.advanceUntil(() => devnet.state().pendingPartialWithdrawals.length === 0);
    expect((await devnet.provider.getBalance(owner)) - before).to.equal(16n * 10n ** 18n);
  });

  it("consolidates one validator into another", async () => {
    const owner = devnet.accounts[0]!.address;
    const made: string[] = [];
    for (const [keyIndex, prefix] of [
      [1003, "01"],
      [1004, "02"],
    ] as const) {
      devnet.run(interopSecretKey(keyIndex));
      made.push((await deposit(devnet, { keyIndex, withdrawalCredentials: credentials(prefix, owner) })).pubkey);
    }
    const [source, target] = [made[0]!, made[1]!];
    await devnet.advanceUntil(() => devnet.validatorByPubkey(target)?.status === "active_ongoing");
    await devnet.advanceEpochs(4);
    const request = { to: CONSOLIDATION_REQUESTS_ADDRESS, data: source + target.slice(2), value: 10n };
    await devnet.mineTx(devnet.accounts[0]!.sendTransaction(request));
    expect(devnet.state().pendingConsolidations.length).to.equal(1);
    await devnet.advanceUntil(() => devnet.state().pendingConsolidations.length === 0);
    expect(devnet.validatorByPubkey(target)!.balanceGwei >= 64_000_000_000n).to.equal(true);
    await devnet.advanceUntil(() => devnet.validatorByPubkey(source)!.status === "withdrawal_done");
  });

  it("slashes, and the slashed proposer misses its slots", async () => {
    const state = devnet.state();
    const proposers = new Set(state.epochCtx.getBeaconProposersNextEpoch());
    const victim = [...proposers].find((index) => !state.epochCtx.getBeaconProposers().includes(index))!;
    await Promise.all([devnet.slash(victim), devnet.slash(victim)]); // the same evidence twice is one slashing
    const view = devnet.validatorByPubkey(hexlify(state.validators.getReadonly(victim).pubkey))!;
    expect(view.status).to.equal("active_slashed");
    expect(view.balanceGwei < 32_000_000_000n).to.equal(true);
    const missed: number[] = [];
    const stop = devnet.onSlot(async (slot) => {
      if (devnet.chain.head.slot !== slot) missed.push(slot);
    });
    await devnet.advanceEpochs(2);
    stop();
    expect(missed.length).to.be.greaterThan(0);
    let refusal = "";
    await devnet.slash(victim).catch((error: unknown) => (refusal = String(error)));
    expect(refusal).to.contain("cannot be slashed");
  });

  it("finalises across missed slots, and not without two thirds", async () => {
    const epoch = (): number => devnet.chain.finalized.epoch;
    await devnet.skipSlot();
    await devnet.skipSlot();
    expect(devnet.chain.head.slot).to.equal(devnet.slot - 2);
    const before = epoch();
    await devnet.advanceEpochs(4);
    expect(epoch()).to.be.greaterThan(before + 2);

    devnet.setOffline(Array.from({ length: 32 }, (_, i) => i));
    await devnet.advanceEpochs(2);
    const stuck = epoch();
    await devnet.advanceEpochs(4);
    expect(epoch()).to.equal(stuck);
    devnet.setOffline([]);
    await devnet.advanceUntil(() => epoch() > stuck);
  });

  it("says what it waited for when that does not come", async () => {
    let message = "";
    await devnet.advanceUntil(() => devnet.slot < 0, 3).catch((error: unknown) => (message = String(error)));
    expect(message)
      .to.contain("3 slots")
      .and.to.match(/devnet\.slot\s*<\s*0/);
  });
});

describe("devnet: forks", () => {
  it("runs through the pivot from Electra to Fulu", async () => {
    const devnet = await startDevnet({ fulu: 2 });
    try {
      const version = async (): Promise<string | null> => {
        const response = await fetch(`${devnet.beaconUrl}/eth/v2/debug/beacon/states/head`, {
          headers: { accept: "application/octet-stream" },
        });
        await response.arrayBuffer();
        return response.headers.get("eth-consensus-version");
      };
      await devnet.advance(15);
      expect(await version()).to.equal("electra");
      await devnet.advance(1);
      expect(await version()).to.equal("fulu");
      await devnet.advanceEpochs(5);
      expect(devnet.chain.finalized.epoch).to.equal(5);
    } finally {
      await devnet.close();
    }
  });

  it("is the same to the byte in every run", async () => {
    const heads: string[] = [];
    for (let run = 0; run < 2; run++) {
      const devnet = await startDevnet();
      await devnet.mineTx(devnet.accounts[0]!.sendTransaction({ to: devnet.accounts[1]!.address, value: 1n }));
      await devnet.advanceEpochs(2);
      heads.push(devnet.chain.head.root);
      await devnet.close();
    }
    expect(heads[0]).to.equal(heads[1]);
  });
});
