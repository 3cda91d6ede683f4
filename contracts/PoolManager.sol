// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IOperationsReserve} from "./interfaces/IOperationsReserve.sol";
import {IPoolETH, Rate} from "./interfaces/IPoolETH.sol";
import {
    Figures,
    IPoolManager,
    PendingLoss,
    PoolContracts,
    PoolParameters,
    StakeLimits,
    Totals
} from "./interfaces/IPoolManager.sol";
import {IRewardsVault, IWithdrawalVault} from "./interfaces/IVaults.sol";
import {FrameCounter} from "./libraries/FrameCounter.sol";
import {FrameConfig, Frames} from "./libraries/Frames.sol";
import {RewardStream} from "./libraries/RewardStream.sol";
import {Settlement} from "./libraries/Settlement.sol";

/// @title PoolManager
/// @notice See {IPoolManager}.
contract PoolManager is IPoolManager, UUPSUpgradeable, AccessManagedUpgradeable, ReentrancyGuardTransient {
    using FrameCounter for FrameCounter.Counter;
    using Frames for FrameConfig;
    using RewardStream for RewardStream.Stream;
    using SafeCast for uint256;
    using Settlement for Settlement.Verdict;

    /// All that a stake reads and writes, beside its limits.
    struct Gate {
        uint88 buffered;
        uint88 bucket; // of the daily limit, used at `bucketAt`
        uint32 bucketAt;
        uint32 lastReportAt;
        bool stakingPaused;
        bool lossPending;
    }

    /// What the last applied report found on the beacon chain.
    struct Reference {
        uint96 value; // clBalance - openPenalties
        uint96 deposited;
        uint64 frame;
    }

    /// @custom:storage-location erc7201:pooleth.storage.PoolManager
    struct PoolStorage {
        Gate gate;
        StakeLimits limits;
        Reference last;
        FrameCounter.Counter deposited;
        Settlement.Ledger ledger;
        RewardStream.Stream stream;
        Settlement.Losses losses;
        address treasury;
        uint88 waiting; // gain that the stream's limit keeps back until the next report; part of what is locked
        PendingLoss pending;
    }

    // keccak256(abi.encode(uint256(keccak256("pooleth.storage.PoolManager")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0xc69c407211bd72d607688ff66ec07b45a455cf118600a63353e07c5654c04e00;

    uint256 private constant VALIDATOR_DEPOSIT = 32 ether;
    uint256 private constant LOWEST_INITIAL_STAKE = 0.001 ether;
    uint256 private constant HIGHEST_MIN_STAKE = 32 ether;
    uint256 private constant LONGEST_FRAME = 30 days;
    address private constant DEAD = 0x000000000000000000000000000000000000dEaD;

    IPoolETH private immutable TOKEN;
    address private immutable REGISTRY;
    address private immutable REPORT_ORACLE;
    address private immutable GUARDIANS;
    IWithdrawalVault private immutable WITHDRAWAL_VAULT;
    IRewardsVault private immutable REWARDS_VAULT;
    IOperationsReserve private immutable RESERVE;
    uint64 private immutable GENESIS_TIME;
    uint32 private immutable SECONDS_PER_SLOT;
    uint32 private immutable SLOTS_PER_FRAME;

    constructor(PoolContracts memory contracts_, FrameConfig memory frames) {
        TOKEN = IPoolETH(_nonZero("token", contracts_.token));
        REGISTRY = _nonZero("registry", contracts_.registry);
        REPORT_ORACLE = _nonZero("reportOracle", contracts_.reportOracle);
        GUARDIANS = _nonZero("guardians", contracts_.guardians);
        WITHDRAWAL_VAULT = IWithdrawalVault(_nonZero("withdrawalVault", contracts_.withdrawalVault));
        REWARDS_VAULT = IRewardsVault(_nonZero("rewardsVault", contracts_.rewardsVault));
        RESERVE = IOperationsReserve(_nonZero("reserve", contracts_.reserve));
        _checkBounds("frame", frames.duration(), 1, LONGEST_FRAME);
        (GENESIS_TIME, SECONDS_PER_SLOT, SLOTS_PER_FRAME) = (
            frames.genesisTime,
            frames.secondsPerSlot,
            frames.slotsPerFrame
        );
        _disableInitializers();
    }

    receive() external payable {
        if (msg.sender != address(WITHDRAWAL_VAULT) && msg.sender != address(REWARDS_VAULT)) revert UseStake();
    }

    /// @inheritdoc IPoolManager
    function initialize(address authority, PoolParameters calldata parameters_) external payable initializer {
        __AccessManaged_init(_nonZero("authority", authority));
        _setFee(parameters_.feeBps);
        _setTreasury(parameters_.treasury);
        _setStakeLimits(parameters_.limits);
        _setStreamLimit(parameters_.maxYearlyRateBps);
        _setLossLimit(parameters_.lossLimitBps, parameters_.lossWindow);
        if (msg.value < LOWEST_INITIAL_STAKE) revert StakeBelowMinimum(msg.value, LOWEST_INITIAL_STAKE);
        Gate storage gate = _storage().gate;
        gate.buffered = msg.value.toUint88();
        gate.lastReportAt = uint32(block.timestamp);
        (uint256 shares, ) = TOKEN.mint(DEAD, msg.value);
        emit Staked(msg.sender, DEAD, msg.value, shares, address(0));
    }

    /// @inheritdoc IPoolManager
    function stake(address receiver, address referral) external payable nonReentrant returns (uint256 shares) {
        PoolStorage storage $ = _storage();
        Gate memory gate = $.gate;
        if (gate.stakingPaused) revert StakingIsPaused();
        _checkCurrent($, gate);
        StakeLimits memory limits = $.limits;
        if (msg.value < limits.minStake) revert StakeBelowMinimum(msg.value, limits.minStake);
        // the token calls nobody, and a second call just to ask for the total would cost every staker
        uint256 totalAfter;
        (shares, totalAfter) = TOKEN.mint(receiver, msg.value);
        if (totalAfter > limits.poolCap) revert PoolCapExceeded(totalAfter, limits.poolCap);
        uint256 level = _bucketLevel(gate, limits.dailyLimit);
        if (level + msg.value > limits.dailyLimit)
            revert DailyLimitExceeded(msg.value, Math.saturatingSub(limits.dailyLimit, level));

        // the cap and the daily limit, both uint88, bound what follows
        gate.buffered += uint88(msg.value);
        gate.bucket = uint88(level + msg.value);
        gate.bucketAt = uint32(block.timestamp);
        $.gate = gate;
        emit Staked(msg.sender, receiver, msg.value, shares, referral);
    }

    /// @inheritdoc IPoolManager
    function applyReport(Figures calldata figures) external nonReentrant returns (bool applied) {
        if (msg.sender != REPORT_ORACLE) revert NotAuthorized(msg.sender, REPORT_ORACLE);
        PoolStorage storage $ = _storage();
        if (figures.clBalance > type(uint88).max) revert FigureTooLarge("clBalance", figures.clBalance);
        uint256 swept = $.ledger.swept;
        if (figures.withdrawnAtRef < swept) revert WithdrawnDecreased(figures.withdrawnAtRef, swept);
        // one of the two sanctioned reads of a balance: the vault is about to send this much
        uint256 held = address(WITHDRAWAL_VAULT).balance;
        if (figures.withdrawnAtRef - swept > held) revert WithdrawalsNotInVault(figures.withdrawnAtRef - swept, held);

        PendingLoss memory report = PendingLoss({
            frame: figures.frame.toUint64(),
            refSlot: figures.refSlot.toUint64(),
            value: uint96(Math.saturatingSub(figures.clBalance, figures.openPenalties)),
            withdrawnAtRef: figures.withdrawnAtRef.toUint96(),
            depositedAtRef: uint96($.deposited.atEndOf(figures.frame)),
            reportedAt: uint64(block.timestamp),
            loss: 0
        });
        Settlement.Verdict memory v = _judge($, report);
        uint256 limit = v.lossLimit();
        if ($.gate.lossPending || (v.loss != 0 && v.losses.recent + v.loss > limit)) {
            report.loss = v.loss.toUint96();
            $.pending = report;
            $.gate.lossPending = true;
            emit LossPending(report.refSlot, v.loss, limit);
            return false;
        }
        _apply($, report, v);
        return true;
    }

    /// @inheritdoc IPoolManager
    function fundDeposits(uint256 validators) external nonReentrant {
        if (msg.sender != REGISTRY) revert NotAuthorized(msg.sender, REGISTRY);
        PoolStorage storage $ = _storage();
        Gate memory gate = $.gate;
        _checkCurrent($, gate);
        uint256 amount = validators * VALIDATOR_DEPOSIT;
        uint256 available = Math.saturatingSub(gate.buffered, $.ledger.owed);
        if (amount > available) revert NotEnoughBuffered(amount, available);
        $.gate.buffered = uint88(gate.buffered - amount);
        uint256 deposited = $.deposited.add(_frames().frameAt(block.timestamp), amount);
        emit DepositsFunded(amount, deposited);
        (bool sent, ) = REGISTRY.call{value: amount}("");
        if (!sent) revert SendFailed(REGISTRY, amount);
    }

    /// @inheritdoc IPoolManager
    function pauseStaking() external {
        if (msg.sender != GUARDIANS) revert NotAuthorized(msg.sender, GUARDIANS);
        _storage().gate.stakingPaused = true;
        emit StakingPaused();
    }

    /// @inheritdoc IPoolManager
    function resumeStaking() external restricted {
        _storage().gate.stakingPaused = false;
        emit StakingResumed();
    }

    /// @inheritdoc IPoolManager
    function confirmLoss(uint256 agreedLoss) external nonReentrant restricted {
        PoolStorage storage $ = _storage();
        PendingLoss memory report = _closePending($);
        Settlement.Verdict memory v = _judge($, report);
        if (v.loss > agreedLoss) revert LossAboveAgreed(v.loss, agreedLoss);
        emit LossConfirmed(report.refSlot, v.loss);
        _apply($, report, v);
    }

    /// @inheritdoc IPoolManager
    function discardLoss(uint64 refSlot) external restricted {
        PendingLoss memory report = _closePending(_storage());
        if (report.refSlot != refSlot) revert PendingLossChanged(report.refSlot, refSlot);
        emit LossDiscarded(report.refSlot, report.loss);
    }

    /// @inheritdoc IPoolManager
    function setFee(uint16 feeBps) external restricted {
        _setFee(feeBps);
    }

    /// @inheritdoc IPoolManager
    function setTreasury(address treasury) external restricted {
        _setTreasury(treasury);
    }

    /// @inheritdoc IPoolManager
    function setStakeLimits(StakeLimits calldata limits) external restricted {
        _setStakeLimits(limits);
    }

    /// @inheritdoc IPoolManager
    function setStreamLimit(uint16 maxYearlyRateBps) external restricted {
        _setStreamLimit(maxYearlyRateBps);
    }

    /// @inheritdoc IPoolManager
    function setLossLimit(uint16 lossLimitBps, uint32 lossWindow) external restricted {
        _setLossLimit(lossLimitBps, lossWindow);
    }

    /// @inheritdoc IPoolManager
    function totals() external view returns (Totals memory) {
        PoolStorage storage $ = _storage();
        Rate memory r = TOKEN.rate();
        uint256 left = RewardStream.remaining(r.streamEnd, block.timestamp);
        RewardStream.Stream memory stream = $.stream;
        uint256 uncovered = $.losses.uncovered;
        return
            Totals({
                buffered: $.gate.buffered,
                clBalance: $.last.value,
                inFlight: $.deposited.total - $.last.deposited,
                locked: stream.locked(r.streamRate, left) + $.waiting,
                owed: $.ledger.owed,
                fee: stream.feeUnlocked(left),
                totalPooledEther: TOKEN.totalPooledEther(),
                totalShares: r.totalShares,
                uncoveredLoss: Math.saturatingSub(uncovered, stream.freeUnlocked(left)),
                deposited: $.deposited.total,
                swept: $.ledger.swept
            });
    }

    /// @inheritdoc IPoolManager
    function rate() external view returns (uint256 value, uint256 age, bool stale) {
        uint256 reportAt = _storage().gate.lastReportAt;
        value = TOKEN.getPooledEthByShares(1e18);
        (age, stale) = (block.timestamp - reportAt, block.timestamp > _staleAt(reportAt));
    }

    /// @inheritdoc IPoolManager
    function depositableEther() external view returns (uint256) {
        PoolStorage storage $ = _storage();
        return Math.saturatingSub($.gate.buffered, $.ledger.owed);
    }

    /// @inheritdoc IPoolManager
    function stakingState() external view returns (bool open, uint256 available) {
        PoolStorage storage $ = _storage();
        Gate memory gate = $.gate;
        uint256 total = TOKEN.totalPooledEther();
        open = !gate.stakingPaused && !gate.lossPending && block.timestamp <= _staleAt(gate.lastReportAt) && total != 0;
        if (!open) return (false, 0);
        StakeLimits memory limits = $.limits;
        available = Math.min(
            Math.saturatingSub(limits.poolCap, total),
            Math.saturatingSub(limits.dailyLimit, _bucketLevel(gate, limits.dailyLimit))
        );
    }

    /// @inheritdoc IPoolManager
    function depositedAt(uint256 frame) external view returns (uint256) {
        return _storage().deposited.atEndOf(frame);
    }

    /// @inheritdoc IPoolManager
    function contracts() external view returns (PoolContracts memory) {
        return
            PoolContracts({
                token: address(TOKEN),
                registry: REGISTRY,
                reportOracle: REPORT_ORACLE,
                guardians: GUARDIANS,
                withdrawalVault: address(WITHDRAWAL_VAULT),
                rewardsVault: address(REWARDS_VAULT),
                reserve: address(RESERVE)
            });
    }

    /// @inheritdoc IPoolManager
    function frameConfig() external view returns (uint64 genesisTime, uint32 secondsPerSlot, uint32 slotsPerFrame) {
        return (GENESIS_TIME, SECONDS_PER_SLOT, SLOTS_PER_FRAME);
    }

    /// @inheritdoc IPoolManager
    function pendingLoss() external view returns (PendingLoss memory) {
        return _storage().pending;
    }

    /// @inheritdoc IPoolManager
    function parameters() external view returns (PoolParameters memory) {
        PoolStorage storage $ = _storage();
        return
            PoolParameters({
                treasury: $.treasury,
                feeBps: $.ledger.feeBps,
                maxYearlyRateBps: $.ledger.maxYearlyRateBps,
                lossLimitBps: $.losses.limitBps,
                lossWindow: $.losses.window,
                limits: $.limits
            });
    }

    /// @inheritdoc IPoolManager
    function lastFrame() external view returns (uint256) {
        return _storage().last.frame;
    }

    /// @inheritdoc IPoolManager
    function lastReportAt() external view returns (uint256) {
        return _storage().gate.lastReportAt;
    }

    function _authorizeUpgrade(address) internal override restricted {}

    /// @dev Steps 1 and 2 of a report (docs/accounting.md), in memory.
    function _judge(
        PoolStorage storage $,
        PendingLoss memory report
    ) private view returns (Settlement.Verdict memory v) {
        (v.ledger, v.losses, v.buffered) = ($.ledger, $.losses, $.gate.buffered);
        v.settle($.stream, $.waiting, TOKEN.rate(), block.timestamp);
        Reference memory last = $.last;
        v.withdrawals = report.withdrawnAtRef - v.ledger.swept;
        v.executionRewards = address(REWARDS_VAULT).balance; // the other sanctioned read of a balance
        v.weigh(
            report.value,
            $.deposited.total - report.depositedAtRef,
            int256(uint256(last.value) + report.depositedAtRef) - int256(uint256(last.deposited))
        );
        // more than twice all ether: no real chain says so, and what follows fits its fields
        if (v.gross > type(uint88).max) revert FigureTooLarge("assets", v.gross);
    }

    /// @dev The rest of a report: pay what is owed, open the next stream, write, and only then move ETH.
    function _apply(PoolStorage storage $, PendingLoss memory report, Settlement.Verdict memory v) private {
        if (v.loss != 0) {
            v.remember(block.timestamp);
            $.losses = v.losses;
        } else {
            $.losses.uncovered = v.losses.uncovered;
        }
        uint256 elapsed = block.timestamp - $.gate.lastReportAt;
        Settlement.Payment memory paid;
        if (v.ledger.owed != 0) paid = v.pay(RESERVE.shortfall());
        v.ledger.swept = report.withdrawnAtRef;
        $.ledger = v.ledger;
        uint256 etherAfter = v.totalEther();
        $.last = Reference({value: report.value, deposited: report.depositedAtRef, frame: report.frame});
        (RewardStream.Stream memory stream, uint256 streamRate, uint256 waiting) = RewardStream.open(
            v.locked,
            v.losses.uncovered,
            etherAfter,
            _frames().duration(),
            v.ledger.maxYearlyRateBps,
            v.ledger.feeBps
        );
        $.stream = stream;
        if (waiting != $.waiting) $.waiting = uint88(waiting);
        _emitReport(report.refSlot, v, paid, etherAfter, elapsed, block.timestamp + stream.duration);
        ($.gate.lastReportAt, $.gate.buffered) = (uint32(report.reportedAt), uint88(v.buffered));

        TOKEN.rebase(
            Math.saturatingSub(v.gross, v.ledger.owed + stream.fee + stream.dust + waiting),
            streamRate,
            block.timestamp + stream.duration,
            paid.treasuryShares == 0 ? address(0) : $.treasury,
            paid.treasuryShares
        );
        if (v.withdrawals != 0) WITHDRAWAL_VAULT.sweep(v.withdrawals);
        if (v.executionRewards != 0) REWARDS_VAULT.sweep();
        if (paid.reserveFee != 0) RESERVE.fund{value: paid.reserveFee}();
    }

    function _emitReport(
        uint256 refSlot,
        Settlement.Verdict memory v,
        Settlement.Payment memory paid,
        uint256 etherAfter,
        uint256 elapsed,
        uint256 streamEnd
    ) private {
        emit Rebased(
            refSlot,
            v.sharesBefore,
            v.etherBefore,
            v.sharesBefore + paid.treasuryShares,
            etherAfter,
            v.gain,
            paid.reserveFee,
            paid.treasuryFee,
            paid.treasuryShares,
            elapsed
        );
        emit Settled(
            refSlot,
            v.withdrawals,
            v.executionRewards,
            v.locked,
            v.ledger.owed,
            v.losses.uncovered,
            streamEnd
        );
    }

    function _closePending(PoolStorage storage $) private returns (PendingLoss memory report) {
        if (!$.gate.lossPending) revert NoPendingLoss();
        report = $.pending;
        delete $.pending;
        $.gate.lossPending = false;
    }

    function _setFee(uint16 feeBps) private {
        _checkBounds("feeBps", feeBps, 0, 1_500);
        _storage().ledger.feeBps = feeBps;
        emit FeeChanged(feeBps);
    }

    function _setTreasury(address treasury) private {
        _storage().treasury = _nonZero("treasury", treasury);
        emit TreasuryChanged(treasury);
    }

    function _setStakeLimits(StakeLimits calldata limits) private {
        _checkBounds("minStake", limits.minStake, 1, HIGHEST_MIN_STAKE);
        PoolStorage storage $ = _storage();
        // what was used refills at the old pace up to now, at the new one from now on
        $.gate.bucket = uint88(_bucketLevel($.gate, $.limits.dailyLimit));
        $.gate.bucketAt = uint32(block.timestamp);
        $.limits = limits;
        emit StakeLimitsChanged(limits.minStake, limits.poolCap, limits.dailyLimit);
    }

    function _setStreamLimit(uint16 maxYearlyRateBps) private {
        _checkBounds("maxYearlyRateBps", maxYearlyRateBps, 100, 5_000);
        _storage().ledger.maxYearlyRateBps = maxYearlyRateBps;
        emit StreamLimitChanged(maxYearlyRateBps);
    }

    function _setLossLimit(uint16 lossLimitBps, uint32 lossWindow) private {
        _checkBounds("lossLimitBps", lossLimitBps, 10, 5_000);
        _checkBounds("lossWindow", lossWindow, 1 days, 90 days);
        PoolStorage storage $ = _storage();
        Settlement.Losses memory losses = $.losses;
        // what the old window has forgotten stays so; the rest fades over the new one
        (losses.recent, losses.recentAt) = (Settlement.remembered(losses, block.timestamp), uint32(block.timestamp));
        (losses.limitBps, losses.window) = (lossLimitBps, lossWindow);
        $.losses = losses;
        emit LossLimitChanged(lossLimitBps, lossWindow);
    }

    /// @dev Reverts while a loss is pending or the last report is too old to trust the rate.
    function _checkCurrent(PoolStorage storage $, Gate memory gate) private view {
        if (gate.lossPending) revert LossIsPending($.pending.refSlot, $.pending.loss);
        uint256 staleAt = _staleAt(gate.lastReportAt);
        if (block.timestamp > staleAt) revert ReportStale(gate.lastReportAt, staleAt);
    }

    function _staleAt(uint256 reportAt) private view returns (uint256) {
        return reportAt + 2 * _frames().duration();
    }

    /// @dev Part of the daily limit still in use, wei.
    function _bucketLevel(Gate memory gate, uint256 dailyLimit) private view returns (uint256) {
        return Math.saturatingSub(gate.bucket, (dailyLimit * (block.timestamp - gate.bucketAt)) / 1 days);
    }

    function _frames() private view returns (FrameConfig memory) {
        return FrameConfig(GENESIS_TIME, SECONDS_PER_SLOT, SLOTS_PER_FRAME);
    }

    function _nonZero(bytes32 name, address account) private pure returns (address) {
        if (account == address(0)) revert ZeroAddress(name);
        return account;
    }

    function _checkBounds(bytes32 name, uint256 value, uint256 lowest, uint256 highest) private pure {
        if (value < lowest || value > highest) revert InvalidParameter(name, value, lowest, highest);
    }

    function _storage() private pure returns (PoolStorage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
