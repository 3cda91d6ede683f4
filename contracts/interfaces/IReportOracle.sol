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
    uint32[] exited; // registry ids, ascending, at most 128
}

/// @title ReportOracle
/// @notice Takes one report a frame, signed by k of n members (EIP-712), and hands it to the PoolManager. Members need not be
/// trusted about which state they read: the contract finds the reference block's root itself, through EIP-4788.
///
/// Members have a cold address, which governance admits, and a hot signing key that holds no ETH and that the member replaces alone.
interface IReportOracle {
    event ReportAccepted(
        uint256 indexed frame,
        uint256 indexed refSlot,
        bytes32 beaconBlockRoot,
        uint256 clBalance,
        uint256 openPenalties,
        uint256 withdrawnAtRef,
        uint256 exited,
        bool applied
    );
    event VersionScheduled(uint256 version, uint256 fromFrame);

    /// @notice Only the latest completed frame can be reported.
    error FrameNotReportable(uint256 refSlot, uint256 expectedRefSlot);
    error AlreadyReported(uint256 frame);
    error UnsupportedVersion(uint256 version, uint256 expected);
    /// @notice EIP-4788 answers for none of the slots after the reference slot that may be asked.
    error BeaconRootNotFound(uint256 refSlot);
    /// @notice The report was computed on another block than the canonical one at its reference slot.
    error BeaconRootMismatch(bytes32 reported, bytes32 canonical);
    error TooManyExited(uint256 count, uint256 highest);
    error InvalidFrame(uint256 frame, uint256 earliest);

    /// @notice Anyone may deliver a report with its signatures, ordered by ascending signer address.
    function submitReport(Report calldata report, bytes[] calldata signatures) external;

    /// @notice Governance. `version` becomes the one to sign from `fromFrame` on.
    function scheduleVersion(uint32 version, uint64 fromFrame) external;

    /// @notice Governance. Admits `member` (cold) with its signing key. See SignerQuorum for the errors.
    function addMember(address member, address signer) external;

    /// @notice Governance.
    function removeMember(address member) external;

    /// @notice Governance. More than half of the members, at most all.
    function setQuorum(uint256 quorum) external;

    /// @notice A member's cold address replaces its signing key.
    function rotateSigner(address newSigner) external;

    /// @notice EIP-712 digest that members sign.
    function digest(Report calldata report) external view returns (bytes32);

    /// @notice The reference slot that can be reported now, whether it already was, and the beacon block root at it (0 when
    /// EIP-4788 does not answer yet).
    function reportable() external view returns (uint256 refSlot, bool done, bytes32 beaconBlockRoot);

    /// @notice Version to sign for the frame that ends at `refSlot`.
    function versionAt(uint256 refSlot) external view returns (uint256);

    function frameConfig() external view returns (uint64 genesisTime, uint32 secondsPerSlot, uint32 slotsPerFrame);

    function members() external view returns (address[] memory members_, address[] memory signers, uint256 quorum);

    function isSigner(address signer) external view returns (bool);

    /// @notice Last frame a report was accepted for, pending losses included; 0 before the first.
    function lastFrame() external view returns (uint256);
}
