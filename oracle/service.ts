import path from "node:path";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import type { Signer } from "ethers";
import { schedule, type ScheduledTask } from "node-cron";
import { hasherWarning } from "./beacon/hasher.js";
import { slotAt, type FrameConfig, type Head } from "./clock.js";
import { openKey, type Config, type Role } from "./config.js";
import { ChainReader } from "./execution/chain.js";
import { connectPool } from "./execution/contracts.js";
import { EventStore } from "./execution/eventStore.js";
import { FailoverProvider, readHead } from "./execution/provider.js";
import { codeOf, ConfigError, ServiceError } from "./ops/errors.js";
import { ChainWatch } from "./ops/chainWatch.js";
import { createHttpServer, type Health } from "./ops/http.js";
import { prepareDataDir } from "./ops/dataDir.js";
import { createLogger, describeError, type ServiceLogger } from "./ops/logging.js";
import { createMetrics } from "./ops/metrics.js";
import { connectBeacon, type BeaconNodes } from "./roles/beaconNodes.js";
import { GuardianRole } from "./roles/guardian.js";
import { KeeperRole } from "./roles/keeper.js";
import { OracleRole } from "./roles/oracle.js";
import { WithdrawnRecords } from "./roles/reference.js";
import { registerCollector } from "./signatures/collector.js";
import { pushSignatures, type SendSignatures } from "./signatures/push.js";
import { SigningJournal } from "./signatures/journal.js";
import type { SigningDomains } from "./signatures/messages.js";
import { SignatureStore } from "./signatures/store.js";

export interface ServiceOptions {
  /** Ends the service. */
  readonly signal?: AbortSignal;
  readonly logger?: ServiceLogger;
  /** Keys that are not in a file or the environment. */
  readonly signers?: Readonly<Partial<Record<Role, Signer>>>;
  readonly environment?: NodeJS.ProcessEnv;
  /** False: heads are processed when `sync` is called and never otherwise. */
  readonly follow?: boolean;
  /** Milliseconds of a clock that is never set back, by which a head that stands still is noticed; the machine's if not given. */
  readonly now?: () => number;
}

export interface RoleFailure {
  readonly role: Role;
  readonly error: unknown;
}

export interface Round {
  readonly head: Head;
  /** roles that could not do their part; they try again at the next head, or when asked again */
  readonly failures: readonly RoleFailure[];
}

export interface Service {
  /** where it serves health, metrics and, as a keeper, takes signatures */
  readonly url: string;
  readonly roles: readonly Role[];
  /** last head that all roles have processed */
  readonly processedHead: Head | null;
  /** Resolves when everything that the current head asks of this service is done. */
  sync(): Promise<Round>;
  stop(): Promise<void>;
}

interface RunningRole {
  readonly role: Role;
  readonly processHead: (head: Head) => Promise<void>;
}

