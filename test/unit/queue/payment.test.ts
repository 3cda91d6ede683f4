import { expect } from "chai";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { timeOfSlot, type FrameConfig } from "../../../oracle/clock.js";
import {
  cutoffSlot,
  expectedPayment,
  frameOfNextReport,
  frameOfRequest,
  type PaymentQuestion,
} from "../../../oracle/queue/payment.js";

const FRAMES: FrameConfig = { genesisTime: 1_000n, secondsPerSlot: 12n, slotsPerFrame: 32n };
const time = (slot: number): number => timeOfSlot(FRAMES, slot);
/** When the report of a frame may come: two epochs and a slot after its end. */
const report = (frame: number): number => time((frame + 1) * 32 + 2 * SLOTS_PER_EPOCH + 1);
const ETH = 10n ** 18n;

describe("the report that probably pays a request", () => {
  const question: PaymentQuestion = {
    head: { number: 1, hash: "0x", timestamp: time(5 * 32 + 4) },
    liquidWei: 40n * ETH,
    arrivals: [
      { timestamp: time(6 * 32 + 31), wei: 32n * ETH },
      { timestamp: time(7 * 32), wei: 32n * ETH },
      { timestamp: time(20 * 32), wei: 32n * ETH },
    ],
    neededWei: 10n * ETH,
    nextFrame: 5,
    requestFrame: 5,
  };
  const ask = (changes: Partial<PaymentQuestion>) => expectedPayment({ ...question, ...changes }, FRAMES);

  it("is the next one when there is enough, to the wei", () => {
    expect(ask({})).to.deep.equal({ frame: 5, timestamp: report(5) });
    expect(ask({ neededWei: 40n * ETH })?.frame).to.equal(5);
    expect(ask({ neededWei: 40n * ETH + 1n })?.frame).to.equal(6);
  });

  it("is the one of the frame in which the last ether that it takes arrives: in its last slot still of that one", () => {
    expect(ask({ neededWei: 72n * ETH })).to.deep.equal({ frame: 6, timestamp: report(6) });
    expect(ask({ neededWei: 72n * ETH + 1n })?.frame).to.equal(7);
    expect(ask({ neededWei: 136n * ETH })?.frame).to.equal(20);
  });

  it("is none when all that is on its way is not enough", () => {
    expect(ask({ neededWei: 136n * ETH + 1n })).to.equal(null);
    expect(ask({ arrivals: [], neededWei: 41n * ETH })).to.equal(null);
  });

  it("is not before the frame in which the request counts", () => {
    expect(ask({ requestFrame: 7 })?.frame).to.equal(7);
    expect(ask({ requestFrame: 6, neededWei: 73n * ETH })?.frame).to.equal(7);
  });

  it("owes to operations first", () => {
    expect(ask({ liquidWei: -3n * ETH, neededWei: 29n * ETH })?.frame).to.equal(6);
    expect(ask({ liquidWei: -3n * ETH, neededWei: 29n * ETH + 1n })?.frame).to.equal(7);
  });

  it("is not in the past when the report is overdue", () => {
    const head = { number: 1, hash: "0x", timestamp: time(5 * 32 + 4) };
    expect(ask({ head, nextFrame: 3, requestFrame: 3 })).to.deep.equal({ frame: 3, timestamp: head.timestamp });
  });

  it("waits for whole epochs where frames end within one", () => {
    const frames = { ...FRAMES, slotsPerFrame: 30n };
    const found = expectedPayment({ ...question, nextFrame: 7, requestFrame: 7 }, frames);
    const end = Math.ceil(240 / SLOTS_PER_EPOCH) * SLOTS_PER_EPOCH;
    expect(found?.timestamp).to.equal(time(end + 2 * SLOTS_PER_EPOCH + 1));
    const within = expectedPayment({ ...question, nextFrame: 8, requestFrame: 8 }, frames);
    expect(within?.timestamp).to.equal(time(272 + 2 * SLOTS_PER_EPOCH + 1));
  });
});

it("the next report is of the latest complete frame, and once that was reported of the running one", () => {
  const running = time(8 * 32 + 9);
  expect(frameOfNextReport(FRAMES, running, 3)).to.equal(7);
  expect(frameOfNextReport(FRAMES, running, 6)).to.equal(7);
  expect(frameOfNextReport(FRAMES, running, 7)).to.equal(8);
  // frame 0 is never reported
  expect(frameOfNextReport(FRAMES, time(3), 0)).to.equal(1);
});

describe("the cutoff of requests", () => {
  for (const margin of [0, 1, 11, 12, 16 * 12, 16 * 12 + 5]) {
    it(`${margin} seconds before the end of a frame: the first slot that counts in the next`, () => {
      for (const frame of [0, 3]) {
        const slot = cutoffSlot(FRAMES, frame, margin);
        expect(frameOfRequest(FRAMES, time(slot), margin)).to.equal(frame + 1);
        expect(frameOfRequest(FRAMES, time(slot - 1), margin)).to.equal(frame);
      }
    });
  }
});
