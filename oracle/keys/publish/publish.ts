import { setTimeout as pause } from "node:timers/promises";
import { type ContractTransaction, formatEther, isCallException, type Signer } from "ethers";
import { ValidatorRegistry__factory } from "../../../types/ethers-contracts/index.js";
import type { Head } from "../../clock.js";
import { decodeRevert } from "../../execution/contracts.js";
import { readHead } from "../../execution/provider.js";
import { Sender } from "../../jobs/sender.js";
import { ServiceError } from "../../ops/errors.js";
import { createLogger, type ServiceLogger } from "../../ops/logging.js";
import { createMetrics } from "../../ops/metrics.js";
import type { PoolChain } from "../poolChain.js";
import type { Batch } from "./batch.js";
import { RegistryReader } from "./chain.js";
import { estimateAll } from "./cost.js";
import { PublishError } from "./errors.js";
import {
  planPublication,
  publishArguments,
  publishCall,
  type AccountOnChain,
  type Chunk,
  type Publication,
} from "./plan.js";

/** Transactions that take the same keys before a person has to look why. */
const MOST_ATTEMPTS = 3;

export interface PlannedCall extends Chunk {
  readonly transaction: ContractTransaction;
  readonly gas: bigint;
}

/** What there is to publish at a head, and what it costs. */
export interface PublishView {
  readonly head: Head;
  readonly batch: Batch;
  readonly account: AccountOnChain;
  readonly publication: Publication;
  readonly calls: readonly PlannedCall[];
  /** what a transaction pays now, base fee and tip */
  readonly gasPriceWei: bigint;
  /** of the sender; null if none is known */
  readonly balanceWei: bigint | null;
  /** whether the gas comes from a simulation; otherwise it is the least that it can be */
  readonly isSimulated: boolean;
}

interface Planned {
  readonly account: AccountOnChain;
  readonly publication: Publication;
}

/** Throws if anything is wrong with some keys of the batch. */
export type Verify = (publicKeys: ReadonlySet<string>) => Promise<void>;

/** Brings one batch to the registry. It keeps nothing: the chain says what was done. */
export class Publisher {
  readonly #chain: PoolChain;
  readonly #batch: Batch;
  readonly #verify: Verify;
  readonly #reader: RegistryReader;

  constructor(chain: PoolChain, batch: Batch, verify: Verify) {
    this.#chain = chain;
    this.#batch = batch;
    this.#verify = verify;
    this.#reader = new RegistryReader(chain);
  }

