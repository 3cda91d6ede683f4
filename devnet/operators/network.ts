import { PublicKey, SecretKey, Signature, verify } from "@chainsafe/blst";
import { computeEpochAtSlot, computeSigningRoot } from "@lodestar/state-transition";
import { ssz, type phase0 } from "@lodestar/types";
import { getBytes, hexlify, toQuantity } from "ethers";
import { decryptShare, verifyOwnerNonceSignature } from "../../oracle/keys/keyshares.js";
import { combineSignatures, thresholdOf } from "../../oracle/keys/shamir.js";
import type { Chain } from "../consensus/chain.js";
import { EMPTY_SIGNATURE, type Duty, type ValidatorClient } from "../consensus/duties.js";
import type { DutyCounts } from "../consensus/dutyLog.js";
import { validatorByPubkey } from "../consensus/state.js";
import { DevnetError } from "../errors.js";
import type { ExecutionNode } from "../execution/edr.js";
import { decodeNetworkEvent, type NetworkEvent } from "./events.js";
import { OperatorNode, type Outcome, type Share } from "./node.js";
import { Operator } from "./operator.js";

/** Nodes act on a block when so many follow it. */
export const FOLLOW_DISTANCE_BLOCKS = 8;
/** An exit is signed for the epoch of so many slots after its event. */
const EXIT_DELAY_SLOTS = 4;

interface RpcLog {
  topics: string[];
  data: string;
  blockNumber: string;
}

interface Member {
  operator: Operator;
  node: OperatorNode;
}

interface PendingExit {
  publicKey: string;
  dutySlot: number;
  /** Those whose node took the event. */
  members: Member[];
}

/** One thing a node did with an event, for tests and for a person who looks for the reason of a missed duty. */
export interface HandledEvent {
  operatorId: bigint | undefined;
  event: NetworkEvent;
  outcome: Outcome;
}

/**
 * The SSV operators of the devnet. Each handles the network's events by itself and signs with its own share; a duty is done when a quorum of
 * the cluster's running operators gives partial signatures that combine to one that verifies under the validator's key.
 */
export class OperatorNetwork implements ValidatorClient {
  readonly #chain: () => Chain;
  readonly #node: ExecutionNode;
  readonly #followDistance: number;
  readonly #members: Member[] = [];
  readonly #events: { event: NetworkEvent; epoch: number }[] = [];
  readonly #handled: HandledEvent[] = [];
  readonly #ownerNonceChecks = new Map<string, boolean>();
  /** Signers that have once combined to a valid signature of a validator always will: BLS is linear. */
  readonly #provenQuorums = new Set<string>();
  #exits: PendingExit[] = [];
  #ssvNetwork: string | null = null;
  #nextBlock = 0;

  constructor(chain: () => Chain, node: ExecutionNode, followDistance: number = FOLLOW_DISTANCE_BLOCKS) {
    this.#chain = chain;
    this.#node = node;
    this.#followDistance = followDistance;
  }

  get operators(): readonly Operator[] {
    return this.#members.map(({ operator }) => operator);
  }

  /** What the nodes made of every event so far. */
  get handled(): readonly HandledEvent[] {
    return this.#handled;
  }

