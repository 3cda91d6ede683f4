import { concatNodes, NODE_SIZE, zeroHash } from "./merkle.js";

/** Nodes of a Merkle tree by their generalized index, in flat memory: some 60 octets for each. */
export class NodeStore {
  #gindices = new Float64Array(64);
  #nodes = new Uint8Array(64 * NODE_SIZE);
  /** Open addressing: 0 or the place of a node, counted from 1. At most half are taken. */
  #slots = new Uint32Array(128);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Stores the node that starts at `offset` of `source`, once. */
  put(gindex: number, source: Uint8Array, offset = 0): void {
    if (gindex > Number.MAX_SAFE_INTEGER) throw new RangeError(`a generalized index of ${gindex} is not exact`);
    const slot = this.#find(gindex);
    if (this.#slots[slot] !== 0) return;
    if (this.#size === this.#gindices.length) {
      this.#grow();
      this.put(gindex, source, offset);
      return;
    }
    this.#gindices[this.#size] = gindex;
    this.#nodes.set(source.subarray(offset, offset + NODE_SIZE), this.#size * NODE_SIZE);
    this.#slots[slot] = ++this.#size;
  }

  get(gindex: number): Uint8Array | undefined {
    const place = this.#slots[this.#find(gindex)] ?? 0;
    return place === 0 ? undefined : this.#nodes.subarray((place - 1) * NODE_SIZE, place * NODE_SIZE);
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
    this.#nodes = concatNodes([this.#nodes], this.#nodes.length * 2);
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
    const { nodes, width, capacity, first, height } = level;
    const levelGindex = this.gindex * 2 ** (depth - height);
    const end = (first + capacity) * 2 ** height;
    let previous = -1;
    for (let i = this.#firstAtOrAfter(first * 2 ** height); this.#chunk(i) < end; i++) {
      const left = Math.floor(this.#chunk(i) / 2 ** (height + 1)) * 2;
      if (left === previous) continue;
      previous = left;
      for (const place of [left, left + 1]) {
        const local = place - first;
        if (local < width) this.nodes.put(levelGindex + place, nodes, local * NODE_SIZE);
        else this.nodes.put(levelGindex + place, zeroHash(height));
      }
    }
  }

  /** Both children of a node that is on every target's way. */
  keepChildren(gindex: number, left: Uint8Array, right: Uint8Array): void {
    this.nodes.put(2 * gindex, left);
    this.nodes.put(2 * gindex + 1, right);
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
