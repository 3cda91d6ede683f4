import type { PoolContracts } from "../execution/contracts.js";
import type { RegistryView, ValidatorView } from "../execution/registryView.js";
import type { Cluster } from "../ssv/cluster.js";
import type { Action } from "./job.js";

/** Validators of one removal: with 13 operators about 1.7 million gas. */
const MAX_PER_TRANSACTION = 50;

export interface RemovePlan {
  readonly cluster: number;
  readonly validators: readonly ValidatorView[];
}

/** Of each cluster the validators that cost fees for nothing: exited, as reports have it, discarded, or not to be funded any more. */
export function planRemovals(registry: RegistryView): RemovePlan[] {
  return [...registry.clusters.keys()].flatMap((cluster) => {
    const validators = removable(registry, cluster).slice(0, MAX_PER_TRANSACTION);
    return validators.length === 0 ? [] : [{ cluster, validators }];
  });
}

/** Validators of a cluster that are in SSV and may leave it. */
export function removable({ clusters, validators }: RegistryView, cluster: number): ValidatorView[] {
  const isRetired = clusters.get(cluster)?.active === false;
  return [...validators.values()].filter(
    (validator) =>
      validator.cluster === cluster &&
      !validator.removed &&
      (validator.status === "discarded" || validator.exit.exited || (isRetired && validator.status === "registered")),
  );
}

export async function removeAction(
  { cluster, validators }: RemovePlan,
  snapshot: Cluster,
  { registry }: PoolContracts,
): Promise<Action> {
  const ids = validators.map(({ id }) => id);
  return {
    job: "remove",
    description: `the removal of validators ${ids.join(", ")} of cluster ${cluster} from SSV`,
    meta: { cluster, ids },
    writesCluster: cluster,
    transaction: await registry.remove.populateTransaction(
      cluster,
      validators.map(({ publicKey }) => publicKey),
      snapshot,
    ),
  };
}
