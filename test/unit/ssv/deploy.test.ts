import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { network as hardhat } from "hardhat";
import { deployOrLoadSsv, registerOperators, SsvError } from "../../../devnet/ssv.js";
import { ISSVNetwork__factory } from "../../../types/ethers-contracts/index.js";

const { ethers, networkHelpers } = await hardhat.create("osaka");

async function failure(promise: Promise<unknown>): Promise<SsvError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof SsvError) return error;
    throw error;
  }
  throw new Error("nothing failed");
}

describe("SSV deployment", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "ssv-artifacts-"));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
    delete process.env["SSV_ARTIFACTS"];
  });

  it("deploys the double and registers operators where blocks come by themselves", async () => {
    const [signer] = await ethers.getSigners();
    const { network, views, double } = await deployOrLoadSsv(signer!, { artifactsDir: "" });
    expect(await network.getAddress()).to.equal(await double!.getAddress());
    const ids = await registerOperators(network, signer!, [
      { publicKey: "0x01", feeWeiPerBlock: 1_770_000_000n },
      { publicKey: "0x02", feeWeiPerBlock: 0n },
    ]);
    expect(ids).to.deep.equal([1n, 2n]);
    expect(await views.getOperatorFee(1n)).to.equal(1_770_000_000n);
    expect([...(await views.getOperatorById(2n))].slice(-2)).to.deep.equal([false, true]);
  });

  it("asks for blocks where they are made by hand, one for all operators", async () => {
    const { ethers: manual, networkHelpers: helpers, provider } = await hardhat.create("osaka");
    await provider.request({ method: "evm_setAutomine", params: [false] });
    const [signer] = await manual.getSigners();
    const mine = () => helpers.mine();
    const { network } = await deployOrLoadSsv(signer!, { mine });
    expect(await manual.provider.getBlockNumber()).to.equal(2);
    const operators = ["0x01", "0x02", "0x03", "0x04"].map((publicKey) => ({ publicKey, feeWeiPerBlock: 0n }));
    expect(await registerOperators(network, signer!, operators, { mine })).to.deep.equal([1n, 2n, 3n, 4n]);
    expect(await manual.provider.getBlockNumber()).to.equal(3);
  });

  it("says so when the target is no SSV Network", async () => {
    const [signer] = await ethers.getSigners();
    const target = ethers.Wallet.createRandom().address;
    await networkHelpers.setCode(target, "0x00");
    const elsewhere = ISSVNetwork__factory.connect(target, signer);
    const error = await failure(registerOperators(elsewhere, signer!, [{ publicKey: "0x01", feeWeiPerBlock: 0n }]));
    expect(error.code).to.equal("SSV_OPERATOR_NOT_ADDED");
    expect(error.meta["target"]).to.equal(target);
  });

  it("names the artifact that is missing", async () => {
    const [signer] = await ethers.getSigners();
    const error = await failure(deployOrLoadSsv(signer!, { artifactsDir: folder }));
    expect(error.code).to.equal("SSV_ARTIFACT_UNREADABLE");
    expect(error.message).to.contain("README-ssv.md");
    process.env["SSV_ARTIFACTS"] = folder;
    expect((await failure(deployOrLoadSsv(signer!))).code).to.equal("SSV_ARTIFACT_UNREADABLE");
  });

  for (const [what, text] of [
    ["no JSON", "{"],
    ["no artifact", '{"abi": "none"}'],
    ["not linked", '{"abi": [], "bytecode": "0x73__$0123456789$__"}'],
    ["without code", '{"abi": [], "bytecode": "0x"}'],
  ] as const) {
    it(`names the artifact that is ${what}`, async () => {
      const [signer] = await ethers.getSigners();
      await writeAll(folder, text);
      const error = await failure(deployOrLoadSsv(signer!, { artifactsDir: folder }));
      expect(error.code).to.equal("SSV_ARTIFACT_INVALID");
      expect(String(error.meta["file"])).to.contain(folder);
      expect(error.cause).to.be.instanceOf(Error);
    });
  }
});

async function writeAll(folder: string, text: string): Promise<void> {
  const names = ["Token", "ERC1967Proxy", "SSVNetwork", "SSVOperators", "SSVClusters", "SSVDAO", "SSVViews"];
  names.push("SSVOperatorsWhitelist", "SSVStaking", "SSVValidators", "SSVNetworkViews");
  for (const name of names) await writeFile(path.join(folder, `${name}.json`), text);
}
