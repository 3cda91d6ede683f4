// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRewardsVault} from "./interfaces/IVaults.sol";

/// @title RewardsVault
/// @notice See {IRewardsVault}.
contract RewardsVault is IRewardsVault {
    address private immutable _poolManager;

    constructor(address poolManager) {
        _poolManager = poolManager;
    }

    receive() external payable {}

    /// @inheritdoc IRewardsVault
    function sweep() external returns (uint256 amount) {
        if (msg.sender != _poolManager) revert NotPoolManager(msg.sender);
        amount = address(this).balance;
        emit Swept(amount);
        (bool sent, ) = msg.sender.call{value: amount}("");
        if (!sent) revert SendFailed(amount);
    }
}
