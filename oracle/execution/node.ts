import { FetchRequest, isError, type JsonRpcError, type JsonRpcPayload, type JsonRpcResult } from "ethers";
import { z } from "zod";
import { ServiceError } from "../ops/errors.js";
import { publicUrl } from "../ops/logging.js";

const TIMEOUT_MS = 30_000;
/** For what costs a node nothing to answer. */
const PROBE_TIMEOUT_MS = 5_000;
const FIRST_REST_MS = 30_000;
const LONGEST_REST_MS = 600_000;
/** Statuses with which nodes and providers send JSON-RPC errors, as for a search that is too wide. */
const STATUSES_OF_ERRORS = [400, 413];

const answer = z.union([
  z.object({ id: z.number(), result: z.unknown() }),
  z.object({
    id: z.number().nullish(),
    error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }),
  }),
]);

export type Answers = (JsonRpcResult | JsonRpcError)[];

/** What all execution nodes of a service must have in common. */
export interface ChainIdentity {
  readonly chainId: bigint;
  /** genesis block as the first of several nodes told it */
  genesis: { readonly hash: string; readonly name: string } | null;
  readonly isShared: boolean;
}

/** One execution node: whether it is of the chain, and whether it is to be asked now. */
export class ExecutionNode {
  readonly name: string;
  readonly #url: string;
  readonly #chain: ChainIdentity;
  readonly #now: () => number;
  #verified: Promise<void> | null = null;
  #failures = 0;
  #restsUntil = -Infinity;
  /** blocks that its head was behind the highest, when heads were last compared */
  blocksBehind = 0;

  constructor(url: string, chain: ChainIdentity, now: () => number) {
    this.name = publicUrl(url);
    this.#url = url;
    this.#chain = chain;
    this.#now = now;
  }

  /** After a failure a node is asked last for a while, twice as long after each further one. */
  get isResting(): boolean {
    return this.#now() < this.#restsUntil;
  }

  get hasFailed(): boolean {
    return this.#failures > 0;
  }

  /** Milliseconds for which it now rests. */
  rest(): number {
    this.#verified = null; // what is back may be another node
    if (this.isResting) return this.#restsUntil - this.#now();
    const rest = Math.min(FIRST_REST_MS * 2 ** this.#failures, LONGEST_REST_MS);
    this.#failures += 1;
    this.#restsUntil = this.#now() + rest;
    return rest;
  }

  recovered(): void {
    this.#failures = 0;
    this.#restsUntil = -Infinity;
  }

  /** Refuses a node of another chain, before its first use and after each failure. */
  verify(): Promise<void> {
    this.#verified ??= this.#verify().catch((error: unknown) => {
      this.#verified = null;
      throw error;
    });
    return this.#verified;
  }

  async chainId(): Promise<bigint> {
    return BigInt(await this.#probe("eth_chainId"));
  }

  async headNumber(): Promise<number> {
    return Number(await this.#probe("eth_blockNumber"));
  }

  async post(payload: JsonRpcPayload | JsonRpcPayload[], timeoutMs = TIMEOUT_MS): Promise<Answers> {
    const request = new FetchRequest(this.#url);
    request.timeout = timeoutMs;
    request.retryFunc = () => Promise.resolve(false); // who limits requests is not to get the same ones again
    request.body = JSON.stringify(payload);
    request.setHeader("content-type", "application/json");
    const response = await request.send().catch((error: unknown) => {
      throw this.#unusable(reasonOf(error));
    });
    const { statusCode } = response;
    if (statusCode === 429) throw this.#unusable("it limits its requests (HTTP status 429)");
    if (!response.ok() && !STATUSES_OF_ERRORS.includes(statusCode)) {
      throw this.#unusable(`it answered with HTTP status ${statusCode}`);
    }
    const parsed = z.array(answer).safeParse(parseJson(Buffer.from(response.body ?? []).toString()));
    if (!parsed.success) {
      throw this.#unusable(response.ok() ? "its answer is not JSON-RPC" : `it answered with HTTP status ${statusCode}`);
    }
    // an error about the request as a whole names no request
    const [first] = [payload].flat();
    return parsed.data.map((one) => ("error" in one ? { id: one.id ?? first?.id ?? 0, error: one.error } : one));
  }

  async #verify(): Promise<void> {
    const { chainId, isShared } = this.#chain;
    const found = await this.chainId();
    if (found !== chainId) {
      throw this.#wrongChain(`is of chain ${found}, not ${chainId}: remove it from executionUrls, or mend chainId.`);
    }
    if (!isShared) return;
    const hash = await this.#genesisHash();
    if (hash === null) return; // it has forgotten its first blocks
    this.#chain.genesis ??= { hash, name: this.name };
    const { genesis } = this.#chain;
    if (hash === genesis.hash) return;
    throw this.#wrongChain(
      `has the genesis block ${hash}, ${genesis.name} has ${genesis.hash}: remove the one of another chain from executionUrls.`,
    );
  }

  async #genesisHash(): Promise<string | null> {
    const [result] = await this.post(request("eth_getBlockByNumber", ["0x0", false]), PROBE_TIMEOUT_MS);
    const parsed = z.object({ result: z.object({ hash: z.string() }) }).safeParse(result);
    return parsed.success ? parsed.data.result.hash : null;
  }

  async #probe(method: string): Promise<string> {
    const [result] = await this.post(request(method, []), PROBE_TIMEOUT_MS);
    const parsed = z.object({ result: z.string().regex(/^0x[0-9a-f]+$/i) }).safeParse(result);
    if (!parsed.success) throw this.#unusable(`it does not answer ${method}`);
    return parsed.data.result;
  }

  #wrongChain(what: string): ServiceError {
    return new ServiceError("WrongChain", `${this.name} ${what}`, { url: this.name, why: `it ${what}` });
  }

  // What the HTTP client throws is not kept, nor what the node answered: either may hold the URL with its token.
  #unusable(why: string): ServiceError {
    return new ServiceError(
      "ExecutionUnreachable",
      `Execution node ${this.name}: ${why}. Check the node and its address and token in executionUrls.`,
      { url: this.name, why },
    );
  }
}

const request = (method: string, params: unknown[]): JsonRpcPayload => ({ id: 1, jsonrpc: "2.0", method, params });

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
