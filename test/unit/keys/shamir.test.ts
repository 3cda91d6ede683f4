import { SecretKey } from "@chainsafe/blst";
import { expect } from "chai";
import fc from "fast-check";
import {
  assertOperatorIds,
  combinePublicKeys,
  combineSignatures,
  onOnePolynomial,
  type PublicKeyShare,
  SCALAR_FIELD_ORDER,
  splitSecret,
  thresholdOf,
} from "../../../oracle/keys/shamir.js";

const SIZES = [4, 7, 10, 13] as const;
const message = new Uint8Array(32).fill(7);

/** Deterministic stand-in for the system's generator. */
function seededBytes(seed: number): (length: number) => Uint8Array {
  let counter = 0;
  return (length) => {
    const ikm = new Uint8Array(32).fill(seed & 0xff);
    ikm[0] = counter++;
    const key = SecretKey.fromKeygen(ikm).toBytes();
    return Uint8Array.from({ length }, (_, i) => key[i % 32]!);
  };
}

function split(size: number, seed = 1, ids = Array.from({ length: size }, (_, i) => BigInt(i * i + 2))) {
  const whole = SecretKey.fromKeygen(new Uint8Array(32).fill(seed));
  const shares = splitSecret(whole.toBytes(), ids, seededBytes(seed));
  const keys: PublicKeyShare[] = shares.map(({ operatorId, secretKey }) => ({
    operatorId,
    publicKey: SecretKey.fromBytes(secretKey).toPublicKey().toBytes(),
  }));
  const partials = shares.map(({ operatorId, secretKey }) => ({
    operatorId,
    signature: SecretKey.fromBytes(secretKey).sign(message).toBytes(),
  }));
  return { whole, publicKey: whole.toPublicKey().toBytes(), shares, keys, partials };
}

const seeds = fc.integer({ min: 1, max: 255 });
const sizes = fc.constantFrom(...SIZES);
/** Distinct ascending uint64 ids, small ones preferred as on mainnet. */
const idsOf = (size: number) =>
  fc
    .uniqueArray(fc.oneof(fc.bigInt(1n, 3000n), fc.bigInt(1n, 2n ** 64n - 1n)), { minLength: size, maxLength: size })
    .map((ids) => ids.sort((a, b) => (a < b ? -1 : 1)));

