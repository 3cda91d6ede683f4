// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPoolManager} from "../interfaces/IPoolManager.sol";

/// @title Checks
/// @notice What may be set, at construction or by governance.
library Checks {
    function nonZero(bytes32 name, address account) internal pure returns (address) {
        if (account == address(0)) revert IPoolManager.ZeroAddress(name);
        return account;
    }

    function within(bytes32 name, uint256 value, uint256 lowest, uint256 highest) internal pure {
        if (value < lowest || value > highest) revert IPoolManager.InvalidParameter(name, value, lowest, highest);
    }
}
