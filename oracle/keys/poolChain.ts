import type { Config } from "../config.js";
import { connectPool, type PoolContracts } from "../execution/contracts.js";
import { chainIdOf, FailoverProvider, readHead } from "../execution/provider.js";
import { createLogger } from "../ops/logging.js";
import { ServiceError } from "../ops/errors.js";
import { KeysError } from "./errors.js";
import { operatorKeysAt, sameOperators, type OperatorKey } from "./operatorKeys.js";

/** The pool on its chain, as the nodes that were named tell it. */
export interface PoolChain {
  readonly chainId: number;
  readonly contracts: PoolContracts;
  readonly provider: FailoverProvider;
  readonly executionUrls: readonly string[];
  readonly beaconUrls: readonly string[];
  /** block from which SSV Network's events are read */
  readonly logsFromBlock: number;
}

export interface ChainOptions {
  readonly rpc?: readonly string[];
  readonly poolManager?: string;
}

/**
 * Connects to the pool that a configuration or the options name, for as long as `use` runs; null where neither names one.
 */
export async function withPoolChain<T>(
  options: ChainOptions,
  config: Config | null,
  use: (chain: PoolChain | null) => Promise<T>,
): Promise<T> {
  const executionUrls = options.rpc ?? config?.executionUrls ?? [];
  const poolManager = options.poolManager ?? config?.poolManager;
  const [url] = executionUrls;
  if (url === undefined && poolManager === undefined) return use(null);
  if (url === undefined || poolManager === undefined) {
    throw new KeysError("MissingOption", "--rpc and --pool-manager go together: the pool, and a node that knows it.");
  }
  const chainId = config?.chainId ?? Number(await chainIdOf(url));
  const provider = new FailoverProvider(executionUrls, chainId, createLogger("silent"));
  try {
    const contracts = await connectPool(poolManager, provider);
    const { beaconUrls, logsFromBlock } = config ?? { beaconUrls: [], logsFromBlock: 0 };
    return await use({ chainId, contracts, provider, executionUrls, beaconUrls, logsFromBlock });
  } finally {
    provider.destroy();
  }
}

/** What KeyShares of a cluster are made for. */
export interface ClusterTerms {
  readonly cluster: number;
  readonly isActive: boolean;
  /** takes only keys of a DKG ceremony */
  readonly requireDkg: boolean;
  /** SSV owner */
  readonly account: string;
  /** owner nonce of the next validator to publish */
  readonly nextNonce: bigint;
  readonly operators: readonly OperatorKey[];
}

/** A cluster at the head. */
export async function readCluster(chain: PoolChain, cluster: number): Promise<ClusterTerms> {
  const { contracts, provider } = chain;
  const head = await readHead(provider, "latest");
  if (head === null) throw new ServiceError("HeadMoved", "The execution node has no head yet; try again later.");
  const at = { blockTag: head.hash };
  const { clusters } = await contracts.registry.counts(at);
  if (cluster < 1 || BigInt(cluster) > clusters) {
    throw new KeysError("ClusterUnknown", `The pool has the clusters 1 to ${clusters} and no ${cluster}.`, {
      cluster,
      clusters,
    });
  }
  const state = await contracts.registry.cluster(cluster, at);
  const account = await contracts.registry.account(state.account, at);
  return {
    cluster,
    isActive: state.active,
    requireDkg: state.requireDkg,
    account: account.account,
    nextNonce: account.nonce + account.queued,
    operators: await operatorsFromAll(chain, [...state.operatorIds], head.number),
  };
}

/** Refuses to split keys for a cluster that would not take them. */
export function assertTakesSplitKeys({ cluster, isActive, requireDkg }: ClusterTerms): void {
  if (requireDkg) {
    throw new KeysError(
      "DkgRequired",
      `Cluster ${cluster} takes only keys that never existed whole: hold a DKG ceremony with its operators (ssv-dkg) and import that, or choose another cluster.`,
      { cluster },
    );
  }
  if (!isActive) {
    throw new KeysError(
      "ClusterRetired",
      `Cluster ${cluster} is retired: its keys would never be registered and would hold up others. Choose another cluster.`,
      { cluster },
    );
  }
}

/**
 * The operators' keys as every node tells them. They decide who can read the shares, and no signature vouches for them: of nodes that
 * differ one lies, and a single one has to be believed.
 */
export async function operatorsFromAll(
  { executionUrls, chainId, contracts, logsFromBlock }: PoolChain,
  operatorIds: readonly bigint[],
  head: number,
): Promise<OperatorKey[]> {
  let agreed: OperatorKey[] | null = null;
  for (const url of executionUrls) {
    const provider = new FailoverProvider([url], chainId, createLogger("silent"));
    try {
      const told = await operatorKeysAt(provider, contracts.addresses.ssvNetwork, operatorIds, logsFromBlock, head);
      if (agreed !== null) sameOperators(agreed, told, "the execution nodes");
      agreed = told;
    } finally {
      provider.destroy();
    }
  }
  return agreed ?? [];
}
