import type { PoolEvent } from "../execution/events.js";

/** What SSV Network runs, as far as the chain tells. */
export interface SSVCode {
  readonly version: string;
  /** block of the last upgrade of the contract or of one of its modules; null if there was none */
  readonly upgradedAt: number | null;
  /** block in which the pool began to use it */
  readonly adoptedAt: number;
}

export interface SSVLimits {
  readonly versions: readonly string[];
  /** block up to which upgrades were reviewed; the pool's first use of SSV Network if not set */
  readonly reviewedBlock?: number | undefined;
}

export function ssvCodeOf(events: readonly PoolEvent[], version: string): SSVCode {
  const blockOf = (type: PoolEvent["type"]): number[] =>
    events.filter((event) => event.type === type).map(({ block }) => block);
  return { version, upgradedAt: blockOf("Upgraded").at(-1) ?? null, adoptedAt: blockOf("AccountAdded")[0] ?? 0 };
}

/** Why SSV Network's code is not what this program knows; null while it is. */
export function unknownCode(code: SSVCode, limits: SSVLimits): string | null {
  if (!limits.versions.includes(code.version)) {
    return `SSV Network is ${code.version}, known are ${limits.versions.join(", ")}: review what changed, then set ssv.versions.`;
  }
  const reviewed = limits.reviewedBlock ?? code.adoptedAt;
  if (code.upgradedAt === null || code.upgradedAt <= reviewed) return null;
  return `SSV Network was upgraded in block ${code.upgradedAt}: review what changed, then set ssv.reviewedBlock.`;
}
