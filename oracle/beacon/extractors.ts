import { MAX_EFFECTIVE_BALANCE_ELECTRA, MIN_ACTIVATION_BALANCE } from "@lodestar/params";
import { ssz } from "@lodestar/types";
import { fieldRange, type AnyContainer } from "./containerHasher.js";
import { StateError } from "./errors.js";
import { decode, type ElementObserver } from "./fieldHashers.js";
import { toHex } from "./hex.js";
import type { PubkeyIndex } from "./pubkeyIndex.js";
import type {
  ExpectedWithdrawal,
  PendingDeposit,
  PendingPartialWithdrawal,
  SweepParts,
  ValidatorRecord,
} from "./stateParts.js";

/** A forged list must not fill the memory: more entries of ours than this are refused (each would have cost somebody ether). */
const MAX_ENTRIES_OF_INTEREST = 2 ** 18;

function requireFew(count: number, what: string): void {
  if (count <= MAX_ENTRIES_OF_INTEREST) return;
  throw new StateError(
    "STATE_TOO_LARGE",
    `The state has more than ${MAX_ENTRIES_OF_INTEREST} ${what} of the keys asked for, each of which would have cost ` +
      "somebody ether. The node served a forged state: ask another beacon node.",
    { limit: MAX_ENTRIES_OF_INTEREST },
  );
}

const VALIDATOR = ssz.phase0.Validator;
const VALIDATOR_SIZE = VALIDATOR.fixedSize ?? 0;
const PUBKEY = fieldRange(VALIDATOR, "pubkey");
const CREDENTIALS = fieldRange(VALIDATOR, "withdrawalCredentials");
const EFFECTIVE_BALANCE = fieldRange(VALIDATOR, "effectiveBalance");
const SLASHED = fieldRange(VALIDATOR, "slashed");
const ACTIVATION_EPOCH = fieldRange(VALIDATOR, "activationEpoch");
const EXIT_EPOCH = fieldRange(VALIDATOR, "exitEpoch");
const WITHDRAWABLE_EPOCH = fieldRange(VALIDATOR, "withdrawableEpoch");

/** By the first octet of the credentials, the balance above which the chain pays out; none for those without an address. */
const PAID_ABOVE: readonly number[] = [0, MIN_ACTIVATION_BALANCE, MAX_EFFECTIVE_BALANCE_ELECTRA];

/** The fields of a validator's record; the rest of ValidatorRecord stands in other lists of the state. */
export type ValidatorFields = Omit<
  ValidatorRecord,
  "balanceGwei" | "previousParticipation" | "currentParticipation" | "inactivityScore"
>;

/** Finds the validators of interest, sums the effective balance of all active ones and counts those that the sweep pays. */
export class ValidatorExtractor {
  /** In order of their index. */
  readonly selected: ValidatorFields[] = [];
  /** Their indices, ascending. */
  readonly indices: number[] = [];
  readonly #pubkeys: PubkeyIndex;
  readonly #epoch: number;
  readonly #sweepIndex: number;
  /** For each of them, how many the sweep pays of those with a lower index. */
  readonly #payableBefore: number[] = [];
  #payableBeforeSweep: number | undefined;
  #payable = 0;
  #funded = 0;
  #activeBalanceGwei = 0n;
  #slashedActiveBalanceGwei = 0n;

  /** @param sweepIndex validator at which the sweep goes on */
  constructor(pubkeys: PubkeyIndex, epoch: number, sweepIndex: number) {
    this.#pubkeys = pubkeys;
    this.#epoch = epoch;
    this.#sweepIndex = sweepIndex;
  }

