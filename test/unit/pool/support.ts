import { Result } from "ethers";
import { network } from "hardhat";
import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import {
  AccessManager__factory,
  ERC1967Proxy__factory,
  OperationsReserveMockForPool__factory,
  PoolETH__factory,
  PoolManager__factory,
  RewardsVault__factory,
  WithdrawalQueue__factory,
  WithdrawalVault__factory,
  type OperationsReserveMockForPool,
  type PoolETH,
  type PoolManager,
  type RewardsVault,
  type WithdrawalQueue,
  type WithdrawalVault,
} from "../../../types/ethers-contracts/index.js";

export const DEAD = "0x000000000000000000000000000000000000dEaD";
export const ETHER = 10n ** 18n;
export const MAX_UINT88 = 2n ** 88n - 1n;
export const SECONDS_PER_SLOT = 12;
export const SLOTS_PER_FRAME = 7200;
/** The PoolManager is deployed at this time, as frame 3 begins: tests do not depend on the day they run. */
export const STARTS_AT = 2_000_000_000;
export const CUTOFF_MARGIN_SECONDS = 768n;
export const FRAME_SECONDS = BigInt(SECONDS_PER_SLOT * SLOTS_PER_FRAME);
export const YEAR_SECONDS = 365n * 86_400n;

/** A returned struct as a plain object, nested ones too: TypeChain's types know it only as a tuple with names. */
export function fields(result: readonly unknown[]): Record<string, unknown> {
  if (!(result instanceof Result)) throw new TypeError("not what a contract returned");
  return result.toObject(true);
}

/** What was returned, as a plain array. */
export const values = (result: readonly unknown[]): unknown[] => [...result];

type Connection = Awaited<ReturnType<typeof network.create<"generic">>>;

export interface PoolOptions {
  initialStakeWei?: bigint;
  feeBps?: bigint;
  maxYearlyRateBps?: bigint;
  lossLimitBps?: bigint;
  lossWindowSeconds?: bigint;
  minStakeWei?: bigint;
  poolCapWei?: bigint;
  dailyLimitWei?: bigint;
  /** Address that plays the ValidatorRegistry; a plain account when left out. */
  registry?: (addresses: { token: string }) => string;
}

/** PoolParameters as deployed. */
export interface Parameters {
  treasury: string;
  feeBps: bigint;
  maxYearlyRateBps: bigint;
  lossLimitBps: bigint;
  lossWindow: bigint;
  limits: { minStake: bigint; poolCap: bigint; dailyLimit: bigint };
}

export interface Report {
  frame?: bigint;
  clBalance?: bigint;
  openPenalties?: bigint;
  withdrawnAtRef?: bigint;
}

export interface Figures {
  frame: bigint;
  refSlot: bigint;
  clBalance: bigint;
  openPenalties: bigint;
  withdrawnAtRef: bigint;
}

export interface Pool {
  connection: Connection;
  manager: PoolManager;
  token: PoolETH;
  withdrawalVault: WithdrawalVault;
  rewardsVault: RewardsVault;
  reserve: OperationsReserveMockForPool;
  queue: WithdrawalQueue;
  /** Plain accounts in the place of contracts that only call the pool. */
  oracle: HardhatEthersSigner;
  registry: HardhatEthersSigner;
  guardians: HardhatEthersSigner;
  governance: HardhatEthersSigner;
  treasury: HardhatEthersSigner;
  users: HardhatEthersSigner[];
  genesisTime: number;
  parameters: Parameters;
  authority: string;
  now: () => Promise<bigint>;
  frameNow: () => Promise<bigint>;
  /** The next transaction is mined at this time. */
  at: (timestamp: bigint) => Promise<void>;
  /** Reports the latest completed frame, in the block's time or `seconds` after it; what is left out is as the pool last knew it. */
  report: (report?: Report) => ReturnType<PoolManager["applyReport"]>;
  figures: (report?: Report) => Promise<Figures>;
  setBalance: (address: string, wei: bigint) => Promise<void>;
}

