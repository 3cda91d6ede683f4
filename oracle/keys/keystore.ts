import {
  createCipheriv,
  createDecipheriv,
  createHash,
  pbkdf2Sync,
  randomBytes,
  randomUUID,
  scryptSync,
} from "node:crypto";
import { SecretKey } from "@chainsafe/blst";
import { z } from "zod";
import { PUBLIC_KEY_BYTES, SECRET_KEY_BYTES } from "./bls.js";
import { KeysError } from "./errors.js";
import { badFile, bareHex, parseJson } from "./files.js";
import { SCALAR_FIELD_ORDER, toScalar } from "./shamir.js";

// Not @chainsafe/bls-keystore: of a password in octets it drops those of many letters beyond ASCII, and one in a string cannot be
// overwritten; it overwrites no derived key, and takes any cost that a file asks for.

/** EIP-2335: scrypt resists guessing better, PBKDF2 is some twenty times faster. */
export type KeyDerivation = "scrypt" | "pbkdf2";

const CHECKSUM_BYTES = 32;
const SALT_BYTES = 32;
const IV_BYTES = 16;
const DERIVED_BYTES = 32;
const CIPHER_KEY_BYTES = 16;

/** What every tool of the field writes. */
const SCRYPT = { dklen: DERIVED_BYTES, n: 262_144, r: 8, p: 1 } as const;
const PBKDF2 = { dklen: DERIVED_BYTES, c: 262_144, prf: "hmac-sha256" } as const;
/** A keystore that asks for more would only keep the machine busy. */
const MAX_SCRYPT_MEMORY_BYTES = 2 ** 30;
const MAX_PARALLEL = 16;
const MAX_ITERATIONS = 2 ** 24;

const derivedLength = z
  .int()
  .min(DERIVED_BYTES)
  .max(2 * DERIVED_BYTES);
const octets = z.string().regex(/^(?:[0-9a-fA-F]{2}){1,128}$/, "must be up to 128 octets as hex without 0x");

const Kdf = z.discriminatedUnion(
  "function",
  [
    z.object({
      function: z.literal("scrypt"),
      params: z
        .object({
          dklen: derivedLength,
          n: z.int().min(2),
          r: z.int().min(1),
          p: z.int().min(1).max(MAX_PARALLEL),
          salt: octets,
        })
        .refine(({ n }) => Number.isInteger(Math.log2(n)), { error: "n must be a power of two", path: ["n"] })
        .refine(({ n, r }) => 128 * n * r <= MAX_SCRYPT_MEMORY_BYTES, {
          error: "n and r ask for more than 1 GiB of memory",
          path: ["n"],
        }),
    }),
    z.object({
      function: z.literal("pbkdf2"),
      params: z.object({
        dklen: derivedLength,
        c: z.int().min(1).max(MAX_ITERATIONS),
        prf: z.literal("hmac-sha256", "must be hmac-sha256"),
        salt: octets,
      }),
    }),
  ],
  "must be scrypt or pbkdf2",
);

/** EIP-2335, version 4. */
export const KeystoreJson = z.object({
  crypto: z.object({
    kdf: Kdf,
    checksum: z.object({
      function: z.literal("sha256", "must be sha256"),
      message: bareHex(CHECKSUM_BYTES),
    }),
    cipher: z.object({
      function: z.literal("aes-128-ctr", "must be aes-128-ctr"),
      params: z.object({ iv: bareHex(IV_BYTES) }),
      message: bareHex(SECRET_KEY_BYTES),
    }),
  }),
  // some tools leave it out, some write 0x before it
  pubkey: z
    .string()
    .regex(/^(?:(?:0x)?[0-9a-fA-F]{96})?$/, `must be ${2 * PUBLIC_KEY_BYTES} hex digits`)
    .optional(),
  version: z.literal(4, "must be 4"),
});

export type Keystore = z.infer<typeof KeystoreJson>;

export function parseKeystore(name: string, json: unknown): Keystore {
  return parseJson(name, json, KeystoreJson);
}

/** The public key that a keystore says it holds, as hex with 0x; null if it does not say. */
export function publicKeyOf({ pubkey }: Keystore): string | null {
  return pubkey === undefined || pubkey === "" ? null : `0x${pubkey.toLowerCase().replace(/^0x/, "")}`;
}

