import { expect } from "chai";
import { concat } from "ethers";
import { depositDataRoot } from "../../../oracle/keys/depositData.js";
import { IDepositContract__factory } from "../../../types/ethers-contracts/index.js";
import {
  asked,
  claimAll,
  expectStaying,
  feesOfABlock,
  idOf,
  latestCluster,
  namedReport,
  openWithValidators,
  paidOutGwei,
  removed,
  reportsUntil,
  request,
  stranger,
} from "./exits.js";
import { eth, expectNoDifference, referenceBlock, traffic, WEI_PER_GWEI, type Story } from "./story.js";
import { Status, statusOf } from "./support.js";

describe("exits that SSV's operators sign", () => {
  let story: Story;
  let keys: string[];
  let ids: bigint[];

  before(async () => {
    ({ story, keys } = await openWithValidators(eth("60"), eth("40"), 3, { devnet: { genesisValidators: 16 } }));
    ids = await Promise.all(keys.map((key) => idOf(story, key)));
    traffic(story);
    await namedReport(story);
  });
  after(() => story.pool.close());

  it("pay requests beyond what is liquid: asked, seen exiting, swept, seen exited, finalised, claimed", async () => {
    const { pool, cluster, alice, bob } = story;
    const { devnet, validatorExits, registry } = pool;
    const [first = "", second = "", third = ""] = keys;
    const { burnPerValidator } = await registry.cluster(cluster.clusterId);
    expect(await feesOfABlock(story)).to.equal(3n * burnPerValidator);
    const aliceId = await request(story, alice, eth("30"));
    const exits = validatorExits.connect(stranger(story));
    const { needed, due } = await validatorExits.demand();
    expect([needed, due]).to.deep.equal([1n, 1n]);
    // the oldest, and no more
    const more = exits.requestExits.staticCall(cluster.clusterId, [first, second]);
    await expect(more).to.be.revertedWithCustomError(exits, "ExitsNotDue").withArgs(1n, 0n);
    const other = exits.requestExits.staticCall(cluster.clusterId, [second]);
    await expect(other).to.be.revertedWithCustomError(exits, "NotNext").withArgs(ids[1], 2n, 1n);
    const bobId = await request(story, bob, eth("20"));
    await asked(story, [first, second]);
    expectStaying(story, keys);
    expect((await validatorExits.demand()).due).to.equal(0n);

    const seen = await reportsUntil(story, ({ exiting }) => exiting.length > 0);
    expect(seen.exiting).to.deep.equal(ids.slice(0, 2));
    expectStaying(story, [third]);
    for (const key of [first, second]) {
      expect(devnet.operators.duties(key).exit).to.deep.equal({ performed: 1, missed: 0 });
    }
    const confirmed = await validatorExits.demand();
    expect([confirmed.confirmed, confirmed.needed, confirmed.underway]).to.deep.equal([2n, 0n, 0n]);
    await expectNoDifference(story);

    const gone = await reportsUntil(story, ({ exited }) => exited.length > 0);
    expect(gone.exited).to.deep.equal(ids.slice(0, 2));
    expect(gone.lastFinalised).to.equal(bobId);
    for (const key of [first, second])
      expect((devnet.validatorByPubkey(key)?.balanceGwei ?? 0n) < WEI_PER_GWEI).to.equal(true);
    const left = await validatorExits.demand();
    expect([left.shortageWei, left.confirmed, left.needed]).to.deep.equal([0n, 0n, 0n]);

    // more than they asked for: until then their shares went on earning
    const [toAlice = 0n, toBob = 0n] = await claimAll(story, gone, [
      { owner: alice, id: aliceId },
      { owner: bob, id: bobId },
    ]);
    expect(toAlice > eth("30") && toBob > eth("20")).to.equal(true);
    await expectNoDifference(story);
  });

  it("end with the removal from SSV, and so do its fees", async () => {
    const { pool, cluster } = story;
    const { registry, reserve, ssv, validatorExits } = pool;
    const gone = keys.slice(0, 2);
    const { burnPerValidator } = await registry.cluster(cluster.clusterId);
    await removed(story, gone);
    expect(await feesOfABlock(story)).to.equal(burnPerValidator);
    expect(await reserve.totalBurnRate()).to.equal(burnPerValidator);
    for (const key of gone) {
      expect(await statusOf(pool, key)).to.equal(Status.Removed);
      expect(await ssv.views.getValidator(cluster.ssvAccount, key)).to.equal(false);
      expect(await validatorExits.isExited(await idOf(story, key))).to.equal(true);
    }
    const snapshot = await latestCluster(story);
    expect(snapshot.validatorCount).to.equal(1n);
    const more = registry.connect(stranger(story)).remove.staticCall(cluster.clusterId, keys.slice(2), snapshot);
    await expect(more).to.be.revertedWithCustomError(registry, "NotRemovable").withArgs(keys[2], Status.Deposited);
    await expectNoDifference(story);
  });

  it("are final: what a stranger deposits for a key that is gone counts, is swept again, and disturbs nothing", async () => {
    const { pool } = story;
    const { devnet, registry, validatorExits } = pool;
    const [key = ""] = keys;
    const { depositContract } = await registry.externals();
    const gwei = eth("1.5") / WEI_PER_GWEI;
    // the chain asks neither for whom nor by whom it is signed
    const credentials = concat(["0x01", new Uint8Array(31).fill(9)]);
    const signature = new Uint8Array(96).fill(1);
    await devnet.mineTx(
      IDepositContract__factory.connect(depositContract, stranger(story)).deposit(
        key,
        credentials,
        signature,
        depositDataRoot(key, credentials, gwei, signature),
        { value: gwei * WEI_PER_GWEI },
      ),
    );
    const sentAt = devnet.slot;
    const counted = await namedReport(story);
    const state = devnet.chain.stateOf(referenceBlock(story, counted.refSlot));
    const balancesGwei = keys.map((one) => BigInt(state.balances.get(devnet.validatorByPubkey(one)?.index ?? -1)));
    expect(counted.clBalance).to.equal(balancesGwei.reduce((sum, one) => sum + one, gwei) * WEI_PER_GWEI);
    await expectNoDifference(story);
    const last = await reportsUntil(
      story,
      () => devnet.validatorByPubkey(key)?.balanceGwei === 0n && devnet.state().pendingDeposits.length === 0,
    );
    expect(counted.exited).to.deep.equal([]);
    expect(last.exited).to.deep.equal([]);
    expect(paidOutGwei(story, key, sentAt) >= gwei).to.equal(true);
    expect(await validatorExits.isExited(await idOf(story, key))).to.equal(true);
    expect(await statusOf(pool, key)).to.equal(Status.Removed);
    await expectNoDifference(story);
  });
});
