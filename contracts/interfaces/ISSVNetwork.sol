// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What SSV Network knows of a cluster. Only its hash is stored on chain: every call that changes a cluster takes the
///         whole snapshot as calldata and reverts with {ISSVNetwork.IncorrectClusterState} if it is not the latest.
/// @dev The latest snapshot is the `cluster` of the newest event that carries one for this owner and these operators. Anybody
///      can change it at any time, with a deposit of 1 wei, so a stale snapshot is a reason to retry.
/// @param validatorCount Registered validators.
/// @param networkFeeIndex Network fee index up to which `balance` is settled, in units of 1e5 wei for each 32 ETH.
/// @param index Sum of the operators' fee indices up to which `balance` is settled, in units of 1e5 wei for each 32 ETH.
/// @param active False once liquidated.
/// @param balance Wei, as of the block of the event; fees since then are not in it.
struct Cluster {
    uint32 validatorCount;
    uint64 networkFeeIndex;
    uint64 index;
    bool active;
    uint256 balance;
}

/// @title SSV Network v2 (fees in ETH), the part that the pool calls and its programs decode
/// @notice The sender of the first registration is the owner of a cluster for ever. Operator ids are 4, 7, 10 or 13, strictly
///         ascending; public keys have 48 bytes. Nothing of `sharesData` is checked on chain: SSV nodes ignore a registration
///         whose KeyShares are wrong, and count it in the owner nonce all the same.
/// @dev Signatures, topics and selectors are those of the deployed v2.0.0.
interface ISSVNetwork {
    /// @notice A validator was registered. Its owner nonce is the number of earlier `ValidatorAdded` of `owner`.
    /// @dev In a bulk registration every event carries the same, final `cluster`.
    event ValidatorAdded(address indexed owner, uint64[] operatorIds, bytes publicKey, bytes shares, Cluster cluster);

    /// @notice A validator was removed; it no longer costs fees.
    /// @dev In a bulk removal every event carries the same, final `cluster`.
    event ValidatorRemoved(address indexed owner, uint64[] operatorIds, bytes publicKey, Cluster cluster);

    /// @notice The owner asks the operators to sign and broadcast the voluntary exit of a validator.
    event ValidatorExited(address indexed owner, uint64[] operatorIds, bytes publicKey);

    /// @notice `value` wei were added to a cluster, by anyone.
    event ClusterDeposited(address indexed owner, uint64[] operatorIds, uint256 value, Cluster cluster);

    /// @notice The owner took `value` wei out of a cluster.
    event ClusterWithdrawn(address indexed owner, uint64[] operatorIds, uint256 value, Cluster cluster);

    /// @notice The operators stopped: the balance no longer covered the liquidation threshold, or the owner asked for it.
    event ClusterLiquidated(address indexed owner, uint64[] operatorIds, Cluster cluster);

    /// @notice The owner funded a liquidated cluster again.
    event ClusterReactivated(address indexed owner, uint64[] operatorIds, Cluster cluster);

    /// @notice The effective balance of a cluster was updated from the root committed for `blockNum`.
    /// @param effectiveBalance Whole ETH, all validators of the cluster together.
    /// @dev When the update liquidates the cluster, `ClusterLiquidated` comes first, with the same `cluster`.
    event ClusterBalanceUpdated(
        address indexed owner,
        uint64[] operatorIds,
        uint64 indexed blockNum,
        uint32 effectiveBalance,
        Cluster cluster
    );

    /// @notice All validators of `owner` shall pay `recipientAddress` from now on.
    event FeeRecipientAddressUpdated(address indexed owner, address recipientAddress);

    /// @notice An operator was registered.
    /// @param publicKey `abi.encode(string)` of the base64 PEM of its RSA key.
    /// @param fee Wei per block for each 32 ETH.
    event OperatorAdded(uint64 indexed operatorId, address indexed owner, bytes publicKey, uint256 fee);

    /// @notice An operator left; clusters that hold it go on with one operator less and pay it nothing.
    event OperatorRemoved(uint64 indexed operatorId);

    /// @notice An operator announced a new fee, effective after the declaration period.
    event OperatorFeeDeclared(address indexed owner, uint64 indexed operatorId, uint256 blockNumber, uint256 fee);

    /// @notice An announced fee was withdrawn.
    event OperatorFeeDeclarationCancelled(address indexed owner, uint64 indexed operatorId);

    /// @notice An operator's fee changed.
    /// @param fee Wei per block for each 32 ETH.
    event OperatorFeeExecuted(address indexed owner, uint64 indexed operatorId, uint256 blockNumber, uint256 fee);

    /// @notice The operators now serve only whitelisted owners, or everybody again.
    event OperatorPrivacyStatusUpdated(uint64[] operatorIds, bool toPrivate);

    /// @notice The addresses may register validators with these private operators.
    event OperatorMultipleWhitelistUpdated(uint64[] operatorIds, address[] whitelistAddresses);

