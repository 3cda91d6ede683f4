import { ssz } from "@lodestar/types";
import { getBytes, hexlify } from "ethers";
import { z } from "zod";
import { SUPPORTED_FORKS, type SupportedFork } from "../beacon/forks.js";
import { NODE_SIZE } from "../beacon/merkle.js";
import {
  balanceIn,
  gindexOf,
  recordRoot,
  type ProofTarget,
  type RecordList,
  type StateProofs,
} from "../beacon/stateProofs.js";
import type { PendingDeposit, ValidatorRecord } from "../beacon/stateParts.js";
import { inTreeOrder, verifyMultiproof } from "../beacon/verifyProof.js";
import { ProofFileError } from "./errors.js";

const hex = (octets?: number) =>
  z.string().regex(new RegExp(`^0x([0-9a-f]{2})${octets === undefined ? "*" : `{${octets}}`}$`), "must be hex with 0x");
/** Below the size of every list: a larger one would lead into another. */
const index = z
  .int()
  .min(0)
  .max(2 ** 24 - 1);

/** A file of proofs: records and balances as the state of a block has them, and the nodes of one multiproof between them and its root. */
export const poolProofSchema = z.strictObject({
  version: z.literal(1),
  fork: z.enum(SUPPORTED_FORKS),
  refSlot: z.int().positive(),
  /** Of the last block at or before the slot. */
  blockRoot: hex(NODE_SIZE),
  /** Serialised records, and the chunk with the balance, which holds four. */
  validators: z.array(
    z.strictObject({ index, record: hex(ssz.phase0.Validator.fixedSize ?? 0), balances: hex(NODE_SIZE) }),
  ),
  pendingDeposits: z.array(z.strictObject({ index, record: hex(ssz.electra.PendingDeposit.fixedSize ?? 0) })),
  helpers: hex(),
});
export type PoolProof = Readonly<z.infer<typeof poolProofSchema>>;

/** What a file proves to be in the state. */
export interface ProvenHoldings {
  readonly validators: readonly Pick<
    ValidatorRecord,
    "index" | "pubkey" | "withdrawalCredentials" | "slashed" | "balanceGwei"
  >[];
  readonly pendingDeposits: readonly (Pick<PendingDeposit, "pubkey" | "withdrawalCredentials" | "amountGwei"> & {
    readonly index: number;
  })[];
}

/** Proofs of everything that was read with proofs. */
export function makePoolProof(fork: SupportedFork, refSlot: number, proofs: StateProofs): PoolProof {
  const validators = proofs.indices("validators");
  const deposits = proofs.indices("pendingDeposits");
  if (validators.length + deposits.length === 0) {
    throw new ProofFileError(
      "PROOF_EMPTY",
      `At slot ${refSlot} the beacon chain has nothing of the pool that could be proven.`,
      { refSlot },
    );
  }
  const record = (list: RecordList, at: number): string => hexlify(proofs.record(list, at));
  const { helpers } = proofs.multiproof([
    ...validators.map((at): ProofTarget => ({ list: "validators", index: at })),
    ...validators.map((at): ProofTarget => ({ list: "balances", index: at })),
    ...deposits.map((at): ProofTarget => ({ list: "pendingDeposits", index: at })),
  ]);
  return {
    version: 1,
    fork,
    refSlot,
    blockRoot: hexlify(proofs.blockRoot),
    validators: validators.map((at) => ({
      index: at,
      record: record("validators", at),
      balances: hexlify(proofs.proof({ list: "balances", index: at }).leaf),
    })),
    pendingDeposits: deposits.map((at) => ({ index: at, record: record("pendingDeposits", at) })),
    helpers: hexlify(helpers),
  };
}

/**
 * What a file proves, if the chain vouches for its block's root. Where each leaf must be follows from its index and the fork; a fork that is
 * not the state's leads to other places of the tree, below leaves that nobody could choose.
 */
export function checkPoolProof(file: PoolProof): ProvenHoldings {
  const leaves = new Map<bigint, Uint8Array>();
  const put = (target: ProofTarget, leaf: Uint8Array): void => {
    const gindex = gindexOf(file.fork, target);
    // four validators share a chunk: of two that are not equal one does not lead to the root
    if (leaves.has(gindex) && hexlify(leaves.get(gindex) ?? leaf) !== hexlify(leaf)) throw wrong(file);
    leaves.set(gindex, leaf);
  };
  for (const { index: at, record, balances } of file.validators) {
    put({ list: "validators", index: at }, recordRoot("validators", getBytes(record)));
    put({ list: "balances", index: at }, getBytes(balances));
  }
  for (const { index: at, record } of file.pendingDeposits) {
    put({ list: "pendingDeposits", index: at }, recordRoot("pendingDeposits", getBytes(record)));
  }
  const gindices = inTreeOrder(leaves.keys());
  const proof = {
    gindices,
    leaves: Buffer.concat(gindices.map((gindex) => leaves.get(gindex) ?? new Uint8Array(0))),
    helpers: getBytes(file.helpers),
  };
  if (!isOnce(file.validators) || !isOnce(file.pendingDeposits) || !verifyMultiproof(getBytes(file.blockRoot), proof)) {
    throw wrong(file);
  }
  return {
    validators: file.validators.map(({ index: at, record, balances }) => {
      const { pubkey, withdrawalCredentials, slashed } = ssz.phase0.Validator.deserialize(getBytes(record));
      return {
        index: at,
        pubkey: hexlify(pubkey),
        withdrawalCredentials: hexlify(withdrawalCredentials),
        slashed,
        balanceGwei: balanceIn(getBytes(balances), at),
      };
    }),
    pendingDeposits: file.pendingDeposits.map(({ index: at, record }) => {
      const { pubkey, withdrawalCredentials, amount } = ssz.electra.PendingDeposit.deserialize(getBytes(record));
      return {
        index: at,
        pubkey: hexlify(pubkey),
        withdrawalCredentials: hexlify(withdrawalCredentials),
        amountGwei: BigInt(amount),
      };
    }),
  };
}

function isOnce(entries: readonly { readonly index: number }[]): boolean {
  return new Set(entries.map((entry) => entry.index)).size === entries.length;
}

function wrong({ blockRoot }: PoolProof): ProofFileError {
  return new ProofFileError(
    "PROOF_WRONG",
    `What the file says does not lead to the root ${blockRoot}: it proves nothing. Ask whoever made it for another.`,
    { blockRoot },
  );
}
