// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FrameCounter} from "../../contracts/libraries/FrameCounter.sol";

/// @notice After any additions in any frames, the counter knows the total at the end of the latest completed frame, and the total now.
contract TheTotalAtAFramesEndIsRemembered is FrameCounter {
    uint64 private _frame;
    uint96 private _total;
    uint96 private _atEnd;

    function nextFrame(uint64 frame) external {
        require(frame > _frame);
        (_frame, _atEnd) = (frame, _total);
    }

    function addInFrame(uint96 amount) external {
        require(uint256(_total) + amount <= type(uint96).max);
        _total += amount;
        add(_frame, amount);
    }

    function prove() external view {
        require(_frame != 0);
        assert(atEndOf(counter, _frame - 1) == _atEnd && atEndOf(counter, _frame) == _total);
    }
}
