import type { ChainConfig } from "@lodestar/config";
import { minimalChainConfig } from "@lodestar/config/configs";
import { ACTIVE_PRESET, PresetName } from "@lodestar/params";
import { getBytes } from "ethers";
import { DevnetError } from "../errors.js";
import { DEPOSIT_CONTRACT_ADDRESS } from "../execution/predeploys.js";

/**
 * Mainnet's rules on the minimal preset, with every waiting time short. Churn is wide: 16 activations or exits an epoch, and
 * with 64 validators as much left for consolidations.
 */
export function devnetChainConfig(
  chainId: number,
  fuluEpoch: number,
  secondsPerSlot: number,
  extra: Partial<ChainConfig>,
): ChainConfig {
  if (ACTIVE_PRESET !== PresetName.minimal) {
    throw new DevnetError(
      "DEVNET_INVALID",
      `the devnet runs the minimal preset, this process loaded ${ACTIVE_PRESET}; set LODESTAR_PRESET=minimal before it starts`,
    );
  }
  return {
    ...minimalChainConfig,
    ALTAIR_FORK_EPOCH: 0,
    BELLATRIX_FORK_EPOCH: 0,
    CAPELLA_FORK_EPOCH: 0,
    DENEB_FORK_EPOCH: 0,
    ELECTRA_FORK_EPOCH: 0,
    FULU_FORK_EPOCH: fuluEpoch,
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- still served by every beacon node's /config/spec
    SECONDS_PER_SLOT: secondsPerSlot,
    SLOT_DURATION_MS: secondsPerSlot * 1000,
    SHARD_COMMITTEE_PERIOD: 4,
    MIN_VALIDATOR_WITHDRAWABILITY_DELAY: 2,
    CHURN_LIMIT_QUOTIENT: 2,
    CHURN_LIMIT_QUOTIENT_GLOAS: 4,
    CONSOLIDATION_CHURN_LIMIT_QUOTIENT: 4,
    MAX_PER_EPOCH_ACTIVATION_CHURN_LIMIT_GLOAS: 512_000_000_000,
    MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT: 512_000_000_000,
    DEPOSIT_CHAIN_ID: chainId,
    DEPOSIT_NETWORK_ID: chainId,
    DEPOSIT_CONTRACT_ADDRESS: getBytes(DEPOSIT_CONTRACT_ADDRESS),
    ...extra,
  };
}
