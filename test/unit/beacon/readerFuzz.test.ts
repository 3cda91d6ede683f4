import type { Type } from "@chainsafe/ssz";
import { expect } from "chai";
import fc from "fast-check";
import { StateError } from "../../../oracle/beacon/errors.js";
import { READABLE_FORKS, type ReadableFork } from "../../../oracle/beacon/forks.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import type { PartsOf } from "../../../oracle/beacon/stateParts.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import { EMPTY_SHAPE, expectedParts, randomState, serialize, stateType } from "./states.js";

const ASKED = { validators: "asked", balances: "asked", pendingDeposits: "asked" } as const;

/** Where the offsets stand in a serialised state. */
function offsetPositions(fork: ReadableFork): readonly number[] {
  const positions: number[] = [];
  let at = 0;
  for (const { fixedSize } of Object.values<Type<unknown>>(stateType(fork).fields)) {
    if (fixedSize === null) positions.push(at);
    at += fixedSize ?? 4;
  }
  return positions;
}

/** What a faulty or lying node may do to the octets. Places are fractions of their length. */
type Damage =
  | { readonly kind: "truncate"; readonly at: number }
  | { readonly kind: "extend"; readonly more: Uint8Array }
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "cut"; readonly at: number; readonly size: number }
  | { readonly kind: "repeat"; readonly at: number; readonly size: number }
  | { readonly kind: "offset"; readonly which: number; readonly value: number }
  | { readonly kind: "shift"; readonly which: number; readonly by: number }
  /** All offsets from one on, as if the list before it had other elements. */
  | { readonly kind: "shiftAll"; readonly which: number; readonly by: number };

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const which = fc.nat({ max: 20 });
const size = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(1, 8, 16, 24, 32, 44, 64, 121, 192, 242, 384));
const by = fc.oneof(
  fc.tuple(size, fc.boolean()).map(([octets, isBack]) => (isBack ? -octets : octets)),
  fc.integer({ min: -100_000, max: 2_000_000_000 }),
);
const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ kind: fc.constant("truncate" as const), at: place }),
  fc.record({ kind: fc.constant("extend" as const), more: fc.uint8Array({ minLength: 1, maxLength: 500 }) }),
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("flip" as const), at: place, bit: fc.nat({ max: 7 }) }) },
  fc.record({ kind: fc.constant("cut" as const), at: place, size }),
  fc.record({ kind: fc.constant("repeat" as const), at: place, size }),
  fc.record({ kind: fc.constant("offset" as const), which, value: fc.nat({ max: 0xffffffff }) }),
  fc.record({ kind: fc.constant("shift" as const), which, by }),
  fc.record({ kind: fc.constant("shiftAll" as const), which, by }),
);

function applied(fork: ReadableFork, bytes: Uint8Array, done: Damage): Uint8Array {
  if (done.kind === "extend") return Buffer.concat([bytes, done.more]);
  if ("at" in done) {
    const at = Math.floor(done.at * bytes.length);
    if (done.kind === "truncate") return bytes.slice(0, at);
    if (done.kind === "cut") return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + done.size)]);
    if (done.kind === "repeat") return Buffer.concat([bytes.subarray(0, at + done.size), bytes.subarray(at)]);
    const flipped = bytes.slice();
    if (flipped.length > 0) flipped[at]! ^= 1 << done.bit;
    return flipped;
  }
  const forged = Uint8Array.from(bytes);
  const view = new DataView(forged.buffer);
  const positions = offsetPositions(fork).filter((position) => position + 4 <= bytes.length);
  for (const [i, position] of positions.entries()) {
    const chosen = done.which % positions.length;
    if (i === chosen && done.kind === "offset") view.setUint32(position, done.value, true);
    const isMoved = done.kind === "shiftAll" ? i >= chosen : i === chosen;
    if (done.kind !== "offset" && isMoved) {
      view.setUint32(position, view.getUint32(position, true) + done.by, true);
    }
  }
  return forged;
}

