// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// What the ReportOracle hands on once a report is proven to be of the latest completed frame and signed by a quorum. All wei.
struct Figures {
    uint256 frame;
    uint256 refSlot;
    uint256 clBalance; // owned validators and their valid pending deposits
    uint256 openPenalties; // penalties of slashed validators the chain has not yet applied
    uint256 withdrawnAtRef; // cumulative: the vault's balance at the reference block plus all that was swept up to it
}

/// Every term of the accounting identity at this moment, in wei. See docs/accounting.md.
/// `totalPooledEther = buffered + clBalance + inFlight - locked - owed - fee`
struct Totals {
    uint256 buffered;
    uint256 clBalance; // as last reported, less open penalties
    uint256 inFlight; // deposited since the last report's reference
    uint256 locked; // gain that is not yet anybody's: it streams, or waits for the next report
    uint256 owed; // fee that reports settled and could not pay
    uint256 fee; // fee on what has streamed since the last report
    uint256 totalPooledEther; // 0 when more is owed than there is
    uint256 totalShares;
    uint256 uncoveredLoss; // losses that gains have not paid back up to now
    uint256 deposited; // ever, to the deposit contract
    uint256 swept; // ever, from the WithdrawalVault
    uint256 queued; // value of the shares that wait in the withdrawal queue; part of `totalPooledEther`
}

/// A report whose loss waits for governance; `frame` 0 means there is none. All wei.
struct PendingLoss {
    uint64 frame;
    uint64 refSlot;
    uint96 value; // clBalance - openPenalties
    uint96 withdrawnAtRef;
    uint96 depositedAtRef;
    uint64 reportedAt; // seconds; becomes `lastReportAt` if the report is confirmed
    uint96 loss; // fall of totalPooledEther that the report would have caused then
}

/// Governance's limits. Amounts in wei.
struct StakeLimits {
    uint80 minStake; // 1 wei to 32 ether
    uint88 poolCap; // staking closes when totalPooledEther would pass it
    uint88 dailyLimit; // refills linearly over 24 hours
}

struct PoolParameters {
    address treasury;
    uint16 feeBps; // of gains; at most 1,500
    // whatever is reported, gains raise the pool a year by no more than this share of the total that the last report left, 100 to
    // 5,000; except the recovery of losses above ten years of it, which takes ten years
    uint16 maxYearlyRateBps;
    uint16 lossLimitBps; // losses within the window beyond this share of the pool wait for governance; 10 to 5,000
    uint32 lossWindow; // seconds over which past losses are forgotten; 1 to 90 days
    StakeLimits limits;
}

/// The parts of the pool, fixed at construction. The PoolManager is the root from which programs find everything else.
struct PoolContracts {
    address token;
    address registry;
    address reportOracle;
    address guardians;
    address withdrawalVault;
    address rewardsVault;
    address reserve;
    address withdrawalQueue;
}

