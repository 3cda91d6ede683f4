import { expect } from "chai";
import { SLOTS_PER_FRAME } from "../../../devnet/pool.js";
import {
  asked,
  claimAll,
  idOf,
  namedReport,
  openWithValidators,
  reportsUntil,
  request,
  unattended,
  type Named,
} from "./exits.js";
import { eth, expectNoDifference, type Story } from "./story.js";

describe("exits while a validator of the pool is slashed", () => {
  let story: Story;
  let keys: string[];
  let ids: bigint[];

  before(async () => {
    ({ story, keys } = await openWithValidators(eth("50"), eth("20"), 2, {
      // it would force the slashed one first, in vain
      keeper: { config: (given) => ({ ...given, exits: { maxFeeWei: 0 } }) },
    }));
    ids = await Promise.all(keys.map((key) => idOf(story, key)));
  });
  after(() => story.pool.close());

  async function rebased({ block }: Named): Promise<{ etherBefore: bigint; etherAfter: bigint; gain: bigint }> {
    const { poolManager } = story.pool;
    const [event] = await poolManager.queryFilter(poolManager.filters.Rebased(), block, block);
    if (event === undefined) throw new Error(`block ${block} rebased nothing`);
    const { etherBefore, etherAfter, gain } = event.args;
    return { etherBefore, etherAfter, gain };
  }

  it("everybody who is in the pool that day pays, who waits as who stays; the next validator exits instead", async () => {
    const { pool, alice, bob } = story;
    const { devnet, validatorExits, poolETH, withdrawalQueue, poolManager } = pool;
    const [first = "", second = ""] = keys;
    // who was finalised before pays nothing
    const early = await request(story, bob, eth("2"));
    const before = await reportsUntil(story, ({ lastFinalised }) => lastFinalised === early);
    const late = await request(story, alice, eth("30"));
    await asked(story, [first]);
    const { shares } = await withdrawalQueue.request(late);
    const waitingWei = (await withdrawalQueue.request(late)).amount;
    const bobWei = await poolETH.balanceOf(bob.address);
    const bobShares = await poolETH.sharesOf(bob.address);
    // before its operators have signed
    await devnet.slash(devnet.validatorByPubkey(first)?.index ?? -1);

    const slashed = await namedReport(story);
    expect(slashed.openPenalties > 0n).to.equal(true);
    expect(slashed.exiting).to.deep.equal([]); // its ETH is far away
    const loss = await rebased(slashed);
    expect(loss.etherAfter < loss.etherBefore).to.equal(true);
    const at = { blockTag: slashed.block };
    const [total, all] = [await poolETH.totalPooledEther(at), await poolETH.totalShares(at)];
    const waitsNow = (await withdrawalQueue.request(late, at)).amount;
    const bobNow = await poolETH.balanceOf(bob.address, at);
    expect([waitsNow, bobNow]).to.deep.equal([(shares * total) / all, (bobShares * total) / all]);
    expect(waitsNow < waitingWei && bobNow < bobWei).to.equal(true);
    const [paidBefore = 0n] = await claimAll(story, before, [{ owner: bob, id: early }]);
    expect(paidBefore >= eth("2") - 2n).to.equal(true);
    await expectNoDifference(story);

    // its exit counts as on its way for the grace frames; then it is another's turn
    await asked(story, [second], 8 * SLOTS_PER_FRAME);
    expect(devnet.operators.duties(first).exit.performed).to.equal(0);
    const gone = await reportsUntil(story, ({ lastFinalised }) => lastFinalised === late);
    expect((await validatorExits.status(ids[1] ?? 0n)).exiting).to.equal(true);
    const [paid = 0n] = await claimAll(story, gone, [{ owner: alice, id: late }]);
    expect(paid < waitingWei).to.equal(true);
    expect((await poolManager.totals()).queued).to.equal(0n);
    await expectNoDifference(story);
  });

  it("what was announced and not taken comes back to who is there then, as a gain that streams", async () => {
    const { pool } = story;
    const { devnet, poolManager, poolETH } = pool;
    const [first = ""] = keys;
    const lowest = await poolManager.rate();
    const isGone = (): boolean => devnet.validatorByPubkey(first)?.balanceGwei === 0n;
    await unattended(story, () => devnet.advanceUntil(isGone, 800));

    const back = await reportsUntil(story, ({ exited }) => exited.length > 0);
    expect(back.exited).to.include(ids[0]);
    expect(back.openPenalties).to.equal(0n);
    const { gain, etherBefore, etherAfter } = await rebased(back);
    expect(gain > 0n && etherAfter >= etherBefore).to.equal(true);
    const { locked, uncoveredLoss } = await poolManager.totals();
    expect(locked > 0n && uncoveredLoss > 0n).to.equal(true);
    const opened = await poolETH.totalPooledEther();
    await devnet.advance();
    expect((await poolETH.totalPooledEther()) > opened).to.equal(true);
    expect((await poolManager.rate()).value > lowest.value).to.equal(true);
    await expectNoDifference(story);
  });
});
