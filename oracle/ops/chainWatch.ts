import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { slotAt, type FrameConfig, type Head } from "../clock.js";
import type { ServiceLogger } from "./logging.js";
import type { Metrics } from "./metrics.js";

/** Epochs without finality after which the chain itself takes measures (the inactivity leak). */
const FINALITY_ALARM_EPOCHS = 6;
/** Slots of the machine's time without a new block; five minutes on mainnet. */
const STALL_ALARM_SLOTS = 25;

export type ChainAlarm = "NotFinalising" | "HeadStalled";

export interface ChainWatchOptions {
  readonly frames: FrameConfig;
  readonly metrics: Metrics;
  readonly logger: ServiceLogger;
  /** Milliseconds of a clock that is never set back. That no block comes, no block can tell. */
  readonly now?: (() => number) | undefined;
}

/**
 * Alarms about the chain as a whole: each is told when it begins and when it ends, and stands until then. Nothing is decided by
 * them: members wait for finality in any case.
 */
export class ChainWatch {
  readonly #options: ChainWatchOptions;
  readonly #now: () => number;
  readonly #alarms = new Map<ChainAlarm, string>();
  #head: { readonly hash: string; readonly since: number } | null = null;

  constructor(options: ChainWatchOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** What is wrong now, in words. */
  get alarms(): Partial<Record<ChainAlarm, string>> {
    return Object.fromEntries(this.#alarms);
  }

  /** The head, new or not, whenever it was asked for. */
  sawHead(head: Head): void {
    const now = this.#now();
    if (this.#head?.hash !== head.hash) this.#head = { hash: head.hash, since: now };
    const seconds = (now - this.#head.since) / 1_000;
    const stalled = seconds > STALL_ALARM_SLOTS * Number(this.#options.frames.secondsPerSlot);
    const message = `No block has come for ${Math.floor(seconds)} seconds since block ${head.number}: see whether the execution nodes follow the chain.`;
    this.#set("HeadStalled", stalled ? message : null);
  }

  /** The last finalised block as of a head. */
  sawFinalized(head: Head, finalized: Head): void {
    const { frames, metrics } = this.#options;
    const lag = slotAt(frames, head.timestamp) - slotAt(frames, finalized.timestamp);
    metrics.finalityLag.set(lag);
    const late = lag >= FINALITY_ALARM_EPOCHS * SLOTS_PER_EPOCH;
    const message =
      `The chain has finalised nothing for ${Math.floor(lag / SLOTS_PER_EPOCH)} epochs since block ${finalized.number}: ` +
      "nothing is reported or deposited until it does; then it goes on by itself.";
    this.#set("NotFinalising", late ? message : null);
  }

  #set(alarm: ChainAlarm, message: string | null): void {
    const { logger, metrics } = this.#options;
    const stood = this.#alarms.has(alarm);
    if (message === null) {
      this.#alarms.delete(alarm);
      if (stood) logger.info({ alarm }, "an alarm about the chain is over");
      return;
    }
    this.#alarms.set(alarm, message);
    if (stood) return;
    metrics.alerts.inc({ reason: alarm });
    logger.alert({ alarm }, message);
  }
}
