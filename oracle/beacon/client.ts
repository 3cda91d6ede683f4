import axios, { isAxiosError, type AxiosResponse } from "axios";
import { EventSource, type ErrorEvent } from "eventsource";
import type { Readable } from "node:stream";
import type { ZodType } from "zod";
import { BeaconNodeError, StateError, type BeaconNodeErrorCode } from "./errors.js";
import { requireSupportedFork, type SupportedFork } from "./forks.js";
import {
  exitRulesAnswer,
  finalityCheckpointsAnswer,
  finalizedCheckpointEvent,
  genesisAnswer,
  headerAnswer,
  headEvent,
  specAnswer,
  syncingAnswer,
  versionAnswer,
  type ChainSpec,
  type ExitRules,
  type FinalityCheckpoints,
  type FinalizedCheckpointEvent,
  type Genesis,
  type HeadEvent,
  type HeaderAnswer,
  type Syncing,
} from "./schemas.js";
import { release, STATE_AGENTS } from "./stateAgents.js";

/** The largest JSON answer asked for, the chain's configuration, has some 20 kB. */
const MAX_JSON_SIZE = 2 ** 20;

/** One server-sent event has some 500 octets. */
const MAX_EVENT_SIZE = 2 ** 16;

/** How a node is it knows without looking anything up. */
const SYNCING_TIMEOUT_MS = 5_000;

const OCTETS = "application/octet-stream";

export interface BeaconClientOptions {
  /** A JSON answer is complete within this time; a state has no pause that is longer. */
  readonly requestTimeoutMs: number;
  /** A state is complete within this time. */
  readonly stateTimeoutMs: number;
}

const DEFAULT_OPTIONS: BeaconClientOptions = { requestTimeoutMs: 15_000, stateTimeoutMs: 600_000 };

/** Something large and serialised, on its way. */
export interface OctetStream {
  /** What the node says its fork is. Not verified: a wrong one gives another root. */
  readonly fork: SupportedFork;
  /** The octets, once; each piece only until the next is asked for. Leaving the loop early closes the connection. */
  readonly octets: AsyncIterable<Uint8Array>;
}

export interface EventHandlers {
  readonly onHead?: (event: HeadEvent) => void;
  readonly onFinalizedCheckpoint?: (event: FinalizedCheckpointEvent) => void;
  /**
   * Every failure. The stream is opened again by itself unless `meta.isClosed`. Events that were sent meanwhile are lost, so
   * they can only hurry what is polled as well.
   */
  readonly onError: (error: BeaconNodeError) => void;
}

export interface EventSubscription {
  close(): void;
}

/**
 * One beacon node, over the Beacon API. Nothing it says is believed by itself: what a report rests on is checked against a root
 * by `readVerifiedState`. Every failure is a BeaconNodeError.
 */
export class BeaconClient {
  /** The node's address without credentials, path and query, any of which may hold a key. */
  readonly name: string;
  readonly #base: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #options: BeaconClientOptions;
  readonly #closed = new AbortController();

  constructor(url: string, options: Partial<BeaconClientOptions> = {}) {
    const base = parseUrl(url);
    this.name = base.origin;
    this.#headers = authorization(base);
    base.username = "";
    base.password = "";
    this.#base = base;
    this.#options = { ...DEFAULT_OPTIONS, ...options };
  }

