import { PoolError } from "../errors.js";

/** What can be wrong with the octets of a state, whatever node they came from. */
export type StateErrorCode =
  | "STATE_FORK_UNSUPPORTED"
  | "STATE_TRUNCATED"
  | "STATE_EXTENDED"
  | "STATE_OFFSET_INVALID"
  | "STATE_TOO_LARGE"
  | "STATE_MALFORMED"
  | "STATE_BETWEEN_BLOCKS";

/** The octets are not a beacon state of the fork they were announced as. */
export class StateError extends PoolError<StateErrorCode> {
  override readonly name = "StateError";
}

/** What can be wrong with a beacon node or its answer. */
export type BeaconNodeErrorCode =
  | "BEACON_URL_INVALID"
  | "BEACON_NODE_UNREACHABLE"
  | "BEACON_NODE_TIMEOUT"
  | "BEACON_NODE_REFUSED"
  | "BEACON_NOT_FOUND"
  | "BEACON_BAD_ANSWER"
  | "BEACON_EXECUTION_OPTIMISTIC"
  | "BEACON_STREAM_BROKEN"
  | "BEACON_CLOSED";

/** A beacon node did not answer, or not as the Beacon API says. The message names the node without its credentials. */
export class BeaconNodeError extends PoolError<BeaconNodeErrorCode> {
  override readonly name = "BeaconNodeError";
}

/** What a node served is well formed and is not what the chain committed to. */
export type VerificationErrorCode = "BLOCK_ROOT_MISMATCH" | "STATE_ROOT_MISMATCH" | "REQUESTS_ROOT_MISMATCH";

/** A beacon node served data that does not hash to the root it was asked for. */
export class VerificationError extends PoolError<VerificationErrorCode> {
  override readonly name = "VerificationError";
}
