import type { ContractTransaction } from "ethers";

export type JobName =
  | "submit-report"
  | "force-exits"
  | "request-exits"
  | "vet"
  | "deposit"
  | "top-up"
  | "sync-fees"
  | "register"
  | "remove"
  | "publish";

/** One transaction that is due. */
export interface Action {
  readonly job: JobName;
  /** what it does, for a person */
  readonly description: string;
  /** facts for the log */
  readonly meta: Readonly<Record<string, unknown>>;
  /** the SSV cluster it writes to: one such write is on its way at a time */
  readonly writesCluster?: number;
  readonly transaction: ContractTransaction;
}
