import { expect } from "chai";
import { Interface, type Result } from "ethers";
import { AccountingModel, DEAD, QUEUE, Refusal, type Figures, type Outcome } from "../model/accounting.js";
import {
  CUTOFF_MARGIN_SECONDS,
  deployPool,
  FRAME_SECONDS,
  SLOTS_PER_FRAME,
  STARTS_AT,
  YEAR_SECONDS,
  type Pool,
  type PoolOptions,
} from "../unit/pool/support.js";
import {
  PoolETH__factory,
  PoolManager__factory,
  PoolProbe__factory,
  WithdrawalQueue__factory,
} from "../../types/ethers-contracts/index.js";

const managerInterface = PoolManager__factory.createInterface();
const tokenInterface = PoolETH__factory.createInterface();
const queueInterface = WithdrawalQueue__factory.createInterface();
const probeInterface = PoolProbe__factory.createInterface();
const reserveInterface = new Interface(["function setShortfall(uint256)"]);
const hex = (value: bigint) => `0x${value.toString(16)}`;

/** Gets all that is claimed. */
const RECIPIENT = "0x00000000000000000000000000000000000c1a1e";
const ZERO = "0x0000000000000000000000000000000000000000";

const START = BigInt(STARTS_AT) + 3_600n;

/** What every step leaves behind, as the model sees it. */
type Observed = ReturnType<typeof expected>;

function expected(model: AccountingModel, accounts: string[], ids: bigint[]) {
  const pending = model.pending;
  const looked = ids.map((id) => ({ id, withdrawal: model.withdrawals[Number(id) - 1]! }));
  const ahead = looked.map(({ id, withdrawal }) =>
    withdrawal.paidWei === undefined
      ? model.withdrawals
          .slice(Number(model.lastFinalised), Number(id) - 1)
          .reduce((shares, other) => shares + other.shares, 0n)
      : 0n,
  );
  return {
    totals: {
      buffered: model.bufferedWei,
      clBalance: model.clValueWei,
      inFlight: model.inFlightWei,
      locked: model.lockedWei,
      owed: model.owedWei,
      fee: model.feeWei,
      totalPooledEther: model.totalPooledEtherWei,
      totalShares: model.totalShares,
      uncoveredLoss: model.uncoveredLossWei,
      deposited: model.depositedWei,
      swept: model.sweptWei,
      queued: model.queuedWei,
    },
    streamRate: model.netPerSecondWei / 10_000n,
    streamEnd: model.streamEndsAt,
    pending: {
      frame: pending?.frame ?? 0n,
      refSlot: pending?.refSlot ?? 0n,
      value: pending?.valueWei ?? 0n,
      withdrawnAtRef: pending?.withdrawnAtRefWei ?? 0n,
      depositedAtRef: pending?.depositedAtRefWei ?? 0n,
      reportedAt: pending?.reportedAt ?? 0n,
      loss: pending?.lossWei ?? 0n,
    },
    shares: accounts.map((account) => model.sharesOf(account)),
    balances: accounts.map((account) => model.etherFor(model.sharesOf(account))),
    totalSupply: model.totalPooledEtherWei,
    managerBalance: model.bufferedWei,
    depositable: model.depositableWei,
    stakingOpen: model.stakingOpen,
    stakeable: model.stakeableWei,
    rateValue: model.etherFor(10n ** 18n),
    reportAge: model.now - model.lastReportAt,
    stale: model.stale,
    lastFrame: model.lastFrame,
    depositedAt: model.depositedBy(model.frame - 1n),
    timestamp: model.now,
    finalisationPaused: model.finalisationPaused,
    queueShares: model.sharesOf(QUEUE),
    queueBalance: model.queueWei,
    queue: {
      lastRequest: BigInt(model.withdrawals.length),
      lastFinalised: model.lastFinalised,
      checkpoints: model.checkpoints,
      unfinalisedShares: model.queuedShares,
    },
    requests: looked.map(({ withdrawal: { owner, shares, paidWei, claimed } }) => ({
      owner: claimed ? ZERO : owner,
      shares,
      amount: paidWei ?? model.etherFor(shares),
      finalised: paidWei !== undefined,
      claimed,
    })),
    hints: looked.map(({ withdrawal }) => withdrawal.checkpoint),
    ahead,
    etherAhead: ahead.map((shares) => model.etherFor(shares)),
  };
}

