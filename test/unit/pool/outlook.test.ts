import { expect } from "chai";
import { readTerms } from "../../../oracle/explain/terms.js";
import { outlookOf, type Outlook } from "../../../oracle/report/outlook.js";
import { deployPool, ETHER, FRAME_SECONDS, type Pool, type Report } from "./support.js";

const ZERO = "0x0000000000000000000000000000000000000000";

/** What oracles show of a report before it comes is what the contract then does, to the wei. */
describe("outlook of a report", () => {
  let pool: Pool;
  let time: bigint;

  beforeEach(async () => {
    pool = await deployPool();
    time = await pool.now();
    const [alice] = pool.users;
    await pool.manager.connect(alice).stake(alice!, ZERO, { value: 100n * ETHER });
    await pool.manager.connect(pool.registry).fundDeposits(2n);
    await reported();
  });

  /** Reports at the end of a frame, and compares what the contract says with what was seen for the same second before. */
  async function reported(report: Report = {}, rewardsWei = 0n): Promise<Outlook> {
    const { manager, reserve, queue, rewardsVault, connection } = pool;
    if (rewardsWei > 0n) await pool.setBalance(await rewardsVault.getAddress(), rewardsWei);
    time += FRAME_SECONDS + 1_000n;
    await pool.at(time);
    await connection.networkHelpers.mine();
    const figures = await pool.figures(report);
    await pool.at(time + 12n); // the pending block's, in which the report comes
    time += 12n;
    const terms = await readTerms(manager, reserve, rewardsWei, figures.frame, { blockTag: "pending" });
    const outlook = outlookOf(
      {
        clBalanceWei: figures.clBalance,
        openPenaltiesWei: figures.openPenalties,
        withdrawnAtRefWei: figures.withdrawnAtRef,
      },
      terms,
    );
    await pool.at(time);
    const receipt = await (await manager.connect(pool.oracle).applyReport(figures)).wait();
    const { blockNumber } = receipt!;
    expect(BigInt((await connection.ethers.provider.getBlock(blockNumber))!.timestamp)).to.equal(time);
    const [rebased] = await manager.queryFilter(manager.filters.Rebased(), blockNumber, blockNumber);
    const [settled] = await manager.queryFilter(manager.filters.Settled(), blockNumber, blockNumber);
    const [paid] = await queue.queryFilter(queue.filters.WithdrawalsFinalised(), blockNumber, blockNumber);
    const [finalisedWei, finalisedShares] = paid === undefined ? [0n, 0n] : [paid.args[3], paid.args[4]];
    const { gain, reserveFee, treasuryFee, treasuryShares, etherBefore, etherAfter, sharesAfter } = rebased!.args;
    const { withdrawals, executionRewards, locked } = settled!.args;
    expect({
      gain: outlook.gainWei,
      reserveFee: outlook.reserveFeeWei,
      treasuryFee: outlook.treasuryFeeWei,
      treasuryShares: outlook.treasuryShares,
      etherAfter: outlook.etherWei - finalisedWei,
      sharesAfter: outlook.shares - finalisedShares,
      withdrawals: outlook.withdrawalsWei,
      executionRewards: outlook.executionRewardsWei,
      locked: outlook.lockedWei,
      lossLimit: outlook.lossLimitWei,
    }).to.deep.equal({
      gain,
      reserveFee,
      treasuryFee,
      treasuryShares,
      etherAfter,
      sharesAfter,
      withdrawals,
      executionRewards,
      locked,
      lossLimit: (etherBefore * 500n) / 10_000n,
    });
    expect(finalisedWei <= outlook.liquidWei).to.equal(true);
    return outlook;
  }

  it("of a quiet frame changes nothing", async () => {
    const { gainWei, lossWei, lockedWei } = await reported();
    expect([gainWei, lossWei, lockedWei]).to.deep.equal([0n, 0n, 0n]);
  });

  it("of gains, deposits, fees for reserve and treasury, and withdrawals is exact while gains stream", async () => {
    const { manager, reserve, registry, withdrawalVault, token, users } = pool;
    await reported({ clBalance: 65n * ETHER }, ETHER / 7n);
    await reserve.setShortfall(ETHER / 1_000n);
    await manager.connect(registry).fundDeposits(1n);
    await pool.setBalance(await withdrawalVault.getAddress(), ETHER / 3n);
    const [alice] = users;
    await token.connect(alice).requestWithdrawal(2n * ETHER, alice!.address);
    const outlook = await reported({ withdrawnAtRef: ETHER / 3n, openPenalties: 12_345n }, 99n);
    expect(outlook.reserveFeeWei > 0n && outlook.treasuryFeeWei > 0n && outlook.treasuryShares > 0n).to.equal(true);
    await reported();
    await reported();
  });

  it("of losses eats what is locked first", async () => {
    await reported({ clBalance: 65n * ETHER });
    const outlook = await reported({ clBalance: 63n * ETHER });
    expect(outlook.gainWei).to.equal(-2n * ETHER);
    expect(outlook.lossWei > ETHER && outlook.lossWei < 2n * ETHER && outlook.lockedWei === 0n).to.equal(true);
  });
});
