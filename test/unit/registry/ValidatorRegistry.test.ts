import { expect } from "chai";
import {
  AbiCoder,
  concat,
  type ContractTransactionResponse,
  getCreate2Address,
  keccak256,
  toBeHex,
  ZeroAddress,
  ZeroHash,
} from "ethers";
import { network } from "hardhat";
import { depositDataRoot, verifyDepositSignature } from "../../../oracle/keys/depositData.js";
import { encodeEntries, prepareValidators } from "../../../oracle/keys/prepare.js";
import {
  ERC1967Proxy__factory,
  SSVAccount__factory,
  ValidatorRegistry__factory,
} from "../../../types/ethers-contracts/index.js";
import { testOperators } from "../keys/support.js";
import {
  Actions,
  chainOf,
  dataOf,
  depositsHash,
  deployRegistry,
  entriesOf,
  ETHER,
  itemsOf,
  NEW_CLUSTER,
  OPERATOR_FEE,
  TARGET_BLOCKS,
} from "./support.js";

const LAYOUT = 0x5dedacea932f5edf970a357250f877ab2547228279dd7647deccfae7a69a4d00n;
const NETWORK_FEE = 3_366_600_000n;
const BURN_4 = 4n * OPERATOR_FEE + NETWORK_FEE;
const THRESHOLD = 42_960n;
const [REGISTERED, DEPOSITED, DISCARDED] = [1n, 2n, 3n];

