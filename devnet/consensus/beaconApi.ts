import { HttpStatusCode, routes } from "@lodestar/api";
import { ApiError, addSszContentTypeParser, createFastifyRoute, type ApplicationMethods } from "@lodestar/api/server";
import { chainConfigToJson, specValuesToJson } from "@lodestar/config";
import { SLOTS_PER_EPOCH, activePreset } from "@lodestar/params";
import { getRandaoMix } from "@lodestar/state-transition";
import fastify, { type FastifyInstance } from "fastify";
import { getBytes } from "ethers";
import { PoolError } from "../../oracle/errors.js";
import type { BlockRecord } from "./blockStore.js";
import type { Chain } from "./chain.js";
import { EMPTY_SIGNATURE } from "./duties.js";
import { isFuluState, validatorByIndex, validatorByPubkey, type BeaconState, type ValidatorView } from "./state.js";

type Endpoints = routes.beacon.Endpoints & routes.config.Endpoints & routes.debug.Endpoints & routes.node.Endpoints;
type Served = Partial<ApplicationMethods<Endpoints>>;
type BlockIdentifier = routes.beacon.BlockId;
type StateIdentifier = routes.beacon.StateId;

/** Resolves the identifiers of the Beacon API against the chain; what does not exist is a 404, as from a node. */
export class BeaconLookup {
  readonly #chain: Chain;

  constructor(chain: Chain) {
    this.#chain = chain;
  }

  block(id: BlockIdentifier): BlockRecord {
    const { blocks, head, finalized, justified } = this.#chain;
    const record = ((): BlockRecord | undefined => {
      if (id === "head") return head;
      if (id === "genesis") return blocks.genesis;
      if (id === "finalized") return finalized.block;
      if (id === "justified") return justified.block;
      const text = String(id);
      return text.startsWith("0x") ? blocks.byRoot(text.toLowerCase()) : blocks.bySlot(Number(text));
    })();
    if (record === undefined) throw new ApiError(HttpStatusCode.NOT_FOUND, `block ${id} not found`);
    return record;
  }

  state(id: StateIdentifier): BeaconState {
    const text = String(id);
    if (text.startsWith("0x")) {
      const record = this.#chain.blocks.byStateRoot(text.toLowerCase());
      if (record === undefined) throw new ApiError(HttpStatusCode.NOT_FOUND, `state ${text} not found`);
      return this.#stateOf(record);
    }
    if (!/^\d+$/.test(text)) return this.#stateOf(this.block(id));
    const slot = Number(text);
    if (slot > this.#chain.slot) throw new ApiError(HttpStatusCode.NOT_FOUND, `slot ${slot} is in the future`);
    this.#stateOf(this.#chain.blocks.atOrBefore(slot));
    return this.#chain.stateAtSlot(slot);
  }

  #stateOf(record: BlockRecord): BeaconState {
    const state = this.#chain.blocks.stateOf(record);
    if (state === undefined) throw new ApiError(HttpStatusCode.NOT_FOUND, `the state of slot ${record.slot} is pruned`);
    return state;
  }
}

