import { PublicKey, SecretKey } from "@chainsafe/blst";
import { expect } from "chai";
import fc from "fast-check";
import {
  isPublicKey,
  publicKeyProblem,
  signatureProblem,
  verifyBls,
  verifyBlsBatch,
} from "../../../oracle/keys/bls.js";

const claims = Array.from({ length: 9 }, (_, i) => {
  const key = SecretKey.fromKeygen(new Uint8Array(32).fill(i + 1));
  const message = new Uint8Array(32).fill(i);
  return { publicKey: key.toPublicKey().toBytes(), message, signature: key.sign(message).toBytes() };
});

describe("keys/bls", () => {
  it("verifies what was signed and nothing else", () => {
    const [claim, other] = [claims[0]!, claims[1]!];
    expect(verifyBls(claim)).to.be.true;
    for (const wrong of [
      { publicKey: other.publicKey },
      { message: other.message },
      { signature: other.signature },
      { publicKey: new Uint8Array(48) },
      { publicKey: new Uint8Array(0) },
      { signature: new Uint8Array(96) },
      { signature: claim.signature.slice(1) },
    ]) {
      expect(verifyBls({ ...claim, ...wrong })).to.be.false;
    }
  });

  it("does not accept infinity, where every message would be signed", () => {
    const infinity = (length: number) => Uint8Array.from({ length }, (_, i) => (i === 0 ? 0xc0 : 0));
    expect(isPublicKey(infinity(48))).to.be.false;
    const claim = { publicKey: infinity(48), message: new Uint8Array(32), signature: infinity(96) };
    expect(verifyBls(claim)).to.be.false;
    expect(verifyBlsBatch([claim])).to.deep.equal([false]);
  });

  it("does not accept a point outside the subgroup", () => {
    // x = 4 is on the curve and not in G1
    const outside = new Uint8Array(48);
    outside[0] = 0x80;
    outside[47] = 4;
    expect(() => PublicKey.fromBytes(outside)).to.not.throw();
    expect(isPublicKey(outside)).to.be.false;
  });

  it("says why bytes are no point", () => {
    const { publicKey, signature } = claims[0]!;
    const point = (length: number, head: number, tail: number) =>
      Uint8Array.from({ length }, (_, i) => (i === 0 ? head : i === length - 1 ? tail : 0));
    const fieldOrder =
      "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
    const aboveField = Uint8Array.from(Buffer.from(fieldOrder, "hex"));
    aboveField[0]! |= 0x80;
    for (const [problem, length, read] of [
      [publicKeyProblem, 48, publicKey],
      [signatureProblem, 96, signature],
    ] as const) {
      expect(problem(read)).to.equal(null);
      expect(problem(read.slice(1))).to.equal(`it has ${length - 1} bytes, not ${length}`);
      expect(problem(point(length, 0xc0, 0))).to.equal("it is the point at infinity");
      expect(problem(point(length, 0xc0, 1))).to.include("encoding");
      expect(problem(point(length, 0xe0, 0))).to.include("encoding");
      expect(problem(point(length, 0, 0))).to.include("encoding");
      expect(problem(point(length, 0x80, 1))).to.equal("it is not on the curve");
      expect(problem(point(length, 0x80, 4))).to.equal("it is not in the subgroup");
    }
    expect(publicKeyProblem(aboveField)).to.include("encoding");
  });

  it("finds exactly the wrong ones of a batch", () => {
    expect(verifyBlsBatch([])).to.deep.equal([]);
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("good", "good", "good", "wrong", "malformed"), { maxLength: 9 }),
        (kinds) => {
          const batch = kinds.map((kind, i) => {
            const claim = claims[i]!;
            if (kind === "good") return claim;
            return { ...claim, signature: kind === "wrong" ? claims[(i + 1) % 9]!.signature : new Uint8Array(3) };
          });
          expect(verifyBlsBatch(batch)).to.deep.equal(kinds.map((kind) => kind === "good"));
        },
      ),
      { numRuns: 40, seed: 4 },
    );
  });
});
