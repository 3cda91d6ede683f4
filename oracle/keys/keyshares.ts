import { constants, createPublicKey, type KeyObject, privateDecrypt, publicEncrypt } from "node:crypto";
import { SecretKey } from "@chainsafe/blst";
import { AbiCoder, type BytesLike, getAddress, getBytes, keccak256, toUtf8Bytes } from "ethers";
import { PUBLIC_KEY_BYTES, SECRET_KEY_BYTES, SIGNATURE_BYTES, verifyBls } from "./bls.js";
import { KeysError } from "./errors.js";
import { SCALAR_FIELD_ORDER, thresholdOf, toScalar } from "./shamir.js";

export const ENCRYPTED_SHARE_BYTES = 256;
const PEM = /^-----BEGIN ((?:RSA )?PUBLIC KEY)-----([A-Za-z0-9+/=\s]+)-----END \1-----$/;
const RSA_BITS = 8 * ENCRYPTED_SHARE_BYTES;
const RSA_EXPONENT = 65_537n;

/** SSV nodes count an owner's nonces in a uint16 that wraps, so a later key would be checked against a nonce already used. */
export const MAX_OWNER_NONCE = 65_535n;

export interface SharesData {
  /** the validator key's signature over `owner:nonce` */
  ownerNonceSignature: Uint8Array;
  /** in the order of the cluster's operator ids */
  sharePublicKeys: readonly Uint8Array[];
  /** in the order of the cluster's operator ids */
  encryptedShares: readonly Uint8Array[];
}

/** Bytes of the KeyShares of one validator: signature, then all share keys, then all ciphertexts. */
export function sharesDataLength(operatorCount: number): number {
  thresholdOf(operatorCount);
  return SIGNATURE_BYTES + operatorCount * (PUBLIC_KEY_BYTES + ENCRYPTED_SHARE_BYTES);
}

export function parseSharesData(sharesData: BytesLike, operatorCount: number): SharesData {
  const bytes = getBytes(sharesData);
  const expected = sharesDataLength(operatorCount);
  if (bytes.length !== expected) {
    throw new KeysError(
      "BadLength",
      `KeyShares of ${operatorCount} operators are ${expected} bytes, not ${bytes.length}: SSV nodes would ignore the validator; prepare it again.`,
      { operatorCount, expected, length: bytes.length },
    );
  }
  const encryptedFrom = SIGNATURE_BYTES + operatorCount * PUBLIC_KEY_BYTES;
  return {
    ownerNonceSignature: bytes.slice(0, SIGNATURE_BYTES),
    sharePublicKeys: chunks(bytes.subarray(SIGNATURE_BYTES, encryptedFrom), PUBLIC_KEY_BYTES),
    encryptedShares: chunks(bytes.subarray(encryptedFrom), ENCRYPTED_SHARE_BYTES),
  };
}

export function buildSharesData({ ownerNonceSignature, sharePublicKeys, encryptedShares }: SharesData): Uint8Array {
  thresholdOf(sharePublicKeys.length);
  assertLength("owner-nonce signature", ownerNonceSignature.length, SIGNATURE_BYTES);
  assertLength("list of encrypted shares", encryptedShares.length, sharePublicKeys.length);
  for (const key of sharePublicKeys) assertLength("share public key", key.length, PUBLIC_KEY_BYTES);
  for (const share of encryptedShares) assertLength("encrypted share", share.length, ENCRYPTED_SHARE_BYTES);
  return Uint8Array.from(Buffer.concat([ownerNonceSignature, ...sharePublicKeys, ...encryptedShares]));
}

/** What the validator key signs for SSV: keccak256 of the text "<checksummed owner>:<nonce>", no domain. */
export function ownerNonceDigest(owner: string, nonce: bigint): Uint8Array {
  if (nonce < 0n || nonce > MAX_OWNER_NONCE) {
    throw new KeysError(
      "BadNonce",
      `An SSV owner nonce is between 0 and ${MAX_OWNER_NONCE}, not ${nonce}: use another account for further validators.`,
      { owner, nonce },
    );
  }
  return getBytes(keccak256(toUtf8Bytes(`${getAddress(owner)}:${nonce}`)));
}

export function signOwnerNonce(secretKey: Uint8Array, owner: string, nonce: bigint): Uint8Array {
  return SecretKey.fromBytes(secretKey).sign(ownerNonceDigest(owner, nonce)).toBytes();
}

/** False also for a key or a signature that is no point of its group. */
export function verifyOwnerNonceSignature(
  publicKey: Uint8Array,
  signature: Uint8Array,
  owner: string,
  nonce: bigint,
): boolean {
  return verifyBls({ publicKey, message: ownerNonceDigest(owner, nonce), signature });
}

