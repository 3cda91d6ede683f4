import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:http";
import { expect } from "chai";
import { id, Wallet } from "ethers";
import type { FastifyInstance } from "fastify";
import { createHttpServer } from "../../../oracle/ops/http.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { createMetrics, type Metrics } from "../../../oracle/ops/metrics.js";
import { registerCollector, SIGNATURES_PATH } from "../../../oracle/signatures/collector.js";
import { messageToJson, sign, type SignedMessage } from "../../../oracle/signatures/messages.js";
import { pushSignatures } from "../../../oracle/signatures/push.js";
import { SignatureStore } from "../../../oracle/signatures/store.js";
import { APPROVAL, context, DOMAINS, members, REPORT, VETTING } from "./messagesSupport.js";

describe("push exchange", () => {
  const logger = createLogger("silent");
  const [oracle] = members("oracle") as [Wallet];
  const [guardian] = members("guardian") as [Wallet];
  let store: SignatureStore;
  let metrics: Metrics;
  let app: FastifyInstance;
  let url: string;
  let report: SignedMessage;

  beforeEach(async () => {
    store = new SignatureStore();
    store.update(context());
    metrics = createMetrics();
    app = createHttpServer(metrics, () => ({
      roles: ["keeper"],
      processedHead: null,
      failures: {},
      alarms: {},
      beaconNodes: [],
    }));
    registerCollector(app, store, metrics, logger);
    url = await app.listen({ host: "127.0.0.1", port: 0 });
    report = await sign({ kind: "report", message: REPORT }, DOMAINS, oracle);
  });
  afterEach(() => app.close());

  const post = (body: string, contentType = "application/json"): Promise<Response> =>
    fetch(new URL(SIGNATURES_PATH, url), { method: "POST", body, headers: { "content-type": contentType } });
  const count = async (counter: "signaturesReceived" | "signaturesPushed"): Promise<Record<string, number>> => {
    const { values } = await metrics[counter].get();
    return Object.fromEntries(values.map(({ labels, value }) => [String(labels.result), value]));
  };

  it("brings what a member signed into the collector", async () => {
    const approval = await sign({ kind: "deposit", message: APPROVAL }, DOMAINS, guardian);
    await pushSignatures([url], [report, approval], metrics, logger);
    expect(store.reports(63)).to.have.length(1);
    expect(store.deposits(1)).to.have.length(1);
    expect(await count("signaturesPushed")).to.deep.equal({ Kept: 2 });
    expect(await count("signaturesReceived")).to.deep.equal({ Kept: 2 });
  });

  it("brings more than one request holds", async () => {
    const messages = await Promise.all(
      Array.from({ length: 70 }, (_, batch) =>
        sign({ kind: "vetting", message: { ...VETTING, batch } }, DOMAINS, guardian),
      ),
    );
    await pushSignatures([url], messages, metrics, logger);
    expect(await count("signaturesPushed")).to.deep.equal({ Kept: 70 });
    expect(store.size).to.equal(70);
  });

  it("goes on when a collector is down, refuses, or answers nonsense", async () => {
    const broken: Server = createServer((_request, response) => response.end("{}"));
    await new Promise<void>((done) => broken.listen(0, "127.0.0.1", done));
    const { port } = broken.address() as AddressInfo;
    const stranger = await sign({ kind: "report", message: REPORT }, DOMAINS, new Wallet(id("stranger")));
    await pushSignatures(["http://127.0.0.1:1", `http://127.0.0.1:${port}`, url], [stranger, report], metrics, logger);
    broken.close();
    expect(await count("signaturesPushed")).to.deep.equal({ Unreachable: 2, NotAMember: 1, Kept: 1 });
    expect(store.size).to.equal(1);
  });

  it("judges no more of a request than a few messages of strangers: each costs a recovery", async () => {
    const stranger = new Wallet(id("stranger"));
    const messages = await Promise.all(
      Array.from({ length: 10 }, (_, batch) =>
        sign({ kind: "vetting", message: { ...VETTING, batch } }, DOMAINS, stranger),
      ),
    );
    await pushSignatures([url], [...messages, report], metrics, logger);
    expect(await count("signaturesReceived")).to.deep.equal({ NotAMember: 2, NotJudged: 9 });
    expect(store.size).to.equal(0);
  });

  it("holds no connection for a request that does not come, and not any number", () => {
    expect(app.server.requestTimeout).to.equal(15_000);
    expect(app.server.maxConnections).to.equal(256);
  });

  it("sends nothing when there is nothing to say", async () => {
    await pushSignatures(["http://127.0.0.1:1"], [], metrics, logger);
    expect(await count("signaturesPushed")).to.deep.equal({});
  });

  const bad: [what: string, body: (json: string) => string, status: number][] = [
    ["no JSON", () => "{", 400],
    ["no messages", () => "{}", 400],
    ["an empty list", () => '{"messages":[]}', 400],
    ["too many messages", (json) => `{"messages":[${Array.from({ length: 65 }, () => json).join()}]}`, 400],
    ["an unknown kind", (json) => `{"messages":[${json.replace('"report"', '"rumour"')}]}`, 400],
    ["a missing field", (json) => `{"messages":[${json.replace('"refSlot":63,', "")}]}`, 400],
    ["a field too many", (json) => `{"messages":[${json.replace('"refSlot":63', '"refSlot":63,"x":1')}]}`, 400],
    ["a body beyond the limit", (json) => `{"messages":[${json}],"x":"${"x".repeat(132_000)}"}`, 413],
  ];
  for (const [what, body, status] of bad) {
    it(`refuses ${what}`, async () => {
      expect((await post(body(messageToJson(report)))).status).to.equal(status);
      expect(store.size).to.equal(0);
    });
  }

  it("says what is wrong with a message", async () => {
    const body = `{"messages":[${messageToJson(report).replace('"refSlot":63', '"refSlot":-1')}]}`;
    const answer = (await (await post(body)).json()) as { problems: string[] };
    expect(answer.problems[0]).to.include("messages.0.message.refSlot");
    expect(await count("signaturesReceived")).to.deep.equal({ Malformed: 1 });
  });

  it("takes nothing but JSON", async () => {
    expect((await post(messageToJson({ messages: [report] }), "application/xml")).status).to.equal(415);
  });

  it("tells alerts from refusals: a member that signs two reports is seen", async () => {
    const other = await sign({ kind: "report", message: { ...REPORT, clBalance: 1n } }, DOMAINS, oracle);
    await pushSignatures([url], [report, other], metrics, logger);
    expect(await count("signaturesReceived")).to.deep.equal({ Kept: 1, AnotherReportSigned: 1 });
  });

  it("tells a member of the reports that others signed against its own, and nobody else", async () => {
    const [, second, third] = members("oracle") as [Wallet, Wallet, Wallet];
    const other = await sign({ kind: "report", message: { ...REPORT, clBalance: 1n } }, DOMAINS, second);
    const same = await sign({ kind: "report", message: REPORT }, DOMAINS, third);
    expect(await pushSignatures([url], [report], metrics, logger)).to.deep.equal([]);
    expect(await pushSignatures([url], [other], metrics, logger)).to.deep.equal([report]);
    expect(await pushSignatures([url], [same], metrics, logger)).to.deep.equal([other]);
    expect(await pushSignatures([url, url], [report], metrics, logger)).to.deep.equal([other, other]);
    const stranger = await sign({ kind: "report", message: REPORT }, DOMAINS, new Wallet(id("stranger")));
    expect(await pushSignatures([url], [stranger], metrics, logger)).to.deep.equal([]);
    const later = await sign({ kind: "report", message: { ...REPORT, refSlot: 95 } }, DOMAINS, oracle);
    expect(await pushSignatures([url], [later], metrics, logger)).to.deep.equal([]);
  });

  it("serves health and metrics beside it", async () => {
    expect((await fetch(`${url}/health`)).status).to.equal(503);
    expect(await (await fetch(`${url}/metrics`)).text()).to.include("pooleth_signatures_received_total");
  });
});
