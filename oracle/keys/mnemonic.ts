import { pbkdf2Sync } from "node:crypto";
import { SecretKey } from "@chainsafe/blst";
import { Mnemonic, wordlists } from "ethers";
import { KeysError } from "./errors.js";

/** BIP-39. */
const SEED_ROUNDS = 2_048;
const SEED_BYTES = 64;
/** EIP-2334: purpose and coin type. */
const PREFIX = [12_381, 3_600] as const;
const MAX_INDEX = 2 ** 32 - 1;

/** Path of the signing key of the validator with this index (EIP-2334). */
export function signingPath(index: number): string {
  return `m/${[...PREFIX, index, 0, 0].join("/")}`;
}

/**
 * The seed of a mnemonic of any of BIP-39's languages. The caller overwrites both.
 * @param typed the words as UTF-8
 */
export function seedOf(typed: Uint8Array): Uint8Array {
  const words = new TextDecoder().decode(typed).normalize("NFKD").trim().toLowerCase().split(/\s+/).join(" ");
  if (!Object.values(wordlists).some((list) => Mnemonic.isValidMnemonic(words, list))) {
    const count = words === "" ? 0 : words.split(" ").length;
    throw new KeysError(
      "BadMnemonic",
      `The mnemonic of ${count} words is none: a word is misspelt, missing or in another place. Compare it with what you wrote down.`,
    );
  }
  const octets = Buffer.from(words);
  try {
    return Uint8Array.from(pbkdf2Sync(octets, "mnemonic", SEED_ROUNDS, SEED_BYTES, "sha512"));
  } finally {
    octets.fill(0);
  }
}

/** EIP-2333. */
export function deriveKey(seed: Uint8Array, path: string): SecretKey {
  const [root, ...indices] = path.split("/");
  const steps = indices.map(Number);
  if (root !== "m" || !steps.every((index) => Number.isInteger(index) && index >= 0 && index <= MAX_INDEX)) {
    throw new KeysError("BadPath", `${path} is no path of EIP-2334: it is m and indices below 2^32.`, { path });
  }
  return steps.reduce((key, index) => key.deriveChildEip2333(index), SecretKey.deriveMasterEip2333(seed));
}
