import { expect } from "chai";
import { EFFECTIVE_BALANCE_INCREMENT, EPOCHS_PER_SLASHINGS_VECTOR, ForkSeq, SLOTS_PER_EPOCH } from "@lodestar/params";
import { processSlots } from "@lodestar/state-transition";
import { processOperations } from "@lodestar/state-transition/block";
import { ssz } from "@lodestar/types";
import { devnetChainConfig } from "../../../devnet/consensus/config.js";
import { createGenesisState } from "../../../devnet/consensus/genesis.js";
import { asBeaconState, isGloasState, type BeaconState } from "../../../devnet/consensus/state.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import type { StateParts, ValidatorRecord } from "../../../oracle/beacon/stateParts.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import { openPenaltyGwei } from "../../../oracle/report/penalties.js";

const VALIDATORS = 64;
const ETH = 10n ** 9n; // in gwei

function genesis(fork: "fulu" | "gloas" = "fulu"): BeaconState {
  return createGenesisState({
    chainConfig: devnetChainConfig(1337, 0, 12, fork === "gloas" ? { GLOAS_FORK_EPOCH: 1 } : {}),
    genesisTime: 1_700_000_000,
    validators: VALIDATORS,
    payloadHeader: ssz.electra.ExecutionPayloadHeader.defaultValue(),
  }).state;
}

/** Through the end of the current epoch, in which every validator attests in time or none does. */
function nextEpoch(state: BeaconState, flags: 0 | 7): BeaconState {
  const everybody = new Array<number>(VALIDATORS).fill(flags);
  if (isGloasState(state)) {
    state.previousEpochParticipation = ssz.gloas.EpochParticipation.toViewDU(everybody);
    state.currentEpochParticipation = ssz.gloas.EpochParticipation.toViewDU(everybody);
  } else {
    state.previousEpochParticipation = ssz.altair.EpochParticipation.toViewDU(everybody);
    state.currentEpochParticipation = ssz.altair.EpochParticipation.toViewDU(everybody);
  }
  state.commit(); // or the copy that processSlots works on would be without them
  return asBeaconState(processSlots(state, (state.epochCtx.epoch + 1) * SLOTS_PER_EPOCH));
}

function epochs(state: BeaconState, count: number, flags: 0 | 7): BeaconState {
  let current = state;
  for (let i = 0; i < count; i++) current = nextEpoch(current, flags);
  return current;
}

/** As a block with the evidence that each of them signed two blocks of one slot does. */
function slash(state: BeaconState, indices: readonly number[]): void {
  for (const proposerIndex of indices) {
    const header = (fill: number) => ({
      message: {
        slot: BigInt(state.slot),
        proposerIndex,
        parentRoot: new Uint8Array(32).fill(fill),
        stateRoot: new Uint8Array(32),
        bodyRoot: new Uint8Array(32),
      },
      signature: new Uint8Array(96),
    });
    const fork = isGloasState(state) ? "gloas" : "fulu";
    const body = {
      ...ssz[fork].BeaconBlockBody.defaultValue(),
      proposerSlashings: [{ signedHeader1: header(1), signedHeader2: header(2) }],
    };
    processOperations(ForkSeq[fork], state, body, 0, { verifySignatures: false });
  }
  state.commit();
}

function read(state: BeaconState): StateParts {
  const pubkeys = new Set(state.validators.getAllReadonlyValues().map(({ pubkey }) => toHex(pubkey)));
  const reader = new StateReader(isGloasState(state) ? "gloas" : "fulu", { pubkeys });
  reader.push(state.serialize());
  const parts = reader.finish();
  expect(parts.stateRoot).to.equal(toHex(state.hashTreeRoot()));
  return parts;
}

function validatorAt(parts: StateParts, index: number): ValidatorRecord {
  return [...parts.validators.values()].find((validator) => validator.index === index)!;
}

