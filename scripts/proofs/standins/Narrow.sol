// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice In place of conversions such as `uint96(value)`, which would cut off what does not fit: proves that nothing is cut off.
library Narrow {
    function toUint32(uint256 value) internal pure returns (uint32 narrow) {
        assert(value <= type(uint32).max);
        assembly ("memory-safe") {
            narrow := value
        }
        require(narrow == value);
    }

    function toUint48(uint256 value) internal pure returns (uint48 narrow) {
        assert(value <= type(uint48).max);
        assembly ("memory-safe") {
            narrow := value
        }
        require(narrow == value);
    }

    function toUint64(uint256 value) internal pure returns (uint64 narrow) {
        assert(value <= type(uint64).max);
        assembly ("memory-safe") {
            narrow := value
        }
        require(narrow == value);
    }

    function toUint88(uint256 value) internal pure returns (uint88 narrow) {
        assert(value <= type(uint88).max);
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
