import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { AddressInfo } from "node:net";
import { ssz } from "@lodestar/types";
import { headerRoot } from "../../../oracle/beacon/readVerified.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import type { BlockHeader } from "../../../oracle/beacon/stateParts.js";
import type { SupportedFork } from "../../../oracle/beacon/forks.js";
import { serialize, stateRoot, type BeaconState } from "./states.js";

type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;

/** A real HTTP server that serves one block and its state as a beacon node would, and whatever a test puts in their place. */
export class TestBeaconNode {
  readonly octets: Uint8Array;
  readonly header: BlockHeader;
  readonly blockRoot: string;
  readonly requests: FastifyRequest[] = [];
  readonly #replaced = new Map<string, Handler>();
  readonly #server: FastifyInstance = fastify({ forceCloseConnections: true });

  constructor(fork: SupportedFork, state: BeaconState) {
    this.octets = serialize(fork, state);
    this.header = {
      slot: state.latestBlockHeader.slot,
      proposerIndex: state.latestBlockHeader.proposerIndex,
      parentRoot: toHex(state.latestBlockHeader.parentRoot),
      stateRoot: toHex(stateRoot(fork, state)),
      bodyRoot: toHex(state.latestBlockHeader.bodyRoot),
    };
    this.blockRoot = headerRoot(this.header);
    this.#server.addHook("onRequest", async (request) => {
      this.requests.push(request);
    });
    this.#route("/eth/v1/beacon/headers/:id", (request, reply) => {
      const { id } = request.params as { id: string };
      if (![this.blockRoot, String(this.header.slot), "head", "finalized"].includes(id))
        return reply.code(404).send({});
      return this.headerAnswer();
    });
    this.#route("/eth/v2/debug/beacon/states/:id", (request, reply) => {
      const { id } = request.params as { id: string };
      if (id !== this.header.stateRoot) return reply.code(404).send({});
      return this.sendState(reply, fork, this.octets);
    });
    this.#route("/eth/v1/beacon/execution_payload_envelopes/:id", (_, reply) => reply.code(404).send({}));
    this.#route("/eth/v1/beacon/genesis", () => ({
      data: {
        genesis_time: "1700000000",
        genesis_validators_root: toHex(state.genesisValidatorsRoot),
        genesis_fork_version: "0x00000001",
      },
    }));
    this.#route("/eth/v1/config/spec", () => ({ data: {} }));
    this.#route("/eth/v1/node/version", () => ({ data: { version: "Test/v1.0.0" } }));
    this.#route("/eth/v1/node/syncing", () => ({
      data: { head_slot: "123", sync_distance: "4", is_syncing: true, is_optimistic: false, el_offline: false },
    }));
    this.#route("/eth/v1/beacon/states/:id/finality_checkpoints", () => {
      const json = (checkpoint: BeaconState["finalizedCheckpoint"]) => ssz.phase0.Checkpoint.toJson(checkpoint);
      return {
        execution_optimistic: false,
        finalized: false,
        data: {
          previous_justified: json(state.previousJustifiedCheckpoint),
          current_justified: json(state.currentJustifiedCheckpoint),
          finalized: json(state.finalizedCheckpoint),
        },
      };
    });
    this.#route("/eth/v1/events", (_, reply) => reply.code(500).send({}));
  }

  /** What the node says about its block, with some of it replaced. */
  headerAnswer(message: Partial<BlockHeader> = {}, isOptimistic = false) {
    const header = { ...this.header, ...message };
    return {
      execution_optimistic: isOptimistic,
      finalized: true,
      data: {
        root: this.blockRoot,
        canonical: true,
        header: {
          message: {
            slot: String(header.slot),
            proposer_index: String(header.proposerIndex),
            parent_root: header.parentRoot,
            state_root: header.stateRoot,
            body_root: header.bodyRoot,
          },
          signature: `0x${"00".repeat(96)}`,
        },
      },
    };
  }

  sendState(reply: FastifyReply, fork: string, octets: Uint8Array): FastifyReply {
    return reply.header("eth-consensus-version", fork).type("application/octet-stream").send(Buffer.from(octets));
  }

  /** Answers a route in another way from now on. */
  replace(
    route: "header" | "state" | "payload" | "spec" | "events" | "version" | "genesis" | "syncing",
    handler: Handler,
  ): void {
    const paths = {
      header: "/eth/v1/beacon/headers/:id",
      state: "/eth/v2/debug/beacon/states/:id",
      payload: "/eth/v1/beacon/execution_payload_envelopes/:id",
      spec: "/eth/v1/config/spec",
      events: "/eth/v1/events",
      version: "/eth/v1/node/version",
      genesis: "/eth/v1/beacon/genesis",
      syncing: "/eth/v1/node/syncing",
    };
    this.#replaced.set(paths[route], handler);
  }

  async start(): Promise<string> {
    await this.#server.listen({ port: 0, host: "127.0.0.1" });
    const { port } = this.#server.server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  async stop(): Promise<void> {
    await this.#server.close();
  }

  #route(path: string, handler: Handler): void {
    this.#server.get(path, (request, reply) => (this.#replaced.get(path) ?? handler)(request, reply));
  }
}
