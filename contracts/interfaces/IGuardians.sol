// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The chain and deposit contract as the guardians saw them.
struct DepositAnchor {
    uint64 blockNumber;
    bytes32 blockHash;
    uint64 depositCount;
}

/// @title Guardians
/// @notice k-of-n signers (EIP-712) who vet published validators once and approve each deposit. One guardian alone can pause deposits
/// for a limited time, once until governance re-arms it; a quorum can pause staking and the finalising of withdrawals. They can stop the pool, never move its ETH.
///
/// Every message binds the chain, this contract and the approval epoch, which a pause and any change of the set raise: what was
/// signed before is void.
interface IGuardians {
    event DepositsPaused(address indexed member, uint256 until, uint256 approvalEpoch);
    event DepositsResumed(uint256 approvalEpoch);
    event GuardianRearmed(address indexed member);
    event StakingPauseRelayed(uint256 approvalEpoch);
    event FinalisationPauseRelayed(uint256 approvalEpoch);
    event ApprovalEpochRaised(uint256 approvalEpoch);
    event PauseDurationChanged(uint256 pauseDuration);

    error DepositsArePaused(uint256 until);
    error WrongApprovalEpoch(uint256 given, uint256 current);
    error PauseAlreadyUsed(address member);
    /// @notice `blockNumber` is not among the last 256 blocks or its hash differs: the approval was given on another chain head.
    error AnchorNotCanonical(uint256 blockNumber, bytes32 approved, bytes32 actual);
    /// @notice Somebody deposited since the approval: guardians have to look again.
    error DepositCountChanged(uint256 approved, uint256 actual);
    /// @notice A member replaces its signing key once a day at most: each time all signatures are void. Governance can act before.
    error RotatedRecently(address member, uint256 next);
    error LengthMismatch(uint256 members, uint256 signers);
    error ZeroAddress();
    error InvalidPauseDuration(uint256 duration, uint256 lowest, uint256 highest);

    /// @notice Reverts unless a quorum vetted the batch with hash chain head `head`. Signed: Vetting(uint256 account,uint256 batch,bytes32 head,uint256 approvalEpoch).
    /// @param head the batch's 26 bytes, zero-padded on the right
    function checkVetting(uint256 account, uint256 batch, bytes32 head, bytes[] calldata signatures) external view;

    /// @notice Reverts unless deposits are open, `anchor` still holds and a quorum approved exactly these keys and signatures.
    /// Signed: DepositApproval(uint256 cluster,bytes32 keysHash,uint256 approvalEpoch,uint256 blockNumber,bytes32 blockHash,uint256 depositCount).
    /// @param keysHash keccak256 over keccak256(pubkey || signature) of every validator, in order
    function checkDeposit(
        uint256 cluster,
        bytes32 keysHash,
        DepositAnchor calldata anchor,
        bytes[] calldata signatures
    ) external view;

    /// @notice Reverts unless a quorum agreed that these registered keys must not be funded. Signed: Discard(bytes32 keysHash,uint256 approvalEpoch).
    /// @param keysHash keccak256 over keccak256(pubkey) of every validator, in order
    function checkDiscard(bytes32 keysHash, bytes[] calldata signatures) external view;

    /// @notice Reverts unless a quorum agreed to drop what is queued of `account` now: at nonce `nonce`, after `batches` were ever published
    /// (both only grow, so no other queue has the same pair). Signed: DropQueue(uint256 account,uint256 nonce,uint256 batches,uint256 approvalEpoch).
    function checkDropQueue(uint256 account, uint256 nonce, uint256 batches, bytes[] calldata signatures) external view;

    /// @notice One guardian's signed wish to pause deposits; anyone may deliver it. Signed: PauseDeposits(uint256 approvalEpoch).
    /// Each guardian can do it once until governance re-arms it.
    function pauseDeposits(uint256 approvalEpoch_, bytes calldata signature) external;

    /// @notice A quorum's signed wish to pause staking; anyone may deliver it, once: the epoch is raised.
    /// Signed: PauseStaking(uint256 approvalEpoch).
    function pauseStaking(uint256 approvalEpoch_, bytes[] calldata signatures) external;

    /// @notice The same for the finalising of withdrawals. Signed: PauseFinalisation(uint256 approvalEpoch).
    function pauseFinalisation(uint256 approvalEpoch_, bytes[] calldata signatures) external;

    /// @notice Governance. Ends a pause of deposits before its time.
    function resumeDeposits() external;

    /// @notice Governance. `member` may pause deposits once more.
    function rearm(address member) external;

    /// @notice Governance. How long one guardian's pause lasts; 1 hour to 14 days, in seconds.
    function setPauseDuration(uint32 pauseDuration_) external;

    /// @notice Governance. Admits `member` (cold) with its signing key; raises the approval epoch. See SignerQuorum for the errors.
    function addMember(address member, address signer) external;

    /// @notice Governance. Raises the approval epoch.
    function removeMember(address member) external;

    /// @notice Governance. More than half of the members, at most all.
    function setQuorum(uint256 quorum) external;

    /// @notice A member's cold address replaces its signing key, once a day at most; raises the approval epoch.
    function rotateSigner(address newSigner) external;

    function approvalEpoch() external view returns (uint256);

    /// @notice Time until which deposits are paused, seconds; in the past when they are open.
    function depositsPausedUntil() external view returns (uint256);

    /// @notice How long one guardian's pause lasts, seconds.
    function pauseDuration() external view returns (uint256);

    /// @notice Whether `member` has used its pause.
    function pauseUsed(address member) external view returns (bool);

    function members() external view returns (address[] memory members_, address[] memory signers, uint256 quorum);

    function isSigner(address signer) external view returns (bool);

    /// @notice Domain separator of EIP-712.
    function domainSeparator() external view returns (bytes32);
}
