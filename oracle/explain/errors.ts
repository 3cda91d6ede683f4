import { PoolError } from "../errors.js";

/** The report cannot be shown: no such frame has ended, or nobody remembers it any more. */
export class ExplainError extends PoolError<"NoSuchFrame" | "FrameForgotten"> {
  override readonly name = "ExplainError";
}
