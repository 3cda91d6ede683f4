import { SLOTS_PER_EPOCH } from "@lodestar/params";
import type { Syncing } from "../beacon/schemas.js";

/** How a beacon node is, as far as it is known. */
export type NodeState =
  "unknown" | "ready" | "syncing" | "optimistic" | "execution-offline" | "behind" | "unreachable" | "wrong-chain";

/** A node may learn of a block this much later than an execution node. */
const MOST_SLOTS_BEHIND = 8;
/** Of protocol time: how long a node that failed once is asked after the others; twice as long each time it fails again. */
const FIRST_PAUSE_SLOTS = SLOTS_PER_EPOCH;
/** About a day on mainnet: the longest such time, and that of a node that was caught lying. */
const LONGEST_PAUSE_SLOTS = 225 * SLOTS_PER_EPOCH;

/** @param slot of the execution chain's head */
export function stateOf({ isSyncing, isOptimistic, isExecutionOffline, headSlot }: Syncing, slot: number): NodeState {
  if (isExecutionOffline) return "execution-offline";
  if (isSyncing) return "syncing";
  if (isOptimistic) return "optimistic";
  return headSlot + MOST_SLOTS_BEHIND < slot ? "behind" : "ready";
}

/** What a service says of one of its beacon nodes. */
export interface NodeHealth {
  readonly node: string;
  readonly state: NodeState;
  /** as it told when it was last asked */
  readonly headSlot: number | null;
  /** why it failed when it was last used; null since it answered */
  readonly failure: string | null;
  /** slot from which it has its place in the configured order again; null while it has it */
  readonly askedLastUntil: number | null;
}

/** What is remembered of a node: whether it is asked in its turn, or after the others. Times are slots of the execution chain's head. */
export class NodeRecord {
  state: NodeState = "unknown";
  headSlot: number | null = null;
  #failure: string | null = null;
  #failuresInARow = 0;
  #pausedUntil = 0;

  /** @param lied what it served was not the chain's */
  failed(slot: number, message: string, { lied }: { lied: boolean }): void {
    this.#failure = message;
    if (this.isPaused(slot) && !lied) return; // it was tried because the others failed, too
    this.#failuresInARow++;
    const pause = FIRST_PAUSE_SLOTS * 2 ** (this.#failuresInARow - 1);
    this.#pausedUntil = slot + (lied ? LONGEST_PAUSE_SLOTS : Math.min(pause, LONGEST_PAUSE_SLOTS));
  }

  answered(slot: number): void {
    this.#failure = null;
    if (!this.isPaused(slot)) this.#failuresInARow = 0;
  }

  isPaused(slot: number): boolean {
    return slot < this.#pausedUntil;
  }

  health(node: string, slot: number): NodeHealth {
    const { state, headSlot } = this;
    const askedLastUntil = this.isPaused(slot) ? this.#pausedUntil : null;
    return { node, state, headSlot, failure: this.#failure, askedLastUntil };
  }
}

/** The configured order, but nodes that are not well or not known to be come later, and those that failed or lied last. */
export function inOrder<T extends { readonly record: NodeRecord }>(nodes: readonly T[], slot: number): T[] {
  const rank = ({ record }: T): number => (record.isPaused(slot) ? 2 : 0) + (record.state === "ready" ? 0 : 1);
  return nodes.toSorted((a, b) => rank(a) - rank(b));
}
