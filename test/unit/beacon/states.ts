import { BitArray, type Type } from "@chainsafe/ssz";
import { ssz, type electra, type fulu, type gloas } from "@lodestar/types";
import { MAX_EFFECTIVE_BALANCE_ELECTRA, MIN_ACTIVATION_BALANCE, SLOTS_PER_EPOCH } from "@lodestar/params";
import { toHex } from "../../../oracle/beacon/hex.js";
import type { SupportedFork } from "../../../oracle/beacon/forks.js";

/** States that a property is tried on, of each fork. The nightly run tries more. */
export const RANDOM_STATES = Number(process.env["RANDOM_STATES"] ?? 250);

export type BeaconState = electra.BeaconState | fulu.BeaconState;
export type AnyState = BeaconState | gloas.BeaconState;

/** A small generator of octets and numbers that gives the same for the same seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  below(limit: number): number {
    return this.uint32() % limit;
  }

  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.uint32() & 0xff);
  }

  list<T>(length: number, element: (index: number) => T): T[] {
    return Array.from({ length }, (_, i) => element(i));
  }
}

export interface StateShape {
  readonly seed: number;
  readonly validators: number;
  readonly pendingDeposits: number;
  readonly partialWithdrawals: number;
  readonly consolidations: number;
  readonly eth1Votes: number;
  readonly historicalSummaries: number;
  readonly historicalRoots: number;
}

export const EMPTY_SHAPE: StateShape = {
  seed: 1,
  validators: 0,
  pendingDeposits: 0,
  partialWithdrawals: 0,
  consolidations: 0,
  eth1Votes: 0,
  historicalSummaries: 0,
  historicalRoots: 0,
};

export function stateType(fork: SupportedFork) {
  return ssz[fork].BeaconState;
}

export function serialize(fork: SupportedFork, state: AnyState): Uint8Array {
  return (stateType(fork) as Type<AnyState>).serialize(state);
}

export function stateRoot(fork: SupportedFork, state: AnyState): Uint8Array {
  return (stateType(fork) as Type<AnyState>).hashTreeRoot(state);
}

/** A state whose every field is filled; half of its pending deposits are for validators that it has. */
export function randomState(fork: Exclude<SupportedFork, "gloas">, shape: StateShape): BeaconState;
export function randomState(fork: "gloas", shape: StateShape): gloas.BeaconState;
export function randomState(fork: SupportedFork, shape: StateShape): AnyState;
export function randomState(fork: SupportedFork, shape: StateShape): AnyState {
  const random = new Random(shape.seed);
  const root = () => random.bytes(32);
  const state: AnyState = ssz[fork].BeaconState.defaultValue();
  const epoch = 100 + random.below(1000);
  const gwei = () => random.below(2048) * 1_000_000_000 + random.below(1_000_000_000);
  const epochOrNever = () => (random.below(3) === 0 ? Infinity : epoch - 50 + random.below(100));

  state.genesisTime = random.uint32();
  state.genesisValidatorsRoot = root();
  state.slot = epoch * SLOTS_PER_EPOCH + random.below(SLOTS_PER_EPOCH);
  state.fork = { previousVersion: random.bytes(4), currentVersion: random.bytes(4), epoch: random.below(100) };
  state.latestBlockHeader = {
    slot: state.slot,
    proposerIndex: random.below(1000),
    parentRoot: root(),
    stateRoot: new Uint8Array(32),
    bodyRoot: root(),
  };
  state.blockRoots = state.blockRoots.map(root);
  state.stateRoots = state.stateRoots.map(root);
  state.randaoMixes = state.randaoMixes.map(root);
  state.slashings = state.slashings.map(() => (random.below(4) === 0 ? random.below(100) * 1_000_000_000 : 0));
  state.historicalRoots = random.list(shape.historicalRoots, root);
  state.historicalSummaries = random.list(shape.historicalSummaries, () => ({
    blockSummaryRoot: root(),
    stateSummaryRoot: root(),
  }));
  state.eth1Data = { depositRoot: root(), depositCount: BigInt(random.uint32()), blockHash: root() };
  state.eth1DataVotes = random.list(shape.eth1Votes, () => ({
    depositRoot: root(),
    depositCount: BigInt(random.uint32()),
    blockHash: root(),
  }));
  state.eth1DepositIndex = random.uint32();
  state.validators = random.list(shape.validators, () => ({
    pubkey: random.bytes(48),
    withdrawalCredentials: Uint8Array.of(random.below(4), ...random.bytes(31)),
    effectiveBalance:
      [0, MIN_ACTIVATION_BALANCE, MAX_EFFECTIVE_BALANCE_ELECTRA][random.below(4)] ?? random.below(2049) * 1_000_000_000,
    slashed: random.below(5) === 0,
    activationEligibilityEpoch: epochOrNever(),
    activationEpoch: epochOrNever(),
    exitEpoch: epochOrNever(),
    withdrawableEpoch: epochOrNever(),
  }));
  state.balances = random.list(shape.validators, gwei);
  state.previousEpochParticipation = random.list(shape.validators, () => random.below(8));
  state.currentEpochParticipation = random.list(shape.validators, () => random.below(8));
  state.inactivityScores = random.list(shape.validators, () => random.uint32());
  state.finalizedCheckpoint = { epoch: epoch - 2, root: root() };
  state.currentJustifiedCheckpoint = { epoch: epoch - 1, root: root() };
  state.previousJustifiedCheckpoint = { epoch: epoch - 2, root: root() };
  const committee = () => ({
    pubkeys: state.currentSyncCommittee.pubkeys.map(() => random.bytes(48)),
    aggregatePubkey: random.bytes(48),
  });
  state.currentSyncCommittee = committee();
  state.nextSyncCommittee = committee();
  if ("latestExecutionPayloadHeader" in state) {
    state.latestExecutionPayloadHeader = {
      ...state.latestExecutionPayloadHeader,
      parentHash: root(),
      stateRoot: root(),
      blockNumber: random.uint32(),
      timestamp: random.uint32(),
      blockHash: root(),
      baseFeePerGas: BigInt(random.uint32()),
      extraData: random.bytes(random.below(33)),
    };
  }
  state.nextWithdrawalIndex = random.uint32();
  state.nextWithdrawalValidatorIndex = random.below(shape.validators + 2);
  state.depositBalanceToConsume = BigInt(random.uint32());
  state.exitBalanceToConsume = BigInt(random.uint32());
  state.earliestExitEpoch = epoch + 5;
  state.pendingDeposits = random.list(shape.pendingDeposits, (i) => ({
    pubkey:
      state.validators[i % 2 === 0 ? random.below(shape.validators + 1) : shape.validators]?.pubkey ?? random.bytes(48),
    withdrawalCredentials: root(),
    amount: gwei(),
    signature: random.bytes(96),
    slot: random.uint32(),
  }));
  state.pendingPartialWithdrawals = random.list(shape.partialWithdrawals, () => ({
    validatorIndex: random.below(shape.validators + 1),
    amount: BigInt(gwei()),
    withdrawableEpoch: epoch + random.below(300),
  }));
  state.pendingConsolidations = random.list(shape.consolidations, () => ({
    sourceIndex: random.uint32(),
    targetIndex: random.uint32(),
  }));
  if ("proposerLookahead" in state) state.proposerLookahead = state.proposerLookahead.map(() => random.below(1000));
  if ("payloadExpectedWithdrawals" in state) fillGloas(state, shape, random);
  return state;
}

