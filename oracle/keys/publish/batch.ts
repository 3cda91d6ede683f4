import { z } from "zod";
import { DEPOSIT_GWEI, parseDepositData, type DepositDataItem } from "../depositData.js";
import { parseDkgProofs, type DkgProof } from "../dkgProofs.js";
import { fieldOf, readJson, valuesOf } from "../files.js";
import { parseKeyShares, type ClusterOperator, type FoundKeyShares } from "../keysharesJson.js";
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

/** What deposits must be signed for. */
export interface DepositTerms {
  readonly withdrawalCredentials: string;
  readonly genesisForkVersion: string;
}

interface Contents {
  readonly shares: readonly FoundKeyShares[];
  readonly deposits: readonly DepositDataItem[];
  readonly proofs: readonly (readonly DkgProof[])[];
}

/** Puts the files of a batch together, by public key; which file is which they tell by their content. */
export async function readBatch(paths: readonly string[], terms: DepositTerms): Promise<Batch> {
  const contents: Contents[] = [];
  for (const path of paths) contents.push(contentsOf(path, await readJson(path, z.unknown())));
  return joinBatch(
    {
      shares: contents.flatMap(({ shares }) => shares),
      deposits: contents.flatMap(({ deposits }) => deposits),
      proofs: contents.flatMap(({ proofs }) => proofs),
    },
    terms,
  );
}

function contentsOf(path: string, json: unknown): Contents {
  const nothing: Contents = { shares: [], deposits: [], proofs: [] };
  if (!Array.isArray(json)) return { ...nothing, shares: valuesOf(parseKeyShares(path, json)) };
  const [first] = json as unknown[];
  return Array.isArray(first) || fieldOf(first, "proof") !== undefined
    ? { ...nothing, proofs: valuesOf(parseDkgProofs(path, json)) }
    : { ...nothing, deposits: valuesOf(parseDepositData(path, json)) };
}

function joinBatch({ shares, deposits, proofs }: Contents, terms: DepositTerms): Batch {
  const [first] = shares;
  if (first === undefined) throw new PublishError("MixedBatch", "None of the files has KeyShares: name them too.");
  const depositOf = new Map(deposits.map((item) => [item.publicKey, item]));
  const proofsOf = new Map(proofs.map((list) => [`0x${list[0]?.proof.validator.toLowerCase() ?? ""}`, list]));
  const clusterOf = ({ ownerAddress, operators }: FoundKeyShares): string =>
    [ownerAddress, ...operators.map(({ id, publicKeyPem }) => `${id} ${publicKeyPem}`)].join();
  const keys = shares.map((item): KeyToPublish => {
    const { publicKey, ownerNonce, ownerAddress, sharesData } = item;
    if (ownerNonce === null || ownerAddress === null || clusterOf(item) !== clusterOf(first)) {
      throw new PublishError(
        "MixedBatch",
        `The KeyShares of ${publicKey} are of another account or cluster than those of ${first.publicKey}, or tell none: publish each from files of its own.`,
        { publicKey },
      );
    }
    const deposit = depositOf.get(publicKey);
    if (deposit === undefined) throw missing(publicKey, "deposit data");
    assertDeposit(deposit, terms);
    const entry = { publicKey, depositSignature: deposit.depositSignature, sharesData, ownerNonce };
    if (proofs.length === 0) return entry;
    const dkgProofs = proofsOf.get(publicKey);
    if (dkgProofs === undefined) throw missing(publicKey, "DKG proofs");
    return { ...entry, dkgProofs };
  });
  keys.sort((a, b) => Number(a.ownerNonce - b.ownerNonce));
  return { account: first.ownerAddress ?? "", operators: first.operators, keys };
}

function assertDeposit(deposit: DepositDataItem, terms: DepositTerms): void {
  const { publicKey, withdrawalCredentials, genesisForkVersion, amountGwei } = deposit;
  const differs: readonly [what: string, is: string, must: string][] = [
    ["withdrawal credentials", withdrawalCredentials, terms.withdrawalCredentials],
    ["genesis fork version", genesisForkVersion, terms.genesisForkVersion],
    ["amount in gwei", String(amountGwei), String(DEPOSIT_GWEI)],
  ];
  for (const [what, is, must] of differs) {
    if (is.toLowerCase() === must.toLowerCase()) continue;
    throw new PublishError(
      "MixedBatch",
      `The deposit of ${publicKey} has the ${what} ${is}, and the pool's are ${must}: make the deposits again for this pool.`,
      { publicKey, is, must },
    );
  }
}

function missing(publicKey: string, what: string): PublishError {
  return new PublishError(
    "MixedBatch",
    `There are no ${what} of ${publicKey}: name the file that was made with its KeyShares.`,
    { publicKey },
  );
}
