import {
  EFFECTIVE_BALANCE_INCREMENT,
  MAX_PENDING_PARTIALS_PER_WITHDRAWALS_SWEEP,
  MAX_SEED_LOOKAHEAD,
  MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP,
  MAX_WITHDRAWALS_PER_PAYLOAD,
  SLOTS_PER_EPOCH,
} from "@lodestar/params";
import { timeOfSlot, type FrameConfig } from "../clock.js";
import type { SupportedFork } from "./forks.js";
import type { ExitRules } from "./schemas.js";
import { FAR_FUTURE_EPOCH, type StateParts, type ValidatorRecord } from "./stateParts.js";

/**
 * When the ether of validators comes back. What a state has decided is certain: the exit epoch of a validator that exits, and the
 * epoch from which it can be withdrawn. All else is an estimate, which supposes that
 *
 * - an exit that is asked for enters the chain in the epoch of the state, or as soon as the validator is old enough to exit, and no
 *   exit of somebody else comes before it;
 * - every slot has a block, from Gloas on with its payload, that pays its builder; no validator is added, and the sweep goes on as dense as it is: each active validator with the largest
 *   effective balance its credentials allow has earned something when its turn comes, no other one has.
 *
 * The consensus specification says, in gwei, `/` rounds down:
 *
 *     churn = max(MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA, total_active_balance / CHURN_LIMIT_QUOTIENT), rounded down to whole ETH,
 *             at most MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT;
 *             from Gloas on with CHURN_LIMIT_QUOTIENT_GLOAS, and with no upper bound
 *     exit epoch: the first from max(earliest_exit_epoch, current_epoch + 1 + MAX_SEED_LOOKAHEAD) on in which the effective balance
 *             fits, each epoch letting `churn` leave, exits before it included (compute_exit_epoch_and_update_churn)
 *     withdrawable epoch = exit epoch + MIN_VALIDATOR_WITHDRAWABILITY_DELAY
 *     sweep: a block looks at the next MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP validators and pays those that have something to be paid,
 *             until it has MAX_WITHDRAWALS_PER_PAYLOAD withdrawals, of which requests of the execution layer may have taken
 *             MAX_PENDING_PARTIALS_PER_WITHDRAWALS_SWEEP before; from Gloas on the payment of a builder takes one too
 */
export interface ReturnEstimate {
  readonly exitEpoch: number;
  /** From the first slot of this epoch on the sweep takes the whole balance. */
  readonly withdrawableEpoch: number;
  /** Its first slot, or the next one. */
  readonly earliest: Moment;
  /** When the sweep comes by, if it goes on as it is. */
  readonly likely: Moment;
  /** After a whole round of the slowest sweep: every validator that has any ether is paid, beside as many requests as blocks take. */
  readonly latest: Moment;
}

export interface Moment {
  readonly slot: number;
  /** Seconds. */
  readonly timestamp: number;
}

/** What of a state the estimates depend on. */
export type ExitContext = Pick<
  StateParts,
  | "fork"
  | "slot"
  | "epoch"
  | "totalActiveBalanceGwei"
  | "earliestExitEpoch"
  | "exitBalanceToConsumeGwei"
  | "validatorCount"
  | "sweep"
>;

/** The end of the exit queue. */
type ExitQueue = Pick<StateParts, "earliestExitEpoch" | "exitBalanceToConsumeGwei">;

type Leaving = Pick<ValidatorRecord, "pubkey" | "index" | "exitEpoch" | "withdrawableEpoch">;

const INCREMENT = BigInt(EFFECTIVE_BALANCE_INCREMENT);

/** Balance that may leave in an epoch. */
const EXIT_CHURN: Readonly<Record<SupportedFork, (totalActiveBalanceGwei: bigint, rules: ExitRules) => bigint>> = {
  electra: activationExitChurnGwei,
  fulu: activationExitChurnGwei,
  gloas: exitChurnGwei,
};

/**
 * When the ether of each of our validators comes back if those that have not begun to exit are asked to now, in the order given.
 * Undefined for one that the chain has not scheduled to become active: it cannot exit.
 */
export function estimateReturns(
  state: ExitContext,
  validators: readonly ValidatorRecord[],
  rules: ExitRules,
  frames: FrameConfig,
): (ReturnEstimate | undefined)[] {
  const scheduled = new Map(queueExits(state, validators, rules).map((leaving) => [leaving.pubkey, leaving]));
  return validators.map((validator) => {
    const leaving = validator.exitEpoch === FAR_FUTURE_EPOCH ? scheduled.get(validator.pubkey) : validator;
    return leaving === undefined ? undefined : estimateSweep(state, leaving, frames);
  });
}

