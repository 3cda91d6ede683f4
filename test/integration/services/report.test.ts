import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { toBeHex } from "ethers";
import { SLOTS_PER_FRAME } from "../../../devnet/pool.js";
import { timeOfSlot } from "../../../oracle/clock.js";
import type { ConfigInput } from "../../../oracle/config.js";
import { connectPool } from "../../../oracle/execution/contracts.js";
import {
  activate,
  eth,
  falseReport,
  nextReport,
  openStory,
  recordingLogger,
  startReporting,
  traffic,
  type LogRecord,
  type Story,
} from "../stories/story.js";
import { pooleth } from "./process.js";

/** Nobody answers there. */
const NOWHERE = "http://127.0.0.1:1";
const BEACON_ROOTS = "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02";
const ROOTS_KEPT = 8191n;

interface Told {
  isFinal: boolean;
  withdrawnFrom: string;
  report: Record<string, unknown>;
  table: Record<string, unknown>[];
  tableSha256: string;
  accepted: { block: number; applied: boolean; gainWei: string; figures: Record<string, string> } | null;
  differences: { field: string; left: string; right: string }[];
  arithmetic: { outlook: Record<string, string>; verdict: { outcome: string; finalisedWei: string } | null } | null;
}

describe("pooleth report", () => {
  let story: Story;
  let folder: string;
  let keys: string[];
  let log: LogRecord[];

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), "pooleth-"));
    story = await openStory();
    await story.pool.stake(story.alice, eth("70"));
    await startReporting(story);
    const { logger, records } = recordingLogger();
    log = records;
    await story.pool.services.find(({ name }) => name === "oracle 1")?.stop();
    await story.pool.start("oracle", 0, { logger });
    keys = await activate(story, 2);
    traffic(story);
    await nextReport(story);
  });
  after(async () => {
    await story.pool.close();
    rmSync(folder, { recursive: true });
  });

  const stopAll = async (role: string): Promise<void> => {
    for (const service of story.pool.services.filter((running) => running.role === role)) await service.stop();
  };
  const configFile = (changes: Partial<ConfigInput> = {}): string => {
    const file = path.join(folder, "report.json");
    writeFileSync(file, JSON.stringify({ ...story.pool.config("oracle", 0), ...changes }));
    return file;
  };
  const tell = async (exitCode: number, ...args: string[]): Promise<Told> => {
    const told = await pooleth("report", "--config", configFile(), "--json", ...args);
    expect(told.exitCode, told.lines.join("\n")).to.equal(exitCode);
    return JSON.parse(told.lines.join("\n")) as Told;
  };

  it("has the figures of the accepted report to the wei, its gain too, and the table that the oracle signed by", async () => {
    const { reportOracle, poolManager } = story.pool;
    const report = await nextReport(story);
    const [event] = await reportOracle.queryFilter(reportOracle.filters.ReportAccepted(), report.block, report.block);
    const { clBalance, withdrawnAtRef } = event!.args;
    const csv = path.join(folder, "table.csv");
    const told = await tell(0, "--csv", csv);
    expect(told).to.deep.include({ isFinal: true, withdrawnFrom: "proof", differences: [] });
    expect(told.report).to.deep.equal({
      version: 1,
      refSlot: report.refSlot,
      beaconBlockRoot: report.beaconBlockRoot,
      clBalance: String(clBalance),
      openPenalties: "0",
      withdrawnAtRef: String(withdrawnAtRef),
      exiting: [],
      exited: [],
    });
    const [rebased] = await poolManager.queryFilter(poolManager.filters.Rebased(), report.block, report.block);
    expect(told.arithmetic?.outlook["gainWei"]).to.equal(String(rebased!.args.gain));
    expect(told.accepted).to.deep.include({ block: report.block, applied: true, gainWei: String(rebased!.args.gain) });

    expect(told.table.map((row) => [row["public_key"], row["standing"]])).to.deep.equal(
      keys.map((key) => [key, "owned"]),
    );
    const sumGwei = told.table.reduce((sum, row) => sum + BigInt(String(row["balance_gwei"])), 0n);
    expect(sumGwei * 10n ** 9n).to.equal(clBalance);
    const signed = log.filter(({ msg, refSlot }) => msg === "signed the report" && refSlot === report.refSlot);
    const written = createHash("sha256").update(readFileSync(csv)).digest("hex");
    expect([told.tableSha256, written]).to.deep.equal(
      signed.flatMap((record) => [record["tableSha256"], record["tableSha256"]]),
    );

    for (const [dataDir, says] of [
      [
        story.pool.config("oracle", 0).dataDir,
        /^withdrawnAtRef .* proven against the state root in the beacon state$/m,
      ],
      [path.join(folder, "no records"), /^withdrawnAtRef .* NOT PROVEN, an execution node's word: a member without a/m],
    ] as const) {
      const { lines } = await pooleth("report", "--config", configFile({ dataDir }));
      expect(lines.join("\n")).to.match(says);
    }

    const earlier = await tell(0, "--slot", String(report.refSlot - SLOTS_PER_FRAME));
    expect(earlier.report["refSlot"]).to.equal(report.refSlot - SLOTS_PER_FRAME);
    expect(earlier.accepted?.applied).to.equal(true);
  });

  it("is proven by a file that whoever has an execution node can check, for as long as the chain has the report", async () => {
    const { pool } = story;
    const { reportOracle } = pool;
    const [event] = await reportOracle.queryFilter(reportOracle.filters.ReportAccepted(await reportOracle.lastFrame()));
    const { refSlot, beaconBlockRoot, clBalance } = event!.args;
    const file = path.join(folder, "proof.json");
    const made = await pooleth("prove", file, "--slot", String(refSlot), "--config", configFile());
    expect(made.lines).to.deep.equal([`${file}: 2 validators and 0 pending deposits at slot ${refSlot}`]);
    const check = (name: string) =>
      pooleth("verify-proof", name, "--json", "--config", configFile({ beaconUrls: [NOWHERE] }));
    const checked = await check(file);
    expect(checked.exitCode, checked.lines.join("\n")).to.equal(0);
    const told = JSON.parse(checked.lines.join("\n")) as Record<string, unknown>;
    expect(told).to.deep.include({
      refSlot: Number(refSlot),
      blockRoot: beaconBlockRoot,
      missing: [],
      strangers: [],
      balancesGwei: String(clBalance / 10n ** 9n),
      reportedWei: String(clBalance),
    });
    const { lines } = await pooleth("verify-proof", file, "--config", configFile());
    expect(lines[0]).to.match(new RegExp(`^Proven .* block ${beaconBlockRoot}, .* slot ${refSlot}, says EIP-4788:$`));

    // a state of its own, a file that is none, and one of another frame
    const proof = JSON.parse(readFileSync(file, "utf8")) as { validators: { balances: string }[]; refSlot: number };
    const cases: [text: string, says: RegExp][] = [
      ["[]", /is no file of `pooleth prove`: Invalid input: expected object, received array\.$/],
      ["{", /proof\.json\.bad cannot be read as JSON/],
      [
        JSON.stringify({ ...proof, validators: [{ ...proof.validators[0], balances: `0x${"11".repeat(32)}` }] }),
        /^What the file says does not lead to the root 0x\w{64}: it proves nothing/,
      ],
      [
        JSON.stringify({ ...proof, refSlot: proof.refSlot - SLOTS_PER_FRAME }),
        /^The file is about block 0x\w{64}; the last block at or before slot \d+ is 0x\w{64}, says EIP-4788\. It proves nothing\.$/,
      ],
    ];
    for (const [text, says] of cases) {
      writeFileSync(`${file}.bad`, text);
      const refused = await check(`${file}.bad`);
      expect(refused.exitCode).to.equal(1);
      expect(refused.lines).to.have.length(1);
      expect(refused.lines[0]).to.match(says);
    }

    // 27 hours later later blocks have taken the places of the roots
    const { provider } = pool.devnet;
    const { frames } = await connectPool(pool.config("oracle", 0).poolManager, provider);
    const head = await provider.getBlock("latest");
    for (let slot = Number(refSlot) + 1; timeOfSlot(frames, slot) <= head!.timestamp; slot++) {
      const place = toBeHex(BigInt(timeOfSlot(frames, slot)) % ROOTS_KEPT);
      await provider.send("hardhat_setStorageAt", [BEACON_ROOTS, place, toBeHex(1, 32)]);
    }
    const later = await check(file);
    expect(JSON.parse(later.lines.join("\n"))).to.deep.include({
      rootFrom: "the accepted report",
      blockRoot: beaconBlockRoot,
    });
  });

  it("says of a report that is still to come what the contracts will do, and of each validator why it counts", async () => {
    const { pool, alice } = story;
    const { devnet, reportOracle, withdrawalQueue, poolManager } = pool;
    await devnet.mineTx(pool.poolETH.connect(alice).requestWithdrawal(eth("2"), alice.address));
    await stopAll("keeper");
    // the frame that began after the request, once it is final
    await devnet.advance(2 * SLOTS_PER_FRAME - (devnet.slot % SLOTS_PER_FRAME) + 24);
    const told = await tell(0);
    expect(told).to.deep.include({ accepted: null, isFinal: true });
    expect(told.arithmetic?.verdict?.outcome).to.equal("applied");
    const { lines } = await pooleth("report", "--config", configFile(), "--explain");
    const text = lines.join("\n");
    for (const key of [1, 2]) expect(text).to.match(new RegExp(`^ *${key} +\\d+ +1 +owned.* counts: the pool's`, "m"));
    expect(text)
      .to.match(/^= gain +-?\d+\.\d+ /m)
      .and.to.match(/It would be applied now, and finalise withdrawals of [12]\.\d+ ETH/);
    expect(lines.at(-1)).to.equal("Not reported yet.");

    const before = await reportOracle.lastFrame();
    await pool.start("keeper", 0);
    await stopAll("oracle");
    for (const position of [0, 1]) await pool.start("oracle", position); // to push to the new keeper
    await devnet.advanceUntil(async () => (await reportOracle.lastFrame()) > before, SLOTS_PER_FRAME);
    const block = await devnet.provider.getBlockNumber();
    const [rebased] = await poolManager.queryFilter(poolManager.filters.Rebased(), block, block);
    const [paid] = await withdrawalQueue.queryFilter(withdrawalQueue.filters.WithdrawalsFinalised(), block, block);
    // rewards of the blocks between came in; withdrawals are worth what they were
    expect(rebased!.args.gain >= BigInt(told.arithmetic?.outlook["gainWei"] ?? "0")).to.equal(true);
    expect((await tell(0)).arithmetic?.outlook["gainWei"]).to.equal(String(rebased!.args.gain));
    expect(paid).to.not.equal(undefined);
  });

  it("ends with code 1 when the chain accepted another, and names the field and both values", async () => {
    const { pool } = story;
    const { devnet } = pool;
    await stopAll("oracle");
    await devnet.advance(SLOTS_PER_FRAME - (devnet.slot % SLOTS_PER_FRAME) + 1);
    const keeper = pool.services.find(({ role }) => role === "keeper");
    const lie = await falseReport(story, keeper!, [1, 2], 5n);
    await nextReport(story);
    const told = await tell(1);
    const truth = String(lie.clBalance - 5n);
    expect(told.differences[0]).to.deep.equal({ field: "clBalance", left: String(lie.clBalance), right: truth });
    expect(told.differences.map(({ field }) => field)).to.deep.equal(["clBalance", "gain"]);
    const { exitCode, lines } = await pooleth("report", "--config", configFile());
    expect(exitCode).to.equal(1);
    expect(lines.join("\n")).to.match(new RegExp(`IT DIFFERS[^]*clBalance +${lie.clBalance} +${truth}`));
  });

  it("says in one line what is wrong", async () => {
    const cases: [changes: Partial<ConfigInput>, args: string[], says: RegExp][] = [
      [{}, ["--slot", "100"], /^Slot 100 is not the last of a frame; those around it are \d+ and \d+\.$/],
      [
        {},
        ["--slot", String(SLOTS_PER_FRAME * 1_000 - 1)],
        /still runs or has not begun; the latest that has ended ends at slot \d+\.$/,
      ],
      [{}, ["--slot", "x"], /slot.*is invalid.*number of a slot/],
      [{}, ["--csv", path.join(folder, "no", "such.csv")], /^--csv: .*such\.csv cannot be written \(ENOENT\)\.$/],
      [{ beaconUrls: [NOWHERE] }, [], /^Beacon node http:\/\/127\.0\.0\.1:1.*ECONNREFUSED/],
      [{ roles: ["keeper"], beaconUrls: [] }, [], /^beaconUrls: must name at least one/],
    ];
    for (const [changes, args, says] of cases) {
      const { exitCode, lines } = await pooleth("report", "--config", configFile(changes), ...args);
      expect(exitCode, lines.join("\n")).to.equal(1);
      expect(lines).to.have.length(1);
      expect(lines[0]).to.match(says);
    }
  });
});
