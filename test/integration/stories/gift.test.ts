import { expect } from "chai";
import { WEI_PER_RATE_UNIT, YEAR_SECONDS } from "../../model/accounting.js";
import {
  advanceTo,
  eth,
  expectNoDifference,
  lastSlotOfFrame,
  nextReport,
  openStory,
  startReporting,
  type Story,
} from "./story.js";

/** A frame of three days. */
const SECONDS_PER_SLOT = 8_000;
const YEARLY_LIMIT_BPS = 5000n;
const BPS = 10_000n;

describe("gifts to both vaults", () => {
  let story: Story;
  /** Slots from a frame's last to the block with its report: what finality takes. */
  let reportedAfter: number;

  before(async () => {
    story = await openStory({
      devnet: { secondsPerSlot: SECONDS_PER_SLOT },
      parameters: (given) => ({
        ...given,
        pool: { ...given.pool, maxYearlyRateBps: Number(YEARLY_LIMIT_BPS) },
      }),
    });
    await story.pool.stake(story.alice, eth("100"));
    await startReporting(story);
    const { refSlot } = await nextReport(story);
    reportedAfter = story.pool.devnet.slot - refSlot;
  });
  after(() => story.pool.close());

  const time = async (): Promise<bigint> =>
    BigInt((await story.pool.devnet.provider.getBlock("latest"))?.timestamp ?? 0);

  async function give(half: bigint): Promise<void> {
    const { devnet, deployment, poolManager } = story.pool;
    const { withdrawalVault, rewardsVault } = deployment.addresses;
    const giver = story.pool.user(5);
    const before = await poolManager.totals();
    await devnet.mineTx(giver.sendTransaction({ to: withdrawalVault, value: half }));
    await devnet.mineTx(giver.sendTransaction({ to: rewardsVault, value: half }));
    expect((await poolManager.totals()).buffered).to.equal(before.buffered); // until a report says so
  }

  /** Terms of the stream that a report opens on a pool of `totalWei`, when nothing else is locked. */
  async function expectStream(
    giftWei: bigint,
    totalWei: bigint,
  ): Promise<{ perSecondWei: bigint; end: bigint; duration: bigint }> {
    const duration = (giftWei * YEAR_SECONDS * BPS - 1n) / (YEARLY_LIMIT_BPS * totalWei) + 1n;
    const { streamEnd, streamRate } = await story.pool.poolETH.rate();
    expect(streamEnd).to.equal((await time()) + duration);
    expect(streamRate).to.equal((giftWei - giftWei / 10n) / duration / WEI_PER_RATE_UNIT);
    return { perSecondWei: streamRate * WEI_PER_RATE_UNIT, end: streamEnd, duration };
  }

  it("stream out at the yearly limit and stop by themselves, though nobody reports any more", async () => {
    const { pool } = story;
    const { devnet, poolManager, poolETH, treasury } = pool;
    const gift = 2n * eth("0.500000000000000001");
    await give(gift / 2n);
    await nextReport(story);
    const opened = await poolManager.totals();
    expect(opened.locked).to.equal(gift);
    expect(opened.totalPooledEther).to.equal(eth("101"));
    const { perSecondWei, end, duration } = await expectStream(gift, eth("101"));

    for (const oracle of pool.services.filter(({ role }) => role === "oracle")) await oracle.stop();
    await devnet.advanceUntil(async () => (await time()) > end, 200);
    const ended = await poolManager.totals();
    await devnet.advance(2);
    expect(await poolManager.totals()).to.deep.equal(ended);
    // all of it but the fee, and the dust that a rate in whole units leaves
    expect(ended.totalPooledEther).to.equal(eth("101") + perSecondWei * duration);
    expect(ended.fee).to.equal(gift / 10n);
    expect(ended.locked).to.equal(gift - gift / 10n - perSecondWei * duration);

    // the fee follows with the next report: the reserve lacks nothing
    for (const position of [0, 1]) await pool.start("oracle", position);
    await nextReport(story);
    const shares = (ended.fee * ended.totalShares) / ended.totalPooledEther;
    expect(await poolETH.sharesOf(treasury.address)).to.equal(shares);
    await expectNoDifference(story);
  });

  it("of ten years' rewards are no obstacle to the report, and nobody who stakes just before gains by it", async () => {
    const { pool, bob } = story;
    const { devnet, poolManager, poolETH } = pool;
    const half = eth("15.000000000000000001");
    await give(half);

    // Bob sees it coming, and is in by the block before the report
    await advanceTo(story, lastSlotOfFrame(devnet.slot) + reportedAfter - 2);
    await pool.stake(bob, eth("50"));
    const { applied, block } = await nextReport(story, 1);
    expect(applied).to.equal(true);
    const [rebased] = await poolManager.queryFilter(poolManager.filters.Rebased(), block, block);
    if (rebased === undefined) throw new Error("nothing was rebased");
    const { gain, sharesBefore, etherBefore, sharesAfter, etherAfter, treasuryFee } = rebased.args;
    expect(gain).to.equal(2n * half);
    expect(etherAfter - etherBefore).to.equal(treasuryFee); // of dust that was streaming; of the gift all is locked
    const shares = await poolETH.sharesOf(bob.address);
    const bobBefore = (shares * etherBefore) / sharesBefore;
    expect(await poolETH.balanceOf(bob.address)).to.equal(bobBefore);
    expect((shares * etherAfter) / sharesAfter).to.equal(bobBefore);
    const after = await poolManager.totals();
    const { perSecondWei } = await expectStream(after.locked, after.totalPooledEther);

    // one slot on: what the stream says, less than the limit, and for Bob as for anybody by his shares
    await devnet.advance();
    const streamed = perSecondWei * BigInt(SECONDS_PER_SLOT);
    const later = await poolManager.totals();
    expect(later.totalPooledEther).to.equal(after.totalPooledEther + streamed);
    const limit = (after.totalPooledEther * YEARLY_LIMIT_BPS * BigInt(SECONDS_PER_SLOT)) / (YEAR_SECONDS * BPS);
    expect(streamed <= limit && streamed > (limit * 89n) / 100n).to.equal(true); // the fee is the tenth part
    expect(await poolETH.balanceOf(bob.address)).to.equal((shares * later.totalPooledEther) / later.totalShares);
    await expectNoDifference(story);
  });
});
