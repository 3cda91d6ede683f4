import { expect } from "chai";
import { ETHER, FRAME_SECONDS, MAX_UINT88, YEAR_SECONDS } from "../unit/pool/support.js";
import { DEAD } from "../model/accounting.js";
import { PoolWalk } from "./poolWalk.js";

const SUPPLY = 120_000_000n * ETHER;
const GOVERNANCE_AGREES = MAX_UINT88;

/** One validator deposited and reported, nothing buffered: what the beacon chain loses, the pool loses. */
async function allDeposited(initialStakeWei = ETHER): Promise<PoolWalk> {
  const walk = await PoolWalk.create({ initialStakeWei });
  await walk.stake(10n, 0, 32n * ETHER - initialStakeWei);
  await walk.fundDeposits(10n, 1n);
  await walk.nextFrame();
  await walk.report(10n, () => ({}));
  expect(walk.model.bufferedWei).to.equal(0n);
  return walk;
}

/** Reports every ten years until nothing waits any more. */
async function decadesUntilAllStreams(walk: PoolWalk): Promise<bigint> {
  let decades = 0n;
  for (; walk.model.waitingWei > 0n; decades++) {
    const { totalPooledEtherWei: etherWei, waitingWei } = walk.model;
    await walk.wait(10n * YEAR_SECONDS);
    await walk.report(10n, () => ({}));
    // each report lets more through
    expect(walk.model.waitingWei).to.be.lessThan(waitingWei);
    expect(walk.model.totalPooledEtherWei).to.be.within(2n * etherWei, 4n * etherWei);
  }
  return decades;
}

/** As `allDeposited`, then left with `clBalanceWei`. */
async function nearlyAllLost(clBalanceWei: bigint): Promise<PoolWalk> {
  const walk = await allDeposited();
  await walk.nextFrame();
  const outcome = await walk.report(10n, () => ({ clBalanceWei }));
  expect(outcome?.applied).to.equal(false);
  await walk.confirmLoss(10n, GOVERNANCE_AGREES);
  expect(walk.model.totalPooledEtherWei).to.equal(clBalanceWei);
  return walk;
}

