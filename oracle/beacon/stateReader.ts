import type { Type } from "@chainsafe/ssz";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { ssz } from "@lodestar/types";
import { StateError, type StateErrorCode } from "./errors.js";
import {
  ExpectedWithdrawalExtractor,
  NumberExtractor,
  PartialWithdrawalExtractor,
  PendingDepositExtractor,
  ValidatorExtractor,
} from "./extractors.js";
import { createFieldHasher, decode, hashFixedField, type ElementObserver, type FieldHasher } from "./fieldHashers.js";
import { containerShape, forkTypes, type ForkTypes, type SupportedFork } from "./forks.js";
import { fromHex, toHex } from "./hex.js";
import { createMerkleizer, merkleizeChunks, mixIn, NODE_SIZE } from "./merkle.js";
import { PubkeyIndex } from "./pubkeyIndex.js";
import { ProofCollector, type ProofRequest, type StateProofs } from "./stateProofs.js";
import type { ExecutionBlock, PartsOf, PayloadBid, ValidatorRecord } from "./stateParts.js";

/** Octets of an SSZ offset. */
const OFFSET_SIZE = 4;

/** One list element for each validator: in a state these have equal lengths. */
const PER_VALIDATOR = [
  "validators",
  "balances",
  "previousEpochParticipation",
  "currentEpochParticipation",
  "inactivityScores",
] as const;

/** A field and where it, or its offset, lies in the part of the state that has a fixed size. */
interface Field {
  readonly name: string;
  readonly type: Type<unknown>;
  readonly offset: number;
  readonly fixedSize: number | null;
}

/** A field of variable size, on its way through its hasher. */
interface VariableField {
  readonly name: string;
  readonly start: number;
  /** Where the next field starts. The last field ends where the state ends, and at its largest size here. */
  readonly end: number;
  readonly hasher: FieldHasher;
}

/** What is taken out of the lists while they pass. */
interface Extractors {
  readonly validators: ValidatorExtractor;
  readonly balances: NumberExtractor;
  readonly previousParticipation: NumberExtractor;
  readonly currentParticipation: NumberExtractor;
  readonly inactivityScores: NumberExtractor;
  readonly pendingDeposits: PendingDepositExtractor;
  readonly partialWithdrawals: PartialWithdrawalExtractor;
  readonly expectedWithdrawals: ExpectedWithdrawalExtractor;
}

/** The fields in the order of the type, each with the place of its octets or its offset. */
function layOut(types: ForkTypes): { fields: readonly Field[]; fixedSize: number } {
  let offset = 0;
  const fields = Object.entries(types.state.fields).map(([name, type]) => {
    const field = { name, type, offset, fixedSize: type.fixedSize };
    offset += type.fixedSize ?? OFFSET_SIZE;
    return field;
  });
  return { fields, fixedSize: offset };
}

export interface StateReaderOptions {
  /** The keys of the validators to take out. */
  readonly pubkeys: ReadonlySet<string>;
  /** What to keep proofs of. */
  readonly prove?: ProofRequest;
}

/**
 * Reads a serialised beacon state in one pass, in pieces of any size, and never holds more of it than its part of fixed size
 * (2.7 MB on mainnet) and one batch of each list. The pass computes the state's root and takes out what the pool needs; since
 * both come from the same octets, comparing one root verifies everything that was taken out.
 *
 * Where anything lies comes from the consensus types of the fork and the preset of the process.
 */
export class StateReader<F extends SupportedFork = SupportedFork> {
  readonly #fork: F;
  readonly #types: ForkTypes;
  readonly #pubkeys: ReadonlySet<string>;
  readonly #index: PubkeyIndex;
  readonly #fields: readonly Field[];
  readonly #fixed: Uint8Array;
  #variable: readonly VariableField[] = [];
  readonly #request: ProofRequest | undefined;
  #extractors: Extractors | undefined;
  #proofs: ProofCollector | undefined;
  #stateRoot: string | undefined;
  #payloadHeader: Uint8Array = new Uint8Array(0);
  #bid: Uint8Array = new Uint8Array(0);
  #position = 0;
  #current = 0;

