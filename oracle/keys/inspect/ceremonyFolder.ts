import type { Dirent } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { codeOf } from "../../ops/errors.js";
import { parseDepositData } from "../depositData.js";
import { parseDkgProofs } from "../dkgProofs.js";
import { KeysError } from "../errors.js";
import { badFile, fieldOf, readJson, type FileItem } from "../files.js";
import type { KeyFiles } from "./keyFiles.js";
import { parseKeyShares } from "../keysharesJson.js";

const [DEPOSITS, SHARES, PROOFS] = ["deposit_data.json", "keyshares.json", "proofs.json"] as const;
const FILES: readonly string[] = [DEPOSITS, SHARES, PROOFS];
/** ssv-dkg writes it when it fails. */
const FAILED = "FAILED";
/** What file managers leave. */
const IGNORED = [".DS_Store", "Thumbs.db"];
const VALIDATOR_FOLDER = /^(\d{1,15})-(0x[0-9a-f]{96})$/;
/** Releases of the deposit tool before it are refused by the launchpad and by ssv-dkg. */
const MIN_DEPOSIT_CLI = [2, 7, 0];

interface ValidatorFolder {
  readonly name: string;
  readonly nonce: bigint;
  readonly publicKey: string;
}

/** The three files as they are, by name. */
type RawFiles = ReadonlyMap<string, unknown>;

/**
 * Reads the folder that ssv-dkg writes: a folder for each validator, and beside them, if they are several, what all of them have in one
 * file of each kind. What ssv-dkg asks of the folder itself is told as problems; its content is left to be judged.
 */
export async function readCeremonyFolder(folder: string): Promise<KeyFiles> {
  const problems: KeysError[] = [];
  /** Something that goes wrong is a problem, and the rest goes on. */
  const attempt = async <T>(read: () => T | Promise<T>): Promise<T | null> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof KeysError)) throw error;
      problems.push(error);
      return null;
    }
  };
  const { validators, aggregates } = await listFolder(folder, problems);
  const raws: RawFiles[] = [];
  const parts: ValidatorParts[] = [];
  for (const validator of validators) {
    const path = join(folder, validator.name);
    const raw = new Map<string, unknown>();
    for (const name of FILES) {
      const json = await attempt(() => readJson(join(path, name), z.unknown()));
      if (json !== null) raw.set(name, json);
    }
    raws.push(raw);
    parts.push(await readValidator(path, validator, raw, attempt));
  }
  if (validators.length > 1) {
    for (const name of FILES) await attempt(() => compareAggregate(join(folder, name), name, raws));
  } else if (aggregates.length > 0) {
    const why = `a ceremony of one validator has no files beside its folder, such as ${aggregates.join(", ")}`;
    problems.push(badFile(folder, undefined, "", why));
  }
  return {
    shares: parts.flatMap(({ shares }) => shares),
    deposits: parts.flatMap(({ deposits }) => deposits),
    proofs: parts.flatMap(({ proofs }) => proofs),
    problems,
  };
}

type ValidatorParts = {
  readonly [Kind in "shares" | "deposits" | "proofs"]: NonNullable<KeyFiles[Kind]>;
};

type Attempt = <T>(read: () => T | Promise<T>) => Promise<T | null>;

async function readValidator(
  path: string,
  { nonce, publicKey }: ValidatorFolder,
  raw: RawFiles,
  attempt: Attempt,
): Promise<ValidatorParts> {
  const parse = async <T>(
    name: string,
    read: (file: string, json: unknown) => FileItem<T>[],
  ): Promise<FileItem<T>[]> => {
    const [file, json] = [join(path, name), raw.get(name)];
    if (json === undefined) return [];
    const items = (await attempt(() => read(file, json))) ?? [];
    await attempt(() => {
      assertOnly(file, items, publicKey);
    });
    return items;
  };
  const shares = await parse(SHARES, parseKeyShares);
  const deposits = await parse(DEPOSITS, parseDepositData);
  const proofs = await parse(PROOFS, parseDkgProofs);
  await attempt(() => {
    const [item] = shares;
    const told = item === undefined || item.value instanceof KeysError ? nonce : item.value.ownerNonce;
    if (told === nonce) return;
    throw badFile(
      join(path, SHARES),
      0,
      "data.ownerNonce",
      `it is ${told ?? "none"}, but that of the folder is ${nonce}`,
    );
  });
  await attempt(() => {
    assertDepositCli(join(path, DEPOSITS), raw.get(DEPOSITS));
  });
  return { shares, deposits, proofs };
}

