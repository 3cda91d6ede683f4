import { ssz } from "@lodestar/types";
import { fieldRanges, type AnyContainer } from "./containerHasher.js";
import { StateError } from "./errors.js";
import { listLayout, type ElementObserver, type ListLayout, type ListWitness } from "./fieldHashers.js";
import { containerShape, forkTypes, type ForkTypes, type SupportedFork } from "./forks.js";
import { chunkGindex, concatGindex } from "./gindex.js";
import { BatchMerkleizer, concatNodes, hashPair, merkleizeChunks, NODE_SIZE, treeDepth } from "./merkle.js";
import { helperGindices, inTreeOrder, type Multiproof, type Proof } from "./verifyProof.js";
import { longsOf, NodeStore, TreeWitness } from "./witness.js";

/** Lists of the state whose elements can be proven. */
export const PROVABLE_LISTS = ["validators", "balances", "pendingDeposits"] as const;
export type ProvableList = (typeof PROVABLE_LISTS)[number];

/** What will be provable: of each list those of the keys that the reader was asked for, or these elements. */
export type ProofRequest = Readonly<Partial<Record<ProvableList, "asked" | readonly number[]>>>;

const HEADER = ssz.phase0.BeaconBlockHeader;
const RECORDS = { validators: ssz.phase0.Validator, pendingDeposits: ssz.electra.PendingDeposit } as const;
export type RecordList = keyof typeof RECORDS;

/**
 * A leaf: the chunk with an element of a list of numbers, a record, or one field of a record. Where a field has more than one
 * chunk (a public key, a signature), the leaf is its root.
 */
export type ProofTarget =
  | { readonly list: "balances"; readonly index: number }
  | {
      readonly list: "validators";
      readonly index: number;
      readonly field?: keyof typeof RECORDS.validators.fields;
    }
  | {
      readonly list: "pendingDeposits";
      readonly index: number;
      readonly field?: keyof typeof RECORDS.pendingDeposits.fields;
    };

/** Generalized index of the state's root in a block's header. */
const STATE_ROOT_FIELD = Object.keys(HEADER.fields).indexOf("stateRoot");
const HEADER_DEPTH = treeDepth(Object.keys(HEADER.fields).length);
const STATE_GINDEX = 2 ** HEADER_DEPTH + STATE_ROOT_FIELD;

/** Records of one list, as they stand in the state. */
class RecordKeeper {
  readonly #indices: readonly number[];
  readonly #size: number;
  #octets: Uint8Array<ArrayBuffer>;
  #kept = 0;

  constructor(indices: readonly number[], size: number) {
    this.#indices = indices;
    this.#size = size;
    this.#octets = new Uint8Array(16 * size);
  }

