/** Why an error says something of the node that gave it and nothing of the chain: another node may answer. */
export type Refusal = "limited" | "missing" | "unsupported" | "broken";

export interface RpcError {
  readonly code: number;
  readonly message?: string | undefined;
  readonly data?: unknown;
}

// As geth, Nethermind, Besu, Erigon, Reth and the usual providers put it; their codes alone do not tell these apart.
const REVERTED = /revert|vm exception|invalid opcode|out of gas|stack (over|under)flow/i;
const LIMITED =
  /rate.?limit|rate exceeded|request rate|too many requests|(request|usage|daily|traffic|unit)\s?limit|limit exceeded|quota|compute units?|capacity|credits/i;
const MISSING = new RegExp(
  [
    "missing ?trie ?node|missing from the db",
    "\\b(header|block|state|receipts?|logs?)\\b.*\\b(not (found|available)|unavailable|pruned)",
    "could not be found|does not have the requested|unknown block|no state|pruned",
    "too old|proof window|before txnum|root hash mismatch",
    "(beyond|exceeds|past) (the )?(current |chain )?head|invalid block range",
  ].join("|"),
  "i",
);
const UNSUPPORTED = /method.*(not|n't) ?(found|exist|available|supported|allowed|whitelisted)|unsupported method/i;
/** More blocks or logs than a node searches at once: any node must be asked for less. */
const TOO_MUCH = /range|results|response size|too (large|big|many)|time.?out|timed out|duration|deadline|limited to/i;

const CODES: ReadonlyMap<number, Refusal> = new Map<number, Refusal>([
  ...[429, -32005, -32016, -32021, -32022, -32029, -32097].map((code) => [code, "limited"] as const),
  ...[4444, -32001, -32002, -32014, -32019].map((code) => [code, "missing"] as const),
  ...[-32601, -32004].map((code) => [code, "unsupported"] as const),
  [-32603, "broken"],
]);

/** Null for an error that is an answer, such as a revert. */
export function refusalOf(method: string, { code, message = "", data }: RpcError): Refusal | null {
  if (isRevert(code, message, data)) return null;
  const text = typeof data === "string" ? `${message} ${data}` : message;
  if (LIMITED.test(text)) return "limited";
  // a node says of a transaction why it does not take it, in as many words as there are nodes
  if (method === "eth_sendRawTransaction") return CODES.get(code) === "limited" ? "limited" : null;
  if (MISSING.test(text)) return "missing";
  if (UNSUPPORTED.test(text)) return "unsupported";
  if (method !== "eth_getLogs") return CODES.get(code) ?? null;
  // a search that breaks is often one that was too wide
  return TOO_MUCH.test(text) || code === -32603 ? null : (CODES.get(code) ?? null);
}

function isRevert(code: number, message: string, data: unknown): boolean {
  return code === 3 || REVERTED.test(message) || (typeof data === "string" && /^0x([0-9a-f]{2})*$/i.test(data));
}
