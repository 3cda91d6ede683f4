import type { ClusterFunds } from "../execution/chain.js";
import type { PoolContracts } from "../execution/contracts.js";
import type { ClusterView } from "../execution/registryView.js";
import { collateralWei, runwayBlocks, type Cluster } from "../ssv/cluster.js";
import type { Action } from "./job.js";

export interface TopUpSnapshot {
  readonly cluster: ClusterView;
  readonly snapshot: Cluster;
  readonly funds: ClusterFunds;
  /** how many of its validators are only there to be removed */
  readonly removable: number;
  /** the reserve's marks */
  readonly lowBlocks: bigint;
  readonly targetBlocks: bigint;
  readonly reserveWei: bigint;
}

export interface TopUpPlan {
  readonly cluster: number;
  readonly snapshot: Cluster;
  readonly runway: bigint;
  /** up to the reserve's target; it may have less */
  readonly missingWei: bigint;
}

/** A cluster whose runway fell below the reserve's low mark, while the reserve has anything and one of its validators is not to be removed. */
export function planTopUp(situation: TopUpSnapshot): TopUpPlan | null {
  const { cluster, snapshot, funds, removable, lowBlocks, targetBlocks, reserveWei } = situation;
  if (snapshot.validatorCount <= BigInt(removable) || funds.isLiquidated || reserveWei === 0n) return null;
  const runway = runwayBlocks(funds);
  if (runway === null || runway >= lowBlocks) return null;
  const missingWei = collateralWei(funds) + funds.burnWeiPerBlock * targetBlocks - funds.balanceWei;
  return { cluster: cluster.cluster, snapshot, runway, missingWei };
}

/**
 * What new validators may cost: those that run come first, also when what the reserve has is too little for a top-up and none can
 * be sent.
 */
export function spendableWei(reserveWei: bigint, topUps: readonly TopUpPlan[]): bigint {
  const left = topUps.reduce((sum, { missingWei }) => sum - missingWei, reserveWei);
  return left > 0n ? left : 0n;
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
