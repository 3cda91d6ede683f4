import type { PoolContracts } from "../execution/contracts.js";
import type { Report } from "../signatures/messages.js";
import { quorumOf, type Collected } from "../signatures/store.js";
import type { Action } from "./job.js";

export interface ReportSnapshot {
  readonly done: boolean;
  /** whether EIP-4788 answers for the reference slot */
  readonly rootKnown: boolean;
  readonly quorum: number;
  /** signatures for the reference slot that can be reported now */
  readonly collected: readonly Collected<Report>[];
}

export interface ReportPlan {
  readonly report: Report;
  readonly signatures: readonly string[];
}

export function planReport({ done, rootKnown, quorum, collected }: ReportSnapshot): ReportPlan | null {
  if (done || !rootKnown) return null;
  const found = quorumOf(collected, quorum);
  return found === null ? null : { report: found.message, signatures: found.signatures };
}

export async function reportAction(plan: ReportPlan, { reportOracle }: PoolContracts): Promise<Action> {
  const { report, signatures } = plan;
  const { refSlot } = report;
  return {
    job: "submit-report",
    description: `the report of reference slot ${refSlot} with ${signatures.length} signatures`,
    meta: { refSlot },
    transaction: await reportOracle.submitReport.populateTransaction(
      { ...report, exiting: [...report.exiting], exited: [...report.exited] },
      [...signatures],
    ),
  };
}