/** The pool as an applied report left it: from here its total may grow by what streams and what is paid in. */
interface Baseline {
  at: bigint;
  etherWei: bigint;
  uncoveredLossWei: bigint;
  maxYearlyRateBps: bigint;
  paidInWei: bigint;
}

/** The pool's contracts and the model, driven side by side; every step compares all that can be seen of both. */
export class PoolWalk {
  readonly pool: Pool;
  model: AccountingModel;
  readonly accounts: string[];
  readonly users: string[];
  steps = 0;
  /** Steps the pool refused, as the model said it would, by error. */
  readonly refused = new Map<string, number>();
  /** Moments at which more had streamed than the yearly limit lets through: all of it paid back losses. */
  fasterRecoveries = 0;
  private readonly addresses: {
    manager: string;
    token: string;
    reserve: string;
    withdrawalVault: string;
    rewardsVault: string;
    probe: string;
    queue: string;
  };
  private readonly options: PoolOptions;
  private readonly deployedAt: bigint;
  private snapshot = "";
  private baseline: Baseline;
  /** All that was ever staked and gained, less what was lost. */
  private cameInWei: bigint;
  private lastTransaction: unknown;

  private constructor(
    pool: Pool,
    options: PoolOptions,
    addresses: PoolWalk["addresses"],
    treasury: string,
    deployedAt: bigint,
  ) {
    this.pool = pool;
    this.options = options;
    this.addresses = addresses;
    this.users = pool.users.slice(0, 4).map((user) => user.address);
    this.accounts = [DEAD, treasury, ...this.users];
    this.deployedAt = deployedAt;
    this.model = this.newModel();
    this.baseline = this.newBaseline(this.model.totalPooledEtherWei, 0n);
    this.cameInWei = this.model.bufferedWei;
  }

  static async create(options: PoolOptions = {}): Promise<PoolWalk> {
    const pool = await deployPool(options);
    const deployedAt = await pool.manager.lastReportAt();
    const probe = await new PoolProbe__factory(pool.users[0]).deploy();
    await pool.setBalance(RECIPIENT, 0n);
    for (const user of [...pool.users.slice(0, 4), pool.oracle, pool.registry, pool.guardians, pool.governance])
      await pool.setBalance(user.address, 10n ** 27n);
    const walk = new PoolWalk(
      pool,
      options,
      {
        manager: await pool.manager.getAddress(),
        token: await pool.token.getAddress(),
        reserve: await pool.reserve.getAddress(),
        withdrawalVault: await pool.withdrawalVault.getAddress(),
        rewardsVault: await pool.rewardsVault.getAddress(),
        probe: await probe.getAddress(),
        queue: await pool.queue.getAddress(),
      },
      pool.treasury.address,
      deployedAt,
    );
    // from here on no time but the walk's own
    walk.model.now = START;
    await walk.request("evm_setNextBlockTimestamp", [hex(START)]);
    await walk.request("evm_mine");
    walk.snapshot = (await walk.request("evm_snapshot")) as string;
    return walk;
  }

  /** Back to the pool as deployed. */
  async restart(): Promise<void> {
    await this.request("evm_revert", [this.snapshot]);
    this.snapshot = (await this.request("evm_snapshot")) as string;
    this.model = this.newModel();
    this.model.now = START;
    this.baseline = this.newBaseline(this.model.totalPooledEtherWei, 0n);
    this.cameInWei = this.model.bufferedWei;
  }

  async stake(seconds: bigint, user: number, wei: bigint): Promise<bigint | undefined> {
    const receiver = this.users[user]!;
    return this.step(seconds, {
      from: receiver,
      to: this.addresses.manager,
      data: managerInterface.encodeFunctionData("stake", [receiver, DEAD]),
      value: wei,
      model: () => {
        const shares = this.model.stake(receiver, wei);
        const value = this.model.etherFor(shares);
        // no round trip in a block gains; what it loses is less than a share is worth
        expect(value <= wei).to.equal(true);
        expect(
          (wei - value) * this.model.totalShares <= this.model.totalPooledEtherWei + this.model.totalShares,
        ).to.equal(true);
        return shares;
      },
    });
  }