    /// @notice The addresses may no longer register validators with these private operators.
    event OperatorMultipleWhitelistRemoved(uint64[] operatorIds, address[] whitelistAddresses);

    /// @notice A contract now decides who may register validators with these private operators.
    event OperatorWhitelistingContractUpdated(uint64[] operatorIds, address whitelistingContract);

    /// @notice The network fee changed, in wei per block for each 32 ETH.
    event NetworkFeeUpdated(uint256 oldFee, uint256 newFee);

    /// @notice The liquidation threshold changed, in blocks of burn a cluster must hold.
    event LiquidationThresholdPeriodUpdated(uint64 value);

    /// @notice The least balance of a cluster that is not liquidatable changed, in wei.
    event MinimumLiquidationCollateralUpdated(uint256 value);

    /// @notice The highest fee of an operator changed, in wei per block for each 32 ETH.
    event OperatorMaximumFeeUpdated(uint256 maxFee);

    /// @notice The lowest fee of an operator that charges one changed, in wei per block for each 32 ETH.
    event MinimumOperatorEthFeeUpdated(uint256 minFee);

    /// @notice SSV replaced the code of one of its modules.
    event ModuleUpgraded(uint8 indexed moduleId, address moduleAddress);

    /// @notice SSV replaced the code behind its proxy.
    event Upgraded(address indexed implementation);

    /// @notice The effective balances of all clusters at block `blockNum` are final, under `merkleRoot`.
    event RootCommitted(bytes32 indexed merkleRoot, uint64 indexed blockNum);

    /// @notice The caller does not own the operator.
    error CallerNotOwnerWithData(address caller, address owner);
    /// @notice The operator is private and does not serve the caller.
    error CallerNotWhitelistedWithData(uint64 operatorId);
    /// @notice Only a liquidated cluster can be reactivated.
    error ClusterAlreadyEnabled();
    /// @notice The owner has no cluster with these operators.
    error ClusterDoesNotExist();
    /// @notice The cluster is liquidated: reactivate it first.
    error ClusterIsLiquidated();
    /// @notice The balance of the cluster covers the threshold.
    error ClusterNotLiquidatable();
    /// @notice The effective balance is below 32 ETH for a validator.
    error EBBelowMinimum();
    /// @notice The effective balance is above 2048 ETH for a validator.
    error EBExceedsMaximum();
    /// @notice No public key was given.
    error EmptyPublicKeysList();
    /// @notice The receiver of ETH reverted.
    error ETHTransferFailed();
    /// @notice The operator has as many validators as the network allows.
    error ExceedValidatorLimitWithData(uint64 operatorId);
    /// @notice The fee of an operator can be reduced at will, raised only by declaring it.
    error FeeIncreaseNotAllowed();
    /// @notice The operator fee is above the maximum.
    error FeeTooHigh();
    /// @notice The operator fee is neither 0 nor at least the minimum.
    error FeeTooLow();
    /// @notice The root is for a block that does not exist yet.
    error FutureBlockNumber();
    /// @notice The snapshot of the cluster is stale: read the newest event and retry.
    error IncorrectClusterState();
    /// @notice The validator is registered with other operators.
    error IncorrectValidatorStateWithData(bytes publicKey);
    /// @notice The cluster would be liquidatable, or holds less than what was asked for.
    error InsufficientBalance();
    /// @notice A cluster has 4, 7, 10 or 13 operators; a list of operators is not empty.
    error InvalidOperatorIdsLength();
    /// @notice The leaf is not under the committed root.
    error InvalidProof();
    /// @notice A public key has 48 bytes.
    error InvalidPublicKeyLength();
    /// @notice No address to whitelist was given.
    error InvalidWhitelistAddressesLength();
    /// @notice Fees are multiples of 1e5 wei.
    error MaxPrecisionExceeded();
    /// @notice The amount does not fit 64 bits in units of 1e5 wei.
    error MaxValueExceeded();
    /// @notice Only the root committed last proves effective balances.
    error MustUseLatestRoot();
    /// @notice The liquidation threshold cannot be that short.
    error NewBlockPeriodIsBelowMinimum();
    /// @notice An operator with this public key is or was registered.
    error OperatorAlreadyExists();
    /// @notice The operator was never registered, or was removed.
    error OperatorDoesNotExist();
    /// @notice An operator id is there twice.
    error OperatorsListNotUnique();
    /// @notice There must be one `sharesData` for each public key.
    error PublicKeysSharesLengthMismatch();
    /// @notice No root was committed for this block.
    error RootNotFound();
    /// @notice A later root is committed already.
    error StaleBlockNumber();
    /// @notice The cluster was updated with this root already.
    error StaleUpdate();
    /// @notice Operator ids must ascend.
    error UnsortedOperatorsList();
    /// @notice The effective balance of the cluster was updated too few blocks ago.
    error UpdateTooFrequent();
    /// @notice The caller has registered this public key already.
    error ValidatorAlreadyExistsWithData(bytes publicKey);
    /// @notice The caller has not registered this public key.
    error ValidatorDoesNotExist();
    /// @notice An address must not be zero.
    error ZeroAddressNotAllowed();

