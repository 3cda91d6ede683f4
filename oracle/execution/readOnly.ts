import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Config } from "../config.js";
import { ConfigError } from "../ops/errors.js";
import type { ServiceLogger } from "../ops/logging.js";
import { createMetrics } from "../ops/metrics.js";
import { connectBeacon, type BeaconNodes } from "../roles/beaconNodes.js";
import { ChainReader } from "./chain.js";
import { connectPool } from "./contracts.js";
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
  const provider = new FailoverProvider(config.executionUrls, config.chainId, logger);
  const scratch = mkdtempSync(path.join(tmpdir(), "pooleth-"));
  try {
    copyEvents(config.dataDir, scratch);
    const contracts = await connectPool(config.poolManager, provider);
    const { registry, validatorExits, ssvNetwork } = contracts.addresses;
    const { chainId, logsFromBlock: fromBlock } = config;
    const parts = { provider, chainId, registry, validatorExits, ssvNetwork, fromBlock, dataDir: scratch, logger };
    return await read(new ChainReader(provider, contracts, new EventStore(parts)));
  } finally {
    provider.destroy();
    rmSync(scratch, { recursive: true });
  }
}

function copyEvents(dataDir: string, scratch: string): void {
  for (const name of existsSync(dataDir) ? readdirSync(dataDir) : []) {
    if (name.startsWith("events-")) cpSync(path.join(dataDir, name), path.join(scratch, name));
  }
}
