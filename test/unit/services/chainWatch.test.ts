import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { expect } from "chai";
import type { Head } from "../../../oracle/clock.js";
import { ChainWatch } from "../../../oracle/ops/chainWatch.js";
import { createMetrics, type Metrics } from "../../../oracle/ops/metrics.js";
import { recordingLogger, type LogRecord } from "./log.js";

const FRAMES = { genesisTime: 1_000n, secondsPerSlot: 12n, slotsPerFrame: 32n };
const STALL_MS = 25 * 12_000;

/** A block in every slot. */
const block = (slot: number): Head => ({ number: slot, hash: `0x${slot}`, timestamp: 1_000 + slot * 12 });

describe("ChainWatch", () => {
  let milliseconds: number;
  let metrics: Metrics;
  let records: LogRecord[];
  let watch: ChainWatch;

  beforeEach(() => {
    milliseconds = 5_000;
    metrics = createMetrics();
    const { logger, records: written } = recordingLogger();
    records = written;
    watch = new ChainWatch({ frames: FRAMES, metrics, logger, now: () => milliseconds });
  });

  const alerts = async (): Promise<Record<string, number>> => {
    const { values } = await metrics.alerts.get();
    return Object.fromEntries(values.map(({ labels, value }) => [String(labels.reason), value]));
  };
  const told = (): [string, unknown][] => records.map(({ level, alarm }) => [level, alarm]);

  describe("of finality", () => {
    const at = (slot: number, finalized: number): void => {
      watch.sawFinalized(block(slot), block(finalized));
    };

    it("tells how far it is behind, and is quiet while that is usual", async () => {
      at(4 * SLOTS_PER_EPOCH, SLOTS_PER_EPOCH);
      expect((await metrics.finalityLag.get()).values[0]?.value).to.equal(3 * SLOTS_PER_EPOCH);
      at(106, 106 - 6 * SLOTS_PER_EPOCH + 1);
      expect(told()).to.deep.equal([]);
      expect(watch.alarms).to.deep.equal({});
    });

    it("raises one alarm when the chain takes measures itself, which ends when it finalises again", async () => {
      for (let slot = 106; slot < 300; slot += SLOTS_PER_EPOCH) at(slot, 106 - 6 * SLOTS_PER_EPOCH);
      expect(told()).to.deep.equal([["alert", "NotFinalising"]]);
      expect(await alerts()).to.deep.equal({ NotFinalising: 1 });
      expect(watch.alarms.NotFinalising).to.match(/nothing for 30 epochs since block 58/);
      at(306, 300);
      expect(told().at(-1)).to.deep.equal(["info", "NotFinalising"]);
      expect(watch.alarms).to.deep.equal({});
      at(400, 300);
      expect(await alerts()).to.deep.equal({ NotFinalising: 2 });
    });

    it("is in time of the chain: the machine's has no part in it", () => {
      at(20, 10);
      milliseconds += 1e9;
      at(20, 10);
      expect(watch.alarms).to.deep.equal({});
    });
  });

  describe("of the head", () => {
    it("raises one alarm when none comes for long, which ends with the next one", async () => {
      watch.sawHead(block(7));
      milliseconds += STALL_MS;
      watch.sawHead(block(7));
      expect(told()).to.deep.equal([]);
      for (let i = 0; i < 3; i++) {
        milliseconds += 1_000;
        watch.sawHead(block(7));
      }
      expect(told()).to.deep.equal([["alert", "HeadStalled"]]);
      expect(await alerts()).to.deep.equal({ HeadStalled: 1 });
      expect(watch.alarms.HeadStalled).to.match(/for 303 seconds since block 7/);
      watch.sawHead(block(8));
      expect(watch.alarms).to.deep.equal({});
      expect(told().at(-1)).to.deep.equal(["info", "HeadStalled"]);
    });

    it("counts from each new head, one that replaces another of the same height included", () => {
      for (let i = 0; i < 5; i++) {
        watch.sawHead({ ...block(7), hash: `0xfork${i}` });
        milliseconds += STALL_MS;
      }
      expect(told()).to.deep.equal([]);
    });
  });
});
