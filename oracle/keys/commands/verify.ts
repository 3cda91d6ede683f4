import { styleText } from "node:util";
import { Command, InvalidArgumentError } from "commander";
import type { InspectOptions, KeyReport } from "../inspect/inspect.js";
import type { ImportOptions } from "../inspect/importCeremony.js";
import {
  address,
  configOf,
  natural,
  TERMINAL,
  withOutput,
  withPool,
  type CommandIo,
  type OutputOptions,
  type PoolOptions,
} from "./options.js";

interface VerifyCommandOptions extends PoolOptions, InspectOptions {
  readonly json?: boolean;
}

interface ImportCommandOptions extends VerifyCommandOptions, ImportOptions, OutputOptions {
  readonly out: string;
  readonly force?: boolean;
}

export function verifyCommand(io: CommandIo = TERMINAL): Command {
  const command = new Command("verify")
    .description(
      "checks KeyShares, deposit data and DKG proofs of any tool as guardians do, before they are published; exit code 1 if anything is wrong",
    )
    .argument("<files...>", "keyshares.json, deposit_data.json and proofs.json, several of each if need be");
  return withTerms(withPool(command)).action(async (paths: string[], options: VerifyCommandOptions) => {
    const config = configOf(options);
    const [{ readKeyFiles }, { inspectFiles }] = await Promise.all([
      import("../inspect/keyFiles.js"),
      import("../inspect/inspect.js"),
    ]);
    await tell(await inspectFiles(await readKeyFiles(paths), options, config, io.progress), options, io);
  });
}

export function importDkgCommand(io: CommandIo = TERMINAL): Command {
  const command = new Command("import-dkg")
    .description(
      "checks the folder of a ceremony of ssv-dkg (init, re-sign or re-share) and makes of it the files of a batch to publish; writes " +
        "nothing, and exits with code 1, if anything is wrong",
    )
    .argument("<folder>", "ceremony-..., as ssv-dkg wrote it")
    .option("-n, --count <number>", "how many validators the ceremony was for", natural);
  return withOutput(withTerms(withPool(command))).action(async (folder: string, options: ImportCommandOptions) => {
    const config = configOf(options);
    const { importCeremony } = await import("../inspect/importCeremony.js");
    const { report, paths } = await importCeremony(folder, options, config, io.progress, new Date());
    await tell(report, options, io);
    if (paths.length === 0) io.warn("Nothing was written.");
    for (const path of paths) (options.json === true ? io.warn : io.print)(path);
  });
}

function withTerms(command: Command): Command {
  return command
    .option(
      "--account <address>",
      "the account, SSV owner; with a chain only needed if the files do not tell it",
      address,
    )
    .option("--nonce <number>", "owner nonce of the first; with a chain the next one", natural)
    .option("--operators-file <file>", "the operators' keys, as SSV's API or ssv-dkg has them; with a chain compared")
    .option("--amount <gwei>", "of each deposit; the pool's is 32 ETH", gwei)
    .option("--json", "for programs");
}

async function tell(report: KeyReport, { json }: VerifyCommandOptions, io: CommandIo): Promise<void> {
  const [{ isGood }, { printReport, reportJson }] = await Promise.all([
    import("../inspect/inspect.js"),
    import("../inspect/print.js"),
  ]);
  const red = (line: string): string => styleText("red", line, { stream: process.stdout });
  io.print(json === true ? reportJson(report) : printReport(report, red).join("\n"));
  if (!isGood(report)) process.exitCode = 1;
}

function gwei(text: string): bigint {
  if (/^[1-9]\d{0,15}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError("It is a whole number of gwei: 32000000000 are 32 ETH.");
}
