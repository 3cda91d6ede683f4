import { hexlify, ZeroAddress, type Interface, type Log } from "ethers";
import type { LocalPool } from "../devnet/pool.js";
import { AccountingModel, DEAD } from "../test/model/accounting.js";

const WEI_PER_GWEI = 1_000_000_000n;

/** What the beacon chain and the execution chain hold for the pool after one block, read from the chain's own state. */
interface Truth {
  /** Owned validators and the pool's pending deposits. */
  clBalanceWei: bigint;
  vaultWei: bigint;
  sweptWei: bigint;
}

export interface AuditedReport {
  refSlot: bigint;
  timestamp: number;
  gainWei: bigint;
  executionRewardsWei: bigint;
  withdrawalsWei: bigint;
  reserveFeeWei: bigint;
  treasuryFeeWei: bigint;
}

export interface Audit {
  /** Every figure that was compared. */
  checked: number;
  /** Those that differ, as sentences. */
  differences: string[];
  reports: AuditedReport[];
  /** What the model says of every holder: shares and wei. */
  holders: ReadonlyMap<string, { shares: bigint; balanceWei: bigint }>;
}

/**
 * Recomputes the pool from outside: what stakers paid in from the chain's events, what validators hold from the consensus state itself (not
 * through the oracle's reader), and everything else by the model that the tests compare the contracts with.
 */
export class Auditor {
  readonly #pool: LocalPool;
  readonly #truths = new Map<number, Truth>();
  readonly #credentials: string;
  readonly #deployedAt: number;

  static async create(pool: LocalPool): Promise<Auditor> {
    const [opened] = await pool.poolManager.queryFilter(pool.poolManager.filters.Staked());
    const block = await pool.devnet.provider.getBlock(opened?.blockNumber ?? pool.deployment.block);
    const auditor = new Auditor(pool, await pool.registry.withdrawalCredentials(), block?.timestamp ?? 0);
    await auditor.#observe(pool.devnet.slot);
    pool.devnet.onSlot((slot) => auditor.#observe(slot));
    return auditor;
  }

  private constructor(pool: LocalPool, credentials: string, deployedAt: number) {
    this.#pool = pool;
    this.#credentials = credentials;
    this.#deployedAt = deployedAt;
  }

  async #observe(slot: number): Promise<void> {
    const { devnet, deployment, poolManager } = this.#pool;
    const state = devnet.state();
    if (state.slot !== slot) return; // nobody proposed
    const ours = (credentials: Uint8Array): boolean => hexlify(credentials) === this.#credentials;
    let gwei = 0n;
    for (let i = 0; i < state.validators.length; i++) {
      if (ours(state.validators.getReadonly(i).withdrawalCredentials)) gwei += BigInt(state.balances.get(i));
    }
    for (const deposit of state.pendingDeposits.getAllReadonlyValues()) {
      if (ours(deposit.withdrawalCredentials)) gwei += BigInt(deposit.amount);
    }
    const [vaultWei, totals] = await Promise.all([
      devnet.provider.getBalance(deployment.addresses.withdrawalVault),
      poolManager.totals(),
    ]);
    this.#truths.set(slot, { clBalanceWei: gwei * WEI_PER_GWEI, vaultWei, sweptWei: totals.swept });
  }

