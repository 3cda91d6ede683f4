import type { IOperationsReserve, IPoolManager } from "../../types/ethers-contracts/index.js";
import type { PoolTerms } from "../report/outlook.js";

/** What PoolManager would know if the report of a frame came at a block. */
export async function readTerms(
  poolManager: Pick<IPoolManager, "totals" | "parameters" | "depositedAt">,
  reserve: Pick<IOperationsReserve, "shortfall">,
  rewardsVaultWei: bigint,
  frame: number | bigint,
  at: { readonly blockTag: string },
): Promise<PoolTerms> {
  const [totals, { lossLimitBps }, depositedAtRefWei, reserveShortfallWei] = await Promise.all([
    poolManager.totals(at),
    poolManager.parameters(at),
    poolManager.depositedAt(frame, at),
    reserve.shortfall(at),
  ]);
  return {
    bufferedWei: totals.buffered,
    lastValueWei: totals.clBalance,
    lastDepositedWei: totals.deposited - totals.inFlight,
    depositedWei: totals.deposited,
    depositedAtRefWei,
    sweptWei: totals.swept,
    rewardsVaultWei,
    lockedWei: totals.locked,
    owedWei: totals.owed + totals.fee,
    totalPooledEtherWei: totals.totalPooledEther,
    totalShares: totals.totalShares,
    reserveShortfallWei,
    lossLimitBps,
  };
}
