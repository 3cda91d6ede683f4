import { ProgressiveContainerType } from "@chainsafe/ssz";
import { ssz } from "@lodestar/types";
import type { AnyContainer } from "./containerHasher.js";
import { StateError } from "./errors.js";
import type { TreeShape } from "./gindex.js";
import { NODE_SIZE, treeDepth } from "./merkle.js";

/** Forks whose states the reader reads and proves from. A new one needs its types, and the reader's tests to pass with them. */
export const READABLE_FORKS = ["electra", "fulu", "gloas"] as const;
export type ReadableFork = (typeof READABLE_FORKS)[number];

/**
 * Forks whose states are reported from. Gloas is not among them: its execution payloads come after their beacon blocks, or not
 * at all, so that the rules of the report need a review first.
 */
export const SUPPORTED_FORKS = ["electra", "fulu"] as const;
export type SupportedFork = (typeof SUPPORTED_FORKS)[number];

/** What differs between the forks, of all that the reader uses. */
export interface ForkTypes {
  readonly state: AnyContainer;
  /** None where the state has only the hash of the latest execution block. */
  readonly payloadHeader: typeof ssz.deneb.ExecutionPayloadHeader | undefined;
}

/** The consensus types of a fork, of the preset that is active in this process. */
export function forkTypes(fork: ReadableFork): ForkTypes {
  if (fork === "gloas") return { state: ssz.gloas.BeaconState, payloadHeader: undefined };
  return { state: ssz[fork].BeaconState, payloadHeader: ssz[fork].ExecutionPayloadHeader };
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
