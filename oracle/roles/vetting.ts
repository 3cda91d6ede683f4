import type { VerifiedState } from "../beacon/readVerified.js";
import { decodeDkgProofs } from "../keys/dkgProofs.js";
import { KeysError } from "../keys/errors.js";
import { decodeOperatorKey, MAX_OWNER_NONCE, sharesDataLength, verifyOwnerNonceSignature } from "../keys/keyshares.js";
import { verifyBatch, verifyDkgProofs, type VerifyBatch } from "../keys/verify.js";
import { verifyDepositSignatures, type VerifyDeposits } from "../keys/depositData.js";
import type { ChainView } from "../execution/chain.js";
import type { DepositLog } from "../execution/deposits.js";
import type { LogPosition } from "../execution/events.js";
import type { BatchView, ClusterView } from "../execution/registryView.js";
import { comparePositions } from "../ssv/cluster.js";
import type { Operator } from "../ssv/operators.js";
import type { Registration } from "../ssv/registrations.js";
import { getBytes } from "ethers";

/** SSV's nodes count an owner's nonces in 16 bits, and start again: an owner with more validators than that is judged all the same. */
const NODE_NONCES = MAX_OWNER_NONCE + 1n;

/** A reason not to sign, for the log and the metrics; `alert` when somebody must look at once. */
export interface Refusal {
  readonly reason: string;
  readonly message: string;
  readonly publicKey?: string;
  readonly alert?: true;
}

/** What deposits are signed for. */
export interface DepositRules {
  readonly withdrawalCredentials: string;
  readonly genesisForkVersion: string;
}

export interface VettingSituation {
  readonly batch: BatchView;
  readonly cluster: ClusterView;
  /** SSV owner */
  readonly owner: string;
  /** everything queued before the batch, and the nonce SSV's nodes expect next */
  readonly queuedBefore: number;
  readonly view: Pick<ChainView, "registry" | "registrations" | "operators">;
  /** finalised beacon state, read for every key of the batch */
  readonly state: Pick<VerifiedState, "validators" | "pendingDeposits">;
  readonly rules: DepositRules;
  /** instead of `verifyBatch` and `verifyDepositSignatures`: the same, with a memory */
  readonly verify?: VerifyBatch;
  readonly verifyDeposits?: VerifyDeposits;
}

/** Every reason not to vet a batch; none means that its validators will run and that the deposits will be the pool's. */
export function judgeBatch(situation: VettingSituation): Refusal[] {
  const { batch, cluster, owner, queuedBefore, view, state, rules, verify = verifyBatch, verifyDeposits } = situation;
  const { operatorIds } = cluster;
  const operators = judgeOperators(operatorIds, view.operators);
  const static_ = verify(batch.entries, { ...rules, account: owner, operatorIds, firstNonce: batch.firstNonce });
  return [
    ...operators,
    ...static_.map(({ code, message, publicKey }) => ({ reason: code, message, publicKey })),
    ...judgeNonce(view.registrations.nonceOf(owner), queuedBefore, batch.firstNonce),
    ...(cluster.requireDkg && operators.length === 0 ? judgeDkgProofs(batch, operatorIds, view.operators, owner) : []),
    ...batch.entries.flatMap(({ publicKey }) => [
      ...judgeKnownKey(publicKey, view, 1),
      ...judgeEarlierDeposits(publicKey, state, [], rules, verifyDeposits),
    ]),
  ];
}

/** All operators of the cluster are in SSV Network, with a key that shares can be encrypted to. */
export function judgeOperators(operatorIds: readonly bigint[], operators: ReadonlyMap<bigint, Operator>): Refusal[] {
  return operatorIds.flatMap((id): Refusal[] => {
    const operator = operators.get(id);
    if (operator === undefined)
      return [{ reason: "OperatorUnknown", message: `Operator ${id} was never registered in SSV.` }];
    if (operator.removed) return [{ reason: "OperatorRemoved", message: `Operator ${id} has left SSV.` }];
    if (operatorPem(operator) === null) {
      return [{ reason: "OperatorKeyInvalid", message: `The key of operator ${id} in SSV is not an RSA-2048 key.` }];
    }
    return [];
  });
}

/** Null for what is no key that shares can be encrypted to. */
export function operatorPem({ publicKey }: Operator): string | null {
  try {
    return decodeOperatorKey(publicKey);
  } catch (error) {
    if (error instanceof KeysError) return null; // anybody registers any bytes
    throw error;
  }
}

/** The registry's count of nonces and SSV's must agree, or every KeyShares from here on is signed for another one. */
function judgeNonce(ssvNonce: bigint, queuedBefore: number, firstNonce: bigint): Refusal[] {
  const expected = ssvNonce + BigInt(queuedBefore);
  if (firstNonce === expected) return [];
  return [
    {
      reason: "NonceDrift",
      message: `The batch is signed from owner nonce ${firstNonce}, but SSV would give its first validator nonce ${expected}.`,
      alert: true,
    },
  ];
}

/**
 * What the execution layer knows of a key already.
 * @param uses how often it may be in the registry and its queues: once if it was published, else never
 */
