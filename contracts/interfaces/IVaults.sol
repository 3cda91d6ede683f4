// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title WithdrawalVault
/// @notice The address in the pool's 0x01 withdrawal credentials: skimmed rewards and exited balances arrive here as plain balance
/// credits. Only the PoolManager takes them out, in a report. ETH sent by anyone else counts as a gain of the next report.
interface IWithdrawalVault {
    event Swept(uint256 amount);

    error ZeroAddress();
    error NotPoolManager(address caller);
    error SendFailed(uint256 amount);

    /// @notice Once.
    /// @param authority AccessManager, which authorises upgrades and nothing else
    function initialize(address authority) external;

    /// @notice Sends `amount` wei to the PoolManager. PoolManager only.
    function sweep(uint256 amount) external;
}

/// @title RewardsVault
/// @notice Fee recipient of the pool's validators: priority fees and MEV arrive here. Immutable.
interface IRewardsVault {
    event Swept(uint256 amount);

    error NotPoolManager(address caller);
    error SendFailed(uint256 amount);

    /// @notice Sends everything to the PoolManager. PoolManager only.
    /// @return amount wei
    function sweep() external returns (uint256 amount);
}
