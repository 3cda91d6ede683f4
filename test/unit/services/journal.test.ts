import { appendFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { ServiceError } from "../../../oracle/ops/errors.js";
import { recordedWithdrawn, WithdrawnRecords } from "../../../oracle/roles/reference.js";
import { SigningJournal } from "../../../oracle/signatures/journal.js";
import { temporaryFolder } from "./support.js";

describe("what a member keeps on disk", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => {
    folder.remove();
  });

  describe("signing journal", () => {
    const intent = { signer: "0xa", domain: "0xd", refSlot: 63, digest: "0x1", tableSha256: "ab" };
    const file = (): string => path.join(folder.path, "signed-reports.jsonl");

    it("refuses a second, different report for a slot, also after a restart", () => {
      new SigningJournal(folder.path).record(intent);
      const restarted = new SigningJournal(folder.path);
      restarted.record(intent); // the same again is no second report
      const error = (() => {
        try {
          restarted.record({ ...intent, digest: "0x2" });
        } catch (thrown) {
          return thrown;
        }
        return null;
      })();
      expect(error).to.be.instanceOf(ServiceError).and.have.property("code", "DoubleSigning");
    });

    it("knows slots, signers and pools apart", () => {
      const journal = new SigningJournal(folder.path);
      for (const change of [{}, { refSlot: 95 }, { signer: "0xb" }, { domain: "0xe" }]) {
        journal.record({ ...intent, ...change, digest: `0x${JSON.stringify(change)}` });
      }
    });

    it("is on the disk when record returns, and survives a torn line", () => {
      new SigningJournal(folder.path).record(intent);
      expect(readFileSync(file(), "utf8")).to.include('"refSlot":63');
      appendFileSync(file(), '\n{"signer":"0xa","refSl');
      new SigningJournal(folder.path).record({ ...intent, refSlot: 95 });
      const restarted = new SigningJournal(folder.path);
      for (const refSlot of [63, 95]) {
        expect(() => {
          restarted.record({ ...intent, refSlot, digest: "0x2" });
        }).to.throw(ServiceError);
      }
    });

    it("takes a line without its end for never signed", () => {
      new SigningJournal(folder.path).record(intent);
      truncateSync(file(), readFileSync(file()).length - 1);
      new SigningJournal(folder.path).record({ ...intent, digest: "0x2" });
    });
  });

  describe("records of withdrawals", () => {
    const proof = { vault: ["0x01", "0x02"], pool: ["0x03"], ledger: [] };

    it("survive a restart and a torn line", () => {
      const records = new WithdrawnRecords(folder.path);
      expect(records.get("0xaa")).to.equal(undefined);
      records.put("0xaa", { withdrawnWei: 10n ** 20n, proof });
      appendFileSync(path.join(folder.path, "withdrawn.jsonl"), '\n{"blockHash":"0xbb","withdr');
      new WithdrawnRecords(folder.path).put("0xcc", { withdrawnWei: 3n, proof });
      const restarted = new WithdrawnRecords(folder.path);
      expect([restarted.get("0xaa"), restarted.get("0xbb"), restarted.get("0xcc")]).to.deep.equal([
        { withdrawnWei: 10n ** 20n, proof },
        undefined,
        { withdrawnWei: 3n, proof },
      ]);
      expect(recordedWithdrawn(folder.path, "0xcc")).to.deep.equal({ withdrawnWei: 3n, proof });
    });

    it("are none without a proof, of whichever version of this program", () => {
      const file = path.join(folder.path, "withdrawn.jsonl");
      writeFileSync(file, '\n{"blockHash":"0xdd","withdrawnWei":"5","proof":null}\n');
      expect(new WithdrawnRecords(folder.path).get("0xdd")).to.equal(undefined);
      expect(recordedWithdrawn(folder.path, "0xdd")).to.equal(undefined);
    });

    it("are the newest ones: the file does not grow for ever", () => {
      const records = new WithdrawnRecords(folder.path);
      for (let i = 0; i < 200; i++) records.put(`0x${i}`, { withdrawnWei: BigInt(i), proof });
      const lines = readFileSync(path.join(folder.path, "withdrawn.jsonl"), "utf8").match(/withdrawnWei/g);
      expect(lines?.length).to.be.within(32, 64);
      for (const known of [records, new WithdrawnRecords(folder.path)]) {
        for (let i = 180; i < 200; i++) expect(known.get(`0x${i}`)?.withdrawnWei).to.equal(BigInt(i));
      }
    });
  });
});
