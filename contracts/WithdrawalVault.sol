// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IWithdrawalVault} from "./interfaces/IVaults.sol";

/// @title WithdrawalVault
/// @notice See {IWithdrawalVault}.
contract WithdrawalVault is IWithdrawalVault, UUPSUpgradeable, AccessManagedUpgradeable {
    address private immutable _poolManager;

    constructor(address poolManager) {
        _poolManager = poolManager;
        _disableInitializers();
    }

    receive() external payable {}

    /// @inheritdoc IWithdrawalVault
    function initialize(address authority) external initializer {
        if (authority == address(0)) revert ZeroAddress();
        __AccessManaged_init(authority);
    }

    /// @inheritdoc IWithdrawalVault
    function sweep(uint256 amount) external {
        if (msg.sender != _poolManager) revert NotPoolManager(msg.sender);
        emit Swept(amount);
        (bool sent, ) = msg.sender.call{value: amount}("");
        if (!sent) revert SendFailed(amount);
    }

    function _authorizeUpgrade(address) internal override restricted {}
}
