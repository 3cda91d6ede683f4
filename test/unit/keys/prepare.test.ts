import { SecretKey } from "@chainsafe/blst";
import { expect } from "chai";
import { getBytes, hexlify } from "ethers";
import { verifyBls } from "../../../oracle/keys/bls.js";
import { DEPOSIT_GWEI, verifyDepositSignature, withdrawalCredentials } from "../../../oracle/keys/depositData.js";
import {
  decryptShare,
  parseSharesData,
  sharesDataLength,
  verifyOwnerNonceSignature,
} from "../../../oracle/keys/keyshares.js";
import {
  decodeEntries,
  encodeEntries,
  maxKeysPerPublish,
  type PrepareOptions,
  prepareValidators,
} from "../../../oracle/keys/prepare.js";
import { combineSignatures, thresholdOf } from "../../../oracle/keys/shamir.js";
import { testOperators } from "./support.js";

const account = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494";

function options(size: number, changes: Partial<PrepareOptions> = {}): PrepareOptions {
  return {
    count: 2,
    account,
    firstNonce: 41n,
    operators: testOperators(size),
    withdrawalCredentials: withdrawalCredentials(`0x${"33".repeat(20)}`),
    genesisForkVersion: "0x00000001",
    networkName: "devnet",
    ...changes,
  };
}

describe("keys/prepare", () => {
  for (const size of [4, 7, 10, 13]) {
    it(`prepares validators that any threshold of ${size} operators can run`, () => {
      const operators = testOperators(size);
      const settings = options(size);
      const prepared = prepareValidators(settings);
      expect(prepared.map(({ ownerNonce }) => ownerNonce)).to.deep.equal([41n, 42n]);
      expect(prepared[0]!.publicKey).to.not.equal(prepared[1]!.publicKey);
      for (const { publicKey, depositSignature, sharesData, ownerNonce } of prepared) {
        const key = getBytes(publicKey);
        expect(
          verifyDepositSignature({
            ...settings,
            pubkey: publicKey,
            amountGwei: DEPOSIT_GWEI,
            signature: depositSignature,
          }),
        ).to.be.true;
        const shares = parseSharesData(sharesData, size);
        expect(verifyOwnerNonceSignature(key, shares.ownerNonceSignature, account, ownerNonce)).to.be.true;

        // as the operators do: each decrypts its own share, compares the public key, signs
        const message = new Uint8Array(32).fill(1);
        const partials = operators.map(({ id, privateKey }, i) => {
          const secretKey = SecretKey.fromBytes(decryptShare(privateKey, shares.encryptedShares[i]!)!);
          expect(secretKey.toPublicKey().toBytes()).to.deep.equal(shares.sharePublicKeys[i]);
          return { operatorId: id, signature: secretKey.sign(message).toBytes() };
        });
        const threshold = thresholdOf(size);
        for (const some of [partials.slice(0, threshold), partials.slice(-threshold)]) {
          expect(verifyBls({ publicKey: key, message, signature: combineSignatures(some) })).to.be.true;
        }
        const tooFew = combineSignatures(partials.slice(0, threshold - 1));
        expect(verifyBls({ publicKey: key, message, signature: tooFew })).to.be.false;
      }
    });

    it(`encodes and decodes what is published for ${size} operators`, () => {
      const prepared = prepareValidators(options(size));
      const data = encodeEntries(prepared);
      expect(data).to.have.length(2 * (48 + 96 + sharesDataLength(size)));
      const entries = prepared.map(({ publicKey, depositSignature, sharesData }) => ({
        publicKey,
        depositSignature,
        sharesData,
      }));
      expect(decodeEntries(data, size)).to.deep.equal(entries);
      expect(decodeEntries(hexlify(data), size)).to.deep.equal(entries);
      expect(() => decodeEntries(data.slice(1), size))
        .to.throw("multiple")
        .with.property("code", "BadLength");
    });
  }

  it("tells its progress", () => {
    const seen: [number, number][] = [];
    prepareValidators(options(4, { count: 3, onProgress: (done, count) => seen.push([done, count]) }));
    expect(seen).to.deep.equal([
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
  });

  it("makes the same keys from the same random bytes, on local networks only", () => {
    const repeat = () => {
      let drawn = 0;
      return options(4, { randomBytes: (length) => new Uint8Array(length).fill(++drawn) });
    };
    const [a, b] = [prepareValidators(repeat()), prepareValidators(repeat())];
    expect(a.map(({ publicKey }) => publicKey)).to.deep.equal(b.map(({ publicKey }) => publicKey));
    expect(() => prepareValidators({ ...repeat(), genesisForkVersion: "0x00000000" }))
      .to.throw("operating system's generator")
      .with.property("code", "WeakRandomness");
  });

  it("encodes nothing of wrong or mixed sizes", () => {
    const [four] = prepareValidators(options(4, { count: 1 }));
    const [seven] = prepareValidators(options(7, { count: 1 }));
    expect(encodeEntries([])).to.have.length(0);
    expect(decodeEntries("0x", 4)).to.deep.equal([]);
    for (const [what, entries] of [
      ["public key", [{ ...four!, publicKey: "0x12" }]],
      ["deposit signature", [{ ...four!, depositSignature: "0x12" }]],
      ["KeyShares", [{ ...four!, sharesData: "0x12" }]],
      ["KeyShares", [four!, seven!]],
    ] as const) {
      expect(() => encodeEntries(entries))
        .to.throw(what)
        .with.property("code", "BadLength");
    }
  });

  it("knows how many keys fit one publication", () => {
    expect([4, 7, 10, 13].map(maxKeysPerPublish)).to.deep.equal([80, 40, 30, 20]);
    for (const size of [4, 7, 10, 13]) {
      const bytes = maxKeysPerPublish(size) * (48 + 96 + sharesDataLength(size));
      expect(bytes).to.be.lessThan(120 * 1024);
    }
    expect(() => maxKeysPerPublish(5))
      .to.throw()
      .with.property("code", "BadClusterSize");
  });

  const [first, second, third] = testOperators(4);
  for (const [what, changes, code] of [
    ["no validators", { count: 0 }, "BadCount"],
    ["half a validator", { count: 1.5 }, "BadCount"],
    ["a negative nonce", { firstNonce: -1n }, "BadNonce"],
    ["nonces beyond what SSV counts", { firstNonce: 65_535n }, "BadNonce"],
    ["three operators", { operators: [first!, second!, third!] }, "BadClusterSize"],
    ["operators out of order", { operators: testOperators(4).toReversed() }, "BadOperatorIds"],
    [
      "an operator key that is none",
      { operators: testOperators(4).map((operator, i) => (i === 3 ? { ...operator, publicKeyPem: "x" } : operator)) },
      "BadOperatorKey",
    ],
    ["the fork version of another network", { networkName: "hoodi" }, "BadForkVersion"],
    ["credentials of wrong length", { withdrawalCredentials: account }, "BadLength"],
  ] as const) {
    it(`refuses ${what} before a key is made`, () => {
      expect(() => prepareValidators(options(4, { ...changes, onProgress: () => expect.fail("a validator was made") })))
        .to.throw()
        .with.property("code", code);
    });
  }
});
