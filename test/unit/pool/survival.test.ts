import { expect } from "chai";
import { id, parseEther, type Signer, TypedDataEncoder, ZeroAddress } from "ethers";
import { network } from "hardhat";
import { deployPool } from "../../../deploy/deploy.js";
import { parseParameters } from "../../../deploy/parameters.js";
import { type Report, sign } from "../../../oracle/signatures/messages.js";
import {
  AccessManager__factory,
  Guardians__factory,
  PoolETH__factory,
  PoolManager__factory,
  ReportOracle__factory,
  WithdrawalQueue__factory,
} from "../../../types/ethers-contracts/index.js";
import { addressOf, type Connection, GENESIS_TIME, ground, wallet } from "../deploy/support.js";
import { setBeaconRoot } from "../oracle/support.js";
import { GUARDIAN_TYPES } from "../registry/support.js";

const SLOTS_PER_FRAME = 7_200n;
const SECONDS_PER_SLOT = 12n;
const FRAME_SECONDS = SLOTS_PER_FRAME * SECONDS_PER_SLOT;
const MARGIN_SECONDS = 768n;
const YEAR_SECONDS = 365n * 86_400n;
const RECIPIENT = "0x00000000000000000000000000000000000c1a1E";
/** Whatever is called reverts, and eats all gas it is given. */
const BRICKED = "0xfe";

