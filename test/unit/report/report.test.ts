import { expect } from "chai";
import { SecretKey } from "@chainsafe/blst";
import fc from "fast-check";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { ssz, type electra } from "@lodestar/types";
import { fromHex, toHex } from "../../../oracle/beacon/hex.js";
import { headerRoot, type VerifiedState } from "../../../oracle/beacon/readVerified.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import { signDeposit } from "../../../oracle/keys/depositData.js";
import { ReportError } from "../../../oracle/report/errors.js";
import { credentialsOf } from "../../../oracle/report/ownership.js";
import { openPenaltyGwei } from "../../../oracle/report/penalties.js";
import { computeReport, type RegistryKey, type ReportInput } from "../../../oracle/report/report.js";

const VAULT = "0x00000000000000000000000000000000c0ffee42";
const [OURS, OURS_COMPOUNDING] = [...credentialsOf(VAULT)] as [string, string];
const FOREIGN = `0x01${"00".repeat(11)}${"bad0".repeat(10)}`;
const FORK_VERSION = "0x00000001";
const WEI = 10n ** 9n;
const ETH = 10n ** 9n; // in gwei
const EPOCH = 500;
const FAR = Infinity;

const secretKeys = Array.from({ length: 12 }, (_, i) => SecretKey.deriveMasterEip2333(new Uint8Array(32).fill(i + 1)));
const pubkeys = secretKeys.map((key) => toHex(key.toPublicKey().toBytes()));
const keyOf = (i: number) => pubkeys[i]!;

interface ValidatorSpec {
  key: number;
  credentials?: string;
  balanceGwei?: bigint;
  slashed?: boolean;
  exitEpoch?: number;
  withdrawableEpoch?: number;
}

interface DepositSpec {
  key: number;
  credentials?: string;
  amountGwei?: bigint;
  isSigned?: boolean;
}

/** A real state, serialised and read as a node's would be. */
function stateWith(
  validators: readonly ValidatorSpec[],
  deposits: readonly DepositSpec[] = [],
  asked: readonly string[] = pubkeys,
): VerifiedState {
  const state = ssz.fulu.BeaconState.defaultValue();
  state.slot = EPOCH * SLOTS_PER_EPOCH;
  state.latestBlockHeader.slot = state.slot;
  // enough others for a slashing to cost something and not everything
  const others = Array.from({ length: 20 }, (_, i): ValidatorSpec => ({ key: -1 - i, credentials: FOREIGN }));
  for (const spec of [...others, ...validators]) {
    state.validators.push({
      pubkey: spec.key < 0 ? new Uint8Array(48).fill(-spec.key) : fromHex(keyOf(spec.key)),
      withdrawalCredentials: fromHex(spec.credentials ?? OURS),
      effectiveBalance: Number(32n * ETH),
      slashed: spec.slashed ?? false,
      activationEligibilityEpoch: 1,
      activationEpoch: 2,
      exitEpoch: spec.exitEpoch ?? (spec.withdrawableEpoch === undefined ? FAR : spec.withdrawableEpoch - 4),
      withdrawableEpoch: spec.withdrawableEpoch ?? FAR,
    });
    state.balances.push(Number(spec.balanceGwei ?? 32n * ETH));
    state.previousEpochParticipation.push(7);
    state.currentEpochParticipation.push(7);
    state.inactivityScores.push(0);
    if (spec.slashed) state.slashings[0]! += Number(32n * ETH);
  }
  state.pendingDeposits = deposits.map(pendingDeposit);
  const reader = new StateReader("fulu", { pubkeys: new Set(asked) });
  reader.push(ssz.fulu.BeaconState.serialize(state));
  const parts = reader.finish();
  const header = { ...parts.latestBlockHeader, stateRoot: parts.stateRoot };
  return { ...parts, header, blockRoot: headerRoot(header) };
}

function pendingDeposit(spec: DepositSpec): electra.PendingDeposit {
  const withdrawalCredentials = spec.credentials ?? OURS;
  const amountGwei = spec.amountGwei ?? 32n * ETH;
  // a signature over another amount is well formed and wrong
  const signed = spec.isSigned === false ? amountGwei + 1n : amountGwei;
  const signature = signDeposit(secretKeys[spec.key]!.toBytes(), {
    withdrawalCredentials,
    amountGwei: signed,
    genesisForkVersion: FORK_VERSION,
  });
  return {
    pubkey: fromHex(keyOf(spec.key)),
    withdrawalCredentials: fromHex(withdrawalCredentials),
    amount: Number(amountGwei),
    signature,
    slot: 5,
  };
}

function key(i: number, isExited = false): RegistryKey {
  return { id: i + 1, pubkey: keyOf(i), cluster: 3, isExiting: false, isExited };
}

