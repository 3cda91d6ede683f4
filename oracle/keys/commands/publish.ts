import { Command, Option } from "commander";
import type { Wallet } from "ethers";
import { openKeyFile, type Config } from "../../config.js";
import type { PoolChain } from "../poolChain.js";
import { address, configOf, TERMINAL, withPool, type CommandIo, type PoolOptions } from "./options.js";

interface PublishCommandOptions extends PoolOptions {
  readonly keyFile?: string;
  readonly safe?: string;
  readonly out: string;
  readonly force?: boolean;
  readonly dryRun: boolean;
}

const POLL_SECONDS = 6;

export function publishCommand(io: CommandIo = TERMINAL): Command {
  const command = new Command("publish")
    .description(
      "publishes a batch in the pool's registry; may be stopped and run again at any point, as the chain alone says what is left",
    )
    .argument("<files...>", "KeyShares and deposit data of the batch, and DKG proofs for a cluster that requires them")
    .option("--key-file <file>", "private key of the pool operator, hex, readable by its owner alone")
    .addOption(
      new Option(
        "--safe <address>",
        "instead: write files for the Transaction Builder of the Safe that is the pool operator",
      )
        .argParser(address)
        .conflicts("keyFile"),
    )
    .option("-o, --out <folder>", "where the files for the Safe go", "safe_transactions")
    .option("--force", "replace files that exist")
    .option("--no-dry-run", "send it; otherwise it is only said what would be sent");
  return withPool(command).action((files: string[], options: PublishCommandOptions) => publish(files, options, io));
}

async function publish(files: string[], options: PublishCommandOptions, io: CommandIo): Promise<void> {
  const config = configOf(options);
  const signer = options.keyFile === undefined ? null : openKeyFile("--key-file", options.keyFile);
  const [{ withPoolChain }, { KeysError }] = await Promise.all([import("../poolChain.js"), import("../errors.js")]);
  await withPoolChain(options, config, async (chain) => {
    if (chain === null) {
      throw new KeysError("MissingOption", "Which pool? Name it with --config, or with --rpc and --pool-manager.");
    }
    await publishTo(chain, { files, options, config, io, signer });
  });
}

interface Publishing {
  readonly files: readonly string[];
  readonly options: PublishCommandOptions;
  readonly config: Config | null;
  readonly io: CommandIo;
  readonly signer: Wallet | null;
}

async function publishTo(chain: PoolChain, { files: paths, options, config, io, signer }: Publishing): Promise<void> {
  const [
    { readKeyFiles },
    { inspectFiles },
    { assertGood, batchOf, onlyOf },
    { Publisher, assertAffordable },
    { printPublication },
    { PublishError },
  ] = await Promise.all([
    import("../inspect/keyFiles.js"),
    import("../inspect/inspect.js"),
    import("../publish/batch.js"),
    import("../publish/publish.js"),
    import("../publish/print.js"),
    import("../publish/errors.js"),
  ]);
  const files = await readKeyFiles(paths);
  const batch = batchOf(files);
  const publisher = new Publisher(chain, batch, async (publicKeys) => {
    assertGood(await inspectFiles(onlyOf(files, publicKeys), options, config, io.progress));
  });
  const view = await publisher.view(options.safe ?? signer?.address ?? null);
  io.print(printPublication(view).join("\n"));
  if (view.calls.length === 0) return;
  if (options.safe !== undefined) {
    const { writeSafeFiles } = await import("../publish/safeFiles.js");
    const { safe, out: folder, force = false } = options;
    const paths = await writeSafeFiles(view, { chainId: chain.chainId, safe, folder, force, now: new Date() });
    for (const path of paths) io.print(path);
    io.print(
      `Each is one transaction of the Safe: open them in its Transaction Builder, and execute them in this order.`,
    );
    return;
  }
  if (options.dryRun) {
    io.print("Dry run: nothing was sent. --no-dry-run sends it.");
    return;
  }
  if (signer === null) {
    throw new PublishError(
      "MissingKey",
      "Who sends it? Name the pool operator's key with --key-file, or its Safe with --safe.",
    );
  }
  assertAffordable(view);
  const head = await publisher.send(
    signer.connect(chain.provider),
    io.print,
    1_000 * (config?.pollSeconds ?? POLL_SECONDS),
  );
  io.print(`All ${batch.keys.length} keys of the batch are published, as of block ${head.number}.`);
}
