import { FAR_FUTURE_EPOCH } from "@lodestar/params";
import type {
  CachedBeaconStateAllForks,
  CachedBeaconStateElectra,
  CachedBeaconStateFulu,
  CachedBeaconStateGloas,
} from "@lodestar/state-transition";
import type { ValidatorStatus, phase0 } from "@lodestar/types";
import { getBytes } from "ethers";
import { DevnetError } from "../errors.js";

/** A state of the devnet: every chain of it starts at Electra or later. */
export type BeaconState = CachedBeaconStateElectra | CachedBeaconStateFulu | CachedBeaconStateGloas;

export interface ValidatorView {
  index: number;
  balanceGwei: bigint;
  status: ValidatorStatus;
  validator: phase0.Validator;
}

export function asBeaconState(state: CachedBeaconStateAllForks): BeaconState {
  if (!isBeaconState(state)) {
    throw new DevnetError(
      "DEVNET_INVALID",
      "the devnet speaks Electra, Fulu and Gloas only; check the forks in extraConfig",
      {
        slot: state.slot,
      },
    );
  }
  return state;
}

function isBeaconState(state: CachedBeaconStateAllForks): state is BeaconState {
  return "pendingDeposits" in state.type.fields;
}

export function isFuluState(state: BeaconState): state is CachedBeaconStateFulu | CachedBeaconStateGloas {
  return "proposerLookahead" in state.type.fields;
}

export function isGloasState(state: BeaconState): state is CachedBeaconStateGloas {
  return "latestExecutionPayloadBid" in state.type.fields;
}

/** Status names of the Beacon API. */
export function validatorStatus(validator: phase0.Validator, balanceGwei: number, epoch: number): ValidatorStatus {
  if (epoch < validator.activationEpoch) {
    return validator.activationEligibilityEpoch === FAR_FUTURE_EPOCH ? "pending_initialized" : "pending_queued";
  }
  if (epoch < validator.exitEpoch) {
    if (validator.exitEpoch === FAR_FUTURE_EPOCH) return "active_ongoing";
    return validator.slashed ? "active_slashed" : "active_exiting";
  }
  if (epoch < validator.withdrawableEpoch) return validator.slashed ? "exited_slashed" : "exited_unslashed";
  return balanceGwei === 0 ? "withdrawal_done" : "withdrawal_possible";
}

export function validatorByIndex(state: BeaconState, index: number): ValidatorView | null {
  if (!Number.isInteger(index) || index < 0 || index >= state.validators.length) return null;
  const validator = state.validators.getReadonly(index).toValue();
  const balance = state.balances.get(index);
  return {
    index,
    balanceGwei: BigInt(balance),
    status: validatorStatus(validator, balance, state.epochCtx.epoch),
    validator,
  };
}

export function validatorByPubkey(state: BeaconState, pubkey: string): ValidatorView | null {
  const index = state.epochCtx.getValidatorIndex(getBytes(pubkey));
  return index === null ? null : validatorByIndex(state, index); // the key cache is shared by all states: may be newer than this one
}
