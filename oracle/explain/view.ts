import type { VerifiedState } from "../beacon/readVerified.js";
import type { ExecutionBlock } from "../beacon/stateParts.js";
import type { Head } from "../clock.js";
import type { Outlook, PoolTerms } from "../report/outlook.js";
import type { PayloadOutcome, ReportRow, ReportWarning } from "../report/report.js";
import type { Report } from "../signatures/messages.js";
import type { Difference } from "../signatures/store.js";

/** The report of a frame as this node computes it, and what the contracts make of it. */
export interface ReportView {
  readonly head: Head;
  readonly frame: number;
  readonly firstSlot: number;
  /** False while a reorganisation may still change the figures. */
  readonly isFinal: boolean;
  readonly reference: Pick<VerifiedState, "slot" | "blockRoot" | "stateRoot" | "fork"> & {
    readonly executionBlock: ExecutionBlock;
    readonly payload: PayloadOutcome["kind"];
  };
  readonly report: Report;
  /** Whether `withdrawnAtRef` is proven, an execution node's word, or what its own proof contradicts. */
  readonly withdrawnFrom: "proof" | "node" | "contradicted";
  readonly table: readonly ReportRow[];
  readonly tableSha256: string;
  readonly warnings: readonly ReportWarning[];
  /** Null for a frame that was not reported. */
  readonly accepted: Accepted | null;
  /** Left: the chain's; right: this node's. */
  readonly differences: readonly Difference[];
  /** Null for a frame that can no longer be reported, and when no node remembers what the contracts knew. */
  readonly arithmetic: Arithmetic | null;
}

/** What the chain has. */
export interface Accepted {
  readonly block: number;
  readonly transaction: string;
  /** False: its loss waits for governance, or did. */
  readonly applied: boolean;
  /** The exits are counts when somebody else's contract delivered the report. */
  readonly figures: Readonly<Record<string, string>>;
  /** Null when it was not applied when it came. */
  readonly gainWei: bigint | null;
}

/** As PoolManager weighs the report: at the head, or just before it was accepted. */
export interface Arithmetic {
  readonly block: number;
  readonly terms: PoolTerms;
  readonly outlook: Outlook;
  /** Of a simulation at the head; null once the report was accepted. */
  readonly verdict: Verdict | null;
}

export interface Verdict {
  readonly outcome: "applied" | "waits for governance" | "refused";
  /** Name of the error when it is refused. */
  readonly error: string | null;
  /** Withdrawals that it would finalise. */
  readonly finalisedWei: bigint;
  readonly finalisedShares: bigint;
}
