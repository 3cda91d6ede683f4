// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The side of the PoolManager that the registry and the guardians see, without stakers and reports.
contract PoolManagerForRegistry {
    error SendFailed();

    uint256 public depositableEther;
    uint256 public stakingPauses;

    receive() external payable {
        depositableEther += msg.value;
    }

    function fundDeposits(uint256 validators) external {
        depositableEther -= validators * 32 ether;
        (bool sent, ) = msg.sender.call{value: validators * 32 ether}("");
        if (!sent) revert SendFailed();
    }

    function pauseStaking() external {
        ++stakingPauses;
    }
}
