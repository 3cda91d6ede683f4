import { Writable } from "node:stream";
import { expect } from "chai";
import { ServiceError } from "../../../oracle/ops/errors.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { createMetrics, type Metrics } from "../../../oracle/ops/metrics.js";
import { BeaconNodes } from "../../../oracle/roles/beaconNodes.js";
import { TestBeaconNode } from "../beacon/beaconNode.js";
import { EMPTY_SHAPE, randomState, type BeaconState } from "../beacon/states.js";

const DEPOSIT_CONTRACT = "0x00000000219ab540356cBB839Cbe05303d7705Fa";
const CHAIN_ID = 1337;

describe("beacon nodes", () => {
  let state: BeaconState;
  let nodes: TestBeaconNode[];
  let metrics: Metrics;
  let levels: string[];

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
  const connect = async (): Promise<BeaconNodes> => {
    const destination = new Writable({
      write(chunk: Buffer, _encoding, done) {
        levels.push((JSON.parse(chunk.toString()) as { level: string }).level);
        done();
      },
    });
    return new BeaconNodes({
      urls: await Promise.all(nodes.map((node) => node.start())),
      chainId: CHAIN_ID,
      depositContract: DEPOSIT_CONTRACT,
      frames: { genesisTime: 1_700_000_000n, secondsPerSlot: 12n, slotsPerFrame: 32n },
      metrics,
      logger: createLogger("info", destination),
    });
  };
  const read = (beacon: BeaconNodes) => beacon.readState(nodes[0]!.blockRoot, new Set());
  const refusal = async (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => null,
      (error: unknown) => error,
    );

  beforeEach(() => {
    state = randomState("fulu", EMPTY_SHAPE);
    nodes = [new TestBeaconNode("fulu", state), new TestBeaconNode("fulu", state)];
    for (const node of nodes) node.replace("spec", spec());
    metrics = createMetrics();
    levels = [];
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
    expect(levels).to.deep.equal([]);
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
    expect(levels).to.deep.equal(["warn"]);
  });

  it("raise the alarm when one lies, and believe the one that tells the truth", async () => {
    const [liar] = nodes as [TestBeaconNode];
    const forged = Uint8Array.from(liar.octets);
    forged[60] = (forged[60] ?? 0) ^ 1; // the fork's previous version
    liar.replace("state", (_request, reply) => liar.sendState(reply, "fulu", forged));
    const beacon = await connect();
    expect((await read(beacon)).stateRoot).to.equal(nodes[1]!.header.stateRoot);
    expect(levels).to.deep.equal(["alert"]);
    const { values } = await metrics.alerts.get();
    expect(values.map(({ labels }) => labels.reason)).to.deep.equal(["STATE_ROOT_MISMATCH"]);
  });

  it("say nothing rather than something false when all lie", async () => {
    for (const node of nodes) node.replace("header", () => node.headerAnswer({ proposerIndex: 99_999 }));
    expect(await refusal(read(await connect()))).to.have.property("code", "BLOCK_ROOT_MISMATCH");
    expect(levels).to.deep.equal(["alert", "alert"]);
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
});
