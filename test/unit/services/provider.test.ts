import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { Contract, Interface, toQuantity } from "ethers";
import { network } from "hardhat";
import {
  FailoverProvider,
  isNotServed,
  readAncestor,
  readHead,
  readHeadByHash,
} from "../../../oracle/execution/provider.js";
import { decodeRevert } from "../../../oracle/execution/contracts.js";
import { ServiceError } from "../../../oracle/ops/errors.js";
import { addressOf } from "./support.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { BEACON_ROOTS_ADDRESS } from "../../../devnet/execution/predeploys.js";
import { IReportOracle__factory, SSVNetworkDouble__factory } from "../../../types/ethers-contracts/index.js";

const CHAIN_ID = 31_337;
const NOBODY = addressOf("nobody");

interface Node {
  readonly url: string;
  readonly requests: string[];
  answer: (method: string) => unknown;
  readonly server: Server;
}

/** A JSON-RPC server of which the test decides each answer; null is a broken connection. */
async function startNode(answer: (method: string) => unknown): Promise<Node> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const { id, method } = JSON.parse(body) as { id: number; method: string };
      requests.push(method);
      const result = node.answer(method);
      if (result === null) response.destroy();
      else {
        const { status, ...rest } = result as { status?: number };
        response.writeHead(status ?? 200).end(JSON.stringify({ jsonrpc: "2.0", id, ...rest }));
      }
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const node: Node = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, answer, server };
  return node;
}

const GENESIS = "0x6e";

const onChain =
  (chainId: number, rest: (method: string) => unknown = () => ({ result: "0x5" }), genesis = GENESIS) =>
  (method: string): unknown => {
    if (method === "eth_chainId") return { result: `0x${chainId.toString(16)}` };
    if (method === "eth_getBlockByNumber") return { result: { hash: genesis, number: "0x0", timestamp: "0x0" } };
    return rest(method);
  };
const at = (number: number): ((method: string) => unknown) => onChain(CHAIN_ID, () => ({ result: toQuantity(number) }));
const failing = (code: number, message: string): ((method: string) => unknown) =>
  onChain(CHAIN_ID, (method) => (method === "eth_blockNumber" ? { result: "0x5" } : { error: { code, message } }));

