// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What the proofs see in place of OpenZeppelin's SafeCast; how is explained in Narrow.sol.
library SafeCast {
    error TooWide(uint256 value);

    function toUint40(uint256 value) internal pure returns (uint40 narrow) {
        if (value > type(uint40).max) revert TooWide(value);
        assembly ("memory-safe") {
            narrow := value
        }
        require(narrow == value);
    }

    function toUint96(uint256 value) internal pure returns (uint96 narrow) {
        if (value > type(uint96).max) revert TooWide(value);
        assembly ("memory-safe") {
            narrow := value
        }
        require(narrow == value);
    }
}
