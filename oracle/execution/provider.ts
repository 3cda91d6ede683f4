import { isHexString, JsonRpcApiProvider, Network, type JsonRpcPayload, type PerformActionRequest } from "ethers";
import { z } from "zod";
import type { Head } from "../clock.js";
import { ServiceError } from "../ops/errors.js";
import { describeError, type ServiceLogger } from "../ops/logging.js";
import { ExecutionNode, type Answers, type ChainIdentity } from "./node.js";
import { refusalOf, type Refusal } from "./refusals.js";

/** How often the heads of several nodes are compared. */
const COMPARE_MS = 60_000;
/** A node further behind the highest head than this is asked last. */
const TOLERATED_BLOCKS = 5;

export interface ProviderOptions {
  /** Milliseconds on a clock that only goes forward. */
  readonly now?: () => number;
}

interface Failure {
  readonly node: ExecutionNode;
  readonly refusal: Refusal | null;
  readonly why: string;
  readonly error: unknown;
}

/**
 * JSON-RPC over several nodes: the first of the configuration is used while it answers, keeps what is asked for and has not fallen
 * behind; a node that failed is tried again after a while. Before its first use and each time it takes over, a node is asked for
 * its chain id and genesis block, so a node of another chain is never believed. An error about the chain (a revert) is an answer;
 * one about the node (it limits requests, it has forgotten a state) is not, and the next node is asked.
 */
export class FailoverProvider extends JsonRpcApiProvider {
  readonly #nodes: readonly ExecutionNode[];
  readonly #chainId: number;
  readonly #logger: ServiceLogger;
  readonly #now: () => number;
  #comparison: Promise<void> | null = null;
  #comparedAt = -Infinity;
  #alone: readonly FailoverProvider[] | null = null;

  constructor(
    nodes: readonly string[] | readonly ExecutionNode[],
    chainId: number,
    logger: ServiceLogger,
    { now = () => performance.now() }: ProviderOptions = {},
  ) {
    const network = Network.from(chainId);
    // Rounds look at one block each: a result remembered from a moment ago could be of another.
    super(network, { staticNetwork: network, batchMaxCount: 1, cacheTimeout: -1 });
    const chain: ChainIdentity = { chainId: BigInt(chainId), genesis: null, isShared: nodes.length > 1 };
    this.#nodes = nodes.map((node) => (typeof node === "string" ? new ExecutionNode(node, chain, now) : node));
    this.#chainId = chainId;
    this.#logger = logger;
    this.#now = now;
    this._start();
  }

  /** Addresses, without what only their owner may know. */
  get name(): string {
    return this.#nodes.map(({ name }) => name).join(", ");
  }

  /** Each node by itself, in the order of the configuration: for what one node may give and another not. */
  get alone(): readonly FailoverProvider[] {
    this.#alone ??=
      this.#nodes.length === 1
        ? [this]
        : this.#nodes.map((node) => new FailoverProvider([node], this.#chainId, this.#logger, { now: this.#now }));
    return this.#alone;
  }

  override destroy(): void {
    for (const node of this.#alone ?? []) if (node !== this) node.destroy();
    super.destroy();
  }

  override async _send(payload: JsonRpcPayload | JsonRpcPayload[]): Promise<Answers> {
    if (this.#nodes.length > 1) await this.#compareHeads();
    const failures: Failure[] = [];
    const [{ method } = { method: "nothing" }] = [payload].flat();
    const nodes = this.#inOrder();
    for (const [i, node] of nodes.entries()) {
      const outcome = await this.#ask(node, method, payload);
      if ("answers" in outcome) return outcome.answers;
      failures.push(outcome);
      const next = nodes[i + 1];
      this.#tell(outcome, method, next === undefined ? "there is no other to ask" : `asking ${next.name}`);
    }
    throw nobodyAnswers(method, failures);
  }

  /** Reads at a block hash go out as EIP-1898 has them: nodes take a bare hash for a number, or refuse it. */
  override getRpcRequest(request: PerformActionRequest): null | { method: string; args: unknown[] } {
    const rpc = super.getRpcRequest(request);
    if (rpc === null || !("blockTag" in request) || !isHexString(request.blockTag, 32)) return rpc;
    const args: unknown[] = rpc.args;
    return { ...rpc, args: args.map((arg) => (arg === request.blockTag ? atBlock(arg) : arg)) };
  }

  #inOrder(): ExecutionNode[] {
    const rank = (node: ExecutionNode): number => (node.isResting ? 2 : node.blocksBehind > TOLERATED_BLOCKS ? 1 : 0);
    return this.#nodes.toSorted((a, b) => rank(a) - rank(b));
  }

  async #ask(
    node: ExecutionNode,
    method: string,
    payload: JsonRpcPayload | JsonRpcPayload[],
  ): Promise<{ answers: Answers } | Failure> {
    try {
      await node.verify();
      const answers = await node.post(payload);
      for (const answer of answers) {
        const refusal = "error" in answer ? refusalOf(method, answer.error) : null;
        if (refusal !== null) return { node, refusal, why: WORDS[refusal](method), error: null };
      }
      if (node.hasFailed) this.#logger.info({ url: node.name }, `execution node ${node.name} answers again`);
      node.recovered();
      return { answers };
    } catch (error) {
      return { node, refusal: null, why: whyOf(error), error };
    }
  }

