import { PoolError } from "../errors.js";

/** The question cannot be answered: no such request was ever made. */
export class QueueError extends PoolError<"RequestUnknown"> {
  override readonly name = "QueueError";
}
