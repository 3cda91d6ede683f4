import type { VerifiedState } from "../beacon/readVerified.js";
import { FAR_FUTURE_EPOCH, type DepositRequest } from "../beacon/stateParts.js";
import { ReportError } from "./errors.js";
import { appendDeposits, holdingsOf, type Holding, type Standing } from "./ownership.js";
import { openPenaltyGwei } from "./penalties.js";

/** Version of the report's rules and of its encoding. */
export const REPORT_VERSION = 1n;

/** At most so many validators in each list of one report; the rest waits for the next. */
export const MAX_EXITS = 128;

const WEI_PER_GWEI = 10n ** 9n;
/** A member of a sync committee goes on earning after it exited, and was swept, until the committee changes: dust beside this. */
const LEFT_BEHIND_GWEI = 10n ** 9n;

/** Slots after the reference slot in which the ReportOracle looks for the block that has the reference block's root. */
const MAX_ROOT_TRIES = 128n;

/** What an oracle member signs; the names of the contract's struct, with units. */
export interface Report {
  readonly version: bigint;
  /** The last slot of the frame. The reference block is the parent of the first block after it whose execution payload came. */
  readonly refSlot: bigint;
  readonly beaconBlockRoot: string;
  readonly clBalanceWei: bigint;
  readonly openPenaltiesWei: bigint;
  readonly withdrawnAtRefWei: bigint;
  readonly exiting: readonly bigint[];
  readonly exited: readonly bigint[];
}

/** A key for which the pool has made its deposit, as the registry has it at the reference block. */
export interface RegistryKey {
  readonly id: number;
  /** Lower case hex with `0x`. */
  readonly pubkey: string;
  readonly cluster: number;
  /** Earlier reports have said so. */
  readonly isExiting: boolean;
  readonly isExited: boolean;
}

export interface ReportInput {
  readonly refSlot: bigint;
  /** Verified against the reference block's root, and read for every key of the registry. */
  readonly state: VerifiedState;
  /** In any order. */
  readonly registry: readonly RegistryKey[];
  /** Address to which the pool's withdrawal credentials pay. */
  readonly withdrawalVault: string;
  /** Four octets of hex with `0x`: deposits are signed for it. */
  readonly genesisForkVersion: string;
  /** What has ever come to the vault up to the execution block of the state. */
  readonly withdrawnAtRefWei: bigint;
  readonly payload: PayloadOutcome;
}

/** What became of the reference block's execution payload. */
export type PayloadOutcome =
  /** The state has what it brought: so it always is before Gloas. */
  | { readonly kind: "processed" }
  /** It came, and the next beacon block brings its deposits, in this order. */
  | { readonly kind: "delivered"; readonly deposits: readonly DepositRequest[] }
  /** It never came. The state is of the execution block of an earlier slot. */
  | { readonly kind: "withheld"; readonly executionSlot: number };

/** One validator's part in the report, for people and for members who compare their reports. */
export interface ReportRow {
  readonly id: number;
  readonly pubkey: string;
  readonly cluster: number;
  readonly standing: Standing;
  /** Null while the key is not in the beacon registry. */
  readonly validatorIndex: number | null;
  readonly balanceGwei: bigint;
  readonly pendingGwei: bigint;
  readonly expectedWithdrawalsGwei: bigint;
  readonly openPenaltyGwei: bigint;
  readonly isSlashed: boolean;
  /** Its exit has begun, not by a slashing (its ETH would come a month later), and is not complete. */
  readonly isExiting: boolean;
  /** Withdrawable, and its ETH gone to the vault: less than 1 ETH is left. */
  readonly isExited: boolean;
}

export type ReportWarningCode =
  "FOREIGN_CREDENTIALS" | "DEPOSIT_INVALID" | "DEPOSIT_ABSENT" | "SLASHED" | "EXITED_WITH_BALANCE";

export interface ReportWarning {
  readonly code: ReportWarningCode;
  readonly id: number;
  readonly message: string;
}

export interface ReportResult {
  readonly report: Report;
  /** By id. */
  readonly table: readonly ReportRow[];
  /** By id. */
  readonly warnings: readonly ReportWarning[];
}

/** The report of a frame: a pure function of a verified state and the registry, in which all members must agree to the wei. */
export function computeReport(input: ReportInput): ReportResult {
  requireConsistent(input);
  const { state, refSlot, withdrawnAtRefWei, genesisForkVersion, payload } = input;
  const deposits = payload.kind === "delivered" ? payload.deposits : [];
  const queued = { ...state, pendingDeposits: appendDeposits(state.pendingDeposits, deposits) };
  const registry = input.registry.toSorted((a, b) => a.id - b.id);
  const pubkeys = registry.map(({ pubkey }) => pubkey);
  const holdings = holdingsOf(pubkeys, queued, input.withdrawalVault, genesisForkVersion);
  const rows = registry.flatMap((key, i) => {
    const holding = holdings[i];
    return holding === undefined ? [] : rowOf(key, holding, state);
  });
  const sumWei = (gwei: (row: ReportRow) => bigint) => rows.reduce((sum, row) => sum + gwei(row), 0n) * WEI_PER_GWEI;
  const unreported = (isNew: (row: ReportRow, key: RegistryKey) => boolean) =>
    rows
      .filter((row, i) => {
        const key = registry[i];
        return key !== undefined && isNew(row, key);
      })
      .slice(0, MAX_EXITS)
      .map(({ id }) => BigInt(id));
  return {
    report: {
      version: REPORT_VERSION,
      refSlot,
      beaconBlockRoot: state.blockRoot,
      clBalanceWei: sumWei((row) => row.balanceGwei + row.pendingGwei + row.expectedWithdrawalsGwei),
      openPenaltiesWei: sumWei((row) => row.openPenaltyGwei),
      withdrawnAtRefWei,
      exiting: unreported((row, key) => row.isExiting && !key.isExiting && !key.isExited),
      exited: unreported((row, key) => row.isExited && !key.isExited),
    },
    table: rows,
    warnings: rows.flatMap((row, i) => warningsOf(row, registry[i]?.isExited === true)),
  };
}