describe("execution provider", () => {
  const nodes: Node[] = [];
  const start = async (answer: (method: string) => unknown): Promise<Node> => {
    const node = await startNode(answer);
    nodes.push(node);
    return node;
  };
  let time = 0;
  const lines: Record<string, unknown>[] = [];
  const told = (level: string): string[] =>
    lines.flatMap((one) => (one["level"] === level ? [String(one["msg"])] : []));
  const connect = (...urls: string[]): FailoverProvider =>
    new FailoverProvider(
      urls,
      CHAIN_ID,
      createLogger("debug", { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) }),
      { now: () => time },
    );
  const count = ({ requests }: Node, method: string): number => requests.filter((one) => one === method).length;
  const refusal = async (promise: Promise<unknown>): Promise<ServiceError> => {
    const error: unknown = await promise.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    if (error instanceof ServiceError) return error;
    throw new Error(`not refused as expected: ${String(error)}`);
  };
  afterEach(() => {
    time = 0;
    lines.length = 0;
    for (const { server } of nodes.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  it("stays with the first node while it answers, and asks each for its chain, its genesis block and its head once", async () => {
    const [first, second] = [await start(at(5)), await start(at(6))];
    const provider = connect(first.url, second.url);
    for (let i = 0; i < 3; i++) expect(await provider.send("eth_gasPrice", [])).to.equal("0x5");
    const once = ["eth_chainId", "eth_getBlockByNumber", "eth_blockNumber"];
    expect(first.requests).to.deep.equal([...once, "eth_gasPrice", "eth_gasPrice", "eth_gasPrice"]);
    expect(second.requests).to.deep.equal(once);
    const alone = connect(first.url);
    first.requests.length = 0;
    await alone.send("eth_gasPrice", []);
    expect(first.requests).to.deep.equal(["eth_chainId", "eth_gasPrice"]);
  });

  it("goes to the next when a node fails, says so once, and returns to the first of the configuration after a while", async () => {
    const [first, second] = [await start(at(5)), await start(at(6))];
    const provider = connect(first.url, second.url);
    first.answer = () => null;
    const price = (): Promise<unknown> => provider.send("eth_gasPrice", []);
    expect(await Promise.all([price(), price(), price()])).to.deep.equal(["0x6", "0x6", "0x6"]);
    expect(told("warn")).to.have.length(1);
    expect(told("warn")[0]).to.match(
      /^execution node http:\/\/127\S+: it cannot be reached \(\w+\); asking .*, and this one last for 30 s$/,
    );
    const asked = first.requests.length;
    time = 29_000;
    expect(await price()).to.equal("0x6");
    expect(first.requests).to.have.length(asked); // it is left alone
    time = 31_000;
    expect(await price()).to.equal("0x6");
    expect(first.requests.length).to.be.greaterThan(asked); // it is tried, and still fails: for twice as long
    expect(told("warn").at(-1)).to.match(/last for 60 s$/);
    first.answer = at(5);
    time = 89_000;
    expect(await price()).to.equal("0x6");
    first.requests.length = 0;
    time = 92_000;
    expect(await price()).to.equal("0x5");
    expect(first.requests[0]).to.equal("eth_chainId"); // what comes back may be another node
    expect(told("info")).to.deep.equal([`execution node ${first.url} answers again`]);
  });

  it("refuses a node that comes back as one of another chain", async () => {
    const [first, second] = [await start(at(5)), await start(at(6))];
    const provider = connect(first.url, second.url);
    expect(await provider.send("eth_gasPrice", [])).to.equal("0x5");
    first.answer = () => null;
    expect(await provider.send("eth_gasPrice", [])).to.equal("0x6");
    first.answer = onChain(1);
    time = 31_000;
    expect(await provider.send("eth_gasPrice", [])).to.equal("0x6");
  });

  it("asks a node that rests when no other answers", async () => {
    const [first, second] = [await start(() => null), await start(at(6))];
    const provider = connect(first.url, second.url);
    expect(await provider.send("eth_gasPrice", [])).to.equal("0x6");
    first.answer = at(5);
    second.answer = () => ({ nonsense: true });
    expect(await provider.send("eth_gasPrice", [])).to.equal("0x5");
  });

  it("never believes a node of another chain", async () => {
    const [wrong, right] = [await start(onChain(1)), await start(at(5))];
    expect(await connect(wrong.url, right.url).getBlockNumber()).to.equal(5);
    expect(wrong.requests).to.deep.equal(["eth_chainId"]);
    const error = await refusal(connect(wrong.url).getBlockNumber());
    expect(error.code).to.equal("ExecutionUnreachable");
    expect(JSON.stringify(error.meta["failures"])).to.include("WrongChain");
  });

  it("never believes a node with another genesis block than the first has, when it takes over either", async () => {
    const other = onChain(CHAIN_ID, () => ({ result: "0x9" }), "0x99");
    const [first, second] = [await start(at(5)), await start(other)];
    const provider = connect(first.url, second.url);
    expect(await provider.getBlockNumber()).to.equal(5);
    expect(told("warn").join()).to.include("it has the genesis block 0x99").and.include(`${first.url} has ${GENESIS}`);
    first.answer = () => null;
    const error = await refusal(provider.getBlockNumber());
    expect(error.message).to.include("remove the one of another chain from executionUrls");
    expect(JSON.stringify(error.meta["failures"])).to.include("WrongChain");
    second.answer = at(6);
    expect(await provider.getBlockNumber()).to.equal(6);
  });

  it("asks a node last that is behind the others, until it has caught up", async () => {
    const [first, second] = [await start(at(5)), await start(at(10))];
    const provider = connect(first.url, second.url);
    const price = (): Promise<unknown> => provider.send("eth_gasPrice", []);
    expect(await price()).to.equal("0x5"); // a minute of blocks is nothing
    second.answer = at(11);
    time = 61_000;
    expect(await price()).to.equal("0xb");
    expect(told("warn")).to.deep.equal([
      `execution node ${first.url} is 6 blocks behind: it is asked last until it has caught up`,
    ]);
    first.answer = at(12);
    time = 100_000;
    expect(await price()).to.equal("0xb");
    time = 122_000;
    expect(await price()).to.equal("0xc");
    expect(told("info")).to.deep.equal([`execution node ${first.url} has caught up`]);
  });

  const asked: [does: string, answer: (method: string) => unknown][] = [
    ["does not keep a state", failing(-32000, "missing trie node 1a3b (path ) state 0x1a3b is not available")],
    ["does not serve a method", failing(-32601, "the method eth_getBalance does not exist/is not available")],
    ["fails inside", failing(-32603, "Internal error")],
  ];
  for (const [does, answer] of asked) {
    it(`asks the next for what a node ${does}, and the first again for the rest`, async () => {
      const [first, second] = [await start(answer), await start(at(6))];
      const provider = connect(first.url, second.url);
      expect(await provider.getBalance(NOBODY)).to.equal(6n);
      expect(await provider.getBlockNumber()).to.equal(5);
      expect(await provider.getBalance(NOBODY)).to.equal(6n);
      expect(count(first, "eth_getBalance")).to.equal(2);
      expect(told("warn")).to.deep.equal([]);
      second.answer = answer;
      const error = await refusal(provider.getBalance(NOBODY));
      expect(error.code).to.equal("NotServed");
      expect(isNotServed(error)).to.equal(true);
      expect(error.message).to.match(/^No execution node serves this eth_getBalance\. .*executionUrls\.$/);
      second.answer = () => null;
      expect((await refusal(provider.getBalance(NOBODY))).code).to.equal("ExecutionUnreachable");
    });
  }

  it("never takes for a revert that a node has no state, or enough of its caller", async () => {
    for (const [code, message, expected] of [
      [-32000, "header not found", "NotServed"],
      [-32005, "daily request count exceeded, request rate limited", "ExecutionUnreachable"],
    ] as const) {
      const node = await start(failing(code, message));
      expect((await refusal(connect(node.url).call({ to: NOBODY, data: "0x" }))).code).to.equal(expected);
    }
  });

  it("leaves a node alone that limits its requests, whether it says so by HTTP status or in JSON", async () => {
    const limits = [
      { status: 429, error: { code: -32005, message: "Too Many Requests" } },
      { id: null, error: { code: -32029, message: "Rate limit exceeded" } },
    ];
    for (const limit of limits) {
      const [first, second] = [await start(onChain(CHAIN_ID, () => limit)), await start(at(6))];
      const provider = connect(first.url, second.url);
      first.answer = onChain(CHAIN_ID, (method) => (method === "eth_blockNumber" ? { result: "0x5" } : limit));
      for (let i = 0; i < 3; i++) expect(await provider.send("eth_gasPrice", [])).to.equal("0x6");
      expect(count(first, "eth_gasPrice")).to.equal(1);
      expect(told("warn").join()).to.match(/^execution node \S+: it limits its requests/);
      lines.length = 0;
    }
  });

  it("passes on that a search for logs is too wide, as each node puts it", async () => {
    const wide = { status: 413, error: { code: -32614, message: "eth_getLogs is limited to a 10,000 range" } };
    const node = await start(onChain(CHAIN_ID, () => wide));
    const error: unknown = await connect(node.url)
      .send("eth_getLogs", [{}])
      .catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(Error).and.not.instanceOf(ServiceError);
  });

  it("says which nodes failed, without what else their URLs hold", async () => {
    const node = await start(() => null);
    const error = await refusal(connect(`${node.url}/secret-token`).getBlockNumber());
    expect(error.meta["failures"]).to.have.property(node.url);
    expect(JSON.stringify(error.meta)).not.to.include("secret-token");
  });

  const pages: [status: number, body: string, why: string][] = [
    [401, "who are you?", "HTTP status 401"],
    [404, "Cannot POST /v3/secret-token", "HTTP status 404"],
    [200, "<html>Cannot POST /v3/secret-token</html>", "not JSON-RPC"],
    [200, '{"hello":1}', "not JSON-RPC"],
  ];
  for (const [status, body, why] of pages) {
    it(`says in one line that a node answers with ${why}, and tells nobody its token or password`, async () => {
      const server = createServer((_request, response) => response.writeHead(status).end(body));
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      const { port } = server.address() as AddressInfo;
      const lines: string[] = [];
      const provider = new FailoverProvider(
        [`http://user:secret-password@127.0.0.1:${port}/v3/secret-token`],
        CHAIN_ID,
        createLogger("trace", { write: (line) => void lines.push(line) }),
      );
      const error = await refusal(provider.getBlockNumber());
      server.close();
      expect(error.message).to.include(`http://127.0.0.1:${port}`).and.include(why).and.not.include("\n");
      expect(lines).to.have.length(1);
      expect(`${lines.join()}${JSON.stringify(error.meta)}${error.message}`).not.to.match(/secret/);
    });
  }

  it("takes a revert for an answer", async () => {
    const revert = { error: { code: 3, message: "execution reverted", data: "0x12345678" } };
    const [first, second] = [
      await start(onChain(CHAIN_ID, (method) => (method === "eth_call" ? revert : { result: "0x5" }))),
      await start(at(5)),
    ];
    const call = connect(first.url, second.url).call({ to: BEACON_ROOTS_ADDRESS, data: "0x" });
    expect(await call.catch((error: unknown) => (error as { code: string }).code)).to.equal("CALL_EXCEPTION");
    expect(count(second, "eth_call")).to.equal(0);
  });

  it("reads at the state of a block that is named by its hash, on a real node", async () => {
    const server = await network.createServer("osaka", "127.0.0.1", 0);
    const { address, port } = await server.listen();
    const provider = connect(`http://${address}:${port}`);
    try {
      const [account] = (await provider.send("eth_accounts", [])) as string[];
      const before = (await readHead(provider, "latest"))!;
      await provider.send("eth_sendTransaction", [{ from: account, to: NOBODY, value: "0x7" }]);
      const after = (await readHead(provider, "latest"))!;
      expect(after.number).to.equal(before.number + 1);
      expect(await provider.getBalance(NOBODY, before.hash)).to.equal(0n);
      expect(await provider.getBalance(NOBODY, after.hash)).to.equal(7n);
      expect(await readHeadByHash(provider, before.hash)).to.deep.equal(before);
      expect(await readHead(provider, after.number + 1)).to.equal(null);
      const contract = new Contract(NOBODY, new Interface(["function x() view returns (uint256)"]), provider);
      const answer: unknown = await contract.getFunction("x").staticCall({ blockTag: before.hash }).catch(String);
      expect(answer).to.include("could not decode result data"); // no code there: the call itself was accepted
    } finally {
      provider.destroy();
      await server.close();
    }
  });

  it("reads an earlier block on the chain of a head, or not at all", async () => {
    const hashes = new Map<number, string>([
      [4, "0x04"],
      [7, "0x07"],
    ]);
    const provider = connect((await start(onChain(CHAIN_ID))).url);
    provider.send = (_method, params) => {
      const number = String((params as unknown[])[0]);
      const hash = hashes.get(Number(number));
      return Promise.resolve(hash === undefined ? null : { number, hash, timestamp: "0x1" });
    };
    const head = { number: 7, hash: "0x07", timestamp: 1 };
    expect((await readAncestor(provider, 4, head)).hash).to.equal("0x04");
    expect((await refusal(readAncestor(provider, 5, head))).code).to.equal("HeadMoved");
    // what block 4 is now is not what it was under the head that was looked at
    hashes.set(4, "0x44").set(7, "0x77");
    expect((await refusal(readAncestor(provider, 4, head))).code).to.equal("HeadMoved");
    hashes.delete(7);
    expect((await refusal(readAncestor(provider, 4, head))).code).to.equal("HeadMoved");
  });

  it("names the custom errors of every contract of the pool and of SSV", () => {
    const report = IReportOracle__factory.createInterface().encodeErrorResult("AlreadyReported", [7]);
    expect(decodeRevert(report)).to.equal("AlreadyReported(7)");
    const ssv = SSVNetworkDouble__factory.createInterface().encodeErrorResult("IncorrectClusterState");
    expect(decodeRevert(ssv)).to.equal("IncorrectClusterState()");
    expect(decodeRevert("0x12345678")).to.equal(null);
  });
});
