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
import {IWithdrawalQueue} from "./interfaces/IWithdrawalQueue.sol";
import {Checks} from "./libraries/Checks.sol";
import {FrameCounter} from "./libraries/FrameCounter.sol";
import {FrameConfig, Frames} from "./libraries/Frames.sol";
import {RewardStream} from "./libraries/RewardStream.sol";
import {Settlement} from "./libraries/Settlement.sol";
import {StakingGate} from "./libraries/StakingGate.sol";

/// @title PoolManager
/// @notice See {IPoolManager}.
contract PoolManager is IPoolManager, UUPSUpgradeable, AccessManagedUpgradeable, ReentrancyGuardTransient {
    using FrameCounter for FrameCounter.Counter;
    using Frames for FrameConfig;
    using RewardStream for RewardStream.Stream;
    using SafeCast for uint256;
    using Settlement for Settlement.Verdict;
    using StakingGate for StakingGate.Gate;

    /// What the last applied report found on the beacon chain.
    struct Reference {
        uint96 value; // clBalance - openPenalties
        uint96 deposited;
        uint64 frame;
    }

    /// @custom:storage-location erc7201:pooleth.storage.PoolManager
    struct PoolStorage {
        StakingGate.Gate gate;
        StakeLimits limits;
        Reference last;
        FrameCounter.Counter deposited;
        Settlement.Ledger ledger;
        RewardStream.Stream stream;
        Settlement.Losses losses;
        address treasury;
        uint88 waiting; // gain that the stream's limit keeps back until the next report; part of what is locked
        bool finalisationPaused;
        PendingLoss pending;
    }

    // keccak256(abi.encode(uint256(keccak256("pooleth.storage.PoolManager")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0xc69c407211bd72d607688ff66ec07b45a455cf118600a63353e07c5654c04e00;

    uint256 private constant VALIDATOR_DEPOSIT = 32 ether;
    uint256 private constant LOWEST_INITIAL_STAKE = 0.001 ether;
    uint256 private constant HIGHEST_MIN_STAKE = 32 ether;
    uint256 private constant LONGEST_FRAME = 30 days;
    uint256 private constant QUEUE_DUST = 1; // share that stays in the queue for ever
    address private constant DEAD = 0x000000000000000000000000000000000000dEaD;

    IPoolETH private immutable TOKEN;
    address private immutable REGISTRY;
    address private immutable REPORT_ORACLE;
    address private immutable GUARDIANS;
    IWithdrawalVault private immutable WITHDRAWAL_VAULT;
    IRewardsVault private immutable REWARDS_VAULT;
    IOperationsReserve private immutable RESERVE;
    IWithdrawalQueue private immutable QUEUE;
    uint64 private immutable GENESIS_TIME;
    uint32 private immutable SECONDS_PER_SLOT;
    uint32 private immutable SLOTS_PER_FRAME;
    uint256 private immutable FRAME_SECONDS;

    constructor(PoolContracts memory contracts_, FrameConfig memory frames) {
        TOKEN = IPoolETH(Checks.nonZero("token", contracts_.token));
        REGISTRY = Checks.nonZero("registry", contracts_.registry);
        REPORT_ORACLE = Checks.nonZero("reportOracle", contracts_.reportOracle);
        GUARDIANS = Checks.nonZero("guardians", contracts_.guardians);
        WITHDRAWAL_VAULT = IWithdrawalVault(Checks.nonZero("withdrawalVault", contracts_.withdrawalVault));
        REWARDS_VAULT = IRewardsVault(Checks.nonZero("rewardsVault", contracts_.rewardsVault));
        RESERVE = IOperationsReserve(Checks.nonZero("reserve", contracts_.reserve));
        QUEUE = IWithdrawalQueue(Checks.nonZero("withdrawalQueue", contracts_.withdrawalQueue));
        FRAME_SECONDS = frames.duration();
        Checks.within("frame", FRAME_SECONDS, 1, LONGEST_FRAME);
        GENESIS_TIME = frames.genesisTime;
        SECONDS_PER_SLOT = frames.secondsPerSlot;
        SLOTS_PER_FRAME = frames.slotsPerFrame;
        _disableInitializers();
    }

    receive() external payable {
        if (msg.sender != address(WITHDRAWAL_VAULT) && msg.sender != address(REWARDS_VAULT)) revert UseStake();
    }

    /// @inheritdoc IPoolManager
    function initialize(address authority, PoolParameters calldata parameters_) external payable initializer {
        __AccessManaged_init(Checks.nonZero("authority", authority));
        _setFee(parameters_.feeBps);
        _setTreasury(parameters_.treasury);
        _setStakeLimits(parameters_.limits);
        _setStreamLimit(parameters_.maxYearlyRateBps);
        _setLossLimit(parameters_.lossLimitBps, parameters_.lossWindow);
        if (msg.value < LOWEST_INITIAL_STAKE) revert StakeBelowMinimum(msg.value, LOWEST_INITIAL_STAKE);
        StakingGate.Gate storage gate = _storage().gate;
        gate.buffered = msg.value.toUint88();
        gate.lastReportAt = uint32(block.timestamp);
        (uint256 shares, ) = TOKEN.mint(DEAD, msg.value);
        emit Staked(msg.sender, DEAD, msg.value, shares, address(0));
    }

    /// @inheritdoc IPoolManager
    function stake(address receiver, address referral) external payable nonReentrant returns (uint256 shares) {
        PoolStorage storage $ = _storage();
        StakingGate.Gate memory gate = $.gate;
        if (gate.stakingPaused) revert StakingIsPaused();
        _checkCurrent($, gate);
        StakeLimits memory limits = $.limits;
        if (msg.value < limits.minStake) revert StakeBelowMinimum(msg.value, limits.minStake);
        // the token calls nobody, and a second call just to ask for the total would cost every staker
        uint256 totalAfter;
        (shares, totalAfter) = TOKEN.mint(receiver, msg.value);
        gate.admit(limits, msg.value, totalAfter, block.timestamp);
        $.gate = gate;
        emit Staked(msg.sender, receiver, msg.value, shares, referral);
    }

    /// @inheritdoc IPoolManager
    function applyReport(Figures calldata figures) external nonReentrant returns (bool applied) {
        if (msg.sender != REPORT_ORACLE) revert NotAuthorized(msg.sender, REPORT_ORACLE);
        PoolStorage storage $ = _storage();
        uint256 swept = $.ledger.swept;
        // one of the two sanctioned reads of a balance: the vault is about to send this much
        uint256 held = figures.withdrawnAtRef == swept ? 0 : address(WITHDRAWAL_VAULT).balance;
        uint256 depositedAtRef = $.deposited.atEndOf(figures.frame);
        PendingLoss memory report = Settlement.take(figures, swept, held, depositedAtRef, block.timestamp);
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
        StakingGate.Gate memory gate = $.gate;
        _checkCurrent($, gate);
        uint256 amount = validators * VALIDATOR_DEPOSIT;
        uint256 available = depositableEther();
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
    function pauseFinalisation() external {
        if (msg.sender != GUARDIANS) revert NotAuthorized(msg.sender, GUARDIANS);
        _storage().finalisationPaused = true;
        emit FinalisationPaused();
    }

    /// @inheritdoc IPoolManager
    function resumeFinalisation() external restricted {
        _storage().finalisationPaused = false;
        emit FinalisationResumed();
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
                swept: $.ledger.swept,
                queued: TOKEN.getPooledEthByShares(_queuedShares())
            });
    }

    /// @inheritdoc IPoolManager
    function rate() external view returns (uint256 value, uint256 age, bool stale) {
        uint256 reportAt = _storage().gate.lastReportAt;
        value = TOKEN.getPooledEthByShares(1e18);
        (age, stale) = (block.timestamp - reportAt, block.timestamp > _staleAt(reportAt));
    }

    /// @inheritdoc IPoolManager
    function finalisationPaused() external view returns (bool) {
        return _storage().finalisationPaused;
    }

    /// @inheritdoc IPoolManager
    function stakingState() external view returns (bool open, uint256 available) {
        PoolStorage storage $ = _storage();
        StakingGate.Gate memory gate = $.gate;
        uint256 total = TOKEN.totalPooledEther();
        open = !gate.stakingPaused && !gate.lossPending && block.timestamp <= _staleAt(gate.lastReportAt) && total != 0;
        if (!open) return (false, 0);
        available = gate.room($.limits, total, block.timestamp);
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
                reserve: address(RESERVE),
                withdrawalQueue: address(QUEUE)
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

    /// @inheritdoc IPoolManager
    function depositableEther() public view returns (uint256) {
        PoolStorage storage $ = _storage();
        uint256 spoken = $.ledger.owed + TOKEN.getPooledEthByShares(_queuedShares());
        return Math.saturatingSub($.gate.buffered, spoken);
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

    /// @dev The rest of a report: pay what is owed, finalise withdrawals, open the next stream, write, and only then move ETH.
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
        _finalise($, report.frame, v, paid);
        v.ledger.swept = report.withdrawnAtRef;
        $.ledger = v.ledger;
        uint256 etherAfter = v.totalEther();
        $.last = Reference({value: report.value, deposited: report.depositedAtRef, frame: report.frame});
        (RewardStream.Stream memory stream, uint256 streamRate, uint256 waiting) = RewardStream.open(
            v.locked,
            v.losses.uncovered,
            etherAfter,
            FRAME_SECONDS,
            v.ledger.maxYearlyRateBps,
            v.ledger.feeBps
        );
        $.stream = stream;
        if (waiting != $.waiting) $.waiting = uint88(waiting);
        v.announce(report.refSlot, paid, etherAfter, elapsed, block.timestamp + stream.duration);
        ($.gate.lastReportAt, $.gate.buffered) = (uint32(report.reportedAt), uint88(v.buffered));

        TOKEN.rebase(
            Math.saturatingSub(v.gross, v.ledger.owed + stream.fee + stream.dust + waiting),
            streamRate,
            block.timestamp + stream.duration,
            paid.treasuryShares == 0 ? address(0) : $.treasury,
            paid.treasuryShares,
            paid.burnedShares
        );
        if (v.withdrawals != 0) WITHDRAWAL_VAULT.sweep(v.withdrawals);
        if (v.executionRewards != 0) REWARDS_VAULT.sweep();
        if (paid.reserveFee != 0) RESERVE.fund{value: paid.reserveFee}();
        if (paid.withdrawn != 0) {
            (bool sent, ) = address(QUEUE).call{value: paid.withdrawn}("");
            if (!sent) revert SendFailed(address(QUEUE), paid.withdrawn);
        }
    }

    /// @dev Step 4. The queue calls nobody, and claims have to wait until the ETH is there: everything happens in this call.
    function _finalise(
        PoolStorage storage $,
        uint256 frame,
        Settlement.Verdict memory v,
        Settlement.Payment memory paid
    ) private {
        uint256 total = v.totalEther();
        if (total == 0 || $.finalisationPaused || _queuedShares() == 0) return;
        uint256 liquid = Math.saturatingSub(v.buffered, v.ledger.owed);
        uint256 shares = v.sharesBefore + paid.treasuryShares;
        (paid.withdrawn, paid.burnedShares) = QUEUE.finalise(frame, liquid, total, shares);
        v.buffered -= paid.withdrawn;
        v.gross -= paid.withdrawn;
    }

    function _closePending(PoolStorage storage $) private returns (PendingLoss memory report) {
        if (!$.gate.lossPending) revert NoPendingLoss();
        report = $.pending;
        delete $.pending;
        $.gate.lossPending = false;
    }

    function _setFee(uint16 feeBps) private {
        Checks.within("feeBps", feeBps, 0, 1_500);
        _storage().ledger.feeBps = feeBps;
        emit FeeChanged(feeBps);
    }

    function _setTreasury(address treasury) private {
        _storage().treasury = Checks.nonZero("treasury", treasury);
        emit TreasuryChanged(treasury);
    }

    function _setStakeLimits(StakeLimits calldata limits) private {
        Checks.within("minStake", limits.minStake, 1, HIGHEST_MIN_STAKE);
        PoolStorage storage $ = _storage();
        $.gate = $.gate.renewed($.limits.dailyLimit, block.timestamp);
        $.limits = limits;
        emit StakeLimitsChanged(limits.minStake, limits.poolCap, limits.dailyLimit);
    }

    function _setStreamLimit(uint16 maxYearlyRateBps) private {
        Checks.within("maxYearlyRateBps", maxYearlyRateBps, 100, 5_000);
        _storage().ledger.maxYearlyRateBps = maxYearlyRateBps;
        emit StreamLimitChanged(maxYearlyRateBps);
    }

    function _setLossLimit(uint16 lossLimitBps, uint32 lossWindow) private {
        Checks.within("lossLimitBps", lossLimitBps, 10, 5_000);
        Checks.within("lossWindow", lossWindow, 1 days, 90 days);
        _storage().losses = Settlement.renewed(_storage().losses, lossLimitBps, lossWindow, block.timestamp);
        emit LossLimitChanged(lossLimitBps, lossWindow);
    }

    /// @dev Reverts while a loss is pending or the last report is too old to trust the rate.
    function _checkCurrent(PoolStorage storage $, StakingGate.Gate memory gate) private view {
        if (gate.lossPending) revert LossIsPending($.pending.refSlot, $.pending.loss);
        uint256 staleAt = _staleAt(gate.lastReportAt);
        if (block.timestamp > staleAt) revert ReportStale(gate.lastReportAt, staleAt);
    }

    function _staleAt(uint256 reportAt) private view returns (uint256) {
        return reportAt + 2 * FRAME_SECONDS;
    }

    /// @dev Shares that wait in the queue.
    function _queuedShares() private view returns (uint256) {
        return Math.saturatingSub(TOKEN.sharesOf(address(QUEUE)), QUEUE_DUST);
    }

    function _frames() private view returns (FrameConfig memory) {
        return FrameConfig(GENESIS_TIME, SECONDS_PER_SLOT, SLOTS_PER_FRAME);
    }

    function _storage() private pure returns (PoolStorage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
