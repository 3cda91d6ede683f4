import type { SignedBeaconBlock, gloas, phase0 } from "@lodestar/types";
import { hexlify } from "ethers";
import type { BeaconState } from "./state.js";

export interface BlockRecord {
  root: string;
  slot: number;
  header: phase0.BeaconBlockHeader;
  stateRoot: string;
  /** The execution chain's head after it: its own payload, or an earlier one if that was withheld. */
  executionBlockNumber: number;
  executionBlockHash: string;
  /** The execution block whose requests its state has: from Gloas on not its own payload. */
  processedBlockNumber: number;
  /** From Gloas on; null for a payload that is part of the block, or was withheld. */
  envelope: gloas.SignedExecutionPayloadEnvelope | null;
  /** False if no execution block came with it. */
  isDelivered: boolean;
  /** `null` only for genesis. */
  signedBlock: SignedBeaconBlock | null;
}

/** Old states go (a node keeps no archive either); blocks and headers stay. */
const KEPT_STATES = 4096;

/** The chain so far: linear, so a slot has one block or none. */
export class BlockStore {
  readonly genesis: BlockRecord;
  #head: BlockRecord;
  readonly #byRoot = new Map<string, BlockRecord>();
  readonly #bySlot = new Map<number, BlockRecord>();
  readonly #byStateRoot = new Map<string, BlockRecord>();
  readonly #byExecutionBlock = new Map<number, BlockRecord>();
  readonly #states = new Map<string, BeaconState>();

  constructor(genesis: BlockRecord, state: BeaconState) {
    this.genesis = genesis;
    this.#head = genesis;
    this.add(genesis, state);
  }

  get head(): BlockRecord {
    return this.#head;
  }

  add(record: BlockRecord, state: BeaconState): void {
    this.#byRoot.set(record.root, record);
    this.#bySlot.set(record.slot, record);
    this.#byStateRoot.set(record.stateRoot, record);
    if (record.isDelivered) this.#byExecutionBlock.set(record.executionBlockNumber, record);
    this.#states.set(record.root, state);
    this.#head = record;
    const oldest = this.#states.keys().next();
    if (this.#states.size > KEPT_STATES && oldest.done === false) this.#states.delete(oldest.value);
  }

  byRoot(root: string): BlockRecord | undefined {
    return this.#byRoot.get(root);
  }

  bySlot(slot: number): BlockRecord | undefined {
    return this.#bySlot.get(slot);
  }

  byStateRoot(root: string): BlockRecord | undefined {
    return this.#byStateRoot.get(root);
  }

  byExecutionBlock(number: number): BlockRecord | undefined {
    return this.#byExecutionBlock.get(number);
  }

  /** At most one, on a linear chain. */
  childrenOf(root: string): BlockRecord[] {
    return [...this.#bySlot.values()].filter(
      (record) => record.slot > 0 && hexlify(record.header.parentRoot) === root.toLowerCase(),
    );
  }

  /** The block whose root EIP-4788 has as that of a slot: the parent of the first block after it whose payload came. */
  referenceOf(slot: number): BlockRecord {
    for (let s = slot + 1; s <= this.#head.slot; s++) {
      const record = this.#bySlot.get(s);
      const parent = record?.isDelivered === true ? this.#byRoot.get(hexlify(record.header.parentRoot)) : undefined;
      if (parent !== undefined) return parent;
    }
    return this.#head;
  }

  atOrBefore(slot: number): BlockRecord {
    for (let s = slot; s > 0; s--) {
      const record = this.#bySlot.get(s);
      if (record !== undefined) return record;
    }
    return this.genesis;
  }

  /** Post-state of a block, `undefined` once it is pruned. */
  stateOf(record: BlockRecord): BeaconState | undefined {
    return this.#states.get(record.root);
  }
}
