import type { ClusterFunds } from "../execution/chain.js";
import type { PoolContracts } from "../execution/contracts.js";
import type { ClusterView } from "../execution/registryView.js";
import { runwayBlocks, type Cluster } from "../ssv/cluster.js";
import type { Action } from "./job.js";

export interface TopUpSnapshot {
  readonly cluster: ClusterView;
  readonly snapshot: Cluster;
  readonly funds: ClusterFunds;
  readonly lowBlocks: bigint;
  readonly reserveWei: bigint;
}

export interface TopUpPlan {
  readonly cluster: number;
  readonly snapshot: Cluster;
  readonly runway: bigint;
}

/** A cluster whose runway fell below the reserve's low mark, while the reserve has anything. */
export function planTopUp({ cluster, snapshot, funds, lowBlocks, reserveWei }: TopUpSnapshot): TopUpPlan | null {
  if (snapshot.validatorCount === 0n || funds.isLiquidated || reserveWei === 0n) return null;
  const runway = runwayBlocks(funds);
  if (runway === null || runway >= lowBlocks) return null;
  return { cluster: cluster.cluster, snapshot, runway };
}

export async function topUpAction(plan: TopUpPlan, { reserve }: PoolContracts): Promise<Action> {
  const { cluster, snapshot, runway } = plan;
  return {
    job: "top-up",
    description: `a top-up of cluster ${cluster}, which has ${runway} blocks of runway`,
    meta: { cluster, runway: runway.toString() },
    writesCluster: cluster,
    transaction: await reserve.topUp.populateTransaction(cluster, snapshot),
  };
}
