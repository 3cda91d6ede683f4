import { hashInto } from "@chainsafe/hashtree";

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

/** Room for the levels above `count` nodes. */
function createScratch(count: number): readonly [Uint8Array, Uint8Array] {
  const half = (count + 1) >> 1;
  return [new Uint8Array(half * NODE_SIZE), new Uint8Array(((half + 1) >> 1) * NODE_SIZE)];
}

/** For the thousands of batches of one state: garbage of their size would outgrow the state's own memory. */
const batchScratch = createScratch(BATCH_NODES);

/**
 * Root of a tree of height `depth` over the first `count` nodes of `nodes`, which themselves are roots of subtrees of height
 * `floor`; missing nodes are subtrees of zeroes. `nodes` is only read.
 */
export function merkleize(nodes: Uint8Array, count: number, depth: number, floor = 0): Uint8Array {
  if (count > 2 ** depth) throw new RangeError(`${count} nodes do not fit a tree of depth ${depth}`);
  if (count === 0) return zeroHash(depth + floor);
  let level = nodes;
  let width = count;
  let height = 0;
  // two buffers in turn: every level is at most half as wide as the one below it
  let [target, spare] = count <= BATCH_NODES ? batchScratch : createScratch(count);
  while (width > 1) {
    const pairs = width >> 1;
    hashInto(level.subarray(0, pairs * 2 * NODE_SIZE), target.subarray(0, pairs * NODE_SIZE));
    if (width % 2 === 1) {
      const last = level.subarray((width - 1) * NODE_SIZE, width * NODE_SIZE);
      target.set(hashPair(last, zeroHash(height + floor)), pairs * NODE_SIZE);
    }
    level = target;
    [target, spare] = [spare, target];
    width = (width + 1) >> 1;
    height++;
  }
  let root: Uint8Array = new Uint8Array(level.subarray(0, NODE_SIZE));
  for (; height < depth; height++) root = hashPair(root, zeroHash(height + floor));
  return root;
}

/** `mix_in_length` of the SSZ specification. */
export function mixInLength(root: Uint8Array, length: number): Uint8Array {
  const node = new Uint8Array(NODE_SIZE);
  new DataView(node.buffer).setBigUint64(0, BigInt(length), true);
  return hashPair(root, node);
}

/**
 * Root of a tree whose leaves arrive in order, in batches: of every full batch only its root is kept, so that the memory of
 * a list of two million validators is a few thousand nodes.
 */
export class BatchMerkleizer {
  /** Every batch but the last has exactly this many nodes. */
  readonly batchNodes: number;
  readonly #depth: number;
  readonly #batchHeight: number;
  #roots = new Uint8Array(64 * NODE_SIZE);
  #batches = 0;
  #closed = false;

  constructor(depth: number) {
    this.#depth = depth;
    this.#batchHeight = Math.min(BATCH_HEIGHT, depth);
    this.batchNodes = 1 << this.#batchHeight;
  }

  /** Takes the next batch, the first `count` nodes of `nodes`, which it only reads. */
  add(nodes: Uint8Array, count: number): void {
    if (this.#closed) throw new RangeError("a short batch can only be the last");
    this.#closed = count < this.batchNodes;
    const end = (this.#batches + 1) * NODE_SIZE;
    if (end > this.#roots.length) {
      const grown = new Uint8Array(this.#roots.length * 2);
      grown.set(this.#roots);
      this.#roots = grown;
    }
    this.#roots.set(merkleize(nodes, count, this.#batchHeight), end - NODE_SIZE);
    this.#batches++;
  }

  /** Root over everything added. */
  root(): Uint8Array {
    return merkleize(this.#roots, this.#batches, this.#depth - this.#batchHeight, this.#batchHeight);
  }
}

/** Root of chunks that are all in memory, e.g. a vector of roots. */
export function merkleizeChunks(chunks: Uint8Array, depth: number): Uint8Array {
  const tree = new BatchMerkleizer(depth);
  const step = tree.batchNodes * NODE_SIZE;
  for (let at = 0; at < chunks.length; at += step) {
    const batch = chunks.subarray(at, at + step);
    tree.add(batch, batch.length / NODE_SIZE);
  }
  return tree.root();
}
