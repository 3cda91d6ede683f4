import type { Signer } from "ethers";
import type { VerifiedState } from "../beacon/readVerified.js";
import type { Head } from "../clock.js";
import type { Config } from "../config.js";
import { ownerOf, type ChainReader, type ChainView } from "../execution/chain.js";
import { DepositReader, type DepositsSeen } from "../execution/deposits.js";
import { executionBlockOf } from "../execution/header.js";
import { readAncestor } from "../execution/provider.js";
import { chainHead, remaining, type BatchView, type ClusterView } from "../execution/registryView.js";
import { rememberingDepositVerifier } from "../keys/depositData.js";
import { rememberingVerifier } from "../keys/verify.js";
import type { ServiceLogger } from "../ops/logging.js";
import type { Metrics } from "../ops/metrics.js";
import {
  depositKeysHash,
  linkToBytes32,
  sign,
  type DepositApproval,
  type SignedMessage,
  type SigningDomains,
} from "../signatures/messages.js";
import type { SendSignatures } from "../signatures/push.js";
import { ssvCodeOf } from "../ssv/code.js";
import { anchorNumber, judgeCluster } from "./approval.js";
import type { BeaconNodes } from "./beaconNodes.js";
import { readFinalizedState } from "./finalizedState.js";
import { judgeBatch, type DepositRules, type Refusal } from "./vetting.js";

export interface GuardianParts {
  readonly chain: ChainReader;
  readonly beacon: BeaconNodes;
  readonly signer: Signer;
  readonly domains: SigningDomains;
  readonly config: Config;
  readonly send: SendSignatures;
  readonly metrics: Metrics;
  readonly logger: ServiceLogger;
}

/** One guardian: at each head it judges what waits for a guardian's word, and sends its word as long as it holds. */
export class GuardianRole {
  readonly #parts: GuardianParts;
  readonly #verify = rememberingVerifier();
  readonly #verifyDeposits = rememberingDepositVerifier();
  readonly #deposits: DepositReader;
  /** signed vettings by batch and approval epoch */
  readonly #vetted = new Map<string, SignedMessage>();
  /** signed approvals by what they say */
  #approvals = new Map<string, SignedMessage>();
  /** refusals already logged: each is said once as long as it lasts */
  #said = new Set<string>();

  constructor(parts: GuardianParts) {
    this.#parts = parts;
    this.#deposits = new DepositReader(parts.chain.provider, parts.chain.contracts);
  }

  async processHead(head: Head): Promise<void> {
    const { chain, send } = this.#parts;
    const { guardians } = chain.contracts;
    const at = { blockTag: head.hash };
    const [view, approvalEpoch, pausedUntil] = await Promise.all([
      chain.view(head),
      guardians.approvalEpoch(at),
      guardians.depositsPausedUntil(at),
    ]);
    const refusals: Refusal[] = [];
    await send(await this.#vet(view, approvalEpoch, refusals));
    if (pausedUntil <= BigInt(head.timestamp)) await send(await this.#approve(view, approvalEpoch, refusals));
    this.#say(refusals);
  }

  async #vet(view: ChainView, approvalEpoch: bigint, refusals: Refusal[]): Promise<SignedMessage[]> {
    const messages: SignedMessage[] = [];
    for (const account of view.registry.accounts.values()) {
      let queuedBefore = 0;
      for (const batch of account.queue) {
        if (!batch.vetted) {
          const signed = await this.#vetBatch(view, batch, queuedBefore, approvalEpoch, refusals);
          if (signed !== null) messages.push(signed);
        }
        queuedBefore += remaining(batch).length;
      }
    }
    return messages;
  }

  async #vetBatch(
    view: ChainView,
    batch: BatchView,
    queuedBefore: number,
    approvalEpoch: bigint,
    refusals: Refusal[],
  ): Promise<SignedMessage | null> {
    const { signer, domains, metrics, logger } = this.#parts;
    const { account, batch: id } = batch;
    const head = linkToBytes32(chainHead(batch.cluster, batch.entries));
    const key = `${account}:${id}:${head}:${approvalEpoch}`;
    const earlier = this.#vetted.get(key);
    if (earlier !== undefined) return earlier;
    const cluster = view.registry.clusters.get(batch.cluster);
    const state = await this.#finalizedState(view);
    if (cluster === undefined || state === null) return null;
    const found = judgeBatch({
      batch,
      cluster,
      owner: ownerOf(view.registry, cluster),
      queuedBefore,
      view,
      state,
      rules: await this.#rules(),
      verify: this.#verify,
      verifyDeposits: this.#verifyDeposits,
    });
    refusals.push(...found);
    if (found.length > 0) return null;
    const signed = await sign(
      { kind: "vetting", message: { account, batch: id, head, approvalEpoch } },
      domains,
      signer,
    );
    this.#vetted.set(key, signed);
    metrics.guardianApprovals.inc({ kind: "vetting" });
    logger.info({ account, batch: id, cluster: batch.cluster, validators: batch.entries.length }, "vetted a batch");
    return signed;
  }

