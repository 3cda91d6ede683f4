// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {IPoolManager, Totals} from "./interfaces/IPoolManager.sol";
import {ExitDemand, ExitsContracts, ExitStatus, IValidatorExits} from "./interfaces/IValidatorExits.sol";
import {IReportOracle} from "./interfaces/IReportOracle.sol";
import {IValidatorRegistry, Validator} from "./interfaces/IValidatorRegistry.sol";
import {IWithdrawalVault} from "./interfaces/IVaults.sol";
import {ExitOrder} from "./libraries/ExitOrder.sol";
import {FrameConfig, Frames} from "./libraries/Frames.sol";

/// @title ValidatorExits
/// @notice See {IValidatorExits}.
contract ValidatorExits is IValidatorExits, UUPSUpgradeable, AccessManagedUpgradeable, ReentrancyGuardTransient {
    using BitMaps for BitMaps.BitMap;
    using ExitOrder for ExitOrder.Turns;
    using Frames for FrameConfig;

    /// @custom:storage-location erc7201:pooleth.storage.ValidatorExits
    struct Layout {
        ExitOrder.Turns turns;
        BitMaps.BitMap exiting; // by id
        BitMaps.BitMap exited; // by id
        uint256 confirmed; // exiting and not exited
        mapping(uint256 id => Request) requests;
        mapping(uint256 frame => uint256) underway; // requests of a frame that are not confirmed
    }

    struct Request {
        Stage stage;
        uint64 frame; // of the first request, or of the last time it was forced
    }

    enum Stage {
        None,
        Asked,
        Forced,
        ForcedAgain // does not count as underway
    }

    enum Turn {
        First,
        Repeated,
        PassedOver
    }

    // keccak256(abi.encode(uint256(keccak256("pooleth.storage.ValidatorExits")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant LAYOUT = 0x2e9a146d4de1bb76e1f415e3230fd598acfd9a86b6d6f13dac4fa81562360e00;

    uint256 private constant VALIDATOR = 32 ether;
    uint256 private constant MOST_GRACE_FRAMES = 30;
    // what one report can name
    uint256 private constant MOST_UNDERWAY = 128;
    // when SSV Network's code runs out of gas, less than an eighth is left here: each of the six calls down to it keeps a 64th
    uint256 private constant LEAST_GAS_LEFT = 8;

    IValidatorRegistry private immutable _registry;
    IPoolManager private immutable _poolManager;
    IReportOracle private immutable _reportOracle;
    IWithdrawalVault private immutable _withdrawalVault;
    address private immutable _rewardsVault;
    uint64 private immutable _genesisTime;
    uint32 private immutable _secondsPerSlot;
    uint32 private immutable _slotsPerFrame;
    uint256 private immutable _graceFrames;

    constructor(ExitsContracts memory parts, FrameConfig memory frames, uint256 graceFrames_) {
        _registry = IValidatorRegistry(_nonZero(parts.registry));
        _poolManager = IPoolManager(_nonZero(parts.poolManager));
        _reportOracle = IReportOracle(_nonZero(parts.reportOracle));
        _withdrawalVault = IWithdrawalVault(_nonZero(parts.withdrawalVault));
        _rewardsVault = _nonZero(parts.rewardsVault);
        if (graceFrames_ == 0 || graceFrames_ > MOST_GRACE_FRAMES) revert InvalidGrace(graceFrames_, MOST_GRACE_FRAMES);
        _graceFrames = graceFrames_;
        (_genesisTime, _secondsPerSlot, _slotsPerFrame) = (
            frames.genesisTime,
            frames.secondsPerSlot,
            frames.slotsPerFrame
        );
        _disableInitializers();
    }

    /// @inheritdoc IValidatorExits
    function initialize(address authority) external initializer {
        __AccessManaged_init(_nonZero(authority));
    }

    /// @inheritdoc IValidatorExits
    function requestExits(uint256 cluster, bytes[] calldata publicKeys) external nonReentrant {
        uint256 count = publicKeys.length;
        if (count == 0) revert EmptyList();
        Layout storage $ = _layout();
        ExitDemand memory d = _demand($);
        if (d.needed == 0) revert ExitsNotDue(d.needed, d.underway);
        uint256 retired = _retiredLeft($);
        uint256 frame = _currentFrame();
        bytes[] memory asked = new bytes[](count);
        uint256 total;
        uint256 first;
        for (uint256 i; i < count; ++i) {
            Turn turn = _ask($, cluster, publicKeys[i], retired, frame);
            if (turn == Turn.PassedOver) continue;
            if (turn == Turn.First && ++first > d.due) revert ExitsNotDue(d.needed, d.underway);
            asked[total++] = publicKeys[i];
        }
        if (first != 0) $.underway[frame] += first;
        if (total == 0) return;
        assembly ("memory-safe") {
            mstore(asked, total)
        }
        _askOperators(cluster, asked);
    }

    /// @inheritdoc IValidatorExits
    function forceExits(bytes[] calldata publicKeys, uint256 maxFeeWei) external payable nonReentrant {
        uint256 count = publicKeys.length;
        if (count == 0) revert EmptyList();
        uint256 fee = _withdrawalVault.exitFee();
        if (fee > maxFeeWei) revert FeeTooHigh(fee, maxFeeWei);
        if (msg.value < fee * count) revert NotEnoughForFee(msg.value, fee * count);
        Layout storage $ = _layout();
        ExitDemand memory d = _demand($);
        if (count > d.due) revert ExitsNotDue(d.needed, d.underway);
        uint256 frame = _currentFrame();
        uint256 first;
        for (uint256 i; i < count; ++i) {
            uint256 id = _funded(publicKeys[i]).id;
            if (_force($, id, frame)) ++first;
            emit ExitForced(id, fee);
        }
        if (first != 0) $.underway[frame] += first;
        _withdrawalVault.requestExits{value: fee * count}(publicKeys);
        _refund(msg.value - fee * count);
    }

    /// @inheritdoc IValidatorExits
    function recordExits(uint32[] calldata exiting, uint32[] calldata exited) external {
        if (msg.sender != address(_reportOracle)) revert NotAuthorized(msg.sender, address(_reportOracle));
        Layout storage $ = _layout();
        (, , uint256 last, ) = _registry.counts();
        uint256 confirmed = $.confirmed;
        for (uint256 i; i < exiting.length; ++i) {
            uint256 id = exiting[i];
            if (id == 0 || id > last || _isLeaving($, id)) continue;
            $.exiting.set(id);
            ++confirmed;
            _uncount($, $.requests[id]);
            emit Exiting(id);
        }
        for (uint256 i; i < exited.length; ++i) {
            uint256 id = exited[i];
            if (id == 0 || id > last || $.exited.get(id)) continue;
            $.exited.set(id);
            if ($.exiting.get(id)) --confirmed;
            else _uncount($, $.requests[id]);
            emit Exited(id);
        }
        $.confirmed = confirmed;
    }

    /// @inheritdoc IValidatorExits
    function demand() external view returns (ExitDemand memory) {
        return _demand(_layout());
    }

    /// @inheritdoc IValidatorExits
    function next() external view returns (uint256 retiredCluster, uint256 order) {
        Layout storage $ = _layout();
        retiredCluster = _retiredLeft($);
        order = retiredCluster == 0 ? $.turns.next() : $.turns.nextOf(retiredCluster);
    }

    /// @inheritdoc IValidatorExits
    function status(uint256 id) external view returns (ExitStatus memory) {
        Layout storage $ = _layout();
        Request memory request = $.requests[id];
        return
            ExitStatus({
                asked: request.stage != Stage.None,
                exiting: $.exiting.get(id),
                exited: $.exited.get(id),
                askedFrame: request.frame,
                forceableFrom: request.stage != Stage.None ? uint64(_forceableFrom(request)) : 0
            });
    }

    /// @inheritdoc IValidatorExits
    function isExited(uint256 id) external view returns (bool) {
        return _layout().exited.get(id);
    }

    /// @inheritdoc IValidatorExits
    function graceFrames() external view returns (uint256) {
        return _graceFrames;
    }

    /// @inheritdoc IValidatorExits
    function contracts() external view returns (ExitsContracts memory) {
        return
            ExitsContracts({
                registry: address(_registry),
                poolManager: address(_poolManager),
                reportOracle: address(_reportOracle),
                withdrawalVault: address(_withdrawalVault),
                rewardsVault: _rewardsVault
            });
    }

    /// @inheritdoc IValidatorExits
    function frameConfig() external view returns (uint64 genesisTime, uint32 secondsPerSlot, uint32 slotsPerFrame) {
        return (_genesisTime, _secondsPerSlot, _slotsPerFrame);
    }

    function _authorizeUpgrade(address) internal override restricted {}

    /// Gives a validator its turn, if it is next, or repeats what was asked.
    function _ask(
        Layout storage $,
        uint256 cluster,
        bytes calldata publicKey,
        uint256 retired,
        uint256 frame
    ) private returns (Turn turn) {
        Validator memory v = _funded(publicKey);
        if (v.cluster != cluster) revert WrongCluster(publicKey, v.cluster, cluster);
        bool leaving = _isLeaving($, v.id);
        if ($.requests[v.id].stage != Stage.None) {
            if (leaving) revert AlreadyExiting(v.id);
            emit ExitRequested(cluster, v.id, true);
            return Turn.Repeated;
        }
        if (retired != 0 && retired != cluster) revert RetiredClusterFirst(cluster, retired);
        (uint256 order, uint256 expected) = retired == cluster
            ? (v.clusterOrder, $.turns.nextOf(cluster))
            : (v.depositOrder, $.turns.next());
        if (order != expected) revert NotNext(v.id, order, expected);
        $.turns.take(cluster, v.depositOrder);
        if (leaving) {
            emit ExitPassedOver(v.id);
            return Turn.PassedOver;
        }
        $.requests[v.id] = Request({stage: Stage.Asked, frame: uint64(frame)});
        emit ExitRequested(cluster, v.id, false);
        return Turn.First;
    }

    /// Whether it is the first time, when it counts as underway once more. If it always did, a validator that cannot exit would hold up
    /// the others for as long as somebody forces it.
    function _force(Layout storage $, uint256 id, uint256 frame) private returns (bool first) {
        Request memory request = $.requests[id];
        if (request.stage == Stage.None) revert NotRequested(id);
        if (_isLeaving($, id)) revert AlreadyExiting(id);
        uint256 from = _forceableFrom(request);
        if (frame < from) revert InGracePeriod(id, frame, from);
        _uncount($, request);
        first = request.stage == Stage.Asked;
        $.requests[id] = Request({stage: first ? Stage.Forced : Stage.ForcedAgain, frame: uint64(frame)});
    }

    /// If SSV Network refuses, whatever became of it, the exits can be forced all the same when the grace period is over.
    function _askOperators(uint256 cluster, bytes[] memory publicKeys) private {
        uint256 gasBefore = gasleft();
        try _registry.exitInSSV(cluster, publicKeys) {} catch {
            if (gasleft() < gasBefore / LEAST_GAS_LEFT) revert NotEnoughGas(gasBefore);
            emit OperatorsNotAsked(cluster);
        }
    }

    /// The request no longer counts as underway.
    function _uncount(Layout storage $, Request memory request) private {
        if (request.stage == Stage.Asked || request.stage == Stage.Forced) --$.underway[request.frame];
    }

    function _refund(uint256 amount) private {
        if (amount == 0) return;
        (bool sent, ) = msg.sender.call{value: amount}("");
        if (!sent) revert SendFailed(msg.sender, amount);
    }

    function _demand(Layout storage $) private view returns (ExitDemand memory d) {
        Totals memory totals = _poolManager.totals();
        // a threshold and no total: what lies in the vaults comes with the next report
        uint256 liquid = totals.buffered + address(_withdrawalVault).balance + _rewardsVault.balance;
        // operations alone make no validator exit: what they are owed comes out of the rewards
        if (totals.queued != 0) d.shortageWei = Math.saturatingSub(totals.queued + totals.owed, liquid);
        d.confirmed = $.confirmed;
        d.needed = Math.saturatingSub(Math.ceilDiv(d.shortageWei, VALIDATOR), d.confirmed);
        uint256 current = _currentFrame();
        for (uint256 i = Math.saturatingSub(current, _graceFrames); i <= current; ++i) d.underway += $.underway[i];
        // without the report of the last frame nobody knows which exits have begun
        if (_reportOracle.lastAppliedFrame() + 1 < current) return d;
        d.due = Math.saturatingSub(Math.min(d.needed, MOST_UNDERWAY), d.underway);
    }

    /// First retired cluster with validators whose turn has not come; 0 if there is none.
    function _retiredLeft(Layout storage $) private view returns (uint256) {
        (uint256[] memory clusters, uint256[] memory deposited) = _registry.retiredClusters();
        for (uint256 i; i < clusters.length; ++i) {
            if ($.turns.nextOf(clusters[i]) <= deposited[i]) return clusters[i];
        }
        return 0;
    }

    function _funded(bytes calldata publicKey) private view returns (Validator memory v) {
        v = _registry.validator(publicKey);
        if (v.depositOrder == 0) revert NotFunded(publicKey);
    }

    function _isLeaving(Layout storage $, uint256 id) private view returns (bool) {
        return $.exiting.get(id) || $.exited.get(id);
    }

    function _forceableFrom(Request memory request) private view returns (uint256) {
        return request.frame + _graceFrames + 1;
    }

    function _currentFrame() private view returns (uint256) {
        return FrameConfig(_genesisTime, _secondsPerSlot, _slotsPerFrame).frameAt(block.timestamp);
    }

    function _nonZero(address part) private pure returns (address) {
        if (part == address(0)) revert ZeroAddress();
        return part;
    }

    function _layout() private pure returns (Layout storage $) {
        assembly ("memory-safe") {
            $.slot := LAYOUT
        }
    }
}
