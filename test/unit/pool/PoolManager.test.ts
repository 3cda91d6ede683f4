import { expect } from "chai";
import { encodeBytes32String, keccak256, toBeHex, toUtf8Bytes, AbiCoder } from "ethers";
import { ERC1967Proxy__factory, PoolManager__factory } from "../../../types/ethers-contracts/index.js";
import {
  DEAD,
  deployPool,
  ETHER,
  FRAME_SECONDS,
  MAX_UINT88,
  SECONDS_PER_SLOT,
  SLOTS_PER_FRAME,
  fields,
  values,
  type Pool,
  type PoolOptions,
} from "./support.js";

const ZERO = "0x0000000000000000000000000000000000000000";
const DAY = 86_400n;

/** 32 ETH on the beacon chain, 9 ETH buffered, one report made. */
async function running(options: PoolOptions = {}): Promise<Pool> {
  const pool = await deployPool(options);
  const [alice] = pool.users;
  await pool.manager.connect(alice).stake(alice!, ZERO, { value: 40n * ETHER });
  await pool.manager.connect(pool.registry).fundDeposits(1n);
  await nextFrame(pool);
  await pool.report();
  return pool;
}

async function nextFrame(pool: Pool, frames = 1n): Promise<void> {
  await pool.connection.networkHelpers.time.increase(FRAME_SECONDS * frames);
}

async function withPendingLoss(lossWei = 5n * ETHER): Promise<Pool> {
  const pool = await running();
  await nextFrame(pool);
  await pool.report({ clBalance: 32n * ETHER - lossWei });
  return pool;
}

/** Puts several transactions in one block. */
async function inOneBlock<T>(pool: Pool, send: () => Promise<T>): Promise<T> {
  const { provider } = pool.connection;
  await provider.request({ method: "evm_setAutomine", params: [false] });
  const sent = await send();
  await provider.request({ method: "evm_mine" });
  await provider.request({ method: "evm_setAutomine", params: [true] });
  return sent;
}

