import { expect } from "chai";
import { ZeroAddress } from "ethers";
import { SLOTS_PER_FRAME } from "../../../devnet/pool.js";
import { DEAD, WEI_PER_RATE_UNIT } from "../../model/accounting.js";
import {
  activate,
  eth,
  expectNoDifference,
  nextReport,
  openStory,
  referenceBlock,
  startReporting,
  traffic,
  type Story,
} from "./story.js";

const FULU_EPOCH = 36;
const FEE_BPS = 1000n;

describe("rewards", () => {
  let story: Story;

  before(async () => {
    story = await openStory({
      // every ninth block is ours; the next fork comes while validators are active
      devnet: { genesisValidators: 16, fulu: FULU_EPOCH },
      // what a frame brings streams within the next one
      parameters: (given) => ({
        ...given,
        pool: { ...given.pool, maxYearlyRateBps: 5000 },
        reserve: { ...given.reserve, seedEth: "0.02" },
      }),
    });
    const { pool, alice, bob } = story;
    await pool.stake(alice, eth("100"));
    await pool.stake(bob, eth("33.333333333333333333"));
    await startReporting(story);
    await activate(story, 2);
    traffic(story);
  });
  after(() => story.pool.close());

  it("of all kinds reach every holder by their shares, and the fee the reserve and then the treasury", async () => {
    const { pool, alice, bob } = story;
    const { poolETH, poolManager, reserve, treasury, devnet } = pool;
    const fork = (): string => devnet.chain.config.getForkName(devnet.slot);
    const first = await nextReport(story);
    const reserveBefore = await reserve.balance();
    const treasuryBefore = await poolETH.sharesOf(treasury.address);
    for (let reports = 0; reports < 3; reports++) await nextReport(story);
    expect(fork()).to.equal("electra");

    const { reports } = await expectNoDifference(story);
    const since = reports.filter(({ refSlot }) => refSlot > BigInt(first.refSlot));
    const sum = (amount: (report: (typeof since)[number]) => bigint): bigint =>
      since.reduce((total, one) => total + amount(one), 0n);
    // all three sources brought something, and every one to the wei: the audit compares each with its chain
    expect(sum(({ executionRewardsWei }) => executionRewardsWei) > 0n).to.equal(true);
    expect(sum(({ withdrawalsWei }) => withdrawalsWei) > 0n).to.equal(true);
    expect(since.every(({ gainWei }) => gainWei > 0n)).to.equal(true);

    // the reserve lacks more than the fee brings: it takes all of it, in ETH
    const fees = sum(({ reserveFeeWei }) => reserveFeeWei);
    expect(fees > 0n).to.equal(true);
    expect((await reserve.balance()) - reserveBefore).to.equal(fees);
    expect(await poolETH.sharesOf(treasury.address)).to.equal(treasuryBefore);

    // nobody's shares changed; balances are their part of the total, rounded down
    const { totalPooledEther, totalShares } = await poolManager.totals();
    let balances = 0n;
    for (const holder of [alice.address, bob.address, treasury.address, DEAD]) {
      const shares = await poolETH.sharesOf(holder);
      const balance = await poolETH.balanceOf(holder);
      expect(balance).to.equal((shares * totalPooledEther) / totalShares);
      balances += balance;
    }
    expect(totalPooledEther - balances < 4n && totalPooledEther >= balances).to.equal(true);
    expect((await poolETH.balanceOf(alice.address)) > eth("100")).to.equal(true);
  });

  it("go on across the fork from Electra to Fulu, and the treasury is paid once the reserve is full", async () => {
    const { pool, alice, bob } = story;
    const { devnet, poolETH, poolManager, governance, reserve, treasury } = pool;
    // a target that the reserve has already: from now on it lacks nothing
    await devnet.mineTx(reserve.connect(governance).setRunway(2n, 1n), reserve.interface);
    const forkSlot = FULU_EPOCH * devnet.slotsPerEpoch;
    const forkOf = (refSlot: number): string => devnet.chain.config.getForkName(referenceBlock(story, refSlot).slot);
    const seen: string[] = [];
    const balances: bigint[] = [];
    while (devnet.slot < forkSlot + 3 * SLOTS_PER_FRAME) {
      const { refSlot } = await nextReport(story);
      seen.push(forkOf(refSlot));
      balances.push(await poolETH.balanceOf(bob.address));
    }
    expect([...new Set(seen)]).to.deep.equal(["electra", "fulu"]);
    expect(balances).to.deep.equal(balances.toSorted((a, b) => (a < b ? -1 : 1)));

    const { reports, holders } = await expectNoDifference(story);
    const last = reports.at(-1);
    expect(last?.reserveFeeWei).to.equal(0n);
    const mints = await poolETH.queryFilter(poolETH.filters.TransferShares(ZeroAddress, treasury.address));
    expect(mints.length).to.be.greaterThan(1);
    expect(await poolETH.sharesOf(treasury.address)).to.equal(mints.reduce((sum, { args }) => sum + args.shares, 0n));
    expect(holders.get(alice.address)?.balanceWei).to.equal(await poolETH.balanceOf(alice.address));

    // ten percent of what unlocked; the dust that a rate in whole units leaves is streamed again, and its fee is taken again
    const { fee, owed, locked } = await poolManager.totals();
    const earned = reports.reduce((sum, { gainWei }) => sum + gainWei, 0n) - locked;
    const paid = reports.reduce((sum, report) => sum + report.reserveFeeWei + report.treasuryFeeWei, 0n) + owed + fee;
    const dust = WEI_PER_RATE_UNIT * BigInt(SLOTS_PER_FRAME * devnet.secondsPerSlot);
    const difference = paid - (earned * FEE_BPS) / 10_000n;
    expect(difference > -BigInt(reports.length)).to.equal(true);
    expect(difference < (BigInt(reports.length) * dust * FEE_BPS) / 10_000n).to.equal(true);
  });
});
