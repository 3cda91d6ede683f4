import fastify, { type FastifyInstance } from "fastify";
import { toQuantity } from "ethers";
import type { ExecutionNode } from "./edr.js";
import type { ExecutionLayer } from "./executionLayer.js";

export interface RpcRequest {
  id: unknown;
  method: string;
  params: unknown[];
}

interface RpcError {
  code: number;
  message: string;
  data?: unknown;
}

/** Time, blocks and history belong to the consensus layer. */
const REFUSED = new Set([
  "evm_increaseTime",
  "evm_mine",
  "evm_revert",
  "evm_setAutomine",
  "evm_setIntervalMining",
  "evm_setNextBlockTimestamp",
  "evm_setTime",
  "evm_snapshot",
  "hardhat_mine",
  "hardhat_reset",
  "hardhat_setCoinbase",
  "hardhat_setNextBlockBaseFeePerGas",
  "hardhat_setPrevRandao",
]);

/**
 * The execution JSON-RPC as services see it. A batch is answered in its order; nothing is answered while a block is being made;
 * `safe` and `finalized` follow the consensus layer; headers carry what EDR does not know.
 */
export class RpcServer {
  readonly #node: ExecutionNode;
  readonly #execution: ExecutionLayer;
  readonly #app: FastifyInstance;

  constructor(node: ExecutionNode, execution: ExecutionLayer) {
    this.#node = node;
    this.#execution = execution;
    this.#app = fastify({ bodyLimit: 64 * 1024 * 1024, forceCloseConnections: true });
    this.#app.post("/", async (request) => {
      const { body } = request;
      if (!Array.isArray(body)) return this.#answer(body);
      const answers: unknown[] = [];
      for (const one of body as unknown[]) answers.push(await this.#answer(one));
      return answers;
    });
  }

  listen(port: number): Promise<string> {
    return this.#app.listen({ port, host: "127.0.0.1" });
  }

  close(): Promise<void> {
    return this.#app.close();
  }

  async #answer(body: unknown): Promise<unknown> {
    const request = parseRequest(body);
    if (request === null) return failure(null, { code: -32600, message: "not a JSON-RPC request" });
    if (REFUSED.has(request.method)) {
      const message = `${request.method}: blocks, time and history are made by the beacon chain of this devnet; POST /devnet/advance to its beacon URL instead`;
      return failure(request.id, { code: -32601, message });
    }
    return this.#execution.lock.read(async () => {
      try {
        return { jsonrpc: "2.0", id: request.id, result: await this.#serve(request) };
      } catch (error) {
        return failure(request.id, describe(error));
      }
    });
  }

  async #serve({ method, params }: RpcRequest): Promise<unknown> {
    const resolved = resolveTags(method, params, this.#execution.tags);
    if (method === "eth_getProof") await this.#requireHead(resolved[2]);
    const result = await this.#node.request(method, resolved);
    return method === "eth_getBlockByNumber" || method === "eth_getBlockByHash" ? this.#completeHeader(result) : result;
  }

  /** The words written before the next block (EIP-4788, EIP-2935) land in the state EDR keeps for this one, so its root is right only while it is the head. */
  async #requireHead(block: unknown): Promise<void> {
    if (block === undefined || block === "latest") return;
    const number = await this.#numberOf(block);
    if (number === this.#execution.headNumber) return;
    const message = `this devnet proves state at its head only (block ${this.#execution.headNumber}); ask while the block is the head, as of a node without archive`;
    throw Object.assign(new Error(message), { code: -32000 });
  }

  async #numberOf(block: unknown): Promise<number | null> {
    if (typeof block === "string") return /^0x[0-9a-f]+$/i.test(block) ? Number(block) : null;
    if (typeof block !== "object" || block === null) return null;
    if ("blockNumber" in block) return Number(block.blockNumber);
    if (!("blockHash" in block)) return null;
    const header = await this.#node.request("eth_getBlockByHash", [block.blockHash, false]);
    return isHeader(header) ? Number(header.number) : null;
  }

  #completeHeader(header: unknown): unknown {
    const overlay = isHeader(header) ? this.#execution.overlay(Number(header.number)) : undefined;
    return overlay === undefined ? header : { ...(header as object), ...overlay };
  }
}

/** `safe` and `finalized` as block numbers; EDR itself takes both for the latest block. */
export function resolveTags(
  method: string,
  params: readonly unknown[],
  tags: { safe: number; finalized: number },
): unknown[] {
  const resolve = (value: unknown): unknown =>
    value === "safe" ? toQuantity(tags.safe) : value === "finalized" ? toQuantity(tags.finalized) : value;
  return params.map((param) => {
    const filter = method === "eth_getLogs" || method === "eth_newFilter";
    if (!filter || typeof param !== "object" || param === null) return resolve(param);
    return Object.fromEntries(
      Object.entries(param).map(([key, value]) => [
        key,
        key === "fromBlock" || key === "toBlock" ? resolve(value) : (value as unknown),
      ]),
    );
  });
}

function parseRequest(body: unknown): RpcRequest | null {
  if (typeof body !== "object" || body === null || !("method" in body) || typeof body.method !== "string") return null;
  const params = "params" in body && Array.isArray(body.params) ? (body.params as unknown[]) : [];
  return { id: "id" in body ? body.id : null, method: body.method, params };
}

function isHeader(header: unknown): header is { number: string } {
  return typeof header === "object" && header !== null && "number" in header && typeof header.number === "string";
}

function failure(id: unknown, error: RpcError): unknown {
  return { jsonrpc: "2.0", id, error };
}

function describe(error: unknown): RpcError {
  if (!(error instanceof Error)) return { code: -32603, message: String(error) };
  const code = "code" in error && typeof error.code === "number" ? error.code : -32603;
  return { code, message: error.message, ...("data" in error ? { data: error.data } : {}) };
}
