import { AbiCoder, getCreateAddress, keccak256, type ContractDeployTransaction } from "ethers";
import {
  AccessManager__factory,
  ERC1967Proxy__factory,
  Guardians__factory,
  OperationsReserve__factory,
  PoolETH__factory,
  PoolManager__factory,
  ReportOracle__factory,
  RewardsVault__factory,
  SSVAccount__factory,
  ValidatorExits__factory,
  ValidatorRegistry__factory,
  WithdrawalQueue__factory,
  WithdrawalVault__factory,
} from "../types/ethers-contracts/index.js";
import type { Parameters } from "./parameters.js";
import { RESTRICTED, ROLES } from "./roles.js";

/** What is created before anything is called. */
const PARTS = [
  "accessManager",
  "ssvAccountImplementation",
  "withdrawalVaultImplementation",
  "reserveImplementation",
  "guardiansImplementation",
  "reportOracleImplementation",
  "registryImplementation",
  "poolManagerImplementation",
  "withdrawalQueueImplementation",
  "validatorExitsImplementation",
  "poolETH",
  "rewardsVault",
  "withdrawalVault",
  "reserve",
  "guardians",
  "reportOracle",
  "registry",
  "withdrawalQueue",
  "validatorExits",
] as const;
const CALLS = ["labelOperator", "operatorFunctions", "grantOperator", "grantGovernance", "seedReserve"] as const;
/** Every transaction in its order. The pool opens with the last one: nobody can stake while the deployer still has a right. */
const STEPS = [...PARTS, ...CALLS, "renounce", "poolManager"] as const;

export type ContractName = (typeof PARTS)[number] | "poolManager";
type CallName = (typeof CALLS)[number] | "renounce";
export type Addresses = Readonly<Record<ContractName, string>>;

interface Transaction {
  /** What it does, for people. */
  readonly title: string;
  /** `null` creates a contract. */
  readonly to: string | null;
  readonly data: string;
  readonly valueWei: bigint;
}

/** One transaction of the deployer. */
export interface Step extends Transaction {
  readonly id: (typeof STEPS)[number];
  /** Address of the contract it creates. */
  readonly creates: string | null;
}

/** The whole deployment. Contracts know each other by immutable addresses, which follow from the deployer and its first nonce. */
export interface Plan {
  readonly deployer: string;
  readonly firstNonce: number;
  readonly addresses: Addresses;
  readonly steps: readonly Step[];
  /** Equal for two plans if and only if every transaction is. */
  readonly digest: string;
}

export async function planDeployment(parameters: Parameters, deployer: string, firstNonce: number): Promise<Plan> {
  const addressOf = (name: ContractName): string =>
    getCreateAddress({ from: deployer, nonce: firstNonce + STEPS.indexOf(name) });
  const names: ContractName[] = [...PARTS, "poolManager"];
  const addresses = Object.fromEntries(names.map((name) => [name, addressOf(name)])) as Record<ContractName, string>;
  const transactions = {
    ...(await creations(parameters, deployer, addresses)),
    ...calls(parameters, deployer, addresses),
  };
  const steps = STEPS.map((id): Step => {
    const transaction = transactions[id];
    return { id, creates: transaction.to === null ? addresses[id as ContractName] : null, ...transaction };
  });
  const encoded = AbiCoder.defaultAbiCoder().encode(
    ["address", "uint256", "tuple(bytes to, bytes data, uint256 value)[]"],
    [deployer, firstNonce, steps.map(({ to, data, valueWei }) => [to ?? "0x", data, valueWei])],
  );
  return { deployer, firstNonce, addresses, steps, digest: keccak256(encoded) };
}

