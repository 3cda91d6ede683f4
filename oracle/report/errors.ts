import { PoolError } from "../errors.js";

export type ReportErrorCode = "REPORT_STATE_AFTER_REFERENCE" | "REPORT_REGISTRY_INCONSISTENT" | "REPORT_KEY_NOT_READ";

/** The inputs do not belong together: signing what would come out of them would be wrong. */
export class ReportError extends PoolError<ReportErrorCode> {
  override readonly name = "ReportError";
}