/** Exits of those that have not begun to, entering the chain in the order in which they are old enough. */
function queueExits(state: ExitContext, validators: readonly ValidatorRecord[], rules: ExitRules): Leaving[] {
  const churnGwei = EXIT_CHURN[state.fork](state.totalActiveBalanceGwei, rules);
  let queue: ExitQueue = state;
  return validators
    .filter(({ exitEpoch, activationEpoch }) => exitEpoch === FAR_FUTURE_EPOCH && activationEpoch !== FAR_FUTURE_EPOCH)
    .map((validator) => ({
      ...validator,
      entryEpoch: Math.max(state.epoch, validator.activationEpoch + rules.shardCommitteePeriod),
    }))
    .toSorted((a, b) => a.entryEpoch - b.entryEpoch)
    .map(({ pubkey, index, entryEpoch, effectiveBalanceGwei }) => {
      queue = enqueue(queue, entryEpoch, effectiveBalanceGwei, churnGwei);
      const exitEpoch = queue.earliestExitEpoch;
      return { pubkey, index, exitEpoch, withdrawableEpoch: exitEpoch + rules.minValidatorWithdrawabilityDelay };
    });
}

/** `get_activation_exit_churn_limit` of the consensus specification. */
function activationExitChurnGwei(totalActiveBalanceGwei: bigint, rules: ExitRules): bigint {
  const shareGwei = totalActiveBalanceGwei / rules.churnLimitQuotient;
  const churnGwei = shareGwei > rules.minChurnGwei ? shareGwei : rules.minChurnGwei;
  const wholeGwei = churnGwei - (churnGwei % INCREMENT);
  return wholeGwei < rules.maxExitChurnGwei ? wholeGwei : rules.maxExitChurnGwei;
}

/** `get_exit_churn_limit` of EIP-8061: exits have a churn of their own, without an upper bound. */
function exitChurnGwei(totalActiveBalanceGwei: bigint, rules: ExitRules): bigint {
  const shareGwei = totalActiveBalanceGwei / rules.churnLimitQuotientGloas;
  const churnGwei = shareGwei > rules.minChurnGwei ? shareGwei : rules.minChurnGwei;
  return churnGwei - (churnGwei % INCREMENT);
}

/** `compute_exit_epoch_and_update_churn`: the queue after an exit that enters the chain in an epoch. */
function enqueue(queue: ExitQueue, epoch: number, balanceGwei: bigint, churnGwei: bigint): ExitQueue {
  const first = Math.max(queue.earliestExitEpoch, epoch + 1 + MAX_SEED_LOOKAHEAD);
  const freeGwei = queue.earliestExitEpoch < first ? churnGwei : queue.exitBalanceToConsumeGwei;
  const missingGwei = balanceGwei > freeGwei ? balanceGwei - freeGwei : 0n;
  const moreEpochs = (missingGwei + churnGwei - 1n) / churnGwei;
  return {
    earliestExitEpoch: first + Number(moreEpochs),
    exitBalanceToConsumeGwei: freeGwei + moreEpochs * churnGwei - balanceGwei,
  };
}

function estimateSweep(state: ExitContext, validator: Leaving, frames: FrameConfig): ReturnEstimate {
  const { exitEpoch, withdrawableEpoch } = validator;
  const at = (slot: number): Moment => ({ slot, timestamp: timeOfSlot(frames, slot) });
  const first = Math.max(withdrawableEpoch * SLOTS_PER_EPOCH, state.slot + 1);
  const last = first + slowestRound(state) - 1;
  const likely = Math.min(likelySlot(state, validator, first), last);
  return { exitEpoch, withdrawableEpoch, earliest: at(first), likely: at(likely), latest: at(last) };
}

/** The first slot from `first` on in which the sweep passes a validator: it does so once in every round. */
function likelySlot(state: ExitContext, { pubkey, index }: Leaving, first: number): number {
  const { slot, sweep, validatorCount } = state;
  const room = roomPerBlock(state);
  const ahead = (index - sweep.nextIndex + validatorCount) % validatorCount;
  const passing = slot + 1 + blocksFor(sweep.payableAhead.get(pubkey) ?? 0, ahead, room);
  // a round of less than a block passes everyone in each
  const round = Math.max(1, blocksFor(sweep.payable, validatorCount, room));
  const rounds = Math.max(0, Math.ceil((first - passing) / round));
  return Math.max(first, Math.floor(passing + rounds * round));
}

/** Blocks that the sweep needs to pass so many validators, some of which it pays. */
function blocksFor(payable: number, validators: number, room: number): number {
  return Math.max(payable / room, validators / MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP);
}

/** Every block that does not pass as many validators as it may look at pays as many as it has room for. */
function slowestRound(state: ExitContext): number {
  const { sweep, validatorCount } = state;
  const room = roomPerBlock(state) - MAX_PENDING_PARTIALS_PER_WITHDRAWALS_SWEEP;
  return Math.ceil(sweep.funded / room) + Math.ceil(validatorCount / MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP);
}

/** Withdrawals of a block that are left for validators. */
function roomPerBlock({ fork }: ExitContext): number {
  return fork === "gloas" ? MAX_WITHDRAWALS_PER_PAYLOAD - 1 : MAX_WITHDRAWALS_PER_PAYLOAD;
}
