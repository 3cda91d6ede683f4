import { hashInto } from "./hasher.js";
import { ByteVectorType, isBasicType, type Type } from "@chainsafe/ssz";
import { BATCH_NODES, NODE_SIZE, NodeRoom, treeDepth } from "./merkle.js";

const NODE_LONGS = NODE_SIZE / 8;

/** Records are moved in blocks that stay in the first-level cache, one column (eight octets of a field) after another. */
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

/** Some octets of every record and where they go: eight, four or fewer at a time. */
interface Column {
  readonly source: number;
  readonly octets: number;
  readonly target: number;
}

/** A field, cut into columns, for the node that starts at `target` of a record's nodes. */
function columnsOf({ offset, size }: FieldRange, target: number): Column[] {
  const columns: Column[] = [];
  for (let at = 0; at < size;) {
    const left = size - at;
    const octets = left >= 8 ? 8 : Math.min(left, 4);
    columns.push({ source: offset + at, octets, target: target + at });
    at += octets;
  }
  return columns;
}

/** A table of nodes, `nodesPerRecord` for each record, filled by columns. */
class NodeTable {
  readonly room: NodeRoom;
  readonly longs: BigInt64Array;
  readonly recordSize: number;
  readonly #words: Uint32Array;
  readonly #columns: readonly Column[];

  constructor(records: number, nodesPerRecord: number, columns: readonly Column[]) {
    this.recordSize = nodesPerRecord * NODE_SIZE;
    this.room = new NodeRoom(records * nodesPerRecord);
    this.longs = new BigInt64Array(this.room.nodes.buffer);
    this.#words = new Uint32Array(this.room.nodes.buffer);
    this.#columns = columns;
  }

  fill(view: DataView, offset: number, stride: number, count: number, at: number): void {
    for (const { source, octets, target } of this.#columns) {
      const from = offset + source;
      const to = at * this.recordSize + target;
      if (octets === 8) moveLongs(view, from, stride, count, this.longs, to / 8, this.recordSize / 8);
      else moveOctets(view, from, octets, stride, count, this.#words, to / 4, this.recordSize / 4);
    }
  }
}

// Both sides are little endian: on other platforms every root would be wrong, and refused. No bigint is made: it would be slower
// than numbers of half the size, but as it only goes from one place to another the compiler leaves it out.
function moveLongs(
  view: DataView,
  source: number,
  stride: number,
  count: number,
  longs: BigInt64Array,
  target: number,
  targetStride: number,
): void {
  for (let i = 0, from = source, to = target; i < count; i++, from += stride, to += targetStride) {
    longs[to] = view.getBigInt64(from, true);
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
  readonly leafLong: number;
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
  readonly #scratch: readonly [NodeRoom, NodeRoom];

  constructor(type: AnyContainer, capacity = BATCH_NODES) {
    const ranges = [...fieldRanges(type).values()];
    this.recordSize = ranges.reduce((sum, { size }) => sum + size, 0);
    this.capacity = capacity;
    this.#levels = treeDepth(ranges.length);
    const narrow: Column[] = [];
    const wide: WideField[] = [];
    let widest = this.#levels;
    for (const [i, [name, field]] of Object.entries(type.fields).entries()) {
      const range = fieldRange(type, name);
      if (!isBytesOrBasic(field)) throw new TypeError(`${type.typeName}.${name} is neither octets nor a number`);
      if (range.size <= NODE_SIZE) {
        narrow.push(...columnsOf(range, i * NODE_SIZE));
        continue;
      }
      const levels = treeDepth(Math.ceil(range.size / NODE_SIZE));
      widest = Math.max(widest, levels);
      const table = new NodeTable(capacity, 1 << levels, columnsOf(range, 0));
      wide.push({ table, levels, leafLong: i * NODE_LONGS });
    }
    this.#leaves = new NodeTable(capacity, 1 << this.#levels, narrow);
    this.#wide = wide;
    const half = (capacity << widest) >> 1;
    this.#scratch = [new NodeRoom(half), new NodeRoom(half)];
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
    for (const { table, levels, leafLong } of this.#wide) {
      const nodes = this.#hashLevels(table.room, count, levels);
      placeRoots(nodes, count, this.#leaves.longs, leafLong, this.#leaves.recordSize / 8);
    }
    return this.#hashLevels(this.#leaves.room, count, this.#levels);
  }

  #hashLevels(nodes: NodeRoom, count: number, levels: number): Uint8Array {
    let level = nodes;
    let [target, spare] = this.#scratch;
    for (let height = levels; height > 0; height--) {
      hashInto(level.first(count << height), target.first(count << (height - 1)));
      level = target;
      [target, spare] = [spare, target];
    }
    return level.first(count);
  }
}

/** Each root becomes a leaf of its record. */
function placeRoots(nodes: Uint8Array, count: number, leaves: BigInt64Array, first: number, stride: number): void {
  const roots = new BigInt64Array(nodes.buffer, nodes.byteOffset, count * NODE_LONGS);
  for (let i = 0, from = 0, to = first; i < count; i++, from += NODE_LONGS, to += stride) {
    for (let k = 0; k < NODE_LONGS; k++) leaves[to + k] = roots[from + k] ?? 0n;
  }
}

function isBytesOrBasic(type: Type<unknown>): boolean {
  return type instanceof ByteVectorType || isBasicType(type);
}
