import type { Type } from "@chainsafe/ssz";
import { expect } from "chai";
import fc from "fast-check";
import { ssz } from "@lodestar/types";
import { StateError } from "../../../oracle/beacon/errors.js";
import { SUPPORTED_FORKS, requireSupportedFork, type SupportedFork } from "../../../oracle/beacon/forks.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import type { PartsOf } from "../../../oracle/beacon/stateParts.js";
import { describeWithEachHasher } from "./hashers.js";
import {
  RANDOM_STATES,
  EMPTY_SHAPE,
  expectedParts,
  randomState,
  serialize,
  stateRoot,
  stateType,
  type AnyState,
  type StateShape,
} from "./states.js";

/** Every third validator, one key that only waits in the queue, and one that the state does not know. */
function someKeys(state: AnyState): ReadonlySet<string> {
  const ofValidators = state.validators.filter((_, i) => i % 3 === 0).map(({ pubkey }) => toHex(pubkey));
  const ofDeposits = state.pendingDeposits.slice(1, 2).map(({ pubkey }) => toHex(pubkey));
  return new Set([...ofValidators, ...ofDeposits, `0x${"ab".repeat(48)}`]);
}

function read<F extends SupportedFork>(
  fork: F,
  bytes: Uint8Array,
  pubkeys: ReadonlySet<string> = new Set<string>(),
  chunkSizes: readonly number[] = [65_536],
): PartsOf<F> {
  const reader = new StateReader(fork, { pubkeys });
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = chunkSizes[i % chunkSizes.length]!;
    reader.push(bytes.subarray(at, at + size));
    at += size;
  }
  return reader.finish();
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof StateError) return error.code;
    throw error;
  }
  return "none";
}

/** Where the offset of a variable field stands, found by asking the library and not the reader. */
function offsetPosition(fork: SupportedFork, name: string): number {
  let position = 0;
  for (const [field, type] of Object.entries<Type<unknown>>(stateType(fork).fields)) {
    if (field === name) return position;
    position += type.fixedSize ?? 4;
  }
  throw new Error(`no field ${name}`);
}

const SHAPE: StateShape = {
  seed: 7,
  validators: 40,
  pendingDeposits: 9,
  partialWithdrawals: 6,
  consolidations: 3,
  eth1Votes: 2,
  historicalSummaries: 3,
  historicalRoots: 1,
};