/** The fields that a state of Gloas has and earlier ones have not. */
function fillGloas(state: gloas.BeaconState, shape: StateShape, random: Random): void {
  const root = () => random.bytes(32);
  const withdrawal = () => ({
    feeRecipient: random.bytes(20),
    amount: random.uint32(),
    builderIndex: random.below(100),
  });
  state.latestBlockHash = root();
  state.builders = random.list(shape.consolidations, () => ({
    pubkey: random.bytes(48),
    version: random.below(3),
    executionAddress: random.bytes(20),
    balance: random.uint32(),
    depositEpoch: random.below(1000),
    withdrawableEpoch: Infinity,
  }));
  state.nextWithdrawalBuilderIndex = random.below(100);
  const { bitLen, uint8Array } = state.executionPayloadAvailability;
  state.executionPayloadAvailability = new BitArray(random.bytes(uint8Array.length), bitLen);
  state.builderPendingPayments = state.builderPendingPayments.map(() => ({
    weight: random.uint32(),
    withdrawal: withdrawal(),
    proposerIndex: random.below(1000),
  }));
  state.builderPendingWithdrawals = random.list(shape.eth1Votes, withdrawal);
  state.latestExecutionPayloadBid = {
    ...state.latestExecutionPayloadBid,
    parentBlockHash: root(),
    blockHash: root(),
    slot: state.slot,
    value: random.uint32(),
    blobKzgCommitments: random.list(shape.historicalSummaries, () => random.bytes(48)),
    executionRequestsRoot: root(),
  };
  state.payloadExpectedWithdrawals = random.list(shape.partialWithdrawals, (index) => ({
    index,
    // of validators that there are, of one that there is not, and of builders, whose indices carry a flag
    validatorIndex: random.below(4) === 0 ? 2 ** 40 + random.below(10) : random.below(shape.validators + 1),
    address: random.bytes(20),
    amount: BigInt(random.uint32()) * 1_000_000_000n,
  }));
  state.ptcWindow = state.ptcWindow.map((committee) => committee.map(() => random.below(1000)));
}

