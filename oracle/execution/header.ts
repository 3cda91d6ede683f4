import { encodeRlp, getBytes, keccak256, toBeArray } from "ethers";
import { z } from "zod";
import type { ExecutionBlock, StateParts } from "../beacon/stateParts.js";
import { ServiceError } from "../ops/errors.js";
import type { FailoverProvider } from "./provider.js";

/**
 * The members of a header in the order in which its hash has them, by the names that JSON-RPC gives them: all up to Osaka, then
 * those of Amsterdam (EIP-7928, EIP-7843). A fork only appends, and an older header ends earlier.
 */
const OCTETS = "octets";
const NUMBER = "number";
const FIELDS: readonly (readonly [name: string, kind: typeof OCTETS | typeof NUMBER])[] = [
  ["parentHash", OCTETS],
  ["sha3Uncles", OCTETS],
  ["miner", OCTETS],
  ["stateRoot", OCTETS],
  ["transactionsRoot", OCTETS],
  ["receiptsRoot", OCTETS],
  ["logsBloom", OCTETS],
  ["difficulty", NUMBER],
  ["number", NUMBER],
  ["gasLimit", NUMBER],
  ["gasUsed", NUMBER],
  ["timestamp", NUMBER],
  ["extraData", OCTETS],
  ["mixHash", OCTETS],
  ["nonce", OCTETS],
  ["baseFeePerGas", NUMBER],
  ["withdrawalsRoot", OCTETS],
  ["blobGasUsed", NUMBER],
  ["excessBlobGas", NUMBER],
  ["parentBeaconBlockRoot", OCTETS],
  ["requestsHash", OCTETS],
  ["blockAccessListHash", OCTETS],
  ["slotNumber", NUMBER],
];

/** What nodes answer beside the header. */
const OTHERS = new Set(["hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals"]);

const blockAnswer = z.record(z.string(), z.unknown()).nullable();

/**
 * A block's number, time and state root from its header, verified: the header that the node answers must hash to `hash`. So with a
 * hash that the beacon state has, no execution node is trusted.
 */
export async function readHeader(provider: Pick<FailoverProvider, "send">, hash: string): Promise<ExecutionBlock> {
  const block = blockAnswer.parse(await provider.send("eth_getBlockByHash", [hash, false]));
  if (block === null) {
    throw new ServiceError(
      "HeadMoved",
      `The execution node does not have the block ${hash} of the beacon chain; the next round tries again.`,
      { hash },
    );
  }
  const header = encodeHeader(block);
  if (header === null || keccak256(header) !== hash) throw mismatch(block, hash);
  return {
    number: Number(block["number"]),
    hash,
    stateRoot: String(block["stateRoot"]).toLowerCase(),
    timestamp: Number(block["timestamp"]),
  };
}

/** The latest execution block whose requests a state has. A state of Gloas has the hash alone. */
export async function executionBlockOf(
  provider: Pick<FailoverProvider, "send">,
  state: Pick<StateParts, "fork" | "executionBlock">,
): Promise<ExecutionBlock> {
  const { executionBlock } = state;
  return "number" in executionBlock ? executionBlock : readHeader(provider, executionBlock.hash);
}

/** The octets that are hashed; null for an answer that is no header. */
function encodeHeader(block: Readonly<Record<string, unknown>>): string | null {
  const present = FIELDS.filter(([name]) => block[name] !== undefined && block[name] !== null);
  try {
    return encodeRlp(
      present.map(([name, kind]) => {
        const value = String(block[name]);
        return kind === OCTETS ? getBytes(value) : toBeArray(value);
      }),
    );
  } catch {
    return null; // a member is not hex
  }
}

function mismatch(block: Readonly<Record<string, unknown>>, hash: string): ServiceError {
  const known = new Set(FIELDS.map(([name]) => name));
  const unknown = Object.keys(block).filter((name) => !known.has(name) && !OTHERS.has(name));
  const why =
    unknown.length > 0
      ? `Its members ${unknown.join(", ")} are not known here: if a new fork brought them, update this program to a release that supports it.`
      : "The node is at fault: use another execution node.";
  return new ServiceError(
    "HeaderMismatch",
    `The header that the execution node answers for the block ${hash} has another hash. ${why}`,
    { hash, unknown },
  );
}
