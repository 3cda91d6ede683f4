import { latestCompletedFrame, refSlotOfFrame, type FrameConfig } from "./report/frames.js";

export type { FrameConfig } from "./report/frames.js";

/**
 * The head of the execution chain that one round looks at. Its timestamp is the only clock of the services: nothing they decide
 * depends on the time of the machine they run on.
 */
export interface Head {
  readonly number: number;
  readonly hash: string;
  /** seconds */
  readonly timestamp: number;
}

/** Slot of a block of the execution chain. */
export function slotAt(frames: FrameConfig, timestamp: number): number {
  return Number((BigInt(timestamp) - frames.genesisTime) / frames.secondsPerSlot);
}

/** When a slot starts, in seconds. */
export function timeOfSlot(frames: FrameConfig, slot: number): number {
  return Number(frames.genesisTime + BigInt(slot) * frames.secondsPerSlot);
}

/** Reference slot of the latest completed frame; null while the first frame still runs. */
export function latestRefSlot(frames: FrameConfig, timestamp: number): number | null {
  const frame = latestCompletedFrame(frames, BigInt(timestamp));
  return frame === null ? null : Number(refSlotOfFrame(frames, frame));
}
