import { getAddress } from "ethers";
import type { FileFinding, FoundValidator } from "./collate.js";
import { publicNetworksOf, type DepositDataItem } from "../depositData.js";
import type { DkgProof } from "../dkgProofs.js";
import { operatorKeyToBase64 } from "../keyshares.js";
import type { ClusterOperator } from "../keysharesJson.js";
import type { Entry } from "../prepare.js";
import type { Subject } from "../verify.js";
import { judgeOperators, operatorPem } from "../../roles/vetting.js";
import type { Operator } from "../../ssv/operators.js";

/** What files are to be good for; what is null is not known, and believed as the files tell it. */
export interface FileTerms {
  /** SSV owner */
  readonly account: string | null;
  /** owner nonce that the account's next registration gets */
  readonly firstNonce: bigint | null;
  readonly withdrawalCredentials: string | null;
  readonly networkName: string | null;
  readonly genesisForkVersion: string | null;
  readonly amountGwei: bigint;
  readonly operators: ReadonlyMap<bigint, Operator> | null;
}

/** The operators' signatures over their shares, with what they must be of. */
export interface ProofSubject {
  readonly entry: Pick<Entry, "publicKey" | "sharesData">;
  readonly proofs: readonly DkgProof[];
  readonly operatorKeys: readonly string[];
  readonly owner: string;
}

export interface JudgedValidator {
  readonly publicKey: string | null;
  readonly account: string | null;
  readonly nonce: bigint | null;
  readonly operatorIds: readonly bigint[];
  readonly findings: readonly FileFinding[];
  /** what is still to be verified; null if there is nothing */
  readonly subject: Subject | null;
  readonly proofs: ProofSubject | null;
}

/** Compares what files say with what they must say, and among themselves; signatures and shares are left to be verified. */
export function judgeFiles(validators: readonly FoundValidator[], terms: FileTerms): JudgedValidator[] {
  const nonces = judgeNonces(validators, terms);
  return validators.map((validator, i) => {
    const { publicKey, shares, deposit, proofs } = validator;
    const { nonce = null, findings: nonceFindings = [] } = nonces[i] ?? {};
    const account = accountOf(validator, terms);
    const operators = shares?.operators ?? [];
    const operatorIds = operators.map(({ id }) => id);
    return {
      ...{ publicKey, account, nonce, operatorIds },
      findings: [
        ...validator.findings,
        ...judgeOwner(validator, terms),
        ...nonceFindings,
        ...judgeShareHolders(operators, terms),
        ...(deposit === null ? [] : judgeDeposit(deposit, terms)),
      ],
      subject: subjectOf(validator, account, nonce),
      proofs:
        publicKey === null || shares === null || proofs === null || account === null
          ? null
          : {
              entry: { publicKey, sharesData: shares.sharesData },
              proofs,
              operatorKeys: operators.map((operator) => knownKey(operator.id, terms) ?? operator.publicKeyPem),
              owner: account,
            },
    };
  });
}

function subjectOf(
  { publicKey, shares, deposit }: FoundValidator,
  account: string | null,
  nonce: bigint | null,
): Subject | null {
  if (publicKey === null || (shares === null && deposit === null)) return null;
  return {
    publicKey,
    deposit: deposit === null ? null : { ...deposit, signature: deposit.depositSignature },
    shares:
      shares === null
        ? null
        : {
            sharesData: shares.sharesData,
            operatorIds: shares.operators.map(({ id }) => id),
            signedFor: account === null || nonce === null ? null : { account, nonce },
          },
  };
}

const accountOf = ({ shares }: FoundValidator, terms: FileTerms): string | null =>
  shares?.ownerAddress ?? terms.account;

function judgeOwner({ shares }: FoundValidator, { account }: FileTerms): FileFinding[] {
  const owner = shares?.ownerAddress ?? null;
  if (owner === null || account === null || getAddress(owner) === getAddress(account)) return [];
  return [{ code: "OwnerDiffers", message: `It is for the SSV owner ${owner}, not for ${account}.` }];
}

/**
 * SSV's nodes count the registrations of an owner, so those of each owner must take its next nonces without a gap. Where a file tells
 * no nonce, it is the lowest that no other has.
 */
