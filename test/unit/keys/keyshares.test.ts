import { constants, createHash, generateKeyPairSync, publicEncrypt } from "node:crypto";
import { SecretKey } from "@chainsafe/blst";
import { expect } from "chai";
import { AbiCoder, hexlify, id, toUtf8Bytes } from "ethers";
import {
  buildSharesData,
  decodeOperatorKey,
  decryptShare,
  encodeOperatorKey,
  encryptShare,
  operatorKeyFromBase64,
  operatorKeyToBase64,
  ownerNonceDigest,
  parseSharesData,
  sharesDataLength,
  signOwnerNonce,
  verifyOwnerNonceSignature,
} from "../../../oracle/keys/keyshares.js";
import { combinePublicKeys, onOnePolynomial, SCALAR_FIELD_ORDER } from "../../../oracle/keys/shamir.js";
import { dkgFixtures, testOperators } from "./support.js";

const owner = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494";
const secretKey = SecretKey.fromKeygen(new Uint8Array(32).fill(3)).toBytes();
const publicKey = SecretKey.fromBytes(secretKey).toPublicKey().toBytes();

/** Bytes that say where they came from. */
const marked = (length: number, label: string) =>
  Uint8Array.from(
    { length },
    (_, i) =>
      createHash("sha256")
        .update(`${label}:${i >> 5}`)
        .digest()[i & 31]!,
  );

function sampleShares(operatorCount: number) {
  return {
    ownerNonceSignature: marked(96, "signature"),
    sharePublicKeys: Array.from({ length: operatorCount }, (_, i) => marked(48, `key ${i}`)),
    encryptedShares: Array.from({ length: operatorCount }, (_, i) => marked(256, `share ${i}`)),
  };
}

