import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { hexlify, id, parseEther, Wallet, type HDNodeWallet } from "ethers";
import { deployPool, type Deployment } from "../../../deploy/deploy.js";
import { parseParameters, type ParametersInput } from "../../../deploy/parameters.js";
import { addAccountAndClusters, type Lane } from "../../../deploy/setup.js";
import { startDevnet, type Devnet } from "../../../devnet/devnet.js";
import { deployOrLoadSsv, registerOperators } from "../../../devnet/ssv.js";
import { parseConfig, type Config, type ConfigInput, type Role } from "../../../oracle/config.js";
import { encodeEntries, prepareValidators, type PreparedValidator } from "../../../oracle/keys/prepare.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { startService, type Round, type Service } from "../../../oracle/service.js";
import {
  PoolManager__factory,
  ValidatorRegistry__factory,
  type PoolManager,
  type ValidatorRegistry,
} from "../../../types/ethers-contracts/index.js";

/** Long enough for a reference slot to become final within the frame that follows. */
export const SLOTS_PER_FRAME = 32;
const MEMBERS = 3;
const OPERATORS = 4;

export const hotKey = (role: Role, i: number): Wallet => new Wallet(id(`${role} ${i}, hot`));
const coldAddress = (role: Role, i: number): string => new Wallet(id(`${role} ${i}, cold`)).address;

/** A deployed pool with one cluster of four operators on a devnet of its own. */
export interface Pool {
  readonly devnet: Devnet;
  readonly deployment: Deployment;
  readonly lane: Lane;
  readonly poolManager: PoolManager;
  readonly registry: ValidatorRegistry;
  readonly staker: HDNodeWallet;
  readonly keepers: readonly HDNodeWallet[];
  /** New validators for the cluster, with the nonces that are next. */
  prepare(count: number): Promise<PreparedValidator[]>;
  publish(validators: readonly PreparedValidator[]): Promise<void>;
  stake(ether: string): Promise<void>;
  start(role: Role, i: number, collectors: readonly string[], extra?: Partial<ConfigInput>): Promise<Service>;
  config(role: Role, i: number, collectors: readonly string[], extra?: Partial<ConfigInput>): Config;
  close(): Promise<void>;
}

