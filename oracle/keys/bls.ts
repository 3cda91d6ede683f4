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
  if (bytes.length !== PUBLIC_KEY_BYTES) return false; // blst would read the uncompressed form too
  try {
    PublicKey.fromBytes(bytes, true);
    return true;
  } catch {
    return false; // blst tells what is wrong only by throwing
  }
}

/** BLS verification with all group checks, as consensus does it; false for anything malformed. */
export function verifyBls(claim: SignedMessage): boolean {
  const set = decode(claim);
  return set !== null && verify(set.msg, set.pk, set.sig);
}

/** Which of many claims hold. One random linear combination when all do; halving finds the ones that do not. */
export function verifyBlsBatch(claims: readonly SignedMessage[]): boolean[] {
  const results = claims.map(() => false);
  const wellFormed = claims.flatMap((claim, index) => {
    const set = decode(claim);
    return set === null ? [] : [{ index, set }];
  });
  const mark = (part: typeof wellFormed): void => {
    if (part.length === 0) return;
    if (verifyMultipleAggregateSignatures(part.map(({ set }) => set))) {
      for (const { index } of part) results[index] = true;
    } else if (part.length > 1) {
      const half = part.length >> 1;
      mark(part.slice(0, half));
      mark(part.slice(half));
    }
  };
  mark(wellFormed);
  return results;
}

function decode({ publicKey, message, signature }: SignedMessage): SignatureSet | null {
  if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return null;
  try {
    return { msg: message, pk: PublicKey.fromBytes(publicKey, true), sig: Signature.fromBytes(signature, true) };
  } catch {
    return null; // as above
  }
}
