// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RewardStream} from "../../contracts/libraries/RewardStream.sol";

/// @notice A stream never unlocks more of an amount than its even share of the time that has passed, and at its end all of it.
contract NoMoreThanTheEvenShareUnlocks {
    function prove(uint88 part, uint32 secondsLeft, uint32 duration) external pure {
        require(duration != 0 && secondsLeft <= duration);
        uint256 unlocked = RewardStream.unlocked(part, secondsLeft, duration);
        assert(unlocked * duration <= uint256(part) * (duration - secondsLeft));
        assert(secondsLeft != 0 || unlocked == part);
    }
}

/// @notice What has unlocked never locks again.
contract UnlockedNeverFalls {
    function prove(uint88 part, uint32 secondsLeft, uint32 later, uint32 duration) external pure {
        require(duration != 0 && secondsLeft <= duration && later <= secondsLeft);
        uint256 before = RewardStream.unlocked(part, secondsLeft, duration);
        uint256 after_ = RewardStream.unlocked(part, later, duration);
        (after_ < before ? (before - after_ - 1) * duration : 0, uint256(part) * (secondsLeft - later));
        assert(after_ >= before);
    }
}
