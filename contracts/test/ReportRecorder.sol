// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Figures} from "../interfaces/IPoolManager.sol";

/// @title ReportRecorder
/// @notice Stands where the ReportOracle's two targets stand, says what it was told, and can answer that a loss is pending or call back.
contract ReportRecorder {
    event Applied(Figures figures);
    event ExitsRecorded(uint32[] exiting, uint32[] exited);

    bool public lossPending;
    bytes private _callback;

    function setLossPending(bool lossPending_) external {
        lossPending = lossPending_;
    }

    /// Calldata sent to the caller of `applyReport` before it returns.
    function setCallback(bytes calldata callback) external {
        _callback = callback;
    }

    function applyReport(Figures calldata figures) external returns (bool applied) {
        if (_callback.length != 0) {
            (bool success, bytes memory reason) = msg.sender.call(_callback);
            if (!success) {
                assembly ("memory-safe") {
                    revert(add(reason, 32), mload(reason))
                }
            }
        }
        emit Applied(figures);
        return !lossPending;
    }

    function recordExits(uint32[] calldata exiting, uint32[] calldata exited) external {
        emit ExitsRecorded(exiting, exited);
    }
}
