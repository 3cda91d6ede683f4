import { arch, cpus, platform, totalmem } from "node:os";
import type { Outcome, Task } from "./contender.js";
import type { Pool } from "./pools.js";

export type Reading = Pick<Task, "way" | "hasher" | "reads">;

/** What several runs of the same gave. */
export interface Measured {
  readonly reading: Reading;
  readonly pool: Pool;
  readonly outcomes: readonly Outcome[];
}

type Success = Exclude<Outcome, { readonly error: string }>;

const NAMES: Readonly<Record<Task["way"], string>> = {
  this: "this reader",
  proofs: "this reader, with proofs of every validator and balance of the pool",
  hashes: "this reader",
  struct: "@chainsafe/ssz, values",
  view: "@chainsafe/ssz, view",
  json: "JSON through axios, list of validators",
};

export function describeMachine(isPinned: boolean): string {
  const [cpu] = cpus();
  const day = new Date().toISOString().slice(0, 10);
  const memory = Math.round(totalmem() / 2 ** 30);
  const cores = isPinned
    ? "each reading on one core (`taskset`), the server on another one"
    : "readings and server on any core: it could not be said which";
  return `On ${day}: ${cpus().length} cores of ${cpu?.model.trim() ?? "an unknown processor"}, ${memory} GiB, ${platform()} ${arch()}, Node ${process.version}; ${cores}.`;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] ?? NaN;
}

function successes({ outcomes }: Measured): Success[] {
  return outcomes.filter((outcome): outcome is Success => !("error" in outcome));
}

/** Of the first read of each process: that of a service is not warm either, once a day. */
function firstReads(measured: Measured, hashes: number) {
  const runs = successes(measured);
  const floor = (run: Success): number => (hashes * run.nanosecondsPerHash) / 1e9;
  return {
    seconds: median(runs.map(({ seconds }) => seconds[0] ?? NaN)),
    cpuSeconds: median(runs.map(({ cpuSeconds }) => cpuSeconds[0] ?? NaN)),
    floors: median(runs.map((run) => (run.cpuSeconds[0] ?? NaN) / floor(run))),
    peakMiB: Math.max(...runs.map(({ peakMiB }) => peakMiB)),
  };
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0), 4));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map((row) => line(row))].join("\n");
}

export function readTable(validators: number, counted: Measured, rows: readonly Measured[]): string {
  const hashes = successes(counted)[0]?.hashes ?? NaN;
  const nanoseconds = median([counted, ...rows].flatMap(successes).map((run) => run.nanosecondsPerHash));
  const text =
    `${validators.toLocaleString("en")} validators, ${counted.pool.size.toLocaleString("en")} of them the pool's. ` +
    `The floor is ${hashes.toLocaleString("en")} hashes of ${nanoseconds.toFixed(1)} ns, ${((hashes * nanoseconds) / 1e9).toFixed(3)} s.`;
  const lines = rows.map((measured) => {
    const { reading, outcomes } = measured;
    const name = `${NAMES[reading.way]}${reading.reads === undefined ? "" : `, ${reading.reads} times in one process`}`;
    const hasher = reading.way === "json" ? "not verified" : reading.hasher;
    const failed = outcomes.find((outcome) => "error" in outcome);
    if (failed !== undefined) return [name, hasher, `fails: ${failed.error}`, "", "", ""];
    const { seconds, cpuSeconds, floors, peakMiB } = firstReads(measured, hashes);
    const ratio = reading.way === "json" ? "" : floors.toFixed(2);
    return [name, hasher, seconds.toFixed(2), cpuSeconds.toFixed(2), ratio, peakMiB.toFixed(0)];
  });
  return `### ${text}\n\n${table(["", "hashing with", "s", "s of CPU", "x floor", "peak MiB"], lines)}`;
}

/** @param measured of every pool without proofs, then with */
export function poolTable(measured: readonly Measured[]): string {
  const without = measured.filter(({ reading }) => reading.way === "this");
  const lines = without.map((plain) => {
    const proven = measured.find(({ reading, pool }) => reading.way === "proofs" && pool === plain.pool) ?? plain;
    const [a, b] = [firstReads(plain, 1), firstReads(proven, 1)];
    const more = 100 * (b.cpuSeconds / a.cpuSeconds - 1);
    return [
      `${plain.pool.size.toLocaleString("en")} ${plain.pool.layout}`,
      a.seconds.toFixed(2),
      a.cpuSeconds.toFixed(2),
      a.peakMiB.toFixed(0),
      b.seconds.toFixed(2),
      b.cpuSeconds.toFixed(2),
      b.peakMiB.toFixed(0),
      `${more.toFixed(0)} %`,
    ];
  });
  const head = [
    "validators of the pool",
    "s",
    "s of CPU",
    "peak MiB",
    "with proofs, s",
    "s of CPU",
    "peak MiB",
    "more CPU",
  ];
  return table(head, lines);
}
