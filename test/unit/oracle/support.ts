import { toBeHex } from "ethers";
import type { NetworkConnection } from "hardhat/types/network";
import { BEACON_ROOTS_ADDRESS, predeploys } from "../../../devnet/execution/predeploys.js";

const RING = 8191n;

type Provider = NetworkConnection["provider"];

/** The real EIP-4788 contract. What the execution client writes at the start of each block is written by {@link setBeaconRoot}. */
export async function installBeaconRoots(provider: Provider): Promise<void> {
  const contract = predeploys().find(({ address }) => address === BEACON_ROOTS_ADDRESS)!;
  await provider.request({ method: "hardhat_setCode", params: [contract.address, contract.code] });
}

/** What EIP-4788's system call does in the block of `timestamp`: remembers the root of that block's parent. */
export async function setBeaconRoot(provider: Provider, timestamp: bigint, parentRoot: string): Promise<void> {
  const index = timestamp % RING;
  const write = (slot: bigint, value: string) =>
    provider.request({
      method: "hardhat_setStorageAt",
      params: [BEACON_ROOTS_ADDRESS, `0x${slot.toString(16)}`, value],
    });
  await write(index, toBeHex(timestamp, 32));
  await write(index + RING, parentRoot);
}