describe("PoolManager", () => {
  describe("deployment", () => {
    it("stakes the first shares for the dead address and starts with what it was given", async () => {
      const pool = await deployPool({ initialStakeWei: ETHER / 1000n });
      const { manager, token, parameters, authority } = pool;
      expect(await token.sharesOf(DEAD)).to.equal(ETHER / 1000n);
      expect(await token.totalPooledEther()).to.equal(ETHER / 1000n);
      expect((await manager.totals()).buffered).to.equal(ETHER / 1000n);
      expect(fields(await manager.parameters())).to.deep.equal(parameters);
      expect(await manager.authority()).to.equal(authority);
      expect(await manager.lastFrame()).to.equal(0n);
      expect(await manager.lastReportAt()).to.equal(await pool.now());
      expect(values(await manager.frameConfig())).to.deep.equal([
        BigInt(pool.genesisTime),
        BigInt(SECONDS_PER_SLOT),
        BigInt(SLOTS_PER_FRAME),
      ]);
      expect(values(await manager.contracts())).to.deep.equal([
        await token.getAddress(),
        pool.registry.address,
        pool.oracle.address,
        pool.guardians.address,
        await pool.withdrawalVault.getAddress(),
        await pool.rewardsVault.getAddress(),
        await pool.reserve.getAddress(),
        await pool.queue.getAddress(),
      ]);
    });

    it("refuses too small a first stake, parameters out of bounds, and a second time", async () => {
      const pool = await deployPool();
      const { manager, authority, parameters } = pool;
      await expect(manager.initialize(authority, parameters)).to.be.revertedWithCustomError(
        manager,
        "InvalidInitialization",
      );
      const implementation = await codeOf(pool);
      await expect(implementation.initialize(authority, parameters)).to.be.revertedWithCustomError(
        manager,
        "InvalidInitialization",
      );
      const deploy = (change: object, value = ETHER, governedBy = authority) =>
        new ERC1967Proxy__factory(pool.users[0]).deploy(
          implementation,
          implementation.interface.encodeFunctionData("initialize", [governedBy, { ...parameters, ...change }]),
          { value },
        );
      await expect(deploy({}, ETHER / 1000n - 1n))
        .to.be.revertedWithCustomError(manager, "StakeBelowMinimum")
        .withArgs(ETHER / 1000n - 1n, ETHER / 1000n);
      await expect(deploy({ treasury: ZERO }))
        .to.be.revertedWithCustomError(manager, "ZeroAddress")
        .withArgs(encodeBytes32String("treasury"));
      await expect(deploy({}, ETHER, ZERO))
        .to.be.revertedWithCustomError(manager, "ZeroAddress")
        .withArgs(encodeBytes32String("authority"));
      await expect(deploy({ feeBps: 1_501n })).to.be.revertedWithCustomError(manager, "InvalidParameter");
      await expect(deploy({ lossWindow: 1n })).to.be.revertedWithCustomError(manager, "InvalidParameter");
      // all well, but this proxy is not whom the token obeys
      await expect(deploy({})).to.be.revertedWithCustomError(pool.token, "NotPoolManager");
    });

    it("refuses parts that are missing and frames of no or too much length", async () => {
      const pool = await deployPool();
      const { manager } = pool;
      const parts = fields(await manager.contracts()) as Record<string, string>;
      const frames = { genesisTime: 0n, secondsPerSlot: 12n, slotsPerFrame: 7200n };
      const deploy = (change: object, frameChange: object = {}) =>
        new PoolManager__factory(pool.users[0]).deploy(
          { ...(parts as Parts), ...change },
          { ...frames, ...frameChange },
        );
      for (const name of Object.keys(parts))
        await expect(deploy({ [name]: ZERO }))
          .to.be.revertedWithCustomError(manager, "ZeroAddress")
          .withArgs(encodeBytes32String(name));
      for (const [change, seconds] of [
        [{ secondsPerSlot: 0n }, 0n],
        [{ slotsPerFrame: 0n }, 0n],
        [{ slotsPerFrame: 216_001n }, 216_001n * 12n],
      ] as const)
        await expect(deploy({}, change))
          .to.be.revertedWithCustomError(manager, "InvalidParameter")
          .withArgs(encodeBytes32String("frame"), seconds, 1n, 30n * DAY);
      await deploy({}, { slotsPerFrame: 216_000n });
    });

    it("keeps its state where ERC-7201 says", async () => {
      const pool = await deployPool();
      const namespace = BigInt(keccak256(toUtf8Bytes("pooleth.storage.PoolManager"))) - 1n;
      const slot = BigInt(keccak256(AbiCoder.defaultAbiCoder().encode(["uint256"], [namespace]))) & ~((1n << 8n) - 1n);
      const word = await pool.connection.ethers.provider.getStorage(pool.manager, slot);
      expect(BigInt(word) & MAX_UINT88).to.equal(ETHER); // buffered
      // nothing outside it
      expect(await pool.connection.ethers.provider.getStorage(pool.manager, 0)).to.equal(toBeHex(0n, 32));
    });

    it("is upgraded by governance alone", async () => {
      const pool = await deployPool();
      const { manager, users, governance } = pool;
      const code = await codeOf(pool);
      await expect(manager.connect(users[0]).upgradeToAndCall(code, "0x"))
        .to.be.revertedWithCustomError(manager, "AccessManagedUnauthorized")
        .withArgs(users[0]!.address);
      await expect(manager.connect(governance).upgradeToAndCall(code, "0x")).to.emit(manager, "Upgraded");
      expect((await manager.totals()).buffered).to.equal(ETHER);
    });
  });

  describe("stake", () => {
    it("gives the receiver shares for what the sender sends", async () => {
      const { manager, token, users } = await deployPool();
      const [alice, bob, carol] = users;
      expect(await manager.connect(alice).stake.staticCall(bob!, carol!, { value: 2n * ETHER })).to.equal(2n * ETHER);
      await expect(manager.connect(alice).stake(bob!, carol!, { value: 2n * ETHER }))
        .to.emit(manager, "Staked")
        .withArgs(alice!.address, bob!.address, 2n * ETHER, 2n * ETHER, carol!.address);
      expect(await token.balanceOf(bob!)).to.equal(2n * ETHER);
      const totals = await manager.totals();
      expect([totals.buffered, totals.totalPooledEther]).to.deep.equal([3n * ETHER, 3n * ETHER]);
    });

    it("refuses receivers that cannot hold poolETH", async () => {
      const { manager, token } = await deployPool();
      for (const receiver of [ZERO, await token.getAddress()])
        await expect(manager.stake(receiver, ZERO, { value: ETHER })).to.be.revertedWithCustomError(
          token,
          "InvalidAddress",
        );
    });

    it("takes ether by no other way than the vaults", async () => {
      const { manager, users, connection } = await deployPool();
      await expect(users[0]!.sendTransaction({ to: manager, value: 1n })).to.be.revertedWithCustomError(
        manager,
        "UseStake",
      );
      await expect(users[0]!.sendTransaction({ to: manager, value: 1n, data: "0x12345678" })).to.be.revert(
        connection.ethers,
      );
    });

    it("keeps to minimum, cap and daily limit", async () => {
      const { manager, users, at, now } = await deployPool({
        minStakeWei: ETHER,
        poolCapWei: 100n * ETHER,
        dailyLimitWei: 48n * ETHER,
      });
      const stake = (value: bigint) => manager.stake(users[0]!, ZERO, { value });
      await expect(stake(ETHER - 1n))
        .to.be.revertedWithCustomError(manager, "StakeBelowMinimum")
        .withArgs(ETHER - 1n, ETHER);
      await expect(stake(99n * ETHER + 1n))
        .to.be.revertedWithCustomError(manager, "PoolCapExceeded")
        .withArgs(100n * ETHER + 1n, 100n * ETHER);
      await expect(stake(48n * ETHER + 1n))
        .to.be.revertedWithCustomError(manager, "DailyLimitExceeded")
        .withArgs(48n * ETHER + 1n, 48n * ETHER);
      expect(values(await manager.stakingState())).to.deep.equal([true, 48n * ETHER]);
      await stake(48n * ETHER);
      const first = await now();
      expect(values(await manager.stakingState())).to.deep.equal([true, 0n]);
      // it refills evenly: 2 ETH an hour
      await at(first + 3_600n);
      await expect(stake(2n * ETHER + 1n))
        .to.be.revertedWithCustomError(manager, "DailyLimitExceeded")
        .withArgs(2n * ETHER + 1n, 2n * ETHER);
      await at(first + 7_200n);
      await stake(4n * ETHER);
      await at(first + 7_200n + DAY);
      await stake(47n * ETHER);
      expect((await manager.stakingState()).available).to.equal(0n); // the cap
      await expect(stake(ETHER)).to.be.revertedWithCustomError(manager, "PoolCapExceeded");
    });

    it("counts what was used at the old pace up to a change of limits", async () => {
      const pool = await deployPool({ dailyLimitWei: 48n * ETHER });
      const { manager, users, governance, now, at } = pool;
      const limits = { minStake: 1n, poolCap: MAX_UINT88, dailyLimit: 480n * ETHER };
      await manager.stake(users[0]!, ZERO, { value: 48n * ETHER });
      const first = await now();
      await at(first + 3_600n);
      await manager.connect(governance).setStakeLimits(limits);
      expect((await manager.stakingState()).available).to.equal(434n * ETHER);
      await at(first + 7_200n);
      await manager.connect(governance).setStakeLimits({ ...limits, dailyLimit: ETHER });
      // 46 ETH less an hour of 20: more than a day's limit is still in use
      expect((await manager.stakingState()).available).to.equal(0n);
      await expect(manager.stake(users[0]!, ZERO, { value: 1n }))
        .to.be.revertedWithCustomError(manager, "DailyLimitExceeded")
        .withArgs(1n, 0n);
    });

    it("closes two frames after the last report", async () => {
      const pool = await deployPool();
      const { manager, users, at } = pool;
      const reportedAt = await manager.lastReportAt();
      await at(reportedAt + 2n * FRAME_SECONDS);
      await manager.stake(users[0]!, ZERO, { value: ETHER });
      expect(values(await manager.rate())).to.deep.equal([ETHER, 2n * FRAME_SECONDS, false]);
      await at(reportedAt + 2n * FRAME_SECONDS + 1n);
      await expect(manager.stake(users[0]!, ZERO, { value: ETHER }))
        .to.be.revertedWithCustomError(manager, "ReportStale")
        .withArgs(reportedAt, reportedAt + 2n * FRAME_SECONDS);
      await pool.connection.networkHelpers.mine();
      expect((await manager.rate()).stale).to.equal(true);
      expect(values(await manager.stakingState())).to.deep.equal([false, 0n]);
      await pool.report();
      await manager.stake(users[0]!, ZERO, { value: ETHER });
    });

    it("closes when a guardian quorum says so, until governance opens it", async () => {
      const { manager, users, guardians, governance } = await deployPool();
      await expect(manager.connect(users[0]).pauseStaking())
        .to.be.revertedWithCustomError(manager, "NotAuthorized")
        .withArgs(users[0]!.address, guardians.address);
      await expect(manager.connect(guardians).pauseStaking()).to.emit(manager, "StakingPaused");
      await expect(manager.stake(users[0]!, ZERO, { value: ETHER })).to.be.revertedWithCustomError(
        manager,
        "StakingIsPaused",
      );
      expect((await manager.stakingState()).open).to.equal(false);
      await expect(manager.connect(guardians).resumeStaking()).to.be.revertedWithCustomError(
        manager,
        "AccessManagedUnauthorized",
      );
      await expect(manager.connect(governance).resumeStaking()).to.emit(manager, "StakingResumed");
      await manager.stake(users[0]!, ZERO, { value: ETHER });
    });

    it("gains nothing around a report, whatever it brings", async () => {
      for (const clBalance of [36n * ETHER, 31n * ETHER]) {
        const pool = await running();
        const { manager, token, users, oracle } = pool;
        const [, bob, carol] = users;
        await nextFrame(pool);
        const figures = await pool.figures({ clBalance });
        // bob before the report and carol after it, all in one block
        await inOneBlock(pool, async () => {
          await manager.connect(bob).stake(bob!, ZERO, { value: ETHER, gasLimit: 500_000, maxPriorityFeePerGas: 9n });
          await manager.connect(oracle).applyReport(figures, { gasLimit: 900_000, maxPriorityFeePerGas: 5n });
          await manager
            .connect(carol)
            .stake(carol!, ZERO, { value: ETHER, gasLimit: 500_000, maxPriorityFeePerGas: 1n });
        });
        expect(await manager.lastReportAt()).to.equal(await pool.now());
        expect(await token.balanceOf(bob!)).to.be.at.most(ETHER);
        expect(await token.balanceOf(carol!)).to.be.closeTo(ETHER, 1n);
        expect(await token.sharesOf(carol!)).to.be.at.least(await token.sharesOf(bob!));
      }
    });
  });

  describe("fundDeposits", () => {
    it("sends 32 ETH a validator to the registry", async () => {
      const pool = await deployPool();
      const { manager, users, registry, connection } = pool;
      await manager.stake(users[0]!, ZERO, { value: 64n * ETHER });
      const before = await connection.ethers.provider.getBalance(manager);
      await expect(manager.connect(registry).fundDeposits(2n))
        .to.emit(manager, "DepositsFunded")
        .withArgs(64n * ETHER, 64n * ETHER);
      expect(await connection.ethers.provider.getBalance(manager)).to.equal(before - 64n * ETHER);
      const totals = await manager.totals();
      expect([totals.buffered, totals.inFlight, totals.deposited, totals.totalPooledEther]).to.deep.equal([
        ETHER,
        64n * ETHER,
        64n * ETHER,
        65n * ETHER,
      ]);
      expect(await manager.depositableEther()).to.equal(ETHER);
    });

    it("refuses anyone else, more than is free, and when the rate may be wrong", async () => {
      const pool = await deployPool();
      const { manager, users, registry } = pool;
      const fund = (validators: bigint) => manager.connect(registry).fundDeposits(validators);
      await expect(manager.connect(users[0]).fundDeposits(1n))
        .to.be.revertedWithCustomError(manager, "NotAuthorized")
        .withArgs(users[0]!.address, registry.address);
      await expect(fund(1n))
        .to.be.revertedWithCustomError(manager, "NotEnoughBuffered")
        .withArgs(32n * ETHER, ETHER);
      await nextFrame(pool, 3n);
      await expect(fund(0n)).to.be.revertedWithCustomError(manager, "ReportStale");
    });

    it("keeps back what is owed", async () => {
      const pool = await running();
      const { manager, users, registry, reserve } = pool;
      await nextFrame(pool);
      await reserve.setShortfall(1000n * ETHER);
      await pool.report({ clBalance: 33n * ETHER });
      // the whole stream passes; then everything buffered has become debt and gone to the reserve
      await pool.connection.networkHelpers.time.increase(365n * DAY);
      await pool.report();
      expect((await manager.totals()).owed).to.equal(0n);
      await manager.stake(users[0]!, ZERO, { value: 55n * ETHER + ETHER / 10n });
      expect(await manager.depositableEther()).to.equal(64n * ETHER);
      await manager.connect(registry).fundDeposits(2n);
      // nothing buffered now: the next fee stays owed, and what is staked meanwhile is not free until it covers that
      await nextFrame(pool);
      await pool.report({ clBalance: 101n * ETHER });
      await pool.connection.networkHelpers.time.increase(365n * DAY);
      await pool.report();
      const owed = (await manager.totals()).owed;
      expect(owed).to.be.closeTo((4n * ETHER) / 10n, 10n ** 12n);
      expect(await manager.depositableEther()).to.equal(0n);
      await manager.stake(users[0]!, ZERO, { value: ETHER });
      expect(await manager.depositableEther()).to.equal(ETHER - owed);
      await manager.stake(users[0]!, ZERO, { value: 31n * ETHER });
      await expect(manager.connect(registry).fundDeposits(1n))
        .to.be.revertedWithCustomError(manager, "NotEnoughBuffered")
        .withArgs(32n * ETHER, 32n * ETHER - owed);
    });

    it("says when the registry does not take the ether", async () => {
      // the token takes no ether, and calls as the registry
      const pool = await deployPool({ registry: ({ token }) => token });
      const registry = await pool.connection.ethers.getImpersonatedSigner(await pool.token.getAddress());
      await pool.setBalance(registry.address, ETHER);
      await pool.manager.stake(pool.users[0]!, ZERO, { value: 32n * ETHER });
      await expect(pool.manager.connect(registry).fundDeposits(1n))
        .to.be.revertedWithCustomError(pool.manager, "SendFailed")
        .withArgs(registry.address, 32n * ETHER);
    });

    it("is counted to the frame of its block", async () => {
      const pool = await deployPool();
      const { manager, users, registry, at, genesisTime } = pool;
      await manager.stake(users[0]!, ZERO, { value: 96n * ETHER });
      const frame = await pool.frameNow();
      const begins = (f: bigint) => BigInt(genesisTime) + f * FRAME_SECONDS;
      await at(begins(frame + 1n) - 1n); // the last second of the frame's last slot
      await manager.connect(registry).fundDeposits(1n);
      await at(begins(frame + 1n));
      await manager.connect(registry).fundDeposits(1n);
      expect(await manager.depositedAt(frame)).to.equal(32n * ETHER);
      expect(await manager.depositedAt(frame + 1n)).to.equal(64n * ETHER);
      await at(begins(frame + 2n));
      await pool.report();
      await manager.connect(registry).fundDeposits(1n);
      expect(await manager.depositedAt(frame + 1n)).to.equal(64n * ETHER);
      expect(await manager.depositedAt(frame + 2n)).to.equal(96n * ETHER);
    });
  });

  describe("applyReport", () => {
    it("obeys the ReportOracle alone", async () => {
      const pool = await deployPool();
      const { manager, users, oracle } = pool;
      await expect(manager.connect(users[0]).applyReport(await pool.figures()))
        .to.be.revertedWithCustomError(manager, "NotAuthorized")
        .withArgs(users[0]!.address, oracle.address);
    });

    it("takes in what the vaults hold and lets the gain stream", async () => {
      const pool = await running();
      const { manager, token, treasury, reserve, now, oracle } = pool;
      const [withdrawalVault, rewardsVault] = [
        await pool.withdrawalVault.getAddress(),
        await pool.rewardsVault.getAddress(),
      ];
      await nextFrame(pool);
      await pool.setBalance(withdrawalVault, 7n * ETHER);
      await pool.setBalance(rewardsVault, ETHER / 2n);
      const figures = await pool.figures({ clBalance: 27n * ETHER, withdrawnAtRef: 6n * ETHER });
      expect(await manager.connect(oracle).applyReport.staticCall(figures)).to.equal(true);
      const before = await manager.lastReportAt();
      const tx = manager.connect(oracle).applyReport(figures);
      await tx;
      const duration = ((3n * ETHER) / 2n) * 365n * DAY * 10_000n;
      const seconds = (duration + 3_000n * 41n * ETHER - 1n) / (3_000n * 41n * ETHER);
      await expect(tx)
        .to.emit(manager, "Rebased")
        .withArgs(
          figures.refSlot,
          41n * ETHER,
          41n * ETHER,
          41n * ETHER,
          41n * ETHER,
          (3n * ETHER) / 2n,
          0n,
          0n,
          0n,
          (await now()) - before,
        )
        .and.to.emit(manager, "Settled")
        .withArgs(figures.refSlot, 6n * ETHER, ETHER / 2n, (3n * ETHER) / 2n, 0n, 0n, (await now()) + seconds);
      const totals = await manager.totals();
      expect([totals.swept, totals.clBalance, totals.buffered]).to.deep.equal([
        6n * ETHER,
        27n * ETHER,
        (31n * ETHER) / 2n,
      ]);
      expect(await manager.lastFrame()).to.equal(figures.frame);

      // a year later the reserve takes what it lacks, the treasury the rest as shares
      await reserve.setShortfall(ETHER / 20n);
      await pool.connection.networkHelpers.time.increase(365n * DAY);
      const fee = (3n * ETHER) / 20n;
      expect((await manager.totals()).fee).to.equal(fee);
      await pool.report({ clBalance: 27n * ETHER });
      expect(await pool.connection.ethers.provider.getBalance(reserve)).to.equal(ETHER / 20n);
      expect(await token.balanceOf(treasury)).to.be.closeTo(fee - ETHER / 20n, 2n);
      expect((await manager.totals()).owed).to.equal(0n);
    });

    it("keeps back what ten years of the yearly limit do not let through, until the next report", async () => {
      const pool = await running();
      const { manager, token, treasury } = pool;
      await nextFrame(pool);
      // 41 ETH, 30 % a year: 123 of the 200 ETH stream
      await pool.report({ clBalance: 232n * ETHER });
      expect((await manager.totals()).locked).to.equal(200n * ETHER);
      await nextFrame(pool, 3650n);
      const { locked, fee } = await manager.totals();
      expect(locked).to.be.within(77n * ETHER, 77n * ETHER + 10n ** 13n); // dust
      expect(fee).to.equal((123n * ETHER) / 10n);
      await pool.report();
      expect((await manager.totals()).locked).to.equal(locked);
      expect(await token.totalPooledEther()).to.equal(241n * ETHER - locked);
      // now all of it streams
      await nextFrame(pool, 3650n);
      expect((await manager.totals()).locked).to.be.lessThan(10n ** 13n);
      expect((await manager.parameters()).treasury).to.equal(treasury.address);
    });

    it("lowers totals by a loss at once, and remembers it", async () => {
      const pool = await running();
      const { manager, token } = pool;
      await nextFrame(pool);
      await expect(pool.report({ clBalance: 31n * ETHER, openPenalties: ETHER / 2n })).to.emit(manager, "Rebased");
      expect(await token.totalPooledEther()).to.equal(41n * ETHER - (3n * ETHER) / 2n);
      expect((await manager.totals()).uncoveredLoss).to.equal((3n * ETHER) / 2n);
      // penalties that do not come true come back, free of fee
      await nextFrame(pool);
      await pool.report({ clBalance: 31n * ETHER });
      await pool.connection.networkHelpers.time.increase(365n * DAY);
      const totals = await manager.totals();
      expect([totals.uncoveredLoss, totals.fee]).to.deep.equal([ETHER, 0n]);
    });

    it("takes penalties above the balance as a balance of nothing", async () => {
      const pool = await running();
      const { manager } = pool;
      await nextFrame(pool);
      await pool.report({ openPenalties: 2n ** 128n - 1n });
      expect((await manager.pendingLoss()).value).to.equal(0n);
      expect((await manager.pendingLoss()).loss).to.equal(32n * ETHER);
    });

    it("refuses what no chain can have produced", async () => {
      const pool = await running();
      const { manager } = pool;
      await nextFrame(pool);
      await expect(pool.report({ clBalance: MAX_UINT88 + 1n }))
        .to.be.revertedWithCustomError(manager, "FigureTooLarge")
        .withArgs(encodeBytes32String("clBalance"), MAX_UINT88 + 1n);
      await expect(pool.report({ clBalance: MAX_UINT88 }))
        .to.be.revertedWithCustomError(manager, "FigureTooLarge")
        .withArgs(encodeBytes32String("assets"), MAX_UINT88 + 9n * ETHER);
      await expect(pool.report({ withdrawnAtRef: 1n }))
        .to.be.revertedWithCustomError(manager, "WithdrawalsNotInVault")
        .withArgs(1n, 0n);
      await expect(pool.report({ withdrawnAtRef: 2n ** 128n - 1n })).to.be.revertedWithCustomError(
        manager,
        "WithdrawalsNotInVault",
      );
      await pool.setBalance(await pool.withdrawalVault.getAddress(), 9n);
      await pool.report({ withdrawnAtRef: 5n });
      await expect(pool.report({ withdrawnAtRef: 4n }))
        .to.be.revertedWithCustomError(manager, "WithdrawnDecreased")
        .withArgs(4n, 5n);
      await expect(pool.report({ withdrawnAtRef: 10n }))
        .to.be.revertedWithCustomError(manager, "WithdrawalsNotInVault")
        .withArgs(5n, 4n);
    });

    it("pays the reserve as far as there is ether, and owes the rest", async () => {
      const pool = await deployPool();
      const { manager, users, registry, reserve } = pool;
      await manager.stake(users[0]!, ZERO, { value: 31n * ETHER });
      await manager.connect(registry).fundDeposits(1n);
      await nextFrame(pool);
      await reserve.setShortfall(ETHER);
      await pool.report({ clBalance: 34n * ETHER });
      await pool.connection.networkHelpers.time.increase(365n * DAY);
      await expect(pool.report()).not.to.emit(pool.token, "Transfer");
      expect((await manager.totals()).owed).to.equal(ETHER / 5n);
      await pool.setBalance(await pool.rewardsVault.getAddress(), ETHER / 10n);
      await pool.report();
      expect((await manager.totals()).owed).to.be.closeTo(ETHER / 10n, 10n ** 12n);
      expect((await manager.totals()).buffered).to.equal(0n);
      expect(await pool.connection.ethers.provider.getBalance(reserve)).to.equal(ETHER / 10n);
    });
  });

  describe("a loss beyond the limit", () => {
    it("waits for governance, with staking and deposits closed and nothing else touched", async () => {
      const pool = await running();
      const { manager, token, users, registry, oracle } = pool;
      await nextFrame(pool);
      await pool.setBalance(await pool.rewardsVault.getAddress(), ETHER);
      const figures = await pool.figures({ clBalance: 28n * ETHER, openPenalties: ETHER });
      const before = await manager.lastReportAt();
      expect(await manager.connect(oracle).applyReport.staticCall(figures)).to.equal(false);
      await expect(manager.connect(oracle).applyReport(figures))
        .to.emit(manager, "LossPending")
        .withArgs(figures.refSlot, 4n * ETHER, (41n * ETHER) / 20n);
      expect(fields(await manager.pendingLoss())).to.deep.equal({
        frame: figures.frame,
        refSlot: figures.refSlot,
        value: 27n * ETHER,
        withdrawnAtRef: 0n,
        depositedAtRef: 32n * ETHER,
        reportedAt: await pool.now(),
        loss: 4n * ETHER,
      });
      expect(await token.totalPooledEther()).to.equal(41n * ETHER);
      expect(await manager.lastReportAt()).to.equal(before);
      expect((await manager.stakingState()).open).to.equal(false);
      await expect(manager.stake(users[0]!, ZERO, { value: ETHER }))
        .to.be.revertedWithCustomError(manager, "LossIsPending")
        .withArgs(figures.refSlot, 4n * ETHER);
      await expect(manager.connect(registry).fundDeposits(0n)).to.be.revertedWithCustomError(manager, "LossIsPending");
      await token.connect(users[0]).transfer(users[1]!, ETHER);
    });

    it("is at the limit still applied", async () => {
      const pool = await running();
      await nextFrame(pool);
      await pool.report({ clBalance: 32n * ETHER - (41n * ETHER) / 20n });
      expect((await pool.manager.pendingLoss()).frame).to.equal(0n);
      expect((await pool.manager.totals()).uncoveredLoss).to.equal((41n * ETHER) / 20n);
    });

    it("counts what was lost within the window, less the longer ago", async () => {
      for (const [days, waits] of [
        [1n, true],
        [4n, false],
      ] as const) {
        const pool = await running();
        const { manager } = pool;
        await nextFrame(pool);
        await pool.report({ clBalance: 32n * ETHER - (3n * ETHER) / 2n });
        await pool.connection.networkHelpers.time.increase(days * DAY);
        await pool.report({ clBalance: 32n * ETHER - (5n * ETHER) / 2n });
        expect((await manager.pendingLoss()).frame !== 0n, `${String(days)} days`).to.equal(waits);
      }
    });

    it("does not come back to losses that a shorter window had forgotten", async () => {
      const pool = await running();
      const { manager, governance } = pool;
      await manager.connect(governance).setLossLimit(500n, DAY);
      await nextFrame(pool);
      await pool.report({ clBalance: 32n * ETHER - (3n * ETHER) / 2n });
      await pool.connection.networkHelpers.time.increase(2n * DAY);
      await manager.connect(governance).setLossLimit(500n, 90n * DAY);
      await pool.report({ clBalance: 32n * ETHER - (5n * ETHER) / 2n });
      expect((await manager.pendingLoss()).frame).to.equal(0n);
      // from now on what is remembered lasts as long as the new window
      await nextFrame(pool, 2n);
      await pool.report({ clBalance: 32n * ETHER - (7n * ETHER) / 2n });
      expect((await manager.pendingLoss()).loss).to.equal(ETHER);
    });

    it("takes the figures of every later report, good ones too, and stays", async () => {
      const pool = await withPendingLoss();
      const { manager } = pool;
      const first = await manager.pendingLoss();
      await nextFrame(pool);
      await expect(pool.report({ clBalance: 33n * ETHER })).to.emit(manager, "LossPending");
      const second = await manager.pendingLoss();
      expect(second.frame).to.equal(first.frame + 1n);
      expect([second.loss, second.value]).to.deep.equal([0n, 33n * ETHER]);
      expect((await manager.totals()).clBalance).to.equal(32n * ETHER);
    });

    it("confirmed, is applied as it is at that moment, up to what governance agreed to", async () => {
      const pool = await withPendingLoss();
      const { manager, token, governance, users } = pool;
      const { refSlot, reportedAt } = await manager.pendingLoss();
      await expect(manager.connect(users[0]).confirmLoss(MAX_UINT88)).to.be.revertedWithCustomError(
        manager,
        "AccessManagedUnauthorized",
      );
      await expect(manager.connect(governance).confirmLoss(5n * ETHER - 1n))
        .to.be.revertedWithCustomError(manager, "LossAboveAgreed")
        .withArgs(5n * ETHER, 5n * ETHER - 1n);
      // what reached the vaults since counts
      await pool.setBalance(await pool.rewardsVault.getAddress(), ETHER);
      await pool.connection.networkHelpers.time.increase(3_600);
      await expect(manager.connect(governance).confirmLoss(4n * ETHER))
        .to.emit(manager, "LossConfirmed")
        .withArgs(refSlot, 4n * ETHER)
        .and.to.emit(manager, "Rebased");
      expect(await token.totalPooledEther()).to.equal(37n * ETHER);
      expect(values(await manager.pendingLoss())).to.deep.equal([0n, 0n, 0n, 0n, 0n, 0n, 0n]);
      // the figures are as old as their report, not as the decision
      expect(await manager.lastReportAt()).to.equal(reportedAt);
      await manager.stake(users[0]!, ZERO, { value: ETHER });
      await expect(manager.connect(governance).confirmLoss(0n)).to.be.revertedWithCustomError(manager, "NoPendingLoss");
    });

    it("confirmed, has grown by the gain that unlocked in the meantime", async () => {
      const pool = await running();
      const { manager, governance } = pool;
      await nextFrame(pool);
      await pool.report({ clBalance: 33n * ETHER });
      await nextFrame(pool);
      await pool.report({ clBalance: 25n * ETHER });
      const { locked } = await manager.totals();
      const { loss } = await manager.pendingLoss();
      expect([locked + loss, locked > ETHER / 2n]).to.deep.equal([8n * ETHER, true]);
      await nextFrame(pool, 365n);
      expect((await manager.totals()).locked).to.be.lessThan(10n ** 12n); // dust
      await expect(manager.connect(governance).confirmLoss(loss + locked / 2n)).to.be.revertedWithCustomError(
        manager,
        "LossAboveAgreed",
      );
      await manager.connect(governance).confirmLoss(loss + locked);
      expect((await manager.totals()).uncoveredLoss).to.be.within(8n * ETHER - 10n ** 12n, 8n * ETHER);
    });

    it("confirmed late, leaves the pool closed until a fresh report", async () => {
      const pool = await withPendingLoss();
      const { manager, governance, users } = pool;
      await nextFrame(pool, 3n);
      await manager.connect(governance).confirmLoss(5n * ETHER);
      await expect(manager.stake(users[0]!, ZERO, { value: ETHER })).to.be.revertedWithCustomError(
        manager,
        "ReportStale",
      );
      await pool.report();
      await manager.stake(users[0]!, ZERO, { value: ETHER });
    });

    it("discarded, is forgotten; the next report is judged afresh", async () => {
      const pool = await withPendingLoss();
      const { manager, token, governance, users } = pool;
      const { refSlot } = await manager.pendingLoss();
      await expect(manager.connect(users[0]).discardLoss(refSlot)).to.be.revertedWithCustomError(
        manager,
        "AccessManagedUnauthorized",
      );
      await expect(manager.connect(governance).discardLoss(refSlot))
        .to.emit(manager, "LossDiscarded")
        .withArgs(refSlot, 5n * ETHER);
      expect((await manager.pendingLoss()).frame).to.equal(0n);
      await expect(manager.connect(governance).discardLoss(refSlot)).to.be.revertedWithCustomError(
        manager,
        "NoPendingLoss",
      );
      await nextFrame(pool);
      await pool.report({ clBalance: 31n * ETHER });
      expect(await token.totalPooledEther()).to.equal(40n * ETHER);
    });

    it("is not discarded by a decision on an earlier report", async () => {
      const pool = await withPendingLoss();
      const { manager, governance } = pool;
      const seen = await manager.pendingLoss();
      await nextFrame(pool);
      await pool.report({ clBalance: 20n * ETHER });
      const newer = await manager.pendingLoss();
      for (const refSlot of [seen.refSlot, newer.refSlot + 1n])
        await expect(manager.connect(governance).discardLoss(refSlot))
          .to.be.revertedWithCustomError(manager, "PendingLossChanged")
          .withArgs(newer.refSlot, refSlot);
      expect(await manager.pendingLoss()).to.deep.equal(newer);
      await manager.connect(governance).discardLoss(newer.refSlot);
      expect((await manager.pendingLoss()).frame).to.equal(0n);
    });
  });

  describe("governance", () => {
    it("sets fee, treasury, limits and pace, each within its bounds", async () => {
      const pool = await deployPool();
      const { users, treasury } = pool;
      const manager = pool.manager.connect(pool.governance);
      const limits = { minStake: 1n, poolCap: 5n, dailyLimit: 6n };
      await expect(manager.setFee(1_500n)).to.emit(manager, "FeeChanged").withArgs(1_500n);
      await manager.setFee(0n);
      await expect(manager.setTreasury(users[5]!)).to.emit(manager, "TreasuryChanged").withArgs(users[5]!.address);
      await expect(manager.setStakeLimits({ ...limits, minStake: 32n * ETHER }))
        .to.emit(manager, "StakeLimitsChanged")
        .withArgs(32n * ETHER, 5n, 6n);
      for (const bps of [100n, 5_000n])
        await expect(manager.setStreamLimit(bps)).to.emit(manager, "StreamLimitChanged").withArgs(bps);
      for (const [bps, window] of [
        [10n, 90n * DAY],
        [5_000n, DAY],
      ] as const)
        await expect(manager.setLossLimit(bps, window)).to.emit(manager, "LossLimitChanged").withArgs(bps, window);
      expect(fields(await manager.parameters())).to.deep.equal({
        treasury: users[5]!.address,
        feeBps: 0n,
        maxYearlyRateBps: 5_000n,
        lossLimitBps: 5_000n,
        lossWindow: DAY,
        limits: { minStake: 32n * ETHER, poolCap: 5n, dailyLimit: 6n },
      });

      const refused = async (tx: Promise<unknown>, name: string, ...args: bigint[]) =>
        expect(tx)
          .to.be.revertedWithCustomError(manager, "InvalidParameter")
          .withArgs(encodeBytes32String(name), ...args);
      await refused(manager.setFee(1_501n), "feeBps", 1_501n, 0n, 1_500n);
      await refused(manager.setStakeLimits({ ...limits, minStake: 0n }), "minStake", 0n, 1n, 32n * ETHER);
      await refused(
        manager.setStakeLimits({ ...limits, minStake: 32n * ETHER + 1n }),
        "minStake",
        32n * ETHER + 1n,
        1n,
        32n * ETHER,
      );
      await refused(manager.setStreamLimit(99n), "maxYearlyRateBps", 99n, 100n, 5_000n);
      await refused(manager.setStreamLimit(5_001n), "maxYearlyRateBps", 5_001n, 100n, 5_000n);
      await refused(manager.setLossLimit(9n, DAY), "lossLimitBps", 9n, 10n, 5_000n);
      await refused(manager.setLossLimit(5_001n, DAY), "lossLimitBps", 5_001n, 10n, 5_000n);
      await refused(manager.setLossLimit(10n, DAY - 1n), "lossWindow", DAY - 1n, DAY, 90n * DAY);
      await refused(manager.setLossLimit(10n, 90n * DAY + 1n), "lossWindow", 90n * DAY + 1n, DAY, 90n * DAY);
      await expect(manager.setTreasury(ZERO))
        .to.be.revertedWithCustomError(manager, "ZeroAddress")
        .withArgs(encodeBytes32String("treasury"));

      const stranger = pool.manager.connect(treasury);
      for (const call of [
        () => stranger.setFee(1n),
        () => stranger.setTreasury(treasury),
        () => stranger.setStakeLimits(limits),
        () => stranger.setStreamLimit(100n),
        () => stranger.setLossLimit(10n, DAY),
      ])
        await expect(call())
          .to.be.revertedWithCustomError(manager, "AccessManagedUnauthorized")
          .withArgs(treasury.address);
    });
  });
});

type Parts = Parameters<PoolManager__factory["deploy"]>[0];

/** Another copy of the pool's code. */
async function codeOf(pool: Pool) {
  const parts = fields(await pool.manager.contracts()) as Record<string, string>;
  const frames = { genesisTime: pool.genesisTime, secondsPerSlot: SECONDS_PER_SLOT, slotsPerFrame: SLOTS_PER_FRAME };
  return new PoolManager__factory(pool.users[0]).deploy(parts as Parts, frames);
}
