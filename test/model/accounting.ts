/**
 * The pool's accounting, written from the terms of its identity (docs/accounting.md): what was paid in, what the beacon chain was
 * reported to hold, what is on its way, what is locked, what is owed. It keeps histories where the contracts keep slots, and knows
 * nothing of how they store the rate. Tests compare the two to the wei.
 */

export const WEI_PER_RATE_UNIT = 10_000n;
export const YEAR_SECONDS = 365n * 86_400n;
const LONGEST_STREAM_YEARS = 10n;
export const MAX_UINT88 = 2n ** 88n - 1n;
const MAX_RATE_UNITS = 2n ** 48n - 1n;
const BPS = 10_000n;
const DAY_SECONDS = 86_400n;
const VALIDATOR_WEI = 32n * 10n ** 18n;
const MIN_REQUEST_WEI = 10n ** 15n;
const MAX_REQUEST_WEI = 1_000n * 10n ** 18n;
const MOST_PARTS = 64n;

export const DEAD = "0x000000000000000000000000000000000000dEaD";
/** Holder of the shares that wait in the withdrawal queue. */
export const QUEUE = "the withdrawal queue";

export interface Parameters {
  treasury: string;
  feeBps: bigint;
  maxYearlyRateBps: bigint;
  lossLimitBps: bigint;
  lossWindowSeconds: bigint;
  minStakeWei: bigint;
  poolCapWei: bigint;
  dailyLimitWei: bigint;
}

export interface FrameClock {
  genesisTime: bigint;
  frameSeconds: bigint;
  /** Before the end of a frame, in which requests already count for the next. */
  cutoffMarginSeconds: bigint;
}

/** A withdrawal, from request to claim. */
export interface Withdrawal {
  owner: string;
  shares: bigint;
  /** Whose report may finalise it at the earliest. */
  frame: bigint;
  /** What it was paid, once it is finalised. */
  paidWei: bigint | undefined;
  /** The report that paid it, counted from 1. */
  checkpoint: bigint;
  claimed: boolean;
}

export interface Figures {
  frame: bigint;
  refSlot: bigint;
  clBalanceWei: bigint;
  openPenaltiesWei: bigint;
  withdrawnAtRefWei: bigint;
}

/** What a report says once judged against the pool; a pending loss keeps it. */
interface Statement {
  frame: bigint;
  refSlot: bigint;
  valueWei: bigint;
  withdrawnAtRefWei: bigint;
  depositedAtRefWei: bigint;
  reportedAt: bigint;
}

export interface Pending extends Statement {
  lossWei: bigint;
}

/** A gain on its way to the holders. */
interface Stream {
  startedAt: bigint;
  durationSeconds: bigint;
  grossWei: bigint;
  feeWei: bigint;
  /** Part of it that pays back losses. */
  freeWei: bigint;
  netPerSecondWei: bigint;
}

export interface Outcome {
  applied: boolean;
  gainWei: bigint;
  lossWei: bigint;
  limitWei: bigint;
  etherBeforeWei: bigint;
  etherAfterWei: bigint;
  reserveFeeWei: bigint;
  treasuryFeeWei: bigint;
  treasuryShares: bigint;
  withdrawnWei: bigint;
  burnedShares: bigint;
}

/** The pool would refuse, with this custom error. */
export class Refusal extends Error {
  readonly error: string;
  constructor(error: string) {
    super(`the pool refuses with ${error}`);
    this.error = error;
  }
}

const min = (a: bigint, b: bigint) => (a < b ? a : b);
const max = (a: bigint, b: bigint) => (a > b ? a : b);
const orZero = (a: bigint) => max(a, 0n);
const ceilDiv = (a: bigint, b: bigint) => (a + b - 1n) / b;
const sum = (values: Iterable<bigint>) => [...values].reduce((a, b) => a + b, 0n);

export class AccountingModel {
  now: bigint;
  readonly parameters: Parameters;

