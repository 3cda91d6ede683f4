// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cluster} from "./ISSVNetwork.sol";

/// @title SSV Network's view contract, v2.0.0, the part that the pool reads
/// @notice Views that take a cluster revert with {ISSVNetwork.ClusterDoesNotExist} or {ISSVNetwork.IncorrectClusterState}
///         unless given its latest snapshot.
interface ISSVNetworkViews {
    /// @notice What is left of a cluster's balance in this block, in wei. Reverts with {ISSVNetwork.ClusterIsLiquidated}.
    function getBalance(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (uint256 balance);

    /// @notice What the cluster costs, in wei per block, at its last known effective balance.
    function getBurnRate(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (uint256 burnRate);

    /// @notice Whether anyone may liquidate the cluster in this block.
    function isLiquidatable(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (bool liquidatable);

    /// @notice Whether the cluster is liquidated.
    function isLiquidated(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (bool liquidated);

    /// @notice The effective balance the cluster is billed for, in whole ETH. Reverts with {ISSVNetwork.ClusterIsLiquidated}.
    function getEffectiveBalance(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (uint32 effectiveBalance);

    /// @notice 1 for a cluster that pays in ETH; needs no snapshot. Reverts with {ISSVNetwork.ClusterDoesNotExist}.
    function getClusterAssetType(address owner, uint64[] calldata operatorIds) external view returns (uint8 assetType);

    /// @notice Whether `clusterOwner` has registered this key, in whichever of its clusters.
    function getValidator(address clusterOwner, bytes calldata publicKey) external view returns (bool registered);

    /// @notice A cluster is liquidatable once its balance covers less than this many blocks.
    function getLiquidationThresholdPeriod() external view returns (uint64 blocks);

    /// @notice A cluster is liquidatable once its balance is below this, in wei.
    function getMinimumLiquidationCollateral() external view returns (uint256 amount);

    /// @notice Wei per block for each 32 ETH.
    function getNetworkFee() external view returns (uint256 networkFee);

    /// @notice Wei per block for each 32 ETH; 0 for an operator that left.
    function getOperatorFee(uint64 operatorId) external view returns (uint256 fee);

    /// @notice How many validators an operator can have in all clusters together.
    function getValidatorsPerOperatorLimit() external view returns (uint32 limit);

    /// @notice What is known of an operator; all zero for one that never was.
    /// @return owner Who registered it.
    /// @return fee Wei per block for each 32 ETH.
    /// @return validatorCount Validators in active clusters.
    /// @return whitelisted A whitelisting contract, if one is set.
    /// @return isPrivate Whether it serves whitelisted owners only.
    /// @return isActive False once it left.
    function getOperatorById(
        uint64 operatorId
    )
        external
        view
        returns (address owner, uint256 fee, uint32 validatorCount, address whitelisted, bool isPrivate, bool isActive);

    /// @notice "v2.0.0".
    function getVersion() external view returns (string memory version);
}
