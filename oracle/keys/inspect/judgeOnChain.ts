import type { VerifiedState } from "../../beacon/readVerified.js";
import type { ChainView } from "../../execution/chain.js";
import type { DepositLog } from "../../execution/deposits.js";
import { remaining, type AccountView, type RegistryView } from "../../execution/registryView.js";
import { judgeEarlierDeposits, judgeKnownKey, type DepositRules } from "../../roles/vetting.js";
import type { FileFinding, FoundValidator } from "./collate.js";
import { verifyDepositSignatures } from "../depositData.js";
import type { JudgedValidator } from "./judgeFiles.js";

/** What both chains know, for validators that are not published yet. */
export interface ChainState {
  readonly view: Pick<ChainView, "registry" | "registrations" | "operators">;
  readonly rules: DepositRules;
  /** null without a beacon node, or as long as nothing is final */
  readonly beacon: {
    readonly state: Pick<VerifiedState, "validators" | "pendingDeposits">;
    /** after that state */
    readonly since: readonly DepositLog[];
  } | null;
}

/** The account of the pool that files are for: the one named, or the only one that they name, or the only one that there is. */
export function accountFor(
  validators: readonly FoundValidator[],
  { accounts }: Pick<RegistryView, "accounts">,
  named: string | null,
): AccountView | null {
  const all = [...accounts.values()];
  const owners = new Set(validators.flatMap(({ shares }) => shares?.ownerAddress ?? []));
  const [only] = owners.size > 0 ? owners : new Set(all.map(({ address }) => address));
  const wanted = named ?? (owners.size > 1 || (owners.size === 0 && all.length > 1) ? null : only);
  return all.find(({ address }) => address === wanted) ?? null;
}

/** Owner nonce that SSV's nodes give the account's next publication. */
export function nextNonce(
  { address, queue }: AccountView,
  { registrations }: Pick<ChainView, "registrations">,
): bigint {
  return registrations.nonceOf(address) + BigInt(queue.flatMap(remaining).length);
}

/** What the registry, SSV Network and the beacon chain have against publishing a validator. */
export function judgeOnChain(
  { publicKey, account, operatorIds }: Pick<JudgedValidator, "publicKey" | "account" | "operatorIds">,
  hasProofs: boolean,
  { view, rules, beacon }: ChainState,
): FileFinding[] {
  const refusals =
    publicKey === null
      ? []
      : [
          ...judgeKnownKey(publicKey, view, 0),
          ...(beacon === null
            ? []
            : judgeEarlierDeposits(publicKey, beacon.state, beacon.since, rules, verifyDepositSignatures)),
        ];
  return [
    ...(operatorIds.length === 0 ? [] : judgeCluster(account, operatorIds, hasProofs, view.registry)),
    ...refusals.map(({ reason, message }) => ({ code: reason, message })),
  ];
}

function judgeCluster(
  owner: string | null,
  operatorIds: readonly bigint[],
  hasProofs: boolean,
  { accounts, clusters }: RegistryView,
): FileFinding[] {
  const account = [...accounts.values()].find(({ address }) => address === owner);
  if (account === undefined) {
    if (owner === null) return [];
    return [{ code: "AccountUnknown", message: `The SSV owner ${owner} is no account of the pool.` }];
  }
  const ids = operatorIds.join(", ");
  const cluster = [...clusters.values()].find(
    (candidate) => candidate.account === account.account && candidate.operatorIds.join(", ") === ids,
  );
  if (cluster === undefined) {
    const message = `Account ${account.account} of the pool has no cluster of the operators ${ids}.`;
    return [{ code: "ClusterUnknown", message }];
  }
  const findings: FileFinding[] = [];
  if (!cluster.active) {
    findings.push({ code: "ClusterRetired", message: `Cluster ${cluster.cluster} of the pool is retired.` });
  }
  if (cluster.requireDkg && !hasProofs) {
    const message = `Cluster ${cluster.cluster} of the pool takes only keys with DKG proofs.`;
    findings.push({ code: "DkgProofsMissing", message });
  }
  return findings;
}