/** Starts the roles of a configuration. Nothing is global: a process may run any number of services. */
export async function startService(config: Config, options: ServiceOptions = {}): Promise<Service> {
  const logger = options.logger ?? createLogger(config.logLevel);
  if (hasherWarning !== undefined) logger.warn(hasherWarning);
  prepareDataDir(config.dataDir);
  const metrics = createMetrics();
  const provider = new FailoverProvider(config.executionUrls, config.chainId, logger);
  const contracts = await connectPool(config.poolManager, provider);
  const { registry, validatorExits, ssvNetwork } = contracts.addresses;
  const { chainId, dataDir } = config;
  const events = new EventStore({
    provider,
    chainId,
    registry,
    validatorExits,
    ssvNetwork,
    fromBlock: config.logsFromBlock,
    dataDir,
    logger,
  });
  const chain = new ChainReader(provider, contracts, events);
  const beacon = connectBeacon(config, contracts, metrics, logger);
  const { reportOracle, guardians } = contracts.addresses;
  const domains: SigningDomains = { chainId, reportOracle, guardians };
  const signerOf = (role: Role): Signer => signerFor(role, config, options);
  const store = new SignatureStore();
  const send: SendSignatures = async (messages) => {
    // what the keeper in this process refuses, another one may still want
    const here = config.roles.includes("keeper") ? messages.filter((message) => store.add(message).kept) : [];
    const told = await pushSignatures(config.collectors, messages, metrics, logger);
    return [...here.flatMap((message) => store.opposing(message)), ...told];
  };
  const shared = { chain, beacon, domains, config, metrics, send };
  const app = createHttpServer(metrics, () => service.health);
  const running: RunningRole[] = [];

  let keeper: KeeperRole | null = null;
  if (config.roles.includes("keeper")) {
    const role = new KeeperRole({
      ...shared,
      signer: config.dryRun ? null : signerOf("keeper").connect(provider),
      store,
      logger: logger.child({ role: "keeper" }),
    });
    keeper = role;
    running.push({ role: "keeper", processHead: (head) => role.updateCollector(head) });
    registerCollector(app, store, metrics, logger.child({ role: "keeper" }));
  }
  // members before the keeper's jobs, which then find what was just signed
  if (config.roles.includes("oracle")) {
    const role = new OracleRole({
      ...shared,
      signer: signerOf("oracle"),
      journal: new SigningJournal(dataDir),
      records: new WithdrawnRecords(dataDir),
      logger: logger.child({ role: "oracle" }),
    });
    running.push({ role: "oracle", processHead: (head) => role.processHead(head) });
  }
  if (config.roles.includes("guardian")) {
    const role = new GuardianRole({
      ...shared,
      signer: signerOf("guardian"),
      logger: logger.child({ role: "guardian" }),
    });
    running.push({ role: "guardian", processHead: (head) => role.processHead(head) });
  }
  if (keeper !== null) {
    const role = keeper;
    running.push({ role: "keeper", processHead: (head) => role.processHead(head) });
  }

  const { frames } = contracts;
  const watch = new ChainWatch({ frames, metrics, logger, now: options.now });
  const service = new RunningService({
    config,
    frames,
    provider,
    beacon,
    watch,
    running,
    keeper,
    metrics,
    logger,
    app,
  });
  await service.start(options);
  return service;
}

function signerFor(role: Role, { keys }: Config, { signers, environment }: ServiceOptions): Signer {
  const given = signers?.[role];
  if (given !== undefined) return given;
  const source = keys[role];
  if (source !== undefined) return openKey(role, source, environment ?? process.env);
  throw new ConfigError(
    "ConfigInvalid",
    `keys.${role}: the role ${role} needs a key; name its file or environment variable.`,
    {
      role,
    },
  );
}

/** Nodes that mean no good may announce as much as they like: the head is looked at once in this time at most. */
const EVENT_PAUSE_MS = 1_000;

interface Parts {
  readonly config: Config;
  readonly frames: FrameConfig;
  readonly provider: FailoverProvider;
  readonly beacon: BeaconNodes;
  readonly watch: ChainWatch;
  readonly running: readonly RunningRole[];
  readonly keeper: KeeperRole | null;
  readonly metrics: ReturnType<typeof createMetrics>;
  readonly logger: ServiceLogger;
  readonly app: ReturnType<typeof createHttpServer>;
}

