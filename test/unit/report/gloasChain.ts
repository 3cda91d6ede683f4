import { createBeaconConfig } from "@lodestar/config";
import { chainConfig } from "@lodestar/config/default";
import { ForkSeq, MIN_ACTIVATION_BALANCE, SLOTS_PER_HISTORICAL_ROOT } from "@lodestar/params";
import {
  createCachedBeaconState,
  createPubkeyCache,
  getRandaoMix,
  type CachedBeaconStateGloas,
} from "@lodestar/state-transition";
import {
  processExecutionPayloadBid,
  processParentExecutionPayload,
  processWithdrawals,
} from "@lodestar/state-transition/block";
import { ssz, type electra, type gloas, type phase0 } from "@lodestar/types";
import { encodeRlp, keccak256, toBeArray, toBeHex, toQuantity } from "ethers";
import { fromHex, toHex } from "../../../oracle/beacon/hex.js";
import { readDepositRequests } from "../../../oracle/beacon/readPayload.js";
import { headerRoot, type VerifiedState } from "../../../oracle/beacon/readVerified.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import { timeOfSlot, type FrameConfig } from "../../../oracle/clock.js";
import { FailoverProvider } from "../../../oracle/execution/provider.js";
import { createLogger } from "../../../oracle/ops/logging.js";

export const FRAMES: FrameConfig = { genesisTime: 1_700_000_000n, secondsPerSlot: 12n, slotsPerFrame: 32n };
export const FIRST_SLOT = 1000;

/** A validator at the start; the library's record of an active one with what is given here. */
export type GenesisValidator = Partial<phase0.Validator> & { readonly balanceGwei?: number };

/** A block of the execution chain: what the test asks about it, and what a node answers. */
export interface ExecutionBlockOfModel {
  readonly slot: number;
  readonly number: number;
  readonly hash: string;
  readonly header: Readonly<Record<string, string>>;
  readonly deposits: readonly electra.DepositRequest[];
  /** What has ever come to each address by it, in gwei. */
  readonly withdrawn: ReadonlyMap<string, bigint>;
}

export interface BeaconBlockOfModel {
  readonly slot: number;
  readonly parent: BeaconBlockOfModel | null;
  readonly state: CachedBeaconStateGloas;
  readonly requests: gloas.ExecutionRequests;
  /** Null while its payload was withheld. */
  readonly payload: ExecutionBlockOfModel | null;
}

export interface SlotPlan {
  readonly hasBlock: boolean;
  readonly isDelivered: boolean;
  readonly deposits: readonly electra.DepositRequest[];
}

/**
 * Beacon blocks of Gloas and the execution blocks that they bring, or not. What a block does to deposits, withdrawals and its bid is
 * Lodestar's state transition; there are no epochs, so that nothing else changes a balance.
 */
export class GloasChain {
  readonly blocks: BeaconBlockOfModel[] = [];
  readonly executionBlocks: ExecutionBlockOfModel[] = [];
  #slot = FIRST_SLOT;

  constructor(validators: readonly GenesisValidator[]) {
    const start = executionBlock(null, FIRST_SLOT, [], []);
    const state = genesis(validators, fromHex(start.hash));
    this.executionBlocks.push(start);
    this.blocks.push({ slot: FIRST_SLOT, parent: null, state, requests: requestsOf([]), payload: null });
  }

  get slot(): number {
    return this.#slot;
  }

