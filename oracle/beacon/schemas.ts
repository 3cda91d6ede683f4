import { EFFECTIVE_BALANCE_INCREMENT } from "@lodestar/params";
import { z } from "zod";

// The answers of the Beacon API (https://ethereum.github.io/beacon-APIs/) as far as they are used here. Unknown members are
// ignored, as nodes add their own; a missing or malformed one is refused.

const uint = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,15})$/, "not a decimal number below 2^53")
  .transform(Number);

const quotient = uint.refine((value) => value > 0, "must not be 0").transform(BigInt);
const churn = uint.refine((gwei) => gwei >= EFFECTIVE_BALANCE_INCREMENT, "less than 1 ETH").transform(BigInt);

const octets = (size: number) =>
  z
    .string()
    .regex(new RegExp(`^0x[0-9a-fA-F]{${size * 2}}$`), `not ${size} octets of hex with 0x`)
    .transform((hex) => hex.toLowerCase());

const root = octets(32);
const checkpoint = z.object({ epoch: uint, root });

export const genesisAnswer = z.object({
  data: z
    .object({ genesis_time: uint, genesis_validators_root: root, genesis_fork_version: octets(4) })
    .transform((data) => ({
      genesisTime: data.genesis_time,
      genesisValidatorsRoot: data.genesis_validators_root,
      genesisForkVersion: data.genesis_fork_version,
    })),
});

/** Newer nodes give the length of a slot in milliseconds, older ones in seconds, many give both. */
export const specAnswer = z.object({
  data: z
    .object({
      CONFIG_NAME: z.string().default("unnamed"),
      PRESET_BASE: z.string(),
      SLOTS_PER_EPOCH: uint,
      SECONDS_PER_SLOT: uint.optional(),
      SLOT_DURATION_MS: uint.optional(),
      GENESIS_FORK_VERSION: octets(4),
      DEPOSIT_CHAIN_ID: uint,
      DEPOSIT_CONTRACT_ADDRESS: octets(20),
    })
    .transform((data, context) => {
      const secondsPerSlot = data.SECONDS_PER_SLOT ?? (data.SLOT_DURATION_MS ?? 0) / 1000;
      if (!Number.isInteger(secondsPerSlot) || secondsPerSlot === 0) {
        context.addIssue("neither SECONDS_PER_SLOT nor SLOT_DURATION_MS gives whole seconds");
        return z.NEVER;
      }
      return {
        configName: data.CONFIG_NAME,
        presetBase: data.PRESET_BASE,
        slotsPerEpoch: data.SLOTS_PER_EPOCH,
        secondsPerSlot,
        genesisForkVersion: data.GENESIS_FORK_VERSION,
        depositChainId: data.DEPOSIT_CHAIN_ID,
        depositContractAddress: data.DEPOSIT_CONTRACT_ADDRESS,
      };
    }),
});

/** What the chain's configuration says about exits; the preset says the rest. */
export const exitRulesAnswer = z.object({
  data: z
    .object({
      CHURN_LIMIT_QUOTIENT: quotient,
      // a node that does not know Gloas yet does not tell it; mainnet's
      CHURN_LIMIT_QUOTIENT_GLOAS: quotient.default(2n ** 15n),
      MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA: churn,
      MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT: churn,
      MIN_VALIDATOR_WITHDRAWABILITY_DELAY: uint,
      SHARD_COMMITTEE_PERIOD: uint,
    })
    .transform((data) => ({
      churnLimitQuotient: data.CHURN_LIMIT_QUOTIENT,
      churnLimitQuotientGloas: data.CHURN_LIMIT_QUOTIENT_GLOAS,
      minChurnGwei: data.MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA,
      maxExitChurnGwei: data.MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT,
      minValidatorWithdrawabilityDelay: data.MIN_VALIDATOR_WITHDRAWABILITY_DELAY,
      shardCommitteePeriod: data.SHARD_COMMITTEE_PERIOD,
    })),
});

export const headerAnswer = z.object({
  execution_optimistic: z.boolean(),
  data: z
    .object({
      root,
      canonical: z.boolean(),
      header: z.object({
        message: z.object({
          slot: uint,
          proposer_index: uint,
          parent_root: root,
          state_root: root,
          body_root: root,
        }),
      }),
    })
    .transform(({ root: blockRoot, canonical, header: { message } }) => ({
      root: blockRoot,
      canonical,
      header: {
        slot: message.slot,
        proposerIndex: message.proposer_index,
        parentRoot: message.parent_root,
        stateRoot: message.state_root,
        bodyRoot: message.body_root,
      },
    })),
});

export const finalityCheckpointsAnswer = z.object({
  execution_optimistic: z.boolean(),
  data: z
    .object({ previous_justified: checkpoint, current_justified: checkpoint, finalized: checkpoint })
    .transform((data) => ({
      previousJustified: data.previous_justified,
      currentJustified: data.current_justified,
      finalized: data.finalized,
    })),
});

export const syncingAnswer = z.object({
  data: z
    .object({
      head_slot: uint,
      sync_distance: uint,
      is_syncing: z.boolean(),
      is_optimistic: z.boolean(),
      el_offline: z.boolean(),
    })
    .transform((data) => ({
      headSlot: data.head_slot,
      syncDistance: data.sync_distance,
      isSyncing: data.is_syncing,
      isOptimistic: data.is_optimistic,
      isExecutionOffline: data.el_offline,
    })),
});

export const versionAnswer = z.object({ data: z.object({ version: z.string() }) });

export const headEvent = z
  .object({ slot: uint, block: root, state: root, epoch_transition: z.boolean(), execution_optimistic: z.boolean() })
  .transform((data) => ({
    slot: data.slot,
    blockRoot: data.block,
    stateRoot: data.state,
    isEpochTransition: data.epoch_transition,
    isExecutionOptimistic: data.execution_optimistic,
  }));

export const finalizedCheckpointEvent = z
  .object({ epoch: uint, block: root, state: root, execution_optimistic: z.boolean() })
  .transform((data) => ({
    epoch: data.epoch,
    blockRoot: data.block,
    stateRoot: data.state,
    isExecutionOptimistic: data.execution_optimistic,
  }));

export type Genesis = z.output<typeof genesisAnswer>["data"];
export type ChainSpec = z.output<typeof specAnswer>["data"];
export type ExitRules = z.output<typeof exitRulesAnswer>["data"];
export type HeaderAnswer = z.output<typeof headerAnswer>["data"];
export type FinalityCheckpoints = z.output<typeof finalityCheckpointsAnswer>["data"];
export type Syncing = z.output<typeof syncingAnswer>["data"];
export type HeadEvent = z.output<typeof headEvent>;
export type FinalizedCheckpointEvent = z.output<typeof finalizedCheckpointEvent>;
