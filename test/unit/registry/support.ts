import {
  AbiCoder,
  type BaseWallet,
  concat,
  dataSlice,
  getAddress,
  getCreateAddress,
  id,
  keccak256,
  toBeHex,
  toQuantity,
  Wallet,
  ZeroAddress,
} from "ethers";
import type { NetworkConnection } from "hardhat/types/network";
import {
  DEPOSIT_CONTRACT_ADDRESS,
  predeploys,
  WITHDRAWAL_REQUESTS_ADDRESS,
} from "../../../devnet/execution/predeploys.js";
import { SYSTEM_ADDRESS } from "../../../devnet/execution/systemCalls.js";
import { deployOrLoadSsv, registerOperators } from "../../../devnet/ssv.js";
import {
  AccessManager__factory,
  ERC1967Proxy__factory,
  Guardians__factory,
  IDepositContract__factory,
  ISSVNetwork__factory,
  OperationsReserve__factory,
  PoolManagerForRegistry__factory,
  ReportOracleForExits__factory,
  SSVAccount__factory,
  ValidatorExits__factory,
  ValidatorRegistry__factory,
  WithdrawalVault__factory,
} from "../../../types/ethers-contracts/index.js";

export const ETHER = 10n ** 18n;
export const OPERATOR_FEE = 1_770_000_000n;
export const TARGET_BLOCKS = 648_000n; // 90 days
export const LOW_BLOCKS = 216_000n; // 30 days
export const PAUSE_SECONDS = 259_200n; // 3 days
export const QUORUM = 3;
export const PUBLISHER_ROLE = 1n;

const abi = AbiCoder.defaultAbiCoder();

export const GUARDIAN_TYPES = {
  Vetting: fields("uint256 account,uint256 batch,bytes32 head,uint256 approvalEpoch"),
  DepositApproval: fields(
    "uint256 cluster,bytes32 keysHash,uint256 approvalEpoch,uint256 blockNumber,bytes32 blockHash,uint256 depositCount",
  ),
  Discard: fields("bytes32 keysHash,uint256 approvalEpoch"),
  DropQueue: fields("uint256 account,uint256 nonce,uint256 batches,uint256 approvalEpoch"),
  PauseDeposits: fields("uint256 approvalEpoch"),
  PauseStaking: fields("uint256 approvalEpoch"),
  PauseFinalisation: fields("uint256 approvalEpoch"),
};

function fields(list: string): { name: string; type: string }[] {
  return list.split(",").map((field) => {
    const [type, name] = field.split(" ");
    return { type: type!, name: name! };
  });
}

/** SSV's tuple. */
export interface Snapshot {
  validatorCount: bigint;
  networkFeeIndex: bigint;
  index: bigint;
  active: boolean;
  balance: bigint;
}

export const FRAMES = { genesisTime: 1_600_000_000n, secondsPerSlot: 12n, slotsPerFrame: 7_200n };
export const GRACE_FRAMES = 3n;

export const NEW_CLUSTER: Snapshot = { validatorCount: 0n, networkFeeIndex: 0n, index: 0n, active: true, balance: 0n };

export interface Entry {
  publicKey: string;
  signature: string;
  shares: string;
}

export interface PublishedBatch {
  account: bigint;
  cluster: bigint;
  batch: bigint;
  firstNonce: bigint;
  entries: Entry[];
}

/** Bytes that depend on nothing but `seed`; the contracts look at lengths and hashes only. */
export function bytesOf(seed: string, length: number): string {
  const words = [...Array(Math.ceil(length / 32)).keys()].map((i) => id(`${seed} ${i}`));
  return dataSlice(concat(words), 0, length);
}

export function entriesOf(seed: string, count: number, operators = 4): Entry[] {
  return [...Array(count).keys()].map((i) => ({
    publicKey: bytesOf(`${seed} key ${i}`, 48),
    signature: bytesOf(`${seed} signature ${i}`, 96),
    shares: bytesOf(`${seed} shares ${i}`, 96 + 304 * operators),
  }));
}

export function dataOf(entries: readonly Entry[]): string {
  return concat(entries.flatMap(({ publicKey, signature, shares }) => [publicKey, signature, shares]));
}

