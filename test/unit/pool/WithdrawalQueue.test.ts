import { expect } from "chai";
import { AbiCoder, keccak256, toUtf8Bytes } from "ethers";
import {
  AccessManager__factory,
  ClaimRecipient__factory,
  ERC1967Proxy__factory,
  WithdrawalQueue__factory,
} from "../../../types/ethers-contracts/index.js";
import {
  CUTOFF_MARGIN_SECONDS,
  DEAD,
  deployPool,
  ETHER,
  fields,
  FRAME_SECONDS,
  SECONDS_PER_SLOT,
  SLOTS_PER_FRAME,
  values,
  type Pool,
  type PoolOptions,
} from "./support.js";

const ZERO = "0x0000000000000000000000000000000000000000";
const RECIPIENT = "0x00000000000000000000000000000000000c1a1E";
const MILLI = ETHER / 1000n;
const MANNER = { takes: 0, refuses: 1, burnsGas: 2, claimsAgain: 3 };

/** Alice, bob and carol hold 100 ETH each, all buffered; one report was made. */
async function staked(options: PoolOptions = {}): Promise<Pool> {
  const pool = await deployPool(options);
  for (const user of pool.users.slice(0, 3))
    await pool.manager.connect(user).stake(user, ZERO, { value: 100n * ETHER });
  await nextFrame(pool);
  await pool.report();
  return pool;
}

/** To an hour into the next frame. */
async function nextFrame(pool: Pool): Promise<void> {
  const { networkHelpers } = pool.connection;
  await networkHelpers.time.increaseTo(frameStart(pool, (await pool.frameNow()) + 1n) + 3_600n);
}

const frameStart = (pool: Pool, frame: bigint) => BigInt(pool.genesisTime) + frame * FRAME_SECONDS;

/** The user at `index` asks for `wei` in the block's time or at `time`. */
async function request(pool: Pool, index: number, wei: bigint, time?: bigint) {
  const user = pool.users[index]!;
  if (time !== undefined) await pool.at(time);
  return pool.token.connect(user).requestWithdrawal(wei, user);
}

/** Requests of 10 ETH of alice, bob, carol, finalised by the next report. */
async function finalised(): Promise<Pool> {
  const pool = await staked();
  for (const index of [0, 1, 2]) await request(pool, index, 10n * ETHER);
  await nextFrame(pool);
  await pool.report();
  return pool;
}

const stateOf = async (pool: Pool) => fields(await pool.queue.state());
const claim = (pool: Pool, index: number, id: bigint, hint?: bigint) => {
  const queue = pool.queue.connect(pool.users[index]);
  return hint === undefined
    ? queue["claim(uint256,address)"](id, RECIPIENT)
    : queue["claim(uint256,address,uint256)"](id, RECIPIENT, hint);
};
const balance = (pool: Pool, address: string) => pool.connection.ethers.provider.getBalance(address);

