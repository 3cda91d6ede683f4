import { hexlify, ZeroAddress, type Block, type Interface, type Log } from "ethers";
import { isGloasState } from "../devnet/consensus/state.js";
import type { LocalPool } from "../devnet/pool.js";
import { AccountingModel, DEAD, QUEUE, type Outcome } from "../test/model/accounting.js";

const WEI_PER_GWEI = 1_000_000_000n;

/** What the beacon chain and the execution chain hold for the pool after one block, read from the chain's own state. */
export interface Truth {
  /** Owned validators and the pool's pending deposits. */
  clBalanceWei: bigint;
  /** A slashed validator that is not withdrawable still loses; nobody else owes the chain anything. */
  hasOpenPenalties: boolean;
  vaultWei: bigint;
  sweptWei: bigint;
}

/** A report that was applied, at once or when governance confirmed its loss. */
export interface AuditedReport {
  refSlot: bigint;
  timestamp: number;
  openPenaltiesWei: bigint;
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
  /** By execution block. */
  readonly #vaults = new Map<number, Pick<Truth, "vaultWei" | "sweptWei">>();
  readonly #credentials: string;
  /** Block of the deployment's own stake, where the model begins. */
  readonly #opened: number;
  readonly #openedAt: number;

  static async create(pool: LocalPool): Promise<Auditor> {
    const [stake] = await pool.poolManager.queryFilter(pool.poolManager.filters.Staked());
    const opened = await pool.devnet.provider.getBlock(stake?.blockNumber ?? pool.deployment.block);
    if (opened === null) throw new Error("the pool was not deployed");
    const auditor = new Auditor(pool, await pool.registry.withdrawalCredentials(), opened);
    await auditor.#observe(pool.devnet.slot);
    pool.devnet.onSlot((slot) => auditor.#observe(slot));
    return auditor;
  }

  private constructor(pool: LocalPool, credentials: string, opened: Block) {
    this.#pool = pool;
    this.#credentials = credentials;
    this.#opened = opened.number;
    this.#openedAt = opened.timestamp;
  }

  async #observe(slot: number): Promise<void> {
    const { devnet, deployment, poolManager } = this.#pool;
    const state = devnet.state();
    if (state.slot !== slot) return; // nobody proposed
    const ours = (credentials: Uint8Array): boolean => hexlify(credentials) === this.#credentials;
    let gwei = 0n;
    let hasOpenPenalties = false;
    for (let i = 0; i < state.validators.length; i++) {
      const { withdrawalCredentials, slashed, withdrawableEpoch } = state.validators.getReadonly(i);
      if (!ours(withdrawalCredentials)) continue;
      gwei += BigInt(state.balances.get(i));
      hasOpenPenalties ||= slashed && state.epochCtx.epoch < withdrawableEpoch;
    }
    for (const { pubkey, withdrawalCredentials, amount } of state.pendingDeposits.getAllReadonlyValues()) {
      // of a validator that exists the chain asks neither whose deposit it is nor what it says
      const known = devnet.validatorByPubkey(hexlify(pubkey))?.validator;
      if (ours(known?.withdrawalCredentials ?? withdrawalCredentials)) gwei += BigInt(amount);
    }
    const { chain } = devnet;
    if (isGloasState(state)) {
      const vault = deployment.addresses.withdrawalVault.toLowerCase();
      for (const { address, amount } of state.payloadExpectedWithdrawals.getAllReadonlyValues()) {
        if (hexlify(address) === vault) gwei += amount;
      }
      for (const { withdrawalCredentials, amount } of chain.head.envelope?.message.executionRequests.deposits ?? []) {
        if (ours(withdrawalCredentials)) gwei += BigInt(amount);
      }
    }
    const [vaultWei, totals] = await Promise.all([
      devnet.provider.getBalance(deployment.addresses.withdrawalVault),
      poolManager.totals(),
    ]);
    const clBalanceWei = gwei * WEI_PER_GWEI;
    const { executionBlockNumber, processedBlockNumber } = chain.head;
    this.#vaults.set(executionBlockNumber, { vaultWei, sweptWei: totals.swept });
    const vault = this.#vaults.get(processedBlockNumber);
    if (vault !== undefined) this.#truths.set(slot, { clBalanceWei, hasOpenPenalties, ...vault });
  }

