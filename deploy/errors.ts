import { PoolError } from "../oracle/errors.js";

export type DeployErrorCode =
  /** The parameters file is missing, unreadable or wrong in the named fields. */
  | "PARAMETERS_INVALID"
  /** The execution node does not answer. */
  | "NODE_UNREACHABLE"
  /** The chain is not the one the parameters are for, or lacks a contract the pool needs. */
  | "WRONG_CHAIN"
  /** The deploying account cannot do it: it lacks ETH, or holds a role of the pool. */
  | "DEPLOYER_UNFIT"
  /** The account sent, or is sending, a transaction of its own between ours: the addresses no longer come out as planned. */
  | "NONCE_MOVED"
  /** The state file is unreadable, or of another deployment. */
  | "STATE_INVALID"
  /** What is on chain is not what the state file says we sent. */
  | "FOREIGN_CODE"
  | "TRANSACTION_FAILED"
  /** Everything was sent, and something is not as the parameters say. */
  | "VERIFICATION_FAILED";

/** A deployment that stopped. Nothing was sent after the step that the message names. */
export class DeployError extends PoolError<DeployErrorCode> {
  override readonly name = "DeployError";
}
