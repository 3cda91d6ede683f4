import { randomBytes as csprng } from "node:crypto";
import { SecretKey } from "@chainsafe/blst";
import { type BytesLike, getBytes, hexlify } from "ethers";
import { PUBLIC_KEY_BYTES, SECRET_KEY_BYTES, SIGNATURE_BYTES } from "./bls.js";
import { assertGenesisForkVersion, DEPOSIT_GWEI, isPublicNetwork, signDeposit } from "./depositData.js";
import { KeysError } from "./errors.js";
import {
  buildSharesData,
  encryptShare,
  MAX_OWNER_NONCE,
  operatorPublicKey,
  sharesDataLength,
  signOwnerNonce,
} from "./keyshares.js";
import type { ClusterOperator } from "./keysharesJson.js";
import { assertOperatorIds, CLUSTER_SIZES, splitSecret, thresholdOf } from "./shamir.js";
import { type BatchContext, verifyBatch } from "./verify.js";

/** What the pool publishes of a validator, as hex. */
export interface Entry {
  publicKey: string;
  depositSignature: string;
  sharesData: string;
}

export interface PreparedValidator extends Entry {
  ownerNonce: bigint;
}

export interface PrepareOptions {
  count: number;
  /** SSV owner of the cluster: the pool's account */
  account: string;
  /** nonces are given in order from here; must be the account's nonce plus what is queued */
  firstNonce: bigint;
  /** ascending by id */
  operators: readonly ClusterOperator[];
  withdrawalCredentials: string;
  genesisForkVersion: string;
  networkName: string;
  onProgress?: (done: number, count: number) => void;
  /** For local networks only, whose runs are to be repeatable; everything else leaves it to the operating system's generator. */
  randomBytes?: (length: number) => Uint8Array;
}

/** SSV's limits by cluster size: what fits into the 128 KiB that nodes accept as one transaction. */
const MAX_KEYS_PER_PUBLISH: ReadonlyMap<number, number> = new Map([
  [4, 80],
  [7, 40],
  [10, 30],
  [13, 20],
]);

export function maxKeysPerPublish(operatorCount: number): number {
  thresholdOf(operatorCount);
  return MAX_KEYS_PER_PUBLISH.get(operatorCount) ?? 0;
}

/**
 * Makes validators: a new key each, its deposit signed for the pool, its secret split among the operators, and its owner nonce
 * signed. A whole secret key exists only inside this function, and its bytes are overwritten before the next one is made (the
 * JavaScript engine may still hold numbers computed from it until it collects them, so run it on a machine that you trust).
 */
export function prepareValidators(options: PrepareOptions): PreparedValidator[] {
  const { count, account, firstNonce, operators, withdrawalCredentials, genesisForkVersion } = options;
  const operatorIds = operators.map(({ id }) => id);
  if (options.randomBytes !== undefined && isPublicNetwork(genesisForkVersion)) {
    throw new KeysError(
      "WeakRandomness",
      "Keys for a public network come from the operating system's generator: leave out randomBytes.",
    );
  }
  assertPreparable(options);

  const prepared: PreparedValidator[] = [];
  for (let i = 0; i < count; i++) {
    const ownerNonce = firstNonce + BigInt(i);
    prepared.push(
      prepareOne({
        ...{ account, ownerNonce, operators, withdrawalCredentials, genesisForkVersion },
        randomBytes: options.randomBytes,
      }),
    );
    options.onProgress?.(i + 1, count);
  }
  assertVerified(prepared, { account, firstNonce, operatorIds, withdrawalCredentials, genesisForkVersion });
  return prepared;
}

/** Refuses, before a key is touched, what would make useless validators. */
export function assertPreparable(options: Omit<PrepareOptions, "onProgress" | "randomBytes">): void {
  const { count, firstNonce, operators } = options;
  assertOperatorIds(operators.map(({ id }) => id));
  assertGenesisForkVersion(options.networkName, options.genesisForkVersion);
  for (const { publicKeyPem } of operators) operatorPublicKey(publicKeyPem);
  if (!Number.isInteger(count) || count < 1) {
    throw new KeysError("BadCount", `${count} is no number of validators to prepare: give a whole number from 1.`, {
      count,
    });
  }
  if (firstNonce < 0n || firstNonce + BigInt(count) - 1n > MAX_OWNER_NONCE) {
    throw new KeysError(
      "BadNonce",
      `The nonces ${firstNonce} to ${firstNonce + BigInt(count) - 1n} are not all between 0 and ${MAX_OWNER_NONCE}: use another account.`,
      { firstNonce, count },
    );
  }
}

