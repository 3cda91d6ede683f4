import { expect } from "chai";
import fc from "fast-check";
import { ETHER, FRAME_SECONDS, MAX_UINT88 } from "../unit/pool/support.js";
import type { AccountingModel } from "../model/accounting.js";
import { PoolWalk } from "./poolWalk.js";

const DEFAULT_WALKS = 60;
/**
 * Walks of the default run. ACCOUNTING_WALKS asks for more (1,000 take six minutes), ACCOUNTING_SEED for others, and ACCOUNTING_SHRINK,
 * set to anything, has a failing walk cut down to the steps that matter.
 */
const WALKS = Number(process.env["ACCOUNTING_WALKS"] ?? DEFAULT_WALKS);
const SEED = Number(process.env["ACCOUNTING_SEED"] ?? 20_260_104);
const STEPS_A_WALK = 100;
const ETHER_SUPPLY = 120_000_000n * ETHER;
/** Times fit the slots until 2106; a walk may pass decades, and its streams another, but not that. */
const LAST_TIME = 3_600_000_000n;

const REFUSALS = [
  "DailyLimitExceeded",
  "FigureTooLarge",
  "InvalidHint",
  "InsufficientShares",
  "LossIsPending",
  "NoPendingLoss",
  "NotEnoughBuffered",
  "NotRequestOwner",
  "PendingLossChanged",
  "PoolCapExceeded",
  "ReportStale",
  "RequestClaimed",
  "RequestNotFinalised",
  "RequestTooSmall",
  "StakeBelowMinimum",
  "UnknownRequest",
  "WithdrawalsNotInVault",
  "WithdrawnDecreased",
  "ZeroShares",
];

const seconds = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt({ min: 1n, max: 60n }) },
  { weight: 4, arbitrary: fc.bigInt({ min: 1n, max: FRAME_SECONDS }) },
);
const anyTime = fc.oneof(
  { weight: 5, arbitrary: fc.bigInt({ min: 1n, max: FRAME_SECONDS }) },
  { weight: 3, arbitrary: fc.bigInt({ min: 1n, max: 3n * FRAME_SECONDS }) },
  { weight: 1, arbitrary: fc.bigInt({ min: 1n, max: 400n * FRAME_SECONDS }) },
  { weight: 1, arbitrary: fc.bigInt({ min: 1n, max: 4_000n * FRAME_SECONDS }) },
);
const wei = fc.oneof(
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 20n }) },
  { weight: 2, arbitrary: fc.bigInt({ min: 1n, max: 10n ** 12n }) },
  { weight: 4, arbitrary: fc.bigInt({ min: 1n, max: 100n * ETHER }) },
  { weight: 3, arbitrary: fc.noBias(fc.bigInt({ min: 1n, max: 20_000n * ETHER })) },
);
const gift = fc.oneof(
  { weight: 8, arbitrary: fc.bigInt({ min: 0n, max: ETHER }) },
  { weight: 4, arbitrary: fc.bigInt({ min: 0n, max: 500n * ETHER }) },
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: ETHER_SUPPLY / 50n }) },
);
const user = fc.nat(3);
const millionths = fc.bigInt({ min: 0n, max: 1_000_000n });

const reported = fc.record({
  seconds: fc.bigInt({ min: 1n, max: 3_000n }),
  /** What the beacon chain is said to hold, against what is known of it. */
  change: fc.oneof(
    { weight: 3, arbitrary: fc.constant("same" as const) },
    { weight: 10, arbitrary: fc.constant("reward" as const) },
    { weight: 4, arbitrary: fc.constant("smallLoss" as const) },
    { weight: 3, arbitrary: fc.constant("loss" as const) },
    { weight: 1, arbitrary: fc.constant("wipe" as const) },
    { weight: 1, arbitrary: fc.constant("windfall" as const) },
    { weight: 1, arbitrary: fc.constant("absurd" as const) },
    { weight: 2, arbitrary: fc.constant("honest" as const) },
    { weight: 1, arbitrary: fc.constant("impossible" as const) },
  ),
  size: millionths,
  odd: fc.bigInt({ min: 0n, max: 1_000_000_000n }),
  penalties: fc.oneof({ weight: 5, arbitrary: fc.constant(0n) }, { weight: 1, arbitrary: millionths }),
  withdrawn: fc.oneof(
    { weight: 3, arbitrary: fc.constant("none" as const) },
    { weight: 4, arbitrary: fc.constant("all" as const) },
    { weight: 4, arbitrary: fc.constant("part" as const) },
    { weight: 1, arbitrary: fc.constant("tooMuch" as const) },
    { weight: 1, arbitrary: fc.constant("lessThanSwept" as const) },
  ),
});
type Reported = typeof reported extends fc.Arbitrary<infer T> ? T : never;