  /** After the last validator. */
  get sweep(): SweepParts {
    const payableBeforeSweep = this.#payableBeforeSweep ?? this.#payable;
    const ahead = (i: number, index: number): number => {
      const steps = (this.#payableBefore[i] ?? 0) - payableBeforeSweep;
      return index < this.#sweepIndex ? this.#payable + steps : steps;
    };
    return {
      nextIndex: this.#sweepIndex,
      payable: this.#payable,
      funded: this.#funded,
      payableAhead: new Map(this.selected.map(({ pubkey, index }, i) => [pubkey, ahead(i, index)])),
    };
  }

  get totalActiveBalanceGwei(): bigint {
    return this.#activeBalanceGwei;
  }

  get slashedActiveBalanceGwei(): bigint {
    return this.#slashedActiveBalanceGwei;
  }

  readonly observe: ElementObserver = (bytes, offset, first, count) => {
    this.#observe(bytes, offset, first, count);
  };

  // Called for millions of records: it makes no object, and its numbers are integers as long as they can be.
  #observe(bytes: Uint8Array, offset: number, first: number, count: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const epoch = this.#epoch;
    // halves of the 64-bit sum: each stays exact in a double for 2^21 records, more than one piece of a stream holds
    let low = 0;
    let high = 0;
    let funded = 0;
    let payable = this.#payable;
    for (let i = 0, at = offset; i < count; i++, at += VALIDATOR_SIZE) {
      const isActive =
        !isAfter(view, at + ACTIVATION_EPOCH.offset, epoch) && isAfter(view, at + EXIT_EPOCH.offset, epoch);
      const effectiveLow = view.getUint32(at + EFFECTIVE_BALANCE.offset, true);
      const effectiveHigh = view.getUint32(at + EFFECTIVE_BALANCE.offset + 4, true);
      if (isActive) {
        low += effectiveLow;
        high += effectiveHigh;
        if (view.getUint8(at + SLASHED.offset) !== 0) this.#addSlashed(view, at);
      }
      if (first + i === this.#sweepIndex) this.#payableBeforeSweep = payable;
      const pubkey = this.#pubkeys.find(view, at + PUBKEY.offset);
      if (pubkey !== undefined) this.#select(pubkey, first + i, payable, bytes.subarray(at, at + VALIDATOR_SIZE));
      const paidAbove = PAID_ABOVE[view.getUint8(at + CREDENTIALS.offset)] ?? 0;
      if (paidAbove === 0 || (effectiveLow | effectiveHigh) === 0) continue;
      funded++;
      const isAtLimit = isActive && effectiveLow + effectiveHigh * 2 ** 32 === paidAbove;
      if (isAtLimit || !isAfter(view, at + WITHDRAWABLE_EPOCH.offset, epoch)) payable++;
    }
    this.#payable = payable;
    this.#funded += funded;
    this.#activeBalanceGwei += BigInt(low) + (BigInt(high) << 32n);
  }

  #addSlashed(view: DataView, at: number): void {
    this.#slashedActiveBalanceGwei += view.getBigUint64(at + EFFECTIVE_BALANCE.offset, true);
  }

  #select(pubkey: string, index: number, payableBefore: number, bytes: Uint8Array): void {
    if (this.selected.length === this.#pubkeys.size) {
      throw new StateError(
        "STATE_MALFORMED",
        `The state lists a public key twice, at the latest at index ${index}. The node served a forged state: ask another beacon node.`,
        { pubkey, index },
      );
    }
    const record = decode("validators", VALIDATOR, bytes);
    this.selected.push({
      index,
      pubkey,
      withdrawalCredentials: toHex(record.withdrawalCredentials),
      effectiveBalanceGwei: BigInt(record.effectiveBalance),
      slashed: record.slashed,
      activationEligibilityEpoch: record.activationEligibilityEpoch,
      activationEpoch: record.activationEpoch,
      exitEpoch: record.exitEpoch,
      withdrawableEpoch: record.withdrawableEpoch,
    });
    this.indices.push(index);
    this.#payableBefore.push(payableBefore);
  }
}

/** Whether the epoch there is a later one. What does not fit 32 bits is later than every epoch that can be. */
function isAfter(view: DataView, offset: number, epoch: number): boolean {
  return view.getUint32(offset, true) > epoch || view.getUint32(offset + 4, true) !== 0;
}

// Exact below 2^53, and above it still on the right side of every epoch that can be.
function readUint64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}

/** Picks the elements at some indices out of a list of numbers. */
export class NumberExtractor {
  /** One for each index, in their order. */
  readonly values: bigint[] = [];
  readonly #indices: readonly number[];
  readonly #size: 1 | 8;

  /** @param indices ascending, complete before the list begins */
  constructor(indices: readonly number[], size: 1 | 8) {
    this.#indices = indices;
    this.#size = size;
  }

