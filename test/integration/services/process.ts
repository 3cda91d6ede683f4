import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../../oracle/cli.ts", import.meta.url));

function spawnCli(args: readonly string[]): ChildProcess {
  // settings of whoever runs the tests are not those of the service
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("POOLETH_")));
  return spawn(process.execPath, ["--import", "tsx", CLI, ...args], { stdio: ["ignore", "pipe", "pipe"], env });
}

const exitOf = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });

/** A command of `pooleth` while it runs. */
export class CommandProcess {
  readonly lines: string[] = [];
  /** null when it was killed */
  readonly exit: Promise<number | null>;
  readonly #child: ChildProcess;
  #ended = false;

  constructor(...args: readonly string[]) {
    this.#child = spawnCli(args);
    this.exit = exitOf(this.#child);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) createInterface(stream).on("line", (line) => this.lines.push(line));
    }
    const end = (): void => {
      this.#ended = true;
    };
    this.exit.then(end, end);
  }

  /** Resolves when the condition holds; false when the command ended before. */
  async until(condition: () => boolean | Promise<boolean>): Promise<boolean> {
    while (!this.#ended) {
      if (await condition()) return true;
      await pause(5);
    }
    return false;
  }

  async done(): Promise<{ exitCode: number | null; lines: string[] }> {
    return { exitCode: await this.exit, lines: this.lines };
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exit;
  }
}

/** Runs `pooleth` to its end. */
export async function pooleth(...args: readonly string[]): Promise<{ exitCode: number | null; lines: string[] }> {
  return new CommandProcess(...args).done();
}

/** `pooleth run` in a process of its own. */
export class ServiceProcess {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;

  private constructor(url: string, child: ChildProcess, exit: Promise<number | null>) {
    this.url = url;
    this.#child = child;
    this.#exit = exit;
  }

  /** Resolves when it serves. It must log at level info. */
  static async start(configFile: string): Promise<ServiceProcess> {
    const child = spawnCli(["run", "--config", configFile]);
    const exit = exitOf(child);
    const said: string[] = [];
    child.stderr?.on("data", (chunk: Buffer) => said.push(chunk.toString()));
    const url = await new Promise<string>((resolve, reject) => {
      if (child.stdout !== null) {
        createInterface(child.stdout).on("line", (line) => {
          said.push(line);
          const { msg, url: found } = JSON.parse(line) as { msg: string; url?: string };
          if (msg === "started" && found !== undefined) resolve(found);
        });
      }
      exit.then(
        (code) => {
          reject(new Error(`it ended with code ${code ?? "none"}: ${said.join("\n")}`));
        },
        (error: unknown) => {
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
    return new ServiceProcess(url, child, exit);
  }

  /** Waits until it has processed the block, or until `interrupt` says so. */
  async processed(
    blockHash: string,
    interrupt: () => boolean | Promise<boolean>,
  ): Promise<"processed" | "interrupted"> {
    for (;;) {
      if (await interrupt()) return "interrupted";
      const response = await fetch(new URL("/health", this.url));
      const { processedHead } = (await response.json()) as { processedHead: { hash: string } | null };
      if (processedHead?.hash === blockHash) return "processed";
      await pause(5);
    }
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    this.#child.kill(signal);
    return this.#exit;
  }
}
