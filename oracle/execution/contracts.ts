import { dataLength, Interface, isCallException, isError, type ContractRunner } from "ethers";
import {
  IDepositContract__factory,
  IGuardians__factory,
  IOperationsReserve__factory,
  IPoolManager__factory,
  IReportOracle__factory,
  ISSVNetwork__factory,
  ISSVNetworkViews__factory,
  IValidatorExits__factory,
  IValidatorRegistry__factory,
  IWithdrawalQueue__factory,
  IWithdrawalVault__factory,
  SignerQuorum__factory,
  type IDepositContract,
  type IGuardians,
  type IOperationsReserve,
  type IPoolManager,
  type IReportOracle,
  type ISSVNetwork,
  type ISSVNetworkViews,
  type IValidatorExits,
  type IValidatorRegistry,
  type IWithdrawalQueue,
  type IWithdrawalVault,
} from "../../types/ethers-contracts/index.js";
import type { FrameConfig } from "../clock.js";
import { ConfigError } from "../ops/errors.js";

/** Everything on chain, found from the one root address. */
export interface PoolContracts {
  readonly poolManager: IPoolManager;
  readonly registry: IValidatorRegistry;
  readonly validatorExits: IValidatorExits;
  readonly reportOracle: IReportOracle;
  readonly guardians: IGuardians;
  readonly withdrawalVault: IWithdrawalVault;
  readonly reserve: IOperationsReserve;
  readonly withdrawalQueue: IWithdrawalQueue;
  readonly ssvNetwork: ISSVNetwork;
  readonly ssvViews: ISSVNetworkViews;
  readonly depositContract: IDepositContract;
  readonly addresses: {
    readonly poolManager: string;
    readonly registry: string;
    readonly validatorExits: string;
    readonly reportOracle: string;
    readonly guardians: string;
    readonly withdrawalVault: string;
    readonly rewardsVault: string;
    readonly withdrawalQueue: string;
    readonly reserve: string;
    readonly ssvNetwork: string;
    readonly depositContract: string;
  };
  readonly frames: FrameConfig;
  /** What every deposit of the pool carries, lower case hex. */
  readonly withdrawalCredentials: string;
}

export async function connectPool(poolManagerAddress: string, runner: ContractRunner): Promise<PoolContracts> {
  try {
    return await readPool(poolManagerAddress, runner);
  } catch (cause) {
    // it reverts, or answers what cannot be decoded
    if (!isCallException(cause) && !isError(cause, "BAD_DATA")) throw cause;
    throw new ConfigError(
      "ConfigInvalid",
      `poolManager: at ${poolManagerAddress} is no PoolManager of this program's version on this chain; mend the address.`,
      { poolManager: poolManagerAddress },
      cause,
    );
  }
}

async function readPool(poolManagerAddress: string, runner: ContractRunner): Promise<PoolContracts> {
  const poolManager = IPoolManager__factory.connect(poolManagerAddress, runner);
  const [parts, frames] = await Promise.all([poolManager.contracts(), poolManager.frameConfig()]);
  const registry = IValidatorRegistry__factory.connect(parts.registry, runner);
  const [externals, withdrawalCredentials, validatorExits] = await Promise.all([
    registry.externals(),
    registry.withdrawalCredentials(),
    registry.validatorExits(),
  ]);
  return {
    poolManager,
    registry,
    validatorExits: IValidatorExits__factory.connect(validatorExits, runner),
    reportOracle: IReportOracle__factory.connect(parts.reportOracle, runner),
    guardians: IGuardians__factory.connect(parts.guardians, runner),
    withdrawalVault: IWithdrawalVault__factory.connect(parts.withdrawalVault, runner),
    reserve: IOperationsReserve__factory.connect(parts.reserve, runner),
    withdrawalQueue: IWithdrawalQueue__factory.connect(parts.withdrawalQueue, runner),
    ssvNetwork: ISSVNetwork__factory.connect(externals.ssvNetwork, runner),
    ssvViews: ISSVNetworkViews__factory.connect(externals.ssvViews, runner),
    depositContract: IDepositContract__factory.connect(externals.depositContract, runner),
    addresses: {
      poolManager: poolManagerAddress,
      registry: parts.registry,
      validatorExits,
      reportOracle: parts.reportOracle,
      guardians: parts.guardians,
      withdrawalVault: parts.withdrawalVault,
      rewardsVault: parts.rewardsVault,
      withdrawalQueue: parts.withdrawalQueue,
      reserve: parts.reserve,
      ssvNetwork: externals.ssvNetwork,
      depositContract: externals.depositContract,
    },
    frames: {
      genesisTime: frames.genesisTime,
      secondsPerSlot: frames.secondsPerSlot,
      slotsPerFrame: frames.slotsPerFrame,
    },
    withdrawalCredentials: withdrawalCredentials.toLowerCase(),
  };
}

const SELECTOR_BYTES = 4;

const ERRORS = [
  IPoolManager__factory,
  IValidatorRegistry__factory,
  IValidatorExits__factory,
  IWithdrawalVault__factory,
  IReportOracle__factory,
  IGuardians__factory,
  IOperationsReserve__factory,
  ISSVNetwork__factory,
  SignerQuorum__factory,
].map((factory) => new Interface(factory.abi));

/** Names the custom error in the data of a revert, with its arguments; null if none of the pool's contracts declares it. */
export function decodeRevert(data: string): string | null {
  if (dataLength(data) < SELECTOR_BYTES) return null;
  for (const contract of ERRORS) {
    const error = contract.parseError(data);
    if (error !== null) return `${error.name}(${error.args.map(String).join(", ")})`;
  }
  return null;
}
