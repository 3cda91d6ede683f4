import { expect } from "chai";
import type { OnTheWay } from "../../../oracle/queue/onTheWay.js";
import { ether, inTime, printQueue, queueJson, utc } from "../../../oracle/queue/print.js";
import type { QueueView } from "../../../oracle/queue/view.js";

const ETH = 10n ** 18n;
const NOW = 1_767_225_600;
const moment = (seconds: number) => ({ slot: seconds / 12, timestamp: NOW + seconds });

const leaving: OnTheWay = {
  id: 7,
  cluster: 2,
  publicKey: "0xab",
  stage: "exiting",
  isSlashed: false,
  estimate: {
    exitEpoch: 101_234,
    withdrawableEpoch: 101_490,
    earliest: moment(98_304),
    likely: moment(187_200),
    latest: moment(900_000),
  },
  wei: 32n * ETH + 5n * 10n ** 15n,
};
const VIEW: QueueView = {
  head: { number: 370, hash: "0x12", timestamp: NOW },
  requests: { waiting: 3, afterCutoff: 1, valueWei: 96n * ETH },
  liquid: { bufferedWei: 1n, withdrawalVaultWei: 5n * ETH, rewardsVaultWei: 0n },
  owedWei: 0n,
  shortageWei: 91n * ETH,
  exits: { asked: 1, confirmed: 1, due: 2, forceable: 1 },
  paused: null,
  validators: [leaving, { ...leaving, id: 12, stage: "asked", isSlashed: true, estimate: null }],
  request: null,
};

describe("the queue for people", () => {
  it("in columns", () => {
    expect(printQueue(VIEW)).to.deep.equal([
      "block 370, 2026-01-01 00:00:00 UTC",
      "",
      "requests waiting                  3  1 of them too late for the next report",
      "  their value now         96.000000  ETH",
      "buffered                   0.000000  ETH",
      "in the withdrawal vault    5.000000  ETH",
      "in the rewards vault       0.000000  ETH",
      "owed to operations         0.000000  ETH, before withdrawals",
      "short of                  91.000000  ETH, to come from exits",
      "validators asked to exit          1  not confirmed by a report",
      "  confirmed exiting               1  and not arrived",
      "  due now                         2  to be asked; 1 of them were, in vain, and may be forced",
      "",
      "id  cluster  stage           exit epoch  withdrawable        ETH  arrives about                        at the latest",
      " 7        2  exiting             101234        101490  32.005000  2026-01-03 04:00:00 UTC  in 2 d 4 h  in 10 d 10 h",
      "12        2  asked, slashed           -             -  32.005000  not active yet",
    ]);
  });

  it("says when nobody is on the way and when nobody is paid", () => {
    const lines = printQueue({ ...VIEW, validators: [], paused: "finalisation is paused" });
    expect(lines.slice(-3)).to.deep.equal([
      "No report pays withdrawals now: finalisation is paused.",
      "",
      "No validator is on its way.",
    ]);
  });

  it("says what becomes of a request", () => {
    const request = { id: 5, status: "waiting", valueWei: 2n * ETH, aheadWei: ETH, payment: null } as const;
    const last = (changes: Partial<NonNullable<QueueView["request"]>>): string =>
      printQueue({ ...VIEW, request: { ...request, ...changes } }).at(-1) ?? "";
    expect(last({ payment: { frame: 12, timestamp: NOW + 3_660 } })).to.equal(
      "Request 5, worth 2.000000 ETH behind 1.000000 ETH of others, will probably be paid by the report of frame 12: 2026-01-01 01:01:00 UTC, in 1 h 1 min.",
    );
    expect(last({})).to.include("more validators have to exit");
    expect(last({ status: "finalised" })).to.equal("Request 5 can be claimed: it got 2.000000 ETH.");
    expect(last({ status: "claimed" })).to.equal("Request 5 was claimed: it got 2.000000 ETH.");
  });

  it("tells amounts rounded down and times by their two largest units", () => {
    expect([0n, 999_999_999_999n, 10n ** 12n, 1234n * ETH - 1n].map(ether)).to.deep.equal([
      "0.000000",
      "0.000000",
      "0.000001",
      "1233.999999",
    ]);
    expect([-5, 0, 1, 59, 60, 61, 3_600, 7_259, 86_400, 90_059, 187_200].map(inTime)).to.deep.equal([
      "now",
      "now",
      "in 1 s",
      "in 59 s",
      "in 1 min",
      "in 1 min 1 s",
      "in 1 h",
      "in 2 h",
      "in 1 d",
      "in 1 d 1 h",
      "in 2 d 4 h",
    ]);
    expect(utc(NOW + 61)).to.equal("2026-01-01 00:01:01 UTC");
  });
});

it("the queue for programs: amounts are exact, whatever their size", () => {
  const parsed = JSON.parse(queueJson(VIEW)) as { liquid: unknown; validators: { wei: string; estimate: unknown }[] };
  expect(parsed.liquid).to.deep.equal({
    bufferedWei: "1",
    withdrawalVaultWei: "5000000000000000000",
    rewardsVaultWei: "0",
  });
  expect(parsed.validators[0]?.wei).to.equal("32005000000000000000");
  expect(parsed.validators[0]?.estimate).to.deep.equal(leaving.estimate);
  expect(parsed.validators[1]?.estimate).to.equal(null);
});
