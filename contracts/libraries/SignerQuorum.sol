// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title SignerQuorum
/// @notice A k-of-n set. Each member is a cold address that governance admits; it signs with a hot key of its own, which holds no
/// ETH and which the member alone replaces. The quorum is always more than half of the members.
library SignerQuorum {
    struct Set {
        address[] members;
        mapping(address member => address) signerOf;
        mapping(address signer => address) memberOf;
        uint256 quorum;
    }

    uint256 internal constant MAX_MEMBERS = 32;

    event MemberAdded(address indexed member, address indexed signer, uint256 quorum);
    event MemberRemoved(address indexed member);
    event SignerRotated(address indexed member, address indexed oldSigner, address indexed newSigner);
    event QuorumChanged(uint256 quorum);

    error NotMember(address account);
    error MemberExists(address member);
    /// @notice The key signs for a member already, or is zero.
    error InvalidSigner(address signer);
    error TooManyMembers(uint256 highest);
    /// @notice A quorum is more than half of the members and at most all.
    error InvalidQuorum(uint256 quorum, uint256 members);
    error QuorumNotReached(uint256 signatures, uint256 quorum);
    /// @notice Signature `index` is malformed, or not of a current signer: `recovered` shows whose it is over this digest.
    error UnknownSigner(uint256 index, address recovered);
    /// @notice Signatures must be ordered by ascending signer address, each signer once.
    error SignersNotAscending(uint256 index);

    /// @notice Admits `member`; raises the quorum when it would no longer be more than half.
    function add(Set storage set, address member, address signer) internal {
        uint256 count = set.members.length;
        if (count == MAX_MEMBERS) revert TooManyMembers(MAX_MEMBERS);
        if (member == address(0)) revert NotMember(member);
        if (set.signerOf[member] != address(0)) revert MemberExists(member);
        _assign(set, member, signer);
        set.members.push(member);
        uint256 lowest = (count + 1) / 2 + 1;
        if (set.quorum < lowest) set.quorum = lowest;
        emit MemberAdded(member, signer, set.quorum);
    }

    /// @notice Removes `member`; reverts when the quorum could then not be reached: lower it first.
    function remove(Set storage set, address member) internal {
        address signer = set.signerOf[member];
        if (signer == address(0)) revert NotMember(member);
        uint256 count = set.members.length - 1;
        if (set.quorum > count) revert InvalidQuorum(set.quorum, count);
        delete set.signerOf[member];
        delete set.memberOf[signer];
        for (uint256 i; ; ++i) {
            if (set.members[i] != member) continue;
            set.members[i] = set.members[count];
            set.members.pop();
            break;
        }
        emit MemberRemoved(member);
    }

    function setQuorum(Set storage set, uint256 quorum) internal {
        uint256 count = set.members.length;
        if (quorum * 2 <= count || quorum > count) revert InvalidQuorum(quorum, count);
        set.quorum = quorum;
        emit QuorumChanged(quorum);
    }

    /// @notice `member` signs with `signer` from now on.
    function rotate(Set storage set, address member, address signer) internal {
        address old = set.signerOf[member];
        if (old == address(0)) revert NotMember(member);
        _assign(set, member, signer);
        delete set.memberOf[old];
        emit SignerRotated(member, old, signer);
    }

    /// @notice Reverts unless a quorum of current signers signed `digest`.
    function check(Set storage set, bytes32 digest, bytes[] calldata signatures) internal view {
        uint256 quorum = set.quorum;
        if (signatures.length < quorum || quorum == 0) revert QuorumNotReached(signatures.length, quorum);
        address last;
        for (uint256 i; i < signatures.length; ++i) {
            address signer = recover(set, digest, signatures[i], i);
            if (signer <= last) revert SignersNotAscending(i);
            last = signer;
        }
    }

    /// @notice Signer of one signature; reverts unless it is a current one.
    function recover(
        Set storage set,
        bytes32 digest,
        bytes calldata signature,
        uint256 index
    ) internal view returns (address signer) {
        ECDSA.RecoverError err;
        (signer, err, ) = ECDSA.tryRecoverCalldata(digest, signature);
        if (err != ECDSA.RecoverError.NoError || set.memberOf[signer] == address(0))
            revert UnknownSigner(index, signer);
    }

    function list(
        Set storage set
    ) internal view returns (address[] memory members, address[] memory signers, uint256 quorum) {
        members = set.members;
        signers = new address[](members.length);
        for (uint256 i; i < members.length; ++i) signers[i] = set.signerOf[members[i]];
        quorum = set.quorum;
    }

    function _assign(Set storage set, address member, address signer) private {
        if (signer == address(0) || set.memberOf[signer] != address(0)) revert InvalidSigner(signer);
        set.signerOf[member] = signer;
        set.memberOf[signer] = member;
    }
}
