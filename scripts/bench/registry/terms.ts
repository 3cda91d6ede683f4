import { id } from "ethers";

/** What the chain that is served and the service that reads it have in common. */
export const CHAIN_ID = 1;
/** As many blocks as mainnet has had since SSV Network was deployed there, by the end of 2026; the pool is a year old. */
export const HEAD = 6_900_000;
export const POOL_FROM = HEAD - 2_600_000;

const addressOf = (name: string): string => `0x${id(name).slice(26)}`;
export const addresses = {
  registry: addressOf("registry"),
  validatorExits: addressOf("exits"),
  ssvNetwork: addressOf("ssv"),
} as const;
