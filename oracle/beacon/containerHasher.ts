import { hashInto } from "./hasher.js";
import { ByteVectorType, isBasicType, type Type } from "@chainsafe/ssz";
import { BATCH_NODES, NODE_SIZE, treeDepth } from "./merkle.js";

const NODE_WORDS = NODE_SIZE / 4;

/** Records are moved in blocks that stay in the first-level cache, one column (four octets of a field) after another. */
const BLOCK_RECORDS = 64;

/** Any container of the consensus types: its fields in the order of their serialisation. */
export interface AnyContainer {
  readonly typeName: string;
  readonly fields: Readonly<Record<string, Type<unknown>>>;
}

/** Octets of one field inside the serialised record. */
export interface FieldRange {
  readonly offset: number;
  readonly size: number;
}

/** Where each field of a container of fixed size lies in its serialisation, as the type says. */
export function fieldRanges(type: AnyContainer): ReadonlyMap<string, FieldRange> {
  const ranges = new Map<string, FieldRange>();
  let offset = 0;
  for (const [name, field] of Object.entries(type.fields)) {
    if (field.fixedSize === null) throw new TypeError(`${type.typeName}.${name} has no fixed size`);
    ranges.set(name, { offset, size: field.fixedSize });
    offset += field.fixedSize;
  }
  return ranges;
}

/** The range of a field that the type is known to have. */
export function fieldRange(type: AnyContainer, name: string): FieldRange {
  const range = fieldRanges(type).get(name);
  if (range === undefined)
    throw new TypeError(`${type.typeName} has no field ${name}: the consensus types have changed`);
  return range;
}

/** Some words of every record and where they go. */
interface Column {
  readonly source: number;
  readonly octets: number;
  readonly word: number;
}

/** A table of nodes, `nodesPerRecord` for each record, filled by columns. */
class NodeTable {
  readonly nodes: Uint8Array;
  readonly words: Uint32Array;
  readonly wordsPerRecord: number;
  readonly #columns: readonly Column[];

  constructor(records: number, nodesPerRecord: number, fields: readonly (FieldRange & { word: number })[]) {
    this.nodes = new Uint8Array(records * nodesPerRecord * NODE_SIZE);
    this.words = new Uint32Array(this.nodes.buffer);
    this.wordsPerRecord = nodesPerRecord * NODE_WORDS;
    this.#columns = fields.flatMap(({ offset, size, word }) =>
      Array.from({ length: Math.ceil(size / 4) }, (_, i) => ({
        source: offset + 4 * i,
        octets: Math.min(4, size - 4 * i),
        word: word + i,
      })),
    );
  }

  fill(view: DataView, offset: number, stride: number, count: number, at: number): void {
    for (const { source, octets, word } of this.#columns) {
      const target = at * this.wordsPerRecord + word;
      if (octets === 4) moveWords(view, offset + source, stride, count, this.words, target, this.wordsPerRecord);
      else moveOctets(view, offset + source, octets, stride, count, this.words, target, this.wordsPerRecord);
    }
  }
}

// Both sides are little endian: every platform that the hashing addon is built for is.
function moveWords(
  view: DataView,
  source: number,
  stride: number,
  count: number,
  words: Uint32Array,
  target: number,
  targetStride: number,
): void {
  for (let i = 0, from = source, to = target; i < count; i++, from += stride, to += targetStride) {
    words[to] = view.getUint32(from, true);
  }
}

function moveOctets(
  view: DataView,
  source: number,
  octets: number,
  stride: number,
  count: number,
  words: Uint32Array,
  target: number,
  targetStride: number,
): void {
  for (let i = 0, from = source, to = target; i < count; i++, from += stride, to += targetStride) {
    let word = 0;
    for (let k = 0; k < octets; k++) word |= view.getUint8(from + k) << (8 * k);
    words[to] = word;
  }
}

