import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import type { Head } from "../clock.js";
import { ServiceError } from "../ops/errors.js";
import type { ServiceLogger } from "../ops/logging.js";
import { comparePositions } from "../ssv/cluster.js";
import {
  decodeExitEvent,
  decodeRegistryEvent,
  decodeSSVEvent,
  EXIT_TOPICS,
  REGISTRY_TOPICS,
  SSV_TOPICS,
  type PoolEvent,
  type RawLog,
  type ExitEvent,
  type RegistryEvent,
} from "./events.js";
import { readAncestor, readHead, type FailoverProvider } from "./provider.js";

const CACHE_VERSION = 2;
/** Blocks asked for at once at first, and at most; halved when a node finds it too many, and a quarter more after each answer. */
const FIRST_RANGE = 50_000;
/** How often a long reading says how far it is. */
const PROGRESS_MS = 5_000;

export interface EventStoreOptions {
  readonly provider: FailoverProvider;
  readonly chainId: number;
  readonly registry: string;
  readonly validatorExits: string;
  readonly ssvNetwork: string;
  readonly fromBlock: number;
  readonly dataDir: string;
  readonly logger: ServiceLogger;
  /** Milliseconds on a clock that only goes forward. */
  readonly now?: () => number;
}

interface Segment {
  readonly to: number;
  readonly hash: string;
  readonly events: PoolEvent[];
}

/**
 * All events the services need. Those of finalised blocks are kept in a file, one line for each read, synchronised before they
 * count, so a crash costs at most the line it was writing; those after the finalised block are read anew every time, so no
 * reorganisation can leave a trace.
 */
export class EventStore {
  readonly #options: EventStoreOptions;
  readonly #file: string;
  readonly #events: PoolEvent[] = [];
  /** accounts of the registry, in those events */
  readonly #owners = new Set<string>();
  /** what was last told, and how much of it was final then */
  #told: { events: readonly PoolEvent[]; final: number } = { events: [], final: 0 };
  /** last block of the cache; null until it has been compared with the chain */
  #cached: { to: number; hash: string } | null = null;
  #loaded: Segment[] | null;
  #range = FIRST_RANGE;

  constructor(options: EventStoreOptions) {
    this.#options = options;
    mkdirSync(options.dataDir, { recursive: true });
    this.#file = path.join(options.dataDir, `events-${options.chainId}-${options.registry.toLowerCase()}.jsonl`);
    this.#loaded = this.#load();
  }

