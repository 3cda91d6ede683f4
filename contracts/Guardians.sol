// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IDepositContract} from "./interfaces/IDepositContract.sol";
import {DepositAnchor, IGuardians} from "./interfaces/IGuardians.sol";
import {IPoolManager} from "./interfaces/IPoolManager.sol";
import {SignerQuorum} from "./libraries/SignerQuorum.sol";

/// @title Guardians
/// @notice See {IGuardians}.
contract Guardians is IGuardians, UUPSUpgradeable, AccessManagedUpgradeable, EIP712 {
    using SignerQuorum for SignerQuorum.Set;

    /// @custom:storage-location erc7201:pooleth.storage.Guardians
    struct Layout {
        uint64 approvalEpoch;
        uint40 pausedUntil;
        uint32 pauseDuration;
        SignerQuorum.Set guardians;
        mapping(address member => bool) pauseUsed;
        mapping(address member => uint256) rotatedAt;
    }

    bytes32 private constant LAYOUT = 0x85b8402e15097aa442871680a21faac4c5f6c1aab9b20e526dd04c8263fae700;

    bytes32 private constant VETTING = keccak256(
        "Vetting(uint256 account,uint256 batch,bytes32 head,uint256 approvalEpoch)"
    );
    bytes32 private constant DEPOSIT_APPROVAL = keccak256(
        "DepositApproval(uint256 cluster,bytes32 keysHash,uint256 approvalEpoch,uint256 blockNumber,bytes32 blockHash,uint256 depositCount)"
    );
    bytes32 private constant DISCARD = keccak256("Discard(bytes32 keysHash,uint256 approvalEpoch)");
    bytes32 private constant DROP_QUEUE = keccak256(
        "DropQueue(uint256 account,uint256 nonce,uint256 batches,uint256 approvalEpoch)"
    );
    bytes32 private constant PAUSE_DEPOSITS = keccak256("PauseDeposits(uint256 approvalEpoch)");
    bytes32 private constant PAUSE_STAKING = keccak256("PauseStaking(uint256 approvalEpoch)");
    bytes32 private constant PAUSE_FINALISATION = keccak256("PauseFinalisation(uint256 approvalEpoch)");

    uint256 private constant LOWEST_PAUSE = 1 hours;
    uint256 private constant HIGHEST_PAUSE = 14 days;
    uint256 private constant ROTATION_INTERVAL = 1 days;

    IPoolManager private immutable _poolManager;
    IDepositContract private immutable _depositContract;

    constructor(address poolManager, address depositContract) EIP712("poolETH Guardians", "1") {
        if (poolManager == address(0) || depositContract == address(0)) revert ZeroAddress();
        _poolManager = IPoolManager(poolManager);
        _depositContract = IDepositContract(depositContract);
        _disableInitializers();
    }

    /// @param members_ cold addresses, and in `signers` the signing key of each
    function initialize(
        address authority,
        uint32 pauseDuration_,
        address[] calldata members_,
        address[] calldata signers,
        uint256 quorum
    ) external initializer {
        if (authority == address(0)) revert ZeroAddress();
        __AccessManaged_init(authority);
        if (members_.length != signers.length) revert LengthMismatch(members_.length, signers.length);
        SignerQuorum.Set storage set = _layout().guardians;
        for (uint256 i; i < members_.length; ++i) set.add(members_[i], signers[i]);
        set.setQuorum(quorum);
        _setPauseDuration(pauseDuration_);
    }

    /// @inheritdoc IGuardians
    function pauseDeposits(uint256 approvalEpoch_, bytes calldata signature) external {
        Layout storage $ = _layout();
        _checkEpoch($, approvalEpoch_);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(PAUSE_DEPOSITS, approvalEpoch_)));
        address member = $.guardians.memberOf[$.guardians.recover(digest, signature, 0)];
        if ($.pauseUsed[member]) revert PauseAlreadyUsed(member);
        $.pauseUsed[member] = true;
        uint256 until = block.timestamp + $.pauseDuration;
        // a shorter duration set meanwhile does not end another guardian's pause early
        if (until < $.pausedUntil) until = $.pausedUntil;
        $.pausedUntil = uint40(until);
        emit DepositsPaused(member, until, _raiseEpoch($));
    }

    /// @inheritdoc IGuardians
    function pauseStaking(uint256 approvalEpoch_, bytes[] calldata signatures) external {
        emit StakingPauseRelayed(_spendQuorum(PAUSE_STAKING, approvalEpoch_, signatures));
        _poolManager.pauseStaking();
    }

    /// @inheritdoc IGuardians
    function pauseFinalisation(uint256 approvalEpoch_, bytes[] calldata signatures) external {
        emit FinalisationPauseRelayed(_spendQuorum(PAUSE_FINALISATION, approvalEpoch_, signatures));
        _poolManager.pauseFinalisation();
    }

    /// @inheritdoc IGuardians
    function resumeDeposits() external restricted {
        Layout storage $ = _layout();
        $.pausedUntil = 0;
        emit DepositsResumed($.approvalEpoch);
    }

    /// @inheritdoc IGuardians
    function rearm(address member) external restricted {
        Layout storage $ = _layout();
        if ($.guardians.signerOf[member] == address(0)) revert SignerQuorum.NotMember(member);
        $.pauseUsed[member] = false;
        emit GuardianRearmed(member);
    }

    /// @inheritdoc IGuardians
    function setPauseDuration(uint32 pauseDuration_) external restricted {
        _setPauseDuration(pauseDuration_);
    }

    /// @inheritdoc IGuardians
    function addMember(address member, address signer) external restricted {
        Layout storage $ = _layout();
        $.guardians.add(member, signer);
        _raiseEpoch($);
    }

    /// @inheritdoc IGuardians
    function removeMember(address member) external restricted {
        Layout storage $ = _layout();
        $.guardians.remove(member);
        _raiseEpoch($);
    }

    /// @inheritdoc IGuardians
    function setQuorum(uint256 quorum) external restricted {
        Layout storage $ = _layout();
        $.guardians.setQuorum(quorum);
        _raiseEpoch($);
    }

    /// @inheritdoc IGuardians
    function rotateSigner(address newSigner) external {
        Layout storage $ = _layout();
        uint256 next = $.rotatedAt[msg.sender] + ROTATION_INTERVAL;
        if (block.timestamp < next) revert RotatedRecently(msg.sender, next);
        $.rotatedAt[msg.sender] = block.timestamp;
        $.guardians.rotate(msg.sender, newSigner);
        _raiseEpoch($);
    }

    /// @inheritdoc IGuardians
    function checkVetting(uint256 account, uint256 batch, bytes32 head, bytes[] calldata signatures) external view {
        Layout storage $ = _layout();
        $.guardians.check(
            _hashTypedDataV4(keccak256(abi.encode(VETTING, account, batch, head, $.approvalEpoch))),
            signatures
        );
    }

    /// @inheritdoc IGuardians
    function checkDeposit(
        uint256 cluster,
        bytes32 keysHash,
        DepositAnchor calldata anchor,
        bytes[] calldata signatures
    ) external view {
        Layout storage $ = _layout();
        if (block.timestamp < $.pausedUntil) revert DepositsArePaused($.pausedUntil);
        bytes32 actual = blockhash(anchor.blockNumber);
        if (actual == 0 || actual != anchor.blockHash) {
            revert AnchorNotCanonical(anchor.blockNumber, anchor.blockHash, actual);
        }
        uint256 count = _depositCount();
        if (count != anchor.depositCount) revert DepositCountChanged(anchor.depositCount, count);
        bytes32 structHash = keccak256(
            abi.encode(
                DEPOSIT_APPROVAL,
                cluster,
                keysHash,
                $.approvalEpoch,
                anchor.blockNumber,
                anchor.blockHash,
                anchor.depositCount
            )
        );
        $.guardians.check(_hashTypedDataV4(structHash), signatures);
    }

    /// @inheritdoc IGuardians
    function checkDiscard(bytes32 keysHash, bytes[] calldata signatures) external view {
        Layout storage $ = _layout();
        $.guardians.check(_hashTypedDataV4(keccak256(abi.encode(DISCARD, keysHash, $.approvalEpoch))), signatures);
    }

    /// @inheritdoc IGuardians
    function checkDropQueue(
        uint256 account,
        uint256 nonce,
        uint256 batches,
        bytes[] calldata signatures
    ) external view {
        Layout storage $ = _layout();
        $.guardians.check(
            _hashTypedDataV4(keccak256(abi.encode(DROP_QUEUE, account, nonce, batches, $.approvalEpoch))),
            signatures
        );
    }

    /// @inheritdoc IGuardians
    function approvalEpoch() external view returns (uint256) {
        return _layout().approvalEpoch;
    }

    /// @inheritdoc IGuardians
    function depositsPausedUntil() external view returns (uint256) {
        return _layout().pausedUntil;
    }

    /// @inheritdoc IGuardians
    function pauseDuration() external view returns (uint256) {
        return _layout().pauseDuration;
    }

    /// @inheritdoc IGuardians
    function pauseUsed(address member) external view returns (bool) {
        return _layout().pauseUsed[member];
    }

    /// @inheritdoc IGuardians
    function members() external view returns (address[] memory members_, address[] memory signers, uint256 quorum) {
        return _layout().guardians.list();
    }

    /// @inheritdoc IGuardians
    function isSigner(address signer) external view returns (bool) {
        return _layout().guardians.memberOf[signer] != address(0);
    }

    /// @inheritdoc IGuardians
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _setPauseDuration(uint32 pauseDuration_) private {
        if (pauseDuration_ < LOWEST_PAUSE || pauseDuration_ > HIGHEST_PAUSE) {
            revert InvalidPauseDuration(pauseDuration_, LOWEST_PAUSE, HIGHEST_PAUSE);
        }
        _layout().pauseDuration = pauseDuration_;
        emit PauseDurationChanged(pauseDuration_);
    }

    /// The raised epoch keeps the same signatures from pausing again what governance has resumed.
    function _spendQuorum(
        bytes32 typeHash,
        uint256 approvalEpoch_,
        bytes[] calldata signatures
    ) private returns (uint256) {
        Layout storage $ = _layout();
        _checkEpoch($, approvalEpoch_);
        $.guardians.check(_hashTypedDataV4(keccak256(abi.encode(typeHash, approvalEpoch_))), signatures);
        return _raiseEpoch($);
    }

    function _raiseEpoch(Layout storage $) private returns (uint256 epoch) {
        epoch = ++$.approvalEpoch;
        emit ApprovalEpochRaised(epoch);
    }

    function _checkEpoch(Layout storage $, uint256 given) private view {
        if (given != $.approvalEpoch) revert WrongApprovalEpoch(given, $.approvalEpoch);
    }

    /// The deposit contract answers with a little-endian uint64.
    function _depositCount() private view returns (uint256 count) {
        bytes memory littleEndian = _depositContract.get_deposit_count();
        for (uint256 i; i < 8; ++i) count |= uint256(uint8(littleEndian[i])) << (8 * i);
    }

    function _layout() private pure returns (Layout storage $) {
        assembly ("memory-safe") {
            $.slot := LAYOUT
        }
    }
}
