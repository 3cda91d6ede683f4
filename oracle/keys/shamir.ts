import { createHash, randomBytes as csprng } from "node:crypto";
import { aggregatePublicKeys, aggregateSignatures, PublicKey, Signature } from "@chainsafe/blst";
import { isPublicKey, SECRET_KEY_BYTES } from "./bls.js";
import { KeysError } from "./errors.js";

/** Order of the BLS12-381 groups: secret keys, shares and Lagrange coefficients are numbers below it. */
export const SCALAR_FIELD_ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n;

const SCALAR_BITS = 255;
/** Reducing 48 random bytes leaves a bias below 2^-128 (as in hash_to_field of RFC 9380). */
const WIDE_SCALAR_BYTES = 48;
const MAX_OPERATOR_ID = 2n ** 64n - 1n;

const THRESHOLDS: ReadonlyMap<number, number> = new Map([
  [4, 3],
  [7, 5],
  [10, 7],
  [13, 9],
]);

export const CLUSTER_SIZES: readonly number[] = [...THRESHOLDS.keys()];

export interface SecretShare {
  operatorId: bigint;
  secretKey: Uint8Array;
}

export interface PublicKeyShare {
  operatorId: bigint;
  publicKey: Uint8Array;
}

export interface PartialSignature {
  operatorId: bigint;
  signature: Uint8Array;
}

/** How many of a cluster's operators must sign: 2f + 1 of 3f + 1. */
export function thresholdOf(operatorCount: number): number {
  const threshold = THRESHOLDS.get(operatorCount);
  if (threshold === undefined) {
    throw new KeysError(
      "BadClusterSize",
      `An SSV cluster has 4, 7, 10 or 13 operators, not ${operatorCount}: choose one of these sizes.`,
      { operatorCount },
    );
  }
  return threshold;
}

/** Refuses what SSV Network would: the ids must be non-zero uint64, strictly ascending. 0 would be the secret itself. */
export function assertOperatorIds(operatorIds: readonly bigint[]): void {
  thresholdOf(operatorIds.length);
  assertDistinctIds(operatorIds);
  const unordered = operatorIds.findIndex((id, i) => i > 0 && id < (operatorIds[i - 1] ?? 0n));
  if (unordered >= 0) {
    throw new KeysError(
      "BadOperatorIds",
      `Operator ids must ascend, as SSV Network wants them, but ${operatorIds.join(", ")} do not: sort the operators by id.`,
      { operatorIds },
    );
  }
}

/**
 * Splits a validator's secret key with Shamir's scheme as SSV does: a polynomial of degree threshold - 1 with fresh random
 * coefficients, the secret at 0 and each operator's share at its id.
 * @param randomBytes for tests only; everything else must leave it to the operating system's generator
 */
export function splitSecret(
  secretKey: Uint8Array,
  operatorIds: readonly bigint[],
  randomBytes: (length: number) => Uint8Array = csprng,
): SecretShare[] {
  assertOperatorIds(operatorIds);
  const secret = toScalar(secretKey);
  if (secretKey.length !== SECRET_KEY_BYTES || secret === 0n || secret >= SCALAR_FIELD_ORDER) {
    throw new KeysError("BadSecretKey", "A BLS secret key is 32 bytes and a non-zero number below the group order.", {
      length: secretKey.length,
    });
  }
  const coefficients = [secret];
  for (let i = 1; i < thresholdOf(operatorIds.length); i++) {
    coefficients.push(reduce(toScalar(randomBytes(WIDE_SCALAR_BYTES))));
  }
  return operatorIds.map((operatorId) => {
    const share = evaluate(coefficients, operatorId);
    if (share === 0n) {
      throw new KeysError("BadSecretKey", `The share of operator ${operatorId} came out as zero: split again.`);
    }
    return { operatorId, secretKey: toBytes(share) };
  });
}

/**
 * The validator's signature from partial signatures over the same message: Lagrange interpolation at 0 in G2.
 * Any `threshold` valid partials give the same result. The partials are decoded, not verified: verify what comes out.
 * @param threshold how many partials to use (the first ones); all of them when left out
 */
export function combineSignatures(
  partials: readonly PartialSignature[],
  threshold: number = partials.length,
): Uint8Array {
  const used = firstOf(partials, threshold);
  const points = used.map(({ operatorId, signature }) =>
    decodePoint(`partial signature of operator ${operatorId}`, () => Signature.fromBytes(signature)),
  );
  const coefficients = lagrangeAtZero(used.map(({ operatorId }) => operatorId));
  return multiScalarMul(points, coefficients, (terms) => aggregateSignatures(terms)).toBytes();
}

/** The validator's public key from share public keys: Lagrange interpolation at 0 in G1. */
export function combinePublicKeys(shares: readonly PublicKeyShare[], threshold: number = shares.length): Uint8Array {
  const used = firstOf(shares, threshold);
  const points = used.map(({ operatorId, publicKey }) =>
    decodePoint(`share public key of operator ${operatorId}`, () => PublicKey.fromBytes(publicKey, true)),
  );
  const coefficients = lagrangeAtZero(used.map(({ operatorId }) => operatorId));
  return multiScalarMul(points, coefficients, (terms) => aggregatePublicKeys(terms)).toBytes();
}

/**
 * Whether the validator key (at 0) and ALL share keys (at the operator ids) lie on one polynomial of degree exactly
 * threshold - 1: then any `threshold` operators can sign for the validator and no fewer can.
 *
 * One multi-scalar multiplication instead of a check per subset: points on a polynomial of degree threshold - 1 are
 * orthogonal to every codeword of the dual Reed-Solomon code, so a random one gives zero, and gives zero for any other points
 * with a chance of 2^-255 (SCRAPE, section 4). The codeword is drawn by hashing the points, so the answer is always the same.
 */