  /** One slot. `touch` may change the state before the block, as an epoch would. */
  next(plan: SlotPlan, touch: (state: CachedBeaconStateGloas) => void = () => undefined): void {
    this.#slot++;
    if (!plan.hasBlock) return;
    const parent = this.blocks.at(-1)!;
    const before = this.executionBlocks.at(-1)!;
    const state = parent.state.clone();
    state.slot = this.#slot;
    touch(state);
    state.commit();
    const requests = requestsOf(plan.deposits);
    const bid: gloas.ExecutionPayloadBid = {
      ...ssz.gloas.ExecutionPayloadBid.defaultValue(),
      parentBlockHash: fromHex(before.hash),
      parentBlockRoot: state.blockRoots.get((this.#slot - 1) % SLOTS_PER_HISTORICAL_ROOT),
      prevRandao: getRandaoMix(state, state.epochCtx.epoch),
      builderIndex: Infinity,
      slot: this.#slot,
      executionRequestsRoot: ssz.gloas.ExecutionRequests.hashTreeRoot(requests),
    };
    const body = ssz.gloas.BeaconBlockBody.defaultValue();
    body.signedExecutionPayloadBid.message = bid;
    body.signedExecutionPayloadBid.signature = Uint8Array.of(0xc0, ...new Uint8Array(95));
    if (parent.payload !== null) body.parentExecutionRequests = parent.requests;
    processParentExecutionPayload(state, { ...ssz.gloas.BeaconBlock.defaultValue(), slot: this.#slot, body });
    processWithdrawals(ForkSeq.gloas, state);
    const withdrawals = state.payloadExpectedWithdrawals.getAllReadonlyValues();
    const payload = executionBlock(before, this.#slot, plan.deposits, withdrawals);
    bid.blockHash = fromHex(payload.hash);
    processExecutionPayloadBid(state, body.signedExecutionPayloadBid);
    state.latestBlockHeader = ssz.phase0.BeaconBlockHeader.toViewDU({
      ...ssz.phase0.BeaconBlockHeader.defaultValue(),
      slot: this.#slot,
    });
    state.commit();
    if (plan.isDelivered) this.executionBlocks.push(payload);
    this.blocks.push({ slot: this.#slot, parent, state, requests, payload: plan.isDelivered ? payload : null });
  }

  /** As EIP-4788 has it: the parent of the first block after the slot whose payload came. */
  referenceOf(slot: number): BeaconBlockOfModel | null {
    return this.blocks.find((block) => block.slot > slot && block.payload !== null)?.parent ?? null;
  }

  executionBlockBy(hash: string): ExecutionBlockOfModel {
    return this.executionBlocks.find((block) => block.hash === hash)!;
  }

  /** The post-state of a block, serialised and read as a node's. */
  read({ state }: BeaconBlockOfModel, pubkeys: readonly string[]): Extract<VerifiedState, { fork: "gloas" }> {
    const reader = new StateReader("gloas", { pubkeys: new Set(pubkeys) });
    reader.push(state.serialize());
    const parts = reader.finish();
    const header = { ...parts.latestBlockHeader, stateRoot: parts.stateRoot };
    return { ...parts, header, blockRoot: headerRoot(header) };
  }

  /** What a beacon node answers of payloads, verified as it is in earnest. */
  beacon(block: BeaconBlockOfModel) {
    const envelope = ssz.gloas.SignedExecutionPayloadEnvelope.defaultValue();
    envelope.message.executionRequests = block.requests;
    const octets = ssz.gloas.SignedExecutionPayloadEnvelope.serialize(envelope);
    const streamPayload = () => Promise.resolve({ fork: "gloas" as const, octets: pieces(octets) });
    return {
      depositRequests: (state: Extract<VerifiedState, { fork: "gloas" }>) =>
        readDepositRequests({ name: "the model", streamPayload }, state),
    };
  }
}

async function* pieces(octets: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < octets.length; at += 100) yield await Promise.resolve(octets.subarray(at, at + 100));
}

/** Answers with the blocks of a model; whatever else is asked is a mistake. */
export class ModelProvider extends FailoverProvider {
  readonly #chain: GloasChain;

  constructor(chain: GloasChain) {
    super(["http://127.0.0.1:9"], 1, createLogger("silent"));
    this.#chain = chain;
  }

  override send(method: string, [id]: unknown[]): Promise<unknown> {
    const { executionBlocks } = this.#chain;
    const by = { eth_getBlockByHash: "hash", eth_getBlockByNumber: "number" }[method];
    if (by === undefined) return Promise.reject(new Error(`${method} was asked`));
    return Promise.resolve(executionBlocks.find(({ header }) => header[by] === id)?.header ?? null);
  }
}

function requestsOf(deposits: readonly electra.DepositRequest[]): gloas.ExecutionRequests {
  return { ...ssz.gloas.ExecutionRequests.defaultValue(), deposits: [...deposits] };
}

function executionBlock(
  parent: ExecutionBlockOfModel | null,
  slot: number,
  deposits: readonly electra.DepositRequest[],
  withdrawals: readonly { address: Uint8Array; amount: bigint }[],
): ExecutionBlockOfModel {
  const number = parent === null ? 7 : parent.number + 1;
  const zero = toBeHex(0, 32);
  const withdrawn = new Map(parent?.withdrawn);
  for (const { address, amount } of withdrawals) {
    const to = toHex(address);
    withdrawn.set(to, (withdrawn.get(to) ?? 0n) + amount);
  }
  const header = {
    parentHash: parent?.hash ?? zero,
    sha3Uncles: zero,
    miner: toBeHex(0, 20),
    stateRoot: toBeHex(number, 32),
    transactionsRoot: zero,
    receiptsRoot: zero,
    logsBloom: toBeHex(0, 256),
    difficulty: "0x0",
    number: toQuantity(number),
    gasLimit: "0x1",
    gasUsed: "0x0",
    timestamp: toQuantity(timeOfSlot(FRAMES, slot)),
    extraData: "0x",
    mixHash: zero,
    nonce: toBeHex(0, 8),
  };
  const numbers = new Set(["difficulty", "number", "gasLimit", "gasUsed", "timestamp"]);
  const members = Object.entries(header).map(([name, value]) => (numbers.has(name) ? toBeArray(value) : value));
  const hash = keccak256(encodeRlp(members));
  return { slot, number, hash, header: { ...header, hash }, deposits, withdrawn };
}

function genesis(validators: readonly GenesisValidator[], executionHash: Uint8Array): CachedBeaconStateGloas {
  const forks = {
    ALTAIR_FORK_EPOCH: 0,
    BELLATRIX_FORK_EPOCH: 0,
    CAPELLA_FORK_EPOCH: 0,
    DENEB_FORK_EPOCH: 0,
    ELECTRA_FORK_EPOCH: 0,
    FULU_FORK_EPOCH: 0,
    GLOAS_FORK_EPOCH: 0,
  };
  const config = createBeaconConfig({ ...chainConfig, ...forks }, new Uint8Array(32));
  const state = ssz.gloas.BeaconState.defaultValue();
  state.slot = FIRST_SLOT;
  state.latestBlockHeader.slot = FIRST_SLOT;
  state.latestBlockHash = executionHash;
  state.latestExecutionPayloadBid.blockHash = new Uint8Array(32).fill(1); // withheld
  for (const { balanceGwei = MIN_ACTIVATION_BALANCE, ...changes } of validators) {
    state.validators.push({
      pubkey: new Uint8Array(48),
      withdrawalCredentials: new Uint8Array(32),
      effectiveBalance: MIN_ACTIVATION_BALANCE,
      slashed: false,
      activationEligibilityEpoch: 0,
      activationEpoch: 0,
      exitEpoch: Infinity,
      withdrawableEpoch: Infinity,
      ...changes,
    });
    state.balances.push(balanceGwei);
    state.previousEpochParticipation.push(7);
    state.currentEpochParticipation.push(7);
    state.inactivityScores.push(0);
  }
  return createCachedBeaconState(
    ssz.gloas.BeaconState.toViewDU(state),
    { config, pubkeyCache: createPubkeyCache() },
    { skipSyncPubkeys: true, skipSyncCommitteeCache: true },
  );
}
