import { dataLength, type ContractTransaction } from "ethers";
import type { IValidatorRegistry } from "../../../types/ethers-contracts/index.js";
import type { QueueEntry } from "../../execution/registryView.js";
import { encodeDkgProofs, type DkgProof } from "../dkgProofs.js";
import { MAX_OWNER_NONCE } from "../keyshares.js";
import { encodeEntries, maxKeysPerPublish, type Entry } from "../prepare.js";
import { PublishError } from "./errors.js";

/**
 * Most octets of one call. Nodes take transactions of 128 KiB; what is left is for the signatures of a multisig around it. At the floor
 * price of calldata that is a third of the gas that a transaction may use.
 */
export const MAX_CALL_BYTES = 120 * 1024;
const WORD = 32;
const SELECTOR = 4;

export interface KeyToPublish extends Entry {
  readonly ownerNonce: bigint;
  /** one of each operator, for a cluster that requires them */
  readonly dkgProofs?: readonly DkgProof[];
}

/** How far a published key has come. */
export type Stage = "unvetted" | "vetted" | "registered" | "deposited" | "discarded" | "removed";

/** What the chain has of the account for which the keys were made, at one block. */
export interface AccountOnChain {
  readonly clusterId: bigint;
  readonly isActive: boolean;
  readonly requireDkg: boolean;
  /** SSV owner nonce of the next registration, and how many are queued before the next publication */
  readonly nonce: bigint;
  readonly queued: bigint;
  /** what went to each nonce: registered, or in the queue */
  readonly byNonce: ReadonlyMap<bigint, QueueEntry & { readonly stage: Stage }>;
  /** how often each key is in the registry or any queue */
  readonly uses: ReadonlyMap<string, number>;
  /** every key of a publication, dropped ones too */
  readonly everPublished: ReadonlySet<string>;
}

/** One transaction. */
export interface Chunk {
  readonly firstNonce: bigint;
  readonly keys: readonly KeyToPublish[];
  readonly callBytes: number;
}

export interface Publication {
  /** of the batch, on the chain already */
  readonly published: number;
  /** how many of those are how far */
  readonly stages: ReadonlyMap<Stage, number>;
  /** to publish again: guardians dropped the queue that they were in */
  readonly dropped: number;
  readonly chunks: readonly Chunk[];
}

/**
 * What is left to publish of a batch: it depends on the chain alone, so whatever became of earlier transactions, the answer is right.
 * Refuses what the registry would refuse, and what it would take and SSV's nodes would not.
 */
export function planPublication(
  keys: readonly KeyToPublish[],
  operatorCount: number,
  chain: AccountOnChain,
): Publication {
  assertBatch(keys, chain);
  const next = chain.nonce + chain.queued;
  const published = keys.filter(({ ownerNonce }) => ownerNonce < next);
  const stages = new Map<Stage, number>();
  for (const key of published) {
    const stage = assertSame(key, next, chain);
    stages.set(stage, (stages.get(stage) ?? 0) + 1);
  }
  const rest = keys.slice(published.length);
  const [first, last] = [rest[0], rest.at(-1)];
  if (first !== undefined && last !== undefined) assertNext(first, last, chain);
  for (const { publicKey } of rest) {
    if ((chain.uses.get(publicKey.toLowerCase()) ?? 0) === 0) continue;
    throw new PublishError(
      "KeyUsed",
      `${publicKey} is in the registry already, or in a queue of it: a key is published once. Take it out, and split the others again from nonce ${next}.`,
      { publicKey },
    );
  }
  return {
    published: published.length,
    stages,
    dropped: rest.filter(({ publicKey }) => chain.everPublished.has(publicKey.toLowerCase())).length,
    chunks: splitBatch(rest, operatorCount),
  };
}

/** As many keys to a transaction as the registry and the size of a transaction allow. */
export function splitBatch(keys: readonly KeyToPublish[], operatorCount: number): Chunk[] {
  const most = maxKeysPerPublish(operatorCount);
  const chunks: { keys: KeyToPublish[]; size: Size }[] = [];
  for (const key of keys) {
    const size = sizeOf(key);
    const last = chunks.at(-1);
    const together = last === undefined ? null : sum(last.size, size);
    if (last !== undefined && together !== null && last.keys.length < most && callBytes(together) <= MAX_CALL_BYTES) {
      last.keys.push(key);
      last.size = together;
    } else chunks.push({ keys: [key], size });
  }
  return chunks.map(({ keys: some, size }) => {
    const [firstNonce, bytes] = [some[0]?.ownerNonce ?? 0n, callBytes(size)];
    if (bytes <= MAX_CALL_BYTES) return { firstNonce, keys: some, callBytes: bytes };
    throw new PublishError(
      "TooLarge",
      `${some[0]?.publicKey ?? ""} alone needs ${bytes} octets of a transaction, and ${MAX_CALL_BYTES} fit: its DKG proofs are not as ssv-dkg writes them.`,
      { bytes },
    );
  });
}

/** What one transaction publishes. */
export interface PublishArguments {
  readonly firstNonce: bigint;
  readonly entries: readonly Entry[];
  /** as `encodeDkgProofs` makes them; 0x for none */
  readonly dkgProofs: string;
}

