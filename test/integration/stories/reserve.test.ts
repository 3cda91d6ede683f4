import { expect } from "chai";
import { Contract, parseEther } from "ethers";
import { startLocalPool, type LocalCluster, type LocalPool } from "../../../devnet/pool.js";
import { recordingLogger } from "./story.js";
import { forceVetting } from "./support.js";

/** SSV lets an operator lower its fee at once. */
const REDUCE_FEE = ["function reduceOperatorFee(uint64 operatorId, uint256 fee)"];

describe("stories: the reserve", () => {
  let pool: LocalPool;
  const { logger, records } = recordingLogger();

  /** What the keeper sent since it was asked last, in that order. */
  const sent = (): unknown[] =>
    records
      .splice(0)
      .filter(({ msg }) => msg.startsWith("sent: "))
      .map(({ job }) => job);
  const registered = async (position: number): Promise<bigint> =>
    (await pool.registry.cluster(pool.clusters[position]!.clusterId)).registered;
  const publishAndVet = async (position: number): Promise<void> => {
    const cluster = pool.clusters[position]!;
    await forceVetting(pool, cluster, await pool.publish(cluster, await pool.prepare(cluster, 1)));
  };
  const fund = (amountWei: bigint): Promise<unknown> =>
    pool.devnet.mineTx(pool.reserve.connect(pool.user(1)).fund({ value: amountWei }));

  before(async () => {
    pool = await startLocalPool({
      clusterSizes: [4],
      parameters: (same) => ({ ...same, reserve: { ...same.reserve, seedEth: "0" } }),
    });
    await pool.addCluster(pool.clusters[0]!.operators);
    await pool.stake(pool.user(0), parseEther("100"));
  });
  after(() => pool.close());

  it("a cluster whose runway is low gets its ETH before a new validator does", async () => {
    const { devnet, registry, reserve, governance } = pool;
    const { burnPerValidator } = await registry.cluster(pool.clusters[0]!.clusterId);
    const cost = async (): Promise<bigint> => reserve.registrationCost(burnPerValidator, 1);
    await fund(await cost());
    await publishAndVet(0);
    await pool.start("keeper", 0, { logger });
    await devnet.advanceUntil(async () => (await registered(0)) === 1n, 10);
    expect(await reserve.balance()).to.equal(0n);

    // every runway is low from now on, and what there is would pay for the new validator alone
    const { targetBlocks } = await reserve.runway();
    await devnet.mineTx(reserve.connect(governance).setRunway(2n * targetBlocks, 2n * targetBlocks - 1n));
    await publishAndVet(1);
    sent();
    await fund(await cost());
    await devnet.advance(2);
    expect(new Set(sent())).to.deep.equal(new Set(["top-up"]));
    expect(await registered(1)).to.equal(0n);
    expect((await reserve.balance()) < (await cost())).to.equal(true);

    await fund(2n * (await cost()));
    await devnet.advanceUntil(async () => (await registered(1)) === 1n, 10);
    expect(sent().slice(-2)).to.deep.equal(["top-up", "register"]);
  });

  it("a new validator is paid by the fees that SSV has now", async () => {
    const { devnet, registry, reserve, governance, ssv, ssvOwner } = pool;
    const [first, second] = pool.clusters;
    const burnWei = async ({ clusterId }: LocalCluster): Promise<bigint> =>
      (await registry.cluster(clusterId)).burnPerValidator;
    const before = await burnWei(first!);
    const { targetBlocks } = await reserve.runway();
    await devnet.mineTx(reserve.connect(governance).setRunway(targetBlocks / 2n, targetBlocks / 4n));
    await fund(await reserve.registrationCost(before, 1));
    const batch = await pool.publish(first!, await pool.prepare(first!, 1));
    sent();

    // in the block of the vetting
    const network = new Contract(await ssv.network.getAddress(), REDUCE_FEE, ssvOwner);
    await network.getFunction("reduceOperatorFee").send(first!.operatorIds[0], 0n, { gasLimit: 300_000n });
    await forceVetting(pool, first!, batch);
    await devnet.advance(1);
    expect(sent()).to.deep.equal(["sync-fees", "sync-fees", "register"]);
    expect(await registered(0)).to.equal(2n);
    const now = await burnWei(first!);
    expect(now < before).to.equal(true);
    expect(await burnWei(second!)).to.equal(now);
    expect(await reserve.totalBurnRate()).to.equal(3n * now);
    const [paid] = (await reserve.queryFilter(reserve.filters.Paid())).slice(-1);
    expect(paid?.args.amount).to.equal(await reserve.registrationCost(now, 1));
    await devnet.advance(2);
    expect(sent()).to.deep.equal([]);
  });
});
