// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// What an oracle member signs. Amounts in wei.
struct Report {
    uint32 version;
    uint64 refSlot; // last slot of the latest completed frame
    bytes32 beaconBlockRoot; // root of the last block at or before refSlot
    uint128 clBalance;
    uint128 openPenalties;
    uint128 withdrawnAtRef;
    uint32[] exiting; // registry ids of validators whose exit has begun, slashed ones apart; lowest first, at most 128
    uint32[] exited; // registry ids of withdrawable validators with less than 1 ETH left; the same
}

/// @title ReportOracle
/// @notice Takes one report a frame, signed by k of n members, and hands it to the PoolManager. Members are not trusted about which
/// state they read: the contract finds the reference block's root itself, through EIP-4788.
///
/// Signed (EIP-712, domain "poolETH ReportOracle", version "1"): Report(uint32 version,uint64 refSlot,bytes32 beaconBlockRoot,
/// uint128 clBalance,uint128 openPenalties,uint128 withdrawnAtRef,uint32[] exiting,uint32[] exited).
///
/// Frames are those of {Frames}. Only the latest completed one can be reported, once; frame 0, which holds the chain's genesis, never.
/// A frame whose block nobody can prove any more (see {BeaconRootNotFound}) is skipped: every figure is cumulative.
///
/// Members have a cold address, which governance admits, and a hot signing key that holds no ETH and that the member replaces alone.
/// Events and errors of the set are SignerQuorum's.
interface IReportOracle {
    /// @notice A report was taken. So many ids were reported as `exiting` and `exited`; `applied` false means that its loss waits for governance.
    event ReportAccepted(
        uint256 indexed frame,
        uint256 indexed refSlot,
        bytes32 beaconBlockRoot,
        uint256 clBalance,
        uint256 openPenalties,
        uint256 withdrawnAtRef,
        uint256 exiting,
        uint256 exited,
        bool applied
    );
    event VersionScheduled(uint256 version, uint256 fromFrame);

    /// @notice Constructor: EIP-4788 remembers 8,191 slots; a frame must be shorter, or a stale root could be taken for the first.
    error InvalidFrameConfig(uint256 secondsPerSlot, uint256 slotsPerFrame);
    error ZeroAddress();
    /// @notice `initialize` needs one signer a member.
    error LengthMismatch(uint256 members, uint256 signers);
    /// @notice Only the latest completed frame can be reported.
    error FrameNotReportable(uint256 refSlot, uint256 expectedRefSlot);
    error AlreadyReported(uint256 frame);
    /// @notice The report was made by other rules than those of its frame: run a program that knows version `expected`.
    error UnsupportedVersion(uint256 version, uint256 expected);
    /// @notice EIP-4788 answers for none of the slots after `refSlot` that may be asked. Wait for the next block; if more than 128
    /// slots in a row are empty, the frame is skipped.
    error BeaconRootNotFound(uint256 refSlot);
    /// @notice The report was computed on another block than the canonical one at its reference slot.
    error BeaconRootMismatch(bytes32 reported, bytes32 canonical);
    error TooManyExits(uint256 count, uint256 highest);
    /// @notice A version can only be changed for frames that have not ended.
    error InvalidFrame(uint256 frame, uint256 earliest);

    /// @notice Anyone may deliver a report with its signatures, ordered by ascending signer address.
    ///
    /// A report whose loss waits for governance counts as the frame's report, but marks no exits: marks are final, the
    /// report may yet turn out wrong, and the first report that is applied names the same validators again.
    /// @dev Reverts with FrameNotReportable, AlreadyReported, UnsupportedVersion, TooManyExits, BeaconRootNotFound, BeaconRootMismatch,
    /// SignerQuorum's QuorumNotReached, UnknownSigner and SignersNotAscending, and as {IPoolManager-applyReport}.
    function submitReport(Report calldata report, bytes[] calldata signatures) external;

    /// @notice Governance. `version` becomes the one to sign from `fromFrame` on, which must not have ended. A switch scheduled before
    /// is replaced unless its first frame has ended.
    function scheduleVersion(uint32 version, uint64 fromFrame) external;

    /// @notice Governance. Admits `member` (cold) with its signing key; raises the quorum when it would no longer be more than half.
    function addMember(address member, address signer) external;

    /// @notice Governance. Refused while the quorum could then not be reached: lower it first.
    function removeMember(address member) external;

    /// @notice Governance. More than half of the members, at most all.
    function setQuorum(uint256 quorum) external;

    /// @notice A member's cold address replaces its signing key; what the old key signed no longer counts.
    function rotateSigner(address newSigner) external;

    /// @notice EIP-712 digest that members sign.
    function digest(Report calldata report) external view returns (bytes32);

    /// @notice The reference slot that can be reported now, whether it already was, and the beacon block root at it (0 when
    /// EIP-4788 does not answer yet).
    function reportable() external view returns (uint256 refSlot, bool done, bytes32 beaconBlockRoot);

    /// @notice Version to sign for the frame that ends at `refSlot`; exact for the latest completed frame and any later one.
    function versionAt(uint256 refSlot) external view returns (uint256);

    /// @notice Genesis of the beacon chain in seconds, seconds a slot and slots a frame; must equal the PoolManager's.
    function frameConfig() external view returns (uint64 genesisTime, uint32 secondsPerSlot, uint32 slotsPerFrame);

    function members() external view returns (address[] memory members_, address[] memory signers, uint256 quorum);

    function isSigner(address signer) external view returns (bool);

    /// @notice Last frame a report was accepted for, pending losses included; 0 before the first.
    function lastFrame() external view returns (uint256);

    /// @notice Last frame whose report was applied when it came, and its exits marked; not that of a loss confirmed later.
    function lastAppliedFrame() external view returns (uint256);

    /// @notice The contracts that reports are handed to.
    function targets() external view returns (address poolManager, address validatorExits);
}
