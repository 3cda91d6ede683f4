import { ssz } from "@lodestar/types";
import { expect } from "chai";
import { getBytes, hexlify } from "ethers";
import fc from "fast-check";
import { network } from "hardhat";
import { LibrariesHarness__factory } from "../../../types/ethers-contracts/index.js";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

describe("DepositData", () => {
  it("is the container's hash_tree_root for any key, credentials and signature", async () => {
    const { ethers } = await network.create("osaka");
    const [deployer] = await ethers.getSigners();
    const library = await new LibrariesHarness__factory(deployer).deploy();
    await fc.assert(
      fc.asyncProperty(bytes(48), bytes(32), bytes(96), async (pubkey, withdrawalCredentials, signature) => {
        const root = await library.depositDataRoot(pubkey, withdrawalCredentials, signature);
        const data = { pubkey, withdrawalCredentials, amount: 32_000_000_000, signature };
        expect(getBytes(root)).to.deep.equal(ssz.phase0.DepositData.hashTreeRoot(data), hexlify(pubkey));
      }),
      { numRuns: 100, seed: 7, examples: [[new Uint8Array(48), new Uint8Array(32), new Uint8Array(96)]] },
    );
  });
});
