import { expect } from "chai";
import {
  type FunctionFragment,
  type Interface,
  isCallException,
  type ParamType,
  type Signer,
  zeroPadValue,
} from "ethers";
import { network } from "hardhat";
import { type Deployment, deployPool } from "../../../deploy/deploy.js";
import { parseParameters } from "../../../deploy/parameters.js";
import { type ManagedContract, RESTRICTED, type RoleName } from "../../../deploy/roles.js";
import {
  AccessManager__factory,
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
} from "../../../types/ethers-contracts/index.js";
import { addressOf, type Connection, ground, wallet } from "./support.js";

const DELAY = 3 * 86_400;

const FACTORIES = {
  poolManager: PoolManager__factory,
  registry: ValidatorRegistry__factory,
  guardians: Guardians__factory,
  reportOracle: ReportOracle__factory,
  withdrawalVault: WithdrawalVault__factory,
  reserve: OperationsReserve__factory,
  withdrawalQueue: WithdrawalQueue__factory,
  validatorExits: ValidatorExits__factory,
  poolETH: PoolETH__factory,
  rewardsVault: RewardsVault__factory,
  ssvAccountImplementation: SSVAccount__factory,
  accessManager: AccessManager__factory,
} as const;
type Walked = keyof typeof FACTORIES;

/** Accounts that are something to the pool, or were. */
const PEOPLE = ["stranger", "deployer", "governance", "pool operator", "treasury"].concat(
  ["oracle", "guardian"].flatMap((set) => [`${set} 1, cold`, `${set} 1, hot`]),
);
const MEMBER: Readonly<Partial<Record<Walked, string>>> = {
  reportOracle: "oracle 1, cold",
  guardians: "guardian 1, cold",
};

type Caller = "anyone" | "members" | "nobody any more" | Walked;

/**
 * Every state-changing function that is not in RESTRICTED: who may call it, and what a stranger meets who calls it with empty
 * arguments ("done": it does nothing for him). A function that is missing here, or in no contract, fails the test.
 */
const MANAGED: Readonly<Record<string, readonly [Caller, string]>> = {
  initialize: ["nobody any more", "InvalidInitialization"],
  setAuthority: ["accessManager", "AccessManagedUnauthorized"],
};
const REST: Readonly<Record<Walked, Readonly<Record<string, readonly [Caller | RoleName, string]>>>> = {
  poolManager: {
    ...MANAGED,
    stake: ["anyone", "StakeBelowMinimum"],
    applyReport: ["reportOracle", "NotAuthorized"],
    fundDeposits: ["registry", "NotAuthorized"],
    pauseStaking: ["guardians", "NotAuthorized"],
    pauseFinalisation: ["guardians", "NotAuthorized"],
  },
  registry: {
    ...MANAGED,
    syncClusterFees: ["anyone", "UnknownCluster"],
    vet: ["anyone", "UnknownAccount"],
    register: ["anyone", "UnknownCluster"],
    deposit: ["anyone", "EmptyList"],
    discard: ["anyone", "EmptyList"],
    dropQueue: ["anyone", "UnknownAccount"],
    exitInSSV: ["validatorExits", "NotAuthorized"],
    remove: ["anyone", "EmptyList"],
  },
  guardians: {
    ...MANAGED,
    pauseDeposits: ["anyone", "UnknownSigner"],
    pauseStaking: ["anyone", "QuorumNotReached"],
    pauseFinalisation: ["anyone", "QuorumNotReached"],
    rotateSigner: ["members", "NotMember"],
  },
  reportOracle: {
    ...MANAGED,
    submitReport: ["anyone", "FrameNotReportable"],
    rotateSigner: ["members", "NotMember"],
  },
  withdrawalVault: {
    ...MANAGED,
    sweep: ["poolManager", "NotPoolManager"],
    requestExits: ["validatorExits", "NotValidatorExits"],
  },
  reserve: {
    ...MANAGED,
    fund: ["anyone", "done"],
    topUp: ["anyone", "UnknownCluster"],
    pay: ["registry", "NotRegistry"],
    changeBurn: ["registry", "NotRegistry"],
  },
  withdrawalQueue: {
    ...MANAGED,
    enqueue: ["poolETH", "NotPoolETH"],
    finalise: ["poolManager", "NotPoolManager"],
    transferRequest: ["anyone", "UnknownRequest"],
    claim: ["anyone", "UnknownRequest"],
    claimMany: ["anyone", "EmptyList"],
  },
  validatorExits: {
    ...MANAGED,
    requestExits: ["anyone", "EmptyList"],
    forceExits: ["anyone", "EmptyList"],
    recordExits: ["reportOracle", "NotAuthorized"],
  },
  poolETH: {
    approve: ["anyone", "done"],
    permit: ["anyone", "PermitExpired"],
    transfer: ["anyone", "done"],
    transferFrom: ["anyone", "done"],
    transferShares: ["anyone", "done"],
    transferSharesFrom: ["anyone", "done"],
    requestWithdrawal: ["anyone", "RequestTooSmall"],
    requestWithdrawalShares: ["anyone", "RequestTooSmall"],
    mint: ["poolManager", "NotPoolManager"],
    rebase: ["poolManager", "NotPoolManager"],
  },
  rewardsVault: { sweep: ["poolManager", "NotPoolManager"] },
  ssvAccountImplementation: { execute: ["registry", "NotRegistry"] },
  accessManager: {
    ...Object.fromEntries(
      [
        ...["grantRole", "revokeRole", "labelRole", "setGrantDelay", "setRoleAdmin", "setRoleGuardian"],
        ...["setTargetAdminDelay", "setTargetClosed", "setTargetFunctionRole", "updateAuthority"],
      ].map((name) => [name, ["GOVERNANCE", "AccessManagerUnauthorizedAccount"]] as const),
    ),
    renounceRole: ["anyone", "AccessManagerBadConfirmation"],
    // what is scheduled and executed is checked by itself; empty calls have no selector to check
    multicall: ["anyone", "done"],
    schedule: ["anyone", "no reason"],
    execute: ["anyone", "no reason"],
    cancel: ["anyone", "no reason"],
    consumeScheduledOp: ["poolManager", "no reason"],
  },
};

