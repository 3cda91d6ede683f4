import { expect } from "chai";
import fc from "fast-check";
import { ReportError } from "../../../oracle/report/errors.js";
import {
  frameOfTime,
  latestCompletedFrame,
  refSlotOfFrame,
  refTime,
  type FrameConfig,
} from "../../../oracle/report/frames.js";

describe("frames", () => {
  const mainnet: FrameConfig = { genesisTime: 1_606_824_023n, secondsPerSlot: 12n, slotsPerFrame: 7200n };

  it("of mainnet, one a day", () => {
    expect(frameOfTime(mainnet, mainnet.genesisTime)).to.equal(0n);
    expect(frameOfTime(mainnet, mainnet.genesisTime + 86_399n)).to.equal(0n);
    expect(frameOfTime(mainnet, mainnet.genesisTime + 86_400n)).to.equal(1n);
    expect(refSlotOfFrame(mainnet, 0n)).to.equal(7199n);
    expect(refTime(mainnet, 0n)).to.equal(mainnet.genesisTime + 7199n * 12n);
  });

  it("the first cannot be reported while it runs", () => {
    expect(latestCompletedFrame(mainnet, mainnet.genesisTime + 86_399n)).to.equal(null);
    expect(latestCompletedFrame(mainnet, mainnet.genesisTime + 86_400n)).to.equal(0n);
  });

  it("do not exist before genesis", () => {
    expect(() => frameOfTime(mainnet, mainnet.genesisTime - 1n)).to.throw(ReportError, /another chain/);
  });

  it("end with their reference slot", () => {
    const configs = fc.record({
      genesisTime: fc.bigInt(0n, 2n ** 40n),
      secondsPerSlot: fc.bigInt(1n, 60n),
      slotsPerFrame: fc.bigInt(1n, 100_000n),
    });
    fc.assert(
      fc.property(configs, fc.bigInt(0n, 2n ** 32n), (config, frame) => {
        const end = refTime(config, frame);
        expect(frameOfTime(config, end)).to.equal(frame);
        expect(frameOfTime(config, end + config.secondsPerSlot - 1n)).to.equal(frame);
        expect(frameOfTime(config, end + config.secondsPerSlot)).to.equal(frame + 1n);
        expect(latestCompletedFrame(config, end + config.secondsPerSlot)).to.equal(frame);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});
