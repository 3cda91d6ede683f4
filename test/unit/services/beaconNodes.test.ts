import { expect } from "chai";
import { ServiceError } from "../../../oracle/ops/errors.js";
import { createMetrics, type Metrics } from "../../../oracle/ops/metrics.js";
import { BeaconNodes, type BeaconNews } from "../../../oracle/roles/beaconNodes.js";
import type { NodeState } from "../../../oracle/roles/nodeHealth.js";
import { TestBeaconNode } from "../beacon/beaconNode.js";
import { EMPTY_SHAPE, randomState, type BeaconState } from "../beacon/states.js";
import { recordingLogger, type LogRecord } from "./log.js";

const DEPOSIT_CONTRACT = "0x00000000219ab540356cBB839Cbe05303d7705Fa";
const CHAIN_ID = 1337;

describe("beacon nodes", () => {
  let state: BeaconState;
  let nodes: TestBeaconNode[];
  let metrics: Metrics;
  let records: LogRecord[];

  const syncing =
    (changes: Record<string, unknown> = {}) =>
    () => ({
      data: {
        head_slot: "5000",
        sync_distance: "0",
        is_syncing: false,
        is_optimistic: false,
        el_offline: false,
        ...changes,
      },
    });
  const spec =
    (changes: Record<string, string> = {}) =>
    () => ({
      data: {
        PRESET_BASE: "minimal",
        SLOTS_PER_EPOCH: "8",
        SECONDS_PER_SLOT: "12",
        GENESIS_FORK_VERSION: "0x00000001",
        DEPOSIT_CHAIN_ID: String(CHAIN_ID),
        DEPOSIT_CONTRACT_ADDRESS: DEPOSIT_CONTRACT.toLowerCase(),
        ...changes,
      },
    });
  const connect = async (chainId = CHAIN_ID): Promise<BeaconNodes> => {
    const { logger, records: written } = recordingLogger();
    records = written;
    return new BeaconNodes({
      urls: await Promise.all(nodes.map((node) => node.start())),
      chainId,
      depositContract: DEPOSIT_CONTRACT,
      frames: { genesisTime: 1_700_000_000n, secondsPerSlot: 12n, slotsPerFrame: 32n },
      metrics,
      logger,
    });
  };
  const levels = (): string[] => records.map(({ level }) => level).filter((level) => level !== "debug");
  const read = (beacon: BeaconNodes) => beacon.readState(nodes[0]!.blockRoot, new Set());
  const refusal = async (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => null,
      (error: unknown) => error,
    );

  beforeEach(() => {
    state = randomState("fulu", EMPTY_SHAPE);
    nodes = [new TestBeaconNode("fulu", state), new TestBeaconNode("fulu", state)];
    for (const node of nodes) {
      node.replace("spec", spec());
      node.replace("syncing", syncing());
    }
    metrics = createMetrics();
  });
  afterEach(async () => {
    for (const node of nodes) await node.stop();
  });

  it("ask the first one, after one look at its chain", async () => {
    const beacon = await connect();
    expect((await read(beacon)).blockRoot).to.equal(nodes[0]!.blockRoot);
    await read(beacon);
    expect((await beacon.genesis()).genesisForkVersion).to.equal("0x00000001");
    expect(nodes[0]!.requests.filter(({ url }) => url.endsWith("/spec"))).to.have.length(1);
    expect(nodes[1]!.requests).to.have.length(0);
    expect(levels()).to.deep.equal([]);
  });

  it("serve a state once, however often it is needed, and again for keys it was not read for", async () => {
    const beacon = await connect();
    const [node] = nodes as [TestBeaconNode];
    const states = (): number => node.requests.filter(({ url }) => url.includes("/debug/beacon/states/")).length;
    const keys = ["0x01", "0x02"].map((octet) => octet.padEnd(98, "0"));
    for (let round = 0; round < 3; round++) await beacon.readState(node.blockRoot, new Set(keys));
    await beacon.readState(node.blockRoot, new Set(keys.slice(1)));
    expect(states()).to.equal(1);
    const more = await beacon.readState(node.blockRoot, new Set([...keys, "0x03".padEnd(98, "0")]));
    expect(more.pubkeys.size).to.equal(3);
    expect(states()).to.equal(2);
  });

  it("go to the next one when one is down", async () => {
    nodes[0]!.replace("header", (_request, reply) => reply.code(500).send({}));
    expect((await read(await connect())).blockRoot).to.equal(nodes[0]!.blockRoot);
    expect(levels()).to.deep.equal(["warn"]);
  });

  it("raise the alarm when one lies, and believe the one that tells the truth", async () => {
    const [liar] = nodes as [TestBeaconNode];
    const forged = Uint8Array.from(liar.octets);
    forged[60] = (forged[60] ?? 0) ^ 1; // the fork's previous version
    liar.replace("state", (_request, reply) => liar.sendState(reply, "fulu", forged));
    const beacon = await connect();
    expect((await read(beacon)).stateRoot).to.equal(nodes[1]!.header.stateRoot);
    expect(levels()).to.deep.equal(["alert"]);
    const { values } = await metrics.alerts.get();
    expect(values.map(({ labels }) => labels.reason)).to.deep.equal(["STATE_ROOT_MISMATCH"]);
  });

  it("say nothing rather than something false when all lie", async () => {
    for (const node of nodes) node.replace("header", () => node.headerAnswer({ proposerIndex: 99_999 }));
    expect(await refusal(read(await connect()))).to.have.property("code", "BLOCK_ROOT_MISMATCH");
    expect(levels()).to.deep.equal(["alert", "alert"]);
  });

  const wrong: [field: string, changes: Record<string, string>][] = [
    ["slotsPerEpoch", { SLOTS_PER_EPOCH: "32" }],
    ["secondsPerSlot", { SECONDS_PER_SLOT: "5" }],
    ["depositChainId", { DEPOSIT_CHAIN_ID: "1" }],
    ["depositContractAddress", { DEPOSIT_CONTRACT_ADDRESS: `0x${"11".repeat(20)}` }],
  ];
  for (const [field, changes] of wrong) {
    it(`are never asked when their ${field} is that of another chain`, async () => {
      for (const node of nodes) node.replace("spec", spec(changes));
      const error = await refusal(read(await connect()));
      expect(error).to.be.instanceOf(ServiceError).and.have.property("code", "WrongChain");
      expect(String(error)).to.include(field);
    });
  }

  it("must all have the genesis of the first", async () => {
    const genesis = { genesis_time: "1700000000", genesis_fork_version: "0x00000001" };
    nodes[1]!.replace("genesis", () => ({ data: { ...genesis, genesis_validators_root: `0x${"ab".repeat(32)}` } }));
    const beacon = await connect();
    for (const [i, client] of beacon.clients.entries()) {
      const error = await refusal(beacon.check(client));
      if (i === 0) expect(error).to.equal(null);
      else expect(String(error)).to.include("genesisValidatorsRoot");
    }
  });

  it("must have the genesis of a network that everybody knows, whatever the first says", async () => {
    const hoodi = 560_048;
    const genesis = {
      genesis_time: "1700000000",
      genesis_validators_root: "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f",
      genesis_fork_version: "0x10000910",
    };
    for (const node of nodes) {
      node.replace("spec", spec({ DEPOSIT_CHAIN_ID: String(hoodi) }));
      node.replace("genesis", () => ({ data: genesis }));
    }
    nodes[0]!.replace("genesis", () => ({ data: { ...genesis, genesis_fork_version: "0x00000000" } }));
    const beacon = await connect(hoodi);
    expect(String(await refusal(beacon.check(beacon.clients[0]!)))).to.match(
      /genesisForkVersion 0x00000000, expected is 0x10000910/,
    );
    expect((await beacon.genesis()).genesisForkVersion).to.equal("0x10000910");
    expect(levels()).to.deep.equal(["alert"]);
  });

  const ready = async (beacon: BeaconNodes): Promise<Record<string, number>> => {
    const { values } = await metrics.beaconNodeReady.get();
    return Object.fromEntries(
      values.map(({ labels, value }) => [String(beacon.clients.findIndex(({ name }) => name === labels.node)), value]),
    );
  };
  /** Which of the nodes served the state that was read. */
  const asked = async (beacon: BeaconNodes): Promise<number[]> => {
    const before = nodes.map(({ requests }) => requests.length);
    await beacon.readState(nodes[0]!.blockRoot, new Set([`0x${(keys++).toString(16).padStart(96, "0")}`]));
    const states = nodes.map(({ requests }, i) =>
      requests.slice(before[i]).filter(({ url }) => url.includes("/debug/")),
    );
    return states.flatMap((requests, i) => (requests.length > 0 ? [i] : []));
  };
  let keys = 1;

  describe("that are not well", () => {
    const conditions: [state: NodeState, syncing: Record<string, unknown>][] = [
      ["syncing", { is_syncing: true }],
      ["optimistic", { is_optimistic: true }],
      ["execution-offline", { el_offline: true }],
      ["behind", { head_slot: "900" }],
    ];
    for (const [condition, changes] of conditions) {
      it(`${condition}: are asked after the others, until they are well again`, async () => {
        const [first] = nodes as [TestBeaconNode];
        first.replace("syncing", syncing(changes));
        const beacon = await connect();
        await beacon.survey(1_000);
        expect(beacon.health.map(({ state: now }) => now)).to.deep.equal([condition, "ready"]);
        expect(await ready(beacon)).to.deep.equal({ 0: 0, 1: 1 });
        expect(await asked(beacon)).to.deep.equal([1]);
        expect(levels()).to.deep.equal(["warn"]);
        first.replace("syncing", syncing({ head_slot: "1007" }));
        await beacon.survey(1_007);
        expect(await asked(beacon), "no new epoch").to.deep.equal([1]);
        await beacon.survey(1_008);
        expect(beacon.health[0]).to.include({ state: "ready", headSlot: 1_007 });
        expect(await ready(beacon)).to.deep.equal({ 0: 1, 1: 1 });
        expect(await asked(beacon)).to.deep.equal([0]);
        expect(levels()).to.deep.equal(["warn", "info"]);
      });
    }

    it("are asked all the same when no other answers", async () => {
      const [first, second] = nodes as [TestBeaconNode, TestBeaconNode];
      first.replace("syncing", syncing({ is_syncing: true }));
      second.replace("header", (_request, reply) => reply.code(500).send({}));
      const beacon = await connect();
      await beacon.survey(1_000);
      expect(await asked(beacon)).to.deep.equal([0]);
    });

    it("unreachable, or of another chain: a survey does not fail, and says so once", async () => {
      const [first, second] = nodes as [TestBeaconNode, TestBeaconNode];
      first.replace("syncing", (_request, reply) => reply.code(502).send({}));
      second.replace("spec", spec({ DEPOSIT_CHAIN_ID: "1" }));
      const beacon = await connect();
      for (let slot = 1_000; slot < 1_040; slot += 8) await beacon.survey(slot);
      expect(beacon.health.map(({ state: now }) => now)).to.deep.equal(["unreachable", "wrong-chain"]);
      expect(levels()).to.deep.equal(["warn", "alert"]);
      expect(records.map(({ node }) => node)).to.deep.equal(beacon.clients.map(({ name }) => name));
    });

    it("are looked at once an epoch", async () => {
      const beacon = await connect();
      for (let slot = 1_000; slot < 1_016; slot++) await beacon.survey(slot);
      for (const { requests } of nodes) {
        expect(requests.filter(({ url }) => url.endsWith("/syncing"))).to.have.length(2);
      }
    });
  });

  describe("that fail", () => {
    const fail = (node: TestBeaconNode, fails: boolean): void => {
      node.replace("header", (request, reply) =>
        fails && (request.params as { id: string }).id === node.blockRoot
          ? reply.code(500).send({})
          : node.headerAnswer(),
      );
    };

    it("come back to their place after an epoch, and after twice as long each time they fail again", async () => {
      const [first] = nodes as [TestBeaconNode];
      fail(first, true);
      const beacon = await connect();
      const failures = async (): Promise<number> => {
        const { values } = await metrics.beaconNodeFailures.get();
        return values.reduce((sum, { value }) => sum + value, 0);
      };
      const triedAt: number[] = [];
      for (let slot = 1_000; slot < 1_200; slot++) {
        await beacon.survey(slot);
        const before = await failures();
        expect(await asked(beacon)).to.deep.equal([1]);
        if ((await failures()) > before) triedAt.push(slot);
      }
      expect(triedAt).to.deep.equal([1_000, 1_008, 1_024, 1_056, 1_120]);
      expect(beacon.health[0]).to.include({ state: "ready", askedLastUntil: 1_248 });
      expect(beacon.health[0]?.failure).to.match(/HTTP status 500/);
      expect(await ready(beacon)).to.deep.equal({ 0: 0, 1: 1 });

      fail(first, false);
      await beacon.survey(1_247);
      expect(await asked(beacon)).to.deep.equal([1]);
      await beacon.survey(1_248);
      expect(await asked(beacon)).to.deep.equal([0]);
      expect(beacon.health[0]).to.include({ failure: null, askedLastUntil: null });
      expect(await ready(beacon)).to.deep.equal({ 0: 1, 1: 1 });
      fail(first, true);
      expect(await asked(beacon)).to.deep.equal([1]);
      expect(beacon.health[0]).to.include({ askedLastUntil: 1_256 });
    });

    it("all at once, however often they are asked, lose their place for an epoch only", async () => {
      for (const node of nodes) fail(node, true);
      const beacon = await connect();
      await beacon.survey(1_000);
      for (let i = 0; i < 3; i++) expect(await refusal(read(beacon))).to.have.property("code", "BEACON_NODE_REFUSED");
      expect(beacon.health.map(({ askedLastUntil }) => askedLastUntil)).to.deep.equal([1_008, 1_008]);
      for (const node of nodes) fail(node, false);
      expect(await asked(beacon)).to.deep.equal([0]);
    });

    it("are asked after the others for a day when they were caught lying", async () => {
      const [first] = nodes as [TestBeaconNode];
      const forged = Uint8Array.from(first.octets);
      forged[60] = (forged[60] ?? 0) ^ 1;
      first.replace("state", (_request, reply) => first.sendState(reply, "fulu", forged));
      const beacon = await connect();
      await beacon.survey(1_000);
      expect(await asked(beacon)).to.deep.equal([0, 1]);
      expect(beacon.health[0]).to.include({ state: "ready", askedLastUntil: 1_000 + 225 * 8 });
      await beacon.survey(2_799);
      expect(await asked(beacon)).to.deep.equal([1]);
      await beacon.survey(2_800);
      expect(await asked(beacon)).to.deep.equal([0, 1]);
    });

    it("have their chain compared again before they are believed again", async () => {
      const [first] = nodes as [TestBeaconNode];
      const beacon = await connect();
      expect(await asked(beacon)).to.deep.equal([0]);
      fail(first, true);
      expect(await asked(beacon)).to.deep.equal([1]);
      fail(first, false);
      first.replace("spec", spec({ DEPOSIT_CHAIN_ID: "1" }));
      await beacon.survey(1_000);
      expect(beacon.health[0]).to.include({ state: "wrong-chain" });
    });
  });

  describe("compared", () => {
    /** The same chain's, with another block at the same or another slot. */
    const otherBranch = (slot: number): TestBeaconNode => {
      const other = structuredClone(state);
      other.latestBlockHeader.slot = slot;
      other.latestBlockHeader.bodyRoot = new Uint8Array(32).fill(7);
      const node = new TestBeaconNode("fulu", other);
      node.replace("spec", spec());
      node.replace("syncing", syncing());
      return node;
    };
    const differing = (): LogRecord[] => records.filter(({ msg }) => msg.includes("disagree"));

    it("agree on what is final, quietly", async () => {
      const beacon = await connect();
      await beacon.survey(1_000);
      expect(levels()).to.deep.equal([]);
      for (const { requests } of nodes) {
        expect(requests.map(({ url }) => url)).to.include("/eth/v1/beacon/headers/finalized");
      }
    });

    it("and one that has finalised another block: an alert with what each says", async () => {
      nodes[1] = otherBranch(state.latestBlockHeader.slot);
      const beacon = await connect();
      await beacon.survey(1_000);
      expect(levels()).to.deep.equal(["alert"]);
      expect(differing()).to.have.length(1);
      expect(differing()[0]?.roots).to.deep.equal(
        Object.fromEntries(nodes.map(({ blockRoot }, i) => [beacon.clients[i]?.name, blockRoot])),
      );
      const { values } = await metrics.alerts.get();
      expect(values.map(({ labels }) => labels.reason)).to.deep.equal(["FinalizedHeadersDiffer"]);
      await beacon.survey(1_008);
      expect(differing()).to.have.length(2);
    });

    it("where one has finalised more: by the block of the slower one", async () => {
      const [slower] = nodes as [TestBeaconNode];
      const faster = otherBranch(state.latestBlockHeader.slot + 8);
      nodes[1] = faster;
      faster.replace("header", (request) =>
        (request.params as { id: string }).id === "finalized" ? faster.headerAnswer() : slower.headerAnswer(),
      );
      const beacon = await connect();
      await beacon.survey(1_000);
      expect(levels()).to.deep.equal([]);
      faster.replace("header", () => faster.headerAnswer());
      await beacon.survey(1_008);
      expect(differing()).to.have.length(1);
    });

    it("and one whose header is not of the root it tells: it lies", async () => {
      nodes[0]!.replace("header", () => nodes[0]!.headerAnswer({ proposerIndex: 99_999 }));
      const beacon = await connect();
      await beacon.survey(1_000);
      expect(levels()).to.deep.equal(["alert"]);
      expect(records.at(-1)?.error).to.deep.include({ code: "BLOCK_ROOT_MISMATCH" });
      expect(await asked(beacon)).to.deep.equal([1]);
    });

    it("and one that does not tell: nothing follows from it", async () => {
      nodes[0]!.replace("header", (_request, reply) => reply.code(404).send({}));
      const beacon = await connect();
      await beacon.survey(1_000);
      expect(levels()).to.deep.equal([]);
    });
  });

  describe("followed", () => {
    const HEAD = {
      slot: "10",
      block: `0x${"01".repeat(32)}`,
      state: `0x${"02".repeat(32)}`,
      epoch_transition: false,
      execution_optimistic: false,
    };
    const FINALIZED = { epoch: "1", block: HEAD.block, state: HEAD.state, execution_optimistic: false };

    let opened: number;
    let finish: () => void;

    /** Events of both kinds, then the stream stays open until `finish` is called. */
    const announce = (node: TestBeaconNode): void => {
      opened = 0;
      node.replace("events", (_request, reply) => {
        opened++;
        reply.hijack();
        reply.raw.writeHead(200, { "content-type": "text/event-stream" });
        reply.raw.write(`event: head\ndata: ${JSON.stringify(HEAD)}\n\n`);
        reply.raw.write(`event: finalized_checkpoint\ndata: ${JSON.stringify(FINALIZED)}\n\n`);
        finish = () => {
          reply.raw.end();
        };
      });
    };

    /** What is announced, in order; a promise of the next. */
    class News implements BeaconNews {
      readonly seen: string[] = [];
      #waiting: (() => void)[] = [];
      readonly onHead = (): void => {
        this.#add("head");
      };
      readonly onFinalized = (): void => {
        this.#add("finalized");
      };

      async until(count: number): Promise<void> {
        while (this.seen.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }

      #add(what: string): void {
        this.seen.push(what);
        for (const resolve of this.#waiting.splice(0)) resolve();
      }
    }

    it("tell of heads and of finality, from the first survey on", async () => {
      announce(nodes[1]!);
      const beacon = await connect();
      const news = new News();
      beacon.follow(news);
      await beacon.survey(1_000);
      await news.until(2);
      expect(news.seen).to.deep.equal(["head", "finalized"]);
      await beacon.survey(1_008);
      expect(opened).to.equal(1);
      beacon.close();
    });

    it("are not listened to while they are of another chain", async () => {
      const [first, second] = nodes as [TestBeaconNode, TestBeaconNode];
      first.replace("spec", spec({ DEPOSIT_CHAIN_ID: "1" }));
      announce(second);
      const beacon = await connect();
      const news = new News();
      beacon.follow(news);
      await beacon.survey(1_000);
      await news.until(2);
      const wasAsked = (): boolean => first.requests.some(({ url }) => url.includes("/events"));
      expect(wasAsked()).to.equal(false);
      announce(first);
      first.replace("spec", spec());
      await beacon.survey(1_008);
      await news.until(4);
      expect(wasAsked()).to.equal(true);
      beacon.close();
    });

    it("are asked for events again at the next survey when they refused, and no more once closed", async () => {
      const [first] = nodes as [TestBeaconNode];
      first.replace("events", (_request, reply) => reply.code(503).send({}));
      const beacon = await connect();
      const refused = (): number => first.requests.filter(({ url }) => url.includes("/events")).length;
      const news = new News();
      beacon.follow(news);
      await beacon.survey(1_000);
      while (!records.some(({ error }) => (error as { code?: string } | undefined)?.code === "BEACON_NODE_REFUSED")) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(refused()).to.equal(1);
      announce(first);
      await beacon.survey(1_008);
      await news.until(2);
      beacon.close();
      await beacon.survey(1_016);
      expect(opened).to.equal(1);
      finish();
    });
  });
});
