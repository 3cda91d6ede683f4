import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { BeaconClient } from "../beacon/client.js";
import { StateError, VerificationError } from "../beacon/errors.js";
import { readProvenState, readVerifiedState, type VerifiedState } from "../beacon/readVerified.js";
import type { ExitRules, Genesis } from "../beacon/schemas.js";
import type { FrameConfig } from "../clock.js";
import { ServiceError } from "../ops/errors.js";
import type { ServiceLogger } from "../ops/logging.js";
import type { Metrics } from "../ops/metrics.js";

/** Of the reference block and of the newest finalised one; what was taken from a state is little, to read it is hundreds of megabytes. */
const STATES_KEPT = 2;

export interface BeaconNodesOptions {
  readonly urls: readonly string[];
  readonly chainId: number;
  readonly depositContract: string;
  readonly frames: FrameConfig;
  readonly metrics: Metrics;
  readonly logger: ServiceLogger;
}

/**
 * Several beacon nodes: one is asked until it fails or is caught lying, then the next. All must be of the chain the contracts were
 * deployed for, and of one genesis; each is compared before its first use.
 */
export class BeaconNodes {
  readonly clients: readonly BeaconClient[];
  readonly #options: BeaconNodesOptions;
  readonly #checked = new Set<BeaconClient>();
  #genesis: Genesis | null = null;
  /** newest last */
  #states: VerifiedState[] = [];
  #current = 0;

  constructor(options: BeaconNodesOptions) {
    this.#options = options;
    this.clients = options.urls.map((url) => new BeaconClient(url));
  }

  /** Fork version that deposits are signed for. */
  genesis(): Promise<Genesis> {
    return this.#ask(async (client) => this.#genesis ?? client.genesis());
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

  /** Refuses a node of another chain; what it says about genesis must be what the first node said. */
  async check(client: BeaconClient): Promise<void> {
    const { chainId, depositContract, frames } = this.#options;
    const [genesis, spec] = await Promise.all([client.genesis(), client.spec()]);
    this.#genesis ??= genesis;
    const expected: Record<string, unknown> = {
      genesisTime: Number(frames.genesisTime),
      genesisValidatorsRoot: this.#genesis.genesisValidatorsRoot,
      genesisForkVersion: this.#genesis.genesisForkVersion,
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
    this.#checked.add(client);
  }

  #report({ name }: BeaconClient, error: unknown): void {
    const { logger, metrics } = this.#options;
    if (error instanceof VerificationError || error instanceof StateError) {
      metrics.alerts.inc({ reason: error.code });
      logger.alert({ node: name, error }, "a beacon node served data that is not the chain's; trying the next one");
      return;
    }
    logger.warn({ node: name, error }, "beacon node failed; trying the next one");
  }

  async #ask<T>(question: (client: BeaconClient) => Promise<T>): Promise<T> {
    let failure: unknown;
    const first = this.#current;
    for (let tries = 0; tries < this.clients.length; tries++) {
      // questions fail together: each goes its own way around, or two would turn past the node that answers
      const index = (first + tries) % this.clients.length;
      const client = this.clients[index];
      if (client === undefined) break;
      try {
        if (!this.#checked.has(client)) await this.check(client);
        const answer = await question(client);
        this.#current = index;
        return answer;
      } catch (error) {
        failure = error;
        this.#report(client, error);
      }
    }
    throw failure;
  }
}