/** Encrypts an operator's share as SSV nodes expect it: PKCS#1 v1.5 of the key as hex text with 0x. */
export function encryptShare(operatorPublicKeyPem: string, secretKey: Uint8Array): Uint8Array {
  assertLength("share secret key", secretKey.length, SECRET_KEY_BYTES);
  const plaintext = Buffer.from(`0x${Buffer.from(secretKey).toString("hex")}`, "latin1");
  try {
    const key = operatorPublicKey(operatorPublicKeyPem);
    return Uint8Array.from(publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, plaintext));
  } finally {
    plaintext.fill(0);
  }
}

/**
 * An operator's share, or null when the ciphertext holds no valid secret key for this operator. A wrong ciphertext does not
 * throw in Node (implicit rejection gives random bytes), so the plaintext decides: 64 hex digits, with 0x (ssv-keys) or without
 * (ssv-dkg), and a scalar.
 */
export function decryptShare(privateKey: KeyObject, ciphertext: Uint8Array): Uint8Array | null {
  let plaintext: Buffer;
  try {
    plaintext = privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_PADDING }, ciphertext);
  } catch (error) {
    // a ciphertext of wrong length or above the modulus, or an OpenSSL without implicit rejection
    if (error instanceof Error && "code" in error && String(error.code).startsWith("ERR_OSSL_")) return null;
    throw error;
  }
  const hex = /^(?:0x)?([0-9a-fA-F]{64})$/.exec(plaintext.toString("latin1"))?.[1];
  plaintext.fill(0);
  if (hex === undefined) return null;
  const secretKey = Uint8Array.from(Buffer.from(hex, "hex"));
  const scalar = toScalar(secretKey);
  return scalar > 0n && scalar < SCALAR_FIELD_ORDER ? secretKey : null;
}

/** Reads an operator's RSA key. SSV labels it "RSA PUBLIC KEY" though it holds an SPKI structure; "PUBLIC KEY" is read too. */
export function operatorPublicKey(pem: string): KeyObject {
  const base64 = PEM.exec(pem.trim())?.[2];
  if (base64 === undefined) throw badOperatorKey("it is not a PEM public key");
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(base64, "base64"), format: "der", type: "spki" });
  } catch (cause) {
    throw badOperatorKey("it holds no SubjectPublicKeyInfo", cause);
  }
  if (key.asymmetricKeyType !== "rsa" || key.asymmetricKeyDetails?.modulusLength !== RSA_BITS) {
    throw badOperatorKey(`it is not RSA with ${RSA_BITS} bits`);
  }
  // with an exponent of 1 the ciphertext is the share
  if ((key.asymmetricKeyDetails.publicExponent ?? 0n) < RSA_EXPONENT) {
    throw badOperatorKey(`its exponent is below ${RSA_EXPONENT}`);
  }
  return key;
}

/** The text form of key files: base64 of the PEM text, 612 characters. The PEM is rewritten exactly as ssv-node prints it. */
export function operatorKeyToBase64(pem: string): string {
  const der = operatorPublicKey(pem).export({ format: "der", type: "spki" }).toString("base64");
  const lines = der.match(/.{1,64}/g) ?? [];
  return Buffer.from(
    `-----BEGIN RSA PUBLIC KEY-----\n${lines.join("\n")}\n-----END RSA PUBLIC KEY-----\n`,
    "latin1",
  ).toString("base64");
}

export function operatorKeyFromBase64(base64: string): string {
  const pem = Buffer.from(base64, "base64").toString("latin1");
  operatorPublicKey(pem);
  return pem;
}

/** The bytes of SSV's `registerOperator` and `OperatorAdded`: the ABI encoding of the base64 text as a string. */
export function encodeOperatorKey(pem: string): string {
  return AbiCoder.defaultAbiCoder().encode(["string"], [operatorKeyToBase64(pem)]);
}

export function decodeOperatorKey(bytes: BytesLike): string {
  let base64: string;
  try {
    base64 = AbiCoder.defaultAbiCoder().decode(["string"], bytes)[0] as string;
  } catch (cause) {
    throw badOperatorKey("the bytes are not an ABI-encoded string", cause);
  }
  return operatorKeyFromBase64(base64);
}

function badOperatorKey(why: string, cause?: unknown): KeysError {
  return new KeysError(
    "BadOperatorKey",
    `The operator's public key cannot be used: ${why}. Take it from the operator's OperatorAdded event.`,
    {},
    cause,
  );
}

function assertLength(what: string, length: number, expected: number): void {
  if (length !== expected) {
    throw new KeysError("BadLength", `The ${what} must have length ${expected}, not ${length}.`, {
      what,
      length,
      expected,
    });
  }
}

function chunks(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: bytes.length / size }, (_, i) => bytes.slice(i * size, (i + 1) * size));
}
