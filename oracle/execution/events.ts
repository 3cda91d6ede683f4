import { dataLength, dataSlice, Interface, keccak256, type LogDescription } from "ethers";
import {
  ISSVNetwork__factory,
  IValidatorExits__factory,
  IValidatorRegistry__factory,
} from "../../types/ethers-contracts/index.js";
import type { Cluster } from "../ssv/cluster.js";

/** Place of a log in the chain. */
export interface LogPosition {
  readonly block: number;
  readonly transaction: number;
  readonly log: number;
}

/** What a node returns of a log, in the types of this program. */
export interface RawLog extends LogPosition {
  readonly address: string;
  readonly topics: readonly string[];
  readonly data: string;
}

type At<T> = LogPosition & T;

/** Events of the ValidatorRegistry. Octets are lower case hex. */
export type RegistryEvent =
  | At<{ type: "AccountAdded"; account: number; address: string }>
  | At<{
      type: "ClusterAdded";
      cluster: number;
      account: number;
      operatorIds: bigint[];
      requireDkg: boolean;
      cap: number;
    }>
  | At<{ type: "ClusterUpdated"; cluster: number; active: boolean; cap: number }>
  | At<{
      type: "Published";
      account: number;
      cluster: number;
      batch: number;
      firstNonce: bigint;
      count: number;
      data: string;
      dkgProofs: string;
    }>
  | At<{ type: "BatchVetted"; account: number; cluster: number; batch: number }>
  | At<{ type: "Registered"; account: number; cluster: number; firstId: number; firstNonce: bigint; count: number }>
  | At<{ type: "Deposited"; cluster: number; ids: number[] }>
  | At<{ type: "Discarded"; cluster: number; id: number }>
  | At<{ type: "QueueDropped"; account: number; nonce: bigint; count: number }>
  | At<{ type: "Removed"; cluster: number; id: number }>;

/** Events of ValidatorExits. */
export type ExitEvent =
  | At<{ type: "ExitRequested"; cluster: number; id: number; repeated: boolean }>
  | At<{ type: "ExitForced"; id: number }>
  | At<{ type: "ExitPassedOver"; id: number }>
  | At<{ type: "Exiting"; id: number }>
  | At<{ type: "Exited"; id: number }>;

/** Events of SSV Network. KeyShares are kept as their hash and owner-nonce signature: what a comparison and SSV's nodes need. */
export type SSVEvent =
  | At<{
      type: "ValidatorAdded";
      owner: string;
      operatorIds: bigint[];
      publicKey: string;
      sharesHash: string;
      sharesLength: number;
      ownerNonceSignature: string;
      snapshot: Cluster;
    }>
  | At<{ type: "ValidatorRemoved"; owner: string; operatorIds: bigint[]; publicKey: string; snapshot: Cluster }>
  | At<{ type: "ClusterChanged"; owner: string; operatorIds: bigint[]; snapshot: Cluster }>
  | At<{ type: "OperatorAdded"; operatorId: bigint; publicKey: string }>
  | At<{ type: "OperatorRemoved"; operatorId: bigint }>
  | At<{ type: "Upgraded" }>;

export type PoolEvent = RegistryEvent | ExitEvent | SSVEvent;

const registry = new Interface(IValidatorRegistry__factory.abi);
const exits = new Interface(IValidatorExits__factory.abi);
const ssv = new Interface(ISSVNetwork__factory.abi);

/** Octets of the owner-nonce signature at the front of KeyShares. */
const SIGNATURE_BYTES = 96;

export const REGISTRY_TOPICS = topicsOf(registry, [
  "AccountAdded",
  "ClusterAdded",
  "ClusterUpdated",
  "Published",
  "BatchVetted",
  "Registered",
  "Deposited",
  "Discarded",
  "QueueDropped",
  "Removed",
]);

export const EXIT_TOPICS = topicsOf(exits, ["ExitRequested", "ExitForced", "ExitPassedOver", "Exiting", "Exited"]);

export const SSV_TOPICS = topicsOf(ssv, [
  "ValidatorAdded",
  "ValidatorRemoved",
  "ClusterDeposited",
  "ClusterWithdrawn",
  "ClusterLiquidated",
  "ClusterReactivated",
  "ClusterBalanceUpdated",
  "OperatorAdded",
  "OperatorRemoved",
  "ModuleUpgraded",
  "Upgraded",
]);

function topicsOf(contract: Interface, names: readonly string[]): string[] {
  return names.map((name) => {
    const event = contract.getEvent(name);
    if (event === null) throw new TypeError(`the interface has no event ${name}`);
    return event.topicHash;
  });
}