// Every step of these compares all that can be seen of the pool with the model; the expectations here only say what the corner is.
describe("accounting at its corners", () => {
  for (const [pool, initialStakeWei] of [
    ["the smallest pool", ETHER / 1000n],
    ["a pool of 1 ETH", ETHER],
  ] as const)
    it(`takes a gift of all ether there is to ${pool}, which gains from it no more than its limit`, async () => {
      const walk = await PoolWalk.create({ initialStakeWei });
      await walk.nextFrame();
      await walk.credit("rewardsVault", SUPPLY);
      const outcome = await walk.report(10n, () => ({}));
      expect(outcome?.gainWei).to.equal(SUPPLY);
      expect(walk.model.totalPooledEtherWei).to.equal(initialStakeWei);
      // 30 % a year: in ten years three times the pool, and a tenth of that is the fee; all else waits
      expect(walk.model.streamEndsAt - walk.model.now).to.equal(10n * YEAR_SECONDS);
      const waitingWei = SUPPLY - 3n * initialStakeWei;
      expect(walk.model.waitingWei).to.equal(waitingWei);
      await walk.stake(10n, 0, ETHER);
      await walk.wait(10n * YEAR_SECONDS);
      expect(walk.model.totalPooledEtherWei - ETHER).to.be.closeTo((37n * initialStakeWei) / 10n, 10n ** 13n);
      await walk.report(10n, () => ({}));
      // measured against what was staked meanwhile, too
      expect(walk.model.waitingWei).to.be.closeTo(waitingWei - 3n * walk.model.totalPooledEtherWei, 10n ** 13n);
      await walk.stake(10n, 1, ETHER * 1000n);
    });

  it("lets more of a gift through with each report, as the pool grows, to its end", async () => {
    const walk = await PoolWalk.create();
    await walk.nextFrame();
    await walk.credit("rewardsVault", 100n * ETHER);
    await walk.report(10n, () => ({}));
    expect(walk.model.waitingWei).to.equal(97n * ETHER);
    expect(await decadesUntilAllStreams(walk)).to.equal(3n);
    await walk.wait(10n * YEAR_SECONDS);
    await walk.report(10n, () => ({}));
    // dust: less than a unit of the rate for each second
    expect(walk.model.lockedWei).to.be.lessThan(10_000n * 10n * YEAR_SECONDS);
    expect(walk.model.totalPooledEtherWei).to.equal(101n * ETHER - walk.model.lockedWei);
  });

  it("takes an absurd balance and its correction, and never moves the rate faster than the limit", async () => {
    const walk = await PoolWalk.create({ maxYearlyRateBps: 1_000n });
    await walk.stake(1n, 0, 999n * ETHER);
    await walk.fundDeposits(1n, 30n);
    await walk.nextFrame();
    await walk.report(10n, () => ({}));
    const honestWei = walk.model.clValueWei;
    await walk.nextFrame();
    await walk.report(10n, () => ({ clBalanceWei: MAX_UINT88 - 40n * ETHER }));
    expect(walk.model.totalPooledEtherWei).to.equal(1_000n * ETHER);
    expect(walk.model.waitingWei).to.be.greaterThan(300_000_000n * ETHER);
    await walk.wait(3_600n);
    // an hour of 10 % a year, less the fee
    const hourWei = (1_000n * ETHER * 9n * 3_600n) / (100n * YEAR_SECONDS);
    expect(walk.model.totalPooledEtherWei - 1_000n * ETHER).to.be.closeTo(hourWei, 10n ** 8n);
    // the next report tells the truth: what waited goes first, then what still streamed; the day's stream and its fee are the loss
    await walk.nextFrame();
    const outcome = await walk.report(10n, () => ({ clBalanceWei: honestWei }));
    expect(outcome?.applied).to.equal(true);
    expect(outcome?.lossWei).to.be.within(1n, (1_000n * ETHER * (FRAME_SECONDS + 600n)) / (10n * YEAR_SECONDS));
    expect(walk.model.lockedWei).to.equal(0n);
    await walk.nextFrame();
    await walk.report(10n, (m) => ({ clBalanceWei: m.clValueWei + ETHER / 10n }));
    expect(walk.model.waitingWei).to.equal(0n);
  });

  it("takes it through the withdrawal vault and as beacon balance as well", async () => {
    const walk = await PoolWalk.create({ initialStakeWei: ETHER / 1000n });
    await walk.nextFrame();
    await walk.credit("withdrawalVault", SUPPLY);
    await walk.report(10n, () => ({ clBalanceWei: SUPPLY, withdrawnAtRefWei: SUPPLY }));
    await walk.nextFrame();
    await walk.report(10n, () => ({}));
    expect(walk.model.lastFrame).to.equal(walk.model.frame - 1n);
  });

  it("goes on after the loss of everything: closed for staking, open for reports, back with the next gain", async () => {
    const walk = await nearlyAllLost(0n);
    await walk.stake(1n, 1, ETHER);
    await walk.transfer(1n, 0, 1, 1n);
    expect(walk.refused.get("NoPooledEther")).to.equal(2);
    await walk.transferShares(1n, 0, 1, 5n);
    await walk.nextFrame();
    await walk.report(10n, () => ({}));
    await walk.nextFrame();
    await walk.report(10n, () => ({ clBalanceWei: 16n * ETHER }));
    // without a total to measure against, only what was lost may stream, at the slowest pace and free of fee
    expect(walk.model.waitingWei).to.equal(0n);
    expect(walk.model.streamEndsAt - walk.model.now).to.equal(10n * YEAR_SECONDS);
    await walk.stake(1n, 1, ETHER);
    await walk.wait(10n * YEAR_SECONDS);
    expect(walk.model.feeWei).to.equal(0n);
    expect(walk.model.totalPooledEtherWei).to.be.greaterThan(16n * ETHER - 10n ** 13n);
  });

  it("keeps back what exceeds the losses of a pool of nothing", async () => {
    const walk = await nearlyAllLost(0n);
    const lostWei = walk.model.uncoveredLossWei;
    await walk.nextFrame();
    await walk.credit("rewardsVault", SUPPLY);
    await walk.report(10n, () => ({}));
    expect(walk.model.waitingWei).to.equal(SUPPLY - lostWei);
    await walk.wait(10n * YEAR_SECONDS);
    expect(walk.model.feeWei).to.equal(0n);
    expect(walk.model.totalPooledEtherWei).to.be.within(lostWei - 10n ** 13n, lostWei);
    expect(walk.fasterRecoveries).to.be.greaterThan(0);
    // there is a pool again, and its limit
    await walk.report(10n, () => ({}));
    expect(walk.model.waitingWei).to.be.closeTo(SUPPLY - 4n * lostWei, 10n ** 14n);
  });

  it("counts nothing below zero when more is owed than is left", async () => {
    const walk = await allDeposited();
    await walk.setShortfall(1n, SUPPLY);
    await walk.nextFrame();
    await walk.report(10n, () => ({ clBalanceWei: 34n * ETHER }));
    await walk.wait(2n * YEAR_SECONDS);
    await walk.report(10n, () => ({ clBalanceWei: 0n }));
    await walk.confirmLoss(10n, GOVERNANCE_AGREES);
    expect(walk.model.owedWei).to.equal(ETHER / 5n);
    expect(walk.model.totalPooledEtherWei).to.equal(0n);
    // what comes next pays what is owed before holders see any of it
    await walk.nextFrame();
    await walk.report(10n, () => ({ clBalanceWei: ETHER / 10n }));
    await walk.wait(10n * YEAR_SECONDS);
    expect(walk.model.totalPooledEtherWei).to.equal(0n);
    await walk.report(10n, () => ({ clBalanceWei: ETHER }));
    await walk.wait(10n * YEAR_SECONDS);
    expect(walk.model.totalPooledEtherWei).to.be.greaterThan(ETHER / 2n);
  });

  it("works with a total of one wei", async () => {
    const walk = await nearlyAllLost(1n);
    await walk.stake(1n, 1, 1n);
    await walk.stake(1n, 1, ETHER); // shares would not fit
    expect(walk.refused.get("SafeCastOverflowedUintDowncast")).to.equal(1);
    await walk.nextFrame();
    await walk.credit("rewardsVault", SUPPLY);
    await walk.report(10n, () => ({}));
    expect(walk.model.totalPooledEtherWei).to.equal(2n);
    // what was lost may come back; ten years of the limit are less than that
    expect(walk.model.waitingWei).to.equal(SUPPLY - (32n * ETHER - 1n));
    await walk.wait(11n * YEAR_SECONDS);
    expect(walk.model.totalPooledEtherWei).to.be.within(32n * ETHER - 10n ** 13n, 32n * ETHER + 1n);
    await walk.report(10n, () => ({}));
    await walk.stake(1n, 1, 1_000_000n * ETHER);
  });

  it("mints the treasury no more shares than fit, and keeps owing the rest", async () => {
    const walk = await allDeposited();
    await walk.nextFrame();
    await walk.report(10n, () => ({ clBalanceWei: 34n * ETHER }));
    await walk.wait(2n * YEAR_SECONDS);
    // all but a wei lost in the report that also settles a fee of 0.2 ETH
    await walk.report(10n, () => ({ clBalanceWei: ETHER / 5n + 1n }));
    await walk.confirmLoss(10n, GOVERNANCE_AGREES);
    expect(walk.model.totalShares).to.be.greaterThan(MAX_UINT88 - 32n * ETHER);
    expect(walk.model.owedWei).to.be.greaterThan(ETHER / 5n - ETHER / 10n ** 9n);
    await walk.nextFrame();
    await walk.report(10n, () => ({}));
    await walk.nextFrame();
    await walk.report(10n, () => ({ clBalanceWei: 32n * ETHER }));
    expect(walk.model.totalShares).to.be.at.most(MAX_UINT88);
  });

  it("accepts assets up to the field's width and refuses a wei more by name", async () => {
    const walk = await PoolWalk.create();
    await walk.nextFrame();
    await walk.report(10n, () => ({ clBalanceWei: MAX_UINT88 - ETHER + 1n }));
    await walk.report(10n, () => ({ clBalanceWei: MAX_UINT88 + 1n }));
    expect(walk.refused.get("FigureTooLarge")).to.equal(2);
    await walk.report(10n, () => ({ clBalanceWei: MAX_UINT88 - ETHER }));
    await walk.wait(10n * YEAR_SECONDS);
    await walk.report(10n, () => ({}));
    await walk.report(10n, () => ({ clBalanceWei: 0n }));
    await walk.confirmLoss(10n, GOVERNANCE_AGREES);
  });

  it("slows a stream that is too fast for its field", async () => {
    const walk = await PoolWalk.create({ maxYearlyRateBps: 5_000n });
    await walk.stake(1n, 0, 200_000_000n * ETHER);
    await walk.nextFrame();
    await walk.report(10n, () => ({ clBalanceWei: 100_000_000n * ETHER }));
    expect(walk.model.streamEndsAt - walk.model.now).to.be.greaterThan(YEAR_SECONDS);
    expect(walk.model.netPerSecondWei).to.be.lessThan(2n ** 48n * 10_000n);
    await walk.wait(YEAR_SECONDS);
  });

  for (const [when, offset] of [
    ["a second before", -1n],
    ["at", 0n],
    ["a second after", 1n],
  ] as const)
    it(`reports ${when} a stream's end`, async () => {
      const walk = await allDeposited();
      await walk.nextFrame();
      await walk.report(10n, (m) => ({ clBalanceWei: m.clValueWei + ETHER / 50n + 777n }));
      await walk.report(walk.model.streamEndsAt - walk.model.now + offset, (m) => ({
        clBalanceWei: m.clValueWei + ETHER / 90n,
      }));
      await walk.wait(2n * FRAME_SECONDS);
    });

  it("reports neighbouring frames seconds apart with nothing in between", async () => {
    const walk = await allDeposited();
    await walk.nextFrame();
    await walk.report(10n, (m) => ({ clBalanceWei: m.clValueWei + ETHER }));
    await walk.nextFrame(0n);
    const before = walk.model.lockedWei + walk.model.feeWei + walk.model.owedWei;
    const outcome = await walk.report(1n, () => ({}));
    expect(outcome?.gainWei).to.equal(0n);
    expect(before).to.be.greaterThan(0n);
    await walk.nextFrame(0n);
    await walk.report(1n, (m) => ({ clBalanceWei: m.clValueWei + 1n }));
    await walk.report(1n, (m) => ({ clBalanceWei: m.clValueWei - 1n }));
  });

  it("keeps a gain too small for any rate as dust until it is joined by more", async () => {
    const walk = await allDeposited();
    await walk.nextFrame();
    await walk.report(10n, (m) => ({ clBalanceWei: m.clValueWei + 9n }));
    expect(walk.model.netPerSecondWei).to.equal(0n);
    await walk.wait(3n * FRAME_SECONDS);
    expect(walk.model.lockedWei).to.equal(9n);
    await walk.report(10n, (m) => ({ clBalanceWei: m.clValueWei + ETHER / 100n }));
    await walk.wait(FRAME_SECONDS);
    expect(walk.model.lockedWei).to.be.lessThan(10_000n * FRAME_SECONDS);
  });

  it("counts a deposit to the frame of its block, whenever the report comes", async () => {
    const walk = await PoolWalk.create();
    await walk.stake(1n, 0, 160n * ETHER);
    const frame = walk.model.frame;
    await walk.fundDeposits(1n, 1n);
    await walk.nextFrame();
    // in the frame the report is delivered in: not part of what it can have seen
    await walk.fundDeposits(1n, 2n);
    expect(walk.model.depositedBy(frame)).to.equal(32n * ETHER);
    const outcome = await walk.report(1n, () => ({ clBalanceWei: 32n * ETHER }));
    expect(outcome?.gainWei).to.equal(0n);
    expect(walk.model.inFlightWei).to.equal(64n * ETHER);
    await walk.fundDeposits(1n, 1n);
    await walk.nextFrame();
    await walk.nextFrame();
    // a frame skipped
    await walk.report(1n, () => ({ clBalanceWei: 128n * ETHER }));
    expect(walk.model.inFlightWei).to.equal(0n);
    expect(walk.model.totalPooledEtherWei).to.equal(161n * ETHER);
  });

  it("leaves a running stream its fee when the fee changes", async () => {
    const walk = await allDeposited();
    await walk.nextFrame();
    await walk.report(10n, () => ({ clBalanceWei: 33n * ETHER }));
    await walk.setFee(10n, 1_500n);
    await walk.wait(2n * YEAR_SECONDS);
    expect(walk.model.feeWei).to.equal(ETHER / 10n);
    await walk.report(10n, () => ({ clBalanceWei: 34n * ETHER }));
    await walk.wait(2n * YEAR_SECONDS);
    expect(walk.model.feeWei).to.be.closeTo((ETHER * 15n) / 100n, 10n ** 12n);
  });

  it("pays losses back without a fee, however the gains come", async () => {
    const walk = await allDeposited();
    await walk.nextFrame();
    await walk.report(10n, () => ({ clBalanceWei: 31n * ETHER }));
    expect(walk.model.uncoveredLossWei).to.equal(ETHER);
    for (let i = 0; i < 4; i++) {
      await walk.nextFrame();
      await walk.report(10n, (m) => ({ clBalanceWei: m.clValueWei + (3n * ETHER) / 10n }));
    }
    await walk.wait(2n * YEAR_SECONDS);
    await walk.report(10n, () => ({}));
    // 1.2 ETH came, 1 ETH of it only paid the loss back: a fee on the rest alone
    expect(walk.model.uncoveredLossWei).to.equal(0n);
    expect(walk.model.etherFor(walk.model.sharesOf(walk.accounts[1]!))).to.be.closeTo(ETHER / 50n, 10n ** 12n);
  });

  describe("withdrawals", () => {
    /** Everybody asks for everything. */
    async function allLeave(walk: PoolWalk): Promise<void> {
      for (const user of [0, 1, 2, 3]) {
        const shares = walk.model.sharesOf(walk.users[user]!);
        if (shares > 0n) await walk.requestWithdrawalShares(10n, user, user, shares);
      }
    }

    async function claimAll(walk: PoolWalk): Promise<void> {
      for (const [i, { owner, claimed, paidWei }] of walk.model.withdrawals.entries())
        if (paidWei !== undefined && !claimed) await walk.claim(10n, walk.users.indexOf(owner), BigInt(i) + 1n);
    }

    it("let every user leave; what stays is the dead shares', the queue's one and the treasury's, and what streams", async () => {
      const walk = await PoolWalk.create();
      const { model } = walk;
      for (const user of [0, 1, 2]) await walk.stake(10n, user, 100n * ETHER + BigInt(user));
      await walk.nextFrame();
      await walk.credit("rewardsVault", ETHER);
      await walk.report(10n, () => ({}));
      await allLeave(walk);
      await walk.nextFrame();
      const outcome = await walk.report(10n, () => ({}));
      const stays = model.sharesOf(DEAD) + model.sharesOf(walk.accounts[1]!) + 1n;
      expect(model.totalShares).to.equal(stays);
      expect(model.lockedWei).to.be.greaterThan(0n);
      await claimAll(walk);
      // paid at the report's rate, less than a wei short each
      expect(model.claimedWei).to.be.within(outcome!.withdrawnWei - 2n, outcome!.withdrawnWei);
      expect(model.claimedWei + model.queueWei + model.bufferedWei).to.equal(302n * ETHER + 3n);
      // who leaves leaves the stream to those who stay, no faster than their limit: most of it waits for years
      expect(model.streamEndsAt - model.now).to.be.greaterThan(YEAR_SECONDS);
      await walk.wait(10n * YEAR_SECONDS);
      await walk.report(10n, () => ({}));
      await walk.stake(10n, 0, ETHER);
    });

    it("that ask for all there is are paid by what comes back, however long it takes", async () => {
      const walk = await PoolWalk.create();
      const { model } = walk;
      await walk.stake(10n, 0, 319n * ETHER);
      await walk.fundDeposits(10n, 10n);
      await walk.nextFrame();
      await walk.report(10n, () => ({}));
      for (let i = 0n; i < 10n; i++) await walk.requestWithdrawal(10n, 0, 1, 31n * ETHER + i);
      for (let i = 1n; i <= 10n; i++) {
        await walk.nextFrame();
        await walk.credit("withdrawalVault", 32n * ETHER);
        await walk.report(10n, (m) => ({
          clBalanceWei: m.clValueWei - 32n * ETHER,
          withdrawnAtRefWei: m.sweptWei + 32n * ETHER,
        }));
        // 32 ETH each time pay 31 ETH and a little
        expect(model.lastFinalised).to.equal(i);
        expect(model.depositableWei).to.equal(i === 10n ? model.bufferedWei : 0n);
      }
      await claimAll(walk);
      expect(model.claimedWei).to.equal(310n * ETHER + 44n);
    });

    it("take nothing of a pool that is worth nothing, and all of their part once it is worth something", async () => {
      const walk = await allDeposited();
      const { model } = walk;
      await walk.requestWithdrawal(10n, 0, 0, 31n * ETHER);
      await walk.nextFrame();
      await walk.report(10n, () => ({ clBalanceWei: 0n }));
      await walk.confirmLoss(10n, GOVERNANCE_AGREES);
      expect(model.totalPooledEtherWei).to.equal(0n);
      expect(model.lastFinalised).to.equal(0n);
      await walk.nextFrame();
      await walk.credit("rewardsVault", 32n * ETHER);
      await walk.report(10n, () => ({}));
      // still nothing: the gain has only begun to stream
      expect(model.lastFinalised).to.equal(0n);
      await walk.nextFrame();
      await walk.report(10n, () => ({}));
      expect(model.lastFinalised).to.equal(1n);
      const [withdrawal] = model.withdrawals;
      expect(withdrawal!.paidWei).to.be.lessThan(ETHER);
      await claimAll(walk);
    });

    it("of the widest request are finalised with the pool at its fields' width", async () => {
      const walk = await PoolWalk.create();
      await walk.nextFrame();
      await walk.stake(10n, 0, 70_000n * ETHER);
      await walk.requestWithdrawal(10n, 0, 0, 64_000n * ETHER);
      await walk.requestWithdrawal(10n, 0, 0, ETHER);
      await walk.nextFrame();
      await walk.credit("rewardsVault", MAX_UINT88 - walk.model.bufferedWei);
      await walk.report(10n, () => ({}));
      expect(walk.model.lastFinalised).to.equal(65n);
      await walk.claim(10n, 0, 65n, 1n);
    });

    it("requested after a frame's cutoff wait for the next report, when nobody knows what this one brings", async () => {
      const walk = await allDeposited();
      const { model } = walk;
      await walk.stake(10n, 1, 10n * ETHER);
      await walk.nextFrame();
      await walk.requestWithdrawal(10n, 1, 1, ETHER);
      await walk.report(10n, (m) => ({ clBalanceWei: m.clValueWei - ETHER }));
      expect(model.lastFinalised).to.equal(0n);
      await walk.nextFrame();
      await walk.report(10n, () => ({}));
      expect(model.lastFinalised).to.equal(1n);
      expect(model.withdrawals[0]!.paidWei).to.be.lessThan(ETHER - ETHER / 50n);
    });
  });
});
