import { Command } from "commander";
import { getAddress } from "ethers";
import type { ClusterTerms } from "../poolChain.js";
import type { PoolTerms } from "../poolTerms.js";
import {
  configOf,
  natural,
  TERMINAL,
  withOutput,
  withPool,
  type CommandIo,
  type OutputOptions,
  type PoolOptions,
} from "./options.js";

type ClusterCommandOptions = PoolOptions & OutputOptions;

export function clusterCommand(io: CommandIo = TERMINAL): Command {
  const command = new Command("cluster")
    .description(
      "what keys of a cluster are made for, as options of the offline steps and of ssv-dkg, with a file of its operators' keys",
    )
    .argument("<id>", "of the pool's cluster", natural);
  return withOutput(withPool(command)).action((cluster: number, options: ClusterCommandOptions) =>
    show(cluster, options, io),
  );
}

async function show(cluster: number, options: ClusterCommandOptions, io: CommandIo): Promise<void> {
  const config = configOf(options);
  const [
    { KeysError },
    { OutputFiles, fileTime },
    { fingerprint, writeOperators },
    { readCluster, withPoolChain },
    { poolTerms },
  ] = await Promise.all([
    import("../errors.js"),
    import("../io/output.js"),
    import("../operatorKeys.js"),
    import("../poolChain.js"),
    import("../poolTerms.js"),
  ]);
  const [terms, target] = await withPoolChain(options, config, async (chain) => {
    if (chain === null) {
      throw new KeysError("MissingOption", "Of which pool? Name it with --config, or with --rpc and --pool-manager.");
    }
    return [await poolTerms(options, chain), await readCluster(chain, cluster)] as const;
  });
  const files = await OutputFiles.open(options.out, options.force === true);
  try {
    await files.add(`operators-${fileTime(new Date())}.json`, async (path) => writeOperators(path, target.operators));
    const [file = ""] = await files.commit();
    for (const operator of target.operators)
      io.print(`operator ${operator.id}: RSA key with SHA-256 ${fingerprint(operator)}`);
    io.print(
      [...describe(target, terms), "", ...(target.requireDkg ? dkgSteps : splitSteps)(target, terms, file)].join("\n"),
    );
  } finally {
    await files.discard();
  }
}

function describe({ cluster, isActive, requireDkg }: ClusterTerms, { networkName }: PoolTerms): string[] {
  const kind = requireDkg ? "takes only keys of a DKG ceremony" : "takes split keys";
  return [`Cluster ${cluster} on ${networkName} ${isActive ? kind : "is retired: make no keys for it"}.`];
}

function splitSteps({ account, nextNonce }: ClusterTerms, terms: PoolTerms, file: string): string[] {
  const { networkName, genesisForkVersion } = terms;
  const pool = `--withdrawal-vault ${vaultOf(terms)} --network ${networkName} --genesis-fork-version ${genesisForkVersion}`;
  return [
    "Offline:",
    `  pooleth keys generate --count <number> ${pool}`,
    `  pooleth keys split <keystores> --account ${account} --nonce ${nextNonce} --operators-file ${file} ${pool}`,
  ];
}

function dkgSteps({ account, nextNonce, operators }: ClusterTerms, terms: PoolTerms, file: string): string[] {
  const ids = operators.map(({ id }) => id).join(",");
  return [
    "With ssv-dkg, which asks the operators:",
    `  ssv-dkg init --validators <number> --operatorIDs ${ids} --operatorsInfoPath <file with their addresses> --owner ${account} --nonce ${nextNonce} ` +
      `--withdrawAddress ${vaultOf(terms)} --amount 32000000000 --network ${terms.networkName}`,
    "What it wrote is compared with the operators' keys of SSV Network:",
    `  pooleth keys import-dkg ceremony-... --account ${account} --nonce ${nextNonce} --operators-file ${file}`,
  ];
}

/** The address in 0x01 credentials. */
function vaultOf({ withdrawalCredentials }: PoolTerms): string {
  return getAddress(`0x${withdrawalCredentials.slice(-40)}`);
}
