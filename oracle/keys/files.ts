import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { KeysError } from "./errors.js";
import { writeNewFile } from "./io/output.js";
import { repeatedName } from "./repeatedName.js";

/** A file of 10,000 validators is a third of it. */
const MAX_BYTES = 128 * 2 ** 20;

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
export async function readJson<T extends z.ZodType>(
  path: string,
  schema: T,
  maxBytes = MAX_BYTES,
): Promise<z.output<T>> {
  let json: unknown;
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new Error("it is no file");
    if (found.size > maxBytes) throw new Error(`it has ${found.size} octets, more than any such file`);
    const text = await readFile(path, "utf8");
    json = JSON.parse(text);
    const name = repeatedName(text);
    if (name !== null) throw new Error(`the name ${JSON.stringify(name)} is twice in one object, and readers choose`);
  } catch (cause) {
    throw new KeysError("BadFile", `${path} cannot be read as JSON: ${messageOf(cause)}.`, { path }, cause);
  }
  return parseJson(path, json, schema);
}

/** @param inItem which item of the file `json` is, where it is one */
export function parseJson<T extends z.ZodType>(path: string, json: unknown, schema: T, inItem?: number): z.output<T> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const at = [...(inItem === undefined ? [] : [inItem]), ...(issue?.path ?? [])];
  const index = at.findIndex((part) => typeof part === "number");
  const item = index < 0 ? undefined : Number(at[index]);
  const field = at.slice(index + 1).join(".");
  throw badFile(path, item, field, issue?.message ?? "it has another shape");
}

/** An item of a file: what it says, or why it cannot be used. */
export interface FileItem<T> {
  readonly file: string;
  /** position in the file */
  readonly index: number;
  /** of the validator, lower case with 0x; null where not even that can be read */
  readonly publicKey: string | null;
  readonly value: T | KeysError;
}

export function fileItem<T>(file: string, index: number, publicKey: unknown, read: () => T): FileItem<T> {
  const digits = typeof publicKey === "string" ? /^(?:0x)?([0-9a-f]{96})$/i.exec(publicKey)?.[1] : undefined;
  const place = { file, index, publicKey: digits === undefined ? null : `0x${digits.toLowerCase()}` };
  try {
    return { ...place, value: read() };
  } catch (error) {
    if (error instanceof KeysError) return { ...place, value: error };
    throw error;
  }
}

/** What all items say; the first that cannot be used is thrown. */
export function valuesOf<T>(items: readonly FileItem<T>[]): T[] {
  return items.map(({ value }) => {
    if (value instanceof KeysError) throw value;
    return value;
  });
}

/** What something that may be an object has under a name. */
export function fieldOf(json: unknown, name: string): unknown {
  return typeof json === "object" && json !== null ? Object.getOwnPropertyDescriptor(json, name)?.value : undefined;
}

/** Writes a new file. An existing one is never replaced: it may be the only copy of published KeyShares. */
export async function writeJson(path: string, json: unknown): Promise<void> {
  await writeNewFile(path, `${JSON.stringify(json, null, 2)}\n`);
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
    `${path}${where === "" ? "" : `, ${where}`}: ${why.replace(/\.$/, "")}. Get the file again from the tool that made it.`,
    { path, item, field },
    cause,
  );
}

/** A parser would quote what it read, which may be a secret of somebody who named the wrong file. */
function messageOf(error: unknown): string {
  if (error instanceof SyntaxError) return "it is not JSON";
  return error instanceof Error ? error.message : String(error);
}