  // ETH, by where it is
  bufferedWei = 0n;
  withdrawalVaultWei = 0n;
  rewardsVaultWei = 0n;
  reserveWei = 0n;
  queueWei = 0n;
  claimedWei = 0n;
  /** What the reserve says it lacks. */
  shortfallWei = 0n;

  readonly shares = new Map<string, bigint>();
  /** Request 1 is the first. */
  readonly withdrawals: Withdrawal[] = [];
  checkpoints = 0n;
  stakingPaused = false;
  finalisationPaused = false;
  pending: Pending | undefined;
  lastFrame = 0n;
  lastReportAt: bigint;

  owedWei = 0n;
  sweptWei = 0n;
  /** Gain that does not stream yet: more than ten years of the highest rate let through. */
  waitingWei = 0n;
  private readonly clock: FrameClock;
  private readonly deposits: { frame: bigint; wei: bigint }[] = [];
  private valueWei = 0n;
  private depositedAtRefWei = 0n;
  private stream: Stream | undefined;
  private uncoveredWei = 0n;
  private recent = { wei: 0n, at: 0n };
  private bucket = { wei: 0n, at: 0n };

  constructor(parameters: Parameters, clock: FrameClock, now: bigint, initialStakeWei: bigint) {
    this.parameters = { ...parameters };
    this.clock = clock;
    this.now = now;
    this.lastReportAt = now;
    this.bucket.at = now;
    this.bufferedWei = initialStakeWei;
    this.shares.set(DEAD, initialStakeWei);
  }

  // ---- what is true now

  get frame(): bigint {
    return (this.now - this.clock.genesisTime) / this.clock.frameSeconds;
  }

  get totalShares(): bigint {
    return sum(this.shares.values());
  }

  get depositedWei(): bigint {
    return this.depositedBy(2n ** 64n);
  }

  depositedBy(frame: bigint): bigint {
    return sum(this.deposits.filter((deposit) => deposit.frame <= frame).map((deposit) => deposit.wei));
  }

  get inFlightWei(): bigint {
    return this.depositedWei - this.depositedAtRefWei;
  }

  get clValueWei(): bigint {
    return this.valueWei;
  }

  /** Fee on what has unlocked of the running stream, not settled yet. */
  get feeWei(): bigint {
    return this.stream === undefined ? 0n : this.unlockedPart(this.stream, this.stream.feeWei);
  }

  /** Gain that is not yet the holders' nor the fee's. */
  get lockedWei(): bigint {
    const stream = this.stream;
    if (stream === undefined) return this.waitingWei;
    return this.waitingWei + stream.grossWei - this.feeWei - stream.netPerSecondWei * this.elapsed(stream);
  }

  get uncoveredLossWei(): bigint {
    const free = this.stream === undefined ? 0n : this.unlockedPart(this.stream, this.stream.freeWei);
    return orZero(this.uncoveredWei - free);
  }

  get totalPooledEtherWei(): bigint {
    return orZero(this.bufferedWei + this.valueWei + this.inFlightWei - this.lockedWei - this.owedWei - this.feeWei);
  }

  get streamEndsAt(): bigint {
    return this.stream === undefined ? this.lastStreamlessEnd : this.stream.startedAt + this.stream.durationSeconds;
  }
  private lastStreamlessEnd = 0n;

  get netPerSecondWei(): bigint {
    return this.stream?.netPerSecondWei ?? 0n;
  }

  sharesOf(account: string): bigint {
    return this.shares.get(account) ?? 0n;
  }

  /** Value of `shares`, rounded down. */
  etherFor(shares: bigint): bigint {
    return (shares * this.totalPooledEtherWei) / this.totalShares;
  }

  sharesFor(wei: bigint): bigint {
    return (wei * this.totalShares) / this.totalPooledEtherWei;
  }

  get stale(): boolean {
    return this.now > this.lastReportAt + 2n * this.clock.frameSeconds;
  }

