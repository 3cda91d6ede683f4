import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Config } from "../config.js";
import { ConfigError } from "../ops/errors.js";
import type { ServiceLogger } from "../ops/logging.js";
import { createMetrics } from "../ops/metrics.js";
import { connectBeacon, type BeaconNodes } from "../roles/beaconNodes.js";
import { ChainReader } from "./chain.js";
import { connectPool, type PoolContracts } from "./contracts.js";
import { EventStore } from "./eventStore.js";
import { FailoverProvider } from "./provider.js";

/** Reads both chains once, for a command. */
export async function readOnly<T>(
  config: Config,
  logger: ServiceLogger,
  read: (chain: ChainReader, beacon: BeaconNodes) => Promise<T>,
): Promise<T> {
  if (config.beaconUrls.length === 0) {
    throw new ConfigError("ConfigInvalid", "beaconUrls: must name at least one beacon node.");
  }
  return readChain(config, logger, (chain) =>
    read(chain, connectBeacon(config, chain.contracts, createMetrics(), logger)),
  );
}

/** Reads the chain once: it begins with the events that a service has read, and leaves that service's files alone. */
export async function readChain<T>(
  config: Config,
  logger: ServiceLogger,
  read: (chain: ChainReader) => Promise<T>,
): Promise<T> {
  const { chainId, logsFromBlock, dataDir } = config;
  const provider = new FailoverProvider(config.executionUrls, chainId, logger);
  try {
    const contracts = await connectPool(config.poolManager, provider);
    return await withEvents({ provider, contracts, chainId, logsFromBlock }, dataDir, logger, read);
  } finally {
    provider.destroy();
  }
}

/** A pool whose nodes are connected. */
export interface ConnectedPool {
  readonly provider: FailoverProvider;
  readonly contracts: PoolContracts;
  readonly chainId: number;
  readonly logsFromBlock: number;
}

/** @param dataDir of a service whose cache of events is copied; null for none */
export async function withEvents<T>(
  { provider, contracts, chainId, logsFromBlock: fromBlock }: ConnectedPool,
  dataDir: string | null,
  logger: ServiceLogger,
  read: (chain: ChainReader) => Promise<T>,
): Promise<T> {
  const scratch = mkdtempSync(path.join(tmpdir(), "pooleth-"));
  try {
    if (dataDir !== null) copyEvents(dataDir, scratch);
    const { registry, validatorExits, ssvNetwork } = contracts.addresses;
    const parts = { provider, chainId, registry, validatorExits, ssvNetwork, fromBlock, dataDir: scratch, logger };
    return await read(new ChainReader(provider, contracts, new EventStore(parts)));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function copyEvents(dataDir: string, scratch: string): void {
  for (const name of existsSync(dataDir) ? readdirSync(dataDir) : []) {
    if (name.startsWith("events-")) cpSync(path.join(dataDir, name), path.join(scratch, name));
  }
}
