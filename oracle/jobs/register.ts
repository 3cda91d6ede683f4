import { keccak256 } from "ethers";
import type { PoolContracts } from "../execution/contracts.js";
import { chainHead, remaining, type QueueEntry, type RegistryView } from "../execution/registryView.js";
import type { Cluster } from "../ssv/cluster.js";
import type { Action } from "./job.js";

export interface RegisterSnapshot {
  /** the registry's own choice: cluster and how many; count 0 when nothing is due */
  readonly next: { readonly cluster: number; readonly count: number };
  readonly registry: RegistryView;
  /** what the reserve may spend on registrations, and what one costs it */
  readonly spendableWei: bigint;
  readonly costWei: bigint;
}

export interface RegisterPlan {
  readonly cluster: number;
  readonly entries: readonly QueueEntry[];
  /** hash chain of what stays in the batch */
  readonly next: string;
}

/** As many as the registry allows and the reserve can pay for. */
export function planRegister({ next, registry, spendableWei, costWei }: RegisterSnapshot): RegisterPlan | null {
  const cluster = registry.clusters.get(next.cluster);
  if (next.count === 0 || cluster === undefined) return null;
  const batch = registry.accounts.get(cluster.account)?.queue[0];
  if (batch?.vetted !== true || batch.cluster !== next.cluster) return null;
  const affordable = costWei === 0n ? next.count : Number(spendableWei / costWei);
  const left = remaining(batch);
  const entries = left.slice(0, Math.min(next.count, affordable));
  if (entries.length === 0) return null;
  return { cluster: next.cluster, entries, next: chainHead(next.cluster, left.slice(entries.length)) };
}

export async function registerAction(
  plan: RegisterPlan,
  snapshot: Cluster,
  { registry }: PoolContracts,
): Promise<Action> {
  const { cluster, entries, next } = plan;
  const items = {
    publicKeys: entries.map(({ publicKey }) => publicKey),
    depositSignatureHashes: entries.map(({ depositSignature }) => keccak256(depositSignature)),
    shares: entries.map(({ sharesData }) => sharesData),
    next,
  };
  return {
    job: "register",
    description: `the registration of ${entries.length} validators in cluster ${cluster}`,
    meta: { cluster, count: entries.length },
    writesCluster: cluster,
    transaction: await registry.register.populateTransaction(cluster, items, snapshot),
  };
}
