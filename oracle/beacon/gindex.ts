/** How a list or container lays its chunks out in a Merkle tree. */
export type TreeShape =
  | { readonly kind: "binary"; readonly depth: number }
  /** EIP-7916: binary trees of 1, 4, 16, ... chunks one behind the other, so that the depth grows with the chunk's number. */
  | { readonly kind: "progressive" };

/** Which of the binary trees of a progressive tree holds a chunk: the tree's number, and that of its first chunk. */
export function progressiveSubtree(chunk: number): { readonly subtree: number; readonly first: number } {
  let subtree = 0;
  let first = 0;
  for (let size = 1; chunk >= first + size; size *= 4) {
    first += size;
    subtree++;
  }
  return { subtree, first };
}

/** Generalized index of a spine node of a progressive tree: its left child is subtree `subtree`, its right child the next spine node. */
export function spineGindex(root: number, subtree: number): number {
  return (root + 1) * 2 ** subtree - 1;
}

/** Generalized index of a chunk of the tree that has its root at `root`. */
export function chunkGindex(root: number, shape: TreeShape, chunk: number): number {
  if (shape.kind === "binary") return root * 2 ** shape.depth + chunk;
  const { subtree, first } = progressiveSubtree(chunk);
  return spineGindex(root, subtree) * 2 * 4 ** subtree + (chunk - first);
}

/** Generalized index of `inner`, counted from the node `outer`, counted from where `outer` is counted. */
export function concatGindex(outer: bigint, inner: bigint): bigint {
  const levels = BigInt(inner.toString(2).length - 1);
  return (outer << levels) + inner - (1n << levels);
}
