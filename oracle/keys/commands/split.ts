import { Command, InvalidArgumentError, Option } from "commander";
import type { PoolChain } from "../poolChain.js";
import type { ClusterOperator } from "../keysharesJson.js";
import {
  address,
  configOf,
  list,
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

interface SplitCommandOptions extends PoolOptions, OutputOptions, PasswordOptions {
  readonly cluster?: number;
  readonly account?: string;
  readonly nonce?: number;
  readonly operatorsFile?: string;
  readonly operators?: readonly bigint[];
}

const WHOLE_KEY_WARNING =
  "Warning: these keys have existed whole. Whoever has a copy, of this machine's memory too, can sign for the validators and have them " +
  "slashed. Keys of a DKG ceremony (ssv-dkg) never exist whole; clusters can require that.";

export function splitCommand(io: CommandIo = TERMINAL): Command {
  const command = new Command("split")
    .description(
      "splits keystores among the operators of a cluster: KeyShares for its account and the next owner nonces",
    )
    .argument("<keystores...>", "keystores (EIP-2335) of any tool, or their folder; all of one password")
    .option("--cluster <id>", "cluster of the pool; its operators, account and nonce are read from the chain", natural)
    .option("--operators-file <file>", "the operators' keys, as SSV's API or ssv-dkg has them; with --cluster compared")
    .addOption(
      new Option("--account <address>", "offline: the account, SSV owner").argParser(address).conflicts("cluster"),
    )
    .addOption(
      new Option("--nonce <number>", "offline: owner nonce of the first").argParser(natural).conflicts("cluster"),
    )
    .addOption(
      new Option("--operators <ids>", "offline: which of the file, such as 1,2,3,4; all when left out")
        .argParser(operatorIds)
        .conflicts("cluster"),
    );
  return withOutput(withPassword(withPool(command))).action((keystores: string[], options: SplitCommandOptions) =>
    split(keystores, options, io),
  );
}

async function split(keystores: string[], options: SplitCommandOptions, io: CommandIo): Promise<void> {
  const config = configOf(options);
  const [{ splitKeys }, { askPassword }, { withPoolChain }, { poolTerms }, { fingerprint }] = await Promise.all([
    import("../split.js"),
    import("../passwords.js"),
    import("../poolChain.js"),
    import("../poolTerms.js"),
    import("../operatorKeys.js"),
  ]);
  const { target, terms } = await withPoolChain(options, config, async (chain) => ({
    target: await targetOf(options, chain),
    terms: await poolTerms(options, chain),
  }));
  const { account, firstNonce, operators } = target;
  for (const operator of operators) io.print(`operator ${operator.id}: RSA key with SHA-256 ${fingerprint(operator)}`);
  io.warn(WHOLE_KEY_WARNING);
  if (!target.isFromChain)
    io.warn("Offline: whether the cluster takes such keys, and whether the nonce is next, is not known here.");

  const password = await askPassword(options.passwordFile, "existing");
  try {
    const { out: folder, force = false } = options;
    const { validators, paths } = await splitKeys({
      ...{ keystores, password, account, firstNonce, operators, terms, folder, force },
      now: new Date(),
      progress: io.progress,
    });
    const last = validators.at(-1)?.ownerNonce ?? firstNonce;
    io.print(`${validators.length} validators for account ${account}, owner nonces ${firstNonce} to ${last}`);
    for (const path of paths) io.print(path);
  } finally {
    password.fill(0);
  }
}

interface Target {
  readonly account: string;
  readonly firstNonce: bigint;
  readonly operators: readonly ClusterOperator[];
  readonly isFromChain: boolean;
}

async function targetOf(options: SplitCommandOptions, chain: PoolChain | null): Promise<Target> {
  const { KeysError } = await import("../errors.js");
  const { readOperators, sameOperators } = await import("../operatorKeys.js");
  const { cluster, account, nonce, operatorsFile: file } = options;
  if (cluster !== undefined) {
    if (chain === null) {
      throw new KeysError(
        "MissingOption",
        "A cluster is read from the chain: name the pool with --config, or --rpc and --pool-manager.",
      );
    }
    const { assertTakesSplitKeys, readCluster } = await import("../poolChain.js");
    const terms = await readCluster(chain, cluster);
    assertTakesSplitKeys(terms);
    if (file !== undefined) {
      const ids = terms.operators.map(({ id }) => id);
      sameOperators(terms.operators, await readOperators(file, ids), "the chain and the file");
    }
    return { account: terms.account, firstNonce: terms.nextNonce, operators: terms.operators, isFromChain: true };
  }
  if (account === undefined || nonce === undefined || file === undefined) {
    throw new KeysError(
      "MissingOption",
      "For whom? Name a cluster of the pool with --cluster; offline --account, --nonce and --operators-file.",
    );
  }
  return {
    account,
    firstNonce: BigInt(nonce),
    operators: await readOperators(file, options.operators),
    isFromChain: false,
  };
}

function operatorIds(text: string): bigint[] {
  const ids = list(text);
  if (ids.every((id) => /^[1-9]\d{0,19}$/.test(id)) && new Set(ids).size === ids.length) return ids.map(BigInt);
  throw new InvalidArgumentError("They are operator ids, each once, such as 1,2,3,4.");
}
