import { expect } from "chai";
import { printReport, reasonOf } from "../../../oracle/explain/print.js";
import type { ReportView } from "../../../oracle/explain/view.js";
import type { ReportRow } from "../../../oracle/report/report.js";

const ROW: ReportRow = {
  id: 1,
  pubkey: `0x${"01".repeat(48)}`,
  cluster: 2,
  standing: "owned",
  validatorIndex: 77,
  balanceGwei: 32_000_000_001n,
  pendingGwei: 0n,
  expectedWithdrawalsGwei: 0n,
  openPenaltyGwei: 0n,
  isSlashed: false,
  isExiting: false,
  isExited: false,
};

const VIEW: ReportView = {
  head: { number: 9, hash: "0x09", timestamp: 0 },
  frame: 3,
  firstSlot: 96,
  isFinal: true,
  reference: {
    slot: 126,
    blockRoot: "0xb1",
    stateRoot: "0x51",
    fork: "fulu",
    executionBlock: { number: 8, hash: "0x08", stateRoot: "0xe1", timestamp: 0 },
    payload: "processed",
  },
  report: {
    version: 1,
    refSlot: 127,
    beaconBlockRoot: "0xb1",
    clBalance: 32_000_000_001_000_000_000n,
    openPenalties: 0n,
    withdrawnAtRef: 1n,
    exiting: [],
    exited: [4, 5],
  },
  withdrawnFrom: "node",
  table: [ROW],
  tableSha256: "abc",
  warnings: [],
  accepted: null,
  differences: [],
  arithmetic: null,
};

describe("report, printed", () => {
  it("says of every kind of validator whether it counts", () => {
    const kinds: [change: Partial<ReportRow>, says: RegExp][] = [
      [{}, /^counts: the pool's credentials$/],
      [{ isSlashed: true }, /^counts, less/],
      [{ isExited: true, balanceGwei: 0n }, /^gone to the vault$/],
      [{ isExited: true }, /what is left counts$/],
      [{ standing: "pending" }, /^counts: the first valid deposit/],
      [{ standing: "foreign" }, /^does not count: others' credentials/],
      [{ standing: "invalid" }, /^does not count: no deposit/],
      [{ standing: "absent" }, /^does not count: neither/],
    ];
    for (const [change, says] of kinds) expect(reasonOf({ ...ROW, ...change })).to.match(says);
  });

  it("has exact amounts, and validators only when asked", () => {
    const text = printReport(VIEW, false).join("\n");
    expect(text).to.match(/^clBalance +32\.000000001 +1 of 1 validators/m);
    expect(text).to.match(/^withdrawnAtRef +0\.000000000000000001 /m);
    expect(text).to.match(/^exited +4 5 /m);
    expect(text).to.not.include("the pool's credentials");
    expect(printReport(VIEW, true).join("\n")).to.match(
      /^ *1 +77 +2 +owned +32\.000000001 .* counts: the pool's credentials$/m,
    );
  });

  it("tells a frame that is not final, that nobody reported, or whose report differs", () => {
    expect(printReport(VIEW, false).at(-1)).to.equal("The frame was not reported, and cannot be any more.");
    expect(printReport({ ...VIEW, isFinal: false }, false)[1]).to.match(/^Not final yet/);
    const accepted = { block: 12, transaction: "0xt", applied: true, figures: {}, gainWei: -1n };
    const same = printReport({ ...VIEW, accepted }, false);
    expect(same.slice(-2)).to.deep.equal([
      "Accepted in block 12, transaction 0xt; applied, gain -0.000000000000000001 ETH.",
      "Every figure is the one above.",
    ]);
    const differences = [{ field: "exited", left: "", right: "4,5" }];
    expect(printReport({ ...VIEW, accepted, differences }, false).at(-1)).to.match(/^exited +none +4,5$/);
  });
});
