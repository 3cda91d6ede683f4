import { existsSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { expect } from "chai";
import { committeeKey, SLOTS_PER_FRAME, type RunningService } from "../../../devnet/pool.js";
import { parseConfig, type ConfigInput } from "../../../oracle/config.js";
import { PoolError } from "../../../oracle/errors.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { startService, type Round, type Service, type ServiceOptions } from "../../../oracle/service.js";
import { startBranchNode } from "./branchNode.js";
import { startExecutionNode } from "./executionNode.js";
import { startLyingNode, type Lie, type LyingNode } from "./lyingNode.js";
import {
  activate,
  eth,
  expectNoDifference,
  metric,
  nextReport,
  openStory,
  referenceBlock,
  traffic,
  type Story,
} from "./story.js";

const LAG = "pooleth_finality_lag_slots";
const SIGNED = "pooleth_reports_signed_total";
const ALERTS = "pooleth_alerts_total";
const DISAGREEMENTS = "pooleth_report_disagreements_total";
const MEMBER = 2;
/** Services that work at the same time: what waits for a node must not wait for the processor. */
const AT_ONCE = 6;

/** What a beacon node does wrong, and what a member says that has no other. */
const FAULTS: readonly [fault: Lie | "down", code: string][] = [
  ["down", "BEACON_NODE_UNREACHABLE"],
  ["state", "STATE_ROOT_MISMATCH"],
  ["header", "BLOCK_ROOT_MISMATCH"],
  ["header and state", "BLOCK_ROOT_MISMATCH"],
  ["genesis", "WrongChain"],
  ["deposit contract", "WrongChain"],
  ["optimistic", "BEACON_EXECUTION_OPTIMISTIC"],
  ["optimistic about the state", "BEACON_EXECUTION_OPTIMISTIC"],
  ["syncing", "BEACON_NODE_REFUSED"],
  ["stuck", "BEACON_NOT_FOUND"],
  ["pruned", "BEACON_NOT_FOUND"],
  ["another header", "BLOCK_ROOT_MISMATCH"],
  ["another branch", "STATE_ROOT_MISMATCH"],
  ["json", "BEACON_BAD_ANSWER"],
  ["html", "BEACON_BAD_ANSWER"],
  ["html everywhere", "BEACON_BAD_ANSWER"],
  ["redirect", "BEACON_NODE_REFUSED"],
  ["reset", "BEACON_STREAM_BROKEN"],
  ["truncated", "STATE_TRUNCATED"],
  ["extended", "STATE_EXTENDED"],
  ["endless", "STATE_EXTENDED"],
  ["silent", "BEACON_NODE_TIMEOUT"],
  ["other fork", "STATE_OFFSET_INVALID"],
  ["unknown fork", "STATE_FORK_UNSUPPORTED"],
];
const QUIRKS: readonly Lie[] = ["compressed unasked", "states by slot only"];

interface Member {
  readonly service: Service;
  readonly dataDir: string;
  readonly urls: readonly string[];
  round: Round | null;
}

async function inBatches<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += AT_ONCE) {
    results.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map(work))));
  }
  return results;
}

