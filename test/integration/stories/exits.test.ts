import { expect } from "chai";
import { concat } from "ethers";
import { depositDataRoot } from "../../../oracle/keys/depositData.js";
import { IDepositContract__factory } from "../../../types/ethers-contracts/index.js";
import { DEAD } from "../../model/accounting.js";
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
  requestAll,
  stranger,
  type Request,
} from "./exits.js";
import { eth, expectNoDifference, referenceBlock, traffic, WEI_PER_GWEI, type Story } from "./story.js";
import { Status, statusOf } from "./support.js";

const ALICE = eth("60");
const BOB = eth("40");
/** Of the deployment: its shares belong to nobody. */
const FIRST_STAKE = eth("1");

describe("exits that SSV's operators sign", () => {
  let story: Story;
  let keys: string[];
  let ids: bigint[];

  before(async () => {
    ({ story, keys } = await openWithValidators(ALICE, BOB, 3, { devnet: { genesisValidators: 16 } }));
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

  it("pay everybody, with every validator gone; what stays is known to the wei", async () => {
    const { pool, cluster, alice, bob } = story;
    const { deployment, poolManager, poolETH, treasury, registry, reserve, validatorExits, withdrawalQueue } = pool;
    const { provider } = pool.devnet;
    const { addresses } = deployment;
    const requests: Request[] = [];
    for (const owner of [alice, treasury, bob]) requests.push({ owner, id: await requestAll(story, owner) });
    for (const { owner } of requests) expect(await poolETH.sharesOf(owner.address)).to.equal(0n);
    await asked(story, keys);
    const last = requests.at(-1)?.id;
    const gone = await reportsUntil(story, ({ lastFinalised }) => lastFinalised === last);
    await claimAll(story, gone, requests);
    await removed(story, keys);
    for (const id of ids) expect(await validatorExits.isExited(id)).to.equal(true);
    expect(await feesOfABlock(story)).to.equal(0n);
    expect(await reserve.totalBurnRate()).to.equal(0n);
    expect((await registry.cluster(cluster.clusterId)).registered).to.equal(0n);
    await namedReport(story);
    const audit = await expectNoDifference(story);

    // every wei that came is with somebody who left, or still here
    const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((total, amount) => total + amount, 0n);
    const fromChain = sum(keys.map((key) => paidOutGwei(story, key, 0))) * WEI_PER_GWEI;
    const tips = sum(audit.reports.map(({ executionRewardsWei }) => executionRewardsWei));
    const toReserve = sum(audit.reports.map(({ reserveFeeWei }) => reserveFeeWei));
    const { WithdrawalClaimed, WithdrawalsFinalised } = withdrawalQueue.filters;
    const claimed = sum((await withdrawalQueue.queryFilter(WithdrawalClaimed())).map(({ args }) => args.amount));
    const came = FIRST_STAKE + ALICE + BOB - 3n * eth("32") + fromChain + tips;
    const [inPool = 0n, inQueue = 0n, inVault = 0n] = await Promise.all(
      [addresses.poolManager, addresses.withdrawalQueue, addresses.withdrawalVault].map((of) =>
        provider.getBalance(of),
      ),
    );
    expect(inPool + inQueue + inVault).to.equal(came - claimed - toReserve);

    // in the queue lies what rounding left, less than a wei a request
    const finalised = sum((await withdrawalQueue.queryFilter(WithdrawalsFinalised())).map(({ args }) => args.amount));
    expect(inQueue).to.equal(finalised - claimed);
    expect(inQueue < (last ?? 0n)).to.equal(true);
    // in the pool what streams or waits, and what belongs to the dead shares, to fees since, and to one share of the first request
    const totals = await poolManager.totals();
    expect([totals.clBalance, totals.inFlight, totals.queued]).to.deep.equal([0n, 0n, 0n]);
    expect(inPool).to.equal(totals.buffered);
    expect(inPool).to.equal(totals.totalPooledEther + totals.locked + totals.owed + totals.fee);
    const holders = [DEAD, treasury.address, addresses.withdrawalQueue];
    const shares = await Promise.all(holders.map((holder) => poolETH.sharesOf(holder)));
    expect([shares[0], shares[2], sum(shares)]).to.deep.equal([FIRST_STAKE, 1n, totals.totalShares]);
    const lost = totals.totalPooledEther - sum(await Promise.all(holders.map((holder) => poolETH.balanceOf(holder))));
    expect(lost >= 0n && lost < 3n).to.equal(true);
  });
});
