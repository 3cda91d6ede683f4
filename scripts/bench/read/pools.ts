import path from "node:path";

export type Layout = "contiguous" | "spread";

/** Some validators of a state: one after another, or as far apart as can be. */
export interface Pool {
  readonly size: number;
  readonly layout: Layout;
}

/** The file with its public keys. */
export function poolFile(folder: string, { size, layout }: Pool): string {
  return path.join(folder, `pool-${size}-${layout}.txt`);
}