  async #approve(view: ChainView, approvalEpoch: bigint, refusals: Refusal[]): Promise<SignedMessage[]> {
    const { chain, config, metrics } = this.#parts;
    const waiting = [...view.registry.validators.values()].filter(({ status }) => status === "registered");
    const clusters = [...new Set(waiting.map(({ cluster }) => cluster))].flatMap(
      (id) => view.registry.clusters.get(id) ?? [],
    );
    const approvals = new Map<string, SignedMessage>();
    const state = clusters.length === 0 ? null : await this.#finalizedState(view);
    if (state !== null) {
      const { contracts } = chain;
      const at = { blockTag: view.head.hash };
      const [deposits, depositableWei, version, rules] = await Promise.all([
        executionBlockOf(chain.provider, state).then((block) => this.#deposits.read(block, view.head)),
        contracts.poolManager.depositableEther(at),
        contracts.ssvViews.getVersion(at),
        this.#rules(),
      ]);
      const ssv = ssvCodeOf(view.events, version);
      const limits = { minRunwayBlocks: BigInt(config.guardian.minRunwayBlocks), ssv: config.ssv };
      for (const cluster of clusters) {
        const snapshot = await chain.clusterSnapshot(view, cluster);
        const funds = await chain.clusterFunds(view, cluster, snapshot);
        const verify = this.#verify;
        const verifyDeposits = this.#verifyDeposits;
        const judgement = judgeCluster({
          cluster,
          funds,
          view,
          state,
          deposits,
          depositableWei,
          rules,
          limits,
          ssv,
          verify,
          verifyDeposits,
        });
        refusals.push(...judgement.refusals);
        const { active, attesting } = judgement.participation;
        if (active > 0) metrics.clusterAttesting.set({ cluster: cluster.cluster }, attesting / active);
        await this.#approveFirst(view.head, cluster, judgement.fit, deposits, approvalEpoch, approvals);
      }
    }
    this.#approvals = approvals;
    return [...approvals.values()];
  }

  /** One approval for each prefix, so that the keeper can send what a quorum agrees on. */
  async #approveFirst(
    head: Head,
    { cluster }: ClusterView,
    fit: readonly { readonly id: number; readonly publicKey: string; readonly depositSignature: string }[],
    deposits: DepositsSeen,
    approvalEpoch: bigint,
    approvals: Map<string, SignedMessage>,
  ): Promise<void> {
    const { chain, signer, domains, metrics, logger } = this.#parts;
    const number = anchorNumber(head.number, deposits);
    // on the chain whose deposits were seen: on another one, others may stand before the same count
    const anchor = number === null || fit.length === 0 ? null : await readAncestor(chain.provider, number, head);
    if (anchor === null) return;
    for (let count = 1; count <= fit.length; count++) {
      const some = fit.slice(0, count);
      const message: DepositApproval = {
        cluster,
        ids: some.map(({ id }) => id),
        keysHash: depositKeysHash(some),
        approvalEpoch,
        blockNumber: BigInt(anchor.number),
        blockHash: anchor.hash,
        depositCount: deposits.count,
      };
      const key = `${message.keysHash}:${cluster}:${approvalEpoch}:${anchor.hash}:${deposits.count}`;
      const earlier = this.#approvals.get(key);
      if (earlier === undefined) {
        metrics.guardianApprovals.inc({ kind: "deposit" });
        logger.info({ cluster, ids: message.ids, anchor: anchor.number }, "approved a deposit");
      }
      approvals.set(key, earlier ?? (await sign({ kind: "deposit", message }, domains, signer)));
    }
  }

  async #finalizedState(view: ChainView): Promise<VerifiedState | null> {
    const { chain, beacon, logger } = this.#parts;
    const state = await readFinalizedState(chain, beacon, view, new Set(view.registry.uses.keys()));
    if (state === null && view.finalized !== null) {
      logger.debug(
        { block: view.finalized.number },
        "the chain has not finalised a block yet; nothing can be vetted or approved",
      );
    }
    return state;
  }

  async #rules(): Promise<DepositRules> {
    const { chain, beacon } = this.#parts;
    const { genesisForkVersion } = await beacon.genesis();
    return { withdrawalCredentials: chain.contracts.withdrawalCredentials, genesisForkVersion };
  }

  #say(refusals: readonly Refusal[]): void {
    const { metrics, logger } = this.#parts;
    const now = new Set<string>();
    for (const refusal of refusals) {
      const { reason, message, publicKey, alert } = refusal;
      const key = `${reason}:${publicKey ?? ""}:${message}`;
      now.add(key);
      if (this.#said.has(key)) continue;
      metrics.guardianRefusals.inc({ reason });
      if (alert === true) metrics.alerts.inc({ reason });
      logger[alert === true ? "alert" : "warn"]({ reason, publicKey }, `refused to sign: ${message}`);
    }
    this.#said = now;
  }
}
