import { readFileSync } from "node:fs";
import { expect } from "chai";
import { predeploys } from "../../devnet/execution/predeploys.js";

/** The literal behind a constant of the campaign's Solidity. */
function literal(name: string): string {
  const source = readFileSync(new URL("lib/SystemContracts.sol", import.meta.url), "utf8");
  const assigned = new RegExp(` ${name} =([^;]+);`).exec(source)?.[1];
  if (assigned === undefined) throw new Error(`SystemContracts.sol has no ${name}`);
  return [...assigned.matchAll(/hex"([0-9a-f]*)"/g)].map(([, hex]) => hex).join("");
}

describe("system contracts of the fuzz campaign", () => {
  for (const [name, address] of [
    ["BEACON_ROOTS", "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02"],
    ["WITHDRAWAL_REQUESTS", "0x00000961Ef480Eb55e80D19ad83579A64c007002"],
    ["DEPOSIT_CONTRACT", "0x00000000219ab540356cBB839Cbe05303d7705Fa"],
  ] as const)
    it(`${name} is the devnet's`, () => {
      const official = predeploys().find((predeploy) => predeploy.address === address);
      expect(`0x${literal(`${name}_CODE`)}`).to.equal(official?.code);
    });
});