  readonly observe: ElementObserver = (bytes, offset, first, count) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (;;) {
      const index = this.#indices[this.values.length];
      if (index === undefined || index >= first + count) return;
      const at = offset + (index - first) * this.#size;
      this.values.push(this.#size === 8 ? view.getBigUint64(at, true) : BigInt(view.getUint8(at)));
    }
  };
}

const PENDING_DEPOSIT = ssz.electra.PendingDeposit;
const PENDING_DEPOSIT_SIZE = PENDING_DEPOSIT.fixedSize ?? 0;
const PENDING_DEPOSIT_PUBKEY = fieldRange(PENDING_DEPOSIT, "pubkey");

/** Collects the pending deposits of the keys of interest. */
export class PendingDepositExtractor {
  readonly byPubkey = new Map<string, PendingDeposit[]>();
  /** Their places in the queue, ascending. */
  readonly indices: number[] = [];
  readonly #pubkeys: PubkeyIndex;

  constructor(pubkeys: PubkeyIndex) {
    this.#pubkeys = pubkeys;
  }

  readonly observe: ElementObserver = (bytes, offset, first, count) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0, at = offset; i < count; i++, at += PENDING_DEPOSIT_SIZE) {
      const pubkey = this.#pubkeys.find(view, at + PENDING_DEPOSIT_PUBKEY.offset);
      if (pubkey !== undefined) this.#collect(pubkey, first + i, bytes.subarray(at, at + PENDING_DEPOSIT_SIZE));
    }
  };

  #collect(pubkey: string, index: number, bytes: Uint8Array): void {
    requireFew(this.indices.push(index), "pending deposits");
    const record = decode("pendingDeposits", PENDING_DEPOSIT, bytes);
    const deposit: PendingDeposit = {
      pubkey,
      withdrawalCredentials: toHex(record.withdrawalCredentials),
      amountGwei: BigInt(record.amount),
      signature: toHex(record.signature),
      slot: record.slot,
    };
    const earlier = this.byPubkey.get(pubkey);
    if (earlier === undefined) this.byPubkey.set(pubkey, [deposit]);
    else earlier.push(deposit);
  }
}

const PARTIAL_WITHDRAWAL = ssz.electra.PendingPartialWithdrawal;

/** Collects the pending partial withdrawals of the validators of interest. */
export class PartialWithdrawalExtractor {
  readonly selected: PendingPartialWithdrawal[] = [];
  readonly observe: ElementObserver;

  /** @param indices complete before the list begins */
  constructor(indices: readonly number[]) {
    this.observe = observeOf(indices, PARTIAL_WITHDRAWAL, (octets) => {
      const record = decode("pendingPartialWithdrawals", PARTIAL_WITHDRAWAL, octets);
      const { validatorIndex, amount, withdrawableEpoch } = record;
      requireFew(this.selected.push({ validatorIndex, amountGwei: amount, withdrawableEpoch }), "partial withdrawals");
    });
  }
}

const WITHDRAWAL = ssz.capella.Withdrawal;

/** Collects the withdrawals to the validators of interest that have left their balances and not yet reached the execution layer. */
export class ExpectedWithdrawalExtractor {
  readonly selected: ExpectedWithdrawal[] = [];
  readonly observe: ElementObserver;

  /** @param indices complete before the list begins */
  constructor(indices: readonly number[]) {
    this.observe = observeOf(indices, WITHDRAWAL, (octets) => {
      const { validatorIndex, address, amount } = decode("payloadExpectedWithdrawals", WITHDRAWAL, octets);
      const withdrawal = { validatorIndex, address: toHex(address), amountGwei: amount };
      requireFew(this.selected.push(withdrawal), "withdrawals");
    });
  }
}

/** Shows the records that name a validator of interest. */
function observeOf(
  indices: readonly number[],
  type: AnyContainer & { readonly fixedSize: number | null },
  take: (octets: Uint8Array) => void,
): ElementObserver {
  const size = type.fixedSize ?? 0;
  const validatorIndex = fieldRange(type, "validatorIndex").offset;
  let known: ReadonlySet<number> | undefined;
  return (bytes, offset, _first, count) => {
    known ??= new Set(indices);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0, at = offset; i < count; i++, at += size) {
      if (known.has(readUint64(view, at + validatorIndex))) take(bytes.subarray(at, at + size));
    }
  };
}
