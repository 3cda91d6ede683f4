import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { hasher as nobleHasher } from "@chainsafe/persistent-merkle-tree/hasher/noble";
import type { ValueOf } from "@chainsafe/ssz";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { ssz } from "@lodestar/types";
import axios from "axios";
import { BeaconClient } from "../../../oracle/beacon/client.js";
import { nativeHasher, portableHasher, useHasher, type Hasher } from "../../../oracle/beacon/hasher.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import { PubkeyIndex } from "../../../oracle/beacon/pubkeyIndex.js";
import { headerRoot, readVerifiedState } from "../../../oracle/beacon/readVerified.js";
import type { StateParts } from "../../../oracle/beacon/stateParts.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";

/** One way of reading what a pool needs, in a process of its own: what it found, how long it took and the memory it had at most. */

export interface Task {
  readonly way: "this" | "proofs" | "struct" | "view" | "json" | "hashes";
  readonly hasher: "hashtree" | "as-sha256" | "noble";
  readonly url: string;
  readonly folder: string;
  readonly keys: string;
  /** How often it reads, one time after another; once unless said otherwise. */
  readonly reads?: number;
}

/** What was found, in gwei where it is an amount. */
export interface Figures {
  readonly poolValidators: number;
  readonly poolBalance: string;
  readonly activeBalance: string;
  readonly slashingsSum?: string;
  readonly stateRoot?: string;
}

export type Outcome =
  | { readonly error: string }
  | {
      readonly figures: Figures;
      readonly seconds: readonly number[];
      /** Of the processor, which do not depend on what else the machine does. */
      readonly cpuSeconds: readonly number[];
      readonly peakMiB: number;
      /** Of the fastest hasher there is, on this core, right after. */
      readonly nanosecondsPerHash: number;
      readonly hashes?: number;
    };

const STATE = ssz.fulu.BeaconState;
type State = ValueOf<typeof STATE>;

const [text = "{}"] = process.argv.slice(2);
const task = JSON.parse(text) as Task;
const hashers: Readonly<Record<Task["hasher"], Hasher | undefined>> = {
  hashtree: nativeHasher,
  "as-sha256": portableHasher,
  noble: nobleHasher,
};

const sum = (amounts: Iterable<bigint | number>): bigint => {
  let total = 0n;
  for (const amount of amounts) total += BigInt(amount);
  return total;
};

/** As the oracle reads: header, state, both verified. */
async function readAsOracle(pubkeys: ReadonlySet<string>): Promise<Figures> {
  const blockRoot = readFileSync(path.join(task.folder, "blockRoot.txt"), "utf8");
  return figuresOf(await readVerifiedState(new BeaconClient(task.url), blockRoot, { pubkeys }));
}

function figuresOf(parts: StateParts): Figures {
  return {
    poolValidators: parts.validators.size,
    poolBalance: String(sum([...parts.validators.values()].map(({ balanceGwei }) => balanceGwei))),
    activeBalance: String(parts.totalActiveBalanceGwei),
    slashingsSum: String(parts.slashingsSumGwei),
    stateRoot: parts.stateRoot,
  };
}

/** The same, and of every validator of the pool the proofs of its record and of its balance. */
async function readAndProve(pubkeys: ReadonlySet<string>): Promise<Figures> {
  const { octets } = await new BeaconClient(task.url).streamState("head");
  const reader = new StateReader("fulu", { pubkeys, prove: { validators: "asked", balances: "asked" } });
  for await (const chunk of octets) reader.push(chunk);
  const parts = reader.finish();
  const proofs = reader.proofs();
  for (const { index } of parts.validators.values()) {
    proofs.proof({ list: "validators", index });
    proofs.proof({ list: "balances", index });
  }
  return figuresOf(parts);
}

async function download(): Promise<Uint8Array> {
  const response = await fetch(`${task.url}/eth/v2/debug/beacon/states/head`);
  if (response.body === null) throw new Error("the server sent nothing");
  const octets = new Uint8Array(Number(response.headers.get("content-length")));
  let at = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    octets.set(chunk, at);
    at += chunk.length;
  }
  return octets;
}

async function readStruct(pubkeys: ReadonlySet<string>): Promise<Figures> {
  const state = STATE.deserialize(await download());
  const root = STATE.hashTreeRoot(state);
  return libraryFigures(state, state.validators, state.balances, state.slashings, root, pubkeys);
}

async function readView(pubkeys: ReadonlySet<string>): Promise<Figures> {
  const state = STATE.deserializeToViewDU(await download());
  const root = state.hashTreeRoot();
  const validators = state.validators.getAllReadonlyValues();
  return libraryFigures(state, validators, state.balances.getAll(), state.slashings.getAll(), root, pubkeys);
}