  /** At the reference block of the slot. */
  truthAt(refSlot: number): Truth {
    const truth = this.#truths.get(this.#pool.devnet.chain.blocks.referenceOf(refSlot).slot);
    if (truth !== undefined) return truth;
    throw new Error(`the audit began after slot ${refSlot}`);
  }

  /** Replays the whole run and compares. */
  async audit(holders: readonly string[]): Promise<Audit> {
    const { poolManager, poolETH, reportOracle, withdrawalQueue, devnet, deployment } = this.#pool;
    const { provider } = devnet;
    const differences: string[] = [];
    let checked = 0;
    const equal = (what: string, actual: bigint, expected: bigint): void => {
      checked++;
      if (actual !== expected) differences.push(`${what}: the pool says ${actual}, the chain ${expected}`);
    };
    const model = await this.#model();
    const reports: AuditedReport[] = [];

    let openPenaltiesWei = 0n;
    let executionRewardsWei = 0n;
    const compareApplied = (log: Log, refSlot: bigint, outcome: Outcome, penaltiesWei: bigint): void => {
      const settled = this.#sameTransaction(logs, log, "Settled");
      const rebased = this.#sameTransaction(logs, log, "Rebased");
      equal(`gain of slot ${refSlot}`, big(rebased, "gain"), outcome.gainWei);
      equal(`ether before, slot ${refSlot}`, big(rebased, "etherBefore"), outcome.etherBeforeWei);
      equal(`ether after, slot ${refSlot}`, big(rebased, "etherAfter"), outcome.etherAfterWei);
      equal(`fee to the reserve, slot ${refSlot}`, big(rebased, "reserveFee"), outcome.reserveFeeWei);
      equal(`fee to the treasury, slot ${refSlot}`, big(rebased, "treasuryFee"), outcome.treasuryFeeWei);
      equal(`shares to the treasury, slot ${refSlot}`, big(rebased, "treasuryShares"), outcome.treasuryShares);
      equal(`locked after slot ${refSlot}`, big(settled, "locked"), model.lockedWei);
      equal(`owed after slot ${refSlot}`, big(settled, "owed"), model.owedWei);
      equal(`uncovered loss after slot ${refSlot}`, big(settled, "uncoveredLoss"), model.uncoveredLossWei);
      equal(`end of the stream, slot ${refSlot}`, big(settled, "streamEnd"), model.streamEndsAt);
      const finalised = this.#find(logs, log, withdrawalQueue.interface, "WithdrawalsFinalised");
      equal(
        `withdrawals finalised, slot ${refSlot}`,
        finalised === null ? 0n : big(finalised, "amount"),
        outcome.withdrawnWei,
      );
      equal(
        `last withdrawal finalised, slot ${refSlot}`,
        finalised === null ? model.lastFinalised : big(finalised, "lastId"),
        model.lastFinalised,
      );
      executionRewardsWei += big(settled, "executionRewards");
      reports.push({
        refSlot,
        timestamp: times.get(log.blockNumber) ?? 0,
        openPenaltiesWei: penaltiesWei,
        gainWei: outcome.gainWei,
        executionRewardsWei: big(settled, "executionRewards"),
        withdrawalsWei: big(settled, "withdrawals"),
        reserveFeeWei: outcome.reserveFeeWei,
        treasuryFeeWei: outcome.treasuryFeeWei,
      });
    };

    const { addresses } = deployment;
    const logs = await provider.getLogs({
      address: [addresses.poolManager, addresses.reportOracle, addresses.poolETH, addresses.withdrawalQueue],
      fromBlock: deployment.block,
    });
    const times = new Map<number, number>();
    for (const log of logs) {
      if (!times.has(log.blockNumber)) {
        times.set(log.blockNumber, (await provider.getBlock(log.blockNumber))?.timestamp ?? 0);
      }
    }
    let first = true;
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
      // mints follow from stakes and fees, burns from finalised withdrawals
      if (moved !== null && text(moved, "from") !== ZeroAddress && text(moved, "to") !== ZeroAddress) {
        if (text(moved, "to") !== addresses.withdrawalQueue) {
          model.transferShares(text(moved, "from"), text(moved, "to"), big(moved, "shares"));
        } else {
          const requested = this.#all(logs, log, withdrawalQueue.interface, "WithdrawalRequested");
          const [first] = requested;
          if (first === undefined) throw new Error(`shares came to the queue in block ${log.blockNumber} unasked`);
          const made = model.requestWithdrawalShares(text(moved, "from"), text(first, "owner"), big(moved, "shares"));
          equal(`requests made in block ${log.blockNumber}`, BigInt(requested.length), BigInt(made.length));
          for (const [i, request] of requested.entries()) {
            equal(`shares of request ${big(request, "id")}`, big(request, "shares"), made[i]?.shares ?? 0n);
          }
        }
      }
      const given = decode(withdrawalQueue.interface, log, "RequestTransferred");
      if (given !== null) model.transferRequest(text(given, "from"), big(given, "id"), text(given, "to"));
      const claimed = decode(withdrawalQueue.interface, log, "WithdrawalClaimed");
      if (claimed !== null) {
        const id = big(claimed, "id");
        equal(`claim of request ${id}`, big(claimed, "amount"), model.claim(text(claimed, "owner"), id));
      }
      if (decode(poolManager.interface, log, "FinalisationPaused") !== null) model.finalisationPaused = true;
      if (decode(poolManager.interface, log, "FinalisationResumed") !== null) model.finalisationPaused = false;
      const limit = decode(poolManager.interface, log, "LossLimitChanged");
      if (limit !== null) {
        model.parameters.lossLimitBps = big(limit, "lossLimitBps");
        model.parameters.lossWindowSeconds = big(limit, "lossWindow");
      }
      const discarded = decode(poolManager.interface, log, "LossDiscarded");
      if (discarded !== null) model.discardLoss(big(discarded, "refSlot"));
      const confirmed = decode(poolManager.interface, log, "LossConfirmed");
      if (confirmed !== null) {
        await this.#beforeReport(model, log);
        compareApplied(log, big(confirmed, "refSlot"), model.confirmLoss(big(confirmed, "loss")), openPenaltiesWei);
      }
      const accepted = decode(reportOracle.interface, log, "ReportAccepted");
      if (accepted === null) continue;

      const refSlot = big(accepted, "refSlot");
      const truth = this.truthAt(Number(refSlot));
      const withdrawnAtRefWei = truth.vaultWei + truth.sweptWei;
      openPenaltiesWei = big(accepted, "openPenalties");
      equal(`beacon balance reported for slot ${refSlot}`, big(accepted, "clBalance"), truth.clBalanceWei);
      equal(`withdrawals reported for slot ${refSlot}`, big(accepted, "withdrawnAtRef"), withdrawnAtRefWei);
      // how much is open, no figure of a single state says; that something is, does
      equal(`penalties open at slot ${refSlot}`, openPenaltiesWei > 0n ? 1n : 0n, truth.hasOpenPenalties ? 1n : 0n);
      await this.#beforeReport(model, log);
      const outcome = model.report({
        frame: big(accepted, "frame"),
        refSlot,
        clBalanceWei: big(accepted, "clBalance"), // as reported: one wrong figure is one difference
        openPenaltiesWei,
        withdrawnAtRefWei,
      });
      equal(`report of slot ${refSlot} applied`, accepted["applied"] === true ? 1n : 0n, outcome.applied ? 1n : 0n);
      if (outcome.applied) {
        compareApplied(log, refSlot, outcome, openPenaltiesWei);
      } else {
        const pending = this.#sameTransaction(logs, log, "LossPending");
        equal(`pending loss of slot ${refSlot}`, big(pending, "loss"), outcome.lossWei);
        equal(`limit of losses at slot ${refSlot}`, big(pending, "limit"), outcome.limitWei);
      }
    }

