/** What PoolManager knows when a report comes, and what it reads then. Wei. */
export interface PoolTerms {
  readonly bufferedWei: bigint;
  /** Of the last applied report: its beacon balance less open penalties, and what had been deposited at its reference. */
  readonly lastValueWei: bigint;
  readonly lastDepositedWei: bigint;
  readonly depositedWei: bigint;
  /** Deposited by the end of the frame that is reported. */
  readonly depositedAtRefWei: bigint;
  readonly sweptWei: bigint;
  readonly rewardsVaultWei: bigint;
  readonly lockedWei: bigint;
  /** With the fee that has unlocked since the last report. */
  readonly owedWei: bigint;
  readonly totalPooledEtherWei: bigint;
  readonly totalShares: bigint;
  readonly reserveShortfallWei: bigint;
  readonly lossLimitBps: bigint;
}

/** A report, as PoolManager weighs it: the terms of docs/accounting.md. Wei. */
export interface Outlook {
  /** W: has come to the WithdrawalVault and was not swept. */
  readonly withdrawalsWei: bigint;
  /** E: in the RewardsVault. */
  readonly executionRewardsWei: bigint;
  readonly valueWei: bigint;
  /** What the value would be had nothing been gained, lost or withdrawn. */
  readonly expectedWei: bigint;
  readonly gainWei: bigint;
  /** After the gain joined it, or the loss ate of it. */
  readonly lockedWei: bigint;
  /** Fall of totalPooledEther. */
  readonly lossWei: bigint;
  readonly lossLimitWei: bigint;
  readonly reserveFeeWei: bigint;
  readonly treasuryFeeWei: bigint;
  readonly treasuryShares: bigint;
  /** Withdrawals are paid from this, at `etherWei / shares` a share. */
  readonly liquidWei: bigint;
  readonly etherWei: bigint;
  readonly shares: bigint;
}

const BPS = 10_000n;
const MAX_SHARES = 2n ** 88n - 1n;

/** Steps 1 to 3 of a report, and with what the fourth would finalise withdrawals, if its loss is within the limit. */
export function outlookOf(
  report: { readonly clBalanceWei: bigint; readonly openPenaltiesWei: bigint; readonly withdrawnAtRefWei: bigint },
  terms: PoolTerms,
): Outlook {
  const withdrawalsWei = report.withdrawnAtRefWei - terms.sweptWei;
  const executionRewardsWei = terms.rewardsVaultWei;
  const incomeWei = withdrawalsWei + executionRewardsWei;
  const valueWei = less(report.clBalanceWei, report.openPenaltiesWei);
  const expectedWei = terms.lastValueWei + terms.depositedAtRefWei - terms.lastDepositedWei;
  const gainWei = valueWei + incomeWei - expectedWei;
  const eatenWei = gainWei < 0n ? least(terms.lockedWei, -gainWei) : 0n;
  const lockedWei = terms.lockedWei + (gainWei > 0n ? gainWei : 0n) - eatenWei;
  const lossWei = gainWei < 0n ? -gainWei - eatenWei : 0n;

  const bufferedWei = terms.bufferedWei + incomeWei;
  const grossWei = bufferedWei + valueWei + terms.depositedWei - terms.depositedAtRefWei;
  const { owedWei, totalShares } = terms;
  const toReserveWei = least(owedWei, terms.reserveShortfallWei);
  const reserveFeeWei = least(toReserveWei, bufferedWei);
  const totalWei = less(grossWei, owedWei + lockedWei);
  const treasury = treasuryPart(owedWei - toReserveWei, totalShares, totalWei);
  const owedLaterWei = owedWei - reserveFeeWei - treasury.feeWei;
  return {
    withdrawalsWei,
    executionRewardsWei,
    valueWei,
    expectedWei,
    gainWei,
    lockedWei,
    lossWei,
    lossLimitWei: (terms.totalPooledEtherWei * terms.lossLimitBps) / BPS,
    reserveFeeWei,
    treasuryFeeWei: treasury.feeWei,
    treasuryShares: treasury.shares,
    liquidWei: less(bufferedWei - reserveFeeWei, owedLaterWei),
    etherWei: less(grossWei - reserveFeeWei, owedLaterWei + lockedWei),
    shares: totalShares + treasury.shares,
  };
}

/** New shares at the current rate; what would not fit stays owed. */
function treasuryPart(owedWei: bigint, totalShares: bigint, totalWei: bigint): { feeWei: bigint; shares: bigint } {
  if (totalWei === 0n) return { feeWei: 0n, shares: 0n };
  const roomWei = ((MAX_SHARES - totalShares) * totalWei) / totalShares;
  const feeWei = least(owedWei, roomWei);
  const shares = (feeWei * totalShares) / totalWei;
  return shares === 0n ? { feeWei: 0n, shares } : { feeWei, shares };
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

/** `a - b`, not below zero. */
function less(a: bigint, b: bigint): bigint {
  return a > b ? a - b : 0n;
}
