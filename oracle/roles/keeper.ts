import type { Signer } from "ethers";
import { latestRefSlot, type Head } from "../clock.js";
import type { Config } from "../config.js";
import { ownerOf, type ChainReader, type ChainView } from "../execution/chain.js";
import type { RegistryView, ValidatorView } from "../execution/registryView.js";
import { depositAction, planDeposit } from "../jobs/deposit.js";
import type { Action } from "../jobs/job.js";
import { planRegister, registerAction } from "../jobs/register.js";
import { planRemovals, removable, removeAction } from "../jobs/remove.js";
import { Sender } from "../jobs/sender.js";
import { planReport, reportAction } from "../jobs/submitReport.js";
import { planSyncFees, syncFeesAction, type SyncFeesPlan } from "../jobs/syncFees.js";
import { planTopUp, spendableWei, topUpAction, type TopUpPlan } from "../jobs/topUp.js";
import { planVet, vetAction } from "../jobs/vet.js";
import { ServiceError } from "../ops/errors.js";
import type { ServiceLogger } from "../ops/logging.js";
import type { Metrics } from "../ops/metrics.js";
import type { SigningDomains } from "../signatures/messages.js";
import { disagreements, type SignatureStore } from "../signatures/store.js";
import { runwayBlocks, type Cluster } from "../ssv/cluster.js";
import { ssvCodeOf, unknownCode } from "../ssv/code.js";
import { exitActions } from "./exits.js";

export interface KeeperParts {
  readonly chain: ChainReader;
  /** null for a dry run */
  readonly signer: Signer | null;
  readonly domains: SigningDomains;
  readonly store: SignatureStore;
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: ServiceLogger;
}

const NO_ROOT = `0x${"00".repeat(32)}`;

