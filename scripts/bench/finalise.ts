import type { ContractTransactionResponse } from "ethers";
import { deployPool, ETHER, FRAME_SECONDS, type Pool } from "../../test/unit/pool/support.js";

/** Gas of whole transactions around the withdrawal queue, on Osaka's rules, as a Markdown table. */

const NOBODY = "0x0000000000000000000000000000000000000000";
const SOMEBODY = "0x00000000000000000000000000000000000c1a1E";
const MOST_PARTS = 64n;
const PART_WEI = 1_000n * ETHER;

async function gas(transaction: Promise<ContractTransactionResponse>): Promise<bigint> {
  const receipt = await (await transaction).wait();
  if (receipt === null) throw new Error("not mined");
  return receipt.gasUsed;
}

/** A pool that has finalised before, with `parts` x 1,000 ETH and a little more in one holder's hands. */
async function prepare(parts: bigint): Promise<Pool> {
  const pool = await deployPool();
  const holder = holderOf(pool);
  await pool.setBalance(holder.address, (parts + 10n) * PART_WEI);
  await pool.manager.stake(holder, NOBODY, { value: (parts + 1n) * PART_WEI });
  await pool.token.requestWithdrawal(ETHER, holder);
  await report(pool);
  return pool;
}

function holderOf({ users: [holder] }: Pool) {
  if (holder === undefined) throw new Error("the network has no accounts");
  return holder;
}

async function report(pool: Pool, clBalance?: bigint): Promise<bigint> {
  await pool.connection.networkHelpers.time.increase(FRAME_SECONDS);
  return gas(pool.report(clBalance === undefined ? {} : { clBalance }));
}

/** What a report costs that finds `count` requests and can pay them, or half of them. */
async function finalising(count: bigint, half: boolean): Promise<bigint> {
  const pool = await prepare(count);
  const holder = holderOf(pool);
  if (half) {
    await pool.manager.connect(pool.registry).fundDeposits(((count / 2n) * PART_WEI) / (32n * ETHER));
    await report(pool);
  }
  for (let left = count; left > 0n; left -= MOST_PARTS) {
    const parts = left < MOST_PARTS ? left : MOST_PARTS;
    await pool.token.requestWithdrawal(parts * PART_WEI, holder, { gasLimit: 3_000_000 });
  }
  const used = await report(pool);
  const { lastRequest, lastFinalised } = await pool.queue.state();
  if (lastRequest !== count + 1n || (half ? lastFinalised >= lastRequest : lastFinalised !== lastRequest)) {
    throw new Error(`${lastFinalised} of ${lastRequest} requests were finalised`);
  }
  return used;
}

const rows: [string, bigint][] = [];
{
  const pool = await prepare(0n);
  rows.push(["report: quiet, nobody waits", await report(pool)]);
  const holder = holderOf(pool);
  rows.push(["request by amount", await gas(pool.token.requestWithdrawal(ETHER, holder))]);
  rows.push(["request by shares", await gas(pool.token.requestWithdrawalShares(ETHER, holder))]);
  rows.push(["transferRequest", await gas(pool.queue.transferRequest(2n, SOMEBODY))]);
  for (let i = 0; i < 12; i++) await pool.token.requestWithdrawal(ETHER, holder);
  await report(pool);
  rows.push(["claim with a hint", await gas(pool.queue["claim(uint256,address,uint256)"](3n, holder, 2n))]);
  rows.push(["claim without", await gas(pool.queue["claim(uint256,address)"](4n, holder))]);
  const ids = [5n, 6n, 7n, 8n, 9n, 10n, 11n, 12n, 13n, 14n];
  const many = await gas(
    pool.queue.claimMany(
      ids,
      holder,
      ids.map(() => 2n),
    ),
  );
  rows.push(["claimMany, each of 10", many / 10n]);
}
for (const count of [1n, 100n, 10_000n]) {
  rows.push([`report: finalises ${count.toLocaleString("en")}`, await finalising(count, false)]);
}
for (const count of [100n, 10_000n]) {
  rows.push([`report: finalises half of ${count.toLocaleString("en")}`, await finalising(count, true)]);
}

const first = Math.max(...rows.map(([what]) => what.length));
process.stdout.write(`| ${"transaction".padEnd(first)} |     gas |\n| ${"-".repeat(first)} | ------: |\n`);
for (const [what, used] of rows) {
  process.stdout.write(`| ${what.padEnd(first)} | ${used.toLocaleString("en").padStart(7)} |\n`);
}