async function creations(
  p: Parameters,
  deployer: string,
  a: Addresses,
): Promise<Readonly<Record<ContractName, Transaction>>> {
  const create = async (
    title: string,
    deployment: Promise<ContractDeployTransaction>,
    valueWei = 0n,
  ): Promise<Transaction> => ({ title, to: null, data: (await deployment).data, valueWei });
  const proxy = (title: string, implementation: string, initialize: string, valueWei?: bigint): Promise<Transaction> =>
    create(title, new ERC1967Proxy__factory().getDeployTransaction(implementation, initialize), valueWei);

  const { network, views } = p.ssv;
  const reportOracle = ReportOracle__factory.createInterface().encodeFunctionData("initialize", [
    a.accessManager,
    p.oracles.members.map(({ member }) => member),
    p.oracles.members.map(({ signer }) => signer),
    p.oracles.quorum,
  ]);
  const guardians = Guardians__factory.createInterface().encodeFunctionData("initialize", [
    a.accessManager,
    p.guardians.pauseSeconds,
    p.guardians.members.map(({ member }) => member),
    p.guardians.members.map(({ signer }) => signer),
    p.guardians.quorum,
  ]);
  const reserve = OperationsReserve__factory.createInterface().encodeFunctionData("initialize", [
    a.accessManager,
    p.reserve.targetRunwayBlocks,
    p.reserve.lowRunwayBlocks,
  ]);
  const registry = ValidatorRegistry__factory.createInterface().encodeFunctionData("initialize", [a.accessManager]);
  const queue = WithdrawalQueue__factory.createInterface().encodeFunctionData("initialize", [a.accessManager]);
  const vault = WithdrawalVault__factory.createInterface().encodeFunctionData("initialize", [a.accessManager]);
  const exits = ValidatorExits__factory.createInterface().encodeFunctionData("initialize", [a.accessManager]);
  const poolManager = PoolManager__factory.createInterface().encodeFunctionData("initialize", [
    a.accessManager,
    {
      treasury: p.pool.treasury,
      feeBps: p.pool.feeBps,
      maxYearlyRateBps: p.pool.maxYearlyRateBps,
      lossLimitBps: p.pool.lossLimitBps,
      lossWindow: p.pool.lossWindowSeconds,
      limits: { minStake: p.pool.minStakeEth, poolCap: p.pool.poolCapEth, dailyLimit: p.pool.dailyLimitEth },
    },
  ]);

  return {
    accessManager: await create("AccessManager", new AccessManager__factory().getDeployTransaction(deployer)),
    ssvAccountImplementation: await create(
      "SSVAccount, cloned for every account",
      new SSVAccount__factory().getDeployTransaction(a.registry, network),
    ),
    withdrawalVaultImplementation: await create(
      "WithdrawalVault, code",
      new WithdrawalVault__factory().getDeployTransaction(a.poolManager, a.validatorExits),
    ),
    reserveImplementation: await create(
      "OperationsReserve, code",
      new OperationsReserve__factory().getDeployTransaction(a.registry, network, views),
    ),
    guardiansImplementation: await create(
      "Guardians, code",
      new Guardians__factory().getDeployTransaction(a.poolManager, p.depositContract),
    ),
    reportOracleImplementation: await create(
      "ReportOracle, code",
      new ReportOracle__factory().getDeployTransaction(a.poolManager, a.validatorExits, p.frames),
    ),
    registryImplementation: await create(
      "ValidatorRegistry, code",
      new ValidatorRegistry__factory().getDeployTransaction({
        poolManager: a.poolManager,
        guardians: a.guardians,
        reserve: a.reserve,
        validatorExits: a.validatorExits,
        withdrawalVault: a.withdrawalVault,
        rewardsVault: a.rewardsVault,
        ssvNetwork: network,
        ssvViews: views,
        depositContract: p.depositContract,
        accountImplementation: a.ssvAccountImplementation,
      }),
    ),
    poolManagerImplementation: await create(
      "PoolManager, code",
      new PoolManager__factory().getDeployTransaction(
        {
          token: a.poolETH,
          registry: a.registry,
          reportOracle: a.reportOracle,
          guardians: a.guardians,
          withdrawalVault: a.withdrawalVault,
          rewardsVault: a.rewardsVault,
          reserve: a.reserve,
          withdrawalQueue: a.withdrawalQueue,
        },
        p.frames,
      ),
    ),
    withdrawalQueueImplementation: await create(
      "WithdrawalQueue, code",
      new WithdrawalQueue__factory().getDeployTransaction(
        a.poolETH,
        a.poolManager,
        p.frames,
        p.withdrawals.cutoffMarginSeconds,
      ),
    ),
    validatorExitsImplementation: await create(
      "ValidatorExits, code",
      new ValidatorExits__factory().getDeployTransaction(
        {
          registry: a.registry,
          poolManager: a.poolManager,
          reportOracle: a.reportOracle,
          withdrawalVault: a.withdrawalVault,
          rewardsVault: a.rewardsVault,
        },
        p.frames,
        p.withdrawals.exitGraceFrames,
      ),
    ),
    poolETH: await create("PoolETH", new PoolETH__factory().getDeployTransaction(a.poolManager, a.withdrawalQueue)),
    rewardsVault: await create("RewardsVault", new RewardsVault__factory().getDeployTransaction(a.poolManager)),
    withdrawalVault: await proxy("WithdrawalVault", a.withdrawalVaultImplementation, vault),
    reserve: await proxy("OperationsReserve", a.reserveImplementation, reserve),
    guardians: await proxy("Guardians", a.guardiansImplementation, guardians),
    reportOracle: await proxy("ReportOracle", a.reportOracleImplementation, reportOracle),
    registry: await proxy("ValidatorRegistry", a.registryImplementation, registry),
    withdrawalQueue: await proxy("WithdrawalQueue", a.withdrawalQueueImplementation, queue),
    validatorExits: await proxy("ValidatorExits", a.validatorExitsImplementation, exits),
    poolManager: await proxy(
      "PoolManager: opens the pool with the first stake, for a dead address",
      a.poolManagerImplementation,
      poolManager,
      p.initialStakeEth,
    ),
  };
}