  /** All events up to `head`, in the order of the chain; the same array as long as nothing happens. */
  async read(head: Head, finalized: Head | null): Promise<readonly PoolEvent[]> {
    if (this.#loaded !== null) await this.#adopt(this.#loaded);
    const final = finalized === null || finalized.number > head.number ? null : finalized;
    if (final !== null) await this.#extend(final);
    const from = (this.#cached?.to ?? this.#options.fromBlock - 1) + 1;
    const recent = await this.#readRange(from, head.number);
    await readAncestor(this.#options.provider, head.number, head);
    if (!this.#isTold(recent)) {
      this.#told = { events: [...this.#events, ...recent], final: this.#events.length };
    }
    return this.#told.events;
  }

  #isTold(recent: readonly PoolEvent[]): boolean {
    const { events, final } = this.#told;
    if (events.length !== this.#events.length + recent.length) return false;
    return describe(events.slice(final)) === describe([...this.#events.slice(final), ...recent]);
  }

  #header(): string {
    const { chainId, registry, validatorExits, ssvNetwork, fromBlock } = this.#options;
    return JSON.stringify({ version: CACHE_VERSION, chainId, registry, validatorExits, ssvNetwork, fromBlock });
  }

  /** What the file holds of whole lines; a torn end is cut off, another pool's or version's file is started anew. */
  #load(): Segment[] {
    let octets: Buffer;
    try {
      octets = readFileSync(this.#file);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
      return [];
    }
    const [header, ...lines] = wholeLines(octets);
    if (header?.toString() !== this.#header()) {
      this.#options.logger.warn({ file: this.#file }, "the event cache is of other settings; reading events anew");
      truncateSync(this.#file, 0);
      return [];
    }
    const whole = octets.lastIndexOf(LINE_FEED) + 1;
    if (whole < octets.length) truncateSync(this.#file, whole);
    return lines.map((line, i) => {
      try {
        return segment.parse(JSON.parse(line.toString(), reviveBigint));
      } catch (cause) {
        throw new ServiceError(
          "LogCacheBroken",
          `Line ${i + 2} of ${this.#file} is broken. Delete the file; the events are read again from the chain.`,
          { file: this.#file, line: i + 2 },
          cause,
        );
      }
    });
  }

  /** Takes over the file's events if its last block is on the chain. */
  async #adopt(segments: readonly Segment[]): Promise<void> {
    const last = segments.at(-1);
    if (last !== undefined) {
      const block = await readHead(this.#options.provider, last.to);
      if (block?.hash === last.hash) {
        for (const { events } of segments) this.#remember(events);
        this.#cached = { to: last.to, hash: last.hash };
      } else {
        this.#options.logger.warn({ file: this.#file }, "the event cache is of another chain; reading events anew");
        truncateSync(this.#file, 0);
      }
    }
    this.#loaded = null;
  }

  async #extend(final: Head): Promise<void> {
    const first = (this.#cached?.to ?? this.#options.fromBlock - 1) + 1;
    const progress = new Progress(first, final.number, this.#options);
    let from = first;
    while (from <= final.number) {
      const to = Math.min(from + this.#range - 1, final.number);
      const events = await this.#readRange(from, to);
      // a node that took over and lags behind answers with what it has: kept is only what a node that has the end told
      const { hash } = await readAncestor(this.#options.provider, to, final);
      this.#append({ to, hash, events });
      progress.tell(to, this.#events.length);
      from = to + 1;
    }
  }

  #remember(events: readonly PoolEvent[]): void {
    for (const event of events) {
      this.#events.push(event);
      if (event.type === "AccountAdded") this.#owners.add(event.address);
    }
  }

  #append(added: Segment): void {
    const isNew = this.#cached === null;
    const line = JSON.stringify(added, writeBigint);
    const file = openSync(this.#file, isNew ? "w" : "a", 0o600);
    try {
      writeSync(file, `${isNew ? `${this.#header()}\n` : ""}${line}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    this.#remember(added.events);
    this.#cached = { to: added.to, hash: added.hash };
  }

  async #readRange(first: number, last: number): Promise<PoolEvent[]> {
    const found: PoolEvent[][] = [];
    const owners = new Set(this.#owners);
    let from = first;
    while (from <= last) {
      const to = Math.min(from + this.#range - 1, last);
      try {
        found.push(await this.#readOnce(from, to, owners));
        from = to + 1;
        this.#range = Math.min(FIRST_RANGE, this.#range + Math.ceil(this.#range / 4));
      } catch (error) {
        if (from === to || error instanceof ServiceError) throw error;
        this.#range = Math.max(1, Math.floor((to - from + 1) / 2));
        this.#options.logger.debug({ error, range: this.#range }, "asking for fewer blocks of events at once");
      }
    }
    return found.flat();
  }

  /** @param owners accounts of the registry before; those of this range are added */
  async #readOnce(from: number, to: number, owners: Set<string>): Promise<PoolEvent[]> {
    const { registry, validatorExits, ssvNetwork } = this.#options;
    const [registryLogs, exitLogs, ssvLogs] = await Promise.all([
      this.#getLogs(registry, REGISTRY_TOPICS, from, to),
      this.#getLogs(validatorExits, EXIT_TOPICS, from, to),
      this.#getLogs(ssvNetwork, SSV_TOPICS, from, to),
    ]);
    const ours: RegistryEvent[] = registryLogs.flatMap((log) => decodeRegistryEvent(log) ?? []);
    for (const event of ours) if (event.type === "AccountAdded") owners.add(event.address);
    const theirs = ssvLogs
      .flatMap((log) => decodeSSVEvent(log) ?? [])
      // every registration counts, since SSV's nodes keep the first valid one of a key; clusters only if they are ours
      .filter((event) => event.type !== "ClusterChanged" || owners.has(event.owner));
    const exits: ExitEvent[] = exitLogs.flatMap((log) => decodeExitEvent(log) ?? []);
    return [...ours, ...exits, ...theirs].sort(comparePositions);
  }

  async #getLogs(address: string, topics: readonly string[], from: number, to: number): Promise<RawLog[]> {
    return getLogs(this.#options.provider, { address, topics: [topics] }, from, to);
  }
}

const quantity = z.string().transform(Number);
const rawLogs = z.array(
  z
    .object({
      address: z.string(),
      topics: z.array(z.string()),
      data: z.string(),
      blockNumber: quantity,
      transactionIndex: quantity,
      logIndex: quantity,
    })
    .transform(({ address, topics, data, blockNumber, transactionIndex, logIndex }) => ({
      address,
      topics,
      data,
      block: blockNumber,
      transaction: transactionIndex,
      log: logIndex,
    })),
);

export async function getLogs(
  provider: FailoverProvider,
  filter: { address: string; topics: readonly (readonly string[])[] },
  from: number,
  to: number,
): Promise<RawLog[]> {
  if (from > to) return [];
  const range = { fromBlock: `0x${from.toString(16)}`, toBlock: `0x${to.toString(16)}` };
  return rawLogs.parse(await provider.send("eth_getLogs", [{ ...filter, ...range }]));
}

/** Blocks asked for at once at first; halved when a node finds it too many. Few events match, so it may be many. */
const WIDE_RANGE = 500_000;

/** Logs of many blocks, of a filter that few match. */
export async function getLogsInRanges(
  provider: FailoverProvider,
  filter: Parameters<typeof getLogs>[1],
  fromBlock: number,
  toBlock: number,
): Promise<RawLog[]> {
  const logs: RawLog[] = [];
  let range = WIDE_RANGE;
  for (let from = fromBlock; from <= toBlock;) {
    const to = Math.min(from + range - 1, toBlock);
    try {
      logs.push(...(await getLogs(provider, filter, from, to)));
      from = to + 1;
    } catch (error) {
      // nodes limit how many blocks they search at once, each in its own words
      if (from === to || error instanceof ServiceError) throw error;
      range = Math.max(1, Math.floor((to - from + 1) / 2));
    }
  }
  return logs;
}

const LINE_FEED = 10;

/** A line at a time: a pool's file may be longer than strings can be. */
function wholeLines(octets: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let from = 0;
  for (;;) {
    const end = octets.indexOf(LINE_FEED, from);
    if (end < 0) return lines;
    lines.push(octets.subarray(from, end));
    from = end + 1;
  }
}

/** Says how far a long reading is, for whoever waits for it. */
class Progress {
  readonly #first: number;
  readonly #last: number;
  readonly #logger: ServiceLogger;
  readonly #now: () => number;
  readonly #begun: number;
  #told: number;

  constructor(
    first: number,
    last: number,
    { logger, now = () => performance.now() }: Pick<EventStoreOptions, "logger" | "now">,
  ) {
    this.#first = first;
    this.#last = last;
    this.#logger = logger;
    this.#now = now;
    this.#begun = now();
    this.#told = this.#begun;
  }

  tell(block: number, events: number): void {
    const now = this.#now();
    const isLong = this.#told > this.#begun;
    if (now - this.#told < PROGRESS_MS && !(isLong && block === this.#last)) return;
    this.#told = now;
    const [read, blocks] = [block - this.#first + 1, this.#last - this.#first + 1];
    const seconds = Math.round((now - this.#begun) / 1_000);
    const left = Math.ceil((seconds * (blocks - read)) / read);
    this.#logger.info(
      { block, last: this.#last, events, seconds },
      read === blocks
        ? `read the events of ${blocks} blocks: ${events} in ${seconds} s`
        : `reading events: ${read} of ${blocks} blocks (${Math.floor((100 * read) / blocks)} %), ${events} events, about ${left} s left`,
    );
  }
}

function describe(events: readonly PoolEvent[]): string {
  return JSON.stringify(events, writeBigint);
}

const segment = z.object({ to: z.int(), hash: z.string(), events: z.array(z.custom<PoolEvent>(isEvent)) });

function isEvent(value: unknown): boolean {
  return typeof value === "object" && value !== null && "type" in value && "block" in value;
}

function writeBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : value;
}

function reviveBigint(_key: string, value: unknown): unknown {
  return typeof value === "string" && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value;
}
