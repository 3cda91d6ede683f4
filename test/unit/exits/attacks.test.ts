import { expect } from "chai";
import { id, parseEther, ZeroAddress } from "ethers";
import { network } from "hardhat";
import { deployPool } from "../../../deploy/deploy.js";
import { parseParameters } from "../../../deploy/parameters.js";
import { DEPOSIT_CONTRACT_ADDRESS } from "../../../devnet/execution/predeploys.js";
import { registerOperators } from "../../../devnet/ssv.js";
import { type Report, sign } from "../../../oracle/signatures/messages.js";
import {
  Guardians__factory,
  IDepositContract__factory,
  ISSVNetwork__factory,
  ISSVNetworkViews__factory,
  PoolETH__factory,
  PoolManager__factory,
  ReportOracle__factory,
  ValidatorExits__factory,
  ValidatorRegistry__factory,
  WithdrawalVault__factory,
} from "../../../types/ethers-contracts/index.js";
import { addressOf, type Connection, GENESIS_TIME, ground, wallet } from "../deploy/support.js";
import { setBeaconRoot } from "../oracle/support.js";
import {
  Actions,
  entriesOf,
  type Entry,
  GuardianKeys,
  installWithdrawalRequests,
  OPERATOR_FEE,
} from "../registry/support.js";

const SLOTS_PER_FRAME = 1_800n;
const FRAME_SECONDS = SLOTS_PER_FRAME * 12n;
const GRACE_FRAMES = 2;
const VALIDATOR = parseEther("32");
/** Ids that one list of a report can hold. */
const MOST_NAMED = 128;
/** Code that reverts whatever it is called with. */
const REFUSES = "0x5f5ffd";

interface News {
  clBalance?: bigint;
  exiting?: readonly number[];
  exited?: readonly number[];
}

