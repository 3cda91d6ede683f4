import { EFFECTIVE_BALANCE_INCREMENT } from "@lodestar/params";
import { estimateReturns, type ReturnEstimate } from "../beacon/exits.js";
import type { ExitRules } from "../beacon/schemas.js";
import { FAR_FUTURE_EPOCH, type StateParts, type ValidatorRecord } from "../beacon/stateParts.js";
import type { FrameConfig } from "../clock.js";
import { byTurn, type RegistryView, type ValidatorView } from "../execution/registryView.js";

const WEI_PER_GWEI = 10n ** 9n;
/** Less is what a duty of before earned after the rest had arrived. */
const MUCH_GWEI = BigInt(EFFECTIVE_BALANCE_INCREMENT);

/** How far a validator is on its way back. */
export type Stage =
  /** Next in the order; its operators will be asked when somebody sends the transaction. */
  | "due"
  /** Asked of its operators or forced, and not begun on the beacon chain. */
  | "asked"
  /** The same, and the grace period is over: it may be forced while exits are due. */
  | "overdue"
  /** In the exit queue. */
  | "exiting"
  /** Does no duty any more, cannot be withdrawn yet. */
  | "exited"
  /** Waits for the sweep. */
  | "withdrawable";

/** A validator whose ether comes back. */
export interface OnTheWay {
  readonly id: number;
  readonly cluster: number;
  readonly publicKey: string;
  readonly stage: Stage;
  readonly isSlashed: boolean;
  /** Null for one that cannot exit yet: it is not active. */
  readonly estimate: ReturnEstimate | null;
  readonly wei: bigint;
}

/**
 * What is coming back, by when it likely arrives: validators that exit, those that were asked to and those whose turn is next.
 *
 * @param state read for the keys of all deposited validators
 * @param credentials those that pay to the vault; what has others is not the pool's
 * @param demand how many validators may be asked or forced now, and the ids of those that were asked in vain: they come first
 */
export function onTheWay(
  registry: RegistryView,
  state: StateParts,
  credentials: ReadonlySet<string>,
  demand: { readonly due: number; readonly overdue: ReadonlySet<number> },
  rules: ExitRules,
  frames: FrameConfig,
): OnTheWay[] {
  const owned = [...registry.validators.values()].flatMap((validator) => {
    const record = state.validators.get(validator.publicKey);
    const isOwned = record !== undefined && credentials.has(record.withdrawalCredentials);
    return isOwned && record.balanceGwei >= MUCH_GWEI ? [{ validator, record }] : [];
  });
  const leaving = owned.filter(({ record }) => hasBegun(record));
  const inTurn = byTurn(registry);
  const staying = owned.filter(({ record }) => !hasBegun(record)).toSorted((a, b) => inTurn(a.validator, b.validator));
  const asked = staying.filter(({ validator }) => validator.exit.turn === "asked");
  const forced = asked.filter(({ validator }) => demand.overdue.has(validator.id)).length;
  const next = staying
    .filter(({ validator }) => validator.exit.turn === "waits")
    .slice(0, Math.max(0, demand.due - forced));
  const found = [...leaving, ...asked, ...next];
  const estimates = estimateReturns(
    state,
    found.map(({ record }) => record),
    rules,
    frames,
  );
  return found
    .map(({ validator, record }, i) => ({
      id: validator.id,
      cluster: validator.cluster,
      publicKey: validator.publicKey,
      stage: stageOf(validator, record, state.epoch, demand.overdue),
      isSlashed: record.slashed,
      estimate: estimates[i] ?? null,
      wei: record.balanceGwei * WEI_PER_GWEI,
    }))
    .toSorted((a, b) => arrivalOf(a) - arrivalOf(b) || a.id - b.id);
}

/** Seconds; infinitely late for one that cannot exit. */
export function arrivalOf({ estimate }: OnTheWay): number {
  return estimate?.likely.timestamp ?? Infinity;
}

const hasBegun = ({ exitEpoch }: ValidatorRecord): boolean => exitEpoch !== FAR_FUTURE_EPOCH;

function stageOf(
  { id, exit }: ValidatorView,
  record: ValidatorRecord,
  epoch: number,
  overdue: ReadonlySet<number>,
): Stage {
  if (!hasBegun(record)) return exit.turn !== "asked" ? "due" : overdue.has(id) ? "overdue" : "asked";
  if (epoch < record.exitEpoch) return "exiting";
  return epoch < record.withdrawableEpoch ? "exited" : "withdrawable";
}
