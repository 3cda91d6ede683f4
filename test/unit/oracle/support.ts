import { getGenesis } from "@ethereumjs/genesis";
import { toBeHex } from "ethers";
import type { NetworkConnection } from "hardhat/types/network";

export const BEACON_ROOTS = "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02";
const RING = 8191n;

type Provider = NetworkConnection["provider"];

/** Code of a system contract as it is at the genesis of Hoodi. */
function systemCode(address: string): string {
  const account = getGenesis(560048)?.[address.toLowerCase() as `0x${string}`];
  const code = Array.isArray(account) ? account[1] : undefined;
  if (typeof code !== "string" || code === "0x") throw new Error(`no code of ${address} in @ethereumjs/genesis`);
  return code;
}

/** The real EIP-4788 contract. What the execution client writes at the start of each block is written by {@link setBeaconRoot}. */
export async function installBeaconRoots(provider: Provider): Promise<void> {
  await provider.request({ method: "hardhat_setCode", params: [BEACON_ROOTS, systemCode(BEACON_ROOTS)] });
}

/** What EIP-4788's system call does in the block of `timestamp`: remembers the root of that block's parent. */
export async function setBeaconRoot(provider: Provider, timestamp: bigint, parentRoot: string): Promise<void> {
  const index = timestamp % RING;
  const write = (slot: bigint, value: string) =>
    provider.request({ method: "hardhat_setStorageAt", params: [BEACON_ROOTS, `0x${slot.toString(16)}`, value] });
  await write(index, toBeHex(timestamp, 32));
  await write(index + RING, parentRoot);
}