  async genesis(): Promise<Genesis> {
    return (await this.#json("/eth/v1/beacon/genesis", genesisAnswer)).data;
  }

  async spec(): Promise<ChainSpec> {
    return (await this.#json("/eth/v1/config/spec", specAnswer)).data;
  }

  /** Nobody vouches for them: good for estimates only. */
  async exitRules(): Promise<ExitRules> {
    return (await this.#json("/eth/v1/config/spec", exitRulesAnswer)).data;
  }

  /** @param blockId a root, a slot, "head" or "finalized"; a slot without a block gives BEACON_NOT_FOUND */
  async header(blockId: string | number): Promise<HeaderAnswer> {
    const path = `/eth/v1/beacon/headers/${encodeURIComponent(blockId)}`;
    const answer = await this.#json(path, headerAnswer);
    this.#refuseOptimistic(answer.execution_optimistic, path);
    return answer.data;
  }

  async finalityCheckpoints(stateId = "head"): Promise<FinalityCheckpoints> {
    const path = `/eth/v1/beacon/states/${encodeURIComponent(stateId)}/finality_checkpoints`;
    const answer = await this.#json(path, finalityCheckpointsAnswer);
    this.#refuseOptimistic(answer.execution_optimistic, path);
    return answer.data;
  }

  async syncing(): Promise<Syncing> {
    return (await this.#json("/eth/v1/node/syncing", syncingAnswer, SYNCING_TIMEOUT_MS)).data;
  }

  async version(): Promise<string> {
    return (await this.#json("/eth/v1/node/version", versionAnswer)).data.version;
  }

  /** @param stateId a state root, or a slot of a block (the state of an empty slot is another one) */
  streamState(stateId: string | number): Promise<OctetStream> {
    return this.#stream(`/eth/v2/debug/beacon/states/${encodeURIComponent(stateId)}`);
  }

  /** The signed envelope of a block's execution payload, from Gloas on. */
  streamPayload(blockRoot: string): Promise<OctetStream> {
    return this.#stream(`/eth/v1/beacon/execution_payload_envelopes/${encodeURIComponent(blockRoot)}`);
  }

  async #stream(path: string): Promise<OctetStream> {
    const { requestTimeoutMs, stateTimeoutMs } = this.#options;
    const watchdog = new Watchdog(requestTimeoutMs, stateTimeoutMs, this.#closed.signal);
    let stream: Readable | undefined;
    try {
      // octets or nothing: no string can hold the JSON of a mainnet state
      const response = await this.#request<Readable>(path, "stream", OCTETS, watchdog.signal);
      stream = response.data;
      this.#refuseOptimistic(headerOf(response, "eth-execution-optimistic").toLowerCase() === "true", path);
      const fork = this.#forkOf(path, response);
      return { fork, octets: this.#octets(path, stream, watchdog) };
    } catch (error) {
      watchdog.stop();
      stream?.destroy();
      throw error;
    }
  }

  /** Gives up what is asked now, and whatever will be. */
  close(): void {
    this.#closed.abort();
  }

  /** Follows the head or finality. Needs at least one of the two handlers. */
  subscribe(handlers: EventHandlers): EventSubscription {
    const { onHead, onFinalizedCheckpoint, onError } = handlers;
    const topics = [onHead && "head", onFinalizedCheckpoint && "finalized_checkpoint"].filter(
      (topic) => topic !== undefined,
    );
    const path = "/eth/v1/events";
    const url = this.#url(path);
    url.searchParams.set("topics", topics.join(","));
    const source = new EventSource(url, {
      maxBufferSize: MAX_EVENT_SIZE,
      fetch: (target, init) =>
        fetch(target, { ...init, headers: { ...init.headers, ...this.#headers }, redirect: "error" }),
    });
    const forward = <T extends { isExecutionOptimistic: boolean }>(schema: ZodType<T>, handler: (event: T) => void) => {
      return (message: MessageEvent) => {
        let event: T;
        try {
          event = this.#parse(path, String(message.data), schema);
          this.#refuseOptimistic(event.isExecutionOptimistic, path);
        } catch (error) {
          if (!(error instanceof BeaconNodeError)) throw error;
          onError(error);
          return;
        }
        handler(event);
      };
    };
    if (onHead !== undefined) source.addEventListener("head", forward(headEvent, onHead));
    if (onFinalizedCheckpoint !== undefined) {
      source.addEventListener("finalized_checkpoint", forward(finalizedCheckpointEvent, onFinalizedCheckpoint));
    }
    source.onerror = (event: ErrorEvent) => {
      const isClosed = source.readyState === source.CLOSED;
      const status = event.code === undefined ? "" : ` (HTTP status ${event.code})`;
      onError(
        this.#error(
          isClosed ? "BEACON_NODE_REFUSED" : "BEACON_STREAM_BROKEN",
          path,
          `the event stream ended${status}: ${event.message ?? "no reason given"}`,
          isClosed
            ? "Check that the node serves events; polling goes on without them."
            : "It is opened again by itself.",
          { isClosed },
        ),
      );
    };
    return {
      close: () => {
        source.close();
      },
    };
  }

  #forkOf(path: string, response: AxiosResponse): SupportedFork {
    const type = headerOf(response, "content-type");
    const fork = headerOf(response, "eth-consensus-version");
    if (type.split(";")[0]?.trim().toLowerCase() === OCTETS && fork !== "") return this.#supported(fork);
    throw this.#error(
      "BEACON_BAD_ANSWER",
      path,
      `it answered with content type "${type}" and consensus version "${fork}" instead of SSZ octets of a named fork`,
      "Check that the address is a beacon node's, that its debug endpoints are enabled, and that no proxy drops its headers.",
    );
  }

  #supported(fork: string): SupportedFork {
    try {
      return requireSupportedFork(fork);
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      throw new StateError(error.code, `Beacon node ${this.name}: ${error.message}`, {
        ...error.meta,
        node: this.name,
      });
    }
  }

  async *#octets(path: string, stream: Readable, watchdog: Watchdog): AsyncGenerator<Uint8Array, void, void> {
    try {
      for await (const chunk of stream) {
        watchdog.sawProgress();
        yield chunk as Uint8Array;
        release(chunk as Uint8Array);
      }
    } catch (error) {
      throw this.#fromTransport(path, error, watchdog.signal, "BEACON_STREAM_BROKEN");
    } finally {
      watchdog.stop();
      stream.destroy();
    }
  }

  async #json<T>(path: string, schema: ZodType<T>, mostMs = Infinity): Promise<T> {
    const limitMs = Math.min(this.#options.requestTimeoutMs, mostMs);
    const watchdog = new Watchdog(limitMs, limitMs, this.#closed.signal);
    try {
      const response = await this.#request<string>(path, "text", "application/json", watchdog.signal);
      return this.#parse(path, response.data, schema);
    } finally {
      watchdog.stop();
    }
  }

  #parse<T>(path: string, text: string, schema: ZodType<T>): T {
    const advice = "Check that the address is a beacon node's, and update the node.";
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      const start = JSON.stringify(text.slice(0, 60));
      throw this.#error("BEACON_BAD_ANSWER", path, `its answer is not JSON, it starts with ${start}`, advice);
    }
    const result = schema.safeParse(json);
    if (result.success) return result.data;
    const issues = result.error.issues.map(({ path: member, message }) => `${member.join(".")}: ${message}`);
    throw this.#error(
      "BEACON_BAD_ANSWER",
      path,
      `its answer is not as the Beacon API says: ${issues.join("; ")}`,
      advice,
    );
  }

  async #request<T extends string | Readable>(
    path: string,
    responseType: "text" | "stream",
    accept: string,
    signal: AbortSignal,
  ): Promise<AxiosResponse<T>> {
    let response: AxiosResponse<T>;
    try {
      response = await axios.get<T>(this.#url(path).href, {
        headers: { ...this.#headers, Accept: accept, "Accept-Encoding": "identity" },
        responseType,
        ...(responseType === "stream" ? STATE_AGENTS : {}),
        signal,
        decompress: true, // some proxies compress whatever they are asked for
        maxRedirects: 0, // would carry the credentials to wherever the node says
        maxContentLength: responseType === "text" ? MAX_JSON_SIZE : Infinity,
        proxy: false,
        transformResponse: (data: T) => data,
        validateStatus: () => true,
      });
    } catch (error) {
      throw this.#fromTransport(path, error, signal, "BEACON_NODE_UNREACHABLE");
    }
    const encoding = headerOf(response, "content-encoding").toLowerCase();
    if (response.status === 200 && (encoding === "" || encoding === "identity")) return response;
    if (typeof response.data !== "string") response.data.destroy();
    if (response.status !== 200) throw this.#fromStatus(path, response.status);
    throw this.#error(
      "BEACON_BAD_ANSWER",
      path,
      `its answer is compressed in a way that was not asked for ("${encoding}")`,
      "Turn compression off in the proxy before the node.",
    );
  }

