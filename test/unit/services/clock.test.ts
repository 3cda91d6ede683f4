import { expect } from "chai";
import { latestRefSlot, slotAt, timeOfSlot } from "../../../oracle/clock.js";

const frames = { genesisTime: 1_000n, secondsPerSlot: 12n, slotsPerFrame: 32n };

describe("clock", () => {
  it("knows the slot of a time and the time of a slot", () => {
    expect(slotAt(frames, 1_000)).to.equal(0);
    expect(slotAt(frames, 1_011)).to.equal(0);
    expect(slotAt(frames, 1_012)).to.equal(1);
    expect(timeOfSlot(frames, 5)).to.equal(1_060);
  });

  it("has no reference slot before the first frame is over, then the last slot of the one before", () => {
    expect(latestRefSlot(frames, timeOfSlot(frames, 31))).to.equal(null);
    expect(latestRefSlot(frames, timeOfSlot(frames, 32))).to.equal(31);
    expect(latestRefSlot(frames, timeOfSlot(frames, 63))).to.equal(31);
    expect(latestRefSlot(frames, timeOfSlot(frames, 64))).to.equal(63);
  });
});
