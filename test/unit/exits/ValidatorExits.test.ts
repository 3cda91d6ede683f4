import { expect } from "chai";
import { concat, id as hashOf, keccak256, toBeHex, ZeroAddress } from "ethers";
import { WITHDRAWAL_REQUESTS_ADDRESS } from "../../../devnet/execution/predeploys.js";
import {
  ClaimRecipient__factory,
  ERC1967Proxy__factory,
  ValidatorExits__factory,
} from "../../../types/ethers-contracts/index.js";
import { ETHER, FRAMES, GRACE_FRAMES, processWithdrawalRequests } from "../registry/support.js";
import {
  type Connection,
  deployExits,
  Exiting,
  FRAME_SECONDS,
  type Funded,
  onOwnChain,
  START,
  VALIDATOR_WEI,
} from "./support.js";

const [REFUSES, PAYS_AGAIN] = [1n, 4n];

/** ERC-7201 */
const slotOf = (contract: string) =>
  BigInt(keccak256(toBeHex(BigInt(hashOf(`pooleth.storage.${contract}`)) - 1n, 32))) & ~0xffn;
const REGISTRY_LAYOUT = slotOf("ValidatorRegistry");

describe("ValidatorExits", () => {
  /**
   * Deposits 1 to 9 went to clusters 1 1 2 2 1 1 3 3 2. Cluster 2 has seven operators and an account of its own, as each.
   */
  async function funded(connection: Connection) {
    const on = await deployExits(connection);
    for (const operators of [4, 7, 4]) await on.actions.addCluster(operators, { cap: 1_000 });
    const validators: Funded[] = [];
    for (const [cluster, count] of [
      [1n, 2],
      [2n, 2],
      [1n, 2],
      [3n, 2],
      [2n, 1],
    ] as const) {
      validators.push(...(await on.fund(cluster, count)));
    }
    const owners = await Promise.all([1n, 2n, 3n].map((cluster) => on.actions.owner(cluster)));
    /** What is told when operators are asked to exit a validator. */
    const asked = ({ cluster, id, publicKey }: Funded, repeated = false) => {
      const { owner, operatorIds } = owners[Number(cluster) - 1]!;
      return [
        `ExitRequested ${cluster} ${id} ${repeated}`,
        `ValidatorExited ${owner} ${operatorIds.join()} ${publicKey}`,
      ] as const;
    };
    /** The same for several in one call. */
    const askedAll = (validators: Funded[], repeated = false) => {
      const told = validators.map((validator) => asked(validator, repeated));
      return [...told.map(([requested]) => requested), ...told.map(([, exited]) => exited)];
    };
    /** What is told when exits are forced at a fee. */
    const forced = (validators: Funded[], fee = 1n) => [
      ...validators.map(({ id }) => `ExitForced ${id} ${fee}`),
      ...validators.map(({ publicKey }) => `EIP-7002 ${concat([on.parts.withdrawalVault, publicKey, toBeHex(0, 8)])}`),
    ];
    return Object.assign(on, { validators, asked, askedAll, forced });
  }

  const load = onOwnChain(deployExits);
  const loadFunded = onOwnChain(funded);

  /** Validators by the order of their deposits. */
  const pick = (validators: readonly Funded[], ...orders: number[]) => orders.map((order) => validators[order - 1]!);

  describe("setting up", () => {
    it("knows its parts, frames, grace and authority", async () => {
      const { exits, exitsParts, manager } = await load();
      expect([...(await exits.contracts())]).to.deep.equal(Object.values(exitsParts));
      expect([...(await exits.frameConfig())]).to.deep.equal(Object.values(FRAMES));
      expect(await exits.graceFrames()).to.equal(GRACE_FRAMES);
      expect(await exits.authority()).to.equal(manager.target);
    });

    it("starts with nothing needed, and the first deposit's turn", async () => {
      const on = await load();
      expect(await on.demand()).to.deep.equal([0n, 0n, 0n, 0n, 0n]);
      expect(await on.next()).to.deep.equal([0n, 1n]);
      expect(await on.status({ id: 1n })).to.deep.equal([false, false, false, undefined, undefined]);
      expect(await on.exits.isExited(1n)).to.be.false;
    });

    it("refuses missing parts, and a grace of no frame or more than 30", async () => {
      const { exitsParts, deployer } = await load();
      const factory = new ValidatorExits__factory(deployer);
      for (const part of Object.keys(exitsParts)) {
        await expect(
          factory.deploy({ ...exitsParts, [part]: ZeroAddress }, FRAMES, GRACE_FRAMES),
        ).to.be.revertedWithCustomError(factory, "ZeroAddress");
      }
      for (const grace of [0n, 31n]) {
        await expect(factory.deploy(exitsParts, FRAMES, grace))
          .to.be.revertedWithCustomError(factory, "InvalidGrace")
          .withArgs(grace, 30n);
      }
      for (const grace of [1n, 30n]) {
        expect(await (await factory.deploy(exitsParts, FRAMES, grace)).graceFrames()).to.equal(grace);
      }
    });

    it("is initialised once, its code never, and not without an authority", async () => {
      const { exits, exitsImplementation, deployer, manager } = await load();
      for (const contract of [exits, exitsImplementation]) {
        await expect(contract.initialize(manager)).to.be.revertedWithCustomError(exits, "InvalidInitialization");
      }
      const data = exits.interface.encodeFunctionData("initialize", [ZeroAddress]);
      await expect(new ERC1967Proxy__factory(deployer).deploy(exitsImplementation, data)).to.be.revertedWithCustomError(
        exits,
        "ZeroAddress",
      );
    });

    it("is upgraded by governance alone, and keeps its state in the ERC-7201 slot of its name", async () => {
      const on = await loadFunded();
      const { exits, exitsImplementation, stranger, governance, provider } = on;
      await on.report([1n, 2n, 3n]);
      await expect(exits.connect(stranger).upgradeToAndCall(exitsImplementation, "0x"))
        .to.be.revertedWithCustomError(exits, "AccessManagedUnauthorized")
        .withArgs(stranger.address);
      await expect(exits.connect(governance).upgradeToAndCall(exitsImplementation, "0x"))
        .to.emit(exits, "Upgraded")
        .withArgs(exitsImplementation.target);
      expect((await exits.demand()).confirmed).to.equal(3n);
      const slot = slotOf("ValidatorExits");
      // behind the turns and the two bitmaps
      expect(BigInt(await provider.getStorage(exits.target, slot + 5n))).to.equal(3n);
      for (let i = 0n; i < 8n; ++i) expect(BigInt(await provider.getStorage(exits.target, i))).to.equal(0n);
    });

    it("works on for everyone while the AccessManager has closed it", async () => {
      const on = await loadFunded();
      const { exits, manager, governance, stranger, validators } = on;
      await manager.connect(governance).setTargetClosed(exits, true);
      await on.need(1n);
      await exits.connect(stranger).requestExits(1n, [validators[0]!.publicKey]);
      await on.enter(START + 4n);
      await exits.connect(stranger).forceExits([validators[0]!.publicKey], 1n, { value: 1n });
      await on.report([validators[0]!.id]);
    });
  });

  describe("demand", () => {
    it("is what cannot be paid, in validators, rounded up", async () => {
      const on = await load();
      for (const [shortage, needed] of [
        [0n, 0n],
        [1n, 1n],
        [VALIDATOR_WEI - 1n, 1n],
        [VALIDATOR_WEI, 1n],
        [VALIDATOR_WEI + 1n, 2n],
        [100n * VALIDATOR_WEI, 100n],
      ] as const) {
        await on.setTerms({ queued: 7n + shortage, buffered: 7n });
        expect(await on.demand(), `${shortage}`).to.deep.equal([shortage, 0n, needed, 0n, needed]);
      }
      await on.setTerms({ queued: 7n, buffered: 8n });
      expect(await on.demand()).to.deep.equal([0n, 0n, 0n, 0n, 0n]);
    });

    it("counts the queue and what is owed, less the buffer and all that lies in the two vaults", async () => {
      const on = await load();
      const { vault, parts, deployer } = on;
      await on.setTerms({ queued: 64n * ETHER, owed: 3n, buffered: 50n });
      expect((await on.demand())[0]).to.equal(64n * ETHER - 47n);
      await deployer.sendTransaction({ to: vault, value: 700n });
      expect((await on.demand())[0]).to.equal(64n * ETHER - 747n);
      await on.helpers.setBalance(parts.rewardsVault, 9_000n);
      expect(await on.demand()).to.deep.equal([64n * ETHER - 9_747n, 0n, 2n, 0n, 2n]);
      await deployer.sendTransaction({ to: vault, value: 32n * ETHER - 9_747n });
      expect(await on.demand()).to.deep.equal([32n * ETHER, 0n, 1n, 0n, 1n]);
      await deployer.sendTransaction({ to: vault, value: 32n * ETHER - 1n });
      expect(await on.demand()).to.deep.equal([1n, 0n, 1n, 0n, 1n]);
      await deployer.sendTransaction({ to: vault, value: 1n });
      expect(await on.demand()).to.deep.equal([0n, 0n, 0n, 0n, 0n]);
      await deployer.sendTransaction({ to: vault, value: 1n });
      expect(await on.demand()).to.deep.equal([0n, 0n, 0n, 0n, 0n]);
    });

    it("is nothing while nobody waits, whatever is owed to the operations", async () => {
      const on = await load();
      await on.setTerms({ queued: 0n, owed: 100n * ETHER });
      expect(await on.demand()).to.deep.equal([0n, 0n, 0n, 0n, 0n]);
      await on.setTerms({ queued: 1n, owed: 100n * ETHER });
      expect(await on.demand()).to.deep.equal([100n * ETHER + 1n, 0n, 4n, 0n, 4n]);
    });

    it("is less by what is confirmed and what is on its way, and never below nothing", async () => {
      const on = await loadFunded();
      const { validators } = on;
      await on.need(4n);
      await on.request(...pick(validators, 1, 2));
      expect(await on.demand()).to.deep.equal([4n * VALIDATOR_WEI, 0n, 4n, 2n, 2n]);
      await on.report([validators[0]!.id, validators[6]!.id]);
      expect(await on.demand()).to.deep.equal([4n * VALIDATOR_WEI, 2n, 2n, 1n, 1n]);
      await on.setTerms({ queued: VALIDATOR_WEI + 1n });
      expect(await on.demand()).to.deep.equal([VALIDATOR_WEI + 1n, 2n, 0n, 1n, 0n]);
      await on.need(3n);
      expect(await on.demand()).to.deep.equal([3n * VALIDATOR_WEI, 2n, 1n, 1n, 0n]);
    });

    it("counts requests in their frame and in as many whole ones as are given, to the second", async () => {
      const on = await loadFunded();
      await on.need(5n);
      await on.request(...pick(on.validators, 1, 2));
      await on.enter(START + 1n);
      await on.request(...pick(on.validators, 3));
      const { time } = on.helpers;
      for (const [at, underway] of [
        [Exiting.time(START + 3n), 3n],
        [Exiting.time(START + 4n, -1n), 3n],
        [Exiting.time(START + 4n), 1n],
        [Exiting.time(START + 5n, -1n), 1n],
        [Exiting.time(START + 5n), 0n],
      ] as const) {
        await time.increaseTo(at);
        expect(await on.demand(), `${at}`).to.deep.equal([5n * VALIDATOR_WEI, 0n, 5n, underway, 5n - underway]);
      }
    });

    it("works from the chain's first frame on", async () => {
      const { exitsParts, deployer, helpers } = await load();
      const { time } = helpers;
      const genesisTime = BigInt(await time.latest()) + 100n;
      const fresh = await new ValidatorExits__factory(deployer).deploy(exitsParts, { ...FRAMES, genesisTime }, 30n);
      for (const frame of [0n, 1n, 29n, 31n]) {
        await time.increaseTo(genesisTime + frame * FRAME_SECONDS);
        expect([...(await fresh.demand())]).to.deep.equal([0n, 0n, 0n, 0n, 0n]);
      }
    });
  });

  describe("the order", () => {
    it("is that of deposits, over all clusters", async () => {
      const on = await loadFunded();
      const { validators, exits, askedAll } = on;
      expect(validators.map(({ cluster }) => cluster)).to.deep.equal([1n, 1n, 2n, 2n, 1n, 1n, 3n, 3n, 2n]);
      expect(validators.map(({ id }) => id)).to.deep.equal([2n, 1n, 4n, 3n, 6n, 5n, 8n, 7n, 9n]);
      await on.need(20n);
      for (const orders of [[1, 2], [3, 4], [5, 6], [7], [8], [9]]) {
        expect(await on.next()).to.deep.equal([0n, BigInt(orders[0]!)]);
        for (const wrong of validators.slice(orders[0])) {
          await expect(on.request(wrong))
            .to.be.revertedWithCustomError(exits, "NotNext")
            .withArgs(wrong.id, wrong.depositOrder, BigInt(orders[0]!));
        }
        const some = pick(validators, ...orders);
        expect(await on.told(on.request(...some))).to.deep.equal(askedAll(some));
      }
      // none is left
      expect(await on.next()).to.deep.equal([0n, 10n]);
      const [tenth] = await on.fund(3n, 1);
      expect(await on.next()).to.deep.equal([0n, 10n]);
      await on.request(tenth!);
      expect(await on.next()).to.deep.equal([0n, 11n]);
    });

    it("begins with retired clusters, the lowest first, in each with its oldest", async () => {
      const on = await loadFunded();
      const { validators, exits } = on;
      await on.need(20n);
      await on.request(...pick(validators, 1));
      await on.setActive(3n, false);
      expect(await on.next()).to.deep.equal([3n, 1n]);
      await on.setActive(2n, false);
      expect(await on.next()).to.deep.equal([2n, 1n]);
      for (const [order, cluster] of [
        [2, 1n],
        [7, 3n],
      ] as const) {
        await expect(on.request(...pick(validators, order)))
          .to.be.revertedWithCustomError(exits, "RetiredClusterFirst")
          .withArgs(cluster, 2n);
      }
      // its second and third are the fourth and ninth of all
      for (const [order, clusterOrder] of [
        [4, 2n],
        [9, 3n],
      ] as const) {
        const [wrong] = pick(validators, order);
        await expect(on.request(wrong!))
          .to.be.revertedWithCustomError(exits, "NotNext")
          .withArgs(wrong!.id, clusterOrder, 1n);
      }
      await on.request(...pick(validators, 3));
      expect(await on.next()).to.deep.equal([2n, 2n]);
      await on.request(...pick(validators, 4, 9));
      expect(await on.next()).to.deep.equal([3n, 1n]);
      await expect(on.request(...pick(validators, 2)))
        .to.be.revertedWithCustomError(exits, "RetiredClusterFirst")
        .withArgs(1n, 3n);
      // one that was asked for already may be asked for again whatever is retired
      expect(await on.told(on.request(...pick(validators, 1)))).to.deep.equal(on.askedAll(pick(validators, 1), true));
      await on.request(...pick(validators, 7, 8));
      expect(await on.next()).to.deep.equal([0n, 2n]);
      await on.request(...pick(validators, 2, 5, 6));
      expect(await on.next()).to.deep.equal([0n, 10n]);
    });

    it("passes over the turns that a retired cluster took, also when the cluster is open again", async () => {
      const on = await loadFunded();
      const { validators } = on;
      await on.need(20n);
      await on.setActive(2n, false);
      await on.request(...pick(validators, 3));
      await on.setActive(2n, true);
      expect(await on.next()).to.deep.equal([0n, 1n]);
      await on.request(...pick(validators, 1, 2));
      // the third is taken
      expect(await on.next()).to.deep.equal([0n, 4n]);
      await on.request(...pick(validators, 4));
      await on.setActive(2n, false);
      // its first two are gone
      expect(await on.next()).to.deep.equal([2n, 3n]);
      await on.setActive(1n, false);
      expect(await on.next()).to.deep.equal([1n, 3n]);
      await on.request(...pick(validators, 5, 6));
      await on.request(...pick(validators, 9));
      expect(await on.next()).to.deep.equal([0n, 7n]);
      // grows after all its validators' turns have come
      await on.setActive(1n, true);
      const [young] = await on.fund(1n, 1);
      expect([young!.depositOrder, young!.clusterOrder]).to.deep.equal([10n, 5n]);
      expect(await on.next()).to.deep.equal([0n, 7n]);
      await on.setActive(1n, false);
      expect(await on.next()).to.deep.equal([1n, 5n]);
      await on.request(young!);
      await on.request(...pick(validators, 7, 8));
      expect(await on.next()).to.deep.equal([0n, 11n]);
    });

    it("counts a retired cluster's deposits that came after it was retired", async () => {
      const on = await loadFunded();
      const { registry } = on;
      const entries = await on.register(3n, 2);
      await on.setActive(3n, false);
      await on.need(20n);
      await on.request(...pick(on.validators, 7, 8));
      expect(await on.next()).to.deep.equal([0n, 1n]);
      await on.actions.deposit(3n, entries);
      expect(await on.next()).to.deep.equal([3n, 3n]);
      expect((await registry.validator(entries[0]!.publicKey)).clusterOrder).to.equal(3n);
      await on.request({ cluster: 3n, publicKey: entries[0]!.publicKey });
      expect(await on.next()).to.deep.equal([3n, 4n]);
    });

    it("has no gap between 256 deposits and the next", async () => {
      const on = await load();
      const { registry, exits, provider } = on;
      await on.actions.addCluster();
      await on.actions.addCluster();
      // 250 were deposited, and their turns have come
      const counts = BigInt(await provider.getStorage(registry, REGISTRY_LAYOUT));
      await on.helpers.setStorageAt(
        registry.target as string,
        toBeHex(REGISTRY_LAYOUT, 32),
        toBeHex(counts | (250n << 96n), 32),
      );
      const firstWord = keccak256(concat([toBeHex(0, 32), toBeHex(slotOf("ValidatorExits") + 1n, 32)]));
      await on.helpers.setStorageAt(exits.target as string, firstWord, toBeHex(2n ** 250n - 1n, 32));
      expect(await on.next()).to.deep.equal([0n, 251n]);
      const validators: Funded[] = [];
      for (const [cluster, count] of [
        [1n, 2],
        [2n, 6],
        [1n, 4],
      ] as const) {
        validators.push(...(await on.fund(cluster, count)));
      }
      expect(validators.map(({ depositOrder }) => depositOrder)).to.deep.equal(
        [...Array(12).keys()].map((i) => BigInt(251 + i)),
      );
      await on.need(300n);
      await on.setActive(2n, false);
      await on.request(...validators.slice(2, 8));
      await on.setActive(2n, true);
      expect(await on.next()).to.deep.equal([0n, 251n]);
      await on.request(validators[0]!);
      expect(await on.next()).to.deep.equal([0n, 252n]);
      // fills the first word; two turns of the second came before
      await on.request(validators[1]!);
      expect(await on.next()).to.deep.equal([0n, 259n]);
      await on.request(...validators.slice(8));
      expect(await on.next()).to.deep.equal([0n, 263n]);
    });

    it("passes over validators that leave or have left by themselves, named all the same", async () => {
      const on = await loadFunded();
      const { validators, exits, asked } = on;
      const [first, second, third, fourth, fifth, sixth] = validators as [
        Funded,
        Funded,
        Funded,
        Funded,
        Funded,
        Funded,
      ];
      await on.need(6n);
      await on.report([first.id, fourth.id], [second.id, sixth.id]);
      expect(await on.next()).to.deep.equal([0n, 1n]);
      expect(await on.told(on.request(first, second))).to.deep.equal([
        `ExitPassedOver ${first.id}`,
        `ExitPassedOver ${second.id}`,
      ]);
      expect(await on.demand()).to.deep.equal([6n * VALIDATOR_WEI, 2n, 4n, 0n, 4n]);
      expect(await on.status(first)).to.deep.equal([false, true, false, undefined, undefined]);
      expect(await on.status(second)).to.deep.equal([false, false, true, undefined, undefined]);
      await on.request(third);
      // in one call with others, before them or behind
      await on.report([], [fourth.id]);
      await on.request(fourth);
      expect(await on.told(on.request(fifth, sixth))).to.deep.equal([
        asked(fifth)[0],
        `ExitPassedOver ${sixth.id}`,
        asked(fifth)[1],
      ]);
      for (const passed of [first, sixth]) {
        await expect(on.request(passed))
          .to.be.revertedWithCustomError(exits, "NotNext")
          .withArgs(passed.id, passed.depositOrder, 7n);
      }
    });

    it("passes over as many as have left, though no more may be asked for", async () => {
      const on = await loadFunded();
      const { validators, exits, asked } = on;
      const [first, second, third, fourth] = validators as [Funded, Funded, Funded, Funded];
      await on.need(2n);
      await on.report([], [second.id]);
      expect(await on.told(on.request(first, second))).to.deep.equal([
        asked(first)[0],
        `ExitPassedOver ${second.id}`,
        asked(first)[1],
      ]);
      await on.report([], [third.id, fourth.id]);
      await on.need(1n);
      expect((await exits.demand()).due).to.equal(0n);
      await on.request(third, fourth);
      expect(await on.next()).to.deep.equal([0n, 5n]);
      await on.need(0n);
      await on.report([validators[4]!.id]);
      await expect(on.request(validators[4]!)).to.be.revertedWithCustomError(exits, "ExitsNotDue").withArgs(0n, 1n);
    });

    it("passes over validators that are out of SSV already", async () => {
      const on = await loadFunded();
      const { validators, registry } = on;
      const [first, second, third, fourth] = validators as [Funded, Funded, Funded, Funded];
      await on.report([], [first.id, third.id, fourth.id]);
      await registry.remove(1n, [first.publicKey], await on.actions.snapshot(1n));
      await registry.remove(2n, [fourth.publicKey, third.publicKey], await on.actions.snapshot(2n));
      await on.need(2n);
      expect(await on.told(on.request(first, second))).to.deep.equal([
        `ExitPassedOver ${first.id}`,
        ...on.asked(second),
      ]);
      await on.setActive(2n, false);
      expect(await on.told(on.request(third, fourth))).to.deep.equal([
        `ExitPassedOver ${third.id}`,
        `ExitPassedOver ${fourth.id}`,
      ]);
      expect(await on.next()).to.deep.equal([2n, 3n]);
    });
  });

  describe("requestExits", () => {
    it("asks the operators, and remembers when", async () => {
      const on = await loadFunded();
      const { validators, askedAll } = on;
      const [first, second] = pick(validators, 1, 2);
      await on.enter(START + 2n);
      await on.need(2n);
      expect(await on.told(on.request(first!, second!))).to.deep.equal(askedAll([first!, second!]));
      expect(await on.status(first!)).to.deep.equal([true, false, false, 2n, 6n]);
      expect(await on.status(second!)).to.deep.equal([true, false, false, 2n, 6n]);
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 0n, 2n, 2n, 0n]);
    });

    it("asks for nobody, and for no more than are due", async () => {
      const on = await loadFunded();
      const { exits, validators } = on;
      await expect(exits.requestExits(1n, [])).to.be.revertedWithCustomError(exits, "EmptyList");
      await expect(on.request(validators[0]!)).to.be.revertedWithCustomError(exits, "ExitsNotDue").withArgs(0n, 0n);
      await on.need(1n);
      await expect(on.request(...pick(validators, 1, 2)))
        .to.be.revertedWithCustomError(exits, "ExitsNotDue")
        .withArgs(1n, 0n);
      expect(await on.status(validators[0]!)).to.deep.equal([false, false, false, undefined, undefined]);
      await on.setTerms({ queued: VALIDATOR_WEI + 1n });
      await on.request(...pick(validators, 1));
      await on.request(...pick(validators, 2));
      await expect(on.request(...pick(validators, 3)))
        .to.be.revertedWithCustomError(exits, "ExitsNotDue")
        .withArgs(2n, 2n);
      await on.enter(START + 4n);
      await on.request(...pick(validators, 3));
      await on.setActive(2n, false);
      await expect(on.request(...pick(validators, 4, 9)))
        .to.be.revertedWithCustomError(exits, "ExitsNotDue")
        .withArgs(2n, 1n);
    });

    it("repeats what was asked for while any are needed, which changes nothing else", async () => {
      const on = await loadFunded();
      const { exits, validators, askedAll } = on;
      const [first, second, fifth] = pick(validators, 1, 2, 5) as [Funded, Funded, Funded];
      await on.need(2n);
      await on.request(first, second);
      await on.enter(START + 1n);
      expect((await exits.demand()).due).to.equal(0n);
      expect(await on.told(on.request(second, first))).to.deep.equal(askedAll([second, first], true));
      expect(await on.status(first)).to.deep.equal([true, false, false, 0n, 4n]);
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 0n, 2n, 2n, 0n]);
      await on.enter(START + 4n);
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 0n, 2n, 0n, 2n]);
      // after its grace, any number, the same twice, and with new ones in one call
      await on.setActive(1n, false);
      await on.need(1n);
      expect(await on.told(on.request(first, fifth, second, first, fifth))).to.deep.equal([
        ...[[first, true] as const, [fifth, false] as const, [second, true] as const, [first, true] as const].map(
          ([validator, repeated]) => on.asked(validator, repeated)[0],
        ),
        on.asked(fifth, true)[0],
        ...[first, fifth, second, first, fifth].map((validator) => on.asked(validator)[1]),
      ]);
      expect(await on.status(first)).to.deep.equal([true, false, false, 0n, 4n]);
      expect(await on.status(fifth)).to.deep.equal([true, false, false, 4n, 8n]);
      expect(await on.demand()).to.deep.equal([VALIDATOR_WEI, 0n, 1n, 1n, 0n]);
      // one that was forced
      await on.need(2n);
      await on.force([first]);
      await on.request(first);
      // not while nothing is needed
      await on.need(0n);
      await expect(on.request(first)).to.be.revertedWithCustomError(exits, "ExitsNotDue").withArgs(0n, 2n);
      await on.need(1n);
      await on.report([validators[8]!.id]);
      await expect(on.request(first)).to.be.revertedWithCustomError(exits, "ExitsNotDue").withArgs(0n, 2n);
    });

    it("refuses what is not funded, of another cluster, or seen leaving after it was asked for", async () => {
      const on = await loadFunded();
      const { exits, validators } = on;
      const [waiting, discarded] = await on.register(1n, 2);
      await on.actions.discard([discarded!.publicKey]);
      await on.need(20n);
      for (const publicKey of [waiting!.publicKey, discarded!.publicKey, `0x${"11".repeat(48)}`, "0x"]) {
        await expect(on.request({ cluster: 1n, publicKey }))
          .to.be.revertedWithCustomError(exits, "NotFunded")
          .withArgs(publicKey);
      }
      const [first, second, third] = validators as [Funded, Funded, Funded];
      for (const [validator, cluster] of [
        [first, 2n],
        [first, 0n],
        [third, 1n],
      ] as const) {
        await expect(exits.requestExits(cluster, [validator.publicKey]))
          .to.be.revertedWithCustomError(exits, "WrongCluster")
          .withArgs(validator.publicKey, validator.cluster, cluster);
      }
      await expect(exits.requestExits(1n, [first.publicKey, third.publicKey]))
        .to.be.revertedWithCustomError(exits, "WrongCluster")
        .withArgs(third.publicKey, 2n, 1n);
      await on.request(first, second);
      await on.report([first.id], [second.id]);
      for (const leaving of [first, second]) {
        await expect(on.request(leaving)).to.be.revertedWithCustomError(exits, "AlreadyExiting").withArgs(leaving.id);
      }
    });
  });

  describe("forceExits", () => {
    /** One validator asked for in frame 0 of two needed; it is frame 4, the first in which it may be forced. */
    async function forceable(connection: Connection) {
      const on = await funded(connection);
      await on.need(2n);
      await on.request(...pick(on.validators, 1, 2));
      await on.enter(START + 4n);
      return on;
    }

    const loadForceable = onOwnChain(forceable);

    it("requests full exits under the pool's credentials, for exactly the fee", async () => {
      const on = await loadForceable();
      const { validators, vault, exits, provider, parts, forced } = on;
      const some = pick(validators, 2, 1);
      expect(await vault.exitFee()).to.equal(1n);
      const sent = await on.force(some);
      expect(await on.told(sent)).to.deep.equal(forced(some));
      await expect(sent).to.changeEtherBalances(
        on.connection.ethers,
        [on.keeper, exits, vault, WITHDRAWAL_REQUESTS_ADDRESS],
        [-2n, 0n, 0n, 2n],
      );
      // what the consensus layer gets: source, key, amount in gwei
      expect(await processWithdrawalRequests(on.connection.provider)).to.equal(
        concat(some.flatMap(({ publicKey }) => [parts.withdrawalVault, publicKey, toBeHex(0, 8)])),
      );
      expect(await provider.getBalance(exits)).to.equal(0n);
    });

    it("returns what the fee leaves, and takes no less and no higher fee", async () => {
      const on = await loadForceable();
      const { validators, exits, keeper } = on;
      const fee = await on.raiseFee(40);
      expect(fee).to.be.greaterThan(5n);
      const some = pick(validators, 1, 2);
      const keys = some.map(({ publicKey }) => publicKey);
      await expect(exits.forceExits(keys, fee - 1n, { value: ETHER }))
        .to.be.revertedWithCustomError(exits, "FeeTooHigh")
        .withArgs(fee, fee - 1n);
      await expect(exits.forceExits(keys, fee, { value: 2n * fee - 1n }))
        .to.be.revertedWithCustomError(exits, "NotEnoughForFee")
        .withArgs(2n * fee - 1n, 2n * fee);
      const sent = await exits.forceExits(keys, fee, { value: ETHER });
      expect(await on.told(sent)).to.deep.equal(on.forced(some, fee));
      await expect(sent).to.changeEtherBalances(
        on.connection.ethers,
        [keeper, exits, WITHDRAWAL_REQUESTS_ADDRESS],
        [-2n * fee, 0n, 2n * fee],
      );
    });

    it("waits for the grace period to the second", async () => {
      const on = await loadFunded();
      const { exits, validators } = on;
      const [first, second] = validators as [Funded, Funded];
      await on.enter(START + 1n);
      await on.need(2n);
      await on.request(first);
      await on.need(9n);
      const { time } = on.helpers;
      for (const [at, frame] of [
        [Exiting.time(START + 1n, 60n), START + 1n],
        [Exiting.time(START + 4n), START + 4n],
        [Exiting.time(START + 5n, -1n), START + 4n],
      ] as const) {
        await time.setNextBlockTimestamp(at);
        await expect(on.force([first]))
          .to.be.revertedWithCustomError(exits, "InGracePeriod")
          .withArgs(first.id, frame, START + 5n);
      }
      await time.setNextBlockTimestamp(Exiting.time(START + 5n));
      await on.force([first]);
      await expect(on.force([second]))
        .to.be.revertedWithCustomError(exits, "NotRequested")
        .withArgs(second.id);
    });

    it("counts as on its way for another grace period, then may be done again", async () => {
      const on = await loadForceable();
      const { exits, validators, forced } = on;
      const [first, second] = validators as [Funded, Funded];
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 0n, 2n, 0n, 2n]);
      await on.force([first]);
      expect(await on.status(first)).to.deep.equal([true, false, false, 4n, 8n]);
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 0n, 2n, 1n, 1n]);
      await on.enter(START + 5n);
      await on.force([second]);
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 0n, 2n, 2n, 0n]);
      await on.enter(START + 7n);
      await on.need(3n);
      await expect(on.force([first]))
        .to.be.revertedWithCustomError(exits, "InGracePeriod")
        .withArgs(first.id, START + 7n, START + 8n);
      await on.need(2n);
      await on.enter(START + 8n);
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 0n, 2n, 1n, 1n]);
      expect(await on.told(on.force([first]))).to.deep.equal(forced([first]));
      expect(await on.status(first)).to.deep.equal([true, false, false, 8n, 12n]);
      // not so from the second time on: it may be one that cannot exit
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 0n, 2n, 1n, 1n]);
      // confirmed after it was forced twice: counted once in all
      await on.report([first.id]);
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 1n, 1n, 1n, 0n]);
      await on.enter(START + 9n);
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 1n, 1n, 0n, 1n]);
    });

    it("counts each once though an upgrade lengthens the grace period", async () => {
      const on = await loadForceable();
      const { exits, exitsParts, deployer, governance, validators } = on;
      const [first, second] = validators as [Funded, Funded];
      await on.force([first]);
      const longer = await new ValidatorExits__factory(deployer).deploy(exitsParts, FRAMES, 30n);
      await exits.connect(governance).upgradeToAndCall(longer, "0x");
      // one forced now, one asked for four frames ago
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 0n, 2n, 2n, 0n]);
      await on.report([second.id]);
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 1n, 1n, 1n, 0n]);
      await on.report([], [first.id]);
      expect(await on.demand()).to.deep.equal([2n * VALIDATOR_WEI, 1n, 1n, 0n, 1n]);
    });

    it("forces nobody, no more than are due, nobody twice, and nobody that was not asked for, not funded, or leaves", async () => {
      const on = await loadForceable();
      const { exits, validators } = on;
      const [first, second, third] = validators as [Funded, Funded, Funded];
      await expect(on.force([])).to.be.revertedWithCustomError(exits, "EmptyList");
      await on.need(1n);
      await expect(on.force([first, second]))
        .to.be.revertedWithCustomError(exits, "ExitsNotDue")
        .withArgs(1n, 0n);
      await on.request(third);
      await expect(on.force([first]))
        .to.be.revertedWithCustomError(exits, "ExitsNotDue")
        .withArgs(1n, 1n);
      await on.need(3n);
      await expect(on.force([first, first]))
        .to.be.revertedWithCustomError(exits, "InGracePeriod")
        .withArgs(first.id, START + 4n, START + 8n);
      await expect(on.force([validators[3]!]))
        .to.be.revertedWithCustomError(exits, "NotRequested")
        .withArgs(validators[3]!.id);
      const unknown = `0x${"22".repeat(48)}`;
      await expect(on.force([{ publicKey: unknown }]))
        .to.be.revertedWithCustomError(exits, "NotFunded")
        .withArgs(unknown);
      await on.report([first.id], [second.id]);
      await on.need(9n);
      for (const leaving of [first, second]) {
        await expect(on.force([leaving]))
          .to.be.revertedWithCustomError(exits, "AlreadyExiting")
          .withArgs(leaving.id);
      }
    });

    it("is not due once ether for the queue has come", async () => {
      const on = await loadForceable();
      const { exits, validators, parts } = on;
      await on.helpers.setBalance(parts.rewardsVault, VALIDATOR_WEI);
      await expect(on.force(pick(validators, 1, 2)))
        .to.be.revertedWithCustomError(exits, "ExitsNotDue")
        .withArgs(1n, 0n);
      await on.force(pick(validators, 2));
    });

    it("needs to know the fee: EIP-7002 must be there, and active", async () => {
      const on = await loadForceable();
      const { exits, vault, validators, helpers } = on;
      const call = () => exits.forceExits([validators[0]!.publicKey], ETHER, { value: ETHER });
      await helpers.setStorageAt(WITHDRAWAL_REQUESTS_ADDRESS, 0, toBeHex(2n ** 256n - 1n, 32));
      await expect(call()).to.be.revertedWithCustomError(vault, "ExitFeeUnknown");
      await helpers.setCode(WITHDRAWAL_REQUESTS_ADDRESS, "0x");
      await expect(call()).to.be.revertedWithCustomError(vault, "ExitFeeUnknown");
    });

    describe("by a contract", () => {
      const loadRecipient = onOwnChain(async (connection) => {
        const on = await forceable(connection);
        const { deployer, exits, validators } = on;
        const caller = await new ClaimRecipient__factory(deployer).deploy();
        const data = (orders: number[]) =>
          exits.interface.encodeFunctionData("forceExits", [
            pick(validators, ...orders).map(({ publicKey }) => publicKey),
            1n,
          ]);
        return Object.assign(on, { caller, data });
      });

      it("that takes no ether must bring the exact fee", async () => {
        const on = await loadRecipient();
        const { caller, exits, data, forced, validators } = on;
        await caller.behave(REFUSES, ZeroAddress, "0x");
        await expect(caller.execute(exits, data([1, 2]), { value: 9n }))
          .to.be.revertedWithCustomError(exits, "SendFailed")
          .withArgs(caller.target, 7n);
        expect(await on.told(caller.execute(exits, data([1, 2]), { value: 2n }))).to.deep.equal(
          forced(pick(validators, 1, 2)),
        );
      });

      it("gets back what is too much", async () => {
        const { caller, exits, data, connection } = await loadRecipient();
        await expect(caller.execute(exits, data([1]), { value: 9n })).to.changeEtherBalances(
          connection.ethers,
          [caller, exits],
          [8n, 0n],
        );
      });

      it("cannot force or ask for more from inside the refund", async () => {
        const on = await loadRecipient();
        const { caller, exits, data, validators, provider } = on;
        await on.need(3n);
        const ask = exits.interface.encodeFunctionData("requestExits", [2n, [validators[2]!.publicKey]]);
        for (const [again, value] of [
          [data([2]), 2n], // with the wei that comes back
          [ask, 1n],
        ] as const) {
          // each alone is in order
          await provider.call({ to: exits, data: again, from: on.keeper, value: value - 1n });
          if (value === 2n) await caller.behave(PAYS_AGAIN, exits, again);
          else await caller.behave(3n, exits, again);
          await expect(caller.execute(exits, data([1]), { value: 2n }))
            .to.be.revertedWithCustomError(exits, "SendFailed")
            .withArgs(caller.target, 1n);
        }
        expect((await exits.demand()).underway).to.equal(0n);
      });
    });
  });

  describe("recordExits", () => {
    it("is for the ReportOracle", async () => {
      const { exits, stranger, reportOracle } = await load();
      await expect(exits.connect(stranger).recordExits([], []))
        .to.be.revertedWithCustomError(exits, "NotAuthorized")
        .withArgs(stranger.address, reportOracle.address);
    });

    it("marks each once, and skips what it does not know", async () => {
      const on = await loadFunded();
      const { exits } = on;
      const last = BigInt(on.validators.length);
      const unknown = [0n, last + 1n, 2n ** 32n - 1n];
      expect(await on.told(on.report(unknown, unknown))).to.deep.equal([]);
      expect(await on.told(on.report([]))).to.deep.equal([]);
      expect((await exits.demand()).confirmed).to.equal(0n);
      expect(await on.told(on.report([3n, 0n, 3n, last, 10n], [5n, 5n, 11n, 1n]))).to.deep.equal([
        "Exiting 3",
        `Exiting ${last}`,
        "Exited 5",
        "Exited 1",
      ]);
      expect((await exits.demand()).confirmed).to.equal(2n);
      expect(await on.told(on.report([3n, 5n, 1n], [1n, 5n]))).to.deep.equal([]);
      for (let id = 0n; id <= last + 1n; id++) {
        const [exiting, exited] = [[3n, last].includes(id), [1n, 5n].includes(id)];
        expect(await on.status({ id }), `${id}`).to.deep.equal([false, exiting, exited, undefined, undefined]);
        expect(await exits.isExited(id), `${id}`).to.equal(exited);
      }
      expect(await on.told(on.report([], [3n, last]))).to.deep.equal(["Exited 3", `Exited ${last}`]);
      expect((await exits.demand()).confirmed).to.equal(0n);
      // the id is not new any more when it comes
      const [tenth] = await on.fund(1n, 1);
      expect(await on.status(tenth!)).to.deep.equal([false, false, false, undefined, undefined]);
    });

    it("counts one that both lists name as gone", async () => {
      const on = await loadFunded();
      const [first, second] = on.validators as [Funded, Funded];
      await on.need(3n);
      await on.request(first);
      expect(await on.told(on.report([first.id, second.id], [second.id, first.id]))).to.deep.equal([
        `Exiting ${first.id}`,
        `Exiting ${second.id}`,
        `Exited ${second.id}`,
        `Exited ${first.id}`,
      ]);
      expect(await on.status(first)).to.deep.equal([true, true, true, 0n, 4n]);
      expect(await on.demand()).to.deep.equal([3n * VALIDATOR_WEI, 0n, 3n, 0n, 3n]);
    });

    it("confirms a request of any age, forced or not, and takes it off what is on its way once", async () => {
      const on = await loadFunded();
      const { validators } = on;
      const [first, second, third, fourth, fifth] = validators as [Funded, Funded, Funded, Funded, Funded];
      const rest = async () => (await on.demand()).slice(1);
      await on.need(5n);
      await on.request(first, second);
      await on.enter(START + 1n);
      await on.request(third, fourth);
      expect(await rest()).to.deep.equal([0n, 5n, 4n, 1n]);
      // young: one needed and one on its way less
      await on.report([first.id]);
      expect(await rest()).to.deep.equal([1n, 4n, 3n, 1n]);
      // old: it counted as nothing
      await on.enter(START + 4n);
      expect(await rest()).to.deep.equal([1n, 4n, 2n, 2n]);
      await on.report([second.id]);
      expect(await rest()).to.deep.equal([2n, 3n, 2n, 1n]);
      // forced
      await on.enter(START + 5n);
      await on.force([third, fourth]);
      expect(await rest()).to.deep.equal([2n, 3n, 2n, 1n]);
      await on.report([third.id]);
      expect(await rest()).to.deep.equal([3n, 2n, 1n, 1n]);
      // gone without having been seen leaving
      await on.report([], [fourth.id]);
      expect(await rest()).to.deep.equal([3n, 2n, 0n, 2n]);
      // confirmed before, gone now; one that nobody asked for
      await on.report([], [first.id, fifth.id]);
      expect(await rest()).to.deep.equal([2n, 3n, 0n, 3n]);
      await on.report([], [second.id, third.id]);
      expect(await rest()).to.deep.equal([0n, 5n, 0n, 5n]);
    });

    it("keeps ids beyond one word apart", async () => {
      const on = await load();
      const { exits, registry } = on;
      // 600 validators ever registered
      await on.helpers.setStorageAt(registry.target as string, toBeHex(REGISTRY_LAYOUT, 32), toBeHex(600n, 32));
      const [leaving, gone] = [
        [1n, 255n, 512n],
        [256n, 257n, 511n, 600n],
      ];
      await on.report([...leaving, 601n], [...gone, 601n]);
      for (let id = 0n; id <= 601n; id++) {
        if (id % 50n !== 1n && ![...leaving, ...gone].includes(id)) continue;
        const { exiting, exited } = await exits.status(id);
        expect([exiting, exited], id.toString()).to.deep.equal([leaving.includes(id), gone.includes(id)]);
      }
    });
  });
});
