import { expect } from "chai";
import fc from "fast-check";
import { StateError } from "../../../oracle/beacon/errors.js";
import { SUPPORTED_FORKS, type SupportedFork } from "../../../oracle/beacon/forks.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import type { PartsOf } from "../../../oracle/beacon/stateParts.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import { applied, claimingValidators, damage } from "./damage.js";
import { EMPTY_SHAPE, expectedParts, randomState, serialize } from "./states.js";

const ASKED = { validators: "asked", balances: "asked", pendingDeposits: "asked" } as const;

describe("StateReader, whatever a node sends", () => {
  for (const fork of SUPPORTED_FORKS) {
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
          const reader = new StateReader<SupportedFork>(fork, { pubkeys, prove: ASKED });
          let parts: PartsOf<SupportedFork>;
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

    for (const fork of SUPPORTED_FORKS) {
      it(`${fork}: when it claims four million validators and goes on for 60 MB`, () => {
        const bytes = serialize(fork, randomState(fork, EMPTY_SHAPE));
        const reader = new StateReader(fork, { pubkeys: new Set(), prove: { validators: [5], balances: [5] } });
        const piece = new Uint8Array(MEGABYTE);
        const largest = largestMemory((report) => {
          reader.push(claimingValidators(fork, bytes, 2 ** 22));
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