export function judgeKnownKey(
  publicKey: string,
  { registry, registrations }: Pick<ChainView, "registry" | "registrations">,
  uses: 0 | 1,
): Refusal[] {
  const known = judgeRegistrations(publicKey, registrations.byKey.get(publicKey) ?? []);
  const count = registry.uses.get(publicKey) ?? 0;
  if (count <= uses) return known;
  const message =
    count === 1
      ? "The key is in the registry or one of its queues already."
      : `The key is ${count} times in the registry and its queues.`;
  return [{ reason: "DuplicatePublicKey", message, publicKey }, ...known];
}

/**
 * SSV's nodes keep the first valid registration of a key. Whoever sees our publication can register the key under another owner,
 * but not validly: that takes the key's signature over that owner and nonce.
 */
function judgeRegistrations(publicKey: string, registrations: readonly Registration[]): Refusal[] {
  return registrations
    .filter((registration) => isValid(registration))
    .map(({ owner, nonce }) => ({
      reason: "RegisteredInSSV",
      message: `SSV's nodes already run the key for ${owner} (nonce ${nonce}): whoever made it has it in two places.`,
      publicKey,
      alert: true,
    }));
}

/**
 * As SSV's nodes judge what they can judge without decrypting; a removed registration frees the key.
 * @param when what a later registration of the key found; now if not given
 */
export function isValid(registration: Registration, when?: LogPosition): boolean {
  const { removed, operatorIds, sharesLength, publicKey, ownerNonceSignature, owner, nonce } = registration;
  const isFreed = removed !== null && (when === undefined || comparePositions(removed, when) < 0);
  return (
    !isFreed &&
    [4, 7, 10, 13].includes(operatorIds.length) &&
    sharesLength === sharesDataLength(operatorIds.length) &&
    verifyOwnerNonceSignature(getBytes(publicKey), getBytes(ownerNonceSignature), owner, nonce % NODE_NONCES)
  );
}

const FOREIGN = "somebody who has the key made it another's validator; treat every key of the same origin as lost";

/**
 * Earlier deposits with a valid signature decide what a key's validator is, so any of them makes it unfit. Those with an invalid
 * signature are ignored, as consensus ignores them: anybody can make one for 1 ETH.
 * @param since deposits that the state does not have yet
 */
export function judgeEarlierDeposits(
  publicKey: string,
  state: Pick<VerifiedState, "validators" | "pendingDeposits">,
  since: readonly DepositLog[],
  rules: DepositRules,
  verify: VerifyDeposits = verifyDepositSignatures,
): Refusal[] {
  const validator = state.validators.get(publicKey);
  const isOurs = (credentials: string): boolean => credentials.toLowerCase() === rules.withdrawalCredentials;
  if (validator !== undefined) {
    const credentials = validator.withdrawalCredentials;
    return isOurs(credentials)
      ? [
          {
            reason: "AlreadyDeposited",
            message: "The key is a validator already, under the pool's credentials.",
            publicKey,
          },
        ]
      : [
          {
            reason: "ForeignDeposit",
            message: `The key is a validator under ${credentials}: ${FOREIGN}.`,
            publicKey,
            alert: true,
          },
        ];
  }
  const deposits = [
    ...(state.pendingDeposits.get(publicKey) ?? []),
    ...since.filter((deposit) => deposit.publicKey === publicKey),
  ].map(({ withdrawalCredentials, amountGwei, signature }) => ({
    pubkey: publicKey,
    withdrawalCredentials,
    amountGwei,
    signature,
    genesisForkVersion: rules.genesisForkVersion,
  }));
  const valid = verify(deposits);
  return deposits
    .filter((_, i) => valid[i] === true)
    .map(({ withdrawalCredentials, amountGwei }) =>
      isOurs(withdrawalCredentials)
        ? {
            reason: "AlreadyDeposited",
            message: `${amountGwei} gwei were deposited for the key already, under the pool's credentials.`,
            publicKey,
          }
        : {
            reason: "ForeignDeposit",
            message: `${amountGwei} gwei were deposited for the key under ${withdrawalCredentials}: ${FOREIGN}.`,
            publicKey,
            alert: true,
          },
    );
}

function judgeDkgProofs(
  batch: BatchView,
  operatorIds: readonly bigint[],
  operators: ReadonlyMap<bigint, Operator>,
  owner: string,
): Refusal[] {
  const proofs = decodeDkgProofs(batch.dkgProofs);
  if (proofs?.length !== batch.entries.length) {
    return [
      {
        reason: "DkgProofsMalformed",
        message: `The published DKG proofs are not a JSON list with one item for each of the ${batch.entries.length} validators.`,
      },
    ];
  }
  const pems = operatorIds.map((id) => {
    const operator = operators.get(id);
    return operator === undefined ? "" : (operatorPem(operator) ?? "");
  });
  return batch.entries.flatMap((entry, i) =>
    verifyDkgProofs(entry, proofs[i] ?? [], pems, owner).map(({ code, message }) => ({
      reason: code,
      message,
      publicKey: entry.publicKey,
    })),
  );
}
