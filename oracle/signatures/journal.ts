import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { ServiceError } from "../ops/errors.js";

const line = z.object({ signer: z.string(), domain: z.string(), refSlot: z.number(), digest: z.string() });

/**
 * What this member signed, by reference slot. It is on the disk before a signature leaves the process, and a second, different
 * report for the same slot is refused, whatever restarted or reorganised in between.
 */
export class SigningJournal {
  readonly #file: string;
  readonly #digests = new Map<string, string>();

  constructor(dataDir: string) {
    mkdirSync(dataDir, { recursive: true });
    this.#file = path.join(dataDir, "signed-reports.jsonl");
    let text = "";
    try {
      text = readFileSync(this.#file, "utf8");
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    }
    // a line that a crash tore was never followed by a signature
    for (const entry of text.slice(0, text.lastIndexOf("\n") + 1).split("\n")) {
      if (entry === "") continue;
      const parsed = line.safeParse(parseJson(entry));
      if (parsed.success) this.#digests.set(keyOf(parsed.data), parsed.data.digest);
    }
  }

  /** Call before signing. Returns when the intent is on the disk; throws when another report was signed for the slot. */
  record(intent: { signer: string; domain: string; refSlot: number; digest: string; tableSha256: string }): void {
    const earlier = this.#digests.get(keyOf(intent));
    if (earlier === intent.digest) return;
    if (earlier !== undefined) {
      throw new ServiceError(
        "DoubleSigning",
        `A different report was already signed for reference slot ${intent.refSlot}; this one is not signed. Other members report this ` +
          "frame. Find out why the figures changed: another beacon node, a reorganisation of finalised blocks, or a new version.",
        { ...intent, earlier },
      );
    }
    const file = openSync(this.#file, "a", 0o600);
    try {
      // the leading line feed separates it from a line that a crash tore
      writeSync(file, `\n${JSON.stringify(intent)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    this.#digests.set(keyOf(intent), intent.digest);
  }
}

function keyOf({ signer, domain, refSlot }: { signer: string; domain: string; refSlot: number }): string {
  return `${domain}:${signer}:${refSlot}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // torn by a crash
  }
}