/** The chain as the interface documents it, written without looking at the library. */
export function chainOf(cluster: bigint, firstNonce: bigint, entries: readonly Entry[], end = `0x${"00".repeat(26)}`) {
  return entries.reduceRight(
    (next, { publicKey, signature, shares }, i) =>
      dataSlice(
        keccak256(
          abi.encode(
            ["uint256", "uint256", "bytes32", "bytes32", "bytes32", "bytes26"],
            [cluster, firstNonce + BigInt(i), keccak256(publicKey), keccak256(signature), keccak256(shares), next],
          ),
        ),
        0,
        26,
      ),
    end,
  );
}

/** `count` items of a batch, after `from` of them have been registered. */
export function itemsOf({ cluster, firstNonce, entries }: PublishedBatch, from = 0, count = entries.length - from) {
  const taken = entries.slice(from, from + count);
  return {
    publicKeys: taken.map(({ publicKey }) => publicKey),
    depositSignatureHashes: taken.map(({ signature }) => keccak256(signature)),
    shares: taken.map(({ shares }) => shares),
    next: chainOf(cluster, firstNonce + BigInt(from + count), entries.slice(from + count)),
  };
}

export const depositsHash = (entries: readonly Pick<Entry, "publicKey" | "signature">[]): string =>
  keccak256(concat(entries.map(({ publicKey, signature }) => keccak256(concat([publicKey, signature])))));

export const keysHash = (publicKeys: readonly string[]): string =>
  keccak256(concat(publicKeys.map((key) => keccak256(key))));

type Provider = NetworkConnection<string>["provider"];

export async function installDepositContract(provider: Provider): Promise<void> {
  // a fixture may run on a chain that has seen deposits: the count, slot 32, starts at 0
  await install(provider, DEPOSIT_CONTRACT_ADDRESS, [["0x20", "0x0"]]);
}

/** EIP-7002, active and with nothing requested. */
export async function installWithdrawalRequests(provider: Provider): Promise<void> {
  await install(provider, WITHDRAWAL_REQUESTS_ADDRESS);
  await processWithdrawalRequests(provider);
}

/** What ends a block under EIP-7002: takes requests from its queue and sets the fee anew. Returns the requests. */
export async function processWithdrawalRequests(provider: Provider): Promise<string> {
  const call = { from: SYSTEM_ADDRESS, to: WITHDRAWAL_REQUESTS_ADDRESS, gas: toBeHex(16_000_000), gasPrice: "0x0" };
  const requests = (await provider.request({ method: "eth_call", params: [call, "latest"] })) as string;
  await provider.request({ method: "hardhat_setBalance", params: [SYSTEM_ADDRESS, toQuantity(ETHER)] });
  await provider.request({ method: "hardhat_impersonateAccount", params: [SYSTEM_ADDRESS] });
  await provider.request({ method: "eth_sendTransaction", params: [{ ...call, gasPrice: undefined }] });
  return requests;
}

async function install(
  provider: Provider,
  predeploy: string,
  reset: readonly (readonly [slot: string, value: string])[] = [],
): Promise<void> {
  const { address, code, storage } = predeploys().find(({ address }) => address === predeploy)!;
  await provider.request({ method: "hardhat_setCode", params: [address, code] });
  for (const [slot, value] of [...storage, ...reset]) {
    await provider.request({
      method: "hardhat_setStorageAt",
      params: [address, `0x${BigInt(slot).toString(16)}`, toBeHex(BigInt(value), 32)],
    });
  }
}

/** Five guardians of whom three are a quorum; signatures come ordered as the contract wants them. */
export class GuardianKeys {
  readonly wallets: BaseWallet[] = [...Array(5).keys()].map((i) => new Wallet(id(`guardian ${i}`)));
  readonly #domain: { name: string; version: string; chainId: bigint; verifyingContract: string };

  constructor(chainId: bigint, verifyingContract: string) {
    this.#domain = { name: "poolETH Guardians", version: "1", chainId, verifyingContract };
  }

  async sign(
    kind: keyof typeof GUARDIAN_TYPES,
    message: Record<string, unknown>,
    wallets: readonly BaseWallet[] = this.wallets.slice(0, QUORUM),
  ): Promise<string[]> {
    const ordered = [...wallets].sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));
    return Promise.all(ordered.map((wallet) => this.signOne(kind, message, wallet)));
  }

  async signOne(kind: keyof typeof GUARDIAN_TYPES, message: Record<string, unknown>, wallet: BaseWallet) {
    return wallet.signTypedData(this.#domain, { [kind]: GUARDIAN_TYPES[kind] }, message);
  }
}

