import { expect } from "chai";
import { combinations, drillPassed, runDrill, type Drill } from "../../../oracle/keys/drill/drill.js";
import { printDrill } from "../../../oracle/keys/drill/print.js";

const valid = ({ trials }: Drill["enough"]): number => trials.filter((trial) => trial.valid).length;

describe("keys/drill", () => {
  it("takes every combination once", () => {
    expect(combinations([1, 2, 3, 4], 3)).to.deep.equal([
      [1, 2, 3],
      [1, 2, 4],
      [1, 3, 4],
      [2, 3, 4],
    ]);
    expect(combinations([1, 2], 0)).to.deep.equal([[]]);
    const keys = combinations(
      Array.from({ length: 13 }, (_, i) => i),
      8,
    ).map(String);
    expect(new Set(keys)).to.have.property("size", 1287);
  });

  for (const [size, threshold, enough, tooFew, among, without] of [
    [4, 3, 4, 6, 3, 1],
    [7, 5, 21, 35, 15, 6],
  ] as const) {
    it(`tries all combinations of ${size} operators: ${threshold} sign, fewer do not, nor does one with a bad share`, async () => {
      const drill = await runDrill(size);
      const counts = (tally: Drill["enough"]): number[] => [tally.combinations, tally.trials.length, valid(tally)];
      expect(drill.threshold).to.equal(threshold);
      expect(counts(drill.enough)).to.deep.equal([enough, enough, enough]);
      expect(counts(drill.tooFew)).to.deep.equal([tooFew, tooFew, 0]);
      expect(counts(drill.badShare.among)).to.deep.equal([among, among, 0]);
      expect(counts(drill.badShare.without)).to.deep.equal([without, without, without]);
      expect(drill.badShare.findings).to.deep.equal(["SharesNotOnPolynomial"]);
      expect(drill.badCiphertext).to.deep.equal({ operator: BigInt(size), decrypted: false, findings: [] });
      expect(drillPassed(drill)).to.equal(true);
    });
  }

  it("tries a sample, spread over all, of 13 operators, and says so", async () => {
    const drill = await runDrill(13);
    const { combinations: count, trials } = drill.enough;
    expect([count, trials.length, valid(drill.enough)]).to.deep.equal([715, 60, 60]);
    expect(trials[0]?.operators).to.deep.equal([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n]);
    expect(trials.at(-1)?.operators).to.deep.equal([5n, 6n, 7n, 8n, 9n, 10n, 11n, 12n, 13n]);
    expect(new Set(trials.map(({ operators }) => operators.join()))).to.have.property("size", 60);
    expect(printDrill(drill).join("\n")).to.include("a sample of 60 of 715 tried");
  });

  it("draws the cluster, and says when something is not as it must be", async () => {
    const drill = await runDrill(4);
    expect(printDrill(drill)).to.include.members([
      "   (1)   (2)   (3)   (4)",
      "    └─────┴──┬──┴─────┘",
      "             │ any 3 partial signatures",
      "  any 3 operators: 4 of 4 combinations give a valid signature (all 4 tried)",
      "    ● ● · ●  valid",
      "    ● · · ●  not valid",
      "    · ● ● x  not valid",
      "All as it must be.",
    ]);
    const with_ =
      (change: (trials: Drill["enough"]["trials"]) => Drill["enough"]["trials"]) => (tally: Drill["enough"]) => ({
        ...tally,
        trials: change(tally.trials),
      });
    const turned = with_(([first, ...rest]) => [{ operators: first!.operators, valid: !first!.valid }, ...rest]);
    const { badShare, badCiphertext } = drill;
    for (const failed of [
      { ...drill, enough: turned(drill.enough) },
      { ...drill, tooFew: turned(drill.tooFew) },
      { ...drill, badShare: { ...badShare, among: turned(badShare.among) } },
      { ...drill, badShare: { ...badShare, without: turned(badShare.without) } },
      { ...drill, badShare: { ...badShare, findings: [] } },
      { ...drill, badCiphertext: { ...badCiphertext, decrypted: true } },
    ]) {
      expect(drillPassed(failed)).to.equal(false);
      expect(printDrill(failed).at(-1)).to.match(/^! Not as it must be/);
    }
  });

  it("refuses a number of operators that SSV does not have", async () => {
    expect(await runDrill(5).catch((error: unknown) => error)).to.have.property("code", "BadClusterSize");
  });
});
