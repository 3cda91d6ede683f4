import { expect } from "chai";
import { SLOTS_PER_FRAME } from "../../../devnet/pool.js";
import {
  advanceTo,
  eth,
  expectNoDifference,
  lastSlotOfFrame,
  nextReport,
  openStory,
  startReporting,
  type Story,
} from "./story.js";

const RECIPIENT = "0x00000000000000000000000000000000000c1a1E";
/** Slots before the end of a frame from which on requests wait for the next report. */
const MARGIN_SLOTS = 16;

describe("withdrawals from what is buffered", () => {
  let story: Story;

  before(async () => {
    story = await openStory();
    await story.pool.stake(story.alice, eth("100"));
    await story.pool.stake(story.bob, eth("50"));
    await startReporting(story);
    await nextReport(story);
  });
  after(() => story.pool.close());

  const request = ({ pool }: Story, from: Story["alice"], wei: bigint) =>
    pool.devnet.mineTx(pool.poolETH.connect(from).requestWithdrawal(wei, from.address));
  const finalised = async () => (await story.pool.withdrawalQueue.state()).lastFinalised;

  it("are finalised by the report of their frame, given away, and claimed to the wei", async () => {
    const { pool, alice, bob } = story;
    const { devnet, withdrawalQueue, poolManager } = pool;
    await advanceTo(story, lastSlotOfFrame(devnet.slot) + 2);
    await request(story, alice, eth("30"));
    await request(story, bob, eth("20"));
    expect(await poolManager.depositableEther()).to.equal(eth("101") + 1n);
    await expectNoDifference(story);
    await nextReport(story);
    // that report was of the frame before
    expect(await finalised()).to.equal(0n);
    await devnet.mineTx(withdrawalQueue.connect(alice).transferRequest(1n, bob.address));
    await nextReport(story);
    expect(await finalised()).to.equal(2n);
    await expectNoDifference(story);

    const claims = withdrawalQueue.connect(bob);
    await devnet.mineTx(claims.claimMany([1n, 2n], RECIPIENT, [1n, 1n]));
    expect(await devnet.provider.getBalance(RECIPIENT)).to.equal(eth("50") - 1n);
    const audit = await expectNoDifference(story);
    expect(audit.holders.get(alice.address)?.balanceWei).to.equal(eth("70"));
    expect(audit.holders.get(bob.address)?.balanceWei).to.equal(eth("30"));
  });

  it("that come too late for a report wait for the next", async () => {
    const { pool, alice, bob } = story;
    const { devnet } = pool;
    const end = lastSlotOfFrame(devnet.slot) + SLOTS_PER_FRAME;
    const cutoff = end + 1 - MARGIN_SLOTS;
    await advanceTo(story, cutoff - 3);
    await request(story, alice, eth("1"));
    await advanceTo(story, cutoff + 1);
    await request(story, bob, eth("1"));
    await advanceTo(story, end);
    await nextReport(story);
    expect(await finalised()).to.equal(3n);
    await nextReport(story);
    expect(await finalised()).to.equal(4n);
    await expectNoDifference(story);
  });
});
