import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { frameAt, slotAt, timeOfSlot, type Head } from "../clock.js";
import type { Config } from "../config.js";
import { beaconRootAt } from "../execution/beaconRoots.js";
import { ChainReader } from "../execution/chain.js";
import { connectPool, type PoolContracts } from "../execution/contracts.js";
import { EventStore, getLogs } from "../execution/eventStore.js";
import { FailoverProvider, readHead } from "../execution/provider.js";
import { unconfirmedExits, type RegistryView } from "../execution/registryView.js";
import { ConfigError, ServiceError } from "../ops/errors.js";
import type { ServiceLogger } from "../ops/logging.js";
import { createMetrics } from "../ops/metrics.js";
import { credentialsOf } from "../report/ownership.js";
import { BeaconNodes } from "../roles/beaconNodes.js";
import { referenceBlock } from "../roles/reference.js";
import { QueueError } from "./errors.js";
import { arrivalOf, onTheWay, type OnTheWay } from "./onTheWay.js";
import { cutoffSlot, expectedPayment, frameOfNextReport, frameOfRequest, type Arrival } from "./payment.js";
import type { QueueView, RequestView } from "./view.js";

/** Everything of the queue at the head, and at the beacon block before it; nothing is written or sent. */
export async function readQueue(config: Config, request: number | null, logger: ServiceLogger): Promise<QueueView> {
  if (config.beaconUrls.length === 0) {
    throw new ConfigError("ConfigInvalid", "beaconUrls: must name at least one beacon node to see what comes back.");
  }
  const provider = new FailoverProvider(config.executionUrls, config.chainId, logger);
  const scratch = mkdtempSync(path.join(tmpdir(), "pooleth-queue-"));
  try {
    copyEvents(config.dataDir, scratch);
    const contracts = await connectPool(config.poolManager, provider);
    const { registry, validatorExits, ssvNetwork } = contracts.addresses;
    const { chainId, logsFromBlock: fromBlock } = config;
    const parts = { provider, chainId, registry, validatorExits, ssvNetwork, fromBlock, dataDir: scratch, logger };
    return await readAt(config, new ChainReader(provider, contracts, new EventStore(parts)), request, logger);
  } finally {
    provider.destroy();
    rmSync(scratch, { recursive: true });
  }
}

/** What a service has read already. It may be at work: its files are left alone. */
function copyEvents(dataDir: string, scratch: string): void {
  for (const name of existsSync(dataDir) ? readdirSync(dataDir) : []) {
    if (name.startsWith("events-")) cpSync(path.join(dataDir, name), path.join(scratch, name));
  }
}

async function readAt(
  config: Config,
  chain: ChainReader,
  request: number | null,
  logger: ServiceLogger,
): Promise<QueueView> {
  const { provider, contracts } = chain;
  const { poolManager, withdrawalQueue, validatorExits, addresses } = contracts;
  const head = await readHead(provider, "latest");
  if (head === null) throw new ServiceError("HeadMoved", "The execution node has no head yet; try again later.");
  const at = { blockTag: head.hash };
  const { lastRequest, lastFinalised } = await withdrawalQueue.state(at);
  if (request !== null && (request < 1 || BigInt(request) > lastRequest)) {
    throw new QueueError("RequestUnknown", `There is no request ${request}; the last one made is ${lastRequest}.`, {
      request,
      lastRequest,
    });
  }
  const [totals, demand, withdrawalVaultWei, rewardsVaultWei, isPaused, loss] = await Promise.all([
    poolManager.totals(at),
    validatorExits.demand(at),
    provider.getBalance(addresses.withdrawalVault, head.hash),
    provider.getBalance(addresses.rewardsVault, head.hash),
    poolManager.finalisationPaused(at),
    poolManager.pendingLoss(at),
  ]);
  const { registry } = await chain.view(head);
  const due = Number(demand.due);
  const overdue = await readOverdue(contracts, registry, head);
  const [validators, timing] = await Promise.all([
    readValidators(config, chain, registry, head, { due, overdue }, logger),
    readTiming(chain, head),
  ]);
  // what came to the vault after the frame of the next report ended is for the report after it
  const lateWei = await lateArrivals(chain, head, timing.nextFrame, withdrawalVaultWei);
  const liquidWei = totals.buffered + withdrawalVaultWei - lateWei + rewardsVaultWei - totals.owed;
  const arrivals = [{ timestamp: head.timestamp, wei: lateWei }, ...arrivalsOf(validators)];
  return {
    head,
    requests: {
      waiting: Number(lastRequest - lastFinalised),
      afterCutoff: timing.late.filter(({ id }) => id > lastFinalised).length,
      valueWei: totals.queued,
    },
    liquid: { bufferedWei: totals.buffered, withdrawalVaultWei, rewardsVaultWei },
    owedWei: totals.owed,
    shortageWei: demand.shortageWei,
    exits: {
      asked: Number(demand.underway),
      confirmed: Number(demand.confirmed),
      due,
      forceable: Math.min(due, overdue.size),
    },
    paused: isPaused ? "finalisation is paused" : loss.frame !== 0n ? "a loss waits for governance" : null,
    validators,
    request: request === null ? null : await readRequest(chain, head, request, timing, liquidWei, arrivals),
  };
}