describe("faults of beacon nodes", () => {
  let story: Story;
  let keeper: RunningService;
  let validators: string[];
  const nodes: LyingNode[] = [];

  before(async () => {
    story = await openStory();
    const { pool } = story;
    await pool.stake(story.alice, eth("70"));
    keeper = await pool.start("keeper", 0);
    for (const position of [0, 1]) await pool.start("oracle", position);
    validators = await activate(story, 2);
    traffic(story);
    await nextReport(story);
  });
  after(async () => {
    for (const node of nodes) await node.close();
    await story.pool.close();
  });

  async function startNode(lie: Lie): Promise<LyingNode> {
    const index = (): number => story.pool.devnet.validatorByPubkey(validators[0] ?? "")?.index ?? 0;
    const node = await startLyingNode(story.pool.devnet.beaconUrl, index, lie);
    nodes.push(node);
    return node;
  }

  /** The third member, in a folder of its own, with these beacon nodes. It works when it is asked to, unless it follows events. */
  async function startMember(
    name: string,
    urls: readonly string[],
    changes: Partial<ConfigInput> = {},
    options: Pick<ServiceOptions, "follow" | "now"> = {},
  ): Promise<Member> {
    const { pool } = story;
    const config = pool.config("oracle", MEMBER);
    const dataDir = `${config.dataDir}-${name.replaceAll(/\W+/g, "-")}`;
    const service = await startService(parseConfig({ ...config, beaconUrls: [...urls], dataDir, ...changes }), {
      signers: { oracle: committeeKey("oracle", MEMBER) },
      follow: false,
      logger: createLogger("silent"),
      ...options,
    });
    return { service, dataDir, urls, round: null };
  }

  /** What a member signed, by reference slot, as its journal has it. */
  function journal(dataDir: string): Map<number, string> {
    const file = path.join(dataDir, "signed-reports.jsonl");
    const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
    const entries = lines
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { refSlot: number; digest: string });
    return new Map(entries.map(({ refSlot, digest }) => [refSlot, digest]));
  }

  /** To the slot before the last one of the frame. */
  async function toEndOfFrame(): Promise<void> {
    const { devnet } = story.pool;
    await devnet.advanceUntil(() => devnet.slot % SLOTS_PER_FRAME === SLOTS_PER_FRAME - 2);
  }

  /** Until the reference block is final: the others have signed, and the keeper's transaction waits for a block. */
  async function untilFinal(refSlot: number): Promise<void> {
    const { devnet } = story.pool;
    await devnet.advanceUntil(() => devnet.chain.finalized.block.slot > refSlot);
  }

  describe("each alone, before an honest one, and with another before an honest one", () => {
    const members = new Map<string, Member>();
    let refSlot: number;
    let digest: string | undefined;
    let disagreements: number;

    const name = (fault: string, setting: string): string => `${fault}, ${setting}`;
    const member = (fault: string, setting: string): Member => {
      const found = members.get(name(fault, setting));
      if (found === undefined) throw new Error(`no member has ${name(fault, setting)}`);
      return found;
    };

    before(async () => {
      const { pool } = story;
      const honest = pool.devnet.beaconUrl;
      const kinds = [...FAULTS.map(([fault]) => fault), ...QUIRKS];
      const urls = new Map<string, string>();
      for (const kind of kinds) {
        const node = await startNode(kind === "down" ? "nothing" : kind);
        urls.set(kind, node.url);
        if (kind === "down") await node.close();
      }
      const url = (kind: string | undefined): string => urls.get(kind ?? "") ?? "";
      const settings = kinds.flatMap((kind, i): [string, string, string[]][] => [
        [kind, "alone", [url(kind)]],
        [kind, "one of two", [url(kind), honest]],
        [kind, "two of three", [url(kind), url(FAULTS[(i + 1) % FAULTS.length]?.[0]), honest]],
      ]);
      await toEndOfFrame();
      const started = await inBatches(settings, async ([kind, setting, beaconUrls]) => {
        const isSilent = beaconUrls.includes(url("silent"));
        const limits = isSilent ? { beaconTimeouts: { requestSeconds: 1.5 } } : {};
        return [name(kind, setting), await startMember(name(kind, setting), beaconUrls, limits)] as const;
      });
      for (const [key, running] of started) members.set(key, running);
      await pool.devnet.advance();
      refSlot = pool.devnet.slot;
      const all = [...members.values()];
      await inBatches(all, ({ service }) => service.sync());
      disagreements = await metric(keeper.service.url, DISAGREEMENTS);
      await untilFinal(refSlot);
      digest = journal(pool.config("oracle", 0).dataDir).get(refSlot);
      await inBatches(all, async (one) => {
        one.round = await one.service.sync();
      });
    });
    after(async () => {
      for (const { service } of members.values()) await service.stop();
    });

    it("the others have reported, and agree with whoever signed", async () => {
      expect(digest).to.match(/^0x/);
      const report = await nextReport(story);
      expect(report.refSlot).to.equal(refSlot);
      expect(report.beaconBlockRoot).to.equal(referenceBlock(story, refSlot).root);
      expect(await metric(keeper.service.url, DISAGREEMENTS)).to.equal(disagreements);
      await expectNoDifference(story);
    });

    for (const [fault, code] of FAULTS) {
      it(`${fault}: alone nothing is signed, with ${code}; with an honest one the report is`, async () => {
        const alone = member(fault, "alone");
        const [failure, ...more] = alone.round?.failures ?? [];
        expect(more).to.deep.equal([]);
        const { error } = failure ?? {};
        if (!(error instanceof PoolError)) throw new Error(`failed with ${String(error)}`);
        expect(error.code).to.equal(code);
        expect(error.message).to.contain(alone.urls[0]).and.not.contain("\n");
        expect(journal(alone.dataDir).size).to.equal(0);
        expect(await metric(alone.service.url, SIGNED)).to.equal(0);

        for (const setting of ["one of two", "two of three"]) {
          const helped = member(fault, setting);
          expect(helped.round?.failures, setting).to.deep.equal([]);
          expect(journal(helped.dataDir).get(refSlot), setting).to.equal(digest);
          expect(await metric(helped.service.url, SIGNED), setting).to.equal(1);
          const response = await fetch(new URL("/health", helped.service.url));
          const { beaconNodes } = (await response.json()) as {
            beaconNodes: { node: string; state: string; failure: string | null }[];
          };
          expect(beaconNodes.map(({ node }) => node)).to.deep.equal(helped.urls);
          for (const { state, failure: why, node } of beaconNodes) {
            const isWell = state === "ready" && why === null;
            expect(isWell, `${node}: ${state}, ${why ?? "no failure"}`).to.equal(node === story.pool.devnet.beaconUrl);
          }
        }
      });
    }

    for (const quirk of QUIRKS) {
      it(`${quirk}: is no fault`, () => {
        for (const setting of ["alone", "one of two", "two of three"]) {
          const { round, dataDir } = member(quirk, setting);
          expect(round?.failures).to.deep.equal([]);
          expect(journal(dataDir).get(refSlot)).to.equal(digest);
        }
      });
    }
  });

  it("that keep it waiting do not keep a service from ending", async () => {
    const node = await startNode("silent");
    await toEndOfFrame();
    const { service } = await startMember("ending", [node.url], { beaconTimeouts: { requestSeconds: 600 } });
    const { devnet } = story.pool;
    await devnet.advance();
    const refSlot = devnet.slot;
    await service.sync();
    await untilFinal(refSlot);
    const told = node.told;
    const round = service.sync();
    while (node.told === told) await new Promise((resolve) => setImmediate(resolve));
    await service.stop();
    const codes = (await round).failures.map(({ error }) => (error as PoolError).code);
    expect(codes).to.deep.equal(["BEACON_CLOSED"]);
    await nextReport(story);
  });

  describe("of two of three members", () => {
    it("stop the report; once their nodes are mended it is made", async () => {
      const { pool } = story;
      const { reportOracle, devnet } = pool;
      const [node, other] = [await startNode("state"), await startNode("pruned")];
      const [second] = pool.services.filter(({ name }) => name === "oracle 2");
      await second?.stop();
      await toEndOfFrame();
      const members = await Promise.all(
        [node, other].map(({ url }, i) =>
          pool.start("oracle", i + 1, {
            config: (config) => ({ ...config, beaconUrls: [url], dataDir: `${config.dataDir}-mended` }),
          }),
        ),
      );
      await devnet.advance();
      const refSlot = devnet.slot;
      const last = await reportOracle.lastFrame();
      await untilFinal(refSlot);
      await devnet.advance(3);
      expect(await reportOracle.lastFrame()).to.equal(last);
      for (const { service } of members) expect(await metric(service.url, SIGNED)).to.equal(0);
      expect(await metric(members[0]?.service.url ?? "", ALERTS, { reason: "STATE_ROOT_MISMATCH" })).to.be.greaterThan(
        0,
      );

      node.lie = "nothing";
      other.lie = "nothing";
      const report = await nextReport(story, 3);
      expect(report.refSlot).to.equal(refSlot);
      for (const { service } of members) expect(await metric(service.url, SIGNED)).to.equal(1);
      await expectNoDifference(story);
      for (const member of members) await member.stop();
      await pool.start("oracle", 1);
    });
  });

  describe("a reference block that is replaced before it is final", () => {
    /** A member whose execution node had another block while the reference block was the head. */
    async function overReorganisation(
      name: string,
      isHeadAgain: boolean,
    ): Promise<{ round: Round; digests: unknown[] }> {
      const { pool } = story;
      const { devnet } = pool;
      const branch = await startBranchNode(devnet.rpcUrl, pool.deployment.addresses.withdrawalVault);
      await toEndOfFrame();
      const { service, dataDir } = await startMember(name, [devnet.beaconUrl], { executionUrls: [branch.url] });
      await devnet.advance();
      const { slot: refSlot, executionBlockHash } = devnet.chain.head;
      branch.replaced = executionBlockHash;
      const { head } = await service.sync();
      expect(head.hash).to.match(/^0xb0b0/);
      if (!isHeadAgain) await devnet.advance();
      branch.replaced = null;
      await service.sync();
      // the chain tells the block's root by now, and may still take it back
      await devnet.advance(2);
      await service.sync();
      expect(journal(dataDir).size).to.equal(0);
      await untilFinal(refSlot);
      const round = await service.sync();
      const digests = [dataDir, pool.config("oracle", 0).dataDir].map((folder) => journal(folder).get(refSlot));
      await service.stop();
      await branch.close();
      await nextReport(story);
      return { round, digests };
    }

    it("while it is the head: the report is of the block that became final", async () => {
      const { round, digests } = await overReorganisation("reorganised", true);
      expect(round.failures).to.deep.equal([]);
      expect(digests[0]).to.match(/^0x/).and.equal(digests[1]);
    });

    it("when the next one comes: the member abstains if no node proves what came to the vault any more", async () => {
      const { round, digests } = await overReorganisation("reorganised late", false);
      expect(round.failures.map(({ error }) => (error as PoolError).code)).to.deep.equal(["RecordMissing"]);
      expect(digests[0]).to.equal(undefined);
      expect(digests[1]).to.match(/^0x/);
      await expectNoDifference(story);
    });
  });

  describe("announcements", () => {
    const ROUNDS = "pooleth_rounds_total";
    let node: LyingNode;
    let service: Service;
    let looks: number;
    let close: () => Promise<void>;

    /** Lets everything happen that is under way. */
    const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
      while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
    };

    before(async () => {
      const { pool } = story;
      node = await startNode("nothing");
      looks = 0;
      const counting = await startExecutionNode(pool.devnet.rpcUrl, ({ method, params }, honest) => {
        if (method === "eth_getBlockByNumber" && params[0] === "latest") looks++;
        return honest;
      });
      const { port } = counting.server.address() as AddressInfo;
      close = () => counting.close();
      const member = await startMember(
        "listening",
        [node.url],
        {
          executionUrls: [`http://127.0.0.1:${port}`],
          pollSeconds: 3_600,
        },
        { follow: true },
      );
      service = member.service;
      await until(() => service.processedHead !== null && node.listeners === 1);
    });
    after(async () => {
      await service.stop();
      await close();
    });

    it("of a head make the service look at once", async () => {
      const { devnet } = story.pool;
      await devnet.advance();
      const { slot, executionBlockHash } = devnet.chain.head;
      expect(service.processedHead?.hash).not.to.equal(executionBlockHash);
      node.announce("head", slot);
      await until(() => service.processedHead?.hash === executionBlockHash);
    });

    it("of finality, too, and then the same head is processed once more", async () => {
      const before = await metric(service.url, ROUNDS);
      node.announce("finalized_checkpoint", 9);
      await until(async () => (await metric(service.url, ROUNDS)) > before);
      expect(await metric(service.url, ROUNDS)).to.equal(before + 1);
    });

    it("in any number, true or not, make it look once a second at most", async () => {
      const before = looks;
      const rounds = await metric(service.url, ROUNDS);
      const start = performance.now();
      // what stands in for a node that means no good goes on until the service has looked three times
      for (let slot = 0; looks < before + 3; slot++) {
        node.announce("head", slot);
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(performance.now() - start).to.be.greaterThan(1_000);
      expect(await metric(service.url, ROUNDS), "the head has not changed").to.equal(rounds);
    });
  });

  describe("a head that stands still", () => {
    it("is an alert, and the service is not healthy until a block comes", async () => {
      const { devnet } = story.pool;
      let milliseconds = 0;
      const { service } = await startMember("waiting", [devnet.beaconUrl], {}, { now: () => milliseconds });
      const health = async (): Promise<{ code: number; failures: Record<string, string> }> => {
        const response = await fetch(new URL("/health", service.url));
        return { code: response.status, ...((await response.json()) as { failures: Record<string, string> }) };
      };
      await service.sync();
      expect(await health()).to.deep.include({ code: 200, failures: {}, alarms: {} });
      milliseconds += 26 * devnet.secondsPerSlot * 1_000;
      await service.sync();
      const stalled = await health();
      expect(stalled.code).to.equal(503);
      expect(stalled.failures["head"]).to.match(/No block has come for 9984 seconds/);
      expect(await metric(service.url, ALERTS, { reason: "HeadStalled" })).to.equal(1);
      await devnet.advance();
      await service.sync();
      expect(await health()).to.deep.include({ code: 200, failures: {}, alarms: {} });
      await service.stop();
    });
  });

  describe("a chain that does not finalise", () => {
    it("is an alert of every service, and harms nothing; once it finalises the next report covers all frames", async () => {
      const { pool } = story;
      const { devnet, reportOracle } = pool;
      const alarms = (): Promise<{ alarms: Record<string, string>; status: string }[]> =>
        Promise.all(
          pool.services.map(async ({ service }) => {
            const health = await fetch(new URL("/health", service.url));
            return (await health.json()) as { alarms: Record<string, string>; status: string };
          }),
        );
      const counted = (name: string, labels = {}): Promise<number[]> =>
        Promise.all(pool.services.map(({ service }) => metric(service.url, name, labels)));
      await devnet.advance();
      for (const told of await alarms()) expect(told).to.deep.include({ alarms: {}, status: "ok" });

      devnet.setOffline(Array.from({ length: 32 }, (_, i) => i));
      const late = 6 * SLOTS_PER_EPOCH;
      await devnet.advanceUntil(() => devnet.slot - devnet.chain.finalized.block.slot >= late + SLOTS_PER_EPOCH);
      const last = await reportOracle.lastFrame();
      await devnet.advance(SLOTS_PER_EPOCH);
      expect(await reportOracle.lastFrame()).to.equal(last);
      expect(Math.floor(devnet.slot / SLOTS_PER_FRAME), "a frame has ended without a report").to.be.greaterThan(
        Number(last) + 1,
      );
      for (const { alarms: told, status } of await alarms()) {
        expect(status).to.equal("ok");
        expect(told["NotFinalising"]).to.match(/has finalised nothing for \d+ epochs/);
      }
      for (const lag of await counted(LAG)) expect(lag).to.be.at.least(late);
      for (const alerts of await counted(ALERTS, { reason: "NotFinalising" })) expect(alerts).to.equal(1);

      devnet.setOffline([]);
      await nextReport(story, 4 * SLOTS_PER_FRAME);
      await devnet.advance(SLOTS_PER_EPOCH);
      for (const told of await alarms()) expect(told).to.deep.include({ alarms: {}, status: "ok" });
      for (const lag of await counted(LAG)) expect(lag).to.be.lessThan(late);
      await expectNoDifference(story);
    });
  });
});
