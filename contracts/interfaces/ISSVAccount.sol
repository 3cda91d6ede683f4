// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title SSVAccount
/// @notice Owner of clusters in SSV Network: SSV knows validators, owner nonce and fee recipient by this address. Forwards the
/// registry's calls to SSV Network and does nothing else. An immutable clone; what is called is encoded in SSVCalls.
interface ISSVAccount {
    error NotRegistry(address caller);

    /// @notice Calls SSV Network with `data` and all of `msg.value`; reverts as SSV reverts. ValidatorRegistry only.
    function execute(bytes calldata data) external payable;
}
