import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { id, Wallet, type HDNodeWallet, type TransactionReceipt, type TransactionResponse } from "ethers";
import { deployPool, type Deployment } from "../deploy/deploy.js";
import { parseParameters, type ParametersInput } from "../deploy/parameters.js";
import devnetParameters from "../deploy/parameters/devnet.json" with { type: "json" };
import { addAccountAndClusters } from "../deploy/setup.js";
import type { ConfigInput, Role } from "../oracle/config.js";
import { parseConfig } from "../oracle/config.js";
import { prepareValidators, type Entry, type PreparedValidator } from "../oracle/keys/prepare.js";
import { publishCall } from "../oracle/keys/publish/plan.js";
import type { ServiceLogger } from "../oracle/ops/logging.js";
import { startService, type Service } from "../oracle/service.js";
import {
  Guardians__factory,
  OperationsReserve__factory,
  PoolETH__factory,
  PoolManager__factory,
  ReportOracle__factory,
  ValidatorExits__factory,
  ValidatorRegistry__factory,
  WithdrawalQueue__factory,
  type Guardians,
  type OperationsReserve,
  type PoolETH,
  type PoolManager,
  type ReportOracle,
  type ValidatorExits,
  type ValidatorRegistry,
  type WithdrawalQueue,
} from "../types/ethers-contracts/index.js";
import { startDevnet, type Devnet, type DevnetOptions } from "./devnet.js";
import { DevnetError } from "./errors.js";
import type { Operator } from "./operators/operator.js";
import { deployOrLoadSsv, registerOperators, type SsvDeployment } from "./ssv.js";

/** Length of a frame here: reports can follow 17 slots after a frame's end, when its last block is final. */
export const SLOTS_PER_FRAME = 32;
/** Two epochs. */
const CUTOFF_MARGIN_SLOTS = 16;
const NETWORK_NAME = "pooleth-devnet";
const OPERATOR_FEE_WEI_PER_BLOCK = 1_770_000_000n;
const CLUSTER_CAP = 100;

/** Who holds which of the devnet's funded accounts. */
const ACCOUNTS = { deployer: 0, governance: 1, poolOperator: 2, treasury: 3, ssv: 4, keepers: 5, users: 10 } as const;

export interface LocalPoolOptions {
  devnet?: DevnetOptions;
  /** Operators of each cluster, each cluster in an account of its own. Default: one of 4 and one of 7. */
  clusterSizes?: readonly number[];
  /** Changes to `deploy/parameters/devnet.json`. */
  parameters?: (parameters: ParametersInput) => ParametersInput;
  /** What happens, for people. */
  onProgress?: (message: string) => void;
}

export interface LocalCluster {
  readonly accountId: bigint;
  readonly clusterId: bigint;
  /** Owner in SSV. */
  readonly ssvAccount: string;
  readonly operators: readonly Operator[];
  readonly operatorIds: readonly bigint[];
}

export interface RunningService {
  readonly name: string;
  readonly role: Role;
  readonly service: Service;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  /** Changes to the configuration, such as another beacon URL. */
  config?: (config: ConfigInput) => ConfigInput;
  /** Where its log goes instead of standard output. */
  logger?: ServiceLogger;
}

/** Hot keys of the committees and of the keepers; the same in every run. */
export function committeeKey(role: Role, position: number): Wallet {
  return new Wallet(id(`poolETH devnet ${role} ${position}`));
}

const coldMember = (role: Role, position: number): Wallet => new Wallet(id(`poolETH devnet cold ${role} ${position}`));
const COMMITTEE = [0, 1, 2];

/**
 * A local Ethereum with SSV Network and its operators, the pool deployed on it as on any network, and as many of its services as a
 * caller starts, each with its own configuration, over HTTP. A slot passes only when every running service has processed the head.
 */
export class LocalPool {
  readonly devnet: Devnet;
  readonly ssv: SsvDeployment;
  readonly deployment: Deployment;
  readonly poolManager: PoolManager;
  readonly poolETH: PoolETH;
  readonly withdrawalQueue: WithdrawalQueue;
  readonly registry: ValidatorRegistry;
  readonly guardians: Guardians;
  readonly reportOracle: ReportOracle;
  readonly reserve: OperationsReserve;
  readonly validatorExits: ValidatorExits;
  readonly #clusters: LocalCluster[] = [];
  readonly #services: RunningService[] = [];
  readonly #pubkeys: string[] = [];
  readonly #dataDir = mkdtempSync(join(tmpdir(), "pooleth-"));
  #collectors: string[] = [];
  /** Validator keys decide who proposes: with the same keys a story takes the same course every time. */
  readonly #random = repeatableBytes("poolETH devnet keys");

