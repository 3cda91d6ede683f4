import type { Head } from "../../clock.js";
import { getLogsInRanges } from "../../execution/eventStore.js";
import { decodeRegistryEvent, REGISTRY_TOPICS, type RegistryEvent } from "../../execution/events.js";
import { readAncestor, readHead } from "../../execution/provider.js";
import { registryView, remaining, type RegistryView } from "../../execution/registryView.js";
import type { PoolChain } from "../poolChain.js";
import { decodeEntries } from "../prepare.js";
import type { Batch } from "./batch.js";
import { PublishError } from "./errors.js";
import type { AccountOnChain } from "./plan.js";

/** The registry's events up to a head; what is final is read once. */
export class RegistryReader {
  readonly #chain: PoolChain;
  #events: RegistryEvent[] = [];
  #from: number;

  constructor(chain: PoolChain) {
    this.#chain = chain;
    this.#from = chain.logsFromBlock;
  }

  /** What the chain has of a batch's account at a head. */
  async account(batch: Batch, head: Head): Promise<AccountOnChain> {
    const { registry } = this.#chain.contracts;
    const events = await this.#read(head);
    const view = registryView(events);
    const { account, cluster } = clusterOf(batch, view);
    const { nonce, queued } = await registry.account(account.account, { blockTag: head.hash });
    const queue = account.queue.flatMap((some) =>
      remaining(some).map((entry) => ({ ...entry, stage: some.vetted ? ("vetted" as const) : ("unvetted" as const) })),
    );
    if (BigInt(queue.length) !== queued) {
      throw new PublishError(
        "LogsIncomplete",
        `The registry has ${queued} keys in the queue of account ${account.account}, and its events tell of ${queue.length}: logsFromBlock is too late, or the execution node does not return all logs.`,
        { account: account.account, queued, found: queue.length },
      );
    }
    const registered = [...view.validators.values()]
      .filter((validator) => validator.account === account.account)
      .map((validator) => ({ ...validator, stage: validator.removed ? ("removed" as const) : validator.status }));
    return {
      clusterId: BigInt(cluster.cluster),
      isActive: cluster.active,
      requireDkg: cluster.requireDkg,
      nonce,
      queued,
      byNonce: new Map([...registered, ...queue].map((entry) => [entry.nonce, entry] as const)),
      uses: view.uses,
      everPublished: new Set(
        events.flatMap((event) =>
          event.type === "Published" ? keysOf(event, view.clusters.get(event.cluster)?.operatorIds.length ?? 0) : [],
        ),
      ),
    };
  }

  async #read(head: Head): Promise<RegistryEvent[]> {
    const { provider } = this.#chain;
    const finalized = await readHead(provider, "finalized");
    if (finalized !== null && finalized.number >= this.#from && finalized.number < head.number) {
      this.#events.push(...(await this.#logs(finalized.number)));
      this.#from = finalized.number + 1;
    }
    const events = [...this.#events, ...(await this.#logs(head.number))];
    await readAncestor(provider, head.number, head);
    return events;
  }

  async #logs(to: number): Promise<RegistryEvent[]> {
    const { provider, contracts } = this.#chain;
    const filter = { address: contracts.addresses.registry, topics: [REGISTRY_TOPICS] };
    const logs = await getLogsInRanges(provider, filter, this.#from, to);
    return logs.flatMap((log) => decodeRegistryEvent(log) ?? []);
  }
}

function keysOf({ data }: { readonly data: string }, operatorCount: number): string[] {
  return decodeEntries(data, operatorCount).map(({ publicKey }) => publicKey);
}

/** The account and the cluster for which the KeyShares were made. */
function clusterOf({ account: owner, operators }: Batch, view: RegistryView) {
  const ids = operators.map(({ id }) => id).join(", ");
  const account = [...view.accounts.values()].find(({ address }) => address === owner);
  const cluster = [...view.clusters.values()].find(
    (candidate) => candidate.account === account?.account && candidate.operatorIds.join(", ") === ids,
  );
  if (account !== undefined && cluster !== undefined) return { account, cluster };
  throw new PublishError(
    "ClusterUnknown",
    account === undefined
      ? `The KeyShares were made for ${owner}, which is no account of this pool: split the keys again for one.`
      : `Account ${account.account} of this pool has no cluster of the operators ${ids}: split the keys again for one of its clusters.`,
    { owner, operators: ids },
  );
}
