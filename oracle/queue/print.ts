import type { OnTheWay } from "./onTheWay.js";
import type { QueueView, RequestView } from "./view.js";

const WEI_PER_MICROETHER = 10n ** 12n;
const MICROETHER_DIGITS = 6;
const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
] as const;

/** For people, one entry a line. */
export function printQueue(view: QueueView): string[] {
  const { head, requests, liquid, exits } = view;
  return [
    `block ${head.number}, ${utc(head.timestamp)}`,
    "",
    ...aligned([
      ["requests waiting", String(requests.waiting), `${requests.afterCutoff} of them too late for the next report`],
      ["  their value now", ether(requests.valueWei), "ETH"],
      ["buffered", ether(liquid.bufferedWei), "ETH"],
      ["in the withdrawal vault", ether(liquid.withdrawalVaultWei), "ETH"],
      ["in the rewards vault", ether(liquid.rewardsVaultWei), "ETH"],
      ["owed to operations", ether(view.owedWei), "ETH, before withdrawals"],
      ["short of", ether(view.shortageWei), "ETH, to come from exits"],
      ["validators asked to exit", String(exits.asked), "not confirmed by a report"],
      ["  confirmed exiting", String(exits.confirmed), "and not arrived"],
      ["  due now", String(exits.due), `to be asked; ${exits.forceable} of them were, in vain, and may be forced`],
    ]),
    ...(view.paused === null ? [] : ["", `No report pays withdrawals now: ${view.paused}.`]),
    "",
    ...(view.validators.length === 0 ? ["No validator is on its way."] : printValidators(view)),
    ...(view.request === null ? [] : ["", printRequest(view.request, head.timestamp)]),
  ];
}

function printValidators({ validators, head }: QueueView): string[] {
  const header = ["id", "cluster", "stage", "exit epoch", "withdrawable", "ETH", "arrives about", "", "at the latest"];
  return aligned([header, ...validators.map((validator) => validatorRow(validator, head.timestamp))]);
}

function validatorRow({ id, cluster, stage, isSlashed, estimate, wei }: OnTheWay, now: number): string[] {
  const start = [String(id), String(cluster), isSlashed ? `${stage}, slashed` : stage];
  if (estimate === null) return [...start, "-", "-", ether(wei), "not active yet"];
  const { exitEpoch, withdrawableEpoch, likely, latest } = estimate;
  return [
    ...start,
    String(exitEpoch),
    String(withdrawableEpoch),
    ether(wei),
    utc(likely.timestamp),
    inTime(likely.timestamp - now),
    inTime(latest.timestamp - now),
  ];
}

function printRequest({ id, status, valueWei, aheadWei, payment }: RequestView, now: number): string {
  if (status === "claimed") return `Request ${id} was claimed: it got ${ether(valueWei)} ETH.`;
  if (status === "finalised") return `Request ${id} can be claimed: it got ${ether(valueWei)} ETH.`;
  const waits = `Request ${id}, worth ${ether(valueWei)} ETH behind ${ether(aheadWei)} ETH of others, `;
  if (payment === null) return `${waits}needs more than there is and what is on its way: more validators have to exit.`;
  const { frame, timestamp } = payment;
  return `${waits}will probably be paid by the report of frame ${frame}: ${utc(timestamp)}, ${inTime(timestamp - now)}.`;
}

/** For programs: amounts in wei as decimal strings, times in seconds since 1970. */
export function queueJson(view: QueueView): string {
  return toJson(view);
}

/** Amounts as decimal strings: no JSON number holds them. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? part.toString() : part), 2);
}

/** Rounded down. */
export function ether(wei: bigint): string {
  const digits = String(wei / WEI_PER_MICROETHER).padStart(MICROETHER_DIGITS + 1, "0");
  return `${digits.slice(0, -MICROETHER_DIGITS)}.${digits.slice(-MICROETHER_DIGITS)}`;
}

export function utc(timestamp: number): string {
  return `${new Date(timestamp * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** The two largest units: "in 2 d 4 h". */
export function inTime(seconds: number): string {
  if (seconds <= 0) return "now";
  const first = UNITS.findIndex(([, length]) => seconds >= length);
  let left = seconds;
  const parts = UNITS.slice(first, first + 2).map(([name, length]) => {
    const count = Math.floor(left / length);
    left -= count * length;
    return count === 0 ? "" : ` ${count} ${name}`;
  });
  return `in${parts.join("")}`;
}

/** Columns as wide as their widest cell; numbers to the right. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const columns = Array.from({ length: Math.max(...rows.map((row) => row.length)) }, (_, column) => ({
    width: width(column),
    isNumeric: rows.some((row) => /^[\d.]+$/.test(row[column] ?? "")),
  }));
  return rows.map((row) =>
    columns
      .map(({ width: size, isNumeric }, i) => (isNumeric ? (row[i] ?? "").padStart(size) : (row[i] ?? "").padEnd(size)))
      .join("  ")
      .trimEnd(),
  );
}
