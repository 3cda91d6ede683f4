// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Totals} from "../interfaces/IPoolManager.sol";

/// @notice The side of the PoolManager that the registry, the guardians and the exits see, without stakers and reports.
contract PoolManagerForRegistry {
    error SendFailed();

    uint256 public depositableEther;
    uint256 public stakingPauses;
    uint256 public finalisationPauses;
    bytes private _callback;
    Totals private _totals;

    receive() external payable {
        depositableEther += msg.value;
    }

    /// Calldata that `fundDeposits` sends to its caller.
    function setCallback(bytes calldata callback) external {
        _callback = callback;
    }

    function setTotals(Totals calldata totals_) external {
        _totals = totals_;
    }

    function totals() external view returns (Totals memory) {
        return _totals;
    }

    function fundDeposits(uint256 validators) external {
        depositableEther -= validators * 32 ether;
        (bool sent, ) = msg.sender.call{value: validators * 32 ether}("");
        if (!sent) revert SendFailed();
        if (_callback.length != 0) Address.functionCall(msg.sender, _callback);
    }

    function pauseStaking() external {
        ++stakingPauses;
    }

    function pauseFinalisation() external {
        ++finalisationPauses;
    }
}