/** The beacon state before the head's block is the newest that the chain itself vouches for. */
async function readValidators(
  config: Config,
  { provider, contracts }: ChainReader,
  registry: RegistryView,
  head: Head,
  demand: { readonly due: number; readonly overdue: ReadonlySet<number> },
  logger: ServiceLogger,
): Promise<OnTheWay[]> {
  const { addresses, frames } = contracts;
  const beacon = new BeaconNodes({
    urls: config.beaconUrls,
    chainId: config.chainId,
    depositContract: addresses.depositContract,
    frames,
    metrics: createMetrics(),
    logger,
  });
  const root = await beaconRootAt(provider, frames, slotAt(frames, head.timestamp) - 1, head);
  if (root === null) throw new ServiceError("HeadMoved", "The chain has no beacon block yet; try again later.");
  const deposited = [...registry.validators.values()].filter(({ status }) => status === "deposited");
  const [state, rules] = await Promise.all([
    beacon.readState(root, new Set(deposited.map(({ publicKey }) => publicKey))),
    beacon.exitRules(),
  ]);
  return onTheWay(registry, state, credentialsOf(addresses.withdrawalVault), demand, rules, frames);
}

/** Validators that were asked to exit and have had their time. */
async function readOverdue(
  { validatorExits, frames }: PoolContracts,
  registry: RegistryView,
  head: Head,
): Promise<ReadonlySet<number>> {
  const frame = frameAt(frames, head.timestamp);
  const statuses = await Promise.all(
    unconfirmedExits(registry).map(async ({ id }) => ({
      id,
      status: await validatorExits.status(id, { blockTag: head.hash }),
    })),
  );
  return new Set(statuses.flatMap(({ id, status }) => (Number(status.forceableFrom) <= frame ? [id] : [])));
}

/** What the next report knows of. */
interface Timing {
  /** Frame of the next report. */
  readonly nextFrame: number;
  readonly cutoffMargin: number;
  /** Requests that came after its cutoff. */
  readonly late: readonly { readonly id: bigint; readonly block: number }[];
}

async function readTiming({ provider, contracts }: ChainReader, head: Head): Promise<Timing> {
  const { reportOracle, withdrawalQueue, addresses, frames } = contracts;
  const at = { blockTag: head.hash };
  const [lastFrame, margin] = await Promise.all([reportOracle.lastFrame(at), withdrawalQueue.cutoffMargin(at)]);
  const cutoffMargin = Number(margin);
  const nextFrame = frameOfNextReport(frames, head.timestamp, Number(lastFrame));
  const cutoff = cutoffSlot(frames, nextFrame, cutoffMargin);
  if (timeOfSlot(frames, cutoff) > head.timestamp) return { nextFrame, cutoffMargin, late: [] };
  const before = await referenceBlock(provider, frames, cutoff - 1, head);
  const { topicHash } = withdrawalQueue.interface.getEvent("WithdrawalRequested");
  const filter = { address: addresses.withdrawalQueue, topics: [[topicHash]] };
  const logs = await getLogs(provider, filter, before.number + 1, head.number);
  return { nextFrame, cutoffMargin, late: logs.map(({ topics, block }) => ({ id: BigInt(topics[1] ?? 0), block })) };
}

async function lateArrivals(
  { provider, contracts: { addresses, frames } }: ChainReader,
  head: Head,
  nextFrame: number,
  vaultWei: bigint,
): Promise<bigint> {
  if (nextFrame >= frameAt(frames, head.timestamp)) return 0n;
  const end = await referenceBlock(provider, frames, (nextFrame + 1) * Number(frames.slotsPerFrame) - 1, head);
  try {
    const thenWei = await provider.getBalance(addresses.withdrawalVault, end.hash);
    return vaultWei > thenWei ? vaultWei - thenWei : 0n;
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    return 0n; // a report so late that nodes have forgotten the state; what is not known is supposed to have come in time
  }
}

function arrivalsOf(validators: readonly OnTheWay[]): Arrival[] {
  return validators
    .filter(({ estimate }) => estimate !== null)
    .map((validator) => ({ timestamp: arrivalOf(validator), wei: validator.wei }));
}

async function readRequest(
  { provider, contracts: { withdrawalQueue, frames } }: ChainReader,
  head: Head,
  id: number,
  { nextFrame, cutoffMargin, late }: Timing,
  liquidWei: bigint,
  arrivals: readonly Arrival[],
): Promise<RequestView> {
  const at = { blockTag: head.hash };
  const [status, [, aheadWei]] = await Promise.all([withdrawalQueue.request(id, at), withdrawalQueue.position(id, at)]);
  const valueWei = status.amount;
  if (status.finalised) {
    return { id, status: status.claimed ? "claimed" : "finalised", valueWei, aheadWei, payment: null };
  }
  const block = late.find((request) => request.id === BigInt(id))?.block;
  const madeAt = block === undefined ? null : await readHead(provider, block);
  const requestFrame = madeAt === null ? nextFrame : frameOfRequest(frames, madeAt.timestamp, cutoffMargin);
  const question = { head, liquidWei, arrivals, neededWei: aheadWei + valueWei, nextFrame, requestFrame };
  return { id, status: "waiting", valueWei, aheadWei, payment: expectedPayment(question, frames) };
}