    const head = await provider.getBlock("latest");
    model.now = BigInt(head?.timestamp ?? 0);
    const totals = await poolManager.totals();
    equal("buffered", totals.buffered, model.bufferedWei);
    equal("beacon balance", totals.clBalance, model.clValueWei);
    equal("in flight", totals.inFlight, model.inFlightWei);
    equal("locked", totals.locked, model.lockedWei);
    equal("owed", totals.owed, model.owedWei);
    equal("uncovered loss", totals.uncoveredLoss, model.uncoveredLossWei);
    equal("swept", totals.swept, model.sweptWei);
    equal("pending loss", (await poolManager.pendingLoss()).loss, model.pending?.lossWei ?? 0n);
    equal("fee", totals.fee, model.feeWei);
    equal("queued withdrawals", totals.queued, model.queuedWei);
    equal("shares in the withdrawal queue", await poolETH.sharesOf(addresses.withdrawalQueue), model.sharesOf(QUEUE));
    equal("ETH held by the withdrawal queue", await provider.getBalance(addresses.withdrawalQueue), model.queueWei);
    equal("total pooled ether", totals.totalPooledEther, model.totalPooledEtherWei);
    equal("total shares", totals.totalShares, model.totalShares);
    equal(
      "ETH held by the PoolManager",
      await provider.getBalance(deployment.addresses.poolManager),
      model.bufferedWei,
    );
    const unswept = await provider.getBalance(deployment.addresses.rewardsVault);
    equal("execution rewards", executionRewardsWei + unswept, await this.#executionRewards());
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
    const { treasury, feeBps, maxYearlyRateBps, lossLimitBps, lossWindow, limits } = await poolManager.parameters({
      blockTag: this.#opened,
    });
    const frames = await poolManager.frameConfig();
    const cutoffMarginSeconds = await this.#pool.withdrawalQueue.cutoffMargin();
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
    const frameSeconds = frames.secondsPerSlot * frames.slotsPerFrame;
    const clock = { genesisTime: frames.genesisTime, frameSeconds, cutoffMarginSeconds };
    const initial = await poolETH.sharesOf(DEAD); // a wei a share
    return new AccountingModel(parameters, clock, BigInt(this.#openedAt), initial);
  }

  #sameTransaction(logs: readonly Log[], of: Log, name: "Settled" | "Rebased" | "LossPending"): Decoded {
    const found = this.#find(logs, of, this.#pool.poolManager.interface, name);
    if (found === null) throw new Error(`the report in transaction ${of.transactionHash} has no ${name} event`);
    return found;
  }

  #find(logs: readonly Log[], of: Log, abi: Interface, name: string): Decoded | null {
    return this.#all(logs, of, abi, name)[0] ?? null;
  }

