import { PoolError } from "../oracle/errors.js";

export type DevnetErrorCode =
  /** Block production failed: the execution node did not do what was asked. */
  | "DEVNET_EXECUTION"
  /** `advanceUntil` ran out of slots. */
  | "DEVNET_TIMEOUT"
  /** A call that the devnet cannot serve, or an argument outside its range. */
  | "DEVNET_INVALID"
  /** `mineTx`: the transaction reverted, or no block took it. */
  | "DEVNET_TRANSACTION";

/** What went wrong on the local Ethereum, and what to do about it. */
export class DevnetError extends PoolError<DevnetErrorCode> {
  override readonly name = "DevnetError";
}
