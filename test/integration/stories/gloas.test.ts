import { expect } from "chai";
import { isGloasState } from "../../../devnet/consensus/state.js";
import type { RunningService } from "../../../devnet/pool.js";
import {
  activate,
  advanceTo,
  eth,
  expectNoDifference,
  lastSlotOfFrame,
  metric,
  nextReport,
  openStory,
  referenceBlock,
  startReporting,
  type Accepted,
  type Story,
} from "./story.js";

const SIGNED = "pooleth_reports_signed_total";
const FORK_EPOCH = 12;

describe("Gloas", () => {
  let story: Story;

  before(async () => {
    story = await openStory({ devnet: { extraConfig: { GLOAS_FORK_EPOCH: FORK_EPOCH } } });
    await story.pool.stake(story.alice, eth("140"));
    await startReporting(story);
    await activate(story, 2);
    await nextReport(story);
  });
  after(() => story.pool.close());

  const oracles = (): RunningService[] => story.pool.services.filter(({ role }) => role === "oracle");
  const signed = (): Promise<number[]> => Promise.all(oracles().map(({ service }) => metric(service.url, SIGNED)));

  /** The next report, for which every member signed the same, and all of it as the chains have it. */
  async function unanimousReport(): Promise<Accepted> {
    const before = await signed();
    const report = await nextReport(story);
    expect(await signed()).to.deep.equal(before.map((count) => count + 1));
    expect(report.beaconBlockRoot).to.equal(referenceBlock(story, report.refSlot).root);
    expect(report.applied).to.equal(true);
    await expectNoDifference(story);
    return report;
  }

  it("comes while validators are deposited for and activated; reports go on", async () => {
    expect(isGloasState(story.pool.devnet.state())).to.equal(true);
    const { refSlot } = await unanimousReport();
    const { isDelivered } = referenceBlock(story, refSlot);
    expect(isDelivered).to.equal(true);
  });

  it("a frame whose last payload was withheld", async () => {
    const { devnet } = story.pool;
    const refSlot = lastSlotOfFrame(devnet.slot);
    await advanceTo(story, refSlot - 1);
    await devnet.withholdPayload();
    await unanimousReport();
    expect(referenceBlock(story, refSlot)).to.include({ slot: refSlot, isDelivered: false });
  });

  it("a frame after which payloads are withheld: its reference block is later than its last slot", async () => {
    const { devnet } = story.pool;
    const refSlot = lastSlotOfFrame(devnet.slot);
    await advanceTo(story, refSlot - 1);
    for (let withheld = 0; withheld < 2; withheld++) await devnet.withholdPayload();
    await devnet.skipSlot();
    await devnet.withholdPayload();
    await unanimousReport();
    expect(referenceBlock(story, refSlot)).to.include({ slot: refSlot + 3, isDelivered: false });
  });

  it("a frame in whose last payload the pool deposits: nothing is lost between the layers", async () => {
    const { pool, cluster } = story;
    const { devnet, registry } = pool;
    await pool.publish(cluster, await pool.prepare(cluster, 1));
    const guardians = [await pool.start("guardian", 0), await pool.start("guardian", 1)];
    const { registered } = await registry.cluster(cluster.clusterId);
    await devnet.advanceUntil(async () => (await registry.cluster(cluster.clusterId)).registered > registered, 60);
    for (const guardian of guardians) await guardian.stop();
    // until the registration is final, and a frame is about to end
    await devnet.advance(3 * devnet.slotsPerEpoch);
    const refSlot = lastSlotOfFrame(devnet.slot + 4);
    await advanceTo(story, refSlot - 4);
    for (const position of [0, 1]) await pool.start("guardian", position);
    const waiting = async (): Promise<boolean> => {
      const block = (await devnet.provider.send("eth_getBlockByNumber", ["pending", false])) as {
        transactions: unknown[];
      };
      return block.transactions.length > 0;
    };
    while (devnet.slot < refSlot - 1) {
      if (await waiting()) await devnet.withholdPayload();
      else await devnet.advance(1);
    }
    expect(await waiting(), "the deposit waits for the last payload of the frame").to.equal(true);
    const before = (await pool.poolManager.totals()).deposited;
    await devnet.advance(1);
    expect((await pool.poolManager.totals()).deposited - before).to.equal(eth("32"));
    const { clBalance } = await unanimousReport();
    const block = referenceBlock(story, refSlot);
    expect(block).to.include({ slot: refSlot, isDelivered: true });
    expect(block.envelope!.message.executionRequests.deposits.length).to.equal(1);
    expect(clBalance > eth("95.9")).to.equal(true); // the new one's 32 ETH among them
  });

  it("a redemption for which a validator exits, with every fourth payload withheld on the way", async () => {
    const { pool, alice } = story;
    const { devnet, withdrawalQueue, validatorExits, poolETH, reportOracle } = pool;
    await devnet.mineTx(poolETH.connect(alice).requestWithdrawal(eth("60"), alice.address));
    const isFinalised = async (): Promise<boolean> => (await withdrawalQueue.state()).lastFinalised === 1n;
    const exited = reportOracle.filters.ReportAccepted();
    for (let slots = 0; !(await isFinalised()); slots++) {
      expect(slots).to.be.lessThan(400);
      if (devnet.slot % 4 === 3) await devnet.withholdPayload();
      else await devnet.advance(1);
    }
    await expectNoDifference(story);
    await unanimousReport();
    const reports = await reportOracle.queryFilter(exited);
    expect(reports.reduce((sum, { args }) => sum + args.exited, 0n)).to.equal(1n);
    const isExited = await Promise.all([1n, 2n, 3n].map((id) => validatorExits.isExited(id)));
    expect(isExited.filter(Boolean).length).to.equal(1);
  });
});