describe("whatever happens to the pool", () => {
  let connection: Connection;
  before(async () => {
    connection = await network.create("osaka");
  });

  /** Deployed as on mainnet. Requests 1 to 3, of alice, bob and alice, were finalised; 4 and 5, alice's and bob's, wait. */
  async function deployed() {
    const { ethers, networkHelpers } = connection;
    const { input, deployer } = await ground(connection);
    await networkHelpers.time.increase(FRAME_SECONDS); // frame 0 is never reported
    const { addresses } = await deployPool(
      deployer,
      parseParameters({
        ...input,
        frames: { ...input.frames, slotsPerFrame: Number(SLOTS_PER_FRAME) },
        withdrawals: { ...input.withdrawals, cutoffMarginSeconds: Number(MARGIN_SECONDS) },
      }),
    );
    const [alice, bob, stranger] = await ethers.getSigners();
    const pool = {
      ...{ addresses, alice: alice!, bob: bob!, stranger: stranger!, ssvNetwork: input.ssv.network },
      manager: PoolManager__factory.connect(addresses.poolManager, stranger),
      token: PoolETH__factory.connect(addresses.poolETH, stranger),
      queue: WithdrawalQueue__factory.connect(addresses.withdrawalQueue, stranger),
      governance: (await ethers.getImpersonatedSigner(addressOf("governance"))) as Signer,
    };
    for (const user of [pool.alice, pool.bob])
      await pool.manager.connect(user).stake(user, ZeroAddress, { value: parseEther("40") });
    for (const user of [pool.alice, pool.bob, pool.alice])
      await pool.token.connect(user).requestWithdrawal(parseEther("5"), user);
    await report(pool);
    expect((await pool.queue.state()).lastFinalised).to.equal(3n);
    for (const user of [pool.alice, pool.bob]) await pool.token.connect(user).requestWithdrawal(parseEther("7"), user);
    return pool;
  }
  type Pool = Awaited<ReturnType<typeof deployed>>;
  const load = () => connection.networkHelpers.loadFixture(deployed);

  /** The running frame ends, and two oracles report it. */
  async function report(pool: Pick<Pool, "addresses" | "manager" | "stranger">, clBalance = 0n): Promise<void> {
    const { networkHelpers, provider, ethers } = connection;
    const frame = (BigInt(await networkHelpers.time.latest()) - BigInt(GENESIS_TIME)) / FRAME_SECONDS;
    const end = BigInt(GENESIS_TIME) + (frame + 1n) * FRAME_SECONDS;
    const beaconBlockRoot = id(`root of ${frame}`);
    await networkHelpers.time.increaseTo(end + 1_000n);
    await setBeaconRoot(provider, end, beaconBlockRoot);
    const message: Report = {
      ...{ version: 1, refSlot: Number((frame + 1n) * SLOTS_PER_FRAME - 1n), beaconBlockRoot },
      ...{ clBalance, openPenalties: 0n, withdrawnAtRef: (await pool.manager.totals()).swept, exiting: [], exited: [] },
    };
    const { chainId } = await ethers.provider.getNetwork();
    const domains = { ...pool.addresses, chainId: Number(chainId) };
    const keys = [1, 2]
      .map((i) => wallet(`oracle ${i}, hot`))
      .sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));
    const signed = await Promise.all(keys.map((key) => sign({ kind: "report", message }, domains, key)));
    const oracle = ReportOracle__factory.connect(pool.addresses.reportOracle, pool.stranger);
    await oracle.submitReport(
      { ...message, exiting: [], exited: [] },
      signed.map(({ signature }) => signature),
    );
  }

  const brick = (address: string) =>
    connection.provider.request({ method: "hardhat_setCode", params: [address, BRICKED] });

  async function pause(pool: Pool): Promise<void> {
    const guardians = Guardians__factory.connect(pool.addresses.guardians, pool.stranger);
    const { chainId } = await connection.ethers.provider.getNetwork();
    const domain = { name: "poolETH Guardians", version: "1", chainId, verifyingContract: pool.addresses.guardians };
    const keys = [1, 2]
      .map((i) => wallet(`guardian ${i}, hot`))
      .sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));
    const signatures = async (kind: "PauseStaking" | "PauseFinalisation" | "PauseDeposits") => {
      const message = { approvalEpoch: await guardians.approvalEpoch() };
      expect(TypedDataEncoder.hashDomain(domain)).to.equal(await guardians.domainSeparator());
      return Promise.all(keys.map((key) => key.signTypedData(domain, { [kind]: GUARDIAN_TYPES[kind] }, message)));
    };
    await guardians.pauseStaking(await guardians.approvalEpoch(), await signatures("PauseStaking"));
    await guardians.pauseFinalisation(await guardians.approvalEpoch(), await signatures("PauseFinalisation"));
    await guardians.pauseDeposits(await guardians.approvalEpoch(), (await signatures("PauseDeposits"))[0]!);
    expect(await pool.manager.finalisationPaused()).to.equal(true);
    expect((await pool.manager.stakingState()).open).to.equal(false);
  }

  /** The registry, played for once, takes ether for validators of which nothing is ever seen again. */
  async function losePending(pool: Pool): Promise<void> {
    const registry = await connection.ethers.getImpersonatedSigner(pool.addresses.registry);
    await connection.networkHelpers.setBalance(registry.address, parseEther("1"));
    await pool.manager.connect(registry).fundDeposits(1n);
    await report(pool);
    expect((await pool.manager.pendingLoss()).loss).to.equal(parseEther("32"));
  }

  async function waitAYear(pool: Pool): Promise<void> {
    await connection.networkHelpers.time.increase(YEAR_SECONDS);
    expect((await pool.manager.rate()).stale).to.equal(true);
  }

  async function closeTargets({ addresses, governance }: Pool): Promise<void> {
    const access = AccessManager__factory.connect(addresses.accessManager, governance);
    for (const target of Object.values<string>(addresses))
      if (target !== addresses.accessManager) await access.setTargetClosed(target, true);
    expect(await access.isTargetClosed(addresses.withdrawalQueue)).to.equal(true);
  }

  /** To other code with the same layout. */
  async function upgrade({ manager, queue, stranger, governance }: Pool): Promise<void> {
    const [genesisTime, secondsPerSlot, slotsPerFrame] = await manager.frameConfig();
    const frames = { genesisTime, secondsPerSlot, slotsPerFrame };
    const { poolETH, poolManager } = await queue.targets();
    const queueCode = await new WithdrawalQueue__factory(stranger).deploy(
      ...([poolETH, poolManager, frames, await queue.cutoffMargin()] as const),
    );
    const { token, registry, reportOracle, guardians, withdrawalVault, rewardsVault, reserve, withdrawalQueue } =
      await manager.contracts();
    const managerCode = await new PoolManager__factory(stranger).deploy(
      { token, registry, reportOracle, guardians, withdrawalVault, rewardsVault, reserve, withdrawalQueue },
      frames,
    );
    await queue.connect(governance).upgradeToAndCall(queueCode, "0x");
    await manager.connect(governance).upgradeToAndCall(managerCode, "0x");
  }

  const WORLDS: Record<string, (pool: Pool) => Promise<unknown>> = {
    "every pause": pause,
    "a loss that waits": losePending,
    "no report for a year": waitAYear,
    "an upgrade of the queue and of the PoolManager": upgrade,
    "every target closed in the AccessManager": closeTargets,
    "an AccessManager that is gone": ({ addresses }) => brick(addresses.accessManager),
    "SSV Network gone": ({ ssvNetwork }) => brick(ssvNetwork),
    "ValidatorExits gone": ({ addresses }) => brick(addresses.validatorExits),
    "registry, oracle, guardians, reserve and both vaults gone": async ({ addresses }) => {
      for (const part of [
        "registry",
        "reportOracle",
        "guardians",
        "reserve",
        "withdrawalVault",
        "rewardsVault",
      ] as const)
        await brick(addresses[part]);
    },
    "the PoolManager gone": ({ addresses }) => brick(addresses.poolManager),
  };
  // in an order in which each can happen: what needs a part comes before the part is gone
  const all = async (pool: Pool) => {
    for (const happens of Object.values(WORLDS)) await happens(pool);
  };

  async function checkClaims({ queue, alice, bob, stranger }: Pool): Promise<void> {
    const { ethers } = connection;
    const amounts = await Promise.all([1n, 2n, 3n].map(async (request) => (await queue.request(request)).amount));
    expect(amounts).to.deep.equal([parseEther("5") - 1n, parseEther("5"), parseEther("5")]);
    await queue.connect(bob).transferRequest(2n, stranger);
    await expect(queue.connect(bob)["claim(uint256,address)"](2n, bob)).to.be.revertedWithCustomError(
      queue,
      "NotRequestOwner",
    );
    await queue["claim(uint256,address)"](2n, RECIPIENT);
    const hints = [...(await queue.hints([1n, 3n]))];
    await queue.connect(alice)["claim(uint256,address,uint256)"](1n, RECIPIENT, hints[0]!);
    await queue.connect(alice).claimMany([3n], RECIPIENT, [hints[1]!]);
    expect(await ethers.provider.getBalance(RECIPIENT)).to.equal(parseEther("15") - 1n);
    expect(await ethers.provider.getBalance(queue)).to.equal(0n);
    await expect(queue["claim(uint256,address)"](2n, RECIPIENT)).to.be.revertedWithCustomError(queue, "RequestClaimed");
  }

  async function checkRequests({ queue, token, alice, bob, stranger }: Pool): Promise<void> {
    const held = await token.sharesOf(alice);
    await token.connect(alice).requestWithdrawalShares(parseEther("3"), bob);
    expect(await token.sharesOf(alice)).to.equal(held - parseEther("3"));
    await queue.connect(bob).transferRequest(6n, stranger);
    await queue.connect(alice).transferRequest(4n, stranger);
    for (const request of [4n, 6n]) expect((await queue.request(request)).owner).to.equal(stranger.address);
    expect((await queue.state()).lastRequest).to.equal(6n);
  }

  for (const [what, happens] of Object.entries(WORLDS)) {
    it(`claims are paid to the wei, requests are made and given away: ${what}`, async () => {
      const pool = await load();
      await happens(pool);
      await checkClaims(pool);
      await checkRequests(pool);
    });
  }

  it("the same with all of it at once, and claims without the token too", async () => {
    const pool = await load();
    await all(pool);
    await checkRequests(pool);
    await brick(pool.addresses.poolETH);
    await checkClaims(pool);
  });

  it("reports go on and pay withdrawals: SSV Network and the AccessManager gone, ValidatorExits too if no exit is to tell", async () => {
    const pool = await load();
    await closeTargets(pool);
    for (const address of [pool.ssvNetwork, pool.addresses.accessManager, pool.addresses.validatorExits])
      await brick(address);
    await report(pool);
    expect((await pool.queue.state()).lastFinalised).to.equal(5n);
    await pool.queue.connect(pool.bob)["claim(uint256,address)"](5n, RECIPIENT);
    expect(await connection.ethers.provider.getBalance(RECIPIENT)).to.equal(parseEther("7"));
  });

  it("requests that waited are paid after the pauses end, at the rate of then", async () => {
    const pool = await load();
    await pause(pool);
    await report(pool);
    expect((await pool.queue.state()).lastFinalised).to.equal(3n);
    await pool.manager.connect(pool.governance).resumeFinalisation();
    await report(pool);
    expect((await pool.queue.state()).lastFinalised).to.equal(5n);
  });
});
