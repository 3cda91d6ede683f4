import { expect } from "chai";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { id, parseEther, type Provider, type TransactionResponse, VoidSigner, Wallet } from "ethers";
import { network } from "hardhat";
import { type Deployment, deployPool, type DeployOptions, type StepReport } from "../../../deploy/deploy.js";
import { DeployError, type DeployErrorCode } from "../../../deploy/errors.js";
import { type Parameters, type ParametersInput, parseParameters } from "../../../deploy/parameters.js";
import { planDeployment } from "../../../deploy/plan.js";
import { roleHolders } from "../../../deploy/roles.js";
import { addAccountAndClusters } from "../../../deploy/setup.js";
import { type DeploymentState, readState } from "../../../deploy/state.js";
import { currentRoleHolders, verifyDeployment } from "../../../deploy/verify.js";
import {
  AccessManager__factory,
  OperationsReserve__factory,
  PoolETH__factory,
  PoolManager__factory,
  ValidatorRegistry__factory,
} from "../../../types/ethers-contracts/index.js";
import { addressOf, type Connection, ground, wallet } from "./support.js";

const DEAD = "0x000000000000000000000000000000000000dEaD";

class Killed extends Error {}

async function refusal(run: Promise<unknown>, code: DeployErrorCode): Promise<DeployError> {
  try {
    await run;
  } catch (error) {
    if (error instanceof DeployError && error.code === code) return error;
    throw error;
  }
  throw new Error(`nothing was refused; ${code} was expected`);
}

