import { expect } from "chai";
import { ZeroAddress } from "ethers";
import { network } from "hardhat";
import { ERC1967Proxy__factory, OperationsReserve__factory } from "../../../types/ethers-contracts/index.js";
import {
  Actions,
  deployRegistry,
  entriesOf,
  ETHER,
  LOW_BLOCKS,
  NEW_CLUSTER,
  OPERATOR_FEE,
  TARGET_BLOCKS,
} from "../registry/support.js";

const NETWORK_FEE = 3_366_600_000n;
const BURN_4 = 4n * OPERATOR_FEE + NETWORK_FEE;
const THRESHOLD = 42_960n;
const LEAST_COLLATERAL = 324_862_599_900_000n;
const DAY_BLOCKS = 7_200n;
const YEAR_BLOCKS = 2_628_000n;

describe("OperationsReserve", () => {
  let connection: Awaited<ReturnType<typeof network.create>>;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function deployed() {
    const on = await deployRegistry(connection);
    const asRegistry = on.reserve.connect(
      await connection.ethers.getImpersonatedSigner(await on.registry.getAddress()),
    );
    return { ...on, actions: new Actions(on), governed: on.reserve.connect(on.governance), asRegistry };
  }

  /** A cluster of four operators with two registered validators. */
  async function withCluster() {
    const on = await deployed();
    const { cluster } = await on.actions.registered(entriesOf("two", 2));
    const { owner, operatorIds } = await on.actions.owner(cluster);
    return { ...on, cluster, owner, operatorIds };
  }

  const load = () => connection.networkHelpers.loadFixture(deployed);
  const loadCluster = () => connection.networkHelpers.loadFixture(withCluster);
  type WithCluster = Awaited<ReturnType<typeof withCluster>>;

  /** Makes the next transaction's block the one in which the cluster has `blocks` of runway left. */
  async function waitForRunway({ actions, ssv, owner, operatorIds, cluster }: WithCluster, blocks: bigint) {
    const snapshot = await actions.snapshot(cluster);
    const left = await ssv.views.getBalance(owner, operatorIds, snapshot);
    const runway = left / (2n * BURN_4) - THRESHOLD;
    await connection.networkHelpers.mine(runway - blocks - 1n);
    return snapshot;
  }

  /** Leaves the reserve with exactly `amount` wei: the rest goes to a stranger, as if for a registration. */
  async function leave({ reserve, asRegistry, stranger, registry, ssv, deployer }: WithCluster, amount: bigint) {
    await connection.networkHelpers.setBalance(await registry.getAddress(), ETHER);
    // the least collateral is all that a registration without burn costs
    await ssv
      .double!.connect(deployer)
      .updateMinimumLiquidationCollateral(((await reserve.balance()) / 100_000n) * 100_000n);
    await asRegistry.pay(stranger.address, 0n, 1n);
    await ssv.double!.connect(deployer).updateMinimumLiquidationCollateral(LEAST_COLLATERAL);
    await reserve.fund({ value: amount - (await reserve.balance()) });
    expect(await reserve.balance()).to.equal(amount);
  }

  describe("setting up", () => {
    it("starts with its runway and authority", async () => {
      const { reserve, manager } = await load();
      expect([...(await reserve.runway())]).to.deep.equal([TARGET_BLOCKS, LOW_BLOCKS]);
      expect(await reserve.authority()).to.equal(manager.target);
    });

    it("refuses missing parts, and to be initialised again", async () => {
      const { reserve, reserveImplementation: implementation, deployer, parts, manager } = await load();
      const factory = new OperationsReserve__factory(deployer);
      for (const missing of [0, 1, 2]) {
        const given = [parts.reserve, parts.ssvNetwork, parts.ssvViews].with(missing, ZeroAddress);
        await expect(factory.deploy(given[0]!, given[1]!, given[2]!)).to.be.revertedWithCustomError(
          factory,
          "ZeroAddress",
        );
      }
      const initialize = async (authority: string, target: bigint, low: bigint) =>
        new ERC1967Proxy__factory(deployer).deploy(
          implementation,
          implementation.interface.encodeFunctionData("initialize", [authority, target, low]),
        );
      await expect(initialize(ZeroAddress, 2n, 1n)).to.be.revertedWithCustomError(implementation, "ZeroAddress");
      await expect(initialize(await manager.getAddress(), 1n, 1n)).to.be.revertedWithCustomError(
        implementation,
        "InvalidRunway",
      );
      for (const contract of [reserve, implementation]) {
        await expect(contract.initialize(manager, 2, 1)).to.be.revertedWithCustomError(
          reserve,
          "InvalidInitialization",
        );
      }
    });

    it("lets only governance set the runway, within bounds, and upgrade", async () => {
      const { reserve, governed, stranger, reserveImplementation } = await load();
      const as = reserve.connect(stranger);
      for (const call of [as.setRunway(2, 1), as.upgradeToAndCall(reserveImplementation, "0x")]) {
        await expect(call)
          .to.be.revertedWithCustomError(reserve, "AccessManagedUnauthorized")
          .withArgs(stranger.address);
      }
      await expect(governed.upgradeToAndCall(reserveImplementation, "0x")).to.emit(reserve, "Upgraded");
      for (const [target, low] of [
        [YEAR_BLOCKS, YEAR_BLOCKS - 1n],
        [2n, 1n],
      ] as const) {
        await expect(governed.setRunway(target, low)).to.emit(reserve, "RunwayChanged").withArgs(target, low);
        expect([...(await reserve.runway())]).to.deep.equal([target, low]);
      }
      for (const [target, low] of [
        [YEAR_BLOCKS + 1n, 1n],
        [5n, 5n],
        [5n, 6n],
        [5n, 0n],
        [0n, 0n],
      ] as const) {
        await expect(governed.setRunway(target, low))
          .to.be.revertedWithCustomError(reserve, "InvalidRunway")
          .withArgs(target, low);
      }
    });
  });

  describe("money in", () => {
    it("is added by anyone with fund, and no other way", async () => {
      const { reserve, stranger } = await load();
      const held = await reserve.balance();
      await expect(reserve.connect(stranger).fund({ value: 5n }))
        .to.emit(reserve, "Funded")
        .withArgs(stranger.address, 5n);
      expect(await reserve.balance()).to.equal(held + 5n);
      await expect(stranger.sendTransaction({ to: reserve, value: 1n })).to.revert(connection.ethers);
      // what is forced in is not counted
      await connection.networkHelpers.setBalance(await reserve.getAddress(), 1_000n * ETHER);
      expect(await reserve.balance()).to.equal(held + 5n);
    });

    it("is wanted up to the target runway of all clusters", async () => {
      const on = await loadCluster();
      const { reserve } = on;
      expect(await reserve.totalBurnRate()).to.equal(2n * BURN_4);
      const target = TARGET_BLOCKS * 2n * BURN_4;
      expect(await reserve.targetBalance()).to.equal(target);
      expect(await reserve.shortfall()).to.equal(0n);
      await leave(on, target);
      expect(await reserve.shortfall()).to.equal(0n);
      await on.governed.setRunway(TARGET_BLOCKS + 1n, 1n);
      expect(await reserve.shortfall()).to.equal(2n * BURN_4);
    });
  });

  describe("registrations", () => {
    it("cost the target runway and what SSV wants a cluster to hold", async () => {
      const { reserve } = await load();
      // the threshold's collateral is the larger one for the validators of a real cluster
      expect(await reserve.registrationCost(BURN_4, 3)).to.equal(3n * BURN_4 * (TARGET_BLOCKS + THRESHOLD));
      // the least collateral is, for cheap ones
      const cheap = LEAST_COLLATERAL / THRESHOLD - 1n;
      expect(await reserve.registrationCost(cheap, 1)).to.equal(cheap * TARGET_BLOCKS + LEAST_COLLATERAL);
      expect(await reserve.registrationCost(0, 9)).to.equal(LEAST_COLLATERAL);
    });

    it("keep a cheap new cluster solvent for the whole target, too", async () => {
      const { actions, ssv, operatorIds } = await load();
      for (const id of operatorIds.slice(0, 4)) await ssv.double!.setOperatorFeeForTest(id, 0n);
      const { cluster } = await actions.registered(entriesOf("cheap", 1));
      const { owner, operatorIds: ids } = await actions.owner(cluster);
      const snapshot = await actions.snapshot(cluster);
      expect(snapshot.balance).to.equal(NETWORK_FEE * TARGET_BLOCKS + LEAST_COLLATERAL);
      await connection.networkHelpers.mine(TARGET_BLOCKS);
      expect(await ssv.views.isLiquidatable(owner, ids, snapshot)).to.be.false;
      await connection.networkHelpers.mine(1);
      expect(await ssv.views.isLiquidatable(owner, ids, snapshot)).to.be.true;
    });

    it("are paid to the account, for the registry only, as far as the reserve holds", async () => {
      const { reserve, asRegistry, stranger, registry, depositContract } = await load();
      await expect(reserve.connect(stranger).pay(stranger.address, 1, 1))
        .to.be.revertedWithCustomError(reserve, "NotRegistry")
        .withArgs(stranger.address);
      await connection.networkHelpers.setBalance(await registry.getAddress(), ETHER);
      const held = await reserve.balance();
      const cost = await reserve.registrationCost(BURN_4, 2);
      const tx = asRegistry.pay(stranger.address, BURN_4, 2);
      await expect(tx).to.emit(reserve, "Paid").withArgs(stranger.address, cost);
      await expect(tx).to.changeEtherBalances(connection.ethers, [reserve, stranger], [-cost, cost]);
      expect(await reserve.balance()).to.equal(held - cost);
      const burn = (held - cost) / TARGET_BLOCKS;
      await expect(asRegistry.pay(stranger.address, burn, 1))
        .to.be.revertedWithCustomError(reserve, "InsufficientReserve")
        .withArgs(await reserve.registrationCost(burn, 1), held - cost);
      // an account that takes no ETH
      await expect(asRegistry.pay(depositContract, BURN_4, 2))
        .to.be.revertedWithCustomError(reserve, "SendFailed")
        .withArgs(await depositContract.getAddress(), cost);
    });

    it("count as burn until the registry says otherwise, and nobody else may", async () => {
      const { reserve, asRegistry, stranger, registry } = await load();
      await connection.networkHelpers.setBalance(await registry.getAddress(), ETHER);
      await asRegistry.pay(stranger.address, BURN_4, 2);
      expect(await reserve.totalBurnRate()).to.equal(2n * BURN_4);
      expect(await asRegistry.changeBurn.staticCall(BURN_4, 5n)).to.equal(BURN_4 + 5n);
      await asRegistry.changeBurn(BURN_4, 5n);
      expect(await reserve.totalBurnRate()).to.equal(BURN_4 + 5n);
      expect(await reserve.targetBalance()).to.equal(TARGET_BLOCKS * (BURN_4 + 5n));
      expect([...(await reserve.runway())]).to.deep.equal([TARGET_BLOCKS, LOW_BLOCKS]);
      await expect(reserve.connect(stranger).changeBurn(0, 1))
        .to.be.revertedWithCustomError(reserve, "NotRegistry")
        .withArgs(stranger.address);
      await expect(asRegistry.changeBurn(0, 2n ** 64n)).to.be.revertedWithCustomError(
        reserve,
        "SafeCastOverflowedUintDowncast",
      );
    });
  });

  describe("top-ups", () => {
    it("bring a cluster below the low runway to the target, for anyone", async () => {
      const on = await loadCluster();
      const { reserve, ssv, stranger, cluster, owner, operatorIds, actions } = on;
      await waitForRunway(on, LOW_BLOCKS);
      const snapshot = await actions.snapshot(cluster);
      const as = reserve.connect(stranger);
      await expect(as.topUp(cluster, snapshot))
        .to.be.revertedWithCustomError(reserve, "RunwaySufficient")
        .withArgs(cluster, LOW_BLOCKS, LOW_BLOCKS);
      const held = await reserve.balance();
      await connection.networkHelpers.mine(1);
      const amount = 2n * BURN_4 * (TARGET_BLOCKS - LOW_BLOCKS + 1n);
      const tx = as.topUp(cluster, snapshot);
      await expect(tx).to.emit(reserve, "ToppedUp").withArgs(cluster, amount);
      await expect(tx).to.emit(ssv.network, "ClusterDeposited");
      expect(await reserve.balance()).to.equal(held - amount);
      const after = await actions.snapshot(cluster);
      expect(after.balance).to.equal(snapshot.balance + amount);
      expect(await ssv.views.getBalance(owner, operatorIds, after)).to.equal(2n * BURN_4 * (TARGET_BLOCKS + THRESHOLD));
      await expect(as.topUp(cluster, after)).to.be.revertedWithCustomError(reserve, "RunwaySufficient");
    });

    it("reach as far as the reserve does, down to a day's runway", async () => {
      for (const [held, enough] of [
        [2n * BURN_4 * DAY_BLOCKS, true],
        [2n * BURN_4 * DAY_BLOCKS - 1n, false],
      ] as const) {
        const on = await loadCluster();
        const { reserve, actions, cluster, ssv, owner, operatorIds } = on;
        await leave(on, held);
        await waitForRunway(on, 0n);
        const snapshot = await actions.snapshot(cluster);
        const topUp = reserve.topUp(cluster, snapshot);
        if (!enough) {
          await expect(topUp)
            .to.be.revertedWithCustomError(reserve, "InsufficientReserve")
            .withArgs(2n * BURN_4 * DAY_BLOCKS, held);
          continue;
        }
        await expect(topUp).to.emit(reserve, "ToppedUp").withArgs(cluster, held);
        expect(await reserve.balance()).to.equal(0n);
        const left = await ssv.views.getBalance(owner, operatorIds, await actions.snapshot(cluster));
        expect(left).to.equal(2n * BURN_4 * (THRESHOLD + DAY_BLOCKS));
      }
    });

    it("do not feed a liquidator: nothing goes to a cluster that would be liquidatable all the same", async () => {
      const on = await loadCluster();
      const { reserve, actions, cluster, ssv, owner, operatorIds } = on;
      await leave(on, 2n * BURN_4 * DAY_BLOCKS);
      const snapshot = await actions.snapshot(cluster);
      await waitForRunway(on, 0n);
      await connection.networkHelpers.mine(10);
      expect(await ssv.views.isLiquidatable(owner, operatorIds, snapshot)).to.be.true;
      await expect(reserve.topUp(cluster, snapshot)).to.be.revertedWithCustomError(reserve, "InsufficientReserve");
      // with enough, it is rescued
      await reserve.fund({ value: ETHER });
      await reserve.topUp(cluster, snapshot);
      expect(await ssv.views.isLiquidatable(owner, operatorIds, await actions.snapshot(cluster))).to.be.false;
    });

    it("ask for less than a day where the low runway is less", async () => {
      const on = await loadCluster();
      const { reserve, actions, cluster } = on;
      await on.governed.setRunway(100, 10);
      await leave(on, 2n * BURN_4 * 10n);
      await waitForRunway(on, 0n);
      await reserve.topUp(cluster, await actions.snapshot(cluster));
      expect(await reserve.balance()).to.equal(0n);
    });

    it("refuse clusters without fees or validators, stale snapshots, liquidated and unknown ones", async () => {
      const on = await loadCluster();
      const { reserve, actions, cluster, ssv, owner, operatorIds, stranger, registry } = on;
      const snapshot = await actions.snapshot(cluster);
      await expect(reserve.topUp(9, snapshot)).to.be.revertedWithCustomError(registry, "UnknownCluster").withArgs(9n);
      const empty = await actions.addCluster(7);
      await expect(reserve.topUp(empty, NEW_CLUSTER)).to.be.revertedWithCustomError(ssv.network, "ClusterDoesNotExist");
      await ssv.network.connect(stranger).deposit(owner, operatorIds, snapshot, { value: 1n });
      await expect(reserve.topUp(cluster, snapshot)).to.be.revertedWithCustomError(
        ssv.network,
        "IncorrectClusterState",
      );

      const newer = await actions.snapshot(cluster);
      const freed = await connection.networkHelpers.takeSnapshot();
      for (const id of operatorIds) await ssv.double!.setOperatorFeeForTest(id, 0n);
      await ssv.double!.updateNetworkFee(0n);
      await expect(reserve.topUp(cluster, newer))
        .to.be.revertedWithCustomError(reserve, "NothingToTopUp")
        .withArgs(cluster);
      await freed.restore();

      await waitForRunway(on, 0n);
      await connection.networkHelpers.mine(10);
      await ssv.network.connect(stranger).liquidate(owner, operatorIds, newer);
      const liquidated = await actions.snapshot(cluster);
      expect(liquidated.active).to.be.false;
      await expect(reserve.topUp(cluster, liquidated)).to.be.revertedWithCustomError(
        ssv.network,
        "ClusterIsLiquidated",
      );
    });
  });
});
