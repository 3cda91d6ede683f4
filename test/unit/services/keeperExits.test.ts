import { expect } from "chai";
import { parseEther } from "ethers";
import { WITHDRAWAL_REQUESTS_ADDRESS } from "../../../devnet/execution/predeploys.js";
import { entriesOf, processWithdrawalRequests } from "../registry/support.js";
import { deployForKeeper } from "./keeperSupport.js";

/** The keeper's part in exits on the pool's contracts as they are deployed: each transaction of a round is accepted in one block. */
describe("keeper and exits", () => {
  let pool: Awaited<ReturnType<typeof deployForKeeper>>;
  let start: Awaited<ReturnType<typeof pool.networkHelpers.takeSnapshot>>;
  const SLOTS_PER_FRAME = 32;
  const FRAME_SECONDS = SLOTS_PER_FRAME * 12;
  const GRACE_FRAMES = 2;

  before(async () => {
    pool = await deployForKeeper();
    for (const count of [2, 3]) {
      const cluster = await pool.actions.addCluster();
      await pool.actions.grow(cluster, count);
    }
    await pool.report();
    start = await pool.networkHelpers.takeSnapshot();
  });
  afterEach(() => start.restore());
  after(() => pool.close());

  /** Asks for so much that `validators` have to exit. */
  const redeem = async (validators: number, needed = validators): Promise<void> => {
    const { buffered, queued } = await pool.manager.totals();
    await pool.token.requestWithdrawal(buffered - queued + parseEther(String(32 * validators)), pool.stranger);
    expect((await pool.exits.demand()).needed).to.equal(BigInt(needed));
  };
  const states = async (...ids: number[]) =>
    Promise.all(
      ids.map(async (id) => {
        const { asked, exiting, exited } = await pool.exits.status(id);
        return exited ? "exited" : exiting ? "exiting" : asked ? "asked" : "";
      }),
    );

  it("asks for the oldest, in a transaction a round for each run of a cluster, until as many are underway as are needed", async () => {
    const keeper = await pool.startKeeper();
    expect(await keeper.round()).to.deep.equal({});
    await redeem(4);
    expect(await keeper.round()).to.deep.equal({ "request-exits sent": 1 });
    expect(await states(1, 2, 3, 4, 5)).to.deep.equal(["asked", "asked", "", "", ""]);
    expect(await keeper.round()).to.deep.equal({ "request-exits sent": 1 });
    expect(await states(1, 2, 3, 4, 5)).to.deep.equal(["asked", "asked", "asked", "asked", ""]);
    expect(await keeper.round()).to.deep.equal({});
  });

  /** The last report comes; it has seen nobody leave. */
  const graceEnds = async (): Promise<void> => {
    await pool.networkHelpers.time.increase(GRACE_FRAMES * FRAME_SECONDS);
    await pool.report();
  };
  /** What the EIP-7002 contract gives to the consensus layer: how many requests, and for whom. */
  const forced = async (): Promise<string[]> => {
    const requests = (await processWithdrawalRequests(pool.provider)).slice(2);
    const size = 2 * (20 + 48 + 8);
    return Array.from(
      { length: requests.length / size },
      (_, i) => `0x${requests.slice(i * size + 40, i * size + 136)}`,
    );
  };
  const publicKeys = async (...ids: number[]) => {
    const events = await pool.registry.queryFilter(pool.registry.filters.Published());
    const entries = events.flatMap(({ args }) => {
      const stride = (args.data.length - 2) / Number(args.count);
      return Array.from(
        { length: Number(args.count) },
        (_, i) => `0x${args.data.slice(2 + i * stride, 98 + i * stride)}`,
      );
    });
    return ids.map((id) => entries[id - 1]!);
  };
  const setFee = async (excess: bigint): Promise<void> => {
    await pool.networkHelpers.setStorageAt(WITHDRAWAL_REQUESTS_ADDRESS, 0, excess);
  };

  it("begins with the retired cluster, and passes over whoever leaves by itself", async () => {
    await pool.registry.connect(pool.governance).setCluster(2, false, 100);
    await pool.report({ exiting: [1, 3] });
    await redeem(4, 2); // two more than those that leave by themselves
    const keeper = await pool.startKeeper();
    expect(await keeper.round()).to.deep.equal({ "request-exits sent": 1 });
    expect(await states(1, 2, 3, 4, 5)).to.deep.equal(["exiting", "", "exiting", "asked", "asked"]);
    expect(
      (await pool.exits.queryFilter(pool.exits.filters.ExitPassedOver())).map(({ args }) => args.id),
    ).to.deep.equal([3n]);
  });

  it("asks again, a frame after, for whom no report has seen leave, while they are needed", async () => {
    await redeem(2);
    const keeper = await pool.startKeeper();
    await keeper.round();
    await pool.networkHelpers.mine(SLOTS_PER_FRAME - 1);
    expect(await keeper.round()).to.deep.equal({});
    expect(await keeper.round()).to.deep.equal({ "request-exits sent": 1 });
    expect(await keeper.round()).to.deep.equal({});
    const repeats = (await pool.exits.queryFilter(pool.exits.filters.ExitRequested())).filter(
      ({ args }) => args.repeated,
    );
    expect(repeats.map(({ args }) => args.id)).to.deep.equal([1n, 2n]);
    await pool.report({ exiting: [1] });
    await pool.networkHelpers.mine(SLOTS_PER_FRAME);
    await keeper.round();
    const later = (await pool.exits.queryFilter(pool.exits.filters.ExitRequested())).filter(
      ({ args }) => args.repeated,
    );
    expect(later.map(({ args }) => args.id)).to.deep.equal([1n, 2n, 2n]);
  });

  it("forces whom the operators do not exit in time, at the fee of EIP-7002, and gets back what is too much", async () => {
    await redeem(4);
    const keeper = await pool.startKeeper();
    await keeper.round();
    await keeper.round();
    await graceEnds();
    await setFee(60n); // 33 wei
    const balance = () => pool.ethers.provider.getBalance(keeper.key.address);
    const before = await balance();
    expect(await keeper.round()).to.deep.equal({ "force-exits sent": 1 });
    const block = await pool.ethers.provider.getBlock("latest");
    const receipt = await pool.ethers.provider.getTransactionReceipt(block!.transactions[0]!);
    expect(before - (await balance()) - receipt!.fee).to.equal(4n * 33n);
    expect(await forced()).to.deep.equal(await publicKeys(1, 2, 3, 4));
    expect(await keeper.round()).to.deep.equal({});
  });

  it("asks others before it forces one again: who can never exit does not stand in their way", async () => {
    await redeem(1);
    const keeper = await pool.startKeeper();
    await keeper.round();
    await graceEnds();
    expect(await keeper.round()).to.deep.equal({ "force-exits sent": 1 });
    expect(await forced()).to.deep.equal(await publicKeys(1));
    await graceEnds();
    expect(await keeper.round()).to.deep.equal({ "request-exits sent": 1 });
    expect(await states(1, 2)).to.deep.equal(["asked", "asked"]);
    await graceEnds();
    expect(await keeper.round()).to.deep.equal({ "force-exits sent": 1 });
    expect(await forced()).to.deep.equal(await publicKeys(2));
  });

  it("asks the next while the fee is above its limit, and says so once", async () => {
    await redeem(2);
    const keeper = await pool.startKeeper({ exits: { maxFeeWei: 32 } });
    await keeper.round();
    await graceEnds();
    await setFee(60n);
    expect(await keeper.round()).to.deep.equal({ "request-exits sent": 1 });
    await keeper.round();
    expect(await states(1, 2, 3, 4, 5)).to.deep.equal(["asked", "asked", "asked", "asked", ""]);
    expect(keeper.said.filter((line) => line.includes("exits.maxFeeWei"))).to.have.length(1);
    expect(await forced()).to.deep.equal([]);
  });

  it("removes from SSV, with the cluster's latest snapshot, what has exited or was discarded", async () => {
    await pool.report({ exited: [1, 4], arrivedWei: parseEther("64") });
    const keeper = await pool.startKeeper();
    const counts = async () => [
      (await pool.registry.cluster(1)).registered,
      (await pool.registry.cluster(2)).registered,
    ];
    expect(await counts()).to.deep.equal([2n, 3n]);
    expect(await keeper.round()).to.deep.equal({ "remove sent": 2 });
    expect(await counts()).to.deep.equal([1n, 2n]);
    expect(await keeper.round()).to.deep.equal({});
  });

  it("removes what was discarded, too", async () => {
    const batch = await pool.actions.publishAndVet(1n, entriesOf("unfit", 2));
    await pool.actions.register(batch);
    await pool.actions.discard([batch.entries[1]!.publicKey]);
    const keeper = await pool.startKeeper();
    expect(await keeper.round()).to.deep.equal({ "remove sent": 1 });
    const removed = await pool.registry.queryFilter(pool.registry.filters.Removed());
    expect(removed.map(({ args }) => args.id)).to.deep.equal([7n]);
  });

  it("asks, forces and removes in a cluster that is liquidated and that an operator has left", async () => {
    const { owner, operatorIds } = await pool.actions.owner(1n);
    await pool.ssv.network.connect(pool.deployer).removeOperator(operatorIds[0]!);
    await pool.networkHelpers.mine(3_000_000); // more blocks than anything paid for
    await pool.networkHelpers.time.increase(12 * SLOTS_PER_FRAME);
    await pool.ssv.network.liquidate(owner, operatorIds, await pool.actions.snapshot(1n));
    await pool.report();
    await redeem(2);
    const keeper = await pool.startKeeper();
    const first = await keeper.round();
    expect(first["request-exits sent"]).to.equal(1);
    expect(await states(1, 2)).to.deep.equal(["asked", "asked"]);
    await graceEnds();
    expect((await keeper.round())["force-exits sent"]).to.equal(1);
    await pool.report({ exited: [1, 2], arrivedWei: parseEther("64") });
    await keeper.round();
    expect((await pool.registry.cluster(1)).registered).to.equal(0n);
    expect((await pool.actions.snapshot(1n)).validatorCount).to.equal(0n);
  });

  it("goes on with exits and removes nothing while SSV Network's code is not known", async () => {
    await pool.ssv.network.connect(pool.stranger).upgradeForTest();
    await pool.report({ exited: [1], arrivedWei: parseEther("32") });
    await redeem(1);
    const keeper = await pool.startKeeper();
    expect(await keeper.round()).to.deep.equal({ "request-exits sent": 1 });
    expect(await states(1, 2)).to.deep.equal(["exited", "asked"]);
    expect(keeper.said.filter((line) => line.startsWith("registering and removing nothing"))).to.have.length(1);
  });

  it("asks although SSV's views fail, and although EIP-7002 tells no fee", async () => {
    await redeem(2);
    const keeper = await pool.startKeeper();
    await pool.networkHelpers.setCode(await pool.ssv.views.getAddress(), "0xfe");
    const failed = await keeper.round().then(
      () => false,
      () => true,
    );
    expect(failed).to.equal(true);
    expect(await states(1, 2, 3)).to.deep.equal(["asked", "asked", ""]);
    await graceEnds();
    await pool.networkHelpers.setCode(WITHDRAWAL_REQUESTS_ADDRESS, "0xfe");
    await keeper.round().catch(() => undefined);
    expect(await states(1, 2, 3, 4, 5)).to.deep.equal(["asked", "asked", "asked", "asked", ""]);
    expect(keeper.said.some((line) => line.includes("tells no fee"))).to.equal(true);
  });

  it("does everything that is due in one block", async () => {
    await redeem(2);
    const keeper = await pool.startKeeper();
    await keeper.round();
    expect(await states(1, 2, 3, 4, 5)).to.deep.equal(["asked", "asked", "", "", ""]);
    await pool.report({ exited: [1], arrivedWei: parseEther("32") });
    await graceEnds();
    await pool.networkHelpers.mine(SLOTS_PER_FRAME);
    await pool.token.requestWithdrawal(parseEther("64"), pool.stranger);
    expect((await pool.exits.demand()).due).to.equal(3n);
    expect(await keeper.round()).to.deep.equal({ "force-exits sent": 1, "request-exits sent": 2, "remove sent": 1 });
    expect(await forced()).to.deep.equal(await publicKeys(2));
    expect(await states(3, 4, 5)).to.deep.equal(["asked", "asked", ""]);
    expect((await pool.exits.demand()).due).to.equal(0n);
  });

  it("in a dry run says what it would force", async () => {
    await redeem(2);
    await (await pool.startKeeper()).round();
    await graceEnds();
    const dry = await pool.startKeeper({ dryRun: true });
    expect(await dry.round()).to.deep.equal({ "force-exits dry-run": 1 });
  });

  it("tells what is needed and how validators stand", async () => {
    await pool.report({ exiting: [1] });
    await redeem(3, 2);
    const keeper = await pool.startKeeper();
    await keeper.round();
    await keeper.round();
    const figures = async (gauge: typeof keeper.metrics.exitDemand | typeof keeper.metrics.validators) => {
      const { values } = await gauge.get();
      return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels).map(String).join(), value]));
    };
    expect(await figures(keeper.metrics.exitDemand)).to.deep.equal({ needed: 2, confirmed: 1, underway: 1, due: 1 });
    expect(await figures(keeper.metrics.validators)).to.deep.include({
      deposited: 3,
      exiting: 1,
      asked: 1,
      removed: 0,
    });
  });
});