describe("Attacks on exits, of the pool as it is deployed", () => {
  let connection: Connection;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function deployed() {
    const { ethers, networkHelpers, provider } = connection;
    const { input, deployer } = await ground(connection);
    await installWithdrawalRequests(provider);
    await networkHelpers.time.increase(FRAME_SECONDS); // frame 0 is never reported
    const { chainId } = await ethers.provider.getNetwork();
    const guardianSigners = new GuardianKeys(chainId, ZeroAddress).wallets.slice(0, 3);
    const { addresses } = await deployPool(
      deployer,
      parseParameters({
        ...input,
        frames: { ...input.frames, slotsPerFrame: Number(SLOTS_PER_FRAME) },
        withdrawals: { cutoffMarginSeconds: 24, exitGraceFrames: GRACE_FRAMES },
        guardians: {
          ...{ quorum: 3, pauseSeconds: 86_400 },
          members: guardianSigners.map(({ address }, i) => ({ member: addressOf(`cold ${i}`), signer: address })),
        },
      }),
    );
    const [anyone, alice] = await ethers.getSigners();
    if (!anyone || !alice) throw new Error("the network has no accounts");
    await networkHelpers.setBalance(alice.address, parseEther("20000"));
    const ssv = {
      network: ISSVNetwork__factory.connect(input.ssv.network, anyone),
      views: ISSVNetworkViews__factory.connect(input.ssv.views, anyone),
    };
    const operators = [0, 1, 2, 3].map((i) => ({ publicKey: id(`operator ${i}`), feeWeiPerBlock: OPERATOR_FEE }));
    const operatorIds = await registerOperators(ssv.network, deployer, operators);
    const registry = ValidatorRegistry__factory.connect(addresses.registry, anyone);
    const actions = new Actions({
      ...{ registry, operatorIds, ssv, provider: ethers.provider },
      governance: await ethers.getImpersonatedSigner(addressOf("governance")),
      poolOperator: await ethers.getImpersonatedSigner(addressOf("pool operator")),
      guardians: Guardians__factory.connect(addresses.guardians, anyone),
      depositContract: IDepositContract__factory.connect(DEPOSIT_CONTRACT_ADDRESS, anyone),
      keys: new GuardianKeys(chainId, addresses.guardians),
    });
    return {
      ...{ addresses, alice, anyone, ssv, actions, registry, domains: { ...addresses, chainId: Number(chainId) } },
      manager: PoolManager__factory.connect(addresses.poolManager, alice),
      governed: PoolManager__factory.connect(addresses.poolManager, wallet("governance").connect(ethers.provider)),
      token: PoolETH__factory.connect(addresses.poolETH, alice),
      exits: ValidatorExits__factory.connect(addresses.validatorExits, anyone),
      oracle: ReportOracle__factory.connect(addresses.reportOracle, anyone),
      vault: WithdrawalVault__factory.connect(addresses.withdrawalVault, anyone),
    };
  }
  type Pool = Awaited<ReturnType<typeof deployed>>;

  /** A pool with so many validators of one cluster, oldest first, and nothing buffered but what it began with. */
  async function withValidators(pool: Pool, count: number): Promise<{ cluster: bigint; entries: Entry[] }> {
    await pool.manager.stake(pool.alice, ZeroAddress, { value: VALIDATOR * BigInt(count) });
    const cluster = await pool.actions.addCluster(4, { cap: 1_000 });
    const entries: Entry[] = [];
    while (entries.length < count) {
      const some = Math.min(Math.max(2, entries.length), 20, count - entries.length);
      const batch = await pool.actions.publishAndVet(cluster, entriesOf(`from ${entries.length}`, some));
      await pool.actions.register(batch);
      await pool.actions.deposit(cluster, batch.entries);
      entries.push(...batch.entries);
    }
    return { cluster, entries };
  }

  /** Alice redeems so many validators' worth; one ether is liquid from the beginning. */
  async function redeem({ token, alice }: Pool, validators: number): Promise<void> {
    for (let left = VALIDATOR * BigInt(validators); left > 0n;) {
      const some = left > parseEther("1000") ? parseEther("1000") : left;
      await token.requestWithdrawal(some, alice);
      left -= some;
    }
  }

  /** The running frame ends; `seconds` later it can be reported. */
  async function endFrame(seconds = 1_000n): Promise<{ frame: bigint; beaconBlockRoot: string }> {
    const { networkHelpers, provider } = connection;
    const frame = (BigInt(await networkHelpers.time.latest()) - BigInt(GENESIS_TIME)) / FRAME_SECONDS;
    const end = BigInt(GENESIS_TIME) + (frame + 1n) * FRAME_SECONDS;
    const beaconBlockRoot = id(`root of ${frame}`);
    await networkHelpers.time.increaseTo(end + seconds);
    await setBeaconRoot(provider, end, beaconBlockRoot);
    return { frame, beaconBlockRoot };
  }

  async function submit(pool: Pool, ended: { frame: bigint; beaconBlockRoot: string }, news: News = {}) {
    const { clBalance, deposited, inFlight, swept } = await pool.manager.totals();
    const sinceReference = (await pool.manager.depositedAt(ended.frame)) - (deposited - inFlight);
    const message: Report = {
      ...{ version: 1, refSlot: Number((ended.frame + 1n) * SLOTS_PER_FRAME - 1n) },
      ...{ beaconBlockRoot: ended.beaconBlockRoot, openPenalties: 0n, withdrawnAtRef: swept },
      ...{ clBalance: news.clBalance ?? clBalance + sinceReference },
      ...{ exiting: news.exiting ?? [], exited: news.exited ?? [] },
    };
    const hot = [1, 2].map((i) => wallet(`oracle ${i}, hot`));
    const ordered = hot.sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));
    const signed = await Promise.all(ordered.map((key) => sign({ kind: "report", message }, pool.domains, key)));
    return pool.oracle.submitReport(
      { ...message, exiting: [...message.exiting], exited: [...message.exited] },
      signed.map(({ signature }) => signature),
    );
  }

  const report = async (pool: Pool, news?: News) => submit(pool, await endFrame(), news);

  const keysOf = (entries: readonly Entry[]): string[] => entries.map(({ publicKey }) => publicKey);
  const upTo = (count: number, from = 1): number[] => [...Array(count).keys()].map((i) => from + i);

  /** Asks for as many as are due, from the `from`th on; how many that were. */
  async function askAll(pool: Pool, cluster: bigint, entries: readonly Entry[], from: number): Promise<number> {
    const { due } = await pool.exits.demand();
    const some = entries.slice(from, from + Number(due));
    if (some.length !== 0) await pool.exits.requestExits(cluster, keysOf(some));
    return some.length;
  }

  const load = () => connection.networkHelpers.loadFixture(deployed);

  describe("nobody makes more validators exit than are needed", () => {
    it("while no report comes, however long", async () => {
      const pool = await load();
      const { cluster, entries } = await withValidators(pool, 8);
      await report(pool);
      await redeem(pool, 2);
      expect(await askAll(pool, cluster, entries, 0)).to.equal(2);
      for (let frame = 0; frame < 3 * GRACE_FRAMES; frame++) {
        await endFrame(); // what the operators do no report says
        expect(await askAll(pool, cluster, entries, 2)).to.equal(0);
      }
      await expect(pool.exits.requestExits(cluster, keysOf(entries.slice(2, 3)))).to.be.revertedWithCustomError(
        pool.exits,
        "ExitsNotDue",
      );
      await report(pool, { exiting: [1, 2] });
      expect((await pool.exits.demand()).needed).to.equal(0n);
    });

    it("between the end of the last grace frame and its report", async () => {
      const pool = await load();
      const { cluster, entries } = await withValidators(pool, 8);
      await report(pool);
      await redeem(pool, 2);
      await askAll(pool, cluster, entries, 0);
      for (let frame = 0; frame < GRACE_FRAMES; frame++) await report(pool);
      const ended = await endFrame(1n); // the exits came late, in this frame: its report will say so
      expect(await askAll(pool, cluster, entries, 2)).to.equal(0);
      const fee = await pool.vault.exitFee();
      const forced = pool.exits.forceExits(keysOf(entries.slice(0, 2)), fee, { value: fee * 2n });
      await expect(forced).to.be.revertedWithCustomError(pool.exits, "ExitsNotDue");
      await submit(pool, ended, { exiting: [1, 2] });
      expect(await askAll(pool, cluster, entries, 2)).to.equal(0);
    });

    it("while a loss waits for governance, whose reports mark no exits, nor when it is confirmed", async () => {
      const pool = await load();
      const { cluster, entries } = await withValidators(pool, 8);
      await report(pool);
      await redeem(pool, 2);
      await askAll(pool, cluster, entries, 0);
      const news = { clBalance: VALIDATOR * 7n, exiting: [1, 2] };
      for (let frame = 0; frame <= 2 * GRACE_FRAMES; frame++) {
        await report(pool, news);
        expect(await askAll(pool, cluster, entries, 2)).to.equal(0);
      }
      await pool.governed.confirmLoss(VALIDATOR);
      expect(await askAll(pool, cluster, entries, 2)).to.equal(0);
      await report(pool, news);
      expect((await pool.exits.demand()).needed).to.equal(0n);
    });

    it("when more leave than one report can name, and reports are missing", async () => {
      const pool = await load();
      const needed = MOST_NAMED + 5;
      const { cluster, entries } = await withValidators(pool, needed + 10);
      await report(pool);
      await redeem(pool, needed);
      let asked = await askAll(pool, cluster, entries, 0);
      for (let frame = 0; frame <= GRACE_FRAMES; frame++) await endFrame();
      await report(pool, { exiting: upTo(Math.min(asked, MOST_NAMED)) });
      asked += await askAll(pool, cluster, entries, asked);
      expect(asked).to.equal(needed);
      await report(pool, { exiting: upTo(needed - MOST_NAMED, MOST_NAMED + 1) });
      expect((await pool.exits.demand()).needed).to.equal(0n);
    }).timeout(240_000);

    it("by staking and redeeming at once", async () => {
      const pool = await load();
      const { cluster, entries } = await withValidators(pool, 4);
      await report(pool);
      await pool.manager.stake(pool.alice, ZeroAddress, { value: VALIDATOR * 10n });
      await redeem(pool, 10);
      expect((await pool.exits.demand()).shortageWei).to.equal(0n);
      expect(await askAll(pool, cluster, entries, 0)).to.equal(0);
    });
  });

  describe("nobody blocks exits", () => {
    it("by forcing, again and again, a validator that cannot exit", async () => {
      const pool = await load();
      const { cluster, entries } = await withValidators(pool, 4);
      await report(pool);
      await redeem(pool, 1);
      await askAll(pool, cluster, entries, 0); // validator 1 is slashed, say: nothing becomes of it
      const lapse = async () => {
        for (let frame = 0; frame <= GRACE_FRAMES; frame++) await report(pool);
      };
      const force = async () => {
        const fee = await pool.vault.exitFee();
        await pool.exits.forceExits(keysOf(entries.slice(0, 1)), fee, { value: fee });
      };
      await lapse();
      await force();
      expect((await pool.exits.demand()).due).to.equal(0n); // it may have been the operators' fault
      await lapse();
      await force();
      expect((await pool.exits.demand()).due).to.equal(1n);
      await pool.exits.requestExits(cluster, keysOf(entries.slice(1, 2)));
      // each is settled once, whichever way its request went
      await report(pool, { exiting: [1, 2] });
      const { confirmed, underway } = await pool.exits.demand();
      expect([confirmed, underway]).to.deep.equal([2n, 0n]);
    });

    it("through SSV Network: what it refuses is forced", async () => {
      const pool = await load();
      const { cluster, entries } = await withValidators(pool, 4);
      await report(pool);
      await redeem(pool, 2);
      const keys = keysOf(entries.slice(0, 2));
      await connection.networkHelpers.setCode(await pool.ssv.network.getAddress(), REFUSES);
      await expect(pool.exits.requestExits(cluster, keys)).to.emit(pool.exits, "OperatorsNotAsked").withArgs(cluster);
      for (let frame = 0; frame <= GRACE_FRAMES; frame++) await report(pool);
      const fee = await pool.vault.exitFee();
      await expect(pool.exits.forceExits(keys, fee, { value: fee * 2n }))
        .to.emit(pool.exits, "ExitForced")
        .withArgs(1, fee);
    });

    it("by paying so little gas that the operators are not told", async () => {
      const pool = await load();
      const { cluster, entries } = await withValidators(pool, 40);
      await report(pool);
      await redeem(pool, 40);
      const keys = keysOf(entries);
      const enough = await pool.exits.requestExits.estimateGas(cluster, keys);
      for (let percent = 95n; percent > 30n; percent -= 5n) {
        const asked = pool.exits.requestExits.staticCall(cluster, keys, { gasLimit: (enough * percent) / 100n });
        const done = await asked.then(
          () => true,
          () => false,
        );
        expect(done, `${percent} % of the gas`).to.equal(false);
      }
    });

    it("by gifts, but for as much as they give", async () => {
      const pool = await load();
      const { cluster, entries } = await withValidators(pool, 4);
      await report(pool);
      await redeem(pool, 3);
      await pool.anyone.sendTransaction({ to: pool.addresses.withdrawalVault, value: VALIDATOR });
      await pool.anyone.sendTransaction({ to: pool.addresses.rewardsVault, value: VALIDATOR });
      expect(await askAll(pool, cluster, entries, 0)).to.equal(1);
      await report(pool, { exiting: [1] }); // the rewards' vault is swept
      expect((await pool.exits.demand()).needed).to.equal(0n);
    });
  });
});