/** Unicode NFKD without control characters, as UTF-8: whatever the keyboard, the same octets. */
export function passwordOctets(typed: Uint8Array): Uint8Array {
  const text = new TextDecoder()
    .decode(typed)
    .normalize("NFKD")
    .replace(/\p{Cc}/gu, "");
  return new TextEncoder().encode(text);
}

/**
 * The secret key of a keystore. It takes the better part of a second, by design.
 * @param password as `passwordOctets` gives it
 */
export function decryptKeystore(name: string, keystore: Keystore, password: Uint8Array): Uint8Array {
  const { kdf, checksum, cipher } = keystore.crypto;
  const derived = derive(kdf, password);
  try {
    const ciphertext = Buffer.from(cipher.message, "hex");
    if (checksumOf(derived, ciphertext) !== checksum.message.toLowerCase()) {
      throw new KeysError("WrongPassword", `${name}: the password is not the one it was encrypted with.`, { name });
    }
    const iv = Buffer.from(cipher.params.iv, "hex");
    const decipher = createDecipheriv("aes-128-ctr", derived.subarray(0, CIPHER_KEY_BYTES), iv);
    const plaintext = decipher.update(ciphertext); // a stream cipher: nothing is left for final()
    const secretKey = Uint8Array.from(plaintext);
    plaintext.fill(0);
    return checkKey(name, keystore, secretKey);
  } finally {
    derived.fill(0);
  }
}

export interface EncryptOptions {
  readonly kdf: KeyDerivation;
  /** EIP-2334 path; empty for a key that is of no mnemonic */
  readonly path: string;
}

/** @param password as `passwordOctets` gives it */
export function encryptKeystore(secretKey: Uint8Array, password: Uint8Array, { kdf, path }: EncryptOptions): object {
  const salt = randomBytes(SALT_BYTES).toString("hex");
  const iv = randomBytes(IV_BYTES);
  const module =
    kdf === "scrypt"
      ? ({ function: "scrypt", params: { ...SCRYPT, salt } } as const)
      : ({ function: "pbkdf2", params: { ...PBKDF2, salt } } as const);
  const derived = derive(module, password);
  try {
    const cipher = createCipheriv("aes-128-ctr", derived.subarray(0, CIPHER_KEY_BYTES), iv);
    const ciphertext = cipher.update(secretKey);
    return {
      crypto: {
        kdf: { ...module, message: "" },
        checksum: { function: "sha256", params: {}, message: checksumOf(derived, ciphertext) },
        cipher: { function: "aes-128-ctr", params: { iv: iv.toString("hex") }, message: ciphertext.toString("hex") },
      },
      description: "",
      pubkey: SecretKey.fromBytes(secretKey).toPublicKey().toHex().slice(2),
      path,
      uuid: randomUUID(),
      version: 4,
    };
  } finally {
    derived.fill(0);
  }
}

function derive({ function: name, params }: z.infer<typeof Kdf>, password: Uint8Array): Buffer {
  const salt = Buffer.from(params.salt, "hex");
  if (name === "pbkdf2") {
    return pbkdf2Sync(password, salt, params.c, params.dklen, "sha256");
  }
  const { n: N, r, p } = params;
  // OpenSSL counts some more than the 128 N r of the table
  return scryptSync(password, salt, params.dklen, { N, r, p, maxmem: 128 * r * (N + p + 4) });
}

function checksumOf(derived: Uint8Array, ciphertext: Uint8Array): string {
  return createHash("sha256")
    .update(derived.subarray(CIPHER_KEY_BYTES, DERIVED_BYTES))
    .update(ciphertext)
    .digest("hex");
}

function checkKey(name: string, keystore: Keystore, secretKey: Uint8Array): Uint8Array {
  const scalar = toScalar(secretKey);
  if (scalar === 0n || scalar >= SCALAR_FIELD_ORDER) {
    secretKey.fill(0);
    throw badFile(name, undefined, "crypto.cipher.message", "what it holds is no BLS secret key");
  }
  const said = publicKeyOf(keystore);
  const publicKey = SecretKey.fromBytes(secretKey).toPublicKey().toHex();
  if (said === null || said === publicKey) return secretKey;
  secretKey.fill(0);
  throw badFile(name, undefined, "pubkey", `it is ${said}, but the key it holds is that of ${publicKey}`);
}
