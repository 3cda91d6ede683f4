import { PoolError } from "../../errors.js";

export type PublishErrorCode =
  | "Incomplete"
  | "MixedBatch"
  | "NonceGap"
  | "NonceTaken"
  | "KeyUsed"
  | "KeyTwice"
  | "AccountExhausted"
  | "ClusterUnknown"
  | "ClusterRetired"
  | "DkgProofsMissing"
  | "DkgProofsNotExpected"
  | "TooLarge"
  | "LogsIncomplete"
  | "NotVerified"
  | "MissingKey"
  | "Refused"
  | "NotEnoughEther"
  | "Stuck";

/** Every refusal to publish. */
export class PublishError extends PoolError<PublishErrorCode> {
  override readonly name = "PublishError";
}
