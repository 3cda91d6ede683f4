import { z } from "zod";
import { parseDepositData, type DepositDataItem } from "../depositData.js";
import { parseDkgProofs, type DkgProof } from "../dkgProofs.js";
import { KeysError } from "../errors.js";
import { badFile, fieldOf, readJson, type FileItem } from "../files.js";
import { parseKeyShares, type FoundKeyShares } from "../keysharesJson.js";

/** What some files say of validators, in the order of the files; null for a kind of which there was none. */
export interface KeyFiles {
  readonly shares: readonly FileItem<FoundKeyShares>[] | null;
  readonly deposits: readonly FileItem<DepositDataItem>[] | null;
  readonly proofs: readonly FileItem<DkgProof[]>[] | null;
  /** of files that cannot be used at all */
  readonly problems: readonly KeysError[];
}

/** Reads KeyShares, deposit data and DKG proofs; which a file is, it tells by its content. */
export async function readKeyFiles(paths: readonly string[]): Promise<KeyFiles> {
  let files: KeyFiles = { shares: null, deposits: null, proofs: null, problems: [] };
  for (const path of paths) {
    try {
      files = withFile(files, path, await readJson(path, z.unknown()));
    } catch (error) {
      if (!(error instanceof KeysError)) throw error;
      files = { ...files, problems: [...files.problems, error] };
    }
  }
  return files;
}

/** The same with what one more file says. */
export function withFile(files: KeyFiles, path: string, json: unknown): KeyFiles {
  if (Array.isArray(json)) {
    const [first] = json as unknown[];
    const isProofs = Array.isArray(first) || fieldOf(first, "proof") !== undefined;
    return isProofs
      ? { ...files, proofs: [...(files.proofs ?? []), ...parseDkgProofs(path, json)] }
      : { ...files, deposits: [...(files.deposits ?? []), ...parseDepositData(path, json)] };
  }
  if (fieldOf(json, "crypto") !== undefined) {
    throw badFile(path, undefined, "", "it is a keystore, the secret key of a validator, and none of what is verified");
  }
  if (fieldOf(json, "shares") === undefined && fieldOf(json, "payload") === undefined) {
    throw badFile(path, undefined, "", "it is neither KeyShares nor deposit data nor DKG proofs");
  }
  return { ...files, shares: [...(files.shares ?? []), ...parseKeyShares(path, json)] };
}
