import type { PoolContracts } from "../execution/contracts.js";
import type { RegistryView } from "../execution/registryView.js";
import type { Vetting } from "../signatures/messages.js";
import { quorumOf, type Collected } from "../signatures/store.js";
import type { Action } from "./job.js";

export interface VetSnapshot {
  readonly registry: RegistryView;
  readonly quorum: number;
  readonly collected: (account: number, batch: number) => readonly Collected<Vetting>[];
}

export interface VetPlan {
  readonly account: number;
  readonly batch: number;
  readonly signatures: readonly string[];
}

/** Batches are vetted in order: for each account only the first that is not. */
export function planVet({ registry, quorum, collected }: VetSnapshot): VetPlan[] {
  return [...registry.accounts.values()].flatMap(({ account, queue }) => {
    const next = queue.find(({ vetted }) => !vetted);
    const found = next === undefined ? null : quorumOf(collected(account, next.batch), quorum);
    return next === undefined || found === null ? [] : [{ account, batch: next.batch, signatures: found.signatures }];
  });
}

export async function vetAction(plan: VetPlan, { registry }: PoolContracts): Promise<Action> {
  const { account, batch, signatures } = plan;
  return {
    job: "vet",
    description: `the guardians' vetting of batch ${batch} of account ${account}`,
    meta: { account, batch },
    transaction: await registry.vet.populateTransaction(account, batch, [...signatures]),
  };
}
