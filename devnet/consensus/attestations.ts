import { BitArray } from "@chainsafe/ssz";
import type { BeaconConfig } from "@lodestar/config";
import { DOMAIN_BEACON_ATTESTER, ForkSeq, MAX_ATTESTATIONS_ELECTRA, MAX_COMMITTEES_PER_SLOT } from "@lodestar/params";
import { computeSigningRoot, computeStartSlotAtEpoch } from "@lodestar/state-transition";
import { ssz, type electra } from "@lodestar/types";
import { getBytes, hexlify } from "ethers";
import type { BlockRecord, BlockStore } from "./blockStore.js";
import { EMPTY_SIGNATURE, type Duty } from "./duties.js";
import type { BeaconState } from "./state.js";

/**
 * What the committees of the state's slot attest to: the head as it is after that slot. `perform` tells whether a member did its duty.
 * `null` when nobody did.
 */
export function attest(
  config: BeaconConfig,
  state: BeaconState,
  blocks: BlockStore,
  perform: (duty: Duty) => boolean,
): electra.Attestation | null {
  const { slot, epochCtx } = state;
  const epoch = epochCtx.epoch;
  const data = {
    slot,
    index: isPayloadVote(config, slot, blocks.head) ? 1 : 0,
    beaconBlockRoot: getBytes(blocks.head.root),
    source: state.currentJustifiedCheckpoint.toValue(),
    target: { epoch, root: getBytes(blocks.atOrBefore(computeStartSlotAtEpoch(epoch)).root) },
  };
  const signingRoot = lazy(() =>
    computeSigningRoot(ssz.phase0.AttestationData, data, config.getDomain(slot, DOMAIN_BEACON_ATTESTER)),
  );
  const committees = epochCtx.getCommitteeCountPerSlot(epoch);
  const bits: boolean[] = [];
  const included = new Array<boolean>(MAX_COMMITTEES_PER_SLOT).fill(false);
  for (let index = 0; index < committees; index++) {
    const committee = Array.from(epochCtx.getBeaconCommittee(slot, index), (validatorIndex) => {
      const pubkey = hexlify(state.validators.getReadonly(validatorIndex).pubkey);
      return perform({ kind: "attestation", slot, epoch, validatorIndex, pubkey, signingRoot });
    });
    if (!committee.includes(true)) continue; // an aggregate may not name a committee of which nobody attested
    included[index] = true;
    bits.push(...committee);
  }
  if (bits.length === 0) return null;
  return {
    aggregationBits: BitArray.fromBoolArray(bits),
    committeeBits: BitArray.fromBoolArray(included),
    data,
    signature: EMPTY_SIGNATURE,
  };
}

/** From Gloas on an attestation to the block of an earlier slot says whether that block's payload came. */
function isPayloadVote(config: BeaconConfig, slot: number, head: BlockRecord): boolean {
  return config.getForkSeq(slot) >= ForkSeq.gloas && head.slot < slot && head.isDelivered;
}

/** Attestations wait here for the next block: longer when slots are missed, at most until the end of the next epoch. */
export class AttestationPool {
  #waiting: electra.Attestation[] = [];

  add(attestation: electra.Attestation): void {
    this.#waiting.push(attestation);
  }

  /** The newest that fit into a block of `epoch`. */
  select(epoch: number): electra.Attestation[] {
    return this.#waiting.filter((a) => a.data.target.epoch >= epoch - 1).slice(-MAX_ATTESTATIONS_ELECTRA);
  }

  clear(): void {
    this.#waiting = [];
  }
}

export function lazy<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
