// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {StorageSlot} from "@openzeppelin/contracts/utils/StorageSlot.sol";
import {Cluster, ISSVNetwork} from "../interfaces/ISSVNetwork.sol";
import {ISSVNetworkViews} from "../interfaces/ISSVNetworkViews.sol";

/// @title Double of SSV Network v2.0.0 for tests and the devnet
/// @notice Written from the documented behaviour of clusters that pay in ETH: same calls, checks in the same order, same fees,
///         events, errors and storage slots of what programs read from storage. It starts with the parameters of mainnet.
///
///         Left out, since a pool that starts on v2 never meets them: clusters that pay in SSV tokens, operators' earnings and
///         fee declarations, whitelisting contracts, the staking of SSV, oracles' votes.
///
///         Beyond the real ABI there are only the functions whose names end in `ForTest`. What the real contracts ask of SSV's
///         DAO is asked of the owner.
/// @dev Like the real proxy, which passes calls to its views module, it also answers the calls of {ISSVNetworkViews}.
contract SSVNetworkDouble is ISSVNetwork, ISSVNetworkViews, Ownable, ReentrancyGuardTransient {
    /// @dev Fees and indices are packed: wei of 32 ETH of effective balance / 1e5. A removed operator has `settledAt` 0.
    struct Operator {
        address owner;
        bool isPrivate;
        uint32 validatorCount;
        uint64 fee;
        uint64 index;
        uint64 settledAt;
    }

    struct EffectiveBalance {
        uint64 vUnits;
        uint64 lastRootBlockNum;
        uint64 lastUpdateBlock;
    }

    /// @dev Positions are those of the real contract; what is of no use here keeps its place.
    struct Main {
        mapping(bytes32 validatorKey => bytes32) validators;
        mapping(bytes32 clusterId => bytes32) legacyClusters;
        mapping(bytes32 publicKeyHash => uint64) operatorIdByKey;
        mapping(uint8 moduleId => address) modules;
        mapping(uint64 operatorId => address) whitelistingContracts;
        mapping(uint64 operatorId => bytes32) feeChangeRequests;
        mapping(uint64 operatorId => Operator) operators;
        uint256 token;
        uint256 lastOperatorId;
        mapping(address account => mapping(uint64 operatorId => bool)) whitelisted;
        mapping(bytes32 clusterId => bytes32) ethClusters;
    }

    /// @dev Positions are those of the real contract.
    struct Balances {
        mapping(uint64 blockNum => bytes32) roots;
        mapping(bytes32 clusterId => EffectiveBalance) ofCluster;
        mapping(uint64 operatorId => uint64) operatorVUnits;
        uint64 latestCommittedBlock;
        uint32 minBlocksBetweenUpdates;
    }

    struct Protocol {
        uint64 networkFee;
        uint64 networkFeeIndex;
        uint64 networkFeeSettledAt;
        uint64 liquidationThreshold;
        uint64 minCollateral;
        uint64 operatorMinFee;
        uint64 operatorMaxFee;
        uint32 validatorsPerOperatorLimit;
    }

    /// @notice Not emitted by anything the pool's programs follow, hence not in {ISSVNetwork}.
    event MinBlocksBetweenUpdatesUpdated(uint32 newMinBlocksBetweenUpdates);

    bytes32 private constant MAIN = 0xd56c4f4aab8ca22f9fde432777379f436593c6027698a6995e2daea890bed104;
    bytes32 private constant PROTOCOL = 0x0f1d85405047bdb6b0a60e27531f52a1f7a948613527b9b83a7552558207aa15;
    bytes32 private constant BALANCES = 0x390cbedbff243e70d145a8af984af2a57b7d76f69a06b091131b3e7df1c83452;
    bytes32 private constant ERC1967_IMPLEMENTATION =
        0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    uint256 private constant PACKED = 1e5;
    uint64 private constant VUNITS = 10_000;
    uint64 private constant MINIMAL_LIQUIDATION_THRESHOLD = 21_480;
    uint8 private constant CLUSTERS_MODULE = 1;

    constructor() Ownable(msg.sender) {
        Protocol storage p = _protocol();
        p.networkFee = _pack(3_366_600_000);
        p.networkFeeSettledAt = uint64(block.number);
        p.liquidationThreshold = 42_960;
        p.minCollateral = _pack(324_862_599_900_000);
        p.operatorMinFee = _pack(10_000_000);
        p.operatorMaxFee = _pack(5_336_500_000);
        p.validatorsPerOperatorLimit = 1000;
        StorageSlot.getAddressSlot(ERC1967_IMPLEMENTATION).value = address(this);
        _main().modules[CLUSTERS_MODULE] = address(this);
    }

    // ------------------------------------------------------------------------------------------------------ validators

    /// @inheritdoc ISSVNetwork
    function registerValidator(
        bytes calldata publicKey,
        uint64[] calldata operatorIds,
        bytes calldata sharesData,
        Cluster calldata cluster
    ) external payable {
        _register(_single(publicKey), operatorIds, _single(sharesData), cluster);
    }

    /// @inheritdoc ISSVNetwork
    function bulkRegisterValidator(
        bytes[] calldata publicKeys,
        uint64[] calldata operatorIds,
        bytes[] calldata sharesData,
        Cluster calldata cluster
    ) external payable {
        _register(publicKeys, operatorIds, sharesData, cluster);
    }

    /// @inheritdoc ISSVNetwork
    function removeValidator(
        bytes calldata publicKey,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external {
        _remove(_single(publicKey), operatorIds, cluster);
    }

    /// @inheritdoc ISSVNetwork
    function bulkRemoveValidator(
        bytes[] calldata publicKeys,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external {
        _remove(publicKeys, operatorIds, cluster);
    }

    /// @inheritdoc ISSVNetwork
    function exitValidator(bytes calldata publicKey, uint64[] calldata operatorIds) external {
        _exit(_single(publicKey), operatorIds);
    }

    /// @inheritdoc ISSVNetwork
    function bulkExitValidator(bytes[] calldata publicKeys, uint64[] calldata operatorIds) external {
        _exit(publicKeys, operatorIds);
    }

    // -------------------------------------------------------------------------------------------------------- clusters

    /// @inheritdoc ISSVNetwork
    function deposit(address clusterOwner, uint64[] calldata operatorIds, Cluster calldata cluster) external payable {
        bytes32 id = _requireLatest(clusterOwner, operatorIds, cluster);
        Cluster memory c = cluster;
        c.balance += msg.value;
        _store(id, c);
        emit ClusterDeposited(clusterOwner, operatorIds, msg.value, c);
    }

    /// @inheritdoc ISSVNetwork
    function withdraw(uint64[] calldata operatorIds, uint256 amount, Cluster calldata cluster) external nonReentrant {
        bytes32 id = _requireLatest(msg.sender, operatorIds, cluster);
        Cluster memory c = cluster;
        uint64 fees = 0;
        uint64 vUnits = _vUnits(id, c.validatorCount);
        if (c.active) {
            uint64 index = 0;
            (index, fees) = _operatorTotals(operatorIds);
            _settle(c, index, vUnits);
        }
        if (c.balance < amount) revert InsufficientBalance();
        c.balance -= amount;
        if (_liquidatable(c, vUnits, fees)) revert InsufficientBalance();
        _store(id, c);
        _send(msg.sender, amount);
        emit ClusterWithdrawn(msg.sender, operatorIds, amount, c);
    }

    /// @inheritdoc ISSVNetwork
    function reactivate(uint64[] calldata operatorIds, Cluster calldata cluster) external payable nonReentrant {
        bytes32 id = _requireLatest(msg.sender, operatorIds, cluster);
        if (cluster.active) revert ClusterAlreadyEnabled();
        Cluster memory c = cluster;
        uint64 fees = 0;
        (c.index, fees) = _addToOperators(operatorIds, c.validatorCount, false);
        c.networkFeeIndex = _networkFeeIndex();
        c.active = true;
        c.balance += msg.value;
        if (_liquidatable(c, _vUnits(id, c.validatorCount), fees)) revert InsufficientBalance();
        _store(id, c);
        emit ClusterReactivated(msg.sender, operatorIds, c);
    }

    /// @inheritdoc ISSVNetwork
    function liquidate(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external nonReentrant {
        bytes32 id = _requireLatest(clusterOwner, operatorIds, cluster);
        if (!cluster.active) revert ClusterIsLiquidated();
        Cluster memory c = cluster;
        uint64 vUnits = _vUnits(id, c.validatorCount);
        (uint64 index, uint64 fees) = _operatorTotals(operatorIds);
        _settle(c, index, vUnits);
        if (clusterOwner != msg.sender && !_liquidatable(c, vUnits, fees)) revert ClusterNotLiquidatable();
        _liquidate(id, clusterOwner, operatorIds, c);
    }

    /// @notice Bills the cluster for `effectiveBalance` (whole ETH, all validators together) from now on, if the latest committed
    ///         root proves it; liquidates it for the caller if it cannot carry that.
    /// @dev Leaf and tree are those of OpenZeppelin's StandardMerkleTree over (clusterId, effectiveBalance). A liquidated cluster
    ///      only has the figure recorded.
    function updateClusterBalance(
        uint64 blockNum,
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster,
        uint32 effectiveBalance,
        bytes32[] calldata merkleProof
    ) external nonReentrant {
        bytes32 id = _clusterId(clusterOwner, operatorIds);
        _requireProven(id, blockNum, effectiveBalance, merkleProof);
        _requireLatest(clusterOwner, operatorIds, cluster);
        if (effectiveBalance > uint256(cluster.validatorCount) * 2048) revert EBExceedsMaximum();
        if (effectiveBalance < uint256(cluster.validatorCount) * 32) revert EBBelowMinimum();

        Cluster memory c = cluster;
        uint64 vUnitsBefore = _vUnits(id, c.validatorCount);
        uint64 vUnits = (uint64(effectiveBalance) * VUNITS + 31) / 32;
        _balances().ofCluster[id] = EffectiveBalance(vUnits, blockNum, uint64(block.number));
        if (c.active) {
            (uint64 index, uint64 fees) = _operatorTotals(operatorIds);
            _settle(c, index, vUnitsBefore);
            if (_liquidatable(c, vUnits, fees)) _liquidate(id, clusterOwner, operatorIds, c);
            else _store(id, c);
        }
        emit ClusterBalanceUpdated(clusterOwner, operatorIds, blockNum, effectiveBalance, c);
    }

    /// @inheritdoc ISSVNetwork
    function setFeeRecipientAddress(address recipientAddress) external {
        emit FeeRecipientAddressUpdated(msg.sender, recipientAddress);
    }

    // ------------------------------------------------------------------------------------------------------- operators

    /// @inheritdoc ISSVNetwork
    function registerOperator(bytes calldata publicKey, uint256 fee, bool setPrivate) external returns (uint64 id) {
        _requireFeeInRange(fee);
        Main storage m = _main();
        if (m.operatorIdByKey[keccak256(publicKey)] != 0) revert OperatorAlreadyExists();
        id = uint64(++m.lastOperatorId);
        m.operatorIdByKey[keccak256(publicKey)] = id;
        m.operators[id] = Operator(msg.sender, setPrivate, 0, _pack(fee), 0, uint64(block.number));
        emit OperatorAdded(id, msg.sender, publicKey, fee);
        if (setPrivate) {
            uint64[] memory ids = new uint64[](1);
            ids[0] = id;
            emit OperatorPrivacyStatusUpdated(ids, true);
        }
    }

    /// @notice Removes an operator for ever: its fee ends, its index and the use of its public key stay.
    function removeOperator(uint64 operatorId) external {
        Operator storage op = _ownedOperator(operatorId);
        _settleOperator(op);
        op.settledAt = 0;
        op.fee = 0;
        op.validatorCount = 0;
        op.isPrivate = false;
        emit OperatorRemoved(operatorId);
    }

    /// @notice Lowers the fee at once.
    function reduceOperatorFee(uint64 operatorId, uint256 fee) external {
        Operator storage op = _ownedOperator(operatorId);
        if (fee != 0 && fee < _unpack(_protocol().operatorMinFee)) revert FeeTooLow();
        if (_pack(fee) >= op.fee) revert FeeIncreaseNotAllowed();
        _setOperatorFee(operatorId, op, fee);
    }

    /// @notice From now on only whitelisted owners can register validators with these operators.
    function setOperatorsPrivateUnchecked(uint64[] calldata operatorIds) external {
        _setPrivacy(operatorIds, true);
    }

    /// @notice From now on everybody can register validators with these operators.
    function setOperatorsPublicUnchecked(uint64[] calldata operatorIds) external {
        _setPrivacy(operatorIds, false);
    }

    /// @notice Lets the addresses register validators with these operators while they are private.
    function setOperatorsWhitelists(uint64[] calldata operatorIds, address[] calldata whitelistAddresses) external {
        if (operatorIds.length == 0) revert InvalidOperatorIdsLength();
        if (whitelistAddresses.length == 0) revert InvalidWhitelistAddressesLength();
        for (uint256 i; i < operatorIds.length; ++i) {
            _requireAscending(operatorIds, i);
            _ownedOperator(operatorIds[i]);
            for (uint256 j; j < whitelistAddresses.length; ++j) {
                if (whitelistAddresses[j] == address(0)) revert ZeroAddressNotAllowed();
                _main().whitelisted[whitelistAddresses[j]][operatorIds[i]] = true;
            }
        }
        emit OperatorMultipleWhitelistUpdated(operatorIds, whitelistAddresses);
    }

    // ----------------------------------------------------------------------------------------------------- parameters

    /// @notice Wei per block for each 32 ETH.
    function updateNetworkFee(uint256 fee) external onlyOwner {
        Protocol storage p = _protocol();
        uint64 packed = _pack(fee);
        p.networkFeeIndex = _networkFeeIndex();
        p.networkFeeSettledAt = uint64(block.number);
        emit NetworkFeeUpdated(_unpack(p.networkFee), fee);
        p.networkFee = packed;
    }

    /// @notice Blocks of burn a cluster must hold.
    function updateLiquidationThresholdPeriod(uint64 blocks) external onlyOwner {
        if (blocks < MINIMAL_LIQUIDATION_THRESHOLD) revert NewBlockPeriodIsBelowMinimum();
        _protocol().liquidationThreshold = blocks;
        emit LiquidationThresholdPeriodUpdated(blocks);
    }

    /// @notice Wei.
    function updateMinimumLiquidationCollateral(uint256 amount) external onlyOwner {
        _protocol().minCollateral = _pack(amount);
        emit MinimumLiquidationCollateralUpdated(amount);
    }

    /// @notice Wei per block for each 32 ETH.
    function updateMaximumOperatorFee(uint256 maxFee) external onlyOwner {
        _protocol().operatorMaxFee = _pack(maxFee);
        emit OperatorMaximumFeeUpdated(maxFee);
    }

    /// @notice Wei per block for each 32 ETH.
    function updateMinimumOperatorEthFee(uint256 minFee) external onlyOwner {
        _protocol().operatorMinFee = _pack(minFee);
        emit MinimumOperatorEthFeeUpdated(minFee);
    }

    /// @notice Blocks between two updates of the effective balance of a cluster.
    function updateMinBlocksBetweenUpdates(uint32 blocks) external onlyOwner {
        _balances().minBlocksBetweenUpdates = blocks;
        emit MinBlocksBetweenUpdatesUpdated(blocks);
    }

    // -------------------------------------------------------------------------------------------------- only for tests

    /// @notice Sets an operator's fee as if it had been declared and executed, without limits.
    function setOperatorFeeForTest(uint64 operatorId, uint256 fee) external onlyOwner {
        Operator storage op = _main().operators[operatorId];
        if (op.settledAt == 0) revert OperatorDoesNotExist();
        _setOperatorFee(operatorId, op, fee);
    }

    /// @notice Sets how many validators an operator can have, which the real contract sets when it is initialised.
    function setValidatorsPerOperatorLimitForTest(uint32 limit) external onlyOwner {
        _protocol().validatorsPerOperatorLimit = limit;
    }

    /// @notice Commits a root of effective balances as if a quorum of SSV's oracles had voted for it.
    function commitRootForTest(bytes32 merkleRoot, uint64 blockNum) external onlyOwner {
        Balances storage b = _balances();
        if (blockNum <= b.latestCommittedBlock) revert StaleBlockNumber();
        if (blockNum > block.number) revert FutureBlockNumber();
        b.roots[blockNum] = merkleRoot;
        b.latestCommittedBlock = blockNum;
        emit RootCommitted(merkleRoot, blockNum);
    }

    /// @notice Looks, in events and storage, as if SSV had replaced the clusters module and then the code behind the proxy.
    ///         Behaviour stays as it is.
    function upgradeForTest() external onlyOwner {
        StorageSlot.AddressSlot storage slot = StorageSlot.getAddressSlot(ERC1967_IMPLEMENTATION);
        address next = address(uint160(uint256(keccak256(abi.encode(slot.value)))));
        slot.value = next;
        _main().modules[CLUSTERS_MODULE] = next;
        emit ModuleUpgraded(CLUSTERS_MODULE, next);
        emit Upgraded(next);
    }

    // ----------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc ISSVNetworkViews
    function getBalance(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (uint256) {
        bytes32 id = _requireLatest(clusterOwner, operatorIds, cluster);
        if (!cluster.active) revert ClusterIsLiquidated();
        Cluster memory c = cluster;
        (uint64 index, ) = _operatorTotals(operatorIds);
        _settle(c, index, _vUnits(id, c.validatorCount));
        return c.balance;
    }

    /// @inheritdoc ISSVNetworkViews
    function getBurnRate(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (uint256) {
        bytes32 id = _requireLatest(clusterOwner, operatorIds, cluster);
        (, uint64 fees) = _operatorTotals(operatorIds);
        return _cost(1, fees, _vUnits(id, cluster.validatorCount));
    }

    /// @inheritdoc ISSVNetworkViews
    function isLiquidatable(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (bool) {
        bytes32 id = _requireLatest(clusterOwner, operatorIds, cluster);
        Cluster memory c = cluster;
        uint64 vUnits = _vUnits(id, c.validatorCount);
        (uint64 index, uint64 fees) = _operatorTotals(operatorIds);
        _settle(c, index, vUnits);
        return _liquidatable(c, vUnits, fees);
    }

    /// @inheritdoc ISSVNetworkViews
    function isLiquidated(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (bool) {
        _requireLatest(clusterOwner, operatorIds, cluster);
        return !cluster.active;
    }

    /// @inheritdoc ISSVNetworkViews
    function getEffectiveBalance(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external view returns (uint32) {
        bytes32 id = _requireLatest(clusterOwner, operatorIds, cluster);
        if (!cluster.active) revert ClusterIsLiquidated();
        return uint32((_vUnits(id, cluster.validatorCount) * 32) / VUNITS);
    }

    /// @inheritdoc ISSVNetworkViews
    function getClusterAssetType(address clusterOwner, uint64[] calldata operatorIds) external view returns (uint8) {
        if (_main().ethClusters[_clusterId(clusterOwner, operatorIds)] == 0) revert ClusterDoesNotExist();
        return 1;
    }

    /// @inheritdoc ISSVNetworkViews
    function getValidator(address clusterOwner, bytes calldata publicKey) external view returns (bool) {
        return _main().validators[_validatorKey(publicKey, clusterOwner)] != 0;
    }

    /// @inheritdoc ISSVNetworkViews
    function getLiquidationThresholdPeriod() external view returns (uint64) {
        return _protocol().liquidationThreshold;
    }

    /// @inheritdoc ISSVNetworkViews
    function getMinimumLiquidationCollateral() external view returns (uint256) {
        return _unpack(_protocol().minCollateral);
    }

    /// @inheritdoc ISSVNetworkViews
    function getNetworkFee() external view returns (uint256) {
        return _unpack(_protocol().networkFee);
    }

    /// @inheritdoc ISSVNetworkViews
    function getOperatorFee(uint64 operatorId) external view returns (uint256) {
        return _unpack(_main().operators[operatorId].fee);
    }

    /// @inheritdoc ISSVNetworkViews
    function getValidatorsPerOperatorLimit() external view returns (uint32) {
        return _protocol().validatorsPerOperatorLimit;
    }

    /// @inheritdoc ISSVNetworkViews
    function getOperatorById(uint64 operatorId) external view returns (address, uint256, uint32, address, bool, bool) {
        Operator storage op = _main().operators[operatorId];
        return (op.owner, _unpack(op.fee), op.validatorCount, address(0), op.isPrivate, op.settledAt != 0);
    }

    /// @inheritdoc ISSVNetwork
    function getVersion() external pure override(ISSVNetwork, ISSVNetworkViews) returns (string memory) {
        return "v2.0.0";
    }

    // ---------------------------------------------------------------------------------------------- validators, private

    function _register(
        bytes[] memory publicKeys,
        uint64[] calldata operatorIds,
        bytes[] memory sharesData,
        Cluster memory c
    ) private {
        if (publicKeys.length == 0) revert EmptyPublicKeysList();
        if (publicKeys.length != sharesData.length) revert PublicKeysSharesLengthMismatch();
        if (operatorIds.length < 4 || operatorIds.length > 13 || operatorIds.length % 3 != 1) {
            revert InvalidOperatorIdsLength();
        }
        _claimKeys(publicKeys, operatorIds);
        _growCluster(uint32(publicKeys.length), operatorIds, c);
        for (uint256 i; i < publicKeys.length; ++i) {
            emit ValidatorAdded(msg.sender, operatorIds, publicKeys[i], sharesData[i], c);
        }
    }

    function _claimKeys(bytes[] memory publicKeys, uint64[] calldata operatorIds) private {
        Main storage m = _main();
        bytes32 value = _operatorsHash(operatorIds);
        for (uint256 i; i < publicKeys.length; ++i) {
            if (publicKeys[i].length != 48) revert InvalidPublicKeyLength();
            bytes32 key = _validatorKey(publicKeys[i], msg.sender);
            if (m.validators[key] != 0) revert ValidatorAlreadyExistsWithData(publicKeys[i]);
            m.validators[key] = value;
        }
    }

    function _growCluster(uint32 count, uint64[] calldata operatorIds, Cluster memory c) private {
        bytes32 id = _clusterId(msg.sender, operatorIds);
        bytes32 stored = _main().ethClusters[id];
        if (stored == 0) {
            if (_hash(c) != _hash(Cluster(0, 0, 0, true, 0))) revert IncorrectClusterState();
        } else if (stored != _hash(c)) {
            revert IncorrectClusterState();
        } else if (!c.active) {
            revert ClusterIsLiquidated();
        }
        c.balance += msg.value;
        (uint64 index, uint64 fees) = _addToOperators(operatorIds, count, true);
        _settle(c, index, _vUnits(id, c.validatorCount));
        c.validatorCount += count;
        EffectiveBalance storage eb = _balances().ofCluster[id];
        if (eb.vUnits != 0) eb.vUnits += count * VUNITS;
        if (_liquidatable(c, _vUnits(id, c.validatorCount), fees)) revert InsufficientBalance();
        _store(id, c);
    }

    function _remove(bytes[] memory publicKeys, uint64[] calldata operatorIds, Cluster memory c) private {
        if (publicKeys.length == 0) revert EmptyPublicKeysList();
        bytes32 id = _requireLatest(msg.sender, operatorIds, c);
        for (uint256 i; i < publicKeys.length; ++i) {
            delete _main().validators[_requireRegistered(publicKeys[i], operatorIds)];
        }
        uint32 count = uint32(publicKeys.length);
        if (c.active) {
            _settle(c, _takeFromOperators(operatorIds, count), _vUnits(id, c.validatorCount));
        }
        c.validatorCount -= count;
        EffectiveBalance storage eb = _balances().ofCluster[id];
        if (c.validatorCount == 0) eb.vUnits = 0;
        else if (eb.vUnits != 0) eb.vUnits -= count * VUNITS;
        _store(id, c);
        for (uint256 i; i < publicKeys.length; ++i) {
            emit ValidatorRemoved(msg.sender, operatorIds, publicKeys[i], c);
        }
    }

    function _exit(bytes[] memory publicKeys, uint64[] calldata operatorIds) private {
        if (publicKeys.length == 0) revert EmptyPublicKeysList();
        for (uint256 i; i < publicKeys.length; ++i) {
            _requireRegistered(publicKeys[i], operatorIds);
            emit ValidatorExited(msg.sender, operatorIds, publicKeys[i]);
        }
    }

    function _requireRegistered(bytes memory publicKey, uint64[] calldata ids) private view returns (bytes32 key) {
        key = _validatorKey(publicKey, msg.sender);
        bytes32 value = _main().validators[key];
        if (value == 0) revert ValidatorDoesNotExist();
        if (value != _operatorsHash(ids)) revert IncorrectValidatorStateWithData(publicKey);
    }

    // ------------------------------------------------------------------------------------------------ clusters, private

    /// @dev Leaves `c` as the snapshot of a liquidated cluster, sends what was in it to the caller. The effective balance stays
    ///      recorded: a reactivated cluster is billed for it.
    function _liquidate(bytes32 id, address clusterOwner, uint64[] calldata operatorIds, Cluster memory c) private {
        _takeFromOperators(operatorIds, c.validatorCount);
        uint256 bounty = c.balance;
        c.networkFeeIndex = 0;
        c.index = 0;
        c.active = false;
        c.balance = 0;
        _store(id, c);
        if (bounty != 0) _send(msg.sender, bounty);
        emit ClusterLiquidated(clusterOwner, operatorIds, c);
    }

    function _send(address to, uint256 amount) private {
        (bool ok, ) = to.call{value: amount}("");
        if (!ok) revert ETHTransferFailed();
    }

    function _store(bytes32 id, Cluster memory c) private {
        _main().ethClusters[id] = _hash(c);
    }

    function _requireLatest(
        address clusterOwner,
        uint64[] calldata operatorIds,
        Cluster memory c
    ) private view returns (bytes32 id) {
        id = _clusterId(clusterOwner, operatorIds);
        bytes32 stored = _main().ethClusters[id];
        if (stored == 0) revert ClusterDoesNotExist();
        if (stored != _hash(c)) revert IncorrectClusterState();
    }

    function _requireProven(
        bytes32 id,
        uint64 blockNum,
        uint32 effectiveBalance,
        bytes32[] calldata merkleProof
    ) private view {
        Balances storage b = _balances();
        bytes32 root = b.roots[blockNum];
        EffectiveBalance memory eb = b.ofCluster[id];
        if (root == 0) revert RootNotFound();
        if (eb.lastUpdateBlock != 0 && block.number < eb.lastUpdateBlock + b.minBlocksBetweenUpdates) {
            revert UpdateTooFrequent();
        }
        if (blockNum != b.latestCommittedBlock) revert MustUseLatestRoot();
        if (blockNum <= eb.lastRootBlockNum) revert StaleUpdate();
        bytes32 leaf = keccak256(abi.encodePacked(keccak256(abi.encode(id, effectiveBalance))));
        if (!MerkleProof.verifyCalldata(merkleProof, root, leaf)) revert InvalidProof();
    }

    /// @dev Takes the fees since the last settlement. The two divisions round separately, as SSV's do.
    function _settle(Cluster memory c, uint64 operatorIndex, uint64 vUnits) private view {
        uint64 networkIndex = _networkFeeIndex();
        uint256 usage =
            (uint256(operatorIndex - c.index) * vUnits) / VUNITS +
                (uint256(networkIndex - c.networkFeeIndex) * vUnits) / VUNITS;
        usage *= PACKED;
        c.balance = c.balance > usage ? c.balance - usage : 0;
        c.index = operatorIndex;
        c.networkFeeIndex = networkIndex;
    }

    function _liquidatable(Cluster memory c, uint64 vUnits, uint64 operatorFees) private view returns (bool) {
        if (c.validatorCount == 0 || !c.active) return false;
        Protocol storage p = _protocol();
        return c.balance < _unpack(p.minCollateral) || c.balance < _cost(p.liquidationThreshold, operatorFees, vUnits);
    }

    function _cost(uint64 blocks, uint64 operatorFees, uint64 vUnits) private view returns (uint256) {
        return ((uint256(blocks) * (operatorFees + _protocol().networkFee) * vUnits) / VUNITS) * PACKED;
    }

    /// @dev A cluster nobody has proved an effective balance of counts 32 ETH for each validator.
    function _vUnits(bytes32 id, uint32 validatorCount) private view returns (uint64 vUnits) {
        vUnits = _balances().ofCluster[id].vUnits;
        if (vUnits == 0) vUnits = validatorCount * VUNITS;
    }

    function _networkFeeIndex() private view returns (uint64) {
        Protocol storage p = _protocol();
        return p.networkFeeIndex + (uint64(block.number) - p.networkFeeSettledAt) * p.networkFee;
    }

    // ----------------------------------------------------------------------------------------------- operators, private

    function _operatorTotals(uint64[] calldata operatorIds) private view returns (uint64 index, uint64 fees) {
        for (uint256 i; i < operatorIds.length; ++i) {
            Operator storage op = _main().operators[operatorIds[i]];
            index += _operatorIndex(op);
            fees += op.fee;
        }
    }

    /// @dev A registration checks each operator; a reactivation passes over those that left and asks no whitelist.
    function _addToOperators(
        uint64[] calldata operatorIds,
        uint32 count,
        bool registering
    ) private returns (uint64 index, uint64 fees) {
        for (uint256 i; i < operatorIds.length; ++i) {
            Operator storage op = _main().operators[operatorIds[i]];
            if (registering) _requireServes(operatorIds, i, op);
            if (op.settledAt != 0) {
                if (uint256(op.validatorCount) + count > _protocol().validatorsPerOperatorLimit) {
                    revert ExceedValidatorLimitWithData(operatorIds[i]);
                }
                _settleOperator(op);
                op.validatorCount += count;
            }
            index += op.index;
            fees += op.fee;
        }
    }

    function _takeFromOperators(uint64[] calldata operatorIds, uint32 count) private returns (uint64 index) {
        for (uint256 i; i < operatorIds.length; ++i) {
            Operator storage op = _main().operators[operatorIds[i]];
            if (op.settledAt != 0) {
                _settleOperator(op);
                op.validatorCount -= count;
            }
            index += op.index;
        }
    }

    function _operatorIndex(Operator storage op) private view returns (uint64) {
        // an operator that left has no fee
        return op.index + (uint64(block.number) - op.settledAt) * op.fee;
    }

    function _settleOperator(Operator storage op) private {
        op.index = _operatorIndex(op);
        op.settledAt = uint64(block.number);
    }

    function _setOperatorFee(uint64 operatorId, Operator storage op, uint256 fee) private {
        _settleOperator(op);
        op.fee = _pack(fee);
        emit OperatorFeeExecuted(op.owner, operatorId, block.number, fee);
    }

    function _setPrivacy(uint64[] calldata operatorIds, bool toPrivate) private {
        if (operatorIds.length == 0) revert InvalidOperatorIdsLength();
        for (uint256 i; i < operatorIds.length; ++i) _ownedOperator(operatorIds[i]).isPrivate = toPrivate;
        emit OperatorPrivacyStatusUpdated(operatorIds, toPrivate);
    }

    function _ownedOperator(uint64 operatorId) private view returns (Operator storage op) {
        op = _main().operators[operatorId];
        if (op.settledAt == 0) revert OperatorDoesNotExist();
        if (op.owner != msg.sender) revert CallerNotOwnerWithData(msg.sender, op.owner);
    }

    function _requireFeeInRange(uint256 fee) private view {
        Protocol storage p = _protocol();
        if (fee != 0 && fee < _unpack(p.operatorMinFee)) revert FeeTooLow();
        if (fee > _unpack(p.operatorMaxFee)) revert FeeTooHigh();
    }

    function _requireServes(uint64[] calldata operatorIds, uint256 i, Operator storage op) private view {
        _requireAscending(operatorIds, i);
        if (op.settledAt == 0) revert OperatorDoesNotExist();
        if (op.isPrivate && !_main().whitelisted[msg.sender][operatorIds[i]]) {
            revert CallerNotWhitelistedWithData(operatorIds[i]);
        }
    }

    function _requireAscending(uint64[] calldata operatorIds, uint256 i) private pure {
        if (i + 1 == operatorIds.length) return;
        if (operatorIds[i] > operatorIds[i + 1]) revert UnsortedOperatorsList();
        if (operatorIds[i] == operatorIds[i + 1]) revert OperatorsListNotUnique();
    }

    // ---------------------------------------------------------------------------------------------- hashes, units, slots

    function _clusterId(address clusterOwner, uint64[] calldata operatorIds) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(clusterOwner, operatorIds));
    }

    /// @dev The balance comes before `active`, unlike in the struct.
    function _hash(Cluster memory c) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(c.validatorCount, c.networkFeeIndex, c.index, c.balance, c.active));
    }

    function _validatorKey(bytes memory publicKey, address validatorOwner) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(publicKey, validatorOwner));
    }

    function _operatorsHash(uint64[] calldata operatorIds) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(operatorIds)) | bytes32(uint256(1));
    }

    function _single(bytes calldata data) private pure returns (bytes[] memory list) {
        list = new bytes[](1);
        list[0] = data;
    }

    function _pack(uint256 amount) private pure returns (uint64) {
        if (amount % PACKED != 0) revert MaxPrecisionExceeded();
        if (amount / PACKED > type(uint64).max) revert MaxValueExceeded();
        return uint64(amount / PACKED);
    }

    function _unpack(uint64 packed) private pure returns (uint256) {
        return packed * PACKED;
    }

    function _main() private pure returns (Main storage s) {
        assembly ("memory-safe") {
            s.slot := MAIN
        }
    }

    function _protocol() private pure returns (Protocol storage s) {
        assembly ("memory-safe") {
            s.slot := PROTOCOL
        }
    }

    function _balances() private pure returns (Balances storage s) {
        assembly ("memory-safe") {
            s.slot := BALANCES
        }
    }
}
