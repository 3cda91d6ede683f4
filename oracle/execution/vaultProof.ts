import { verifyMerkleProof } from "@ethereumjs/mpt";
import { decodeRlp, getBytes, keccak256, toBeHex, toBigInt, toUtf8Bytes } from "ethers";
import { z } from "zod";
import { atBlock, type FailoverProvider } from "./provider.js";

const nodes = z.array(z.string().regex(/^0x([0-9a-f]{2})+$/i)).max(64);
/** Nodes of the state's trie down to the vault and to the PoolManager, and of the latter's storage down to its ledger. */
export const vaultProofSchema = z.object({ vault: nodes, pool: nodes, ledger: nodes });
export type VaultProof = Readonly<z.infer<typeof vaultProofSchema>>;

interface Addresses {
  readonly withdrawalVault: string;
  readonly poolManager: string;
}

/** EIP-7201 names where PoolManager's storage begins; its ledger is the fifth word, with `swept` in the lowest 96 bits. */
const STORAGE =
  (toBigInt(keccak256(toBeHex(toBigInt(keccak256(toUtf8Bytes("pooleth.storage.PoolManager"))) - 1n, 32))) >> 8n) << 8n;
const LEDGER = toBeHex(STORAGE + 4n, 32);
const SWEPT_BITS = 96;

const header = z.object({ stateRoot: z.string() });
const accountProof = z.object({ accountProof: nodes, storageProof: z.array(z.object({ proof: nodes })) });

/** Asks for the proof while nodes still have the block's state. */
export async function readVaultProof(
  provider: FailoverProvider,
  { withdrawalVault, poolManager }: Addresses,
  blockHash: string,
): Promise<VaultProof> {
  const ask = async (address: string, slots: string[]): Promise<z.infer<typeof accountProof>> =>
    accountProof.parse(await provider.send("eth_getProof", [address, slots, atBlock(blockHash)]));
  const [vault, pool] = await Promise.all([ask(withdrawalVault, []), ask(poolManager, [LEDGER])]);
  return { vault: vault.accountProof, pool: pool.accountProof, ledger: pool.storageProof[0]?.proof ?? [] };
}

/** State root that a node gives for a block: enough to tell whether its own proof holds, not whether it is true. */
export async function readStateRoot(provider: FailoverProvider, blockHash: string): Promise<string> {
  return header.parse(await provider.send("eth_getBlockByHash", [blockHash, false])).stateRoot;
}

/** What had ever come to the vault, as a state root has it: its balance and all that was swept. Null for a proof that proves nothing. */
export async function provenWithdrawnWei(
  stateRoot: string,
  { withdrawalVault, poolManager }: Addresses,
  proof: VaultProof,
): Promise<bigint | null> {
  const vault = await proven(stateRoot, withdrawalVault, proof.vault);
  const pool = await proven(stateRoot, poolManager, proof.pool);
  if (vault === null || pool === null) return null;
  const [, balance] = decodeRlp(vault) as string[]; // nonce, balance, storage root, code hash
  const [, , storageRoot] = decodeRlp(pool) as string[];
  const ledger = await proven(storageRoot ?? "0x", LEDGER, proof.ledger);
  if (balance === undefined || ledger === null) return null;
  return numberOf(balance) + BigInt.asUintN(SWEPT_BITS, numberOf(decodeRlp(ledger) as string));
}

/** The value under a key; null when the nodes do not lead from the root to one. */
async function proven(root: string, key: string, proof: readonly string[]): Promise<Uint8Array | null> {
  const options = { root: getBytes(root), useKeyHashing: true };
  return verifyMerkleProof(
    getBytes(key),
    proof.map((node) => getBytes(node)),
    options,
  ).catch(() => null);
}

const numberOf = (octets: string): bigint => (octets === "0x" ? 0n : BigInt(octets));
