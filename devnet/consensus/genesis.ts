import { createBeaconConfig, createChainForkConfig, type BeaconConfig, type ChainConfig } from "@lodestar/config";
import {
  EPOCHS_PER_HISTORICAL_VECTOR,
  EFFECTIVE_BALANCE_INCREMENT,
  ForkSeq,
  MIN_ACTIVATION_BALANCE,
  UNSET_DEPOSIT_REQUESTS_START_INDEX,
} from "@lodestar/params";
import {
  createCachedBeaconState,
  createPubkeyCache,
  getNextSyncCommittee,
  interopSecretKey,
} from "@lodestar/state-transition";
import { upgradeStateToFulu } from "@lodestar/state-transition/slot";
import { ssz, type deneb } from "@lodestar/types";
import { concat, getBytes, toBeHex } from "ethers";
import "../../oracle/beacon/hasher.js"; // makes the SSZ library hash natively: its default is 26 times slower
import type { BeaconState } from "./state.js";

export interface GenesisOptions {
  chainConfig: ChainConfig;
  genesisTime: number;
  validators: number;
  payloadHeader: deneb.ExecutionPayloadHeader;
}

/**
 * Genesis state: `validators` active validators with Lodestar's interop keys and 0x01 credentials of addresses nobody uses, the
 * execution genesis as latest payload. Built as Electra, and upgraded by the fork's own function when Fulu starts at epoch 0.
 */
export function createGenesisState(options: GenesisOptions): { config: BeaconConfig; state: BeaconState } {
  const { chainConfig, genesisTime, validators, payloadHeader } = options;
  const state = ssz.electra.BeaconState.defaultViewDU();
  state.genesisTime = genesisTime;
  state.fork = ssz.phase0.Fork.toViewDU({
    previousVersion: chainConfig.DENEB_FORK_VERSION,
    currentVersion: chainConfig.ELECTRA_FORK_VERSION,
    epoch: 0,
  });
  const { BeaconBlockBody } = createChainForkConfig(chainConfig).getForkTypes(0);
  state.latestBlockHeader = ssz.phase0.BeaconBlockHeader.toViewDU({
    ...ssz.phase0.BeaconBlockHeader.defaultValue(),
    bodyRoot: BeaconBlockBody.hashTreeRoot(BeaconBlockBody.defaultValue()),
  });
  const { blockHash } = payloadHeader;
  state.eth1Data = ssz.phase0.Eth1Data.toViewDU({ ...ssz.phase0.Eth1Data.defaultValue(), blockHash });
  state.randaoMixes = ssz.phase0.RandaoMixes.toViewDU(
    Array.from({ length: EPOCHS_PER_HISTORICAL_VECTOR }, () => blockHash),
  );
  for (let i = 0; i < validators; i++) {
    state.validators.push(
      ssz.phase0.Validator.toViewDU({
        pubkey: interopSecretKey(i).toPublicKey().toBytes(),
        withdrawalCredentials: getBytes(concat(["0x01", new Uint8Array(11), toBeHex(0xdead0000 + i, 20)])),
        effectiveBalance: MIN_ACTIVATION_BALANCE,
        slashed: false,
        activationEligibilityEpoch: 0,
        activationEpoch: 0,
        exitEpoch: Infinity,
        withdrawableEpoch: Infinity,
      }),
    );
    state.balances.push(MIN_ACTIVATION_BALANCE);
    state.previousEpochParticipation.push(0);
    state.currentEpochParticipation.push(0);
    state.inactivityScores.push(0);
  }
  state.latestExecutionPayloadHeader = ssz.electra.ExecutionPayloadHeader.toViewDU(payloadHeader);
  state.depositRequestsStartIndex = UNSET_DEPOSIT_REQUESTS_START_INDEX;
  state.earliestExitEpoch = 1;
  state.earliestConsolidationEpoch = 1;
  state.commit();
  state.genesisValidatorsRoot = state.validators.hashTreeRoot();
  const { syncCommittee } = getNextSyncCommittee(
    ForkSeq.electra,
    state,
    Uint32Array.from({ length: validators }, (_, i) => i),
    new Uint16Array(validators).fill(MIN_ACTIVATION_BALANCE / EFFECTIVE_BALANCE_INCREMENT),
  );
  state.currentSyncCommittee = ssz.altair.SyncCommittee.toViewDU(syncCommittee);
  state.nextSyncCommittee = ssz.altair.SyncCommittee.toViewDU(syncCommittee);
  state.commit();

  const config = createBeaconConfig(chainConfig, state.genesisValidatorsRoot);
  if (chainConfig.FULU_FORK_EPOCH > 0) {
    return { config, state: createCachedBeaconState(state, { config, pubkeyCache: createPubkeyCache() }) };
  }
  const electraConfig = createBeaconConfig(
    { ...chainConfig, FULU_FORK_EPOCH: Infinity, GLOAS_FORK_EPOCH: Infinity },
    state.genesisValidatorsRoot,
  );
  const electra = createCachedBeaconState(state, { config: electraConfig, pubkeyCache: createPubkeyCache() });
  const fulu = ssz.fulu.BeaconState.getViewDU(upgradeStateToFulu(electra).node);
  return { config, state: createCachedBeaconState(fulu, { config, pubkeyCache: createPubkeyCache() }) };
}
