import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { isPinned, measure, startServer, writeFiles } from "./read/processes.js";
import { poolFile, type Layout, type Pool } from "./read/pools.js";
import { describeMachine, poolTable, readTable, type Measured, type Reading } from "./read/tables.js";

/**
 * How long it takes and how much memory to read what a pool needs out of a whole beacon state, over loopback HTTP: the reader of the
 * services, JSON, and the SSZ library with each of its hashers. Every reading is done in a process of its own, and all must find the
 * same figures. As Markdown.
 */

interface Options {
  readonly validators: readonly number[];
  readonly pool: readonly number[];
  readonly runs: number;
  readonly library: readonly Hasher[];
  readonly quick: boolean;
  readonly write?: string;
}

const QUICK = { validators: [2_000], pool: [100], runs: 1, library: [] };
const MAIN_POOL = 10_000;
/** What memory grows to, when the service reads every day. */
const REPEATED_READS = 10;

const OURS: Reading = { way: "this", hasher: "hashtree" };
const PROOFS: Reading = { way: "proofs", hasher: "hashtree" };
const JSON_LIST: Reading = { way: "json", hasher: "hashtree" };
const HASHERS = ["hashtree", "as-sha256", "noble"] as const;
type Hasher = (typeof HASHERS)[number];

const counts = (text: string): number[] => text.split(",").map((part) => count(part));

function count(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("It is a number from 1, or some with commas between them.");
}

function hashers(text: string): Hasher[] {
  const named = HASHERS.filter((hasher) => text.split(",").includes(hasher));
  if (named.length === text.split(",").length) return named;
  throw new InvalidArgumentError(`It is some of ${HASHERS.join(",")}.`);
}

const start = performance.now();
function tell(what: string): void {
  process.stderr.write(`${((performance.now() - start) / 1000).toFixed(0).padStart(4)} s  ${what}\n`);
}

/** All readings of a state of one size. */
async function measureState(folder: string, validators: number, options: Options): Promise<string> {
  const layouts: Layout[] = options.quick ? ["spread"] : ["spread", "contiguous"];
  const pools = options.pool
    .filter((size) => size <= validators)
    .flatMap((size) => layouts.map((layout): Pool => ({ size, layout })));
  const main = pools.find(({ size }) => size === MAIN_POOL) ?? pools[0];
  if (main === undefined) throw new Error("a pool has fewer validators than the state");
  tell(`${validators.toLocaleString("en")} validators: writing the state`);
  await writeFiles(folder, validators, pools);
  const server = await startServer(folder);
  try {
    const read = async (reading: Reading, pool = main, runs = 1): Promise<Measured> => {
      const tasks = Array.from({ length: runs }, () => ({
        ...reading,
        folder,
        url: server.url,
        keys: poolFile(folder, pool),
      }));
      const outcomes = [];
      for (const task of tasks) outcomes.push(await measure(task));
      const measured = { reading, pool, outcomes };
      tell(describe(measured));
      return measured;
    };
    // the library goes first: from it the server has the root that the others verify
    const expected = await read({ way: "struct", hasher: "hashtree" });
    const counted = await read({ way: "hashes", hasher: "hashtree" });
    const byPool: Measured[] = [];
    for (const pool of pools) {
      byPool.push(await read(OURS, pool, options.runs), await read(PROOFS, pool, options.runs));
    }
    const rows = byPool.filter(({ pool }) => pool === main);
    for (const reading of [{ ...OURS, reads: REPEATED_READS }, { ...OURS, hasher: "as-sha256" } as const, JSON_LIST]) {
      rows.push(await read(reading));
    }
    rows.push(expected);
    for (const hasher of options.library) {
      if (hasher !== "hashtree") rows.push(await read({ way: "struct", hasher }));
      if (!options.quick) rows.push(await read({ way: "view", hasher }));
    }
    requireSameFigures(expected, [counted, ...rows, ...byPool]);
    return [readTable(validators, counted, rows), poolTable(byPool)].join("\n\n");
  } finally {
    server.stop();
  }
}

function describe({ reading, pool, outcomes }: Measured): string {
  const results = outcomes.map((outcome) =>
    "error" in outcome ? outcome.error : `${(outcome.seconds.at(-1) ?? 0).toFixed(2)} s`,
  );
  return `${reading.way}, ${reading.hasher}, ${pool.size.toLocaleString("en")} ${pool.layout}: ${results.join(", ")}`;
}

/** Whoever reads something else is not faster but wrong. */
function requireSameFigures(expected: Measured, measured: readonly Measured[]): void {
  const [right] = expected.outcomes;
  if (right === undefined || "error" in right) throw new Error("the library could not read the state");
  for (const { reading, pool, outcomes } of measured) {
    for (const outcome of outcomes) {
      if ("error" in outcome) continue;
      const isSamePool = pool.size === expected.pool.size && pool.layout === expected.pool.layout;
      for (const [name, found] of Object.entries(outcome.figures)) {
        const wanted = name === "poolValidators" ? pool.size : right.figures[name as keyof typeof right.figures];
        if (found === wanted || (name === "poolBalance" && !isSamePool)) continue;
        throw new Error(
          `${reading.way}, ${reading.hasher}: ${name} is ${found}, the SSZ library says ${String(wanted)}`,
        );
      }
    }
  }
}

const BEGIN = "<!-- written by npm run bench:read -- --write, from here -->";
const END = "<!-- to here -->";

function writeInto(file: string, text: string): void {
  const old = readFileSync(file, "utf8");
  const [from, to] = [old.indexOf(BEGIN), old.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${file} has no place for the tables: ${BEGIN} ... ${END}`);
  writeFileSync(file, `${old.slice(0, from)}${BEGIN}\n\n${text}\n\n${old.slice(to)}`);
}

async function run(given: Options): Promise<void> {
  const options = given.quick ? { ...given, ...QUICK } : given;
  const root = mkdtempSync(path.join(tmpdir(), "pooleth-bench-"));
  try {
    const tables: string[] = [describeMachine(isPinned)];
    for (const validators of options.validators) {
      const folder = path.join(root, String(validators));
      mkdirSync(folder);
      tables.push(await measureState(folder, validators, options));
      rmSync(folder, { recursive: true });
    }
    const text = tables.join("\n\n");
    process.stdout.write(`${text}\n`);
    if (options.write !== undefined) writeInto(options.write, text);
  } finally {
    rmSync(root, { recursive: true });
  }
}

await new Command("bench:read")
  .description(
    "time and memory of reading a pool's validators out of a whole beacon state; a few minutes, 3 GB of memory, 1.5 GB of disk",
  )
  .option("-v, --validators <counts>", "sizes of the states", counts, [1_000_000, 2_000_000])
  .option("-p, --pool <counts>", "sizes of the pools", counts, [1_000, 10_000, 100_000])
  .option("-r, --runs <count>", "of each of our own readings; the median counts", count, 3)
  .option("-l, --library <hashers>", "hashers of the SSZ library to compare with; noble takes minutes", hashers, [
    ...HASHERS,
  ])
  .option("-q, --quick", "a small state, to see that all of it works", false)
  .option("-w, --write <file>", "also put the tables into this file, between its two marks")
  .action(run)
  .parseAsync();
