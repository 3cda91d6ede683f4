import { expect } from "chai";
import { type Connection, deployExits, type Funded, onOwnChain } from "../exits/support.js";
import { entriesOf, NEW_CLUSTER, OPERATOR_FEE } from "./support.js";

const NETWORK_FEE = 3_366_600_000n;
const BURN_4 = 4n * OPERATOR_FEE + NETWORK_FEE;
const BURN_7 = 7n * OPERATOR_FEE + NETWORK_FEE;
const [NONE, REGISTERED, DEPOSITED, DISCARDED, REMOVED] = [0n, 1n, 2n, 3n, 4n];

describe("ValidatorRegistry: validators that leave", () => {
  /** Clusters of four and of seven operators; three and two funded, in turns. */
  const load = onOwnChain(async (connection: Connection) => {
    const on = await deployExits(connection);
    await on.actions.addCluster(4, { cap: 1_000 });
    await on.actions.addCluster(7, { cap: 1_000 });
    const fours = await on.fund(1n, 2);
    const sevens = await on.fund(2n, 2);
    fours.push(...(await on.fund(1n, 1)));
    const remove = async (cluster: bigint, ...keys: Pick<Funded, "publicKey">[]) =>
      on.registry.remove(
        cluster,
        keys.map(({ publicKey }) => publicKey),
        await on.actions.snapshot(cluster),
      );
    return Object.assign(on, { fours, sevens, remove });
  });

  describe("deposit", () => {
    it("numbers deposits, over all and within their cluster, not registrations", async () => {
      const { registry, fours, sevens } = await load();
      const numbers = ({ id, depositOrder, clusterOrder }: Funded) => [id, depositOrder, clusterOrder];
      expect(fours.map(numbers)).to.deep.equal([
        [2n, 1n, 1n],
        [1n, 2n, 2n],
        [5n, 5n, 3n],
      ]);
      expect(sevens.map(numbers)).to.deep.equal([
        [4n, 3n, 1n],
        [3n, 4n, 2n],
      ]);
      const { status, cluster, registeredAt, depositedAt } = await registry.validator(sevens[0]!.publicKey);
      expect([status, cluster]).to.deep.equal([DEPOSITED, 2n]);
      expect(depositedAt).to.be.greaterThan(registeredAt);
    });

    it("gives no number before, nor to one that is discarded", async () => {
      const on = await load();
      const [waiting, discarded] = await on.register(1n, 2);
      await on.actions.discard([discarded!.publicKey]);
      for (const [{ publicKey }, status, id] of [
        [waiting!, REGISTERED, 6n],
        [discarded!, DISCARDED, 7n],
      ] as const) {
        const v = await on.registry.validator(publicKey);
        expect([v.status, v.id, v.depositOrder, v.clusterOrder]).to.deep.equal([status, id, 0n, 0n]);
      }
      await on.actions.deposit(1n, [waiting!]);
      const v = await on.registry.validator(waiting!.publicKey);
      expect([v.depositOrder, v.clusterOrder]).to.deep.equal([6n, 4n]);
      expect((await on.registry.cluster(1n)).deposited).to.equal(4n);
    });
  });

  describe("retiredClusters", () => {
    it("names those that are retired now, by their number, with all their deposits", async () => {
      const on = await load();
      await on.actions.addCluster();
      const retired = async () => (await on.registry.retiredClusters()).map((list) => [...list]);
      expect(await retired()).to.deep.equal([[], []]);
      await on.setActive(3n, false);
      expect(await retired()).to.deep.equal([[3n], [0n]]);
      await on.setActive(1n, false);
      expect(await retired()).to.deep.equal([
        [1n, 3n],
        [3n, 0n],
      ]);
      await on.setActive(2n, false);
      expect(await retired()).to.deep.equal([
        [1n, 2n, 3n],
        [3n, 2n, 0n],
      ]);
      // gone ones still count
      await on.report([], [on.fours[0]!.id]);
      await on.remove(1n, on.fours[0]!);
      await on.setActive(2n, true);
      expect(await retired()).to.deep.equal([
        [1n, 3n],
        [3n, 0n],
      ]);
    });
  });

  describe("exitInSSV", () => {
    it("asks SSV's operators under the cluster's account, for the ValidatorExits alone", async () => {
      const { registry, exits, stranger, governance, sevens, actions, ssv, connection, helpers } = await load();
      expect(await registry.validatorExits()).to.equal(exits.target);
      const keys = sevens.map(({ publicKey }) => publicKey);
      for (const caller of [stranger, governance]) {
        await expect(registry.connect(caller).exitInSSV(2n, keys))
          .to.be.revertedWithCustomError(registry, "NotAuthorized")
          .withArgs(caller.address, exits.target);
      }
      const sender = await connection.ethers.getImpersonatedSigner(await exits.getAddress());
      await helpers.setBalance(sender.address, 10n ** 18n);
      const { owner, operatorIds } = await actions.owner(2n);
      const sent = await registry.connect(sender).exitInSSV(2n, keys);
      for (const key of keys) {
        await expect(sent).to.emit(ssv.network, "ValidatorExited").withArgs(owner, operatorIds, key);
      }
      await expect(registry.connect(sender).exitInSSV(9n, keys))
        .to.be.revertedWithCustomError(registry, "UnknownCluster")
        .withArgs(9n);
      // SSV's own refusal passes through
      await expect(registry.connect(sender).exitInSSV(1n, keys)).to.be.revertedWithCustomError(
        ssv.network,
        "ValidatorDoesNotExist",
      );
    });
  });

  describe("remove", () => {
    it("takes exited validators out of SSV, which ends their fees", async () => {
      const on = await load();
      const { registry, reserve, ssv, fours, actions, stranger, helpers } = on;
      const [first, second, third] = fours as [Funded, Funded, Funded];
      const { owner, operatorIds } = await actions.owner(1n);
      await on.report([], [first.id, third.id]);
      expect(await reserve.totalBurnRate()).to.equal(3n * BURN_4 + 2n * BURN_7);
      const snapshot = await actions.snapshot(1n);
      const sent = await registry.connect(stranger).remove(1n, [third.publicKey, first.publicKey], snapshot);
      const told = await on.told(sent);
      expect(told.slice(0, 2)).to.deep.equal([`Removed 1 ${third.id}`, `Removed 1 ${first.id}`]);
      expect(told.slice(2).map((words) => words.split(" ").slice(0, 4))).to.deep.equal(
        [third, first].map(({ publicKey }) => ["ValidatorRemoved", owner, operatorIds.join(), publicKey]),
      );
      for (const [{ publicKey }, status] of [
        [first, REMOVED],
        [second, DEPOSITED],
        [third, REMOVED],
      ] as const) {
        expect((await registry.validator(publicKey)).status).to.equal(status);
        expect(await ssv.views.getValidator(owner, publicKey)).to.equal(status === DEPOSITED);
      }
      // what else was known of it stays
      const { id, cluster, depositOrder, clusterOrder } = await registry.validator(third.publicKey);
      expect({ publicKey: third.publicKey, id, cluster, depositOrder, clusterOrder }).to.deep.equal(third);
      const { registered, unfunded, deposited } = await registry.cluster(1n);
      expect([registered, unfunded, deposited]).to.deep.equal([1n, 0n, 3n]);
      expect([...(await registry.counts())]).to.deep.equal([2n, 2n, 5n, 0n]);
      expect((await registry.cluster(2n)).registered).to.equal(2n);
      expect(await reserve.totalBurnRate()).to.equal(BURN_4 + 2n * BURN_7);
      // SSV takes for one validator from now on
      const after = await actions.snapshot(1n);
      const balance = async () => ssv.views.getBalance(owner, operatorIds, after);
      const before = await balance();
      await helpers.mine(1_000);
      expect(before - (await balance())).to.equal(1_000n * BURN_4);
    });

    it("takes the unfunded ones of a retired cluster out, so that they hold up no others", async () => {
      const on = await load();
      const { registry, governance } = on;
      const [one, two] = await on.register(1n, 2);
      await expect(on.remove(1n, one!))
        .to.be.revertedWithCustomError(registry, "NotRemovable")
        .withArgs(one!.publicKey, REGISTERED);
      await registry.connect(governance).setCluster(1n, false, 100);
      // funded ones stay until they have exited
      await expect(on.remove(1n, one!, on.fours[0]!))
        .to.be.revertedWithCustomError(registry, "NotRemovable")
        .withArgs(on.fours[0]!.publicKey, DEPOSITED);
      await on.remove(1n, one!, two!);
      expect((await registry.validator(two!.publicKey)).status).to.equal(REMOVED);
      const { registered, unfunded, deposited } = await registry.cluster(1n);
      expect([registered, unfunded, deposited]).to.deep.equal([3n, 0n, 3n]);
      expect((await registry.counts()).unfunded).to.equal(0n);
    });

    it("takes discarded ones out, too, and both in one call", async () => {
      const on = await load();
      const { registry, reserve, fours } = on;
      const [discarded, waiting] = await on.register(1n, 2);
      await on.actions.discard([discarded!.publicKey]);
      expect(await reserve.totalBurnRate()).to.equal(5n * BURN_4 + 2n * BURN_7);
      await on.report([], [fours[1]!.id]);
      const told = await on.told(on.remove(1n, discarded!, fours[1]!));
      expect(told.slice(0, 2)).to.deep.equal([`Removed 1 6`, `Removed 1 ${fours[1]!.id}`]);
      expect((await registry.validator(discarded!.publicKey)).status).to.equal(REMOVED);
      const { registered, unfunded } = await registry.cluster(1n);
      expect([registered, unfunded]).to.deep.equal([3n, 1n]);
      expect((await registry.counts()).unfunded).to.equal(1n);
      expect(await reserve.totalBurnRate()).to.equal(3n * BURN_4 + 2n * BURN_7);
      await on.actions.deposit(1n, [waiting!]);
    });

    it("refuses nothing, unknown clusters, and whatever is neither exited nor discarded", async () => {
      const on = await load();
      const { registry, fours } = on;
      const [first, second] = fours as [Funded, Funded];
      await expect(on.remove(1n)).to.be.revertedWithCustomError(registry, "EmptyList");
      await expect(registry.remove(9n, [first.publicKey], NEW_CLUSTER))
        .to.be.revertedWithCustomError(registry, "UnknownCluster")
        .withArgs(9n);
      const [waiting] = await on.register(1n, 1);
      // leaving is not gone; an unfunded one that a report named by mistake is not either
      await on.report([first.id], [6n]);
      const unknown = { publicKey: `0x${"11".repeat(48)}` };
      for (const [validator, status] of [
        [first, DEPOSITED],
        [second, DEPOSITED],
        [waiting!, REGISTERED],
        [unknown, NONE],
      ] as const) {
        await expect(on.remove(1n, validator))
          .to.be.revertedWithCustomError(registry, "NotRemovable")
          .withArgs(validator.publicKey, status);
      }
      await on.report([], [first.id]);
      // all or none
      await expect(on.remove(1n, first, second))
        .to.be.revertedWithCustomError(registry, "NotRemovable")
        .withArgs(second.publicKey, DEPOSITED);
      await expect(on.remove(1n, first, first))
        .to.be.revertedWithCustomError(registry, "NotRemovable")
        .withArgs(first.publicKey, REMOVED);
      await on.remove(1n, first);
      await expect(on.remove(1n, first))
        .to.be.revertedWithCustomError(registry, "NotRemovable")
        .withArgs(first.publicKey, REMOVED);
    });

    it("is of one cluster, by its newest snapshot", async () => {
      const on = await load();
      const { registry, reserve, fours, sevens, ssv, stranger, actions } = on;
      await on.report([], [fours[0]!.id, sevens[0]!.id]);
      await expect(on.remove(1n, fours[0]!, sevens[0]!))
        .to.be.revertedWithCustomError(registry, "WrongCluster")
        .withArgs(sevens[0]!.publicKey, 2n, 1n);
      const stale = await actions.snapshot(1n);
      const { owner, operatorIds } = await actions.owner(1n);
      await ssv.network.connect(stranger).deposit(owner, operatorIds, stale, { value: 1n });
      await expect(registry.remove(1n, [fours[0]!.publicKey], stale)).to.be.revertedWithCustomError(
        ssv.network,
        "IncorrectClusterState",
      );
      expect((await registry.validator(fours[0]!.publicKey)).status).to.equal(DEPOSITED);
      expect(await reserve.totalBurnRate()).to.equal(3n * BURN_4 + 2n * BURN_7);
      await on.remove(1n, fours[0]!);
      await on.remove(2n, sevens[0]!);
      expect(await reserve.totalBurnRate()).to.equal(2n * BURN_4 + BURN_7);
    });

    it("takes off the burn rate what was put on it, whatever SSV's fees are by now", async () => {
      const on = await load();
      const { registry, reserve, ssv, fours, operatorIds } = on;
      await on.report([], [fours[0]!.id, fours[1]!.id]);
      await ssv.double!.setOperatorFeeForTest(operatorIds[0]!, 2n * OPERATOR_FEE);
      await on.remove(1n, fours[0]!);
      expect(await reserve.totalBurnRate()).to.equal(2n * BURN_4 + 2n * BURN_7);
      await registry.syncClusterFees(1n);
      expect(await reserve.totalBurnRate()).to.equal(2n * (BURN_4 + OPERATOR_FEE) + 2n * BURN_7);
      await on.remove(1n, fours[1]!);
      expect(await reserve.totalBurnRate()).to.equal(BURN_4 + OPERATOR_FEE + 2n * BURN_7);
    });

    it("works for a retired cluster, and to its last validator", async () => {
      const on = await load();
      const { registry, reserve, sevens, actions } = on;
      await on.report(
        [],
        sevens.map(({ id }) => id),
      );
      await on.setActive(2n, false);
      await on.remove(2n, ...sevens);
      expect((await registry.cluster(2n)).registered).to.equal(0n);
      expect(await reserve.totalBurnRate()).to.equal(3n * BURN_4);
      expect((await actions.snapshot(2n)).validatorCount).to.equal(0n);
      // and begins anew when it is opened
      await on.setActive(2n, true);
      const [again] = await on.fund(2n, 1);
      expect([again!.depositOrder, again!.clusterOrder]).to.deep.equal([6n, 3n]);
    });

    it("makes room up to the cluster's cap, and leaves what guardians may fund at once as it was", async () => {
      const on = await load();
      const { registry, governance, fours } = on;
      await registry.connect(governance).setCluster(1n, true, 3);
      const batch = await on.actions.publishAndVet(1n, entriesOf("again", 4));
      await expect(on.actions.register(batch, 0, 1))
        .to.be.revertedWithCustomError(registry, "ClusterFull")
        .withArgs(1n, 3n);
      await on.report(
        [],
        fours.map(({ id }) => id),
      );
      await on.remove(1n, ...fours.slice(1));
      expect([...(await registry.nextRegistration())]).to.deep.equal([1n, 2n]);
      await expect(on.actions.register(batch, 0, 3)).to.be.revertedWithCustomError(registry, "ClusterFull");
      await on.remove(1n, fours[0]!);
      // three were funded in it: three may wait
      expect([...(await registry.nextRegistration())]).to.deep.equal([1n, 3n]);
      await on.actions.register(batch, 0, 3);
      await expect(on.actions.register(batch, 3, 1))
        .to.be.revertedWithCustomError(registry, "ClusterFull")
        .withArgs(1n, 3n);
      await on.actions.deposit(1n, batch.entries.slice(0, 3));
      await on.actions.checkNonces();
    });

    it("fills the cluster that it made the smallest", async () => {
      const on = await load();
      const { registry, fours } = on;
      await on.actions.publishAndVet(1n, entriesOf("a", 1));
      await on.actions.publishAndVet(2n, entriesOf("b", 1, 7));
      expect((await registry.nextRegistration()).clusterId).to.equal(2n);
      await on.report(
        [],
        fours.map(({ id }) => id),
      );
      await on.remove(1n, fours[0]!, fours[1]!);
      expect((await registry.nextRegistration()).clusterId).to.equal(1n);
    });

    it("ends a key for good", async () => {
      const on = await load();
      const { registry, fours } = on;
      await on.report([], [fours[0]!.id]);
      await on.remove(1n, fours[0]!);
      const { publicKey } = fours[0]!;
      for (const cluster of [1n, 2n]) {
        const entries = entriesOf("revived", 1, cluster === 1n ? 4 : 7).map((entry) => ({ ...entry, publicKey }));
        await expect(on.actions.register(await on.actions.publishAndVet(cluster, entries)))
          .to.be.revertedWithCustomError(registry, "PublicKeyUsed")
          .withArgs(publicKey);
      }
      await expect(on.actions.deposit(1n, [{ publicKey, signature: `0x${"33".repeat(96)}`, shares: "0x" }]))
        .to.be.revertedWithCustomError(registry, "WrongStatus")
        .withArgs(publicKey, REMOVED, REGISTERED);
      await expect(on.actions.discard([publicKey]))
        .to.be.revertedWithCustomError(registry, "WrongStatus")
        .withArgs(publicKey, REMOVED, REGISTERED);
    });

    it("is open to anyone while the AccessManager has closed the registry", async () => {
      const on = await load();
      const { registry, manager, governance, stranger, fours, actions } = on;
      await manager.connect(governance).setTargetClosed(registry, true);
      await on.report([], [fours[0]!.id]);
      await registry.connect(stranger).remove(1n, [fours[0]!.publicKey], await actions.snapshot(1n));
    });

    it("cannot be entered from a deposit", async () => {
      const on = await load();
      const { registry, pool, fours, actions } = on;
      await on.report([], [fours[0]!.id]);
      const entries = await on.register(2n, 1);
      const snapshot = await actions.snapshot(1n);
      // in order by itself
      await registry.remove.staticCall(1n, [fours[0]!.publicKey], snapshot);
      await pool.setCallback(registry.interface.encodeFunctionData("remove", [1n, [fours[0]!.publicKey], snapshot]));
      await expect(actions.deposit(2n, entries)).to.be.revertedWithCustomError(
        registry,
        "ReentrancyGuardReentrantCall",
      );
    });
  });
});
