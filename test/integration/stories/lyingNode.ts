import { gzipSync } from "node:zlib";
import { ssz } from "@lodestar/types";
import fastify, { type FastifyReply } from "fastify";
import { SUPPORTED_FORKS } from "../../../oracle/beacon/forks.js";

/** What an honest node says. */
interface Answer {
  readonly status: number;
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A question and what can be found out to answer it. */
interface Question {
  readonly path: string;
  /** What an honest node says to another question, or to this one. */
  readonly honest: (path?: string) => Promise<Answer>;
  readonly reply: FastifyReply;
  readonly validatorIndex: () => number;
}

/** Answers in its own way; null leaves the answer to the honest node. */
type Behaviour = (question: Question) => Promise<Answer | "answered"> | null;

const GENESIS = "/eth/v1/beacon/genesis";
const SPEC = "/eth/v1/config/spec";
const SYNCING = "/eth/v1/node/syncing";
const HEADERS = "/eth/v1/beacon/headers/";
const STATES = "/eth/v2/debug/beacon/states/";

const on =
  (start: string, answer: (question: Question) => Promise<Answer | "answered">): Behaviour =>
  (question) =>
    question.path.startsWith(start) ? answer(question) : null;
const all =
  (...behaviours: readonly Behaviour[]): Behaviour =>
  (question) => {
    for (const behaviour of behaviours) {
      const answer = behaviour(question);
      if (answer !== null) return answer;
    }
    return null;
  };
const changed = (start: string, change: (answer: Answer, question: Question) => Answer): Behaviour =>
  on(start, async (question) => change(await question.honest(), question));
const replaced = (start: string, pattern: RegExp, by: string): Behaviour =>
  changed(start, (answer) => ({ ...answer, body: Buffer.from(answer.body.toString("utf8").replace(pattern, by)) }));
const refused = (start: string, status: number): Behaviour =>
  on(start, async () => ({ status, type: "application/json", headers: {}, body: Buffer.from(`{"code":${status}}`) }));
const page = (start: string): Behaviour =>
  on(start, async () => ({
    status: 200,
    type: "text/html",
    headers: {},
    body: Buffer.from("<!doctype html><p>Sign in"),
  }));
const octets = (change: (body: Buffer) => Buffer): Behaviour =>
  changed(STATES, (answer) => (answer.status === 200 ? { ...answer, body: change(answer.body) } : answer));
const labelled = (headers: Record<string, string>): Behaviour =>
  changed(STATES, (answer) => ({ ...answer, headers: { ...answer.headers, ...headers } }));
/** What the node does with the connection once it has said that a state follows. */
const streamed = (send: (body: Buffer, raw: FastifyReply["raw"]) => void): Behaviour =>
  on(STATES, async ({ honest, reply }) => {
    const { body, type, headers } = await honest();
    reply.hijack();
    reply.raw.writeHead(200, { "content-type": type, ...headers });
    send(body, reply.raw);
    return "answered";
  });
const isByRoot = (path: string): boolean => path.slice(path.lastIndexOf("/") + 1).startsWith("0x");

/** A validator of the pool is given an ETH more. */
const richer = changed(STATES, (answer, { validatorIndex }) => {
  const fork = SUPPORTED_FORKS.find((known) => known === answer.headers["eth-consensus-version"]);
  if (fork === undefined) return answer;
  const state = ssz[fork].BeaconState.deserializeToView(answer.body);
  const index = validatorIndex();
  state.balances.set(index, state.balances.get(index) + 1_000_000_000);
  return { ...answer, body: Buffer.from(state.serialize()) };
});

/** Its own newest block, whichever was asked for. */
const otherHeader = on(HEADERS, ({ honest }) => honest(`${HEADERS}head`));
/** It knows the block, and by its slot has the state of the branch that it follows. */
const otherBranch = on(STATES, async ({ path, honest }) => {
  if (isByRoot(path)) return honest(`${STATES}0x${"00".repeat(32)}`);
  return honest(`${STATES}${Number(path.slice(path.lastIndexOf("/") + 1)) - 1}`);
});

/** Everything that a beacon node may do wrong here. */
const BEHAVIOURS = {
  nothing: () => null,
  state: richer,
  header: replaced(HEADERS, /"proposer_index":"\d+"/, '"proposer_index":"7"'),
  "header and state": all(replaced(HEADERS, /"state_root":"0x../, '"state_root":"0x00'), richer),
  genesis: replaced(GENESIS, /"genesis_time":"\d+"/, '"genesis_time":"1606824023"'),
  "deposit contract": replaced(SPEC, /("DEPOSIT_CONTRACT_ADDRESS":"0x)[0-9a-f]{4}/i, "$1ffff"),
  optimistic: all(
    replaced(SYNCING, /"is_optimistic":false/, '"is_optimistic":true'),
    replaced(HEADERS, /"execution_optimistic":false/, '"execution_optimistic":true'),
  ),
  "optimistic about the state": labelled({ "eth-execution-optimistic": "true" }),
  syncing: all(
    replaced(SYNCING, /"is_syncing":false/, '"is_syncing":true'),
    refused(HEADERS, 503),
    refused(STATES, 503),
  ),
  stuck: all(replaced(SYNCING, /"head_slot":"\d+"/, '"head_slot":"3"'), refused(HEADERS, 404), refused(STATES, 404)),
  pruned: refused(STATES, 404),
  "another header": otherHeader,
  "another branch": otherBranch,
  json: changed(STATES, (answer) => ({ ...answer, type: "application/json", body: Buffer.from('{"data":{}}') })),
  html: page(STATES),
  "html everywhere": page("/"),
  redirect: on("/", async ({ reply }) => {
    await reply.redirect("/login");
    return "answered";
  }),
  reset: streamed((body, raw) => {
    raw.write(body.subarray(0, body.length / 2), () => raw.socket?.resetAndDestroy());
  }),
  truncated: octets((body) => body.subarray(0, body.length - 40_000)),
  extended: octets((body) => Buffer.concat([body, body])),
  endless: streamed((body, raw) => {
    const send = (): void => {
      while (raw.write(body));
    };
    raw.on("drain", send);
    send();
  }),
  silent: streamed((body, raw) => {
    raw.write(body.subarray(0, 1_000));
  }),
  "other fork": labelled({ "eth-consensus-version": "electra" }),
  "unknown fork": labelled({ "eth-consensus-version": "later" }),
  // not wrong, only unusual
  "compressed unasked": changed(STATES, ({ body, headers, ...answer }) => ({
    ...answer,
    body: gzipSync(body),
    headers: { ...headers, "content-encoding": "gzip" },
  })),
  "states by slot only": on(STATES, async ({ path, honest }) =>
    isByRoot(path) ? { status: 500, type: "application/json", headers: {}, body: Buffer.from("{}") } : honest(),
  ),
} satisfies Record<string, Behaviour>;

/** What the node does wrong. */
export type Lie = keyof typeof BEHAVIOURS;

export interface LyingNode {
  readonly url: string;
  lie: Lie;
  /** Answers that were not the honest node's. */
  readonly told: number;
  /** Streams of events that are open. */
  readonly listeners: number;
  announce(event: "head" | "finalized_checkpoint", slot: number): void;
  close(): Promise<void>;
}

/**
 * A beacon node that is faulty, or under somebody's control: it passes on what an honest one answers, except for what it lies about.
 *
 * @param validatorIndex a validator of the pool
 */
export async function startLyingNode(
  honestUrl: string,
  validatorIndex: () => number,
  lie: Lie = "nothing",
): Promise<LyingNode> {
  const app = fastify({ forceCloseConnections: true });
  let told = 0;
  const streams = new Set<FastifyReply["raw"]>();
  app.get("/eth/v1/events", (_request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    streams.add(reply.raw);
    reply.raw.on("close", () => streams.delete(reply.raw));
  });
  app.get("/*", async (request, reply) => {
    const { accept } = request.headers;
    const honest = async (path = request.url): Promise<Answer> => {
      const answer = await fetch(new URL(path, honestUrl), accept === undefined ? {} : { headers: { accept } });
      const version = answer.headers.get("eth-consensus-version");
      return {
        status: answer.status,
        type: answer.headers.get("content-type") ?? "application/json",
        headers: version === null ? {} : { "eth-consensus-version": version },
        body: Buffer.from(await answer.arrayBuffer()),
      };
    };
    const behaviour: Behaviour = BEHAVIOURS[node.lie];
    const own = behaviour({ path: request.url, honest, reply, validatorIndex });
    if (own !== null) told++;
    const answer = await (own ?? honest());
    if (answer === "answered") return reply;
    return reply.status(answer.status).headers(answer.headers).type(answer.type).send(answer.body);
  });
  const node = {
    url: await app.listen({ host: "127.0.0.1", port: 0 }),
    lie,
    get told() {
      return told;
    },
    get listeners() {
      return streams.size;
    },
    announce: (event: string, slot: number) => {
      const root = `0x${slot.toString(16).padStart(64, "0")}`;
      const flags = { epoch_transition: false, execution_optimistic: false };
      const data = { slot: String(slot), epoch: String(slot), block: root, state: root, ...flags };
      for (const stream of streams) stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    },
    close: () => app.close(),
  };
  return node;
}
