import { expect } from "chai";
import { id, parseEther } from "ethers";
import hre, { network } from "hardhat";
import { deployPool } from "../../../deploy/deploy.js";
import { parseParameters } from "../../../deploy/parameters.js";
import {
  PoolETH__factory,
  PoolManager__factory,
  ReportOracle__factory,
  WithdrawalQueue__factory,
} from "../../../types/ethers-contracts/index.js";
import { type Connection, GENESIS_TIME, ground, wallet } from "../deploy/support.js";
import { setBeaconRoot } from "./support.js";

const SLOTS_PER_FRAME = 8n;
const FRAME_SECONDS = SLOTS_PER_FRAME * 12n;

describe("a report's way through the deployed pool", () => {
  let connection: Connection;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function deployed() {
    const { ethers } = connection;
    const { input, deployer } = await ground(connection);
    const parameters = parseParameters({
      ...input,
      frames: { ...input.frames, slotsPerFrame: Number(SLOTS_PER_FRAME) },
      withdrawals: { ...input.withdrawals, cutoffMarginSeconds: 24 },
      oracles: { ...input.oracles, quorum: 3 },
    });
    const { addresses } = await deployPool(deployer, parameters);
    const keeper = wallet("stranger").connect(ethers.provider);
    const oracle = ReportOracle__factory.connect(addresses.reportOracle, keeper);
    const pool = PoolManager__factory.connect(addresses.poolManager, keeper);
    const hot = [1, 2, 3]
      .map((i) => wallet(`oracle ${i}, hot`))
      .sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));
    const { chainId } = await ethers.provider.getNetwork();
    const domain = { name: "poolETH ReportOracle", version: "1", chainId, verifyingContract: addresses.reportOracle };
    return { addresses, oracle, pool, hot, domain };
  }
  type Deployed = Awaited<ReturnType<typeof deployed>>;

  const TYPES = {
    Report: [
      { name: "version", type: "uint32" },
      { name: "refSlot", type: "uint64" },
      { name: "beaconBlockRoot", type: "bytes32" },
      { name: "clBalance", type: "uint128" },
      { name: "openPenalties", type: "uint128" },
      { name: "withdrawnAtRef", type: "uint128" },
      { name: "exiting", type: "uint32[]" },
      { name: "exited", type: "uint32[]" },
    ],
  };
  const sign = (d: Deployed, message: object): Promise<string[]> =>
    Promise.all(d.hot.map((signer) => signer.signTypedData(d.domain, TYPES, message)));

  /** Waits for the running frame to end and signs a report of it. */
  async function prepare(d: Deployed, values: { clBalance?: bigint; withdrawnAtRef?: bigint }) {
    const { networkHelpers, provider } = connection;
    const now = BigInt(await networkHelpers.time.latest());
    const frame = (now - BigInt(GENESIS_TIME)) / FRAME_SECONDS;
    const end = BigInt(GENESIS_TIME) + (frame + 1n) * FRAME_SECONDS;
    const beaconBlockRoot = id(`root of ${frame}`);
    await networkHelpers.time.increaseTo(end);
    await setBeaconRoot(provider, end, beaconBlockRoot);
    const message = {
      ...{ version: 1n, refSlot: (frame + 1n) * SLOTS_PER_FRAME - 1n, beaconBlockRoot },
      ...{ clBalance: 0n, openPenalties: 0n, withdrawnAtRef: 0n, exiting: [] as bigint[], exited: [] as bigint[] },
      ...values,
    };
    return { frame, message, signatures: await sign(d, message) };
  }

  async function report(d: Deployed, values: { clBalance?: bigint; withdrawnAtRef?: bigint }) {
    const prepared = await prepare(d, values);
    const transaction = await d.oracle.submitReport(prepared.message, prepared.signatures);
    return { ...prepared, receipt: (await transaction.wait())! };
  }

  const load = () => connection.networkHelpers.loadFixture(deployed);

  it("brings nothing when nothing happened", async () => {
    const d = await load();
    const before = await d.pool.totals();
    const { frame } = await report(d, {});
    expect(await d.pool.lastFrame()).to.equal(frame);
    expect(await d.oracle.lastFrame()).to.equal(frame);
    expect(await d.pool.totals()).to.deep.equal(before);
  });

  it("sweeps both vaults, and no frame twice", async () => {
    const d = await load();
    const { networkHelpers, ethers } = connection;
    await networkHelpers.setBalance(d.addresses.withdrawalVault, parseEther("0.01"));
    await networkHelpers.setBalance(d.addresses.rewardsVault, parseEther("0.02"));
    const { message, signatures, receipt } = await report(d, { withdrawnAtRef: parseEther("0.01") });
    expect(receipt.status).to.equal(1);
    const { buffered, locked, swept, totalPooledEther } = await d.pool.totals();
    expect(buffered).to.equal(parseEther("1.03"));
    expect([locked, swept, totalPooledEther]).to.deep.equal([parseEther("0.03"), parseEther("0.01"), parseEther("1")]);
    for (const name of ["withdrawalVault", "rewardsVault"] as const) {
      expect(await ethers.provider.getBalance(d.addresses[name])).to.equal(0n);
    }
    await expect(d.oracle.submitReport(message, signatures)).to.be.revertedWithCustomError(d.oracle, "AlreadyReported");
  });

  it("finalises withdrawals, for the same gas however many", async () => {
    const d = await load();
    const keeper = wallet("stranger").connect(connection.ethers.provider);
    const token = PoolETH__factory.connect(d.addresses.poolETH, keeper);
    const queue = WithdrawalQueue__factory.connect(d.addresses.withdrawalQueue, keeper);
    await d.pool.stake(keeper, keeper, { value: parseEther("100") });
    const gas: bigint[] = [];
    // the first writes slots that stay in use
    for (const count of [1, 0, 0, 1, 40]) {
      for (let i = 0; i < count; i++) await token.requestWithdrawal(parseEther("0.1"), keeper);
      gas.push((await report(d, {})).receipt.gasUsed);
      const { lastRequest, lastFinalised } = await queue.state();
      expect(lastFinalised).to.equal(lastRequest);
    }
    const [, , none, one, many] = gas as [bigint, bigint, bigint, bigint, bigint];
    expect(many).to.be.closeTo(one, 500n);
    // code that counts its coverage costs more
    if (!hre.globalOptions.coverage) expect(many - none).to.be.lessThan(70_000n);
  });

  it("leaves the frame open when the pool refuses the figures", async () => {
    const d = await load();
    const { message, signatures } = await prepare(d, { withdrawnAtRef: 1n });
    await expect(d.oracle.submitReport(message, signatures))
      .to.be.revertedWithCustomError(d.pool, "WithdrawalsNotInVault")
      .withArgs(1, 0);
    expect(await d.oracle.lastFrame()).to.equal(0n);
    const corrected = { ...message, withdrawnAtRef: 0n };
    await d.oracle.submitReport(corrected, await sign(d, corrected));
    expect(await d.oracle.lastFrame()).to.equal(await d.pool.lastFrame());
  });

  it("takes the frame when the loss waits for governance; reports are applied again once it has decided", async () => {
    const d = await load();
    await report(d, { clBalance: parseEther("1") }); // a validator of ours that a stranger paid
    await connection.networkHelpers.time.increase(12 * 365 * 86_400); // until all of it has streamed
    const { frame, receipt } = await report(d, { clBalance: 0n });
    expect(receipt.logs.map((log) => d.oracle.interface.parseLog(log)?.args["applied"] as unknown)).to.include(false);
    expect(await d.oracle.lastFrame()).to.equal(frame);
    expect((await d.pool.pendingLoss()).frame).to.equal(frame);
    const second = await report(d, { clBalance: parseEther("1") }); // it stays so until governance decides
    expect((await d.pool.pendingLoss()).frame).to.equal(second.frame);
    const governed = d.pool.connect(wallet("governance").connect(connection.ethers.provider));
    await governed.discardLoss(second.message.refSlot);
    const next = await report(d, { clBalance: parseEther("1") });
    expect(await d.pool.lastFrame()).to.equal(next.frame);
    expect((await d.pool.pendingLoss()).frame).to.equal(0n);
  });
});
