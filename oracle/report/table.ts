import { createHash } from "node:crypto";
import type { ReportRow } from "./report.js";

type Cell = string | number | boolean | null;

/** Members compare their tables by octets: names, order and form are part of the report's rules. Amounts are decimal strings. */
const COLUMNS: readonly (readonly [name: string, read: (row: ReportRow) => Cell])[] = [
  ["id", ({ id }) => id],
  ["public_key", ({ pubkey }) => pubkey],
  ["cluster", ({ cluster }) => cluster],
  ["standing", ({ standing }) => standing],
  ["validator_index", ({ validatorIndex }) => validatorIndex],
  ["balance_gwei", ({ balanceGwei }) => String(balanceGwei)],
  ["pending_gwei", ({ pendingGwei }) => String(pendingGwei)],
  ["expected_withdrawals_gwei", ({ expectedWithdrawalsGwei }) => String(expectedWithdrawalsGwei)],
  ["open_penalty_gwei", ({ openPenaltyGwei }) => String(openPenaltyGwei)],
  ["slashed", ({ isSlashed }) => isSlashed],
  ["exiting", ({ isExiting }) => isExiting],
  ["exited", ({ isExited }) => isExited],
];

/** One object a validator, with the names and in the order of the CSV's columns. */
export function tableRecords(table: readonly ReportRow[]): Record<string, Cell>[] {
  return table.map((row) => Object.fromEntries(COLUMNS.map(([name, read]) => [name, read(row)])));
}

/**
 * RFC 4180 but for the line ends, which are line feeds, after the last line too. A header, then one line a validator, by id; no cell
 * needs quotes. Empty is the index of a key that is not in the beacon registry; booleans are `true` and `false`.
 */
export function tableCsv(table: readonly ReportRow[]): string {
  const lines = [COLUMNS.map(([name]) => name), ...table.map((row) => COLUMNS.map(([, read]) => read(row) ?? ""))];
  return lines.map((cells) => `${cells.join(",")}\n`).join("");
}

/** SHA-256 of the CSV, as `sha256sum` prints it for the file. */
export function tableHash(table: readonly ReportRow[]): string {
  return createHash("sha256").update(tableCsv(table)).digest("hex");
}