/** Sends what is due. Everything is worked out anew from the chain and the collected signatures at every head. */
export class KeeperRole {
  readonly #parts: KeeperParts;
  readonly #sender: Sender;
  /** what was logged already: a trouble that lasts is said once */
  readonly #said = new Set<string>();

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    this.#sender = new Sender(parts.chain.provider, parts.signer, parts.metrics, parts.logger);
  }

  /** Tells the collector who may sign for what at this head; before members in the same process sign for it. */
  async updateCollector(head: Head): Promise<void> {
    const { registry } = await this.#parts.chain.view(head);
    await this.openCollector(head, registry);
  }

  /** Without the registry, which can take long to read at first, approvals of deposits have to wait. */
  async openCollector(head: Head, registry: RegistryView | null = null): Promise<void> {
    const { chain, domains, store } = this.#parts;
    const { reportOracle, guardians, frames } = chain.contracts;
    const at = { blockTag: head.hash };
    const [oracleSet, guardianSet, approvalEpoch] = await Promise.all([
      reportOracle.members(at),
      guardians.members(at),
      guardians.approvalEpoch(at),
    ]);
    const completed = latestRefSlot(frames, head.timestamp);
    const running = (completed ?? -1) + Number(frames.slotsPerFrame);
    store.update({
      domains,
      oracles: new Set(oracleSet.signers),
      guardians: new Set(guardianSet.signers),
      refSlots: completed === null ? [running] : [completed, running],
      approvalEpoch,
      registry,
    });
  }

  async processHead(head: Head): Promise<void> {
    const { chain } = this.#parts;
    const view = await chain.view(head);
    this.#count(view.registry);
    if (!(await this.#sender.openRound(head))) return;
    const failures: unknown[] = [];
    const attempt = async <T>(what: () => Promise<T>): Promise<T | null> =>
      what().catch((error: unknown) => {
        failures.push(error);
        return null;
      });
    // what cannot be planned, say because SSV's views fail, or cannot be sent must not hold up anything else; before them, because
    // of the one write to a cluster, only what runs out goes before removals
    for (const due of [this.#reports, this.#exits, this.#vettings, this.#deposits, this.#upkeep, this.#removals]) {
      const actions = await attempt(() => due.call(this, view));
      for (const action of actions ?? []) await attempt(() => this.#sender.send(action));
    }
    if (failures.length > 1) throw new AggregateError(failures, failures.map(messageOf).join(" "));
    if (failures.length === 1) throw failures[0];
  }

  /** In the order in which it is sent: the reserve's ETH is for the validators that run first, and new ones are paid by today's fees. */
  async #upkeep(view: ChainView): Promise<Action[]> {
    const { contracts } = this.#parts.chain;
    const topUps = await this.#topUps(view);
    const feeSyncs = await this.#feeSyncs(view);
    return [
      ...(await Promise.all(topUps.map((plan) => topUpAction(plan, contracts)))),
      ...(await Promise.all(feeSyncs.map((plan) => syncFeesAction(plan, contracts)))),
      ...(await this.#registrations(view, topUps, feeSyncs)),
    ];
  }

  async #reports({ head }: ChainView): Promise<Action[]> {
    const { chain, store } = this.#parts;
    const { reportOracle } = chain.contracts;
    const at = { blockTag: head.hash };
    const [{ refSlot, done, beaconBlockRoot }, { members_: members, signers, quorum }] = await Promise.all([
      reportOracle.reportable(at),
      reportOracle.members(at),
    ]);
    const collected = store.reports(Number(refSlot));
    for (const { signer, field, theirs, majority } of disagreements(collected)) {
      this.#once(`report:${refSlot}:${signer}:${field}:${theirs}`, () => {
        this.#parts.metrics.reportDisagreements.inc({ field });
        this.#parts.logger.error(
          { refSlot, member: members[signers.indexOf(signer)], signer, field, theirs, majority },
          "a member's report differs from the others'",
        );
      });
    }
    const plan = planReport({ done, rootKnown: beaconBlockRoot !== NO_ROOT, quorum: Number(quorum), collected });
    return plan === null ? [] : [await reportAction(plan, chain.contracts)];
  }

  async #exits(view: ChainView): Promise<Action[]> {
    return exitActions(this.#parts, view, this.#once.bind(this));
  }

  async #vettings({ head, registry }: ChainView): Promise<Action[]> {
    const { chain, store } = this.#parts;
    const { quorum } = await chain.contracts.guardians.members({ blockTag: head.hash });
    const collected = store.vettings.bind(store);
    const plans = planVet({ registry, quorum: Number(quorum), collected });
    return Promise.all(plans.map((plan) => vetAction(plan, chain.contracts)));
  }

  async #deposits({ head, registry }: ChainView): Promise<Action[]> {
    const { chain, store } = this.#parts;
    const { guardians, poolManager, depositContract } = chain.contracts;
    const at = { blockTag: head.hash };
    const [{ quorum }, pausedUntil, depositableWei, count] = await Promise.all([
      guardians.members(at),
      guardians.depositsPausedUntil(at),
      poolManager.depositableEther(at),
      depositContract.get_deposit_count(at),
    ]);
    const plan = planDeposit({
      headNumber: head.number,
      depositsPaused: pausedUntil > BigInt(head.timestamp),
      depositCount: Buffer.from(count.slice(2), "hex").readBigUInt64LE(),
      depositableWei,
      registry,
      quorum: Number(quorum),
      collected: store.deposits.bind(store),
    });
    return plan === null ? [] : [await depositAction(plan, chain.contracts)];
  }

  /** @param topUps and feeSyncs: sent before it */
  async #registrations(
    view: ChainView,
    topUps: readonly TopUpPlan[],
    feeSyncs: readonly SyncFeesPlan[],
  ): Promise<Action[]> {
    const { chain, logger } = this.#parts;
    const { registry, reserve } = chain.contracts;
    const at = { blockTag: view.head.hash };
    const [next, reserveWei] = await Promise.all([registry.nextRegistration(at), reserve.balance(at)]);
    const cluster = view.registry.clusters.get(Number(next.cluster));
    if (next.count === 0n || cluster === undefined) return [];
    if (!(await this.#isSSVKnown(view))) return [];
    const synced = feeSyncs.find((plan) => plan.cluster === cluster.cluster);
    const burnWei = synced?.burnPerValidatorWei ?? (await registry.cluster(next.cluster, at)).burnPerValidator;
    const plan = planRegister({
      next: { cluster: Number(next.cluster), count: Number(next.count) },
      registry: view.registry,
      spendableWei: spendableWei(reserveWei, topUps),
      costWei: await reserve.registrationCost(burnWei, 1, at),
    });
    if (plan === null) {
      this.#once(`reserve:${reserveWei}`, () => {
        logger.warn(
          { cluster: cluster.cluster, reserveWei: reserveWei.toString() },
          "a registration is due and cannot be paid: fund the reserve",
        );
      });
      return [];
    }
    const snapshot = await this.#snapshot(view, cluster.cluster);
    return snapshot === null ? [] : [await registerAction(plan, snapshot, chain.contracts)];
  }

  /** Last of all, as it saves fees and nothing else: where another write to the cluster is due, in the next round. */
  async #removals(view: ChainView): Promise<Action[]> {
    const plans = planRemovals(view.registry);
    if (plans.length === 0 || !(await this.#isSSVKnown(view))) return [];
    const actions = await Promise.all(
      plans.map(async (plan) => {
        const snapshot = await this.#snapshot(view, plan.cluster);
        return snapshot === null ? [] : [await removeAction(plan, snapshot, this.#parts.chain.contracts)];
      }),
    );
    return actions.flat();
  }

  /** Whether SSV Network runs code that this program knows; if not, which is told once, validators neither enter nor leave it. */
  async #isSSVKnown({ head, events }: ChainView): Promise<boolean> {
    const { chain, config, logger } = this.#parts;
    const version = await chain.contracts.ssvViews.getVersion({ blockTag: head.hash });
    const unknown = unknownCode(ssvCodeOf(events, version), config.ssv);
    if (unknown === null) return true;
    this.#once(unknown, () => {
      logger.error(`registering and removing nothing: ${unknown}`);
    });
    return false;
  }

  async #feeSyncs({ head, registry: { clusters } }: ChainView): Promise<SyncFeesPlan[]> {
    const { registry, ssvViews } = this.#parts.chain.contracts;
    const at = { blockTag: head.hash };
    const all = [...clusters.values()];
    const operatorIds = [...new Set(all.flatMap((cluster) => cluster.operatorIds))];
    const [networkFeeWei, operatorFeesWei, states] = await Promise.all([
      ssvViews.getNetworkFee(at),
      Promise.all(operatorIds.map(async (id) => [id, await ssvViews.getOperatorFee(id, at)] as const)),
      Promise.all(
        all.map(async ({ cluster, operatorIds }) => {
          const { burnPerValidator } = await registry.cluster(cluster, at);
          return { cluster, operatorIds, burnPerValidatorWei: burnPerValidator };
        }),
      ),
    ]);
    return planSyncFees({ networkFeeWei, operatorFeesWei: new Map(operatorFeesWei), clusters: states });
  }

  async #topUps(view: ChainView): Promise<TopUpPlan[]> {
    const { chain, metrics, logger } = this.#parts;
    const at = { blockTag: view.head.hash };
    const [{ lowBlocks, targetBlocks }, reserveWei] = await Promise.all([
      chain.contracts.reserve.runway(at),
      chain.contracts.reserve.balance(at),
    ]);
    const plans: TopUpPlan[] = [];
    for (const cluster of view.registry.clusters.values()) {
      const snapshot = await this.#snapshot(view, cluster.cluster);
      if (snapshot === null || snapshot.validatorCount === 0n) continue;
      const funds = await chain.clusterFunds(view, cluster, snapshot);
      if (funds.isLiquidated) {
        this.#once(`liquidated:${cluster.cluster}:${snapshot.index}`, () => {
          metrics.alerts.inc({ reason: "ClusterLiquidated" });
          logger.alert(
            { cluster: cluster.cluster },
            "a cluster is liquidated: its validators do not attest until it is reactivated",
          );
        });
        continue;
      }
      const runway = runwayBlocks(funds);
      if (runway !== null) metrics.clusterRunway.set({ cluster: cluster.cluster }, Number(runway));
      const idle = removable(view.registry, cluster.cluster).length;
      const plan = planTopUp({ cluster, snapshot, funds, removable: idle, lowBlocks, targetBlocks, reserveWei });
      if (plan !== null) plans.push(plan);
    }
    return plans;
  }

  #count({ validators }: RegistryView): void {
    const { metrics } = this.#parts;
    const states = new Map(STATES.map((state) => [state, 0]));
    for (const validator of validators.values()) {
      const state = stateOf(validator);
      states.set(state, (states.get(state) ?? 0) + 1);
    }
    for (const [state, count] of states) metrics.validators.set({ state }, count);
  }

  #once(key: string, say: () => void): void {
    if (this.#said.has(key)) return;
    this.#said.add(key);
    say();
  }

  /** Null when the events lag behind SSV's storage: whatever writes to the cluster waits for the next round. */
  async #snapshot(view: ChainView, id: number): Promise<Cluster | null> {
    const cluster = view.registry.clusters.get(id);
    if (cluster === undefined) return null;
    try {
      return await this.#parts.chain.clusterSnapshot(view, cluster);
    } catch (error) {
      if (!(error instanceof ServiceError && error.code === "SnapshotStale")) throw error;
      this.#parts.logger.warn(
        { cluster: id, owner: ownerOf(view.registry, cluster), error },
        "retrying at the next head",
      );
      return null;
    }
  }
}

const STATES = ["registered", "deposited", "discarded", "asked", "exiting", "exited", "removed"] as const;

/** The last that is known to have happened to a validator. */
function stateOf({ status, exit, removed }: ValidatorView): (typeof STATES)[number] {
  if (removed) return "removed";
  if (exit.exited) return "exited";
  if (exit.exiting) return "exiting";
  return exit.turn === "asked" ? "asked" : status;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
