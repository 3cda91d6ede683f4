import type { PoolContracts } from "../execution/contracts.js";
import {
  byTurn,
  isLeaving,
  unconfirmedExits,
  type RegistryView,
  type ValidatorView,
} from "../execution/registryView.js";
import type { Action } from "./job.js";

/** Keys of one request: with 13 operators each about 1.6 million gas. */
const MAX_PER_TRANSACTION = 32;

export interface RequestExitsPlan {
  readonly cluster: number;
  /** in the order of the contract */
  readonly validators: readonly ValidatorView[];
  /** whether their operators were asked before */
  readonly repeated: boolean;
}

/**
 * The next validators whose turn comes, of one cluster, with those among them that are leaving already and have to be named to be
 * passed over. A run of another cluster's is the next round's: it cannot be simulated before this one is in a block.
 *
 * @param due how many may be asked for
 */
export function planRequestExits(registry: RegistryView, due: number): RequestExitsPlan | null {
  const next = exitOrder(registry);
  const [first] = next;
  if (first === undefined || due <= 0 || askable(registry) === 0) return null;
  const validators: ValidatorView[] = [];
  let asked = 0;
  for (const validator of next) {
    if (validator.cluster !== first.cluster || asked === due || validators.length === MAX_PER_TRANSACTION) break;
    validators.push(validator);
    if (!isLeaving(validator)) asked += 1;
  }
  return { cluster: first.cluster, validators, repeated: false };
}

export interface RepeatSnapshot {
  readonly registry: RegistryView;
  /** exits that are needed and not confirmed */
  readonly needed: number;
  readonly headNumber: number;
  /** at most a block a slot: after so many blocks a frame has passed */
  readonly slotsPerFrame: number;
}

/**
 * Operators do what they are asked once and only if they can just then, so whom they did not exit within a frame they are asked for
 * again; no more validators than are needed, those first that nobody has forced.
 */
export function planRepeats({ registry, needed, headNumber, slotsPerFrame }: RepeatSnapshot): RequestExitsPlan[] {
  const isOld = ({ exit }: ValidatorView): boolean => (exit.lastAskedBlock ?? 0) + slotsPerFrame <= headNumber;
  const again = unconfirmedExits(registry)
    .sort((a, b) => Number(a.exit.forcedBlock !== null) - Number(b.exit.forcedBlock !== null) || byDeposit(a, b))
    .slice(0, needed)
    .filter(isOld);
  const clusters = [...new Set(again.map(({ cluster }) => cluster))];
  return clusters.map((cluster) => ({
    cluster,
    validators: again.filter((validator) => validator.cluster === cluster).slice(0, MAX_PER_TRANSACTION),
    repeated: true,
  }));
}

/** How many validators there are that may still be asked for. */
export function askable(registry: RegistryView): number {
  return waiting(registry).filter((validator) => !isLeaving(validator)).length;
}

/** Whom the contract has next: those of the first retired cluster that has any, else all; each by the order of deposits. */
function exitOrder(registry: RegistryView): ValidatorView[] {
  const left = waiting(registry).sort(byTurn(registry));
  const [first] = left;
  if (first === undefined || registry.clusters.get(first.cluster)?.active !== false) return left;
  return left.filter(({ cluster }) => cluster === first.cluster);
}

/** Funded validators whose turn has not come. */
function waiting({ validators }: RegistryView): ValidatorView[] {
  return [...validators.values()].filter(({ exit, depositOrder }) => depositOrder !== null && exit.turn === "waits");
}

function byDeposit(a: ValidatorView, b: ValidatorView): number {
  return (a.depositOrder ?? 0) - (b.depositOrder ?? 0);
}

export async function requestExitsAction(
  { cluster, validators, repeated }: RequestExitsPlan,
  { validatorExits }: PoolContracts,
): Promise<Action> {
  const [passedOver, asked] = [validators.filter(isLeaving), validators.filter((validator) => !isLeaving(validator))];
  const ids = asked.map(({ id }) => id);
  const what =
    ids.length === 0
      ? `the turn of ${passedOver.length} validators of cluster ${cluster} that leave already`
      : `the ${repeated ? "repeated " : ""}request that the operators of cluster ${cluster} exit validators ${ids.join(", ")}`;
  return {
    job: "request-exits",
    description: what,
    meta: { cluster, ids, repeated, passedOver: passedOver.map(({ id }) => id) },
    transaction: await validatorExits.requestExits.populateTransaction(
      cluster,
      validators.map(({ publicKey }) => publicKey),
    ),
  };
}
