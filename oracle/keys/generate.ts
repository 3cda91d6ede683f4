import { writeDepositData, DEPOSIT_GWEI, readDepositData } from "./depositData.js";
import { KeysError } from "./errors.js";
import type { GenerateWork } from "./generateWorker.js";
import { fileTime, OutputFiles, writeNewFile } from "./io/output.js";
import { ProgressBar, type ProgressStream } from "./io/progress.js";
import { inWorkers } from "./io/workers.js";
import type { KeyDerivation } from "./keystore.js";
import { signingPath } from "./mnemonic.js";
import type { PoolTerms } from "./poolTerms.js";

/** Shorter ones are guessed; the field's tools ask for as many. */
const MIN_PASSWORD_OCTETS = 12;
const MAX_COUNT = 10_000;

export interface GenerateOptions {
  readonly count: number;
  /** Index of the first key of the mnemonic (EIP-2334). */
  readonly startIndex: number;
  /** Seed of a mnemonic; null for keys from the operating system's generator. */
  readonly seed: Uint8Array | null;
  /** as `passwordOctets` gives it */
  readonly password: Uint8Array;
  readonly kdf: KeyDerivation;
  readonly terms: PoolTerms;
  readonly folder: string;
  readonly force: boolean;
  readonly now: Date;
  readonly progress: ProgressStream;
  readonly threads?: number;
}

export interface Generated {
  readonly publicKeys: readonly string[];
  /** `deposit_data` is the last */
  readonly paths: readonly string[];
}

/**
 * Makes keys, and for each a keystore and a deposit for the pool. Every keystore is decrypted again before it counts, and the deposits are
 * read back and verified; then all files appear at once.
 */
export async function generateKeys(options: GenerateOptions): Promise<Generated> {
  const { count, startIndex, seed, password, kdf, terms, now } = options;
  if (!Number.isInteger(count) || count < 1 || count > MAX_COUNT) {
    throw new KeysError("BadCount", `${count} is no number of keys to make at once: give one from 1 to ${MAX_COUNT}.`);
  }
  if (password.length < MIN_PASSWORD_OCTETS) {
    throw new KeysError(
      "BadPassword",
      `The password is too short: the keystores are all that guards the keys, so take ${MIN_PASSWORD_OCTETS} characters or more.`,
    );
  }
  const files = await OutputFiles.open(options.folder, options.force);
  const bar = new ProgressBar("Keys", count, options.progress);
  try {
    const depositFile = `deposit_data-${fileTime(now)}.json`;
    await files.assertFree(depositFile);
    const tasks = Array.from({ length: count }, (_, i): GenerateWork["task"] => {
      return { path: seed === null ? null : signingPath(startIndex + i) };
    });
    const keys = await inWorkers<GenerateWork>({
      script: new URL("./generateWorker.ts", import.meta.url),
      shared: { seed, password, kdf, terms },
      tasks,
      threads: options.threads,
      onStep: () => {
        bar.advance();
      },
    });
    for (const [i, key] of keys.entries()) {
      const name = keystoreName(tasks[i]?.path ?? null, key.publicKey, now);
      await files.add(name, (path) => writeNewFile(path, `${key.keystore}\n`));
    }
    await files.add(depositFile, async (path) => {
      const deposits = keys.map(({ publicKey, depositSignature }) => ({
        ...{ publicKey, depositSignature, amountGwei: DEPOSIT_GWEI },
        ...terms,
      }));
      await writeDepositData(path, deposits);
      await readDepositData(path);
    });
    return { publicKeys: keys.map(({ publicKey }) => publicKey), paths: await files.commit() };
  } finally {
    bar.end();
    await files.discard();
  }
}

/** Names as the field's tools give them; a key of no mnemonic is named after itself. */
function keystoreName(path: string | null, publicKey: string, now: Date): string {
  return `keystore-${path?.replaceAll("/", "_") ?? publicKey}-${fileTime(now)}.json`;
}