describe("StateReader, whatever a node sends", () => {
  for (const fork of READABLE_FORKS) {
    const states = [
      { ...EMPTY_SHAPE, seed: 11, validators: 23, pendingDeposits: 7, partialWithdrawals: 4, consolidations: 3 },
      { ...EMPTY_SHAPE, seed: 12, validators: 86, eth1Votes: 2, historicalSummaries: 2, historicalRoots: 1 },
      { ...EMPTY_SHAPE, seed: 13, pendingDeposits: 5 },
    ].map((shape) => {
      const state = randomState(fork, shape);
      const keys = [...state.validators.filter((_, i) => i % 3 === 0), ...state.pendingDeposits.slice(0, 2)];
      const pubkeys = new Set(keys.map(({ pubkey }) => toHex(pubkey)));
      return { bytes: serialize(fork, state), pubkeys, expected: expectedParts(fork, state, pubkeys) };
    });

    it(`${fork}: a typed error, another root, or the very figures`, () => {
      const outcomes = { refused: 0, otherRoot: 0, same: 0 };
      const pieces = fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 5 });
      const several = fc.array(damage, { minLength: 1, maxLength: 3 });
      fc.assert(
        fc.property(fc.constantFrom(...states), several, pieces, ({ bytes, pubkeys, expected }, damages, sizes) => {
          const sent = damages.reduce<Uint8Array>((octets, one) => applied(fork, octets, one), bytes);
          const reader = new StateReader<ReadableFork>(fork, { pubkeys, prove: ASKED });
          let parts: PartsOf<ReadableFork>;
          try {
            for (let at = 0, i = 0; at < sent.length; i++) {
              const piece = sent.subarray(at, at + sizes[i % sizes.length]!);
              reader.push(piece);
              at += piece.length;
            }
            parts = reader.finish();
          } catch (error) {
            if (!(error instanceof StateError)) throw error;
            outcomes.refused++;
            return;
          }
          if (parts.stateRoot !== expected.stateRoot) {
            outcomes.otherRoot++;
            return;
          }
          outcomes.same++;
          expect(parts).to.deep.equal(expected);
          expect(Buffer.compare(sent, bytes), "the root of other octets").to.equal(0);
        }),
        { seed: 31, numRuns: 700 },
      );
      expect(outcomes.refused).to.be.greaterThan(200);
      expect(outcomes.otherRoot).to.be.greaterThan(50);
    });
  }

  describe("holds no more of it", () => {
    /** Memory outside of the heap, where octets are kept, at its largest while the pieces are pushed. */
    function largestMemory(push: (report: () => void) => void): number {
      const before = process.memoryUsage().arrayBuffers;
      let largest = 0;
      push(() => {
        largest = Math.max(largest, process.memoryUsage().arrayBuffers - before);
      });
      return largest;
    }

    const MEGABYTE = 2 ** 20;

    for (const fork of READABLE_FORKS) {
      it(`${fork}: when it claims four million validators and goes on for 60 MB`, () => {
        const bytes = serialize(fork, randomState(fork, EMPTY_SHAPE));
        const count = 2 ** 22;
        const forged = Uint8Array.from(bytes);
        const view = new DataView(forged.buffer);
        const names = Object.entries<Type<unknown>>(stateType(fork).fields).filter(
          ([, type]) => type.fixedSize === null,
        );
        const sizes: Record<string, number> = {
          validators: 121,
          balances: 8,
          inactivityScores: 8,
          previousEpochParticipation: 1,
          currentEpochParticipation: 1,
        };
        let moved = 0;
        for (const [i, [name]] of names.entries()) {
          const position = offsetPositions(fork)[i]!;
          view.setUint32(position, view.getUint32(position, true) + moved, true);
          moved += (sizes[name] ?? 0) * count;
        }
        const reader = new StateReader(fork, { pubkeys: new Set(), prove: { validators: [5], balances: [5] } });
        const piece = new Uint8Array(MEGABYTE);
        const largest = largestMemory((report) => {
          reader.push(forged.subarray(0, view.getUint32(offsetPositions(fork)[0]!, true)));
          for (let i = 0; i < 60; i++) {
            reader.push(piece);
            report();
          }
        });
        expect(largest).to.be.lessThan(24 * MEGABYTE);
        expect(() => reader.finish()).to.throw(StateError, /ended early/);
      });
    }

    it("when a list of small elements goes on to its largest size", () => {
      // the last list of Gloas, which has no limit of its own: withdrawals, all to a validator of ours
      const state = randomState("gloas", { ...EMPTY_SHAPE, validators: 1 });
      const bytes = serialize("gloas", state);
      const reader = new StateReader("gloas", { pubkeys: new Set([toHex(state.validators[0]!.pubkey)]) });
      reader.push(bytes);
      const piece = new Uint8Array(44 * 2 ** 14);
      expect(() => {
        for (let i = 0; i < 1100; i++) reader.push(piece);
      })
        .to.throw(StateError)
        .with.property("code", "STATE_TOO_LARGE");
    });
  });
});
