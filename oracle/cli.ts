#!/usr/bin/env node
import { Command, InvalidArgumentError } from "commander";
import { loadConfig, type Config } from "./config.js";
import { PoolError } from "./errors.js";
import { keysCommand } from "./keys/commands/index.js";
import { createLogger } from "./ops/logging.js";

interface RunOptions {
  readonly config?: string;
  readonly dryRun?: boolean;
}

interface QueueOptions extends RunOptions {
  readonly request?: number;
  readonly json?: boolean;
}

interface ReportOptions extends RunOptions {
  readonly slot?: number;
  readonly explain?: boolean;
  readonly csv?: string;
  readonly json?: boolean;
}

function configure({ config, dryRun }: RunOptions): Config {
  const loaded = loadConfig(config, process.env);
  // the consensus types read this when they are loaded, which is why everything that needs them is imported after
  process.env.LODESTAR_PRESET = loaded.preset;
  return dryRun === undefined ? loaded : { ...loaded, dryRun };
}

async function run(options: RunOptions): Promise<void> {
  const config = configure(options);
  const logger = createLogger(config.logLevel);
  const { startService } = await import("./service.js");
  const end = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      logger.info({ signal }, "stopping");
      end.abort();
    });
  }
  await startService(config, { logger, signal: end.signal });
}

async function check(options: RunOptions): Promise<void> {
  const config = configure(options);
  const { runChecks } = await import("./ops/check.js");
  const results = await runChecks(config, createLogger("silent"), process.env);
  for (const { name, ok, detail } of results) console.log(`${ok ? "OK  " : "FAIL"} ${name}: ${detail}`);
  if (results.some(({ ok }) => !ok)) process.exitCode = 1;
}

async function queue(options: QueueOptions): Promise<void> {
  const config = configure(options);
  const { readQueue } = await import("./queue/read.js");
  const { printQueue, queueJson } = await import("./queue/print.js");
  const view = await readQueue(config, options.request ?? null, createLogger("silent"));
  console.log(options.json === true ? queueJson(view) : printQueue(view).join("\n"));
}

async function report(options: ReportOptions): Promise<void> {
  const config = configure(options);
  const { readReportView } = await import("./explain/read.js");
  const { printReport, reportJson, writeTable } = await import("./explain/print.js");
  const view = await readReportView(config, options.slot ?? null, createLogger("silent"));
  if (options.csv !== undefined) writeTable(view, options.csv);
  console.log(options.json === true ? reportJson(view) : printReport(view, options.explain === true).join("\n"));
  if (view.differences.length > 0) process.exitCode = 1;
}

interface ProveOptions extends RunOptions {
  readonly slot?: number;
  readonly json?: boolean;
}

async function prove(file: string, options: ProveOptions): Promise<void> {
  const config = configure(options);
  const { writePoolProof } = await import("./proof/commands.js");
  const { refSlot, validators, pendingDeposits } = await writePoolProof(
    config,
    options.slot ?? null,
    file,
    createLogger("silent"),
  );
  console.log(
    `${file}: ${validators.length} validators and ${pendingDeposits.length} pending deposits at slot ${refSlot}`,
  );
}

async function verifyProof(file: string, options: ProveOptions): Promise<void> {
  const config = configure(options);
  const { printPoolProof, readPoolProof } = await import("./proof/commands.js");
  const { toJson } = await import("./queue/print.js");
  const proof = await readPoolProof(config, file, createLogger("silent"));
  console.log(options.json === true ? toJson(proof) : printPoolProof(proof).join("\n"));
}

function slotNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is the number of a slot.");
}

function requestId(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is the number of a request, from 1.");
}

const program = new Command("pooleth").description(
  "The services of a poolETH pool: oracle, guardian, keeper; and its key ceremony",
);
const withConfig = (name: string, description: string): Command =>
  program
    .command(name)
    .description(description)
    .option("-c, --config <file>", "configuration file (JSON); environment variables POOLETH_* win over it");

withConfig("run", "run the configured roles until stopped")
  .option(
    "--dry-run",
    "a keeper says what it would send and sends nothing (the default, unless the configuration says otherwise)",
  )
  .option("--no-dry-run", "a keeper sends")
  .action(run);
withConfig("check", "check keys, roles, endpoints and versions before a first run").action(check);
withConfig(
  "queue",
  "what waits to be withdrawn, what is there to pay it, and what comes back from the beacon chain when",
)
  .option("-r, --request <id>", "also when this request will probably be paid", requestId)
  .option("--json", "for programs: amounts in wei, times in seconds")
  .action(queue);
withConfig(
  "report",
  "the report of the latest frame, computed as members do, where each figure comes from and what the contracts make of it; exit code 1 if the " +
    "chain accepted another",
)
  .option("-s, --slot <slot>", "of the frame that ends at this slot", slotNumber)
  .option("-e, --explain", "also every validator, and the gain as the contract will reckon it")
  .option("--csv <file>", "write the table of validators to a file")
  .option("--json", "for programs: amounts in wei, or in gwei where the name says so")
  .action(report);
withConfig("prove", "write proofs of what the pool's validators have in the beacon state of a frame's reference block")
  .argument("<file>", "to write")
  .option("-s, --slot <slot>", "of the frame that ends at this slot", slotNumber)
  .action(prove);
withConfig(
  "verify-proof",
  "check such a file against the root that the chain has; needs an execution node only, as no beacon node is asked",
)
  .argument("<file>", "to check")
  .option("--json", "for programs: amounts in wei, or in gwei where the name says so")
  .action(verifyProof);
program.addCommand(keysCommand());

try {
  await program.parseAsync();
} catch (error) {
  // what a person can mend is told in one line; anything else is a defect and shows where
  console.error(error instanceof PoolError ? error.message : error);
  process.exitCode = 1;
}