/** A field of more than one chunk, e.g. a public key: a small tree of its own, whose root is the field's leaf. */
interface WideField {
  readonly table: NodeTable;
  readonly levels: number;
  readonly leafWord: number;
}

/**
 * Hash tree roots of many records of one container type at once. The records are read where they lie, in any number of
 * pieces; nothing is copied but the words that are hashed. Which octets go where comes from the type.
 */
export class ContainerHasher {
  readonly recordSize: number;
  /** Records that one call of `roots` can cover. */
  readonly capacity: number;
  readonly #leaves: NodeTable;
  readonly #levels: number;
  readonly #wide: readonly WideField[];
  readonly #scratch: readonly [Uint8Array, Uint8Array];

  constructor(type: AnyContainer, capacity = BATCH_NODES) {
    const ranges = [...fieldRanges(type).values()];
    this.recordSize = ranges.reduce((sum, { size }) => sum + size, 0);
    this.capacity = capacity;
    this.#levels = treeDepth(ranges.length);
    const narrow: (FieldRange & { word: number })[] = [];
    const wide: WideField[] = [];
    let widest = this.#levels;
    for (const [i, [name, field]] of Object.entries(type.fields).entries()) {
      const range = fieldRange(type, name);
      if (!isBytesOrBasic(field)) throw new TypeError(`${type.typeName}.${name} is neither octets nor a number`);
      if (range.size <= NODE_SIZE) {
        narrow.push({ ...range, word: i * NODE_WORDS });
        continue;
      }
      const levels = treeDepth(Math.ceil(range.size / NODE_SIZE));
      widest = Math.max(widest, levels);
      const table = new NodeTable(capacity, 1 << levels, [{ ...range, word: 0 }]);
      wide.push({ table, levels, leafWord: i * NODE_WORDS });
    }
    this.#leaves = new NodeTable(capacity, 1 << this.#levels, narrow);
    this.#wide = wide;
    const half = ((capacity << widest) >> 1) * NODE_SIZE;
    this.#scratch = [new Uint8Array(half), new Uint8Array(half)];
  }

  /** Loads `count` records that start at `offset` of `view` into the places from `at` on. */
  load(view: DataView, offset: number, count: number, at: number): void {
    for (let done = 0; done < count; done += BLOCK_RECORDS) {
      const block = Math.min(BLOCK_RECORDS, count - done);
      const from = offset + done * this.recordSize;
      this.#leaves.fill(view, from, this.recordSize, block, at + done);
      for (const { table } of this.#wide) table.fill(view, from, this.recordSize, block, at + done);
    }
  }

  /** Roots of the first `count` loaded records, one node each; valid until the next call. */
  roots(count: number): Uint8Array {
    for (const { table, levels, leafWord } of this.#wide) {
      const nodes = this.#hashLevels(table.nodes, count, levels);
      const roots = new Uint32Array(nodes.buffer, nodes.byteOffset, count * NODE_WORDS);
      const { words, wordsPerRecord } = this.#leaves;
      for (let i = 0; i < count; i++) {
        const from = i * NODE_WORDS;
        const to = i * wordsPerRecord + leafWord;
        for (let k = 0; k < NODE_WORDS; k++) words[to + k] = roots[from + k] ?? 0;
      }
    }
    return this.#hashLevels(this.#leaves.nodes, count, this.#levels);
  }

  #hashLevels(nodes: Uint8Array, count: number, levels: number): Uint8Array {
    let level = nodes;
    let [target, spare] = this.#scratch;
    for (let height = levels; height > 0; height--) {
      const octets = (count << height) * NODE_SIZE;
      hashInto(level.subarray(0, octets), target.subarray(0, octets / 2));
      level = target;
      [target, spare] = [spare, target];
    }
    return level.subarray(0, count * NODE_SIZE);
  }
}

function isBytesOrBasic(type: Type<unknown>): boolean {
  return type instanceof ByteVectorType || isBasicType(type);
}
