import { AbiCoder, keccak256, solidityPackedKeccak256, toBeHex } from "ethers";
import type { LogPosition, PoolEvent } from "../execution/events.js";

/** What SSV Network knows of a cluster; only its hash is in storage, so every write to a cluster brings the whole tuple. */
export interface Cluster {
  readonly validatorCount: bigint;
  readonly networkFeeIndex: bigint;
  readonly index: bigint;
  readonly active: boolean;
  /** wei, as of the event that carried it */
  readonly balance: bigint;
}

/** The tuple of a cluster that never had a validator. */
export const NEW_CLUSTER: Cluster = { validatorCount: 0n, networkFeeIndex: 0n, index: 0n, active: true, balance: 0n };

/** Storage of SSV Network: the mapping of cluster ids to hashes of ETH clusters, keccak256("ssv.network.storage.main") - 1 + 10. */
const ETH_CLUSTERS_SLOT = 0xd56c4f4aab8ca22f9fde432777379f436593c6027698a6995e2daea890bed104n + 10n;
const NO_CLUSTER = toBeHex(0, 32);

export function clusterId(owner: string, operatorIds: readonly bigint[]): string {
  // packed arrays pad every element to 32 bytes
  return solidityPackedKeccak256(["address", "uint64[]"], [owner, operatorIds]);
}

export function clusterHash(cluster: Cluster): string {
  return solidityPackedKeccak256(
    ["uint32", "uint64", "uint64", "uint256", "bool"],
    [cluster.validatorCount, cluster.networkFeeIndex, cluster.index, cluster.balance, cluster.active],
  );
}

/** Slot of SSV Network's storage that holds the hash of a cluster's latest tuple. */
export function clusterSlot(owner: string, operatorIds: readonly bigint[]): string {
  return keccak256(
    AbiCoder.defaultAbiCoder().encode(["bytes32", "uint256"], [clusterId(owner, operatorIds), ETH_CLUSTERS_SLOT]),
  );
}

/** Whether `snapshot` is what SSV Network has now, given the word in its slot. */
export function isCurrent(snapshot: Cluster, word: string): boolean {
  const expected = snapshot === NEW_CLUSTER ? NO_CLUSTER : clusterHash(snapshot);
  return BigInt(word) === BigInt(expected);
}

export interface Snapshots {
  /** Newest tuple of (owner, operators) that any event carried; that of a new cluster if none did. */
  latest(owner: string, operatorIds: readonly bigint[]): Cluster;
}

export function snapshotsOf(events: readonly PoolEvent[]): Snapshots {
  const newest = new Map<string, LogPosition & { readonly snapshot: Cluster }>();
  const keyOf = (owner: string, operatorIds: readonly bigint[]): string => `${owner} ${operatorIds.join()}`;
  for (const event of events) {
    if (!("snapshot" in event)) continue;
    const key = keyOf(event.owner, event.operatorIds);
    const before = newest.get(key);
    if (before === undefined || comparePositions(before, event) < 0) newest.set(key, event);
  }
  return { latest: (owner, operatorIds) => newest.get(keyOf(owner, operatorIds))?.snapshot ?? NEW_CLUSTER };
}

export function comparePositions(a: LogPosition, b: LogPosition): number {
  return a.block - b.block || a.transaction - b.transaction || a.log - b.log;
}

export interface RunwayTerms {
  /** what is left in the cluster in this block, wei */
  readonly balanceWei: bigint;
  readonly burnWeiPerBlock: bigint;
  readonly liquidationThresholdBlocks: bigint;
  readonly minimumCollateralWei: bigint;
}

/** What a cluster must hold not to be liquidated. */
export function collateralWei({
  burnWeiPerBlock,
  liquidationThresholdBlocks,
  minimumCollateralWei,
}: Omit<RunwayTerms, "balanceWei">): bigint {
  const threshold = liquidationThresholdBlocks * burnWeiPerBlock;
  return threshold > minimumCollateralWei ? threshold : minimumCollateralWei;
}

/** Blocks until anyone may liquidate the cluster; null when it costs nothing. */
export function runwayBlocks(terms: RunwayTerms): bigint | null {
  const { balanceWei, burnWeiPerBlock } = terms;
  if (burnWeiPerBlock === 0n) return null;
  const kept = collateralWei(terms);
  return balanceWei <= kept ? 0n : (balanceWei - kept) / burnWeiPerBlock;
}
