import { constants, sign } from "node:crypto";
import { join } from "node:path";
import { SecretKey } from "@chainsafe/blst";
import { expect } from "chai";
import { concat, getBytes, hexlify, sha256 } from "ethers";
import fc from "fast-check";
import { withdrawalCredentials } from "../../../oracle/keys/depositData.js";
import { type DkgProof, readDkgProofs } from "../../../oracle/keys/dkgProofs.js";
import { buildSharesData, parseSharesData } from "../../../oracle/keys/keyshares.js";
import { readKeyShares } from "../../../oracle/keys/keysharesJson.js";
import { readDepositData } from "../../../oracle/keys/depositData.js";
import { type Entry, prepareValidators } from "../../../oracle/keys/prepare.js";
import {
  rememberingVerifier,
  verifyBatch,
  verifyDkgProofs,
  verifyEntry,
  verifySubjects,
} from "../../../oracle/keys/verify.js";
import { dkgFixtures, testOperators } from "./support.js";

const account = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494";
const operators = testOperators(4);
const context = {
  account,
  operatorIds: operators.map(({ id }) => id),
  withdrawalCredentials: withdrawalCredentials(`0x${"33".repeat(20)}`),
  genesisForkVersion: "0x00000001",
};
const batch: Entry[] = prepareValidators({ ...context, count: 4, firstNonce: 10n, operators, networkName: "devnet" });
const [entry, other] = [batch[0]!, batch[1]!];

const codes = (changed: Partial<Entry>, changes: Partial<Parameters<typeof verifyEntry>[1]> = {}) =>
  verifyEntry({ ...entry, ...changed }, { ...context, nonce: 10n, ...changes }).map(({ code }) => code);
const message = (changed: Partial<Entry>, changes: Partial<Parameters<typeof verifyEntry>[1]> = {}) =>
  verifyEntry({ ...entry, ...changed }, { ...context, nonce: 10n, ...changes })
    .map((finding) => finding.message)
    .join("\n");

function withShares(
  change: (shares: {
    ownerNonceSignature: Uint8Array;
    sharePublicKeys: Uint8Array[];
    encryptedShares: Uint8Array[];
  }) => void,
): Partial<Entry> {
  const { ownerNonceSignature, sharePublicKeys, encryptedShares } = parseSharesData(entry.sharesData, 4);
  const shares = { ownerNonceSignature, sharePublicKeys: [...sharePublicKeys], encryptedShares: [...encryptedShares] };
  change(shares);
  return { sharesData: hexlify(buildSharesData(shares)) };
}

