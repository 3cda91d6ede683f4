import { hoodiGenesis } from "@ethereumjs/genesis/hoodi";

/** Contracts that exist from the first block on, at their mainnet addresses. */
export const BEACON_ROOTS_ADDRESS = "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02"; // EIP-4788
export const HISTORY_STORAGE_ADDRESS = "0x0000F90827F1C53a10cb7A02335B175320002935"; // EIP-2935
export const WITHDRAWAL_REQUESTS_ADDRESS = "0x00000961Ef480Eb55e80D19ad83579A64c007002"; // EIP-7002
export const CONSOLIDATION_REQUESTS_ADDRESS = "0x0000BBdDc7CE488642fb579F8B00f3a590007251"; // EIP-7251
export const DEPOSIT_CONTRACT_ADDRESS = "0x00000000219ab540356cBB839Cbe05303d7705Fa"; // EIP-6110

const PREDEPLOYS = [
  BEACON_ROOTS_ADDRESS,
  HISTORY_STORAGE_ADDRESS,
  WITHDRAWAL_REQUESTS_ADDRESS,
  CONSOLIDATION_REQUESTS_ADDRESS,
  DEPOSIT_CONTRACT_ADDRESS,
];

export interface Predeploy {
  address: string;
  code: string;
  storage: [slot: string, value: string][];
}

/** The official byte code and genesis storage of the contracts above, as the Hoodi network started with. */
export function predeploys(): Predeploy[] {
  const alloc = Object.entries(hoodiGenesis) as [address: string, account: unknown][];
  const byAddress = new Map(alloc.map(([address, account]) => [address.toLowerCase(), account]));
  return PREDEPLOYS.map((address) => {
    const account = byAddress.get(address.toLowerCase());
    if (!Array.isArray(account)) throw new Error(`@ethereumjs/genesis has no code for ${address}`);
    const [, code, storage] = account as [balance: string, code: string, storage?: [string, string][]];
    return { address, code, storage: storage ?? [] };
  });
}
