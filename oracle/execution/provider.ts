import {
  FetchRequest,
  isError,
  isHexString,
  JsonRpcApiProvider,
  Network,
  type PerformActionRequest,
  type JsonRpcError,
  type JsonRpcPayload,
  type JsonRpcResult,
} from "ethers";
import { z } from "zod";
import type { Head } from "../clock.js";
import { ServiceError } from "../ops/errors.js";
import { describeError, publicUrl, type ServiceLogger } from "../ops/logging.js";

const TIMEOUT_MS = 30_000;

const answer = z.union([
  z.object({ id: z.number(), result: z.unknown() }),
  z.object({
    id: z.number(),
    error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }),
  }),
]);

/**
 * JSON-RPC over several nodes: one is used until it fails to answer, then the next. A node is asked for its chain id before its
 * first use and each time it takes over, so a node of another chain is never believed. An error that a node answers (a revert) is
 * an answer.
 */
export class FailoverProvider extends JsonRpcApiProvider {
  readonly #urls: readonly string[];
  readonly #chainId: bigint;
  readonly #logger: ServiceLogger;
  #current = 0;
  #alone: readonly FailoverProvider[] | null = null;
  readonly #checked = new Set<string>();

  constructor(urls: readonly string[], chainId: number, logger: ServiceLogger) {
    const network = Network.from(chainId);
    // Rounds look at one block each: a result remembered from a moment ago could be of another.
    super(network, { staticNetwork: network, batchMaxCount: 1, cacheTimeout: -1 });
    this.#urls = urls;
    this.#chainId = BigInt(chainId);
    this.#logger = logger;
    this._start();
  }

  /** Addresses, without what only their owner may know. */
  get name(): string {
    return this.#urls.map(publicUrl).join(", ");
  }

  /** Each node by itself, in the order of the configuration: for what one node may give and another not. */
  get alone(): readonly FailoverProvider[] {
    this.#alone ??=
      this.#urls.length === 1
        ? [this]
        : this.#urls.map((url) => new FailoverProvider([url], Number(this.#chainId), this.#logger));
    return this.#alone;
  }

