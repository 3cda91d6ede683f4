import type { Parameters } from "./parameters.js";

/** Roles of people on the AccessManager. Rights of contracts among each other are immutable addresses and do not appear here. */
export const ROLES = {
  /** ADMIN_ROLE of the AccessManager, which owns every restricted function that no other role was given. */
  GOVERNANCE: 0n,
  POOL_OPERATOR: 1n,
} as const;
export type RoleName = keyof typeof ROLES;

export type ManagedContract =
  | "poolManager"
  | "registry"
  | "guardians"
  | "reportOracle"
  | "withdrawalVault"
  | "reserve"
  | "withdrawalQueue"
  | "validatorExits";

/** Every `restricted` function of the pool and who may call it. A test holds this list against the contracts. */
export const RESTRICTED: Readonly<Record<ManagedContract, Readonly<Record<string, RoleName>>>> = {
  poolManager: {
    resumeStaking: "GOVERNANCE",
    resumeFinalisation: "GOVERNANCE",
    confirmLoss: "GOVERNANCE",
    discardLoss: "GOVERNANCE",
    setFee: "GOVERNANCE",
    setTreasury: "GOVERNANCE",
    setStakeLimits: "GOVERNANCE",
    setStreamLimit: "GOVERNANCE",
    setLossLimit: "GOVERNANCE",
    upgradeToAndCall: "GOVERNANCE",
  },
  registry: {
    addAccount: "GOVERNANCE",
    addCluster: "GOVERNANCE",
    setCluster: "GOVERNANCE",
    publish: "POOL_OPERATOR",
    upgradeToAndCall: "GOVERNANCE",
  },
  guardians: {
    resumeDeposits: "GOVERNANCE",
    rearm: "GOVERNANCE",
    setPauseDuration: "GOVERNANCE",
    addMember: "GOVERNANCE",
    removeMember: "GOVERNANCE",
    setQuorum: "GOVERNANCE",
    upgradeToAndCall: "GOVERNANCE",
  },
  reportOracle: {
    scheduleVersion: "GOVERNANCE",
    addMember: "GOVERNANCE",
    removeMember: "GOVERNANCE",
    setQuorum: "GOVERNANCE",
    upgradeToAndCall: "GOVERNANCE",
  },
  withdrawalVault: { upgradeToAndCall: "GOVERNANCE" },
  reserve: { setRunway: "GOVERNANCE", upgradeToAndCall: "GOVERNANCE" },
  withdrawalQueue: { upgradeToAndCall: "GOVERNANCE" },
  validatorExits: { upgradeToAndCall: "GOVERNANCE" },
};

export interface RoleHolder {
  role: RoleName;
  holder: string;
  delaySeconds: number;
}

/** Who holds what once the deployment has ended; nobody holds anything else. */
export function roleHolders(parameters: Parameters): RoleHolder[] {
  const { governance, poolOperator } = parameters;
  return [
    { role: "GOVERNANCE", holder: governance.address, delaySeconds: governance.delaySeconds },
    { role: "POOL_OPERATOR", holder: poolOperator, delaySeconds: 0 },
  ];
}
