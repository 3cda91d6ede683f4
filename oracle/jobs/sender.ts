import { isCallException, isError, type ContractTransaction, type Signer, type TransactionReceipt } from "ethers";
import type { Head } from "../clock.js";
import { decodeRevert } from "../execution/contracts.js";
import type { FailoverProvider } from "../execution/provider.js";
import type { ServiceLogger } from "../ops/logging.js";
import type { Metrics } from "../ops/metrics.js";
import type { Action } from "./job.js";

/** Blocks after which a transaction that no block took is replaced with higher fees. */
const PATIENCE_BLOCKS = 4;
/** Nodes accept a replacement from 10 % more on, of both fees. */
const BUMP_PERCENT = 125n;
/** About six times what the chain asks: a transaction that does not go out at that waits for something else. */
const MAX_BUMPS = 8;
const GAS_MARGIN_PERCENT = 120n;
/** EIP-7825: no transaction may ask for more. */
const GAS_CAP = 2n ** 24n;

interface InFlight {
  readonly action: Action;
  readonly hash: string;
  readonly nonce: number;
}

/**
 * Sends what is due, one round a head. A round is only opened when nothing of this key waits in a node's pool, whoever sent it
 * (this process or one that was killed), so every round decides on a chain that has all of the last one's effects. Nothing here is
 * needed after a restart.
 */
export class Sender {
  readonly #provider: FailoverProvider;
  readonly #signer: Signer | null;
  readonly #metrics: Metrics;
  readonly #logger: ServiceLogger;
  #inFlight: InFlight[] = [];
  #waiting: { nonce: number; since: number; bumps: number } | null = null;
  #nonce = 0;
  #fees: { maxFeePerGas: bigint; maxPriorityFeePerGas: bigint } | null = null;
  #clusters = new Set<number>();

  /** @param signer null for a dry run: nothing is sent */
  constructor(provider: FailoverProvider, signer: Signer | null, metrics: Metrics, logger: ServiceLogger) {
    this.#provider = provider;
    this.#signer = signer;
    this.#metrics = metrics;
    this.#logger = logger;
  }

  /** Says what became of the last round. False while something still waits: then nothing may be sent. */
  async openRound(head: Head): Promise<boolean> {
    this.#clusters = new Set();
    this.#fees = null;
    if (this.#signer === null) return true;
    const address = await this.#signer.getAddress();
    const [mined, pending] = await Promise.all([
      this.#provider.getTransactionCount(address, "latest"),
      this.#provider.getTransactionCount(address, "pending"),
    ]);
    await this.#settle(mined);
    this.#nonce = mined;
    // some nodes do not count what waits for lower fees
    if (pending <= mined && this.#inFlight.length === 0) {
      this.#waiting = null;
      return true;
    }
    if (this.#waiting?.nonce !== mined) this.#waiting = { nonce: mined, since: head.number, bumps: 0 };
    if (head.number - this.#waiting.since < PATIENCE_BLOCKS) return false;
    this.#logger.warn({ nonce: mined }, "a transaction waits too long; replacing it with higher fees");
    // each time more than the last, or the second replacement would be refused while the chain asks for the same
    const bumps = Math.min(this.#waiting.bumps + 1, MAX_BUMPS);
    const { maxFeePerGas, maxPriorityFeePerGas } = await this.#provider.getFeeData();
    const raise = (fee: bigint | null): bigint => ((fee ?? 1n) * BUMP_PERCENT ** BigInt(bumps)) / 100n ** BigInt(bumps);
    this.#fees = { maxFeePerGas: raise(maxFeePerGas), maxPriorityFeePerGas: raise(maxPriorityFeePerGas) };
    this.#waiting = { nonce: mined, since: head.number, bumps };
    return true;
  }

  /** Simulates and sends. What the simulation refuses is not sent: somebody was first, or it is not due any more. */
  async send(action: Action): Promise<void> {
    const { job, description, meta, writesCluster, transaction } = action;
    if (writesCluster !== undefined && this.#clusters.has(writesCluster)) return;
    if (this.#signer === null) {
      if (await this.#simulate(action, transaction)) {
        this.#metrics.jobs.inc({ job, result: "dry-run" });
        this.#logger.info({ job, ...meta, transaction }, `would send: ${description}`);
      }
      return;
    }
    const from = await this.#signer.getAddress();
    if (!(await this.#simulate(action, { ...transaction, from }))) return;
    if (writesCluster !== undefined) this.#clusters.add(writesCluster);
    try {
      const estimate = await this.#provider.estimateGas({ ...transaction, from });
      const margin = (estimate * GAS_MARGIN_PERCENT) / 100n;
      const gasLimit = margin < GAS_CAP ? margin : GAS_CAP;
      const { hash } = await this.#signer.sendTransaction({
        ...transaction,
        gasLimit,
        nonce: this.#nonce,
        ...this.#fees,
      });
      this.#inFlight.push({ action, hash, nonce: this.#nonce });
      this.#nonce += 1;
      this.#metrics.jobs.inc({ job, result: "sent" });
      this.#logger.info({ job, ...meta, hash }, `sent: ${description}`);
    } catch (error) {
      if (isCallException(error)) {
        this.#notDue(action, error.data);
        return;
      }
      // another process with this key was faster, or this one sent it before it was killed
      const isKnown = isError(error, "NONCE_EXPIRED") || isError(error, "REPLACEMENT_UNDERPRICED");
      if (!isKnown && !/already known|already imported/i.test(String(error))) throw error;
      this.#logger.info(
        { job, ...meta },
        "the node has a transaction with this nonce already; the next round looks again",
      );
    }
  }

  async #simulate(action: Action, transaction: ContractTransaction): Promise<boolean> {
    try {
      await this.#provider.call(transaction);
      return true;
    } catch (error) {
      if (!isCallException(error)) throw error;
      this.#notDue(action, error.data);
      return false;
    }
  }

  #notDue({ job, meta, description }: Action, data: string | null): void {
    const revert = data === null ? "no reason" : (decodeRevert(data) ?? data);
    this.#metrics.jobs.inc({ job, result: "refused" });
    this.#logger.info({ job, ...meta, revert }, `not sent, the chain would refuse it: ${description}`);
  }

  async #settle(mined: number): Promise<void> {
    const receipts = await Promise.all(this.#inFlight.map(({ hash }) => this.#provider.getTransactionReceipt(hash)));
    this.#inFlight = this.#inFlight.filter((sent, i) => {
      const receipt = receipts[i] ?? null;
      if (receipt !== null) this.#report(sent, receipt);
      // without a receipt it still waits, or was replaced: which of the two, its nonce tells
      return receipt === null && sent.nonce >= mined;
    });
  }

  #report({ action, hash }: InFlight, receipt: TransactionReceipt): void {
    const { job, meta, description } = action;
    const facts = { job, ...meta, hash, block: receipt.blockNumber, gasUsed: receipt.gasUsed.toString() };
    if (receipt.status === 1) {
      this.#metrics.jobs.inc({ job, result: "done" });
      this.#logger.info(facts, `done: ${description}`);
      return;
    }
    // it passed the simulation, so something came in between: another keeper, or a stranger's 1 wei to a cluster
    this.#metrics.jobs.inc({ job, result: "overtaken" });
    this.#logger.info(facts, `reverted, another transaction was first; looking again: ${description}`);
  }
}