/// @title PoolManager
/// @notice The way in for stakers and the owner of every ETH total: what is buffered, on the beacon chain, on its way there,
/// not yet streamed and owed as fee. Reports change the totals and pay withdrawals, the fee is paid from gains only, deposits draw 32 ETH
/// a validator.
///
/// Roles: anyone stakes; `ReportOracle` applies reports; `ValidatorRegistry` draws deposits; `Guardians` pause staking and the
/// finalising of withdrawals; governance (AccessManager) sets fee and limits within hard-coded bounds, ends pauses and decides on a
/// pending loss. Neither staking nor the report path asks the AccessManager.
interface IPoolManager {
    /// @notice `amount` wei came in for `receiver`, who got `shares`.
    event Staked(
        address indexed sender,
        address indexed receiver,
        uint256 amount,
        uint256 shares,
        address indexed referral
    );
    /// @notice A report was applied. One event tells the whole change of the rate: shares and ether just before and just after,
    /// the gain (negative: loss), the part of the fee that went to the reserve as ETH and to the treasury as shares worth
    /// `treasuryFee`, and the seconds since the report applied before was delivered. Shares and ether after are less what the
    /// withdrawal queue finalised in the same report (its `WithdrawalsFinalised`), which leaves the rate.
    event Rebased(
        uint256 indexed refSlot,
        uint256 sharesBefore,
        uint256 etherBefore,
        uint256 sharesAfter,
        uint256 etherAfter,
        int256 gain,
        uint256 reserveFee,
        uint256 treasuryFee,
        uint256 treasuryShares,
        uint256 elapsed
    );
    /// @notice What a report did to the terms behind the rate: swept from the vaults, still locked, owed, uncovered loss, stream end.
    event Settled(
        uint256 indexed refSlot,
        uint256 withdrawals,
        uint256 executionRewards,
        uint256 locked,
        uint256 owed,
        uint256 uncoveredLoss,
        uint256 streamEnd
    );
    /// @notice A report's loss passed the limit and waits for governance; staking and deposits are closed meanwhile. Later reports
    /// replace the figures.
    event LossPending(uint256 indexed refSlot, uint256 loss, uint256 limit);
    event LossConfirmed(uint256 indexed refSlot, uint256 loss);
    event LossDiscarded(uint256 indexed refSlot, uint256 loss);
    /// @notice `amount` wei left for the deposit contract.
    event DepositsFunded(uint256 amount, uint256 deposited);
    event StakingPaused();
    event StakingResumed();
    event FinalisationPaused();
    event FinalisationResumed();
    event FeeChanged(uint256 feeBps);
    event TreasuryChanged(address treasury);
    event StakeLimitsChanged(uint256 minStake, uint256 poolCap, uint256 dailyLimit);
    event StreamLimitChanged(uint256 maxYearlyRateBps);
    event LossLimitChanged(uint256 lossLimitBps, uint256 lossWindow);

    /// @notice The caller is not the contract that owns this step.
    error NotAuthorized(address caller, address expected);
    /// @notice ETH may be sent here only by the two vaults; to stake call `stake`.
    error UseStake();
    error StakingIsPaused();
    error StakeBelowMinimum(uint256 amount, uint256 minimum);
    error PoolCapExceeded(uint256 totalAfter, uint256 cap);
    error DailyLimitExceeded(uint256 amount, uint256 available);
    /// @notice The last report is older than two frames: the rate may not be current.
    error ReportStale(uint256 lastReportAt, uint256 staleAt);
    /// @notice A loss waits for governance's decision.
    error LossIsPending(uint256 refSlot, uint256 loss);
    error NoPendingLoss();
    /// @notice The report that waits is another than the one governance decided to discard.
    error PendingLossChanged(uint256 pendingRefSlot, uint256 refSlot);
    /// @notice The pending loss is larger than governance agreed to.
    error LossAboveAgreed(uint256 loss, uint256 agreed);
    /// @notice Less than `amount` wei is free for deposits.
    error NotEnoughBuffered(uint256 amount, uint256 available);
    error InvalidParameter(bytes32 name, uint256 value, uint256 lowest, uint256 highest);
    error ZeroAddress(bytes32 name);
    /// @notice `withdrawnAtRef` is cumulative and cannot fall below what was already swept.
    error WithdrawnDecreased(uint256 withdrawnAtRef, uint256 swept);
    /// @notice The report claims more withdrawals than the vault holds.
    error WithdrawalsNotInVault(uint256 claimed, uint256 balance);
    /// @notice A figure of the report ("clBalance"), or all ETH the pool would have by it ("assets"), is 2^88 wei or more: no real
    /// chain can produce it.
    error FigureTooLarge(bytes32 name, uint256 value);
    error SendFailed(address to, uint256 amount);

    /// @notice Once, in the transaction that deploys the proxy. Stakes `msg.value` (at least 0.001 ether) for the dead address, so that
    /// shares exist before anyone can come first.
    /// @param authority AccessManager
    function initialize(address authority, PoolParameters calldata parameters) external payable;

