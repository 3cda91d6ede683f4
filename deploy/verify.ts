import { dataSlice, getAddress, type Interface, type Provider } from "ethers";
import {
  AccessManager__factory,
  Guardians__factory,
  OperationsReserve__factory,
  PoolETH__factory,
  PoolManager__factory,
  ReportOracle__factory,
  ValidatorExits__factory,
  ValidatorRegistry__factory,
  WithdrawalQueue__factory,
  WithdrawalVault__factory,
} from "../types/ethers-contracts/index.js";
import type { Deployment } from "./deploy.js";
import { DeployError } from "./errors.js";
import type { Parameters } from "./parameters.js";
import { type ManagedContract, RESTRICTED, type RoleHolder, roleHolders, type RoleName, ROLES } from "./roles.js";

/** ERC-1967: keccak256("eip1967.proxy.implementation") - 1. */
const IMPLEMENTATION_SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbcn;

const INTERFACES: Readonly<Record<ManagedContract, () => Interface>> = {
  poolManager: () => PoolManager__factory.createInterface(),
  registry: () => ValidatorRegistry__factory.createInterface(),
  guardians: () => Guardians__factory.createInterface(),
  reportOracle: () => ReportOracle__factory.createInterface(),
  withdrawalVault: () => WithdrawalVault__factory.createInterface(),
  reserve: () => OperationsReserve__factory.createInterface(),
  withdrawalQueue: () => WithdrawalQueue__factory.createInterface(),
  validatorExits: () => ValidatorExits__factory.createInterface(),
};

/** Everybody who holds a role now, from the AccessManager's events since the deployment. */
export async function currentRoleHolders(provider: Provider, deployment: Deployment): Promise<RoleHolder[]> {
  const manager = AccessManager__factory.connect(deployment.addresses.accessManager, { provider });
  const granted = await manager.queryFilter(manager.filters.RoleGranted(), deployment.block);
  const holders: RoleHolder[] = [];
  for (const [role, roleId] of Object.entries(ROLES) as [RoleName, bigint][]) {
    const accounts = new Set(granted.filter(({ args }) => args.roleId === roleId).map(({ args }) => args.account));
    for (const account of accounts) {
      const [isMember, delay] = await manager.hasRole(roleId, account);
      if (isMember) holders.push({ role, holder: account, delaySeconds: Number(delay) });
    }
  }
  return holders;
}

/** Throws, naming every difference, unless the chain holds what the parameters say and the deployer holds nothing. */
export async function verifyDeployment(
  provider: Provider,
  deployment: Deployment,
  parameters: Parameters,
): Promise<void> {
  const problems: string[] = [];
  const expect = (what: string, found: unknown, expected: unknown): void => {
    const [is, should] = [plain(found), plain(expected)];
    if (is !== should) problems.push(`${what} is ${is}, not ${should}`);
  };
  await checkWiring(provider, deployment, parameters, expect);
  await checkSettings(provider, deployment, parameters, expect);
  await checkRoles(provider, deployment, parameters, expect);
  if (problems.length > 0) {
    throw new DeployError(
      "VERIFICATION_FAILED",
      `The deployment is not as the parameters say: ${problems.join("; ")}. Do not use it before this is understood.`,
      { problems },
    );
  }
}

type Expect = (what: string, found: unknown, expected: unknown) => void;

