import { readFileSync } from "node:fs";
import { expect } from "chai";
import type { ReportRow } from "../../../oracle/report/report.js";
import { tableCsv, tableHash, tableRecords } from "../../../oracle/report/table.js";

const GOLDEN = new URL("table.golden.csv", import.meta.url);
const ETH = 10n ** 9n; // in gwei

const row = (id: number, changes: Partial<ReportRow> = {}): ReportRow => ({
  id,
  pubkey: `0x${id.toString(16).padStart(2, "0").repeat(48)}`,
  cluster: 1,
  standing: "owned",
  validatorIndex: 1_000_000 + id,
  balanceGwei: 32n * ETH,
  pendingGwei: 0n,
  expectedWithdrawalsGwei: 0n,
  openPenaltyGwei: 0n,
  isSlashed: false,
  isExiting: false,
  isExited: false,
  ...changes,
});
const absent = { validatorIndex: null, balanceGwei: 0n };

/** One of each kind. */
const TABLE: readonly ReportRow[] = [
  row(1, { balanceGwei: 32n * ETH + 14_513_227n }),
  row(2, { balanceGwei: 2n ** 60n, pendingGwei: ETH, expectedWithdrawalsGwei: 14_513_227n }),
  row(3, { balanceGwei: 31n * ETH, isSlashed: true, openPenaltyGwei: 68_849_472n }),
  row(4, { isExiting: true, cluster: 2 }),
  row(5, { balanceGwei: 0n, isExited: true, cluster: 2 }),
  row(6, { ...absent, standing: "pending", pendingGwei: 32n * ETH }),
  row(7, { balanceGwei: 0n, standing: "foreign" }),
  row(8, { ...absent, standing: "invalid" }),
  row(9, { ...absent, standing: "absent" }),
];

describe("report table", () => {
  it("of a small pool is the golden file, octet for octet, and its hash what sha256sum says of it", () => {
    expect(tableCsv(TABLE)).to.equal(readFileSync(GOLDEN, "utf8"));
    expect(tableHash(TABLE)).to.equal("bea8b335a48fe6a5138864e933d77e1cdfd63eae0b8cff8b6733458f13875c37");
  });

  it("of a pool without validators is the header", () => {
    expect(tableCsv([]).split("\n")).to.have.length(2);
  });

  it("as records has the CSV's names and order", () => {
    const [header, ...lines] = tableCsv(TABLE).trimEnd().split("\n");
    const records = tableRecords(TABLE);
    expect(Object.keys(records[0]!).join(",")).to.equal(header);
    expect(
      records.map((record) =>
        Object.values(record)
          .map((cell) => cell ?? "")
          .join(","),
      ),
    ).to.deep.equal(lines);
    expect(records[5]).to.include({ validator_index: null, pending_gwei: "32000000000", slashed: false });
  });

  it("has another hash if any cell differs", () => {
    const changes: Partial<ReportRow>[] = [
      { id: 99 },
      { pubkey: "0x00" },
      { cluster: 9 },
      { standing: "pending" },
      { validatorIndex: 9 },
      { balanceGwei: 1n },
      { pendingGwei: 1n },
      { expectedWithdrawalsGwei: 1n },
      { openPenaltyGwei: 1n },
      { isSlashed: true },
      { isExiting: true },
      { isExited: true },
    ];
    const hashes = changes.map((change) => tableHash([row(1, change), ...TABLE.slice(1)]));
    expect(new Set([...hashes, tableHash(TABLE)]).size).to.equal(changes.length + 1);
  });
});
