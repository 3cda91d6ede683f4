// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ISSVAccount} from "./interfaces/ISSVAccount.sol";

/// @title SSVAccount
/// @notice See {ISSVAccount}.
contract SSVAccount is ISSVAccount {
    address private immutable _registry;
    address private immutable _ssvNetwork;

    constructor(address registry, address ssvNetwork) {
        _registry = registry;
        _ssvNetwork = ssvNetwork;
    }

    /// @inheritdoc ISSVAccount
    receive() external payable {}

    /// @inheritdoc ISSVAccount
    function execute(bytes calldata data, uint256 value) external {
        if (msg.sender != _registry) revert NotRegistry(msg.sender);
        Address.functionCallWithValue(_ssvNetwork, data, value);
    }
}
