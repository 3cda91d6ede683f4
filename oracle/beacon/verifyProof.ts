import { hashPair, NODE_SIZE } from "./merkle.js";

/** No generalized index in a beacon block is longer; a longer one in a proof is somebody's attempt. */
const MAX_LEVELS = 64;

/** That a node is in a Merkle tree. Nodes are 32 octets each, one after another. */
export interface Proof {
  readonly gindex: bigint;
  readonly leaf: Uint8Array;
  /** The siblings on the way up: exactly one for each level. */
  readonly branch: Uint8Array;
}

/** That some nodes are in a Merkle tree. Nodes are 32 octets each, one after another. */
export interface Multiproof {
  /** From left to right in the tree, none of them inside another. */
  readonly gindices: readonly bigint[];
  /** One for each index. */
  readonly leaves: Uint8Array;
  /** The roots of all largest subtrees that hold none of the leaves, from left to right. */
  readonly helpers: Uint8Array;
}

/** Whether the proof leads to the root. What the leaf at this index means, `StateProofs` says. */
export function verifyProof(root: Uint8Array, proof: Proof): boolean {
  const path = pathOf(proof.gindex);
  if (path === undefined || proof.leaf.length !== NODE_SIZE || proof.branch.length !== path.length * NODE_SIZE) {
    return false;
  }
  let node = proof.leaf;
  for (let i = 0; i < path.length; i++) {
    const sibling = nodeAt(proof.branch, i);
    node = path[path.length - 1 - i] === "1" ? hashPair(sibling, node) : hashPair(node, sibling);
  }
  return equal(node, root);
}

/** Whether all leaves lead to the root, with every helper used once and none left. */
export function verifyMultiproof(root: Uint8Array, proof: Multiproof): boolean {
  const paths = pathsOf(proof.gindices);
  if (paths === undefined || proof.leaves.length !== paths.length * NODE_SIZE) return false;
  if (proof.helpers.length !== helperPaths(paths).length * NODE_SIZE) return false;
  let used = 0;
  const node = foldPaths<Uint8Array>(paths, {
    leaf: (i) => nodeAt(proof.leaves, i),
    helper: () => nodeAt(proof.helpers, used++),
    join: hashPair,
  });
  return equal(node, root);
}

/** The helpers of a multiproof for these indices, from left to right; nothing when they are not as `Multiproof` wants them. */
export function helperGindices(gindices: readonly bigint[]): readonly bigint[] | undefined {
  const paths = pathsOf(gindices);
  if (paths === undefined) return undefined;
  return helperPaths(paths).map((path) => BigInt(`0b1${path}`));
}

function helperPaths(paths: readonly string[]): readonly string[] {
  const helpers: string[] = [];
  foldPaths<unknown>(paths, { leaf: () => null, helper: (path) => helpers.push(path), join: () => null });
  return helpers;
}

/** Sorted as a multiproof has them: from left to right. */
export function inTreeOrder(gindices: Iterable<bigint>): readonly bigint[] {
  const paths = [...new Set(gindices)].map((gindex) => gindex.toString(2));
  return paths.sort((a, b) => (a < b ? -1 : 1)).map((path) => BigInt(`0b${path}`));
}

interface Fold<T> {
  /** @param i place of the leaf's path */
  readonly leaf: (i: number) => T;
  readonly helper: (path: string) => T;
  readonly join: (left: T, right: T) => T;
}

/** Goes through the smallest tree that has a leaf at the end of every path, from left to right. */
function foldPaths<T>(paths: readonly string[], { leaf, helper, join }: Fold<T>): T {
  const fold = (from: number, to: number, depth: number): T => {
    const path = paths[from] ?? "";
    if (path.length === depth) return leaf(from);
    const middle = firstRight(paths, from, to, depth);
    const left = middle > from ? fold(from, middle, depth + 1) : helper(`${path.slice(0, depth)}0`);
    const right = middle < to ? fold(middle, to, depth + 1) : helper(`${path.slice(0, depth)}1`);
    return join(left, right);
  };
  return fold(0, paths.length, 0);
}

/** The first of the paths from `from` up to `to` that turns right at that depth. */
function firstRight(paths: readonly string[], from: number, to: number, depth: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (paths[middle]?.[depth] === "1") high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The way down from the root, 0 for left and 1 for right. */
function pathOf(gindex: bigint): string | undefined {
  if (gindex < 1n || gindex >> BigInt(MAX_LEVELS) > 1n) return undefined;
  return gindex.toString(2).slice(1);
}

function pathsOf(gindices: readonly bigint[]): readonly string[] | undefined {
  const paths: string[] = [];
  for (const gindex of gindices) {
    const path = pathOf(gindex);
    const previous = paths.at(-1);
    if (path === undefined) return undefined;
    // a path comes right before those that go on from it
    if (previous !== undefined && (path < previous || path.startsWith(previous))) return undefined;
    paths.push(path);
  }
  return paths.length === 0 ? undefined : paths;
}

function nodeAt(nodes: Uint8Array, i: number): Uint8Array {
  return nodes.subarray(i * NODE_SIZE, (i + 1) * NODE_SIZE);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => octet === b[i]);
}
