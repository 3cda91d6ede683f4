import { createCipheriv } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import type { Type } from "@chainsafe/ssz";
import { FAR_FUTURE_EPOCH } from "@lodestar/params";
import { ssz } from "@lodestar/types";
import { poolFile, type Pool } from "./pools.js";

/** Writes a state of Fulu as large as asked for, in the shape of mainnet's, and what a beacon node says of it in JSON. */

const STATE = ssz.fulu.BeaconState;
const SLOT = 13_000_000;
const PENDING_DEPOSITS = 30_000;
const HISTORICAL_ROOTS = 758;
const HISTORICAL_SUMMARIES = 900;
const ETHER = 1_000_000_000; // gwei
const WRITE_SIZE = 2 ** 26;

const VALIDATOR = { size: 121, credentials: 48, effectiveBalance: 80, slashed: 88, epochs: 89 };
const DEPOSIT = { size: 192, amount: 80, slot: 184 };

/** Octets as good as random, the same for the same seed. */
function random(size: number, seed: number): Buffer {
  const stream = createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16));
  const zeroes = Buffer.alloc(2 ** 20);
  const octets = Buffer.alloc(size);
  for (let at = 0; at < size; at += zeroes.length) stream.update(zeroes).copy(octets, at, 0, size - at);
  return octets;
}

/** Nearly half have left, as on mainnet; some are slashed; every fifth compounds. */
function createValidators(count: number): Buffer {
  const octets = random(count * VALIDATOR.size, 1);
  for (let i = 0; i < count; i++) {
    const at = i * VALIDATOR.size;
    const [prefix, most] = i % 5 === 0 ? [2, 2048] : [1, 32];
    octets[at + VALIDATOR.credentials] = prefix;
    octets.fill(0, at + VALIDATOR.credentials + 1, at + VALIDATOR.credentials + 12);
    octets.writeBigUInt64LE(hasLeft(i, count) ? 0n : BigInt(most * ETHER), at + VALIDATOR.effectiveBalance);
    octets[at + VALIDATOR.slashed] = i % 1000 === 7 ? 1 : 0;
    const activation = 100 + Math.floor(i / 64);
    const [exit, withdrawable] = hasLeft(i, count) ? [activation + 5_000, activation + 5_256] : [Infinity, Infinity];
    for (const [n, epoch] of [activation - 5, activation, exit, withdrawable].entries()) {
      const value = epoch === FAR_FUTURE_EPOCH ? 2n ** 64n - 1n : BigInt(epoch);
      octets.writeBigUInt64LE(value, at + VALIDATOR.epochs + 8 * n);
    }
  }
  return octets;
}

function hasLeft(index: number, count: number): boolean {
  return index % 2 === 1 && index < count * 0.9;
}

function createBalances(count: number): Buffer {
  return numbers(count, (i) => (hasLeft(i, count) ? 0 : (i % 5 === 0 ? 2048 : 32) * ETHER + ((i * 7919) % 30_000_000)));
}

function numbers(count: number, value: (index: number) => number): Buffer {
  const octets = Buffer.alloc(8 * count);
  for (let i = 0; i < count; i++) octets.writeBigUInt64LE(BigInt(value(i)), 8 * i);
  return octets;
}

function createPendingDeposits(): Buffer {
  const octets = random(PENDING_DEPOSITS * DEPOSIT.size, 2);
  for (let at = 0; at < octets.length; at += DEPOSIT.size) {
    octets.writeBigUInt64LE(BigInt(32 * ETHER), at + DEPOSIT.amount);
    octets.writeBigUInt64LE(BigInt(SLOT - 10_000), at + DEPOSIT.slot);
  }
  return octets;
}

interface Lists {
  readonly validators: Buffer;
  readonly balances: Buffer;
}

