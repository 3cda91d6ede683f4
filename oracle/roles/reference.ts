import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { timeOfSlot, type FrameConfig, type Head } from "../clock.js";
import type { PoolContracts } from "../execution/contracts.js";
import { readHead, type FailoverProvider } from "../execution/provider.js";
import { ServiceError } from "../ops/errors.js";

const FILE = "withdrawn.jsonl";
const record = z.object({ blockHash: z.string(), withdrawnWei: z.string().regex(/^\d+$/).transform(BigInt) });

/**
 * What had ever come to the withdrawal vault by a block: its balance and all that was swept before. Written down, by block hash,
 * while nodes still have the block's state, so no archive node is needed when the block is final and can be reported.
 */
export class WithdrawnRecords {
  readonly #file: string;
  readonly #byHash: Map<string, bigint>;

  constructor(dataDir: string) {
    mkdirSync(dataDir, { recursive: true });
    this.#file = path.join(dataDir, FILE);
    this.#byHash = load(this.#file);
  }

  get(blockHash: string): bigint | undefined {
    return this.#byHash.get(blockHash);
  }

  put(blockHash: string, withdrawnWei: bigint): void {
    const file = openSync(this.#file, "a", 0o600);
    try {
      writeSync(file, `\n${JSON.stringify({ blockHash, withdrawnWei: withdrawnWei.toString() })}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    this.#byHash.set(blockHash, withdrawnWei);
  }
}

/** What a service has written down, for whoever must not write. */
export function recordedWithdrawn(dataDir: string, blockHash: string): bigint | undefined {
  return load(path.join(dataDir, FILE)).get(blockHash);
}

function load(file: string): Map<string, bigint> {
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  const records = lines.flatMap((line) => record.safeParse(parseJson(line)).data ?? []);
  return new Map(records.map(({ blockHash, withdrawnWei }) => [blockHash, withdrawnWei]));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // empty, or torn by a crash: it is read from the chain again
  }
}

export async function readWithdrawn(
  provider: FailoverProvider,
  { poolManager, addresses }: PoolContracts,
  blockHash: string,
): Promise<bigint> {
  const [balance, { swept }] = await Promise.all([
    provider.getBalance(addresses.withdrawalVault, blockHash),
    poolManager.totals({ blockTag: blockHash }),
  ]);
  return balance + swept;
}

/**
 * The execution block of the reference block: the last one whose time is at or before that of the reference slot.
 *
 * @param guess number of the block it probably is: the one it was at the head before
 */
export async function referenceBlock(
  provider: FailoverProvider,
  frames: FrameConfig,
  refSlot: number,
  head: Head,
  guess?: number,
): Promise<Head> {
  const time = timeOfSlot(frames, refSlot);
  if (guess !== undefined && guess < head.number) {
    const [block, next] = await Promise.all([blockAt(provider, guess), blockAt(provider, guess + 1)]);
    if (block.timestamp <= time && time < next.timestamp) return block;
  }
  // a block a slot at most: the one looked for is not before `low`
  let low = Math.max(0, head.number - Math.ceil((head.timestamp - time) / Number(frames.secondsPerSlot)));
  let high = head.number;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((await blockAt(provider, middle)).timestamp <= time) low = middle;
    else high = middle - 1;
  }
  return blockAt(provider, low);
}

async function blockAt(provider: FailoverProvider, number: number): Promise<Head> {
  const block = await readHead(provider, number);
  if (block !== null) return block;
  throw new ServiceError("HeadMoved", `Block ${number} cannot be read; the next round tries again.`, { number });
}