  readonly observe: ElementObserver = (bytes, offset, first, count) => {
    for (;;) {
      const index = this.#indices[this.#kept];
      if (index === undefined || index >= first + count) return;
      const at = offset + (index - first) * this.#size;
      const end = (this.#kept + 1) * this.#size;
      if (end > this.#octets.length) {
        const grown = new Uint8Array(this.#octets.length * 2);
        grown.set(this.#octets);
        this.#octets = grown;
      }
      this.#octets.set(bytes.subarray(at, at + this.#size), end - this.#size);
      this.#kept++;
    }
  };

  /** @param place among the indices */
  at(place: number): Uint8Array {
    return this.#octets.subarray(place * this.#size, (place + 1) * this.#size);
  }
}

/** One list on its way through the reader. */
interface CollectedList {
  readonly layout: ListLayout;
  readonly witness: ListWitness;
  readonly records: RecordKeeper | undefined;
}

/** Where a list is in the tree of a block, and how it goes on from there. */
interface ListPlace {
  readonly layout: ListLayout;
  readonly gindex: number;
}

/** Generalized index of the tree over the state's fields. */
function contentsGindex({ state }: ForkTypes): number {
  return containerShape(state).activeFields === undefined ? STATE_GINDEX : 2 * STATE_GINDEX;
}

function placeOf(types: ForkTypes, name: ProvableList): ListPlace & { readonly field: number } {
  const field = Object.keys(types.state.fields).indexOf(name);
  const layout = listLayout(types.state.fields[name] ?? HEADER);
  if (layout === undefined) throw new TypeError(`${name} is not a list: the consensus types have changed`);
  return { layout, field, gindex: chunkGindex(contentsGindex(types), containerShape(types.state).tree, field) };
}

function gindexIn({ layout, gindex }: ListPlace, target: ProofTarget): bigint {
  const chunk = Math.floor(target.index / layout.elementsPerChunk);
  const element = BigInt(chunkGindex(2 * gindex, layout.shape, chunk));
  const field = fieldOf(target);
  if (field === undefined) return element;
  const names = Object.keys(field.type.fields);
  return concatGindex(element, BigInt(2 ** treeDepth(names.length) + names.indexOf(field.name)));
}

/** Collects while a state passes by what proves the elements asked for. */
export class ProofCollector {
  readonly #nodes = new NodeStore();
  readonly #lists = new Map<ProvableList, CollectedList>();
  readonly #stateWitness: TreeWitness;

  /** @param asked indices of the elements of the keys asked for, each there before its element is hashed */
  constructor(types: ForkTypes, request: ProofRequest, asked: Readonly<Record<ProvableList, readonly number[]>>) {
    const provable = PROVABLE_LISTS.flatMap((name) => {
      const wanted = request[name];
      return wanted === undefined ? [] : [{ ...placeOf(types, name), name, wanted }];
    });
    const targets = { indices: provable.map(({ field }) => field).sort((a, b) => a - b), perChunk: 1 };
    this.#stateWitness = new TreeWitness(this.#nodes, contentsGindex(types), targets);
    for (const { name, layout, gindex, wanted } of provable) {
      const indices = wanted === "asked" ? asked[name] : ascending(wanted);
      const records = layout.record === undefined ? undefined : new RecordKeeper(indices, layout.elementSize);
      this.#lists.set(name, { layout, witness: { indices, nodes: this.#nodes, gindex }, records });
    }
  }

  /** For the hasher of a field, if elements of it are to be proven. */
  witness(field: string): ListWitness | undefined {
    return this.#list(field)?.witness;
  }

  /** What the hasher of a field is to show its elements to, besides `observe`. */
  observer(field: string, observe: ElementObserver | undefined): ElementObserver | undefined {
    const records = this.#list(field)?.records;
    if (records === undefined || observe === undefined) return observe ?? records?.observe;
    return (bytes, offset, first, count) => {
      observe(bytes, offset, first, count); // it may be what adds the indices
      records.observe(bytes, offset, first, count);
    };
  }

  #list(field: string): CollectedList | undefined {
    const name = PROVABLE_LISTS.find((list) => list === field);
    return name === undefined ? undefined : this.#lists.get(name);
  }

  /** For the tree over the roots of the state's fields. */
  get stateWitness(): TreeWitness {
    return this.#stateWitness;
  }

  /**
   * @param header of the state's latest block, as octets of the state
   * @param lengthOf how many elements a list has
   */
  finish(stateRoot: Uint8Array, header: Uint8Array, lengthOf: (list: ProvableList) => number): StateProofs {
    const fields = containerLeaves(HEADER, header);
    const stateRootLeaf = fields.subarray(STATE_ROOT_FIELD * NODE_SIZE, (STATE_ROOT_FIELD + 1) * NODE_SIZE);
    if (stateRootLeaf.some((octet) => octet !== 0)) {
      throw new StateError(
        "STATE_BETWEEN_BLOCKS",
        "The state has been carried on past its latest block into later slots, so no block commits to it and nothing of it can be proven. " +
          "Ask for the state by the state root in a block's header.",
        {},
      );
    }
    stateRootLeaf.set(stateRoot);
    const witness = new TreeWitness(this.#nodes, 1, { indices: [STATE_ROOT_FIELD], perChunk: 1 });
    const blockRoot = merkleizeChunks(fields, new BatchMerkleizer(HEADER_DEPTH, witness));
    const lists = new Map([...this.#lists].map(([name, list]) => [name, { ...list, length: lengthOf(name) }]));
    return new StateProofs(blockRoot, this.#nodes, lists);
  }
}

/**
 * Proofs from the leaves of a state up to the root of its block, without anything else of the state. The root of the block is
 * what EIP-4788 gives to contracts.
 */
export class StateProofs {
  /** What `verifyProof` is to be given, when the chain vouches for it. */
  readonly blockRoot: Uint8Array;
  readonly #nodes: NodeStore;
  readonly #lists: ReadonlyMap<ProvableList, CollectedList & { readonly length: number }>;

  constructor(
    blockRoot: Uint8Array,
    nodes: NodeStore,
    lists: ReadonlyMap<ProvableList, CollectedList & { readonly length: number }>,
  ) {
    this.blockRoot = blockRoot;
    this.#nodes = nodes;
    this.#lists = lists;
  }

  /** Elements of a list that can be proven. */
  indices(name: ProvableList): readonly number[] {
    const { witness, length } = this.#list(name);
    return witness.indices.filter((index) => index < length);
  }

  /** Generalized index of a leaf in the tree of the block. */
  gindex(target: ProofTarget): bigint {
    const { layout, witness } = this.#list(target.list);
    return gindexIn({ layout, gindex: witness.gindex }, target);
  }

  proof(target: ProofTarget): Proof {
    this.#place(target);
    const field = fieldOf(target);
    if (field === undefined || target.list === "balances") return this.#elementProof(Number(this.gindex(target)));
    // the way inside the record, and then that of the record
    const { list, index } = target;
    const record = this.#elementProof(Number(this.gindex({ list, index })));
    const nodes = containerNodes(field.type, this.record(list, index));
    const node = (at: number): Uint8Array => nodes.subarray(at * NODE_SIZE, (at + 1) * NODE_SIZE);
    const inside = nodes.length / NODE_SIZE / 2 + Object.keys(field.type.fields).indexOf(field.name);
    const siblings: Uint8Array[] = [];
    for (let on = inside; on > 1; on >>= 1) siblings.push(node(on ^ 1));
    const size = siblings.length * NODE_SIZE + record.branch.length;
    return {
      gindex: concatGindex(record.gindex, BigInt(inside)),
      leaf: node(inside).slice(),
      branch: concatNodes([...siblings, record.branch], size),
    };
  }

  #elementProof(gindex: number): Proof {
    const siblings: number[] = [];
    for (let on = gindex; on > 1;) {
      const parent = Math.floor(on / 2); // too large for the operators of integers
      siblings.push(4 * parent + 1 - on);
      on = parent;
    }
    return { gindex: BigInt(gindex), leaf: this.#kept([gindex]), branch: this.#kept(siblings) };
  }

  #kept(gindices: readonly number[]): Uint8Array {
    const nodes = new Uint8Array(gindices.length * NODE_SIZE);
    const longs = longsOf(nodes);
    for (const [i, gindex] of gindices.entries()) {
      if (!this.#nodes.copy(gindex, longs, i)) throw new RangeError(`the node ${gindex} was not kept`);
    }
    return nodes;
  }

  /** One proof for many leaves, in which nothing stands twice. */
  multiproof(targets: readonly ProofTarget[]): Multiproof {
    const nodes = this.#nodesFor(targets);
    const gindices = inTreeOrder(targets.map((target) => this.gindex(target)));
    const helpers = helperGindices(gindices);
    if (helpers === undefined)
      throw new RangeError("a multiproof is for one leaf or more, none of them inside another");
    return { gindices, leaves: nodes(gindices), helpers: nodes(helpers) };
  }

  /** The serialised record of an element, whose root `recordRoot` gives. */
  record(list: RecordList, index: number): Uint8Array {
    const { records } = this.#list(list);
    const place = this.#place({ list, index });
    if (records === undefined) throw new TypeError(`${list} are no records`);
    return records.at(place).slice();
  }

  /** Looks nodes up that prove these targets. */
  #nodesFor(targets: readonly ProofTarget[]): (gindices: readonly bigint[]) => Uint8Array {
    const records = new Map<bigint, Uint8Array>();
    for (const target of targets) {
      this.#place(target);
      const field = fieldOf(target);
      if (field === undefined || target.list === "balances") continue;
      const { list, index } = target;
      records.set(this.gindex({ list, index }), containerNodes(field.type, this.record(list, index)));
    }
    return (gindices) => {
      const joined = new Uint8Array(gindices.length * NODE_SIZE);
      for (const [i, gindex] of gindices.entries()) joined.set(this.#node(gindex, records), i * NODE_SIZE);
      return joined;
    };
  }

  #node(gindex: bigint, records: ReadonlyMap<bigint, Uint8Array>): Uint8Array {
    const node = gindex <= Number.MAX_SAFE_INTEGER ? this.#nodes.get(Number(gindex)) : undefined;
    if (node !== undefined) return node;
    for (let levels = 1n, record = gindex >> 1n; record > 0n; levels++, record >>= 1n) {
      const inside = records.get(record);
      if (inside === undefined) continue;
      const at = Number(gindex - (record << levels) + (1n << levels)) * NODE_SIZE;
      return inside.subarray(at, at + NODE_SIZE);
    }
    throw new RangeError(`the node ${gindex} was not kept`);
  }

  /** The element's place among those that were kept. */
  #place({ list, index }: { readonly list: ProvableList; readonly index: number }): number {
    const { witness, length } = this.#list(list);
    const place = firstAtLeast(witness.indices, index);
    if (index < length && witness.indices[place] === index) return place;
    throw new RangeError(
      index < length
        ? `${list}[${index}] cannot be proven: it was not asked for when the state was read`
        : `${list}[${index}] cannot be proven: the list has ${length} elements`,
    );
  }

  #list(name: ProvableList): CollectedList & { readonly length: number } {
    const list = this.#lists.get(name);
    if (list === undefined) throw new RangeError(`no ${name} were asked to be proven when the state was read`);
    return list;
  }
}

/** Generalized index of a leaf in the tree of a block of the fork: where a proof of it must lead. */
export function gindexOf(fork: SupportedFork, target: ProofTarget): bigint {
  return gindexIn(placeOf(forkTypes(fork), target.list), target);
}

/** Root of a serialised record: the leaf that a proof of the record has. */
export function recordRoot(list: RecordList, octets: Uint8Array): Uint8Array {
  return containerNodes(RECORDS[list], octets).slice(NODE_SIZE, 2 * NODE_SIZE);
}

/** A validator's balance, out of the leaf that a proof of it has, which holds four. */
export function balanceIn(leaf: Uint8Array, index: number): bigint {
  return new DataView(leaf.buffer, leaf.byteOffset, leaf.byteLength).getBigUint64((index % 4) * 8, true);
}

function fieldOf(target: ProofTarget): { readonly type: AnyContainer; readonly name: string } | undefined {
  if (target.list === "balances" || target.field === undefined) return undefined;
  return { type: RECORDS[target.list], name: target.field };
}

/** Roots of the fields of a container of fixed size. */
function containerLeaves(type: AnyContainer, octets: Uint8Array): Uint8Array {
  const ranges = [...fieldRanges(type).values()];
  const leaves = new Uint8Array(ranges.length * NODE_SIZE);
  for (const [i, { offset, size }] of ranges.entries()) {
    const chunks = Math.ceil(size / NODE_SIZE);
    const padded = new Uint8Array(chunks * NODE_SIZE);
    padded.set(octets.subarray(offset, offset + size));
    leaves.set(merkleizeChunks(padded, new BatchMerkleizer(treeDepth(chunks))), i * NODE_SIZE);
  }
  return leaves;
}

/** All nodes of a container down to its fields, each at its generalized index. */
function containerNodes(type: AnyContainer, octets: Uint8Array): Uint8Array {
  const leaves = containerLeaves(type, octets);
  const width = 2 ** treeDepth(leaves.length / NODE_SIZE);
  const nodes = new Uint8Array(2 * width * NODE_SIZE);
  nodes.set(leaves, width * NODE_SIZE);
  for (let i = width - 1; i > 0; i--) {
    const at = 2 * i * NODE_SIZE;
    const parent = hashPair(nodes.subarray(at, at + NODE_SIZE), nodes.subarray(at + NODE_SIZE, at + 2 * NODE_SIZE));
    nodes.set(parent, i * NODE_SIZE);
  }
  return nodes;
}

function ascending(indices: readonly number[]): readonly number[] {
  for (const index of indices) {
    if (!Number.isInteger(index) || index < 0) throw new RangeError(`${index} is not the index of an element`);
  }
  return [...new Set(indices)].sort((a, b) => a - b);
}

/** Where `value` is, or would be, among ascending numbers. */
function firstAtLeast(numbers: readonly number[], value: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? Infinity) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