/** What a reader must find in a state, computed from the library's values in the most direct way. */
export function expectedParts(fork: SupportedFork, state: AnyState, pubkeys: ReadonlySet<string>) {
  const epoch = Math.floor(state.slot / SLOTS_PER_EPOCH);
  const isActive = (v: BeaconState["validators"][number]) => v.activationEpoch <= epoch && epoch < v.exitEpoch;
  const sumEffective = (counts: typeof isActive) =>
    state.validators.reduce((sum, v) => sum + (counts(v) ? BigInt(v.effectiveBalance) : 0n), 0n);
  const selected = state.validators.flatMap((v, index) => (pubkeys.has(toHex(v.pubkey)) ? [{ v, index }] : []));
  const pendingDeposits = new Map<string, unknown[]>();
  for (const deposit of state.pendingDeposits) {
    const pubkey = toHex(deposit.pubkey);
    if (!pubkeys.has(pubkey)) continue;
    pendingDeposits.set(pubkey, [
      ...(pendingDeposits.get(pubkey) ?? []),
      {
        pubkey,
        withdrawalCredentials: toHex(deposit.withdrawalCredentials),
        amountGwei: BigInt(deposit.amount),
        signature: toHex(deposit.signature),
        slot: deposit.slot,
      },
    ]);
  }
  // the ring of validators as the sweep goes around it
  const start = Math.min(state.nextWithdrawalValidatorIndex, state.validators.length);
  const ring = [...state.validators.slice(start), ...state.validators.slice(0, start)];
  const limit = (v: BeaconState["validators"][number]) =>
    ({ 1: MIN_ACTIVATION_BALANCE, 2: MAX_EFFECTIVE_BALANCE_ELECTRA })[v.withdrawalCredentials[0]!];
  const funded = ring.filter((v) => limit(v) !== undefined && v.effectiveBalance > 0);
  const payable = new Set(
    funded.filter((v) => v.withdrawableEpoch <= epoch || (isActive(v) && v.effectiveBalance === limit(v))),
  );
  return {
    fork,
    stateRoot: toHex(stateRoot(fork, state)),
    genesisTime: state.genesisTime,
    genesisValidatorsRoot: toHex(state.genesisValidatorsRoot),
    slot: state.slot,
    epoch,
    forkVersion: {
      previous: toHex(state.fork.previousVersion),
      current: toHex(state.fork.currentVersion),
      epoch: state.fork.epoch,
    },
    latestBlockHeader: {
      slot: state.latestBlockHeader.slot,
      proposerIndex: state.latestBlockHeader.proposerIndex,
      parentRoot: toHex(state.latestBlockHeader.parentRoot),
      stateRoot: toHex(state.latestBlockHeader.stateRoot),
      bodyRoot: toHex(state.latestBlockHeader.bodyRoot),
    },
    executionBlock: expectedExecutionBlock(state),
    ...expectedBid(state),
    finalizedCheckpoint: { epoch: state.finalizedCheckpoint.epoch, root: toHex(state.finalizedCheckpoint.root) },
    slashingsSumGwei: state.slashings.reduce((sum, gwei) => sum + BigInt(gwei), 0n),
    totalActiveBalanceGwei: sumEffective(isActive),
    slashedActiveBalanceGwei: sumEffective((v) => isActive(v) && v.slashed),
    validatorCount: state.validators.length,
    earliestExitEpoch: state.earliestExitEpoch,
    exitBalanceToConsumeGwei: state.exitBalanceToConsume,
    sweep: {
      nextIndex: state.nextWithdrawalValidatorIndex,
      payable: payable.size,
      funded: funded.length,
      payableAhead: new Map(
        selected.map(({ v }) => [
          toHex(v.pubkey),
          ring.slice(0, ring.indexOf(v)).filter((one) => payable.has(one)).length,
        ]),
      ),
    },
    pubkeys,
    validators: new Map(
      selected.map(({ v, index }) => [
        toHex(v.pubkey),
        {
          index,
          pubkey: toHex(v.pubkey),
          withdrawalCredentials: toHex(v.withdrawalCredentials),
          effectiveBalanceGwei: BigInt(v.effectiveBalance),
          slashed: v.slashed,
          activationEligibilityEpoch: v.activationEligibilityEpoch,
          activationEpoch: v.activationEpoch,
          exitEpoch: v.exitEpoch,
          withdrawableEpoch: v.withdrawableEpoch,
          balanceGwei: BigInt(state.balances[index]!),
          previousParticipation: state.previousEpochParticipation[index],
          currentParticipation: state.currentEpochParticipation[index],
          inactivityScore: BigInt(state.inactivityScores[index]!),
        },
      ]),
    ),
    pendingDeposits,
    pendingPartialWithdrawals: state.pendingPartialWithdrawals
      .filter(({ validatorIndex }) => selected.some(({ index }) => index === validatorIndex))
      .map(({ validatorIndex, amount, withdrawableEpoch }) => ({
        validatorIndex,
        amountGwei: amount,
        withdrawableEpoch,
      })),
    payloadExpectedWithdrawals: ("payloadExpectedWithdrawals" in state ? state.payloadExpectedWithdrawals : [])
      .filter(({ validatorIndex }) => selected.some(({ index }) => index === validatorIndex))
      .map(({ validatorIndex, address, amount }) => ({ validatorIndex, address: toHex(address), amountGwei: amount })),
  };
}

function expectedBid(state: AnyState) {
  if (!("latestExecutionPayloadBid" in state)) return {};
  const { blockHash, executionRequestsRoot } = state.latestExecutionPayloadBid;
  return { bid: { blockHash: toHex(blockHash), executionRequestsRoot: toHex(executionRequestsRoot) } };
}

function expectedExecutionBlock(state: AnyState) {
  if (!("latestExecutionPayloadHeader" in state)) return { hash: toHex(state.latestBlockHash) };
  const { blockNumber, blockHash, stateRoot, timestamp } = state.latestExecutionPayloadHeader;
  return { number: blockNumber, hash: toHex(blockHash), stateRoot: toHex(stateRoot), timestamp };
}
