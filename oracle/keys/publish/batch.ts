import type { FileItem } from "../files.js";
import { collate, type FoundValidator } from "../inspect/collate.js";
import { isGood, type KeyReport } from "../inspect/inspect.js";
import type { KeyFiles } from "../inspect/keyFiles.js";
import type { ClusterOperator } from "../keysharesJson.js";
import { PublishError } from "./errors.js";
import type { KeyToPublish } from "./plan.js";

/** What one account is to publish for one cluster. */
export interface Batch {
  /** SSV owner */
  readonly account: string;
  readonly operators: readonly ClusterOperator[];
  /** by owner nonce */
  readonly keys: readonly KeyToPublish[];
}

/** What files say is to be published; whether it is right is not judged here. */
export function batchOf(files: KeyFiles): Batch {
  const [problem] = files.problems;
  if (problem !== undefined) throw problem;
  const parts = collate(files).map(partsOf);
  const [first] = parts;
  if (first === undefined) throw incomplete("The files", "are empty");
  const clusterOf = ({ account, operators }: Parts): string => [account, ...operators.map(({ id }) => id)].join();
  for (const { key, ...cluster } of parts) {
    if (clusterOf({ key, ...cluster }) === clusterOf(first)) continue;
    throw new PublishError(
      "MixedBatch",
      `The KeyShares of ${key.publicKey} are for another account or other operators than those of ${first.key.publicKey}: publish each from files of its own.`,
      { publicKey: key.publicKey },
    );
  }
  return { account: first.account, operators: first.operators, keys: parts.map(({ key }) => key) };
}

/** What the files say of some keys. */
export function onlyOf(files: KeyFiles, publicKeys: ReadonlySet<string>): KeyFiles {
  const some = <T>(items: readonly FileItem<T>[] | null): readonly FileItem<T>[] | null =>
    items?.filter(({ publicKey }) => publicKey !== null && publicKeys.has(publicKey)) ?? null;
  return { ...files, shares: some(files.shares), deposits: some(files.deposits), proofs: some(files.proofs) };
}

/** Refuses what guardians would refuse: what is published and never vetted holds up the account's queue until they drop it. */
export function assertGood(report: KeyReport): void {
  if (isGood(report)) return;
  const faults = [
    ...report.problems,
    ...report.validators.flatMap(({ publicKey, findings }) =>
      findings.map(({ message }) => `${publicKey ?? "a key that cannot be read"}: ${message}`),
    ),
  ];
  const count = faults.length === 1 ? "a fault" : `${faults.length} faults`;
  throw new PublishError(
    "NotVerified",
    `The batch has ${count}, and nothing of it is published. ${faults[0] ?? ""} \`pooleth keys verify\` tells all.`,
    { faults },
  );
}

interface Parts {
  readonly account: string;
  readonly operators: readonly ClusterOperator[];
  readonly key: KeyToPublish;
}

function partsOf({ publicKey, shares, deposit, proofs, findings }: FoundValidator): Parts {
  const [finding] = findings;
  if (publicKey === null || finding !== undefined) {
    throw incomplete(publicKey ?? "A key that cannot be read", finding?.message ?? "cannot be published");
  }
  if (shares === null) throw incomplete(publicKey, "there are no KeyShares of it");
  if (deposit === null) throw incomplete(publicKey, "there is no deposit data of it");
  const { ownerAddress: account, ownerNonce, operators, sharesData } = shares;
  if (account === null || ownerNonce === null) {
    throw incomplete(publicKey, "its KeyShares (ssv-keys 1.0) do not tell their account and nonce");
  }
  const { depositSignature } = deposit;
  const entry = { publicKey, depositSignature, sharesData, ownerNonce };
  return { account, operators, key: proofs === null ? entry : { ...entry, dkgProofs: proofs } };
}

function incomplete(subject: string, why: string): PublishError {
  return new PublishError("Incomplete", `${subject}: ${why.replace(/\.$/, "")}. Name all files of the batch.`, {
    subject,
  });
}
