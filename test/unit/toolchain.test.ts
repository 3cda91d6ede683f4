import { expect } from "chai";
import { network } from "hardhat";

describe("tool chain", () => {
  it("runs the Osaka rules on a pinned Node", async () => {
    const { ethers } = await network.create("osaka");
    expect(Number(process.versions.node.split(".")[0])).to.be.at.least(22);
    // EIP-7951: the P-256 precompile answers only from Osaka on; an invalid signature returns nothing
    expect(await ethers.provider.call({ to: "0x0000000000000000000000000000000000000100", data: "0x" })).to.equal("0x");
  });
});
