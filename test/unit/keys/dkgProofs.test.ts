import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { decodeDkgProofs, encodeDkgProofs, readDkgProofs } from "../../../oracle/keys/dkgProofs.js";

const proof = {
  proof: {
    validator: "01".repeat(48),
    encrypted_share: "02".repeat(256),
    share_pub: "03".repeat(48),
    owner: "04".repeat(20),
  },
  signature: "05".repeat(256),
};

describe("keys/dkgProofs", () => {
  let path: string;
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "pooleth-proofs-"));
    path = join(folder, "proofs.json");
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it("reads the file of one validator and that of a whole ceremony", async () => {
    writeFileSync(path, JSON.stringify([proof, proof]));
    expect(await readDkgProofs(path)).to.deep.equal([[proof, proof]]);
    writeFileSync(path, JSON.stringify([[proof], [proof]]));
    expect(await readDkgProofs(path)).to.deep.equal([[proof], [proof]]);
  });

  it("publishes them as octets and reads those", () => {
    expect(decodeDkgProofs(encodeDkgProofs([[proof], [proof, proof]]))).to.deep.equal([[proof], [proof, proof]]);
    for (const octets of ["0x", "0xff", encodeDkgProofs([[{ ...proof, signature: "05" }]])]) {
      expect(decodeDkgProofs(octets)).to.equal(null);
    }
  });

  for (const [what, json, named] of [
    ["an empty file", [], "proofs.json:"],
    ["no list", {}, "proofs.json:"],
    ["a short signature", [proof, { ...proof, signature: "05" }], "proofs.json, item 1, field signature:"],
    [
      "0x in an owner",
      [{ ...proof, proof: { ...proof.proof, owner: `0x${"04".repeat(20)}` } }],
      "proofs.json, item 0, field proof.owner:",
    ],
    ["an empty validator", [[proof], []], "proofs.json, item 1:"],
    ["a field of the second level", [[proof], [{ ...proof, signature: 5 }]], "proofs.json, item 1, field 0.signature:"],
  ] as const) {
    it(`refuses ${what} and names where`, async () => {
      writeFileSync(path, JSON.stringify(json));
      const error = await readDkgProofs(path).catch((e: unknown) => e);
      expect(error).to.have.property("code", "BadFile");
      expect(error).to.have.property("message").that.includes(named);
    });
  }
});