function rowOf(key: RegistryKey, holding: Holding, state: VerifiedState): ReportRow {
  const { standing, validator, balanceGwei, pendingGwei, expectedWithdrawalsGwei } = holding;
  const isExited =
    validator !== undefined &&
    validator.withdrawableEpoch <= state.epoch &&
    validator.balanceGwei + expectedWithdrawalsGwei < LEFT_BEHIND_GWEI;
  const isLeaving = validator !== undefined && standing === "owned" && validator.exitEpoch !== FAR_FUTURE_EPOCH;
  return {
    id: key.id,
    pubkey: key.pubkey,
    cluster: key.cluster,
    standing,
    validatorIndex: validator?.index ?? null,
    balanceGwei,
    pendingGwei,
    expectedWithdrawalsGwei,
    openPenaltyGwei: validator !== undefined && standing === "owned" ? openPenaltyGwei(validator, state) : 0n,
    isSlashed: validator?.slashed ?? false,
    isExiting: isLeaving && !validator.slashed && !isExited,
    isExited,
  };
}

function warningsOf(row: ReportRow, wasExited: boolean): ReportWarning[] {
  const warnings: ReportWarning[] = [];
  const warn = (code: ReportWarningCode, what: string) => {
    warnings.push({
      code,
      id: row.id,
      message: `Validator ${row.id} (${row.pubkey}) of cluster ${row.cluster} ${what}`,
    });
  };
  if (row.standing === "foreign") {
    warn(
      "FOREIGN_CREDENTIALS",
      "has withdrawal credentials that are not the pool's and counts as nothing: somebody who has the key deposited first. " +
        "Pause deposits and treat every key of the same origin as lost.",
    );
  }
  if (row.standing === "invalid") {
    warn(
      "DEPOSIT_INVALID",
      "has no deposit with a valid signature: the chain will drop what waits. Find out who approved the deposit.",
    );
  }
  if (row.standing === "absent") {
    warn(
      "DEPOSIT_ABSENT",
      "is neither in the beacon registry nor in the queue, though the pool deposited: the deposit is lost.",
    );
  }
  if (row.isSlashed && !row.isExited) {
    warn("SLASHED", "was slashed: stop the cluster's deposits and find out which operators signed.");
  }
  if (wasExited && row.balanceGwei + row.pendingGwei + row.expectedWithdrawalsGwei >= LEFT_BEHIND_GWEI) {
    warn(
      "EXITED_WITH_BALANCE",
      "was reported as exited and has a balance again, which counts; the chain will sweep it to the vault.",
    );
  }
  return warnings;
}

function requireConsistent({ state, refSlot, registry, payload }: ReportInput): void {
  if (!mayBeReference(state, refSlot, payload)) {
    throw new ReportError(
      "REPORT_STATE_AFTER_REFERENCE",
      `The state is of slot ${state.slot}, after the reference slot ${refSlot.toString()}, and not because the payloads since were ` +
        "withheld: read the state of the block whose root the ReportOracle finds.",
      { slot: state.slot, refSlot, payload: payload.kind },
    );
  }
  const ids = new Set<number>();
  const pubkeys = new Set<string>();
  for (const { id, pubkey } of registry) {
    if (ids.has(id) || pubkeys.has(pubkey)) {
      throw new ReportError(
        "REPORT_REGISTRY_INCONSISTENT",
        `The registry view has the validator ${id} or its key ${pubkey} twice: rebuild it from the chain's events.`,
        { id, pubkey },
      );
    }
    if (!state.pubkeys.has(pubkey)) {
      throw new ReportError(
        "REPORT_KEY_NOT_READ",
        `The state was not read for the key ${pubkey} of validator ${id}, which would count as lost: read it again with every key.`,
        { id, pubkey },
      );
    }
    ids.add(id);
    pubkeys.add(pubkey);
  }
}

/**
 * Whether EIP-4788 can have the block's root as that of the reference block. It has the parent of each block whose payload came, so a
 * block after the reference slot is found when no payload came between that slot and the child of the block.
 */
function mayBeReference(state: VerifiedState, refSlot: bigint, payload: PayloadOutcome): boolean {
  const slot = BigInt(state.slot);
  if (slot <= refSlot) return true;
  const isWithheld = payload.kind === "withheld" && BigInt(payload.executionSlot) <= refSlot;
  return isWithheld && slot < refSlot + MAX_ROOT_TRIES;
}