  #url(path: string): URL {
    const url = new URL(this.#base);
    url.pathname = url.pathname.replace(/\/+$/, "") + path;
    return url;
  }

  #refuseOptimistic(isOptimistic: boolean, path: string): void {
    if (!isOptimistic) return;
    throw this.#error(
      "BEACON_EXECUTION_OPTIMISTIC",
      path,
      "its answer rests on execution blocks that it has not verified",
      "Wait until its execution client is in sync, or use another beacon node.",
    );
  }

  #fromStatus(path: string, status: number): BeaconNodeError {
    const what = `it answered with HTTP status ${status}`;
    if (status === 404) {
      return this.#error(
        "BEACON_NOT_FOUND",
        path,
        what,
        "The slot has no block, or the node does not have what was asked for: not yet, no longer, or because it follows another branch.",
      );
    }
    return this.#error("BEACON_NODE_REFUSED", path, what, adviceOnStatus(status), { status });
  }

  // The original error is not kept: it holds the request with its credentials.
  #fromTransport(path: string, error: unknown, signal: AbortSignal, otherwise: BeaconNodeErrorCode): BeaconNodeError {
    if (this.#closed.signal.aborted) {
      return this.#error(
        "BEACON_CLOSED",
        path,
        "it was not waited for, as this program ends",
        "Nothing is to be done.",
      );
    }
    if (signal.aborted) {
      const advice = "See whether the node is overloaded, or raise the time limit (beaconTimeouts).";
      return this.#error("BEACON_NODE_TIMEOUT", path, "it did not answer in time", advice);
    }
    const reason = error instanceof Error ? error.message : String(error);
    const isTooLarge = isAxiosError(error) && reason.startsWith("maxContentLength");
    return this.#error(
      isTooLarge ? "BEACON_BAD_ANSWER" : otherwise,
      path,
      isTooLarge ? reason : `the connection failed: ${reason}`,
      isTooLarge
        ? "Check that the address is a beacon node's."
        : "Check that the node runs and that its address is right.",
    );
  }

  #error(
    code: BeaconNodeErrorCode,
    path: string,
    what: string,
    advice: string,
    meta: Record<string, unknown> = {},
  ): BeaconNodeError {
    return new BeaconNodeError(code, `Beacon node ${this.name}, ${path}: ${what}. ${advice}`, {
      ...meta,
      node: this.name,
      path,
    });
  }
}

