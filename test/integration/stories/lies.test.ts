import { expect } from "chai";
import { committeeKey, SLOTS_PER_FRAME, type RunningService } from "../../../devnet/pool.js";
import type { Report } from "../../../oracle/signatures/messages.js";
import {
  activate,
  eth,
  expectNoDifference,
  falseReport,
  metric,
  nextReport,
  openStory,
  recordingLogger,
  traffic,
  type LogRecord,
  type Story,
} from "./story.js";

const DISAGREEMENTS = "pooleth_report_disagreements_total";
const LIAR = 2;

describe("lies", () => {
  let story: Story;
  let keeper: RunningService;
  let keeperLog: LogRecord[];
  let oracleLog: LogRecord[];

  before(async () => {
    story = await openStory();
    const { pool } = story;
    await pool.stake(story.alice, eth("70"));
    const { logger, records } = recordingLogger();
    keeperLog = records;
    keeper = await pool.start("keeper", 0, { logger });
    const oracle = recordingLogger();
    oracleLog = oracle.records;
    await pool.start("oracle", 0, { logger: oracle.logger });
    await pool.start("oracle", 1);
    await activate(story, 2);
    traffic(story);
    await nextReport(story);
  });
  after(() => story.pool.close());

  /** The third member's report about the frame that can be reported now, with an ETH too much. */
  const pushFalseReport = (): Promise<Report> => falseReport(story, keeper, [LIAR], eth("1"));

  const differing = (refSlot: number, log = keeperLog): LogRecord[] =>
    log.filter((record) => record.msg.includes("differs") && record["refSlot"] === refSlot);

  it("of one member change nothing: the honest quorum is submitted, and keeper and members name the member and the field", async () => {
    const { pool } = story;
    const { devnet } = pool;
    await devnet.advance(SLOTS_PER_FRAME - (devnet.slot % SLOTS_PER_FRAME) + 1);
    const before = await metric(keeper.service.url, DISAGREEMENTS);
    const lie = await pushFalseReport();
    const report = await nextReport(story);
    expect(report.refSlot).to.equal(lie.refSlot);
    expect(report.clBalance).to.equal(lie.clBalance - eth("1"));
    expect(await metric(keeper.service.url, DISAGREEMENTS)).to.equal(before + 1);
    expect(
      differing(lie.refSlot).map(({ signer, field, theirs, majority }) => [signer, field, theirs, majority]),
    ).to.deep.equal([
      [committeeKey("oracle", LIAR).address, "clBalance", String(lie.clBalance), String(report.clBalance)],
    ]);
    const [members, signers] = await pool.reportOracle.members();
    const signer = committeeKey("oracle", LIAR).address;
    const told = {
      refSlot: lie.refSlot,
      member: members[signers.indexOf(signer)],
      signer,
      field: "clBalance",
      theirs: String(lie.clBalance),
      ours: String(report.clBalance),
    };
    const [once, ...more] = differing(lie.refSlot, oracleLog);
    expect(once).to.include(told);
    expect(more).to.deep.equal([]);
    await expectNoDifference(story);
  });

  it("against one honest member stop the report and are told, and the next frame covers both", async () => {
    const { pool } = story;
    const { devnet, reportOracle } = pool;
    const last = await reportOracle.lastFrame();
    const [second] = pool.services.filter(({ name }) => name === "oracle 2");
    await second?.stop();
    await devnet.advance(SLOTS_PER_FRAME - (devnet.slot % SLOTS_PER_FRAME) + 1);
    const before = await metric(keeper.service.url, DISAGREEMENTS);
    const lie = await pushFalseReport();
    // in time for the last block of this frame; of the one before it has no proof of the vault, and abstains
    await devnet.advanceUntil(() => devnet.slot % SLOTS_PER_FRAME === SLOTS_PER_FRAME - 2);
    expect(await reportOracle.lastFrame()).to.equal(last);
    expect(await metric(keeper.service.url, DISAGREEMENTS)).to.equal(before + 1);
    expect(differing(lie.refSlot).map(({ field }) => field)).to.deep.equal(["clBalance"]);

    await pool.start("oracle", 1);
    const report = await nextReport(story);
    expect(report.frame).to.equal(last + 2n);
    await expectNoDifference(story);
  });
});
