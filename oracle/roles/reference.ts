import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { slotAt, timeOfSlot, type FrameConfig, type Head } from "../clock.js";
import type { PoolContracts } from "../execution/contracts.js";
import { isNotServed, readHead, type FailoverProvider } from "../execution/provider.js";
import {
  provenWithdrawnWei,
  readStateRoot,
  readVaultProof,
  vaultProofSchema,
  type VaultProof,
} from "../execution/vaultProof.js";
import { ServiceError } from "../ops/errors.js";

const FILE = "withdrawn.jsonl";
const line = z.object({
  blockHash: z.string(),
  withdrawnWei: z.string().regex(/^\d+$/).transform(BigInt),
  proof: vaultProofSchema,
});
/** Frames go by, and a proof is large: more records than this are cut to half of it. */
const MOST_RECORDS = 64;
/** Slots at the end of a frame: the reference block is the last of them that has a block. */
const RECORDED_SLOTS = 4;

/** What had ever come to the vault by a block, as an execution node says, with its proof if the node gave one. */
export interface Withdrawn {
  readonly withdrawnWei: bigint;
  readonly proof: VaultProof | null;
}

/** What is worth writing down: a word without a proof is worth nothing later. */
export interface WithdrawnRecord extends Withdrawn {
  readonly proof: VaultProof;
}

/**
 * What had ever come to the withdrawal vault by a block: its balance and all that was swept before. Written down, by block hash,
 * while nodes still have the block's state, so no archive node is needed when the block is final and can be reported.
 */
export class WithdrawnRecords {
  readonly #file: string;
  #byHash: Map<string, WithdrawnRecord>;

  constructor(dataDir: string) {
    mkdirSync(dataDir, { recursive: true });
    this.#file = path.join(dataDir, FILE);
    this.#byHash = load(this.#file);
  }

  get(blockHash: string): WithdrawnRecord | undefined {
    return this.#byHash.get(blockHash);
  }

  put(blockHash: string, record: WithdrawnRecord): void {
    this.#byHash.set(blockHash, record);
    if (this.#byHash.size <= MOST_RECORDS) {
      write(this.#file, "a", [[blockHash, record]]);
      return;
    }
    this.#byHash = new Map([...this.#byHash].slice(-MOST_RECORDS / 2));
    write(`${this.#file}.new`, "w", [...this.#byHash]);
    renameSync(`${this.#file}.new`, this.#file);
  }
}

/** What a service has written down, for whoever must not write. */
export function recordedWithdrawn(dataDir: string, blockHash: string): WithdrawnRecord | undefined {
  return load(path.join(dataDir, FILE)).get(blockHash);
}

/** A leading line feed separates a record from one that a crash tore. */
function write(name: string, flags: "a" | "w", records: readonly (readonly [string, WithdrawnRecord])[]): void {
  const file = openSync(name, flags, 0o600);
  try {
    for (const [blockHash, { withdrawnWei, proof }] of records) {
      writeSync(file, `\n${JSON.stringify({ blockHash, withdrawnWei: withdrawnWei.toString(), proof })}\n`);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function load(file: string): Map<string, WithdrawnRecord> {
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  const records = lines.flatMap((text) => line.safeParse(parseJson(text)).data ?? []);
  return new Map(records.map(({ blockHash, ...record }) => [blockHash, record]));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // empty, or torn by a crash: it is read from the chain again
  }
}

/** Whether the head may prove to be its frame's reference block: only while it is the head do all nodes prove its state. */
export function mayBecomeReference(frames: FrameConfig, head: Head): boolean {
  const slotsPerFrame = Number(frames.slotsPerFrame);
  return slotAt(frames, head.timestamp) % slotsPerFrame >= slotsPerFrame - RECORDED_SLOTS;
}

/**
 * Asks one execution node after the other until what one says is what it proves. If none does, the best there is: a word that its
 * own proof contradicts, or one without a proof; null if no node has the block's state any more.
 *
 * @param stateRoot the block's, if it is known for certain; else each node is asked for it
 */
export async function readWithdrawn(
  provider: FailoverProvider,
  contracts: PoolContracts,
  block: { readonly hash: string; readonly stateRoot?: string },
): Promise<Withdrawn | null> {
  const answers: Withdrawn[] = [];
  let unreachable: ServiceError | null = null;
  for (const node of provider.alone) {
    try {
      const answer = await readFrom(node, contracts, block.hash);
      const stateRoot = block.stateRoot ?? (await readStateRoot(node, block.hash));
      if ((await isProven(answer, stateRoot, contracts.addresses)) === true) return answer;
      answers.push(answer);
    } catch (error) {
      // a node that does not have the state has nothing to say
      if (error instanceof ServiceError && !isNotServed(error)) unreachable = error;
    }
  }
  if (answers.length === 0 && unreachable !== null) throw unreachable;
  return answers.find(({ proof }) => proof !== null) ?? answers[0] ?? null;
}

async function readFrom(
  node: FailoverProvider,
  { poolManager, addresses }: PoolContracts,
  hash: string,
): Promise<Withdrawn> {
  const [balance, { swept }, proof] = await Promise.all([
    node.getBalance(addresses.withdrawalVault, hash),
    poolManager.connect(node).totals({ blockTag: hash }),
    readVaultProof(node, addresses, hash).catch((error: unknown) => {
      if (error instanceof ServiceError && !isNotServed(error)) throw error;
      return null; // it proves newer states only, or none
    }),
  ]);
  return { withdrawnWei: balance + swept, proof };
}

/** Whether a record is what a state root has; null while it has no proof. */
export async function isProven(
  { withdrawnWei, proof }: Withdrawn,
  stateRoot: string,
  addresses: PoolContracts["addresses"],
): Promise<boolean | null> {
  if (proof === null) return null;
  return (await provenWithdrawnWei(stateRoot, addresses, proof)) === withdrawnWei;
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
