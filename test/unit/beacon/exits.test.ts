import { expect } from "chai";
import { createBeaconConfig, chainConfigToJson, type BeaconConfig, type ChainConfig } from "@lodestar/config";
import { chainConfig } from "@lodestar/config/default";
import {
  FAR_FUTURE_EPOCH,
  ForkSeq,
  MAX_EFFECTIVE_BALANCE_ELECTRA,
  MAX_PENDING_PARTIALS_PER_WITHDRAWALS_SWEEP,
  MAX_SEED_LOOKAHEAD,
  MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP,
  MIN_ACTIVATION_BALANCE,
  SLOTS_PER_EPOCH,
} from "@lodestar/params";
import {
  createCachedBeaconState,
  createPubkeyCache,
  getExpectedWithdrawals,
  type CachedBeaconStateAllForks,
  type CachedBeaconStateElectra,
  type CachedBeaconStateGloas,
} from "@lodestar/state-transition";
import { initiateValidatorExit, processWithdrawals } from "@lodestar/state-transition/block";
import { ssz, type phase0 } from "@lodestar/types";
import { estimateReturns, type ReturnEstimate } from "../../../oracle/beacon/exits.js";
import { SUPPORTED_FORKS, type SupportedFork } from "../../../oracle/beacon/forks.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import { exitRulesAnswer } from "../../../oracle/beacon/schemas.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import type { FrameConfig } from "../../../oracle/clock.js";
import { Random, serialize, type AnyState } from "./states.js";

const ETH = 1_000_000_000;
const EPOCH = 500;
const FRAMES: FrameConfig = { genesisTime: 1_700_000_000n, secondsPerSlot: 6n, slotsPerFrame: 32n };
/** Churns of every kind, none of them a whole multiple of 32 ETH. */
const CHURNS: Record<string, Partial<ChainConfig>> = {
  "the share": { ...quotient(32), MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA: ETH },
  "the share, which is no whole ETH": { ...quotient(900), MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA: ETH },
  "the least": { ...quotient(65_536), MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA: 50 * ETH },
  "less than a validator": { ...quotient(65_536), MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA: 7 * ETH },
  "the most": { ...quotient(2), MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT: 100 * ETH },
};

function quotient(value: number): Partial<ChainConfig> {
  return { CHURN_LIMIT_QUOTIENT: value, CHURN_LIMIT_QUOTIENT_GLOAS: value };
}

function chain(fork: SupportedFork, extra: Partial<ChainConfig> = {}): BeaconConfig {
  const forks = { ALTAIR_FORK_EPOCH: 0, BELLATRIX_FORK_EPOCH: 0, CAPELLA_FORK_EPOCH: 0, DENEB_FORK_EPOCH: 0 };
  const config: ChainConfig = {
    ...chainConfig,
    ...forks,
    ELECTRA_FORK_EPOCH: 0,
    FULU_FORK_EPOCH: fork === "electra" ? Infinity : 0,
    GLOAS_FORK_EPOCH: fork === "gloas" ? 0 : Infinity,
    ...extra,
  };
  return createBeaconConfig(config, new Uint8Array(32));
}

const active: Omit<phase0.Validator, "pubkey"> = {
  withdrawalCredentials: Uint8Array.of(1, ...new Uint8Array(31)),
  effectiveBalance: MIN_ACTIVATION_BALANCE,
  slashed: false,
  activationEligibilityEpoch: 0,
  activationEpoch: 0,
  exitEpoch: FAR_FUTURE_EPOCH,
  withdrawableEpoch: FAR_FUTURE_EPOCH,
};

interface Shape {
  readonly validators: readonly Partial<phase0.Validator>[];
  readonly slot?: number;
  readonly nextIndex?: number;
  readonly queue?: { readonly epoch: number; readonly balance: number };
}

function stateOf(fork: SupportedFork, { validators, slot, nextIndex, queue }: Shape): AnyState {
  const random = new Random(7);
  const state: AnyState = ssz[fork].BeaconState.defaultValue();
  state.slot = slot ?? EPOCH * SLOTS_PER_EPOCH + 3;
  state.validators = validators.map((changes) => ({ ...active, pubkey: random.bytes(48), ...changes }));
  state.balances = state.validators.map(({ effectiveBalance }) => effectiveBalance);
  state.previousEpochParticipation = validators.map(() => 7);
  state.currentEpochParticipation = validators.map(() => 7);
  state.inactivityScores = validators.map(() => 0);
  state.nextWithdrawalValidatorIndex = nextIndex ?? 0;
  state.earliestExitEpoch = queue?.epoch ?? 0;
  state.exitBalanceToConsume = BigInt(queue?.balance ?? 0);
  return state;
}

