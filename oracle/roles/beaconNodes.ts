import { genesisData, networksChainConfig, type NetworkName } from "@lodestar/config/networks";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { hexlify } from "ethers";
import { BeaconClient, type BeaconClientOptions, type EventSubscription } from "../beacon/client.js";
import { BeaconNodeError, StateError, VerificationError } from "../beacon/errors.js";
import { readDepositRequests } from "../beacon/readPayload.js";
import { readProvenState, readVerifiedState, verifyHeader, type VerifiedState } from "../beacon/readVerified.js";
import type { ExitRules, Genesis, Syncing } from "../beacon/schemas.js";
import type { DepositRequest } from "../beacon/stateParts.js";
import type { FrameConfig } from "../clock.js";
import type { Config } from "../config.js";
import { PoolError } from "../errors.js";
import type { PoolContracts } from "../execution/contracts.js";
import { ServiceError } from "../ops/errors.js";
import { describeError, type ServiceLogger } from "../ops/logging.js";
import type { Metrics } from "../ops/metrics.js";
import { inOrder, NodeRecord, stateOf, type NodeHealth, type NodeState } from "./nodeHealth.js";

/** Of the reference block and of the newest finalised one; what was taken from a state is little, to read it is hundreds of megabytes. */
const STATES_KEPT = 2;

export interface BeaconNodesOptions {
  readonly urls: readonly string[];
  readonly timeouts?: Partial<BeaconClientOptions>;
  readonly chainId: number;
  readonly depositContract: string;
  readonly frames: FrameConfig;
  readonly metrics: Metrics;
  readonly logger: ServiceLogger;
}

interface Node {
  readonly client: BeaconClient;
  readonly record: NodeRecord;
  /** Compared with the contracts since it last failed. */
  isChecked: boolean;
  subscription: EventSubscription | null;
}

/** What nodes announce. Nothing is taken from an announcement but that it is worth looking. */
export interface BeaconNews {
  readonly onHead: () => void;
  readonly onFinalized: () => void;
}

/**
 * Several beacon nodes: the first of the configured order that is well is asked, and if it fails or is caught lying, the next. All
 * must be of the chain the contracts were deployed for, and of one genesis; each is compared before its first use and after each
 * failure.
 */
export class BeaconNodes {
  readonly #options: BeaconNodesOptions;
  readonly #nodes: readonly Node[];
  #genesis: Genesis | null = null;
  /** newest last */
  #states: VerifiedState[] = [];
  /** of the execution chain's head when the nodes were last looked at */
  #slot = 0;
  #surveyedEpoch: number | null = null;
  #news: BeaconNews | null = null;

