import { networksChainConfig } from "@lodestar/config/networks";
import { hexlify } from "ethers";
import { BeaconClient } from "../beacon/client.js";
import { assertGenesisForkVersion, withdrawalCredentials } from "./depositData.js";
import { KeysError } from "./errors.js";
import type { PoolChain } from "./poolChain.js";

/** What a deposit of the pool is signed for. */
export interface PoolTerms {
  readonly networkName: string;
  readonly genesisForkVersion: string;
  readonly withdrawalCredentials: string;
}

export interface TermOptions {
  readonly network?: string;
  readonly genesisForkVersion?: string;
  readonly withdrawalVault?: string;
}

/**
 * The terms as the pool's contracts have them, and without a chain as the options say. What both say must be the same: a deposit signed
 * for other terms is refused by the guardians at best.
 */
export async function poolTerms(options: TermOptions, chain: PoolChain | null): Promise<PoolTerms> {
  const given = options.withdrawalVault === undefined ? null : withdrawalCredentials(options.withdrawalVault);
  const credentials = chain?.contracts.withdrawalCredentials ?? given;
  if (credentials === null) {
    throw new KeysError(
      "MissingOption",
      "Whose deposits are these? Name the pool's WithdrawalVault with --withdrawal-vault, or the pool itself with --config, or --rpc and --pool-manager.",
    );
  }
  if (given !== null && given !== credentials) {
    throw new KeysError(
      "OptionMismatch",
      `--withdrawal-vault gives the credentials ${given}, but the pool's are ${credentials}: leave the option out, or correct the pool.`,
      { given, credentials },
    );
  }
  return { ...(await networkOf(options, chain)), withdrawalCredentials: credentials };
}

/** The network that a pool is on, or the one that is named. */
export async function networkOf(
  { network, genesisForkVersion }: TermOptions,
  chain: PoolChain | null,
): Promise<Pick<PoolTerms, "networkName" | "genesisForkVersion">> {
  const known = Object.entries(networksChainConfig).find(([name, { DEPOSIT_CHAIN_ID: id }]) =>
    chain === null ? name === network : id === chain.chainId,
  );
  const networkName = known?.[0] ?? network ?? (chain === null ? undefined : `chain-${chain.chainId}`);
  if (networkName === undefined) {
    throw new KeysError("MissingOption", "Of which network? Name it with --network, such as mainnet or hoodi.");
  }
  if (network !== undefined && network !== networkName) {
    throw new KeysError(
      "OptionMismatch",
      `The pool is on ${networkName}, not on ${network}: correct --network, or the execution node.`,
      { networkName, network },
    );
  }
  const [beaconUrl] = chain?.beaconUrls ?? [];
  const version =
    genesisForkVersion ??
    (known === undefined ? null : hexlify(known[1].GENESIS_FORK_VERSION)) ??
    (beaconUrl === undefined ? null : (await new BeaconClient(beaconUrl).genesis()).genesisForkVersion);
  if (version === null) {
    throw new KeysError(
      "UnknownNetwork",
      `${networkName} is none of ${Object.keys(networksChainConfig).join(", ")}: give its genesis fork version with --genesis-fork-version.`,
      { networkName },
    );
  }
  assertGenesisForkVersion(networkName, version);
  return { networkName, genesisForkVersion: version };
}