/** The part of the Beacon API that the devnet serves, on Lodestar's own route definitions (JSON and SSZ). */
function methods(chain: Chain): Served {
  const lookup = new BeaconLookup(chain);
  const finalizedSlot = (): number => chain.finalized.epoch * SLOTS_PER_EPOCH;
  const meta = (state: BeaconState) => ({
    executionOptimistic: false,
    finalized: state.slot <= finalizedSlot(),
    version: chain.config.getForkName(state.slot),
  });
  const blockMeta = (record: BlockRecord) => ({
    executionOptimistic: false,
    finalized: record.slot <= finalizedSlot(),
    version: chain.config.getForkName(record.slot),
  });
  const header = (record: BlockRecord): routes.beacon.BlockHeaderResponse => ({
    root: getBytes(record.root),
    canonical: true,
    header: { message: record.header, signature: record.signedBlock?.signature ?? EMPTY_SIGNATURE },
  });
  const validators: ApplicationMethods<Endpoints>["postStateValidators"] = async ({
    stateId,
    validatorIds,
    statuses,
  }) => {
    const state = lookup.state(stateId);
    const wanted = (view: ValidatorView): boolean =>
      statuses === undefined ||
      statuses.length === 0 ||
      statuses.some((status) => view.status === status || view.status.startsWith(`${status}_`));
    return { data: selectValidators(state, validatorIds).filter(wanted).map(toResponse), meta: meta(state) };
  };
  const balances: ApplicationMethods<Endpoints>["postStateValidatorBalances"] = async ({ stateId, validatorIds }) => {
    const state = lookup.state(stateId);
    const data = selectValidators(state, validatorIds).map((v) => ({ index: v.index, balance: Number(v.balanceGwei) }));
    return { data, meta: meta(state) };
  };

  return {
    getGenesis: async () => ({
      data: {
        genesisTime: chain.genesisTime,
        genesisValidatorsRoot: chain.config.genesisValidatorsRoot,
        genesisForkVersion: chain.config.GENESIS_FORK_VERSION,
      },
    }),
    getStateRoot: async ({ stateId }) => {
      const state = lookup.state(stateId);
      return { data: { root: state.hashTreeRoot() }, meta: meta(state) };
    },
    getStateFork: async ({ stateId }) => {
      const state = lookup.state(stateId);
      return { data: state.fork.toValue(), meta: meta(state) };
    },
    getStateFinalityCheckpoints: async ({ stateId }) => {
      const state = lookup.state(stateId);
      const data = {
        previousJustified: state.previousJustifiedCheckpoint.toValue(),
        currentJustified: state.currentJustifiedCheckpoint.toValue(),
        finalized: state.finalizedCheckpoint.toValue(),
      };
      return { data, meta: meta(state) };
    },
    getStateRandao: async ({ stateId, epoch }) => {
      const state = lookup.state(stateId);
      return { data: { randao: getRandaoMix(state, epoch ?? state.epochCtx.epoch) }, meta: meta(state) };
    },
    getStateValidators: validators,
    postStateValidators: validators,
    getStateValidator: async ({ stateId, validatorId }) => {
      const state = lookup.state(stateId);
      const view = selectValidators(state, [validatorId])[0];
      if (view === undefined) throw new ApiError(HttpStatusCode.NOT_FOUND, `validator ${validatorId} not found`);
      return { data: toResponse(view), meta: meta(state) };
    },
    getStateValidatorBalances: balances,
    postStateValidatorBalances: balances,
    postStateValidatorIdentities: async ({ stateId, validatorIds }) => {
      const state = lookup.state(stateId);
      const data = selectValidators(state, validatorIds).map(({ index, validator }) => ({
        index,
        pubkey: validator.pubkey,
        activationEpoch: validator.activationEpoch,
      }));
      return { data, meta: meta(state) };
    },
    getPendingDeposits: async ({ stateId }) => {
      const state = lookup.state(stateId);
      return { data: state.pendingDeposits.toValue(), meta: meta(state) };
    },
    getPendingPartialWithdrawals: async ({ stateId }) => {
      const state = lookup.state(stateId);
      return { data: state.pendingPartialWithdrawals.toValue(), meta: meta(state) };
    },
    getPendingConsolidations: async ({ stateId }) => {
      const state = lookup.state(stateId);
      return { data: state.pendingConsolidations.toValue(), meta: meta(state) };
    },
    getProposerLookahead: async ({ stateId }) => {
      const state = lookup.state(stateId);
      if (!isFuluState(state)) throw new ApiError(HttpStatusCode.BAD_REQUEST, "proposer_lookahead exists from Fulu on");
      return { data: state.proposerLookahead.toValue(), meta: meta(state) };
    },
    getBlockHeader: async ({ blockId }) => {
      const record = lookup.block(blockId);
      return { data: header(record), meta: blockMeta(record) };
    },
    getBlockHeaders: async ({ slot, parentRoot }) => {
      const at = slot ?? (parentRoot === undefined ? chain.head.slot : undefined);
      const records = at === undefined ? chain.blocks.childrenOf(String(parentRoot)) : [chain.blocks.bySlot(at)];
      const found = records.filter((record) => record !== undefined);
      const finalized = found.every((record) => record.slot <= finalizedSlot());
      return { data: found.map(header), meta: { executionOptimistic: false, finalized } };
    },
    getBlockRoot: async ({ blockId }) => {
      const record = lookup.block(blockId);
      return { data: { root: getBytes(record.root) }, meta: blockMeta(record) };
    },
    getBlockV2: async ({ blockId }) => {
      const record = lookup.block(blockId);
      if (record.signedBlock === null) throw new ApiError(HttpStatusCode.NOT_FOUND, "genesis is not a block");
      return { data: record.signedBlock, meta: blockMeta(record) };
    },
    getSignedExecutionPayloadEnvelope: async ({ blockId }) => {
      const record = lookup.block(blockId);
      const { envelope } = record;
      if (envelope === null) throw new ApiError(HttpStatusCode.NOT_FOUND, `block ${blockId} has no payload of its own`);
      return { data: envelope, meta: blockMeta(record) };
    },
    submitPoolVoluntaryExit: async ({ signedVoluntaryExit }) => {
      try {
        chain.submitVoluntaryExit(signedVoluntaryExit);
      } catch (error) {
        if (error instanceof PoolError) throw new ApiError(HttpStatusCode.BAD_REQUEST, error.message);
        throw error;
      }
    },
    getSpec: async () => ({ data: { ...specValuesToJson({ ...activePreset }), ...chainConfigToJson(chain.config) } }),
    getDepositContract: async () => ({
      data: { chainId: chain.config.DEPOSIT_CHAIN_ID, address: chain.config.DEPOSIT_CONTRACT_ADDRESS },
    }),
    getForkSchedule: async () => ({
      data: chain.config.forksAscendingEpochOrder
        .filter((fork) => fork.epoch !== Infinity)
        .map((fork) => ({
          previousVersion: fork.prevVersion,
          currentVersion: fork.version,
          epoch: Math.max(fork.epoch, 0),
        })),
    }),
    getStateV2: async ({ stateId }, context) => {
      const state = lookup.state(stateId);
      return { data: context?.returnBytes === true ? state.serialize() : state.toValue(), meta: meta(state) };
    },
    getSyncingStatus: async () => ({
      data: {
        headSlot: chain.head.slot,
        syncDistance: 0,
        isSyncing: false,
        isOptimistic: false,
        elOffline: false,
      },
    }),
    getHealth: async () => ({}),
    getNodeVersion: async () => ({ data: { version: "pooleth-devnet" } }),
  };
}

