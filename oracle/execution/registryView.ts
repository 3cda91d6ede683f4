import { AbiCoder, dataLength, dataSlice, keccak256 } from "ethers";
import { ServiceError } from "../ops/errors.js";
import type { PoolEvent } from "./events.js";

const PUBLIC_KEY_BYTES = 48;
const SIGNATURE_BYTES = 96;
/** Octets of a link of the queue's hash chain. */
const LINK_BYTES = 26;
const CHAIN_END = `0x${"00".repeat(LINK_BYTES)}`;

/** One published validator. Octets are lower case hex. */
export interface QueueEntry {
  readonly publicKey: string;
  readonly depositSignature: string;
  readonly sharesData: string;
  /** SSV owner nonce for which its KeyShares were made */
  readonly nonce: bigint;
}

/** What one publish transaction brought. */
export interface BatchView {
  readonly batch: number;
  readonly account: number;
  readonly cluster: number;
  readonly firstNonce: bigint;
  readonly entries: readonly QueueEntry[];
  readonly dkgProofs: string;
  readonly vetted: boolean;
  /** how many were registered, from the front */
  readonly taken: number;
}

export interface AccountView {
  readonly account: number;
  /** SSVAccount: the owner in SSV */
  readonly address: string;
  /** batches with something left in the queue, oldest first */
  readonly queue: readonly BatchView[];
}

export interface ClusterView {
  readonly cluster: number;
  readonly account: number;
  readonly operatorIds: readonly bigint[];
  readonly requireDkg: boolean;
  readonly active: boolean;
}

export interface ExitView {
  /** whether its turn has come: its operators were asked to exit it, or it had left before */
  readonly turn: "waits" | "asked" | "passed over";
  /** blocks in which its operators were asked first, were asked last, and in which it was last forced; null before */
  readonly askedBlock: number | null;
  readonly lastAskedBlock: number | null;
  readonly forcedBlock: number | null;
  /** a report has seen it leave */
  readonly exiting: boolean;
  /** a report has seen it withdrawable and its ETH gone to the vault */
  readonly exited: boolean;
}

export interface ValidatorView extends QueueEntry {
  readonly id: number;
  readonly cluster: number;
  readonly account: number;
  readonly status: "registered" | "deposited" | "discarded";
  /** among all the pool's deposits, from 1; null before */
  readonly depositOrder: number | null;
  /** among those of its cluster */
  readonly clusterOrder: number | null;
  readonly exit: ExitView;
  /** taken out of SSV */
  readonly removed: boolean;
}

/** The registry as its events tell it. */
export interface RegistryView {
  readonly accounts: ReadonlyMap<number, AccountView>;
  readonly clusters: ReadonlyMap<number, ClusterView>;
  /** by id, which is the order of registration */
  readonly validators: ReadonlyMap<number, ValidatorView>;
  /** how often each public key was published and is still queued, or was ever registered */
  readonly uses: ReadonlyMap<string, number>;
}

const UNFUNDED = {
  depositOrder: null,
  clusterOrder: null,
  exit: {
    turn: "waits",
    askedBlock: null,
    lastAskedBlock: null,
    forcedBlock: null,
    exiting: false,
    exited: false,
  },
  removed: false,
} as const;

/** Folds the registry's events, which must be complete and in the order of the chain. */
export function registryView(events: readonly PoolEvent[]): RegistryView {
  const accounts = new Map<number, AccountView>();
  const clusters = new Map<number, ClusterView>();
  const validators = new Map<number, ValidatorView>();
  const deposits = new Map<number, number>();
  let depositOrder = 0;
  const change = (event: PoolEvent & { readonly id: number }, exit: Partial<ExitView>): void => {
    const validator = known(validators, event.id, event);
    validators.set(event.id, { ...validator, exit: { ...validator.exit, ...exit } });
  };

  for (const event of events) {
    switch (event.type) {
      case "AccountAdded":
        accounts.set(event.account, { account: event.account, address: event.address, queue: [] });
        break;
      case "ClusterAdded": {
        const { cluster, account, operatorIds, requireDkg } = event;
        clusters.set(cluster, { cluster, account, operatorIds, requireDkg, active: true });
        break;
      }
      case "ClusterUpdated": {
        const cluster = known(clusters, event.cluster, event);
        clusters.set(event.cluster, { ...cluster, active: event.active });
        break;
      }
      case "Published": {
        const account = known(accounts, event.account, event);
        const { batch, cluster, firstNonce, dkgProofs } = event;
        const entries = splitEntries(event.data, event.count, firstNonce);
        const added = {
          batch,
          account: event.account,
          cluster,
          firstNonce,
          entries,
          dkgProofs,
          vetted: false,
          taken: 0,
        };
        accounts.set(event.account, { ...account, queue: [...account.queue, added] });
        break;
      }
      case "BatchVetted": {
        const account = known(accounts, event.account, event);
        const queue = account.queue.map((batch) => (batch.batch === event.batch ? { ...batch, vetted: true } : batch));
        accounts.set(event.account, { ...account, queue });
        break;
      }
      case "Registered": {
        const account = known(accounts, event.account, event);
        const { taken, queue } = take(account, event.count, event);
        if (taken[0]?.nonce !== event.firstNonce) throw inconsistent(event);
        accounts.set(event.account, { ...account, queue });
        taken.forEach((entry, i) => {
          const id = event.firstId + i;
          const { account: owner, cluster } = event;
          validators.set(id, { ...entry, id, cluster, account: owner, status: "registered", ...UNFUNDED });
        });
        break;
      }
      case "Deposited":
        for (const id of event.ids) {
          const clusterOrder = (deposits.get(event.cluster) ?? 0) + 1;
          deposits.set(event.cluster, clusterOrder);
          depositOrder += 1;
          validators.set(id, { ...known(validators, id, event), status: "deposited", depositOrder, clusterOrder });
        }
        break;
      case "Discarded":
        validators.set(event.id, { ...known(validators, event.id, event), status: "discarded" });
        break;
      case "QueueDropped":
        accounts.set(event.account, { ...known(accounts, event.account, event), queue: [] });
        break;
      case "Removed":
        validators.set(event.id, { ...known(validators, event.id, event), removed: true });
        break;
      case "ExitRequested":
        change(event, {
          turn: "asked",
          lastAskedBlock: event.block,
          ...(event.repeated ? {} : { askedBlock: event.block }),
        });
        break;
      case "ExitForced":
        change(event, { forcedBlock: event.block });
        break;
      case "ExitPassedOver":
        change(event, { turn: "passed over" });
        break;
      case "Exiting":
        change(event, { exiting: true });
        break;
      case "Exited":
        change(event, { exited: true });
        break;
      default: // SSV's events are folded by the modules in ../ssv
    }
  }
  return { accounts, clusters, validators, uses: countUses(accounts, validators) };
}