  get depositableWei(): bigint {
    return orZero(this.bufferedWei - this.owedWei - this.queuedWei);
  }

  get waitingWithdrawals(): Withdrawal[] {
    return this.withdrawals.filter((withdrawal) => withdrawal.paidWei === undefined);
  }

  get lastFinalised(): bigint {
    return BigInt(this.withdrawals.length - this.waitingWithdrawals.length);
  }

  get queuedShares(): bigint {
    return sum(this.waitingWithdrawals.map((withdrawal) => withdrawal.shares));
  }

  /** Value of all shares that wait. */
  get queuedWei(): bigint {
    return this.etherFor(this.queuedShares);
  }

  /** What finalised requests can still claim. */
  get claimableWei(): bigint {
    return sum(this.withdrawals.map(({ paidWei, claimed }) => (claimed ? 0n : (paidWei ?? 0n))));
  }

  get dailyRoomWei(): bigint {
    return orZero(this.parameters.dailyLimitWei - this.bucketLevelWei);
  }

  get stakingOpen(): boolean {
    return !this.stakingPaused && this.pending === undefined && !this.stale && this.totalPooledEtherWei > 0n;
  }

  get stakeableWei(): bigint {
    if (!this.stakingOpen) return 0n;
    return min(orZero(this.parameters.poolCapWei - this.totalPooledEtherWei), this.dailyRoomWei);
  }

  // ---- what people do

  stake(receiver: string, wei: bigint): bigint {
    if (this.stakingPaused) throw new Refusal("StakingIsPaused");
    this.requireCurrent();
    if (wei < this.parameters.minStakeWei) throw new Refusal("StakeBelowMinimum");
    if (this.totalPooledEtherWei === 0n) throw new Refusal("NoPooledEther");
    const shares = this.sharesFor(wei);
    if (shares === 0n) throw new Refusal("ZeroShares");
    if (this.totalShares + shares > MAX_UINT88) throw new Refusal("SafeCastOverflowedUintDowncast");
    if (this.totalPooledEtherWei + wei > this.parameters.poolCapWei) throw new Refusal("PoolCapExceeded");
    if (wei > this.dailyRoomWei) throw new Refusal("DailyLimitExceeded");
    this.bucket = { wei: this.bucketLevelWei + wei, at: this.now };
    this.bufferedWei += wei;
    this.credit(receiver, shares);
    return shares;
  }

  transfer(from: string, to: string, wei: bigint): void {
    if (this.totalPooledEtherWei === 0n) throw new Refusal("NoPooledEther");
    this.transferShares(from, to, this.sharesFor(wei));
  }

  transferShares(from: string, to: string, shares: bigint): void {
    if (this.sharesOf(from) < shares) throw new Refusal("InsufficientShares");
    this.credit(from, -shares);
    this.credit(to, shares);
  }

  fundDeposits(validators: bigint): void {
    this.requireCurrent();
    const wei = validators * VALIDATOR_WEI;
    if (wei > this.depositableWei) throw new Refusal("NotEnoughBuffered");
    this.bufferedWei -= wei;
    this.deposits.push({ frame: this.frame, wei });
  }

  /** @returns the requests it became */
  requestWithdrawal(from: string, owner: string, wei: bigint): Withdrawal[] {
    if (this.totalPooledEtherWei === 0n) throw new Refusal("NoPooledEther");
    return this.enqueue(from, owner, this.sharesFor(wei), wei);
  }

  requestWithdrawalShares(from: string, owner: string, shares: bigint): Withdrawal[] {
    return this.enqueue(from, owner, shares, this.etherFor(shares));
  }

