import { BitArray } from "@chainsafe/ssz";
import { routes } from "@lodestar/api";
import type { BeaconConfig } from "@lodestar/config";
import {
  DOMAIN_BEACON_PROPOSER,
  DOMAIN_RANDAO,
  DOMAIN_SYNC_COMMITTEE,
  MAX_PROPOSER_SLASHINGS,
  MAX_VOLUNTARY_EXITS,
  SLOTS_PER_EPOCH,
} from "@lodestar/params";
import {
  DataAvailabilityStatus,
  ExecutionPayloadStatus,
  VoluntaryExitValidity,
  computeEpochAtSlot,
  computeSigningRoot,
  computeStartSlotAtEpoch,
  getBlockRootAtSlot,
  getExpectedWithdrawals,
  getRandaoMix,
  getVoluntaryExitValidity,
  processSlots,
  stateTransition,
  type CachedBeaconStateElectra,
  type CachedBeaconStateGloas,
} from "@lodestar/state-transition";
import {
  ssz,
  type SignedBeaconBlock,
  type altair,
  type capella,
  type electra,
  type gloas,
  type phase0,
} from "@lodestar/types";
import { getBytes, hexlify, keccak256 } from "ethers";
import { DevnetError } from "../errors.js";
import type { ExecutionLayer, ProducedPayload } from "../execution/executionLayer.js";
import { AttestationPool, attest, lazy } from "./attestations.js";
import { BlockStore, type BlockRecord } from "./blockStore.js";
import { EMPTY_SIGNATURE, isSignature, type Duty, type ValidatorClient } from "./duties.js";
import { DutyLog } from "./dutyLog.js";
import { BeaconEvents } from "./events.js";
import { bodyOnPayload, envelopeOf, withdrawalsOnPayload } from "./payloads.js";
import { asBeaconState, isGloasState, validatorByIndex, type BeaconState } from "./state.js";

/** Blocks of validators that name no fee recipient pay here. */
export const DEFAULT_FEE_RECIPIENT = "0xfefefefefefefefefefefefefefefefefefefefe";

export interface SlotOptions {
  /** Nobody proposes. */
  readonly skip?: boolean;
  /** The block's payload never comes. Before Gloas it is part of the block, and comes. */
  readonly withhold?: boolean;
}

/** What a block is made of in every fork. */
type CommonBody = Pick<
  electra.BeaconBlockBody,
  "randaoReveal" | "eth1Data" | "proposerSlashings" | "voluntaryExits" | "attestations" | "syncAggregate"
>;

interface Built {
  readonly body: electra.BeaconBlockBody | gloas.BeaconBlockBody;
  readonly execution: Pick<
    BlockRecord,
    "executionBlockNumber" | "executionBlockHash" | "processedBlockNumber" | "envelope" | "isDelivered"
  >;
}

/**
 * A beacon chain without network or fork choice: one slot at a time, on demand, each with one block or none. Everything a block
 * does to the state is Lodestar's state transition; what is here only gathers what goes into the block, as a proposer does.
 *
 * Signatures inside blocks are not verified by the transition (the genesis validators do not really attest). Those that decide
 * something are: deposits by the transition itself, voluntary exits when they are submitted, duties of SSV validators by their operators' client.
 */
export class Chain {
  readonly config: BeaconConfig;
  readonly events = new BeaconEvents();
  readonly blocks: BlockStore;
  readonly duties = new DutyLog();
  readonly #execution: ExecutionLayer;
  readonly #clients: readonly ValidatorClient[];
  readonly #attestations = new AttestationPool();
  readonly #exits = new Map<number, phase0.SignedVoluntaryExit>();
  readonly #proposerSlashings = new Map<number, phase0.ProposerSlashing>();
  #slot = 0;

