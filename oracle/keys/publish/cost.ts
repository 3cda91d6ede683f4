import { getBytes } from "ethers";

const TRANSACTION_GAS = 21_000n;
/** EIP-7623: an octet of calldata costs at least this, four times if it is not zero. */
const FLOOR_PER_TOKEN = 10n;
const TOKENS_PER_OCTET = 4n;

/** The least that a transaction with this calldata costs; of all but small publications, which do little but carry data, all. */
export function floorGas(data: string): bigint {
  let tokens = 0n;
  for (const octet of getBytes(data)) tokens += octet === 0 ? 1n : TOKENS_PER_OCTET;
  return TRANSACTION_GAS + FLOOR_PER_TOKEN * tokens;
}

/**
 * Gas of transactions of which only the first can be simulated, as the others follow it: they cost so many times their floor as the
 * first, or the floor where not even that is known.
 */
export function estimateAll(calls: readonly string[], first: bigint | null): bigint[] {
  const floors = calls.map(floorGas);
  const [floor] = floors;
  if (first === null || floor === undefined) return floors;
  return floors.map((other) => (other * first + floor - 1n) / floor);
}