  #truthAt(refSlot: number): Truth {
    for (let slot = refSlot; slot >= 0; slot--) {
      const truth = this.#truths.get(slot);
      if (truth !== undefined) return truth;
    }
    throw new Error(`the audit began after slot ${refSlot}`);
  }

  /** Replays the whole run and compares. */
  async audit(holders: readonly string[]): Promise<Audit> {
    const { poolManager, poolETH, reportOracle, reserve, devnet, deployment } = this.#pool;
    const { provider } = devnet;
    const differences: string[] = [];
    let checked = 0;
    const equal = (what: string, actual: bigint, expected: bigint): void => {
      checked++;
      if (actual !== expected) differences.push(`${what}: the pool says ${actual}, the chain ${expected}`);
    };
    const model = await this.#model();
    const reports: AuditedReport[] = [];

    const logs = await provider.getLogs({
      address: [deployment.addresses.poolManager, deployment.addresses.reportOracle, deployment.addresses.poolETH],
      fromBlock: deployment.block,
    });
    const times = new Map<number, number>();
    for (const log of logs) {
      if (!times.has(log.blockNumber)) {
        times.set(log.blockNumber, (await provider.getBlock(log.blockNumber))?.timestamp ?? 0);
      }
    }
    let first = true;
    let executionRewardsWei = 0n;
    for (const log of logs) {
      const timestamp = times.get(log.blockNumber) ?? 0;
      model.now = BigInt(timestamp);
      const staked = decode(poolManager.interface, log, "Staked");
      if (staked !== null) {
        // the deployment's own first stake is where the model begins
        if (first) first = false;
        else
          equal(
            `shares of the stake in block ${log.blockNumber}`,
            big(staked, "shares"),
            model.stake(text(staked, "receiver"), big(staked, "amount")),
          );
      }
      const funded = decode(poolManager.interface, log, "DepositsFunded");
      if (funded !== null) model.fundDeposits(big(funded, "amount") / (32n * 10n ** 18n));
      const moved = decode(poolETH.interface, log, "TransferShares");
      // mints follow from stakes and fees
      if (moved !== null && text(moved, "from") !== ZeroAddress) {
        model.transferShares(text(moved, "from"), text(moved, "to"), big(moved, "shares"));
      }
      const accepted = decode(reportOracle.interface, log, "ReportAccepted");
      if (accepted === null) continue;

      const refSlot = Number(big(accepted, "refSlot"));
      const truth = this.#truthAt(refSlot);
      const withdrawnAtRefWei = truth.vaultWei + truth.sweptWei;
      equal(`beacon balance reported for slot ${refSlot}`, big(accepted, "clBalance"), truth.clBalanceWei);
      equal(`withdrawals reported for slot ${refSlot}`, big(accepted, "withdrawnAtRef"), withdrawnAtRefWei);
      const before = { blockTag: log.blockNumber - 1 };
      const settled = this.#sameTransaction(logs, log, "Settled");
      const rebased = this.#sameTransaction(logs, log, "Rebased");
      model.shortfallWei = await reserve.shortfall(before);
      model.withdrawalVaultWei = await provider.getBalance(deployment.addresses.withdrawalVault, before.blockTag);
      model.rewardsVaultWei = big(settled, "executionRewards");
      executionRewardsWei += model.rewardsVaultWei;
      const outcome = model.report({
        frame: big(accepted, "frame"),
        refSlot: BigInt(refSlot),
        clBalanceWei: truth.clBalanceWei,
        openPenaltiesWei: big(accepted, "openPenalties"),
        withdrawnAtRefWei,
      });
      equal(`penalties open at slot ${refSlot}`, big(accepted, "openPenalties"), 0n);
      equal(`gain of slot ${refSlot}`, big(rebased, "gain"), outcome.gainWei);
      equal(`ether before, slot ${refSlot}`, big(rebased, "etherBefore"), outcome.etherBeforeWei);
      equal(`ether after, slot ${refSlot}`, big(rebased, "etherAfter"), outcome.etherAfterWei);
      equal(`fee to the reserve, slot ${refSlot}`, big(rebased, "reserveFee"), outcome.reserveFeeWei);
      equal(`fee to the treasury, slot ${refSlot}`, big(rebased, "treasuryFee"), outcome.treasuryFeeWei);
      equal(`shares to the treasury, slot ${refSlot}`, big(rebased, "treasuryShares"), outcome.treasuryShares);
      reports.push({
        refSlot: BigInt(refSlot),
        timestamp,
        gainWei: outcome.gainWei,
        executionRewardsWei: big(settled, "executionRewards"),
        withdrawalsWei: big(settled, "withdrawals"),
        reserveFeeWei: outcome.reserveFeeWei,
        treasuryFeeWei: outcome.treasuryFeeWei,
      });
    }

    const head = await provider.getBlock("latest");
    model.now = BigInt(head?.timestamp ?? 0);
    const totals = await poolManager.totals();
    equal("buffered", totals.buffered, model.bufferedWei);
    equal("beacon balance", totals.clBalance, model.clValueWei);
    equal("in flight", totals.inFlight, model.inFlightWei);
    equal("locked", totals.locked, model.lockedWei);
    equal("owed", totals.owed, model.owedWei);
    equal("fee", totals.fee, model.feeWei);
    equal("total pooled ether", totals.totalPooledEther, model.totalPooledEtherWei);
    equal("total shares", totals.totalShares, model.totalShares);
    equal(
      "ETH held by the PoolManager",
      await provider.getBalance(deployment.addresses.poolManager),
      model.bufferedWei,
    );
    const unswept = await provider.getBalance(deployment.addresses.rewardsVault);
    equal("execution rewards", executionRewardsWei + unswept, await this.#priorityFees());
    const table = new Map<string, { shares: bigint; balanceWei: bigint }>();
    for (const holder of [...holders, DEAD]) {
      const shares = model.sharesOf(holder);
      const balanceWei = model.etherFor(shares);
      equal(`shares of ${holder}`, await poolETH.sharesOf(holder), shares);
      equal(`balance of ${holder}`, await poolETH.balanceOf(holder), balanceWei);
      table.set(holder, { shares, balanceWei });
    }
    return { checked, differences, reports, holders: table };
  }

  async #model(): Promise<AccountingModel> {
    const { poolManager, poolETH } = this.#pool;
    const { treasury, feeBps, maxYearlyRateBps, lossLimitBps, lossWindow, limits } = await poolManager.parameters();
    const frames = await poolManager.frameConfig();
    const parameters = {
      treasury,
      feeBps,
      maxYearlyRateBps,
      lossLimitBps,
      lossWindowSeconds: lossWindow,
      minStakeWei: limits.minStake,
      poolCapWei: limits.poolCap,
      dailyLimitWei: limits.dailyLimit,
    };
    const clock = { genesisTime: frames.genesisTime, frameSeconds: frames.secondsPerSlot * frames.slotsPerFrame };
    const initial = await poolETH.sharesOf(DEAD); // a wei a share
    return new AccountingModel(parameters, clock, BigInt(this.#deployedAt), initial);
  }

  #sameTransaction(logs: readonly Log[], of: Log, name: "Settled" | "Rebased"): Decoded {
    for (const log of logs) {
      if (log.transactionHash !== of.transactionHash) continue;
      const found = decode(this.#pool.poolManager.interface, log, name);
      if (found !== null) return found;
    }
    throw new Error(`the report in transaction ${of.transactionHash} has no ${name} event: it was not applied`);
  }

  /** Priority fees of all blocks that the pool's validators proposed. */
  async #priorityFees(): Promise<bigint> {
    const { provider } = this.#pool.devnet;
    const recipient = this.#pool.deployment.addresses.rewardsVault;
    let wei = 0n;
    for (let number = this.#pool.deployment.block; ; number++) {
      const block = await provider.getBlock(number);
      if (block === null) return wei;
      if (block.miner !== recipient) continue;
      for (const hash of block.transactions) {
        const receipt = await provider.getTransactionReceipt(hash);
        if (receipt !== null) wei += receipt.gasUsed * (receipt.gasPrice - (block.baseFeePerGas ?? 0n));
      }
    }
  }
}

type Decoded = Readonly<Record<string, unknown>>;

/** Arguments of the event `name` if the log is one, by any contract of the pool. */
function decode(abi: Interface, log: Log, name: string): Decoded | null {
  if (log.topics[0] !== abi.getEvent(name)?.topicHash) return null;
  return abi.parseLog(log)?.args.toObject() ?? null;
}

function big(event: Decoded, key: string): bigint {
  const value = event[key];
  if (typeof value !== "bigint") throw new Error(`the event has no amount ${key}`);
  return value;
}

function text(event: Decoded, key: string): string {
  const value = event[key];
  if (typeof value !== "string") throw new Error(`the event has no text ${key}`);
  return value;
}
