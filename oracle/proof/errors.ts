import { PoolError } from "../errors.js";

/** What is wrong with a file of proofs. */
export type ProofFileErrorCode = "PROOF_FILE_UNREADABLE" | "PROOF_WRONG" | "PROOF_FRAME_UNKNOWN" | "PROOF_EMPTY";

export class ProofFileError extends PoolError<ProofFileErrorCode> {
  override readonly name = "ProofFileError";
}
