// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// How time is cut into frames. Slots are counted from the beacon chain's genesis.
struct FrameConfig {
    uint64 genesisTime; // seconds
    uint32 secondsPerSlot;
    uint32 slotsPerFrame;
}

/// @title Frames
/// @notice Frame arithmetic. Frame `f` covers slots `[f * slotsPerFrame, (f + 1) * slotsPerFrame - 1]`; its last slot is its
/// reference slot. Pure, shared by everything that must agree on what a frame is.
library Frames {
    /// @notice Frame that contains `timestamp` (seconds, not before genesis).
    function frameAt(FrameConfig memory config, uint256 timestamp) internal pure returns (uint256) {
        return (timestamp - config.genesisTime) / config.secondsPerSlot / config.slotsPerFrame;
    }

    /// @notice Last slot of `frame`.
    function refSlot(FrameConfig memory config, uint256 frame) internal pure returns (uint256) {
        return (frame + 1) * config.slotsPerFrame - 1;
    }

    /// @notice Start of the last slot of `frame`, in seconds.
    function refTime(FrameConfig memory config, uint256 frame) internal pure returns (uint256) {
        return config.genesisTime + refSlot(config, frame) * config.secondsPerSlot;
    }

    /// @notice Length of a frame in seconds.
    function duration(FrameConfig memory config) internal pure returns (uint256) {
        return uint256(config.slotsPerFrame) * config.secondsPerSlot;
    }
}
