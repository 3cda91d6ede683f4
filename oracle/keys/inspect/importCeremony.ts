import type { Config } from "../../config.js";
import { writeDepositData } from "../depositData.js";
import { KeysError } from "../errors.js";
import { writeJson } from "../files.js";
import type { ProgressStream } from "../io/progress.js";
import { fileTime, OutputFiles } from "../io/output.js";
import { writeKeyShares, type KeySharesItem } from "../keysharesJson.js";
import { readCeremonyFolder } from "./ceremonyFolder.js";
import { collate, type FoundValidator } from "./collate.js";
import { inspectFiles, isGood, type InspectOptions, type KeyReport } from "./inspect.js";

export interface ImportOptions extends InspectOptions {
  /** how many validators the ceremony was for */
  readonly count?: number;
  readonly out: string;
  readonly force?: boolean;
}

export interface Import {
  readonly report: KeyReport;
  /** what was written; nothing if anything is wrong */
  readonly paths: readonly string[];
}

/** Verifies the folder of a DKG ceremony, and writes what `keys publish` takes: one file of each kind for all its validators. */
export async function importCeremony(
  folder: string,
  options: ImportOptions,
  config: Config | null,
  progress: ProgressStream,
  now: Date,
): Promise<Import> {
  const read = await readCeremonyFolder(folder);
  const { count } = options;
  const found = collate(read);
  const missing =
    count === undefined || count === found.length
      ? []
      : [
          new KeysError("BadCount", `${folder} has ${found.length} validators, not ${count}: find the others.`, {
            folder,
          }),
        ];
  const report = await inspectFiles({ ...read, problems: [...read.problems, ...missing] }, options, config, progress);
  return { report, paths: isGood(report) ? await write(found, options, now) : [] };
}

async function write(found: readonly FoundValidator[], options: ImportOptions, now: Date): Promise<string[]> {
  const files = await OutputFiles.open(options.out, options.force === true);
  const name = (kind: string): string => `${kind}-${fileTime(now)}.json`;
  try {
    await files.add(name("deposit_data"), (path) =>
      writeDepositData(
        path,
        found.flatMap(({ deposit }) => deposit ?? []),
      ),
    );
    await files.add(name("proofs"), (path) =>
      writeJson(
        path,
        found.map(({ proofs }) => proofs),
      ),
    );
    await files.add(name("keyshares"), (path) => writeKeyShares(path, found.flatMap(ownedShares), now));
    return await files.commit();
  } finally {
    await files.discard();
  }
}

function ownedShares({ shares }: FoundValidator): KeySharesItem[] {
  if (shares === null) return [];
  const { ownerNonce, ownerAddress, ...rest } = shares;
  return ownerNonce === null || ownerAddress === null ? [] : [{ ...rest, ownerNonce, ownerAddress }];
}