    /// @notice Registers one validator of the caller; the value is added to the cluster's balance.
    /// @dev See {bulkRegisterValidator}.
    function registerValidator(
        bytes calldata publicKey,
        uint64[] calldata operatorIds,
        bytes calldata sharesData,
        Cluster calldata cluster
    ) external payable;

    /// @notice Registers validators of the caller; the value is added to the cluster's balance. A key can be registered once by
    ///         each owner. Each costs fees for 32 ETH from this block on.
    /// @param sharesData One blob for each key: owner-nonce signature, share public keys, encrypted shares.
    /// @param cluster The latest snapshot; `{0, 0, 0, true, 0}` for the first registration with these operators.
    /// @dev Reverts, in this order, with EmptyPublicKeysList, PublicKeysSharesLengthMismatch, InvalidOperatorIdsLength; for each
    ///      key InvalidPublicKeyLength, ValidatorAlreadyExistsWithData; IncorrectClusterState, ClusterIsLiquidated; for each
    ///      operator UnsortedOperatorsList, OperatorsListNotUnique, OperatorDoesNotExist, CallerNotWhitelistedWithData,
    ///      ExceedValidatorLimitWithData; InsufficientBalance.
    function bulkRegisterValidator(
        bytes[] calldata publicKeys,
        uint64[] calldata operatorIds,
        bytes[] calldata sharesData,
        Cluster calldata cluster
    ) external payable;

    /// @notice Removes one validator of the caller. See {bulkRemoveValidator}.
    function removeValidator(
        bytes calldata publicKey,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external;

    /// @notice Removes validators of the caller, also from a liquidated cluster or one whose operators left.
    /// @dev Reverts with EmptyPublicKeysList, ClusterDoesNotExist, IncorrectClusterState, ValidatorDoesNotExist or
    ///      IncorrectValidatorStateWithData.
    function bulkRemoveValidator(
        bytes[] calldata publicKeys,
        uint64[] calldata operatorIds,
        Cluster calldata cluster
    ) external;

    /// @notice Asks the operators to exit one validator of the caller. See {bulkExitValidator}.
    function exitValidator(bytes calldata publicKey, uint64[] calldata operatorIds) external;

    /// @notice Asks the operators to exit validators of the caller. Only emits events and may be repeated: operators try once for
    ///         each, and only validators old enough to exit.
    /// @dev Reverts with EmptyPublicKeysList, ValidatorDoesNotExist or IncorrectValidatorStateWithData.
    function bulkExitValidator(bytes[] calldata publicKeys, uint64[] calldata operatorIds) external;

    /// @notice Adds the value, which may be 0, to the balance of anybody's cluster, settling no fees. A liquidated cluster stays
    ///         liquidated.
    /// @dev Reverts with ClusterDoesNotExist or IncorrectClusterState.
    function deposit(address clusterOwner, uint64[] calldata operatorIds, Cluster calldata cluster) external payable;

    /// @notice Sends `amount` wei of a cluster of the caller to the caller, by a plain call.
    /// @dev Reverts with ClusterDoesNotExist, IncorrectClusterState, InsufficientBalance (also if the cluster would be
    ///      liquidatable) or ETHTransferFailed.
    function withdraw(uint64[] calldata operatorIds, uint256 amount, Cluster calldata cluster) external;

    /// @notice Makes a liquidated cluster of the caller active again; the value is added to its balance.
    /// @dev Reverts with ClusterDoesNotExist, IncorrectClusterState, ClusterAlreadyEnabled, ExceedValidatorLimitWithData or
    ///      InsufficientBalance.
    function reactivate(uint64[] calldata operatorIds, Cluster calldata cluster) external payable;

    /// @notice Liquidates a cluster whose balance is below the threshold; its owner may do so at any time. What is left goes to
    ///         the caller.
    /// @dev Reverts with ClusterDoesNotExist, IncorrectClusterState, ClusterIsLiquidated, ClusterNotLiquidatable or
    ///      ETHTransferFailed.
    function liquidate(address clusterOwner, uint64[] calldata operatorIds, Cluster calldata cluster) external;

    /// @notice Sets the fee recipient of all validators of the caller, present and future.
    function setFeeRecipientAddress(address recipientAddress) external;

    /// @notice Registers an operator of the caller.
    /// @param publicKey Any bytes no operator had before; nodes expect `abi.encode(string)` of the base64 PEM of an RSA key.
    /// @param fee Wei per block for each 32 ETH, a multiple of 1e5; 0 can never be raised.
    /// @param setPrivate Serve whitelisted owners only.
    /// @return id Of the operator, from 1.
    /// @dev Reverts with FeeTooLow, FeeTooHigh, OperatorAlreadyExists or MaxPrecisionExceeded.
    function registerOperator(bytes calldata publicKey, uint256 fee, bool setPrivate) external returns (uint64 id);

    /// @notice "v2.0.0".
    function getVersion() external view returns (string memory version);
}
