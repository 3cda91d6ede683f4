import { PublicKey, Signature, type SignatureSet, verify, verifyMultipleAggregateSignatures } from "@chainsafe/blst";

export const SECRET_KEY_BYTES = 32;
export const PUBLIC_KEY_BYTES = 48;
export const SIGNATURE_BYTES = 96;

/** A claim that `signature` is `publicKey`'s over `message`, in compressed bytes as they came. */
export interface SignedMessage {
  publicKey: Uint8Array;
  message: Uint8Array;
  signature: Uint8Array;
}

/** A 48-byte compressed G1 point of the right subgroup, not infinity. */
export function isPublicKey(bytes: Uint8Array): boolean {
  return publicKeyProblem(bytes) === null;
}

/** Why the bytes are no public key; null if they are one. */
export function publicKeyProblem(bytes: Uint8Array): string | null {
  const key = readKey(bytes);
  return typeof key === "string" ? key : null;
}

/** Why the bytes are nobody's signature of anything; null if they could be one. */
export function signatureProblem(bytes: Uint8Array): string | null {
  const signature = readSignature(bytes);
  return typeof signature === "string" ? signature : null;
}

/** BLS verification with all group checks, as consensus does it; false for anything malformed. */
export function verifyBls({ publicKey, message, signature }: SignedMessage): boolean {
  return verifierOf(publicKey)(message, signature);
}

/** The same for one key and many messages: the key is decoded and checked once. */
export function verifierOf(publicKey: Uint8Array): (message: Uint8Array, signature: Uint8Array) => boolean {
  const key = decodeKey(publicKey);
  return (message, signature) => {
    const decoded = decodeSignature(signature);
    return key !== null && decoded !== null && verify(message, key, decoded);
  };
}

/**
 * Which of many claims hold. One random linear combination when all do; halving finds the ones that do not, as long as they are few:
 * where both halves have some, each claim is verified by itself.
 */
export function verifyBlsBatch(claims: readonly SignedMessage[]): boolean[] {
  const results = claims.map(() => false);
  const wellFormed = claims.flatMap(({ publicKey, message, signature }, index): Claim[] => {
    const [pk, sig] = [decodeKey(publicKey), decodeSignature(signature)];
    return pk === null || sig === null ? [] : [{ index, set: { msg: message, pk, sig } }];
  });
  const mark = (part: readonly Claim[], isValid: boolean): void => {
    for (const { index } of part) results[index] = isValid;
  };
  const search = (part: readonly Claim[]): void => {
    if (part.length <= 1) return; // the only suspect
    const halves = [part.slice(0, part.length >> 1), part.slice(part.length >> 1)];
    const suspect = halves.filter((half) => !allHold(half));
    for (const half of halves) if (!suspect.includes(half)) mark(half, true);
    if (suspect.length === 1) suspect.forEach(search);
    else for (const claim of part) mark([claim], allHold([claim]));
  };
  if (wellFormed.length > 0 && allHold(wellFormed)) mark(wellFormed, true);
  else search(wellFormed);
  return results;
}

interface Claim {
  readonly index: number;
  readonly set: SignatureSet;
}

function allHold(claims: readonly Claim[]): boolean {
  return verifyMultipleAggregateSignatures(claims.map(({ set }) => set));
}

function decodeKey(bytes: Uint8Array): PublicKey | null {
  const key = readKey(bytes);
  return typeof key === "string" ? null : key;
}

function decodeSignature(bytes: Uint8Array): Signature | null {
  const signature = readSignature(bytes);
  return typeof signature === "string" ? null : signature;
}

/** The point, or what is wrong. */
function readKey(bytes: Uint8Array): PublicKey | string {
  return readPoint(bytes, PUBLIC_KEY_BYTES, () => PublicKey.fromBytes(bytes, true));
}

function readSignature(bytes: Uint8Array): Signature | string {
  return readPoint(bytes, SIGNATURE_BYTES, () => Signature.fromBytes(bytes, true));
}

const PROBLEMS: Readonly<Record<string, string>> = {
  BLST_BAD_ENCODING: "it is not the one encoding that a point has",
  BLST_POINT_NOT_ON_CURVE: "it is not on the curve",
  BLST_POINT_NOT_IN_GROUP: "it is not in the subgroup",
  BLST_PK_IS_INFINITY: "it is the point at infinity",
};

function readPoint<P>(bytes: Uint8Array, length: number, decode: () => P): P | string {
  if (bytes.length !== length) return `it has ${bytes.length} bytes, not ${length}`; // blst would read the uncompressed form too
  try {
    return decode();
  } catch (error) {
    // blst tells what is wrong only by throwing
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return PROBLEMS[code] ?? "it cannot be decoded";
  }
}
