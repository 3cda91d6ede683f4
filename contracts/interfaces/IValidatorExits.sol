// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// How many validators have to exit, in validators of 32 ETH. All of the moment.
struct ExitDemand {
    uint256 shortageWei; // what the withdrawal queue needs, after the operations are paid, beyond what is liquid; 0 while nobody waits
    uint256 confirmed; // exits that reports have seen begin and not end
    uint256 needed; // to cover the shortage, beyond the confirmed
    uint256 underway; // asked for within the grace period and not confirmed
    uint256 due; // may be asked for, or forced, now: 0 until the report of the last frame has come
}

/// What the pool knows of one validator's exit.
struct ExitStatus {
    bool asked; // its turn has come: the operators were asked to exit it
    bool exiting; // a report has seen that it leaves
    bool exited; // a report has seen that it is withdrawable and its ETH gone to the vault; final
    uint64 askedFrame; // frame in which it was first asked for or last forced
    uint64 forceableFrom; // first frame in which an unconfirmed exit may be forced
}

/// The parts that exits are built on, fixed at construction.
struct ExitsContracts {
    address registry;
    address poolManager;
    address reportOracle;
    address withdrawalVault;
    address rewardsVault;
}

/// @title ValidatorExits
/// @notice Which validators exit, and what is known of their exits. Exits are due while the withdrawal queue needs more than is liquid or
/// surely on its way; then anyone may ask the SSV operators for them, and force them by EIP-7002 when they do not come.
///
/// Order: first the validators of retired clusters, by the cluster's number and within it by age; then all others by age. Age is the
/// order of the pool's deposits. In each cluster the validators whose turn has come are therefore always its oldest.
///
/// On its way counts what a report has seen leaving and not yet arriving, whoever began it, and what was asked for or forced no more
/// than the grace period ago; older requests that no report confirms count as nothing. Slashed validators count as nothing: their ETH
/// comes a month later. So that no exit is asked for twice because it was not known of, none is due until the report of the last frame has
/// been applied, and no more are underway at once than one report can name. What waits in the two vaults counts as liquid, so between an arrival and the next report ETH can count twice,
/// and an exit come one frame later; never too much is asked for by it.
///
/// Roles: everything is open to anyone but `recordExits` (ReportOracle). No function asks the AccessManager, which authorises upgrades.
interface IValidatorExits {
    /// @notice The operators of `cluster` were asked to exit validator `id`, for the first time or again.
    event ExitRequested(uint256 indexed cluster, uint256 indexed id, bool repeated);
    /// @notice SSV Network refused to tell the operators of what was just requested. It can be forced after the grace period all the same.
    event OperatorsNotAsked(uint256 indexed cluster);
    /// @notice An EIP-7002 full exit was requested. The predeploy may drop it silently.
    event ExitForced(uint256 indexed id, uint256 feeWei);
    /// @notice The turn of a validator that leaves by itself, or has left, was passed over.
    event ExitPassedOver(uint256 indexed id);
    /// @notice A report has seen that the validator's exit has begun.
    event Exiting(uint256 indexed id);
    /// @notice A report has seen that the validator is withdrawable and its ETH gone to the vault.
    event Exited(uint256 indexed id);

    error NotAuthorized(address caller, address expected);
    error ZeroAddress();
    error InvalidGrace(uint256 graceFrames, uint256 highest);
    error EmptyList();
    /// @notice As many exits as are needed, or as one report can name, are on their way already, or the report of the last frame is missing
    /// (see {IReportOracle-lastAppliedFrame}).
    error ExitsNotDue(uint256 needed, uint256 underway);
    /// @notice A cluster that governance has retired exits first.
    error RetiredClusterFirst(uint256 cluster, uint256 retired);
    /// @notice An older validator exits first: the next one of the cluster, or of all, is the one with this order.
    error NotNext(uint256 id, uint256 order, uint256 next);
    error NotFunded(bytes publicKey);
    error WrongCluster(bytes publicKey, uint256 cluster, uint256 expected);
    /// @notice A report has seen the validator leave or gone.
    error AlreadyExiting(uint256 id);
    error NotRequested(uint256 id);
    /// @notice With so little gas SSV Network cannot be asked.
    error NotEnoughGas(uint256 gasLeft);
    /// @notice The operators have time until `forceableFrom`, a frame.
    error InGracePeriod(uint256 id, uint256 frame, uint256 forceableFrom);
    error FeeTooHigh(uint256 feeWei, uint256 maxFeeWei);
    error NotEnoughForFee(uint256 sentWei, uint256 neededWei);
    error SendFailed(address to, uint256 amount);

    /// @notice Once.
    /// @param authority AccessManager, which authorises upgrades and nothing else
    function initialize(address authority) external;

    /// @notice Anyone. Asks SSV's operators to exit validators of a cluster: the next in the order while exits are due, and, while any are
    /// needed, once more ones that were asked for and are not confirmed. Asking again does not prolong the grace period.
    /// A validator in the order that a report has seen leaving is passed over; its key has to be named all the same.
    function requestExits(uint256 cluster, bytes[] calldata publicKeys) external;

    /// @notice Anyone. Requests EIP-7002 full exits of validators that were asked for and are not confirmed after the grace period, while
    /// exits are due. Each may be forced again after another grace period, as the predeploy drops requests silently (a validator is too
    /// young, say), and counts as on its way only for the first of these. Takes its fee from `msg.value` and returns the rest to the caller.
    /// @param maxFeeWei most that one request may cost
    function forceExits(bytes[] calldata publicKeys, uint256 maxFeeWei) external payable;

    /// @notice ReportOracle only. Unknown and repeated ids are skipped.
    function recordExits(uint32[] calldata exiting, uint32[] calldata exited) external;

    function demand() external view returns (ExitDemand memory);

    /// @notice Whose turn is next: the retired cluster (0 if there is none with validators left) and the `clusterOrder`, else the
    /// `depositOrder`, of its validator; see {Validator}. An order of which no deposit was made means that none is left.
    function next() external view returns (uint256 retiredCluster, uint256 order);

    /// @notice By the validator's id in the registry.
    function status(uint256 id) external view returns (ExitStatus memory);

    function isExited(uint256 id) external view returns (bool);

    /// @notice Whole frames for which a request counts as on its way, after the one in which it was made.
    function graceFrames() external view returns (uint256);

    function contracts() external view returns (ExitsContracts memory);

    function frameConfig() external view returns (uint64 genesisTime, uint32 secondsPerSlot, uint32 slotsPerFrame);
}
