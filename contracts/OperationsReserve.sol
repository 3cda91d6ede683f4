// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IOperationsReserve} from "./interfaces/IOperationsReserve.sol";
import {ClusterState, IValidatorRegistry} from "./interfaces/IValidatorRegistry.sol";
import {ISSVNetworkViews} from "./interfaces/ISSVNetworkViews.sol";
import {Cluster} from "./interfaces/ISSVNetwork.sol";
import {SSVCalls} from "./libraries/SSVCalls.sol";

/// @title OperationsReserve
/// @notice See {IOperationsReserve}.
contract OperationsReserve is IOperationsReserve, UUPSUpgradeable, AccessManagedUpgradeable, ReentrancyGuardTransient {
    /// @custom:storage-location erc7201:pooleth.storage.OperationsReserve
    struct Layout {
        uint128 balance; // wei
        uint32 targetBlocks;
        uint32 lowBlocks;
        uint64 totalBurnRate; // wei a block
    }

    bytes32 private constant LAYOUT = 0x9641686dc5e36e5129dd2b7759cc5917aba277d70ce74993e6122695e9182f00;

    uint256 private constant HIGHEST_TARGET = 2_628_000; // a year of blocks
    uint256 private constant LEAST_RESCUE = 7_200; // a day of blocks

    IValidatorRegistry private immutable _registry;
    ISSVNetworkViews private immutable _ssvViews;
    address private immutable _ssvNetwork;

    constructor(address registry, address ssvNetwork, address ssvViews) {
        if (registry == address(0) || ssvNetwork == address(0) || ssvViews == address(0)) revert ZeroAddress();
        _registry = IValidatorRegistry(registry);
        _ssvNetwork = ssvNetwork;
        _ssvViews = ISSVNetworkViews(ssvViews);
        _disableInitializers();
    }

    function initialize(address authority, uint32 targetBlocks, uint32 lowBlocks) external initializer {
        if (authority == address(0)) revert ZeroAddress();
        __AccessManaged_init(authority);
        _setRunway(targetBlocks, lowBlocks);
    }

    /// @inheritdoc IOperationsReserve
    function fund() external payable {
        Layout storage $ = _layout();
        $.balance += SafeCast.toUint128(msg.value);
        emit Funded(msg.sender, msg.value);
    }

    /// @inheritdoc IOperationsReserve
    function pay(address account, uint256 burnPerValidator, uint256 validators) external returns (uint256 amount) {
        _checkRegistry();
        amount = registrationCost(burnPerValidator, validators);
        _layout().totalBurnRate += SafeCast.toUint64(burnPerValidator * validators);
        _spend(amount);
        emit Paid(account, amount);
        (bool sent, ) = account.call{value: amount}("");
        if (!sent) revert SendFailed(account, amount);
    }

    /// @inheritdoc IOperationsReserve
    function changeBurn(uint256 before, uint256 after_) external returns (uint256 total) {
        _checkRegistry();
        Layout storage $ = _layout();
        total = $.totalBurnRate - before + after_;
        $.totalBurnRate = SafeCast.toUint64(total);
    }

    /// @inheritdoc IOperationsReserve
    function topUp(uint256 cluster, Cluster calldata snapshot) external nonReentrant {
        ClusterState memory state = _registry.cluster(cluster);
        address owner = _registry.account(state.account).account;
        uint256 amount = _missing(
            cluster,
            _ssvViews.getBalance(owner, state.operatorIds, snapshot),
            _ssvViews.getBurnRate(owner, state.operatorIds, snapshot)
        );
        _spend(amount);
        emit ToppedUp(cluster, amount);
        Address.functionCallWithValue(_ssvNetwork, SSVCalls.depositCall(owner, state.operatorIds, snapshot), amount);
    }

    /// @inheritdoc IOperationsReserve
    function setRunway(uint32 targetBlocks, uint32 lowBlocks) external restricted {
        _setRunway(targetBlocks, lowBlocks);
    }

    /// @inheritdoc IOperationsReserve
    function registrationCost(uint256 burnPerValidator, uint256 validators) public view returns (uint256) {
        uint256 burn = burnPerValidator * validators;
        return burn * _layout().targetBlocks + _collateral(burn);
    }

    /// @inheritdoc IOperationsReserve
    function balance() external view returns (uint256) {
        return _layout().balance;
    }

    /// @inheritdoc IOperationsReserve
    function totalBurnRate() external view returns (uint256) {
        return _layout().totalBurnRate;
    }

    /// @inheritdoc IOperationsReserve
    function targetBalance() external view returns (uint256) {
        return _targetBalance(_layout());
    }

    /// @inheritdoc IOperationsReserve
    function shortfall() external view returns (uint256) {
        Layout storage $ = _layout();
        return Math.saturatingSub(_targetBalance($), $.balance);
    }

    /// @inheritdoc IOperationsReserve
    function runway() external view returns (uint32 targetBlocks, uint32 lowBlocks) {
        Layout storage $ = _layout();
        return ($.targetBlocks, $.lowBlocks);
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _setRunway(uint32 targetBlocks, uint32 lowBlocks) private {
        if (targetBlocks > HIGHEST_TARGET || lowBlocks == 0 || lowBlocks >= targetBlocks) {
            revert InvalidRunway(targetBlocks, lowBlocks);
        }
        Layout storage $ = _layout();
        $.targetBlocks = targetBlocks;
        $.lowBlocks = lowBlocks;
        emit RunwayChanged(targetBlocks, lowBlocks);
    }

    function _spend(uint256 amount) private {
        Layout storage $ = _layout();
        uint256 held = $.balance;
        if (amount > held) revert InsufficientReserve(amount, held);
        $.balance = uint128(held - amount);
    }

    function _checkRegistry() private view {
        if (msg.sender != address(_registry)) revert NotRegistry(msg.sender);
    }

    /// What the reserve gives to a cluster that has `left` wei and burns `burn` a block; reverts when nothing is due.
    function _missing(uint256 cluster, uint256 left, uint256 burn) private view returns (uint256 amount) {
        if (burn == 0) revert NothingToTopUp(cluster);
        Layout storage $ = _layout();
        uint256 collateral = _collateral(burn);
        uint256 runwayBlocks = Math.saturatingSub(left, collateral) / burn;
        uint256 lowBlocks = $.lowBlocks;
        if (runwayBlocks >= lowBlocks) revert RunwaySufficient(cluster, runwayBlocks, lowBlocks);
        uint256 held = $.balance;
        amount = Math.min(collateral + burn * $.targetBlocks - left, held);
        // what leaves a cluster at the edge of liquidation would only raise the liquidator's reward
        uint256 least = collateral + burn * Math.min(lowBlocks, LEAST_RESCUE);
        if (left + amount < least) revert InsufficientReserve(least - left, held);
    }

    /// What a cluster that burns `burn` wei a block must hold not to be liquidated, wei.
    function _collateral(uint256 burn) private view returns (uint256) {
        return Math.max(burn * _ssvViews.getLiquidationThresholdPeriod(), _ssvViews.getMinimumLiquidationCollateral());
    }

    function _targetBalance(Layout storage $) private view returns (uint256) {
        return uint256($.targetBlocks) * $.totalBurnRate;
    }

    function _layout() private pure returns (Layout storage $) {
        assembly ("memory-safe") {
            $.slot := LAYOUT
        }
    }
}