const step = fc.oneof(
  { weight: 20, arbitrary: fc.record({ kind: fc.constant("stake" as const), seconds, user, wei }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("transfer" as const), seconds, user, to: user, wei }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("transferAll" as const), seconds, user, to: user }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("fund" as const),
      seconds,
      share: fc.oneof(millionths, fc.noBias(millionths)),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("request" as const), seconds, user, to: user, wei }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("requestShare" as const),
      seconds,
      /** Left out: who holds most. */
      user: fc.option(user, { freq: 2 }),
      to: user,
      share: fc.noBias(millionths),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("give" as const), seconds, pick: fc.noBias(millionths), user, to: user }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("claim" as const),
      seconds,
      /** Left out: the first that can be claimed. */
      pick: fc.option(fc.noBias(millionths), { freq: 2 }),
      hint: fc.constantFrom("none", "right", "right", "wrong"),
      /** Who tries: the owner, or somebody. */
      user: fc.option(user, { freq: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pauseFinalisation" as const), seconds }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("resumeFinalisation" as const), seconds }) },
  { weight: 24, arbitrary: fc.record({ kind: fc.constant("frameAndReport" as const), reported }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("reportNow" as const), reported }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("exit" as const), validators: fc.bigInt(1n, 40n) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("slashing" as const),
      open: millionths,
      /** Against what was expected; the chain may take more. */
      taken: fc.bigInt({ min: 0n, max: 2_000_000n }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("reportAtStreamEnd" as const), reported }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("withdrawals" as const), gift }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("rewards" as const), gift }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("wait" as const), time: anyTime }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("shortfall" as const), seconds, wei }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("confirm" as const), seconds, agree: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("discard" as const), seconds, seen: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("fee" as const), seconds, bps: fc.bigInt(0n, 1_500n) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pace" as const), seconds, bps: fc.bigInt(100n, 5_000n) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("lossLimit" as const),
      seconds,
      bps: fc.bigInt(10n, 5_000n),
      window: fc.bigInt(86_400n, 90n * 86_400n),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("limits" as const), seconds, lowest: wei, above: gift, daily: gift }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function figures(r: Reported, model: AccountingModel, known: bigint, deposited: bigint) {
  const clBalanceWei = {
    same: known,
    reward: known + (known * r.size) / 1_000_000_000n + r.odd,
    smallLoss: atLeast0(known - (known * r.size) / 100_000_000n - r.odd),
    loss: atLeast0(known - (known * r.size) / 3_000_000n - r.odd),
    wipe: r.odd % 3n,
    windfall: known + (ETHER_SUPPLY * r.size) / 50_000_000n,
    // nearly as much as the fields hold, and the report after such a one
    absurd: (MAX_UINT88 * r.size) / 1_000_001n,
    honest: deposited + r.odd,
    impossible: MAX_UINT88 + 1n + r.odd,
  }[r.change];
  const held = model.withdrawalVaultWei;
  const withdrawn = {
    none: 0n,
    all: held,
    part: (held * r.size) / 1_000_000n,
    tooMuch: held + 1n + r.odd,
    lessThanSwept: -1n,
  }[r.withdrawn];
  return {
    clBalanceWei,
    openPenaltiesWei: (clBalanceWei * r.penalties) / 20_000_000n,
    withdrawnAtRefWei: atLeast0(model.sweptWei + withdrawn),
  };
}

/** What the beacon chain holds for the pool at the end of the frame if nothing was gained or lost since the last report. */
const knownAt = (model: AccountingModel, frame: bigint) =>
  model.clValueWei + model.depositedBy(frame) - (model.depositedWei - model.inFlightWei);

const atLeast0 = (a: bigint) => (a > 0n ? a : 0n);