/** Aborts what makes no progress for some time, takes too long as a whole, or is no longer wanted. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly #closed: AbortSignal;
  readonly #idle: NodeJS.Timeout;
  readonly #whole: NodeJS.Timeout;

  constructor(idleMs: number, wholeMs: number, closed: AbortSignal) {
    this.#idle = setTimeout(this.#abort, idleMs);
    this.#whole = setTimeout(this.#abort, wholeMs);
    this.#closed = closed;
    if (closed.aborted) this.#abort();
    else closed.addEventListener("abort", this.#abort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  sawProgress(): void {
    this.#idle.refresh();
  }

  stop(): void {
    clearTimeout(this.#idle);
    clearTimeout(this.#whole);
    this.#closed.removeEventListener("abort", this.#abort);
  }

  readonly #abort = (): void => {
    this.#controller.abort();
  };
}

function parseUrl(url: string): URL {
  const base = URL.canParse(url) ? new URL(url) : undefined;
  if (base?.protocol === "http:" || base?.protocol === "https:") return base;
  // the text is not repeated: it may hold a key
  const message =
    "A beacon node's address is not a URL that starts with http:// or https://. Correct it in the configuration.";
  throw new BeaconNodeError("BEACON_URL_INVALID", message);
}

function authorization({ username, password }: URL): Record<string, string> {
  if (username === "" && password === "") return {};
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { Authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
}

function headerOf(response: AxiosResponse, name: string): string {
  const value: unknown = response.headers[name];
  return typeof value === "string" ? value : "";
}

function adviceOnStatus(status: number): string {
  if (status === 401 || status === 403) return "Check the credentials in its address.";
  if (status === 406 || status === 415) return "It does not serve states as SSZ octets: use a beacon node that does.";
  if (status === 429) return "It limits requests: raise the limit or use a node of your own.";
  if (status === 503) return "It is syncing: wait, or use another beacon node.";
  if (status >= 300 && status < 400) return "Configure the address that it redirects to.";
  return "See the node's log.";
}