export function publishArguments({ firstNonce, keys }: Pick<Chunk, "firstNonce" | "keys">): PublishArguments {
  const proofs = proofsOf(keys);
  return { firstNonce, entries: keys, dkgProofs: proofs.length === 0 ? "0x" : encodeDkgProofs(proofs) };
}

/** The call that publishes them. */
export async function publishCall(
  registry: Pick<IValidatorRegistry, "publish">,
  clusterId: bigint,
  { firstNonce, entries, dkgProofs }: PublishArguments,
): Promise<ContractTransaction> {
  return registry.publish.populateTransaction(clusterId, firstNonce, encodeEntries(entries), dkgProofs);
}

function proofsOf(keys: readonly KeyToPublish[]): (readonly DkgProof[])[] {
  return keys.flatMap(({ dkgProofs }) => (dkgProofs === undefined ? [] : [dkgProofs]));
}

/** Octets of `data` and `dkgProofs`. */
interface Size {
  readonly entries: number;
  readonly proofs: number;
}

function sizeOf({ publicKey, depositSignature, sharesData, dkgProofs }: KeyToPublish): Size {
  return {
    entries: dataLength(publicKey) + dataLength(depositSignature) + dataLength(sharesData),
    proofs: dkgProofs === undefined ? 0 : JSON.stringify([dkgProofs]).length,
  };
}

/** Lists that are joined have a comma in place of two brackets. */
function sum(a: Size, b: Size): Size {
  const joined = a.proofs > 0 && b.proofs > 0 ? -1 : 0;
  return { entries: a.entries + b.entries, proofs: a.proofs + b.proofs + joined };
}

/** Octets of the call, without making it. */
function callBytes({ entries, proofs }: Size): number {
  const padded = (bytes: number): number => WORD + Math.ceil(bytes / WORD) * WORD;
  return SELECTOR + 4 * WORD + padded(entries) + padded(proofs);
}

function assertBatch(keys: readonly KeyToPublish[], { clusterId, isActive, requireDkg }: AccountOnChain): void {
  if (!isActive) {
    throw new PublishError(
      "ClusterRetired",
      `Cluster ${clusterId} is retired: what is published for it would hold up the account's queue. Make keys for another cluster.`,
      { clusterId },
    );
  }
  const seen = new Set<string>();
  keys.forEach(({ publicKey, ownerNonce, dkgProofs }, i) => {
    const expected = (keys[0]?.ownerNonce ?? 0n) + BigInt(i);
    if (ownerNonce !== expected) {
      throw new PublishError(
        "NonceGap",
        `${publicKey} was split for owner nonce ${ownerNonce} where ${expected} must follow: the batch is not whole. Complete it, or split it again.`,
        { publicKey, ownerNonce, expected },
      );
    }
    if (seen.has(publicKey.toLowerCase())) {
      throw new PublishError("KeyTwice", `${publicKey} is in the batch twice: split the batch again without it.`, {
        publicKey,
      });
    }
    seen.add(publicKey.toLowerCase());
    if (requireDkg && dkgProofs === undefined) {
      throw new PublishError(
        "DkgProofsMissing",
        `Cluster ${clusterId} takes only keys of a DKG ceremony, and ${publicKey} has no proofs: import the ceremony with its proofs.json.`,
        { clusterId, publicKey },
      );
    }
    if (!requireDkg && dkgProofs !== undefined) {
      throw new PublishError(
        "DkgProofsNotExpected",
        `Cluster ${clusterId} takes keys without DKG proofs, and ${publicKey} has some: publish it without proofs.json, or for a cluster that requires them.`,
        { clusterId, publicKey },
      );
    }
  });
}

/** What went to the key's nonce is the key, with these KeyShares; tells how far it is. */
function assertSame(key: KeyToPublish, next: bigint, { byNonce, nonce, queued }: AccountOnChain): Stage {
  const there = byNonce.get(key.ownerNonce);
  const same = (part: keyof Entry): boolean => there?.[part].toLowerCase() === key[part].toLowerCase();
  if (there !== undefined && same("publicKey") && same("depositSignature") && same("sharesData")) return there.stage;
  const what =
    there === undefined ? "another key" : same("publicKey") ? "the same key with other KeyShares" : there.publicKey;
  throw new PublishError(
    "NonceTaken",
    `${key.publicKey} was split for owner nonce ${key.ownerNonce}, which ${what} has: somebody published meanwhile. ` +
      `The account is at nonce ${nonce} with ${queued} queued: split the keys again from nonce ${next}.`,
    { publicKey: key.publicKey, ownerNonce: key.ownerNonce, next },
  );
}

function assertNext(first: KeyToPublish, last: KeyToPublish, { nonce, queued }: AccountOnChain): void {
  const next = nonce + queued;
  if (first.ownerNonce !== next) {
    throw new PublishError(
      "NonceGap",
      `The batch begins at owner nonce ${first.ownerNonce}, but the account is at nonce ${nonce} with ${queued} queued, so that ${next} is next: ` +
        `publish what was made for ${next} first, or split the keys again from nonce ${next}.`,
      { firstNonce: first.ownerNonce, next },
    );
  }
  if (last.ownerNonce > MAX_OWNER_NONCE) {
    throw new PublishError(
      "AccountExhausted",
      `SSV's nodes count owner nonces up to ${MAX_OWNER_NONCE}, and the batch goes to ${last.ownerNonce}: use a cluster of another account.`,
      { lastNonce: last.ownerNonce },
    );
  }
}
