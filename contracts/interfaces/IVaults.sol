// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title WithdrawalVault
/// @notice The address in the pool's 0x01 withdrawal credentials: skimmed rewards and exited balances arrive here as plain balance
/// credits. Only the PoolManager takes them out, in a report. ETH sent by anyone else counts as a gain of the next report.
/// As the owner of the credentials it can request exits (EIP-7002), full ones only; it requests no consolidations.
interface IWithdrawalVault {
    event Swept(uint256 amount);

    error ZeroAddress();
    error NotPoolManager(address caller);
    error NotValidatorExits(address caller);
    error SendFailed(uint256 amount);
    /// @notice The call must bring exactly the fee of all its requests.
    error WrongFee(uint256 sentWei, uint256 neededWei);
    /// @notice The EIP-7002 contract does not tell its fee: it is not there or not active.
    error ExitFeeUnknown();
    error ExitRefused(bytes publicKey);

    /// @notice Once.
    /// @param authority AccessManager, which authorises upgrades and nothing else
    function initialize(address authority) external;

    /// @notice Sends `amount` wei to the PoolManager. PoolManager only.
    function sweep(uint256 amount) external;

    /// @notice Requests full exits of validators (EIP-7002), paid from `msg.value`: `exitFee()` each. The consensus layer drops requests
    /// silently that it cannot follow. ValidatorExits only.
    function requestExits(bytes[] calldata publicKeys) external payable;

    /// @notice Wei that one exit request costs in this block.
    function exitFee() external view returns (uint256);
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
