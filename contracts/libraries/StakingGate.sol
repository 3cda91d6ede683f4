// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IPoolManager, StakeLimits} from "../interfaces/IPoolManager.sol";

/// @title StakingGate
/// @notice What a stake reads and writes, and the limits it has to keep.
library StakingGate {
    /// One slot.
    struct Gate {
        uint88 buffered;
        uint88 bucket; // of the daily limit, used at `bucketAt`
        uint32 bucketAt;
        uint32 lastReportAt;
        bool stakingPaused;
        bool lossPending;
    }

    /// @notice Part of the daily limit still in use, wei.
    function level(Gate memory gate, uint256 dailyLimit, uint256 time) internal pure returns (uint256) {
        return Math.saturatingSub(gate.bucket, (dailyLimit * (time - gate.bucketAt)) / 1 days);
    }

    /// @notice Under a new limit, what was used refills at the old pace up to now, and at the new one from now on.
    function renewed(Gate memory gate, uint256 oldDailyLimit, uint256 time) internal pure returns (Gate memory) {
        gate.bucket = uint88(level(gate, oldDailyLimit, time));
        gate.bucketAt = uint32(time);
        return gate;
    }

    /// @notice Most wei that one stake may bring to a pool of `totalEther`.
    function room(
        Gate memory gate,
        StakeLimits memory limits,
        uint256 totalEther,
        uint256 time
    ) internal pure returns (uint256) {
        return
            Math.min(
                Math.saturatingSub(limits.poolCap, totalEther),
                Math.saturatingSub(limits.dailyLimit, level(gate, limits.dailyLimit, time))
            );
    }

    /// @notice Takes in `amount` wei, which make `totalAfter` of the pool; reverts beyond cap and daily limit.
    function admit(
        Gate memory gate,
        StakeLimits memory limits,
        uint256 amount,
        uint256 totalAfter,
        uint256 time
    ) internal pure {
        if (totalAfter > limits.poolCap) revert IPoolManager.PoolCapExceeded(totalAfter, limits.poolCap);
        uint256 used = level(gate, limits.dailyLimit, time);
        if (used + amount > limits.dailyLimit)
            revert IPoolManager.DailyLimitExceeded(amount, Math.saturatingSub(limits.dailyLimit, used));
        // cap and daily limit, both uint88, bound what follows
        gate.buffered += uint88(amount);
        gate.bucket = uint88(used + amount);
        gate.bucketAt = uint32(time);
    }
}