describe("keys/shamir", () => {
  it("knows the thresholds of the four cluster sizes and no other", () => {
    expect(SIZES.map(thresholdOf)).to.deep.equal([3, 5, 7, 9]);
    for (const size of [0, 1, 3, 5, 8, 12, 16]) {
      expect(() => thresholdOf(size))
        .to.throw("4, 7, 10 or 13")
        .with.property("code", "BadClusterSize");
    }
  });

  it("splits along the polynomial it says (known answer: 5 + 3x + 2x²)", () => {
    const coefficients = [3n, 2n];
    const shares = splitSecret(scalar(5n), [1n, 2n, 3n, 10n], () => {
      const bytes = new Uint8Array(48);
      bytes[47] = Number(coefficients.shift());
      return bytes;
    });
    expect(shares.map((share) => share.secretKey)).to.deep.equal([10n, 19n, 32n, 235n].map(scalar));
  });

  it("draws fresh coefficients each time", () => {
    const secret = scalar(5n);
    const [a, b] = [splitSecret(secret, [1n, 2n, 3n, 4n]), splitSecret(secret, [1n, 2n, 3n, 4n])];
    a.forEach((share, i) => expect(share.secretKey).to.not.deep.equal(b[i]!.secretKey));
  });

  it("lets any threshold of operators sign, in any order, and gives the whole key's signature", () => {
    fc.assert(
      fc.property(
        sizes.chain((size) =>
          fc.tuple(
            fc.constant(size),
            seeds,
            idsOf(size),
            fc.shuffledSubarray(range(size), { minLength: thresholdOf(size), maxLength: thresholdOf(size) }),
          ),
        ),
        ([size, seed, ids, chosen]) => {
          const { whole, publicKey, keys, partials } = split(size, seed, ids);
          expect(combineSignatures(chosen.map((i) => partials[i]!))).to.deep.equal(whole.sign(message).toBytes());
          expect(combinePublicKeys(chosen.map((i) => keys[i]!))).to.deep.equal(publicKey);
        },
      ),
      { numRuns: 30, seed: 1 },
    );
  });

  it("lets no fewer than the threshold sign", () => {
    fc.assert(
      fc.property(
        sizes.chain((size) =>
          fc.tuple(
            fc.constant(size),
            seeds,
            fc.subarray(range(size), { minLength: 1, maxLength: thresholdOf(size) - 1 }),
          ),
        ),
        ([size, seed, chosen]) => {
          const { whole, partials } = split(size, seed);
          const some = chosen.map((i) => partials[i]!);
          expect(combineSignatures(some)).to.not.deep.equal(whole.sign(message).toBytes());
          expect(() => combineSignatures(some, thresholdOf(size)))
            .to.throw("are needed")
            .with.property("code", "TooFewShares");
        },
      ),
      { numRuns: 30, seed: 2 },
    );
  });

  it("uses only the threshold when more partial signatures are there", () => {
    const { whole, partials } = split(7);
    const withSpoiledTail = partials.map((partial, i) =>
      i < 5 ? partial : { ...partial, signature: partials[0]!.signature },
    );
    expect(combineSignatures(withSpoiledTail, 5)).to.deep.equal(whole.sign(message).toBytes());
    expect(combineSignatures(partials)).to.deep.equal(whole.sign(message).toBytes());
  });

  for (const size of SIZES) {
    it(`recognises the shares of ${size} operators as one polynomial`, () => {
      const { publicKey, keys } = split(size);
      expect(onOnePolynomial(publicKey, keys)).to.be.true;
    });
  }

  it("finds swapped, foreign and repeated shares and a foreign validator key", () => {
    fc.assert(
      fc.property(sizes, seeds, fc.nat(), fc.nat(), (size, seed, a, b) => {
        const { publicKey, keys } = split(size, seed);
        const other = split(size, (seed % 255) + 1);
        const i = a % size;
        const j = (i + 1 + (b % (size - 1))) % size;
        const withKey = (changes: Record<number, Uint8Array>) =>
          keys.map((key, at) => ({ ...key, publicKey: changes[at] ?? key.publicKey }));
        expect(onOnePolynomial(publicKey, withKey({ [i]: keys[j]!.publicKey, [j]: keys[i]!.publicKey }))).to.be.false;
        expect(onOnePolynomial(publicKey, withKey({ [i]: other.keys[i]!.publicKey }))).to.be.false;
        expect(onOnePolynomial(publicKey, withKey({ [i]: keys[j]!.publicKey }))).to.be.false;
        expect(onOnePolynomial(other.publicKey, keys)).to.be.false;
      }),
      { numRuns: 20, seed: 3 },
    );
  });

  it("refuses a polynomial of lower degree, where fewer operators than the threshold could sign", () => {
    const whole = scalar(99n);
    const publicKey = SecretKey.fromBytes(whole).toPublicKey().toBytes();
    for (const coefficients of [[], [4n]]) {
      const left = [...coefficients];
      const shares = splitSecret(whole, [1n, 2n, 3n, 4n], () => {
        const bytes = new Uint8Array(48);
        bytes[47] = Number(left.shift() ?? 0n);
        return bytes;
      });
      const keys = shares.map(({ operatorId, secretKey }) => ({
        operatorId,
        publicKey: SecretKey.fromBytes(secretKey).toPublicKey().toBytes(),
      }));
      expect(onOnePolynomial(publicKey, keys)).to.be.false;
    }
  });

  it("says no when a key is no point of the group", () => {
    const { publicKey, keys } = split(4);
    const infinity = new Uint8Array(48);
    infinity[0] = 0xc0;
    for (const bad of [infinity, new Uint8Array(48), publicKey.slice(1)]) {
      expect(onOnePolynomial(bad, keys)).to.be.false;
      expect(onOnePolynomial(publicKey, [{ ...keys[0]!, publicKey: bad }, ...keys.slice(1)])).to.be.false;
    }
    const uncompressed = SecretKey.fromKeygen(new Uint8Array(32).fill(1)).toPublicKey().toBytes(false);
    expect(onOnePolynomial(uncompressed, keys)).to.be.false;
  });

  it("refuses operator ids that SSV refuses, and 0, which would be the secret", () => {
    for (const ids of [
      [0n, 1n, 2n, 3n],
      [1n, 1n, 2n, 3n],
      [1n, 2n, 3n, 2n ** 64n],
      [1n, 3n, 2n, 4n],
    ]) {
      expect(() => splitSecret(scalar(5n), ids))
        .to.throw("Operator ids")
        .with.property("code", "BadOperatorIds");
      expect(() => {
        assertOperatorIds(ids);
      }).to.throw("Operator ids");
    }
    expect(() => splitSecret(scalar(5n), [1n, 2n, 3n]))
      .to.throw()
      .with.property("code", "BadClusterSize");
    const { partials } = split(4);
    expect(() => combineSignatures([partials[0]!, partials[0]!]))
      .to.throw()
      .with.property("code", "BadOperatorIds");
  });

  it("refuses secret keys that are none", () => {
    for (const secret of [scalar(0n), scalar(SCALAR_FIELD_ORDER), new Uint8Array(31).fill(1), new Uint8Array()]) {
      expect(() => splitSecret(secret, [1n, 2n, 3n, 4n]))
        .to.throw()
        .with.property("code", "BadSecretKey");
    }
  });

  it("refuses to hand out a share that is zero", () => {
    // 1 + 0x + (order - 1)x² is zero at x = 1
    const coefficients = [0n, SCALAR_FIELD_ORDER - 1n];
    const draw = () => Uint8Array.from([...new Uint8Array(16), ...scalar(coefficients.shift()!)]);
    expect(() => splitSecret(scalar(1n), [1n, 2n, 3n, 4n], draw))
      .to.throw("operator 1")
      .with.property("code", "BadSecretKey");
  });

  it("names the operator whose share does not decode", () => {
    const { partials, keys } = split(4);
    const spoiled = { ...partials[1]!, signature: new Uint8Array(96) };
    expect(() => combineSignatures([partials[0]!, spoiled, partials[2]!]))
      .to.throw(`operator ${spoiled.operatorId}`)
      .with.property("code", "BadPoint");
    const spoiledKey = { ...keys[2]!, publicKey: new Uint8Array(48) };
    expect(() => combinePublicKeys([keys[0]!, keys[1]!, spoiledKey]))
      .to.throw(`operator ${spoiledKey.operatorId}`)
      .with.property("code", "BadPoint");
    expect(() => combineSignatures([]))
      .to.throw()
      .with.property("code", "TooFewShares");
  });
});

function scalar(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, "0"), "hex"));
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