/** Whether a report has seen it leave, or gone. */
export function isLeaving({ exit }: ValidatorView): boolean {
  return exit.exiting || exit.exited;
}

/** The order of ValidatorExits: those of retired clusters first, lowest cluster first, each by age; then all others by age. */
export function byTurn({ clusters }: RegistryView): (a: ValidatorView, b: ValidatorView) => number {
  const rank = ({ cluster }: ValidatorView): number => (clusters.get(cluster)?.active === false ? cluster : Infinity);
  const age = ({ depositOrder }: ValidatorView): number => depositOrder ?? Infinity;
  return (a, b) => (rank(a) === rank(b) ? age(a) - age(b) : rank(a) - rank(b));
}

/** Those whose operators were asked to exit them, which no report has seen leave. */
export function unconfirmedExits({ validators }: RegistryView): ValidatorView[] {
  return [...validators.values()].filter((validator) => validator.exit.turn === "asked" && !isLeaving(validator));
}

/** What is left of a batch in the queue. */
export function remaining(batch: BatchView): readonly QueueEntry[] {
  return batch.entries.slice(batch.taken);
}

/** The link of the registry's reverse hash chain that stands for `entries` and all that follows them (`next`). */
export function chainHead(cluster: number, entries: readonly QueueEntry[], next = CHAIN_END): string {
  return entries.reduceRight((link, entry) => {
    const encoded = AbiCoder.defaultAbiCoder().encode(
      ["uint256", "uint256", "bytes32", "bytes32", "bytes32", "bytes26"],
      [
        cluster,
        entry.nonce,
        keccak256(entry.publicKey),
        keccak256(entry.depositSignature),
        keccak256(entry.sharesData),
        link,
      ],
    );
    return dataSlice(keccak256(encoded), 0, LINK_BYTES);
  }, next);
}

function splitEntries(data: string, count: number, firstNonce: bigint): QueueEntry[] {
  const stride = dataLength(data) / count;
  // by hex digits: a batch is long, and every head folds all of them
  const digits = (from: number, to: number): string => `0x${data.slice(2 + 2 * from, 2 + 2 * to)}`;
  return Array.from({ length: count }, (_, i) => {
    const part = (from: number, to: number): string => digits(i * stride + from, i * stride + to);
    const signatureEnd = PUBLIC_KEY_BYTES + SIGNATURE_BYTES;
    return {
      publicKey: part(0, PUBLIC_KEY_BYTES),
      depositSignature: part(PUBLIC_KEY_BYTES, signatureEnd),
      sharesData: part(signatureEnd, stride),
      nonce: firstNonce + BigInt(i),
    };
  });
}

function take(account: AccountView, count: number, event: PoolEvent): { taken: QueueEntry[]; queue: BatchView[] } {
  const taken: QueueEntry[] = [];
  const queue: BatchView[] = [];
  for (const batch of account.queue) {
    const some = remaining(batch).slice(0, count - taken.length);
    taken.push(...some);
    const after = { ...batch, taken: batch.taken + some.length };
    if (after.taken < after.entries.length) queue.push(after);
  }
  if (taken.length !== count) throw inconsistent(event);
  return { taken, queue };
}

function countUses(
  accounts: ReadonlyMap<number, AccountView>,
  validators: ReadonlyMap<number, ValidatorView>,
): Map<string, number> {
  const uses = new Map<string, number>();
  const count = ({ publicKey }: QueueEntry): void => {
    uses.set(publicKey, (uses.get(publicKey) ?? 0) + 1);
  };
  for (const { queue } of accounts.values()) queue.flatMap(remaining).forEach(count);
  for (const validator of validators.values()) count(validator);
  return uses;
}

function known<T>(map: ReadonlyMap<number, T>, id: number, event: PoolEvent): T {
  const value = map.get(id);
  if (value === undefined) throw inconsistent(event);
  return value;
}

function inconsistent(event: PoolEvent): ServiceError {
  return new ServiceError(
    "RegistryInconsistent",
    `The registry's ${event.type} in block ${event.block} does not follow from the events before it: some are missing. Delete the ` +
      "event cache in dataDir; if it happens again, logsFromBlock is too late or the execution node does not return all logs.",
    { type: event.type, block: event.block },
  );
}
