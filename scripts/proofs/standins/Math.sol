// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What the proofs see in place of OpenZeppelin's Math, whose assembly and bit operations the model checker cannot follow: the
/// same results wherever the plain arithmetic does not overflow. test/unit/libraries/StandIns.t.sol compares the two.
library Math {
    function saturatingMul(uint256 a, uint256 b) internal pure returns (uint256) {
        return a * b;
    }

    function saturatingSub(uint256 a, uint256 b) internal pure returns (uint256) {
        return a > b ? a - b : 0;
    }

    function ceilDiv(uint256 a, uint256 b) internal pure returns (uint256) {
        return a == 0 ? 0 : (a - 1) / b + 1;
    }

    function average(uint256 a, uint256 b) internal pure returns (uint256) {
        return (a + b) / 2;
    }

    function max(uint256 a, uint256 b) internal pure returns (uint256) {
        return a > b ? a : b;
    }

    function min(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }
}