export type Deployed = Awaited<ReturnType<typeof deployRegistry>>;

/**
 * Registry, guardians, reserve, exits, withdrawal vault and accounts on the real deposit and EIP-7002 contracts and SSV Network, with
 * thirteen operators. The PoolManager is a stand-in with 1,000 ETH, the reserve has 10 ETH. No account and no cluster yet.
 */
export async function deployRegistry({ ethers, provider }: NetworkConnection<string>) {
  const [deployer, governance, poolOperator, keeper, stranger, ...rest] = await ethers.getSigners();
  const cold = rest.slice(0, 5);
  const ssv = await deployOrLoadSsv(deployer!);
  const operatorIds = await registerOperators(
    ssv.network,
    deployer!,
    [...Array(13).keys()].map((i) => ({ publicKey: id(`operator ${i}`), feeWeiPerBlock: OPERATOR_FEE })),
  );
  await installDepositContract(provider);
  await installWithdrawalRequests(provider);

  const manager = await new AccessManager__factory(deployer).deploy(governance!.address);
  const pool = await new PoolManagerForRegistry__factory(deployer).deploy();
  const oracle = await (await new ReportOracleForExits__factory(deployer).deploy(FRAMES)).getAddress();
  const reportOracle = await ethers.getImpersonatedSigner(oracle);
  await provider.request({ method: "hardhat_setBalance", params: [oracle, toQuantity(ETHER)] });
  const proxied = async (implementation: string, data: string): Promise<string> =>
    (await new ERC1967Proxy__factory(deployer).deploy(implementation, data)).getAddress();

  const guardiansImplementation = await new Guardians__factory(deployer).deploy(pool, DEPOSIT_CONTRACT_ADDRESS);
  const { chainId } = await ethers.provider.getNetwork();
  const signersOnly = new GuardianKeys(chainId, ZeroAddress).wallets.map(({ address }) => address);
  const guardiansAddress = await proxied(
    await guardiansImplementation.getAddress(),
    guardiansImplementation.interface.encodeFunctionData("initialize", [
      await manager.getAddress(),
      PAUSE_SECONDS,
      cold.map(({ address }) => address),
      signersOnly,
      QUORUM,
    ]),
  );

  // vault and its proxy, account implementation, reserve and its proxy, registry and its proxy, exits and their proxy
  const registryAddress = getCreateAddress({ from: deployer!.address, nonce: (await deployer!.getNonce()) + 6 });
  const exitsAddress = getCreateAddress({ from: deployer!.address, nonce: (await deployer!.getNonce()) + 8 });
  const vaultImplementation = await new WithdrawalVault__factory(deployer).deploy(pool, exitsAddress);
  const vaultAddress = await proxied(
    await vaultImplementation.getAddress(),
    vaultImplementation.interface.encodeFunctionData("initialize", [await manager.getAddress()]),
  );
  const accountImplementation = await new SSVAccount__factory(deployer).deploy(registryAddress, ssv.network);
  const reserveImplementation = await new OperationsReserve__factory(deployer).deploy(
    registryAddress,
    ssv.network,
    ssv.views,
  );
  const reserveAddress = await proxied(
    await reserveImplementation.getAddress(),
    reserveImplementation.interface.encodeFunctionData("initialize", [
      await manager.getAddress(),
      TARGET_BLOCKS,
      LOW_BLOCKS,
    ]),
  );
  const parts = {
    poolManager: await pool.getAddress(),
    guardians: guardiansAddress,
    reserve: reserveAddress,
    validatorExits: exitsAddress,
    withdrawalVault: vaultAddress,
    rewardsVault: getAddress(bytesOf("rewards vault", 20)),
    ssvNetwork: await ssv.network.getAddress(),
    ssvViews: await ssv.views.getAddress(),
    depositContract: DEPOSIT_CONTRACT_ADDRESS,
    accountImplementation: await accountImplementation.getAddress(),
  };
  const registryImplementation = await new ValidatorRegistry__factory(deployer).deploy(parts);
  await proxied(
    await registryImplementation.getAddress(),
    registryImplementation.interface.encodeFunctionData("initialize", [await manager.getAddress()]),
  );

  const exitsParts = {
    ...{ registry: registryAddress, poolManager: parts.poolManager, reportOracle: oracle },
    ...{ withdrawalVault: parts.withdrawalVault, rewardsVault: parts.rewardsVault },
  };
  const exitsImplementation = await new ValidatorExits__factory(deployer).deploy(exitsParts, FRAMES, GRACE_FRAMES);
  await proxied(
    await exitsImplementation.getAddress(),
    exitsImplementation.interface.encodeFunctionData("initialize", [await manager.getAddress()]),
  );

  const registry = ValidatorRegistry__factory.connect(registryAddress, keeper);
  const exits = ValidatorExits__factory.connect(exitsAddress, keeper);
  const vault = WithdrawalVault__factory.connect(vaultAddress, keeper);
  const guardians = Guardians__factory.connect(guardiansAddress, keeper);
  const reserve = OperationsReserve__factory.connect(reserveAddress, keeper);
  const depositContract = IDepositContract__factory.connect(DEPOSIT_CONTRACT_ADDRESS, keeper);
  const governed = manager.connect(governance);
  await governed.setTargetFunctionRole(registry, [registry.interface.getFunction("publish").selector], PUBLISHER_ROLE);
  await governed.grantRole(PUBLISHER_ROLE, poolOperator!, 0);
  await deployer!.sendTransaction({ to: pool, value: 1_000n * ETHER });
  await reserve.connect(deployer).fund({ value: 10n * ETHER });

  return {
    ...{
      deployer: deployer!,
      governance: governance!,
      poolOperator: poolOperator!,
      keeper: keeper!,
      stranger: stranger!,
    },
    ...{ cold, reportOracle, ssv, operatorIds, manager, pool, parts, exitsParts, depositContract },
    ...{ registryImplementation, guardiansImplementation, reserveImplementation, accountImplementation },
    ...{
      exitsImplementation,
      registry,
      exits,
      vault,
      guardians,
      reserve,
      keys: new GuardianKeys(chainId, guardiansAddress),
      provider: ethers.provider,
    },
  };
}