  async transfer(seconds: bigint, from: number, to: number, wei: bigint): Promise<void> {
    await this.step(seconds, {
      from: this.users[from]!,
      to: this.addresses.token,
      data: tokenInterface.encodeFunctionData("transfer", [this.users[to]!, wei]),
      model: () => {
        this.model.transfer(this.users[from]!, this.users[to]!, wei);
      },
    });
  }

  async transferShares(seconds: bigint, from: number, to: number, shares: bigint): Promise<void> {
    await this.step(seconds, {
      from: this.users[from]!,
      to: this.addresses.token,
      data: tokenInterface.encodeFunctionData("transferShares", [this.users[to]!, shares]),
      model: () => {
        this.model.transferShares(this.users[from]!, this.users[to]!, shares);
      },
    });
  }

  async requestWithdrawal(seconds: bigint, from: number, owner: number, wei: bigint): Promise<void> {
    await this.step(seconds, {
      from: this.users[from]!,
      to: this.addresses.token,
      data: tokenInterface.encodeFunctionData("requestWithdrawal", [wei, this.users[owner]!]),
      model: () => {
        this.checkRequests(() => this.model.requestWithdrawal(this.users[from]!, this.users[owner]!, wei));
      },
    });
  }

  async requestWithdrawalShares(seconds: bigint, from: number, owner: number, shares: bigint): Promise<void> {
    await this.step(seconds, {
      from: this.users[from]!,
      to: this.addresses.token,
      data: tokenInterface.encodeFunctionData("requestWithdrawalShares", [shares, this.users[owner]!]),
      model: () => {
        this.checkRequests(() => this.model.requestWithdrawalShares(this.users[from]!, this.users[owner]!, shares));
      },
    });
  }

  async transferRequest(seconds: bigint, from: number, id: bigint, to: number): Promise<void> {
    await this.step(seconds, {
      from: this.users[from]!,
      to: this.addresses.queue,
      data: queueInterface.encodeFunctionData("transferRequest", [id, this.users[to]!]),
      model: () => {
        this.model.transferRequest(this.users[from]!, id, this.users[to]!);
      },
    });
  }

  async claim(seconds: bigint, from: number, id: bigint, hint?: bigint): Promise<void> {
    await this.step(seconds, {
      from: this.users[from]!,
      to: this.addresses.queue,
      data:
        hint === undefined
          ? queueInterface.encodeFunctionData("claim(uint256,address)", [id, RECIPIENT])
          : queueInterface.encodeFunctionData("claim(uint256,address,uint256)", [id, RECIPIENT, hint]),
      model: () => {
        this.model.claim(this.users[from]!, id, hint);
      },
    });
  }

  async pauseFinalisation(seconds: bigint): Promise<void> {
    await this.step(seconds, {
      from: this.pool.guardians.address,
      to: this.addresses.manager,
      data: managerInterface.encodeFunctionData("pauseFinalisation"),
      model: () => {
        this.model.finalisationPaused = true;
      },
    });
  }

  async resumeFinalisation(seconds: bigint): Promise<void> {
    await this.govern(seconds, "resumeFinalisation", [], () => {
      this.model.finalisationPaused = false;
    });
  }

  /** A request is never worth more than what was asked for, and less by less than a share for each part and the dust. */
  private checkRequests(request: () => { shares: bigint }[]): void {
    const before = this.model.sharesOf(QUEUE);
    const made = request().reduce((shares, withdrawal) => shares + withdrawal.shares, 0n);
    const moved = this.model.sharesOf(QUEUE) - before;
    expect(moved - made).to.equal(before === 0n ? 1n : 0n);
  }