function inputOf(state: VerifiedState, registry: readonly RegistryKey[]): ReportInput {
  return {
    refSlot: BigInt(state.slot) + 2n,
    state,
    registry,
    withdrawalVault: VAULT,
    genesisForkVersion: FORK_VERSION,
    withdrawnAtRefWei: 77n,
    payload: { kind: "processed" },
  };
}

function report(
  validators: readonly ValidatorSpec[],
  deposits: readonly DepositSpec[],
  registry: readonly RegistryKey[],
) {
  return computeReport(inputOf(stateWith(validators, deposits), registry));
}

describe("report", () => {
  it("of a pool without validators", () => {
    const state = stateWith([]);
    const result = computeReport(inputOf(state, []));
    expect(result.report).to.deep.equal({
      version: 1n,
      refSlot: BigInt(state.slot) + 2n,
      beaconBlockRoot: state.blockRoot,
      clBalanceWei: 0n,
      openPenaltiesWei: 0n,
      withdrawnAtRefWei: 77n,
      exiting: [],
      exited: [],
    });
    expect(result.table).to.deep.equal([]);
    expect(result.warnings).to.deep.equal([]);
  });

  it("counts validators with the pool's credentials of either form, and no other validator", () => {
    const { report: got, table } = report(
      [
        { key: 1, balanceGwei: 33n * ETH + 5n },
        { key: 0, credentials: OURS_COMPOUNDING, balanceGwei: 40n * ETH },
        { key: 2, balanceGwei: 32n * ETH }, // ours by credentials, not in the registry
      ],
      [],
      [key(1), key(0)],
    );
    expect(got.clBalanceWei).to.equal((73n * ETH + 5n) * WEI);
    expect(table.map(({ id, validatorIndex, standing }) => [id, validatorIndex, standing])).to.deep.equal([
      [1, 21, "owned"],
      [2, 20, "owned"],
    ]);
  });

  it("counts a validator with other credentials as nothing, with its deposits, and says so", () => {
    const foreign = [FOREIGN, OURS.replace("0x01", "0x00"), OURS.replace("0x01", "0x03"), `0x0101${OURS.slice(6)}`];
    const result = report(
      foreign.map((credentials, i) => ({ key: i, credentials })),
      foreign.map((_, i) => ({ key: i })),
      foreign.map((_, i) => key(i)),
    );
    expect(result.report.clBalanceWei).to.equal(0n);
    expect(result.warnings.map(({ code, id }) => [code, id])).to.deep.equal(
      [1, 2, 3, 4].map((id) => ["FOREIGN_CREDENTIALS", id]),
    );
  });

  it("counts every top-up of an owned validator: the chain looks at neither credentials nor signature", () => {
    const result = report(
      [{ key: 0 }],
      [
        { key: 0, amountGwei: 1n * ETH, credentials: FOREIGN },
        { key: 0, amountGwei: 2n * ETH, isSigned: false },
        { key: 3, amountGwei: 5n * ETH },
      ],
      [key(0)],
    );
    expect(result.report.clBalanceWei).to.equal(35n * ETH * WEI);
    expect(result.table[0]).to.include({ balanceGwei: 32n * ETH, pendingGwei: 3n * ETH });
  });

  describe("of a key that is not in the beacon registry: the first deposit with a valid signature decides", () => {
    const cases: readonly [string, readonly Omit<DepositSpec, "key">[], string, bigint, readonly string[]][] = [
      ["ours", [{}], "pending", 32n, []],
      ["ours, compounding", [{ credentials: OURS_COMPOUNDING }], "pending", 32n, []],
      ["a stranger's first", [{ credentials: FOREIGN, amountGwei: ETH }, {}], "foreign", 0n, ["FOREIGN_CREDENTIALS"]],
      ["a stranger's after it is a top-up", [{}, { credentials: FOREIGN, amountGwei: ETH }], "pending", 33n, []],
      [
        "garbage before it is dropped",
        [{ amountGwei: ETH, credentials: FOREIGN, isSigned: false }, {}],
        "pending",
        32n,
        [],
      ],
      ["garbage after it is a top-up", [{}, { amountGwei: ETH, isSigned: false }], "pending", 33n, []],
      [
        "garbage, then a stranger's, then ours",
        [{ amountGwei: ETH, isSigned: false }, { credentials: FOREIGN, amountGwei: ETH }, {}],
        "foreign",
        0n,
        ["FOREIGN_CREDENTIALS"],
      ],
      [
        "nothing but garbage",
        [{ isSigned: false }, { isSigned: false, amountGwei: ETH }],
        "invalid",
        0n,
        ["DEPOSIT_INVALID"],
      ],
      ["nothing", [], "absent", 0n, ["DEPOSIT_ABSENT"]],
    ];
    for (const [what, deposits, standing, eth, warnings] of cases) {
      it(what, () => {
        const others = [{ key: 7, amountGwei: 3n * ETH }]; // not in the registry
        const result = report([], [...others, ...deposits.map((deposit) => ({ ...deposit, key: 0 }))], [key(0)]);
        expect(result.table[0]!.standing).to.equal(standing);
        expect(result.report.clBalanceWei).to.equal(eth * ETH * WEI);
        expect(result.warnings.map(({ code }) => code)).to.deep.equal(warnings);
      });
    }

    it("a signature for another chain is none", () => {
      const input = inputOf(stateWith([], [{ key: 0 }]), [key(0)]);
      const { table } = computeReport({ ...input, genesisForkVersion: "0x00000002" });
      expect(table[0]!.standing).to.equal("invalid");
    });
  });

  it("takes the open penalties of slashed validators apart from the balance, of owned ones only", () => {
    const spec = { slashed: true, withdrawableEpoch: EPOCH + 64, balanceGwei: 31n * ETH };
    const state = stateWith([{ key: 0, ...spec }, { key: 1, ...spec, credentials: FOREIGN }, { key: 2 }]);
    const result = computeReport(inputOf(state, [key(0), key(1), key(2)]));
    const open = openPenaltyGwei(state.validators.get(keyOf(0))!, state);
    expect(open > 0n).to.equal(true);
    expect(result.report.openPenaltiesWei).to.equal(open * WEI);
    expect(result.report.clBalanceWei).to.equal(63n * ETH * WEI);
    expect(result.warnings.map(({ code, id }) => [code, id])).to.deep.equal([
      ["SLASHED", 1],
      ["FOREIGN_CREDENTIALS", 2],
      ["SLASHED", 2],
    ]);
  });

  describe("names as exiting", () => {
    const exitingKey = (i: number): RegistryKey => ({ ...key(i), isExiting: true });

    it("whoever's exit has begun, from the moment its epoch is set until it is gone, once, by id", () => {
      const { report: got } = report(
        [
          { key: 0, exitEpoch: EPOCH + 900, withdrawableEpoch: EPOCH + 1_156 },
          { key: 1 },
          { key: 2, withdrawableEpoch: EPOCH },
          { key: 3, withdrawableEpoch: EPOCH + 1, balanceGwei: 0n },
          { key: 4, exitEpoch: EPOCH + 9, withdrawableEpoch: EPOCH + 265 },
        ],
        [],
        [exitingKey(4), key(3), key(2), key(1), key(0)],
      );
      expect(got.exiting).to.deep.equal([1n, 3n, 4n]);
      expect(got.exited).to.deep.equal([]);
    });

    it("not who was slashed, whose ether comes a month later, and not what is not the pool's", () => {
      const leaving = { exitEpoch: EPOCH + 9, withdrawableEpoch: EPOCH + 265 };
      const { report: got } = report(
        [
          { key: 0, ...leaving, slashed: true },
          { key: 1, ...leaving, credentials: FOREIGN },
        ],
        [],
        [key(0), key(1)],
      );
      expect(got.exiting).to.deep.equal([]);
    });

    it("not who is gone: it is named as exited, also if no report saw it leave", () => {
      const gone = { withdrawableEpoch: EPOCH, balanceGwei: 0n };
      const { report: got } = report(
        [
          { key: 0, ...gone },
          { key: 1, ...gone },
        ],
        [],
        [key(0), exitingKey(1)],
      );
      expect(got.exiting).to.deep.equal([]);
      expect(got.exited).to.deep.equal([1n, 2n]);
    });

    it("not again who was named as exited and has a balance again", () => {
      const { report: got } = report([{ key: 0, withdrawableEpoch: EPOCH - 9, balanceGwei: 5n }], [], [key(0, true)]);
      expect(got.exiting).to.deep.equal([]);
    });

    it("at most 128, the lowest", () => {
      const many = Array.from({ length: 200 }, (_, i) => `0x${(i + 1).toString(16).padStart(96, "0")}`);
      const leaving = stateWith([{ key: 0, withdrawableEpoch: EPOCH + 9 }]).validators.get(keyOf(0))!;
      const crowded: VerifiedState = {
        ...stateWith([]),
        pubkeys: new Set(many),
        validators: new Map(many.map((pubkey, i) => [pubkey, { ...leaving, pubkey, index: i }])),
      };
      const registry = many.map((pubkey, i) => ({ ...key(0), id: 200 - i, pubkey }));
      const { exiting } = computeReport(inputOf(crowded, registry)).report;
      expect(exiting).to.deep.equal(Array.from({ length: 128 }, (_, i) => BigInt(i + 1)));
    });
  });

  describe("names as exited", () => {
    it("what is withdrawable and has less than 1 ETH left, once, by id", () => {
      const result = report(
        [
          { key: 0, withdrawableEpoch: EPOCH, balanceGwei: 0n },
          { key: 1, withdrawableEpoch: EPOCH + 1, balanceGwei: 0n },
          { key: 2, withdrawableEpoch: EPOCH, balanceGwei: 10n ** 9n },
          { key: 3, withdrawableEpoch: EPOCH - 9, balanceGwei: 10n ** 9n - 1n },
          { key: 4, withdrawableEpoch: EPOCH - 9, balanceGwei: 0n },
          { key: 5, withdrawableEpoch: EPOCH - 9, balanceGwei: 0n, credentials: FOREIGN },
          { key: 6, withdrawableEpoch: EPOCH - 9, balanceGwei: 0n, slashed: true },
        ],
        [],
        [key(6), key(5), key(4, true), key(3), key(2), key(1), key(0)],
      );
      expect(result.report.exited).to.deep.equal([1n, 4n, 6n, 7n]);
      expect(result.warnings.map(({ code }) => code)).to.deep.equal(["FOREIGN_CREDENTIALS"]);
    });

    it("a balance that comes back counts, and is told", () => {
      const result = report([{ key: 0, withdrawableEpoch: EPOCH - 9, balanceGwei: 10n ** 9n }], [], [key(0, true)]);
      expect(result.report.clBalanceWei).to.equal(10n ** 9n * WEI);
      expect(result.report.exited).to.deep.equal([]);
      expect(result.warnings.map(({ code }) => code)).to.deep.equal(["EXITED_WITH_BALANCE"]);
    });

    it("what a sync committee pays after the sweep counts without a word", () => {
      const result = report([{ key: 0, withdrawableEpoch: EPOCH - 9, balanceGwei: 5n }], [], [key(0, true)]);
      expect(result.report.clBalanceWei).to.equal(5n * WEI);
      expect(result.warnings).to.deep.equal([]);
    });

    it("at most 128, the lowest", () => {
      const state = stateWith([]);
      const many = Array.from({ length: 200 }, (_, i) => `0x${(i + 1).toString(16).padStart(96, "0")}`);
      const empty = stateWith([{ key: 0, withdrawableEpoch: EPOCH, balanceGwei: 0n }]).validators.get(keyOf(0))!;
      const crowded: VerifiedState = {
        ...state,
        pubkeys: new Set(many),
        validators: new Map(many.map((pubkey, i) => [pubkey, { ...empty, pubkey, index: i }])),
      };
      const registry = many.map((pubkey, i) => ({
        id: 200 - i,
        pubkey,
        cluster: 1,
        isExiting: false,
        isExited: false,
      }));
      const { exited } = computeReport(inputOf(crowded, registry)).report;
      expect(exited).to.deep.equal(Array.from({ length: 128 }, (_, i) => BigInt(i + 1)));
    });
  });

  it("does not depend on the order of the registry view", () => {
    const state = stateWith(
      [
        { key: 0 },
        { key: 1, withdrawableEpoch: EPOCH, balanceGwei: 0n },
        { key: 2, slashed: true, withdrawableEpoch: EPOCH + 60 },
      ],
      [{ key: 3 }, { key: 4, isSigned: false }],
    );
    const registry = Array.from({ length: 6 }, (_, i) => key(i));
    const expected = computeReport(inputOf(state, registry));
    const orders = fc.shuffledSubarray(registry, { minLength: registry.length });
    fc.assert(
      fc.property(orders, (order) => {
        expect(computeReport(inputOf(state, order))).to.deep.equal(expected);
      }),
      { seed: 4, numRuns: 20 },
    );
  });

  describe("refuses inputs that do not belong together", () => {
    const cases: readonly [string, () => ReportInput, string][] = [
      [
        "a state after the reference slot",
        () => ({ ...inputOf(stateWith([]), []), refSlot: BigInt(EPOCH * SLOTS_PER_EPOCH - 1) }),
        "REPORT_STATE_AFTER_REFERENCE",
      ],
      ["an id twice", () => inputOf(stateWith([]), [key(0), { ...key(1), id: 1 }]), "REPORT_REGISTRY_INCONSISTENT"],
      ["a key twice", () => inputOf(stateWith([]), [key(0), { ...key(0), id: 9 }]), "REPORT_REGISTRY_INCONSISTENT"],
      [
        "a key the state was not read for",
        () => inputOf(stateWith([], [], [keyOf(1)]), [key(0)]),
        "REPORT_KEY_NOT_READ",
      ],
    ];
    for (const [what, input, code] of cases) {
      it(`${what}: ${code}`, () => {
        expect(() => computeReport(input()))
          .to.throw(ReportError)
          .with.property("code", code);
      });
    }
  });
});