/** The program's own check of what it made; a fault here is one of the machine or of the program. */
export function assertVerified(entries: readonly Entry[], context: BatchContext): void {
  const [finding] = verifyBatch(entries, context);
  if (finding === undefined) return;
  throw new KeysError(
    "SelfCheckFailed",
    `The prepared validators do not pass their own check (${finding.message}): publish none of them and check the machine.`,
    { ...finding },
  );
}

/** The data of `ValidatorRegistry.publish`: for each validator public key, deposit signature and KeyShares, without gaps. */
export function encodeEntries(entries: readonly Entry[]): Uint8Array {
  const sharesLength = getBytes(entries[0]?.sharesData ?? "0x").length;
  if (entries.length > 0 && !CLUSTER_SIZES.some((size) => sharesDataLength(size) === sharesLength)) {
    throw badPart("KeyShares", entries[0]);
  }
  return Uint8Array.from(
    Buffer.concat(
      entries.flatMap((entry) => {
        const parts = [entry.publicKey, entry.depositSignature, entry.sharesData].map((part) => getBytes(part));
        if (parts[0]?.length !== PUBLIC_KEY_BYTES) throw badPart("public key", entry);
        if (parts[1]?.length !== SIGNATURE_BYTES) throw badPart("deposit signature", entry);
        if (parts[2]?.length !== sharesLength) throw badPart("KeyShares", entry);
        return parts;
      }),
    ),
  );
}

export function decodeEntries(data: BytesLike, operatorCount: number): Entry[] {
  const bytes = getBytes(data);
  const size = PUBLIC_KEY_BYTES + SIGNATURE_BYTES + sharesDataLength(operatorCount);
  if (bytes.length % size !== 0) {
    throw new KeysError(
      "BadLength",
      `Published data of clusters of ${operatorCount} is a multiple of ${size} bytes, not ${bytes.length}: it is cut or of another cluster size.`,
      { operatorCount, size, length: bytes.length },
    );
  }
  return Array.from({ length: bytes.length / size }, (_, i) => {
    const entry = bytes.subarray(i * size, (i + 1) * size);
    return {
      publicKey: hexlify(entry.subarray(0, PUBLIC_KEY_BYTES)),
      depositSignature: hexlify(entry.subarray(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES + SIGNATURE_BYTES)),
      sharesData: hexlify(entry.subarray(PUBLIC_KEY_BYTES + SIGNATURE_BYTES)),
    };
  });
}

function badPart(what: string, entry: Entry | undefined): KeysError {
  const publicKey = entry?.publicKey ?? "";
  return new KeysError(
    "BadLength",
    `The ${what} of ${publicKey} does not have its length; all validators of a publication are of one cluster size. Prepare it again.`,
    { what, publicKey },
  );
}

export type EntryOptions = Pick<
  PrepareOptions,
  "account" | "operators" | "withdrawalCredentials" | "genesisForkVersion"
> & {
  ownerNonce: bigint;
  randomBytes?: PrepareOptions["randomBytes"];
};

/** One validator of a key that is there already: its deposit signed for the pool, its secret split, its owner nonce signed. */
export function prepareEntry(secretKey: Uint8Array, options: EntryOptions): PreparedValidator {
  const { account, ownerNonce, operators, withdrawalCredentials, genesisForkVersion, randomBytes } = options;
  const shares = splitSecret(
    secretKey,
    operators.map(({ id }) => id),
    randomBytes,
  );
  try {
    const sharesData = buildSharesData({
      ownerNonceSignature: signOwnerNonce(secretKey, account, ownerNonce),
      sharePublicKeys: shares.map((share) => SecretKey.fromBytes(share.secretKey).toPublicKey().toBytes()),
      encryptedShares: operators.flatMap(({ publicKeyPem }, i) => {
        const share = shares[i];
        return share === undefined ? [] : [encryptShare(publicKeyPem, share.secretKey)];
      }),
    });
    return {
      publicKey: hexlify(SecretKey.fromBytes(secretKey).toPublicKey().toBytes()),
      depositSignature: hexlify(
        signDeposit(secretKey, { withdrawalCredentials, amountGwei: DEPOSIT_GWEI, genesisForkVersion }),
      ),
      sharesData: hexlify(sharesData),
      ownerNonce,
    };
  } finally {
    for (const { secretKey: share } of shares) share.fill(0);
  }
}

/** A secret key of its own; the caller overwrites it. */
export function randomKey(randomBytes: (length: number) => Uint8Array = csprng): Uint8Array {
  const seed = randomBytes(SECRET_KEY_BYTES);
  try {
    return SecretKey.fromKeygen(seed).toBytes();
  } finally {
    seed.fill(0);
  }
}

function prepareOne(options: EntryOptions): PreparedValidator {
  const secretKey = randomKey(options.randomBytes);
  try {
    return prepareEntry(secretKey, options);
  } finally {
    secretKey.fill(0);
  }
}