  async fundDeposits(seconds: bigint, validators: bigint): Promise<void> {
    await this.step(seconds, {
      from: this.pool.registry.address,
      to: this.addresses.manager,
      data: managerInterface.encodeFunctionData("fundDeposits", [validators]),
      model: () => {
        this.model.fundDeposits(validators);
      },
    });
  }

  /** Reports the latest completed frame as of the block it lands in; `figures` sees the model at that moment. */
  async report(
    seconds: bigint,
    figures: (model: AccountingModel, frame: bigint) => Partial<Figures>,
  ): Promise<Outcome | undefined> {
    let last: { outcome: Outcome; sharesBefore: bigint } | undefined;
    const outcome = await this.step(seconds, {
      from: this.pool.oracle.address,
      to: this.addresses.manager,
      data: () => {
        const f = this.figures(figures);
        return managerInterface.encodeFunctionData("applyReport", [
          {
            frame: f.frame,
            refSlot: f.refSlot,
            clBalance: f.clBalanceWei,
            openPenalties: f.openPenaltiesWei,
            withdrawnAtRef: f.withdrawnAtRefWei,
          },
        ]);
      },
      model: () => {
        const sharesBefore = this.model.totalShares;
        last = { outcome: this.model.report(this.figures(figures)), sharesBefore };
        if (last.outcome.applied) this.cameInWei += last.outcome.gainWei;
        return last.outcome;
      },
      fall: () => last?.outcome.applied === true && last.outcome.lossWei > 0n,
      applies: () => last?.outcome.applied === true,
    });
    if (outcome !== undefined && last !== undefined) {
      await this.checkEvent(outcome, last.sharesBefore);
      if (outcome.applied) this.checkOutcome(outcome, last.sharesBefore);
    }
    return outcome;
  }

  async confirmLoss(seconds: bigint, agreedWei: bigint): Promise<void> {
    await this.govern(seconds, "confirmLoss", [agreedWei], () => {
      this.cameInWei += this.model.confirmLoss(agreedWei).gainWei;
    });
  }

  async discardLoss(seconds: bigint, refSlot: bigint): Promise<void> {
    await this.govern(seconds, "discardLoss", [refSlot], () => {
      this.model.discardLoss(refSlot);
    });
  }

  async setFee(seconds: bigint, feeBps: bigint): Promise<void> {
    await this.govern(seconds, "setFee", [feeBps], () => {
      this.model.parameters.feeBps = feeBps;
    });
  }

  async setStreamLimit(seconds: bigint, maxYearlyRateBps: bigint): Promise<void> {
    await this.govern(seconds, "setStreamLimit", [maxYearlyRateBps], () => {
      this.model.parameters.maxYearlyRateBps = maxYearlyRateBps;
    });
  }

  async setLossLimit(seconds: bigint, lossLimitBps: bigint, lossWindowSeconds: bigint): Promise<void> {
    await this.govern(seconds, "setLossLimit", [lossLimitBps, lossWindowSeconds], () => {
      this.model.setLossLimit(lossLimitBps, lossWindowSeconds);
    });
  }

  async setStakeLimits(seconds: bigint, minStakeWei: bigint, poolCapWei: bigint, dailyLimitWei: bigint): Promise<void> {
    const limits = { minStake: minStakeWei, poolCap: poolCapWei, dailyLimit: dailyLimitWei };
    await this.govern(seconds, "setStakeLimits", [limits], () => {
      this.model.setStakeLimits(minStakeWei, poolCapWei, dailyLimitWei);
    });
  }

  async setShortfall(seconds: bigint, wei: bigint): Promise<void> {
    await this.step(seconds, {
      from: this.users[0]!,
      to: this.addresses.reserve,
      data: reserveInterface.encodeFunctionData("setShortfall", [wei]),
      model: () => {
        this.model.shortfallWei = wei;
      },
    });
  }

  /** Balance credits as the consensus layer makes them: no transaction, no call. */
  async credit(vault: "withdrawalVault" | "rewardsVault", wei: bigint): Promise<void> {
    if (vault === "withdrawalVault") this.model.withdrawalVaultWei += wei;
    else this.model.rewardsVaultWei += wei;
    const held = vault === "withdrawalVault" ? this.model.withdrawalVaultWei : this.model.rewardsVaultWei;
    await this.request("hardhat_setBalance", [this.addresses[vault], hex(held)]);
    await this.compare();
  }