export async function startPool(): Promise<Pool> {
  const devnet = await startDevnet();
  const [deployer, governance, operator, staker, ...others] = devnet.accounts;
  const keepers = others.slice(0, 2);
  if (deployer === undefined || governance === undefined || operator === undefined || staker === undefined) {
    throw new Error("the devnet has too few accounts");
  }
  const mine = (): Promise<void> => devnet.advance();
  const ssv = await deployOrLoadSsv(deployer, { mine });
  devnet.operators.follow(await ssv.network.getAddress());
  const nodes = devnet.operators.create(OPERATORS);
  const operatorIds = await registerOperators(
    ssv.network,
    deployer,
    nodes.map(({ publicKeyForSsv }) => ({ publicKey: publicKeyForSsv, feeWeiPerBlock: 1_000_000_000n })),
    { mine },
  );
  const input = JSON.parse(
    readFileSync(new URL("../../../deploy/parameters/devnet.json", import.meta.url), "utf8"),
  ) as ParametersInput;
  const members = (role: Role) =>
    Array.from({ length: MEMBERS }, (_, i) => ({ member: coldAddress(role, i), signer: hotKey(role, i).address }));
  const parameters = parseParameters({
    ...input,
    chainId: devnet.chainId,
    frames: { genesisTime: devnet.genesisTime, secondsPerSlot: devnet.secondsPerSlot, slotsPerFrame: SLOTS_PER_FRAME },
    ssv: { network: await ssv.network.getAddress(), views: await ssv.views.getAddress() },
    governance: { ...input.governance, address: governance.address },
    poolOperator: operator.address,
    pool: { ...input.pool, treasury: new Wallet(id("treasury")).address },
    oracles: { members: members("oracle"), quorum: 2 },
    guardians: { ...input.guardians, members: members("guardian"), quorum: 2 },
  });
  const confirm: NonNullable<Parameters<typeof deployPool>[2]>["confirm"] = (transaction) => devnet.mineTx(transaction);
  const deployment = await deployPool(deployer, parameters, { confirm });
  const lane = await addAccountAndClusters(
    governance,
    deployment,
    [{ operatorIds, requireDkg: false, cap: 100 }],
    confirm,
  );
  const registry = ValidatorRegistry__factory.connect(deployment.addresses.registry, devnet.provider);
  const poolManager = PoolManager__factory.connect(deployment.addresses.poolManager, devnet.provider);
  const dataDir = mkdtempSync(path.join(tmpdir(), "pooleth-"));
  const services: Service[] = [];
  const withdrawalCredentials = await registry.withdrawalCredentials();

  const config: Pool["config"] = (role, i, collectors, extra = {}) =>
    parseConfig({
      chainId: devnet.chainId,
      poolManager: deployment.addresses.poolManager,
      executionUrls: [devnet.rpcUrl],
      beaconUrls: [devnet.beaconUrl],
      roles: [role],
      collectors: [...collectors],
      listen: { host: "127.0.0.1", port: 0 },
      dataDir: path.join(dataDir, `${role}-${i}`),
      dryRun: false,
      logLevel: process.env["POOL_LOG"] ?? "silent",
      preset: "minimal",
      ...extra,
    });

  return {
    devnet,
    deployment,
    lane,
    poolManager,
    registry,
    staker,
    keepers,
    config,
    async prepare(count) {
      const { nonce, queued } = await registry.account(lane.accountId);
      return prepareValidators({
        count,
        account: lane.ssvAccount,
        firstNonce: nonce + queued,
        operators: nodes.map(({ publicKeyPem }, i) => ({ id: operatorIds[i] ?? 0n, publicKeyPem })),
        withdrawalCredentials,
        genesisForkVersion: devnet.genesisForkVersion,
        networkName: "devnet",
      });
    },
    async publish(validators) {
      const firstNonce = validators[0]?.ownerNonce ?? 0n;
      const data = hexlify(encodeEntries(validators));
      await devnet.mineTx(registry.connect(operator).publish(lane.clusterIds[0] ?? 0n, firstNonce, data, "0x"));
    },
    async stake(ether) {
      const value = parseEther(ether);
      await devnet.mineTx(poolManager.connect(staker).stake(staker.address, staker.address, { value }));
    },
    async start(role, i, collectors, extra) {
      const signer = role === "keeper" ? keepers[i] : hotKey(role, i);
      if (signer === undefined) throw new Error(`there is no ${role} ${i}`);
      const used = config(role, i, collectors, extra);
      const logger = createLogger(used.logLevel).child({ service: `${role} ${i}` });
      const service = await startService(used, { signers: { [role]: signer }, follow: false, logger });
      services.push(service);
      return service;
    },
    async close() {
      await Promise.all(services.map((service) => service.stop()));
      await devnet.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Lets everybody process every head, members before keepers, until the condition holds. */
export async function follow(
  pool: Pool,
  members: readonly Service[],
  keepers: readonly Service[],
  condition: () => boolean | Promise<boolean>,
  maxSlots = 400,
): Promise<Round[]> {
  const failed: Round[] = [];
  for (let slot = 0; slot <= maxSlots; slot++) {
    const rounds = [
      ...(await Promise.all(members.map((service) => service.sync()))),
      ...(await Promise.all(keepers.map((service) => service.sync()))),
    ];
    failed.push(...rounds.filter(({ failures }) => failures.length > 0));
    if (await condition()) return failed;
    await pool.devnet.advance();
  }
  throw new Error(`still not true after ${maxSlots} slots: ${condition.toString()}`);
}
