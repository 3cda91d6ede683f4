import { expect } from "chai";
import { hexlify } from "ethers";
import { SLOTS_PER_FRAME } from "../../../devnet/pool.js";
import {
  activate,
  eth,
  expectNoDifference,
  nextReport,
  openStory,
  referenceBlock,
  startReporting,
  traffic,
  WEI_PER_GWEI,
  type Accepted,
  type Story,
} from "./story.js";

interface Terms {
  gain: bigint;
  etherBefore: bigint;
  etherAfter: bigint;
  treasuryFee: bigint;
  locked: bigint;
  uncoveredLoss: bigint;
  executionRewards: bigint;
}

describe("losses", () => {
  let story: Story;
  let keys: string[];

  before(async () => {
    story = await openStory({
      parameters: (given) => ({
        ...given,
        // gains stream out within a frame, and a slashing of one of so few validators is below the limit
        pool: { ...given.pool, maxYearlyRateBps: 5000, lossLimitBps: 1000 },
      }),
    });
    const { pool, alice, bob } = story;
    await pool.stake(alice, eth("60"));
    await pool.stake(bob, eth("10"));
    await startReporting(story);
    keys = await activate(story, 2);
    await nextReport(story);
  });
  after(() => story.pool.close());

  /** The next report with all its terms. */
  async function report(): Promise<Accepted & Terms> {
    const accepted = await nextReport(story);
    const { poolManager } = story.pool;
    const [rebased] = await poolManager.queryFilter(poolManager.filters.Rebased(), accepted.block, accepted.block);
    const [settled] = await poolManager.queryFilter(poolManager.filters.Settled(), accepted.block, accepted.block);
    if (rebased === undefined || settled === undefined) throw new Error("the report was not applied");
    const { gain, etherBefore, etherAfter, treasuryFee } = rebased.args;
    const { locked, uncoveredLoss, executionRewards } = settled.args;
    return { ...accepted, gain, etherBefore, etherAfter, treasuryFee, locked, uncoveredLoss, executionRewards };
  }

  const index = (key: string): number => story.pool.devnet.validatorByPubkey(key)?.index ?? -1;

  /** What a validator had at a reference slot and all that was swept from it before, from the beacon chain's blocks. */
  function wealthGwei(validator: number, refSlot: number): bigint {
    const { chain } = story.pool.devnet;
    const record = referenceBlock(story, refSlot);
    let gwei = BigInt(chain.stateOf(record).balances.get(validator));
    for (let slot = record.slot; slot > 0; slot--) {
      const body = chain.blocks.bySlot(slot)?.signedBlock?.message.body;
      if (body === undefined || !("executionPayload" in body) || !("withdrawals" in body.executionPayload)) continue;
      for (const { validatorIndex, amount } of body.executionPayload.withdrawals) {
        if (validatorIndex === validator) gwei += amount;
      }
    }
    return gwei;
  }

  it("of validators that miss their duties eat the locked gain, then the rate, and come back without a fee", async () => {
    const { pool, cluster } = story;
    const { devnet, poolManager } = pool;
    for (const id of cluster.operatorIds.slice(0, 2)) devnet.operators.stop(id);
    let loss = await report();
    while (loss.uncoveredLoss === 0n) {
      const lockedBefore = loss.locked;
      loss = await report();
      if (loss.gain >= 0n) continue;
      // nothing is lowered before the locked gain is used up
      if (loss.locked > 0n) expect(loss.etherAfter).to.equal(loss.etherBefore + loss.treasuryFee);
      expect(loss.locked <= lockedBefore).to.equal(true);
    }
    expect(loss.locked).to.equal(0n);
    // in the very report that brought it, and by what was not covered
    expect(loss.etherBefore - loss.etherAfter + loss.treasuryFee).to.equal(loss.uncoveredLoss);
    expect(loss.uncoveredLoss <= -loss.gain).to.equal(true);
    const whole = await report();
    expect(whole.etherBefore - whole.etherAfter + whole.treasuryFee).to.equal(-whole.gain);
    expect(whole.uncoveredLoss).to.equal(loss.uncoveredLoss - whole.gain);
    const lowest = (await poolManager.rate()).value;
    await expectNoDifference(story);

    for (const id of cluster.operatorIds.slice(0, 2)) devnet.operators.start(id);
    let back = whole;
    while (back.uncoveredLoss > 0n) {
      const before = back;
      back = await report();
      // at most what was locked has streamed out since and paid back as much; a fee is due only on what went beyond
      const beyond = before.locked - before.uncoveredLoss;
      if (back.gain >= 0n) {
        expect(back.uncoveredLoss <= before.uncoveredLoss).to.equal(true);
        expect(back.uncoveredLoss >= (beyond < 0n ? -beyond : 0n)).to.equal(true);
      }
      expect(back.treasuryFee <= (beyond > 0n ? beyond / 10n : 0n)).to.equal(true);
    }
    expect((await poolManager.rate()).value > lowest).to.equal(true);
    // from here on the fee is due again on all of it
    const next = await report();
    expect(next.treasuryFee > 0n && next.treasuryFee <= back.locked / 10n).to.equal(true);
    await expectNoDifference(story);
  });

  it("by a slashing are paid at once with all that is still to come; what was too much streams back", async () => {
    const { pool } = story;
    const { devnet, registry, poolManager, validatorExits } = pool;
    traffic(story);
    const [slashedKey = "", otherKey = ""] = keys;
    const [slashed, other] = [index(slashedKey), index(otherKey)];
    const id = (await registry.validator(slashedKey)).id;
    const last = await report();
    await devnet.slash(slashed);

    // the initial penalty is in the balance, the rest in openPenalties; nothing else lowers the gain
    const first = await report();
    const change = (validator: number, from: Accepted, to: Accepted): bigint =>
      (wealthGwei(validator, to.refSlot) - wealthGwei(validator, from.refSlot)) * WEI_PER_GWEI;
    expect(first.openPenalties > 0n).to.equal(true);
    expect(first.gain).to.equal(
      change(slashed, last, first) + change(other, last, first) + first.executionRewards - first.openPenalties,
    );
    expect(first.etherBefore - first.etherAfter > 0n).to.equal(true);
    await expectNoDifference(story);

    // until it is withdrawable the chain takes what was announced, and no report brings a loss
    const withdrawable = devnet.state().validators.getReadonly(slashed).withdrawableEpoch * devnet.slotsPerEpoch;
    let lowestGwei = wealthGwei(slashed, first.refSlot);
    let before = first;
    let excess = 0n;
    while (!(await validatorExits.isExited(id))) {
      if (devnet.slot > withdrawable + 6 * SLOTS_PER_FRAME) throw new Error("the slashed validator never left");
      const next = await report();
      expect(next.gain).to.equal(
        change(slashed, before, next) +
          change(other, before, next) +
          next.executionRewards +
          before.openPenalties -
          next.openPenalties,
      );
      const released = change(slashed, before, next) + before.openPenalties - next.openPenalties;
      expect(released >= 0n, `slot ${next.refSlot}`).to.equal(true);
      expect(next.gain >= 0n).to.equal(true);
      expect(next.etherAfter >= next.etherBefore).to.equal(true);
      excess += released;
      const wealth = wealthGwei(slashed, next.refSlot);
      if (wealth < lowestGwei) lowestGwei = wealth;
      before = next;
    }
    expect(before.openPenalties).to.equal(0n);
    // what came, from the beacon chain alone, and what was announced: the difference has come back, to the wei
    const came = (wealthGwei(slashed, first.refSlot) - lowestGwei) * WEI_PER_GWEI;
    expect(came > 0n && came <= first.openPenalties).to.equal(true);
    expect(excess).to.equal(first.openPenalties - came);
    expect(wealthGwei(slashed, before.refSlot)).to.equal(lowestGwei);
    expect(devnet.validatorByPubkey(slashedKey)?.status).to.equal("withdrawal_done");
    expect(hexlify(devnet.state().validators.getReadonly(slashed).pubkey)).to.equal(slashedKey);
    expect((await poolManager.totals()).clBalance).to.equal(before.clBalance);
    await expectNoDifference(story);
  });
});