describe("keys/verify", () => {
  it("has nothing to say about a good validator", () => {
    expect(codes({})).to.deep.equal([]);
    expect(verifyBatch(batch, { ...context, firstNonce: 10n })).to.deep.equal([]);
    expect(verifyBatch([], { ...context, firstNonce: 10n })).to.deep.equal([]);
  });

  it("remembers an answer for exactly what was asked", () => {
    const verify = rememberingVerifier();
    const asked = { ...context, firstNonce: 10n };
    const answer = verify(batch, asked);
    expect(verify(structuredClone(batch), { ...asked })).to.equal(answer);

    const others: [Entry[], typeof asked][] = [
      [batch.slice(1), asked],
      [[{ ...entry, publicKey: other.publicKey }], asked],
      [[{ ...entry, depositSignature: other.depositSignature }], asked],
      [[{ ...entry, sharesData: other.sharesData }], asked],
      [batch, { ...asked, firstNonce: 11n }],
      [batch, { ...asked, account: `0x${"44".repeat(20)}` }],
      [batch, { ...asked, operatorIds: context.operatorIds.map((id) => id + 1n) }],
      [batch, { ...asked, withdrawalCredentials: withdrawalCredentials(`0x${"44".repeat(20)}`) }],
      [batch, { ...asked, genesisForkVersion: "0x00000002" }],
    ];
    for (const [entries, changed] of others) {
      expect(verify(entries, changed)).to.deep.equal(verifyBatch(entries, changed)).and.to.have.length.above(0);
    }
    expect(verify(batch, asked)).to.equal(answer);

    for (let nonce = 100n; nonce < 356n; nonce++) verify([], { ...asked, firstNonce: nonce });
    const anew = verify(batch, asked);
    expect(anew).to.deep.equal(answer);
    expect(anew).to.not.equal(answer);
  });

  it("finds a public key that is none", () => {
    for (const publicKey of ["0x", "text", `0x${"00".repeat(48)}`, `0xc0${"00".repeat(47)}`, `${entry.publicKey}00`]) {
      expect(codes({ publicKey }), publicKey).to.deep.equal(["PublicKeyInvalid"]);
    }
  });

  it("finds the key of another validator", () => {
    expect(codes({ publicKey: other.publicKey })).to.have.members([
      "DepositSignatureInvalid",
      "SharesNotOnPolynomial",
      "OwnerNonceSignatureInvalid",
    ]);
  });

  it("finds a deposit that is not the pool's", () => {
    for (const depositSignature of [other.depositSignature, "0x12", "text", `0x${"00".repeat(96)}`]) {
      expect(codes({ depositSignature }), depositSignature).to.deep.equal(["DepositSignatureInvalid"]);
    }
    expect(codes({}, { withdrawalCredentials: withdrawalCredentials(account) })).to.deep.equal([
      "DepositSignatureInvalid",
    ]);
    expect(codes({}, { genesisForkVersion: "0x00000000" })).to.deep.equal(["DepositSignatureInvalid"]);
  });

  it("finds KeyShares of wrong length", () => {
    for (const sharesData of ["0x", "text", entry.sharesData.slice(0, -2), `${entry.sharesData}00`]) {
      expect(codes({ sharesData }), sharesData.slice(0, 8)).to.deep.equal(["SharesDataLength"]);
    }
    expect(codes({}, { operatorIds: [1n, 2n, 3n, 4n, 5n, 6n, 7n] })).to.deep.equal(["SharesDataLength"]);
  });

  it("finds a share key that is none and names its operator", () => {
    const changed = withShares((shares) => (shares.sharePublicKeys[2] = new Uint8Array(48)));
    expect(codes(changed)).to.deep.equal(["SharePublicKeyInvalid"]);
    expect(message(changed)).to.include(`operators ${operators[2]!.id} are`);
  });

  it("says what is wrong with a point", () => {
    const point = (length: number, head: number, tail: number) =>
      Uint8Array.from({ length }, (_, i) => (i === 0 ? head : i === length - 1 ? tail : 0));
    for (const [head, tail, why] of [
      [0xc0, 0, "infinity"],
      [0xc0, 1, "encoding"],
      [0x80, 1, "not on the curve"],
      [0x80, 4, "not in the subgroup"],
    ] as const) {
      const signature = point(96, head, tail);
      expect(message({ publicKey: hexlify(point(48, head, tail)) })).to.include(why);
      expect(message({ depositSignature: hexlify(signature) })).to.include(why);
      expect(message(withShares((shares) => (shares.ownerNonceSignature = signature)))).to.include(why);
      const share = withShares((shares) => (shares.sharePublicKeys[1] = point(48, head, tail)));
      expect(message(share)).to.include(why).and.include(`operator ${operators[1]!.id}:`);
    }
  });

  it("judges only what is there, for the amount that is asked for", () => {
    const deposit = { ...context, signature: entry.depositSignature, amountGwei: 32_000_000_000n };
    const shares = { sharesData: entry.sharesData, operatorIds: context.operatorIds, signedFor: null };
    const found = verifySubjects([
      { publicKey: entry.publicKey, deposit, shares: null },
      { publicKey: entry.publicKey, deposit: { ...deposit, amountGwei: 1_000_000_000n }, shares: null },
      { publicKey: entry.publicKey, deposit: null, shares },
      { publicKey: entry.publicKey, deposit: null, shares: { ...shares, signedFor: { account, nonce: 11n } } },
      { publicKey: other.publicKey, deposit: null, shares },
      { publicKey: entry.publicKey, deposit: null, shares: null },
    ]);
    expect(found.map((findings) => findings.map(({ code }) => code))).to.deep.equal([
      [],
      ["DepositSignatureInvalid"],
      [],
      ["OwnerNonceSignatureInvalid"],
      ["SharesNotOnPolynomial"],
      [],
    ]);
  });

  it("finds shares that do not make the key", () => {
    const foreign = SecretKey.fromKeygen(new Uint8Array(32).fill(1)).toPublicKey().toBytes();
    expect(codes(withShares((shares) => shares.sharePublicKeys.reverse()))).to.deep.equal(["SharesNotOnPolynomial"]);
    expect(codes(withShares((shares) => (shares.sharePublicKeys[3] = foreign)))).to.deep.equal([
      "SharesNotOnPolynomial",
    ]);
    expect(codes({}, { operatorIds: context.operatorIds.map((id) => id + 1n) })).to.deep.equal([
      "SharesNotOnPolynomial",
    ]);
  });

  it("finds whole keys handed out as shares", () => {
    const whole = getBytes(entry.publicKey);
    expect(codes(withShares((shares) => shares.sharePublicKeys.fill(whole)))).to.deep.equal(["SharesNotOnPolynomial"]);
  });

  it("says for which nonce the owner-nonce signature is", () => {
    expect(codes({}, { nonce: 12n })).to.deep.equal(["OwnerNonceSignatureInvalid"]);
    expect(message({}, { nonce: 12n }))
      .to.include("is for nonce 10 of")
      .and.include("registered with nonce 12");
    expect(message({}, { nonce: 0n })).to.include("none of the nonces 0 to 8");
    expect(message({}, { nonce: 65_535n })).to.include("none of the nonces 65527 to 65535");
    expect(message({}, { account: `0x${"44".repeat(20)}` })).to.include("another nonce or account");
    const zero = withShares((shares) => (shares.ownerNonceSignature = new Uint8Array(96)));
    expect(codes(zero)).to.deep.equal(["OwnerNonceSignatureInvalid"]);
    expect(codes({}, { nonce: 65_536n })).to.deep.equal(["OwnerNonceOutOfRange"]);
  });

  it("cannot see whether a ciphertext decrypts", () => {
    expect(codes(withShares((shares) => shares.encryptedShares.reverse()))).to.deep.equal([]);
  });

  it("refuses a cluster that SSV does not have", () => {
    expect(() => codes({}, { operatorIds: [1n, 2n] }))
      .to.throw()
      .with.property("code", "BadClusterSize");
    expect(() => codes({}, { operatorIds: [4n, 3n, 2n, 1n] }))
      .to.throw()
      .with.property("code", "BadOperatorIds");
  });

  it("finds in a batch exactly the spoiled entries, in their order", () => {
    const kinds = { good: [], deposit: ["DepositSignatureInvalid"], length: ["SharesDataLength"] } as const;
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...(Object.keys(kinds) as (keyof typeof kinds)[])), { minLength: 4, maxLength: 4 }),
        (chosen) => {
          const entries = batch.map((good, i) => {
            if (chosen[i] === "deposit") return { ...good, depositSignature: batch[(i + 1) % 4]!.depositSignature };
            return chosen[i] === "length" ? { ...good, sharesData: "0x" } : good;
          });
          const found = verifyBatch(entries, { ...context, firstNonce: 10n });
          expect(found.map(({ index, publicKey, code }) => [index, publicKey, code])).to.deep.equal(
            chosen.flatMap((kind, i) => kinds[kind].map((code) => [i, entries[i]!.publicKey, code])),
          );
        },
      ),
      { numRuns: 20, seed: 5 },
    );
  });

  it("finds a missing entry as wrong nonces from there on, and duplicates", () => {
    const gap = verifyBatch([batch[0]!, ...batch.slice(2)], { ...context, firstNonce: 10n });
    expect(gap.map(({ index, code }) => [index, code])).to.deep.equal([
      [1, "OwnerNonceSignatureInvalid"],
      [2, "OwnerNonceSignatureInvalid"],
    ]);
    const upper = { ...entry, publicKey: `0x${entry.publicKey.slice(2).toUpperCase()}` };
    const twice = verifyBatch([entry, upper], { ...context, firstNonce: 10n });
    expect(twice.map(({ index, code }) => [index, code])).to.deep.equal([
      [1, "DuplicatePublicKey"],
      [1, "OwnerNonceSignatureInvalid"],
    ]);
  });

  describe("DKG proofs", () => {
    const keys = operators.map(({ publicKeyPem }) => publicKeyPem);
    const bare = (hex: string | Uint8Array) => hexlify(hex).slice(2);

    /** The SSZ root of the proof, written down from the SSZ rules. */
    function rootOf(proof: DkgProof["proof"]): Uint8Array {
      const node = (...parts: string[]) => sha256(concat(parts));
      const zeros = (length: number) => `0x${"00".repeat(length)}`;
      const vector48 = (hex: string) => node(`0x${hex}`, zeros(16));
      let level = proof.encrypted_share.match(/.{64}/g)!.map((chunk) => `0x${chunk}`);
      level.push(...Array.from({ length: 16 - level.length }, () => zeros(32)));
      while (level.length > 1)
        level = level.filter((_, i) => i % 2 === 0).map((left, i) => node(left, level[2 * i + 1]!));
      const list = node(level[0]!, `0x0001${"00".repeat(30)}`); // 256, little-endian
      const owner = concat([`0x${proof.owner}`, zeros(12)]);
      return getBytes(node(node(vector48(proof.validator), list), node(vector48(proof.share_pub), owner)));
    }

    function prove(change: (proof: DkgProof["proof"], i: number) => void = () => undefined): DkgProof[] {
      const shares = parseSharesData(entry.sharesData, 4);
      return operators.map(({ privateKey }, i) => {
        const proof = {
          validator: bare(entry.publicKey),
          encrypted_share: bare(shares.encryptedShares[i]!),
          share_pub: bare(shares.sharePublicKeys[i]!),
          owner: bare(account),
        };
        change(proof, i);
        const signature = sign("sha256", rootOf(proof), { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING });
        return { proof, signature: signature.toString("hex") };
      });
    }

    it("accepts the proofs of all operators", () => {
      expect(verifyDkgProofs(entry, prove(), keys, account)).to.deep.equal([]);
    });

    it("finds missing proofs, foreign keys and shares that do not fit", () => {
      const found = (...args: Parameters<typeof verifyDkgProofs>) => verifyDkgProofs(...args).map(({ code }) => code);
      expect(found(entry, prove().slice(1), keys, account)).to.deep.equal(["ProofCount"]);
      expect(found({ ...entry, sharesData: "0x" }, prove(), keys, account)).to.deep.equal(["SharesDataLength"]);
      const swapped = prove();
      [swapped[0], swapped[1]] = [swapped[1]!, swapped[0]!];
      expect(found(entry, swapped, keys, account)).to.deep.equal(["ProofMismatch", "ProofMismatch"]);
      expect(found(entry, prove(), keys.toReversed(), account)).to.deep.equal(Array(4).fill("ProofSignatureInvalid"));
      const unreadable = keys.with(2, "no key");
      expect(found(entry, prove(), unreadable, account)).to.deep.equal(["OperatorKeyInvalid"]);
    });

    for (const field of ["validator", "share_pub", "encrypted_share", "owner"] as const) {
      it(`finds a signed proof for another ${field}`, () => {
        const proofs = prove((proof, i) => {
          if (i === 1) proof[field] = `${proof[field].slice(0, -2)}${proof[field].endsWith("00") ? "11" : "00"}`;
        });
        const [finding, ...rest] = verifyDkgProofs(entry, proofs, keys, account);
        expect(rest).to.deep.equal([]);
        expect(finding!.code).to.equal("ProofMismatch");
        expect(finding!.message).to.include("position 1").and.include(`another ${field}:`);
      });
    }
  });

  describe("ceremonies of ssv-dkg", () => {
    it("pass every check", async function () {
      for (const { name, folder } of dkgFixtures(this)) {
        const [shares] = await readKeyShares(join(folder, "keyshares.json"));
        const [deposit] = await readDepositData(join(folder, "deposit_data.json"));
        const real = { ...shares!, ...deposit! };
        const findings = verifyEntry(real, {
          ...real,
          account: real.ownerAddress,
          nonce: real.ownerNonce,
          operatorIds: real.operators.map(({ id }) => id),
        });
        // one of the ceremonies is for a compounding validator with another amount
        const expected = real.amountGwei === 32_000_000_000n ? [] : ["DepositSignatureInvalid"];
        expect(
          findings.map(({ code }) => code),
          name,
        ).to.deep.equal(expected);

        const [proofs] = await readDkgProofs(join(folder, "proofs.json"));
        const keys = real.operators.map(({ publicKeyPem }) => publicKeyPem);
        expect(verifyDkgProofs(real, proofs!, keys, real.ownerAddress), name).to.deep.equal([]);
        const shifted = [...keys.slice(1), keys[0]!];
        expect(verifyDkgProofs(real, proofs!, shifted, real.ownerAddress), name).to.have.length(keys.length);
        if (name === "4-operators") {
          const [invalid] = await readDkgProofs(join(folder, "invalid_proofs.json"));
          const refused = verifyDkgProofs(real, invalid!, keys, real.ownerAddress).map(({ code }) => code);
          expect(refused).to.deep.equal(Array(4).fill("ProofMismatch"));
        }
      }
    });
  });
});