describe("ValidatorRegistry", () => {
  let connection: Awaited<ReturnType<typeof network.create>>;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function deployed() {
    const on = await deployRegistry(connection);
    const { registry, governance, poolOperator } = on;
    return {
      ...on,
      actions: new Actions(on),
      governed: registry.connect(governance),
      publisher: registry.connect(poolOperator),
    };
  }

  /** One account with one cluster of four operators. */
  async function clustered() {
    const on = await deployed();
    return { ...on, cluster: await on.actions.addCluster() };
  }

  /** Two registered validators. */
  async function withRegistered() {
    const on = await clustered();
    const batch = await on.actions.publishAndVet(on.cluster, entriesOf("two", 2));
    await on.actions.register(batch);
    return { ...on, batch, keys2: batch.entries.map(({ publicKey }) => publicKey) };
  }

  const load = () => connection.networkHelpers.loadFixture(deployed);
  const loadCluster = () => connection.networkHelpers.loadFixture(clustered);
  const loadRegistered = () => connection.networkHelpers.loadFixture(withRegistered);

  const time = async (tx: ContractTransactionResponse) => BigInt((await tx.getBlock())!.timestamp);

  describe("setting up", () => {
    it("knows its parts, authority and the pool's credentials", async () => {
      const { registry, reserve, parts, manager } = await load();
      expect([...(await registry.externals())]).to.deep.equal([
        parts.ssvNetwork,
        parts.ssvViews,
        parts.depositContract,
      ]);
      expect(await registry.authority()).to.equal(manager.target);
      expect(await registry.withdrawalCredentials()).to.equal(
        concat(["0x010000000000000000000000", parts.withdrawalVault]),
      );
      expect([...(await registry.counts())]).to.deep.equal([0n, 0n, 0n, 0n]);
      expect(await reserve.totalBurnRate()).to.equal(0n);
    });

    it("refuses a missing part or authority, and to be initialised again", async () => {
      const { registry, parts, deployer, registryImplementation, manager } = await load();
      const factory = new ValidatorRegistry__factory(deployer);
      for (const part of Object.keys(parts)) {
        await expect(factory.deploy({ ...parts, [part]: ZeroAddress })).to.be.revertedWithCustomError(
          factory,
          "ZeroAddress",
        );
      }
      const data = registryImplementation.interface.encodeFunctionData("initialize", [ZeroAddress]);
      await expect(
        new ERC1967Proxy__factory(deployer).deploy(registryImplementation, data),
      ).to.be.revertedWithCustomError(registryImplementation, "ZeroAddress");
      for (const contract of [registry, registryImplementation]) {
        await expect(contract.initialize(manager)).to.be.revertedWithCustomError(registry, "InvalidInitialization");
      }
    });

    it("asks the AccessManager for people's functions only", async () => {
      const { registry, registryImplementation, stranger, governed, poolOperator, operatorIds, cluster } =
        await loadCluster();
      const as = registry.connect(stranger);
      for (const call of [
        as.addAccount(),
        as.addCluster(1, operatorIds.slice(0, 4), false, 1),
        as.setCluster(cluster, false, 1),
        as.publish(cluster, 0, dataOf(entriesOf("x", 1)), "0x"),
        as.upgradeToAndCall(registryImplementation, "0x"),
      ]) {
        await expect(call)
          .to.be.revertedWithCustomError(registry, "AccessManagedUnauthorized")
          .withArgs(stranger.address);
      }
      await expect(registry.connect(poolOperator).addAccount()).to.be.revertedWithCustomError(
        registry,
        "AccessManagedUnauthorized",
      );
      await expect(governed.upgradeToAndCall(registryImplementation, "0x")).to.emit(registry, "Upgraded");
    });

    it("works on for everyone while the AccessManager has closed it", async () => {
      const { registry, manager, governance, actions, cluster, deployer } = await loadCluster();
      const batch = await actions.publish(cluster, entriesOf("closed", 3));
      await manager.connect(governance).setTargetClosed(registry, true);
      await expect(registry.connect(governance).addAccount()).to.be.revertedWithCustomError(
        registry,
        "AccessManagedUnauthorized",
      );
      await actions.vet(batch);
      await actions.register(batch, 0, 2);
      await actions.deposit(cluster, batch.entries.slice(0, 1));
      await actions.discard([batch.entries[1]!.publicKey]);
      await actions.dropQueue(1n);
      await registry.connect(deployer).syncClusterFees(cluster);
    });

    it("takes ETH from the PoolManager only", async () => {
      const { registry, stranger, pool } = await load();
      await expect(stranger.sendTransaction({ to: registry, value: 1n }))
        .to.be.revertedWithCustomError(registry, "NotAuthorized")
        .withArgs(stranger.address, await pool.getAddress());
    });
  });

  describe("accounts", () => {
    it("are clones at predictable addresses whose fees go to the rewards vault", async () => {
      const { registry, governed, ssv, parts } = await load();
      const code = concat([
        "0x3d602d80600a3d3981f3363d3d373d3d3d363d73",
        parts.accountImplementation,
        "0x5af43d82803e903d91602b57fd5bf3",
      ]);
      for (const account of [1n, 2n]) {
        const address = getCreate2Address(await registry.getAddress(), toBeHex(account, 32), keccak256(code));
        await expect(governed.addAccount())
          .to.emit(registry, "AccountAdded")
          .withArgs(account, address)
          .and.to.emit(ssv.network, "FeeRecipientAddressUpdated")
          .withArgs(address, parts.rewardsVault);
        expect([...(await registry.account(account))]).to.deep.equal([address, 0n, 0n, 0n, 0n, 0n]);
      }
      expect([...(await registry.counts())]).to.deep.equal([2n, 0n, 0n, 0n]);
    });

    it("are at most 32, counted from 1", async () => {
      const { registry, governed } = await load();
      for (let i = 0; i < 32; i++) await governed.addAccount();
      await expect(governed.addAccount()).to.be.revertedWithCustomError(registry, "TooManyAccounts").withArgs(32n);
      for (const account of [0n, 33n]) {
        await expect(registry.account(account))
          .to.be.revertedWithCustomError(registry, "UnknownAccount")
          .withArgs(account);
      }
    });

    it("forward to SSV Network for the registry only, and pass its errors on", async () => {
      const { actions, cluster, stranger, ssv, registry, deployer } = await loadCluster();
      const { owner } = await actions.owner(cluster);
      const data = ssv.network.interface.encodeFunctionData("setFeeRecipientAddress", [stranger.address]);
      const account = SSVAccount__factory.connect(owner, stranger);
      for (const caller of [stranger, deployer]) {
        await expect(account.connect(caller).execute(data, 0))
          .to.be.revertedWithCustomError(account, "NotRegistry")
          .withArgs(caller.address);
      }
      const asRegistry = account.connect(await connection.ethers.getImpersonatedSigner(await registry.getAddress()));
      await connection.networkHelpers.setBalance(await registry.getAddress(), ETHER);
      await expect(asRegistry.execute(data, 0))
        .to.emit(ssv.network, "FeeRecipientAddressUpdated")
        .withArgs(owner, stranger.address);
      const bad = ssv.network.interface.encodeFunctionData("bulkExitValidator", [[], []]);
      await expect(asRegistry.execute(bad, 0)).to.be.revertedWithCustomError(ssv.network, "EmptyPublicKeysList");
      await expect(asRegistry.execute(data, 1))
        .to.be.revertedWithCustomError(account, "InsufficientBalance")
        .withArgs(0n, 1n);
    });
  });

  describe("clusters", () => {
    it("are added with the fees they have in SSV, several in one account", async () => {
      const { registry, governed, operatorIds } = await load();
      await governed.addAccount();
      for (const [i, count] of [4, 7, 10, 13].entries()) {
        const burn = BigInt(count) * OPERATOR_FEE + NETWORK_FEE;
        const ids = operatorIds.slice(0, count);
        await expect(governed.addCluster(1, ids, count === 13, 10 + i))
          .to.emit(registry, "ClusterAdded")
          .withArgs(i + 1, 1n, ids, count === 13, 10 + i)
          .and.to.emit(registry, "ClusterFeesSynced")
          .withArgs(i + 1, burn, 0n);
        const c = await registry.cluster(i + 1);
        expect([c.account, c.active, c.requireDkg]).to.deep.equal([1n, true, count === 13]);
        expect([c.cap, c.registered, c.deposited, c.burnPerValidator]).to.deep.equal([BigInt(10 + i), 0n, 0n, burn]);
        expect([...c.operatorIds]).to.deep.equal(ids);
      }
      expect([...(await registry.counts())]).to.deep.equal([1n, 4n, 0n, 0n]);
    });

    it("need an account, room, operators in order and of the right number, and once the same", async () => {
      const { registry, governed, operatorIds } = await loadCluster();
      const ids = operatorIds;
      await expect(governed.addCluster(2, ids.slice(0, 4), false, 1))
        .to.be.revertedWithCustomError(registry, "UnknownAccount")
        .withArgs(2n);
      for (const wrong of [
        [],
        ids.slice(0, 1),
        ids.slice(0, 3),
        ids.slice(0, 5),
        ids.slice(0, 6),
        ids.slice(0, 12),
        [...ids, 14n, 15n, 16n],
        [ids[0]!, ids[2]!, ids[1]!, ids[3]!],
        [ids[0]!, ids[1]!, ids[2]!, ids[2]!],
      ]) {
        await expect(governed.addCluster(1, wrong, false, 1))
          .to.be.revertedWithCustomError(registry, "InvalidOperatorIds")
          .withArgs(wrong);
      }
      await expect(governed.addCluster(1, ids.slice(1, 5), false, 0))
        .to.be.revertedWithCustomError(registry, "InvalidCap")
        .withArgs(0n);
      await expect(governed.addCluster(1, ids.slice(0, 4), true, 1))
        .to.be.revertedWithCustomError(registry, "ClusterExists")
        .withArgs(1n);
      // another account is another owner in SSV
      await governed.addAccount();
      await governed.addCluster(2, ids.slice(0, 4), true, 1);
    });

    it("are at most 64, counted from 1", async () => {
      const { registry, governed, publisher, operatorIds: ids } = await loadCluster();
      const sets = ids.flatMap((d, l) =>
        ids.slice(0, l).flatMap((c, k) => ids.slice(0, k).flatMap((b, j) => ids.slice(0, j).map((a) => [a, b, c, d]))),
      );
      for (const set of sets.slice(1, 64)) await governed.addCluster(1, set, false, 1);
      await expect(governed.addCluster(1, sets[64]!, false, 1))
        .to.be.revertedWithCustomError(registry, "TooManyClusters")
        .withArgs(64n);
      const items = itemsOf({ account: 1n, cluster: 0n, batch: 0n, firstNonce: 0n, entries: [] });
      for (const cluster of [0n, 65n]) {
        for (const call of [
          registry.cluster(cluster),
          registry.syncClusterFees(cluster),
          governed.setCluster(cluster, true, 1),
          publisher.publish(cluster, 0, "0x", "0x"),
          registry.register(cluster, items, NEW_CLUSTER),
        ]) {
          await expect(call).to.be.revertedWithCustomError(registry, "UnknownCluster").withArgs(cluster);
        }
      }
    });

    it("are opened, retired and capped by governance", async () => {
      const { registry, governed, cluster } = await loadCluster();
      await expect(governed.setCluster(cluster, false, 7))
        .to.emit(registry, "ClusterUpdated")
        .withArgs(cluster, false, 7n);
      const { active, cap } = await registry.cluster(cluster);
      expect([active, cap]).to.deep.equal([false, 7n]);
      await expect(governed.setCluster(cluster, true, 0))
        .to.be.revertedWithCustomError(registry, "InvalidCap")
        .withArgs(0n);
      await expect(governed.setCluster(9, true, 1))
        .to.be.revertedWithCustomError(registry, "UnknownCluster")
        .withArgs(9n);
    });

    it("follow SSV's fees when anyone says so", async () => {
      const { registry, reserve, ssv, cluster, actions, operatorIds, governed } = await loadRegistered();
      expect(await reserve.totalBurnRate()).to.equal(2n * BURN_4);
      await governed.addCluster(1, operatorIds.slice(0, 7), false, 10);
      const seven = await actions.publishAndVet(2n, entriesOf("seven", 1, 7));
      await actions.register(seven);
      const burn7 = 7n * OPERATOR_FEE + NETWORK_FEE;
      expect(await reserve.totalBurnRate()).to.equal(2n * BURN_4 + burn7);

      await ssv.double!.setOperatorFeeForTest(operatorIds[0]!, 3n * OPERATOR_FEE);
      await expect(registry.syncClusterFees(cluster))
        .to.emit(registry, "ClusterFeesSynced")
        .withArgs(cluster, BURN_4 + 2n * OPERATOR_FEE, 2n * (BURN_4 + 2n * OPERATOR_FEE) + burn7);
      await registry.syncClusterFees(2);
      await ssv.double!.setOperatorFeeForTest(operatorIds[0]!, 0n);
      await registry.syncClusterFees(cluster);
      expect(await reserve.totalBurnRate()).to.equal(2n * (BURN_4 - OPERATOR_FEE) + burn7 + 2n * OPERATOR_FEE);
      expect((await registry.cluster(cluster)).burnPerValidator).to.equal(BURN_4 - OPERATOR_FEE);
      await expect(registry.syncClusterFees(3)).to.be.revertedWithCustomError(registry, "UnknownCluster").withArgs(3n);
    });
  });

  describe("publish", () => {
    it("keeps a chain and a count, and says everything in its event", async () => {
      const { registry, publisher, cluster } = await loadCluster();
      const entries = entriesOf("published", 5);
      for (const [batch, first, some] of [
        [0n, 0n, entries.slice(0, 3)],
        [1n, 3n, entries.slice(3)],
      ] as const) {
        await expect(publisher.publish(cluster, first, dataOf(some), "0x"))
          .to.emit(registry, "Published")
          .withArgs(1n, cluster, batch, first, some.length, dataOf(some), "0x");
        const kept = await registry.batch(1, batch);
        expect([...kept]).to.deep.equal([chainOf(cluster, first, some), cluster, BigInt(some.length)]);
      }
      const { nonce, queued, nextBatch, batches, vetted } = await registry.account(1);
      expect([nonce, queued, nextBatch, batches, vetted]).to.deep.equal([0n, 5n, 0n, 2n, 0n]);
    });

    it("refuses a skipped and a repeated nonce", async () => {
      const { registry, publisher, cluster, actions } = await loadCluster();
      const data = dataOf(entriesOf("skip", 2));
      await expect(publisher.publish(cluster, 1, data, "0x"))
        .to.be.revertedWithCustomError(registry, "WrongNonce")
        .withArgs(1n, 0n);
      await publisher.publish(cluster, 0, data, "0x");
      for (const given of [0n, 1n, 3n]) {
        await expect(publisher.publish(cluster, given, data, "0x"))
          .to.be.revertedWithCustomError(registry, "WrongNonce")
          .withArgs(given, 2n);
      }
      await actions.vet({ account: 1n, cluster, batch: 0n, firstNonce: 0n, entries: entriesOf("skip", 2) });
      await actions.register({ account: 1n, cluster, batch: 0n, firstNonce: 0n, entries: entriesOf("skip", 2) }, 0, 1);
      // registering moves one from queued to nonce: what is next to publish stays
      await expect(publisher.publish(cluster, 3, data, "0x"))
        .to.be.revertedWithCustomError(registry, "WrongNonce")
        .withArgs(3n, 2n);
      await publisher.publish(cluster, 2, data, "0x");
      await actions.checkNonces();
    });

    it("takes whole validators up to the limit of the cluster's size", async () => {
      const { registry, publisher, governed, operatorIds } = await load();
      await governed.addAccount();
      for (const [operators, most, stride] of [
        [4, 80, 1456n],
        [7, 40, 2368n],
        [10, 30, 3280n],
        [13, 20, 4192n],
      ] as const) {
        await governed.addCluster(1, operatorIds.slice(0, operators), false, 100);
        const [, cluster] = await registry.counts();
        const { queued } = await registry.account(1);
        const entries = entriesOf(`size ${operators}`, most + 1, operators);
        for (const data of ["0x", dataOf(entries.slice(0, 1)) + "00", dataOf(entries.slice(0, 2)).slice(0, -2)]) {
          await expect(publisher.publish(cluster, queued, data, "0x"))
            .to.be.revertedWithCustomError(registry, "InvalidDataLength")
            .withArgs(data.length / 2 - 1, stride);
        }
        await expect(publisher.publish(cluster, queued, dataOf(entries), "0x"))
          .to.be.revertedWithCustomError(registry, "TooManyValidators")
          .withArgs(most + 1, most);
        await publisher.publish(cluster, queued, dataOf(entries.slice(0, most)), "0x");
      }
    });

    it("wants DKG proofs exactly where the cluster requires them", async () => {
      const { registry, publisher, governed, operatorIds, cluster } = await loadCluster();
      await governed.addCluster(1, operatorIds.slice(0, 7), true, 100);
      const data = dataOf(entriesOf("dkg", 1, 7));
      await expect(publisher.publish(2, 0, data, "0x"))
        .to.be.revertedWithCustomError(registry, "DkgProofsRequired")
        .withArgs(2n);
      await expect(publisher.publish(cluster, 0, dataOf(entriesOf("dkg", 1)), "0x01"))
        .to.be.revertedWithCustomError(registry, "DkgProofsNotExpected")
        .withArgs(cluster);
      await expect(publisher.publish(2, 0, data, "0x0102"))
        .to.emit(registry, "Published")
        .withArgs(1n, 2n, 0n, 0n, 1n, data, "0x0102");
    });

    it("refuses retired clusters", async () => {
      const { registry, publisher, governed, cluster } = await loadCluster();
      await governed.setCluster(cluster, false, 100);
      await expect(publisher.publish(cluster, 0, dataOf(entriesOf("x", 1)), "0x"))
        .to.be.revertedWithCustomError(registry, "ClusterNotActive")
        .withArgs(cluster);
    });

    it("stops where SSV nodes' nonces end, and at 65,535 batches", async () => {
      const { registry, publisher, cluster } = await loadCluster();
      const accountSlot = BigInt(
        keccak256(AbiCoder.defaultAbiCoder().encode(["uint256", "uint256"], [1n, LAYOUT + 1n])),
      );
      const { account } = await registry.account(1);
      const write = (nonce: bigint, batches: bigint) =>
        connection.networkHelpers.setStorageAt(
          registry.target as string,
          toBeHex(accountSlot, 32),
          toBeHex(BigInt(account) | (nonce << 160n) | (batches << 208n) | (batches << 224n) | (batches << 240n), 32),
        );
      await write(65_534n, 9n);
      expect([...(await registry.account(1))]).to.deep.equal([account, 65_534n, 0n, 9n, 9n, 9n]);
      await expect(publisher.publish(cluster, 65_534, dataOf(entriesOf("end", 3)), "0x"))
        .to.be.revertedWithCustomError(registry, "AccountExhausted")
        .withArgs(1n);
      await publisher.publish(cluster, 65_534, dataOf(entriesOf("end", 2)), "0x");
      await write(5n, 65_535n);
      await expect(publisher.publish(cluster, 5, dataOf(entriesOf("end", 1)), "0x"))
        .to.be.revertedWithCustomError(registry, "AccountExhausted")
        .withArgs(1n);
      await write(5n, 65_534n);
      await publisher.publish(cluster, 5, dataOf(entriesOf("end", 1)), "0x");
    });
  });

  describe("vet", () => {
    it("goes in order, with a quorum's signatures over the batch's chain", async () => {
      const { registry, actions, cluster, guardians } = await loadCluster();
      await expect(registry.vet(1, 0, []))
        .to.be.revertedWithCustomError(registry, "NothingToVet")
        .withArgs(1n);
      const first = await actions.publish(cluster, entriesOf("first", 2));
      const second = await actions.publish(cluster, entriesOf("second", 1));
      await expect(registry.vet(1, 1, await actions.vettingSignatures(second)))
        .to.be.revertedWithCustomError(registry, "WrongBatch")
        .withArgs(1n, 0n);
      // signed for the same place in the queue, with something else in it
      for (const other of [
        { ...first, entries: entriesOf("other", 2) },
        { ...first, firstNonce: 1n },
        { ...first, account: 2n },
        second,
      ]) {
        await expect(registry.vet(1, 0, await actions.vettingSignatures(other))).to.be.revertedWithCustomError(
          guardians,
          "UnknownSigner",
        );
      }
      await expect(actions.vet(first)).to.emit(registry, "BatchVetted").withArgs(1n, cluster, 0n);
      await expect(actions.vet(first)).to.be.revertedWithCustomError(registry, "WrongBatch").withArgs(0n, 1n);
      await actions.vet(second);
      expect((await registry.account(1)).vetted).to.equal(2n);
      await expect(actions.vet(second)).to.be.revertedWithCustomError(registry, "NothingToVet").withArgs(1n);
      await expect(registry.vet(2, 0, []))
        .to.be.revertedWithCustomError(registry, "UnknownAccount")
        .withArgs(2n);
    });
  });

  describe("register", () => {
    it("takes the next of the queue into SSV, paid by the reserve", async () => {
      const { registry, actions, cluster, reserve, ssv } = await loadCluster();
      const batch = await actions.publishAndVet(cluster, entriesOf("register", 3));
      const { owner, operatorIds } = await actions.owner(cluster);
      const cost = 2n * BURN_4 * (TARGET_BLOCKS + THRESHOLD);
      expect(await reserve.registrationCost(BURN_4, 2)).to.equal(cost);
      const held = await reserve.balance();
      const tx = await actions.register(batch, 0, 2);
      await expect(tx).to.emit(registry, "Registered").withArgs(1n, cluster, 1n, 0n, 2n, cost);
      await expect(tx).to.emit(reserve, "Paid").withArgs(owner, cost);
      await expect(tx).to.emit(ssv.network, "ValidatorAdded");
      expect(await reserve.balance()).to.equal(held - cost);

      const at = await time(tx);
      for (const [i, { publicKey, shares }] of batch.entries.slice(0, 2).entries()) {
        const record = [REGISTERED, BigInt(i + 1), cluster, at, 0n, 0n, 0n];
        expect([...(await registry.validator(publicKey))]).to.deep.equal(record);
        expect(await ssv.views.getValidator(owner, publicKey)).to.be.true;
        const [event] = (
          await ssv.network.queryFilter(ssv.network.filters.ValidatorAdded(owner), tx.blockNumber!)
        ).slice(i);
        expect([event!.args.publicKey, event!.args.shares]).to.deep.equal([publicKey, shares]);
        expect([...event!.args.operatorIds]).to.deep.equal(operatorIds);
      }
      expect((await actions.snapshot(cluster)).balance).to.equal(cost);
      expect([...(await registry.validator(batch.entries[2]!.publicKey))]).to.deep.equal(Array(7).fill(0n));
      const { nonce, queued, nextBatch, batches, vetted } = await registry.account(1);
      expect([nonce, queued, nextBatch, batches, vetted]).to.deep.equal([2n, 1n, 0n, 1n, 1n]);
      expect([...(await registry.batch(1, 0))]).to.deep.equal([
        chainOf(cluster, 2n, batch.entries.slice(2)),
        cluster,
        1n,
      ]);
      const { registered, unfunded, deposited } = await registry.cluster(cluster);
      expect([registered, unfunded, deposited]).to.deep.equal([2n, 2n, 0n]);
      expect([...(await registry.counts())]).to.deep.equal([1n, 1n, 2n, 2n]);
      expect(await reserve.totalBurnRate()).to.equal(2n * BURN_4);

      await actions.deposit(cluster, batch.entries.slice(0, 2));
      await actions.register(batch, 2, 1);
      expect((await registry.validator(batch.entries[2]!.publicKey)).id).to.equal(3n);
      expect((await registry.account(1)).nextBatch).to.equal(1n);
      const { head, left } = await registry.batch(1, 0);
      expect([BigInt(head), left]).to.deep.equal([0n, 0n]);
      await actions.checkNonces();
    });

    it("is solvent in SSV with the whole target before it", async () => {
      const { actions, cluster, ssv } = await loadRegistered();
      const { owner, operatorIds } = await actions.owner(cluster);
      const snapshot = await actions.snapshot(cluster);
      await connection.networkHelpers.mine(TARGET_BLOCKS);
      expect(await ssv.views.isLiquidatable(owner, operatorIds, snapshot)).to.be.false;
      await connection.networkHelpers.mine(1);
      expect(await ssv.views.isLiquidatable(owner, operatorIds, snapshot)).to.be.true;
    });

    it("refuses what is not next: out of order, left out, changed, longer, with another rest", async () => {
      const { registry, actions, cluster } = await loadCluster();
      await actions.grow(cluster, 5);
      const batch = await actions.publishAndVet(cluster, entriesOf("order", 4));
      await actions.register(batch, 0, 1);
      const [, b, c, d] = batch.entries;
      const changed = entriesOf("changed", 4);
      const take = (entries: typeof changed) => itemsOf({ ...batch, firstNonce: batch.firstNonce + 1n, entries });
      const good = itemsOf(batch, 1);
      for (const items of [
        itemsOf(batch, 2),
        itemsOf(batch, 0),
        itemsOf(batch, 0, 1),
        take([c!, b!, d!]),
        take([b!, d!]),
        take([b!, c!]),
        take([b!, c!, d!, changed[0]!]),
        take([b!, { ...c!, publicKey: changed[0]!.publicKey }, d!]),
        take([b!, { ...c!, signature: changed[0]!.signature }, d!]),
        take([b!, { ...c!, shares: changed[0]!.shares }, d!]),
        take([b!, { ...c!, shares: `${c!.shares}00` }, d!]),
        { ...good, next: chainOf(cluster, batch.firstNonce + 4n, [changed[0]!]) },
        { ...itemsOf(batch, 1, 2), next: good.next },
      ]) {
        // the items are complete in themselves: only their place in the queue is wrong
        await expect(registry.register(cluster, items, await actions.snapshot(cluster)))
          .to.be.revertedWithCustomError(registry, "NotHeadOfQueue")
          .withArgs(1n, 1n);
      }
      await registry.register(cluster, good, await actions.snapshot(cluster));
      await actions.checkNonces();
    });

    it("refuses to go on with a batch when the next one is given, and beyond a batch", async () => {
      const { registry, actions, cluster } = await loadCluster();
      const first = await actions.publishAndVet(cluster, entriesOf("first", 1));
      const second = await actions.publishAndVet(cluster, entriesOf("second", 1));
      const both = { ...first, entries: [...first.entries, ...second.entries] };
      for (const batch of [second, both]) {
        await expect(actions.register(batch))
          .to.be.revertedWithCustomError(registry, "NotHeadOfQueue")
          .withArgs(1n, 0n);
      }
      await actions.register(first);
      await expect(actions.register(first)).to.be.revertedWithCustomError(registry, "NotHeadOfQueue").withArgs(1n, 1n);
      await actions.register(second);
      await actions.checkNonces();
    });

    it("refuses what is not vetted, and an empty queue", async () => {
      const { registry, actions, cluster } = await loadCluster();
      const empty = { account: 1n, cluster, batch: 0n, firstNonce: 0n, entries: entriesOf("none", 1) };
      await expect(actions.register(empty)).to.be.revertedWithCustomError(registry, "NothingVetted").withArgs(1n);
      const batch = await actions.publish(cluster, entriesOf("vetted later", 1));
      await expect(actions.register(batch)).to.be.revertedWithCustomError(registry, "NothingVetted").withArgs(1n);
      await actions.vet(batch);
      const next = await actions.publish(cluster, entriesOf("not yet", 1));
      await actions.register(batch);
      await expect(actions.register(next)).to.be.revertedWithCustomError(registry, "NothingVetted").withArgs(1n);
    });

    it("refuses nothing, lists of different lengths, and retired clusters", async () => {
      const { registry, actions, cluster, governed } = await loadCluster();
      const batch = await actions.publishAndVet(cluster, entriesOf("lists", 2));
      const items = itemsOf(batch);
      await expect(actions.register(batch, 0, 0)).to.be.revertedWithCustomError(registry, "EmptyList");
      for (const wrong of [
        { ...items, depositSignatureHashes: items.depositSignatureHashes.slice(1) },
        { ...items, shares: [...items.shares, "0x"] },
        { ...items, publicKeys: items.publicKeys.slice(1) },
      ]) {
        await expect(registry.register(cluster, wrong, NEW_CLUSTER)).to.be.revertedWithCustomError(
          registry,
          "LengthMismatch",
        );
      }
      await governed.setCluster(cluster, false, 100);
      await expect(actions.register(batch))
        .to.be.revertedWithCustomError(registry, "ClusterNotActive")
        .withArgs(cluster);
      await expect(registry.register(9, items, NEW_CLUSTER))
        .to.be.revertedWithCustomError(registry, "UnknownCluster")
        .withArgs(9n);
    });

    it("keeps to the cluster's cap", async () => {
      const { registry, actions, cluster, governed } = await loadCluster();
      await governed.setCluster(cluster, true, 2);
      const batch = await actions.publishAndVet(cluster, entriesOf("cap", 3));
      await expect(actions.register(batch))
        .to.be.revertedWithCustomError(registry, "ClusterFull")
        .withArgs(cluster, 2n);
      await actions.register(batch, 0, 2);
      await expect(actions.register(batch, 2))
        .to.be.revertedWithCustomError(registry, "ClusterFull")
        .withArgs(cluster, 2n);
    });

    it("leaves no more unfunded than 20, or than there is ether for", async () => {
      const { registry, actions, cluster, pool, deployer } = await loadCluster();
      await actions.grow(cluster, 21);
      await connection.networkHelpers.setStorageAt(pool.target as string, 0, toBeHex(1_000n * ETHER, 32));
      const batch = await actions.publishAndVet(cluster, entriesOf("unfunded", 23));
      await expect(actions.register(batch, 0, 21))
        .to.be.revertedWithCustomError(registry, "TooManyUnfunded")
        .withArgs(21n, 20n);
      await actions.register(batch, 0, 2);
      // 1,000 ETH less 30 validators: one short of 40 ETH
      await connection.networkHelpers.setStorageAt(pool.target as string, 0, toBeHex(96n * ETHER - 1n, 32));
      await expect(actions.register(batch, 2, 1))
        .to.be.revertedWithCustomError(registry, "TooManyUnfunded")
        .withArgs(3n, 2n);
      await deployer.sendTransaction({ to: pool, value: 1n });
      await actions.register(batch, 2, 1);
      await deployer.sendTransaction({ to: pool, value: 1_000n * ETHER });
      await expect(actions.register(batch, 3, 18)).to.be.revertedWithCustomError(registry, "TooManyUnfunded");
      await actions.register(batch, 3, 17);
      expect((await registry.counts()).unfunded).to.equal(20n);
      // funding and discarding make room
      await actions.deposit(cluster, batch.entries.slice(0, 2));
      await actions.discard([batch.entries[2]!.publicKey]);
      await actions.register(batch, 20, 3);
      await actions.checkNonces();
    });

    it("leaves no more unfunded in a cluster than were funded in it, or 2", async () => {
      const { registry, actions, cluster } = await loadCluster();
      const batch = await actions.publishAndVet(cluster, entriesOf("allowance", 12));
      const unfunded = async () => (await registry.cluster(cluster)).unfunded;
      const refused = async (from: number, count: number, after: bigint, highest: bigint) =>
        expect(actions.register(batch, from, count))
          .to.be.revertedWithCustomError(registry, "TooManyUnfundedInCluster")
          .withArgs(cluster, after, highest);
      await refused(0, 3, 3n, 2n);
      await actions.register(batch, 0, 2);
      await refused(2, 1, 3n, 2n);
      // discarded: no more is allowed, but the place is free
      await actions.discard([batch.entries[0]!.publicKey]);
      expect(await unfunded()).to.equal(1n);
      await refused(2, 2, 3n, 2n);
      await actions.register(batch, 2, 1);
      await actions.deposit(cluster, batch.entries.slice(1, 3));
      expect(await unfunded()).to.equal(0n);
      await refused(3, 3, 3n, 2n);
      await actions.register(batch, 3, 2);
      // funded one by one: three are funded, one waits
      await actions.deposit(cluster, batch.entries.slice(3, 4));
      await refused(5, 3, 4n, 3n);
      await actions.register(batch, 5, 2);
      expect(await unfunded()).to.equal(3n);
      expect((await registry.counts()).unfunded).to.equal(3n);
      await actions.checkNonces();
    });

    it("counts what is discarded where it was registered", async () => {
      const { registry, actions } = await load();
      const [one, two] = [await actions.addCluster(), await actions.addCluster()];
      const [a, b] = [
        await actions.publishAndVet(one, entriesOf("a", 2)),
        await actions.publishAndVet(two, entriesOf("b", 2)),
      ];
      await actions.register(a);
      await actions.register(b);
      await actions.discard([a, b, a].map(({ entries }, i) => entries[i >> 1]!.publicKey));
      expect((await registry.cluster(one)).unfunded).to.equal(0n);
      expect((await registry.cluster(two)).unfunded).to.equal(1n);
      expect((await registry.counts()).unfunded).to.equal(1n);
    });

    it("goes on elsewhere while a new cluster waits for the guardians", async () => {
      const { registry, actions, deployer, pool } = await load();
      await deployer.sendTransaction({ to: pool, value: 1_000n * ETHER });
      const old = await actions.addCluster();
      await actions.grow(old, 30);
      const more = await actions.publishAndVet(old, entriesOf("more", 20));
      const fresh = await actions.addCluster();
      const first = await actions.publishAndVet(fresh, entriesOf("first", 40));
      const next = async () => [...(await registry.nextRegistration())];
      expect(await next()).to.deep.equal([fresh, 2n]);
      await expect(actions.register(more, 0, 1)).to.be.revertedWithCustomError(registry, "NotSmallestCluster");
      await actions.register(first, 0, 2);
      expect(await next()).to.deep.equal([old, 18n]);
      await actions.register(more, 0, 18);
      await actions.deposit(old, more.entries.slice(0, 18));
      expect(await next()).to.deep.equal([old, 2n]);
      // funded, the new one is first again
      await actions.deposit(fresh, first.entries.slice(0, 2));
      expect(await next()).to.deep.equal([fresh, 2n]);
      await actions.checkNonces();
    });

    it("fills the active cluster with the fewest validators that has vetted keys and room", async () => {
      const { registry, actions, governed, operatorIds } = await load();
      const [one, two, three] = [
        await actions.addCluster(4),
        await actions.addCluster(7),
        await actions.addCluster(4, { cap: 1 }),
      ];
      // an account without a cluster and one without keys are no hindrance
      await governed.addAccount();
      await governed.addCluster(4, operatorIds.slice(0, 4), false, 9);
      const a = await actions.publishAndVet(one, entriesOf("a", 5));
      await actions.register(a, 0, 2);
      await actions.deposit(one, a.entries.slice(0, 2));
      const b = await actions.publishAndVet(two, entriesOf("b", 5, 7));
      await expect(actions.register(a, 2, 1))
        .to.be.revertedWithCustomError(registry, "NotSmallestCluster")
        .withArgs(one, two);
      await actions.register(b, 0, 2);
      await actions.deposit(two, b.entries.slice(0, 2));
      // equal: either
      await actions.register(a, 2, 1);
      await expect(actions.register(a, 3, 1)).to.be.revertedWithCustomError(registry, "NotSmallestCluster");
      // published is not vetted
      const c = await actions.publish(three, entriesOf("c", 2));
      await actions.register(b, 2, 1);
      await actions.vet(c);
      await expect(actions.register(b, 3, 1))
        .to.be.revertedWithCustomError(registry, "NotSmallestCluster")
        .withArgs(two, three);
      await actions.register(c, 0, 1);
      // full is no hindrance, nor is retired
      await actions.register(a, 3, 1);
      await actions.deposit(one, a.entries.slice(2, 4));
      await governed.setCluster(two, false, 100);
      await actions.register(a, 4, 1);
      await actions.checkNonces();
    });

    it("goes on with several clusters of one account in the queue's order", async () => {
      const { registry, actions, governed, operatorIds, cluster } = await loadCluster();
      await governed.addCluster(1, operatorIds.slice(0, 7), false, 9);
      const first = await actions.publishAndVet(2n, entriesOf("first", 2, 7));
      const second = await actions.publishAndVet(cluster, entriesOf("second", 1));
      // the smaller cluster's keys are not next
      await expect(actions.register(second)).to.be.revertedWithCustomError(registry, "NotHeadOfQueue").withArgs(1n, 0n);
      await actions.register(first, 0, 1);
      await actions.register(first, 1, 1);
      await actions.register(second);
      await actions.checkNonces();
      // a batch whose cluster is retired blocks what is behind it until it is dropped
      await actions.publishAndVet(2n, entriesOf("third", 1, 7));
      const fourth = await actions.publishAndVet(cluster, entriesOf("fourth", 1));
      await governed.setCluster(2, false, 9);
      await expect(actions.register(fourth)).to.be.revertedWithCustomError(registry, "NotHeadOfQueue");
      expect([...(await registry.nextRegistration())]).to.deep.equal([0n, 0n]);
      await actions.dropQueue(1n);
      await actions.register(await actions.publishAndVet(cluster, fourth.entries));
      await actions.checkNonces();
    });

    it("takes a key once for ever: twice in a batch, in another account, after its discard", async () => {
      const { registry, actions } = await load();
      const [one, two] = [await actions.addCluster(), await actions.addCluster()];
      const [a, b] = entriesOf("once", 2);
      const twice = await actions.publishAndVet(one, [a!, a!]);
      await expect(actions.register(twice))
        .to.be.revertedWithCustomError(registry, "PublicKeyUsed")
        .withArgs(a!.publicKey);
      await actions.register(twice, 0, 1);
      await expect(actions.register(twice, 1)).to.be.revertedWithCustomError(registry, "PublicKeyUsed");
      const other = await actions.publishAndVet(two, [a!, b!]);
      await expect(actions.register(other)).to.be.revertedWithCustomError(registry, "PublicKeyUsed");
      await actions.discard([a!.publicKey]);
      await expect(actions.register(other)).to.be.revertedWithCustomError(registry, "PublicKeyUsed");
      await actions.dropQueue(1n);
      await actions.dropQueue(2n);
      await actions.register(await actions.publishAndVet(two, [b!]));
      await actions.checkNonces();
    });

    it("changes nothing when SSV refuses: a stranger's wei, a missing operator, a reserve that is empty", async () => {
      const { registry, actions, cluster, ssv, stranger, operatorIds, reserve, ...on } = await loadRegistered();
      await actions.deposit(cluster, on.batch.entries);
      const batch = await actions.publishAndVet(cluster, entriesOf("again", 2));
      const stale = await actions.snapshot(cluster);
      const { owner, operatorIds: ids } = await actions.owner(cluster);
      await ssv.network.connect(stranger).deposit(owner, ids, stale, { value: 1n });
      const before = await registry.account(1);
      await expect(registry.register(cluster, itemsOf(batch), stale)).to.be.revertedWithCustomError(
        ssv.network,
        "IncorrectClusterState",
      );
      expect(await registry.account(1)).to.deep.equal(before);
      await actions.register(batch, 0, 1);

      const held = await reserve.balance();
      const asRegistry = await connection.ethers.getImpersonatedSigner(await registry.getAddress());
      await connection.networkHelpers.setBalance(await registry.getAddress(), ETHER);
      const cost = await reserve.registrationCost(1n, 1n);
      const most = (held - cost) / (TARGET_BLOCKS + THRESHOLD) - 1n;
      await reserve.connect(asRegistry).pay(stranger.address, most, 1n);
      await expect(actions.register(batch, 1)).to.be.revertedWithCustomError(reserve, "InsufficientReserve");
      await reserve.fund({ value: ETHER });
      await ssv.double!.removeOperator(operatorIds[0]!);
      await expect(actions.register(batch, 1)).to.be.revertedWithCustomError(ssv.network, "OperatorDoesNotExist");
      await actions.checkNonces();
    });
  });

  describe("nextRegistration", () => {
    it("names the cluster and how many may be registered, and register agrees", async () => {
      const { registry, actions, pool, governed } = await load();
      const next = async () => [...(await registry.nextRegistration())];
      expect(await next()).to.deep.equal([0n, 0n]);
      const [one, two] = [await actions.addCluster(4, { cap: 30 }), await actions.addCluster(4, { cap: 6 })];
      const a = await actions.publish(one, entriesOf("a", 30));
      expect(await next()).to.deep.equal([0n, 0n]);
      await actions.vet(a);
      expect(await next()).to.deep.equal([one, 2n]);
      await actions.register(a, 0, 1);
      expect(await next()).to.deep.equal([one, 1n]);
      const b = await actions.publishAndVet(two, entriesOf("b", 3));
      expect(await next()).to.deep.equal([two, 2n]);
      await actions.register(b, 0, 2);
      // may have no more unfunded
      expect(await next()).to.deep.equal([one, 1n]);
      await actions.register(a, 1, 1);
      expect(await next()).to.deep.equal([0n, 0n]);
      await actions.deposit(two, b.entries.slice(0, 2));
      // what is left of its batch
      expect(await next()).to.deep.equal([two, 1n]);
      await actions.register(b, 2, 1);
      expect(await next()).to.deep.equal([0n, 0n]);
      await actions.deposit(one, a.entries.slice(0, 2));
      expect(await next()).to.deep.equal([one, 2n]);
      const c = await actions.publishAndVet(two, entriesOf("c", 9));
      expect(await next()).to.deep.equal([one, 2n]);
      await actions.register(a, 2, 2);
      await actions.deposit(one, a.entries.slice(2, 4));
      expect(await next()).to.deep.equal([two, 1n]);
      await actions.register(c, 0, 1);
      await actions.deposit(two, [b.entries[2]!, c.entries[0]!]);
      expect(await next()).to.deep.equal([one, 4n]);
      await actions.register(a, 4, 4);
      // room for two
      expect(await next()).to.deep.equal([two, 2n]);
      await actions.register(c, 1, 2);
      // full, though two keys more could wait
      expect(await next()).to.deep.equal([0n, 0n]);
      await actions.deposit(one, a.entries.slice(4, 8));
      expect(await next()).to.deep.equal([one, 8n]);
      for (const [validators, count] of [
        [10n, 8n],
        [5n, 3n],
        [2n, 0n],
        [1n, 0n],
      ] as const) {
        const held = toBeHex(validators * 32n * ETHER, 32);
        await connection.networkHelpers.setStorageAt(pool.target as string, 0, held);
        expect(await next()).to.deep.equal(count === 0n ? [0n, 0n] : [one, count]);
      }
      await connection.networkHelpers.setStorageAt(pool.target as string, 0, toBeHex(1_000n * ETHER, 32));
      await governed.setCluster(one, false, 30);
      expect(await next()).to.deep.equal([0n, 0n]);
      await governed.setCluster(one, true, 7);
      expect(await next()).to.deep.equal([0n, 0n]);
      await governed.setCluster(one, true, 1_000);
      expect(await next()).to.deep.equal([one, 8n]);
      await actions.register(a, 8, 8);
      expect(await next()).to.deep.equal([0n, 0n]);
      await actions.checkNonces();
    });
  });

  describe("deposit", () => {
    it("sends 32 ETH a key under the pool's credentials to the deposit contract", async () => {
      const { registry, actions, cluster, batch, pool, depositContract, parts } = await loadRegistered();
      const before = await pool.depositableEther();
      const tx = await actions.deposit(cluster, batch.entries);
      await expect(tx).to.emit(registry, "Deposited").withArgs(cluster, [1n, 2n]);
      expect(await pool.depositableEther()).to.equal(before - 64n * ETHER);
      expect(await connection.ethers.provider.getBalance(depositContract)).to.equal(64n * ETHER);
      expect(await connection.ethers.provider.getBalance(registry)).to.equal(0n);
      expect(await depositContract.get_deposit_count()).to.equal("0x0200000000000000");
      const credentials = concat(["0x010000000000000000000000", parts.withdrawalVault]);
      const logs = (await tx.wait())!.logs.filter(({ address }) => address === parts.depositContract);
      for (const [i, { publicKey, signature }] of batch.entries.entries()) {
        const [key, wc, amount, sig] = AbiCoder.defaultAbiCoder().decode(
          ["bytes", "bytes", "bytes", "bytes", "bytes"],
          logs[i]!.data,
        ) as unknown as string[];
        expect([key, wc, amount, sig]).to.deep.equal([publicKey, credentials, "0x0040597307000000", signature]);
        const record = await registry.validator(publicKey);
        expect([record.status, record.id, record.depositedAt]).to.deep.equal([
          DEPOSITED,
          BigInt(i + 1),
          await time(tx),
        ]);
      }
      expect((await registry.cluster(cluster)).deposited).to.equal(2n);
      expect([...(await registry.counts())]).to.deep.equal([1n, 1n, 2n, 0n]);
    });

    it("is accepted for prepared validators with real keys", async () => {
      const { actions, cluster, publisher, registry, parts, depositContract } = await loadCluster();
      const { account } = await registry.account(1);
      const operators = testOperators(4).map(({ id, publicKeyPem }) => ({ id, publicKeyPem }));
      const withdrawalCredentials = await registry.withdrawalCredentials();
      const genesisForkVersion = "0x10000001";
      const prepared = prepareValidators({
        ...{ count: 2, account, firstNonce: 0n, operators, withdrawalCredentials, genesisForkVersion },
        networkName: "local",
      });
      await publisher.publish(cluster, 0, encodeEntries(prepared), "0x");
      const entries = prepared.map((p) => ({
        publicKey: p.publicKey,
        signature: p.depositSignature,
        shares: p.sharesData,
      }));
      const batch = { account: 1n, cluster, batch: 0n, firstNonce: 0n, entries };
      await actions.vet(batch);
      await actions.register(batch);
      const tx = await actions.deposit(cluster, entries);
      const [log] = (await tx.wait())!.logs.filter(({ address }) => address === parts.depositContract);
      const [pubkey, wc, , signature] = AbiCoder.defaultAbiCoder().decode(
        ["bytes", "bytes", "bytes", "bytes", "bytes"],
        log!.data,
      ) as unknown as string[];
      const amountGwei = 32_000_000_000n;
      expect(
        verifyDepositSignature({
          ...{ pubkey: pubkey!, withdrawalCredentials: wc!, amountGwei, genesisForkVersion, signature: signature! },
        }),
      ).to.be.true;
      expect(await depositContract.get_deposit_count()).to.equal("0x0200000000000000");
    });

    it("works for a cluster that was retired since", async () => {
      const { actions, cluster, batch, governed } = await loadRegistered();
      await governed.setCluster(cluster, false, 1);
      await actions.deposit(cluster, batch.entries);
    });

    it("asks the guardians first", async () => {
      const { registry, actions, cluster, batch, guardians, keys, keys2 } = await loadRegistered();
      const { anchor, signatures } = await actions.approval(cluster, batch.entries);
      const sigs = batch.entries.map(({ signature }) => signature);
      const call = (c: bigint, k: string[], s: string[], g = signatures) => registry.deposit(c, k, s, anchor, g);
      await expect(call(cluster, keys2, sigs, signatures.slice(1))).to.be.revertedWithCustomError(
        guardians,
        "QuorumNotReached",
      );
      // exactly what was approved: cluster, keys, signatures and their order
      for (const refused of [
        call(2n, keys2, sigs),
        call(cluster, keys2.toReversed(), sigs.toReversed()),
        call(cluster, keys2, sigs.toReversed()),
        call(cluster, keys2.slice(1), sigs.slice(1)),
        call(cluster, [keys2[0]!, keys2[0]!], [sigs[0]!, sigs[0]!]),
      ]) {
        await expect(refused).to.be.revertedWithCustomError(guardians, "UnknownSigner");
      }
      const epoch = await guardians.approvalEpoch();
      await guardians.pauseDeposits(
        epoch,
        await keys.signOne("PauseDeposits", { approvalEpoch: epoch }, keys.wallets[0]!),
      );
      await expect(call(cluster, keys2, sigs)).to.be.revertedWithCustomError(guardians, "DepositsArePaused");
    });

    it("is stopped by anyone's deposit since the approval, and cannot be repeated", async () => {
      const { registry, actions, cluster, batch, guardians, depositContract, keys2 } = await loadRegistered();
      const sigs = batch.entries.map(({ signature }) => signature);
      const { anchor, signatures } = await actions.approval(cluster, batch.entries);
      const foreign = concat(["0x010000000000000000000000", ZeroAddress]);
      const root = depositDataRoot(keys2[0]!, foreign, 1_000_000_000n, sigs[0]!);
      await depositContract.deposit(keys2[0]!, foreign, sigs[0]!, root, { value: ETHER });
      await expect(registry.deposit(cluster, keys2, sigs, anchor, signatures))
        .to.be.revertedWithCustomError(guardians, "DepositCountChanged")
        .withArgs(0n, 1n);
      const again = await actions.approval(cluster, batch.entries);
      await registry.deposit(cluster, keys2, sigs, again.anchor, again.signatures);
      await expect(registry.deposit(cluster, keys2, sigs, again.anchor, again.signatures))
        .to.be.revertedWithCustomError(guardians, "DepositCountChanged")
        .withArgs(1n, 3n);
      await expect(actions.deposit(cluster, batch.entries))
        .to.be.revertedWithCustomError(registry, "WrongStatus")
        .withArgs(keys2[0], DEPOSITED, REGISTERED);
    });

    it("refuses nothing, lists and bytes of wrong lengths", async () => {
      const { registry, actions, cluster, batch, keys2 } = await loadRegistered();
      const { anchor, signatures } = await actions.approval(cluster, batch.entries);
      const sigs = batch.entries.map(({ signature }) => signature);
      const call = (k: string[], s: string[]) => registry.deposit(cluster, k, s, anchor, signatures);
      await expect(call([], [])).to.be.revertedWithCustomError(registry, "EmptyList");
      await expect(call(keys2, sigs.slice(1))).to.be.revertedWithCustomError(registry, "LengthMismatch");
      // the same bytes as approved, cut elsewhere
      const moved = [keys2[0]!.slice(0, -2), `0x${keys2[0]!.slice(-2)}${sigs[0]!.slice(2)}`] as const;
      await expect(call([moved[0], keys2[1]!], [moved[1], sigs[1]!]))
        .to.be.revertedWithCustomError(registry, "InvalidPublicKey")
        .withArgs(47n);
      await expect(call(keys2, [sigs[0]!, `${sigs[1]!}00`]))
        .to.be.revertedWithCustomError(registry, "InvalidSignatureLength")
        .withArgs(97n);
    });

    it("refuses keys that are unknown, discarded, twice in the list, of another cluster or gone from SSV", async () => {
      const { registry, actions, cluster, batch, keys2, governed, operatorIds, ssv } = await loadRegistered();
      const [unknown] = entriesOf("unknown", 1);
      await expect(actions.deposit(cluster, [unknown!]))
        .to.be.revertedWithCustomError(registry, "WrongStatus")
        .withArgs(unknown!.publicKey, 0n, REGISTERED);
      await expect(actions.deposit(cluster, [batch.entries[0]!, batch.entries[0]!]))
        .to.be.revertedWithCustomError(registry, "WrongStatus")
        .withArgs(keys2[0], DEPOSITED, REGISTERED);
      await governed.addCluster(1, operatorIds.slice(0, 7), false, 9);
      await expect(actions.deposit(2n, batch.entries))
        .to.be.revertedWithCustomError(registry, "WrongCluster")
        .withArgs(keys2[0], cluster, 2n);
      await expect(actions.deposit(9n, batch.entries))
        .to.be.revertedWithCustomError(registry, "UnknownCluster")
        .withArgs(9n);
      await actions.discard([keys2[1]!]);
      await expect(actions.deposit(cluster, batch.entries.slice(1)))
        .to.be.revertedWithCustomError(registry, "WrongStatus")
        .withArgs(keys2[1], DISCARDED, REGISTERED);

      const { owner, operatorIds: ids } = await actions.owner(cluster);
      await connection.networkHelpers.setBalance(await registry.getAddress(), ETHER);
      const asRegistry = await connection.ethers.getImpersonatedSigner(await registry.getAddress());
      const remove = ssv.network.interface.encodeFunctionData("bulkRemoveValidator", [
        keys2.slice(0, 1),
        ids,
        await actions.snapshot(cluster),
      ]);
      await SSVAccount__factory.connect(owner, asRegistry).execute(remove, 0);
      await expect(actions.deposit(cluster, batch.entries.slice(0, 1)))
        .to.be.revertedWithCustomError(registry, "NotInSSV")
        .withArgs(keys2[0]);
    });

    it("does not work without the ether", async () => {
      const { actions, cluster, batch, pool } = await loadRegistered();
      await connection.networkHelpers.setStorageAt(pool.target as string, 0, toBeHex(63n * ETHER, 32));
      await expect(actions.deposit(cluster, batch.entries)).to.revert(connection.ethers);
    });

    it("cannot be entered again on the way, nor can register", async () => {
      const { registry, actions, cluster, batch, pool, keys2 } = await loadRegistered();
      const anchor = { blockNumber: 0n, blockHash: ZeroHash, depositCount: 0n };
      for (const callback of [
        registry.interface.encodeFunctionData("deposit", [cluster, keys2, keys2, anchor, []]),
        registry.interface.encodeFunctionData("register", [cluster, itemsOf(batch), NEW_CLUSTER]),
      ]) {
        await pool.setCallback(callback);
        await expect(actions.deposit(cluster, batch.entries)).to.be.revertedWithCustomError(
          registry,
          "ReentrancyGuardReentrantCall",
        );
      }
    });
  });

  describe("discard", () => {
    it("ends registered keys for good, with a quorum's signatures", async () => {
      const { registry, reserve, actions, cluster, keys2, guardians } = await loadRegistered();
      const signatures = await actions.discardSignatures(keys2);
      await expect(registry.discard(keys2, signatures.slice(1))).to.be.revertedWithCustomError(
        guardians,
        "QuorumNotReached",
      );
      await expect(registry.discard(keys2.toReversed(), signatures)).to.be.revertedWithCustomError(
        guardians,
        "UnknownSigner",
      );
      const tx = registry.discard(keys2, signatures);
      for (const id of [1n, 2n]) await expect(tx).to.emit(registry, "Discarded").withArgs(cluster, id);
      for (const key of keys2) expect((await registry.validator(key)).status).to.equal(DISCARDED);
      expect((await registry.counts()).unfunded).to.equal(0n);
      // still in SSV, still paid for
      expect((await registry.cluster(cluster)).registered).to.equal(2n);
      expect(await reserve.totalBurnRate()).to.equal(2n * BURN_4);
      await expect(registry.discard(keys2, signatures))
        .to.be.revertedWithCustomError(registry, "WrongStatus")
        .withArgs(keys2[0], DISCARDED, REGISTERED);
    });

    it("refuses nothing, unknown and funded keys", async () => {
      const { registry, actions, cluster, batch, keys2 } = await loadRegistered();
      await expect(actions.discard([])).to.be.revertedWithCustomError(registry, "EmptyList");
      await actions.deposit(cluster, batch.entries.slice(0, 1));
      await expect(actions.discard(keys2))
        .to.be.revertedWithCustomError(registry, "WrongStatus")
        .withArgs(keys2[0], DEPOSITED, REGISTERED);
      const [unknown] = entriesOf("unknown", 1);
      await expect(actions.discard([unknown!.publicKey]))
        .to.be.revertedWithCustomError(registry, "WrongStatus")
        .withArgs(unknown!.publicKey, 0n, REGISTERED);
    });
  });

  describe("dropQueue", () => {
    it("forgets what is queued, keeps the nonce, and lets the keys come again", async () => {
      const { registry, actions, cluster, guardians } = await loadCluster();
      const first = await actions.publishAndVet(cluster, entriesOf("first", 3));
      const second = await actions.publish(cluster, entriesOf("second", 2));
      await actions.register(first, 0, 1);
      await expect(registry.dropQueue(1, (await actions.dropSignatures(1n)).slice(1))).to.be.revertedWithCustomError(
        guardians,
        "QuorumNotReached",
      );
      await expect(actions.dropQueue(1n)).to.emit(registry, "QueueDropped").withArgs(1n, 1n, 4n);
      const { nonce, queued, nextBatch, batches, vetted } = await registry.account(1);
      expect([nonce, queued, nextBatch, batches, vetted]).to.deep.equal([1n, 0n, 2n, 2n, 2n]);
      await expect(actions.register(first, 1, 1)).to.be.revertedWithCustomError(registry, "NothingVetted");
      await expect(actions.vet(second)).to.be.revertedWithCustomError(registry, "NothingToVet");
      await expect(actions.dropQueue(1n)).to.be.revertedWithCustomError(registry, "QueueEmpty").withArgs(1n);

      const again = await actions.publishAndVet(cluster, [...first.entries.slice(1), ...second.entries]);
      expect([again.batch, again.firstNonce]).to.deep.equal([2n, 1n]);
      // what was signed for the dropped queue says nothing about the new one
      await expect(actions.register(first, 1, 1)).to.be.revertedWithCustomError(registry, "NotHeadOfQueue");
      await actions.register(again, 0, 1);
      await actions.checkNonces();
    });

    it("cannot be replayed on the same keys published again", async () => {
      const { registry, actions, cluster, guardians } = await loadCluster();
      const entries = entriesOf("replay", 2);
      await actions.publish(cluster, entries);
      const signatures = await actions.dropSignatures(1n);
      await registry.dropQueue(1, signatures);
      await actions.publish(cluster, entries);
      await expect(registry.dropQueue(1, signatures)).to.be.revertedWithCustomError(guardians, "UnknownSigner");
    });

    it("is for this account and this state of its queue", async () => {
      const { registry, actions, cluster, guardians, governed } = await loadCluster();
      await governed.addAccount();
      const batch = await actions.publishAndVet(cluster, entriesOf("state", 2));
      const signatures = await actions.dropSignatures(1n);
      await expect(registry.dropQueue(2, signatures))
        .to.be.revertedWithCustomError(registry, "QueueEmpty")
        .withArgs(2n);
      await expect(registry.dropQueue(3, signatures))
        .to.be.revertedWithCustomError(registry, "UnknownAccount")
        .withArgs(3n);
      await actions.register(batch, 0, 1);
      await expect(registry.dropQueue(1, signatures)).to.be.revertedWithCustomError(guardians, "UnknownSigner");
    });
  });

  it("approves deposits by the hash the interface documents", async () => {
    const { actions, cluster, batch, keys, registry, guardians } = await loadRegistered();
    const anchor = await actions.anchor();
    const parts = batch.entries.map(({ publicKey, signature }) => keccak256(concat([publicKey, signature])));
    const keysHash = keccak256(concat(parts));
    expect(depositsHash(batch.entries)).to.equal(keysHash);
    const message = { cluster, keysHash, approvalEpoch: await guardians.approvalEpoch(), ...anchor };
    await registry.deposit(
      cluster,
      batch.entries.map(({ publicKey }) => publicKey),
      batch.entries.map(({ signature }) => signature),
      anchor,
      await keys.sign("DepositApproval", message),
    );
  });
});
