import type { VerifiedState } from "../beacon/readVerified.js";
import type { ExecutionBlock } from "../beacon/stateParts.js";
import { slotAt, type FrameConfig } from "../clock.js";
import { executionBlockOf } from "../execution/header.js";
import { readAncestor, readHead, type FailoverProvider } from "../execution/provider.js";
import type { PayloadOutcome } from "../report/report.js";
import type { BeaconNodes } from "./beaconNodes.js";

/** The execution chain at the reference. */
export interface ExecutionReference {
  /** The latest block whose requests the state has: what came to the vault is taken at it. */
  readonly block: ExecutionBlock;
  /** The block after it if that is the reference block's payload: the last of the frame, in which the pool may have deposited. */
  readonly lastNumber: number;
  readonly payload: PayloadOutcome;
}

/**
 * Finds out what became of a block's execution payload. Before Gloas it is in the block. From Gloas on the state has the execution
 * block before it, and what the payload is to hash to: it was delivered if that is the next block of the execution chain.
 */
export async function executionReference(
  provider: FailoverProvider,
  beacon: Pick<BeaconNodes, "depositRequests">,
  state: VerifiedState,
  frames: FrameConfig,
): Promise<ExecutionReference> {
  const block = await executionBlockOf(provider, state);
  const { number, timestamp } = block;
  if (state.fork !== "gloas") return { block, lastNumber: number, payload: { kind: "processed" } };
  const next = await readHead(provider, number + 1);
  await readAncestor(provider, number, block); // the block after another one would say nothing
  if (next?.hash !== state.bid.blockHash) {
    return { block, lastNumber: number, payload: { kind: "withheld", executionSlot: slotAt(frames, timestamp) } };
  }
  const deposits = await beacon.depositRequests(state);
  return { block, lastNumber: number + 1, payload: { kind: "delivered", deposits } };
}
