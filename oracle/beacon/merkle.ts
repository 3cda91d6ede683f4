import { hashInto } from "./hasher.js";
import { spineGindex, type TreeShape } from "./gindex.js";
import type { TreeWitness } from "./witness.js";

/** Octets of a node of a Merkle tree, and of a chunk of SSZ data. */
export const NODE_SIZE = 32;

/** Subtrees are hashed this many levels at a time: large enough for the vector units, small enough for the caches. */
const BATCH_HEIGHT = 10;
export const BATCH_NODES = 1 << BATCH_HEIGHT;

/** No SSZ list of the beacon state is deeper than 2^40 elements and the mix-in of its length. */
const MAX_DEPTH = 64;

const pair = new Uint8Array(2 * NODE_SIZE);

/** SHA-256 of two nodes. */
export function hashPair(left: Uint8Array, right: Uint8Array): Uint8Array {
  pair.set(left, 0);
  pair.set(right, NODE_SIZE);
  const out = new Uint8Array(NODE_SIZE);
  hashInto(pair, out);
  return out;
}

const zeroHashes: Uint8Array[] = [new Uint8Array(NODE_SIZE)];
for (let height = 1; height <= MAX_DEPTH; height++) {
  const below = zeroHash(height - 1);
  zeroHashes.push(hashPair(below, below));
}

/** Root of a subtree of that height whose chunks are all zero. */
export function zeroHash(height: number): Uint8Array {
  const hash = zeroHashes[height];
  if (hash === undefined) throw new RangeError(`no Merkle tree of the beacon chain has height ${height}`);
  return hash;
}

/** Height of the smallest binary tree with room for `leaves`. */
export function treeDepth(leaves: number): number {
  return leaves <= 1 ? 0 : Math.ceil(Math.log2(leaves));
}

/** Memory for nodes. Its views are made once: those of the thousands of batches of one state would be most of the garbage. */
export class NodeRoom {
  readonly nodes: Uint8Array<ArrayBuffer>;
  readonly #views = new Map<number, Uint8Array>();

  constructor(count: number) {
    this.nodes = new Uint8Array(count * NODE_SIZE);
  }

  /** The first `count` nodes. */
  first(count: number): Uint8Array {
    let view = this.#views.get(count);
    if (view === undefined) {
      view = this.nodes.subarray(0, count * NODE_SIZE);
      this.#views.set(count, view);
    }
    return view;
  }
}

function firstNodes(nodes: Uint8Array, count: number): Uint8Array {
  return nodes.length === count * NODE_SIZE ? nodes : nodes.subarray(0, count * NODE_SIZE);
}

/** Room for the levels above `count` nodes. */
function createScratch(count: number): readonly [NodeRoom, NodeRoom] {
  const half = (count + 1) >> 1;
  return [new NodeRoom(half), new NodeRoom((half + 1) >> 1)];
}

const batchScratch = createScratch(BATCH_NODES);

/** Sees the levels of a tree while they are hashed: `width` nodes, `height` levels above those that `merkleize` was given. */
type LevelObserver = (nodes: Uint8Array, width: number, height: number) => void;

/**
 * Root of a tree of height `depth` over the first `count` nodes of `nodes`, which themselves are roots of subtrees of height
 * `floor`; missing nodes are subtrees of zeroes. `nodes` is only read.
 */
export function merkleize(
  nodes: Uint8Array,
  count: number,
  depth: number,
  floor = 0,
  onLevel?: LevelObserver,
): Uint8Array {
  if (count > 2 ** depth) throw new RangeError(`${count} nodes do not fit a tree of depth ${depth}`);
  if (count === 0) return zeroHash(depth + floor);
  let level = nodes;
  let width = count;
  let height = 0;
  // two rooms in turn: every level is at most half as wide as the one below it
  let [target, spare] = count <= BATCH_NODES ? batchScratch : createScratch(count);
  while (width > 1) {
    onLevel?.(level, width, height);
    const pairs = width >> 1;
    hashInto(firstNodes(level, 2 * pairs), target.first(pairs));
    if (width % 2 === 1) {
      const last = level.subarray((width - 1) * NODE_SIZE, width * NODE_SIZE);
      target.nodes.set(hashPair(last, zeroHash(height + floor)), pairs * NODE_SIZE);
    }
    width = (width + 1) >> 1;
    level = target.first(width);
    [target, spare] = [spare, target];
    height++;
  }
  let root: Uint8Array = new Uint8Array(level.subarray(0, NODE_SIZE));
  for (; height < depth; height++) {
    onLevel?.(root, 1, height);
    root = hashPair(root, zeroHash(height + floor));
  }
  return root;
}

/** Root of what SSZ mixes a node in: the length of a list, the active fields of a progressive container. */
export function mixIn(root: Uint8Array, node: Uint8Array, witness?: TreeWitness): Uint8Array {
  witness?.keepChildren(witness.gindex / 2, root, node);
  return hashPair(root, node);
}

/** The node that SSZ mixes into the root of a list: its length. */
export function lengthNode(length: number): Uint8Array {
  const node = new Uint8Array(NODE_SIZE);
  new DataView(node.buffer).setBigUint64(0, BigInt(length), true);
  return node;
}

