import { keccak256 } from "ethers";
import type { VerifiedState } from "../beacon/readVerified.js";
import type { ValidatorRecord } from "../beacon/stateParts.js";
import type { VerifyDeposits } from "../keys/depositData.js";
import { verifyEntry, type VerifyBatch } from "../keys/verify.js";
import type { ChainView, ClusterFunds } from "../execution/chain.js";
import { ownerOf } from "../execution/chain.js";
import type { DepositsSeen } from "../execution/deposits.js";
import type { ClusterView, ValidatorView } from "../execution/registryView.js";
import { runwayBlocks } from "../ssv/cluster.js";
import { unknownCode, type SSVCode, type SSVLimits } from "../ssv/code.js";
import { isValid, judgeEarlierDeposits, judgeOperators, type DepositRules, type Refusal } from "./vetting.js";

/** Deposits to a cluster before one of its validators was seen to attest. */
const MAX_UNPROVEN = 2;
/** A deposit of 16 costs about 750k gas; the rest follows in the next transaction. */
const MAX_PER_APPROVAL = 16;
const DEPOSIT_WEI = 32n * 10n ** 18n;
/** TIMELY_TARGET of the participation flags. */
const TARGET_FLAG = 2;
/** An approval binds a block that all guardians who look at about the same head agree on. */
const ANCHOR_INTERVAL = 32;

export interface ApprovalLimits {
  readonly minRunwayBlocks: bigint;
  readonly ssv: SSVLimits;
}

export interface ClusterSituation {
  readonly cluster: ClusterView;
  readonly funds: ClusterFunds;
  readonly view: Pick<ChainView, "registry" | "registrations" | "operators" | "finalized">;
  readonly state: Pick<VerifiedState, "validators" | "pendingDeposits" | "epoch">;
  readonly deposits: DepositsSeen;
  readonly depositableWei: bigint;
  readonly rules: DepositRules;
  readonly limits: ApprovalLimits;
  readonly ssv: SSVCode;
  /** instead of `verifyBatch` and `verifyDepositSignatures`: the same, with a memory */
  readonly verify?: VerifyBatch;
  readonly verifyDeposits?: VerifyDeposits;
}

export interface ClusterJudgement {
  /** validators to fund, in order; a guardian approves each prefix */
  readonly fit: readonly ValidatorView[];
  readonly refusals: readonly Refusal[];
  readonly participation: Participation;
}

/** Which registered validators of a cluster may be funded now, and why others may not. */
export function judgeCluster(situation: ClusterSituation): ClusterJudgement {
  const { cluster, view, depositableWei } = situation;
  const ofCluster = [...view.registry.validators.values()].filter((validator) => validator.cluster === cluster.cluster);
  const participation = participationOf(ofCluster, situation.state);
  const candidates = ofCluster.filter(({ status }) => status === "registered").sort((a, b) => a.id - b.id);
  if (candidates.length === 0) return { fit: [], refusals: [], participation };
  const whole = judgeWhole(situation, participation);
  if (whole.length > 0) return { fit: [], refusals: whole, participation };

  const refusals: Refusal[] = [];
  const fit = candidates.filter((candidate) => {
    const found = judgeValidator(candidate, situation);
    refusals.push(...found);
    return found.length === 0;
  });
  const fundable = Number(depositableWei / DEPOSIT_WEI);
  return { fit: fit.slice(0, Math.min(fundable, participation.room, MAX_PER_APPROVAL)), refusals, participation };
}

/** Reasons that hold for every validator of the cluster. */
function judgeWhole({ cluster, funds, view, limits, ssv }: ClusterSituation, participation: Participation): Refusal[] {
  const refusals = judgeOperators(cluster.operatorIds, view.operators);
  const refuse = (reason: string, message: string): void => {
    refusals.push({ reason, message });
  };
  if (!cluster.active) {
    refuse(
      "ClusterRetired",
      `Cluster ${cluster.cluster} is retired: its validators exit first. Discard those that wait for their deposits, which take the ` +
        "place of others that could be registered, or have governance open the cluster again.",
    );
  }
  if (funds.isLiquidated)
    refuse("ClusterLiquidated", `Cluster ${cluster.cluster} is liquidated: its operators do not work.`);
  const runway = runwayBlocks(funds);
  if (!funds.isLiquidated && runway !== null && runway < limits.minRunwayBlocks) {
    refuse(
      "RunwayTooShort",
      `Cluster ${cluster.cluster} has ${runway} blocks of runway, less than ${limits.minRunwayBlocks}.`,
    );
  }
  const unknown = unknownCode(ssv, limits.ssv);
  if (unknown !== null) refuse("SSVCodeUnknown", unknown);
  if (participation.room === 0) {
    refuse(
      participation.attesting * 2 < participation.active ? "ParticipationLow" : "UnprovenLimit",
      `Of the ${participation.active} active validators of cluster ${cluster.cluster} ${participation.attesting} attest; ${participation.deposited} are funded.`,
    );
  }
  return refusals;
}

