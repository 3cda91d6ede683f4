import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { Contract, Interface } from "ethers";
import { network } from "hardhat";
import { FailoverProvider, readAncestor, readHead, readHeadByHash } from "../../../oracle/execution/provider.js";
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
      else response.end(JSON.stringify({ jsonrpc: "2.0", id, ...(result as object) }));
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const node: Node = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, answer, server };
  return node;
}

const onChain =
  (chainId: number, rest: (method: string) => unknown = () => ({ result: "0x5" })) =>
  (method: string): unknown =>
    method === "eth_chainId" ? { result: `0x${chainId.toString(16)}` } : rest(method);

describe("execution provider", () => {
  const logger = createLogger("silent");
  const nodes: Node[] = [];
  const start = async (answer: (method: string) => unknown): Promise<Node> => {
    const node = await startNode(answer);
    nodes.push(node);
    return node;
  };
  const connect = (...urls: string[]): FailoverProvider => new FailoverProvider(urls, CHAIN_ID, logger);
  const refusal = async (promise: Promise<unknown>): Promise<ServiceError> => {
    const error: unknown = await promise.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    if (error instanceof ServiceError) return error;
    throw new Error(`not refused as expected: ${String(error)}`);
  };
  afterEach(() => {
    for (const { server } of nodes.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  it("stays with a node that answers, and asks for its chain once", async () => {
    const [first, second] = [await start(onChain(CHAIN_ID)), await start(onChain(CHAIN_ID))];
    const provider = connect(first.url, second.url);
    expect(await provider.getBlockNumber()).to.equal(5);
    expect(await provider.getBlockNumber()).to.equal(5);
    expect(first.requests).to.deep.equal(["eth_chainId", "eth_blockNumber", "eth_blockNumber"]);
    expect(second.requests).to.deep.equal([]);
  });

  it("goes to the next when a node fails, and comes back when that one fails", async () => {
    const [first, second] = [await start(onChain(CHAIN_ID)), await start(onChain(CHAIN_ID, () => ({ result: "0x6" })))];
    const provider = connect(first.url, second.url);
    first.answer = () => null;
    expect(await provider.getBlockNumber()).to.equal(6);
    expect(second.requests[0]).to.equal("eth_chainId");
    first.answer = onChain(CHAIN_ID);
    second.answer = () => ({ nonsense: true });
    expect(await provider.getBlockNumber()).to.equal(5);
  });

  it("never believes a node of another chain", async () => {
    const [wrong, right] = [await start(onChain(1)), await start(onChain(CHAIN_ID))];
    expect(await connect(wrong.url, right.url).getBlockNumber()).to.equal(5);
    expect(wrong.requests).to.deep.equal(["eth_chainId"]);
    const error = await refusal(connect(wrong.url).getBlockNumber());
    expect(error.code).to.equal("ExecutionUnreachable");
    expect(JSON.stringify(error.meta["failures"])).to.include("WrongChain");
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
    const [first, second] = [await start(onChain(CHAIN_ID, () => revert)), await start(onChain(CHAIN_ID))];
    const call = connect(first.url, second.url).call({ to: BEACON_ROOTS_ADDRESS, data: "0x" });
    expect(await call.catch((error: unknown) => (error as { code: string }).code)).to.equal("CALL_EXCEPTION");
    expect(second.requests).to.deep.equal([]);
  });

  it("takes an error without data, as nodes give for what they do not keep, for an answer too", async () => {
    const error = { error: { code: -32000, message: "missing trie node" } };
    const node = await start(onChain(CHAIN_ID, () => error));
    expect(
      await connect(node.url)
        .getBlockNumber()
        .catch((thrown: unknown) => String(thrown)),
    ).to.include("missing trie node");
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
