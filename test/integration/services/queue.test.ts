import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import type { ConfigInput } from "../../../oracle/config.js";
import {
  activate,
  advanceTo,
  eth,
  lastSlotOfFrame,
  nextReport,
  openStory,
  startReporting,
  type Story,
} from "../stories/story.js";
import { pooleth } from "./process.js";

const GWEI_PER_ETH = 10n ** 9n;

interface Told {
  requests: { waiting: number; afterCutoff: number; valueWei: string };
  liquid: { bufferedWei: string };
  shortageWei: string;
  exits: { asked: number; confirmed: number; due: number; forceable: number };
  validators: {
    id: number;
    publicKey: string;
    stage: string;
    wei: string;
    estimate: { exitEpoch: number; withdrawableEpoch: number; likely: { slot: number }; latest: { slot: number } };
  }[];
  request: { status: string; valueWei: string; payment: { frame: number; timestamp: number } | null };
}

describe("pooleth queue", () => {
  let story: Story;
  let folder: string;
  let keys: string[];

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), "pooleth-"));
    story = await openStory();
    await story.pool.stake(story.alice, eth("70"));
    await startReporting(story);
    keys = await activate(story, 2);
    await story.pool.devnet.advanceEpochs(5); // SHARD_COMMITTEE_PERIOD
  });
  after(async () => {
    await story.pool.close();
    rmSync(folder, { recursive: true });
  });

  const configFile = (changes: Partial<ConfigInput> = {}): string => {
    const file = path.join(folder, "queue.json");
    writeFileSync(file, JSON.stringify({ ...story.pool.config("oracle", 0), ...changes }));
    return file;
  };
  const tell = async (): Promise<Told> => {
    const { exitCode, lines } = await pooleth("queue", "--config", configFile(), "--request", "1", "--json");
    expect(exitCode, lines.join("\n")).to.equal(0);
    return JSON.parse(lines.join("\n")) as Told;
  };
  const stages = ({ validators }: Told) => validators.map(({ stage }) => stage);

  it("tells of a shortage, of the exits that cover it, and when a request is paid, before it is", async () => {
    const { pool, alice, cluster } = story;
    const { devnet, withdrawalQueue, poolManager, validatorExits } = pool;
    const request = () => pool.poolETH.connect(alice).requestWithdrawal(eth("40"), alice.address);
    for (const service of [...pool.services]) await service.stop(); // or the keeper would ask

    await advanceTo(story, lastSlotOfFrame(devnet.slot) - 8);
    await devnet.mineTx(request());
    const short = await tell();
    const totals = await poolManager.totals();
    expect(short.requests).to.include({ waiting: 1, afterCutoff: 1 });
    expect(short.requests.valueWei).to.equal(totals.queued.toString());
    expect(short.liquid.bufferedWei).to.equal(totals.buffered.toString());
    expect(short.exits).to.deep.equal({ asked: 0, confirmed: 0, due: 2, forceable: 0 });
    expect(stages(short)).to.deep.equal(["due", "due"]);
    expect(short.validators.map(({ publicKey }) => publicKey)).to.have.members(keys);

    await devnet.mineTx(validatorExits.connect(pool.user(9)).requestExits(cluster.clusterId, keys));
    const asked = await tell();
    expect(asked.exits).to.deep.equal({ asked: 2, confirmed: 0, due: 0, forceable: 0 });
    expect(stages(asked)).to.deep.equal(["asked", "asked"]);

    await devnet.advanceUntil(
      () => keys.every((key) => devnet.validatorByPubkey(key)?.status === "active_exiting"),
      60,
    );
    await devnet.advance(); // what is told is of the block before the head
    const exiting = await tell();
    expect(stages(exiting)).to.deep.equal(["exiting", "exiting"]);
    for (const { publicKey, estimate } of exiting.validators) {
      expect(estimate).to.include({ exitEpoch: devnet.validatorByPubkey(publicKey)!.validator.exitEpoch });
    }
    // the operators take some slots to sign: at most two epochs begin meanwhile
    const epochs = (told: Told): number[] => told.validators.map(({ estimate }) => estimate.exitEpoch);
    expect(epochs(exiting)[0]! - epochs(asked)[0]!).to.be.within(0, 3);

    const { payment } = exiting.request;
    const lines = (await pooleth("queue", "--config", configFile(), "--request", "1")).lines;
    expect(lines.at(-1)).to.match(new RegExp(`^Request 1, worth .* paid by the report of frame ${payment!.frame}: 20`));

    const arrived = new Map<string, number>();
    await devnet.advanceUntil(() => {
      for (const key of keys.filter((one) => !arrived.has(one))) {
        // not "withdrawal_done": who still is in a sync committee goes on earning
        if (devnet.validatorByPubkey(key)!.balanceGwei < GWEI_PER_ETH) arrived.set(key, devnet.slot);
      }
      return arrived.size === keys.length;
    }, 200);
    for (const { publicKey, estimate } of exiting.validators) {
      expect(Math.abs(arrived.get(publicKey)! - estimate.likely.slot)).to.be.at.most(2);
      expect(arrived.get(publicKey)).to.be.at.most(estimate.latest.slot);
    }

    const come = await tell();
    expect(come.requests).to.include({ waiting: 1, afterCutoff: 0 });
    expect(come.shortageWei).to.equal("0");
    expect(come.request.payment).to.deep.equal(payment);

    await startReporting(story);
    let frame = 0n;
    while ((await withdrawalQueue.state()).lastFinalised === 0n) ({ frame } = await nextReport(story));
    expect(Number(frame)).to.equal(payment!.frame);
    const { timestamp } = (await devnet.provider.getBlock("latest"))!;
    expect(Math.abs(timestamp - payment!.timestamp)).to.be.at.most(2 * devnet.secondsPerSlot);

    const paid = await tell();
    expect(paid.request).to.include({ status: "finalised", payment: null });
    expect(paid.validators).to.deep.equal([]);
  });

  it("says in one line what is wrong: a dead node, another chain, no beacon node, no such request", async () => {
    const dead = "http://127.0.0.1:1";
    const cases: [changes: Partial<ConfigInput>, request: string, says: RegExp][] = [
      [{ executionUrls: [dead] }, "1", /^No execution node can be used.*127\.0\.0\.1:1.*ECONNREFUSED/],
      [{ beaconUrls: [dead] }, "1", /^Beacon node http:\/\/127\.0\.0\.1:1.*ECONNREFUSED/],
      [{ chainId: 1 }, "1", /is of chain 1337, not 1/],
      [{ roles: ["keeper"], beaconUrls: [] }, "1", /^beaconUrls: must name at least one/],
      [{}, "99", /^There is no request 99; the last one made is \d+\.$/],
      [{}, "0", /request.*is invalid.*from 1/],
    ];
    for (const [changes, request, says] of cases) {
      const { exitCode, lines } = await pooleth("queue", "--config", configFile(changes), "--request", request);
      expect(exitCode, lines.join("\n")).to.equal(1);
      expect(lines).to.have.length(1);
      expect(lines[0]).to.match(says);
    }
  });
});