function judgeValidator(validator: ValidatorView, situation: ClusterSituation): Refusal[] {
  const { cluster, view, state, deposits, rules, verify, verifyDeposits } = situation;
  const owner = ownerOf(view.registry, cluster);
  const { publicKey, nonce } = validator;
  const context = { ...rules, account: owner, operatorIds: cluster.operatorIds, nonce };
  return [
    // vetting said so once; that a quorum vetted what it should not have must not cost 32 ETH
    ...verifyEntry(validator, context, verify).map(({ code, message }) => ({ reason: code, message, publicKey })),
    ...judgeRegistration(validator, owner, situation),
    ...judgeEarlierDeposits(publicKey, state, deposits.deposits, rules, verifyDeposits),
  ];
}

/** SSV's nodes run the key: registered under the owner, at the nonce its KeyShares are for, finally, and nobody else came first. */
function judgeRegistration(validator: ValidatorView, owner: string, { cluster, view }: ClusterSituation): Refusal[] {
  const { publicKey, nonce, sharesData } = validator;
  const refuse = (reason: string, message: string): Refusal[] => [{ reason, message, publicKey }];
  const registrations = view.registrations.byKey.get(publicKey) ?? [];
  const own = registrations.find((registration) => registration.owner === owner && registration.removed === null);
  if (own === undefined) return refuse("NotInSSV", "The key is not registered in SSV under the pool's account.");
  if (own.nonce !== nonce) {
    return refuse("WrongNonce", `SSV's nodes gave it owner nonce ${own.nonce}, its KeyShares are for ${nonce}.`);
  }
  if (own.sharesHash !== keccak256(sharesData) || String(own.operatorIds) !== String(cluster.operatorIds)) {
    return refuse("SharesDiffer", "What was registered in SSV is not what was published and vetted.");
  }
  if (view.finalized === null || own.added.block > view.finalized.number) {
    return refuse("RegistrationNotFinal", `It was registered in block ${own.added.block}, which is not final yet.`);
  }
  const earlier = registrations.slice(0, registrations.indexOf(own)).find((other) => isValid(other, own.added));
  if (earlier === undefined) return [];
  const message = `SSV's nodes had the key for ${earlier.owner} when it was registered, and ignored ours: it is in two places.`;
  return [{ reason: "RegisteredInSSV", message, publicKey, alert: true }];
}

export interface Participation {
  /** validators of the cluster that were sent 32 ETH and have not exited */
  readonly deposited: number;
  /** of those, how many had to attest in the epoch before the state's */
  readonly active: number;
  readonly attesting: number;
  /** how many more may be funded now */
  readonly room: number;
}

/**
 * A cluster shows that it works before it gets more than two validators, never has more unproven ones than proven ones beyond these two, and as long
 * as fewer than half attest it gets none.
 */
export function participationOf(
  validators: readonly ValidatorView[],
  state: Pick<VerifiedState, "validators" | "epoch">,
): Participation {
  const funded = validators.filter(({ status, exit }) => status === "deposited" && !exit.exited);
  const previous = state.epoch - 1;
  const known = funded.flatMap(({ publicKey }) => state.validators.get(publicKey) ?? []);
  const hasLeft = ({ slashed, exitEpoch }: ValidatorRecord): boolean => slashed || exitEpoch <= previous;
  const active = known.filter((validator) => !hasLeft(validator) && validator.activationEpoch <= previous);
  const attesting = active.filter(({ previousParticipation }) => (previousParticipation & TARGET_FLAG) !== 0).length;
  const counts = { deposited: funded.length, active: active.length, attesting };
  if (attesting * 2 < active.length) return { ...counts, room: 0 };
  // one sound key must not open the way for any number of others: what is not proven may double what is
  const unproven = funded.length - known.filter(hasLeft).length - attesting;
  return { ...counts, room: Math.max(0, Math.max(MAX_UNPROVEN, attesting) - unproven) };
}

/**
 * Number of the block an approval binds: guardians must choose the same one from about the same head, and no deposit may be after
 * it. Null while the last deposit is in the head itself, whose hash the contract could not check yet.
 */
export function anchorNumber(headNumber: number, seen: DepositsSeen): number | null {
  const aligned = Math.floor((headNumber - 1) / ANCHOR_INTERVAL) * ANCHOR_INTERVAL;
  const last = Math.max(0, ...seen.deposits.map(({ block }) => block));
  const anchor = Math.max(aligned, last);
  return anchor < headNumber ? anchor : null;
}