async function listFolder(
  folder: string,
  problems: KeysError[],
): Promise<{ validators: ValidatorFolder[]; aggregates: string[] }> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    const why = `it cannot be read as a folder (${codeOf(cause)}); name the ceremony-... folder that ssv-dkg wrote`;
    throw badFile(folder, undefined, "", why, cause);
  }
  const validators: ValidatorFolder[] = [];
  const aggregates: string[] = [];
  for (const entry of entries) {
    const { name } = entry;
    const [, nonce, publicKey] = VALIDATOR_FOLDER.exec(name) ?? [];
    if (entry.isDirectory() && nonce !== undefined && publicKey !== undefined) {
      validators.push({ name, nonce: BigInt(nonce), publicKey });
    } else if (entry.isFile() && FILES.includes(name)) aggregates.push(name);
    else if (entry.isFile() && name === FAILED) problems.push(await failure(join(folder, name)));
    else if (!IGNORED.some((ignored) => name.endsWith(ignored))) {
      problems.push(
        badFile(join(folder, name), undefined, "", "ssv-dkg writes no such thing into a ceremony's folder"),
      );
    }
  }
  if (validators.length === 0) {
    const why =
      "it has no folder of a validator (<nonce>-0x<public key>); name the ceremony-... folder that ssv-dkg wrote";
    problems.push(badFile(folder, undefined, "", why));
  }
  return { validators: validators.sort((a, b) => (a.nonce < b.nonce ? -1 : 1)), aggregates };
}

async function failure(path: string): Promise<KeysError> {
  const reason = (await readFile(path, "utf8")).slice(0, 200).replace(/\s+/g, " ").trim();
  return badFile(path, undefined, "", `the ceremony failed: ${reason}`);
}

/** A validator's files have that validator only. */
function assertOnly(file: string, items: readonly FileItem<unknown>[], publicKey: string): void {
  if (items.length !== 1) {
    throw badFile(file, undefined, "", `it has ${items.length} validators, and its folder is of one`);
  }
  const [item] = items;
  if (item?.publicKey === publicKey) return;
  throw badFile(file, 0, "", `it is of the validator ${item?.publicKey ?? "none"}, and its folder of ${publicKey}`);
}

function assertDepositCli(file: string, json: unknown): void {
  const version = fieldOf(Array.isArray(json) ? (json as unknown[])[0] : undefined, "deposit_cli_version");
  if (typeof version !== "string") return; // told already
  const numbers = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? [0, 0, 0];
  const at = MIN_DEPOSIT_CLI.findIndex((least, i) => numbers[i] !== least);
  if (at < 0 || (numbers[at] ?? 0) > (MIN_DEPOSIT_CLI[at] ?? 0)) return;
  throw badFile(file, 0, "deposit_cli_version", `it is ${version}, before ${MIN_DEPOSIT_CLI.join(".")}`);
}

/** The file beside the folders has what they have, in their order, and nothing else. */
async function compareAggregate(path: string, name: string, raws: readonly RawFiles[]): Promise<void> {
  const json = await readJson(path, z.unknown());
  const listed = name === SHARES ? fieldOf(json, "shares") : json;
  const items: unknown[] = Array.isArray(listed) ? listed : [];
  if (items.length !== raws.length) {
    throw badFile(path, undefined, "", `it has ${items.length} validators, and there are folders of ${raws.length}`);
  }
  items.forEach((item, i) => {
    const raw = raws[i]?.get(name);
    const single = name === SHARES ? fieldOf(raw, "shares") : raw;
    const own: unknown = name === PROOFS ? single : Array.isArray(single) ? (single as unknown[])[0] : undefined;
    if (raw !== undefined && !isDeepStrictEqual(item, own)) {
      throw badFile(path, i, "", "it is not what the validator's own folder has");
    }
  });
}
