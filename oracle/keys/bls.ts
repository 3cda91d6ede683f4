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
  return decodeKey(bytes) !== null;
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
  if (bytes.length !== PUBLIC_KEY_BYTES) return null; // blst would read the uncompressed form too
  try {
    return PublicKey.fromBytes(bytes, true);
  } catch {
    return null; // blst tells what is wrong only by throwing
  }
}

function decodeSignature(bytes: Uint8Array): Signature | null {
  if (bytes.length !== SIGNATURE_BYTES) return null;
  try {
    return Signature.fromBytes(bytes, true);
  } catch {
    return null; // as above
  }
}
