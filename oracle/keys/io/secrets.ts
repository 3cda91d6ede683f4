import { readFile, stat } from "node:fs/promises";
import type { ReadStream } from "node:tty";
import { codeOf } from "../../ops/errors.js";
import { KeysError } from "../errors.js";

/** No password or mnemonic is longer. */
const MAX_BYTES = 4_096;
const [CTRL_C, CTRL_D, BACKSPACE, LINE_FEED, CARRIAGE_RETURN, DELETE] = [3, 4, 8, 10, 13, 127];

/** A password or mnemonic from a file that its owner alone can read, without the line end. The caller overwrites it after use. */
export async function readSecretFile(path: string): Promise<Uint8Array> {
  let mode: number;
  let bytes: Buffer;
  try {
    const found = await stat(path);
    if (!found.isFile() || found.size > MAX_BYTES) {
      throw new KeysError("BadSecretFile", `${path} holds no password or mnemonic: it is no file of one line.`, {
        path,
      });
    }
    mode = found.mode;
    bytes = await readFile(path);
  } catch (cause) {
    if (cause instanceof KeysError) throw cause;
    throw new KeysError(
      "BadSecretFile",
      `${path} cannot be read (${codeOf(cause)}): name another file.`,
      { path },
      cause,
    );
  }
  if ((mode & 0o077) !== 0) {
    bytes.fill(0);
    throw new KeysError(
      "SecretExposed",
      `Other users of this machine can read ${path}: run chmod 600 on it, and if others had access replace what it holds.`,
      { path },
    );
  }
  const secret = Uint8Array.from(withoutLineEnd(bytes));
  bytes.fill(0);
  if (secret.length > 0) return secret;
  throw new KeysError("BadSecretFile", `${path} is empty: it should hold one line.`, { path });
}

/** Asks at the terminal, without showing what is typed. The caller overwrites it after use. */
export async function askSecret(
  question: string,
  input: ReadStream = process.stdin,
  output: { write(text: string): unknown } = process.stderr,
): Promise<Uint8Array> {
  if (!input.isTTY) {
    throw new KeysError("NoTerminal", `There is no terminal to ask for it (${question}): name a file that holds it.`);
  }
  input.setRawMode(true); // before it asks: the terminal shows what is typed until then
  output.write(`${question}: `);
  input.resume();
  const typed = Buffer.alloc(MAX_BYTES);
  try {
    const length = await readLine(input, typed);
    return Uint8Array.from(typed.subarray(0, length));
  } finally {
    typed.fill(0);
    input.setRawMode(false);
    output.write("\n");
  }
}

async function readLine(input: ReadStream, typed: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    let length = 0;
    const finish = (act: () => void): void => {
      input.off("data", read);
      input.pause();
      act();
    };
    const read = (data: Buffer | string): void => {
      const chunk = Buffer.from(data);
      for (const [at, byte] of chunk.entries()) {
        if (byte === CTRL_C || byte === CTRL_D) {
          finish(() => {
            reject(new KeysError("Cancelled", "Nothing was entered, and nothing was done."));
          });
          break;
        } else if (byte === LINE_FEED || byte === CARRIAGE_RETURN) {
          finish(() => {
            // what was typed ahead answers the next question
            if (at + 1 < chunk.length) input.unshift(Buffer.from(chunk.subarray(at + 1)));
            resolve(length);
          });
          break;
        } else if (byte === BACKSPACE || byte === DELETE) {
          // a character may be several octets: all of its continuation, then its head
          while (length > 0 && ((typed[length - 1] ?? 0) & 0xc0) === 0x80) length -= 1;
          length = Math.max(0, length - 1);
        } else if (length < typed.length) {
          typed[length++] = byte;
        }
      }
      chunk.fill(0);
    };
    input.on("data", read);
  });
}

function withoutLineEnd(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  if (bytes[end - 1] === LINE_FEED) end -= 1;
  if (bytes[end - 1] === CARRIAGE_RETURN) end -= 1;
  return bytes.subarray(0, end);
}
