import { AbiCoder, dataSlice, getBytes, hexlify, keccak256, toBeHex, toQuantity } from "ethers";
import { ssz } from "@lodestar/types";
import type { capella, deneb, electra } from "@lodestar/types";
import { DevnetError } from "../errors.js";
import type { ExecutionNode } from "./edr.js";
import { ReadWriteLock } from "./lock.js";
import {
  BEACON_ROOTS_ADDRESS,
  CONSOLIDATION_REQUESTS_ADDRESS,
  DEPOSIT_CONTRACT_ADDRESS,
  HISTORY_STORAGE_ADDRESS,
  WITHDRAWAL_REQUESTS_ADDRESS,
  predeploys,
} from "./predeploys.js";
import { SYSTEM_ADDRESS, readSystemCall, systemCallTrace, type CallTrace, type SystemCall } from "./systemCalls.js";

/** `DepositEvent(bytes,bytes,bytes,bytes,bytes)` of the deposit contract. */
const DEPOSIT_EVENT_TOPIC = "0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5";
/** Both ring buffers (EIP-4788, EIP-2935) have this length. */
const RING_LENGTH = 8191n;
const GWEI = 1_000_000_000n;

/** The fields the devnet reads of a block as the node gives it. */
interface RpcBlock {
  number: string;
  hash: string;
  stateRoot: string;
  receiptsRoot: string;
  logsBloom: string;
  miner: string;
  gasLimit: string;
  gasUsed: string;
  timestamp: string;
  baseFeePerGas: string;
}

interface RpcLog {
  data: string;
}

interface RpcProof {
  accountProof: string[];
}

export interface PayloadAttributes {
  parentHash: string;
  parentBeaconBlockRoot: string;
  prevRandao: string;
  timestamp: number;
  feeRecipient: string;
  withdrawals: capella.Withdrawal[];
}

export interface ProducedPayload {
  payload: deneb.ExecutionPayload;
  requests: electra.ExecutionRequests;
}

/** What a header says that the node itself does not know, by block number. */
export interface HeaderOverlay {
  stateRoot?: string;
  parentBeaconBlockRoot?: string;
  withdrawals: { index: string; validatorIndex: string; address: string; amount: string }[];
}

/**
 * The execution side of the local Ethereum, driven as a consensus client drives it.
 *
 * EDR knows neither system calls nor withdrawals, so they are played here, in the order in which Ethereum runs them, and never as transactions:
 *
 * - before the transactions: the parent beacon root (EIP-4788) and the parent hash (EIP-2935), as storage words;
 * - after the transactions: the request queues of EIP-7002 and EIP-7251 (the official byte code, traced at the post-state, its writes then applied) and the withdrawals.
 *
 * So a request leaves in the block of its transaction, and state read at block N is the post-state of N. The writes after the transactions are
 * not in the root of EDR's own header; the payload carries the root that `eth_getProof` implies instead.
 *
 * On a chain that comes to Gloas, headers must hash to what the beacon state has. There all is played before the transactions: headers are EDR's
 * own, and a request leaves in the block after that of its transaction.
 */
export class ExecutionLayer {
  readonly lock = new ReadWriteLock();
  readonly #node: ExecutionNode;
  readonly #secondsPerSlot: number;
  readonly #isSealed: boolean;
  readonly #overlays = new Map<number, HeaderOverlay>();
  #head = 0;
  #safe = 0;
  #finalized = 0;

  /** @param isSealed headers are the node's own */
  constructor(node: ExecutionNode, secondsPerSlot: number, isSealed: boolean) {
    this.#node = node;
    this.#isSealed = isSealed;
    this.#secondsPerSlot = secondsPerSlot;
  }

  get headNumber(): number {
    return this.#head;
  }

