import { ETHER, FRAME_SECONDS, YEAR_SECONDS } from "../unit/pool/support.js";
import type { AccountingModel, Outcome } from "../model/accounting.js";
import { PoolWalk } from "./poolWalk.js";

/** A table of docs/accounting.md: what the model, equal to the contracts at every step, says after each step. */
export interface Worked {
  name: string;
  table: string;
}

type Column = [string, (model: AccountingModel) => bigint];

const COLUMNS: Column[] = [
  ["buffered", (m) => m.bufferedWei],
  ["clBalance", (m) => m.clValueWei],
  ["locked", (m) => m.lockedWei],
  ["owed", (m) => m.owedWei],
  ["fee", (m) => m.feeWei],
  ["total", (m) => m.totalPooledEtherWei],
  ["total shares", (m) => m.totalShares],
  ["1 share is worth", (m) => m.etherFor(ETHER)],
  ["uncovered loss", (m) => m.uncoveredLossWei],
];

const QUEUE_COLUMNS: Column[] = [
  ["buffered", (m) => m.bufferedWei],
  ["clBalance", (m) => m.clValueWei],
  ["total", (m) => m.totalPooledEtherWei],
  ["total shares", (m) => m.totalShares],
  ["1 share is worth", (m) => m.etherFor(ETHER)],
  ["shares waiting", (m) => m.queuedShares],
  ["their value", (m) => m.queuedWei],
  ["free for deposits", (m) => m.depositableWei],
  ["ETH to claim", (m) => m.queueWei],
];

/** Wei as ETH, exact, without trailing zeros. */
function inEther(wei: bigint): string {
  const fraction = (wei % ETHER).toString().padStart(18, "0").replace(/0+$/, "");
  return `${String(wei / ETHER)}${fraction === "" ? "" : `.${fraction}`}`;
}

