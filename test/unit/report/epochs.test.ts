import { expect } from "chai";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { processSlots } from "@lodestar/state-transition";
import { ssz, type phase0 } from "@lodestar/types";
import { devnetChainConfig } from "../../../devnet/consensus/config.js";
import { createGenesisState } from "../../../devnet/consensus/genesis.js";
import { asBeaconState, isGloasState, type BeaconState } from "../../../devnet/consensus/state.js";
import { fromHex, toHex } from "../../../oracle/beacon/hex.js";
import { headerRoot } from "../../../oracle/beacon/readVerified.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import { credentialsOf } from "../../../oracle/report/ownership.js";
import { computeReport, type ReportRow } from "../../../oracle/report/report.js";

const VAULT = "0x00000000000000000000000000000000c0ffee42";
const [OURS, OURS_COMPOUNDING] = [...credentialsOf(VAULT)] as [string, string];
const VALIDATORS = 64;
const ETH = 10n ** 9n; // in gwei
/** Most that a validator earns in the few epochs of a test. */
const REWARDS_GWEI = ETH / 10n;

for (const fork of ["fulu", "gloas"] as const) {
  describe(`report of ${fork}, as epochs go by in Lodestar's state transition`, () => {
    function genesis(): BeaconState {
      const extra = fork === "gloas" ? { GLOAS_FORK_EPOCH: 1 } : {};
      const { state } = createGenesisState({
        chainConfig: devnetChainConfig(1337, 0, 12, extra),
        genesisTime: 1_700_000_000,
        validators: VALIDATORS,
        payloadHeader: ssz.electra.ExecutionPayloadHeader.defaultValue(),
      });
      return epochs(state, 6);
    }

    /** Everybody attests in time. */
    function epochs(state: BeaconState, count: number): BeaconState {
      let current = state;
      for (let i = 0; i < count; i++) {
        for (const flags of [current.previousEpochParticipation, current.currentEpochParticipation]) {
          for (let index = 0; index < VALIDATORS; index++) flags.set(index, 7);
        }
        current.commit(); // or the copy that processSlots works on would be without them
        current = asBeaconState(processSlots(current, (current.epochCtx.epoch + 1) * SLOTS_PER_EPOCH));
      }
      return current;
    }

    function change(state: BeaconState, index: number, changes: Partial<phase0.Validator>): void {
      Object.assign(state.validators.get(index), { withdrawalCredentials: fromHex(OURS), ...changes });
      state.commit();
    }

    const pubkeyOf = (state: BeaconState, index: number): string => toHex(state.validators.getReadonly(index).pubkey);

    /** The rows of validators at some indices, which is also their ids. */
    function rowsOf(state: BeaconState, ...indices: readonly number[]): readonly ReportRow[] {
      expect(isGloasState(state)).to.equal(fork === "gloas");
      const pubkeys = indices.map((index) => pubkeyOf(state, index));
      const reader = new StateReader(fork, { pubkeys: new Set(pubkeys) });
      reader.push(state.serialize());
      const parts = reader.finish();
      const header = { ...parts.latestBlockHeader, stateRoot: parts.stateRoot };
      return computeReport({
        refSlot: BigInt(state.slot),
        state: { ...parts, header, blockRoot: headerRoot(header) },
        registry: indices.map((id, i) => ({ id, pubkey: pubkeys[i]!, cluster: 1, isExiting: false, isExited: false })),
        withdrawalVault: VAULT,
        genesisForkVersion: "0x00000001",
        withdrawnAtRefWei: 0n,
        payload: { kind: "processed" },
      }).table;
    }

    const totalGwei = (rows: readonly ReportRow[]): bigint =>
      rows.reduce((sum, row) => sum + row.balanceGwei + row.pendingGwei + row.expectedWithdrawalsGwei, 0n);

    it("a consolidation is no loss: its source counts until its ether has moved, then has left", () => {
      const state = genesis();
      const epoch = state.epochCtx.epoch;
      change(state, 5, { exitEpoch: epoch + 1, withdrawableEpoch: epoch + 3 });
      change(state, 6, { withdrawalCredentials: fromHex(OURS_COMPOUNDING) });
      state.pendingConsolidations.push(ssz.electra.PendingConsolidation.toViewDU({ sourceIndex: 5, targetIndex: 6 }));
      state.commit();
      const before = totalGwei(rowsOf(state, 5, 6));
      const waiting = rowsOf(epochs(state, 2), 5, 6);
      expect(waiting[0]!.balanceGwei >= 32n * ETH).to.equal(true);
      expect(waiting[0]).to.include({ isExiting: true, isExited: false });
      const after = rowsOf(epochs(state, 4), 5, 6);
      expect(after[0]).to.include({ standing: "owned", isExiting: false, isExited: true });
      expect(after[0]!.balanceGwei < REWARDS_GWEI).to.equal(true);
      expect(after[1]!.balanceGwei > 64n * ETH - REWARDS_GWEI).to.equal(true);
      for (const rows of [waiting, after]) {
        expect(totalGwei(rows) - before >= 0n && totalGwei(rows) - before < 2n * REWARDS_GWEI).to.equal(true);
      }
    });

    it("a deposit for a validator that exits is postponed, not lost, and comes to its balance in the end", () => {
      const state = genesis();
      const epoch = state.epochCtx.epoch;
      change(state, 5, { exitEpoch: epoch + 2, withdrawableEpoch: epoch + 4 });
      const type = ssz.electra.PendingDeposit;
      const deposit = (index: number, gwei: bigint) =>
        type.toViewDU({ ...type.defaultValue(), pubkey: fromHex(pubkeyOf(state, index)), amount: Number(gwei) });
      state.pendingDeposits.push(deposit(5, 3n * ETH));
      state.pendingDeposits.push(deposit(6, ETH)); // behind it in the queue, and taken before
      state.commit();
      change(state, 6, {});
      expect(rowsOf(state, 5, 6).map(({ pendingGwei }) => pendingGwei)).to.deep.equal([3n * ETH, ETH]);
      const postponed = rowsOf(epochs(state, 2), 5, 6);
      expect(postponed.map(({ pendingGwei }) => pendingGwei)).to.deep.equal([3n * ETH, 0n]);
      const [applied] = rowsOf(epochs(state, 5), 5);
      expect(applied!.pendingGwei).to.equal(0n);
      expect(applied!.balanceGwei > 35n * ETH && applied!.balanceGwei < 35n * ETH + REWARDS_GWEI).to.equal(true);
      expect(applied).to.include({ isExited: false });
    });

    it("a deposit after all was swept brings the balance back: it counts, and the validator has not left again", () => {
      const state = genesis();
      const epoch = state.epochCtx.epoch;
      change(state, 5, { exitEpoch: epoch - 3, withdrawableEpoch: epoch - 1, effectiveBalance: 0 });
      state.balances.set(5, 0);
      expect(rowsOf(state, 5)[0]).to.include({ isExited: true, balanceGwei: 0n });
      const type = ssz.electra.PendingDeposit;
      const pubkey = fromHex(pubkeyOf(state, 5));
      state.pendingDeposits.push(type.toViewDU({ ...type.defaultValue(), pubkey, amount: Number(2n * ETH) }));
      state.commit();
      expect(totalGwei(rowsOf(state, 5))).to.equal(2n * ETH);
      expect(rowsOf(epochs(state, 1), 5)[0]).to.include({ isExited: false, balanceGwei: 2n * ETH, pendingGwei: 0n });
    });

    it("a partial withdrawal that is asked for is still in the balance", () => {
      const state = genesis();
      change(state, 5, { withdrawalCredentials: fromHex(OURS_COMPOUNDING) });
      state.balances.set(5, Number(40n * ETH));
      state.pendingPartialWithdrawals.push(
        ssz.electra.PendingPartialWithdrawal.toViewDU({ validatorIndex: 5, amount: 7n * ETH, withdrawableEpoch: 9999 }),
      );
      state.commit();
      expect(totalGwei(rowsOf(state, 5))).to.equal(40n * ETH);
    });
  });
}
