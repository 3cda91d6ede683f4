import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { keccak256 } from "ethers";
import type { Head } from "../../../oracle/clock.js";
import { EventStore, type EventStoreOptions } from "../../../oracle/execution/eventStore.js";
import { readHead } from "../../../oracle/execution/provider.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { clusterSlot, isCurrent, snapshotsOf, NEW_CLUSTER } from "../../../oracle/ssv/cluster.js";
import { SSVNetworkDouble__factory, type SSVNetworkDouble } from "../../../types/ethers-contracts/index.js";
import { CHAIN_ID, startNode, type LocalNode } from "./node.js";
import { addressOf, temporaryFolder } from "./support.js";

describe("event store", () => {
  let node: LocalNode;
  let ssv: SSVNetworkDouble;
  let owner: string;
  let folder: ReturnType<typeof temporaryFolder>;
  const registry = addressOf("registry");

  before(async () => {
    node = await startNode();
    const [account] = node.accounts;
    owner = account!.address;
    ssv = await (await new SSVNetworkDouble__factory(account).deploy()).waitForDeployment();
    for (let i = 1; i <= 4; i++) await (await ssv.registerOperator(`0x0${i}`, 0, false)).wait();
  });
  after(() => node.close());
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => {
    folder.remove();
  });

  const open = async (changes: Partial<EventStoreOptions> = {}): Promise<EventStore> =>
    new EventStore({
      provider: node.provider,
      chainId: CHAIN_ID,
      registry,
      validatorExits: registry,
      ssvNetwork: await ssv.getAddress(),
      fromBlock: 0,
      dataDir: folder.path,
      logger: createLogger("silent"),
      ...changes,
    });
  const head = async (block: "latest" | number = "latest"): Promise<Head> => (await readHead(node.provider, block))!;
  const file = (): string => path.join(folder.path, readdirSync(folder.path)[0]!);
  const ids = (events: Awaited<ReturnType<EventStore["read"]>>): bigint[] =>
    events.flatMap((event) => (event.type === "OperatorAdded" ? [event.operatorId] : []));

  it("reads everything up to the head, whatever is final", async () => {
    const now = await head();
    expect(ids(await (await open()).read(now, null))).to.deep.equal([1n, 2n, 3n, 4n]);
    const store = await open();
    expect(ids(await store.read(now, await head(3)))).to.deep.equal([1n, 2n, 3n, 4n]);
    expect(ids(await store.read(now, await head(4)))).to.deep.equal([1n, 2n, 3n, 4n]);
    expect(ids(await store.read(await head(3), await head(3)))).to.deep.equal([1n, 2n, 3n]);
  });

  it("keeps only what is final, and continues from there after a restart", async () => {
    const now = await head();
    await (await open()).read(now, await head(3));
    const written = readFileSync(file(), "utf8");
    expect(written).to.include('"to":3').and.include('"operatorId":"2n"').and.not.include('"operatorId":"3n"');
    expect(ids(await (await open()).read(now, await head(3)))).to.deep.equal([1n, 2n, 3n, 4n]);
    expect(readFileSync(file(), "utf8")).to.equal(written);
    await (await open()).read(now, now);
    expect(readFileSync(file(), "utf8")).to.satisfy(
      (text: string) => text.startsWith(written) && text.includes('"4n"'),
    );
  });

  it("takes any number of events at once, and tells them in the same array until there are others", async () => {
    const now = await head();
    const third = await head(3);
    await (await open()).read(now, third);
    const many = Array.from({ length: 200_000 }, (_, log) => ({
      ...{ block: 3, transaction: 1, log },
      ...{ type: "OperatorRemoved", operatorId: "9n" },
    }));
    appendFileSync(file(), `${JSON.stringify({ to: 3, hash: third.hash, events: many })}\n`);
    const store = await open();
    const events = await store.read(now, third);
    expect(events).to.have.length(200_004);
    expect(await store.read(now, third)).to.equal(events);
    expect(await store.read(now, now)).to.equal(events); // what was recent is final now
  });

  it("says how far a long reading is", async () => {
    let time = 0;
    const lines: string[] = [];
    const logger = createLogger("info", {
      write: (line) => void lines.push((JSON.parse(line) as { msg: string }).msg),
    });
    const now = await head();
    await (await open({ logger, now: () => (time += 6_000) })).read(now, now);
    expect(lines).to.deep.equal([`read the events of ${now.number + 1} blocks: 4 in 6 s`]);
    await (await open({ logger })).read(now, now);
    expect(lines).to.have.length(1);
  });

  it("survives being killed in the middle of a line", async () => {
    const now = await head();
    await (await open()).read(now, await head(3));
    const whole = readFileSync(file(), "utf8");
    appendFileSync(file(), '{"to":4,"hash":"0x12","eve');
    expect(ids(await (await open()).read(now, now))).to.deep.equal([1n, 2n, 3n, 4n]);
    expect(readFileSync(file(), "utf8").startsWith(whole)).to.equal(true);
    // and in the middle of the first one
    writeFileSync(file(), whole.slice(0, 20));
    expect(ids(await (await open()).read(now, now))).to.deep.equal([1n, 2n, 3n, 4n]);
    expect(ids(await (await open()).read(now, now))).to.deep.equal([1n, 2n, 3n, 4n]);
  });

  it("drops a cache of another chain or of other settings", async () => {
    const now = await head();
    await (await open()).read(now, now);
    const text = readFileSync(file(), "utf8");
    writeFileSync(file(), text.replace(now.hash, keccak256("0x")).replaceAll('"4n"', '"44n"'));
    expect(ids(await (await open()).read(now, now))).to.deep.equal([1n, 2n, 3n, 4n]);
    expect(readFileSync(file(), "utf8")).to.equal(text);
    expect(ids(await (await open({ fromBlock: 4 })).read(now, now))).to.deep.equal([3n, 4n]);
  });

  it("says what to do about a line that is broken", async () => {
    const now = await head();
    await (await open()).read(now, now);
    const [header] = readFileSync(file(), "utf8").split("\n");
    for (const line of ["{}", "{", '{"to":1,"hash":"0x","events":[1]}']) {
      writeFileSync(file(), `${header!}\n${line}\n`);
      const error: unknown = await open().catch((thrown: unknown) => thrown);
      expect(error).to.have.property("code", "LogCacheBroken");
      expect(String(error)).to.include("Delete the file");
    }
  });

  it("refuses a head that was replaced meanwhile", async () => {
    const now = await head();
    const error: unknown = await (
      await open()
    )
      .read({ ...now, hash: keccak256("0x") }, null)
      .catch((thrown: unknown) => thrown);
    expect(error).to.have.property("code", "HeadMoved");
  });

  it("keeps nothing that a node told which does not have the finalised block: it may have only a part", async () => {
    const now = await head();
    const store = await open();
    const error: unknown = await store.read(now, { ...now, hash: keccak256("0x") }).catch((thrown: unknown) => thrown);
    expect(error).to.have.property("code", "HeadMoved");
    expect(readdirSync(folder.path)).to.deep.equal([]);
    expect(ids(await store.read(now, now))).to.deep.equal([1n, 2n, 3n, 4n]);
  });

  it("tracks the tuple that SSV has in storage", async () => {
    const events = async () => (await open()).read(await head(), null);
    const operators = [1n, 2n, 3n, 4n];
    const word = (): Promise<string> => ssvWord(clusterSlot(owner, operators));
    const ssvWord = async (slot: string): Promise<string> => node.provider.getStorage(await ssv.getAddress(), slot);
    const current = async () => snapshotsOf(await events()).latest(owner, operators);
    expect(isCurrent(await current(), await word())).to.equal(true);
    const key = `0x${"01".repeat(48)}`;
    await (await ssv.registerValidator(key, operators, "0x1234", NEW_CLUSTER, { value: 10n ** 18n })).wait();
    const registered = await current();
    expect(registered.validatorCount).to.equal(1n);
    expect(isCurrent(registered, await word())).to.equal(true);
    expect(isCurrent({ ...registered, balance: 1n }, await word())).to.equal(false);
    expect(isCurrent(NEW_CLUSTER, await word())).to.equal(false);
    const added = (await events()).find(({ type }) => type === "ValidatorAdded");
    expect(added).to.deep.include({ publicKey: key, sharesHash: keccak256("0x1234"), sharesLength: 2, owner });
  });

  it("keeps changes of clusters that are ours, and no others", async () => {
    // no account of ours was added by the registry's events, so this owner is a stranger
    const operators = [1n, 2n, 3n, 4n];
    const before = snapshotsOf(await (await open()).read(await head(), null)).latest(owner, operators);
    await (await ssv.deposit(owner, operators, before, { value: 1n })).wait();
    const events = await (await open()).read(await head(), null);
    expect(events.some(({ type }) => type === "ClusterChanged")).to.equal(false);
  });
});