  constructor(
    config: BeaconConfig,
    genesis: BeaconState,
    execution: ExecutionLayer,
    clients: readonly ValidatorClient[],
  ) {
    this.config = config;
    this.#execution = execution;
    this.#clients = clients;
    const header = { ...genesis.latestBlockHeader.toValue(), stateRoot: genesis.hashTreeRoot() };
    this.blocks = new BlockStore(
      {
        root: hexlify(ssz.phase0.BeaconBlockHeader.hashTreeRoot(header)),
        slot: 0,
        header,
        stateRoot: hexlify(header.stateRoot),
        executionBlockNumber: 0,
        executionBlockHash: hexlify(
          isGloasState(genesis) ? genesis.latestBlockHash : genesis.latestExecutionPayloadHeader.blockHash,
        ),
        processedBlockNumber: 0,
        envelope: null,
        isDelivered: true,
        signedBlock: null,
      },
      genesis,
    );
    this.#attest(genesis);
  }

  /** The current slot; the head may be older, when slots were missed. */
  get slot(): number {
    return this.#slot;
  }

  get head(): BlockRecord {
    return this.blocks.head;
  }

  get headState(): BeaconState {
    return this.stateOf(this.head);
  }

  get genesisTime(): number {
    return this.headState.genesisTime;
  }

  timeOf(slot: number): number {
    return this.genesisTime + (slot * this.config.SLOT_DURATION_MS) / 1000;
  }

  get finalized(): { epoch: number; block: BlockRecord } {
    return this.#checkpoint(this.headState.finalizedCheckpoint);
  }

  get justified(): { epoch: number; block: BlockRecord } {
    return this.#checkpoint(this.headState.currentJustifiedCheckpoint);
  }

  stateOf(record: BlockRecord): BeaconState {
    const state = this.blocks.stateOf(record);
    if (state === undefined) {
      throw new DevnetError(
        "DEVNET_INVALID",
        `the state of slot ${record.slot} is pruned; read states while they are recent`,
        {
          slot: record.slot,
        },
      );
    }
    return state;
  }

  /** The state a beacon node answers for a slot: of a missed slot, the last block's state advanced to it. */
  stateAtSlot(slot: number): BeaconState {
    const record = this.blocks.atOrBefore(slot);
    const state = this.stateOf(record);
    return record.slot === slot ? state : asBeaconState(processSlots(state, slot));
  }

  /** The next slot. Its block is missed when `skip` says so, when the proposer is slashed, or when nobody signs for it. */
  async nextSlot(options: SlotOptions): Promise<BlockRecord | null> {
    const slot = this.#slot + 1;
    const pre = asBeaconState(processSlots(this.headState, slot));
    this.#slot = slot;
    const produced = options.skip === true ? null : await this.#propose(pre, slot, options.withhold === true);
    if (produced?.isDelivered !== true) await this.#execution.skip(this.timeOf(slot + 1));
    this.#attest(produced === null ? pre : this.headState);
    return produced;
  }

  /** Takes a signed exit as a beacon node does: at once or not at all. */
  submitVoluntaryExit(exit: phase0.SignedVoluntaryExit): void {
    const { validatorIndex } = exit.message;
    const problem = this.voluntaryExitProblem(exit);
    if (problem !== null) {
      throw new DevnetError("DEVNET_INVALID", `voluntary exit of validator ${validatorIndex} refused: ${problem}`, {
        validatorIndex,
        problem,
      });
    }
    this.#exits.set(validatorIndex, exit);
  }

  /** Why a node would refuse the exit now, signature included; `null` when it would not. */
  voluntaryExitProblem(exit: phase0.SignedVoluntaryExit): string | null {
    const state = this.headState;
    if (exit.message.validatorIndex >= state.validators.length) return "unknown validator";
    if (!isSignature(exit.signature)) return VoluntaryExitValidity.invalidSignature;
    const validity = getVoluntaryExitValidity(this.config.getForkSeq(state.slot), state, exit, true);
    return validity === VoluntaryExitValidity.valid ? null : validity;
  }

