import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, link, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { codeOf } from "../../ops/errors.js";
import { KeysError } from "../errors.js";

/** File systems without hard links, such as those of memory sticks. */
const NO_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"];

/**
 * The files that one command makes, all or none: they are written whole beside their places, for their owner alone, and get their
 * names only when everything is ready. A command that is killed leaves no more than a hidden folder.
 */
export class OutputFiles {
  readonly #folder: string;
  readonly #staging: string;
  readonly #force: boolean;
  readonly #names: string[] = [];

  private constructor(folder: string, force: boolean) {
    this.#folder = folder;
    this.#staging = join(folder, `.pooleth-${randomBytes(6).toString("hex")}`);
    this.#force = force;
  }

  /** @param force lets existing files be replaced */
  static async open(folder: string, force: boolean): Promise<OutputFiles> {
    const files = new OutputFiles(folder, force);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await mkdir(files.#staging, { mode: 0o700 });
    } catch (cause) {
      throw new KeysError(
        "FolderUnusable",
        `Nothing can be written to ${folder} (${codeOf(cause)}): name another folder, or mend its permissions.`,
        { folder },
        cause,
      );
    }
    return files;
  }

  /** Refuses before the work what would be refused after it. */
  async assertFree(name: string): Promise<void> {
    if (!this.#force && (await exists(join(this.#folder, name)))) throw fileExists(join(this.#folder, name));
  }

  /** @param write makes the file at the path that it is given */
  async add(name: string, write: (path: string) => Promise<void>): Promise<void> {
    await this.assertFree(name);
    await write(join(this.#staging, name));
    this.#names.push(name);
  }

  /** Gives all files their names, in the order in which they were added, and tells their paths. */
  async commit(): Promise<string[]> {
    for (const name of this.#names) await this.assertFree(name);
    const paths: string[] = [];
    for (const name of this.#names) {
      const path = join(this.#folder, name);
      await (this.#force ? rename(join(this.#staging, name), path) : placeNew(join(this.#staging, name), path));
      paths.push(path);
    }
    await syncFolder(this.#folder);
    await this.discard();
    return paths;
  }

  /** Removes what was not committed. */
  async discard(): Promise<void> {
    await rm(this.#staging, { recursive: true, force: true });
  }
}

/** How the field's tools tell the time in a file's name: in seconds. */
export function fileTime(time: Date): string {
  return String(Math.floor(time.getTime() / 1_000));
}

/** Writes a new file for its owner alone, and has it on the disk before it returns. An existing one is never replaced. */
export async function writeNewFile(path: string, text: string): Promise<void> {
  let file;
  try {
    file = await open(path, "wx", 0o600);
  } catch (cause) {
    if (codeOf(cause) === "EEXIST") throw fileExists(path, cause);
    throw cause;
  }
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A link, unlike a rename, never replaces what somebody put there meanwhile. */
async function placeNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (cause) {
    if (codeOf(cause) === "EEXIST") throw fileExists(to, cause);
    if (!NO_LINKS.includes(codeOf(cause))) throw cause;
    await rename(from, to);
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function fileExists(path: string, cause?: unknown): KeysError {
  return new KeysError(
    "FileExists",
    `${path} exists and is not replaced: move it away or name another folder, or replace it with --force.`,
    { path },
    cause,
  );
}
