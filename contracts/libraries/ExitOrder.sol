// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title ExitOrder
/// @notice Whose turn to exit has come, by the order of deposits; see {IValidatorExits}. Turns are given oldest first, within a retired
/// cluster or over all, so those of a cluster are always its oldest and a count tells them.
library ExitOrder {
    struct Turns {
        uint256 fullWords; // all turns of these words have come
        mapping(uint256 word => uint256) taken; // bit `n - 1` for the `n`th deposit
        mapping(uint256 cluster => uint256) takenOf;
    }

    /// @notice Oldest deposit, counted from 1, whose turn has not come, whether or not it was made yet.
    function next(Turns storage self) internal view returns (uint256) {
        uint256 word = self.fullWords;
        uint256 bits = self.taken[word]; // never full: `take` passes over full words
        return (word << 8) + Math.log2(~bits & (bits + 1)) + 1;
    }

    /// @notice The same within a cluster, by the order of its own deposits.
    function nextOf(Turns storage self, uint256 cluster) internal view returns (uint256) {
        return self.takenOf[cluster] + 1;
    }

    /// @notice The turn of the `order`th deposit, one of `cluster`, has come.
    function take(Turns storage self, uint256 cluster, uint256 order) internal {
        uint256 bit = order - 1;
        self.taken[bit >> 8] |= 1 << (bit & 0xff);
        ++self.takenOf[cluster];
        while (self.taken[self.fullWords] == type(uint256).max) ++self.fullWords;
    }
}
