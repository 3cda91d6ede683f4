import { AbiCoder, Interface, keccak256, type EventFragment } from "ethers";
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

/** Events of a contract by topic. An Interface hashes all its events anew for each log, which took most of the time of a first sweep. */
class EventDecoder {
  readonly topics: readonly string[];
  readonly #byTopic = new Map<string, EventFragment>();

  constructor(contract: Interface, names: readonly string[]) {
    for (const name of names) {
      const event = contract.getEvent(name);
      if (event === null) throw new TypeError(`the interface has no event ${name}`);
      this.#byTopic.set(event.topicHash, event);
    }
    this.topics = [...this.#byTopic.keys()];
  }

  decode({ topics, data }: RawLog): DecodedLog | null {
    const event = this.#byTopic.get(topics[0] ?? "");
    if (event === undefined) return null;
    const coder = AbiCoder.defaultAbiCoder();
    const inside = coder.decode(
      event.inputs.filter(({ indexed }) => indexed !== true),
      octetsOf(data),
    );
    const values = new Map<string, unknown>();
    let topic = 0;
    let place = 0;
    for (const input of event.inputs) {
      const isIndexed = input.indexed === true;
      values.set(input.name, isIndexed ? coder.decode([input], topics[++topic] ?? "0x")[0] : inside[place++]);
    }
    return { name: event.name, values };
  }
}

/** As ethers parses hexadecimal digits, long data take longer than all the rest. */
const octetsOf = (hex: string): Uint8Array => Buffer.from(hex.slice(2), "hex");

interface DecodedLog {
  readonly name: string;
  readonly values: ReadonlyMap<string, unknown>;
}

/** Octets of the owner-nonce signature at the front of KeyShares. */
const SIGNATURE_BYTES = 96;

const registry = new EventDecoder(new Interface(IValidatorRegistry__factory.abi), [
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

const exits = new EventDecoder(new Interface(IValidatorExits__factory.abi), [
  "ExitRequested",
  "ExitForced",
  "ExitPassedOver",
  "Exiting",
  "Exited",
]);

const ssv = new EventDecoder(new Interface(ISSVNetwork__factory.abi), [
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

export const REGISTRY_TOPICS = registry.topics;
export const EXIT_TOPICS = exits.topics;
export const SSV_TOPICS = ssv.topics;

/** Null for an event that says nothing this program needs. */
export function decodeRegistryEvent(raw: RawLog): RegistryEvent | null {
  const log = registry.decode(raw);
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
  const log = exits.decode(raw);
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
  const log = ssv.decode(raw);
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
        sharesHash: keccak256(octetsOf(shares)),
        sharesLength: octetsOf(shares).length,
        ownerNonceSignature: shares.slice(0, 2 + 2 * SIGNATURE_BYTES),
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
function reader({ values }: DecodedLog): {
  number: (name: string) => number;
  bigint: (name: string) => bigint;
  boolean: (name: string) => boolean;
  text: (name: string) => string;
  bigints: (name: string) => bigint[];
  cluster: () => Cluster;
} {
  const value = (name: string): unknown => values.get(name);
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