  private enqueue(from: string, owner: string, allShares: bigint, wei: bigint): Withdrawal[] {
    if (this.sharesOf(from) < allShares) throw new Refusal("InsufficientShares");
    const parts = ceilDiv(wei, MAX_REQUEST_WEI);
    if (parts > MOST_PARTS) throw new Refusal("RequestTooLarge");
    if (wei < MIN_REQUEST_WEI || allShares <= parts) throw new Refusal("RequestTooSmall");
    this.transferShares(from, QUEUE, allShares);
    // a share of the first request stays for ever
    let left = this.withdrawals.length === 0 ? allShares - 1n : allShares;
    const frame = (this.now + this.clock.cutoffMarginSeconds - this.clock.genesisTime) / this.clock.frameSeconds;
    const made: Withdrawal[] = [];
    // evenly, the odd shares where they fall
    const all = left;
    for (let i = 1n; i <= parts; i++) {
      const shares = left - (all - (all * i) / parts);
      left -= shares;
      made.push({ owner, shares, frame, paidWei: undefined, checkpoint: 0n, claimed: false });
    }
    this.withdrawals.push(...made);
    return made;
  }

  transferRequest(from: string, id: bigint, to: string): void {
    this.ownRequest(from, id).owner = to;
  }

  /** @param hint left out: the queue finds it */
  claim(from: string, id: bigint, hint?: bigint): bigint {
    const withdrawal = this.ownRequest(from, id);
    if (withdrawal.paidWei === undefined) throw new Refusal("RequestNotFinalised");
    if (hint !== undefined && hint !== withdrawal.checkpoint) throw new Refusal("InvalidHint");
    withdrawal.claimed = true;
    this.queueWei -= withdrawal.paidWei;
    this.claimedWei += withdrawal.paidWei;
    return withdrawal.paidWei;
  }

  private ownRequest(from: string, id: bigint): Withdrawal {
    const withdrawal = this.withdrawals[Number(id) - 1];
    if (withdrawal === undefined) throw new Refusal("UnknownRequest");
    if (withdrawal.claimed) throw new Refusal("RequestClaimed");
    if (withdrawal.owner !== from) throw new Refusal("NotRequestOwner");
    return withdrawal;
  }

  /** What the old window has forgotten stays so; the rest fades over the new one. */
  setLossLimit(lossLimitBps: bigint, lossWindowSeconds: bigint): void {
    this.recent = { wei: this.recentLossWei, at: this.now };
    Object.assign(this.parameters, { lossLimitBps, lossWindowSeconds });
  }

  setStakeLimits(minStakeWei: bigint, poolCapWei: bigint, dailyLimitWei: bigint): void {
    this.bucket = { wei: this.bucketLevelWei, at: this.now };
    Object.assign(this.parameters, { minStakeWei, poolCapWei, dailyLimitWei });
  }

  confirmLoss(agreedWei: bigint): Outcome {
    const statement = this.pending;
    if (statement === undefined) throw new Refusal("NoPendingLoss");
    const judged = this.judge(statement);
    if (judged.lossWei > agreedWei) throw new Refusal("LossAboveAgreed");
    this.pending = undefined;
    return this.apply(statement, judged);
  }

  discardLoss(refSlot: bigint): void {
    if (this.pending === undefined) throw new Refusal("NoPendingLoss");
    if (this.pending.refSlot !== refSlot) throw new Refusal("PendingLossChanged");
    this.pending = undefined;
  }

  report(figures: Figures): Outcome {
    if (figures.clBalanceWei > MAX_UINT88) throw new Refusal("FigureTooLarge");
    if (figures.withdrawnAtRefWei < this.sweptWei) throw new Refusal("WithdrawnDecreased");
    if (figures.withdrawnAtRefWei > this.sweptWei + this.withdrawalVaultWei) throw new Refusal("WithdrawalsNotInVault");
    const statement: Statement = {
      frame: figures.frame,
      refSlot: figures.refSlot,
      valueWei: orZero(figures.clBalanceWei - figures.openPenaltiesWei),
      withdrawnAtRefWei: figures.withdrawnAtRefWei,
      depositedAtRefWei: this.depositedBy(figures.frame),
      reportedAt: this.now,
    };
    const judged = this.judge(statement);
    const beyondLimit = judged.lossWei > 0n && this.recentLossWei + judged.lossWei > judged.limitWei;
    if (this.pending === undefined && !beyondLimit) return this.apply(statement, judged);
    this.pending = { ...statement, lossWei: judged.lossWei };
    return judged;
  }

