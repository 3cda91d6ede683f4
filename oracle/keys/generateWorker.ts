import { SecretKey } from "@chainsafe/blst";
import { hexlify } from "ethers";
import { DEPOSIT_GWEI, signDeposit } from "./depositData.js";
import { KeysError } from "./errors.js";
import { serveTasks, type Work } from "./io/workers.js";
import { decryptKeystore, encryptKeystore, parseKeystore, type KeyDerivation } from "./keystore.js";
import { deriveKey } from "./mnemonic.js";
import type { PoolTerms } from "./poolTerms.js";
import { randomKey } from "./prepare.js";

export interface GenerateWork extends Work {
  readonly shared: {
    readonly seed: Uint8Array | null;
    readonly password: Uint8Array;
    readonly kdf: KeyDerivation;
    readonly terms: PoolTerms;
  };
  readonly task: {
    /** EIP-2334; null for a key of no mnemonic */
    readonly path: string | null;
  };
  readonly result: {
    readonly publicKey: string;
    readonly depositSignature: string;
    /** JSON */
    readonly keystore: string;
  };
}

serveTasks<GenerateWork>(({ seed, password, kdf, terms }, { path }, onStep) => {
  const secretKey = seed === null || path === null ? randomKey() : deriveKey(seed, path).toBytes();
  try {
    const keystore = JSON.stringify(encryptKeystore(secretKey, password, { kdf, path: path ?? "" }));
    assertDecrypts(keystore, password, secretKey);
    const { withdrawalCredentials, genesisForkVersion } = terms;
    const depositSignature = hexlify(
      signDeposit(secretKey, { withdrawalCredentials, amountGwei: DEPOSIT_GWEI, genesisForkVersion }),
    );
    onStep();
    return { publicKey: SecretKey.fromBytes(secretKey).toPublicKey().toHex(), depositSignature, keystore };
  } finally {
    secretKey.fill(0);
  }
});

/** A keystore may be the only copy of its key: it is proven to open before anything depends on it. */
function assertDecrypts(keystore: string, password: Uint8Array, secretKey: Uint8Array): void {
  const name = "the new keystore";
  const decrypted = decryptKeystore(name, parseKeystore(name, JSON.parse(keystore)), password);
  const isSame = Buffer.compare(decrypted, secretKey) === 0;
  decrypted.fill(0);
  if (isSame) return;
  throw new KeysError(
    "SelfCheckFailed",
    "A new keystore does not hold its key: use none of them and check the machine.",
  );
}
