import { frameAt, slotAt, timeOfSlot, type Head } from "../clock.js";
import type { Config } from "../config.js";
import { beaconRootAt } from "../execution/beaconRoots.js";
import type { ChainReader } from "../execution/chain.js";
import type { PoolContracts } from "../execution/contracts.js";
import { getLogs } from "../execution/eventStore.js";
import { isNotServed, readHead } from "../execution/provider.js";
import { readOnly } from "../execution/readOnly.js";
import { unconfirmedExits, type RegistryView } from "../execution/registryView.js";
import { ServiceError } from "../ops/errors.js";
import type { ServiceLogger } from "../ops/logging.js";
import { credentialsOf } from "../report/ownership.js";
import type { BeaconNodes } from "../roles/beaconNodes.js";
import { referenceBlock } from "../roles/reference.js";
import { QueueError } from "./errors.js";
import { arrivalOf, onTheWay, type OnTheWay } from "./onTheWay.js";
import { cutoffSlot, expectedPayment, frameOfNextReport, frameOfRequest, type Arrival } from "./payment.js";
import type { QueueView, RequestView } from "./view.js";

/** Everything of the queue at the head, and at the beacon block before it; nothing is written or sent. */
export function readQueue(config: Config, request: number | null, logger: ServiceLogger): Promise<QueueView> {
  return readOnly(config, logger, (chain, beacon) => readAt(chain, beacon, request));
}

async function readAt(chain: ChainReader, beacon: BeaconNodes, request: number | null): Promise<QueueView> {
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
    readValidators(chain, beacon, registry, head, { due, overdue }),
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
  { provider, contracts }: ChainReader,
  beacon: BeaconNodes,
  registry: RegistryView,
  head: Head,
  demand: { readonly due: number; readonly overdue: ReadonlySet<number> },
): Promise<OnTheWay[]> {
  const { addresses, frames } = contracts;
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
    if (error instanceof ServiceError && !isNotServed(error)) throw error;
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
