import { writeFileSync } from "node:fs";
import { formatEther, formatUnits } from "ethers";
import { ConfigError, codeOf } from "../ops/errors.js";
import { aligned, toJson, utc } from "../queue/print.js";
import type { Outlook, PoolTerms } from "../report/outlook.js";
import type { ReportRow } from "../report/report.js";
import { tableCsv, tableRecords } from "../report/table.js";
import type { Arithmetic, ReportView, Verdict } from "./view.js";

/** For people. Amounts are exact, in ETH. */
export function printReport(view: ReportView, explain: boolean): string[] {
  const { table, arithmetic } = view;
  return [
    ...printReference(view),
    "",
    ...printFigures(view),
    ...(explain && table.length > 0 ? ["", ...printRows(table)] : []),
    ...view.warnings.map(({ message }) => `! ${message}`),
    ...(explain && arithmetic !== null ? ["", ...printArithmetic(arithmetic)] : []),
    "",
    ...printAccepted(view),
  ];
}

function printReference({ head, frame, firstSlot, isFinal, reference, report }: ReportView): string[] {
  const { slot, blockRoot, stateRoot, fork, executionBlock, payload } = reference;
  return [
    `frame ${frame}, slots ${firstSlot} to ${report.refSlot}; seen from block ${head.number}, ${utc(head.timestamp)}`,
    ...(isFinal ? [] : ["Not final yet: these figures may still change."]),
    "",
    ...aligned([
      ["reference block", `slot ${slot}`, blockRoot, "the root that EIP-4788 has"],
      ["beacon state", fork, stateRoot, "recomputed from all its octets, in the header of that block"],
      ["execution block", String(executionBlock.number), executionBlock.hash, IN_STATE[payload]],
    ]),
  ];
}

const IN_STATE = {
  processed: "in that state",
  delivered: "its hash is in that state; the payload after it came, its deposits count",
  withheld: "its hash is in that state; the payload after it never came",
};

const WITHDRAWN_FROM = {
  proof: "proven against the state root in the beacon state",
  node: "NOT PROVEN, an execution node's word: a member without a record abstains",
  contradicted: "BUT ITS OWN PROOF SAYS OTHERWISE: a member abstains",
};

function printFigures({ report, table, withdrawnFrom, tableSha256 }: ReportView): string[] {
  const counted = table.filter(({ standing }) => standing === "owned" || standing === "pending");
  const total = (gwei: (row: ReportRow) => bigint): string =>
    formatUnits(
      table.reduce((sum, row) => sum + gwei(row), 0n),
      "gwei",
    );
  const slashed = table.filter(({ openPenaltyGwei }) => openPenaltyGwei > 0n).length;
  const vault = "the vault's balance and all that was swept, at the execution block, ";
  return aligned([
    [
      "clBalance",
      formatEther(report.clBalance),
      `${counted.length} of ${table.length} validators: balances ${total((row) => row.balanceGwei)}, pending deposits ${total((row) => row.pendingGwei)}, on their way to the vault ${total((row) => row.expectedWithdrawalsGwei)}`,
    ],
    ["openPenalties", formatEther(report.openPenalties), `${slashed} validators, by oracle/report/penalties.ts`],
    ["withdrawnAtRef", formatEther(report.withdrawnAtRef), `${vault}${WITHDRAWN_FROM[withdrawnFrom]}`],
    ["exiting", report.exiting.join(" ") || "none", "exit begun, not by a slashing, and not reported before"],
    ["exited", report.exited.join(" ") || "none", "withdrawable, gone to the vault, and not reported before"],
  ]).concat(`table of validators (--csv), SHA-256 ${tableSha256}`);
}

function printRows(table: readonly ReportRow[]): string[] {
  const header = [
    "id",
    "index",
    "cluster",
    "standing",
    "balance",
    "pending",
    "to the vault",
    "open penalty",
    "exit",
    "why",
  ];
  return aligned([
    header,
    ...table.map((row) => [
      String(row.id),
      row.validatorIndex === null ? "-" : String(row.validatorIndex),
      String(row.cluster),
      row.standing,
      formatUnits(row.balanceGwei, "gwei"),
      formatUnits(row.pendingGwei, "gwei"),
      formatUnits(row.expectedWithdrawalsGwei, "gwei"),
      formatUnits(row.openPenaltyGwei, "gwei"),
      row.isExited ? "exited" : row.isExiting ? "exiting" : "-",
      reasonOf(row),
    ]),
  ]);
}