  async wait(seconds: bigint): Promise<void> {
    this.model.now += seconds;
    await this.request("evm_setNextBlockTimestamp", [hex(this.model.now)]);
    await this.request("evm_mine");
    await this.compare();
    this.steps++;
  }

  /** Waits until `seconds` after the end of the running frame. */
  async nextFrame(seconds = 100n): Promise<void> {
    const genesis = BigInt(this.pool.genesisTime);
    await this.wait(genesis + (this.model.frame + 1n) * FRAME_SECONDS + seconds - this.model.now);
  }

  /** @param applied whether a report was applied in the last block */
  async compare(applied = false): Promise<void> {
    const ids = this.looked();
    const data = probeInterface.encodeFunctionData("observe", [
      this.addresses.manager,
      this.accounts,
      ids,
      this.model.frame - 1n,
    ]);
    const result = await this.request("eth_call", [{ to: this.addresses.probe, data }, "latest"]);
    const [o] = probeInterface.decodeFunctionResult("observe", result as string) as unknown as [Result];
    const { totals, rate, pending, shares, balances, queue, requests, hints, ahead, etherAhead, ...rest } =
      o.toObject() as Record<string, Result>;
    const { totalPooledEther, uncoveredLoss } = totals!.toObject() as Record<
      "totalPooledEther" | "uncoveredLoss",
      bigint
    >;
    if (applied) this.baseline = this.newBaseline(totalPooledEther, uncoveredLoss);
    else this.checkPace(totalPooledEther, uncoveredLoss);
    const observed = {
      ...rest,
      shares: shares!.toArray(),
      balances: balances!.toArray(),
      totals: totals!.toObject(),
      streamRate: (rate!.toObject() as Record<string, bigint>)["streamRate"],
      streamEnd: (rate!.toObject() as Record<string, bigint>)["streamEnd"],
      pending: pending!.toObject(),
      queue: queue!.toObject(),
      requests: requests!.toArray().map((request) => (request as Result).toObject()),
      hints: hints!.toArray(),
      ahead: ahead!.toArray(),
      etherAhead: etherAhead!.toArray(),
    };
    const model: Observed = expected(this.model, this.accounts, ids);
    expect(observed).to.deep.equal(model);
    // I1: what shares can claim is covered
    const t = model.totals;
    expect(t.totalPooledEther <= t.buffered + t.clBalance + t.inFlight).to.equal(true);
    expect(model.shares.reduce((a, b) => a + b) + model.queueShares).to.equal(t.totalShares);
    // I9: finalised withdrawals are covered, to less than a wei for each; nothing was lost on the way
    const { claimableWei, queueWei, claimedWei, reserveWei, lastFinalised } = this.model;
    expect(claimableWei <= queueWei && queueWei <= claimableWei + lastFinalised).to.equal(true);
    expect(t.buffered + t.clBalance + t.inFlight + queueWei + claimedWei + reserveWei).to.equal(this.cameInWei);
    if (claimedWei !== this.seenClaimedWei) {
      this.seenClaimedWei = claimedWei;
      expect(BigInt((await this.request("eth_getBalance", [RECIPIENT, "latest"])) as string)).to.equal(claimedWei);
    }
  }
  private seenClaimedWei = 0n;

  /** The requests about to be finalised, and the newest. */
  private looked(): bigint[] {
    const count = this.model.withdrawals.length;
    const finalised = Number(this.model.lastFinalised);
    const ids: bigint[] = [];
    for (let id = 1; id <= count; id++) if (Math.abs(id - finalised) < 3 || id > count - 2) ids.push(BigInt(id));
    return ids;
  }

