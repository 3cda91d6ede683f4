// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cluster} from "../interfaces/ISSVNetwork.sol";
import {ISSVNetworkViews} from "../interfaces/ISSVNetworkViews.sol";

/// @title Double of SSV Network's view contract v2.0.0
/// @notice Passes every question on to the network, as the real one does.
contract SSVNetworkViewsDouble is ISSVNetworkViews {
    /// @notice The network it reads.
    ISSVNetworkViews public immutable ssvNetwork;

    constructor(address network) {
        ssvNetwork = ISSVNetworkViews(network);
    }

    /// @inheritdoc ISSVNetworkViews
    function getBalance(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (uint256) {
        return ssvNetwork.getBalance(clusterOwner, operatorIds, cluster);
    }

    /// @inheritdoc ISSVNetworkViews
    function getBurnRate(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (uint256) {
        return ssvNetwork.getBurnRate(clusterOwner, operatorIds, cluster);
    }

    /// @inheritdoc ISSVNetworkViews
    function isLiquidatable(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (bool) {
        return ssvNetwork.isLiquidatable(clusterOwner, operatorIds, cluster);
    }

    /// @inheritdoc ISSVNetworkViews
    function isLiquidated(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (bool) {
        return ssvNetwork.isLiquidated(clusterOwner, operatorIds, cluster);
    }

    /// @inheritdoc ISSVNetworkViews
    function getEffectiveBalance(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (uint32) {
        return ssvNetwork.getEffectiveBalance(clusterOwner, operatorIds, cluster);
    }

    /// @inheritdoc ISSVNetworkViews
    function getClusterAssetType(address owner, uint64[] calldata operatorIds) external view returns (uint8) {
        return ssvNetwork.getClusterAssetType(owner, operatorIds);
    }

    /// @inheritdoc ISSVNetworkViews
    function getValidator(address clusterOwner, bytes calldata publicKey) external view returns (bool) {
        return ssvNetwork.getValidator(clusterOwner, publicKey);
    }

    /// @inheritdoc ISSVNetworkViews
    function getLiquidationThresholdPeriod() external view returns (uint64) {
        return ssvNetwork.getLiquidationThresholdPeriod();
    }

    /// @inheritdoc ISSVNetworkViews
    function getMinimumLiquidationCollateral() external view returns (uint256) {
        return ssvNetwork.getMinimumLiquidationCollateral();
    }

    /// @inheritdoc ISSVNetworkViews
    function getNetworkFee() external view returns (uint256) {
        return ssvNetwork.getNetworkFee();
    }

    /// @inheritdoc ISSVNetworkViews
    function getOperatorFee(uint64 operatorId) external view returns (uint256) {
        return ssvNetwork.getOperatorFee(operatorId);
    }

    /// @inheritdoc ISSVNetworkViews
    function getValidatorsPerOperatorLimit() external view returns (uint32) {
        return ssvNetwork.getValidatorsPerOperatorLimit();
    }

    /// @inheritdoc ISSVNetworkViews
    function getOperatorById(uint64 operatorId) external view returns (address, uint256, uint32, address, bool, bool) {
        return ssvNetwork.getOperatorById(operatorId);
    }

    /// @inheritdoc ISSVNetworkViews
    function getVersion() external view returns (string memory) {
        return ssvNetwork.getVersion();
    }
}