  // ---- how

  /** What applying the statement now would bring. */
  private judge(statement: Statement): Outcome {
    const newAssets =
      this.bufferedWei +
      (statement.withdrawnAtRefWei - this.sweptWei) +
      this.rewardsVaultWei +
      statement.valueWei +
      (this.depositedWei - statement.depositedAtRefWei);
    if (newAssets > MAX_UINT88) throw new Refusal("FigureTooLarge");
    const gainWei = newAssets - (this.bufferedWei + this.valueWei + this.inFlightWei);
    const etherBeforeWei = this.totalPooledEtherWei;
    return {
      applied: false,
      gainWei,
      lossWei: orZero(-gainWei - this.lockedWei),
      limitWei: (etherBeforeWei * this.parameters.lossLimitBps) / BPS,
      etherBeforeWei,
      etherAfterWei: etherBeforeWei,
      reserveFeeWei: 0n,
      treasuryFeeWei: 0n,
      treasuryShares: 0n,
      withdrawnWei: 0n,
      burnedShares: 0n,
    };
  }

  private apply(statement: Statement, judged: Outcome): Outcome {
    // settle
    const lockedWei = orZero(this.lockedWei + judged.gainWei);
    this.owedWei += this.feeWei;
    this.uncoveredWei = this.uncoveredLossWei;
    this.stream = undefined;
    this.waitingWei = 0n;
    if (judged.lossWei > 0n) {
      this.uncoveredWei = min(this.uncoveredWei + judged.lossWei, MAX_UINT88);
      this.recent = { wei: min(this.recentLossWei + judged.lossWei, MAX_UINT88), at: this.now };
    }

    // take in what the report says
    const withdrawals = statement.withdrawnAtRefWei - this.sweptWei;
    this.bufferedWei += withdrawals + this.rewardsVaultWei;
    this.withdrawalVaultWei -= withdrawals;
    this.rewardsVaultWei = 0n;
    this.sweptWei += withdrawals;
    this.valueWei = statement.valueWei;
    this.depositedAtRefWei = statement.depositedAtRefWei;
    this.lastFrame = statement.frame;
    this.lastReportAt = statement.reportedAt;

    const etherNow = () => orZero(this.bufferedWei + this.valueWei + this.inFlightWei - this.owedWei - lockedWei);

    // pay what is owed
    const forReserve = min(this.owedWei, this.shortfallWei);
    const reserveFeeWei = min(forReserve, this.bufferedWei);
    let treasuryFeeWei = 0n;
    let treasuryShares = 0n;
    const ether = etherNow();
    if (ether > 0n) {
      const shares = this.totalShares;
      const wei = min(this.owedWei - forReserve, ((MAX_UINT88 - shares) * ether) / shares);
      treasuryShares = (wei * shares) / ether;
      if (treasuryShares > 0n) treasuryFeeWei = wei;
    }
    this.owedWei -= reserveFeeWei + treasuryFeeWei;
    this.bufferedWei -= reserveFeeWei;
    this.reserveWei += reserveFeeWei;
    this.credit(this.parameters.treasury, treasuryShares);

    const { withdrawnWei, burnedShares } = this.finaliseWithdrawals(statement.frame, etherNow());
    const etherAfterWei = etherNow();
    this.openStream(lockedWei, etherAfterWei);
    return {
      ...judged,
      applied: true,
      etherAfterWei,
      reserveFeeWei,
      treasuryFeeWei,
      treasuryShares,
      withdrawnWei,
      burnedShares,
    };
  }

