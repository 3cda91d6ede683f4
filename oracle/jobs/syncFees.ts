import type { PoolContracts } from "../execution/contracts.js";
import type { Action } from "./job.js";

export interface FeesSnapshot {
  /** wei a block for each validator, as SSV has them now */
  readonly networkFeeWei: bigint;
  readonly operatorFeesWei: ReadonlyMap<bigint, bigint>;
  readonly clusters: readonly {
    readonly cluster: number;
    readonly operatorIds: readonly bigint[];
    /** what the registry reckons with */
    readonly burnPerValidatorWei: bigint;
  }[];
}

export interface SyncFeesPlan {
  readonly cluster: number;
  /** what the registry will reckon with */
  readonly burnPerValidatorWei: bigint;
}

/** Clusters whose fees changed since the registry read them: registrations would be paid, and the reserve filled, by the old ones. */
export function planSyncFees({ networkFeeWei, operatorFeesWei, clusters }: FeesSnapshot): SyncFeesPlan[] {
  return clusters.flatMap(({ cluster, operatorIds, burnPerValidatorWei }) => {
    const now = operatorIds.reduce((sum, id) => sum + (operatorFeesWei.get(id) ?? 0n), networkFeeWei);
    return now === burnPerValidatorWei ? [] : [{ cluster, burnPerValidatorWei: now }];
  });
}

export async function syncFeesAction(plan: SyncFeesPlan, { registry }: PoolContracts): Promise<Action> {
  const { cluster, burnPerValidatorWei } = plan;
  return {
    job: "sync-fees",
    description: `the fees of cluster ${cluster}, which are ${burnPerValidatorWei} wei a block for each validator now`,
    meta: { cluster, burnPerValidatorWei: burnPerValidatorWei.toString() },
    transaction: await registry.syncClusterFees.populateTransaction(cluster),
  };
}