  /** The block number that `safe` and `finalized` stand for, as the consensus layer last said. */
  get tags(): { safe: number; finalized: number } {
    return { safe: this.#safe, finalized: this.#finalized };
  }

  overlay(blockNumber: number): HeaderOverlay | undefined {
    return this.#overlays.get(blockNumber);
  }

  /** Puts the predeploys in place and answers the genesis payload header. */
  async genesis(): Promise<deneb.ExecutionPayloadHeader> {
    for (const { address, code, storage } of predeploys()) {
      await this.#node.request("hardhat_setCode", [address, code]);
      await this.#node.request("hardhat_setNonce", [address, "0x1"]);
      for (const [slot, value] of storage) await this.#setStorage(address, BigInt(slot), value);
    }
    // the first system call of the request queues belongs to the fork that brought them: it ends their inhibition
    await this.#systemCall(WITHDRAWAL_REQUESTS_ADDRESS);
    await this.#systemCall(CONSOLIDATION_REQUESTS_ADDRESS);
    const block = await this.#block("0x0");
    return {
      ...ssz.deneb.ExecutionPayloadHeader.defaultValue(),
      blockHash: getBytes(block.hash),
      stateRoot: getBytes(await this.#stateRoot()),
      timestamp: Number(block.timestamp),
      gasLimit: Number(block.gasLimit),
      baseFeePerGas: BigInt(block.baseFeePerGas),
    };
  }

  /** Makes one block. Requests from outside wait meanwhile: they see all of a block or nothing. */
  produce(attributes: PayloadAttributes): Promise<ProducedPayload> {
    return this.lock.write(() => this.#produce(attributes));
  }

  /** A slot without a block: what is pending moves on to the next slot's time. */
  skip(nextTimestamp: number): Promise<unknown> {
    return this.lock.write(() => this.#node.request("evm_setNextBlockTimestamp", [toQuantity(nextTimestamp)]));
  }

  forkchoice(safe: number, finalized: number): void {
    this.#safe = safe;
    this.#finalized = finalized;
  }

  async #produce(attributes: PayloadAttributes): Promise<ProducedPayload> {
    const { timestamp, withdrawals, parentBeaconBlockRoot, parentHash, prevRandao } = attributes;
    const number = this.#head + 1;
    const ring = BigInt(timestamp) % RING_LENGTH;
    await this.#node.request("evm_setNextBlockTimestamp", [toQuantity(timestamp)]);
    await this.#node.request("hardhat_setCoinbase", [attributes.feeRecipient]);
    await this.#node.request("hardhat_setPrevRandao", [prevRandao]);
    await this.#setStorage(HISTORY_STORAGE_ADDRESS, BigInt(this.#head) % RING_LENGTH, parentHash);
    await this.#setStorage(BEACON_ROOTS_ADDRESS, ring, toBeHex(timestamp, 32));
    await this.#setStorage(BEACON_ROOTS_ADDRESS, ring + RING_LENGTH, parentBeaconBlockRoot);
    const before = this.#isSealed ? await this.#afterTransactions(withdrawals) : null;
    await this.#node.request("evm_mine");
    const block = await this.#block("latest");
    if (Number(block.number) !== number) {
      throw new DevnetError("DEVNET_EXECUTION", "a block was mined past the consensus layer; start a new devnet", {
        expected: number,
        actual: Number(block.number),
      });
    }
    this.#head = number;

    const logs = (await this.#node.request("eth_getLogs", [
      {
        fromBlock: block.number,
        toBlock: block.number,
        address: DEPOSIT_CONTRACT_ADDRESS,
        topics: [DEPOSIT_EVENT_TOPIC],
      },
    ])) as RpcLog[];
    const queued = before ?? (await this.#afterTransactions(withdrawals));
    await this.#node.request("evm_setNextBlockTimestamp", [toQuantity(timestamp + this.#secondsPerSlot)]);
    const stateRoot = await this.#stateRoot();

    this.#overlays.set(number, {
      ...(this.#isSealed ? {} : { stateRoot, parentBeaconBlockRoot }),
      withdrawals: withdrawals.map((w) => ({
        index: toQuantity(w.index),
        validatorIndex: toQuantity(w.validatorIndex),
        address: hexlify(w.address),
        amount: toQuantity(w.amount),
      })),
    });
    return {
      requests: { deposits: logs.map((log) => decodeDepositEvent(log.data)), ...queued },
      payload: {
        ...ssz.deneb.ExecutionPayload.defaultValue(),
        parentHash: getBytes(parentHash),
        feeRecipient: getBytes(block.miner),
        stateRoot: getBytes(stateRoot),
        receiptsRoot: getBytes(block.receiptsRoot),
        logsBloom: getBytes(block.logsBloom),
        prevRandao: getBytes(prevRandao),
        blockNumber: number,
        gasLimit: Number(block.gasLimit),
        gasUsed: Number(block.gasUsed),
        timestamp,
        baseFeePerGas: BigInt(block.baseFeePerGas),
        blockHash: getBytes(block.hash),
        withdrawals,
      },
    };
  }

  async #afterTransactions(
    withdrawals: capella.Withdrawal[],
  ): Promise<Pick<electra.ExecutionRequests, "withdrawals" | "consolidations">> {
    const exits = await this.#systemCall(WITHDRAWAL_REQUESTS_ADDRESS);
    const consolidations = await this.#systemCall(CONSOLIDATION_REQUESTS_ADDRESS);
    await this.#credit(withdrawals);
    return {
      withdrawals: ssz.electra.WithdrawalRequests.deserialize(getBytes(exits.output)),
      consolidations: ssz.electra.ConsolidationRequests.deserialize(getBytes(consolidations.output)),
    };
  }

