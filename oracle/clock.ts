import { ServiceError } from "./ops/errors.js";

/** How time is cut into frames, as the contracts have it. Times are in seconds. */
export interface FrameConfig {
  readonly genesisTime: bigint;
  readonly secondsPerSlot: bigint;
  readonly slotsPerFrame: bigint;
}

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
export function slotAt({ genesisTime, secondsPerSlot }: FrameConfig, timestamp: number): number {
  const elapsed = BigInt(timestamp) - genesisTime;
  if (elapsed >= 0n) return Number(elapsed / secondsPerSlot);
  throw new ServiceError(
    "WrongChain",
    `The time ${timestamp} is before genesis at ${genesisTime}: the frames are configured for another chain.`,
    { timestamp, genesisTime },
  );
}

/** When a slot starts, in seconds. */
export function timeOfSlot({ genesisTime, secondsPerSlot }: FrameConfig, slot: number): number {
  return Number(genesisTime + BigInt(slot) * secondsPerSlot);
}

/** The frame that runs at a time. */
export function frameAt(frames: FrameConfig, timestamp: number): number {
  return Math.floor(slotAt(frames, timestamp) / Number(frames.slotsPerFrame));
}

/** Reference slot of the latest completed frame, its last one; null while the first frame still runs. */
export function latestRefSlot(frames: FrameConfig, timestamp: number): number | null {
  const running = frameAt(frames, timestamp);
  return running === 0 ? null : running * Number(frames.slotsPerFrame) - 1;
}