  override destroy(): void {
    for (const node of this.#alone ?? []) if (node !== this) node.destroy();
    super.destroy();
  }

  override async _send(payload: JsonRpcPayload | JsonRpcPayload[]): Promise<(JsonRpcResult | JsonRpcError)[]> {
    const failures: Record<string, unknown> = {};
    const reasons: string[] = [];
    const first = this.#current;
    for (let tries = 0; tries < this.#urls.length; tries++) {
      // requests fail together: each goes its own way around, or two would turn past the node that answers
      const index = (first + tries) % this.#urls.length;
      const url = this.#urls[index] ?? "";
      try {
        if (!this.#checked.has(url)) await this.#checkChain(url);
        this.#checked.add(url);
        const answers = await post(url, payload);
        this.#current = index;
        return answers;
      } catch (error) {
        const described = describeError(error);
        failures[publicUrl(url)] = described;
        reasons.push(String(described["message"]));
        this.#logger.warn({ url: publicUrl(url), error }, "execution node failed; trying the next one");
        this.#checked.delete(url);
      }
    }
    throw new ServiceError("ExecutionUnreachable", `No execution node can be used. ${reasons.join(" ")}`, { failures });
  }

  /** Reads at a block hash go out as EIP-1898 has them: nodes take a bare hash for a number, or refuse it. */
  override getRpcRequest(request: PerformActionRequest): null | { method: string; args: unknown[] } {
    const rpc = super.getRpcRequest(request);
    if (rpc === null || !("blockTag" in request) || !isHexString(request.blockTag, 32)) return rpc;
    const args: unknown[] = rpc.args;
    return { ...rpc, args: args.map((arg) => (arg === request.blockTag ? atBlock(arg) : arg)) };
  }

  async #checkChain(url: string): Promise<void> {
    const chainId = await chainIdOf(url);
    if (chainId !== this.#chainId) throw wrongChain(url, chainId, this.#chainId);
  }
}

/** Chain id that one node answers with. */
export async function chainIdOf(url: string): Promise<bigint> {
  const [result] = await post(url, { id: 1, jsonrpc: "2.0", method: "eth_chainId", params: [] });
  if (result === undefined || "error" in result) {
    throw unusable(url, "it does not answer eth_chainId");
  }
  return BigInt(result.result as string);
}

function wrongChain(url: string, chainId: bigint, expected: bigint): ServiceError {
  return new ServiceError(
    "WrongChain",
    `${publicUrl(url)} is of chain ${chainId}, not ${expected}: remove it from executionUrls, or mend chainId.`,
    { url: publicUrl(url), chainId, expected },
  );
}

async function post(
  url: string,
  payload: JsonRpcPayload | JsonRpcPayload[],
): Promise<(JsonRpcResult | JsonRpcError)[]> {
  const request = new FetchRequest(url);
  request.timeout = TIMEOUT_MS;
  request.body = JSON.stringify(payload);
  request.setHeader("content-type", "application/json");
  const response = await request.send().catch((error: unknown) => {
    throw unusable(url, reasonOf(error));
  });
  if (!response.ok()) throw unusable(url, `it answered with HTTP status ${response.statusCode}`);
  const parsed = z.array(answer).safeParse(parseJson(Buffer.from(response.body ?? []).toString()));
  if (!parsed.success) throw unusable(url, "its answer is not JSON-RPC");
  return parsed.data;
}

// What the HTTP client throws is not kept, nor what the node answered: either may hold the URL with its token.
function unusable(url: string, why: string): ServiceError {
  const node = publicUrl(url);
  return new ServiceError(
    "ExecutionUnreachable",
    `Execution node ${node}: ${why}. Check the node and its address and token in executionUrls.`,
    { url: node },
  );
}

function reasonOf(error: unknown): string {
  if (isError(error, "TIMEOUT")) return "it did not answer in time";
  return error instanceof Error && "code" in error
    ? `it cannot be reached (${String(error.code)})`
    : "it cannot be reached";
}

/** Answers as a list; null for what is not JSON, which is then no answer. */
function parseJson(text: string): unknown {
  try {
    return [JSON.parse(text) as unknown].flat();
  } catch {
    return null; // a proxy's page: what is wrong with it is not told by its text
  }
}

/** A block by number or tag; null when the node does not have it. */
export async function readHead(
  provider: FailoverProvider,
  block: "latest" | "finalized" | number,
): Promise<Head | null> {
  const tag = typeof block === "number" ? `0x${block.toString(16)}` : block;
  return toHead(await provider.send("eth_getBlockByNumber", [tag, false]));
}

export async function readHeadByHash(provider: FailoverProvider, hash: string): Promise<Head | null> {
  return toHead(await provider.send("eth_getBlockByHash", [hash, false]));
}

/**
 * The block of a number on the chain of `head`. Nodes tell numbers of the chain they now have, which a reorganisation or another
 * node may have changed since `head` was read; `head` is looked up after it to know.
 */
export async function readAncestor(provider: FailoverProvider, number: number, head: Head): Promise<Head> {
  const block = await readHead(provider, number);
  const now = await readHead(provider, head.number);
  if (block !== null && now?.hash === head.hash) return block;
  throw new ServiceError(
    "HeadMoved",
    `Block ${head.number} was replaced while the chain was read; the next round sees the new one.`,
    { number: head.number, hash: head.hash, now: now?.hash },
  );
}

const quantity = z.string().transform(Number);
const blockHeader = z.object({ number: quantity, hash: z.string(), timestamp: quantity }).nullable();

function toHead(result: unknown): Head | null {
  return blockHeader.parse(result);
}

/** The block identifier of EIP-1898: pins a read to one block, whatever becomes of the chain meanwhile. */
export function atBlock(hash: unknown): { blockHash: unknown } {
  return { blockHash: hash };
}