  constructor(devnet: Devnet, ssv: SsvDeployment, deployment: Deployment) {
    this.devnet = devnet;
    this.ssv = ssv;
    this.deployment = deployment;
    const { addresses } = deployment;
    const { provider } = devnet;
    this.poolManager = PoolManager__factory.connect(addresses.poolManager, provider);
    this.poolETH = PoolETH__factory.connect(addresses.poolETH, provider);
    this.withdrawalQueue = WithdrawalQueue__factory.connect(addresses.withdrawalQueue, provider);
    this.registry = ValidatorRegistry__factory.connect(addresses.registry, provider);
    this.guardians = Guardians__factory.connect(addresses.guardians, provider);
    this.reportOracle = ReportOracle__factory.connect(addresses.reportOracle, provider);
    this.reserve = OperationsReserve__factory.connect(addresses.reserve, provider);
    this.validatorExits = ValidatorExits__factory.connect(addresses.validatorExits, provider);
    devnet.onSlot(() => this.#sync());
  }

  get governance(): HDNodeWallet {
    return account(this.devnet, ACCOUNTS.governance);
  }

  get poolOperator(): HDNodeWallet {
    return account(this.devnet, ACCOUNTS.poolOperator);
  }

  get treasury(): HDNodeWallet {
    return account(this.devnet, ACCOUNTS.treasury);
  }

  /** Owner of SSV Network's double and of all operators. */
  get ssvOwner(): HDNodeWallet {
    return account(this.devnet, ACCOUNTS.ssv);
  }

  get services(): readonly RunningService[] {
    return this.#services;
  }

  get clusters(): readonly LocalCluster[] {
    return this.#clusters;
  }

  /** Ten people with ETH. */
  user(position: number): HDNodeWallet {
    return account(this.devnet, ACCOUNTS.users + position);
  }

  async stake(user: HDNodeWallet, amountWei: bigint): Promise<TransactionReceipt> {
    const pool = this.poolManager.connect(user);
    return this.devnet.mineTx(pool.stake(user.address, user.address, { value: amountWei }), pool.interface);
  }

  /** A cluster of these operators, registered and ascending by id, in an account of its own. */
  async addCluster(operators: readonly Operator[], { requireDkg = false } = {}): Promise<LocalCluster> {
    const operatorIds = operators.map((operator) => operator.id ?? 0n);
    const lane = await addAccountAndClusters(
      this.governance,
      this.deployment,
      [{ operatorIds, requireDkg, cap: CLUSTER_CAP }],
      (transaction) => this.devnet.mineTx(transaction),
    );
    const cluster = { ...lane, clusterId: lane.clusterIds[0] ?? 0n, operators, operatorIds };
    this.#clusters.push(cluster);
    return cluster;
  }

  /** New keys for a cluster, split for its operators and signed for the account's next nonces. */
  async prepare(cluster: LocalCluster, count: number, nonceShift = 0n): Promise<PreparedValidator[]> {
    const { nonce, queued } = await this.registry.account(cluster.accountId);
    return prepareValidators({
      count,
      account: cluster.ssvAccount,
      firstNonce: nonce + queued + nonceShift,
      operators: cluster.operators.map(({ publicKeyPem }, i) => ({ id: cluster.operatorIds[i] ?? 0n, publicKeyPem })),
      withdrawalCredentials: await this.registry.withdrawalCredentials(),
      genesisForkVersion: this.devnet.genesisForkVersion,
      networkName: NETWORK_NAME,
      randomBytes: this.#random,
    });
  }

  /** Publishes entries as the pool operator. Answers the batch's position in the account's queue. */
  async publish(cluster: LocalCluster, entries: readonly Entry[], dkgProofs = "0x"): Promise<bigint> {
    const { nonce, queued, batches } = await this.registry.account(cluster.accountId);
    const call = await publishCall(this.registry, cluster.clusterId, {
      firstNonce: nonce + queued,
      entries,
      dkgProofs,
    });
    await this.devnet.mineTx(this.poolOperator.sendTransaction(call), this.registry.interface);
    for (const { publicKey } of entries) this.#pubkeys.push(publicKey);
    return batches;
  }

  /** Every key published so far. */
  get ownPubkeys(): readonly string[] {
    return this.#pubkeys;
  }

  /** Three oracle nodes, three guardians and a keeper: what a small pool runs. */
  async startAll(): Promise<void> {
    await this.start("keeper", 0);
    for (const position of COMMITTEE) await this.start("oracle", position);
    for (const position of COMMITTEE) await this.start("guardian", position);
  }

  /** Starts one node. Keepers first: the others push their signatures to the keepers that run when they start. */
  async start(role: Role, position: number, options: ServiceOptions = {}): Promise<RunningService> {
    const input = this.config(role, position);
    const key = role === "keeper" ? account(this.devnet, ACCOUNTS.keepers + position) : committeeKey(role, position);
    const name = `${role} ${position + 1}`;
    const service = await startService(parseConfig(options.config?.(input) ?? input), {
      signers: { [role]: key },
      follow: false, // a round for each slot, when the slot asks for it
      ...(options.logger === undefined ? {} : { logger: options.logger }),
    });
    const running: RunningService = {
      name,
      role,
      service,
      stop: async () => {
        const at = this.#services.indexOf(running);
        if (at < 0) return;
        this.#services.splice(at, 1);
        await service.stop();
      },
    };
    this.#services.push(running);
    if (role === "keeper") this.#collectors = [...this.#collectors, service.url];
    return running;
  }

  /** Configuration of a node as its operator would write it. */
  config(role: Role, position: number): ConfigInput {
    return {
      chainId: this.devnet.chainId,
      poolManager: this.deployment.addresses.poolManager,
      executionUrls: [this.devnet.rpcUrl],
      beaconUrls: [this.devnet.beaconUrl],
      roles: [role],
      collectors: role === "keeper" ? [] : this.#collectors,
      listen: { host: "127.0.0.1", port: 0 },
      dataDir: join(this.#dataDir, `${role}-${position}`),
      dryRun: false,
      logLevel: (process.env["POOLETH_LOG_LEVEL"] as ConfigInput["logLevel"]) ?? "silent",
      preset: "minimal",
    };
  }

  /** Stops every service, then the chain, and forgets their data. */
  async close(): Promise<void> {
    for (const running of [...this.#services]) await running.stop();
    await this.devnet.close();
    rmSync(this.#dataDir, { recursive: true, force: true });
  }

  /** Members first: what they sign at this head is with the keepers when these look at it. */
  async #sync(): Promise<void> {
    const keepers = this.#services.filter(({ role }) => role === "keeper");
    const members = this.#services.filter(({ role }) => role !== "keeper");
    await Promise.all(members.map(({ service }) => service.sync()));
    for (const { service } of keepers) await service.sync();
  }
}

export async function startLocalPool(options: LocalPoolOptions = {}): Promise<LocalPool> {
  options.onProgress?.("starting a local Ethereum: Hardhat's node under the real consensus rules");
  const devnet = await startDevnet(options.devnet);
  try {
    return await openPool(devnet, options);
  } catch (error) {
    await devnet.close(); // or its servers would keep the process alive
    throw error;
  }
}

async function openPool(devnet: Devnet, options: LocalPoolOptions): Promise<LocalPool> {
  const { clusterSizes = [4, 7], onProgress = () => undefined, parameters = unchanged } = options;
  const confirm = (transaction: TransactionResponse): Promise<TransactionReceipt> => devnet.mineTx(transaction);
  const mine = (): Promise<void> => devnet.advance(1);

  const ssvOwner = account(devnet, ACCOUNTS.ssv);
  const ssv = await deployOrLoadSsv(ssvOwner, { mine });
  const operators = devnet.operators.create(clusterSizes.reduce((sum, size) => sum + size, 0));
  const operatorIds = await registerOperators(
    ssv.network,
    ssvOwner,
    operators.map(({ publicKeyForSsv }) => ({
      publicKey: publicKeyForSsv,
      feeWeiPerBlock: OPERATOR_FEE_WEI_PER_BLOCK,
    })),
    { mine },
  );
  operators.forEach((operator, i) => {
    devnet.operators.assign(operator, operatorIds[i] ?? 0n);
  });
  devnet.operators.follow(await ssv.network.getAddress());
  onProgress(`SSV Network with ${operators.length} operators`);

  const governance = account(devnet, ACCOUNTS.governance);
  const members = (role: Role): { member: string; signer: string }[] =>
    COMMITTEE.map((i) => ({ member: coldMember(role, i).address, signer: committeeKey(role, i).address }));
  const base: ParametersInput = devnetParameters;
  const deployment = await deployPool(
    account(devnet, ACCOUNTS.deployer),
    parseParameters(
      parameters({
        ...base,
        chainId: devnet.chainId,
        frames: {
          genesisTime: devnet.genesisTime,
          secondsPerSlot: devnet.secondsPerSlot,
          slotsPerFrame: SLOTS_PER_FRAME,
        },
        withdrawals: { ...base.withdrawals, cutoffMarginSeconds: CUTOFF_MARGIN_SLOTS * devnet.secondsPerSlot },
        ssv: { network: await ssv.network.getAddress(), views: await ssv.views.getAddress() },
        governance: { ...base.governance, address: governance.address },
        poolOperator: account(devnet, ACCOUNTS.poolOperator).address,
        pool: { ...base.pool, treasury: account(devnet, ACCOUNTS.treasury).address },
        oracles: { members: members("oracle"), quorum: 2 },
        guardians: { ...base.guardians, members: members("guardian"), quorum: 2 },
      }),
    ),
    { confirm },
  );
  onProgress(`the pool is deployed: PoolManager ${deployment.addresses.poolManager}`);

  const pool = new LocalPool(devnet, ssv, deployment);
  let next = 0;
  for (const size of clusterSizes) {
    const { clusterId, operatorIds: ids } = await pool.addCluster(operators.slice(next, next + size));
    next += size;
    onProgress(`cluster ${clusterId}: operators ${ids.join(", ")}`);
  }
  return pool;
}

function repeatableBytes(seed: string): (length: number) => Uint8Array {
  let drawn = 0;
  return (length) => createHash("shake256", { outputLength: length }).update(`${seed} ${drawn++}`).digest();
}

const unchanged = (parameters: ParametersInput): ParametersInput => parameters;

function account(devnet: Devnet, position: number): HDNodeWallet {
  const wallet = devnet.accounts[position];
  if (wallet === undefined) throw new DevnetError("DEVNET_INVALID", `the devnet has no account ${position}`);
  return wallet;
}
