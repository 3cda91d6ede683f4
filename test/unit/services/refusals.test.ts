import { expect } from "chai";
import { refusalOf, type Refusal } from "../../../oracle/execution/refusals.js";

/** What nodes and providers say, word for word. */
const SAID: [who: string, method: string, code: number, message: string, meant: Refusal | null, data?: unknown][] = [
  ["geth", "eth_call", 3, "execution reverted", null, "0x08c379a0"],
  ["geth", "eth_call", -32000, "execution reverted", null],
  ["geth", "eth_call", -32000, "invalid opcode: INVALID", null],
  ["geth", "eth_estimateGas", -32000, "gas required exceeds allowance (30000000)", null],
  ["geth", "eth_call", -32000, "insufficient funds for gas * price + value: address 0xab have 0 want 1", null],
  ["geth", "eth_call", -32000, "max fee per gas less than block base fee: maxFeePerGas: 1, baseFee: 7", null],
  ["geth", "eth_call", -32000, "header not found", "missing"],
  ["geth", "eth_getBalance", -32000, "missing trie node ef7df5d88cb1 (path ) state 0xef7d is not available", "missing"],
  ["geth", "eth_getProof", -32000, "historical state 02203acdaff3ded2e651 is not available", "missing"],
  ["geth", "eth_call", -32000, "required historical state unavailable (reexec=128)", "missing"],
  ["geth", "eth_getLogs", 4444, "pruned history unavailable", "missing"],
  ["geth", "eth_getLogs", -32602, "block range extends beyond current head block", "missing"],
  ["geth", "eth_getLogs", -32602, "invalid block range params", "missing"],
  ["geth", "eth_getLogs", -32602, "exceed max topics", null],
  ["geth", "eth_getProof", -32601, "the method eth_getProof does not exist/is not available", "unsupported"],
  ["geth", "eth_sendRawTransaction", -32000, "already known", null],
  ["geth", "eth_sendRawTransaction", -32000, "nonce too low: next nonce 5, tx nonce 4", null],
  ["geth", "eth_sendRawTransaction", -32000, "replacement transaction underpriced", null],
  ["geth", "eth_sendRawTransaction", -32000, "txpool is full", null],
  ["Nethermind", "eth_call", -32002, "No state available for block 0xe7b1e5b5b5c7", "missing"],
  ["Nethermind", "eth_call", -32000, "4294967295 could not be found", "missing"],
  ["Nethermind", "eth_getStorageAt", -32000, "missing trie node (path ) state 0xd7f8974f", "missing"],
  ["Nethermind", "eth_getLogs", -32000, "Receipt not available for From block 14319330.", "missing"],
  [
    "Nethermind",
    "eth_getBalance",
    -32603,
    "Internal error",
    "missing",
    "Nethermind.Trie.MissingTrieNodeException: Node A: P:2 H:0x99 is missing from the DB",
  ],
  ["Nethermind", "eth_call", -32603, "Internal error", "broken"],
  ["Nethermind", "eth_sendRawTransaction", -32603, "Internal error", null],
  ["Nethermind", "eth_call", -32015, "VM execution error.", null, "revert"],
  ["Besu", "eth_getBalance", -32000, "World state unavailable", "missing"],
  ["Besu", "eth_call", -32000, "Block not found", "missing"],
  ["Besu", "eth_getLogs", -32005, "Requested range exceeds maximum RPC range limit", null],
  ["Besu", "eth_call", -32000, "Execution reverted", null, "0x12345678"],
  [
    "Erigon",
    "eth_getProof",
    -32000,
    "requested block is too old, block must be within 1000 blocks of the head",
    "missing",
  ],
  ["Erigon", "eth_getProof", -32000, "root hash mismatch witnessTrieRootHash(ba)!=expectedRootHash(60)", "missing"],
  ["Erigon", "eth_getLogs", -32000, "seek with txNum=19 but data before txNum=26 is not available", "missing"],
  ["Reth", "eth_getProof", -32602, "distance to target block exceeds maximum proof window", "missing"],
  ["Reth", "eth_getBalance", -32603, "state at block #2 is pruned", "missing"],
  ["Reth", "eth_call", -32001, "block not found: 0x3b9aca00", "missing"],
  ["Reth", "eth_getLogs", -32602, "query exceeds max results 20000, retry with the range 25766988-25775072", null],
  ["Reth", "eth_getLogs", -32602, "query exceeds max block range 100000", null],
  ["Hardhat", "eth_call", -32603, "VM Exception while processing transaction: reverted with reason string 'no'", null],
  ["Infura", "eth_call", -32005, "daily request count exceeded, request rate limited", "limited"],
  ["Infura", "eth_getLogs", -32005, "project ID request rate exceeded", "limited"],
  [
    "Infura",
    "eth_getLogs",
    -32005,
    "query returned more than 10000 results. Try with this block range [0xB, 0x1].",
    null,
  ],
  ["Infura", "eth_getLogs", -32005, "query timeout exceeded", null],
  ["Infura", "eth_getLogs", -32602, "range 1000000 exceeds limit of 10000", null],
  ["Alchemy", "eth_call", 429, "Your app has exceeded its compute units per second capacity.", "limited"],
  [
    "Alchemy",
    "eth_getLogs",
    -32602,
    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size",
    null,
  ],
  ["QuickNode", "eth_getLogs", -32614, "eth_getLogs is limited to a 10,000 range", null],
  ["QuickNode", "eth_call", -32007, "15/second request limit reached - reduce calls per second", "limited"],
  ["a public node", "eth_call", -32016, "over rate limit", "limited"],
  ["a public node", "eth_sendRawTransaction", -32029, "Rate limit exceeded", "limited"],
  ["a proxy", "eth_call", -32603, "upstream does not have the requested block yet", "missing"],
  ["a proxy", "eth_getProof", -32601, "rpc method is not whitelisted", "unsupported"],
];

describe("errors of execution nodes", () => {
  for (const [who, method, code, message, meant, data] of SAID) {
    it(`${who} at ${method}, ${code} ${message.slice(0, 60)}: ${meant ?? "an answer"}`, () => {
      expect(refusalOf(method, { code, message, data })).to.equal(meant);
    });
  }
});