    /// @notice Stakes `msg.value` wei for `receiver`.
    /// Reverts while staking is paused, the report is stale, a loss is pending, and outside the limits.
    /// @param referral only repeated in the event
    /// @return shares minted, rounded down
    function stake(address receiver, address referral) external payable returns (uint256 shares);

    /// @notice Applies a report (docs/accounting.md gives every step). ReportOracle only. Reverts on impossible figures, never on
    /// news, good or bad.
    /// @return applied false when the loss passes the limit and waits for governance
    function applyReport(Figures calldata figures) external returns (bool applied);

    /// @notice Sends `validators` x 32 ETH to the registry, which deposits them in the same call. ValidatorRegistry only.
    function fundDeposits(uint256 validators) external;

    /// @notice Closes staking. Guardians only (a quorum).
    function pauseStaking() external;

    /// @notice Governance. Opens staking again.
    function resumeStaking() external;

    /// @notice Reports finalise no withdrawals any more; requests and claims go on. Guardians only (a quorum).
    function pauseFinalisation() external;

    /// @notice Governance. Reports finalise withdrawals again.
    function resumeFinalisation() external;

    /// @notice Governance, after its delay. Applies the newest figures of the pending report, if its loss is at most `agreedLoss` wei.
    /// The loss is that of the moment: a running stream goes on unlocking gain that the loss would have eaten, so it grows by up to
    /// what was locked when the report came, and shrinks by what reaches the RewardsVault.
    function confirmLoss(uint256 agreedLoss) external;

    /// @notice Governance, after its delay. Forgets the pending report if it is the one of `refSlot`, and not a later one that governance
    /// has never seen; the next one is judged afresh.
    function discardLoss(uint64 refSlot) external;

    /// @notice Governance. Fee on gains, at most 1,500 bps; applies to what the next report locks.
    function setFee(uint16 feeBps) external;

    /// @notice Governance.
    function setTreasury(address treasury) external;

    /// @notice Governance.
    function setStakeLimits(StakeLimits calldata limits) external;

    /// @notice Governance. 100 to 5,000 bps of the pool a year; bounds what streams from the next report on.
    function setStreamLimit(uint16 maxYearlyRateBps) external;

    /// @notice Governance. 10 to 5,000 bps of the pool over a window of 1 to 90 days. What the old window still remembers fades over the
    /// new one.
    function setLossLimit(uint16 lossLimitBps, uint32 lossWindow) external;

    /// @notice Every term of the accounting now.
    function totals() external view returns (Totals memory);

    /// @notice Value of 1e18 shares in wei, seconds since the last applied report, and whether it is stale.
    function rate() external view returns (uint256 value, uint256 age, bool stale);

    /// @notice Whether reports leave the withdrawal queue as it is.
    function finalisationPaused() external view returns (bool);

    /// @notice Wei that may go to new validators: what is buffered less what is owed and what waits in the withdrawal queue.
    function depositableEther() external view returns (uint256);

    /// @notice Whether staking is open now, and the most wei one stake may bring.
    function stakingState() external view returns (bool open, uint256 available);

    /// @notice Cumulative wei sent to the deposit contract up to the end of `frame`; exact for the latest completed frame and any
    /// later time.
    function depositedAt(uint256 frame) external view returns (uint256);

    /// @notice Addresses of the other contracts. The AccessManager is `authority()`.
    function contracts() external view returns (PoolContracts memory);

    /// @notice Must equal the ReportOracle's.
    function frameConfig() external view returns (uint64 genesisTime, uint32 secondsPerSlot, uint32 slotsPerFrame);

    function pendingLoss() external view returns (PendingLoss memory);

    function parameters() external view returns (PoolParameters memory);

    /// @notice Frame of the last applied report; 0 before the first.
    function lastFrame() external view returns (uint256);

    /// @notice When the last applied report was delivered, seconds; for a confirmed loss that is before it was confirmed.
    function lastReportAt() external view returns (uint256);
}
