// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FrameConfig, Frames} from "../libraries/Frames.sol";

/// @notice The side of the ReportOracle that the exits see: each report comes as soon as its frame ends.
contract ReportOracleForExits {
    using Frames for FrameConfig;

    FrameConfig private _frames;

    constructor(FrameConfig memory frames) {
        _frames = frames;
    }

    function lastAppliedFrame() external view returns (uint256) {
        return _frames.frameAt(block.timestamp) - 1;
    }
}
