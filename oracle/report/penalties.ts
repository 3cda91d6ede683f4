import { chainConfig } from "@lodestar/config/default";
import {
  BASE_REWARD_FACTOR,
  EFFECTIVE_BALANCE_INCREMENT,
  EPOCHS_PER_SLASHINGS_VECTOR,
  INACTIVITY_PENALTY_QUOTIENT_BELLATRIX,
  PROPORTIONAL_SLASHING_MULTIPLIER_BELLATRIX,
  TIMELY_SOURCE_WEIGHT,
  TIMELY_TARGET_WEIGHT,
  WEIGHT_DENOMINATOR,
} from "@lodestar/params";
import type { StateParts, ValidatorRecord } from "../beacon/stateParts.js";

/**
 * What a slashed validator will still lose, as far as the state already decides it. The report subtracts it at once, so that a
 * slashing is paid by everyone who is in the pool that day, and nobody gains by leaving before the chain collects.
 *
 * A slashing costs, by the consensus specification (Electra to Gloas; amounts in gwei, `/` rounds down):
 *
 * 1. `effective_balance / MIN_SLASHING_PENALTY_QUOTIENT_ELECTRA` (4096), in the block that brings the evidence: already in the
 *    balance.
 * 2. The correlation penalty (`process_slashings`), once, at the end of the epoch `withdrawable_epoch -
 *    EPOCHS_PER_SLASHINGS_VECTOR / 2` (18 days before it is withdrawable):
 *
 *        adjusted_total_slashing_balance = min(sum(slashings) * PROPORTIONAL_SLASHING_MULTIPLIER_BELLATRIX, total_balance)
 *        penalty_per_effective_balance_increment = adjusted_total_slashing_balance / (total_balance / EFFECTIVE_BALANCE_INCREMENT)
 *        penalty = penalty_per_effective_balance_increment * (effective_balance / EFFECTIVE_BALANCE_INCREMENT)
 *
 * 3. In every epoch until it is withdrawable, the penalties of an attester that misses source and target
 *    (`get_flag_index_deltas`); a slashed validator cannot avoid them, and pays none for the head:
 *
 *        base_reward_per_increment = EFFECTIVE_BALANCE_INCREMENT * BASE_REWARD_FACTOR / integer_squareroot(total_balance)
 *        base_reward = effective_balance / EFFECTIVE_BALANCE_INCREMENT * base_reward_per_increment
 *        penalty = base_reward * TIMELY_SOURCE_WEIGHT / WEIGHT_DENOMINATOR + base_reward * TIMELY_TARGET_WEIGHT / WEIGHT_DENOMINATOR
 *
 * 4. In every epoch as well, the inactivity penalty while its inactivity score is not zero
 *    (`get_inactivity_penalty_deltas`). Outside an inactivity leak the score of a slashed validator changes by
 *    `INACTIVITY_SCORE_BIAS - INACTIVITY_SCORE_RECOVERY_RATE` (4 - 16) an epoch and soon is zero:
 *
 *        penalty = effective_balance * inactivity_score / (INACTIVITY_SCORE_BIAS * INACTIVITY_PENALTY_QUOTIENT_BELLATRIX)
 *
 * All of 2, 3 and 4 that has not been booked is counted here, with the effective balance of the state, every division rounded
 * up, and never more than the balance. Later slashings of others raise the sum of 2, so it gets a margin that every member
 * computes alike; and slashed validators will have left the active ones, so they do not count in the total:
 *
 *        unslashed = total_balance without slashed validators
 *        margin = sum(slashings) / 4 + unslashed / 8192
 *        expected_slashings = sum(slashings) + margin
 *        expected_total = unslashed - margin
 *
 * a quarter for what follows of an event that has begun, and a fixed share of the network (on mainnet about 130 validators of
 * 32 ETH) for one that has not. What proves too much comes back as a gain, streamed; what proves too little is a later loss.
 * Not counted, because the state does not decide it: an inactivity leak that lasts, and missed duties of a sync committee.
 *
 * Worked for mainnet-like numbers: 34,000,000 ETH active, one validator of 32 ETH effective and 31.99 ETH balance slashed in
 * epoch 100,000, no other slashing in the vector, the state of that epoch (withdrawable in epoch 108,192):
 *
 *        unslashed           34,000,000 - 32                                    =     33,999,968 ETH
 *        margin              32 / 4 + 33,999,968 / 8,192                        =          4,158.38671875 ETH
 *        expected slashings  32 + 4,158.38671875                                =          4,190.38671875 ETH
 *        expected total      33,999,968 - 4,158.38671875                        =     33,995,809.61328125 ETH
 *        adjusted            4,190.38671875 * 3                                 =         12,571.16015625 ETH
 *        per increment       12,571.16015625 ETH / 33,995,809, rounded up       =           369,786 gwei
 *        correlation         369,786 * 32                                       =        11,833,152 gwei
 *        base reward         64 * 10^9 / isqrt(33,995,809,613,281,250) = 348 (rounded up), * 32 = 11,136 gwei
 *        missed              11,136 * 14 / 64 + 11,136 * 26 / 64 = 2,436 + 4,524 =            6,960 gwei an epoch
 *        missed, all         6,960 * 8,192                                      =       57,016,320 gwei
 *        open                correlation + missed                               =       68,849,472 gwei = 0.0688 ETH
 *
 * After the correlation penalty was collected (from epoch 104,097 on) only the missed attestations of the remaining 4,095 epochs
 * are open; once withdrawable, nothing is.
 */