  /**
   * What is left to publish, all of it verified.
   * @param from who will send; null if that is not known
   */
  async view(from: string | null): Promise<PublishView> {
    const { provider } = this.#chain;
    const head = await this.#head();
    const { account, publication } = await this.#plan(head);
    const left = publication.chunks.flatMap(({ keys }) => keys.map(({ publicKey }) => publicKey));
    if (left.length > 0) await this.#verify(new Set(left));
    const transactions = await Promise.all(publication.chunks.map(async (chunk) => this.#call(account, chunk)));
    const [first] = transactions;
    const [estimate, { gasPrice }, balanceWei] = await Promise.all([
      first === undefined || from === null ? null : this.#estimate(first, from, head),
      provider.getFeeData(),
      from === null ? null : provider.getBalance(from),
    ]);
    const gas = estimateAll(
      transactions.map(({ data }) => data),
      estimate,
    );
    const calls = publication.chunks.flatMap((chunk, i) => {
      const transaction = transactions[i];
      return transaction === undefined ? [] : [{ ...chunk, transaction, gas: gas[i] ?? 0n }];
    });
    return {
      head,
      batch: this.#batch,
      account,
      publication,
      calls,
      gasPriceWei: gasPrice ?? 0n,
      balanceWei,
      isSimulated: estimate !== null,
    };
  }

  /**
   * Sends what is left until the chain has all, one transaction at a time. Each head says anew what is left, so it does not matter
   * what became of earlier transactions, nor of earlier runs of this program.
   */
  async send(signer: Signer, say: (line: string) => void, pollMs: number): Promise<Head> {
    const from = await signer.getAddress();
    const sender = new Sender(this.#chain.provider, signer, createMetrics(), speakingLogger(say));
    const attempts = new Map<bigint, number>();
    let [last, published] = ["", -1];
    for (;;) {
      const head = await readHead(this.#chain.provider, "latest");
      if (head === null || head.hash === last) {
        await pause(pollMs);
        continue;
      }
      last = head.hash;
      const isFree = await sender.openRound(head);
      const planned = await this.#planUnlessMoved(head);
      if (planned === null) continue;
      const { account, publication } = planned;
      const [chunk] = publication.chunks;
      if (publication.published > published) {
        published = publication.published;
        say(`block ${head.number}: ${published} of ${this.#batch.keys.length} keys are published`);
      }
      if (chunk === undefined) return head;
      if (!isFree) continue;
      const attempt = (attempts.get(chunk.firstNonce) ?? 0) + 1;
      if (attempt > MOST_ATTEMPTS) {
        throw new PublishError(
          "Stuck",
          `The keys from owner nonce ${chunk.firstNonce} were sent ${MOST_ATTEMPTS} times, and the registry has none of them: look at the transactions of ${from}.`,
          { firstNonce: chunk.firstNonce, from },
        );
      }
      attempts.set(chunk.firstNonce, attempt);
      const transaction = await this.#call(account, chunk);
      await this.#simulate(transaction, from, head);
      await sender.send({ job: "publish", description: describe(chunk), meta: {}, transaction });
    }
  }

  async #head(): Promise<Head> {
    const head = await readHead(this.#chain.provider, "latest");
    if (head !== null) return head;
    throw new ServiceError("HeadMoved", "The execution node has no head yet; try again later.");
  }

  async #plan(head: Head): Promise<Planned> {
    const account = await this.#reader.account(this.#batch, head);
    const { keys, operators } = this.#batch;
    return { account, publication: planPublication(keys, operators.length, account) };
  }

  /** Null when the head was replaced meanwhile: the next one tells. */
  async #planUnlessMoved(head: Head): Promise<Planned | null> {
    try {
      return await this.#plan(head);
    } catch (error) {
      if (error instanceof ServiceError && error.code === "HeadMoved") return null;
      throw error;
    }
  }

  async #call(account: AccountOnChain, chunk: Chunk): Promise<ContractTransaction> {
    return publishCall(this.#chain.contracts.registry, account.clusterId, publishArguments(chunk));
  }

  /** Null where a transaction of the same keys waits: nodes reckon with those. */
  async #estimate(transaction: ContractTransaction, from: string, head: Head): Promise<bigint | null> {
    await this.#simulate(transaction, from, head);
    try {
      return await this.#chain.provider.estimateGas({ ...transaction, from });
    } catch (error) {
      if (!isCallException(error)) throw error;
      return null;
    }
  }

  /** At the head of which the plan was made: what is refused there is not news, but wrong. */
  async #simulate(transaction: ContractTransaction, from: string, head: Head): Promise<void> {
    try {
      await this.#chain.provider.call({ ...transaction, from, blockTag: head.hash });
    } catch (error) {
      if (!isCallException(error)) throw error;
      throw refusal(error.data ?? "0x", from);
    }
  }
}

/** What all that is left costs now. */
export function costOf({ calls, gasPriceWei }: PublishView): { readonly gas: bigint; readonly wei: bigint } {
  const gas = calls.reduce((sum, call) => sum + call.gas, 0n);
  return { gas, wei: gas * gasPriceWei };
}

export function assertAffordable(view: PublishView): void {
  const { balanceWei } = view;
  const { wei } = costOf(view);
  if (balanceWei === null || balanceWei >= wei) return;
  throw new PublishError(
    "NotEnoughEther",
    `The sender has ${formatEther(balanceWei)} ETH, and publishing costs about ${formatEther(wei)} ETH: send it some more. Nothing was sent.`,
    { balanceWei, wei },
  );
}

export function describe(chunk: Pick<Chunk, "keys" | "firstNonce">): string {
  const { length } = chunk.keys;
  return length === 1
    ? `publish 1 key, owner nonce ${chunk.firstNonce}`
    : `publish ${length} keys, owner nonces ${noncesOf(chunk)}`;
}

export function noncesOf({ keys, firstNonce }: Pick<Chunk, "keys" | "firstNonce">): string {
  return keys.length === 1 ? String(firstNonce) : `${firstNonce} to ${firstNonce + BigInt(keys.length) - 1n}`;
}

/** The sender's log as lines for a person. */
function speakingLogger(say: (line: string) => void): ServiceLogger {
  return createLogger("info", {
    write: (record) => {
      const { msg, hash, revert } = JSON.parse(record) as { msg: string; hash?: string; revert?: string };
      const facts = [revert, hash === undefined ? undefined : `transaction ${hash}`].filter(
        (fact) => fact !== undefined,
      );
      say(facts.length === 0 ? msg : `${msg} (${facts.join(", ")})`);
    },
  });
}

function refusal(data: string, from: string): PublishError {
  const reason = decodeRevert(data) ?? accessError(data) ?? data;
  const isStranger = reason.startsWith("AccessManaged");
  return new PublishError(
    "Refused",
    isStranger
      ? `The registry refuses: ${from} is not the pool operator. Send from the account that governance gave that role.`
      : `The registry refuses to publish: ${reason}.`,
    { from, reason },
  );
}

function accessError(data: string): string | null {
  return ValidatorRegistry__factory.createInterface().parseError(data)?.name ?? null;
}
