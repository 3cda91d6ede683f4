import type { PoolContracts } from "../execution/contracts.js";
import type { RegistryView, ValidatorView } from "../execution/registryView.js";
import { depositKeysHash, type DepositApproval } from "../signatures/messages.js";
import { quorumOf, type Collected } from "../signatures/store.js";
import type { Action } from "./job.js";

/** Approvals live as long as their block's hash is known on chain; the transaction is in the next block at the earliest. */
const LIFETIME_BLOCKS = 255n;
const DEPOSIT_WEI = 32n * 10n ** 18n;

export interface DepositSnapshot {
  readonly headNumber: number;
  readonly depositsPaused: boolean;
  readonly depositCount: bigint;
  readonly depositableWei: bigint;
  readonly registry: RegistryView;
  readonly quorum: number;
  readonly collected: (cluster: number) => readonly Collected<DepositApproval>[];
}

export interface DepositPlan {
  readonly approval: DepositApproval;
  readonly validators: readonly ValidatorView[];
  readonly signatures: readonly string[];
}

/**
 * The most validators that a quorum approved and the pool can pay for. One cluster a round: a deposit changes the deposit count
 * that all other approvals bind.
 */
export function planDeposit(snapshot: DepositSnapshot): DepositPlan | null {
  const { registry, depositsPaused, collected } = snapshot;
  if (depositsPaused) return null;
  const plans = [...registry.clusters.keys()].flatMap((cluster) => planCluster(snapshot, collected(cluster)));
  return plans.sort((a, b) => b.validators.length - a.validators.length)[0] ?? null;
}

function planCluster(snapshot: DepositSnapshot, collected: readonly Collected<DepositApproval>[]): DepositPlan[] {
  const { headNumber, depositCount, depositableWei, registry, quorum } = snapshot;
  const usable = collected.filter(({ message }) => {
    const age = BigInt(headNumber) - message.blockNumber;
    return (
      age >= 0n &&
      age < LIFETIME_BLOCKS &&
      message.depositCount === depositCount &&
      BigInt(message.ids.length) * DEPOSIT_WEI <= depositableWei
    );
  });
  const sizes = [...new Set(usable.map(({ message }) => message.ids.length))];
  return sizes.flatMap((size) => {
    const found = quorumOf(
      usable.filter(({ message }) => message.ids.length === size),
      quorum,
    );
    if (found === null) return [];
    const { message: approval, signatures } = found;
    const validators = approval.ids.flatMap((id) => registry.validators.get(id) ?? []);
    const isDue =
      validators.every(({ status, cluster }) => status === "registered" && cluster === approval.cluster) &&
      depositKeysHash(validators) === approval.keysHash;
    return isDue ? [{ approval, validators, signatures }] : [];
  });
}

export async function depositAction(plan: DepositPlan, { registry }: PoolContracts): Promise<Action> {
  const { approval, validators, signatures } = plan;
  const { cluster, ids, blockNumber, blockHash, depositCount } = approval;
  return {
    job: "deposit",
    description: `the deposit for validators ${ids.join(", ")} of cluster ${cluster}`,
    meta: { cluster, ids },
    transaction: await registry.deposit.populateTransaction(
      cluster,
      validators.map(({ publicKey }) => publicKey),
      validators.map(({ depositSignature }) => depositSignature),
      { blockNumber, blockHash, depositCount },
      [...signatures],
    ),
  };
}