  constructor(options: BeaconNodesOptions) {
    this.#options = options;
    this.#nodes = options.urls.map((url) => ({
      client: new BeaconClient(url, options.timeouts),
      record: new NodeRecord(),
      isChecked: false,
      subscription: null,
    }));
  }

  get clients(): readonly BeaconClient[] {
    return this.#nodes.map(({ client }) => client);
  }

  get health(): NodeHealth[] {
    return this.#nodes.map(({ client, record }) => record.health(client.name, this.#slot));
  }

  /** Fork version that deposits are signed for. */
  async genesis(): Promise<Genesis> {
    return this.#genesis ?? this.#ask(async (client) => this.#genesis ?? client.genesis());
  }

  exitRules(): Promise<ExitRules> {
    return this.#ask((client) => client.exitRules());
  }

  /** Asks for a state again only for keys that it was not read for, however often whoever needs it has to begin anew. */
  async readState(blockRoot: string, pubkeys: ReadonlySet<string>): Promise<VerifiedState> {
    const known = this.#states.find(
      (state) => state.blockRoot === blockRoot && [...pubkeys].every((pubkey) => state.pubkeys.has(pubkey)),
    );
    if (known !== undefined) return known;
    const state = await this.#ask((client) => readVerifiedState(client, blockRoot, { pubkeys }));
    this.#states = [...this.#states.filter((other) => other.blockRoot !== blockRoot), state].slice(-STATES_KEPT);
    return state;
  }

  /** Reads a state with proofs of what the keys have in it. */
  readProven(blockRoot: string, pubkeys: ReadonlySet<string>): ReturnType<typeof readProvenState> {
    return this.#ask((client) => readProvenState(client, blockRoot, pubkeys));
  }

  /** Deposits in the execution payload of the block of a state, which the state does not have yet. */
  depositRequests(state: Extract<VerifiedState, { fork: "gloas" }>): Promise<DepositRequest[]> {
    return this.#ask((client) => readDepositRequests(client, state));
  }

  /** Follows the events of every node that is of our chain, from the next survey on. */
  follow(news: BeaconNews): void {
    this.#news = news;
  }

  /** Ends all that is under way, however long nodes would take for it. */
  close(): void {
    this.#news = null;
    for (const node of this.#nodes) {
      node.subscription?.close();
      node.subscription = null;
      node.client.close();
    }
  }

  /**
   * Once an epoch: how each node is, and whether those that are well agree on what is final. Never fails; who is asked first
   * follows from it.
   *
   * @param slot of the execution chain's head
   */
  async survey(slot: number): Promise<void> {
    this.#slot = slot;
    const epoch = Math.floor(slot / SLOTS_PER_EPOCH);
    if (epoch === this.#surveyedEpoch) return;
    this.#surveyedEpoch = epoch;
    const answers = this.#nodes.map(async (node) => ({ node, answer: await syncingOf(node) }));
    // in the configured order: what the first says of genesis is what the others must say
    for (const { node, answer } of await Promise.all(answers)) await this.#judge(node, answer);
    const ready = this.#nodes.filter(({ record }) => record.state === "ready");
    if (ready.length > 1) await this.#compareFinalized(ready);
  }

  /** Refuses a node of another chain; what it says about genesis must be what the first node said. */
  async check(client: BeaconClient): Promise<void> {
    const { chainId, depositContract, frames } = this.#options;
    const [genesis, spec] = await Promise.all([client.genesis(), client.spec()]);
    const { genesisForkVersion, genesisValidatorsRoot } = knownGenesis(chainId) ?? this.#genesis ?? genesis;
    const expected: Record<string, unknown> = {
      genesisTime: Number(frames.genesisTime),
      genesisValidatorsRoot,
      genesisForkVersion,
      secondsPerSlot: Number(frames.secondsPerSlot),
      slotsPerEpoch: SLOTS_PER_EPOCH,
      depositChainId: chainId,
      depositContractAddress: depositContract.toLowerCase(),
    };
    const actual: Record<string, unknown> = { ...spec, ...genesis };
    for (const [field, value] of Object.entries(expected)) {
      if (actual[field] === value) continue;
      throw new ServiceError(
        "WrongChain",
        `The beacon node ${client.name} has ${field} ${String(actual[field])}, expected is ${String(value)}: it is of another chain than the ` +
          "contracts or the other beacon nodes (or preset is wrong). Mend beaconUrls or preset.",
        { node: client.name, field, actual: actual[field], expected: value },
      );
    }
    this.#genesis ??= genesis;
  }

  async #judge(node: Node, answer: Syncing | BeaconNodeError): Promise<void> {
    try {
      if (answer instanceof BeaconNodeError) throw answer;
      await this.#checkOnce(node);
      node.record.headSlot = answer.headSlot;
      this.#options.metrics.beaconNodeHeadSlot.set({ node: node.client.name }, answer.headSlot);
      this.#enter(node, stateOf(answer, this.#slot));
      this.#subscribe(node);
    } catch (error) {
      this.#enter(node, isOfOtherChain(error) ? "wrong-chain" : "unreachable", error);
    }
  }

  #enter(node: Node, state: NodeState, error?: unknown): void {
    const { logger, metrics } = this.#options;
    const { client, record } = node;
    const was = record.state;
    record.state = state;
    this.#showReady(node);
    if (was === state) return;
    const facts = { node: client.name, state, was, headSlot: record.headSlot, slot: this.#slot };
    if (state === "ready") {
      if (was !== "unknown") logger.info(facts, "a beacon node is ready again");
    } else if (state === "wrong-chain") {
      node.subscription?.close();
      node.subscription = null;
      metrics.alerts.inc({ reason: "WrongChain" });
      logger.alert({ ...facts, error }, "a beacon node is of another chain; it is never believed");
    } else logger.warn({ ...facts, error }, "a beacon node is not ready; it is asked after the others");
  }

  /** All have finalised the block that the slowest has: what they say of it must be the same. */
  async #compareFinalized(nodes: readonly Node[]): Promise<void> {
    const { logger, metrics } = this.#options;
    const finalized = await this.#headers(nodes, "finalized");
    if (finalized.length < 2) return;
    const slot = Math.min(...finalized.map((told) => told.slot));
    const told = await this.#headers(
      finalized.map(({ node }) => node),
      slot,
    );
    if (new Set(told.map(({ root }) => root)).size < 2) return;
    metrics.alerts.inc({ reason: "FinalizedHeadersDiffer" });
    logger.alert(
      { slot, roots: Object.fromEntries(told.map(({ node, root }) => [node.client.name, root])) },
      "beacon nodes disagree on a finalised block: at least one of them lies or is of another chain",
    );
  }

  /** Of those nodes that tell one which hashes to the root they tell. */
  async #headers(
    nodes: readonly Node[],
    block: string | number,
  ): Promise<{ node: Node; root: string; slot: number }[]> {
    const answers = nodes.map(async (node) => {
      try {
        const { root, header } = await node.client.header(block);
        verifyHeader(node.client, header, root);
        return [{ node, root, slot: header.slot }];
      } catch (error) {
        if (error instanceof VerificationError) this.#blame(node, error);
        else this.#options.logger.debug({ node: node.client.name, error }, "a beacon node does not tell a header");
        return [];
      }
    });
    return (await Promise.all(answers)).flat();
  }

  #subscribe(node: Node): void {
    const news = this.#news;
    if (news === null || node.subscription !== null) return;
    node.subscription = node.client.subscribe({
      onHead: news.onHead,
      onFinalizedCheckpoint: news.onFinalized,
      onError: (error) => {
        this.#options.logger.debug({ node: node.client.name, error }, "event stream failed; polling goes on");
        if (error.meta["isClosed"] === true) node.subscription = null; // opened again at the next survey
      },
    });
  }

  async #checkOnce(node: Node): Promise<void> {
    if (node.isChecked) return;
    await this.check(node.client);
    node.isChecked = true;
  }

  #blame(node: Node, error: unknown): void {
    const { logger, metrics } = this.#options;
    const { client, record } = node;
    node.isChecked = false;
    record.failed(this.#slot, String(describeError(error)["message"]), { lied: error instanceof VerificationError });
    this.#showReady(node);
    const code = error instanceof PoolError ? String(error.code) : "unknown";
    metrics.beaconNodeFailures.inc({ node: client.name, code });
    const told = alertOn(error);
    if (told === null) {
      logger.warn({ node: client.name, error }, "beacon node failed; trying the next one");
      return;
    }
    metrics.alerts.inc({ reason: code });
    logger.alert({ node: client.name, error }, `a beacon node ${told}; trying the next one`);
  }

  #showReady({ client, record }: Node): void {
    const isReady = record.state === "ready" && !record.isPaused(this.#slot);
    this.#options.metrics.beaconNodeReady.set({ node: client.name }, isReady ? 1 : 0);
  }

  async #ask<T>(question: (client: BeaconClient) => Promise<T>): Promise<T> {
    let failure: unknown;
    for (const node of inOrder(this.#nodes, this.#slot)) {
      try {
        await this.#checkOnce(node);
        const answer = await question(node.client);
        node.record.answered(this.#slot);
        return answer;
      } catch (error) {
        if (error instanceof BeaconNodeError && error.code === "BEACON_CLOSED") throw error;
        failure = error;
        this.#blame(node, error);
      }
    }
    throw failure;
  }
}

