// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title ShareMath
/// @notice Conversion between shares and wei. Both totals are below 2^88, so results are exact for arguments below 2^168; above
/// that (no such amount exists) they are merely large, and every comparison with a balance still fails as it should.
library ShareMath {
    /// @notice Shares worth `amount` wei, rounded down. Without any shares yet, one share costs one wei.
    /// @param totalEther not 0 unless `totalShares` is
    function toShares(uint256 amount, uint256 totalShares, uint256 totalEther) internal pure returns (uint256) {
        return totalShares == 0 ? amount : Math.saturatingMul(amount, totalShares) / totalEther;
    }

    /// @notice Wei that `shares` are worth, rounded down.
    function toEther(uint256 shares, uint256 totalShares, uint256 totalEther) internal pure returns (uint256) {
        return totalShares == 0 ? shares : Math.saturatingMul(shares, totalEther) / totalShares;
    }

    /// @notice Wei that `shares` are worth, rounded up: what a spender's allowance pays for them.
    function toEtherUp(uint256 shares, uint256 totalShares, uint256 totalEther) internal pure returns (uint256) {
        return totalShares == 0 ? shares : Math.ceilDiv(Math.saturatingMul(shares, totalEther), totalShares);
    }
}
