import { ssz } from "@lodestar/types";
import fastify from "fastify";
import { SUPPORTED_FORKS } from "../../../oracle/beacon/forks.js";

/** What the node lies about. */
export type Lie = "nothing" | "state" | "header" | "genesis";

export interface LyingNode {
  readonly url: string;
  lie: Lie;
  /** Answers it falsified. */
  readonly told: number;
  close(): Promise<void>;
}

/**
 * A beacon node under somebody's control: it passes on what an honest one answers, except for what it lies about. A false state
 * gives the validator one ETH more, a false header another proposer, a false genesis another chain.
 */
export async function startLyingNode(honestUrl: string, validatorIndex: () => number): Promise<LyingNode> {
  const app = fastify({ forceCloseConnections: true });
  let told = 0;
  app.get("/*", async (request, reply) => {
    const accept = request.headers.accept;
    const answer = await fetch(new URL(request.url, honestUrl), accept === undefined ? {} : { headers: { accept } });
    const version = answer.headers.get("eth-consensus-version");
    if (version !== null) void reply.header("eth-consensus-version", version);
    const type = answer.headers.get("content-type") ?? "application/json";
    const body = Buffer.from(await answer.arrayBuffer());
    const falsify = answer.ok ? falsifier(node.lie, request.url, version) : null;
    if (falsify !== null) told++;
    return reply
      .status(answer.status)
      .type(type)
      .send(falsify === null ? body : falsify(body));
  });

  function falsifier(lie: Lie, path: string, version: string | null): ((body: Buffer) => Buffer) | null {
    const fork = SUPPORTED_FORKS.find((known) => known === version);
    if (lie === "state" && path.startsWith("/eth/v2/debug/beacon/states/") && fork !== undefined) {
      const type = ssz[fork].BeaconState;
      return (body) => {
        const state = type.deserializeToView(body);
        const index = validatorIndex();
        state.balances.set(index, state.balances.get(index) + 1_000_000_000);
        return Buffer.from(state.serialize());
      };
    }
    if (lie === "header" && path.startsWith("/eth/v1/beacon/headers/")) {
      return replaced(/"proposer_index":"\d+"/, '"proposer_index":"7"');
    }
    if (lie === "genesis" && path.startsWith("/eth/v1/beacon/genesis")) {
      return replaced(/"genesis_time":"\d+"/, '"genesis_time":"1606824023"');
    }
    return null;
  }

  const node = {
    url: await app.listen({ host: "127.0.0.1", port: 0 }),
    lie: "nothing" as Lie,
    get told() {
      return told;
    },
    close: () => app.close(),
  };
  return node;
}

const replaced =
  (pattern: RegExp, by: string) =>
  (body: Buffer): Buffer =>
    Buffer.from(body.toString("utf8").replace(pattern, by));
