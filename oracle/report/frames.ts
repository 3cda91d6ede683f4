import { ReportError } from "./errors.js";

/** How time is cut into frames, as the contracts have it. Times are in seconds. */
export interface FrameConfig {
  readonly genesisTime: bigint;
  readonly secondsPerSlot: bigint;
  readonly slotsPerFrame: bigint;
}

/** The frame that contains a time. */
export function frameOfTime(config: FrameConfig, time: bigint): bigint {
  if (time < config.genesisTime) {
    throw new ReportError(
      "REPORT_BEFORE_GENESIS",
      `The time ${time.toString()} is before genesis at ${config.genesisTime.toString()}: the frames are configured for another chain.`,
      { time, genesisTime: config.genesisTime },
    );
  }
  return (time - config.genesisTime) / config.secondsPerSlot / config.slotsPerFrame;
}

/** The last slot of a frame, at which the frame's figures are taken. */
export function refSlotOfFrame(config: FrameConfig, frame: bigint): bigint {
  return (frame + 1n) * config.slotsPerFrame - 1n;
}

/** When the reference slot of a frame starts. */
export function refTime(config: FrameConfig, frame: bigint): bigint {
  return config.genesisTime + refSlotOfFrame(config, frame) * config.secondsPerSlot;
}

/** The only frame that can be reported at a time; null while the first frame still runs. */
export function latestCompletedFrame(config: FrameConfig, time: bigint): bigint | null {
  const current = frameOfTime(config, time);
  return current === 0n ? null : current - 1n;
}