/** The pool's real contracts on an own chain; only callers are played by plain accounts, and the reserve by a double. */
export async function deployPool(options: PoolOptions = {}): Promise<Pool> {
  const connection = await network.create("osaka");
  const { ethers, networkHelpers } = connection;
  const [deployer, governance, oracle, registry, guardians, treasury, ...users] = await ethers.getSigners();
  const genesisTime = STARTS_AT - 3 * SLOTS_PER_FRAME * SECONDS_PER_SLOT;

  const access = await new AccessManager__factory(deployer).deploy(governance!.address);
  const reserve = await new OperationsReserveMockForPool__factory(deployer).deploy();
  const first = await deployer!.getNonce();
  const predict = (offset: number) => ethers.getCreateAddress({ from: deployer!.address, nonce: first + offset });
  const managerAddress = predict(7);
  const queueAddress = predict(6);
  const token = await new PoolETH__factory(deployer).deploy(managerAddress, queueAddress);
  const rewardsVault = await new RewardsVault__factory(deployer).deploy(managerAddress);
  const vaultCode = await new WithdrawalVault__factory(deployer).deploy(managerAddress, registry!.address);
  const authority = await access.getAddress();
  const vaultProxy = await new ERC1967Proxy__factory(deployer).deploy(
    vaultCode,
    vaultCode.interface.encodeFunctionData("initialize", [authority]),
  );
  const tokenAddress = await token.getAddress();
  const frames = { genesisTime, secondsPerSlot: SECONDS_PER_SLOT, slotsPerFrame: SLOTS_PER_FRAME };
  const code = await new PoolManager__factory(deployer).deploy(
    {
      token: tokenAddress,
      registry: options.registry?.({ token: tokenAddress }) ?? registry!.address,
      reportOracle: oracle!.address,
      guardians: guardians!.address,
      withdrawalVault: await vaultProxy.getAddress(),
      rewardsVault: await rewardsVault.getAddress(),
      reserve: await reserve.getAddress(),
      withdrawalQueue: queueAddress,
    },
    frames,
  );
  const queueCode = await new WithdrawalQueue__factory(deployer).deploy(
    tokenAddress,
    managerAddress,
    frames,
    CUTOFF_MARGIN_SECONDS,
  );
  await new ERC1967Proxy__factory(deployer).deploy(
    queueCode,
    queueCode.interface.encodeFunctionData("initialize", [authority]),
  );
  const parameters: Parameters = {
    treasury: treasury!.address,
    feeBps: options.feeBps ?? 1_000n,
    maxYearlyRateBps: options.maxYearlyRateBps ?? 3_000n,
    lossLimitBps: options.lossLimitBps ?? 500n,
    lossWindow: options.lossWindowSeconds ?? 7n * 86_400n,
    limits: {
      minStake: options.minStakeWei ?? 1n,
      poolCap: options.poolCapWei ?? MAX_UINT88,
      dailyLimit: options.dailyLimitWei ?? MAX_UINT88,
    },
  };
  await networkHelpers.time.setNextBlockTimestamp(STARTS_AT);
  const proxy = await new ERC1967Proxy__factory(deployer).deploy(
    code,
    code.interface.encodeFunctionData("initialize", [authority, parameters]),
    { value: options.initialStakeWei ?? ETHER },
  );
  const manager = PoolManager__factory.connect(await proxy.getAddress(), users[0]);

  const now = async () => BigInt(await networkHelpers.time.latest());
  const frameNow = async () => ((await now()) - BigInt(genesisTime)) / FRAME_SECONDS;
  const figures = async (report: Report = {}) => {
    const frame = report.frame ?? (await frameNow()) - 1n;
    const { swept, clBalance, deposited, inFlight } = await manager.totals();
    const sinceRef = (await manager.depositedAt(frame)) - (deposited - inFlight);
    return {
      frame,
      refSlot: (frame + 1n) * BigInt(SLOTS_PER_FRAME) - 1n,
      clBalance: report.clBalance ?? clBalance + sinceRef,
      openPenalties: report.openPenalties ?? 0n,
      withdrawnAtRef: report.withdrawnAtRef ?? swept,
    };
  };
  return {
    connection,
    manager,
    token: token.connect(users[0]),
    withdrawalVault: WithdrawalVault__factory.connect(await vaultProxy.getAddress(), users[0]),
    rewardsVault: rewardsVault.connect(users[0]),
    reserve,
    queue: WithdrawalQueue__factory.connect(queueAddress, users[0]),
    oracle: oracle!,
    registry: registry!,
    guardians: guardians!,
    governance: governance!,
    treasury: treasury!,
    users,
    genesisTime,
    parameters,
    authority,
    now,
    frameNow,
    at: (timestamp) => networkHelpers.time.setNextBlockTimestamp(timestamp),
    figures,
    report: async (report) => manager.connect(oracle).applyReport(await figures(report)),
    setBalance: (address, wei) => networkHelpers.setBalance(address, wei),
  };
}