describe("keys/keyshares", () => {
  it("knows the length for each cluster size", () => {
    expect([4, 7, 10, 13].map(sharesDataLength)).to.deep.equal([1312, 2224, 3136, 4048]);
    expect(() => sharesDataLength(5))
      .to.throw()
      .with.property("code", "BadClusterSize");
  });

  for (const operatorCount of [4, 7, 10, 13]) {
    it(`parses what it builds for ${operatorCount} operators`, () => {
      const shares = sampleShares(operatorCount);
      const bytes = buildSharesData(shares);
      expect(bytes).to.have.length(sharesDataLength(operatorCount));
      expect(parseSharesData(bytes, operatorCount)).to.deep.equal(shares);
      expect(parseSharesData(hexlify(bytes), operatorCount)).to.deep.equal(shares);
    });

    it(`refuses other lengths for ${operatorCount} operators`, () => {
      const bytes = buildSharesData(sampleShares(operatorCount));
      for (const wrong of [bytes.slice(1), Uint8Array.from([...bytes, 0]), new Uint8Array()]) {
        expect(() => parseSharesData(wrong, operatorCount))
          .to.throw(`not ${wrong.length}`)
          .with.property("code", "BadLength");
      }
    });
  }

  it("reads the ciphertexts behind the signature and the share keys, not from where ssv-keys slices them", () => {
    // ssv-keys' KeySharesItem.buildSharesFromBytes starts at operatorCount * 48 bytes of the whole text
    const shares = sampleShares(4);
    const bytes = buildSharesData(shares);
    const parsed = parseSharesData(bytes, 4);
    expect(parsed.encryptedShares[0]).to.deep.equal(bytes.slice(96 + 4 * 48, 96 + 4 * 48 + 256));
    expect(parsed.encryptedShares[0]).to.not.deep.equal(bytes.slice(4 * 48, 4 * 48 + 256));
  });

  it("builds nothing from parts of wrong length", () => {
    const shares = sampleShares(4);
    for (const [what, bad] of [
      ["owner-nonce signature", { ownerNonceSignature: new Uint8Array(95) }],
      ["list of encrypted shares", { encryptedShares: shares.encryptedShares.slice(1) }],
      ["share public key", { sharePublicKeys: [...shares.sharePublicKeys.slice(1), new Uint8Array(47)] }],
      ["encrypted share", { encryptedShares: [...shares.encryptedShares.slice(1), new Uint8Array(255)] }],
    ] as const) {
      expect(() => buildSharesData({ ...shares, ...bad }), what)
        .to.throw(what)
        .with.property("code", "BadLength");
    }
    expect(() => buildSharesData({ ...shares, sharePublicKeys: [] }))
      .to.throw()
      .with.property("code", "BadClusterSize");
  });

  it("signs the checksummed owner and the decimal nonce", () => {
    expect(hexlify(ownerNonceDigest(owner.toLowerCase(), 2731n))).to.equal(id(`${owner}:2731`));
    const signature = signOwnerNonce(secretKey, owner, 5n);
    expect(verifyOwnerNonceSignature(publicKey, signature, owner, 5n)).to.be.true;
    expect(verifyOwnerNonceSignature(publicKey, signature, owner, 6n)).to.be.false;
    expect(verifyOwnerNonceSignature(publicKey, signature, `0x${"11".repeat(20)}`, 5n)).to.be.false;
    expect(verifyOwnerNonceSignature(publicKey, new Uint8Array(96), owner, 5n)).to.be.false;
    expect(verifyOwnerNonceSignature(publicKey, signature.slice(1), owner, 5n)).to.be.false;
    expect(verifyOwnerNonceSignature(new Uint8Array(48), signature, owner, 5n)).to.be.false;
  });

  it("refuses nonces that SSV nodes cannot count", () => {
    expect(ownerNonceDigest(owner, 65_535n)).to.have.length(32);
    for (const nonce of [-1n, 65_536n]) {
      expect(() => ownerNonceDigest(owner, nonce))
        .to.throw(`not ${nonce}`)
        .with.property("code", "BadNonce");
    }
  });

  describe("encryption", () => {
    const [operator, other] = testOperators(2) as [
      ReturnType<typeof testOperators>[0],
      ReturnType<typeof testOperators>[0],
    ];
    const encrypt = (plaintext: string) =>
      publicEncrypt({ key: operator.publicKeyPem, padding: constants.RSA_PKCS1_PADDING }, toUtf8Bytes(plaintext));
    const hex = hexlify(secretKey).slice(2);

    it("gives an operator its share back", () => {
      const ciphertext = encryptShare(operator.publicKeyPem, secretKey);
      expect(ciphertext).to.have.length(256);
      expect(decryptShare(operator.privateKey, ciphertext)).to.deep.equal(secretKey);
    });

    it("accepts the plaintext of ssv-keys (0x) and of ssv-dkg (no 0x)", () => {
      for (const plaintext of [`0x${hex}`, hex, `0x${hex.toUpperCase()}`]) {
        expect(decryptShare(operator.privateKey, encrypt(plaintext)), plaintext).to.deep.equal(secretKey);
      }
    });

    it("is null for whatever is not a secret key for this operator", () => {
      for (const plaintext of [
        "",
        hex.slice(2),
        `${hex}00`,
        `0x${hex}\n`,
        `0X${hex}`,
        "zz".repeat(32),
        "00".repeat(32),
        SCALAR_FIELD_ORDER.toString(16),
      ]) {
        expect(decryptShare(operator.privateKey, encrypt(plaintext)), plaintext).to.be.null;
      }
      expect(decryptShare(other.privateKey, encrypt(hex)), "other operator's key").to.be.null;
      const flipped = encrypt(hex);
      flipped[200]! ^= 1;
      expect(decryptShare(operator.privateKey, flipped), "damaged").to.be.null;
      expect(decryptShare(operator.privateKey, new Uint8Array(256).fill(255)), "above the modulus").to.be.null;
      expect(decryptShare(operator.privateKey, new Uint8Array(255)), "short").to.be.null;
    });

    it("encrypts nothing but 32 bytes", () => {
      expect(() => encryptShare(operator.publicKeyPem, secretKey.slice(1)))
        .to.throw("share secret key")
        .with.property("code", "BadLength");
    });

    it("does not hide the misuse of a public key for decryption", () => {
      const { publicKey: rsaPublicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
      expect(() => decryptShare(rsaPublicKey, encrypt(hex))).to.throw();
    });
  });

  describe("operator keys", () => {
    const [operator] = testOperators(1) as [ReturnType<typeof testOperators>[0]];

    it("has the encodings of SSV: 612 base64 characters, 704 bytes of ABI", () => {
      const base64 = operatorKeyToBase64(operator.publicKeyPem);
      expect(base64).to.have.length(612);
      const encoded = encodeOperatorKey(operator.publicKeyPem);
      expect((encoded.length - 2) / 2).to.equal(704);
      const pem = decodeOperatorKey(encoded);
      expect(pem).to.match(/^-----BEGIN RSA PUBLIC KEY-----\n/);
      expect(pem).to.equal(operatorKeyFromBase64(base64));
      expect(encodeOperatorKey(pem), "both labels give the same bytes").to.equal(encoded);
    });

    it("refuses what is no RSA key of 2048 bits", () => {
      const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({
        format: "pem",
        type: "spki",
      });
      const curve = generateKeyPairSync("ed25519").publicKey.export({ format: "pem", type: "spki" });
      const garbage = "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n";
      const mislabelled = operator.publicKeyPem.replace("BEGIN", "BEGIN RSA");
      for (const pem of [small.toString(), curve.toString(), garbage, mislabelled, "", "hello"]) {
        expect(() => encodeOperatorKey(pem), pem)
          .to.throw("OperatorAdded")
          .with.property("code", "BadOperatorKey");
      }
      for (const bytes of ["0x", "0x1234", AbiCoder.defaultAbiCoder().encode(["string"], ["not base64 of a key"])]) {
        expect(() => decodeOperatorKey(bytes), bytes)
          .to.throw("OperatorAdded")
          .with.property("code", "BadOperatorKey");
      }
    });
  });

  describe("output of ssv-dkg", () => {
    interface KeySharesFile {
      shares: {
        data: {
          ownerNonce: number;
          ownerAddress: string;
          publicKey: string;
          operators: { id: number; operatorKey: string }[];
        };
        payload: { operatorIds: number[]; sharesData: string };
      }[];
    }

    it("is read, verifies and round-trips", function () {
      for (const { name, read } of dkgFixtures(this)) {
        for (const { data, payload } of (read("keyshares.json") as KeySharesFile).shares) {
          const size = payload.operatorIds.length;
          const validator = Uint8Array.from(Buffer.from(data.publicKey.slice(2), "hex"));
          const shares = parseSharesData(payload.sharesData, size);
          expect(hexlify(buildSharesData(shares)), name).to.equal(payload.sharesData);
          const nonce = BigInt(data.ownerNonce);
          expect(verifyOwnerNonceSignature(validator, shares.ownerNonceSignature, data.ownerAddress, nonce), name).to.be
            .true;
          expect(verifyOwnerNonceSignature(validator, shares.ownerNonceSignature, data.ownerAddress, nonce + 1n), name)
            .to.be.false;
          const keys = shares.sharePublicKeys.map((publicKey, i) => ({
            operatorId: BigInt(payload.operatorIds[i]!),
            publicKey,
          }));
          expect(onOnePolynomial(validator, keys), name).to.be.true;
          expect(combinePublicKeys(keys), name).to.deep.equal(validator);
          for (const { operatorKey } of data.operators) {
            expect(operatorKeyToBase64(operatorKeyFromBase64(operatorKey)), name).to.equal(operatorKey);
          }
        }
      }
    });
  });
});
