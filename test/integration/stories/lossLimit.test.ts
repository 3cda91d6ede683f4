import { expect } from "chai";
import { committeeKey, SLOTS_PER_FRAME, type RunningService } from "../../../devnet/pool.js";
import {
  activate,
  COMMITTEE,
  eth,
  falseReport,
  metric,
  nextReport,
  openStory,
  recordingLogger,
  type LogRecord,
  type Story,
} from "./story.js";

const LOWEST_LIMIT_BPS = 10n;
const WEEK = 7n * 86_400n;

describe("a loss beyond the limit", () => {
  let story: Story;
  let keeper: RunningService;
  let keeperLog: LogRecord[];
  let keys: string[];

  before(async () => {
    story = await openStory();
    const { pool, alice } = story;
    await pool.stake(alice, eth("120"));
    const { logger, records } = recordingLogger();
    keeperLog = records;
    keeper = await pool.start("keeper", 0, { logger });
    for (const position of COMMITTEE) await pool.start("oracle", position);
    keys = await activate(story, 2);
    const { devnet, poolManager, governance } = pool;
    await devnet.mineTx(poolManager.connect(governance).setLossLimit(LOWEST_LIMIT_BPS, WEEK), poolManager.interface);
    await nextReport(story);
  });
  after(() => story.pool.close());

  async function expectClosed(): Promise<void> {
    const { poolManager } = story.pool;
    const { bob } = story;
    const { refSlot, loss } = await poolManager.pendingLoss();
    expect(await poolManager.stakingState()).to.deep.equal([false, 0n]);
    await expect(poolManager.connect(bob).stake.staticCall(bob.address, bob.address, { value: eth("1") }))
      .to.be.revertedWithCustomError(poolManager, "LossIsPending")
      .withArgs(refSlot, loss);
  }

  /** What the rate is made of, which nothing but an applied report may change. */
  async function rateTerms(): Promise<unknown> {
    const { totalShares, pooledEther, streamRate, streamEnd } = await story.pool.poolETH.rate();
    return { totalShares, pooledEther, streamRate, streamEnd };
  }

  /** One guardian's wish, delivered by anybody. */
  async function pauseDeposits(): Promise<void> {
    const { devnet, deployment, guardians } = story.pool;
    const approvalEpoch = await guardians.approvalEpoch();
    const { guardians: verifyingContract } = deployment.addresses;
    const signature = await committeeKey("guardian", 0).signTypedData(
      { name: "poolETH Guardians", version: "1", chainId: devnet.chainId, verifyingContract },
      { PauseDeposits: [{ name: "approvalEpoch", type: "uint256" }] },
      { approvalEpoch },
    );
    await devnet.mineTx(guardians.connect(story.bob).pauseDeposits(approvalEpoch, signature), guardians.interface);
  }

  let lie = "";

  it("that was reported wrongly is discarded, and the next report applies as if it had never been", async () => {
    const { pool, bob } = story;
    const { devnet, poolManager, governance } = pool;
    for (const oracle of pool.services.filter(({ role }) => role === "oracle")) await oracle.stop();
    await devnet.advance(SLOTS_PER_FRAME - (devnet.slot % SLOTS_PER_FRAME) + 1);
    const terms = await rateTerms();
    const message = await falseReport(story, keeper, [0, 1], -eth("5"));
    const report = await nextReport(story);
    expect([report.applied, report.clBalance]).to.deep.equal([false, message.clBalance]);
    expect((await poolManager.pendingLoss()).refSlot).to.equal(BigInt(report.refSlot));
    expect(await rateTerms()).to.deep.equal(terms);
    await expectClosed();

    await devnet.mineTx(poolManager.connect(governance).discardLoss(report.refSlot), poolManager.interface);
    expect((await poolManager.pendingLoss()).loss).to.equal(0n);
    expect(await rateTerms()).to.deep.equal(terms);
    await pool.stake(bob, eth("1"));
    for (const position of COMMITTEE) await pool.start("oracle", position);
    expect((await nextReport(story)).applied).to.equal(true);

    // the audit names the lie, and nothing else differs
    const { differences } = await story.auditor.audit([story.alice.address, bob.address, pool.treasury.address]);
    lie = `beacon balance reported for slot ${report.refSlot}: the pool says ${message.clBalance}, the chain ${message.clBalance + eth("5")}`;
    expect(differences).to.deep.equal([lie]);
  });

  it("waits for governance while everything runs on; confirmed, it is applied and everything opens", async () => {
    const { pool, cluster, bob } = story;
    const { devnet, poolManager, governance, guardians, registry } = pool;
    // a third validator is ready for its deposit, and a guardian holds deposits back until the loss is pending
    await pauseDeposits();
    await pool.publish(cluster, await pool.prepare(cluster, 1));
    for (const position of [0, 1]) await pool.start("guardian", position);
    await devnet.advanceUntil(async () => (await registry.counts()).unfunded > 0n, 100);
    await devnet.advance(SLOTS_PER_FRAME); // until the registration is final
    await devnet.slash(devnet.validatorByPubkey(keys[0] ?? "")?.index ?? -1);

    let report = await nextReport(story);
    while (report.openPenalties === 0n) report = await nextReport(story); // of a frame that ended before
    expect(report.applied).to.equal(false);
    const first = await poolManager.pendingLoss();
    expect(first.refSlot).to.equal(BigInt(report.refSlot));
    const terms = await rateTerms();
    await expectClosed();

    await devnet.mineTx(guardians.connect(governance).resumeDeposits(), guardians.interface);
    const refused = (): Promise<number> =>
      metric(keeper.service.url, "pooleth_keeper_jobs_total", { job: "deposit", result: "refused" });
    const refusedBefore = await refused();
    const deposited = (await poolManager.totals()).deposited;
    report = await nextReport(story);
    expect(report.applied).to.equal(false);
    const second = await poolManager.pendingLoss();
    expect(second.refSlot).to.equal(BigInt(report.refSlot));
    expect(second.refSlot > first.refSlot && second.loss > 0n).to.equal(true);
    expect(await rateTerms()).to.deep.equal(terms);
    await expectClosed();
    // the services go on: the deposit is asked for at every head, and refused by name
    expect((await refused()) > refusedBefore).to.equal(true);
    expect(
      keeperLog.some(({ job, revert }) => job === "deposit" && String(revert).startsWith("LossIsPending")),
    ).to.equal(true);
    expect((await poolManager.totals()).deposited).to.equal(deposited);
    for (const { service } of pool.services) expect((await service.sync()).failures).to.deep.equal([]);

    const agreed = second.loss + (await poolManager.totals()).locked; // what is locked may unlock until then
    const receipt = await devnet.mineTx(poolManager.connect(governance).confirmLoss(agreed), poolManager.interface);
    const [rebased] = await poolManager.queryFilter(
      poolManager.filters.Rebased(),
      receipt.blockNumber,
      receipt.blockNumber,
    );
    const [confirmed] = await poolManager.queryFilter(
      poolManager.filters.LossConfirmed(),
      receipt.blockNumber,
      receipt.blockNumber,
    );
    if (rebased === undefined || confirmed === undefined) throw new Error("the loss was not applied");
    const { etherBefore, etherAfter, treasuryFee } = rebased.args;
    expect(etherBefore - etherAfter + treasuryFee).to.equal(confirmed.args.loss);
    expect((await poolManager.pendingLoss()).loss).to.equal(0n);

    await pool.stake(bob, eth("1"));
    await devnet.advanceUntil(async () => (await poolManager.totals()).deposited > deposited, SLOTS_PER_FRAME);
    expect((await nextReport(story)).applied).to.equal(true);
    const { differences } = await story.auditor.audit([story.alice.address, bob.address, pool.treasury.address]);
    expect(differences).to.deep.equal([lie]);
  });
});
