import { expect } from "chai";
import { DEAD } from "../../model/accounting.js";
import {
  asked,
  claimAll,
  feesOfABlock,
  idOf,
  latestCluster,
  namedReport,
  openWithValidators,
  paidOutGwei,
  removed,
  reportsUntil,
  requestAll,
  type Request,
} from "./exits.js";
import { eth, expectNoDifference, traffic, WEI_PER_GWEI, type Story } from "./story.js";

const ALICE = eth("64");
const BOB = eth("32");
/** Of the deployment: its shares belong to nobody. */
const FIRST_STAKE = eth("1");

describe("exits of everybody", () => {
  let story: Story;
  let keys: string[];
  let requests: Request[];

  before(async () => {
    ({ story, keys } = await openWithValidators(ALICE, BOB, 3, { devnet: { genesisValidators: 16 } }));
    traffic(story);
    await namedReport(story);
    await namedReport(story);
  });
  after(() => story.pool.close());

  it("pay every user, with every validator gone; what stays is known to the wei", async () => {
    const { pool, alice, bob } = story;
    const { devnet, deployment, poolManager, poolETH, treasury, validatorExits, withdrawalQueue } = pool;
    const { provider } = devnet;
    const { addresses } = deployment;
    requests = [];
    for (const owner of [alice, treasury, bob]) requests.push({ owner, id: await requestAll(story, owner) });
    for (const { owner } of requests) expect(await poolETH.sharesOf(owner.address)).to.equal(0n);
    expect((await validatorExits.demand()).needed).to.equal(3n);
    await asked(story, keys);

    const last = requests.at(-1)?.id;
    const gone = await reportsUntil(story, ({ lastFinalised }) => lastFinalised === last);
    const claims = await claimAll(story, gone, requests);
    const [toAlice = 0n, toTreasury = 0n, toBob = 0n] = claims;
    expect(toAlice > ALICE && toBob > BOB && toTreasury > 0n).to.equal(true);
    // Alice had twice what Bob had
    expect(toAlice - 2n * toBob <= 2n && 2n * toBob - toAlice <= 2n).to.equal(true);
    await reportsUntil(story, () => keys.every((key) => devnet.validatorByPubkey(key)?.balanceGwei === 0n));
    await namedReport(story);
    const audit = await expectNoDifference(story);

    // every wei that came is with somebody who left, or still here
    const fromChain = keys.reduce((sum, key) => sum + paidOutGwei(story, key, 0), 0n) * WEI_PER_GWEI;
    const sumOf = (figure: (report: (typeof audit.reports)[number]) => bigint): bigint =>
      audit.reports.reduce((sum, report) => sum + figure(report), 0n);
    const tips = sumOf(({ executionRewardsWei }) => executionRewardsWei);
    const toReserve = sumOf(({ reserveFeeWei }) => reserveFeeWei);
    const claimed = claims.reduce((sum, one) => sum + one, 0n);
    const came = FIRST_STAKE + ALICE + BOB - 96n * eth("1") + fromChain + tips;
    const [inPool, inQueue, inVault] = await Promise.all(
      [addresses.poolManager, addresses.withdrawalQueue, addresses.withdrawalVault].map((of) =>
        provider.getBalance(of),
      ),
    );
    expect((inPool ?? 0n) + (inQueue ?? 0n) + (inVault ?? 0n)).to.equal(came - claimed - toReserve);

    // in the queue what rounding left of its one checkpoint, in the pool what belongs to the dead shares, to the treasury for fees since,
    // to one share of the first request, and to nobody yet
    const finalised = await withdrawalQueue.queryFilter(withdrawalQueue.filters.WithdrawalsFinalised());
    const paid = finalised.reduce((sum, { args }) => sum + args.amount, 0n);
    expect(inQueue).to.equal(paid - claimed);
    expect(paid - claimed < BigInt(requests.length)).to.equal(true);
    const totals = await poolManager.totals();
    expect([totals.clBalance, totals.inFlight, totals.queued]).to.deep.equal([0n, 0n, 0n]);
    expect(inPool).to.equal(totals.buffered);
    expect(totals.buffered).to.equal(totals.totalPooledEther + totals.locked + totals.owed + totals.fee);
    const holders = [DEAD, treasury.address, addresses.withdrawalQueue];
    const shares = await Promise.all(holders.map((holder) => poolETH.sharesOf(holder)));
    expect(shares[0]).to.equal(FIRST_STAKE);
    expect(shares[2]).to.equal(1n);
    expect(shares.reduce((sum, one) => sum + one, 0n)).to.equal(totals.totalShares);
    const values = await Promise.all(holders.map((holder) => poolETH.balanceOf(holder)));
    const lost = totals.totalPooledEther - values.reduce((sum, one) => sum + one, 0n);
    expect(lost >= 0n && lost < 3n).to.equal(true);
  });

  it("leave a cluster that costs nothing", async () => {
    const { pool } = story;
    const ids = await Promise.all(keys.map((key) => idOf(story, key)));
    for (const id of ids) expect(await pool.validatorExits.isExited(id)).to.equal(true);
    await removed(story, keys);
    expect(await feesOfABlock(story)).to.equal(0n);
    expect((await latestCluster(story)).validatorCount).to.equal(0n);
    expect(await pool.reserve.totalBurnRate()).to.equal(0n);
    await expectNoDifference(story);
  });
});