  async #block(tag: string): Promise<RpcBlock> {
    return (await this.#node.request("eth_getBlockByNumber", [tag, false])) as RpcBlock;
  }

  /** The root of the latest state, writes after the block included: the first node of any account's proof hashes to it. */
  async #stateRoot(): Promise<string> {
    // of an account without storage: EDR builds the storage trie of the account it proves anew
    const proof = (await this.#node.request("eth_getProof", [SYSTEM_ADDRESS, [], "latest"])) as RpcProof;
    const root = proof.accountProof[0];
    if (root === undefined) throw new DevnetError("DEVNET_EXECUTION", "the node gave an empty account proof");
    return keccak256(root);
  }

  async #systemCall(contract: string): Promise<SystemCall> {
    const trace = (await this.#node.request("debug_traceCall", systemCallTrace(contract))) as CallTrace;
    const call = readSystemCall(contract, trace);
    for (const [slot, value] of call.writes) await this.#setStorage(contract, BigInt(slot), value);
    return call;
  }

  async #credit(withdrawals: capella.Withdrawal[]): Promise<void> {
    const amounts = new Map<string, bigint>();
    for (const { address, amount } of withdrawals) {
      const to = hexlify(address);
      amounts.set(to, (amounts.get(to) ?? 0n) + amount * GWEI);
    }
    for (const [address, amount] of amounts) {
      const balance = BigInt((await this.#node.request("eth_getBalance", [address, "latest"])) as string);
      await this.#node.request("hardhat_setBalance", [address, toQuantity(balance + amount)]);
    }
  }

  async #setStorage(address: string, slot: bigint, value: string): Promise<void> {
    await this.#node.request("hardhat_setStorageAt", [address, toQuantity(slot), toBeHex(BigInt(value), 32)]);
  }
}

/** EIP-6110: the event's five byte strings are the fields of the request; amount and index are little-endian. */
export function decodeDepositEvent(data: string): electra.DepositRequest {
  const [pubkey, withdrawalCredentials, amount, signature, index] = AbiCoder.defaultAbiCoder().decode(
    ["bytes", "bytes", "bytes", "bytes", "bytes"],
    data,
  ) as unknown as [string, string, string, string, string];
  return {
    pubkey: getBytes(pubkey),
    withdrawalCredentials: getBytes(withdrawalCredentials),
    amount: Number(littleEndian(amount)),
    signature: getBytes(signature),
    index: littleEndian(index),
  };
}

function littleEndian(hex: string): bigint {
  return new DataView(getBytes(dataSlice(hex, 0, 8)).buffer).getBigUint64(0, true);
}
