// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What the proofs see in place of conversions such as `uint96(value)`, which the model checker takes apart into bits and gets
/// lost in. They prove that nothing is cut off. The checker does not read assembly: it sees any number of the narrow type that equals
/// the wide one.
library Narrow {
    function toUint64(uint256 value) internal pure returns (uint64 narrow) {
        assert(value <= type(uint64).max);
        assembly ("memory-safe") {
            narrow := value
        }
        require(narrow == value);
    }

    function toUint96(uint256 value) internal pure returns (uint96 narrow) {
        assert(value <= type(uint96).max);
        assembly ("memory-safe") {
            narrow := value
        }
        require(narrow == value);
    }
}