function calls(p: Parameters, deployer: string, a: Addresses): Readonly<Record<CallName, Transaction>> {
  const manager = AccessManager__factory.createInterface();
  const registry = ValidatorRegistry__factory.createInterface();
  const call = (title: string, to: string, data: string, valueWei = 0n): Transaction => ({ title, to, data, valueWei });
  const operatorSelectors: string[] = [];
  registry.forEachFunction(({ name, selector }) => {
    if (RESTRICTED.registry[name] === "POOL_OPERATOR") operatorSelectors.push(selector);
  });
  return {
    labelOperator: call(
      "names the role POOL_OPERATOR",
      a.accessManager,
      manager.encodeFunctionData("labelRole", [ROLES.POOL_OPERATOR, "POOL_OPERATOR"]),
    ),
    operatorFunctions: call(
      "gives ValidatorRegistry.publish to the role POOL_OPERATOR",
      a.accessManager,
      manager.encodeFunctionData("setTargetFunctionRole", [a.registry, operatorSelectors, ROLES.POOL_OPERATOR]),
    ),
    grantOperator: call(
      "grants POOL_OPERATOR",
      a.accessManager,
      manager.encodeFunctionData("grantRole", [ROLES.POOL_OPERATOR, p.poolOperator, 0]),
    ),
    grantGovernance: call(
      "grants GOVERNANCE with its delay",
      a.accessManager,
      manager.encodeFunctionData("grantRole", [ROLES.GOVERNANCE, p.governance.address, p.governance.delaySeconds]),
    ),
    seedReserve: call(
      "seeds the reserve",
      a.reserve,
      OperationsReserve__factory.createInterface().encodeFunctionData("fund"),
      p.reserve.seedEth,
    ),
    renounce: call(
      "renounces the deployer's rights",
      a.accessManager,
      manager.encodeFunctionData("renounceRole", [ROLES.GOVERNANCE, deployer]),
    ),
  };
}
