import { readFileSync } from "node:fs";
import { id, Wallet } from "ethers";
import type { network } from "hardhat";
import type { ParametersInput } from "../../../deploy/parameters.js";
import { BEACON_ROOTS_ADDRESS, DEPOSIT_CONTRACT_ADDRESS, predeploys } from "../../../devnet/execution/predeploys.js";

export type Connection = Awaited<ReturnType<typeof network.create>>;

/** Of every chain of these tests. */
export const GENESIS_TIME = 1_800_000_000;

export const wallet = (name: string): Wallet => new Wallet(id(name));
export const addressOf = (name: string): string => wallet(name).address;

export function readInput(network: string): ParametersInput {
  const file = new URL(`../../../deploy/parameters/${network}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")) as ParametersInput;
}

/** The parameters of the local Ethereum with everybody named, for SSV contracts at the given addresses. */
export function filledInput(chainId: number, ssv: { network: string; views: string }): ParametersInput {
  const input = readInput("devnet");
  const members = (set: string) =>
    [1, 2, 3].map((i) => ({ member: addressOf(`${set} ${i}, cold`), signer: addressOf(`${set} ${i}, hot`) }));
  return {
    ...input,
    chainId,
    ssv,
    frames: { ...input.frames, genesisTime: GENESIS_TIME },
    governance: { address: addressOf("governance"), delaySeconds: 0 },
    poolOperator: addressOf("pool operator"),
    pool: { ...input.pool, treasury: addressOf("treasury") },
    oracles: { members: members("oracle"), quorum: 2 },
    guardians: { ...input.guardians, members: members("guardian"), quorum: 2 },
  };
}

/** What a pool is deployed on: predeploys, the deposit contract, SSV Network's double; and a funded deployer. */
export async function ground({ ethers, networkHelpers, provider }: Connection) {
  await networkHelpers.time.increaseTo(GENESIS_TIME + 1_000);
  for (const { address, code, storage } of predeploys()) {
    if (address !== BEACON_ROOTS_ADDRESS && address !== DEPOSIT_CONTRACT_ADDRESS) continue;
    await provider.request({ method: "hardhat_setCode", params: [address, code] });
    for (const [slot, value] of storage) {
      const word = ethers.zeroPadValue(value, 32);
      await provider.request({ method: "hardhat_setStorageAt", params: [address, ethers.toQuantity(slot), word] });
    }
  }
  const ssvNetwork = await ethers.deployContract("SSVNetworkDouble");
  const ssvViews = await ethers.deployContract("SSVNetworkViewsDouble", [ssvNetwork.target]);
  const { chainId } = await ethers.provider.getNetwork();
  const input = filledInput(Number(chainId), {
    network: await ssvNetwork.getAddress(),
    views: await ssvViews.getAddress(),
  });
  const deployer = wallet("deployer").connect(ethers.provider);
  for (const name of ["deployer", "governance", "pool operator", "stranger"]) {
    await networkHelpers.setBalance(addressOf(name), 10n ** 21n);
  }
  return { input, deployer, ssvNetwork };
}