  #all(logs: readonly Log[], of: Log, abi: Interface, name: string): Decoded[] {
    return logs
      .filter((log) => log.transactionHash === of.transactionHash)
      .map((log) => decode(abi, log, name))
      .filter((event) => event !== null);
  }

  /** What a report finds outside the model, when its transaction begins: the block before, and earlier transactions of its own. */
  async #beforeReport(model: AccountingModel, { blockNumber, transactionHash }: Log): Promise<void> {
    const { devnet, deployment, reserve } = this.#pool;
    const { withdrawalVault, rewardsVault } = deployment.addresses;
    const before = { blockTag: blockNumber - 1 };
    model.shortfallWei = await reserve.shortfall(before);
    const income = await this.#income(blockNumber, transactionHash);
    const [withdrawalWei, rewardsWei] = await Promise.all([
      devnet.provider.getBalance(withdrawalVault, before.blockTag),
      devnet.provider.getBalance(rewardsVault, before.blockTag),
    ]);
    model.withdrawalVaultWei = withdrawalWei + income.withdrawalVaultWei;
    model.rewardsVaultWei = rewardsWei + income.rewardsVaultWei;
  }

  /** Priority fees of all blocks that the pool's validators proposed, and what anybody sent there. */
  async #executionRewards(): Promise<bigint> {
    const head = await this.#pool.devnet.provider.getBlockNumber();
    let wei = 0n;
    for (let number = this.#pool.deployment.block; number <= head; number++) {
      wei += (await this.#income(number)).rewardsVaultWei;
    }
    return wei;
  }

  /** ETH that the transactions of a block brought to the vaults, those before `until` or all. */
  async #income(number: number, until?: string): Promise<{ withdrawalVaultWei: bigint; rewardsVaultWei: bigint }> {
    const { provider } = this.#pool.devnet;
    const { withdrawalVault, rewardsVault } = this.#pool.deployment.addresses;
    const income = { withdrawalVaultWei: 0n, rewardsVaultWei: 0n };
    const block = await provider.getBlock(number, true);
    for (const { hash, to, value } of block?.prefetchedTransactions ?? []) {
      if (hash === until) break;
      const proposed = block?.miner === rewardsVault;
      if (!proposed && to !== rewardsVault && to !== withdrawalVault) continue;
      const receipt = await provider.getTransactionReceipt(hash);
      if (receipt === null) continue;
      if (proposed) income.rewardsVaultWei += receipt.gasUsed * (receipt.gasPrice - (block.baseFeePerGas ?? 0n));
      if (receipt.status !== 1) continue;
      if (to === rewardsVault) income.rewardsVaultWei += value;
      if (to === withdrawalVault) income.withdrawalVaultWei += value;
    }
    return income;
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
