import { Command, Option } from "commander";
import type { KeyDerivation } from "../keystore.js";
import {
  configOf,
  natural,
  TERMINAL,
  withOutput,
  withPassword,
  withPool,
  type CommandIo,
  type OutputOptions,
  type PasswordOptions,
  type PoolOptions,
} from "./options.js";

interface GenerateCommandOptions extends PoolOptions, OutputOptions, PasswordOptions {
  readonly count: number;
  readonly startIndex: number;
  readonly mnemonicFile?: string;
  readonly random?: boolean;
  readonly kdf: KeyDerivation;
}

export function generateCommand(io: CommandIo = TERMINAL): Command {
  const command = new Command("generate")
    .description("makes validator keys: keystores, and deposit_data for the pool's credentials and network")
    .requiredOption("-n, --count <number>", "how many", natural)
    .option("--start-index <index>", "index of the first key of the mnemonic", natural, 0)
    .option("--mnemonic-file <file>", "holds the mnemonic; asked for at the terminal otherwise")
    .addOption(
      new Option("--random", "keys of no mnemonic: their keystores are the only copy").conflicts("mnemonicFile"),
    )
    .addOption(
      new Option(
        "--kdf <function>",
        "how keystores are guarded; pbkdf2 opens twenty times faster, and is guessed faster",
      )
        .choices(["scrypt", "pbkdf2"])
        .default("scrypt"),
    );
  return withOutput(withPassword(withPool(command))).action((options: GenerateCommandOptions) => generate(options, io));
}

async function generate(options: GenerateCommandOptions, io: CommandIo): Promise<void> {
  const config = configOf(options);
  const [{ generateKeys }, { askPassword, askMnemonic }, { withPoolChain }, { poolTerms }] = await Promise.all([
    import("../generate.js"),
    import("../passwords.js"),
    import("../poolChain.js"),
    import("../poolTerms.js"),
  ]);
  const terms = await withPoolChain(options, config, (chain) => poolTerms(options, chain));
  const seed = options.random === true ? null : await askMnemonic(options.mnemonicFile);
  const password = await askPassword(options.passwordFile, "new");
  try {
    const { count, startIndex, kdf, out: folder, force = false } = options;
    const { publicKeys, paths } = await generateKeys({
      ...{ count, startIndex, seed, password, kdf, terms, folder, force },
      now: new Date(),
      progress: io.progress,
    });
    io.print(
      `${publicKeys.length} keys for ${terms.networkName}, withdrawal credentials ${terms.withdrawalCredentials}`,
    );
    io.print(`keystores in ${folder}`);
    io.print(paths.at(-1) ?? "");
  } finally {
    seed?.fill(0);
    password.fill(0);
  }
}