  /** A node that fails, or limits its requests, is left alone for a while; what one does not keep, the next may. */
  #tell({ node, refusal, why }: Failure, method: string, then: string): void {
    const facts = { url: node.name, method };
    if (refusal !== null && refusal !== "limited") {
      this.#logger.debug(facts, `execution node ${node.name}: ${why}; ${then}`);
      return;
    }
    const wasResting = node.isResting;
    const seconds = Math.ceil(node.rest() / 1_000);
    const again = this.#nodes.length === 1 ? "" : `, and this one last for ${seconds} s`;
    this.#logger[wasResting ? "debug" : "warn"](facts, `execution node ${node.name}: ${why}; ${then}${again}`);
  }

  async #compareHeads(): Promise<void> {
    if (this.#now() - this.#comparedAt >= COMPARE_MS) {
      this.#comparison ??= this.#readHeads().finally(() => {
        this.#comparedAt = this.#now();
        this.#comparison = null;
      });
    }
    await this.#comparison;
  }

  /** Every node is verified, and told from those that are behind, before there is need of it. */
  async #readHeads(): Promise<void> {
    const awake = this.#nodes.filter((node) => !node.isResting);
    const heads = await Promise.all(
      awake.map(async (node) => {
        try {
          await node.verify();
          return { node, number: await node.headNumber() };
        } catch (error) {
          this.#tell({ node, refusal: null, why: whyOf(error), error }, "eth_blockNumber", "asking the others");
          return null;
        }
      }),
    );
    const found = heads.filter((head) => head !== null);
    const highest = Math.max(...found.map(({ number }) => number));
    for (const { node, number } of found) {
      const wasBehind = node.blocksBehind > TOLERATED_BLOCKS;
      node.blocksBehind = highest - number;
      const isBehind = node.blocksBehind > TOLERATED_BLOCKS;
      if (isBehind === wasBehind) continue;
      const facts = { url: node.name, number, highest };
      if (isBehind) {
        this.#logger.warn(
          facts,
          `execution node ${node.name} is ${node.blocksBehind} blocks behind: it is asked last until it has caught up`,
        );
      } else this.#logger.info(facts, `execution node ${node.name} has caught up`);
    }
  }
}

const WORDS: Readonly<Record<Refusal, (method: string) => string>> = {
  limited: () => "it limits its requests",
  missing: () => "it does not have that block, or its state or logs",
  unsupported: (method) => `it does not serve ${method}`,
  broken: (method) => `it fails inside at ${method}`,
};

/** Whether every node answered, and none has it: the block, its state, or the method. */
export function isNotServed(error: unknown): boolean {
  return error instanceof ServiceError && error.code === "NotServed";
}

function nobodyAnswers(method: string, failures: readonly Failure[]): ServiceError {
  const isUsed = failures.every(({ refusal }) => refusal !== null && refusal !== "limited");
  const why = failures.map(({ node, why, error }) => (error === null ? `${node.name}: ${why}.` : messageOf(error)));
  const meta = {
    failures: Object.fromEntries(
      failures.map(({ node, why, error }) => [node.name, error === null ? why : describeError(error)]),
    ),
  };
  return isUsed
    ? new ServiceError(
        "NotServed",
        `No execution node serves this ${method}. ${why.join(" ")} Add one that does to executionUrls.`,
        meta,
      )
    : new ServiceError("ExecutionUnreachable", `No execution node can be used. ${why.join(" ")}`, meta);
}

/** In few words, without what is to be done about it. */
function whyOf(error: unknown): string {
  const why = error instanceof ServiceError ? error.meta["why"] : undefined;
  return typeof why === "string" ? why : messageOf(error);
}

/** Chain id that one node answers with. */
export function chainIdOf(url: string): Promise<bigint> {
  return new ExecutionNode(url, { chainId: 0n, genesis: null, isShared: false }, () => 0).chainId();
}

const messageOf = (error: unknown): string => String(describeError(error)["message"]);

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