function libraryFigures(
  { slot, latestBlockHeader }: Pick<State, "slot" | "latestBlockHeader">,
  validators: State["validators"],
  balances: readonly number[],
  slashings: Iterable<number>,
  root: Uint8Array,
  pubkeys: ReadonlySet<string>,
): Figures {
  const index = new PubkeyIndex(pubkeys);
  const epoch = Math.floor(slot / SLOTS_PER_EPOCH);
  let poolValidators = 0;
  let poolBalance = 0n;
  let activeBalance = 0n;
  for (const [i, { pubkey, activationEpoch, exitEpoch, effectiveBalance }] of validators.entries()) {
    if (activationEpoch <= epoch && epoch < exitEpoch) activeBalance += BigInt(effectiveBalance);
    if (index.find(new DataView(pubkey.buffer, pubkey.byteOffset), 0) === undefined) continue;
    poolValidators++;
    poolBalance += BigInt(balances[i] ?? 0);
  }
  const stateRoot = toHex(root);
  writeHeader(latestBlockHeader, stateRoot);
  return {
    poolValidators,
    poolBalance: String(poolBalance),
    activeBalance: String(activeBalance),
    slashingsSum: String(sum(slashings)),
    stateRoot,
  };
}

/** The library's word on the state is what the server then says of the block. */
function writeHeader(latest: State["latestBlockHeader"], stateRoot: string): void {
  const header = {
    slot: latest.slot,
    proposerIndex: latest.proposerIndex,
    parentRoot: toHex(latest.parentRoot),
    stateRoot,
    bodyRoot: toHex(latest.bodyRoot),
  };
  const root = headerRoot(header);
  const message = {
    slot: String(header.slot),
    proposer_index: String(header.proposerIndex),
    parent_root: header.parentRoot,
    state_root: header.stateRoot,
    body_root: header.bodyRoot,
  };
  const answer = { execution_optimistic: false, data: { root, canonical: true, header: { message } } };
  writeFileSync(path.join(task.folder, "header.json"), JSON.stringify(answer));
  writeFileSync(path.join(task.folder, "blockRoot.txt"), root);
}

interface JsonValidator {
  readonly balance: string;
  readonly validator: {
    readonly pubkey: string;
    readonly effective_balance: string;
    readonly activation_epoch: string;
    readonly exit_epoch: string;
  };
}

/** The list of validators as JSON, which is what most programs ask for. It can be verified against nothing. */
async function readJson(pubkeys: ReadonlySet<string>): Promise<Figures> {
  const url = `${task.url}/eth/v1/beacon/states/head/validators`;
  const answer = await axios.get<{ readonly data: readonly JsonValidator[] }>(url, { maxContentLength: Infinity });
  const validators = answer.data.data;
  const epoch = 13_000_000n / 32n;
  const active = validators.filter(
    ({ validator }) => BigInt(validator.activation_epoch) <= epoch && epoch < BigInt(validator.exit_epoch),
  );
  const ours = validators.filter(({ validator }) => pubkeys.has(validator.pubkey));
  return {
    poolValidators: ours.length,
    poolBalance: String(sum(ours.map(({ balance }) => BigInt(balance)))),
    activeBalance: String(sum(active.map(({ validator }) => BigInt(validator.effective_balance)))),
  };
}

const WAYS: Readonly<Record<Task["way"], (pubkeys: ReadonlySet<string>) => Promise<Figures>>> = {
  this: readAsOracle,
  hashes: readAsOracle,
  proofs: readAndProve,
  struct: readStruct,
  view: readView,
  json: readJson,
};

let hashesCounted = 0;

function counting(hasher: Hasher): Hasher {
  return {
    ...hasher,
    hashInto: (pairs, hashes) => {
      hashesCounted += hashes.length / 32;
      hasher.hashInto(pairs, hashes);
    },
  };
}

/** Median of many calls in batches as large as the reader's. */
function measureHash(): number {
  const hasher = nativeHasher ?? portableHasher;
  const pairs = new Uint8Array(1024 * 64).fill(0x5a);
  const hashes = new Uint8Array(1024 * 32);
  const nanoseconds = Array.from({ length: 4_000 }, () => {
    const start = process.hrtime.bigint();
    hasher.hashInto(pairs, hashes);
    return Number(process.hrtime.bigint() - start) / 1024;
  });
  return nanoseconds.sort((a, b) => a - b)[nanoseconds.length >> 1] ?? 0;
}

async function run(): Promise<Outcome> {
  const hasher = hashers[task.hasher];
  if (hasher === undefined) return { error: "the native addon does not load here" };
  useHasher(task.way === "hashes" ? counting(hasher) : hasher);
  const pubkeys = new Set(readFileSync(task.keys, "utf8").split("\n"));
  const seconds: number[] = [];
  const cpuSeconds: number[] = [];
  let figures: Figures | undefined;
  for (let i = 0; i < (task.reads ?? 1); i++) {
    const start = performance.now();
    const used = process.cpuUsage();
    figures = await WAYS[task.way](pubkeys);
    seconds.push((performance.now() - start) / 1000);
    const { user, system } = process.cpuUsage(used);
    cpuSeconds.push((user + system) / 1e6);
  }
  if (figures === undefined) return { error: "nothing was read" };
  const peakMiB = process.resourceUsage().maxRSS / 1024;
  return {
    figures,
    seconds,
    cpuSeconds,
    peakMiB,
    nanosecondsPerHash: measureHash(),
    ...(task.way === "hashes" ? { hashes: hashesCounted } : {}),
  };
}

const outcome = await run().catch((error: unknown): Outcome => {
  const { message, code } = error instanceof Error ? (error as Error & { code?: string }) : { message: String(error) };
  return { error: code ?? message.split("\n", 1).join() };
});
process.stdout.write(`${JSON.stringify(outcome)}\n`);