  /** New operators; their nodes first catch up with the events so far. */
  create(count: number): Operator[] {
    return Array.from({ length: count }, () => {
      const operator = new Operator(this.#members.length);
      const member = {
        operator,
        node: new OperatorNode(() => operator.id, {
          verifyOwnerNonce: (...claim) => this.#verifyOwnerNonce(...claim),
          decrypt: (ciphertext) => {
            const secret = decryptShare(operator.privateKey, ciphertext);
            return secret === null ? null : SecretKey.fromBytes(secret);
          },
        }),
      };
      this.#members.push(member);
      for (const { event, epoch } of this.#events) this.#apply(member, event, epoch);
      return operator;
    });
  }

  /** Tells an operator its id, as SSV Network gave it. Seen in `OperatorAdded`, it needs no telling. */
  assign(operator: Operator, id: bigint): void {
    if (this.#members.some((member) => member.operator !== operator && member.operator.id === id)) {
      throw new DevnetError("DEVNET_INVALID", `operator id ${id} is taken; ids come from SSV Network's OperatorAdded`, {
        id,
      });
    }
    operator.id = id;
  }

  byId(id: bigint | number): Operator {
    const found = this.#members.find(({ operator }) => operator.id === BigInt(id));
    if (found === undefined) {
      throw new DevnetError(
        "DEVNET_INVALID",
        `no operator of this devnet has id ${id}; assign ids when operators are registered`,
      );
    }
    return found.operator;
  }

  stop(id: bigint | number): void {
    this.byId(id).stop();
  }

  start(id: bigint | number): void {
    this.byId(id).start();
  }

  /** From now on the nodes act on the events of this SSV Network, from its first block on. */
  follow(ssvNetworkAddress: string): void {
    if (this.#ssvNetwork !== null) {
      throw new DevnetError(
        "DEVNET_INVALID",
        `the operators already follow ${this.#ssvNetwork}; start another devnet for another SSV Network`,
      );
    }
    this.#ssvNetwork = ssvNetworkAddress;
  }

  dutiesPerformed(pubkey: string): number {
    return this.#chain().duties.total(pubkey).performed;
  }

  dutiesMissed(pubkey: string): number {
    return this.#chain().duties.total(pubkey).missed;
  }

  duties(pubkey: string): DutyCounts {
    return this.#chain().duties.of(pubkey);
  }

  /** After each slot: act on the blocks that are now deep enough, then on the exits that are due. */
  async onSlot(): Promise<void> {
    await this.#followChain();
    this.#signExits();
  }

  sign(duty: Duty): Uint8Array | null | undefined {
    const members = this.#members.filter(({ node }) => (node.share(duty.pubkey)?.own ?? null) !== null);
    if (members.length === 0) return undefined;
    const able = members.filter(({ operator, node }) => {
      const share = node.share(duty.pubkey);
      return operator.running && share?.liquidated === false && share.participatesFrom <= duty.epoch;
    });
    return this.#quorumSignature(duty, able);
  }

  feeRecipient(pubkey: string): string | undefined {
    for (const { node } of this.#members) {
      const share = node.share(pubkey);
      if (share !== undefined && share.own !== null) return node.feeRecipientOf(share.owner);
    }
    return undefined;
  }

  /** Hands one event to every node, as if it had just become deep enough. */
  deliver(event: NetworkEvent, slot: number): void {
    const { epoch } = this.#chain().headState.epochCtx;
    this.#events.push({ event, epoch });
    const members = this.#members.filter((member) => this.#apply(member, event, epoch).type === "exit");
    if (members.length > 0 && event.type === "ValidatorExited") {
      this.#exits.push({ publicKey: event.publicKey, dutySlot: slot + EXIT_DELAY_SLOTS, members });
    }
  }

  #apply({ operator, node }: Member, event: NetworkEvent, epoch: number): Outcome {
    if (event.type === "OperatorAdded" && event.publicKey === operator.publicKeyForSsv) {
      this.assign(operator, event.operatorId);
    }
    const outcome = node.handle(event, epoch);
    this.#handled.push({ operatorId: operator.id, event, outcome });
    return outcome;
  }

  async #followChain(): Promise<void> {
    if (this.#ssvNetwork === null) return;
    const { head, blocks } = this.#chain();
    const last = head.executionBlockNumber - this.#followDistance;
    if (last < this.#nextBlock) return;
    const logs = (await this.#node.request("eth_getLogs", [
      { address: this.#ssvNetwork, fromBlock: toQuantity(this.#nextBlock), toBlock: toQuantity(last) },
    ])) as RpcLog[];
    this.#nextBlock = last + 1;
    for (const log of logs) {
      const event = decodeNetworkEvent(log);
      const block = blocks.byExecutionBlock(Number(log.blockNumber));
      if (event !== null && block !== undefined) this.deliver(event, block.slot);
    }
  }

  #signExits(): void {
    const { slot, headState, config } = this.#chain();
    const due = this.#exits.filter(({ dutySlot }) => dutySlot <= slot);
    this.#exits = this.#exits.filter(({ dutySlot }) => dutySlot > slot);
    for (const { publicKey, dutySlot, members } of due) {
      const validator = validatorByPubkey(headState, publicKey);
      if (validator === null) continue; // no beacon metadata yet: ssv-node ignores the event, too
      const message: phase0.VoluntaryExit = { epoch: computeEpochAtSlot(dutySlot), validatorIndex: validator.index };
      const duty: Duty = {
        kind: "exit",
        slot: dutySlot,
        epoch: message.epoch,
        validatorIndex: validator.index,
        pubkey: publicKey,
        signingRoot: () =>
          computeSigningRoot(ssz.phase0.VoluntaryExit, message, config.getDomainForVoluntaryExit(slot, dutySlot)),
      };
      const signature = this.#quorumSignature(
        duty,
        members.filter(({ operator }) => operator.running && operator.signsExits),
      );
      // no retry: who asked for the exit asks again
      const exit = signature === null ? null : { message, signature };
      const valid = exit !== null && this.#chain().voluntaryExitProblem(exit) === null;
      if (valid) this.#chain().submitVoluntaryExit(exit);
      this.#chain().duties.record(duty, valid);
    }
  }

  /**
   * The first quorum of partial signatures to arrive, combined. Which operators are first turns with the slot, so shares that do not fit together
   * are seen as some missed duties or as all of them, depending on how many are wrong.
   */
  #quorumSignature(duty: Duty, members: readonly Member[]): Uint8Array | null {
    const signers = members.flatMap(({ operator, node }) => {
      const share: Share | undefined = node.share(duty.pubkey);
      if (operator.id === undefined || share === undefined || share.own === null) return [];
      return [{ operatorId: operator.id, ...share.own, cluster: share.operatorIds }];
    });
    const size = signers[0]?.cluster.length;
    if (size === undefined) return null;
    const threshold = thresholdOf(size);
    if (signers.length < threshold) return null;
    const first = duty.slot % signers.length;
    const quorum = [...signers.slice(first), ...signers.slice(0, first)].slice(0, threshold);

    const quorumId = [duty.pubkey, ...quorum.map(({ publicKey }) => publicKey)].join();
    // nobody reads the signature of one member of an aggregate, and a member of the sync committee would sign in every slot
    if (duty.kind === "sync" && this.#provenQuorums.has(quorumId)) return EMPTY_SIGNATURE;
    const root = duty.signingRoot();
    const partials = quorum.map(({ operatorId, secretKey }) => ({
      operatorId,
      signature: secretKey.sign(root).toBytes(),
    }));
    const signature = combineSignatures(partials, threshold);
    if (!verify(root, PublicKey.fromBytes(getBytes(duty.pubkey)), Signature.fromBytes(signature))) return null;
    this.#provenQuorums.add(quorumId);
    return signature;
  }

  #verifyOwnerNonce(publicKey: Uint8Array, signature: Uint8Array, owner: string, nonce: bigint): boolean {
    const claim = [hexlify(publicKey), hexlify(signature), owner, nonce].join();
    let valid = this.#ownerNonceChecks.get(claim); // every node asks the same
    if (valid === undefined) {
      valid = verifyOwnerNonceSignature(publicKey, signature, owner, nonce);
      this.#ownerNonceChecks.set(claim, valid);
    }
    return valid;
  }
}