class Table {
  private readonly rows: string[][];
  private readonly walk: PoolWalk;
  private readonly columns: Column[];
  constructor(walk: PoolWalk, columns = COLUMNS) {
    this.walk = walk;
    this.columns = columns;
    this.rows = [["", ...columns.map(([name]) => name)]];
  }
  row(label: string): this {
    this.rows.push([label, ...this.columns.map(([, value]) => inEther(value(this.walk.model)))]);
    return this;
  }
  toString(): string {
    const widths = this.rows[0]!.map((_, column) => Math.max(3, ...this.rows.map((row) => row[column]!.length)));
    const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
    const [head, ...body] = this.rows;
    return [line(head!), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
  }
}

/**
 * 1,000 ETH of 1,000 shares: 30 validators with 960 ETH, 40 ETH buffered. Fee 10 %, gains stream at no more than 10 % of the pool a
 * year, a loss of more than 5 % within 7 days waits. A report each day, a minute after the frame's end.
 */
async function thousandEther(): Promise<{ walk: PoolWalk; report: Report }> {
  const walk = await PoolWalk.create({
    feeBps: 1_000n,
    maxYearlyRateBps: 1_000n,
    lossLimitBps: 500n,
    lossWindowSeconds: 7n * 86_400n,
  });
  await walk.stake(60n, 0, 999n * ETHER);
  await walk.fundDeposits(60n, 30n);
  const report: Report = async (change, sweptWei = 0n) => {
    const { model } = walk;
    const into = (model.now - BigInt(walk.pool.genesisTime)) % FRAME_SECONDS;
    return walk.report(FRAME_SECONDS - into + 60n, (m) => ({
      clBalanceWei: change(m),
      withdrawnAtRefWei: m.sweptWei + sweptWei,
    }));
  };
  await report(() => 960n * ETHER);
  return { walk, report };
}
type Report = (clBalance: (model: AccountingModel) => bigint, sweptWei?: bigint) => Promise<Outcome | undefined>;

const same = (model: AccountingModel) => model.clValueWei;
const cents = (hundredths: bigint) => (hundredths * ETHER) / 100n;

async function quiet(): Promise<Worked> {
  const { walk, report } = await thousandEther();
  const table = new Table(walk).row("before");
  await report(same);
  table.row("report of the next day: nothing new");
  return { name: "quiet", table: table.toString() };
}

async function gain(): Promise<Worked> {
  const { walk, report } = await thousandEther();
  await walk.setShortfall(60n, cents(1n) / 2n);
  const table = new Table(walk).row("before");
  await report((m) => m.clValueWei + cents(8n));
  table.row("report: 0.08 ETH of rewards");
  await walk.wait(FRAME_SECONDS / 2n);
  table.row("12 hours later");
  await walk.wait(FRAME_SECONDS / 2n - 60n);
  table.row("a minute before the stream's end");
  await report(same);
  table.row("report of the next day: nothing new");
  return { name: "gain", table: table.toString() };
}

async function loss(): Promise<Worked> {
  const { walk, report } = await thousandEther();
  const table = new Table(walk);
  await report((m) => m.clValueWei + ETHER);
  table.row("report: 1 ETH of rewards");
  await report((m) => m.clValueWei - 3n * ETHER);
  table.row("report a day later: 3 ETH lost");
  await report((m) => m.clValueWei + 3n * ETHER);
  table.row("report a day later: 3 ETH gained");
  await walk.wait(5n * FRAME_SECONDS);
  table.row("5 days later");
  await walk.wait(FRAME_SECONDS * 10n);
  table.row("15 days later: the stream has ended");
  await report(same);
  table.row("next report: nothing new");
  return { name: "loss", table: table.toString() };
}

async function gift(): Promise<Worked> {
  const { walk, report } = await thousandEther();
  // 3 % of 1,000 ETH for ten years
  await walk.credit("rewardsVault", 300n * ETHER);
  const table = new Table(walk).row("300 ETH have arrived in the RewardsVault");
  await report(same);
  table.row("report");
  await walk.wait(YEAR_SECONDS);
  table.row("a year later, had nobody reported");
  await report(same);
  table.row("report, nothing new");
  await walk.wait(YEAR_SECONDS);
  table.row("another year later");
  await walk.wait(YEAR_SECONDS);
  table.row("and another: the stream has ended");
  return { name: "gift", table: table.toString() };
}

async function absurd(): Promise<Worked> {
  const { walk, report } = await thousandEther();
  const table = new Table(walk).row("before");
  await report(() => 300_000_000n * ETHER);
  table.row("report: 300 million ETH");
  await walk.wait(3_600n);
  table.row("an hour later");
  await report(() => 960n * ETHER);
  table.row("report of the next day: the truth");
  return { name: "absurd", table: table.toString() };
}

async function beyondLimit(): Promise<Worked> {
  const { walk, report } = await thousandEther();
  const table = new Table(walk).row("before");
  await report((m) => m.clValueWei - 60n * ETHER);
  table.row("report: 60 ETH lost; pending");
  await report((m) => m.clValueWei - 58n * ETHER);
  table.row("report a day later: 58 ETH lost; still pending");
  await walk.confirmLoss(3_600n, 60n * ETHER);
  table.row("governance confirms, up to 60 ETH");
  return { name: "beyond-limit", table: table.toString() };
}

async function withdrawals(): Promise<Worked> {
  const { walk, report } = await thousandEther();
  // the one share that stays in the queue for ever
  await walk.requestWithdrawal(60n, 0, 0, cents(1n));
  await report(same);
  await walk.claim(60n, 0, 1n);
  await walk.stake(60n, 0, cents(1n) - 1n);
  const table = new Table(walk, QUEUE_COLUMNS).row("before");
  await walk.requestWithdrawal(3_600n, 0, 1, 30n * ETHER);
  await walk.requestWithdrawal(3_600n, 0, 2, 50n * ETHER);
  table.row("requests of 30 and 50 ETH");
  await report((m) => m.clValueWei - 10n * ETHER);
  table.row("report: 10 ETH lost, shared by all; the first is paid, the second has to wait");
  await walk.claim(3_600n, 1, 2n);
  table.row("the first is claimed");
  await walk.credit("withdrawalVault", 64n * ETHER);
  await report((m) => m.clValueWei - 64n * ETHER, 64n * ETHER);
  table.row("two validators have left; report: the second is paid");
  await walk.claim(3_600n, 2, 3n);
  table.row("and claimed");
  return { name: "withdrawals", table: table.toString() };
}

export async function workedNumbers(): Promise<Worked[]> {
  return [
    await quiet(),
    await gain(),
    await loss(),
    await gift(),
    await absurd(),
    await beyondLimit(),
    await withdrawals(),
  ];
}
