import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import Table from "cli-table3";
import type { Taken } from "./registry/service.js";

/** As `npm run pooleth` has it. */
const SERVICE_FLAGS = ["--max-semi-space-size=8"];
const [validators = 10_000, foreign = 100_000] = process.argv.slice(2).map(Number);

const script = (name: string): string => fileURLToPath(new URL(`registry/${name}`, import.meta.url));

function measure(url: string, folder: string, logLevel: string): Taken {
  const args = [...SERVICE_FLAGS, "--import", "tsx", script("service.ts"), url, folder, logLevel];
  return JSON.parse(execFileSync(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] }).toString()) as Taken;
}

const folder = mkdtempSync(path.join(tmpdir(), "pooleth-"));
const chain = spawn(process.execPath, ["--import", "tsx", script("chain.ts"), String(validators), String(foreign)], {
  stdio: ["ignore", "pipe", "inherit"],
});
try {
  const [line] = (await once(chain.stdout, "data")) as [Buffer];
  const [url = "", logs = ""] = line.toString().trim().split(" ");
  process.stdout.write(`${validators} validators of the pool, ${foreign} of others in SSV: ${logs} logs\n`);
  const empty = measure(url, folder, "info");
  const restarted = measure(url, folder, "silent");
  const [name = ""] = readdirSync(folder);
  const file = path.join(folder, name);
  truncateSync(file, statSync(file).size - 1_000);
  const torn = measure(url, folder, "silent");
  const table = new Table({ head: ["", "from an empty disk", "after a restart", "with a torn last line"] });
  const row = (label: string, figure: (taken: Taken) => string): void => {
    table.push([label, ...[empty, restarted, torn].map(figure)]);
  };
  const ms = (value: number): string => (value < 1_000 ? `${value.toFixed(0)} ms` : `${(value / 1_000).toFixed(1)} s`);
  row("file read", ({ openMs }) => ms(openMs));
  row("first view of the chain", ({ firstViewMs }) => ms(firstViewMs));
  row("view at a head without news", ({ quietHeadMs }) => ms(quietHeadMs));
  row("registry at the reference block", ({ keysMs }) => ms(keysMs));
  row("report computed", ({ reportMs }) => ms(reportMs));
  row("events", ({ events }) => String(events));
  row("validators in the report", ({ validators: count }) => String(count));
  row("most memory", ({ memoryMiB }) => `${memoryMiB.toFixed(0)} MiB`);
  row("event cache", ({ fileBytes }) => `${(fileBytes / 2 ** 20).toFixed(0)} MiB`);
  process.stdout.write(`${table.toString()}\n`);
} finally {
  chain.kill();
  rmSync(folder, { recursive: true });
}
