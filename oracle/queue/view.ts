import type { Head } from "../clock.js";
import type { OnTheWay } from "./onTheWay.js";
import type { ExpectedPayment } from "./payment.js";

/** The withdrawal queue at a block: what it asks for, what is there, and what comes back when. */
export interface QueueView {
  readonly head: Head;
  readonly requests: {
    readonly waiting: number;
    /** Of them, those that the next report does not know: they came after its cutoff. */
    readonly afterCutoff: number;
    /** What they are worth at the moment. */
    readonly valueWei: bigint;
  };
  readonly liquid: {
    readonly bufferedWei: bigint;
    readonly withdrawalVaultWei: bigint;
    readonly rewardsVaultWei: bigint;
  };
  /** Operations come before withdrawals. */
  readonly owedWei: bigint;
  /** What exits have to bring. */
  readonly shortageWei: bigint;
  /** In validators. */
  readonly exits: {
    /** Asked for within the grace period, or forced, and not confirmed. */
    readonly asked: number;
    /** A report has seen them leave, and not arrive. */
    readonly confirmed: number;
    /** May be asked for now. */
    readonly due: number;
    /** Of the due, those that were asked for and did not go within the grace period: they may be forced now. */
    readonly forceable: number;
  };
  /** Why the next report pays nobody; null when nothing keeps it from that. */
  readonly paused: "finalisation is paused" | "a loss waits for governance" | null;
  /** By arrival. */
  readonly validators: readonly OnTheWay[];
  /** The one asked about. */
  readonly request: RequestView | null;
}

export interface RequestView {
  readonly id: number;
  readonly status: "waiting" | "finalised" | "claimed";
  /** What it is worth at the moment, or what it was paid. */
  readonly valueWei: bigint;
  /** What the requests before it are worth. */
  readonly aheadWei: bigint;
  /** Null when it was paid, and when what is on its way is not enough. */
  readonly payment: ExpectedPayment | null;
}