class Tally {
  applied = 0;
  gains = 0;
  losses = 0;
  eaten = 0;
  /** Reports after which some of the gain waits for the next. */
  kept = 0;
  reserveFees = 0;
  treasuryFees = 0;
  waiting = 0;
  confirmed = 0;
  discarded = 0;
  /** Reports that finalised withdrawals; as many as were due, and as many as could be paid. */
  finalised = 0;
  short = 0;
  splits = 0;
  claims = 0;
  exits = 0;
  slashings = 0;
}

async function take(walk: PoolWalk, s: Step, tally: Tally): Promise<void> {
  const { model } = walk;
  if (model.now > LAST_TIME) return;
  const report = async (r: Reported, wait: bigint) => {
    const outcome = await walk.report(wait, (m, frame) => figures(r, m, knownAt(m, frame), m.depositedBy(frame)));
    if (outcome === undefined) return;
    if (!outcome.applied) tally.waiting++;
    else {
      tally.applied++;
      if (outcome.gainWei > 0n) tally.gains++;
      if (outcome.lossWei > 0n) tally.losses++;
      if (model.waitingWei > 0n) tally.kept++;
      if (outcome.gainWei < 0n && outcome.lossWei < -outcome.gainWei) tally.eaten++;
      if (outcome.reserveFeeWei > 0n) tally.reserveFees++;
      if (outcome.treasuryShares > 0n) tally.treasuryFees++;
      if (outcome.burnedShares > 0n) {
        tally.finalised++;
        if (model.waitingWithdrawals.length > 0) tally.short++;
      }
    }
  };
  /** A request there is, or one before or behind them all. */
  const pick = (millionth: bigint) => (millionth * BigInt(model.withdrawals.length + 2)) / 1_000_001n;
  const userOf = (address: string | undefined) => Math.max(0, walk.users.indexOf(address ?? ""));
  const requested = async (request: () => Promise<void>) => {
    const before = model.withdrawals.length;
    await request();
    if (model.withdrawals.length > before + 1) tally.splits++;
  };
  switch (s.kind) {
    case "stake":
      await walk.stake(s.seconds, s.user, s.wei);
      return;
    case "transfer":
      await walk.transfer(s.seconds, s.user, s.to, s.wei);
      return;
    case "transferAll":
      await walk.transferShares(s.seconds, s.user, s.to, model.sharesOf(walk.users[s.user]!));
      return;
    case "request":
      await requested(() => walk.requestWithdrawal(s.seconds, s.user, s.to, s.wei));
      return;
    case "requestShare": {
      const held = walk.users.map((address) => model.sharesOf(address));
      const richest = held.reduce((best, shares, i) => (shares > held[best]! ? i : best), 0);
      const from = s.user ?? richest;
      const shares = (held[from]! * s.share) / 1_000_000n;
      await requested(() => walk.requestWithdrawalShares(s.seconds, from, s.to, shares));
      return;
    }
    case "give":
      await walk.transferRequest(s.seconds, s.user, pick(s.pick), s.to);
      return;
    case "claim": {
      const first = model.withdrawals.findIndex(({ paidWei, claimed }) => paidWei !== undefined && !claimed);
      const id = s.pick === null ? BigInt(first + 1) : pick(s.pick);
      const withdrawal = model.withdrawals[Number(id) - 1];
      const right = withdrawal?.checkpoint ?? 0n;
      const hint = { none: undefined, right, wrong: right + 1n }[s.hint];
      const claimed = model.claimedWei;
      await walk.claim(s.seconds, s.user ?? userOf(withdrawal?.owner), id, hint);
      if (model.claimedWei > claimed) tally.claims++;
      return;
    }
    case "pauseFinalisation":
      await walk.pauseFinalisation(s.seconds);
      return;
    case "resumeFinalisation":
      await walk.resumeFinalisation(s.seconds);
      return;
    case "fund":
      await walk.fundDeposits(s.seconds, (model.depositableWei * s.share) / (900_000n * 32n * ETHER));
      return;
    case "frameAndReport":
      await walk.nextFrame(s.reported.seconds);
      await report(s.reported, 1n);
      return;
    case "exit":
      await exit(walk, s.validators * 32n * ETHER, tally);
      return;
    case "slashing":
      await slashing(walk, s.open, s.taken, tally);
      return;
    case "reportNow":
      await report(s.reported, s.reported.seconds);
      return;
    case "reportAtStreamEnd":
      await report(s.reported, model.streamEndsAt > model.now ? model.streamEndsAt - model.now : 1n);
      return;
    case "withdrawals":
      await walk.credit("withdrawalVault", s.gift);
      return;
    case "rewards":
      await walk.credit("rewardsVault", s.gift);
      return;
    case "wait":
      await walk.wait(s.time);
      return;
    case "shortfall":
      await walk.setShortfall(s.seconds, s.wei);
      return;
    case "confirm":
      if (model.pending !== undefined) tally.confirmed++;
      await walk.confirmLoss(s.seconds, s.agree ? MAX_UINT88 : (model.pending?.lossWei ?? 0n));
      return;
    case "discard":
      if (model.pending !== undefined && s.seen) tally.discarded++;
      await walk.discardLoss(s.seconds, s.seen ? (model.pending?.refSlot ?? 0n) : 1n);
      return;
    case "fee":
      await walk.setFee(s.seconds, s.bps);
      return;
    case "pace":
      await walk.setStreamLimit(s.seconds, s.bps);
      return;
    case "lossLimit":
      await walk.setLossLimit(s.seconds, s.bps, s.window);
      return;
    case "limits":
      await walk.setStakeLimits(
        s.seconds,
        s.lowest + 1n > 32n * ETHER ? 1n : s.lowest + 1n,
        model.totalPooledEtherWei + s.above,
        s.daily,
      );
      return;
  }
}