describe("open penalties of slashed validators", () => {
  /**
   * Lets Lodestar's state transition run until the validator is withdrawable, and compares in every epoch what was open with
   * what the chain then really took.
   */
  function compare(start: BeaconState, index: number, later?: (state: BeaconState, epoch: number) => void) {
    const steps: { epoch: number; openGwei: bigint; balanceGwei: bigint; parts: StateParts }[] = [];
    let state = start;
    for (;;) {
      const parts = read(state);
      const validator = validatorAt(parts, index);
      const { epoch } = parts;
      steps.push({ epoch, openGwei: openPenaltyGwei(validator, parts), balanceGwei: validator.balanceGwei, parts });
      if (epoch >= validator.withdrawableEpoch) break;
      later?.(state, epoch);
      state = nextEpoch(state, 7);
    }
    const finalBalanceGwei = steps.at(-1)!.balanceGwei;
    return steps.map((step) => ({ ...step, lostGwei: step.balanceGwei - finalBalanceGwei }));
  }

  /** What the margin on the slashings sum may add, by its definition. */
  function marginGwei(parts: StateParts, effectiveGwei: bigint): bigint {
    const margin = parts.slashingsSumGwei / 4n + parts.totalActiveBalanceGwei / 8192n;
    return (margin * 3n * effectiveGwei) / parts.totalActiveBalanceGwei;
  }

  for (const [what, indices, fork] of [
    ["one validator", [5]],
    ["one validator, in Gloas", [5], "gloas"],
    ["four together", [5, 6, 7, 8]],
    ["half of the network, which lose everything", Array.from({ length: 32 }, (_, i) => i)],
  ] as const) {
    it(`cover what Lodestar's state transition takes, in every epoch: ${what}`, () => {
      const state = epochs(genesis(fork), 6, 7);
      slash(state, indices);
      const steps = compare(state, 5);
      const halfway = steps[0]!.epoch + EPOCHS_PER_SLASHINGS_VECTOR / 2;
      expect(steps.length).to.equal(EPOCHS_PER_SLASHINGS_VECTOR + 1);
      for (const { epoch, openGwei, lostGwei, balanceGwei, parts } of steps) {
        const { effectiveBalanceGwei } = validatorAt(parts, 5);
        expect(openGwei >= lostGwei, `epoch ${epoch}: ${openGwei} open, ${lostGwei} lost`).to.equal(true);
        // before the correlation penalty the margin may be too much; attestations are counted at today's effective balance
        const margin = epoch <= halfway ? marginGwei(parts, effectiveBalanceGwei) : 0n;
        const slack = margin + (lostGwei * 2n) / 10n + 10_000n;
        const most = lostGwei + slack < balanceGwei ? lostGwei + slack : balanceGwei;
        expect(openGwei <= most, `epoch ${epoch}: ${openGwei} open, ${lostGwei} lost, ${most} at most`).to.equal(true);
      }
      expect(steps.at(-1)!.openGwei).to.equal(0n);
      expect(steps.at(-1)!.epoch - steps.at(-1)!.parts.finalizedCheckpoint.epoch).to.equal(2); // no leak on the way
    });
  }

  it("count the correlation penalty up to the state of the epoch at whose end it is taken, and no longer", () => {
    const state = epochs(genesis(), 6, 7);
    slash(state, [5, 6]);
    const steps = compare(state, 5);
    const halfway = steps[0]!.epoch + EPOCHS_PER_SLASHINGS_VECTOR / 2;
    const [before, after] = [halfway, halfway + 1].map((epoch) => steps.find((step) => step.epoch === epoch)!);
    // 2 of 64 validators: 3 * 64 / 2048 of 32 ETH
    expect(before!.balanceGwei - after!.balanceGwei > (32n * ETH * 192n) / 2048n - ETH / 100n).to.equal(true);
    expect(before!.openGwei > 3n * ETH).to.equal(true);
    expect(after!.openGwei < ETH / 10n).to.equal(true);
  });

  it("the margin covers slashings that follow, up to a quarter of what is known", () => {
    const state = epochs(genesis(), 6, 7);
    slash(state, [1, 2, 3, 5]);
    const [first] = compare(state, 5, (current, epoch) => {
      if (epoch === 20) slash(current, [9]);
    });
    expect(first!.openGwei >= first!.lostGwei, `${first!.openGwei} open, ${first!.lostGwei} lost`).to.equal(true);
  });

  it("count the inactivity score that a leak has left", () => {
    const inLeak = epochs(epochs(genesis(), 4, 7), 40, 0);
    const state = epochs(inLeak, 6, 7);
    slash(state, [5]);
    const parts = read(state);
    const validator = validatorAt(parts, 5);
    expect(validator.inactivityScore > 16n).to.equal(true);
    const [first] = compare(state, 5);
    expect(first!.openGwei >= first!.lostGwei).to.equal(true);
    const withoutScore = openPenaltyGwei({ ...validator, inactivityScore: 0n }, parts);
    expect(first!.openGwei > withoutScore).to.equal(true);
  });

  describe("by numbers", () => {
    const slashed: ValidatorRecord = {
      index: 0,
      pubkey: "0x",
      withdrawalCredentials: "0x",
      effectiveBalanceGwei: 32n * ETH,
      slashed: true,
      activationEligibilityEpoch: 0,
      activationEpoch: 0,
      exitEpoch: 1000,
      withdrawableEpoch: 1000 + EPOCHS_PER_SLASHINGS_VECTOR,
      balanceGwei: 31_990_000_000n,
      previousParticipation: 0,
      currentParticipation: 0,
      inactivityScore: 0n,
    };
    const mainnet = {
      epoch: 1000,
      totalActiveBalanceGwei: 34_000_000n * ETH,
      slashedActiveBalanceGwei: 32n * ETH,
      slashingsSumGwei: 32n * ETH,
    };
    /** Of the documentation: independent of the preset but for the number of epochs. */
    const CORRELATION = 11_833_152n;
    const MISSED = 6_960n;

    it("of the documentation", () => {
      const all = BigInt(EPOCHS_PER_SLASHINGS_VECTOR);
      expect(openPenaltyGwei(slashed, mainnet)).to.equal(CORRELATION + all * MISSED);
      const applied = { ...mainnet, epoch: 1000 + EPOCHS_PER_SLASHINGS_VECTOR / 2 + 1 };
      expect(openPenaltyGwei(slashed, applied)).to.equal((all / 2n - 1n) * MISSED);
    });

    it("nothing for one that is not slashed, or is withdrawable", () => {
      expect(openPenaltyGwei({ ...slashed, slashed: false }, mainnet)).to.equal(0n);
      expect(openPenaltyGwei(slashed, { ...mainnet, epoch: slashed.withdrawableEpoch })).to.equal(0n);
    });

    it("never more than the balance", () => {
      expect(openPenaltyGwei({ ...slashed, balanceGwei: 7n }, mainnet)).to.equal(7n);
      expect(openPenaltyGwei(slashed, { ...mainnet, slashingsSumGwei: mainnet.totalActiveBalanceGwei })).to.equal(
        slashed.balanceGwei,
      );
    });

    it("defined when nobody is active", () => {
      const nobody = { ...mainnet, totalActiveBalanceGwei: 0n, slashedActiveBalanceGwei: 0n };
      expect(openPenaltyGwei(slashed, nobody)).to.equal(slashed.balanceGwei);
      expect(EFFECTIVE_BALANCE_INCREMENT).to.equal(Number(ETH));
    });

    it("an inactivity score runs out", () => {
      const extra = (inactivityScore: bigint) =>
        openPenaltyGwei({ ...slashed, inactivityScore }, mainnet) - openPenaltyGwei(slashed, mainnet);
      // scores 28, 16 and 4 by 32 ETH / (4 * 2^24)
      expect(extra(24n)).to.equal([28n, 16n, 4n].reduce((sum, s) => sum + (32n * ETH * s) / (4n * 2n ** 24n) + 1n, 0n));
    });
  });
});
