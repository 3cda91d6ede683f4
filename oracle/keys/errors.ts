import { PoolError } from "../errors.js";

export type KeysErrorCode =
  | "BadClusterSize"
  | "BadOperatorIds"
  | "BadSecretKey"
  | "BadPoint"
  | "TooFewShares"
  | "BadLength"
  | "BadNonce"
  | "BadCount"
  | "BadOperatorKey"
  | "BadAmount"
  | "BadForkVersion"
  | "BadFile"
  | "FileExists"
  | "SelfCheckFailed"
  | "WeakRandomness"
  | "WrongPassword"
  | "BadPassword"
  | "BadMnemonic"
  | "BadPath"
  | "BadSecretFile"
  | "SecretExposed"
  | "NoTerminal"
  | "Cancelled"
  | "FolderUnusable"
  | "MissingOption"
  | "OptionMismatch"
  | "UnknownNetwork"
  | "OperatorUnknown"
  | "OperatorsDiffer"
  | "ClusterUnknown"
  | "ClusterRetired"
  | "DkgRequired"
  | "NoKeystores"
  | "DuplicateKey";

/** Every refusal of the key preparation and of its file formats. */
export class KeysError extends PoolError<KeysErrorCode> {
  override readonly name = "KeysError";
}
