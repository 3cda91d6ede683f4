// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title DepositData
/// @notice `hash_tree_root` of the DepositData container (consensus-specs, phase0) for 32 ETH, as the deposit contract checks it.
library DepositData {
    uint256 internal constant PUBLIC_KEY_LENGTH = 48;
    uint256 internal constant SIGNATURE_LENGTH = 96;

    // 32e9 gwei as a little-endian uint64, zero-padded to a chunk
    bytes32 private constant AMOUNT = bytes32(bytes8(0x0040597307000000));

    /// @notice Root for a 48 byte public key and a 96 byte signature; the caller checks the lengths.
    function root(
        bytes calldata publicKey,
        bytes32 withdrawalCredentials,
        bytes calldata signature
    ) internal pure returns (bytes32) {
        bytes32 publicKeyRoot = sha256(bytes.concat(publicKey, bytes16(0)));
        bytes32 signatureRoot = sha256(
            bytes.concat(sha256(signature[:64]), sha256(bytes.concat(signature[64:], bytes32(0))))
        );
        return
            sha256(
                bytes.concat(
                    sha256(bytes.concat(publicKeyRoot, withdrawalCredentials)),
                    sha256(bytes.concat(AMOUNT, signatureRoot))
                )
            );
    }
}
