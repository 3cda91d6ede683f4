import axios from "axios";
import { formatEther, type Signer } from "ethers";
import { openKey, type Config, type Role } from "../config.js";
import { connectPool, type PoolContracts } from "../execution/contracts.js";
import { FailoverProvider, readHead } from "../execution/provider.js";
import { REPORT_VERSION } from "../report/report.js";
import { readWithdrawn } from "../roles/reference.js";
import { connectBeacon } from "../roles/beaconNodes.js";
import { stateOf } from "../roles/nodeHealth.js";
import { digestOf, domainSeparator, type Report } from "../signatures/messages.js";
import { ssvCodeOf, unknownCode } from "../ssv/code.js";
import { prepareDataDir } from "./dataDir.js";
import { createMetrics } from "./metrics.js";
import { describeError, publicUrl, type ServiceLogger } from "./logging.js";

export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  /** what was found; for a failure also what to do */
  readonly detail: string;
}

const TIMEOUT_MS = 10_000;

/** Everything that can be known before a first run. Never throws: what cannot be asked is a failure with its reason. */
export async function runChecks(
  config: Config,
  logger: ServiceLogger,
  environment: NodeJS.ProcessEnv,
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  const check = async (name: string, test: () => Promise<string> | string): Promise<void> => {
    try {
      results.push({ name, ok: true, detail: await test() });
    } catch (error) {
      results.push({ name, ok: false, detail: String(describeError(error).message) });
    }
  };

  await check("data directory", () => {
    prepareDataDir(config.dataDir);
    return config.dataDir;
  });
  const provider = new FailoverProvider(config.executionUrls, config.chainId, logger);
  try {
    for (const node of provider.alone) {
      await check(nodeCheck(node.name), async () => {
        const head = await readHead(node, "latest");
        return `chain id ${config.chainId}, block ${head?.number ?? "none yet"}`;
      });
    }
    const connected: PoolContracts[] = [];
    await check("pool contracts", async () => {
      const contracts = await connectPool(config.poolManager, provider);
      connected.push(contracts);
      return `registry ${contracts.addresses.registry}, reports ${contracts.addresses.reportOracle}, guardians ${contracts.addresses.guardians}`;
    });
    for (const contracts of connected) {
      await checkContracts(config, contracts, check);
      const answering = provider.alone.filter(({ name }) =>
        results.some((one) => one.ok && one.name === nodeCheck(name)),
      );
      if (config.roles.includes("oracle")) await checkProofs(contracts, answering, check);
      await checkBeacon(config, contracts, logger, check);
      for (const role of config.roles) {
        await check(`key of the ${role}`, () => checkKey(role, config, contracts, provider, environment));
      }
    }
  } finally {
    provider.destroy();
  }
  for (const url of config.collectors) {
    await check(`collector ${publicUrl(url)}`, async () => {
      const answer = await axios
        .get(new URL("/health", url).href, { timeout: TIMEOUT_MS, validateStatus: () => true })
        .catch((error: unknown) => {
          const why = String(describeError(error).message);
          throw new Error(`It cannot be reached (${why}). Start that keeper, or mend collectors.`);
        });
      return `answers (HTTP ${answer.status})`;
    });
  }
  return results;
}

const nodeCheck = (name: string): string => `execution node ${name}`;

type Check = (name: string, test: () => Promise<string> | string) => Promise<void>;

async function checkContracts(config: Config, contracts: PoolContracts, check: Check): Promise<void> {
  const { chainId } = config;
  const { reportOracle, guardians, poolManager, ssvViews, addresses, frames } = contracts;
  const domains = { chainId, reportOracle: addresses.reportOracle, guardians: addresses.guardians };
  await check("frames of PoolManager and ReportOracle", async () => {
    const [pool, oracle] = await Promise.all([poolManager.frameConfig(), reportOracle.frameConfig()]);
    expectEqual("frame configuration", String(oracle), String(pool), "the deployment is wrong: do not run");
    return `${frames.slotsPerFrame} slots of ${frames.secondsPerSlot} seconds`;
  });
  await check("ValidatorExits", () => checkExits(contracts));
  await check("what oracles sign", async () => {
    const report: Report = {
      version: Number(REPORT_VERSION),
      refSlot: 1,
      beaconBlockRoot: `0x${"11".repeat(32)}`,
      clBalance: 2n,
      openPenalties: 3n,
      withdrawnAtRef: 4n,
      exiting: [3, 4],
      exited: [5, 6],
    };
    const onChain = await reportOracle.digest({ ...report, exiting: [...report.exiting], exited: [...report.exited] });
    const ours = digestOf({ kind: "report", message: report }, domains);
    return expectEqual("digest", ours, onChain, "update this program to the one the contracts were made for");
  });
  await check("what guardians sign", async () => {
    const ours = domainSeparator("vetting", domains);
    const onChain = await guardians.domainSeparator();
    return expectEqual("domain separator", ours, onChain, "update this program to the one the contracts were made for");
  });
  await check("report version", async () => {
    const frame = await reportOracle.lastFrame();
    const version = await reportOracle.versionAt((frame + 1n) * frames.slotsPerFrame);
    return expectEqual("version", version, REPORT_VERSION, "update this program");
  });
  await check("SSV version", async () => {
    const version = await ssvViews.getVersion();
    const unknown = unknownCode(ssvCodeOf([], version), config.ssv);
    if (unknown === null) return version;
    throw new Error(unknown);
  });
}