describe("WithdrawalQueue", () => {
  describe("deployment", () => {
    it("knows its pool and its frames", async () => {
      const pool = await deployPool();
      const { queue, authority } = pool;
      expect(values(await queue.targets())).to.deep.equal([
        await pool.token.getAddress(),
        await pool.manager.getAddress(),
      ]);
      expect(values(await queue.frameConfig())).to.deep.equal([
        BigInt(pool.genesisTime),
        BigInt(SECONDS_PER_SLOT),
        BigInt(SLOTS_PER_FRAME),
      ]);
      expect(await queue.cutoffMargin()).to.equal(CUTOFF_MARGIN_SECONDS);
      expect(await queue.authority()).to.equal(authority);
      expect(await stateOf(pool)).to.deep.equal({
        lastRequest: 0n,
        lastFinalised: 0n,
        checkpoints: 0n,
        unfinalisedShares: 0n,
      });
    });

    it("refuses addresses that are missing, a margin as long as a frame, and a second initialization", async () => {
      const { queue, users, authority } = await deployPool();
      const frames = { genesisTime: 0n, secondsPerSlot: 12n, slotsPerFrame: 10n };
      const factory = new WithdrawalQueue__factory(users[0]);
      await expect(factory.deploy(ZERO, DEAD, frames, 0n)).to.be.revertedWithCustomError(queue, "ZeroAddress");
      await expect(factory.deploy(DEAD, ZERO, frames, 0n)).to.be.revertedWithCustomError(queue, "ZeroAddress");
      await expect(factory.deploy(DEAD, DEAD, frames, 120n))
        .to.be.revertedWithCustomError(queue, "InvalidMargin")
        .withArgs(120n, 120n);
      const code = await factory.deploy(DEAD, DEAD, frames, 119n);
      for (const contract of [queue, code])
        await expect(contract.initialize(authority)).to.be.revertedWithCustomError(queue, "InvalidInitialization");
      await expect(
        new ERC1967Proxy__factory(users[0]).deploy(code, code.interface.encodeFunctionData("initialize", [ZERO])),
      ).to.be.revertedWithCustomError(queue, "ZeroAddress");
    });

    it("keeps its state where ERC-7201 says, also through an upgrade, which is governance's", async () => {
      const pool = await finalised();
      const { queue, users, governance, connection } = pool;
      const namespace = BigInt(keccak256(toUtf8Bytes("pooleth.storage.WithdrawalQueue"))) - 1n;
      const slot = BigInt(keccak256(AbiCoder.defaultAbiCoder().encode(["uint256"], [namespace]))) & ~255n;
      const word = BigInt(await connection.ethers.provider.getStorage(queue, slot));
      expect((word >> 96n) & (2n ** 40n - 1n)).to.equal(3n); // requests
      const code = await new WithdrawalQueue__factory(users[0]).deploy(
        pool.token,
        pool.manager,
        { genesisTime: pool.genesisTime, secondsPerSlot: SECONDS_PER_SLOT, slotsPerFrame: SLOTS_PER_FRAME },
        CUTOFF_MARGIN_SECONDS,
      );
      await expect(queue.connect(users[0]).upgradeToAndCall(code, "0x"))
        .to.be.revertedWithCustomError(queue, "AccessManagedUnauthorized")
        .withArgs(users[0]!.address);
      await queue.connect(governance).upgradeToAndCall(code, "0x");
      await claim(pool, 1, 2n, 1n);
      expect(await balance(pool, RECIPIENT)).to.equal(10n * ETHER);
    });

    it("takes ETH from the PoolManager alone", async () => {
      const { queue, users } = await deployPool();
      await expect(users[0]!.sendTransaction({ to: queue, value: 1n }))
        .to.be.revertedWithCustomError(queue, "NotPoolManager")
        .withArgs(users[0]!.address);
    });
  });

  describe("request", () => {
    it("moves the caller's shares into the queue, for any owner", async () => {
      const pool = await staked();
      const { token, queue, users } = pool;
      const [alice, bob] = users;
      const asAlice = token.connect(alice);
      expect(await asAlice.requestWithdrawal.staticCall(10n * ETHER, bob!)).to.deep.equal([1n, 1n]);
      const queueAddress = await queue.getAddress();
      // the very first request leaves a share behind
      await expect(asAlice.requestWithdrawal(10n * ETHER, bob!))
        .to.emit(token, "Transfer")
        .withArgs(alice!.address, queueAddress, 10n * ETHER)
        .and.to.emit(token, "TransferShares")
        .withArgs(alice!.address, queueAddress, 10n * ETHER)
        .and.to.emit(queue, "WithdrawalRequested")
        .withArgs(1n, bob!.address, 10n * ETHER, 10n * ETHER - 1n);
      await expect(asAlice.requestWithdrawalShares(5n * ETHER, alice!))
        .to.emit(queue, "WithdrawalRequested")
        .withArgs(2n, alice!.address, 5n * ETHER, 5n * ETHER);
      expect(await token.sharesOf(alice!)).to.equal(85n * ETHER);
      expect(await token.sharesOf(queue)).to.equal(15n * ETHER);
      expect(await stateOf(pool)).to.deep.equal({
        lastRequest: 2n,
        lastFinalised: 0n,
        checkpoints: 0n,
        unfinalisedShares: 15n * ETHER - 1n,
      });
      expect((await pool.manager.totals()).queued).to.equal(15n * ETHER - 1n);
    });

    it("refuses dust, nothing, more than owned, more than 64,000 ETH, nobody, and anyone but the token", async () => {
      const pool = await staked();
      const { token, queue, users, connection } = pool;
      const [alice, , , dave] = users;
      const asAlice = token.connect(alice);
      for (const wei of [0n, 1n, MILLI - 1n]) {
        await expect(asAlice.requestWithdrawal(wei, alice!))
          .to.be.revertedWithCustomError(queue, "RequestTooSmall")
          .withArgs(wei, MILLI);
        await expect(asAlice.requestWithdrawalShares(wei, alice!))
          .to.be.revertedWithCustomError(queue, "RequestTooSmall")
          .withArgs(wei, MILLI);
      }
      await expect(asAlice.requestWithdrawal(100n * ETHER + 1n, alice!))
        .to.be.revertedWithCustomError(token, "InsufficientShares")
        .withArgs(alice!.address, 100n * ETHER, 100n * ETHER + 1n);
      await expect(asAlice.requestWithdrawal(2n ** 256n - 1n, alice!)).to.be.revertedWithCustomError(
        token,
        "InsufficientShares",
      );
      await expect(asAlice.requestWithdrawal(ETHER, ZERO)).to.be.revertedWithCustomError(queue, "ZeroAddress");
      await expect(queue.connect(alice).enqueue(alice!, ETHER, ETHER))
        .to.be.revertedWithCustomError(queue, "NotPoolETH")
        .withArgs(alice!.address);
      await pool.setBalance(dave!.address, 10n ** 24n);
      await pool.manager.connect(dave).stake(dave!, ZERO, { value: 65_000n * ETHER });
      await expect(token.connect(dave).requestWithdrawal(64_000n * ETHER + 1n, dave!))
        .to.be.revertedWithCustomError(queue, "RequestTooLarge")
        .withArgs(64_000n * ETHER + 1n, 64_000n * ETHER);
      await token.connect(dave).requestWithdrawal(64_000n * ETHER, dave!);
      expect((await queue.state()).lastRequest).to.equal(64n);
      // a share each, at a rate no pool ever had
      const tokenAddress = await token.getAddress();
      await connection.networkHelpers.impersonateAccount(tokenAddress);
      await pool.setBalance(tokenAddress, ETHER);
      const asToken = queue.connect(await connection.ethers.getSigner(tokenAddress));
      await expect(asToken.enqueue(alice!, 2n, 2_000n * ETHER)).to.be.revertedWithCustomError(queue, "RequestTooSmall");
      await asToken.enqueue(alice!, 3n, 2_000n * ETHER);
    });

    it("takes the smallest amount", async () => {
      const pool = await staked();
      await request(pool, 0, MILLI);
      expect((await pool.queue.request(1n)).shares).to.equal(MILLI - 1n);
    });

    it("splits what is large, evenly, so that no part is dust", async () => {
      const pool = await staked();
      const { manager, token, queue, users } = pool;
      const [alice, , , dave] = users;
      await manager.connect(dave).stake(dave!, ZERO, { value: 3_000n * ETHER });
      await request(pool, 0, MILLI); // the dust share is alice's
      const wei = 2_000n * ETHER + 1n;
      expect(await token.connect(dave).requestWithdrawal.staticCall(wei, alice!)).to.deep.equal([2n, 4n]);
      const sent = await token.connect(dave).requestWithdrawal(wei, alice!);
      const receipt = await sent.wait();
      const requested = receipt!.logs
        .map((log) => queue.interface.parseLog(log))
        .filter((event) => event?.name === "WithdrawalRequested")
        .map((event) => values(event!.args).slice(2) as [bigint, bigint]);
      expect(requested).to.have.length(3);
      for (const [amount, shares] of requested) {
        expect(amount).to.be.closeTo(wei / 3n, 1n);
        expect(shares).to.be.closeTo(wei / 3n, 1n);
      }
      expect(requested.reduce((sum, [amount]) => sum + amount, 0n)).to.equal(wei);
      expect(requested.reduce((sum, [, shares]) => sum + shares, 0n)).to.equal(wei);
      expect(await queue.requestsOf(alice!, 0n, 9n)).to.deep.equal([1n, 2n, 3n, 4n]);
    });

    it("works while staking is paused, a loss is pending, the report is old and the targets are closed", async () => {
      const pool = await staked();
      const { manager, guardians, governance, authority, queue } = pool;
      await manager.connect(guardians).pauseStaking();
      await manager.connect(guardians).pauseFinalisation();
      const access = AccessManager__factory.connect(authority, governance);
      for (const target of [manager, queue]) await access.setTargetClosed(target, true);
      for (let i = 0; i < 3; i++) await nextFrame(pool);
      expect((await manager.rate()).stale).to.equal(true);
      await request(pool, 0, ETHER);
      expect((await queue.state()).lastRequest).to.equal(1n);
    });
  });

  describe("cutoff", () => {
    it("finalises what came a margin before the frame's end, and nothing later", async () => {
      const pool = await staked();
      const frame = await pool.frameNow();
      const cutoff = frameStart(pool, frame + 1n) - CUTOFF_MARGIN_SECONDS;
      await request(pool, 0, ETHER, cutoff - 2n);
      await request(pool, 1, ETHER, cutoff - 1n);
      await request(pool, 2, ETHER, cutoff);
      await nextFrame(pool);
      await pool.report({ frame });
      expect((await pool.queue.state()).lastFinalised).to.equal(2n);
      await nextFrame(pool);
      await pool.report();
      expect((await pool.queue.state()).lastFinalised).to.equal(3n);
    });

    it("holds as well when the report comes in the next frame's margin, after newer requests", async () => {
      const pool = await staked();
      const frame = await pool.frameNow();
      await request(pool, 0, ETHER);
      await request(pool, 1, ETHER, frameStart(pool, frame + 1n) + 1n);
      const late = frameStart(pool, frame + 2n) - CUTOFF_MARGIN_SECONDS;
      await request(pool, 2, ETHER, late + 1n);
      await pool.at(late + 2n);
      await pool.report({ frame });
      expect((await pool.queue.state()).lastFinalised).to.equal(1n);
    });

    it("holds when nobody asked in the frame between", async () => {
      const pool = await staked();
      const frame = await pool.frameNow();
      await request(pool, 0, ETHER);
      await request(pool, 1, ETHER);
      await request(pool, 2, ETHER, frameStart(pool, frame + 2n) - 1n);
      await pool.report({ frame });
      expect((await pool.queue.state()).lastFinalised).to.equal(2n);
    });

    it("finalises nobody when it cannot tell any more, and everybody with the next report", async () => {
      const pool = await staked();
      const { manager, governance } = pool;
      await manager.connect(pool.registry).fundDeposits(2n);
      await nextFrame(pool);
      await pool.report();
      await request(pool, 0, ETHER);
      await nextFrame(pool);
      await pool.report({ clBalance: 32n * ETHER });
      expect((await manager.pendingLoss()).frame).not.to.equal(0n);
      await nextFrame(pool);
      await request(pool, 1, ETHER);
      await nextFrame(pool);
      await request(pool, 2, ETHER);
      await manager.connect(governance).confirmLoss(64n * ETHER);
      expect((await pool.queue.state()).lastFinalised).to.equal(0n);
      await nextFrame(pool);
      await pool.report();
      expect((await pool.queue.state()).lastFinalised).to.equal(3n);
    });
  });

  describe("finalising", () => {
    it("pays requests what they are worth, burns their shares, and leaves the rate", async () => {
      const pool = await staked();
      const { manager, token, queue } = pool;
      for (const index of [0, 1, 2]) await request(pool, index, 10n * ETHER);
      await nextFrame(pool);
      const before = await manager.totals();
      const shares = 30n * ETHER - 1n;
      const queueAddress = await queue.getAddress();
      const report = await pool.report();
      await expect(report)
        .to.emit(queue, "WithdrawalsFinalised")
        .withArgs(1n, 3n, 1n, shares, shares)
        .and.to.emit(token, "Transfer")
        .withArgs(queueAddress, ZERO, shares)
        .and.to.emit(token, "TransferShares")
        .withArgs(queueAddress, ZERO, shares);
      const after = await manager.totals();
      expect(after.buffered).to.equal(before.buffered - shares);
      expect(after.totalShares).to.equal(before.totalShares - shares);
      expect(after.totalPooledEther).to.equal(before.totalPooledEther - shares);
      expect(after.queued).to.equal(0n);
      expect(await balance(pool, queueAddress)).to.equal(shares);
      // the dust share stays
      expect(await token.sharesOf(queue)).to.equal(1n);
      expect((await manager.rate()).value).to.equal(ETHER);
      await nextFrame(pool);
      await expect(await pool.report()).not.to.emit(queue, "WithdrawalsFinalised");
    });

    it("lets requests share losses and gains until then, and neither after", async () => {
      const pool = await staked();
      const { manager, queue } = pool;
      await manager.connect(pool.registry).fundDeposits(5n);
      await nextFrame(pool);
      await pool.report();
      await request(pool, 0, 10n * ETHER);
      await nextFrame(pool);
      // 3.01 of 301 ETH are lost: 1 %
      await pool.report({ clBalance: 160n * ETHER - (301n * ETHER) / 100n });
      const paid = (99n * ETHER) / 10n - 1n;
      expect((await queue.request(1n)).amount).to.be.closeTo(paid, 1n);
      await nextFrame(pool);
      await pool.report({ clBalance: 170n * ETHER });
      expect((await queue.request(1n)).amount).to.be.closeTo(paid, 1n);
      await claim(pool, 0, 1n);
      expect(await balance(pool, RECIPIENT)).to.be.closeTo(paid, 1n);
    });

    it("keeps the order: a request that cannot be paid yet is not overtaken", async () => {
      const pool = await staked();
      const { manager, queue } = pool;
      await manager.connect(pool.registry).fundDeposits(9n); // 13 of 301 ETH stay
      await nextFrame(pool);
      await pool.report();
      for (const [index, eth] of [
        [0, 4n],
        [1, 5n],
        [2, 90n],
        [0, 1n],
      ] as const)
        await request(pool, index, eth * ETHER);
      await nextFrame(pool);
      await pool.report();
      expect((await queue.state()).lastFinalised).to.equal(2n);
      expect(await manager.depositableEther()).to.equal(0n);
      expect((await manager.totals()).queued).to.equal(91n * ETHER);
      await nextFrame(pool);
      await pool.report();
      expect((await queue.state()).lastFinalised).to.equal(2n);
      // 96 ETH come back
      await pool.setBalance(await pool.withdrawalVault.getAddress(), 96n * ETHER);
      await nextFrame(pool);
      await pool.report({ clBalance: 192n * ETHER, withdrawnAtRef: 96n * ETHER });
      expect((await queue.state()).lastFinalised).to.equal(4n);
      expect(values(await queue.hints([1n, 2n, 3n, 4n]))).to.deep.equal([1n, 1n, 2n, 2n]);
    });

    it("pays exactly as far as it goes, to the wei", async () => {
      const pool = await staked();
      const { manager, queue } = pool;
      await manager.connect(pool.registry).fundDeposits(9n); // 13 ETH stay
      await nextFrame(pool);
      await pool.report();
      await request(pool, 0, 6n * ETHER + 1n); // less the dust share
      await request(pool, 1, 7n * ETHER + 1n);
      await nextFrame(pool);
      await pool.report();
      expect((await queue.state()).lastFinalised).to.equal(1n);
      await manager.stake(pool.users[3]!, ZERO, { value: 1n });
      await nextFrame(pool);
      await pool.report();
      expect((await queue.state()).lastFinalised).to.equal(2n);
      expect((await manager.totals()).buffered).to.equal(0n);
    });

    it("comes after what operations are owed, and before new validators", async () => {
      const pool = await staked();
      const { manager, queue, registry, reserve } = pool;
      await manager.connect(registry).fundDeposits(9n); // 13 ETH stay
      await nextFrame(pool);
      await pool.report();
      // 2 ETH of gain, streamed: 0.2 ETH fee, all of it for the reserve
      await reserve.setShortfall(ETHER);
      await nextFrame(pool);
      await pool.report({ clBalance: 290n * ETHER });
      await pool.connection.networkHelpers.time.increase(20n * FRAME_SECONDS);
      await pool.report();
      const { buffered } = await manager.totals();
      expect(13n * ETHER - buffered).to.be.closeTo(ETHER / 5n, 10n ** 6n);
      await request(pool, 0, buffered - 2n * ETHER);
      expect(await manager.depositableEther()).to.be.closeTo(2n * ETHER, 10n ** 9n);
      await expect(manager.connect(registry).fundDeposits(1n)).to.be.revertedWithCustomError(
        manager,
        "NotEnoughBuffered",
      );
      await nextFrame(pool);
      await pool.report();
      expect((await queue.state()).lastFinalised).to.equal(1n);
      expect(await manager.depositableEther()).to.be.closeTo(2n * ETHER, 10n ** 9n);
    });

    it("waits while a loss is pending, and is the PoolManager's", async () => {
      const pool = await staked();
      const { manager, queue, governance, users } = pool;
      await manager.connect(pool.registry).fundDeposits(5n);
      await nextFrame(pool);
      await pool.report();
      await request(pool, 0, 10n * ETHER);
      await nextFrame(pool);
      await pool.report({ clBalance: 100n * ETHER });
      expect((await queue.state()).lastFinalised).to.equal(0n);
      await manager.connect(governance).confirmLoss(60n * ETHER);
      expect((await queue.state()).lastFinalised).to.equal(1n);
      expect((await queue.request(1n)).amount).to.be.closeTo((10n * ETHER * 241n) / 301n, 2n);
      await expect(queue.connect(users[0]).finalise(1n, ETHER, ETHER, ETHER))
        .to.be.revertedWithCustomError(queue, "NotPoolManager")
        .withArgs(users[0]!.address);
    });

    it("stops when a guardian quorum says so, until governance lets it go on", async () => {
      const pool = await staked();
      const { manager, queue, guardians, governance, users } = pool;
      await expect(manager.connect(users[0]).pauseFinalisation())
        .to.be.revertedWithCustomError(manager, "NotAuthorized")
        .withArgs(users[0]!.address, guardians.address);
      await expect(manager.connect(guardians).pauseFinalisation()).to.emit(manager, "FinalisationPaused");
      expect(await manager.finalisationPaused()).to.equal(true);
      await request(pool, 0, 10n * ETHER);
      await nextFrame(pool);
      await pool.report();
      expect((await queue.state()).lastFinalised).to.equal(0n);
      await expect(manager.connect(guardians).resumeFinalisation()).to.be.revertedWithCustomError(
        manager,
        "AccessManagedUnauthorized",
      );
      await expect(manager.connect(governance).resumeFinalisation()).to.emit(manager, "FinalisationResumed");
      await nextFrame(pool);
      await pool.report();
      expect((await queue.state()).lastFinalised).to.equal(1n);
    });

    it("waits while the pool is worth nothing", async () => {
      const pool = await deployPool();
      const { manager, token, queue, users, governance } = pool;
      await manager.stake(users[0]!, ZERO, { value: 31n * ETHER });
      await manager.connect(pool.registry).fundDeposits(1n);
      await nextFrame(pool);
      await pool.report();
      await request(pool, 0, 10n * ETHER);
      await nextFrame(pool);
      await pool.report({ clBalance: 0n });
      await manager.connect(governance).confirmLoss(32n * ETHER);
      expect(await token.totalPooledEther()).to.equal(0n);
      expect((await queue.state()).lastFinalised).to.equal(0n);
      await expect(token.requestWithdrawal(ETHER, users[0]!)).to.be.revertedWithCustomError(token, "NoPooledEther");
      await expect(token.requestWithdrawalShares(ETHER, users[0]!)).to.be.revertedWithCustomError(
        queue,
        "RequestTooSmall",
      );
    });

    it("is refused with the report when the queue does not take its ether", async () => {
      const pool = await staked();
      const { queue, manager, token, users, connection } = pool;
      await token.requestWithdrawal(ETHER, users[0]!);
      await nextFrame(pool);
      // answers every call with (1, 1) and reverts when it is only sent ether
      await connection.provider.request({
        method: "hardhat_setCode",
        params: [await queue.getAddress(), "0x366007575f5ffd5b60015f52600160205260405ff3"],
      });
      await expect(pool.report())
        .to.be.revertedWithCustomError(manager, "SendFailed")
        .withArgs(await queue.getAddress(), 1n);
    });

    it("takes 300 requests in one report", async () => {
      const pool = await staked();
      const { queue, token, users } = pool;
      for (let i = 0; i < 300; i++)
        await token.connect(users[i % 3]).requestWithdrawal(ETHER / 10n + BigInt(i), users[i % 3]!);
      await nextFrame(pool);
      const receipt = await (await pool.report()).wait();
      expect(receipt!.gasUsed).to.be.lessThan(200_000n); // as for one: npm run bench:finalise
      expect((await queue.state()).lastFinalised).to.equal(300n);
      expect((await queue.state()).checkpoints).to.equal(1n);
      const held = await balance(pool, await queue.getAddress());
      let claimed = 0n;
      for (const index of [0, 1, 2]) {
        const ids = [...(await queue.requestsOf(users[index]!, 0n, 300n))];
        expect(ids).to.have.length(100);
        const asOwner = queue.connect(users[index]);
        claimed += await asOwner.claimMany.staticCall(
          ids,
          RECIPIENT,
          ids.map(() => 1n),
        );
        await asOwner.claimMany(
          ids,
          RECIPIENT,
          ids.map(() => 1n),
        );
      }
      expect(await balance(pool, RECIPIENT)).to.equal(claimed);
      // rounding keeps less than a wei each
      expect(held - claimed).to.be.within(0n, 299n);
      expect(await balance(pool, await queue.getAddress())).to.equal(held - claimed);
    });
  });

  describe("claim", () => {
    it("sends what was paid to any recipient, with or without a hint", async () => {
      const pool = await finalised();
      const { queue, users } = pool;
      await expect(claim(pool, 0, 1n))
        .to.emit(queue, "WithdrawalClaimed")
        .withArgs(1n, users[0]!.address, RECIPIENT, 10n * ETHER - 1n);
      await expect(claim(pool, 1, 2n, 1n)).to.emit(queue, "WithdrawalClaimed");
      expect(await balance(pool, RECIPIENT)).to.equal(20n * ETHER - 1n);
      expect(fields(await queue.request(1n))).to.deep.equal({
        owner: ZERO,
        shares: 10n * ETHER - 1n,
        amount: 10n * ETHER - 1n,
        finalised: true,
        claimed: true,
      });
    });

    it("finds the checkpoint among many", async () => {
      const pool = await staked();
      const { queue } = pool;
      const expected: bigint[] = [];
      for (let checkpoint = 1n; checkpoint <= 7n; checkpoint++) {
        for (let i = 0n; i < checkpoint % 3n; i++) {
          await request(pool, 0, ETHER + checkpoint);
          expected.push(0n);
        }
        await nextFrame(pool);
        await pool.report();
        expected.fill(
          await queue.state().then(({ checkpoints }) => checkpoints),
          expected.lastIndexOf(0n) - Number(checkpoint % 3n) + 1,
        );
      }
      const ids = expected.map((_, i) => BigInt(i + 1));
      const hints = [...(await queue.hints(ids))];
      for (const [i, id] of ids.entries()) await claim(pool, 0, id, i % 2 === 0 ? hints[i] : undefined);
      const paid = await Promise.all(ids.map(async (id) => (await queue.request(id)).amount));
      expect(await balance(pool, RECIPIENT)).to.equal(paid.reduce((a, b) => a + b));
    });

    it("refuses every wrong request by its own error, and keeps what it refused", async () => {
      const pool = await finalised();
      const { queue, users } = pool;
      const [alice, bob] = users;
      await request(pool, 0, ETHER); // 4
      await claim(pool, 2, 3n);
      const asAlice = queue.connect(alice);
      for (const [id, error, ...args] of [
        [0n, "UnknownRequest", 0n, 4n],
        [5n, "UnknownRequest", 5n, 4n],
        [2n ** 256n - 1n, "UnknownRequest", 2n ** 256n - 1n, 4n],
        [2n, "NotRequestOwner", 2n, bob!.address, alice!.address],
        [3n, "RequestClaimed", 3n],
        [4n, "RequestNotFinalised", 4n, 3n],
      ] as const) {
        for (const call of [
          claim(pool, 0, id),
          claim(pool, 0, id, 1n),
          asAlice.claimMany([1n, id], RECIPIENT, [1n, 1n]),
        ])
          await expect(call)
            .to.be.revertedWithCustomError(queue, error)
            .withArgs(...args);
      }
      for (const hint of [0n, 2n, 2n ** 256n - 1n])
        await expect(claim(pool, 0, 1n, hint))
          .to.be.revertedWithCustomError(queue, "InvalidHint")
          .withArgs(1n, hint);
      await expect(asAlice["claim(uint256,address)"](1n, ZERO)).to.be.revertedWithCustomError(queue, "ZeroAddress");
      await expect(asAlice.claimMany([], RECIPIENT, [])).to.be.revertedWithCustomError(queue, "EmptyList");
      await expect(asAlice.claimMany([1n], RECIPIENT, []))
        .to.be.revertedWithCustomError(queue, "LengthMismatch")
        .withArgs(1n, 0n);
      await expect(asAlice.claimMany([1n, 1n], RECIPIENT, [1n, 1n]))
        .to.be.revertedWithCustomError(queue, "RequestClaimed")
        .withArgs(1n);
      // all that is still there
      await claim(pool, 0, 1n);
      await claim(pool, 1, 2n);
    });

    it("refuses a hint of the checkpoint before or behind", async () => {
      const pool = await finalised();
      await request(pool, 0, ETHER);
      await nextFrame(pool);
      await pool.report();
      await expect(claim(pool, 0, 1n, 2n))
        .to.be.revertedWithCustomError(pool.queue, "InvalidHint")
        .withArgs(1n, 2n);
      await expect(claim(pool, 0, 4n, 1n))
        .to.be.revertedWithCustomError(pool.queue, "InvalidHint")
        .withArgs(4n, 1n);
      await claim(pool, 0, 4n, 2n);
    });

    it("survives every pause, a pending loss, an old report and closed targets", async () => {
      const pool = await finalised();
      const { manager, queue, guardians, governance, authority } = pool;
      await request(pool, 0, ETHER);
      await manager.connect(guardians).pauseStaking();
      await manager.connect(guardians).pauseFinalisation();
      await manager.connect(pool.registry).fundDeposits(5n);
      await nextFrame(pool);
      await pool.report({ clBalance: 0n });
      expect((await manager.pendingLoss()).frame).not.to.equal(0n);
      await claim(pool, 0, 1n);
      const access = AccessManager__factory.connect(authority, governance);
      for (const target of [manager, queue]) await access.setTargetClosed(target, true);
      for (let i = 0; i < 3; i++) await nextFrame(pool);
      expect((await manager.rate()).stale).to.equal(true);
      await pool.queue.connect(pool.users[1]).transferRequest(2n, pool.users[0]!);
      await claim(pool, 0, 2n);
      await claim(pool, 2, 3n, 1n);
      expect(await balance(pool, RECIPIENT)).to.equal(30n * ETHER - 1n);
    });

    it("loses nothing to a recipient that refuses, burns gas, or claims again", async () => {
      const pool = await finalised();
      const { queue, users } = pool;
      const [alice] = users;
      const recipient = await new ClaimRecipient__factory(alice).deploy();
      const address = await recipient.getAddress();
      await queue.connect(alice).transferRequest(1n, address);
      await queue.connect(users[1]).transferRequest(2n, address);
      const queueAddress = await queue.getAddress();
      const again = queue.interface.encodeFunctionData("claim(uint256,address)", [2n, address]);
      const first = queue.interface.encodeFunctionData("claim(uint256,address)", [1n, address]);
      for (const manner of [MANNER.refuses, MANNER.burnsGas, MANNER.claimsAgain]) {
        await recipient.behave(manner, queueAddress, again);
        await expect(recipient.execute(queueAddress, first, { gasLimit: 2_000_000 }))
          .to.be.revertedWithCustomError(queue, "SendFailed")
          .withArgs(address, 10n * ETHER - 1n);
        expect((await queue.request(1n)).owner).to.equal(address);
      }
      // nobody else waits for it
      await claim(pool, 2, 3n);
      await recipient.behave(MANNER.takes, queueAddress, "0x");
      await recipient.execute(queueAddress, first);
      await recipient.execute(queueAddress, again);
      expect(await balance(pool, address)).to.equal(20n * ETHER - 1n);
    });
  });

  describe("transferRequest", () => {
    it("gives a request to another, before and after it is finalised", async () => {
      const pool = await staked();
      const { queue, users } = pool;
      const [alice, bob, carol] = users;
      await request(pool, 0, ETHER);
      await expect(queue.connect(alice).transferRequest(1n, bob!))
        .to.emit(queue, "RequestTransferred")
        .withArgs(1n, alice!.address, bob!.address);
      await nextFrame(pool);
      await pool.report();
      await queue.connect(bob).transferRequest(1n, carol!);
      for (const index of [0, 1])
        await expect(claim(pool, index, 1n)).to.be.revertedWithCustomError(queue, "NotRequestOwner");
      await claim(pool, 2, 1n);
    });

    it("refuses what is not there, not one's own, claimed, and nobody", async () => {
      const pool = await finalised();
      const { queue, users } = pool;
      const [alice, bob] = users;
      await claim(pool, 2, 3n);
      const asAlice = queue.connect(alice);
      await expect(asAlice.transferRequest(4n, bob!)).to.be.revertedWithCustomError(queue, "UnknownRequest");
      await expect(asAlice.transferRequest(0n, bob!)).to.be.revertedWithCustomError(queue, "UnknownRequest");
      await expect(asAlice.transferRequest(2n, alice!)).to.be.revertedWithCustomError(queue, "NotRequestOwner");
      await expect(asAlice.transferRequest(3n, alice!)).to.be.revertedWithCustomError(queue, "RequestClaimed");
      await expect(asAlice.transferRequest(1n, ZERO)).to.be.revertedWithCustomError(queue, "ZeroAddress");
    });
  });

  describe("views", () => {
    it("tell who waits, for how much, and who is ahead", async () => {
      const pool = await finalised();
      const { queue, users } = pool;
      const [alice, bob] = users;
      await request(pool, 0, ETHER); // 4
      await request(pool, 1, 2n * ETHER); // 5
      expect(fields(await queue.request(5n))).to.deep.equal({
        owner: bob!.address,
        shares: 2n * ETHER,
        amount: 2n * ETHER,
        finalised: false,
        claimed: false,
      });
      expect(fields(await queue.request(1n))).to.include({ owner: alice!.address, finalised: true, claimed: false });
      expect(values(await queue.position(5n))).to.deep.equal([ETHER, ETHER]);
      expect(values(await queue.position(4n))).to.deep.equal([0n, 0n]);
      expect(values(await queue.position(1n))).to.deep.equal([0n, 0n]);
      expect(values(await queue.hints([1n, 4n, 3n]))).to.deep.equal([1n, 0n, 1n]);
      for (const id of [0n, 6n]) {
        await expect(queue.request(id)).to.be.revertedWithCustomError(queue, "UnknownRequest").withArgs(id, 5n);
        await expect(queue.position(id)).to.be.revertedWithCustomError(queue, "UnknownRequest");
        await expect(queue.hints([id])).to.be.revertedWithCustomError(queue, "UnknownRequest");
      }
    });

    it("page through an owner's requests", async () => {
      const pool = await finalised();
      const { queue, users } = pool;
      const [alice] = users;
      for (let i = 0; i < 3; i++) await request(pool, 0, ETHER); // 4, 5, 6
      await claim(pool, 0, 1n);
      const of = async (from: bigint, to: bigint) => values(await queue.requestsOf(alice!, from, to));
      expect(await of(0n, 2n ** 256n - 1n)).to.deep.equal([4n, 5n, 6n]);
      expect(await of(5n, 6n)).to.deep.equal([5n, 6n]);
      expect(await of(1n, 3n)).to.deep.equal([]);
      expect(await of(6n, 5n)).to.deep.equal([]);
      expect(await of(7n, 9n)).to.deep.equal([]);
      await expect(queue.requestsOf(ZERO, 1n, 6n)).to.be.revertedWithCustomError(queue, "ZeroAddress");
    });
  });
});