  /** I10: what streams stays below the yearly limit, whatever was reported; only what pays losses back may come faster. */
  private checkPace(etherWei: bigint, uncoveredLossWei: bigint): void {
    const from = this.baseline;
    const streamed = etherWei - from.etherWei - from.paidInWei;
    const allowed = (from.maxYearlyRateBps * from.etherWei * (this.model.now - from.at)) / (10_000n * YEAR_SECONDS);
    if (streamed <= allowed) return;
    expect(streamed, "streamed beyond the yearly limit").to.be.at.most(from.uncoveredLossWei - uncoveredLossWei);
    this.fasterRecoveries++;
  }

  private newBaseline(etherWei: bigint, uncoveredLossWei: bigint): Baseline {
    const { now, parameters } = this.model;
    return { at: now, etherWei, uncoveredLossWei, maxYearlyRateBps: parameters.maxYearlyRateBps, paidInWei: 0n };
  }

  private figures(change: (model: AccountingModel, frame: bigint) => Partial<Figures>): Figures {
    const frame = this.model.frame - 1n;
    const arrived = this.model.depositedBy(frame) - (this.model.depositedWei - this.model.inFlightWei);
    return {
      frame,
      refSlot: (frame + 1n) * BigInt(SLOTS_PER_FRAME) - 1n,
      clBalanceWei: this.model.clValueWei + arrived,
      openPenaltiesWei: 0n,
      withdrawnAtRefWei: this.model.sweptWei,
      ...change(this.model, frame),
    };
  }

  /** What an indexer is told. */
  private async checkEvent(outcome: Outcome, sharesBefore: bigint): Promise<void> {
    const receipt = (await this.request("eth_getTransactionReceipt", [this.lastTransaction])) as {
      logs: { topics: string[]; data: string }[];
    };
    const events = new Map(
      receipt.logs
        .map((log) => managerInterface.parseLog(log))
        .filter((event) => event !== null)
        .map((event) => [event.name, event.args.toObject()]),
    );
    if (!outcome.applied) {
      const { loss, limit } = events.get("LossPending") as Record<string, bigint>;
      expect({ loss, limit }).to.deep.equal({
        loss: outcome.lossWei,
        limit: outcome.limitWei,
      });
      return;
    }
    const { refSlot: _, elapsed: __, ...rebased } = events.get("Rebased") as Record<string, bigint>;
    expect(rebased).to.deep.equal({
      sharesBefore,
      etherBefore: outcome.etherBeforeWei,
      sharesAfter: sharesBefore + outcome.treasuryShares - outcome.burnedShares,
      etherAfter: outcome.etherAfterWei,
      gain: outcome.gainWei,
      reserveFee: outcome.reserveFeeWei,
      treasuryFee: outcome.treasuryFeeWei,
      treasuryShares: outcome.treasuryShares,
    });
    const { locked, owed, uncoveredLoss, streamEnd } = events.get("Settled") as Record<string, bigint>;
    expect({ locked, owed, uncoveredLoss, streamEnd }).to.deep.equal({
      locked: this.model.lockedWei,
      owed: this.model.owedWei,
      uncoveredLoss: this.model.uncoveredLossWei,
      streamEnd: this.model.streamEndsAt,
    });
  }

  /** What must hold of any applied report, whatever its figures. */
  private checkOutcome(outcome: Outcome, sharesBefore: bigint): void {
    const { etherBeforeWei, lossWei, treasuryFeeWei, treasuryShares, withdrawnWei, burnedShares } = outcome;
    // before withdrawals leave
    const etherWei = outcome.etherAfterWei + withdrawnWei;
    const after = sharesBefore + treasuryShares;
    // I10: a gain changes nothing at once but what the treasury is paid; a loss lowers the total by exactly itself
    if (etherBeforeWei > lossWei) expect(etherWei).to.equal(etherBeforeWei - lossWei + treasuryFeeWei);
    // the treasury's shares are worth at most what it is owed, and less by less than one share
    expect(treasuryShares * etherWei <= treasuryFeeWei * after).to.equal(true);
    expect((treasuryFeeWei - (treasuryShares * etherWei) / after - 1n) * after <= etherWei).to.equal(true);
    // I9: withdrawals get what their shares are worth, and less by less than a wei
    expect(withdrawnWei * after <= burnedShares * etherWei).to.equal(true);
    expect((withdrawnWei + 1n) * after > burnedShares * etherWei).to.equal(true);
  }

