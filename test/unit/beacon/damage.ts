import type { Type } from "@chainsafe/ssz";
import fc from "fast-check";
import type { SupportedFork } from "../../../oracle/beacon/forks.js";
import { stateType } from "./states.js";

/** Where the offsets stand in a serialised state. */
function offsetPositions(fork: SupportedFork): readonly number[] {
  const positions: number[] = [];
  let at = 0;
  for (const { fixedSize } of Object.values<Type<unknown>>(stateType(fork).fields)) {
    if (fixedSize === null) positions.push(at);
    at += fixedSize ?? 4;
  }
  return positions;
}

/** What a faulty or lying node may do to the octets. Places are fractions of their length. */
export type Damage =
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
export const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ kind: fc.constant("truncate" as const), at: place }),
  fc.record({ kind: fc.constant("extend" as const), more: fc.uint8Array({ minLength: 1, maxLength: 500 }) }),
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("flip" as const), at: place, bit: fc.nat({ max: 7 }) }) },
  fc.record({ kind: fc.constant("cut" as const), at: place, size }),
  fc.record({ kind: fc.constant("repeat" as const), at: place, size }),
  fc.record({ kind: fc.constant("offset" as const), which, value: fc.nat({ max: 0xffffffff }) }),
  fc.record({ kind: fc.constant("shift" as const), which, by }),
  fc.record({ kind: fc.constant("shiftAll" as const), which, by }),
);

/** The octets with one of these done to them. */
export function applied(fork: SupportedFork, bytes: Uint8Array, done: Damage): Uint8Array {
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

/** The part of a state before its lists, with the offsets of one that has so many validators more. */
export function claimingValidators(fork: SupportedFork, bytes: Uint8Array, count: number): Uint8Array {
  const sizes: Record<string, number> = {
    validators: 121,
    balances: 8,
    inactivityScores: 8,
    previousEpochParticipation: 1,
    currentEpochParticipation: 1,
  };
  const forged = Uint8Array.from(bytes);
  const view = new DataView(forged.buffer);
  const names = Object.entries<Type<unknown>>(stateType(fork).fields).filter(([, type]) => type.fixedSize === null);
  const [first] = offsetPositions(fork);
  const start = view.getUint32(first!, true);
  let moved = 0;
  for (const [i, position] of offsetPositions(fork).entries()) {
    view.setUint32(position, view.getUint32(position, true) + moved, true);
    moved += (sizes[names[i]![0]] ?? 0) * count;
  }
  return forged.subarray(0, start);
}
