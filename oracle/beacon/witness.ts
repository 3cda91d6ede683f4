import { NODE_SIZE, zeroHash } from "./merkle.js";

const NODE_LONGS = NODE_SIZE / 8;

/** Nodes as they are moved from place to place: no object has to be made for each. */
export type NodeLongs = BigInt64Array;

export function longsOf(nodes: Uint8Array): NodeLongs {
  const { buffer, byteOffset, length } = nodes.byteOffset % 8 === 0 ? nodes : nodes.slice();
  return new BigInt64Array(buffer, byteOffset, length / 8);
}

function copyNode(source: NodeLongs, from: number, target: NodeLongs, to: number): void {
  for (let i = 0; i < NODE_LONGS; i++) target[to * NODE_LONGS + i] = source[from * NODE_LONGS + i] ?? 0n;
}

/** Nodes of a Merkle tree by their generalized index, in flat memory: some 60 octets for each. */
export class NodeStore {
  #gindices = new Float64Array(64);
  #nodes: NodeLongs = new BigInt64Array(64 * NODE_LONGS);
  /** Open addressing: 0 or the place of a node, counted from 1. At most half are taken. */
  #slots = new Uint32Array(128);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Stores node number `from` of `source`, once. */
  put(gindex: number, source: NodeLongs, from = 0): void {
    if (gindex > Number.MAX_SAFE_INTEGER) throw new RangeError(`a generalized index of ${gindex} is not exact`);
    const slot = this.#find(gindex);
    if (this.#slots[slot] !== 0) return;
    if (this.#size === this.#gindices.length) {
      this.#grow();
      this.put(gindex, source, from);
      return;
    }
    this.#gindices[this.#size] = gindex;
    copyNode(source, from, this.#nodes, this.#size);
    this.#slots[slot] = ++this.#size;
  }

  /** Makes the node number `to` of `target`, if it is there. */
  copy(gindex: number, target: NodeLongs, to = 0): boolean {
    const place = this.#slots[this.#find(gindex)] ?? 0;
    if (place === 0) return false;
    copyNode(this.#nodes, place - 1, target, to);
    return true;
  }

  get(gindex: number): Uint8Array | undefined {
    const node = new Uint8Array(NODE_SIZE);
    return this.copy(gindex, longsOf(node)) ? node : undefined;
  }

  #find(gindex: number): number {
    const mask = this.#slots.length - 1;
    let hash = Math.imul(gindex >>> 0, 0x9e3779b1) ^ Math.imul((gindex / 2 ** 32) >>> 0, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    for (let slot = (hash ^ (hash >>> 13)) & mask; ; slot = (slot + 1) & mask) {
      const place = this.#slots[slot] ?? 0;
      if (place === 0 || this.#gindices[place - 1] === gindex) return slot;
    }
  }

  #grow(): void {
    const gindices = new Float64Array(this.#gindices.length * 2);
    gindices.set(this.#gindices);
    this.#gindices = gindices;
    const nodes = new BigInt64Array(this.#nodes.length * 2);
    nodes.set(this.#nodes);
    this.#nodes = nodes;
    this.#slots = new Uint32Array(this.#slots.length * 2);
    for (let i = 0; i < this.#size; i++) this.#slots[this.#find(this.#gindices[i] ?? 0)] = i + 1;
  }
}

/** Elements of a list that are to be proven: ascending, and each there before the batch that holds it is hashed. */
export interface Targets {
  readonly indices: readonly number[];
  readonly perChunk: number;
}

/** Some nodes of one level, as they pass by. */
export interface Level {
  readonly nodes: Uint8Array;
  /** Nodes that are there; those that are missing up to `capacity` are roots of zeroes. */
  readonly width: number;
  readonly capacity: number;
  /** Place of the first of them on its level. */
  readonly first: number;
  /** Levels between the chunks and these nodes. */
  readonly height: number;
}

/**
 * Keeps, of a tree whose levels pass by, what proves the targets: the two children of every node on the way from a target to
 * the root. With those any of them can be proven, alone or together with any others.
 */
export class TreeWitness {
  readonly gindex: number;
  readonly nodes: NodeStore;
  readonly #targets: Targets;
  readonly #firstChunk: number;

  /**
   * @param gindex of the tree's root
   * @param firstChunk number that the list gives to the tree's first chunk
   */
  constructor(nodes: NodeStore, gindex: number, targets: Targets, firstChunk = 0) {
    this.nodes = nodes;
    this.gindex = gindex;
    this.#targets = targets;
    this.#firstChunk = firstChunk;
  }

  /** The same for a tree inside this one. */
  within(gindex: number, firstChunk: number): TreeWitness {
    return new TreeWitness(this.nodes, gindex, this.#targets, firstChunk);
  }

  /** Whether a target lies in these chunks of the tree. */
  wants(firstChunk: number, chunks: number): boolean {
    return this.#chunk(this.#firstAtOrAfter(firstChunk)) < firstChunk + chunks;
  }

  /** @param depth of the tree */
  keep(level: Level, depth: number): void {
    const { width, capacity, first, height } = level;
    const nodes = longsOf(level.nodes);
    const zero = longsOf(zeroHash(height));
    const levelGindex = this.gindex * 2 ** (depth - height);
    const put = (place: number): void => {
      const local = place - first;
      if (local < width) this.nodes.put(levelGindex + place, nodes, local);
      else this.nodes.put(levelGindex + place, zero);
    };
    const end = (first + capacity) * 2 ** height;
    const chunksBelowTwo = 2 ** (height + 1);
    let previous = -1;
    let i = this.#firstAtOrAfter(first * 2 ** height);
    for (let chunk = this.#chunk(i); chunk < end; chunk = this.#chunk(++i)) {
      const left = Math.floor(chunk / chunksBelowTwo) * 2;
      if (left === previous) continue;
      previous = left;
      put(left);
      put(left + 1);
    }
  }

  /** Both children of a node that is on every target's way. */
  keepChildren(gindex: number, left: Uint8Array, right: Uint8Array): void {
    this.nodes.put(2 * gindex, longsOf(left));
    this.nodes.put(2 * gindex + 1, longsOf(right));
  }

  /** Chunk of a target; beyond the last there is none. */
  #chunk(i: number): number {
    const { indices, perChunk } = this.#targets;
    return Math.floor((indices[i] ?? Infinity) / perChunk) - this.#firstChunk;
  }

  #firstAtOrAfter(chunk: number): number {
    let low = 0;
    let high = this.#targets.indices.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#chunk(middle) < chunk) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