  private async govern(seconds: bigint, name: GovernanceCall, args: unknown[], model: () => void): Promise<void> {
    await this.step(seconds, {
      from: this.pool.governance.address,
      to: this.addresses.manager,
      data: (managerInterface as Interface).encodeFunctionData(name, args),
      model,
      fall: () => name === "confirmLoss",
      applies: () => name === "confirmLoss",
    });
  }

  /** Sends one transaction `seconds` after the last block and lets the model do the same. */
  private async step<T>(
    seconds: bigint,
    call: {
      from: string;
      to: string;
      data: string | (() => string);
      value?: bigint;
      model: () => T;
      /** Whether the rate may have fallen: only a reported loss does that. */
      fall?: () => boolean;
      /** Whether a report was applied. */
      applies?: () => boolean;
    },
  ): Promise<T | undefined> {
    this.model.now += seconds;
    this.steps++;
    const data = typeof call.data === "string" ? call.data : call.data();
    const before = { ether: this.model.totalPooledEtherWei, shares: this.model.totalShares };
    this.checkPace(before.ether, this.model.uncoveredLossWei);
    let result: T | undefined;
    let refusal: string | undefined;
    try {
      result = call.model();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refusal = error.error;
    }
    await this.request("evm_setNextBlockTimestamp", [hex(this.model.now)]);
    const failure = await this.send(call.from, call.to, data, call.value ?? 0n);
    expect(failure, "error of the pool").to.equal(refusal);
    if (refusal !== undefined) this.refused.set(refusal, (this.refused.get(refusal) ?? 0) + 1);
    if (refusal === undefined) {
      this.baseline.paidInWei += call.value ?? 0n;
      this.cameInWei += call.value ?? 0n;
    }
    await this.compare(refusal === undefined && call.applies?.() === true);
    // I3: at equal time the value of a share falls only by a reported loss
    if (call.fall?.() !== true)
      expect(this.model.totalPooledEtherWei * before.shares >= before.ether * this.model.totalShares).to.equal(true);
    return result;
  }

  /** @returns the name of the error it reverted with, if it did */
  private async send(from: string, to: string, data: string, value: bigint): Promise<string | undefined> {
    try {
      this.lastTransaction = await this.request("eth_sendTransaction", [
        { from, to, data, value: hex(value), gas: "0x2dc6c0", gasPrice: hex(10n ** 12n) },
      ]);
      return undefined;
    } catch (error) {
      const reason = (error as { data?: unknown }).data;
      const bytes = typeof reason === "string" ? reason : (reason as { data?: string } | undefined)?.data;
      if (bytes === undefined) throw error;
      const parsed =
        managerInterface.parseError(bytes) ?? tokenInterface.parseError(bytes) ?? queueInterface.parseError(bytes);
      if (parsed === null) throw error;
      return parsed.name;
    }
  }

  private newModel(): AccountingModel {
    const { feeBps, maxYearlyRateBps, lossLimitBps, lossWindow, limits } = this.pool.parameters;
    return new AccountingModel(
      {
        treasury: this.accounts[1]!,
        feeBps,
        maxYearlyRateBps,
        lossLimitBps,
        lossWindowSeconds: lossWindow,
        minStakeWei: limits.minStake,
        poolCapWei: limits.poolCap,
        dailyLimitWei: limits.dailyLimit,
      },
      {
        genesisTime: BigInt(this.pool.genesisTime),
        frameSeconds: FRAME_SECONDS,
        cutoffMarginSeconds: CUTOFF_MARGIN_SECONDS,
      },
      this.deployedAt,
      this.options.initialStakeWei ?? 10n ** 18n,
    );
  }

  private async request(method: string, params: unknown[] = []): Promise<unknown> {
    return this.pool.connection.provider.request({ method, params });
  }
}

type GovernanceCall =
  | "resumeFinalisation"
  | "confirmLoss"
  | "discardLoss"
  | "setFee"
  | "setStreamLimit"
  | "setLossLimit"
  | "setStakeLimits";