/** The same state as the library works on it. */
function cached(fork: SupportedFork, state: AnyState, config: BeaconConfig): CachedBeaconStateElectra {
  const library: CachedBeaconStateAllForks = createCachedBeaconState(
    ssz[fork].BeaconState.deserializeToViewDU(serialize(fork, state)),
    { config, pubkeyCache: createPubkeyCache() },
    { skipSyncPubkeys: true, skipSyncCommitteeCache: true },
  );
  return library as CachedBeaconStateElectra; // those of later forks have all of it
}

/** What the program estimates from the octets of the state, for some of its validators. */
function estimate(
  fork: SupportedFork,
  state: AnyState,
  config: BeaconConfig,
  indices: readonly number[],
): (ReturnEstimate | undefined)[] {
  const pubkeys = indices.map((index) => toHex(state.validators[index]!.pubkey));
  const reader = new StateReader(fork, { pubkeys: new Set(pubkeys) });
  reader.push(serialize(fork, state));
  const parts = reader.finish();
  const rules = exitRulesAnswer.parse({ data: chainConfigToJson(config) }).data;
  const records = pubkeys.map((pubkey) => parts.validators.get(pubkey)!);
  return estimateReturns(parts, records, rules, FRAMES);
}

describe("when ether comes back from the beacon chain", () => {
  describe("exit epochs are those of the consensus library", () => {
    const COUNT = 20;
    // some have more than 32 ETH, some have left: the total is no whole multiple of anything
    const validators = Array.from({ length: 40 }, (_, i) => ({
      effectiveBalance: i % 7 === 3 ? (33 + i) * ETH : MIN_ACTIVATION_BALANCE,
      ...(i % 9 === 5 ? { exitEpoch: EPOCH, withdrawableEpoch: EPOCH + 256 } : {}),
    }));
    const indices = Array.from({ length: 40 }, (_, i) => i)
      .filter((i) => validators[i]!.exitEpoch === undefined)
      .slice(0, COUNT);
    const first = EPOCH + 1 + MAX_SEED_LOOKAHEAD;
    const queues: Record<string, Shape["queue"]> = {
      "empty for long": { epoch: EPOCH - 100, balance: 3 * ETH },
      "one epoch behind the first": { epoch: first - 1, balance: 40 * ETH },
      "at the first epoch with room": { epoch: first, balance: 33 * ETH },
      "at the first epoch with exactly enough": { epoch: first, balance: 32 * ETH },
      "at the first epoch with a gwei too little": { epoch: first, balance: 32 * ETH - 1 },
      "at the first epoch and full": { epoch: first, balance: 0 },
      "far ahead": { epoch: EPOCH + 900, balance: 5 * ETH + 17 },
    };
    for (const fork of SUPPORTED_FORKS) {
      for (const [churn, extra] of Object.entries(CHURNS)) {
        it(`${fork}, an epoch's churn is ${churn}`, () => {
          const config = chain(fork, extra);
          for (const [name, queue] of Object.entries(queues)) {
            const state = stateOf(fork, { validators, queue });
            const estimates = estimate(fork, state, config, indices);
            const library = cached(fork, state, config);
            for (const [i, index] of indices.entries()) {
              const validator = library.validators.get(index);
              initiateValidatorExit(ForkSeq[fork], library, validator);
              expect(estimates[i], name).to.include({
                exitEpoch: validator.exitEpoch,
                withdrawableEpoch: validator.withdrawableEpoch,
              });
            }
          }
        });
      }
    }

    it("and differ between the churns and queues compared", () => {
      const epochs = Object.values(CHURNS).flatMap((extra) =>
        Object.values(queues).map((queue) => {
          const estimates = estimate("fulu", stateOf("fulu", { validators, queue }), chain("fulu", extra), indices);
          return estimates.map((one) => one?.exitEpoch).join();
        }),
      );
      expect(new Set(epochs).size).to.be.greaterThan(16);
    });
  });

  it("a validator that is too young waits until it may exit, behind those that need not", () => {
    const config = chain("fulu", { SHARD_COMMITTEE_PERIOD: 64, ...CHURNS["less than a validator"] });
    const young = EPOCH - 4;
    const state = stateOf("fulu", {
      validators: [{ activationEpoch: young }, {}, { activationEpoch: FAR_FUTURE_EPOCH }],
    });
    const [youngEstimate, oldEstimate, never] = estimate("fulu", state, config, [0, 1, 2]);
    const library = cached("fulu", state, config);
    const old = library.validators.get(1);
    initiateValidatorExit(ForkSeq.fulu, library, old);
    library.epochCtx.epoch = young + 64;
    const late = library.validators.get(0);
    initiateValidatorExit(ForkSeq.fulu, library, late);
    expect(oldEstimate?.exitEpoch).to.equal(old.exitEpoch);
    expect(youngEstimate?.exitEpoch)
      .to.equal(late.exitEpoch)
      .and.to.be.greaterThan(EPOCH + 60);
    expect(never).to.equal(undefined);
  });

  it("what the state has decided stays as it is", () => {
    const exiting = { exitEpoch: EPOCH + 7, withdrawableEpoch: EPOCH + 263 };
    const slashed = { exitEpoch: EPOCH + 5, withdrawableEpoch: EPOCH + 8000, slashed: true };
    const state = stateOf("fulu", { validators: [exiting, slashed, {}] });
    const estimates = estimate("fulu", state, chain("fulu"), [0, 1]);
    expect(estimates[0]).to.include(exiting);
    expect(estimates[1]).to.include({ exitEpoch: slashed.exitEpoch, withdrawableEpoch: slashed.withdrawableEpoch });
    expect(estimates[0]?.earliest).to.deep.equal({
      slot: exiting.withdrawableEpoch * SLOTS_PER_EPOCH,
      timestamp: 1_700_000_000 + exiting.withdrawableEpoch * SLOTS_PER_EPOCH * 6,
    });
  });

  describe("the sweep, as the library goes around", () => {
    const compounding = { withdrawalCredentials: Uint8Array.of(2, ...new Uint8Array(31)) };
    const busy: Partial<phase0.Validator>[] = [{}, { ...compounding, effectiveBalance: MAX_EFFECTIVE_BALANCE_ELECTRA }];
    const quiet: Partial<phase0.Validator>[] = [
      { withdrawalCredentials: new Uint8Array(32) },
      { ...compounding, effectiveBalance: 100 * ETH },
      { exitEpoch: 3, withdrawableEpoch: 7, effectiveBalance: 0 },
      { exitEpoch: EPOCH - 5, withdrawableEpoch: EPOCH + 9000 },
      { activationEpoch: FAR_FUTURE_EPOCH },
      { effectiveBalance: 31 * ETH },
    ];

    /** A ring of validators, some percent of which the sweep finds nothing to pay to; one of the ring is on its way out. */
    function ring(fork: SupportedFork, seed: number, count: number, quietPercent: number) {
      const random = new Random(seed);
      const validators = random.list(count, () => {
        const kinds = random.below(100) < quietPercent ? quiet : busy;
        return kinds[random.below(kinds.length)]!;
      });
      const index = random.below(count);
      validators[index] = { exitEpoch: EPOCH - 2, withdrawableEpoch: EPOCH + random.below(60) };
      const state = stateOf(fork, { validators, nextIndex: random.below(count) });
      reward(state.validators, EPOCH, (i) => state.balances[i]!++);
      return { state, index };
    }

    function reward(validators: readonly phase0.Validator[], epoch: number, add: (index: number) => void): void {
      validators.forEach(({ activationEpoch, exitEpoch }, i) => {
        if (activationEpoch <= epoch && epoch < exitEpoch) add(i);
      });
    }

    /** Lets the library pay block after block, until the validator was. Active ones earn something every epoch. */
    function slotOfPayment(
      fork: SupportedFork,
      state: AnyState,
      index: number,
      eachBlock: (library: CachedBeaconStateElectra) => void = () => undefined,
    ): number {
      const library = cached(fork, state, chain(fork));
      for (let slot = state.slot + 1; ; slot++) {
        library.slot = slot;
        library.epochCtx.epoch = Math.floor(slot / SLOTS_PER_EPOCH);
        if (slot % SLOTS_PER_EPOCH === 0) {
          reward(state.validators, library.epochCtx.epoch, (i) => {
            library.balances.set(i, library.balances.get(i) + 1);
          });
        }
        eachBlock(library);
        const payload = ssz.electra.ExecutionPayload.defaultValue();
        payload.withdrawals = getExpectedWithdrawals(ForkSeq[fork], library).expectedWithdrawals;
        processWithdrawals(ForkSeq[fork], library, payload);
        if (library.balances.get(index) === 0) return slot;
      }
    }

    const EACH_BLOCK = { electra: () => undefined, fulu: () => undefined, gloas: payBuilder };

    /** The builder of the payload before. */
    function payBuilder(library: CachedBeaconStateElectra): void {
      if (!("builders" in library)) throw new Error("not of Gloas");
      const { builders, builderPendingWithdrawals } = library as unknown as CachedBeaconStateGloas;
      const { Builder, BuilderPendingWithdrawal } = ssz.gloas;
      if (builders.length === 0) {
        builders.push(Builder.toViewDU({ ...Builder.defaultValue(), balance: ETH, withdrawableEpoch: Infinity }));
      }
      const payment = { ...BuilderPendingWithdrawal.defaultValue(), amount: 7 };
      builderPendingWithdrawals.push(BuilderPendingWithdrawal.toViewDU(payment));
    }

    for (const fork of ["fulu", "gloas"] as const) {
      it(`${fork}, everyone is paid: comes in the slot in which it likely would`, () => {
        for (let seed = 1; seed <= 40; seed++) {
          const { state, index } = ring(fork, seed, 100 + seed * 9, 0);
          const [found] = estimate(fork, state, chain(fork), [index]);
          expect(found!.likely.slot, `seed ${seed}`).to.equal(slotOfPayment(fork, state, index, EACH_BLOCK[fork]));
        }
      });
    }

    it("some are paid, here more and there less: comes about when it likely would, between the bounds", () => {
      let near = 0;
      const seeds = 60;
      for (let seed = 1; seed <= seeds; seed++) {
        const { state, index } = ring("fulu", seed, 100 + seed * 9, seed % 2 === 0 ? 50 : 95);
        const [found] = estimate("fulu", state, chain("fulu"), [index]);
        const actual = slotOfPayment("fulu", state, index);
        expect(actual, `seed ${seed}`).to.be.within(found!.earliest.slot, found!.latest.slot);
        if (Math.abs(actual - found!.likely.slot) < SLOTS_PER_EPOCH) near++;
      }
      // a few are passed just before or after they can be paid, and then a round later or earlier than it seemed
      expect(near).to.be.at.least(seeds * 0.95);
    });

    for (const fork of ["fulu", "gloas"] as const) {
      it(`${fork}, requests take much of its room, and it has just passed: comes at the latest, and not later`, () => {
        const COUNT = 201;
        for (const index of [0, 1, 77, COUNT - 1]) {
          const validators: Partial<phase0.Validator>[] = Array.from({ length: COUNT }, () => ({}));
          const requested = (index + 1) % COUNT;
          validators[requested] = { ...compounding, effectiveBalance: 100 * ETH };
          validators[index] = { exitEpoch: EPOCH - 2, withdrawableEpoch: EPOCH };
          const state = stateOf(fork, { validators, nextIndex: requested });
          reward(state.validators, EPOCH, (i) => state.balances[i]!++);
          const request = ssz.electra.PendingPartialWithdrawal.toViewDU({
            validatorIndex: requested,
            amount: 1n,
            withdrawableEpoch: 0,
          });
          const [found] = estimate(fork, state, chain(fork), [index]);
          const actual = slotOfPayment(fork, state, index, (library) => {
            EACH_BLOCK[fork](library);
            const { pendingPartialWithdrawals } = library;
            for (let i = 0; i < MAX_PENDING_PARTIALS_PER_WITHDRAWALS_SWEEP; i++)
              pendingPartialWithdrawals.push(request);
          });
          // of the blocks supposed to pay nobody there is none, and of one validator it was supposed that it would be paid
          const slack = Math.ceil(COUNT / MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP) + 1;
          expect(actual).to.be.within(found!.latest.slot - slack, found!.latest.slot);
          expect(actual).to.be.greaterThan(found!.likely.slot + 40);
        }
      });
    }
  });
});
