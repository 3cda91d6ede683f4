import { expect } from "chai";
import { SLOTS_PER_FRAME, type RunningService } from "../../../devnet/pool.js";
import {
  activate,
  advanceTo,
  COMMITTEE,
  eth,
  expectNoDifference,
  lastSlotOfFrame,
  metric,
  nextReport,
  openStory,
  referenceBlock,
  startReporting,
  traffic,
  type Accepted,
  type Story,
} from "./story.js";

const SIGNED = "pooleth_reports_signed_total";

describe("frames", () => {
  let story: Story;

  before(async () => {
    story = await openStory();
    await story.pool.stake(story.alice, eth("70"));
    await startReporting(story);
    await activate(story, 2);
    traffic(story);
    await nextReport(story);
  });
  after(() => story.pool.close());

  const oracles = (): RunningService[] => story.pool.services.filter(({ role }) => role === "oracle");
  const signed = (): Promise<number[]> => Promise.all(oracles().map(({ service }) => metric(service.url, SIGNED)));

  /** The next report, for which every member signed the same. */
  async function unanimousReport(): Promise<Accepted> {
    const before = await signed();
    const report = await nextReport(story);
    expect(await signed()).to.deep.equal(before.map((count) => count + 1));
    const keeper = story.pool.services.find(({ role }) => role === "keeper");
    expect(await metric(keeper?.service.url ?? "", "pooleth_report_disagreements_total")).to.equal(0);
    return report;
  }

  it("that end with a missed slot are reported from the last block before it, which the contract finds", async () => {
    const { pool } = story;
    const refSlot = lastSlotOfFrame(pool.devnet.slot);
    await advanceTo(story, refSlot - 1);
    await pool.devnet.skipSlot();
    const report = await unanimousReport();
    expect(report.refSlot).to.equal(refSlot);
    expect(referenceBlock(story, refSlot).slot).to.equal(refSlot - 1);
    expect(report.beaconBlockRoot).to.equal(referenceBlock(story, refSlot).root);
    await expectNoDifference(story);
  });

  it("whose next ones begin with missed slots, too, are reported from the same block", async () => {
    const { pool } = story;
    const refSlot = lastSlotOfFrame(pool.devnet.slot);
    await advanceTo(story, refSlot - 1);
    for (let missed = 0; missed < 3; missed++) await pool.devnet.skipSlot();
    const report = await unanimousReport();
    expect(report.refSlot).to.equal(refSlot);
    expect(referenceBlock(story, refSlot + 2).slot).to.equal(refSlot - 1);
    expect(report.beaconBlockRoot).to.equal(referenceBlock(story, refSlot).root);
    await expectNoDifference(story);
  });

  it("that nobody reports are covered by the next report; staking closes after two and opens again", async () => {
    const { pool, alice, bob } = story;
    const { devnet, poolManager } = pool;
    const last = await poolManager.lastFrame();
    for (const oracle of oracles()) await oracle.stop();
    const staleAt = (await poolManager.lastReportAt()) + BigInt(2 * SLOTS_PER_FRAME * devnet.secondsPerSlot);
    const time = async (): Promise<bigint> => BigInt((await devnet.provider.getBlock("latest"))?.timestamp ?? 0);

    await devnet.advanceUntil(async () => (await time()) >= staleAt);
    expect(await time()).to.equal(staleAt); // not yet
    expect((await poolManager.stakingState()).open).to.equal(true);
    const { value, stale } = await poolManager.rate();
    expect(stale).to.equal(false);
    await devnet.advance();
    expect((await poolManager.rate()).stale).to.equal(true);
    expect(await poolManager.stakingState()).to.deep.equal([false, 0n]);
    await expect(poolManager.connect(bob).stake.staticCall(bob.address, bob.address, { value: eth("1") }))
      .to.be.revertedWithCustomError(poolManager, "ReportStale")
      .withArgs(await poolManager.lastReportAt(), staleAt);
    expect((await poolManager.rate()).value >= value).to.equal(true); // a closed door does not move the rate

    for (const position of COMMITTEE) await pool.start("oracle", position);
    const report = await unanimousReport();
    // they abstain from the frame that had ended: none has a proof of what had come to the vault by its last block
    expect(report.frame).to.equal(last + 3n);
    expect((await poolManager.rate()).stale).to.equal(false);
    await pool.stake(bob, eth("1"));
    const audit = await expectNoDifference(story);
    expect(audit.reports.at(-1)?.refSlot).to.equal(BigInt(report.refSlot));
    expect(audit.holders.get(alice.address)?.balanceWei).to.equal(await pool.poolETH.balanceOf(alice.address));
  });

  it("are reported while SSV's views fail, which stops only what needs them", async () => {
    const { pool } = story;
    const views = await pool.ssv.views.getAddress();
    const code = await pool.devnet.provider.getCode(views);
    await pool.devnet.provider.send("hardhat_setCode", [views, "0xfe"]);
    const keeper = pool.services.find(({ role }) => role === "keeper");
    await unanimousReport();
    expect((await keeper?.service.sync())?.failures).to.have.length(1);
    await pool.devnet.provider.send("hardhat_setCode", [views, code]);
    await pool.devnet.advance();
    expect((await keeper?.service.sync())?.failures).to.deep.equal([]);
  });
});
