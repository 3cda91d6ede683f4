// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cluster} from "./ISSVNetwork.sol";

/// @title OperationsReserve
/// @notice ETH that pays SSV: runway at registration and top-ups. Filled first from the fee, up to `targetBalance()`; anyone may add.
interface IOperationsReserve {
    event Funded(address indexed from, uint256 amount);
    event Paid(address indexed account, uint256 amount);
    event ToppedUp(uint256 indexed cluster, uint256 amount);
    event RunwayChanged(uint256 targetBlocks, uint256 lowBlocks);

    error NotRegistry(address caller);
    error ZeroAddress();
    /// @notice At least `amount` wei is needed, `balance` is held.
    error InsufficientReserve(uint256 amount, uint256 balance);
    /// @notice The cluster still has `runway` blocks; top-ups start below `low`.
    error RunwaySufficient(uint256 cluster, uint256 runway, uint256 low);
    /// @notice The cluster has no fees to pay.
    error NothingToTopUp(uint256 cluster);
    error InvalidRunway(uint256 targetBlocks, uint256 lowBlocks);
    error SendFailed(address to, uint256 amount);

    /// @notice Adds `msg.value` to the reserve. Anyone.
    function fund() external payable;

    /// @notice Sends `registrationCost` to an SSVAccount that registers validators, whose burn counts from now on. ValidatorRegistry only.
    /// @return amount wei
    function pay(address account, uint256 burnPerValidator, uint256 validators) external returns (uint256 amount);

    /// @notice Validators that burned `before` wei a block burn `after_` from now on. ValidatorRegistry only.
    /// @return total of all clusters, wei a block
    function changeBurn(uint256 before, uint256 after_) external returns (uint256 total);

    /// @notice Anyone. Brings a cluster that is below the low runway up to the target, or as far as the reserve reaches, if that is a
    /// day's runway (or the low runway, if less): what leaves a cluster at the edge of liquidation only raises the liquidator's reward.
    /// Reverts as SSV does with a stale snapshot (`IncorrectClusterState`) or a liquidated cluster (`ClusterIsLiquidated`).
    /// @param snapshot the cluster as SSV's newest event shows it
    function topUp(uint256 cluster, Cluster calldata snapshot) external;

    /// @notice Governance. Blocks of runway, on top of SSV's liquidation threshold, that clusters are filled to and refilled below.
    /// `targetBlocks` at most 2,628,000 (a year), `lowBlocks` below it and not 0.
    function setRunway(uint32 targetBlocks, uint32 lowBlocks) external;

    /// @notice Wei that registering `validators` of burn `burnPerValidator` (wei a block) takes: the target runway and what SSV wants a
    /// cluster to hold, `burn * target + max(burn * threshold, least collateral)`. Each registration brings this for itself, so a new
    /// cluster has the whole target before it and an old one is left no worse off; what it brings too much is runway.
    function registrationCost(uint256 burnPerValidator, uint256 validators) external view returns (uint256);

    /// @notice Wei held, by the reserve's own count.
    function balance() external view returns (uint256);

    /// @notice Wei a block that all registered validators cost.
    function totalBurnRate() external view returns (uint256);

    /// @notice Target runway times the burn of all clusters, wei.
    function targetBalance() external view returns (uint256);

    /// @notice Wei missing to the target.
    function shortfall() external view returns (uint256);

    function runway() external view returns (uint32 targetBlocks, uint32 lowBlocks);
}