/** Null for an event that says nothing this program needs. */
export function decodeRegistryEvent(raw: RawLog): RegistryEvent | null {
  const log = registry.parseLog(raw);
  if (log === null) return null;
  const at = { block: raw.block, transaction: raw.transaction, log: raw.log };
  const args = reader(log);
  switch (log.name) {
    case "AccountAdded":
      return { ...at, type: "AccountAdded", account: args.number("account"), address: args.text("ssvAccount") };
    case "ClusterAdded":
      return {
        ...at,
        type: "ClusterAdded",
        cluster: args.number("cluster"),
        account: args.number("account"),
        operatorIds: args.bigints("operatorIds"),
        requireDkg: args.boolean("requireDkg"),
        cap: args.number("cap"),
      };
    case "ClusterUpdated":
      return {
        ...at,
        type: "ClusterUpdated",
        cluster: args.number("cluster"),
        active: args.boolean("active"),
        cap: args.number("cap"),
      };
    case "Published":
      return {
        ...at,
        type: "Published",
        account: args.number("account"),
        cluster: args.number("cluster"),
        batch: args.number("batch"),
        firstNonce: args.bigint("firstNonce"),
        count: args.number("count"),
        data: args.text("data"),
        dkgProofs: args.text("dkgProofs"),
      };
    case "BatchVetted":
      return {
        ...at,
        type: "BatchVetted",
        account: args.number("account"),
        cluster: args.number("cluster"),
        batch: args.number("batch"),
      };
    case "Registered":
      return {
        ...at,
        type: "Registered",
        account: args.number("account"),
        cluster: args.number("cluster"),
        firstId: args.number("firstId"),
        firstNonce: args.bigint("firstNonce"),
        count: args.number("count"),
      };
    case "Deposited":
      return { ...at, type: "Deposited", cluster: args.number("cluster"), ids: args.bigints("ids").map(Number) };
    case "Discarded":
      return { ...at, type: "Discarded", cluster: args.number("cluster"), id: args.number("id") };
    case "QueueDropped":
      return {
        ...at,
        type: "QueueDropped",
        account: args.number("account"),
        nonce: args.bigint("nonce"),
        count: args.number("count"),
      };
    case "Removed":
      return { ...at, type: "Removed", cluster: args.number("cluster"), id: args.number("id") };
    default:
      return null;
  }
}

/** Null for an event that says nothing this program needs. */
export function decodeExitEvent(raw: RawLog): ExitEvent | null {
  const log = exits.parseLog(raw);
  if (log === null) return null;
  const at = { block: raw.block, transaction: raw.transaction, log: raw.log };
  const args = reader(log);
  switch (log.name) {
    case "ExitRequested": {
      const [cluster, id] = [args.number("cluster"), args.number("id")];
      return { ...at, type: "ExitRequested", cluster, id, repeated: args.boolean("repeated") };
    }
    case "ExitForced":
    case "ExitPassedOver":
    case "Exiting":
    case "Exited":
      return { ...at, type: log.name, id: args.number("id") };
    default:
      return null;
  }
}

/** Null for an event that says nothing this program needs. */
export function decodeSSVEvent(raw: RawLog): SSVEvent | null {
  const log = ssv.parseLog(raw);
  if (log === null) return null;
  const at = { block: raw.block, transaction: raw.transaction, log: raw.log };
  const args = reader(log);
  switch (log.name) {
    case "ValidatorAdded": {
      // anybody registers what they like: KeyShares of other owners can be of any length
      const shares = args.text("shares");
      return {
        ...at,
        type: "ValidatorAdded",
        owner: args.text("owner"),
        operatorIds: args.bigints("operatorIds"),
        publicKey: args.text("publicKey"),
        sharesHash: keccak256(shares),
        sharesLength: dataLength(shares),
        ownerNonceSignature: dataSlice(shares, 0, Math.min(SIGNATURE_BYTES, dataLength(shares))),
        snapshot: args.cluster(),
      };
    }
    case "ValidatorRemoved":
      return {
        ...at,
        type: "ValidatorRemoved",
        owner: args.text("owner"),
        operatorIds: args.bigints("operatorIds"),
        publicKey: args.text("publicKey"),
        snapshot: args.cluster(),
      };
    case "ClusterDeposited":
    case "ClusterWithdrawn":
    case "ClusterLiquidated":
    case "ClusterReactivated":
    case "ClusterBalanceUpdated":
      return {
        ...at,
        type: "ClusterChanged",
        owner: args.text("owner"),
        operatorIds: args.bigints("operatorIds"),
        snapshot: args.cluster(),
      };
    case "OperatorAdded":
      return {
        ...at,
        type: "OperatorAdded",
        operatorId: args.bigint("operatorId"),
        publicKey: args.text("publicKey"),
      };
    case "OperatorRemoved":
      return { ...at, type: "OperatorRemoved", operatorId: args.bigint("operatorId") };
    case "Upgraded":
    case "ModuleUpgraded":
      return { ...at, type: "Upgraded" };
    default:
      return null;
  }
}

/** Typed access to decoded arguments, which ethers types as any. */
function reader(log: LogDescription): {
  number: (name: string) => number;
  bigint: (name: string) => bigint;
  boolean: (name: string) => boolean;
  text: (name: string) => string;
  bigints: (name: string) => bigint[];
  cluster: () => Cluster;
} {
  const value = (name: string): unknown => log.args.getValue(name);
  const bigint = (name: string): bigint => value(name) as bigint;
  return {
    bigint,
    number: (name) => Number(bigint(name)),
    boolean: (name) => value(name) as boolean,
    text: (name) => value(name) as string,
    bigints: (name) => Array.from(value(name) as Iterable<bigint>),
    cluster: () => {
      const snapshot = value("cluster") as Cluster;
      return {
        validatorCount: snapshot.validatorCount,
        networkFeeIndex: snapshot.networkFeeIndex,
        index: snapshot.index,
        active: snapshot.active,
        balance: snapshot.balance,
      };
    },
  };
}
