import { readFile, writeFile } from "node:fs/promises";
import { z } from "zod";
import { KeysError } from "./errors.js";

/** Hex of exactly so many bytes, without 0x. */
export function bareHex(bytes: number) {
  return z.string().regex(new RegExp(`^[0-9a-fA-F]{${2 * bytes}}$`), `must be ${2 * bytes} hex digits without 0x`);
}

/** Hex of exactly so many bytes (of any number when left out), with 0x. */
export function prefixedHex(bytes?: number) {
  return bytes === undefined
    ? z.string().regex(/^0x(?:[0-9a-fA-F]{2})*$/, "must be hex with 0x")
    : z.string().regex(new RegExp(`^0x[0-9a-fA-F]{${2 * bytes}}$`), `must be 0x and ${2 * bytes} hex digits`);
}

/** Reads a JSON file of the given shape; what does not fit is named by file, item and field. */
export async function readJson<T extends z.ZodType>(path: string, schema: T): Promise<z.output<T>> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new KeysError("BadFile", `${path} cannot be read as JSON: ${messageOf(cause)}.`, { path }, cause);
  }
  return parseJson(path, json, schema);
}

export function parseJson<T extends z.ZodType>(path: string, json: unknown, schema: T): z.output<T> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const at = issue?.path ?? [];
  const index = at.findIndex((part) => typeof part === "number");
  const item = index < 0 ? undefined : Number(at[index]);
  const field = at.slice(index + 1).join(".");
  throw badFile(path, item, field, issue?.message ?? "it has another shape");
}

/** Writes a new file. An existing one is never replaced: it may be the only copy of published KeyShares. */
export async function writeJson(path: string, json: unknown): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(json, null, 2)}\n`, { flag: "wx" });
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") {
      throw new KeysError(
        "FileExists",
        `${path} exists and is not replaced: move it away or name another file.`,
        { path },
        cause,
      );
    }
    throw cause;
  }
}

export function badFile(
  path: string,
  item: number | undefined,
  field: string,
  why: string,
  cause?: unknown,
): KeysError {
  const where = [item === undefined ? "" : `item ${item}`, field === "" ? "" : `field ${field}`]
    .filter(Boolean)
    .join(", ");
  return new KeysError(
    "BadFile",
    `${path}${where === "" ? "" : `, ${where}`}: ${why}. Get the file again from the tool that made it.`,
    { path, item, field },
    cause,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
