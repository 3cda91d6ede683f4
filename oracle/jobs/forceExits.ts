import type { PoolContracts } from "../execution/contracts.js";
import type { ValidatorView } from "../execution/registryView.js";
import type { Action } from "./job.js";

/** Requests that the consensus layer takes from one block (EIP-7002). */
const MAX_PER_TRANSACTION = 16;
/** The fee can treble when some twenty requests come in between; what it does not take comes back. */
const FEE_HEADROOM = 3n;

/** Validators whose operators had their time, those first whose time began first. */
export interface ForceableExits {
  readonly never: readonly ValidatorView[];
  /** forced before, so long ago that nobody counts on it */
  readonly inVain: readonly ValidatorView[];
}

export interface ForceExitsSnapshot {
  /** exits that may be asked for or forced now */
  readonly due: number;
  readonly forceable: ForceableExits;
  /** how many others there are whose operators have not been asked */
  readonly askable: number;
  /** of one request; null while the chain does not tell */
  readonly feeWei: bigint | null;
  readonly maxFeeWei: bigint;
}

export interface ForceExitsPlan {
  readonly validators: readonly ValidatorView[];
  /** most that one request may cost: what is sent along for each */
  readonly maxFeeWei: bigint;
}

export interface ExitShares {
  readonly force: ForceExitsPlan | null;
  /** how many of those due are left to be asked for */
  readonly toAsk: number;
}

/**
 * Shares what is due: first whoever did not come when asked is forced, then others are asked, and only what is left after them is
 * forced again: who did not leave then may be one that cannot, and does not count as underway any more.
 * While a request costs too much, others are asked instead: who waits for ether does not wait for a fee.
 */
export function shareExits(snapshot: ForceExitsSnapshot): ExitShares {
  const { due, forceable, askable, feeWei, maxFeeWei } = snapshot;
  if (feeWei === null || feeWei > maxFeeWei) return { force: null, toAsk: due };
  const first = forceable.never.slice(0, due);
  const toAsk = due - first.length;
  const again = forceable.inVain.slice(0, Math.max(0, toAsk - askable));
  const validators = [...first, ...again].slice(0, MAX_PER_TRANSACTION);
  if (validators.length === 0) return { force: null, toAsk };
  const headroom = feeWei * FEE_HEADROOM;
  return { force: { validators, maxFeeWei: headroom < maxFeeWei ? headroom : maxFeeWei }, toAsk };
}

export async function forceExitsAction(
  { validators, maxFeeWei }: ForceExitsPlan,
  { validatorExits }: PoolContracts,
): Promise<Action> {
  const ids = validators.map(({ id }) => id);
  return {
    job: "force-exits",
    description: `EIP-7002 requests for the exits of validators ${ids.join(", ")}, which their operators did not exit in time`,
    meta: { ids, maxFeeWei: maxFeeWei.toString() },
    transaction: await validatorExits.forceExits.populateTransaction(
      validators.map(({ publicKey }) => publicKey),
      maxFeeWei,
      { value: maxFeeWei * BigInt(ids.length) },
    ),
  };
}