  constructor(fork: F, options: StateReaderOptions) {
    this.#fork = fork;
    this.#request = options.prove;
    this.#types = forkTypes(fork);
    this.#pubkeys = new Set(options.pubkeys);
    this.#index = new PubkeyIndex(this.#pubkeys);
    const { fields, fixedSize } = layOut(this.#types);
    this.#fields = fields;
    this.#fixed = new Uint8Array(fixedSize);
  }

  /** The next octets. They are read before this returns and not kept. */
  push(chunk: Uint8Array): void {
    let at = 0;
    if (this.#position < this.#fixed.length) {
      at = Math.min(this.#fixed.length - this.#position, chunk.length);
      this.#fixed.set(chunk.subarray(0, at), this.#position);
      this.#position += at;
      if (this.#position < this.#fixed.length) return;
      this.#plan();
    }
    while (at < chunk.length) {
      const field = this.#fieldAtPosition();
      const taken = Math.min(field.end - this.#position, chunk.length - at);
      field.hasher.push(chunk, at, at + taken);
      this.#position += taken;
      at += taken;
    }
  }

  /** After the last octet: the root and what was taken out. */
  finish(): PartsOf<F> {
    const extractors = this.#extractors;
    const last = this.#variable.at(-1);
    if (extractors === undefined || last === undefined || this.#position < last.start) {
      throw this.#error("STATE_TRUNCATED", "the stream ended early: the connection broke or the node stopped sending");
    }
    if ((this.#position - last.start) % last.hasher.elementSize !== 0) {
      throw this.#error("STATE_TRUNCATED", `the stream ended inside an element of ${last.name}`);
    }
    this.#stateRoot ??= this.#root();
    return this.#parts(this.#stateRoot, extractors);
  }

  /** After `finish`: proofs of what the reader was to prove, up to the root of the block that the state is the result of. */
  proofs(): StateProofs {
    if (this.#stateRoot === undefined || this.#proofs === undefined) {
      throw new TypeError(
        "there are proofs after the whole state was read by a reader that was asked to prove something",
      );
    }
    const header = this.#octets("latestBlockHeader");
    return this.#proofs.finish(fromHex(this.#stateRoot), header, (list) => this.#length(list));
  }

  /** With the part of fixed size complete, the offsets say where each list begins. They are the node's word: all are checked. */
  #plan(): void {
    const slot = this.#decode("slot", ssz.Slot);
    this.#extractors = createExtractors(
      this.#index,
      Math.floor(slot / SLOTS_PER_EPOCH),
      this.#decode("nextWithdrawalValidatorIndex", ssz.ValidatorIndex),
    );
    const observers = this.#observers(this.#extractors);
    const { validators, pendingDeposits } = this.#extractors;
    this.#proofs =
      this.#request &&
      new ProofCollector(this.#types, this.#request, {
        validators: validators.indices,
        balances: validators.indices,
        pendingDeposits: pendingDeposits.indices,
      });
    const view = new DataView(this.#fixed.buffer);
    const variable = this.#fields
      .filter(({ fixedSize }) => fixedSize === null)
      .map(({ name, type, offset }) => ({
        name,
        start: view.getUint32(offset, true),
        hasher: this.#hasher(name, type, observers.get(name)),
      }));
    const first = variable[0]?.start ?? 0;
    if (first !== this.#fixed.length) {
      throw this.#error("STATE_OFFSET_INVALID", `the first offset is ${first}, it must be ${this.#fixed.length}`);
    }
    this.#variable = variable.map((field, i) => this.#bounded(field, variable[i + 1]?.start));
    this.#requireEqualLengths();
  }

  #hasher(name: string, type: Type<unknown>, observe: ElementObserver | undefined): FieldHasher {
    const proofs = this.#proofs;
    return createFieldHasher(name, type, proofs?.observer(name, observe) ?? observe, proofs?.witness(name));
  }

  #bounded(field: Omit<VariableField, "end">, next: number | undefined): VariableField {
    const { name, start, hasher } = field;
    if (next === undefined) return { ...field, end: start + hasher.maxSize };
    const size = next - start;
    if (size < 0) {
      throw this.#error(
        "STATE_OFFSET_INVALID",
        `the offsets decrease: ${name} would end ${-size} octets before it starts`,
      );
    }
    if (size > hasher.maxSize) {
      throw this.#error("STATE_TOO_LARGE", `${name} claims ${size} octets, at most ${hasher.maxSize} are accepted`);
    }
    if (size % hasher.elementSize !== 0) {
      throw this.#error(
        "STATE_OFFSET_INVALID",
        `${name} claims ${size} octets, not a multiple of ${hasher.elementSize}`,
      );
    }
    return { ...field, end: next };
  }

  #requireEqualLengths(): void {
    const lengths = PER_VALIDATOR.map((name) => this.#length(name));
    if (new Set(lengths).size > 1) {
      const list = PER_VALIDATOR.map((name, i) => `${name} ${lengths[i] ?? 0}`).join(", ");
      throw this.#error("STATE_MALFORMED", `lists with one element for each validator differ in length: ${list}`);
    }
  }

  #length(name: string): number {
    const field = this.#variable.find((candidate) => candidate.name === name);
    if (field === undefined) throw new TypeError(`the state has no list ${name}: the consensus types have changed`);
    return (field.end - field.start) / field.hasher.elementSize;
  }

  #observers(extractors: Extractors): ReadonlyMap<string, ElementObserver> {
    return new Map<string, ElementObserver>([
      ["validators", extractors.validators.observe],
      ["balances", extractors.balances.observe],
      ["previousEpochParticipation", extractors.previousParticipation.observe],
      ["currentEpochParticipation", extractors.currentParticipation.observe],
      ["inactivityScores", extractors.inactivityScores.observe],
      ["pendingDeposits", extractors.pendingDeposits.observe],
      ["pendingPartialWithdrawals", extractors.partialWithdrawals.observe],
      ["payloadExpectedWithdrawals", extractors.expectedWithdrawals.observe],
      [
        "latestExecutionPayloadHeader",
        (bytes) => {
          this.#payloadHeader = bytes;
        },
      ],
      [
        "latestExecutionPayloadBid",
        (bytes) => {
          this.#bid = bytes;
        },
      ],
    ]);
  }

  #fieldAtPosition(): VariableField {
    for (;;) {
      const field = this.#variable[this.#current];
      if (field === undefined) {
        throw this.#error(
          "STATE_EXTENDED",
          `there is more after the largest possible ${this.#variable.at(-1)?.name ?? "field"}`,
        );
      }
      if (this.#position < field.end) return field;
      this.#current++;
    }
  }

  #root(): string {
    const hashers = new Map(this.#variable.map(({ name, hasher }) => [name, hasher]));
    const roots = new Uint8Array(this.#fields.length * NODE_SIZE);
    for (const [i, { name, type, offset, fixedSize }] of this.#fields.entries()) {
      const root =
        fixedSize === null
          ? hashers.get(name)?.root()
          : hashFixedField(name, type, this.#fixed.subarray(offset, offset + fixedSize));
      if (root !== undefined) roots.set(root, i * NODE_SIZE);
    }
    const { tree, activeFields } = containerShape(this.#types.state);
    const witness = this.#proofs?.stateWitness;
    const root = merkleizeChunks(roots, createMerkleizer(tree, witness));
    return toHex(activeFields === undefined ? root : mixIn(root, activeFields, witness));
  }

  #parts(stateRoot: string, extractors: Extractors): PartsOf<F> {
    const slot = this.#decode("slot", ssz.Slot);
    const fork = this.#decode("fork", ssz.phase0.Fork);
    const header = this.#decode("latestBlockHeader", ssz.phase0.BeaconBlockHeader);
    const finalized = this.#decode("finalizedCheckpoint", ssz.phase0.Checkpoint);
    const parts = {
      fork: this.#fork,
      stateRoot,
      genesisTime: this.#decode("genesisTime", ssz.UintNum64),
      genesisValidatorsRoot: toHex(this.#decode("genesisValidatorsRoot", ssz.Root)),
      slot,
      epoch: Math.floor(slot / SLOTS_PER_EPOCH),
      forkVersion: { previous: toHex(fork.previousVersion), current: toHex(fork.currentVersion), epoch: fork.epoch },
      latestBlockHeader: {
        slot: header.slot,
        proposerIndex: header.proposerIndex,
        parentRoot: toHex(header.parentRoot),
        stateRoot: toHex(header.stateRoot),
        bodyRoot: toHex(header.bodyRoot),
      },
      executionBlock: this.#executionBlock(),
      finalizedCheckpoint: { epoch: finalized.epoch, root: toHex(finalized.root) },
      slashingsSumGwei: sumUint64(this.#octets("slashings")),
      totalActiveBalanceGwei: extractors.validators.totalActiveBalanceGwei,
      slashedActiveBalanceGwei: extractors.validators.slashedActiveBalanceGwei,
      validatorCount: this.#length("validators"),
      earliestExitEpoch: this.#decode("earliestExitEpoch", ssz.Epoch),
      exitBalanceToConsumeGwei: this.#decode("exitBalanceToConsume", ssz.UintBn64),
      sweep: extractors.validators.sweep,
      pubkeys: this.#pubkeys,
      validators: joinValidators(extractors),
      pendingDeposits: extractors.pendingDeposits.byPubkey,
      pendingPartialWithdrawals: extractors.partialWithdrawals.selected,
      payloadExpectedWithdrawals: extractors.expectedWithdrawals.selected,
    };
    const { bid } = this.#types;
    const all: unknown = bid === undefined ? parts : { ...parts, bid: this.#decodeBid(bid) };
    return all as PartsOf<F>; // whether there is a bid, and the execution block is more than a hash, follows from the fork
  }

  #executionBlock(): ExecutionBlock | Pick<ExecutionBlock, "hash"> {
    const type = this.#types.payloadHeader;
    if (type === undefined) return { hash: toHex(this.#decode("latestBlockHash", ssz.Bytes32)) };
    const { blockNumber, blockHash, stateRoot, timestamp } = decode(
      "latestExecutionPayloadHeader",
      type,
      this.#payloadHeader,
    );
    return { number: blockNumber, hash: toHex(blockHash), stateRoot: toHex(stateRoot), timestamp };
  }

  #decodeBid(type: NonNullable<ForkTypes["bid"]>): PayloadBid {
    const { blockHash, executionRequestsRoot } = decode("latestExecutionPayloadBid", type, this.#bid);
    return { blockHash: toHex(blockHash), executionRequestsRoot: toHex(executionRequestsRoot) };
  }

  /** A field of fixed size, as a value. */
  #decode<T>(name: string, type: Type<T>): T {
    const field = this.#fields.find((candidate) => candidate.name === name);
    if (field?.fixedSize !== type.fixedSize || type.fixedSize === null) {
      throw new TypeError(`the field ${name} is not of type ${type.typeName}: the consensus types have changed`);
    }
    return decode(name, type, this.#octets(name));
  }

  #octets(name: string): Uint8Array {
    const field = this.#fields.find((candidate) => candidate.name === name);
    return this.#fixed.subarray(field?.offset, (field?.offset ?? 0) + (field?.fixedSize ?? 0));
  }

  #error(code: StateErrorCode, what: string): StateError {
    return new StateError(
      code,
      `These octets are not a ${this.#fork} beacon state: ${what}. If asking again gives the same, ask another beacon node.`,
      { fork: this.#fork, position: this.#position },
    );
  }
}

function sumUint64(octets: Uint8Array): bigint {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  let sum = 0n;
  for (let at = 0; at < octets.length; at += 8) sum += view.getBigUint64(at, true);
  return sum;
}

function createExtractors(pubkeys: PubkeyIndex, epoch: number, sweepIndex: number): Extractors {
  const validators = new ValidatorExtractor(pubkeys, epoch, sweepIndex);
  return {
    validators,
    balances: new NumberExtractor(validators.indices, 8),
    previousParticipation: new NumberExtractor(validators.indices, 1),
    currentParticipation: new NumberExtractor(validators.indices, 1),
    inactivityScores: new NumberExtractor(validators.indices, 8),
    pendingDeposits: new PendingDepositExtractor(pubkeys),
    partialWithdrawals: new PartialWithdrawalExtractor(validators.indices),
    expectedWithdrawals: new ExpectedWithdrawalExtractor(validators.indices),
  };
}

function joinValidators(extractors: Extractors): ReadonlyMap<string, ValidatorRecord> {
  const { validators, balances, previousParticipation, currentParticipation, inactivityScores } = extractors;
  return new Map(
    validators.selected.map((fields, i) => [
      fields.pubkey,
      {
        ...fields,
        balanceGwei: balances.values[i] ?? 0n,
        previousParticipation: Number(previousParticipation.values[i] ?? 0n),
        currentParticipation: Number(currentParticipation.values[i] ?? 0n),
        inactivityScore: inactivityScores.values[i] ?? 0n,
      },
    ]),
  );
}