/** The beacon nodes of a configuration, of the chain of these contracts. */
export function connectBeacon(
  { beaconUrls: urls, beaconTimeouts, chainId }: Config,
  { addresses: { depositContract }, frames }: PoolContracts,
  metrics: Metrics,
  logger: ServiceLogger,
): BeaconNodes {
  const timeouts = {
    requestTimeoutMs: beaconTimeouts.requestSeconds * 1_000,
    stateTimeoutMs: beaconTimeouts.stateSeconds * 1_000,
  };
  return new BeaconNodes({ urls, timeouts, chainId, depositContract, frames, metrics, logger });
}

async function syncingOf({ client }: Node): Promise<Syncing | BeaconNodeError> {
  try {
    return await client.syncing();
  } catch (error) {
    if (error instanceof BeaconNodeError) return error;
    throw error;
  }
}

const isOfOtherChain = (error: unknown): boolean => error instanceof ServiceError && error.code === "WrongChain";

/** What somebody must look at now; null for what happens to nodes. */
function alertOn(error: unknown): string | null {
  if (isOfOtherChain(error)) return "is of another chain";
  if (error instanceof StateError && error.code === "STATE_FORK_UNSUPPORTED")
    return "is at a fork that is not supported";
  if (error instanceof VerificationError || error instanceof StateError) return "served data that is not the chain's";
  return null;
}

/** Of networks that everybody uses: there no node is asked what deposits are signed for. */
function knownGenesis(chainId: number): Pick<Genesis, "genesisForkVersion" | "genesisValidatorsRoot"> | undefined {
  const known = Object.entries(networksChainConfig).find(([, config]) => config.DEPOSIT_CHAIN_ID === chainId);
  if (known === undefined) return undefined;
  const [name, { GENESIS_FORK_VERSION }] = known;
  const { genesisValidatorsRoot } = genesisData[name as NetworkName];
  return { genesisForkVersion: hexlify(GENESIS_FORK_VERSION), genesisValidatorsRoot };
}
