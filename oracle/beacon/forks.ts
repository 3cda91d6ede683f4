import { ProgressiveContainerType } from "@chainsafe/ssz";
import { ssz } from "@lodestar/types";
import type { AnyContainer } from "./containerHasher.js";
import { StateError } from "./errors.js";
import type { TreeShape } from "./gindex.js";
import { NODE_SIZE, treeDepth } from "./merkle.js";

/**
 * Forks whose states are read, proven from and reported from. A new one needs its types, the reader's tests to pass with them, and a
 * review of the rules of the report (docs/report.md).
 */
export const SUPPORTED_FORKS = ["electra", "fulu", "gloas"] as const;
export type SupportedFork = (typeof SUPPORTED_FORKS)[number];

/** What differs between the forks, of all that the reader uses. */
export interface ForkTypes {
  readonly state: AnyContainer;
  /** None where the state has only the hash of the latest execution block. */
  readonly payloadHeader: typeof ssz.deneb.ExecutionPayloadHeader | undefined;
  /** Where payloads come apart from their blocks. */
  readonly bid: typeof ssz.gloas.ExecutionPayloadBid | undefined;
}

/** The consensus types of a fork, of the preset that is active in this process. */
export function forkTypes(fork: SupportedFork): ForkTypes {
  if (fork === "gloas") {
    return { state: ssz.gloas.BeaconState, payloadHeader: undefined, bid: ssz.gloas.ExecutionPayloadBid };
  }
  return { state: ssz[fork].BeaconState, payloadHeader: ssz[fork].ExecutionPayloadHeader, bid: undefined };
}

/** How the roots of a container's fields are merkleized. */
export interface ContainerShape {
  readonly tree: TreeShape;
  /** The node that a progressive container (EIP-7495) mixes in: which of its fields there are. */
  readonly activeFields: Uint8Array | undefined;
}

export function containerShape(type: AnyContainer): ContainerShape {
  const fields = Object.keys(type.fields).length;
  if (!(type instanceof ProgressiveContainerType)) {
    return { tree: { kind: "binary", depth: treeDepth(fields) }, activeFields: undefined };
  }
  const { bitLen, uint8Array } = type.activeFields;
  if (bitLen !== fields)
    throw new TypeError(`${type.typeName} has gaps between its fields: the consensus types have changed`);
  const activeFields = new Uint8Array(NODE_SIZE);
  activeFields.set(uint8Array);
  return { tree: { kind: "progressive" }, activeFields };
}

/** Accepts the name a beacon node gives to a fork (`Eth-Consensus-Version`) or says what to update. */
export function requireSupportedFork(name: string): SupportedFork {
  const fork = SUPPORTED_FORKS.find((known) => known === name.toLowerCase());
  if (fork !== undefined) return fork;
  throw new StateError(
    "STATE_FORK_UNSUPPORTED",
    `The beacon state is of the fork "${name}", from which this version does not report (it does from ${SUPPORTED_FORKS.join(", ")}). ` +
      "Nothing can be reported from it: update this program to a release that supports the fork.",
    { fork: name, supported: SUPPORTED_FORKS },
  );
}
