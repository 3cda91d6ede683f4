import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { frameAt, timeOfSlot, type FrameConfig, type Head } from "../clock.js";

/** Epochs that begin after a checkpoint until it is final. */
const EPOCHS_TO_FINALITY = 2;

export interface Arrival {
  /** Seconds. */
  readonly timestamp: number;
  readonly wei: bigint;
}

export interface PaymentQuestion {
  readonly head: Head;
  /** What the next report can pay with: buffered and in the vaults, less what is owed. */
  readonly liquidWei: bigint;
  /** What comes back, soonest first. */
  readonly arrivals: readonly Arrival[];
  /** What the request and all before it are worth. */
  readonly neededWei: bigint;
  /** Frame of the next report. */
  readonly nextFrame: number;
  /** Frame in which the request counts: no report of an earlier one pays it. */
  readonly requestFrame: number;
}

export interface ExpectedPayment {
  /** Frame whose report pays. */
  readonly frame: number;
  /** When it may come, in seconds: as soon as the frame's end is final. */
  readonly timestamp: number;
}

/**
 * The report that probably pays a request: the first that knows of it and of enough ether. Null when not even all that is on its way is
 * enough. Rewards, new stakes and losses to come are not counted.
 */
export function expectedPayment(question: PaymentQuestion, frames: FrameConfig): ExpectedPayment | null {
  const { head, liquidWei, arrivals, neededWei, nextFrame, requestFrame } = question;
  let haveWei = liquidWei;
  let frame = Math.max(nextFrame, requestFrame);
  for (const { timestamp, wei } of arrivals) {
    if (haveWei >= neededWei) break;
    haveWei += wei;
    frame = Math.max(frame, frameAt(frames, timestamp));
  }
  if (haveWei < neededWei) return null;
  return { frame, timestamp: Math.max(reportTime(frames, frame), head.timestamp) };
}

/** Of the frames that are complete, only the latest can be reported; once it was, the running one is next. */
export function frameOfNextReport(frames: FrameConfig, timestamp: number, lastReported: number): number {
  return Math.max(frameAt(frames, timestamp) - 1, lastReported + 1);
}

/** Frame in which a request made at some time counts. */
export function frameOfRequest(frames: FrameConfig, timestamp: number, cutoffMargin: number): number {
  return frameAt(frames, timestamp + cutoffMargin);
}

/** First slot in which requests are too late for the report of a frame. */
export function cutoffSlot(frames: FrameConfig, frame: number, cutoffMargin: number): number {
  const end = (frame + 1) * Number(frames.slotsPerFrame);
  return end - Math.floor(cutoffMargin / Number(frames.secondsPerSlot));
}

/** A block after the frame's last slot must be final; the keeper sends the report in the slot after that. */
function reportTime(frames: FrameConfig, frame: number): number {
  const next = (frame + 1) * Number(frames.slotsPerFrame);
  const checkpoint = Math.ceil(next / SLOTS_PER_EPOCH);
  return timeOfSlot(frames, (checkpoint + EPOCHS_TO_FINALITY) * SLOTS_PER_EPOCH + 1);
}
