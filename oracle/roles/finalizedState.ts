import type { VerifiedState } from "../beacon/readVerified.js";
import { slotAt } from "../clock.js";
import { beaconRootAt } from "../execution/beaconRoots.js";
import type { ChainReader, ChainView } from "../execution/chain.js";
import { readHeadByHash } from "../execution/provider.js";
import { ServiceError } from "../ops/errors.js";
import type { BeaconNodes } from "./beaconNodes.js";

/**
 * The newest finalised state, verified against the root that the chain itself has for it; null until a block is final.
 * @param publicKeys what is looked for in it
 */
export async function readFinalizedState(
  { provider, contracts: { frames } }: Pick<ChainReader, "provider" | "contracts">,
  beacon: Pick<BeaconNodes, "readState">,
  { finalized, head }: Pick<ChainView, "finalized" | "head">,
  publicKeys: ReadonlySet<string>,
): Promise<VerifiedState | null> {
  if (finalized === null) return null;
  const slot = slotAt(frames, finalized.timestamp);
  const root = slot === 0 ? null : await beaconRootAt(provider, frames, slot, head);
  if (root === null) return null;
  const state = await beacon.readState(root, publicKeys);
  // the execution block it commits to is where the deposits since then begin
  if ((await readHeadByHash(provider, state.executionBlock.hash)) === null) {
    throw new ServiceError(
      "HeadMoved",
      "The execution node does not have the finalised block; the next round tries again.",
      { blockHash: state.executionBlock.hash },
    );
  }
  return state;
}
