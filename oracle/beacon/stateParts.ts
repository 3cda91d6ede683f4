import type { SupportedFork } from "./forks.js";

/** Epoch of something that has not been scheduled (the consensus specification's FAR_FUTURE_EPOCH). */
export const FAR_FUTURE_EPOCH = Infinity;

/** A validator of ours as the state has it. Octets are lower case hex with `0x`. */
export interface ValidatorRecord {
  readonly index: number;
  readonly pubkey: string;
  readonly withdrawalCredentials: string;
  readonly effectiveBalanceGwei: bigint;
  readonly slashed: boolean;
  /** Epochs are FAR_FUTURE_EPOCH until the chain has scheduled them. */
  readonly activationEligibilityEpoch: number;
  readonly activationEpoch: number;
  readonly exitEpoch: number;
  readonly withdrawableEpoch: number;
  readonly balanceGwei: bigint;
  /** Participation flags (source 1, target 2, head 4) of the previous and of the current epoch. */
  readonly previousParticipation: number;
  readonly currentParticipation: number;
  readonly inactivityScore: bigint;
}

/** A deposit of the execution layer (EIP-6110). */
export interface DepositRequest {
  readonly pubkey: string;
  readonly withdrawalCredentials: string;
  readonly amountGwei: bigint;
  readonly signature: string;
}

/** One that waits in the beacon state (EIP-7251). */
export interface PendingDeposit extends DepositRequest {
  readonly slot: number;
}

/** A partial withdrawal (EIP-7002) that waits; the amount is still part of the validator's balance. */
export interface PendingPartialWithdrawal {
  readonly validatorIndex: number;
  readonly amountGwei: bigint;
  readonly withdrawableEpoch: number;
}

/** A withdrawal that has left the validator's balance and that the next execution payload brings (EIP-7732). */
export interface ExpectedWithdrawal {
  readonly validatorIndex: number;
  readonly address: string;
  readonly amountGwei: bigint;
}

export interface Checkpoint {
  readonly epoch: number;
  readonly root: string;
}

export interface BlockHeader {
  readonly slot: number;
  readonly proposerIndex: number;
  readonly parentRoot: string;
  readonly stateRoot: string;
  readonly bodyRoot: string;
}

/**
 * How the sweep stands, which goes around all validators and pays what they need not keep. Counted by their records alone: of an
 * active one with the largest effective balance its credentials allow it is supposed that it has earned something when its turn comes.
 */
export interface SweepParts {
  /** The validator at which the next block goes on. */
  readonly nextIndex: number;
  /** Validators that have something to be paid. */
  readonly payable: number;
  /** Validators with ether and a withdrawal address: more of them never get anything. */
  readonly funded: number;
  /** By public key, of the validators asked for: payable ones from `nextIndex` on before its turn. */
  readonly payableAhead: ReadonlyMap<string, number>;
}

export interface ExecutionBlock {
  readonly number: number;
  readonly hash: string;
  readonly stateRoot: string;
  readonly timestamp: number;
}

/** What the latest block promises about its execution payload, which comes after it or never (EIP-7732). */
export interface PayloadBid {
  readonly blockHash: string;
  /** hash_tree_root of the requests of the execution layer in it, deposits among them; the next beacon block brings them. */
  readonly executionRequestsRoot: string;
}

/** What the reader takes from a state, with the root of the very octets that it took it from. */
export type StateParts = HeaderStateParts | GloasStateParts;

/** Of a state that has the header of its execution block. */
export interface HeaderStateParts extends CommonParts {
  readonly fork: Exclude<SupportedFork, "gloas">;
  /** The execution block that belongs to the latest beacon block. */
  readonly executionBlock: ExecutionBlock;
}

/** Of a state of Gloas (EIP-7732), which has the hash alone. */
export interface GloasStateParts extends CommonParts {
  readonly fork: "gloas";
  /** The latest execution block whose requests the state has: that of the latest beacon block comes after it, or never. */
  readonly executionBlock: Pick<ExecutionBlock, "hash">;
  readonly bid: PayloadBid;
}

export type PartsOf<F extends SupportedFork> = F extends "gloas" ? GloasStateParts : HeaderStateParts;

/** What the states of all forks have. */
interface CommonParts {
  /** hash_tree_root of the octets read. Nothing here means anything before this equals a root that the chain committed to. */
  readonly stateRoot: string;
  readonly genesisTime: number;
  readonly genesisValidatorsRoot: string;
  readonly slot: number;
  readonly epoch: number;
  readonly forkVersion: { readonly previous: string; readonly current: string; readonly epoch: number };
  /** The header of the latest block; in the post-state of that block its own `stateRoot` is still zero. */
  readonly latestBlockHeader: BlockHeader;
  readonly finalizedCheckpoint: Checkpoint;
  /** Sum of the slashings vector: effective balances slashed in the last EPOCHS_PER_SLASHINGS_VECTOR epochs. */
  readonly slashingsSumGwei: bigint;
  /** Effective balances of the validators active in the state's epoch, without the specification's lower bound. */
  readonly totalActiveBalanceGwei: bigint;
  /** The part of it that belongs to slashed validators, which are on their way out. */
  readonly slashedActiveBalanceGwei: bigint;
  readonly validatorCount: number;
  /** The exit queue (EIP-7251): the epoch that gets the next exit, and the balance that may still leave in it. */
  readonly earliestExitEpoch: number;
  readonly exitBalanceToConsumeGwei: bigint;
  readonly sweep: SweepParts;
  /** The keys asked for: of any other key nothing below tells anything. */
  readonly pubkeys: ReadonlySet<string>;
  /** By public key, of the keys asked for, those in the beacon registry. */
  readonly validators: ReadonlyMap<string, ValidatorRecord>;
  /** By public key, of the keys asked for, all their entries in queue order. */
  readonly pendingDeposits: ReadonlyMap<string, readonly PendingDeposit[]>;
  /** Of the validators above, in queue order. */
  readonly pendingPartialWithdrawals: readonly PendingPartialWithdrawal[];
  /** Of the validators above, what `executionBlock` does not have and their balances no longer: a sum of what there is adds it back. */
  readonly payloadExpectedWithdrawals: readonly ExpectedWithdrawal[];
}
