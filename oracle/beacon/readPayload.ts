import { ssz } from "@lodestar/types";
import type { BeaconClient } from "./client.js";
import { BeaconNodeError, VerificationError } from "./errors.js";
import { toHex } from "./hex.js";
import type { VerifiedState } from "./readVerified.js";
import type { DepositRequest } from "./stateParts.js";

/** A payload travels between nodes in messages of at most 10 MB. */
const MAX_ENVELOPE_SIZE = 2 ** 25;

type PayloadSource = Pick<BeaconClient, "name" | "streamPayload">;

const { ExecutionRequests, SignedExecutionPayloadEnvelope } = ssz.gloas;
const NO_REQUESTS = toHex(ExecutionRequests.hashTreeRoot(ExecutionRequests.defaultValue()));

/**
 * The deposits in the execution payload of the block that a state is the result of, in their order: the state does not have them,
 * the next beacon block brings them. Verified against the root of all requests in the state, which the block commits to.
 */
export async function readDepositRequests(
  client: PayloadSource,
  { blockRoot, bid }: Extract<VerifiedState, { fork: "gloas" }>,
): Promise<DepositRequest[]> {
  if (bid.executionRequestsRoot === NO_REQUESTS) return [];
  const requests = await readRequests(client, blockRoot);
  const computedRoot = toHex(ExecutionRequests.hashTreeRoot(requests));
  if (computedRoot !== bid.executionRequestsRoot) {
    throw new VerificationError(
      "REQUESTS_ROOT_MISMATCH",
      `Beacon node ${client.name} served a forged or corrupted execution payload: its requests hash to ${computedRoot}, the block commits to ` +
        `${bid.executionRequestsRoot}. Use another beacon node.`,
      { node: client.name, blockRoot, requestsRoot: bid.executionRequestsRoot, computedRoot },
    );
  }
  return requests.deposits.map(({ pubkey, withdrawalCredentials, amount, signature }) => ({
    pubkey: toHex(pubkey),
    withdrawalCredentials: toHex(withdrawalCredentials),
    amountGwei: BigInt(amount),
    signature: toHex(signature),
  }));
}

async function readRequests(
  client: PayloadSource,
  blockRoot: string,
): Promise<ReturnType<typeof ExecutionRequests.defaultValue>> {
  const { octets } = await client.streamPayload(blockRoot);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of octets) {
    size += chunk.length;
    if (size > MAX_ENVELOPE_SIZE) throw badPayload(client, blockRoot, `it has more than ${MAX_ENVELOPE_SIZE} octets`);
    parts.push(new Uint8Array(chunk)); // a copy: the stream takes its octets back
  }
  try {
    return SignedExecutionPayloadEnvelope.deserialize(new Uint8Array(Buffer.concat(parts))).message.executionRequests;
  } catch (error) {
    throw badPayload(client, blockRoot, error instanceof Error ? error.message : String(error));
  }
}

function badPayload(client: PayloadSource, blockRoot: string, why: string): BeaconNodeError {
  return new BeaconNodeError(
    "BEACON_BAD_ANSWER",
    `Beacon node ${client.name} served something that is not the execution payload of block ${blockRoot}: ${why}. Use another beacon node.`,
    { node: client.name, blockRoot },
  );
}
