// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title SSVAccount
/// @notice Owner of clusters in SSV Network: SSV knows validators, owner nonce and fee recipient by this address. Forwards the
/// registry's calls to SSV Network and does nothing else. An immutable clone; what is called is encoded in SSVCalls.
interface ISSVAccount {
    error NotRegistry(address caller);

    /// @notice The reserve pays here for a registration. ETH that reaches the account leaves it only with a call to SSV Network.
    receive() external payable;

    /// @notice Calls SSV Network with `data` and `value` wei of what the account holds; reverts as SSV reverts. ValidatorRegistry only.
    function execute(bytes calldata data, uint256 value) external;
}
