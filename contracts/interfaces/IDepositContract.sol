// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Ethereum's deposit contract
/// @notice consensus-specs, phase0, "Deposit contract".
interface IDepositContract {
    function deposit(
        bytes calldata pubkey,
        bytes calldata withdrawal_credentials,
        bytes calldata signature,
        bytes32 deposit_data_root
    ) external payable;

    /// @notice Little-endian count of deposits, 8 bytes.
    function get_deposit_count() external view returns (bytes memory);

    function get_deposit_root() external view returns (bytes32);
}