/** Whole balances, or all there is, arrive in the WithdrawalVault: nothing is gained by it but what lay there before. */
async function exit(walk: PoolWalk, wei: bigint, tally: Tally): Promise<void> {
  const { model } = walk;
  const swept = wei < model.clValueWei ? wei : model.clValueWei;
  const before = model.withdrawalVaultWei + model.rewardsVaultWei;
  await walk.credit("withdrawalVault", swept);
  await walk.nextFrame();
  const outcome = await walk.report(1n, (m, frame) => ({
    clBalanceWei: knownAt(m, frame) - swept,
    withdrawnAtRefWei: m.sweptWei + m.withdrawalVaultWei,
  }));
  if (outcome === undefined) return;
  expect(outcome.gainWei, "an exit is neither gain nor loss").to.equal(before);
  if (outcome.applied && swept > 0n) tally.exits++;
}

/** Penalties are known, then taken: what was expected too much comes back, what was expected too little is lost. */
async function slashing(walk: PoolWalk, open: bigint, taken: bigint, tally: Tally): Promise<void> {
  const { model } = walk;
  await walk.nextFrame();
  const openWei = (knownAt(model, model.frame - 1n) * open) / 30_000_000n;
  const rewards = model.rewardsVaultWei;
  const known = await walk.report(1n, () => ({ openPenaltiesWei: openWei }));
  if (known === undefined) return;
  expect(known.gainWei, "open penalties are lost").to.equal(rewards - openWei);
  if (!known.applied) return;
  await walk.nextFrame();
  const takenWei = (openWei * taken) / 1_000_000n;
  const settled = await walk.report(1n, (m, frame) => ({ clBalanceWei: knownAt(m, frame) + openWei - takenWei }));
  if (settled === undefined) return;
  expect(settled.gainWei, "what was expected and not taken").to.equal(openWei - takenWei);
  if (openWei > 0n) tally.slashings++;
}

describe("accounting", () => {
  it("equals the model to the wei on random walks", async function () {
    this.timeout(0);
    const walk = await PoolWalk.create();
    const tally = new Tally();
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: STEPS_A_WALK, maxLength: STEPS_A_WALK, size: "max" }),
        async (steps) => {
          await walk.restart();
          for (const s of steps) await take(walk, s, tally);
        },
      ),
      { numRuns: WALKS, seed: SEED, endOnFailure: process.env["ACCOUNTING_SHRINK"] === undefined },
    );
    // a walk that saw nothing would prove nothing; fewer walks than usual may see less
    if (WALKS < DEFAULT_WALKS) return;
    for (const [what, count] of Object.entries(tally)) expect(count, what).to.be.greaterThan(0);
    expect(walk.fasterRecoveries).to.be.greaterThan(0);
    expect([...walk.refused.keys()]).to.include.members(REFUSALS);
  });
});