  /** Evidence that the validator signed two blocks of one slot. The headers are unsigned: the devnet takes the offence as given. */
  slash(validatorIndex: number): void {
    const view = validatorByIndex(this.headState, validatorIndex);
    const epoch = this.headState.epochCtx.epoch;
    if (
      view === null ||
      view.validator.slashed ||
      epoch < view.validator.activationEpoch ||
      epoch >= view.validator.withdrawableEpoch
    ) {
      throw new DevnetError(
        "DEVNET_INVALID",
        `validator ${validatorIndex} cannot be slashed: unknown, not yet active, withdrawable or already slashed`,
        {
          validatorIndex,
        },
      );
    }
    const header = (fill: number): phase0.SignedBeaconBlockHeaderBigint => ({
      message: {
        slot: BigInt(this.head.slot),
        proposerIndex: validatorIndex,
        parentRoot: new Uint8Array(32).fill(fill),
        stateRoot: new Uint8Array(32),
        bodyRoot: new Uint8Array(32),
      },
      signature: EMPTY_SIGNATURE,
    });
    this.#proposerSlashings.set(validatorIndex, { signedHeader1: header(1), signedHeader2: header(2) });
  }

  #checkpoint(checkpoint: { epoch: number; root: Uint8Array }): { epoch: number; block: BlockRecord } {
    const block = checkpoint.epoch === 0 ? undefined : this.blocks.byRoot(hexlify(checkpoint.root));
    return { epoch: checkpoint.epoch, block: block ?? this.blocks.genesis };
  }

  #sign(duty: Duty): Uint8Array | null {
    let signature: Uint8Array | null | undefined;
    for (const client of this.#clients) {
      signature = client.sign(duty);
      if (signature !== undefined) break;
    }
    signature ??= null; // nobody runs it
    this.duties.record(duty, signature !== null);
    return signature;
  }

  #attest(state: BeaconState): void {
    const attestation = attest(this.config, state, this.blocks, (duty) => this.#sign(duty) !== null);
    if (attestation !== null) this.#attestations.add(attestation);
  }

  async #propose(pre: BeaconState, slot: number, isWithheld: boolean): Promise<BlockRecord | null> {
    const proposerIndex = pre.epochCtx.getBeaconProposer(slot);
    const proposer = pre.validators.getReadonly(proposerIndex);
    if (proposer.slashed) return null; // Fulu fixes proposers ahead: a slashed one keeps its slot, and misses it
    const pubkey = hexlify(proposer.pubkey);
    const epoch = computeEpochAtSlot(slot);
    const duty = { slot, epoch, validatorIndex: proposerIndex, pubkey };
    const domain = (type: Uint8Array): Uint8Array => this.config.getDomain(slot, type);
    const randaoReveal = this.#sign({
      ...duty,
      kind: "randao",
      signingRoot: () => computeSigningRoot(ssz.Epoch, epoch, domain(DOMAIN_RANDAO)),
    });
    if (randaoReveal === null) return null;

    const parent = this.head;
    const common = {
      randaoReveal,
      eth1Data: pre.eth1Data.toValue(),
      proposerSlashings: [...this.#proposerSlashings.values()].slice(0, MAX_PROPOSER_SLASHINGS),
      voluntaryExits: this.#includableExits(pre),
      attestations: this.#attestations.select(epoch),
      syncAggregate: this.#syncAggregate(pre, slot),
    };
    const built = isGloasState(pre)
      ? await this.#buildOnPayload(pre, slot, pubkey, common, isWithheld)
      : await this.#buildWithPayload(pre, slot, pubkey, common);
    const types = this.config.getForkTypes(slot);
    const block = {
      ...types.BeaconBlock.defaultValue(),
      slot,
      proposerIndex,
      parentRoot: getBytes(parent.root),
      body: built.body,
    };
    const post = asBeaconState(
      stateTransition(
        pre,
        { message: block, signature: EMPTY_SIGNATURE },
        {
          verifyStateRoot: false,
          verifyProposer: false,
          verifySignatures: false,
          executionPayloadStatus: ExecutionPayloadStatus.valid,
          dataAvailabilityStatus: DataAvailabilityStatus.Available,
        },
      ),
    );
    block.stateRoot = post.hashTreeRoot();
    const signature = this.#sign({
      ...duty,
      kind: "proposal",
      signingRoot: () => computeSigningRoot(types.BeaconBlock, block, domain(DOMAIN_BEACON_PROPOSER)),
    });
    // the RANDAO reveal had a quorum a moment ago, and nothing changes inside a slot
    if (signature === null)
      throw new DevnetError("DEVNET_EXECUTION", `the proposer of slot ${slot} revealed its RANDAO but did not sign`);
    return this.#import(
      { message: block, signature },
      types.BeaconBlockBody.hashTreeRoot(block.body),
      post,
      built.execution,
    );
  }

  /** Before Gloas: the payload is part of the block. */
  async #buildWithPayload(
    pre: Exclude<BeaconState, CachedBeaconStateGloas>,
    slot: number,
    proposer: string,
    common: CommonBody,
  ): Promise<Built> {
    // the function reads the fork from its argument; its signature just does not list Fulu
    const { expectedWithdrawals } = getExpectedWithdrawals(
      this.config.getForkSeq(slot),
      pre as CachedBeaconStateElectra,
    );
    const parentHash = hexlify(pre.latestExecutionPayloadHeader.blockHash);
    const { payload, requests } = await this.#produce(pre, slot, proposer, parentHash, expectedWithdrawals);
    const body: electra.BeaconBlockBody = {
      ...ssz.electra.BeaconBlockBody.defaultValue(),
      ...common,
      executionPayload: payload,
      executionRequests: requests,
    };
    const { blockNumber, blockHash } = payload;
    return {
      body,
      execution: {
        executionBlockNumber: blockNumber,
        executionBlockHash: hexlify(blockHash),
        processedBlockNumber: blockNumber,
        envelope: null,
        isDelivered: true,
      },
    };
  }

  /** From Gloas on: the block brings the requests of the payload before, and promises one of its own. */
  async #buildOnPayload(
    pre: CachedBeaconStateGloas,
    slot: number,
    proposer: string,
    common: CommonBody,
    isWithheld: boolean,
  ): Promise<Built> {
    const { head } = this;
    const parent = {
      isDelivered: head.isDelivered,
      requests: head.envelope?.message.executionRequests ?? ssz.gloas.ExecutionRequests.defaultValue(),
    };
    const body = { ...bodyOnPayload(pre, slot, parent), ...common };
    const bid = body.signedExecutionPayloadBid.message;
    const before = head.isDelivered ? head.executionBlockNumber : head.processedBlockNumber;
    if (isWithheld) {
      bid.blockHash = getBytes(keccak256(head.root)); // of a block that nobody ever saw
      return {
        body,
        execution: {
          executionBlockNumber: before,
          executionBlockHash: hexlify(bid.parentBlockHash),
          processedBlockNumber: before,
          envelope: null,
          isDelivered: false,
        },
      };
    }
    const withdrawals = withdrawalsOnPayload(pre, slot, body);
    const produced = await this.#produce(pre, slot, proposer, hexlify(bid.parentBlockHash), withdrawals);
    const message = envelopeOf(produced, slot, head.root);
    bid.blockHash = produced.payload.blockHash;
    bid.executionRequestsRoot = ssz.gloas.ExecutionRequests.hashTreeRoot(message.executionRequests);
    return {
      body,
      execution: {
        executionBlockNumber: produced.payload.blockNumber,
        executionBlockHash: hexlify(produced.payload.blockHash),
        processedBlockNumber: before,
        envelope: { message, signature: EMPTY_SIGNATURE },
        isDelivered: true,
      },
    };
  }

  #produce(
    pre: BeaconState,
    slot: number,
    proposer: string,
    parentHash: string,
    withdrawals: capella.Withdrawal[],
  ): Promise<ProducedPayload> {
    const recipients = this.#clients.map((client) => client.feeRecipient(proposer));
    return this.#execution.produce({
      parentHash,
      parentBeaconBlockRoot: this.head.root,
      prevRandao: hexlify(getRandaoMix(pre, pre.epochCtx.epoch)),
      timestamp: this.timeOf(slot),
      feeRecipient: recipients.find((recipient) => recipient !== undefined) ?? DEFAULT_FEE_RECIPIENT,
      withdrawals,
    });
  }

  #includableExits(pre: BeaconState): phase0.SignedVoluntaryExit[] {
    const fork = this.config.getForkSeq(pre.slot);
    const exits: phase0.SignedVoluntaryExit[] = [];
    for (const [index, exit] of this.#exits) {
      const validity = getVoluntaryExitValidity(fork, pre, exit, false);
      if (validity === VoluntaryExitValidity.valid && exits.length < MAX_VOLUNTARY_EXITS) exits.push(exit);
      if (validity === VoluntaryExitValidity.alreadyExited) this.#exits.delete(index);
    }
    return exits;
  }

  /** Members of the sync committee sign the block of the slot before. */
  #syncAggregate(pre: BeaconState, slot: number): altair.SyncAggregate {
    const signedSlot = slot - 1;
    const epoch = computeEpochAtSlot(signedSlot);
    const signingRoot = lazy(() =>
      computeSigningRoot(ssz.Root, getBytes(this.head.root), this.config.getDomain(signedSlot, DOMAIN_SYNC_COMMITTEE)),
    );
    const performed = new Map<number, boolean>(); // a small registry fills the committee by naming members several times
    const bits = Array.from(pre.epochCtx.currentSyncCommitteeIndexed.validatorIndices, (validatorIndex) => {
      let done = performed.get(validatorIndex);
      if (done === undefined) {
        const pubkey = hexlify(pre.validators.getReadonly(validatorIndex).pubkey);
        done = this.#sign({ kind: "sync", slot: signedSlot, epoch, validatorIndex, pubkey, signingRoot }) !== null;
        performed.set(validatorIndex, done);
      }
      return done;
    });
    return { syncCommitteeBits: BitArray.fromBoolArray(bits), syncCommitteeSignature: EMPTY_SIGNATURE };
  }

  #import(
    signedBlock: SignedBeaconBlock,
    bodyRoot: Uint8Array,
    post: BeaconState,
    execution: Built["execution"],
  ): BlockRecord {
    const { slot, proposerIndex, parentRoot, stateRoot, body } = signedBlock.message;
    const { envelope } = execution;
    const header = { slot, proposerIndex, parentRoot, stateRoot, bodyRoot };
    const finalizedBefore = this.finalized.epoch;
    const root = ssz.phase0.BeaconBlockHeader.hashTreeRoot(header);
    if (envelope !== null) envelope.message.beaconBlockRoot = root;
    const record: BlockRecord = {
      root: hexlify(root),
      slot,
      header,
      stateRoot: hexlify(stateRoot),
      ...execution,
      signedBlock,
    };
    this.blocks.add(record, post);
    this.#attestations.clear();
    for (const { signedHeader1 } of body.proposerSlashings) {
      this.#proposerSlashings.delete(signedHeader1.message.proposerIndex);
    }
    const { finalized, justified } = this;
    this.#execution.forkchoice(justified.block.processedBlockNumber, finalized.block.processedBlockNumber);
    this.#announce(record, post, finalized.epoch > finalizedBefore ? finalized : null);
    return record;
  }

  #announce(record: BlockRecord, state: BeaconState, finalized: { epoch: number; block: BlockRecord } | null): void {
    const { EventType } = routes.events;
    const { root: block, slot } = record;
    const executionOptimistic = false;
    const dependentRoot = (epoch: number): string => {
      const last = computeStartSlotAtEpoch(epoch) - 1;
      return last < 0 ? this.blocks.genesis.root : hexlify(getBlockRootAtSlot(state, last));
    };
    const epoch = computeEpochAtSlot(slot);
    this.events.emit({ type: EventType.block, message: { slot, block, executionOptimistic } });
    this.events.emit({
      type: EventType.head,
      message: {
        slot,
        block,
        state: record.stateRoot,
        epochTransition: slot % SLOTS_PER_EPOCH === 0,
        previousDutyDependentRoot: dependentRoot(epoch - 1),
        currentDutyDependentRoot: dependentRoot(epoch),
        executionOptimistic,
      },
    });
    if (finalized !== null) {
      const { root, stateRoot } = finalized.block;
      this.events.emit({
        type: EventType.finalizedCheckpoint,
        message: { block: root, state: stateRoot, epoch: finalized.epoch, executionOptimistic },
      });
    }
  }
}