describe("StateReader", () => {
  describeWithEachHasher("agrees with the SSZ library on everything it extracts", () => {
    // sizes at which chunks of four balances, of 32 flags, and the subtrees of progressive lists of either begin and end
    const boundaries = [
      0, 1, 2, 3, 4, 5, 6, 20, 21, 22, 31, 32, 33, 84, 85, 127, 128, 129, 160, 161, 255, 256, 300, 341, 342,
    ];
    const shapes = fc.record({
      seed: fc.nat(),
      validators: fc.constantFrom(...boundaries),
      pendingDeposits: fc.constantFrom(0, 1, 2, 3, 7, 8, 9, 64, 65),
      partialWithdrawals: fc.integer({ min: 0, max: 64 }),
      consolidations: fc.integer({ min: 0, max: 64 }),
      eth1Votes: fc.integer({ min: 0, max: 32 }),
      historicalSummaries: fc.integer({ min: 0, max: 5 }),
      historicalRoots: fc.integer({ min: 0, max: 3 }),
    });
    const chunkings = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 70_000 })), {
      minLength: 1,
      maxLength: 20,
    });

    for (const fork of SUPPORTED_FORKS) {
      it(`${fork}: random states in random pieces`, () => {
        fc.assert(
          fc.property(shapes, chunkings, (shape, chunkSizes) => {
            const state = randomState(fork, shape);
            const pubkeys = someKeys(state);
            const parts = read(fork, serialize(fork, state), pubkeys, chunkSizes);
            expect(parts).to.deep.equal(expectedParts(fork, state, pubkeys));
          }),
          { seed: 20_261_120, numRuns: RANDOM_STATES },
        );
      });
    }

    for (const [what, fork, validators] of [
      ["one batch of records less one", "fulu", 1023],
      ["one batch of records", "fulu", 1024],
      ["one batch of records and one", "fulu", 1025],
      ["one batch of balances and one", "fulu", 4097],
      ["subtrees of 1 to 256 records", "gloas", 341],
      ["subtrees of 1 to 1,024 records and one", "gloas", 1366],
      ["subtrees of 1 to 1,024 chunks of balances and one", "gloas", 5461],
    ] as const) {
      it(what, () => {
        const state = randomState(fork, { ...SHAPE, validators, pendingDeposits: 1025 });
        const pubkeys = someKeys(state);
        const parts = read(fork, serialize(fork, state), pubkeys, [65_536, 1, 50_001]);
        expect(parts).to.deep.equal(expectedParts(fork, state, pubkeys));
      });
    }

    it("epochs of more than 32 bits, which are never", () => {
      const state = randomState("fulu", SHAPE);
      const late = 2 ** 32 + 1;
      for (const [i, validator] of state.validators.entries()) {
        Object.assign(validator, { effectiveBalance: 32_000_000_000, activationEpoch: i % 2 === 0 ? late : 0 });
        Object.assign(validator, { exitEpoch: i % 3 === 0 ? 1 : late, withdrawableEpoch: i % 5 === 0 ? 1 : late });
      }
      const pubkeys = someKeys(state);
      expect(read("fulu", serialize("fulu", state), pubkeys)).to.deep.equal(expectedParts("fulu", state, pubkeys));
    });

    it("one octet at a time", () => {
      const state = randomState("electra", SHAPE);
      const pubkeys = someKeys(state);
      expect(read("electra", serialize("electra", state), pubkeys, [1])).to.deep.equal(
        expectedParts("electra", state, pubkeys),
      );
    });

    it("does not depend on what becomes of a piece after it was read", () => {
      const state = randomState("fulu", SHAPE);
      const pubkeys = someKeys(state);
      const bytes = serialize("fulu", state);
      const reader = new StateReader("fulu", { pubkeys });
      const piece = Buffer.alloc(1000); // what a socket gives, and unlike other arrays its slices share its memory
      for (let at = 0; at < bytes.length; at += piece.length) {
        const taken = bytes.subarray(at, at + piece.length);
        piece.set(taken);
        reader.push(piece.subarray(0, taken.length));
        piece.fill(0xee);
      }
      expect(reader.finish()).to.deep.equal(expectedParts("fulu", state, pubkeys));
    });
  });

  describe("never accepts damaged octets as the state", () => {
    const state = randomState("fulu", SHAPE);
    const bytes = serialize("fulu", state);
    const root = toHex(stateRoot("fulu", state));

    /** Either a typed error, or a root that is not the state's. */
    function isRefused(damaged: Uint8Array): boolean {
      let parts: PartsOf<SupportedFork>;
      try {
        parts = read("fulu", damaged, someKeys(state));
      } catch (error) {
        if (error instanceof StateError) return true;
        throw error;
      }
      return parts.stateRoot !== root;
    }

    it("truncated anywhere", () => {
      fc.assert(
        fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => isRefused(bytes.subarray(0, length))),
        { seed: 1, numRuns: 150 },
      );
      expect(isRefused(bytes.subarray(0, bytes.length - 1))).to.equal(true);
    });

    it("extended", () => {
      fc.assert(
        fc.property(fc.uint8Array({ minLength: 1, maxLength: 4000 }), (more) =>
          isRefused(Buffer.concat([bytes, more])),
        ),
        { seed: 2, numRuns: 50 },
      );
    });

    it("any bit flipped", () => {
      fc.assert(
        fc.property(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), (bit) => {
          const damaged = bytes.slice();
          damaged[bit >> 3]! ^= 1 << (bit & 7);
          return isRefused(damaged);
        }),
        { seed: 3, numRuns: 500 },
      );
    });

    it("any bit of the first validators and of the justification bits flipped", () => {
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const validators = view.getUint32(offsetPosition("fulu", "validators"), true);
      const octets = [
        ...Array.from({ length: 125 }, (_, i) => validators + i),
        offsetPosition("fulu", "justificationBits"),
      ];
      for (const octet of octets) {
        for (let bit = 0; bit < 8; bit++) {
          const damaged = bytes.slice();
          damaged[octet]! ^= 1 << bit;
          expect(isRefused(damaged), `octet ${octet} bit ${bit}`).to.equal(true);
        }
      }
    });

    it("read as another fork", () => {
      expect(codeOf(() => read("electra", bytes))).to.equal("STATE_OFFSET_INVALID");
    });

    it("an empty answer", () => {
      expect(codeOf(() => new StateReader("fulu", { pubkeys: new Set() }).finish())).to.equal("STATE_TRUNCATED");
    });
  });

  describe("names what is wrong with forged offsets", () => {
    const state = randomState("electra", SHAPE);
    const bytes = serialize("electra", state);

    function withOffset(name: string, change: (offset: number) => number): Uint8Array {
      const forged = bytes.slice();
      const view = new DataView(forged.buffer, forged.byteOffset);
      const position = offsetPosition("electra", name);
      view.setUint32(position, change(view.getUint32(position, true)), true);
      return forged;
    }

    const cases: readonly [string, Uint8Array, string][] = [
      ["the first", withOffset("historicalRoots", (offset) => offset + 4), "STATE_OFFSET_INVALID"],
      ["one that decreases", withOffset("balances", () => 8), "STATE_OFFSET_INVALID"],
      ["one inside an element", withOffset("balances", (offset) => offset + 1), "STATE_OFFSET_INVALID"],
      [
        "lists of different length",
        withOffset("previousEpochParticipation", (offset) => offset + 8),
        "STATE_MALFORMED",
      ],
      ["a list beyond its limit", withOffset("validators", (offset) => offset + 72 * 100), "STATE_TOO_LARGE"],
      [
        "a payload header beyond its size",
        withOffset("historicalSummaries", (offset) => offset + 6400),
        "STATE_TOO_LARGE",
      ],
    ];
    for (const [what, forged, code] of cases) {
      it(`${what}: ${code}`, () => {
        expect(codeOf(() => read("electra", forged))).to.equal(code);
      });
    }

    it("more than the largest last list: STATE_EXTENDED", () => {
      const limit = ssz.electra.PendingConsolidations.limit * 16;
      const longer = Buffer.concat([bytes, new Uint8Array(limit)]);
      expect(codeOf(() => read("electra", longer))).to.equal("STATE_EXTENDED");
    });

    it("an end inside an element of the last list: STATE_TRUNCATED", () => {
      expect(codeOf(() => read("electra", bytes.subarray(0, bytes.length - 5)))).to.equal("STATE_TRUNCATED");
    });

    it("an end before the last list: STATE_TRUNCATED", () => {
      const parts = bytes.length - SHAPE.consolidations * 16 - 1;
      expect(codeOf(() => read("electra", bytes.subarray(0, parts)))).to.equal("STATE_TRUNCATED");
    });

    it("a payload header that is no SSZ: STATE_MALFORMED", () => {
      const forged = bytes.slice();
      const view = new DataView(forged.buffer, forged.byteOffset);
      const header = view.getUint32(offsetPosition("electra", "latestExecutionPayloadHeader"), true);
      // the offset of extra_data, the header's only variable field, after eight fixed ones
      view.setUint32(header + 32 + 20 + 32 + 32 + 256 + 32 + 8 * 4, 0xffffffff, true);
      expect(codeOf(() => read("electra", forged))).to.equal("STATE_MALFORMED");
    });

    it("a builder's bid that would fill the memory: STATE_TOO_LARGE", () => {
      const forged = serialize("gloas", randomState("gloas", EMPTY_SHAPE));
      const view = new DataView(forged.buffer, forged.byteOffset);
      const next = offsetPosition("gloas", "payloadExpectedWithdrawals");
      view.setUint32(next, view.getUint32(next, true) + 70_000, true);
      expect(codeOf(() => read("gloas", forged))).to.equal("STATE_TOO_LARGE");
    });

    it("a public key listed twice: STATE_MALFORMED", () => {
      const twice = randomState("electra", { ...EMPTY_SHAPE, validators: 3 });
      twice.validators[2]!.pubkey = twice.validators[0]!.pubkey;
      const pubkeys = new Set([toHex(twice.validators[0]!.pubkey)]);
      expect(codeOf(() => read("electra", serialize("electra", twice), pubkeys))).to.equal("STATE_MALFORMED");
    });
  });

  it("refuses an unknown fork and says what to update", () => {
    expect(requireSupportedFork("Fulu")).to.equal("fulu");
    expect(requireSupportedFork("gloas")).to.equal("gloas");
    expect(() => requireSupportedFork("heze")).to.throw(StateError, /"heze".*update this program/s);
  });

  it("refuses a public key that is not lower case hex", () => {
    expect(() => new StateReader("fulu", { pubkeys: new Set([`0x${"AB".repeat(48)}`]) })).to.throw(TypeError);
  });
});
