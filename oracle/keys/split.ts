import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { codeOf } from "../ops/errors.js";
import { DEPOSIT_GWEI, readDepositData, writeDepositData } from "./depositData.js";
import { KeysError } from "./errors.js";
import { readJson } from "./files.js";
import { fileTime, OutputFiles } from "./io/output.js";
import { ProgressBar, type ProgressStream } from "./io/progress.js";
import { defaultThreads, inWorkers } from "./io/workers.js";
import { parseKeystore, publicKeyOf, type Keystore } from "./keystore.js";
import { readKeyShares, writeKeyShares, type ClusterOperator } from "./keysharesJson.js";
import type { PoolTerms } from "./poolTerms.js";
import { assertPreparable, type PreparedValidator } from "./prepare.js";
import type { SplitWork } from "./splitWorker.js";

/** A keystore has one kilobyte. */
const MAX_KEYSTORE_BYTES = 2 ** 16;
/** Validators whose signatures are verified in one batch. */
const BATCH = 32;

export interface SplitOptions {
  /** files, or folders of keystores */
  readonly keystores: readonly string[];
  /** as `passwordOctets` gives it */
  readonly password: Uint8Array;
  /** SSV owner of the cluster */
  readonly account: string;
  /** owner nonce of the first; the others follow in the order of the files' names */
  readonly firstNonce: bigint;
  /** ascending by id */
  readonly operators: readonly ClusterOperator[];
  readonly terms: PoolTerms;
  readonly folder: string;
  readonly force: boolean;
  readonly now: Date;
  readonly progress: ProgressStream;
  readonly threads?: number;
}

export interface SplitResult {
  readonly validators: readonly PreparedValidator[];
  /** `deposit_data`, then `keyshares` */
  readonly paths: readonly string[];
}

/**
 * Splits the keys of keystores among a cluster's operators and signs the deposits for the pool; what is made is verified as guardians
 * will, and only then written.
 */
export async function splitKeys(options: SplitOptions): Promise<SplitResult> {
  const { account, firstNonce, operators, terms, password, now } = options;
  const keystores = await readKeystores(options.keystores);
  assertPreparable({ ...terms, account, firstNonce, operators, count: keystores.length });

  const files = await OutputFiles.open(options.folder, options.force);
  const bar = new ProgressBar("Split and verified", keystores.length, options.progress);
  try {
    const depositFile = `deposit_data-${fileTime(now)}.json`;
    const sharesFile = `keyshares-${fileTime(now)}.json`;
    for (const name of [depositFile, sharesFile]) await files.assertFree(name);
    const threads = options.threads ?? defaultThreads();
    const batches = await inWorkers<SplitWork>({
      script: new URL("./splitWorker.ts", import.meta.url),
      shared: { password, account, operators, terms },
      tasks: batchesOf(keystores, firstNonce, Math.min(BATCH, Math.ceil(keystores.length / threads))),
      threads,
      onStep: () => {
        bar.advance();
      },
    });
    const validators = batches.flat();
    assertDistinct(validators.map(({ publicKey }, i) => ({ name: keystores[i]?.name ?? "", publicKey })));
    await files.add(depositFile, async (path) => {
      const deposits = validators.map(({ publicKey, depositSignature }) => ({
        ...{ publicKey, depositSignature, amountGwei: DEPOSIT_GWEI },
        ...terms,
      }));
      await writeDepositData(path, deposits);
      await readDepositData(path);
    });
    await files.add(sharesFile, async (path) => {
      const items = validators.map(({ ownerNonce, publicKey, sharesData }) => ({
        ...{ ownerNonce, ownerAddress: account, publicKey, sharesData },
        operators: [...operators],
      }));
      await writeKeyShares(path, items, now);
      await readKeyShares(path);
    });
    return { validators, paths: await files.commit() };
  } finally {
    bar.end();
    await files.discard();
  }
}

interface NamedKeystore {
  readonly name: string;
  readonly keystore: Keystore;
}

/** All keystores, checked as far as it goes without the password: a fault in the last must not cost the work on the others. */
async function readKeystores(paths: readonly string[]): Promise<NamedKeystore[]> {
  const found: NamedKeystore[] = [];
  for (const path of (await Promise.all(paths.map(keystoreFiles))).flat()) {
    const json = await readJson(path, z.unknown(), MAX_KEYSTORE_BYTES);
    found.push({ name: path, keystore: parseKeystore(path, json) });
  }
  assertDistinct(found.map(({ name, keystore }) => ({ name, publicKey: publicKeyOf(keystore) })));
  return found;
}

/** The file, or the files of a folder in whose name is "keystore", ordered as people count: 2 before 10. */
async function keystoreFiles(path: string): Promise<string[]> {
  let names: string[];
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    names = await readdir(path);
  } catch (cause) {
    throw new KeysError("NoKeystores", `${path} cannot be read (${codeOf(cause)}): name keystores or their folder.`, {
      path,
    });
  }
  const { compare } = new Intl.Collator("en", { numeric: true });
  const keystores = names.filter((name) => /keystore.*\.json$/i.test(basename(name))).sort(compare);
  if (keystores.length > 0) return keystores.map((name) => join(path, name));
  throw new KeysError("NoKeystores", `${path} has no keystores (keystore*.json): name them or their folder.`, { path });
}

function assertDistinct(keys: readonly { readonly name: string; readonly publicKey: string | null }[]): void {
  const seen = new Map<string, string>();
  for (const { name, publicKey } of keys) {
    if (publicKey === null) continue;
    const twin = seen.get(publicKey);
    if (twin !== undefined) {
      throw new KeysError(
        "DuplicateKey",
        `${twin} and ${name} hold the same key: two validators of one key are slashed. Leave one out.`,
        { files: [twin, name], publicKey },
      );
    }
    seen.set(publicKey, name);
  }
}

function batchesOf(keystores: readonly NamedKeystore[], firstNonce: bigint, size: number): SplitWork["task"][] {
  return Array.from({ length: Math.ceil(keystores.length / size) }, (_, i) => ({
    firstNonce: firstNonce + BigInt(i * size),
    keystores: keystores.slice(i * size, (i + 1) * size),
  }));
}