function selectValidators(state: BeaconState, ids: (string | number)[] | undefined): ValidatorView[] {
  const views =
    ids === undefined || ids.length === 0
      ? Array.from({ length: state.validators.length }, (_, index) => validatorByIndex(state, index))
      : ids.map((id) =>
          typeof id === "string" && id.startsWith("0x")
            ? validatorByPubkey(state, id)
            : validatorByIndex(state, Number(id)),
        );
  const found = new Map<number, ValidatorView>();
  for (const view of views) if (view !== null) found.set(view.index, view);
  return [...found.values()];
}

function toResponse({ index, balanceGwei, status, validator }: ValidatorView): routes.beacon.ValidatorResponse {
  return { index, balance: Number(balanceGwei), status, validator };
}

/** `?id=1,2` and `?id=1&id=2` mean the same. */
function parseQuery(query: string): Record<string, string | string[]> {
  const parsed: Record<string, string[]> = {};
  for (const [key, value] of new URLSearchParams(query))
    (parsed[key.replace(/\[\]$/, "")] ??= []).push(...value.split(","));
  return Object.fromEntries(
    Object.entries(parsed).map(([key, values]) => [
      key,
      values.length === 1 && values[0] !== undefined ? values[0] : values,
    ]),
  );
}

/** The Beacon API server; callers may add routes before it listens. */
export function createBeaconApi(chain: Chain): FastifyInstance {
  const app = fastify({
    bodyLimit: 64 * 1024 * 1024,
    forceCloseConnections: true,
    routerOptions: { querystringParser: parseQuery },
    ajv: { customOptions: { coerceTypes: "array" } },
  });
  addSszContentTypeParser(app);
  app.setErrorHandler<Error & { statusCode?: number }>((error, _request, reply) => {
    const code = error.statusCode ?? 500;
    return reply.status(code).send({ code, message: error.message });
  });
  const definitions = {
    ...routes.beacon.getDefinitions(chain.config),
    ...routes.config.getDefinitions(chain.config),
    ...routes.debug.getDefinitions(chain.config),
    ...routes.node.getDefinitions(chain.config),
  };
  const served = methods(chain);
  for (const name of Object.keys(served) as (keyof Endpoints)[]) register(app, definitions, served, name);
  serveEvents(app, chain);
  return app;
}

type Definitions = { [N in keyof Endpoints]: Parameters<typeof createFastifyRoute<Endpoints[N]>>[0] };

function register<K extends keyof Endpoints>(
  app: FastifyInstance,
  definitions: Pick<Definitions, K>,
  served: Pick<Served, K>,
  name: K,
): void {
  const method = served[name];
  if (method !== undefined) app.route(createFastifyRoute<Endpoints[K]>(definitions[name], method, name));
}

function serveEvents(app: FastifyInstance, chain: Chain): void {
  const serdes = routes.events.getEventSerdes(chain.config);
  app.get<{ Querystring: { topics?: string | string[] } }>("/eth/v1/events", (request, reply) => {
    const topics = new Set([request.query.topics ?? []].flat());
    reply.hijack();
    reply.raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    reply.raw.flushHeaders();
    const unsubscribe = chain.events.subscribe((event) => {
      if (!topics.has(event.type)) return;
      reply.raw.write(`event: ${event.type}\ndata: ${JSON.stringify(serdes.toJson(event))}\n\n`);
    });
    reply.raw.on("close", unsubscribe);
  });
}
