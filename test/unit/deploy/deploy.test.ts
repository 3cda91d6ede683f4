import { expect } from "chai";
import { network } from "hardhat";
import { deployPool } from "../../../deploy/deploy.js";
import { parseParameters } from "../../../deploy/parameters.js";
import { type Connection, ground } from "./support.js";

describe("deploy", () => {
  let connection: Connection;
  before(async () => {
    connection = await network.create("osaka");
  });
  it("deploys", async () => {
    const { input, deployer } = await ground(connection);
    const d = await deployPool(deployer, parseParameters(input));
    expect(d.block).to.be.greaterThan(0);
  });
});
