// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDepositContract} from "../interfaces/IDepositContract.sol";
import {IValidatorRegistry} from "../interfaces/IValidatorRegistry.sol";

/// @title DepositData
/// @notice `hash_tree_root` of the DepositData container (consensus-specs, phase0) for 32 ETH, as the deposit contract checks it.
library DepositData {
    uint256 internal constant VALUE = 32 ether;

    uint256 private constant PUBLIC_KEY_LENGTH = 48;
    uint256 private constant SIGNATURE_LENGTH = 96;

    // 32e9 gwei as a little-endian uint64, zero-padded to a chunk
    bytes32 private constant AMOUNT = bytes32(bytes8(0x0040597307000000));

    /// @notice What guardians approve: keccak256 over keccak256(pubkey || signature) of each. The caller checks that both lists are of one
    /// length.
    function approvalHash(bytes[] calldata publicKeys, bytes[] calldata signatures) internal pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](publicKeys.length);
        for (uint256 i; i < hashes.length; ++i) {
            (bytes calldata publicKey, bytes calldata signature) = (publicKeys[i], signatures[i]);
            if (publicKey.length != PUBLIC_KEY_LENGTH) revert IValidatorRegistry.InvalidPublicKey(publicKey.length);
            if (signature.length != SIGNATURE_LENGTH) {
                revert IValidatorRegistry.InvalidSignatureLength(signature.length);
            }
            hashes[i] = keccak256(bytes.concat(publicKey, signature));
        }
        return keccak256(abi.encodePacked(hashes));
    }

    /// @notice Makes the deposit. The caller checks the lengths.
    function deposit(
        IDepositContract depositContract,
        bytes calldata publicKey,
        bytes32 credentials,
        bytes calldata signature
    ) internal {
        depositContract.deposit{value: VALUE}(
            publicKey,
            abi.encodePacked(credentials),
            signature,
            root(publicKey, credentials, signature)
        );
    }

    /// @notice Root for a 48 byte public key and a 96 byte signature; the caller checks the lengths.
    function root(
        bytes calldata publicKey,
        bytes32 withdrawalCredentials,
        bytes calldata signature
    ) internal view returns (bytes32 result) {
        bytes32 amount = AMOUNT;
        assembly ("memory-safe") {
            // sha256 of the 64 bytes at `from`
            function merge(from, to) {
                if iszero(staticcall(gas(), 2, from, 64, to, 32)) {
                    revert(0, 0)
                }
            }
            // five words of free memory: left half of the tree in the first, right half in the second
            let left := mload(0x40)
            let right := add(left, 32)
            calldatacopy(left, publicKey.offset, 48)
            mstore(add(left, 48), 0)
            merge(left, left)
            mstore(right, withdrawalCredentials)
            merge(left, left)
            calldatacopy(right, signature.offset, 96)
            mstore(add(right, 96), 0)
            merge(right, right)
            merge(add(right, 64), add(right, 32))
            merge(right, add(right, 32))
            mstore(right, amount)
            merge(right, right)
            merge(left, left)
            result := mload(left)
        }
    }
}
