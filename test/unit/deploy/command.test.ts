import { expect } from "chai";
import { chmodSync, existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommanderError } from "commander";
import { getCreateAddress, JsonRpcProvider, toQuantity, zeroPadValue } from "ethers";
import { network } from "hardhat";
import { runDeploy } from "../../../deploy/command.js";
import { DeployError } from "../../../deploy/errors.js";
import { predeploys } from "../../../devnet/execution/predeploys.js";
import { SSVNetworkDouble__factory, SSVNetworkViewsDouble__factory } from "../../../types/ethers-contracts/index.js";
import { addressOf, filledInput, GENESIS_TIME, wallet } from "./support.js";

describe("deploy command", () => {
  const folder = mkdtempSync(join(tmpdir(), "pooleth-command-"));
  const file = (name: string, text = ""): string => {
    const path = join(folder, name);
    if (text !== "") writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const deployer = addressOf("deployer");
  const keyFile = file("key", `${wallet("deployer").privateKey}\n`);
  let server: Awaited<ReturnType<typeof network.createServer>>;
  let provider: JsonRpcProvider;
  let rpc: string;
  let parameters: string;

  before(async () => {
    server = await network.createServer("osaka", "127.0.0.1", 0);
    const { address, port } = await server.listen();
    rpc = `http://${address}:${port}`;
    provider = new JsonRpcProvider(rpc, undefined, { staticNetwork: true, cacheTimeout: -1, batchMaxCount: 1 });
    await provider.send("evm_setNextBlockTimestamp", [GENESIS_TIME]);
    for (const { address: at, code, storage } of predeploys()) {
      await provider.send("hardhat_setCode", [at, code]);
      for (const [slot, value] of storage) {
        await provider.send("hardhat_setStorageAt", [at, toQuantity(slot), zeroPadValue(value, 32)]);
      }
    }
    await provider.send("hardhat_setBalance", [deployer, toQuantity(10n ** 20n)]);
    const signer = await provider.getSigner(0);
    const double = await (await new SSVNetworkDouble__factory(signer).deploy()).waitForDeployment();
    const views = await (await new SSVNetworkViewsDouble__factory(signer).deploy(double.target)).waitForDeployment();
    const input = filledInput(31_337, { network: await double.getAddress(), views: await views.getAddress() });
    parameters = file("parameters.json", JSON.stringify(input));
  });
  after(async () => {
    provider.destroy();
    await server.close();
  });

  async function run(...options: string[]): Promise<string> {
    const printed: string[] = [];
    await runDeploy(["--parameters", parameters, "--rpc", rpc, "--key-file", keyFile, ...options], (text) => {
      printed.push(text);
    });
    return printed.join("\n");
  }

  async function refusal(promise: Promise<string>): Promise<string> {
    try {
      await promise;
    } catch (error) {
      if (error instanceof DeployError) return `${error.code}: ${error.message}`;
      throw error;
    }
    throw new Error("nothing was refused");
  }

  it("shows everything and sends nothing when dry", async () => {
    const state = file("dry.json");
    const text = await run("--state", state, "--dry-run");
    expect(text).to.include("1/26 to send: AccessManager");
    expect(text).to.include("to send: seeds the reserve, with 10.0 ETH");
    expect(text).to.match(new RegExp(`poolManager +│ ${getCreateAddress({ from: deployer, nonce: 25 })}`));
    expect(text).to.match(new RegExp(`POOL_OPERATOR +│ ${addressOf("pool operator")} +│ 0 s`));
    expect(text).to.include("Dry run: nothing was sent.");
    expect(existsSync(state)).to.equal(false);
    expect(await provider.getTransactionCount(deployer)).to.equal(0);
  });

  it("shows each step, then addresses and roles; a second run finds all of it", async () => {
    const state = file("real.json");
    const text = await run("--state", state);
    expect(text).to.match(/^1\/26 sent: AccessManager \(0x[0-9a-f]{64}\)\n1\/26 mined: AccessManager/);
    expect(text).to.match(new RegExp(`reportOracle +│ ${getCreateAddress({ from: deployer, nonce: 15 })}`));
    expect(text).to.match(new RegExp(`GOVERNANCE +│ ${addressOf("governance")} +│ 0 s`));
    expect(text).to.include(`The deployer ${deployer} holds no right any more.`);

    const again = await run("--state", state);
    expect(again).to.match(/^1\/26 found: AccessManager/);
    expect(again.slice(again.indexOf("┌"))).to.equal(text.slice(text.indexOf("┌")));
    expect(await run("--state", state, "--dry-run")).to.include("25/26 sent before: renounces the deployer's rights");
    expect(await provider.getTransactionCount(deployer)).to.equal(26);
  });

  it("takes its key from a file of the owner's alone", async () => {
    const cases: [path: string, message: string][] = [
      [file("missing"), "cannot be read"],
      [file("words", "correct horse battery staple"), "holds no private key (32 bytes in hex)"],
      [file("exposed", wallet("deployer").privateKey), "other users of this machine can read it; run chmod 600 on it"],
    ];
    chmodSync(file("exposed"), 0o644);
    for (const [path, message] of cases) {
      expect(await refusal(run("--key-file", path))).to.equal(`DEPLOYER_UNFIT: --key-file ${path}: ${message}.`);
    }
  });

  it("says that the node does not answer", async () => {
    expect(await refusal(run("--rpc", "http://127.0.0.1:1", "--dry-run"))).to.equal(
      "NODE_UNREACHABLE: The execution node does not answer (connect ECONNREFUSED 127.0.0.1:1): check its URL.",
    );
  });

  it("says which option is missing", async () => {
    const printed: string[] = [];
    try {
      await runDeploy(["--rpc", rpc], (text) => printed.push(text));
      expect.fail("it ran");
    } catch (error) {
      expect(error).to.be.instanceOf(CommanderError);
    }
    expect(printed.join("")).to.include("required option '--parameters <file>' not specified");
  });
});
