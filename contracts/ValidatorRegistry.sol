// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IDepositContract} from "./interfaces/IDepositContract.sol";
import {DepositAnchor, IGuardians} from "./interfaces/IGuardians.sol";
import {IOperationsReserve} from "./interfaces/IOperationsReserve.sol";
import {IPoolManager} from "./interfaces/IPoolManager.sol";
import {ISSVAccount} from "./interfaces/ISSVAccount.sol";
import {ISSVNetworkViews} from "./interfaces/ISSVNetworkViews.sol";
import {Cluster} from "./interfaces/ISSVNetwork.sol";
import {IValidatorExits} from "./interfaces/IValidatorExits.sol";
import {
    AccountState,
    Batch,
    ClusterState,
    IValidatorRegistry,
    QueueItems,
    RegistryContracts,
    Status,
    Validator
} from "./interfaces/IValidatorRegistry.sol";
import {DepositData} from "./libraries/DepositData.sol";
import {KeyQueue} from "./libraries/KeyQueue.sol";
import {SSVCalls} from "./libraries/SSVCalls.sol";

/// @title ValidatorRegistry
/// @notice See {IValidatorRegistry}.
contract ValidatorRegistry is IValidatorRegistry, UUPSUpgradeable, AccessManagedUpgradeable, ReentrancyGuardTransient {
    using SafeCast for uint256;

    /// @custom:storage-location erc7201:pooleth.storage.ValidatorRegistry
    struct Layout {
        uint32 validators; // ever registered; the last id
        uint32 unfunded;
        uint16 accountCount;
        uint16 clusterCount;
        uint32 deposited; // ever
        mapping(uint256 id => AccountState) accounts;
        mapping(uint256 id => ClusterState) clusters;
        mapping(uint256 account => mapping(uint256 id => Batch)) batches;
        mapping(bytes32 accountAndOperatorIds => uint256) clusterOf;
        mapping(bytes32 keyHash => Validator) validator;
    }

    bytes32 private constant LAYOUT = 0x5dedacea932f5edf970a357250f877ab2547228279dd7647deccfae7a69a4d00;

    uint256 private constant MAX_ACCOUNTS = 32;
    uint256 private constant MAX_CLUSTERS = 64;
    uint256 private constant MAX_UNFUNDED = 20;
    // what guardians fund before a cluster has shown that it works
    uint256 private constant MAX_UNPROVEN = 2;
    // SSV nodes count owner nonces in 16 bits
    uint256 private constant NONCES = 65_536;

    /// @inheritdoc IValidatorRegistry
    bytes32 public immutable withdrawalCredentials;

    /// @inheritdoc IValidatorRegistry
    address public immutable validatorExits;

    IPoolManager private immutable _poolManager;
    IGuardians private immutable _guardians;
    IOperationsReserve private immutable _reserve;
    ISSVNetworkViews private immutable _ssvViews;
    IDepositContract private immutable _depositContract;
    address private immutable _rewardsVault;
    address private immutable _ssvNetwork;
    address private immutable _accountImplementation;

    constructor(RegistryContracts memory parts) {
        _poolManager = IPoolManager(_nonZero(parts.poolManager));
        _guardians = IGuardians(_nonZero(parts.guardians));
        _reserve = IOperationsReserve(_nonZero(parts.reserve));
        validatorExits = _nonZero(parts.validatorExits);
        _rewardsVault = _nonZero(parts.rewardsVault);
        _ssvNetwork = _nonZero(parts.ssvNetwork);
        _ssvViews = ISSVNetworkViews(_nonZero(parts.ssvViews));
        _depositContract = IDepositContract(_nonZero(parts.depositContract));
        _accountImplementation = _nonZero(parts.accountImplementation);
        withdrawalCredentials =
            bytes32(uint256(0x01) << 248) | bytes32(uint256(uint160(_nonZero(parts.withdrawalVault))));
        _disableInitializers();
    }

    /// The ETH of `fundDeposits`, on its way to the deposit contract.
    receive() external payable {
        if (msg.sender != address(_poolManager)) revert NotAuthorized(msg.sender, address(_poolManager));
    }

    function initialize(address authority) external initializer {
        if (authority == address(0)) revert ZeroAddress();
        __AccessManaged_init(authority);
    }

    /// @inheritdoc IValidatorRegistry
    function addAccount() external restricted returns (uint256 accountId) {
        Layout storage $ = _layout();
        if ($.accountCount == MAX_ACCOUNTS) revert TooManyAccounts(MAX_ACCOUNTS);
        accountId = ++$.accountCount;
        address ssvAccount = Clones.cloneDeterministic(_accountImplementation, bytes32(accountId));
        $.accounts[accountId].account = ssvAccount;
        emit AccountAdded(accountId, ssvAccount);
        ISSVAccount(payable(ssvAccount)).execute(SSVCalls.feeRecipientCall(_rewardsVault), 0);
    }

    /// @inheritdoc IValidatorRegistry
    function addCluster(
        uint256 accountId,
        uint64[] calldata operatorIds,
        bool requireDkg,
        uint32 cap
    ) external restricted returns (uint256 clusterId) {
        Layout storage $ = _layout();
        if ($.accounts[accountId].account == address(0)) revert UnknownAccount(accountId);
        if ($.clusterCount == MAX_CLUSTERS) revert TooManyClusters(MAX_CLUSTERS);
        if (!SSVCalls.isCommittee(operatorIds)) revert InvalidOperatorIds(operatorIds);
        if (cap == 0) revert InvalidCap(cap);
        bytes32 key = keccak256(abi.encode(accountId, operatorIds));
        if ($.clusterOf[key] != 0) revert ClusterExists($.clusterOf[key]);
        clusterId = ++$.clusterCount;
        $.clusterOf[key] = clusterId;
        ClusterState storage c = $.clusters[clusterId];
        c.account = uint32(accountId);
        c.active = true;
        c.requireDkg = requireDkg;
        c.cap = cap;
        c.operatorIds = operatorIds;
        emit ClusterAdded(clusterId, accountId, operatorIds, requireDkg, cap);
        _syncFees(clusterId, c);
    }

    /// @inheritdoc IValidatorRegistry
    function setCluster(uint256 clusterId, bool active, uint32 cap) external restricted {
        ClusterState storage c = _cluster(_layout(), clusterId);
        if (cap == 0) revert InvalidCap(cap);
        c.active = active;
        c.cap = cap;
        emit ClusterUpdated(clusterId, active, cap);
    }

    /// @inheritdoc IValidatorRegistry
    function syncClusterFees(uint256 clusterId) external {
        _syncFees(clusterId, _cluster(_layout(), clusterId));
    }

    /// @inheritdoc IValidatorRegistry
    function publish(
        uint256 clusterId,
        uint256 firstNonce,
        bytes calldata data,
        bytes calldata dkgProofs
    ) external restricted returns (uint256 batchId) {
        Layout storage $ = _layout();
        ClusterState storage c = _cluster($, clusterId);
        if (!c.active) revert ClusterNotActive(clusterId);
        if (c.requireDkg && dkgProofs.length == 0) revert DkgProofsRequired(clusterId);
        if (!c.requireDkg && dkgProofs.length != 0) revert DkgProofsNotExpected(clusterId);
        (uint256 count, bytes26 head) = KeyQueue.read(clusterId, firstNonce, data, c.operatorIds.length);
        batchId = _enqueue($, clusterId, c.account, firstNonce, count, head);
        emit Published(c.account, clusterId, batchId, firstNonce, count, data, dkgProofs);
    }

    /// @inheritdoc IValidatorRegistry
    function vet(uint256 accountId, uint256 batchId, bytes[] calldata signatures) external {
        Layout storage $ = _layout();
        AccountState storage a = _account($, accountId);
        uint256 next = a.vetted;
        if (next == a.batches) revert NothingToVet(accountId);
        if (batchId != next) revert WrongBatch(batchId, next);
        Batch memory b = $.batches[accountId][batchId];
        _guardians.checkVetting(accountId, batchId, b.head, signatures);
        a.vetted = uint16(next + 1);
        emit BatchVetted(accountId, b.cluster, batchId);
    }

    /// @inheritdoc IValidatorRegistry
    function register(uint256 clusterId, QueueItems calldata items, Cluster calldata snapshot) external nonReentrant {
        Layout storage $ = _layout();
        ClusterState storage c = _cluster($, clusterId);
        uint256 count = items.publicKeys.length;
        if (count != items.depositSignatureHashes.length || count != items.shares.length) revert LengthMismatch();
        _checkRegistration($, clusterId, c, count);
        (uint256 accountId, uint256 burn) = (c.account, c.burnPerValidator);
        (address payable ssvAccount, uint256 firstNonce) = _consume($, clusterId, accountId, items);
        c.registered += uint32(count);
        c.unfunded += uint32(count);
        $.validators += uint32(count);
        $.unfunded += uint32(count);

        uint256 cost = _reserve.pay(ssvAccount, burn, count);
        emit Registered(accountId, clusterId, $.validators - count + 1, firstNonce, count, cost);
        bytes memory data = SSVCalls.registerCall(items.publicKeys, c.operatorIds, items.shares, snapshot);
        ISSVAccount(ssvAccount).execute(data, cost);
    }

    /// @inheritdoc IValidatorRegistry
    function deposit(
        uint256 clusterId,
        bytes[] calldata publicKeys,
        bytes[] calldata depositSignatures,
        DepositAnchor calldata anchor,
        bytes[] calldata signatures
    ) external nonReentrant {
        uint256 count = publicKeys.length;
        if (count == 0) revert EmptyList();
        if (depositSignatures.length != count) revert LengthMismatch();
        _guardians.checkDeposit(clusterId, DepositData.approvalHash(publicKeys, depositSignatures), anchor, signatures);
        _markDeposited(clusterId, publicKeys);

        _poolManager.fundDeposits(count);
        for (uint256 i; i < count; ++i) {
            DepositData.deposit(_depositContract, publicKeys[i], withdrawalCredentials, depositSignatures[i]);
        }
    }

    /// @inheritdoc IValidatorRegistry
    function discard(bytes[] calldata publicKeys, bytes[] calldata signatures) external {
        uint256 count = publicKeys.length;
        if (count == 0) revert EmptyList();
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i; i < count; ++i) hashes[i] = keccak256(publicKeys[i]);
        _guardians.checkDiscard(keccak256(abi.encodePacked(hashes)), signatures);
        Layout storage $ = _layout();
        for (uint256 i; i < count; ++i) {
            Validator storage v = _registered($, publicKeys[i]);
            v.status = Status.Discarded;
            --$.clusters[v.cluster].unfunded;
            emit Discarded(v.cluster, v.id);
        }
        $.unfunded -= uint32(count);
    }

    /// @inheritdoc IValidatorRegistry
    function dropQueue(uint256 accountId, bytes[] calldata signatures) external {
        AccountState storage a = _account(_layout(), accountId);
        uint256 queued = a.queued;
        if (queued == 0) revert QueueEmpty(accountId);
        (uint256 nonce, uint16 batches) = (a.nonce, a.batches);
        _guardians.checkDropQueue(accountId, nonce, batches, signatures);
        a.queued = 0;
        a.nextBatch = batches;
        a.vetted = batches;
        emit QueueDropped(accountId, nonce, queued);
    }

    /// @inheritdoc IValidatorRegistry
    function exitInSSV(uint256 clusterId, bytes[] calldata publicKeys) external {
        if (msg.sender != validatorExits) revert NotAuthorized(msg.sender, validatorExits);
        Layout storage $ = _layout();
        ClusterState storage c = _cluster($, clusterId);
        _accountOf($, c).execute(SSVCalls.exitCall(publicKeys, c.operatorIds), 0);
    }

    /// @inheritdoc IValidatorRegistry
    function remove(uint256 clusterId, bytes[] calldata publicKeys, Cluster calldata snapshot) external nonReentrant {
        uint256 count = publicKeys.length;
        if (count == 0) revert EmptyList();
        Layout storage $ = _layout();
        ClusterState storage c = _cluster($, clusterId);
        uint32 unfunded;
        for (uint256 i; i < count; ++i) {
            Validator storage v = $.validator[keccak256(publicKeys[i])];
            (Status status, uint256 id) = (v.status, v.id);
            if (!_isRemovable(c, status, id)) revert NotRemovable(publicKeys[i], status);
            if (v.cluster != clusterId) revert WrongCluster(publicKeys[i], v.cluster, clusterId);
            if (status == Status.Registered) ++unfunded;
            v.status = Status.Removed;
            emit Removed(clusterId, id);
        }
        c.registered -= uint32(count);
        c.unfunded -= unfunded;
        $.unfunded -= unfunded;
        _reserve.changeBurn(count * c.burnPerValidator, 0);
        _accountOf($, c).execute(SSVCalls.removeCall(publicKeys, c.operatorIds, snapshot), 0);
    }

    /// @inheritdoc IValidatorRegistry
    function validator(bytes calldata publicKey) external view returns (Validator memory) {
        return _layout().validator[keccak256(publicKey)];
    }

    /// @inheritdoc IValidatorRegistry
    function account(uint256 accountId) external view returns (AccountState memory) {
        return _account(_layout(), accountId);
    }

    /// @inheritdoc IValidatorRegistry
    function cluster(uint256 clusterId) external view returns (ClusterState memory) {
        return _cluster(_layout(), clusterId);
    }

    /// @inheritdoc IValidatorRegistry
    function batch(uint256 accountId, uint256 batchId) external view returns (Batch memory) {
        return _layout().batches[accountId][batchId];
    }

    /// @inheritdoc IValidatorRegistry
    function counts() external view returns (uint256 accounts, uint256 clusters, uint256 validators, uint256 unfunded) {
        Layout storage $ = _layout();
        return ($.accountCount, $.clusterCount, $.validators, $.unfunded);
    }

    /// @inheritdoc IValidatorRegistry
    function nextRegistration() external view returns (uint256 clusterId, uint256 count) {
        Layout storage $ = _layout();
        uint256 room = Math.saturatingSub(_mostUnfunded(), $.unfunded);
        if (room == 0) return (0, 0);
        uint256 fewest = type(uint256).max;
        for (uint256 i = 1; i <= $.accountCount; ++i) {
            (uint256 id, uint256 most) = _ready($, i);
            if (id == 0 || $.clusters[id].registered >= fewest) continue;
            fewest = $.clusters[id].registered;
            clusterId = id;
            count = Math.min(most, room);
        }
    }

    /// @inheritdoc IValidatorRegistry
    function retiredClusters() external view returns (uint256[] memory clusters, uint256[] memory deposited) {
        Layout storage $ = _layout();
        uint256 last = $.clusterCount;
        (clusters, deposited) = (new uint256[](last), new uint256[](last));
        uint256 count;
        for (uint256 id = 1; id <= last; ++id) {
            ClusterState storage c = $.clusters[id];
            if (c.active) continue;
            (clusters[count], deposited[count]) = (id, c.deposited);
            ++count;
        }
        assembly ("memory-safe") {
            mstore(clusters, count)
            mstore(deposited, count)
        }
    }

    /// @inheritdoc IValidatorRegistry
    function externals() external view returns (address ssvNetwork, address ssvViews, address depositContract) {
        return (_ssvNetwork, address(_ssvViews), address(_depositContract));
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _syncFees(uint256 clusterId, ClusterState storage c) private {
        uint256 burn = SSVCalls.burnPerValidator(_ssvViews, c.operatorIds);
        uint256 before = uint256(c.registered) * c.burnPerValidator;
        c.burnPerValidator = burn.toUint64();
        uint256 total = _reserve.changeBurn(before, c.registered * burn);
        emit ClusterFeesSynced(clusterId, burn, total);
    }

    function _enqueue(
        Layout storage $,
        uint256 clusterId,
        uint256 accountId,
        uint256 firstNonce,
        uint256 count,
        bytes26 head
    ) private returns (uint256 batchId) {
        AccountState memory a = $.accounts[accountId];
        uint256 expected = uint256(a.nonce) + a.queued;
        if (firstNonce != expected) revert WrongNonce(firstNonce, expected);
        if (expected + count > NONCES || a.batches == type(uint16).max) revert AccountExhausted(accountId);
        batchId = a.batches++;
        a.queued += uint24(count);
        $.accounts[accountId] = a;
        $.batches[accountId][batchId] = Batch({head: head, cluster: uint24(clusterId), left: uint16(count)});
    }

    /// Takes `items` from the front of the account's queue: they get ids and use up nonces.
    function _consume(
        Layout storage $,
        uint256 clusterId,
        uint256 accountId,
        QueueItems calldata items
    ) private returns (address payable ssvAccount, uint256 firstNonce) {
        AccountState memory a = $.accounts[accountId];
        (ssvAccount, firstNonce) = (payable(a.account), a.nonce);
        if (a.nextBatch == a.vetted) revert NothingVetted(accountId);
        Batch memory b = $.batches[accountId][a.nextBatch];
        (bytes26 head, bytes32[] memory keyHashes) = KeyQueue.chain(clusterId, firstNonce, items);
        if (head != b.head) revert NotHeadOfQueue(accountId, a.nextBatch);

        uint256 count = keyHashes.length;
        uint256 id = $.validators;
        for (uint256 i; i < count; ++i) {
            if ($.validator[keyHashes[i]].status != Status.None) revert PublicKeyUsed(items.publicKeys[i]);
            $.validator[keyHashes[i]] = Validator({
                status: Status.Registered,
                id: uint32(++id),
                cluster: uint32(clusterId),
                registeredAt: uint40(block.timestamp),
                depositedAt: 0,
                depositOrder: 0,
                clusterOrder: 0
            });
        }
        b.head = items.next;
        b.left -= uint16(count);
        $.batches[accountId][a.nextBatch] = b;
        if (b.left == 0) ++a.nextBatch;
        a.nonce += uint24(count);
        a.queued -= uint24(count);
        $.accounts[accountId] = a;
    }

    function _markDeposited(uint256 clusterId, bytes[] calldata publicKeys) private {
        Layout storage $ = _layout();
        ClusterState storage c = _cluster($, clusterId);
        address owner = $.accounts[c.account].account;
        uint256 count = publicKeys.length;
        uint256[] memory ids = new uint256[](count);
        (uint32 order, uint32 clusterOrder) = ($.deposited, c.deposited);
        for (uint256 i; i < count; ++i) {
            Validator storage v = _registered($, publicKeys[i]);
            if (v.cluster != clusterId) revert WrongCluster(publicKeys[i], v.cluster, clusterId);
            if (!_ssvViews.getValidator(owner, publicKeys[i])) revert NotInSSV(publicKeys[i]);
            v.status = Status.Deposited;
            v.depositedAt = uint40(block.timestamp);
            (v.depositOrder, v.clusterOrder) = (++order, ++clusterOrder);
            ids[i] = v.id;
        }
        ($.deposited, c.deposited) = (order, clusterOrder);
        c.unfunded -= uint32(count);
        $.unfunded -= uint32(count);
        emit Deposited(clusterId, ids);
    }

    function _checkRegistration(
        Layout storage $,
        uint256 clusterId,
        ClusterState storage c,
        uint256 count
    ) private view {
        if (count == 0) revert EmptyList();
        if (!c.active) revert ClusterNotActive(clusterId);
        uint256 registered = c.registered;
        if (registered + count > c.cap) revert ClusterFull(clusterId, c.cap);
        uint256 highest = _mostUnfunded();
        if ($.unfunded + count > highest) revert TooManyUnfunded($.unfunded + count, highest);
        highest = _allowance(c.deposited);
        if (c.unfunded + count > highest) revert TooManyUnfundedInCluster(clusterId, c.unfunded + count, highest);
        for (uint256 i = 1; i <= $.accountCount; ++i) {
            (uint256 id, ) = _ready($, i);
            if (id != 0 && $.clusters[id].registered < registered) revert NotSmallestCluster(clusterId, id);
        }
    }

    /// Cluster of the next vetted batch of an account, if it may grow, and by how many of the batch; 0 if there is none.
    function _ready(Layout storage $, uint256 accountId) private view returns (uint256 clusterId, uint256 most) {
        AccountState memory a = $.accounts[accountId];
        if (a.nextBatch == a.vetted) return (0, 0);
        Batch memory b = $.batches[accountId][a.nextBatch];
        ClusterState storage c = $.clusters[b.cluster];
        if (!c.active) return (0, 0);
        most = Math.min(
            Math.min(b.left, Math.saturatingSub(c.cap, c.registered)),
            Math.saturatingSub(_allowance(c.deposited), c.unfunded)
        );
        if (most != 0) clusterId = b.cluster;
    }

    function _isRemovable(ClusterState storage c, Status status, uint256 id) private view returns (bool) {
        if (status == Status.Deposited) return IValidatorExits(validatorExits).isExited(id);
        return status == Status.Discarded || (status == Status.Registered && !c.active);
    }

    function _mostUnfunded() private view returns (uint256) {
        return Math.min(MAX_UNFUNDED, _poolManager.depositableEther() / DepositData.VALUE);
    }

    function _registered(Layout storage $, bytes calldata publicKey) private view returns (Validator storage v) {
        v = $.validator[keccak256(publicKey)];
        if (v.status != Status.Registered) revert WrongStatus(publicKey, v.status, Status.Registered);
    }

    function _accountOf(Layout storage $, ClusterState storage c) private view returns (ISSVAccount) {
        return ISSVAccount(payable($.accounts[c.account].account));
    }

    function _account(Layout storage $, uint256 accountId) private view returns (AccountState storage a) {
        a = $.accounts[accountId];
        if (a.account == address(0)) revert UnknownAccount(accountId);
    }

    function _cluster(Layout storage $, uint256 clusterId) private view returns (ClusterState storage c) {
        c = $.clusters[clusterId];
        if (c.account == 0) revert UnknownCluster(clusterId);
    }

    /// Unfunded validators that a cluster with so many funded ones may have; together clusters may have no more than `MAX_UNFUNDED`.
    function _allowance(uint256 deposited) private pure returns (uint256) {
        return Math.max(MAX_UNPROVEN, deposited);
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
