import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { Outcome, Task } from "./contender.js";
import type { Pool } from "./pools.js";

const MAX_OUTPUT = 2 ** 20;

/** As `npm run pooleth` has it. */
const SERVICE_FLAGS = ["--max-semi-space-size=8"];

/** Whether readers have a core of their own and the server another one. */
export const isPinned = availableParallelism() > 1 && spawnSync("taskset", ["-c", "0,1", "true"]).status === 0;

function command(core: 0 | 1, script: string, args: readonly string[], flags: readonly string[] = []): string[] {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const node = [process.execPath, ...flags, "--import", "tsx", file, ...args];
  return isPinned ? ["taskset", "-c", String(core), ...node] : node;
}

const env = { ...process.env, LODESTAR_PRESET: "mainnet" };

function output([file = "", ...args]: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(file, args, { env, maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${error.signal ?? `exit code ${String(error.code)}`} ${stderr.slice(0, 500)}`.trim()));
    });
  });
}

export async function writeFiles(folder: string, validators: number, pools: readonly Pool[]): Promise<void> {
  await output(command(1, "state.ts", [folder, String(validators), JSON.stringify(pools)]));
}

export interface Server {
  readonly url: string;
  stop(): void;
}

export async function startServer(folder: string): Promise<Server> {
  const [file = "", ...args] = command(1, "server.ts", [folder]);
  const child = spawn(file, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return {
    url: line.toString().trim(),
    stop: () => {
      child.kill();
    },
  };
}

/** One reading. One that fails is a result as well. */
export async function measure(task: Task): Promise<Outcome> {
  const isOurs = task.way === "this" || task.way === "proofs";
  try {
    const text = await output(command(0, "contender.ts", [JSON.stringify(task)], isOurs ? SERVICE_FLAGS : []));
    return JSON.parse(text) as Outcome;
  } catch (error) {
    return { error: error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error) };
  }
}
