import { expect } from "chai";
import fc from "fast-check";
import { latestRefSlot, slotAt, timeOfSlot, type FrameConfig } from "../../../oracle/clock.js";

const frames = { genesisTime: 1_000n, secondsPerSlot: 12n, slotsPerFrame: 32n };
const mainnet: FrameConfig = { genesisTime: 1_606_824_023n, secondsPerSlot: 12n, slotsPerFrame: 7_200n };

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

  it("has a frame a day on mainnet", () => {
    const genesis = Number(mainnet.genesisTime);
    expect(latestRefSlot(mainnet, genesis + 86_399)).to.equal(null);
    expect(latestRefSlot(mainnet, genesis + 86_400)).to.equal(7_199);
    expect(timeOfSlot(mainnet, 7_199)).to.equal(genesis + 7_199 * 12);
  });

  it("knows no time before genesis", () => {
    for (const ask of [slotAt, latestRefSlot]) expect(() => ask(frames, 999)).to.throw("another chain");
  });

  it("lets the reference slot of a frame be reported from the first second after it to the end of the next frame", () => {
    const configs = fc.record({
      genesisTime: fc.bigInt(0n, 2n ** 40n),
      secondsPerSlot: fc.bigInt(1n, 60n),
      slotsPerFrame: fc.bigInt(1n, 100_000n),
    });
    fc.assert(
      fc.property(configs, fc.nat(2 ** 24), (config, frame) => {
        const refSlot = (frame + 1) * Number(config.slotsPerFrame) - 1;
        const start = timeOfSlot(config, refSlot + 1);
        expect(latestRefSlot(config, start - 1)).not.to.equal(refSlot);
        expect(latestRefSlot(config, start)).to.equal(refSlot);
        const end = timeOfSlot(config, refSlot + 1 + Number(config.slotsPerFrame));
        expect(latestRefSlot(config, end - 1)).to.equal(refSlot);
        expect(latestRefSlot(config, end)).to.equal(refSlot + Number(config.slotsPerFrame));
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});