async function checkWiring(provider: Provider, { addresses: a }: Deployment, p: Parameters, expect: Expect) {
  const proxies = {
    poolManager: a.poolManagerImplementation,
    registry: a.registryImplementation,
    guardians: a.guardiansImplementation,
    reportOracle: a.reportOracleImplementation,
    withdrawalVault: a.withdrawalVaultImplementation,
    reserve: a.reserveImplementation,
    withdrawalQueue: a.withdrawalQueueImplementation,
    validatorExits: a.validatorExitsImplementation,
  };
  for (const [name, implementation] of Object.entries(proxies) as [ManagedContract, string][]) {
    const word = await provider.getStorage(a[name], IMPLEMENTATION_SLOT);
    expect(`the code of ${name}`, getAddress(dataSlice(word, 12)), implementation);
    const managed = WithdrawalVault__factory.connect(a[name], { provider });
    expect(`the authority of ${name}`, await managed.authority(), a.accessManager);
  }
  const frames = [p.frames.genesisTime, p.frames.secondsPerSlot, p.frames.slotsPerFrame];
  const pool = PoolManager__factory.connect(a.poolManager, { provider });
  const vaults = [a.withdrawalVault, a.rewardsVault];
  const parts = [a.poolETH, a.registry, a.reportOracle, a.guardians, ...vaults, a.reserve, a.withdrawalQueue];
  expect("PoolManager.contracts", await pool.contracts(), parts);
  expect("PoolManager.frameConfig", await pool.frameConfig(), frames);
  const oracle = ReportOracle__factory.connect(a.reportOracle, { provider });
  expect("ReportOracle.targets", await oracle.targets(), [a.poolManager, a.validatorExits]);
  expect("ReportOracle.frameConfig", await oracle.frameConfig(), frames);
  const queue = WithdrawalQueue__factory.connect(a.withdrawalQueue, { provider });
  expect("WithdrawalQueue.targets", await queue.targets(), [a.poolETH, a.poolManager]);
  expect("WithdrawalQueue.frameConfig", await queue.frameConfig(), frames);
  expect("WithdrawalQueue.cutoffMargin", await queue.cutoffMargin(), p.withdrawals.cutoffMarginSeconds);
  const exits = ValidatorExits__factory.connect(a.validatorExits, { provider });
  expect("ValidatorExits.contracts", await exits.contracts(), [a.registry, a.poolManager, a.reportOracle, ...vaults]);
  expect("ValidatorExits.frameConfig", await exits.frameConfig(), frames);
  expect("ValidatorExits.graceFrames", await exits.graceFrames(), p.withdrawals.exitGraceFrames);
  const registry = ValidatorRegistry__factory.connect(a.registry, { provider });
  expect("ValidatorRegistry.validatorExits", await registry.validatorExits(), a.validatorExits);
  expect("ValidatorRegistry.externals", await registry.externals(), [p.ssv.network, p.ssv.views, p.depositContract]);
  const credentials = `0x01${"00".repeat(11)}${a.withdrawalVault.slice(2).toLowerCase()}`;
  expect("ValidatorRegistry.withdrawalCredentials", await registry.withdrawalCredentials(), credentials);
}

async function checkSettings(provider: Provider, { addresses: a }: Deployment, p: Parameters, expect: Expect) {
  const pool = PoolManager__factory.connect(a.poolManager, { provider });
  const { treasury, feeBps, maxYearlyRateBps, lossLimitBps, lossWindowSeconds } = p.pool;
  const limits = [p.pool.minStakeEth, p.pool.poolCapEth, p.pool.dailyLimitEth];
  const settings = [treasury, feeBps, maxYearlyRateBps, lossLimitBps, lossWindowSeconds, limits];
  expect("PoolManager.parameters", await pool.parameters(), settings);
  for (const [name, set, contract] of [
    ["ReportOracle", p.oracles, ReportOracle__factory.connect(a.reportOracle, { provider })],
    ["Guardians", p.guardians, Guardians__factory.connect(a.guardians, { provider })],
  ] as const) {
    const cold = set.members.map(({ member }) => member);
    const hot = set.members.map(({ signer }) => signer);
    expect(`${name}.members`, await contract.members(), [cold, hot, set.quorum]);
  }
  const guardians = Guardians__factory.connect(a.guardians, { provider });
  expect("Guardians.pauseDuration", await guardians.pauseDuration(), p.guardians.pauseSeconds);
  const reserve = OperationsReserve__factory.connect(a.reserve, { provider });
  const runway = [p.reserve.targetRunwayBlocks, p.reserve.lowRunwayBlocks];
  expect("OperationsReserve.runway", await reserve.runway(), runway);
  const token = PoolETH__factory.connect(a.poolETH, { provider });
  expect("the dead first stake", (await token.totalShares()) >= p.initialStakeEth, true);
}

async function checkRoles(provider: Provider, deployment: Deployment, p: Parameters, expect: Expect) {
  const { addresses: a, deployer } = deployment;
  const manager = AccessManager__factory.connect(a.accessManager, { provider });
  const line = ({ role, holder, delaySeconds }: RoleHolder): string => `${role} ${holder} after ${delaySeconds} s`;
  const holders = await currentRoleHolders(provider, deployment);
  expect("who holds roles", holders.map(line), roleHolders(p).map(line));
  for (const [name, functions] of Object.entries(RESTRICTED) as [ManagedContract, Record<string, RoleName>][]) {
    const known = INTERFACES[name]();
    for (const [functionName, role] of Object.entries(functions)) {
      const selector = known.getFunction(functionName)?.selector;
      if (selector === undefined) throw new Error(`${name} has no function ${functionName}`);
      const what = `${name}.${functionName}`;
      expect(`the role for ${what}`, await manager.getTargetFunctionRole(a[name], selector), ROLES[role]);
      expect(`the deployer's right to ${what}`, await manager.canCall(deployer, a[name], selector), [false, 0n]);
    }
  }
}

/** One way of writing numbers, addresses and lists of them. */
function plain(value: unknown): string {
  return Array.isArray(value) ? `(${value.map(plain).join(", ")})` : String(value);
}