/** Nodes one after another, with room for `size` octets. */
export function concatNodes(nodes: readonly Uint8Array[], size = nodes.length * NODE_SIZE): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(size);
  let at = 0;
  for (const node of nodes) {
    joined.set(node, at);
    at += node.length;
  }
  return joined;
}

/** Root of a tree whose chunks arrive in order, in batches. */
export interface Merkleizer {
  /** The next batch has exactly this many nodes unless it is the last. Never more than BATCH_NODES. */
  readonly batchNodes: number;
  /** Takes the next batch, the first `count` nodes of `nodes`, which it only reads. */
  add(nodes: Uint8Array, count: number): void;
  /** Root over everything added. */
  root(): Uint8Array;
}

/** A binary tree: of every full batch only its root is kept, so that the memory of a list of two million validators is a few thousand nodes. */
export class BatchMerkleizer implements Merkleizer {
  readonly batchNodes: number;
  readonly #depth: number;
  readonly #batchHeight: number;
  readonly #witness: TreeWitness | undefined;
  #roots = new Uint8Array(NODE_SIZE);
  #batches = 0;
  #closed = false;

  constructor(depth: number, witness?: TreeWitness) {
    this.#depth = depth;
    this.#witness = witness;
    this.#batchHeight = Math.min(BATCH_HEIGHT, depth);
    this.batchNodes = 1 << this.#batchHeight;
  }

  add(nodes: Uint8Array, count: number): void {
    if (this.#closed) throw new RangeError("a short batch can only be the last");
    this.#closed = count < this.batchNodes;
    const end = (this.#batches + 1) * NODE_SIZE;
    if (end > this.#roots.length) this.#roots = concatNodes([this.#roots], this.#roots.length * 2);
    const isWanted = this.#witness?.wants(this.#batches * this.batchNodes, this.batchNodes) === true;
    const observe = isWanted ? this.#observer(this.#batches, this.#batchHeight, 0) : undefined;
    this.#roots.set(merkleize(nodes, count, this.#batchHeight, 0, observe), end - NODE_SIZE);
    this.#batches++;
  }

  root(): Uint8Array {
    const levels = this.#depth - this.#batchHeight;
    const observe = this.#witness === undefined ? undefined : this.#observer(0, levels, this.#batchHeight);
    return merkleize(this.#roots, this.#batches, levels, this.#batchHeight, observe);
  }

  /** Of the tree number `part` of those of `levels` levels that stand on `floor`. */
  #observer(part: number, levels: number, floor: number): LevelObserver {
    return (nodes, width, height) => {
      const capacity = 2 ** (levels - height);
      this.#witness?.keep({ nodes, width, capacity, first: part * capacity, height: height + floor }, this.#depth);
    };
  }
}

/** A progressive tree (EIP-7916): H(chunk 0, H(tree of chunks 1 to 4, H(tree of the next 16, ...))), ended by zero. */
export class ProgressiveMerkleizer implements Merkleizer {
  readonly #witness: TreeWitness | undefined;
  readonly #roots: Uint8Array[] = [];
  #subtree: BatchMerkleizer;
  #added = 0;
  /** Chunks before the current subtree. */
  #before = 0;

  constructor(witness?: TreeWitness) {
    this.#witness = witness;
    this.#subtree = this.#open();
  }

  get batchNodes(): number {
    return this.#subtree.batchNodes;
  }

  add(nodes: Uint8Array, count: number): void {
    this.#subtree.add(nodes, count);
    this.#added += count;
    if (this.#added - this.#before === 4 ** this.#roots.length) this.#close();
  }

  root(): Uint8Array {
    if (this.#added > this.#before) this.#close();
    let root = zeroHash(0);
    for (let i = this.#roots.length - 1; i >= 0; i--) {
      const subtreeRoot = this.#roots[i] ?? root;
      if (this.#witness !== undefined) {
        this.#witness.keepChildren(spineGindex(this.#witness.gindex, i), subtreeRoot, root);
      }
      root = hashPair(subtreeRoot, root);
    }
    return root;
  }

  #open(): BatchMerkleizer {
    const number = this.#roots.length;
    const witness = this.#witness?.within(2 * spineGindex(this.#witness.gindex, number), this.#before);
    return new BatchMerkleizer(2 * number, witness);
  }

  #close(): void {
    this.#roots.push(this.#subtree.root());
    this.#before = this.#added;
    this.#subtree = this.#open();
  }
}

export function createMerkleizer(shape: TreeShape, witness?: TreeWitness): Merkleizer {
  return shape.kind === "binary" ? new BatchMerkleizer(shape.depth, witness) : new ProgressiveMerkleizer(witness);
}

/** Root of chunks that are all in memory, e.g. a vector of roots. */
export function merkleizeChunks(chunks: Uint8Array, tree: Merkleizer): Uint8Array {
  for (let at = 0; at < chunks.length;) {
    const batch = chunks.subarray(at, at + tree.batchNodes * NODE_SIZE);
    tree.add(batch, batch.length / NODE_SIZE);
    at += batch.length;
  }
  return tree.root();
}