export function openPenaltyGwei(validator: ValidatorRecord, state: PenaltyContext): bigint {
  if (!validator.slashed || state.epoch >= validator.withdrawableEpoch) return 0n;
  const remainingEpochs = validator.withdrawableEpoch - state.epoch;
  const open =
    correlationPenaltyGwei(validator, state) +
    BigInt(remainingEpochs) * missedAttestationGwei(validator, state) +
    inactivityPenaltyGwei(validator, remainingEpochs);
  return open < validator.balanceGwei ? open : validator.balanceGwei;
}

/** What of a state the penalties depend on. */
export type PenaltyContext = Pick<
  StateParts,
  "epoch" | "totalActiveBalanceGwei" | "slashedActiveBalanceGwei" | "slashingsSumGwei"
>;

const INCREMENT = BigInt(EFFECTIVE_BALANCE_INCREMENT);

/** Shares of the slashings sum, and of the unslashed active balance, that make the margin. */
const SUM_MARGIN_QUOTIENT = 4n;
const UNSLASHED_MARGIN_QUOTIENT = 8192n;

/** The slashings sum and the total active balance to expect when a penalty is taken. */
function expected(state: PenaltyContext): { slashingsGwei: bigint; totalGwei: bigint } {
  const { slashingsSumGwei, totalActiveBalanceGwei, slashedActiveBalanceGwei } = state;
  const unslashedGwei = totalActiveBalanceGwei - slashedActiveBalanceGwei;
  const marginGwei =
    divideUp(slashingsSumGwei, SUM_MARGIN_QUOTIENT) + divideUp(unslashedGwei, UNSLASHED_MARGIN_QUOTIENT);
  const rest = unslashedGwei - marginGwei;
  return {
    slashingsGwei: slashingsSumGwei + marginGwei,
    totalGwei: rest > INCREMENT ? rest : INCREMENT, // `get_total_balance` is never zero
  };
}

function correlationPenaltyGwei(validator: ValidatorRecord, state: PenaltyContext): bigint {
  // the state of an epoch has not been through the processing at the end of that epoch
  if (state.epoch > validator.withdrawableEpoch - EPOCHS_PER_SLASHINGS_VECTOR / 2) return 0n;
  const { slashingsGwei, totalGwei } = expected(state);
  const multiplied = slashingsGwei * BigInt(PROPORTIONAL_SLASHING_MULTIPLIER_BELLATRIX);
  const adjusted = multiplied < totalGwei ? multiplied : totalGwei;
  return divideUp(adjusted, totalGwei / INCREMENT) * increments(validator);
}

function missedAttestationGwei(validator: ValidatorRecord, state: PenaltyContext): bigint {
  const root = integerSquareRoot(expected(state).totalGwei);
  const baseReward = divideUp(INCREMENT * BigInt(BASE_REWARD_FACTOR), root) * increments(validator);
  const weights = [TIMELY_SOURCE_WEIGHT, TIMELY_TARGET_WEIGHT];
  return weights.reduce((sum, weight) => sum + divideUp(baseReward * BigInt(weight), BigInt(WEIGHT_DENOMINATOR)), 0n);
}

function inactivityPenaltyGwei(validator: ValidatorRecord, remainingEpochs: number): bigint {
  if (validator.inactivityScore === 0n) return 0n;
  const bias = BigInt(chainConfig.INACTIVITY_SCORE_BIAS);
  const decrease = BigInt(chainConfig.INACTIVITY_SCORE_RECOVERY_RATE) - bias;
  const denominator = bias * BigInt(INACTIVITY_PENALTY_QUOTIENT_BELLATRIX);
  let penalty = 0n;
  // starts one step high: the epoch that ends next may still be one of a leak
  let score = validator.inactivityScore + bias;
  for (let epoch = 0; epoch < remainingEpochs && score > 0n; epoch++, score -= decrease) {
    penalty += divideUp(validator.effectiveBalanceGwei * score, denominator);
  }
  return penalty;
}

function increments(validator: ValidatorRecord): bigint {
  return validator.effectiveBalanceGwei / INCREMENT;
}

function divideUp(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator;
}

/** `integer_squareroot` of the consensus specification, for positive numbers. */
function integerSquareRoot(n: bigint): bigint {
  let root = n;
  for (let next = (n + 1n) / 2n; next < root; next = (root + n / root) / 2n) root = next;
  return root;
}