class RunningService implements Service {
  url = "";
  readonly #parts: Parts;
  readonly #stopped = new AbortController();
  #last: Round | null = null;
  /** why the head could not be read when it was last tried */
  #headless: unknown = null;
  #queue: Promise<unknown> = Promise.resolve();
  #isTriggered = false;
  /** a beacon node announced finality since the last round began */
  #isFinalityNew = false;
  #epoch: number | null = null;
  #poll: NodeJS.Timeout | undefined;
  #heartbeat: ScheduledTask | undefined;
  /** runs while announcements wait */
  #pause: NodeJS.Timeout | undefined;
  #isAnnounced = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get roles(): readonly Role[] {
    return this.#parts.config.roles;
  }

  get processedHead(): Head | null {
    return this.#last?.head ?? null;
  }

  get health(): Health {
    const { alarms } = this.#parts.watch;
    const failures = (this.#last?.failures ?? []).map(({ role, error }): [string, unknown] => [role, error]);
    if (this.#headless !== null) failures.push(["head", this.#headless]);
    else if (alarms.HeadStalled !== undefined) failures.push(["head", alarms.HeadStalled]);
    return {
      roles: this.roles,
      processedHead: this.processedHead,
      failures: Object.fromEntries(failures.map(([name, error]) => [name, String(describeError(error).message)])),
      alarms,
      beaconNodes: this.#parts.beacon.health,
    };
  }

  async start({ signal, follow = true }: ServiceOptions): Promise<void> {
    const { config, app, keeper, logger, beacon } = this.#parts;
    // members may push before the first round
    if (keeper !== null) await keeper.openCollector(await this.#head());
    const { host, port } = config.listen;
    this.url = await app.listen({ host, port }).catch((cause: unknown) => {
      throw new ConfigError(
        "ConfigInvalid",
        `listen: cannot serve on ${host}:${port} (${codeOf(cause)}); free the port or name another one.`,
        { host, port },
        cause,
      );
    });
    logger.info(
      { roles: config.roles, url: this.url, dryRun: config.dryRun, dataDir: path.resolve(config.dataDir) },
      "started",
    );
    signal?.addEventListener("abort", () => {
      this.stop().catch((error: unknown) => {
        logger.error({ error }, "stopping failed");
      });
    });
    if (!follow) return;
    this.#poll = setInterval(() => {
      this.#trigger();
    }, config.pollSeconds * 1_000);
    this.#heartbeat = schedule("* * * * *", () => {
      logger.info({ processedHead: this.processedHead }, "alive");
    });
    beacon.follow({
      onHead: () => {
        this.#announced();
      },
      onFinalized: () => {
        this.#isFinalityNew = true;
        this.#announced();
      },
    });
    this.#trigger();
  }

  sync(): Promise<Round> {
    const round = this.#queue.then(() => this.#round());
    this.#queue = round.catch(() => undefined); // whoever asked for the round hears of it; the next one starts in any case
    return round;
  }

  async stop(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    clearInterval(this.#poll);
    this.#parts.beacon.close();
    clearTimeout(this.#pause);
    await this.#heartbeat?.destroy();
    await this.#queue;
    await this.#parts.app.close();
    this.#parts.provider.destroy();
    this.#parts.logger.info("stopped");
  }

  #announced(): void {
    if (this.#pause !== undefined) {
      this.#isAnnounced = true;
      return;
    }
    this.#trigger();
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      if (!this.#isAnnounced) return;
      this.#isAnnounced = false;
      this.#announced();
    }, EVENT_PAUSE_MS);
  }

  #trigger(): void {
    if (this.#isTriggered) return;
    this.#isTriggered = true;
    this.#queue
      .then(() => {
        this.#isTriggered = false;
        return this.sync();
      })
      .catch((error: unknown) => {
        this.#parts.logger.warn({ error }, "the head cannot be read; trying again");
      });
  }

  async #head(): Promise<Head> {
    const head = await readHead(this.#parts.provider, "latest");
    if (head !== null) return head;
    throw new ServiceError("HeadMoved", "The execution node has no head yet; the next round tries again.");
  }

  async #round(): Promise<Round> {
    const { running, watch, metrics, logger } = this.#parts;
    if (this.#stopped.signal.aborted && this.#last !== null) return this.#last;
    let head: Head;
    try {
      head = await this.#head();
      this.#headless = null;
    } catch (error) {
      this.#headless = error;
      throw error;
    }
    watch.sawHead(head);
    const isDone = this.#last?.head.hash === head.hash && this.#last.failures.length === 0;
    if (this.#last !== null && isDone && !this.#isFinalityNew) return this.#last;
    await this.#survey(head);
    const failures: RoleFailure[] = [];
    for (const { role, processHead } of running) {
      try {
        await processHead(head);
        metrics.rounds.inc({ role, result: "ok" });
      } catch (error) {
        failures.push({ role, error });
        metrics.rounds.inc({ role, result: "failed" });
        const moved = error instanceof ServiceError && error.code === "HeadMoved";
        logger[moved || this.#stopped.signal.aborted ? "info" : "error"](
          { role, head: head.number, error },
          "the round failed; trying again at the next head",
        );
      }
    }
    this.#last = { head, failures };
    metrics.head.set(head.number);
    metrics.headTimestamp.set(head.timestamp);
    return this.#last;
  }

  /** How the chain and the beacon nodes are: once an epoch, and when finality is announced. Alarms only: it never fails. */
  async #survey(head: Head): Promise<void> {
    const { frames, provider, beacon, watch } = this.#parts;
    const slot = slotAt(frames, head.timestamp);
    const epoch = Math.floor(slot / SLOTS_PER_EPOCH);
    if (epoch !== this.#epoch || this.#isFinalityNew) {
      const finalized = await readHead(provider, "finalized").catch(() => null); // some nodes fail while nothing is final
      if (finalized !== null) watch.sawFinalized(head, finalized);
    }
    this.#epoch = epoch;
    this.#isFinalityNew = false;
    await beacon.survey(slot);
  }
}