describe("deployment", () => {
  let connection: Connection;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function prepared() {
    const { input, deployer, ssvNetwork } = await ground(connection);
    const parameters = parseParameters(input);
    const stateFile = join(mkdtempSync(join(tmpdir(), "pooleth-deploy-")), "state.json");
    const steps = (await planDeployment(parameters, deployer.address, 0)).steps;
    return { input, parameters, deployer, ssvNetwork, stateFile, steps };
  }
  type Prepared = Awaited<ReturnType<typeof prepared>>;
  const load = async (): Promise<Prepared> => {
    const found = await connection.networkHelpers.loadFixture(prepared);
    const stateFile = join(mkdtempSync(join(tmpdir(), "pooleth-deploy-")), "state.json");
    return { ...found, stateFile };
  };
  const savedState = (file: string): DeploymentState => JSON.parse(readFileSync(file, "utf8")) as DeploymentState;

  /** Runs until the step of this index was sent or mined, and dies. */
  async function killedAt(d: Prepared, index: number, outcome: StepReport["outcome"], options: DeployOptions = {}) {
    const onStep = (report: StepReport): void => {
      if (report.index === index && report.outcome === outcome) throw new Killed();
    };
    try {
      await deployPool(d.deployer, d.parameters, { stateFile: d.stateFile, onStep, ...options });
    } catch (error) {
      if (error instanceof Killed) return;
      throw error;
    }
    throw new Error("it lived on");
  }

  it("stands as the parameters say, open, seeded, and without its deployer", async () => {
    const d = await load();
    const { ethers } = connection;
    const reports: StepReport[] = [];
    const onStep = (report: StepReport): void => void reports.push(report);
    const deployment = await deployPool(d.deployer, d.parameters, { onStep });
    const { addresses } = deployment;
    const plan = await planDeployment(d.parameters, d.deployer.address, 0);
    expect(addresses).to.deep.equal(plan.addresses);
    expect(deployment).to.include({ chainId: d.parameters.chainId, deployer: d.deployer.address });
    expect(reports.map(({ step, outcome }) => `${step.id} ${outcome}`)).to.deep.equal(
      plan.steps.flatMap(({ id }) => [`${id} sent`, `${id} mined`]),
    );
    const receipt = await ethers.provider.getTransactionReceipt(reports[0]!.transactionHash);
    expect(deployment.block).to.equal(receipt!.blockNumber);

    const pool = PoolManager__factory.connect(addresses.poolManager, ethers.provider);
    const token = PoolETH__factory.connect(addresses.poolETH, ethers.provider);
    const reserve = OperationsReserve__factory.connect(addresses.reserve, ethers.provider);
    expect(await token.balanceOf(DEAD)).to.equal(parseEther("1"));
    expect(await token.totalSupply()).to.equal(parseEther("1"));
    expect(await reserve.balance()).to.equal(parseEther("10"));
    expect((await pool.stakingState()).open).to.equal(true);
    expect(await currentRoleHolders(ethers.provider, deployment)).to.deep.equal(roleHolders(d.parameters));
    const manager = AccessManager__factory.connect(addresses.accessManager, ethers.provider);
    expect(await manager.hasRole(0, d.deployer.address)).to.deep.equal([false, 0n]);
  });

  it("takes no stake before its deployer has given up every right", async () => {
    const d = await load();
    const { provider } = connection.ethers;
    const { addresses } = await planDeployment(d.parameters, d.deployer.address, 0);
    const manager = AccessManager__factory.connect(addresses.accessManager, provider);
    const renounce = d.steps.findIndex(({ id }) => id === "renounce");
    await killedAt(d, renounce - 1, "mined");
    expect((await manager.hasRole(0, d.deployer.address)).isMember).to.equal(true);
    expect(await provider.getCode(addresses.poolManager)).to.equal("0x");
    await killedAt(d, renounce, "mined");
    expect((await manager.hasRole(0, d.deployer.address)).isMember).to.equal(false);
    await deployPool(d.deployer, d.parameters, { stateFile: d.stateFile });
    expect(await provider.getCode(addresses.poolManager)).not.to.equal("0x");
  });

  it("can be done by a signer that keeps its key elsewhere", async () => {
    const d = await load();
    const [signer] = await connection.ethers.getSigners();
    const deployment = await deployPool(signer!, d.parameters, { stateFile: d.stateFile });
    expect(deployment.deployer).to.equal(signer!.address);
    expect(savedState(d.stateFile).steps).to.have.length(d.steps.length);
  });

  describe("goes on", () => {
    it("after a death behind any transaction", async () => {
      const d = await load();
      const expected = await planDeployment(d.parameters, d.deployer.address, 0);
      for (const index of d.steps.keys()) {
        await killedAt(d, index, "mined");
        expect(await connection.ethers.provider.getTransactionCount(d.deployer.address)).to.equal(index + 1);
      }
      const found: string[] = [];
      const onStep = ({ outcome, step }: StepReport): void => void found.push(`${step.id} ${outcome}`);
      const deployment = await deployPool(d.deployer, d.parameters, { stateFile: d.stateFile, onStep });
      expect(deployment.addresses).to.deep.equal(expected.addresses);
      expect(found).to.deep.equal(d.steps.map((step) => `${step.id} found`));
    });

    it("after a death between sending any transaction and hearing of it", async () => {
      const d = await load();
      for (const index of d.steps.keys()) {
        await killedAt(d, index, "sent");
        expect(savedState(d.stateFile).steps[index]).not.to.have.property("block");
      }
      await deployPool(d.deployer, d.parameters, { stateFile: d.stateFile });
      expect(await connection.ethers.provider.getTransactionCount(d.deployer.address)).to.equal(d.steps.length);
    });

    for (const [when, leaves] of [
      ["before any transaction leaves", false],
      ["when the answer to any transaction is lost", true],
    ] as const) {
      it(`after a death ${when}`, async () => {
        const d = await load();
        const provider: Provider = connection.ethers.provider;
        for (const index of d.steps.keys()) {
          let allowed = index - savedCount(d.stateFile, leaves);
          const broken = new Proxy(provider, {
            get(target, key) {
              const value: unknown = Reflect.get(target, key, target);
              if (typeof value !== "function") return value;
              if (key !== "broadcastTransaction") return value.bind(target) as unknown;
              return async (raw: string) => {
                if (allowed-- > 0) return target.broadcastTransaction(raw);
                if (leaves) await target.broadcastTransaction(raw);
                throw new Error("connection lost");
              };
            },
          });
          const deployer = new Wallet(d.deployer.privateKey, broken);
          const error = await refusal(
            deployPool(deployer, d.parameters, { stateFile: d.stateFile }),
            "TRANSACTION_FAILED",
          );
          expect(error.message).to.match(new RegExp(`^Step ${index + 1}, ${d.steps[index]!.id} .*connection lost`));
        }
        await deployPool(d.deployer, d.parameters, { stateFile: d.stateFile });
        expect(await provider.getTransactionCount(d.deployer.address)).to.equal(d.steps.length);
      });
    }

    it("with a transaction that waits to be mined", async () => {
      const d = await load();
      const { provider } = connection;
      await killedAt(d, 2, "mined");
      await provider.request({ method: "evm_setAutomine", params: [false] });
      try {
        await killedAt(d, 3, "sent");
        const onStep = (report: StepReport): void => {
          if (report.index === 3) throw new Killed();
        };
        const confirm = async (transaction: TransactionResponse) => {
          await provider.request({ method: "evm_mine", params: [] });
          return transaction.wait();
        };
        const run = deployPool(d.deployer, d.parameters, { stateFile: d.stateFile, onStep, confirm });
        const death: unknown = await run.then(
          () => null,
          (error: unknown) => error,
        );
        expect(death).to.be.instanceOf(Killed);
        expect(savedState(d.stateFile).steps[3]!.block).to.be.a("number");
      } finally {
        await provider.request({ method: "evm_setAutomine", params: [true] });
      }
      await deployPool(d.deployer, d.parameters, { stateFile: d.stateFile });
    });
  });

  describe("stops", () => {
    const deploy = (d: Prepared, parameters: Parameters = d.parameters, stateFile = d.stateFile) =>
      deployPool(d.deployer, parameters, { stateFile });
    const changed = (d: Prepared, change: Partial<ParametersInput>) => parseParameters({ ...d.input, ...change });

    it("without a node", async () => {
      const d = await load();
      await refusal(deployPool(new VoidSigner(d.deployer.address), d.parameters), "DEPLOYER_UNFIT");
    });

    it("on another chain", async () => {
      const d = await load();
      const error = await refusal(deploy(d, changed(d, { chainId: 17 })), "WRONG_CHAIN");
      expect(error.message).to.include("of chain 31337, the parameters are for chain 17");
    });

    it("where what the pool stands on is missing", async () => {
      const d = await load();
      const nowhere = addressOf("nowhere");
      for (const [name, change] of [
        ["depositContract", { depositContract: nowhere }],
        ["ssv.network", { ssv: { ...d.input.ssv, network: nowhere } }],
        ["ssv.views", { ssv: { ...d.input.ssv, views: nowhere } }],
      ] as const) {
        const error = await refusal(deploy(d, changed(d, change)), "WRONG_CHAIN");
        expect(error.message).to.include(`${name}: there is no contract at ${nowhere}`);
      }
    });

    it("when the deployer is given a role, or has too little", async () => {
      const d = await load();
      const { address } = d.deployer;
      for (const [name, change] of [
        ["governance.address", { governance: { address, delaySeconds: 0 } }],
        ["poolOperator", { poolOperator: address }],
      ] as const) {
        const error = await refusal(deploy(d, changed(d, change)), "DEPLOYER_UNFIT");
        expect(error.message).to.include(name);
      }
      await connection.networkHelpers.setBalance(address, parseEther("11")); // the first stake and the seed, but no gas
      const error = await refusal(deploy(d), "DEPLOYER_UNFIT");
      expect(error.message).to.include("has 11.0 ETH");
    });

    it("when the deployer's nonce moved", async () => {
      const d = await load();
      await killedAt(d, 4, "mined");
      await (await d.deployer.sendTransaction({ to: addressOf("nobody"), value: 1n })).wait();
      const error = await refusal(deploy(d), "NONCE_MOVED");
      expect(error.message).to.match(/^Step 6, .* needs nonce 5 .* whose next one is 6/);
    });

    it("when the deployer is sending something else", async () => {
      const d = await load();
      const { provider } = connection;
      await provider.request({ method: "evm_setAutomine", params: [false] });
      try {
        await d.deployer.sendTransaction({ to: addressOf("nobody"), value: 1n });
        await refusal(deploy(d), "NONCE_MOVED");
      } finally {
        await provider.request({ method: "evm_setAutomine", params: [true] });
        await provider.request({ method: "evm_mine", params: [] });
      }
      await deploy(d); // from whatever nonce it has now
    });

    it("with the state of another deployment", async () => {
      const d = await load();
      await killedAt(d, 1, "mined");
      const fee = { pool: { ...d.input.pool, feeBps: 999 } };
      expect((await refusal(deploy(d, changed(d, fee)), "STATE_INVALID")).message).to.include(
        "another set of parameters",
      );
      const state = savedState(d.stateFile);
      for (const [change, what] of [
        [{ chainId: 1 }, "another chain"],
        [{ deployer: addressOf("somebody") }, "another deployer"],
      ] as const) {
        writeFileSync(d.stateFile, JSON.stringify({ ...state, ...change }));
        expect((await refusal(deploy(d), "STATE_INVALID")).message).to.include(what);
      }
      for (const text of ["", "{}", JSON.stringify({ ...state, more: 1 })]) {
        writeFileSync(d.stateFile, text);
        expect((await refusal(deploy(d), "STATE_INVALID")).message).to.include("is damaged");
      }
      expect(readState(`${d.stateFile}.none`)).to.equal(null);
    });

    it("where transactions or code are not ours", async () => {
      const d = await load();
      await killedAt(d, 3, "mined");
      const state = savedState(d.stateFile);
      const [first, second, third, fourth] = state.steps as [Recorded, Recorded, Recorded, Recorded];
      const plan = await planDeployment(d.parameters, d.deployer.address, 0);
      const meets = async (steps: Recorded[], message: string) => {
        writeFileSync(d.stateFile, JSON.stringify({ ...state, steps }));
        expect((await refusal(deploy(d), "FOREIGN_CODE")).message).to.include(message);
      };
      const unknown = { ...second, transactionHash: id("no transaction") };
      await meets([first, unknown, third], "Step 2, ssvAccountImplementation, is not ours: the chain does not know");
      await meets([first, third, second], "the state file's steps are out of order");
      await meets([first, { ...second, transactionHash: third.transactionHash }], "its transaction has another nonce");
      await connection.networkHelpers.setCode(plan.addresses.withdrawalVaultImplementation, "0x60006000fd");
      await meets([first, second, third, fourth], `the code at ${plan.addresses.withdrawalVaultImplementation} is not`);
      await connection.networkHelpers.setCode(plan.addresses.withdrawalVaultImplementation, "0x");
      await meets([first, second, third, fourth], `there is no code of ours at`);
    });

    it("when a transaction reverts or is not mined, and goes on when it can", async () => {
      const d = await load();
      const { provider } = connection;
      await killedAt(d, 1, "mined");
      await provider.request({ method: "evm_setAutomine", params: [false] });
      try {
        const confirm = () => Promise.resolve(null);
        const options = { stateFile: d.stateFile, confirm };
        const error = await refusal(deployPool(d.deployer, d.parameters, options), "TRANSACTION_FAILED");
        expect(error.message).to.match(/^Step 3, .* was not mined/);
      } finally {
        await provider.request({ method: "evm_setAutomine", params: [true] });
        await provider.request({ method: "evm_mine", params: [] });
      }
      const starved = { ...d, deployer: d.deployer };
      await connection.networkHelpers.setBalance(d.deployer.address, 1n);
      const error = await refusal(deploy(starved), "TRANSACTION_FAILED");
      expect(error.message).to.match(/^Step 4, /);
      await connection.networkHelpers.setBalance(d.deployer.address, parseEther("100"));
      await deploy(d);
    });
  });

  describe("is verified", () => {
    const problemsOf = async (deployment: Deployment, parameters: Parameters): Promise<string[]> => {
      const provider = connection.ethers.provider;
      const error = await refusal(verifyDeployment(provider, deployment, parameters), "VERIFICATION_FAILED");
      return error.meta["problems"] as string[];
    };

    it("against every parameter", async () => {
      const d = await load();
      const deployment = await deployPool(d.deployer, d.parameters);
      await verifyDeployment(connection.ethers.provider, deployment, d.parameters);
      const { pool, oracles, guardians, reserve, ssv, governance, frames, withdrawals } = d.input;
      const somebody = addressOf("somebody");
      const cases: [change: Partial<ParametersInput>, ...found: RegExp[]][] = [
        [{ pool: { ...pool, treasury: somebody } }, /^PoolManager.parameters is/],
        [{ pool: { ...pool, poolCapEth: "77" } }, /^PoolManager.parameters is/],
        [
          { frames: { ...frames, slotsPerFrame: 33 } },
          /^PoolManager.frameConfig/,
          /^ReportOracle.frameConfig/,
          /^WithdrawalQueue.frameConfig/,
          /^ValidatorExits.frameConfig/,
        ],
        [
          { withdrawals: { cutoffMarginSeconds: 1, exitGraceFrames: 2 } },
          /^WithdrawalQueue.cutoffMargin is \d+, not 1$/,
        ],
        [{ withdrawals: { ...withdrawals, exitGraceFrames: 7 } }, /^ValidatorExits.graceFrames is 2, not 7$/],
        [{ oracles: { ...oracles, quorum: 3 } }, /^ReportOracle.members is/],
        [{ guardians: { ...guardians, quorum: 3 } }, /^Guardians.members is/],
        [{ guardians: { ...guardians, pauseSeconds: 3_601 } }, /^Guardians.pauseDuration is 86400, not 3601$/],
        [{ reserve: { ...reserve, lowRunwayBlocks: 1 } }, /^OperationsReserve.runway is/],
        [{ ssv: { ...ssv, views: somebody } }, /^ValidatorRegistry.externals is/],
        [{ initialStakeEth: "2" }, /^the dead first stake is false/],
        [{ governance: { ...governance, address: somebody } }, /^who holds roles is/],
        [{ governance: { ...governance, delaySeconds: 1 } }, /^who holds roles is/],
        [{ poolOperator: somebody }, /^who holds roles is/],
      ];
      for (const [change, ...found] of cases) {
        const problems = await problemsOf(deployment, parseParameters({ ...d.input, ...change }));
        expect(problems).to.have.length(found.length);
        for (const [i, pattern] of found.entries()) expect(problems[i]).to.match(pattern);
      }
    });

    it("to have got rid of its deployer", async () => {
      const d = await load();
      const deployment = await deployPool(d.deployer, d.parameters);
      const governance = wallet("governance").connect(connection.ethers.provider);
      const manager = AccessManager__factory.connect(deployment.addresses.accessManager, governance);
      await manager.grantRole(0, d.deployer.address, 0);
      const problems = await problemsOf(deployment, d.parameters);
      expect(problems[0]).to.match(/^who holds roles is .*GOVERNANCE/);
      expect(problems).to.include("the deployer's right to poolManager.upgradeToAndCall is (true, 0), not (false, 0)");
    });

    it("to run our code under our authority", async () => {
      const d = await load();
      const deployment = await deployPool(d.deployer, d.parameters);
      const { addresses } = deployment;
      const exchanged = {
        ...deployment,
        addresses: { ...addresses, reserveImplementation: addresses.guardiansImplementation },
      };
      expect(await problemsOf(exchanged, d.parameters)).to.deep.equal([
        `the code of reserve is ${addresses.reserveImplementation}, not ${addresses.guardiansImplementation}`,
      ]);
    });
  });

  it("can be given its account and clusters by a governance without delay", async () => {
    const d = await load();
    const { ethers } = connection;
    const deployment = await deployPool(d.deployer, d.parameters);
    for (const i of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) {
      await d.ssvNetwork.getFunction("registerOperator")(ethers.toBeHex(i, 32), 1_770_000_000n, false);
    }
    const clusters = [
      { operatorIds: [1n, 2n, 3n, 4n], requireDkg: false, cap: 500 },
      { operatorIds: [5n, 6n, 7n, 8n, 9n, 10n, 11n], requireDkg: true, cap: 100 },
    ];
    const governance = wallet("governance").connect(ethers.provider);
    const lane = await addAccountAndClusters(governance, deployment, clusters);
    const registry = ValidatorRegistry__factory.connect(deployment.addresses.registry, ethers.provider);
    expect(lane).to.deep.equal({
      accountId: 1n,
      ssvAccount: (await registry.account(1n)).account,
      clusterIds: [1n, 2n],
    });
    expect((await registry.cluster(2n)).operatorIds).to.deep.equal(clusters[1]!.operatorIds);
    const none = () => Promise.resolve(null);
    await refusal(addAccountAndClusters(governance, deployment, [], none), "TRANSACTION_FAILED");
  });
});

type Recorded = DeploymentState["steps"][number];

/** Steps that a broken run left behind; where the transaction never left, its record will be dropped. */
function savedCount(file: string, leaves: boolean): number {
  const state = readState(file);
  if (state === null) return 0;
  return leaves ? state.steps.length : state.steps.length - 1;
}