function serialize({ validators, balances }: Lists): Buffer[] {
  const count = validators.length / VALIDATOR.size;
  const small = STATE.defaultValue();
  small.slot = SLOT;
  small.latestBlockHeader.slot = SLOT;
  small.nextWithdrawalValidatorIndex = Math.floor(count / 3);
  const fixed = (name: keyof typeof STATE.fields): number => STATE.fields[name].fixedSize ?? 0;
  const large = new Map<string, Buffer>([
    ["validators", validators],
    ["balances", balances],
    ["previousEpochParticipation", Buffer.alloc(count, 7)],
    ["currentEpochParticipation", Buffer.alloc(count, 3)],
    ["inactivityScores", numbers(count, (i) => i % 17)],
    ["blockRoots", random(fixed("blockRoots"), 3)],
    ["stateRoots", random(fixed("stateRoots"), 4)],
    ["randaoMixes", random(fixed("randaoMixes"), 5)],
    ["slashings", numbers(fixed("slashings") / 8, (i) => (i % 100) * 32 * ETHER)],
    ["historicalRoots", random(HISTORICAL_ROOTS * 32, 6)],
    ["historicalSummaries", random(HISTORICAL_SUMMARIES * 64, 7)],
    ["pendingDeposits", createPendingDeposits()],
  ]);
  const fields = Object.entries<Type<unknown>>(STATE.fields).map(([name, type]) => ({
    isFixed: type.fixedSize !== null,
    octets: large.get(name) ?? Buffer.from(type.serialize(small[name as keyof typeof small])),
  }));
  let end = fields.reduce((size, { isFixed, octets }) => size + (isFixed ? octets.length : 4), 0);
  const offset = ({ length }: Buffer): Buffer => {
    const octets = Buffer.alloc(4);
    octets.writeUInt32LE(end);
    end += length;
    return octets;
  };
  return [
    ...fields.map(({ isFixed, octets }) => (isFixed ? octets : offset(octets))),
    ...fields.flatMap(({ isFixed, octets }) => (isFixed ? [] : [octets])),
  ];
}

/** The answer of /eth/v1/beacon/states/{state}/validators, in pieces. */
function* validatorsJson({ validators, balances }: Lists): Generator<string> {
  const epochAt = (at: number) => validators.readBigUInt64LE(at).toString();
  const hex = (from: number, to: number) => `0x${validators.toString("hex", from, to)}`;
  yield '{"execution_optimistic":false,"finalized":true,"data":[';
  for (let i = 0, at = 0; at < validators.length; i++, at += VALIDATOR.size) {
    const validator = {
      pubkey: hex(at, at + VALIDATOR.credentials),
      withdrawal_credentials: hex(at + VALIDATOR.credentials, at + VALIDATOR.effectiveBalance),
      effective_balance: epochAt(at + VALIDATOR.effectiveBalance),
      slashed: validators[at + VALIDATOR.slashed] === 1,
      activation_eligibility_epoch: epochAt(at + VALIDATOR.epochs),
      activation_epoch: epochAt(at + VALIDATOR.epochs + 8),
      exit_epoch: epochAt(at + VALIDATOR.epochs + 16),
      withdrawable_epoch: epochAt(at + VALIDATOR.epochs + 24),
    };
    const status = validator.effective_balance === "0" ? "withdrawal_done" : "active_ongoing";
    const balance = balances.readBigUInt64LE(8 * i).toString();
    yield (i === 0 ? "" : ",") + JSON.stringify({ index: String(i), balance, status, validator });
  }
  yield "]}";
}

function* joined(pieces: Iterable<string>): Generator<Buffer> {
  let text: string[] = [];
  for (const piece of pieces) {
    text.push(piece);
    if (text.length < 10_000) continue;
    yield Buffer.from(text.join(""));
    text = [];
  }
  yield Buffer.from(text.join(""));
}

function write(file: string, pieces: Iterable<Buffer>): void {
  const descriptor = openSync(file, "w");
  for (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      at += writeSync(descriptor, piece, at, Math.min(WRITE_SIZE, piece.length - at));
    }
  }
  closeSync(descriptor);
}

function poolKeys(validators: Buffer, { size, layout }: Pool): string {
  const all = validators.length / VALIDATOR.size;
  const first = Math.floor((all - size) / 2);
  const keys = Array.from({ length: size }, (_, i) => {
    const at = (layout === "contiguous" ? first + i : Math.floor((i * all) / size)) * VALIDATOR.size;
    return `0x${validators.toString("hex", at, at + VALIDATOR.credentials)}`;
  });
  return keys.join("\n");
}

function writeState(folder: string, validators: number, pools: readonly Pool[]): void {
  const lists = { validators: createValidators(validators), balances: createBalances(validators) };
  write(path.join(folder, "state.ssz"), serialize(lists));
  write(path.join(folder, "validators.json"), joined(validatorsJson(lists)));
  for (const pool of pools) {
    write(poolFile(folder, pool), [Buffer.from(poolKeys(lists.validators, pool))]);
  }
}

const [folder = ".", validators = "0", pools = "[]"] = process.argv.slice(2);
writeState(folder, Number(validators), JSON.parse(pools) as Pool[]);
