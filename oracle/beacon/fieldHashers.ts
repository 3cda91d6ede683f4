import {
  ByteVectorType,
  ContainerType,
  isBasicType,
  ListBasicType,
  ListCompositeType,
  ProgressiveContainerType,
  ProgressiveListBasicType,
  ProgressiveListCompositeType,
  VectorBasicType,
  VectorCompositeType,
  type BasicType,
  type CompositeTypeAny,
  type Type,
} from "@chainsafe/ssz";
import { ContainerHasher, type AnyContainer } from "./containerHasher.js";
import { StateError } from "./errors.js";
import type { TreeShape } from "./gindex.js";
import {
  BATCH_NODES,
  BatchMerkleizer,
  createMerkleizer,
  lengthNode,
  merkleizeChunks,
  mixIn,
  NODE_SIZE,
  treeDepth,
  type Merkleizer,
} from "./merkle.js";
import { TreeWitness, type NodeStore } from "./witness.js";

/** Eight times the validators of mainnet; a state that claims more is refused before any of it is hashed. */
const MAX_LIST_ELEMENTS = 2 ** 24;

/** Fields that are kept whole (an execution payload header, a builder's bid) are never larger. */
const MAX_SMALL_FIELD_SIZE = 64 * 1024;

/** Sees the elements of a list as they pass: `count` whole elements from `offset` of `bytes`, the first of them number `first`. */
export type ElementObserver = (bytes: Uint8Array, offset: number, first: number, count: number) => void;

/** What of a list is to be proven, by index and ascending, and where the nodes that prove it go. */
export interface ListWitness {
  /** Each index is there before its element has been hashed. */
  readonly indices: readonly number[];
  readonly nodes: NodeStore;
  /** Generalized index of the list. */
  readonly gindex: number;
}

/** How a list of the consensus types is merkleized. */
export interface ListLayout {
  readonly shape: TreeShape;
  readonly elementSize: number;
  readonly elementsPerChunk: number;
  /** Elements are records, and none for lists of numbers or of roots. */
  readonly record: AnyContainer | undefined;
  readonly maxElements: number;
}

/** The tree over a list's chunks and the node with its length beside it. */
class ListTree {
  readonly chunks: Merkleizer;
  readonly #witness: TreeWitness | undefined;