const restricted: Readonly<Partial<Record<Walked, Readonly<Record<string, RoleName>>>>> = RESTRICTED;
const interfaceOf = (name: Walked): Interface => FACTORIES[name].createInterface();

/** The emptiest value of a type. */
function emptyValue(type: ParamType): unknown {
  if (type.isTuple()) return type.components.map(emptyValue);
  if (type.isArray()) return [];
  if (type.type === "address") return addressOf("nobody");
  if (type.type === "bool") return false;
  if (type.type === "string") return "";
  if (type.type === "bytes") return "0x";
  if (type.type.startsWith("bytes")) return zeroPadValue("0x", Number(type.type.slice(5)));
  return 0n;
}

function stateChanging(name: Walked): FunctionFragment[] {
  const found: FunctionFragment[] = [];
  interfaceOf(name).forEachFunction((fragment) => {
    if (!fragment.constant) found.push(fragment);
  });
  return found;
}

describe("least privilege", () => {
  let connection: Connection;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function deployed() {
    const { input, deployer } = await ground(connection);
    const delayed = { ...input, governance: { ...input.governance, delaySeconds: DELAY } };
    const deployment: Deployment = await deployPool(deployer, parseParameters(delayed));
    const as = (name: string): Signer => wallet(name).connect(connection.ethers.provider);
    return { deployment, as };
  }
  const load = () => connection.networkHelpers.loadFixture(deployed);

  /** What a call with empty arguments meets: "done", "no reason", or the name of the error. */
  async function outcome(d: Deployment, name: Walked, fragment: FunctionFragment, from: string): Promise<string> {
    const known = interfaceOf(name);
    const data = known.encodeFunctionData(fragment, fragment.inputs.map(emptyValue));
    try {
      await connection.ethers.provider.call({ from, to: d.addresses[name], data });
      return "done";
    } catch (error) {
      const revert = isCallException(error) ? error.data : (error as { data?: unknown }).data;
      if (revert === "0x") return "no reason";
      if (typeof revert !== "string") throw error;
      for (const candidate of [known, ...Object.values(FACTORIES).map((factory) => factory.createInterface())]) {
        const parsed = candidate.parseError(revert);
        if (parsed !== null) return parsed.name;
      }
      throw error;
    }
  }

  it("is written down for every state-changing function, and for none that does not exist", () => {
    for (const name of Object.keys(FACTORIES) as Walked[]) {
      const listed = [...Object.keys(restricted[name] ?? {}), ...Object.keys(REST[name])];
      const present = new Set(stateChanging(name).map((fragment) => fragment.name));
      expect([...present].sort(), name).to.deep.equal(listed.sort());
    }
  });

  /** What `person` should meet at a function that `who` may call and strangers are refused at with `refusal`. */
  function expected(name: Walked, who: Caller | RoleName, person: string, refusal: string): string {
    if (who === "GOVERNANCE" && person === "governance") return "AccessManagerNotScheduled";
    if (who === "POOL_OPERATOR" && person === "pool operator") return "UnknownCluster";
    if (who === "members" && person === MEMBER[name]) return "done";
    return refusal;
  }

  for (const name of Object.keys(FACTORIES) as Walked[]) {
    it(`holds for ${name}`, async () => {
      const { deployment: d } = await load();
      for (const fragment of stateChanging(name)) {
        const role = restricted[name]?.[fragment.name];
        const [who, refusal] = REST[name][fragment.name] ?? [role ?? "nobody any more", "AccessManagedUnauthorized"];
        for (const person of PEOPLE) {
          const met = await outcome(d, name, fragment, addressOf(person));
          expect(met, `${name}.${fragment.name} by ${person}`).to.equal(expected(name, who, person, refusal));
        }
        if (who in FACTORIES && refusal !== "no reason") {
          const met = await outcome(d, name, fragment, d.addresses[who as Walked]);
          expect(met, `${name}.${fragment.name} by ${who}`).not.to.equal(refusal);
        }
      }
    });
  }

  it("refuses plain ETH where it would be lost or counted wrongly, and takes it as a gift in the vaults", async () => {
    const { deployment: d, as } = await load();
    const send = (name: Walked) => as("stranger").sendTransaction({ to: d.addresses[name], value: 1n });
    const pool = PoolManager__factory.connect(d.addresses.poolManager);
    await expect(send("poolManager")).to.be.revertedWithCustomError(pool, "UseStake");
    const registry = ValidatorRegistry__factory.connect(d.addresses.registry);
    await expect(send("registry")).to.be.revertedWithCustomError(registry, "NotAuthorized");
    const queue = WithdrawalQueue__factory.connect(d.addresses.withdrawalQueue);
    await expect(send("withdrawalQueue")).to.be.revertedWithCustomError(queue, "NotPoolManager");
    for (const name of [
      "guardians",
      "reportOracle",
      "reserve",
      "poolETH",
      "validatorExits",
      "accessManager",
    ] as const) {
      await expect(send(name), name).to.be.revertedWithoutReason(connection.ethers);
    }
    for (const name of ["withdrawalVault", "rewardsVault"] as const) await send(name);
  });

  it("lets nobody initialize or upgrade the code behind a proxy", async () => {
    const { deployment: d, as } = await load();
    for (const name of Object.keys(RESTRICTED) as ManagedContract[]) {
      const code = d.addresses[`${name}Implementation`];
      for (const [fn, error] of [
        ["initialize", "InvalidInitialization"],
        ["upgradeToAndCall", "UUPSUnauthorizedCallContext"],
      ] as const) {
        const known = interfaceOf(name);
        const fragment = known.getFunction(fn)!;
        const data = known.encodeFunctionData(fragment, fragment.inputs.map(emptyValue));
        await expect(as("stranger").call({ to: code, data }), `${name}.${fn}`).to.be.revertedWithCustomError(
          FACTORIES[name].connect(code),
          error,
        );
      }
    }
  });

  it("lets governance act after its delay, and the pool operator at once", async () => {
    const { deployment: d, as } = await load();
    const { accessManager, poolManager, registry } = d.addresses;
    const manager = AccessManager__factory.connect(accessManager, as("governance"));
    const pool = PoolManager__factory.connect(poolManager, as("governance"));
    const data = pool.interface.encodeFunctionData("setFee", [500n]);
    await manager.schedule(poolManager, data, 0);
    await expect(manager.execute(poolManager, data)).to.be.revertedWithCustomError(manager, "AccessManagerNotReady");
    await connection.networkHelpers.time.increase(DELAY);
    await pool.setFee(500n);
    expect((await pool.parameters()).feeBps).to.equal(500n);
    // nobody but the operator publishes, not even governance
    const selector = ValidatorRegistry__factory.createInterface().getFunction("publish").selector;
    expect(await manager.canCall(addressOf("pool operator"), registry, selector)).to.deep.equal([true, 0n]);
    expect(await manager.canCall(addressOf("governance"), registry, selector)).to.deep.equal([false, 0n]);
  });
});