export function onOnePolynomial(publicKey: Uint8Array, shares: readonly PublicKeyShare[]): boolean {
  const ids = shares.map(({ operatorId }) => operatorId);
  assertOperatorIds(ids);
  const threshold = thresholdOf(shares.length);
  const keys = [publicKey, ...shares.map((share) => share.publicKey)];
  if (!keys.every(isPublicKey)) return false;

  const xs = [0n, ...ids];
  const codeword = dualCodeword(xs, xs.length - threshold, keys);
  const [first, ...rest] = codeword;
  if (first === undefined) return false;
  // sum(c[i] * P[i]) == infinity, solved for the validator key
  const toFirst = reduce(-invert(first));
  const solved = multiScalarMul(
    shares.map((share) => PublicKey.fromBytes(share.publicKey)),
    rest.map((value) => reduce(value * toFirst)),
    (terms) => aggregatePublicKeys(terms),
  ).toBytes();
  if (!equal(solved, publicKey)) return false;
  return !equal(combinePublicKeys(shares, threshold - 1), publicKey);
}

/** Lagrange coefficients at 0 for the given evaluation points. */
function lagrangeAtZero(ids: readonly bigint[]): bigint[] {
  assertDistinctIds(ids);
  return ids.map((id, i) => {
    let numerator = 1n;
    let denominator = 1n;
    ids.forEach((other, j) => {
      if (i === j) return;
      numerator = reduce(numerator * other);
      denominator = reduce(denominator * (other - id));
    });
    return reduce(numerator * invert(denominator));
  });
}

/** f(x[i]) / prod(x[i] - x[j]) for a polynomial f with `dimension` coefficients that only the points determine. */
function dualCodeword(xs: readonly bigint[], dimension: number, points: readonly Uint8Array[]): bigint[] {
  const seed = createHash("sha256");
  for (const x of xs) seed.update(toBytes(x));
  for (const point of points) seed.update(point);
  const digest = seed.digest();
  const coefficients = Array.from({ length: dimension }, (_, i) =>
    reduce(toScalar(createHash("sha512").update(digest).update(Uint8Array.of(i)).digest())),
  );
  return xs.map((x) => {
    let denominator = 1n;
    for (const other of xs) if (other !== x) denominator = reduce(denominator * (x - other));
    return reduce(evaluate(coefficients, x) * invert(denominator));
  });
}

/**
 * sum(scalars[i] * points[i]) by simultaneous double-and-add. blst offers scripts no multiplication, but its aggregation adds
 * any number of points in one native call with one inversion: 255 such calls make the sum. The points are public, so the running
 * time gives nothing away. At least one scalar must not be zero.
 */
function multiScalarMul<P extends PublicKey | Signature>(
  points: readonly P[],
  scalars: readonly bigint[],
  add: (terms: P[]) => P,
): P {
  const bits = scalars.map((scalar) => scalar.toString(2).padStart(SCALAR_BITS, "0"));
  let sum: P | undefined;
  for (let bit = 0; bit < SCALAR_BITS; bit++) {
    const terms = sum === undefined ? [] : [sum, sum];
    points.forEach((point, i) => {
      if (bits[i]?.[bit] === "1") terms.push(point);
    });
    if (terms.length > 0) sum = add(terms);
  }
  if (sum === undefined) throw new KeysError("TooFewShares", "Nothing to combine: give the shares of the threshold.");
  return sum;
}

function firstOf<T>(items: readonly T[], threshold: number): readonly T[] {
  if (items.length < threshold || threshold < 1) {
    throw new KeysError("TooFewShares", `${threshold} shares are needed and ${items.length} are there: collect more.`, {
      threshold,
      count: items.length,
    });
  }
  return items.slice(0, threshold);
}

function assertDistinctIds(operatorIds: readonly bigint[]): void {
  if (operatorIds.some((id) => id < 1n || id > MAX_OPERATOR_ID) || new Set(operatorIds).size !== operatorIds.length) {
    throw new KeysError(
      "BadOperatorIds",
      `Operator ids must be distinct and between 1 and 2^64 - 1, but are ${operatorIds.join(", ")}: give each operator once.`,
      { operatorIds },
    );
  }
}

function decodePoint<P>(what: string, decode: () => P): P {
  try {
    return decode();
  } catch (cause) {
    throw new KeysError("BadPoint", `The ${what} is not a point of BLS12-381: leave that operator out.`, {}, cause);
  }
}

function evaluate(coefficients: readonly bigint[], x: bigint): bigint {
  return coefficients.reduceRight((sum, coefficient) => reduce(sum * x + coefficient), 0n);
}

function reduce(value: bigint): bigint {
  const remainder = value % SCALAR_FIELD_ORDER;
  return remainder < 0n ? remainder + SCALAR_FIELD_ORDER : remainder;
}

/** Extended Euclid; the order is prime, so everything but 0 has an inverse. */
function invert(value: bigint): bigint {
  let [a, b, x, y] = [reduce(value), SCALAR_FIELD_ORDER, 1n, 0n];
  while (a > 1n) {
    const quotient = b / a;
    [a, b, x, y] = [b - quotient * a, a, y - quotient * x, x];
  }
  return reduce(x);
}

export function toScalar(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

function toBytes(scalar: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(scalar.toString(16).padStart(2 * SECRET_KEY_BYTES, "0"), "hex"));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