  constructor(layout: ListLayout, witness: ListWitness | undefined) {
    if (witness !== undefined) {
      const targets = { indices: witness.indices, perChunk: layout.elementsPerChunk };
      this.#witness = new TreeWitness(witness.nodes, 2 * witness.gindex, targets);
    }
    this.chunks = createMerkleizer(layout.shape, this.#witness);
  }

  root(length: number): Uint8Array {
    return mixIn(this.chunks.root(), lengthNode(length), this.#witness);
  }
}

/** The root of one field of variable size, computed while its octets pass by. */
export interface FieldHasher {
  /** Octets of an element, or 1. The field's size is a multiple of it. */
  readonly elementSize: number;
  /** The field is never larger. */
  readonly maxSize: number;
  /** The next octets of the field: `bytes` from `start` to `end`. They are not kept. */
  push(bytes: Uint8Array, start: number, end: number): void;
  /** Called once, after the last octet. */
  root(): Uint8Array;
}

/** Lists of numbers, packed into chunks, and lists of roots, each of which is a chunk. */
class ChunkListHasher implements FieldHasher {
  readonly elementSize: number;
  readonly maxSize: number;
  readonly #tree: ListTree;
  readonly #buffer = new Uint8Array(BATCH_NODES * NODE_SIZE);
  readonly #observe: ElementObserver | undefined;
  #filled = 0;
  #size = 0;

  constructor(layout: ListLayout, observe: ElementObserver | undefined, witness: ListWitness | undefined) {
    this.elementSize = layout.elementSize;
    this.maxSize = layout.maxElements * layout.elementSize;
    this.#tree = new ListTree(layout, witness);
    this.#observe = observe;
  }

  push(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end;) {
      const batchSize = this.#tree.chunks.batchNodes * NODE_SIZE;
      const taken = Math.min(batchSize - this.#filled, end - at);
      this.#buffer.set(bytes.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled === batchSize) this.#flush();
    }
  }

  root(): Uint8Array {
    if (this.#filled > 0) this.#flush();
    return this.#tree.root(this.#size / this.elementSize);
  }

  #flush(): void {
    const first = this.#size / this.elementSize;
    this.#observe?.(this.#buffer, 0, first, Math.floor(this.#filled / this.elementSize));
    this.#size += this.#filled;
    this.#buffer.fill(0, this.#filled);
    this.#tree.chunks.add(this.#buffer, Math.ceil(this.#filled / NODE_SIZE));
    this.#filled = 0;
  }
}

/** Lists of containers of fixed size: validators, pending deposits, ... Records are loaded from the octets where they lie. */
class RecordListHasher implements FieldHasher {
  readonly elementSize: number;
  readonly maxSize: number;
  readonly #hasher: ContainerHasher;
  readonly #tree: ListTree;
  readonly #observe: ElementObserver | undefined;
  /** A record that lies across two pieces of the stream. */
  readonly #split: Uint8Array;
  #splitFilled = 0;
  #loaded = 0;
  #count = 0;

  constructor(
    record: AnyContainer,
    layout: ListLayout,
    observe: ElementObserver | undefined,
    witness: ListWitness | undefined,
  ) {
    this.#tree = new ListTree(layout, witness);
    this.#hasher = new ContainerHasher(record);
    this.elementSize = layout.elementSize;
    this.maxSize = layout.maxElements * layout.elementSize;
    this.#split = new Uint8Array(this.elementSize);
    this.#observe = observe;
  }

  push(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    if (this.#splitFilled > 0) {
      const taken = Math.min(this.elementSize - this.#splitFilled, end - at);
      this.#split.set(bytes.subarray(at, at + taken), this.#splitFilled);
      this.#splitFilled += taken;
      at += taken;
      if (this.#splitFilled < this.elementSize) return;
      this.#splitFilled = 0;
      this.#take(this.#split, 0, 1);
    }
    const whole = Math.floor((end - at) / this.elementSize);
    if (whole > 0) this.#take(bytes, at, whole);
    at += whole * this.elementSize;
    this.#split.set(bytes.subarray(at, end));
    this.#splitFilled = end - at;
  }

  root(): Uint8Array {
    if (this.#loaded > 0) this.#flush();
    return this.#tree.root(this.#count);
  }

  #take(bytes: Uint8Array, offset: number, count: number): void {
    this.#observe?.(bytes, offset, this.#count, count);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let done = 0; done < count;) {
      const batchNodes = this.#tree.chunks.batchNodes;
      const batch = Math.min(batchNodes - this.#loaded, count - done);
      this.#hasher.load(view, offset + done * this.elementSize, batch, this.#loaded);
      this.#loaded += batch;
      done += batch;
      if (this.#loaded === batchNodes) this.#flush();
    }
    this.#count += count;
  }

  #flush(): void {
    this.#tree.chunks.add(this.#hasher.roots(this.#loaded), this.#loaded);
    this.#loaded = 0;
  }
}

/** A field small enough to be kept until it is whole and then hashed by the SSZ library. */
class SmallFieldHasher implements FieldHasher {
  readonly elementSize = 1;
  readonly maxSize: number;
  readonly #type: Type<unknown>;
  readonly #name: string;
  readonly #observe: ElementObserver | undefined;
  readonly #parts: Uint8Array[] = [];

  constructor(name: string, type: Type<unknown>, observe: ElementObserver | undefined) {
    this.maxSize = Math.min(type.maxSize, MAX_SMALL_FIELD_SIZE);
    this.#name = name;
    this.#type = type;
    this.#observe = observe;
  }

  push(bytes: Uint8Array, start: number, end: number): void {
    this.#parts.push(new Uint8Array(bytes.subarray(start, end))); // a copy: slice of a Buffer would be none
  }

  root(): Uint8Array {
    const bytes = new Uint8Array(Buffer.concat(this.#parts));
    this.#observe?.(bytes, 0, 0, bytes.length);
    return hashWithLibrary(this.#name, this.#type, bytes);
  }
}

/**
 * How the elements of a list are laid out, and nothing for other types. A fork that brings another kind of list adds it here.
 */
export function listLayout(type: Type<unknown>): ListLayout | undefined {
  if (type instanceof ListBasicType) {
    const { elementType, limit, chunkDepth } = type as ListBasicType<BasicType<unknown>>;
    return elementLayout(elementType, { kind: "binary", depth: chunkDepth }, limit);
  }
  if (type instanceof ListCompositeType) {
    const { elementType, limit, chunkDepth } = type as ListCompositeType<CompositeTypeAny>;
    return elementLayout(elementType, { kind: "binary", depth: chunkDepth }, limit);
  }
  if (type instanceof ProgressiveListBasicType) {
    const { elementType } = type as ProgressiveListBasicType<BasicType<unknown>>;
    return elementLayout(elementType, { kind: "progressive" });
  }
  if (type instanceof ProgressiveListCompositeType) {
    const { elementType } = type as ProgressiveListCompositeType<CompositeTypeAny>;
    return elementLayout(elementType, { kind: "progressive" });
  }
  return undefined;
}

function elementLayout(element: Type<unknown>, shape: TreeShape, limit = Infinity): ListLayout | undefined {
  const { fixedSize } = element;
  if (fixedSize === null) return undefined;
  const record = element instanceof ContainerType ? (element as AnyContainer) : undefined;
  if (record === undefined && !isBasicType(element) && !isNode(element)) return undefined;
  const elementsPerChunk = record === undefined ? NODE_SIZE / fixedSize : 1;
  return { shape, elementSize: fixedSize, elementsPerChunk, record, maxElements: Math.min(limit, MAX_LIST_ELEMENTS) };
}

/** The hasher of a field of variable size. */
export function createFieldHasher(
  name: string,
  type: Type<unknown>,
  observe?: ElementObserver,
  witness?: ListWitness,
): FieldHasher {
  const layout = listLayout(type);
  if (layout?.record !== undefined) return new RecordListHasher(layout.record, layout, observe, witness);
  if (layout !== undefined) return new ChunkListHasher(layout, observe, witness);
  if (type.maxSize <= MAX_SMALL_FIELD_SIZE || type instanceof ProgressiveContainerType) {
    return new SmallFieldHasher(name, type, observe);
  }
  throw new TypeError(`no hasher for the field ${name} of type ${type.typeName}: the consensus types have changed`);
}

/** Root of a field of fixed size that is in memory. */
export function hashFixedField(name: string, type: Type<unknown>, bytes: Uint8Array): Uint8Array {
  const isChunks =
    type instanceof VectorBasicType ||
    (type instanceof VectorCompositeType && isNode((type as VectorCompositeType<CompositeTypeAny>).elementType));
  if (isChunks && bytes.length % NODE_SIZE === 0) {
    return merkleizeChunks(bytes, new BatchMerkleizer(treeDepth(bytes.length / NODE_SIZE)));
  }
  return hashWithLibrary(name, type, bytes);
}

function isNode(type: Type<unknown>): boolean {
  return type instanceof ByteVectorType && type.fixedSize === NODE_SIZE;
}

function hashWithLibrary(name: string, type: Type<unknown>, bytes: Uint8Array): Uint8Array {
  return type.hashTreeRoot(decode(name, type, bytes));
}

/** A value of the SSZ library, or a typed error when the octets are none. */
export function decode<T>(name: string, type: Type<T>, bytes: Uint8Array): T {
  try {
    return type.deserialize(bytes);
  } catch (cause) {
    throw new StateError(
      "STATE_MALFORMED",
      `The state's field ${name} is not valid SSZ. The node served damaged data: ask another beacon node.`,
      { field: name, type: type.typeName },
      cause,
    );
  }
}
