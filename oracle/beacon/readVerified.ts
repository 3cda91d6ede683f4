import { ssz } from "@lodestar/types";
import type { BeaconClient, OctetStream } from "./client.js";
import { BeaconNodeError, StateError, VerificationError } from "./errors.js";
import { fromHex, toHex } from "./hex.js";
import type { BlockHeader, StateParts } from "./stateParts.js";
import type { StateProofs } from "./stateProofs.js";
import { StateReader, type StateReaderOptions } from "./stateReader.js";

/** What was taken from a state whose octets hash to the root in the header of the block. */
export type VerifiedState = StateParts & {
  readonly blockRoot: string;
  readonly header: BlockHeader;
};

/**
 * Reads the state after a block and verifies it down from the block's root: the header must hash to that root, the state's
 * octets to the root in the header. With a root that the chain itself vouches for (EIP-4788), no beacon node is trusted: one
 * that lies can only make this fail.
 *
 * @param blockRoot as lower case hex with `0x`
 */
export async function readVerifiedState(
  client: BeaconClient,
  blockRoot: string,
  options: { readonly pubkeys: ReadonlySet<string> },
): Promise<VerifiedState> {
  return (await readVerified(client, blockRoot, options)).state;
}

/** The same, with proofs of what the keys have in the state, up to the block's root. */
export async function readProvenState(
  client: BeaconClient,
  blockRoot: string,
  pubkeys: ReadonlySet<string>,
): Promise<{ readonly state: VerifiedState; readonly proofs: StateProofs }> {
  const prove = { validators: "asked", balances: "asked", pendingDeposits: "asked" } as const;
  const { state, reader } = await readVerified(client, blockRoot, { pubkeys, prove });
  return { state, proofs: reader.proofs() };
}

async function readVerified(
  client: BeaconClient,
  blockRoot: string,
  options: StateReaderOptions,
): Promise<{ readonly state: VerifiedState; readonly reader: StateReader }> {
  const { header } = await client.header(blockRoot);
  verifyHeader(client, header, blockRoot);
  const { fork, octets } = await openState(client, header);
  const reader = new StateReader(fork, options);
  const parts = await readParts(client, reader, octets);
  if (parts.stateRoot !== header.stateRoot) {
    throw new VerificationError(
      "STATE_ROOT_MISMATCH",
      `Beacon node ${client.name} served a forged or corrupted state, or one of another branch: it hashes to ${parts.stateRoot}, the block commits to ${header.stateRoot}. Use another beacon node.`,
      { node: client.name, blockRoot, stateRoot: header.stateRoot, computedRoot: parts.stateRoot },
    );
  }
  return { state: { ...parts, blockRoot, header }, reader };
}

/** Refuses a header that is not that of the block. */
export function verifyHeader({ name }: BeaconClient, header: BlockHeader, blockRoot: string): void {
  const computedRoot = headerRoot(header);
  if (computedRoot === blockRoot) return;
  throw new VerificationError(
    "BLOCK_ROOT_MISMATCH",
    `Beacon node ${name} served a forged or corrupted block header: it hashes to ${computedRoot}, not to ${blockRoot}. Use another beacon node.`,
    { node: name, blockRoot, computedRoot },
  );
}

/** hash_tree_root of a block's header, which is the block's root. */
export function headerRoot(header: BlockHeader): string {
  const root = ssz.phase0.BeaconBlockHeader.hashTreeRoot({
    slot: header.slot,
    proposerIndex: header.proposerIndex,
    parentRoot: fromHex(header.parentRoot),
    stateRoot: fromHex(header.stateRoot),
    bodyRoot: fromHex(header.bodyRoot),
  });
  return toHex(root);
}

/**
 * By its root; some nodes find an older state only by its slot, others none by its root. Which state it is, the root decides in
 * either case.
 */
async function openState(client: BeaconClient, header: BlockHeader): Promise<OctetStream> {
  try {
    return await client.streamState(header.stateRoot);
  } catch (error) {
    if (!isRootUnknown(error)) throw error;
    return client.streamState(header.slot);
  }
}

/** Prysm and Nimbus have answered 500 as well as 404 for roots of states that they find by slot. */
function isRootUnknown(error: unknown): boolean {
  if (!(error instanceof BeaconNodeError)) return false;
  return error.code === "BEACON_NOT_FOUND" || [400, 500, 501].includes(Number(error.meta["status"]));
}

async function readParts(
  client: BeaconClient,
  reader: StateReader,
  octets: AsyncIterable<Uint8Array>,
): Promise<StateParts> {
  try {
    for await (const chunk of octets) reader.push(chunk);
    return reader.finish();
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    const message = `Beacon node ${client.name} served something that is not the state. ${error.message}`;
    throw new StateError(error.code, message, { ...error.meta, node: client.name }, error);
  }
}
