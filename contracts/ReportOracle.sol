// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Figures, IPoolManager} from "./interfaces/IPoolManager.sol";
import {IReportOracle, Report} from "./interfaces/IReportOracle.sol";
import {IValidatorExits} from "./interfaces/IValidatorExits.sol";
import {FrameConfig, Frames} from "./libraries/Frames.sol";
import {SignerQuorum} from "./libraries/SignerQuorum.sol";

/// @title ReportOracle
/// @notice See {IReportOracle}.
contract ReportOracle is IReportOracle, UUPSUpgradeable, AccessManagedUpgradeable, EIP712 {
    using Frames for FrameConfig;
    using SignerQuorum for SignerQuorum.Set;

    /// @custom:storage-location erc7201:pooleth.storage.ReportOracle
    struct OracleStorage {
        SignerQuorum.Set set;
        uint64 lastFrame;
        uint64 nextFromFrame;
        uint32 version;
        uint32 nextVersion;
        uint64 lastAppliedFrame;
    }

    // keccak256(abi.encode(uint256(keccak256("pooleth.storage.ReportOracle")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0xadc5c3f3211b1f9ac5400ac339bb54d78bc82fc9ee50de461742bae84f519700;

    bytes32 private constant REPORT_TYPEHASH = keccak256(
        "Report(uint32 version,uint64 refSlot,bytes32 beaconBlockRoot,uint128 clBalance,uint128 openPenalties,uint128 withdrawnAtRef,uint32[] exiting,uint32[] exited)"
    );

    address private constant BEACON_ROOTS = 0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02;
    /// EIP-4788: entries are kept by `timestamp % BEACON_ROOTS_LENGTH`.
    uint256 private constant BEACON_ROOTS_LENGTH = 8191;
    /// Slots after the reference slot that are asked for its block's root; 128 are 26 minutes of no block at all.
    uint256 private constant MAX_ROOT_TRIES = 128;
    uint256 private constant MAX_EXITS = 128;

    IPoolManager private immutable POOL_MANAGER;
    IValidatorExits private immutable VALIDATOR_EXITS;
    uint64 private immutable GENESIS_TIME;
    uint32 private immutable SECONDS_PER_SLOT;
    uint32 private immutable SLOTS_PER_FRAME;

    constructor(
        address poolManager,
        address validatorExits,
        FrameConfig memory frames
    ) EIP712("poolETH ReportOracle", "1") {
        if (poolManager == address(0) || validatorExits == address(0)) revert ZeroAddress();
        // The ring's length is prime. While a frame can be reported, at most slotsPerFrame + 1 slots have passed since its end, so no
        // entry of the slots asked for has been overwritten by a later slot, and the first answer is that of the first block.
        if (
            frames.secondsPerSlot == 0 ||
            frames.secondsPerSlot % BEACON_ROOTS_LENGTH == 0 ||
            frames.slotsPerFrame == 0 ||
            frames.slotsPerFrame >= BEACON_ROOTS_LENGTH
        ) revert InvalidFrameConfig(frames.secondsPerSlot, frames.slotsPerFrame);
        POOL_MANAGER = IPoolManager(poolManager);
        VALIDATOR_EXITS = IValidatorExits(validatorExits);
        GENESIS_TIME = frames.genesisTime;
        SECONDS_PER_SLOT = frames.secondsPerSlot;
        SLOTS_PER_FRAME = frames.slotsPerFrame;
        _disableInitializers();
    }

    /// @notice Sets the AccessManager, the first members with their signing keys, and the quorum.
    function initialize(
        address authority,
        address[] calldata members_,
        address[] calldata signers,
        uint256 quorum
    ) external initializer {
        if (authority == address(0)) revert ZeroAddress();
        if (members_.length != signers.length) revert LengthMismatch(members_.length, signers.length);
        __AccessManaged_init(authority);
        OracleStorage storage $ = _storage();
        for (uint256 i; i < members_.length; ++i) $.set.add(members_[i], signers[i]);
        $.set.setQuorum(quorum);
        // frame 0 on: the version in force is always one of the two
        ($.version, $.nextVersion) = (1, 1);
        emit VersionScheduled(1, 0);
    }

    /// @inheritdoc IReportOracle
    function submitReport(Report calldata report, bytes[] calldata signatures) external {
        uint256 frame = _check(report, signatures);
        OracleStorage storage $ = _storage();
        $.lastFrame = uint64(frame);
        bool applied = POOL_MANAGER.applyReport(
            Figures(frame, report.refSlot, report.clBalance, report.openPenalties, report.withdrawnAtRef)
        );
        if (applied) {
            $.lastAppliedFrame = uint64(frame);
            if (report.exiting.length + report.exited.length != 0) {
                VALIDATOR_EXITS.recordExits(report.exiting, report.exited);
            }
        }
        emit ReportAccepted(
            frame,
            report.refSlot,
            report.beaconBlockRoot,
            report.clBalance,
            report.openPenalties,
            report.withdrawnAtRef,
            report.exiting.length,
            report.exited.length,
            applied
        );
    }

    /// @inheritdoc IReportOracle
    function scheduleVersion(uint32 version, uint64 fromFrame) external restricted {
        OracleStorage storage $ = _storage();
        uint256 current = _config().frameAt(block.timestamp);
        if (fromFrame < current) revert InvalidFrame(fromFrame, current);
        // The frame that can be reported now keeps its version.
        if ($.nextFromFrame < current) $.version = $.nextVersion;
        ($.nextVersion, $.nextFromFrame) = (version, fromFrame);
        emit VersionScheduled(version, fromFrame);
    }

    /// @inheritdoc IReportOracle
    function addMember(address member, address signer) external restricted {
        _storage().set.add(member, signer);
    }

    /// @inheritdoc IReportOracle
    function removeMember(address member) external restricted {
        _storage().set.remove(member);
    }

    /// @inheritdoc IReportOracle
    function setQuorum(uint256 quorum) external restricted {
        _storage().set.setQuorum(quorum);
    }

    /// @inheritdoc IReportOracle
    function rotateSigner(address newSigner) external {
        _storage().set.rotate(msg.sender, newSigner);
    }

    /// @inheritdoc IReportOracle
    function reportable() external view returns (uint256 refSlot, bool done, bytes32 beaconBlockRoot) {
        FrameConfig memory config = _config();
        uint256 frame = _latestFrame(config);
        return (config.refSlot(frame), frame <= _storage().lastFrame, _beaconBlockRoot(config, frame));
    }

    /// @inheritdoc IReportOracle
    function versionAt(uint256 refSlot) external view returns (uint256) {
        return _versionOf(_storage(), refSlot / SLOTS_PER_FRAME);
    }

    /// @inheritdoc IReportOracle
    function frameConfig() external view returns (uint64 genesisTime, uint32 secondsPerSlot, uint32 slotsPerFrame) {
        return (GENESIS_TIME, SECONDS_PER_SLOT, SLOTS_PER_FRAME);
    }

    /// @inheritdoc IReportOracle
    function members() external view returns (address[] memory, address[] memory, uint256) {
        return _storage().set.list();
    }

    /// @inheritdoc IReportOracle
    function isSigner(address signer) external view returns (bool) {
        return _storage().set.memberOf[signer] != address(0);
    }

    /// @inheritdoc IReportOracle
    function lastFrame() external view returns (uint256) {
        return _storage().lastFrame;
    }

    /// @inheritdoc IReportOracle
    function lastAppliedFrame() external view returns (uint256) {
        return _storage().lastAppliedFrame;
    }

    /// @inheritdoc IReportOracle
    function targets() external view returns (address poolManager, address validatorExits) {
        return (address(POOL_MANAGER), address(VALIDATOR_EXITS));
    }

    /// @inheritdoc IReportOracle
    function digest(Report calldata report) public view returns (bytes32) {
        return
            _hashTypedDataV4(
                keccak256(
                    abi.encode(
                        REPORT_TYPEHASH,
                        report.version,
                        report.refSlot,
                        report.beaconBlockRoot,
                        report.clBalance,
                        report.openPenalties,
                        report.withdrawnAtRef,
                        keccak256(abi.encodePacked(report.exiting)),
                        keccak256(abi.encodePacked(report.exited))
                    )
                )
            );
    }

    function _authorizeUpgrade(address) internal override restricted {}

    /// Cheap checks first. Returns the frame of the report.
    function _check(Report calldata report, bytes[] calldata signatures) private view returns (uint256 frame) {
        OracleStorage storage $ = _storage();
        FrameConfig memory config = _config();
        frame = _latestFrame(config);
        uint256 refSlot = config.refSlot(frame);
        if (report.refSlot != refSlot) revert FrameNotReportable(report.refSlot, refSlot);
        if (frame <= $.lastFrame) revert AlreadyReported(frame);
        uint256 version = _versionOf($, frame);
        if (report.version != version) revert UnsupportedVersion(report.version, version);
        if (report.exiting.length > MAX_EXITS) revert TooManyExits(report.exiting.length, MAX_EXITS);
        if (report.exited.length > MAX_EXITS) revert TooManyExits(report.exited.length, MAX_EXITS);
        bytes32 root = _beaconBlockRoot(config, frame);
        if (root == 0) revert BeaconRootNotFound(refSlot);
        if (root != report.beaconBlockRoot) revert BeaconRootMismatch(report.beaconBlockRoot, root);
        $.set.check(digest(report), signatures);
    }

    /// Root of the last block at or before the frame's reference slot: EIP-4788 keeps it under the time of the next block. 0 when
    /// there is none yet. Later times than now are never asked, whatever the ring holds.
    function _beaconBlockRoot(FrameConfig memory config, uint256 frame) private view returns (bytes32) {
        uint256 time = config.refTime(frame);
        for (uint256 i; i < MAX_ROOT_TRIES; ++i) {
            time += SECONDS_PER_SLOT;
            if (time > block.timestamp) break;
            (bool found, bytes memory root) = BEACON_ROOTS.staticcall(abi.encode(time));
            if (found && root.length == 32) return bytes32(root);
        }
        return 0;
    }

    /// Frame 0 until it has ended, so that there is always an answer; it cannot be reported.
    function _latestFrame(FrameConfig memory config) private view returns (uint256) {
        uint256 current = config.frameAt(block.timestamp);
        return current == 0 ? 0 : current - 1;
    }

    function _versionOf(OracleStorage storage $, uint256 frame) private view returns (uint256) {
        return frame < $.nextFromFrame ? $.version : $.nextVersion;
    }

    function _config() private view returns (FrameConfig memory) {
        return FrameConfig(GENESIS_TIME, SECONDS_PER_SLOT, SLOTS_PER_FRAME);
    }

    function _storage() private pure returns (OracleStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE
        }
    }
}
