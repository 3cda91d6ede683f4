import { PoolError } from "../errors.js";

/** What can be wrong with what the operator of a service set up. */
export type ConfigErrorCode = "ConfigInvalid" | "ConfigUnreadable" | "KeyUnreadable" | "KeyExposed";

/** Always something to mend before the service can start. */
export class ConfigError extends PoolError<ConfigErrorCode> {
  override readonly name = "ConfigError";
}

/** What can go wrong while a service runs. */
export type ServiceErrorCode =
  | "ExecutionUnreachable"
  | "NotServed"
  | "WrongChain"
  | "LogCacheBroken"
  | "HeadMoved"
  | "HeaderMismatch"
  | "RegistryInconsistent"
  | "DoubleSigning"
  | "RecordMissing"
  | "VaultNotProven"
  | "SnapshotStale"
  | "DepositsUnseen";

/** Something outside did not hold; the service logs it, drops the round and tries again at the next head. */
export class ServiceError extends PoolError<ServiceErrorCode> {
  override readonly name = "ServiceError";
}

/** What the system calls it, such as EACCES; the name of the error if it has no such code. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? String(error.code) : error.name;
}
