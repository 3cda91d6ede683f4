/** How time is cut into frames; the PoolManager and the ReportOracle hold it on chain. */
export interface FrameConfig {
  readonly genesisTime: number;
  readonly secondsPerSlot: number;
  readonly slotsPerFrame: number;
}

/**
 * The head of the execution chain that one round looks at. Its timestamp is the only clock of the services: nothing they decide
 * depends on the time of the machine they run on.
 */
export interface Head {
  readonly number: number;
  readonly hash: string;
  readonly timestamp: number;
}

/** Slot of a block of the execution chain. */
export function slotAt(frames: FrameConfig, timestamp: number): number {
  return Math.floor((timestamp - frames.genesisTime) / frames.secondsPerSlot);
}

export function timeOfSlot(frames: FrameConfig, slot: number): number {
  return frames.genesisTime + slot * frames.secondsPerSlot;
}

export function frameAt(frames: FrameConfig, timestamp: number): number {
  return Math.floor(slotAt(frames, timestamp) / frames.slotsPerFrame);
}

/** Last slot of a frame. */
export function refSlotOf(frames: FrameConfig, frame: number): number {
  return (frame + 1) * frames.slotsPerFrame - 1;
}

/** Reference slot of the latest completed frame; null while the first frame still runs. */
export function latestRefSlot(frames: FrameConfig, timestamp: number): number | null {
  const frame = frameAt(frames, timestamp) - 1;
  return frame < 0 ? null : refSlotOf(frames, frame);
}