/** An oracle signs only what has come to the vault by a proof. */
async function checkProofs(contracts: PoolContracts, nodes: readonly FailoverProvider[], check: Check): Promise<void> {
  for (const node of nodes) {
    await check(`proofs of execution node ${node.name}`, async () => {
      const head = await readHead(node, "latest");
      const answer = head === null ? null : await readWithdrawn(node, contracts, head);
      if (answer?.proof != null) return "eth_getProof answers";
      throw new Error(
        "It serves no eth_getProof at its head: an oracle with no other node abstains from every report.",
      );
    });
  }
}

/** Exits are asked for and reported through one contract that knows the same pool. */
async function checkExits({ validatorExits, reportOracle, poolManager, addresses }: PoolContracts): Promise<string> {
  const fix = "the deployment is wrong: do not run";
  const [targets, parts, pool, ours, theirs] = await Promise.all([
    reportOracle.targets(),
    validatorExits.contracts(),
    poolManager.contracts(),
    poolManager.frameConfig(),
    validatorExits.frameConfig(),
  ]);
  expectEqual(
    "contracts that take reports",
    String(targets),
    String([addresses.poolManager, addresses.validatorExits]),
    fix,
  );
  expectEqual(
    "contracts of ValidatorExits",
    String(parts),
    String([addresses.registry, addresses.poolManager, pool.reportOracle, pool.withdrawalVault, pool.rewardsVault]),
    fix,
  );
  expectEqual("frame configuration of ValidatorExits", String(theirs), String(ours), fix);
  return addresses.validatorExits;
}

async function checkBeacon(
  config: Config,
  contracts: PoolContracts,
  logger: ServiceLogger,
  check: Check,
): Promise<void> {
  const nodes = connectBeacon(config, contracts, createMetrics(), logger);
  for (const client of nodes.clients) {
    await check(`beacon node ${client.name}`, async () => {
      await nodes.check(client);
      const [{ genesisValidatorsRoot }, syncing] = await Promise.all([client.genesis(), client.syncing()]);
      const state = stateOf(syncing, syncing.headSlot);
      if (state !== "ready") throw new Error(`It is ${state}, at slot ${syncing.headSlot}: wait, or use another.`);
      return `genesis ${genesisValidatorsRoot}`;
    });
  }
}

async function checkKey(
  role: Role,
  config: Config,
  { reportOracle, guardians }: PoolContracts,
  provider: FailoverProvider,
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  const source = config.keys[role];
  if (source === undefined) {
    if (role === "keeper" && config.dryRun) return "none; not needed for a dry run";
    throw new Error(`keys.${role} is not set: name the key's file or environment variable.`);
  }
  const signer: Signer = openKey(role, source, environment);
  const address = await signer.getAddress();
  if (role === "keeper") {
    const balanceWei = await provider.getBalance(address);
    if (balanceWei === 0n) throw new Error(`${address} has no ETH to pay for transactions: send it some.`);
    return `${address} has ${formatEther(balanceWei)} ETH`;
  }
  const isSigner = await (role === "oracle" ? reportOracle : guardians).isSigner(address);
  if (isSigner) return `${address} is a member's signer`;
  throw new Error(
    `${address} signs for no member: have governance admit the member, or the member's cold address call rotateSigner(${address}).`,
  );
}

function expectEqual<T extends string | bigint>(what: string, actual: T, expected: T, fix: string): string {
  if (actual === expected) return `${what} ${actual}`;
  throw new Error(`The ${what} is ${actual}, expected is ${expected}: ${fix}.`);
}