type Stage = Pick<
  Deployed,
  | "registry"
  | "guardians"
  | "depositContract"
  | "governance"
  | "poolOperator"
  | "keys"
  | "ssv"
  | "operatorIds"
  | "provider"
>;

/** What the pool operator, the guardians and keepers do, on a deployed registry. */
export class Actions {
  readonly #on: Stage;

  constructor(deployed: Stage) {
    this.#on = deployed;
  }

  /** One cluster in a new account. */
  async addCluster(operators = 4, { cap = 100, requireDkg = false } = {}): Promise<bigint> {
    const governed = this.#on.registry.connect(this.#on.governance);
    await governed.addAccount();
    const [accounts, clusters] = await governed.counts();
    await governed.addCluster(accounts, this.#on.operatorIds.slice(0, operators), requireDkg, cap);
    return clusters + 1n;
  }

  async publish(cluster: bigint, entries: Entry[], dkgProofs = "0x"): Promise<PublishedBatch> {
    const { registry, poolOperator } = this.#on;
    const { account } = await registry.cluster(cluster);
    const { nonce, queued, batches } = await registry.account(account);
    await registry.connect(poolOperator).publish(cluster, nonce + queued, dataOf(entries), dkgProofs);
    return { account, cluster, batch: batches, firstNonce: nonce + queued, entries };
  }

  async vettingSignatures({ account, cluster, batch, firstNonce, entries }: PublishedBatch): Promise<string[]> {
    return this.#on.keys.sign("Vetting", {
      account,
      batch,
      head: concat([chainOf(cluster, firstNonce, entries), "0x000000000000"]),
      approvalEpoch: await this.#on.guardians.approvalEpoch(),
    });
  }

  async vet(batch: PublishedBatch) {
    return this.#on.registry.vet(batch.account, batch.batch, await this.vettingSignatures(batch));
  }

  async publishAndVet(cluster: bigint, entries: Entry[]): Promise<PublishedBatch> {
    const batch = await this.publish(cluster, entries);
    await this.vet(batch);
    return batch;
  }

  async register(batch: PublishedBatch, from?: number, count?: number) {
    return this.#on.registry.register(batch.cluster, itemsOf(batch, from, count), await this.snapshot(batch.cluster));
  }

  /** A cluster whose validators are in SSV and may be deposited. */
  async registered(entries: Entry[], operators = 4): Promise<PublishedBatch> {
    const batch = await this.publishAndVet(await this.addCluster(operators), entries);
    await this.register(batch);
    return batch;
  }

  /** The head as guardians see it now. */
  async anchor() {
    const { provider, depositContract } = this.#on;
    const block = (await provider.getBlock("latest"))!;
    const littleEndian = await depositContract.get_deposit_count();
    const depositCount = Buffer.from(littleEndian.slice(2), "hex").readBigUInt64LE();
    return { blockNumber: BigInt(block.number), blockHash: block.hash!, depositCount };
  }

  async approval(cluster: bigint, entries: readonly Pick<Entry, "publicKey" | "signature">[]) {
    const anchor = await this.anchor();
    const approvalEpoch = await this.#on.guardians.approvalEpoch();
    const message = { cluster, keysHash: depositsHash(entries), approvalEpoch, ...anchor };
    return { anchor, signatures: await this.#on.keys.sign("DepositApproval", message) };
  }

  async deposit(cluster: bigint, entries: readonly Entry[]) {
    const { anchor, signatures } = await this.approval(cluster, entries);
    return this.#on.registry.deposit(
      cluster,
      entries.map(({ publicKey }) => publicKey),
      entries.map(({ signature }) => signature),
      anchor,
      signatures,
    );
  }

  /** Registers and deposits `count` validators of a cluster, as many at a time as it may have unfunded. */
  async grow(cluster: bigint, count: number): Promise<PublishedBatch> {
    const batch = await this.publishAndVet(cluster, entriesOf(`grown ${cluster}`, count));
    for (let done = 0; done < count;) {
      const some = Math.min(Math.max(2, done), 20, count - done);
      await this.register(batch, done, some);
      await this.deposit(cluster, batch.entries.slice(done, done + some));
      done += some;
    }
    return batch;
  }

  async discardSignatures(publicKeys: readonly string[]): Promise<string[]> {
    const approvalEpoch = await this.#on.guardians.approvalEpoch();
    return this.#on.keys.sign("Discard", { keysHash: keysHash(publicKeys), approvalEpoch });
  }

  async discard(publicKeys: string[]) {
    return this.#on.registry.discard(publicKeys, await this.discardSignatures(publicKeys));
  }

  async dropSignatures(account: bigint): Promise<string[]> {
    const { nonce, batches } = await this.#on.registry.account(account);
    const approvalEpoch = await this.#on.guardians.approvalEpoch();
    return this.#on.keys.sign("DropQueue", { account, nonce, batches, approvalEpoch });
  }

  async dropQueue(account: bigint) {
    return this.#on.registry.dropQueue(account, await this.dropSignatures(account));
  }

  /** The cluster as SSV's newest event shows it. */
  async snapshot(cluster: bigint): Promise<Snapshot> {
    const { owner, operatorIds } = await this.owner(cluster);
    let latest = NEW_CLUSTER;
    for (const event of await this.#ssvEvents(owner)) {
      const { operatorIds: ids, cluster: state } = event.args as unknown as {
        operatorIds?: bigint[];
        cluster?: Snapshot;
      };
      if (state === undefined || ids?.join() !== operatorIds.join()) continue;
      const { validatorCount, networkFeeIndex, index, active, balance } = state;
      latest = { validatorCount, networkFeeIndex, index, active, balance };
    }
    return latest;
  }

  async owner(cluster: bigint): Promise<{ owner: string; operatorIds: bigint[] }> {
    const { registry } = this.#on;
    const { account, operatorIds } = await registry.cluster(cluster);
    return { owner: (await registry.account(account)).account, operatorIds: [...operatorIds] };
  }

  /** Every account's nonce is the number of its `ValidatorAdded` events: what SSV nodes count. */
  async checkNonces(): Promise<void> {
    const { registry } = this.#on;
    const [accounts] = await registry.counts();
    for (let i = 1n; i <= accounts; i++) {
      const { account, nonce } = await registry.account(i);
      const added = (await this.#ssvEvents(account)).filter(({ name }) => name === "ValidatorAdded").length;
      if (nonce !== BigInt(added)) throw new Error(`account ${i} has nonce ${nonce}, SSV nodes have ${added}`);
    }
  }

  async #ssvEvents(owner: string) {
    const { ssv, provider } = this.#on;
    const logs = await provider.getLogs({ address: await ssv.network.getAddress(), fromBlock: 0 });
    const parser = ISSVNetwork__factory.createInterface();
    return logs
      .map((log) => parser.parseLog(log))
      .filter((event) => event !== null)
      .filter((event) => event.args[0] === owner);
  }
}
