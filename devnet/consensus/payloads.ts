import { BUILDER_INDEX_SELF_BUILD, ForkSeq } from "@lodestar/params";
import { getBlockRootAtSlot, getRandaoMix, type CachedBeaconStateGloas } from "@lodestar/state-transition";
import { processParentExecutionPayload, processWithdrawals } from "@lodestar/state-transition/block";
import { ssz, type capella, type gloas } from "@lodestar/types";
import { getBytes } from "ethers";
import type { ProducedPayload } from "../execution/executionLayer.js";
import { EMPTY_SIGNATURE } from "./duties.js";

/** What the proposer of a block of Gloas knows of the payload of the block before. */
export interface ParentPayload {
  readonly isDelivered: boolean;
  readonly requests: gloas.ExecutionRequests;
}

/** A body that brings the requests of the payload before, if it came, and bids for a payload that the proposer makes itself. */
export function bodyOnPayload(pre: CachedBeaconStateGloas, slot: number, parent: ParentPayload): gloas.BeaconBlockBody {
  const body = ssz.gloas.BeaconBlockBody.defaultValue();
  body.signedExecutionPayloadBid = {
    message: {
      ...ssz.gloas.ExecutionPayloadBid.defaultValue(),
      parentBlockHash: parent.isDelivered ? pre.latestExecutionPayloadBid.blockHash : pre.latestBlockHash,
      parentBlockRoot: getBlockRootAtSlot(pre, slot - 1),
      prevRandao: getRandaoMix(pre, pre.epochCtx.epoch),
      builderIndex: BUILDER_INDEX_SELF_BUILD,
      slot,
    },
    signature: EMPTY_SIGNATURE,
  };
  if (parent.isDelivered) body.parentExecutionRequests = parent.requests;
  return body;
}

/** What the block's payload has to pay. */
export function withdrawalsOnPayload(
  pre: CachedBeaconStateGloas,
  slot: number,
  body: gloas.BeaconBlockBody,
): capella.Withdrawal[] {
  const state = pre.clone();
  processParentExecutionPayload(state, { ...ssz.gloas.BeaconBlock.defaultValue(), slot, body });
  processWithdrawals(ForkSeq.gloas, state);
  return state.payloadExpectedWithdrawals.getAllReadonlyValues();
}

export function envelopeOf(
  { payload, requests }: ProducedPayload,
  slot: number,
  parentRoot: string,
): gloas.ExecutionPayloadEnvelope {
  return {
    ...ssz.gloas.ExecutionPayloadEnvelope.defaultValue(),
    payload: { ...ssz.gloas.ExecutionPayload.defaultValue(), ...payload, slotNumber: slot },
    executionRequests: { ...ssz.gloas.ExecutionRequests.defaultValue(), ...requests },
    builderIndex: BUILDER_INDEX_SELF_BUILD,
    parentBeaconBlockRoot: getBytes(parentRoot),
  };
}
