// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IValidatorRegistry, QueueItems} from "../interfaces/IValidatorRegistry.sol";

/// @title KeyQueue
/// @notice The reverse hash chain over published validators, see {IValidatorRegistry}. The same links come out of the published
/// bytes and of the items that are later taken from the front; both sides hash fixed-width words only, so no two lists share a chain.
library KeyQueue {
    uint256 private constant PUBLIC_KEY = 48;
    uint256 private constant SIGNATURE = 96;

    /// @notice Bytes of one published validator.
    function stride(uint256 operators) internal pure returns (uint256) {
        return PUBLIC_KEY + SIGNATURE + 96 + 304 * operators;
    }

    /// @notice Most validators in one publish call: 80, 40, 30 or 20 for 4, 7, 10 or 13 operators.
    function mostPerBatch(uint256 operators) internal pure returns (uint256) {
        if (operators == 4) return 80;
        if (operators == 7) return 40;
        return operators == 10 ? 30 : 20;
    }

    /// @notice How many validators `data` brings a cluster of so many operators, and the head of the chain over them.
    function read(
        uint256 cluster,
        uint256 firstNonce,
        bytes calldata data,
        uint256 operators
    ) internal pure returns (uint256 count, bytes26 head) {
        uint256 each = stride(operators);
        if (data.length == 0 || data.length % each != 0) {
            revert IValidatorRegistry.InvalidDataLength(data.length, each);
        }
        count = data.length / each;
        uint256 most = mostPerBatch(operators);
        if (count > most) revert IValidatorRegistry.TooManyValidators(count, most);
        head = chain(cluster, firstNonce, data, each);
    }

    /// @notice Head of the chain over `data`, a whole number of `stride_` long entries; the first is for owner nonce `firstNonce`.
    function chain(
        uint256 cluster,
        uint256 firstNonce,
        bytes calldata data,
        uint256 stride_
    ) internal pure returns (bytes26 head) {
        uint256 nonce = firstNonce + data.length / stride_;
        for (uint256 end = data.length; end > 0; end -= stride_) {
            bytes calldata entry = data[end - stride_:end];
            head = _link(
                cluster,
                --nonce,
                keccak256(entry[:PUBLIC_KEY]),
                keccak256(entry[PUBLIC_KEY:PUBLIC_KEY + SIGNATURE]),
                keccak256(entry[PUBLIC_KEY + SIGNATURE:]),
                head
            );
        }
    }

    /// @notice Head of the chain that starts with `items`, and the hash of every public key.
    function chain(
        uint256 cluster,
        uint256 firstNonce,
        QueueItems calldata items
    ) internal pure returns (bytes26 head, bytes32[] memory keyHashes) {
        head = items.next;
        uint256 i = items.publicKeys.length;
        keyHashes = new bytes32[](i);
        while (i > 0) {
            bytes32 keyHash = keccak256(items.publicKeys[--i]);
            keyHashes[i] = keyHash;
            head = _link(
                cluster,
                firstNonce + i,
                keyHash,
                items.depositSignatureHashes[i],
                keccak256(items.shares[i]),
                head
            );
        }
    }

    function _link(
        uint256 cluster,
        uint256 nonce,
        bytes32 keyHash,
        bytes32 signatureHash,
        bytes32 sharesHash,
        bytes26 next
    ) private pure returns (bytes26) {
        return bytes26(keccak256(abi.encode(cluster, nonce, keyHash, signatureHash, sharesHash, next)));
    }
}
