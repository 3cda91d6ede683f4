// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What the proofs see in place of OpenZeppelin's Math, whose assembly and bit operations the model checker cannot follow: the
/// same results wherever the plain arithmetic does not overflow. test/unit/proofs.t.sol compares the two.
library Math {
    function saturatingMul(uint256 a, uint256 b) internal pure returns (uint256) {
        return a * b;
    }

    function ceilDiv(uint256 a, uint256 b) internal pure returns (uint256) {
        return a == 0 ? 0 : (a - 1) / b + 1;
    }

    function average(uint256 a, uint256 b) internal pure returns (uint256) {
        return (a + b) / 2;
    }
}
