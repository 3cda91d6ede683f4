// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title FrameCounter
/// @notice A growing total in one slot that also knows what it was at the end of the latest completed frame.
library FrameCounter {
    struct Counter {
        uint96 total;
        uint96 beforeFrame; // total when `frame` began
        uint64 frame; // of the last addition
    }

    /// @notice Adds `amount` in `frame`, which never is earlier than the last addition's.
    function add(Counter storage counter, uint256 frame, uint256 amount) internal returns (uint256 total) {
        Counter memory c = counter;
        if (frame > c.frame) (c.beforeFrame, c.frame) = (c.total, uint64(frame));
        c.total += uint96(amount);
        counter.total = c.total;
        counter.beforeFrame = c.beforeFrame;
        counter.frame = c.frame;
        return c.total;
    }

    /// @notice Total at the end of `frame`; exact unless something was added in two later frames.
    function atEndOf(Counter memory counter, uint256 frame) internal pure returns (uint256) {
        return counter.frame > frame ? counter.beforeFrame : counter.total;
    }
}
