import { KeysError } from "./errors.js";
import { askSecret, readSecretFile } from "./io/secrets.js";
import { sharedSecret } from "./io/workers.js";
import { passwordOctets } from "./keystore.js";
import { seedOf } from "./mnemonic.js";

/**
 * The keystores' password, as EIP-2335 has it, from a file or the terminal. The caller overwrites it.
 * @param use a new one is asked for twice
 */
export async function askPassword(file: string | undefined, use: "new" | "existing"): Promise<Uint8Array> {
  const typed = file === undefined ? await askSecret("Password of the keystores") : await readSecretFile(file);
  try {
    if (file === undefined && use === "new") await assertRepeated(typed);
    return sharedSecret(passwordOctets(typed));
  } finally {
    typed.fill(0);
  }
}

/** The seed of a mnemonic from a file or the terminal. The caller overwrites it. */
export async function askMnemonic(file: string | undefined): Promise<Uint8Array> {
  const typed = file === undefined ? await askSecret("Mnemonic") : await readSecretFile(file);
  try {
    return sharedSecret(seedOf(typed));
  } finally {
    typed.fill(0);
  }
}

async function assertRepeated(typed: Uint8Array): Promise<void> {
  const again = await askSecret("The same password again");
  const isSame = Buffer.compare(typed, again) === 0;
  again.fill(0);
  if (!isSame) throw new KeysError("BadPassword", "The two passwords differ: nothing was made, try again.");
}