function judgeNonces(
  validators: readonly FoundValidator[],
  terms: FileTerms,
): { readonly nonce: bigint | null; readonly findings: readonly FileFinding[] }[] {
  const judged = validators.map((): { nonce: bigint | null; findings: FileFinding[] } => ({
    nonce: null,
    findings: [],
  }));
  const owners = new Map<string | null, number[]>();
  validators.forEach((validator, i) => {
    const owner = accountOf(validator, terms);
    owners.set(owner, [...(owners.get(owner) ?? []), i]);
  });
  for (const [owner, positions] of owners) {
    const stated = positions.map((i) => validators[i]?.shares?.ownerNonce ?? null);
    const first = owner !== null && owner === terms.account ? terms.firstNonce : null;
    assignNonces(stated, first).forEach((answer, n) => {
      const position = positions[n];
      if (position !== undefined) judged[position] = answer;
    });
  }
  return judged;
}

function assignNonces(
  stated: readonly (bigint | null)[],
  firstNonce: bigint | null,
): { nonce: bigint | null; findings: FileFinding[] }[] {
  const known = stated.filter((nonce) => nonce !== null);
  const first = firstNonce ?? known.reduce<bigint | null>((low, n) => (low === null || n < low ? n : low), null);
  if (first === null) return stated.map((nonce) => ({ nonce, findings: [] }));
  const taken = new Set(known);
  let free = first;
  const nextFree = (): bigint => {
    while (taken.has(free)) free++;
    taken.add(free);
    return free;
  };
  const filled = stated.map((nonce) => nonce ?? nextFree());
  let gap = first;
  while (taken.has(gap)) gap++;
  const seen = new Set<bigint>();
  return filled.map((nonce, i) => {
    const findings: FileFinding[] = [];
    if (nonce < first) {
      const message = `Its owner nonce is ${nonce}, but the next of the account is ${first}.`;
      findings.push({ code: "NonceDiffers", message });
    } else if (seen.has(nonce)) {
      findings.push({ code: "NonceTwice", message: `Its owner nonce ${nonce} is another one's here too.` });
    } else if (nonce > gap) {
      const message = `Its owner nonce is ${nonce}, but none here has ${gap}: it would be registered with an earlier one.`;
      findings.push({ code: "NonceDiffers", message });
    }
    seen.add(nonce);
    // with nothing known of the account, what others have tells nothing of this one
    return { nonce: stated[i] === null && firstNonce === null ? null : nonce, findings };
  });
}

/** The key with which an operator is known, as PEM. */
function knownKey(id: bigint, { operators }: FileTerms): string | null {
  const operator = operators?.get(id);
  return operator === undefined ? null : operatorPem(operator);
}

function judgeShareHolders(shareHolders: readonly ClusterOperator[], terms: FileTerms): FileFinding[] {
  const findings: FileFinding[] = [];
  const byKey = new Map<string, bigint>();
  for (const { id, publicKeyPem } of shareHolders) {
    const key = operatorKeyToBase64(publicKeyPem);
    const twin = byKey.get(key);
    if (twin !== undefined) {
      const message = `The operators ${twin} and ${id} have one RSA key, so one of them can read both shares.`;
      findings.push({ code: "OperatorKeyTwice", message });
    }
    byKey.set(key, id);
    const known = knownKey(id, terms);
    if (known !== null && operatorKeyToBase64(known) !== key) {
      const message = `The share of operator ${id} is encrypted to another RSA key than the operator's.`;
      findings.push({ code: "OperatorKeyDiffers", message });
    }
  }
  if (terms.operators === null) return findings;
  const ids = shareHolders.map(({ id }) => id);
  const refusals = judgeOperators(ids, terms.operators);
  return [...findings, ...refusals.map(({ reason, message }) => ({ code: reason, message }))];
}

function judgeDeposit(deposit: DepositDataItem, terms: FileTerms): FileFinding[] {
  const findings: FileFinding[] = [];
  const compare = (code: string, what: string, actual: string | bigint, expected: string | bigint | null): void => {
    if (expected === null || actual === expected) return;
    findings.push({ code, message: `The deposit's ${what}: ${actual} instead of ${expected}.` });
  };
  const { withdrawalCredentials, genesisForkVersion, networkName, amountGwei } = deposit;
  compare("CredentialsDiffer", "withdrawal credentials", withdrawalCredentials, terms.withdrawalCredentials);
  compare("AmountDiffers", "amount in gwei", amountGwei, terms.amountGwei);
  compare("ForkVersionDiffers", "fork version", genesisForkVersion, terms.genesisForkVersion);
  const networks = publicNetworksOf(genesisForkVersion);
  if (terms.networkName !== null) compare("NetworkDiffers", "network", networkName, terms.networkName);
  else if (networks.length > 0 && !networks.includes(networkName)) {
    compare("NetworkDiffers", "network", networkName, networks.join(" or "));
  }
  return findings;
}
