import { AbiCoder, isCallException } from "ethers";
import { timeOfSlot, type FrameConfig, type Head } from "../clock.js";
import type { FailoverProvider } from "./provider.js";

/** EIP-4788. */
const BEACON_ROOTS = "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02";
/** Slots in a row without a block, after which no root is looked for: as many as the ReportOracle tries. */
const MAX_TRIES = 128;

/**
 * Root of the last beacon block at or before `slot`, from the chain itself: EIP-4788 keeps it under the time of the next block.
 * Null while there is no next block. From Gloas on blocks without a payload are passed over, so it can be that of a later one.
 */
export async function beaconRootAt(
  provider: FailoverProvider,
  frames: FrameConfig,
  slot: number,
  head: Head,
): Promise<string | null> {
  for (let next = slot + 1; next <= slot + MAX_TRIES; next++) {
    const time = timeOfSlot(frames, next);
    if (time > head.timestamp) return null;
    const data = AbiCoder.defaultAbiCoder().encode(["uint256"], [time]);
    try {
      return await provider.call({ to: BEACON_ROOTS, data, blockTag: head.hash });
    } catch (error) {
      if (!isCallException(error)) throw error; // it reverts for a time without a block
    }
  }
  return null;
}