/** Why a validator counts, or why it does not. */
export function reasonOf(row: ReportRow): string {
  const { standing, isSlashed, pendingGwei, balanceGwei, expectedWithdrawalsGwei, isExited } = row;
  switch (standing) {
    case "owned":
      if (isSlashed) return "counts, less what its slashing still costs";
      if (isExited)
        return balanceGwei + pendingGwei + expectedWithdrawalsGwei === 0n
          ? "gone to the vault"
          : "gone to the vault; what is left counts";
      return "counts: the pool's credentials";
    case "pending":
      return "counts: the first valid deposit in the queue has the pool's credentials";
    case "foreign":
      return "does not count: others' credentials, somebody deposited first";
    case "invalid":
      return "does not count: no deposit in the queue has a valid signature";
    case "absent":
      return "does not count: neither in the beacon registry nor in the queue";
  }
}

function printArithmetic({ block, terms, outlook, verdict }: Arithmetic): string[] {
  const amount = (name: string, wei: bigint, from: string): string[] => [name, formatEther(wei), from];
  return [
    `What PoolManager reckons, with what it knew at block ${block} (docs/accounting.md):`,
    ...aligned([
      amount("  value", outlook.valueWei, "clBalance - openPenalties"),
      amount("+ W", outlook.withdrawalsWei, `withdrawnAtRef - swept ${formatEther(terms.sweptWei)}`),
      amount("+ E", outlook.executionRewardsWei, "in the RewardsVault"),
      amount("- last value", terms.lastValueWei, "of the last applied report"),
      amount(
        "- deposited since",
        terms.depositedAtRefWei - terms.lastDepositedWei,
        `from reference to reference, of ${formatEther(terms.depositedWei)} ever`,
      ),
      amount("= gain", outlook.gainWei, outlook.gainWei < 0n ? "a loss" : "is locked, then streams"),
      // of a report that was accepted the event tells the rest: the stream moved on until its block
      ...(verdict === null ? [] : printConsequences(terms, outlook)),
    ]),
    ...(verdict === null ? [] : ["", printVerdict(verdict)]),
  ];
}

function printConsequences({ lockedWei, owedWei }: PoolTerms, outlook: Outlook): string[][] {
  const limit = formatEther(outlook.lossLimitWei);
  return [
    ["locked", formatEther(outlook.lockedWei), `was ${formatEther(lockedWei)}`],
    [
      "loss",
      formatEther(outlook.lossWei),
      `lowers the total; with recent ones, more than ${limit} waits for governance`,
    ],
    ["to the reserve", formatEther(outlook.reserveFeeWei), `of ${formatEther(owedWei)} owed`],
    ["to the treasury", formatEther(outlook.treasuryFeeWei), "as new shares"],
    ["liquid", formatEther(outlook.liquidWei), "for withdrawals"],
  ];
}

function printVerdict({ outcome, error, finalisedWei }: Verdict): string {
  switch (outcome) {
    case "applied":
      return `It would be applied now, and finalise withdrawals of ${formatEther(finalisedWei)} ETH.`;
    case "waits for governance":
      return "It would be taken and not applied: its loss, or one before it, waits for governance.";
    case "refused":
      return `It would be refused: ${error ?? "without a reason"}.`;
  }
}

function printAccepted({ accepted, differences, arithmetic }: ReportView): string[] {
  if (accepted === null) {
    return [arithmetic === null ? "The frame was not reported, and cannot be any more." : "Not reported yet."];
  }
  const { block, transaction, applied, gainWei } = accepted;
  const gain = gainWei === null ? "" : `, gain ${formatEther(gainWei)} ETH`;
  const how = applied ? `applied${gain}` : "not applied then: its loss waited for governance";
  const said = `Accepted in block ${block}, transaction ${transaction}; ${how}.`;
  if (differences.length === 0) return [said, "Every figure is the one above."];
  return [
    said,
    "IT DIFFERS from what this node computes:",
    ...aligned([
      ["field", "accepted", "computed here"],
      ...differences.map(({ field, left, right }) => [field, left || "none", right || "none"]),
    ]),
  ];
}

/** For programs. */
export function reportJson({ table, reference, ...view }: ReportView): string {
  const { slot, blockRoot, stateRoot, fork, executionBlock, payload } = reference;
  const told = {
    ...view,
    reference: { slot, blockRoot, stateRoot, fork, executionBlock, payload },
    table: tableRecords(table),
  };
  return toJson(told);
}

export function writeTable({ table }: ReportView, file: string): void {
  try {
    writeFileSync(file, tableCsv(table));
  } catch (cause) {
    throw new ConfigError("ConfigInvalid", `--csv: ${file} cannot be written (${codeOf(cause)}).`, { file }, cause);
  }
}
