import type { Head } from "../clock.js";
import { ServiceError } from "../ops/errors.js";
import { clusterSlot, isCurrent, snapshotsOf, type Cluster, type Snapshots } from "../ssv/cluster.js";
import { operatorsOf, type Operator } from "../ssv/operators.js";
import { registrationsOf, type Registrations } from "../ssv/registrations.js";
import type { PoolContracts } from "./contracts.js";
import type { PoolEvent } from "./events.js";
import type { EventStore } from "./eventStore.js";
import { readHead, type FailoverProvider } from "./provider.js";
import { registryView, type ClusterView, type RegistryView } from "./registryView.js";

/** What one round knows of the chain, all of it at `head`. */
export interface ChainView {
  readonly head: Head;
  /** null until the chain has finalised a block */
  readonly finalized: Head | null;
  readonly events: readonly PoolEvent[];
  readonly registry: RegistryView;
  readonly registrations: Registrations;
  readonly operators: ReadonlyMap<bigint, Operator>;
  readonly snapshots: Snapshots;
}

export interface ClusterFunds {
  readonly isLiquidated: boolean;
  readonly balanceWei: bigint;
  readonly burnWeiPerBlock: bigint;
  readonly liquidationThresholdBlocks: bigint;
  readonly minimumCollateralWei: bigint;
}

/** Reads of the chain at the head of a round; the view is made once for all roles of a process. */
export class ChainReader {
  readonly provider: FailoverProvider;
  readonly contracts: PoolContracts;
  readonly #store: EventStore;
  #view: ChainView | null = null;

  constructor(provider: FailoverProvider, contracts: PoolContracts, store: EventStore) {
    this.provider = provider;
    this.contracts = contracts;
    this.#store = store;
  }

  async view(head: Head): Promise<ChainView> {
    if (this.#view?.head.hash === head.hash) return this.#view;
    const finalized = await readHead(this.provider, "finalized");
    const events = await this.#store.read(head, finalized);
    // most heads bring no event: what was made of them stays
    const known = this.#view?.events === events ? this.#view : null;
    this.#view = {
      head,
      finalized,
      events,
      registry: known?.registry ?? registryView(events),
      registrations: known?.registrations ?? registrationsOf(events),
      operators: known?.operators ?? operatorsOf(events),
      snapshots: known?.snapshots ?? snapshotsOf(events),
    };
    return this.#view;
  }

  /** The tuple to send with a write to a cluster, compared with the hash in SSV Network's storage. */
  async clusterSnapshot(view: ChainView, cluster: ClusterView): Promise<Cluster> {
    const owner = ownerOf(view.registry, cluster);
    const snapshot = view.snapshots.latest(owner, cluster.operatorIds);
    const slot = clusterSlot(owner, cluster.operatorIds);
    const word = await this.provider.getStorage(this.contracts.addresses.ssvNetwork, slot, view.head.hash);
    if (isCurrent(snapshot, word)) return snapshot;
    throw new ServiceError(
      "SnapshotStale",
      `The newest event of cluster ${cluster.cluster} is not what SSV Network has in storage at block ${view.head.number}. If it lasts, the ` +
        "execution node does not return all logs, or SSV Network changed.",
      { cluster: cluster.cluster, word },
    );
  }

  async clusterFunds(view: ChainView, cluster: ClusterView, snapshot: Cluster): Promise<ClusterFunds> {
    const { ssvViews } = this.contracts;
    const at = { blockTag: view.head.hash };
    const owner = ownerOf(view.registry, cluster);
    const ids = [...cluster.operatorIds];
    const [liquidationThresholdBlocks, minimumCollateralWei] = await Promise.all([
      ssvViews.getLiquidationThresholdPeriod(at),
      ssvViews.getMinimumLiquidationCollateral(at),
    ]);
    const terms = { liquidationThresholdBlocks, minimumCollateralWei };
    // SSV's views revert for a liquidated cluster and for one without a hash
    if (!snapshot.active || snapshot.validatorCount === 0n) {
      return { ...terms, isLiquidated: !snapshot.active, balanceWei: snapshot.balance, burnWeiPerBlock: 0n };
    }
    const [balanceWei, burnWeiPerBlock] = await Promise.all([
      ssvViews.getBalance(owner, ids, snapshot, at),
      ssvViews.getBurnRate(owner, ids, snapshot, at),
    ]);
    return { ...terms, isLiquidated: false, balanceWei, burnWeiPerBlock };
  }
}

/** SSV owner of a cluster: its account. */
export function ownerOf(registry: RegistryView, cluster: ClusterView): string {
  const account = registry.accounts.get(cluster.account);
  if (account !== undefined) return account.address;
  throw new ServiceError(
    "RegistryInconsistent",
    `Cluster ${cluster.cluster} belongs to the unknown account ${cluster.account}: events are missing. Delete the event cache in dataDir.`,
    { cluster: cluster.cluster, account: cluster.account },
  );
}
