import { concat, dataSlice, getBytes, Interface, sha256, toBeHex, zeroPadBytes } from "ethers";
import { DEPOSIT_CONTRACT_TREE_DEPTH } from "@lodestar/params";
import type { Head } from "../clock.js";
import { ServiceError } from "../ops/errors.js";
import type { PoolContracts } from "./contracts.js";
import { getLogs } from "./eventStore.js";
import { type FailoverProvider } from "./provider.js";

/** A deposit as the deposit contract logged it. Octets are lower case hex. */
export interface DepositLog {
  readonly block: number;
  readonly publicKey: string;
  readonly withdrawalCredentials: string;
  readonly amountGwei: bigint;
  readonly signature: string;
}

/** Proof that no deposit was missed between two blocks. */
export interface DepositsSeen {
  /** deposits ever made, at the later block */
  readonly count: bigint;
  /** those after the earlier block */
  readonly deposits: readonly DepositLog[];
}

const EVENT = new Interface([
  "event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index)",
]);
const TOPIC = EVENT.getEvent("DepositEvent")?.topicHash ?? "";
const DEPTH = DEPOSIT_CONTRACT_TREE_DEPTH;
/** Storage of the deposit contract: `bytes32[32] branch`, then `uint256 deposit_count`. */
const COUNT_SLOT = DEPTH;

const ZERO_HASHES = Array.from({ length: DEPTH }).reduce<string[]>(
  (hashes) => {
    const last = hashes.at(-1) ?? "";
    return [...hashes, sha256(concat([last, last]))];
  },
  [`0x${"00".repeat(32)}`],
);

/** The frontier of the deposit contract's tree: enough to append to it, and to know its root. */
export interface Frontier {
  readonly count: bigint;
  /** one node for each level; only those where the count has a bit set mean anything */
  readonly branch: readonly string[];
}

/** What the deposit contract does with a new leaf. */
export function append({ count, branch }: Frontier, leaf: string): Frontier {
  const next = [...branch];
  let node = leaf;
  let size = count + 1n;
  for (let level = 0; level < DEPTH; level++, size >>= 1n) {
    if ((size & 1n) === 1n) {
      next[level] = node;
      break;
    }
    node = sha256(concat([branch[level] ?? "", node]));
  }
  return { count: count + 1n, branch: next };
}

/** What `get_deposit_root` answers. */
export function depositRoot({ count, branch }: Frontier): string {
  let node = ZERO_HASHES[0] ?? "";
  let size = count;
  for (let level = 0; level < DEPTH; level++, size >>= 1n) {
    node = sha256((size & 1n) === 1n ? concat([branch[level] ?? "", node]) : concat([node, ZERO_HASHES[level] ?? ""]));
  }
  return sha256(concat([node, littleEndian(count), new Uint8Array(24)]));
}

/** hash_tree_root of DepositData: the contract's leaf. */
export function depositLeaf({ publicKey, withdrawalCredentials, amountGwei, signature }: DepositLog): string {
  const key = sha256(zeroPadBytes(publicKey, 64));
  const signatureRoot = sha256(
    concat([sha256(dataSlice(signature, 0, 64)), sha256(zeroPadBytes(dataSlice(signature, 64), 64))]),
  );
  return sha256(
    concat([
      sha256(concat([key, withdrawalCredentials])),
      sha256(concat([littleEndian(amountGwei), new Uint8Array(24), signatureRoot])),
    ]),
  );
}

/** Reads deposits and proves that it saw them all. */
export class DepositReader {
  readonly #provider: FailoverProvider;
  readonly #contracts: PoolContracts;
  /** of the last block asked for: 33 words of storage that heads until the next finalised block have in common */
  #frontier: { hash: string; frontier: Frontier } | null = null;

  constructor(provider: FailoverProvider, contracts: PoolContracts) {
    this.#provider = provider;
    this.#contracts = contracts;
  }

  /**
   * All deposits after `from` up to `head`, proven complete: the contract's frontier at `from`, with the logs appended, must give
   * the root and the count that the contract answers at `head`.
   */
  async read(from: { number: number; hash: string }, head: Head): Promise<DepositsSeen> {
    const { depositContract, addresses } = this.#contracts;
    const filter = { address: addresses.depositContract, topics: [[TOPIC]] };
    const [earlier, logs, root, countAtHead] = await Promise.all([
      this.#frontierAt(from.hash),
      getLogs(this.#provider, filter, from.number + 1, head.number),
      depositContract.get_deposit_root({ blockTag: head.hash }),
      depositContract.get_deposit_count({ blockTag: head.hash }),
    ]);
    const deposits = logs.map((log): DepositLog => {
      const args = EVENT.decodeEventLog("DepositEvent", log.data, log.topics).toArray() as string[];
      const [publicKey = "", withdrawalCredentials = "", amount = "", signature = ""] = args;
      return { block: log.block, publicKey, withdrawalCredentials, amountGwei: fromLittleEndian(amount), signature };
    });
    const frontier = deposits.reduce((tree, deposit) => append(tree, depositLeaf(deposit)), earlier);
    if (frontier.count !== fromLittleEndian(countAtHead) || depositRoot(frontier) !== root) {
      throw new ServiceError(
        "DepositsUnseen",
        `The deposits logged between blocks ${from.number} and ${head.number} do not add up to the deposit contract's root: the execution ` +
          "node hides some. Nothing is approved; use another execution node.",
        { from: from.number, head: head.number, seen: frontier.count, count: fromLittleEndian(countAtHead) },
      );
    }
    this.#frontier = { hash: from.hash, frontier: earlier };
    return { count: frontier.count, deposits };
  }

  async #frontierAt(hash: string): Promise<Frontier> {
    if (this.#frontier?.hash === hash) return this.#frontier.frontier;
    const { depositContract } = this.#contracts.addresses;
    const word = (slot: number): Promise<string> => this.#provider.getStorage(depositContract, toBeHex(slot, 32), hash);
    const [count, ...branch] = await Promise.all(
      [COUNT_SLOT, ...Array.from({ length: DEPTH }, (_, level) => level)].map(word),
    );
    return { count: BigInt(count ?? 0), branch };
  }
}

function littleEndian(value: bigint): string {
  return `0x${Buffer.from(getBytes(toBeHex(value, 8)))
    .reverse()
    .toString("hex")}`;
}

function fromLittleEndian(hex: string): bigint {
  return Buffer.from(getBytes(hex)).readBigUInt64LE();
}