  /** One after the other, as long as what is liquid pays all of them together. */
  private finaliseWithdrawals(frame: bigint, etherWei: bigint): { withdrawnWei: bigint; burnedShares: bigint } {
    const nothing = { withdrawnWei: 0n, burnedShares: 0n };
    if (this.finalisationPaused || etherWei === 0n) return nothing;
    const latest = this.withdrawals.at(-1);
    // too long ago to tell who came in time
    if (latest === undefined || latest.frame > frame + 2n) return nothing;
    const liquidWei = orZero(this.bufferedWei - this.owedWei);
    const totalShares = this.totalShares;
    const due: Withdrawal[] = [];
    let [withdrawnWei, burnedShares] = [0n, 0n];
    for (const withdrawal of this.waitingWithdrawals) {
      const wei = ((burnedShares + withdrawal.shares) * etherWei) / totalShares;
      if (withdrawal.frame > frame || wei > liquidWei) break;
      burnedShares += withdrawal.shares;
      withdrawnWei = wei;
      due.push(withdrawal);
    }
    if (due.length === 0) return nothing;
    this.checkpoints++;
    for (const withdrawal of due) {
      withdrawal.paidWei = (withdrawnWei * withdrawal.shares) / burnedShares;
      withdrawal.checkpoint = this.checkpoints;
    }
    this.bufferedWei -= withdrawnWei;
    this.queueWei += withdrawnWei;
    this.credit(QUEUE, -burnedShares);
    return { withdrawnWei, burnedShares };
  }

  private openStream(lockedWei: bigint, etherWei: bigint): void {
    this.lastStreamlessEnd = this.now;
    const { maxYearlyRateBps, feeBps } = this.parameters;
    const letThroughWei = (etherWei * maxYearlyRateBps * LONGEST_STREAM_YEARS) / BPS;
    const grossWei = min(lockedWei, max(letThroughWei, this.uncoveredWei));
    this.waitingWei = lockedWei - grossWei;
    if (grossWei === 0n) return;
    const longestSeconds = LONGEST_STREAM_YEARS * YEAR_SECONDS;
    let durationSeconds = longestSeconds;
    if (etherWei > 0n) {
      const byYearlyRate = ceilDiv(grossWei * YEAR_SECONDS * BPS, maxYearlyRateBps * etherWei);
      const byFieldWidth = ceilDiv(grossWei, WEI_PER_RATE_UNIT * MAX_RATE_UNITS);
      const wanted = max(this.clock.frameSeconds, max(byYearlyRate, byFieldWidth));
      durationSeconds = min(wanted, longestSeconds);
    }
    const freeWei = min(grossWei, this.uncoveredWei);
    const feeWei = ((grossWei - freeWei) * feeBps) / BPS;
    const netWei = grossWei - feeWei;
    const netPerSecondWei = netWei / durationSeconds - ((netWei / durationSeconds) % WEI_PER_RATE_UNIT);
    if (netPerSecondWei === 0n) {
      this.waitingWei = lockedWei;
      return;
    }
    this.stream = { startedAt: this.now, durationSeconds, grossWei, feeWei, freeWei, netPerSecondWei };
  }

  private elapsed(stream: Stream): bigint {
    return min(this.now - stream.startedAt, stream.durationSeconds);
  }

  private unlockedPart(stream: Stream, wei: bigint): bigint {
    return (wei * this.elapsed(stream)) / stream.durationSeconds;
  }

  private get recentLossWei(): bigint {
    const left = orZero(this.recent.at + this.parameters.lossWindowSeconds - this.now);
    return ceilDiv(this.recent.wei * left, this.parameters.lossWindowSeconds);
  }

  private get bucketLevelWei(): bigint {
    return orZero(this.bucket.wei - (this.parameters.dailyLimitWei * (this.now - this.bucket.at)) / DAY_SECONDS);
  }

  private requireCurrent(): void {
    if (this.pending !== undefined) throw new Refusal("LossIsPending");
    if (this.stale) throw new Refusal("ReportStale");
  }

  private credit(account: string, shares: bigint): void {
    this.shares.set(account, this.sharesOf(account) + shares);
  }
}
