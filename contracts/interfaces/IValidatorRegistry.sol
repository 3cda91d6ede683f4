// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DepositAnchor} from "./IGuardians.sol";
import {Cluster} from "./ISSVNetwork.sol";

/// Life of a validator. Published and vetted validators live in their account's queue and have no record yet.
enum Status {
    None,
    Registered, // in SSV, not funded
    Deposited, // 32 ETH sent
    Discarded, // registered, never to be funded
    Removed // not in SSV any more: exited, or never funded
}

/// One slot a public key, written once registered.
struct Validator {
    Status status;
    uint32 id; // order of registration, from 1
    uint32 cluster;
    uint40 registeredAt; // seconds
    uint40 depositedAt; // seconds
    uint32 depositOrder; // among all the pool's deposits, from 1; 0 before
    uint32 clusterOrder; // among those of its cluster, from 1; 0 before
}

/// A lane: one SSV owner with one nonce sequence and one FIFO queue. One slot. Batches are counted from 0.
struct AccountState {
    address account; // SSVAccount
    uint24 nonce; // SSV owner nonce of the next registration
    uint24 queued; // published, not yet registered or dropped
    uint16 nextBatch; // first batch with something left; all before it are registered or dropped
    uint16 batches; // batches ever published
    uint16 vetted; // batches vetted (or dropped), in order: the next to vet
}

/// What one publish transaction left in the queue. One slot.
struct Batch {
    bytes26 head; // hash chain over what is left; 0 once all are registered
    uint24 cluster;
    uint16 left;
}

struct ClusterState {
    uint32 account;
    bool active; // new validators may be registered
    bool requireDkg;
    uint32 cap; // most registered validators
    uint32 registered; // in SSV: not removed
    uint32 unfunded; // registered, neither funded nor discarded
    uint32 deposited; // ever
    uint64 burnPerValidator; // wei a block for one 32 ETH validator, as last synced
    uint64[] operatorIds;
}

/// What `register` takes from the head of a queue.
struct QueueItems {
    bytes[] publicKeys;
    bytes32[] depositSignatureHashes; // keccak256 of each 96 byte deposit signature
    bytes[] shares; // KeyShares of each
    bytes26 next; // hash chain of what follows in the batch; 0 at its end
}

/// The parts that the registry is built on, fixed at construction.
struct RegistryContracts {
    address poolManager;
    address guardians;
    address reserve;
    address validatorExits;
    address withdrawalVault; // in the withdrawal credentials
    address rewardsVault; // fee recipient of every account
    address ssvNetwork;
    address ssvViews;
    address depositContract;
    address accountImplementation; // SSVAccount that accounts are clones of
}

/// @title ValidatorRegistry
/// @notice Accounts, clusters, queues of prepared validators and the life of each validator up to its deposit:
/// Published, Vetted, Registered, Deposited, or Discarded.
///
/// Data: publishing keeps one word a transaction, a reverse hash chain
/// `h[i] = bytes26(keccak256(abi.encode(cluster, nonce[i], keccak256(pubkey[i]), keccak256(signature[i]), keccak256(shares[i]), h[i+1])))`
/// with `h[n] = 0`; everything else is in the `Published` event. Registration consumes from the front and writes the chain's next
/// link. A link names the SSV owner nonce its KeyShares were signed for, so nothing can be registered under another one.
///
/// Layout of published data: for every validator `48 bytes public key | 96 bytes deposit signature | 96 + 304 * n bytes KeyShares`
/// for `n` operators.
///
/// Roles: governance (AccessManager) adds accounts and clusters and retires clusters, the pool operator publishes; all else is open
/// to anyone and asks the guardians' signatures instead of the AccessManager. ETH passes through and never stays.
interface IValidatorRegistry {
    event AccountAdded(uint256 indexed account, address ssvAccount);
    event ClusterAdded(
        uint256 indexed cluster,
        uint256 indexed account,
        uint64[] operatorIds,
        bool requireDkg,
        uint256 cap
    );
    event ClusterUpdated(uint256 indexed cluster, bool active, uint256 cap);
    event ClusterFeesSynced(uint256 indexed cluster, uint256 burnPerValidator, uint256 totalBurnRate);
    /// @notice `data` as laid out above; the first of its validators was signed for owner nonce `firstNonce`.
    event Published(
        uint256 indexed account,
        uint256 indexed cluster,
        uint256 batch,
        uint256 firstNonce,
        uint256 count,
        bytes data,
        bytes dkgProofs
    );
    event BatchVetted(uint256 indexed account, uint256 indexed cluster, uint256 batch);
    /// @notice The next `count` of the account's queue now have ids from `firstId` and used nonces from `firstNonce`.
    event Registered(
        uint256 indexed account,
        uint256 indexed cluster,
        uint256 firstId,
        uint256 firstNonce,
        uint256 count,
        uint256 runwayPaid
    );
    event Deposited(uint256 indexed cluster, uint256[] ids);
    event Discarded(uint256 indexed cluster, uint256 indexed id);
    event QueueDropped(uint256 indexed account, uint256 nonce, uint256 count);
    /// @notice The validator is no longer in SSV and costs no fees.
    event Removed(uint256 indexed cluster, uint256 indexed id);

    error NotAuthorized(address caller, address expected);
    error ZeroAddress();
    error UnknownAccount(uint256 account);
    error UnknownCluster(uint256 cluster);
    error TooManyAccounts(uint256 highest);
    error TooManyClusters(uint256 highest);
    error InvalidOperatorIds(uint64[] operatorIds);
    /// @notice The account has a cluster of these operators already.
    error ClusterExists(uint256 cluster);
    error InvalidCap(uint256 cap);
    error DkgProofsRequired(uint256 cluster);
    error DkgProofsNotExpected(uint256 cluster);
    error InvalidDataLength(uint256 length, uint256 perValidator);
    error TooManyValidators(uint256 count, uint256 highest);
    /// @notice KeyShares are signed for one owner nonce; the next one to publish must be signed for `expected`.
    error WrongNonce(uint256 given, uint256 expected);
    /// @notice SSV nodes count owner nonces up to 65,535 and the account up to 65,535 batches: add another account.
    error AccountExhausted(uint256 account);
    /// @notice Batches are vetted in order; `expected` is next.
    error WrongBatch(uint256 batch, uint256 expected);
    error NothingToVet(uint256 account);
    error NothingVetted(uint256 account);
    error QueueEmpty(uint256 account);
    error EmptyList();
    error LengthMismatch();
    /// @notice The items are not the next ones of the queue, or not of this cluster.
    error NotHeadOfQueue(uint256 account, uint256 batch);
    error ClusterNotActive(uint256 cluster);
    error ClusterFull(uint256 cluster, uint256 cap);
    /// @notice Another cluster that is ready, as `register` says, has fewer validators.
    error NotSmallestCluster(uint256 cluster, uint256 smaller);
    /// @notice Registered but unfunded validators are limited to what could be funded now, and to 20.
    error TooManyUnfunded(uint256 after_, uint256 highest);
    /// @notice As many validators of one cluster may wait for funding as were funded in it so far, or 2.
    error TooManyUnfundedInCluster(uint256 cluster, uint256 after_, uint256 highest);
    error PublicKeyUsed(bytes publicKey);
    error InvalidPublicKey(uint256 length);
    error InvalidSignatureLength(uint256 length);
    error WrongStatus(bytes publicKey, Status status, Status expected);
    error WrongCluster(bytes publicKey, uint256 cluster, uint256 expected);
    /// @notice Only exited validators, as reports say, and unfunded ones that are discarded or of a retired cluster leave SSV.
    error NotRemovable(bytes publicKey, Status status);
    /// @notice SSV does not know the key under our account.
    error NotInSSV(bytes publicKey);

    /// @notice Governance. Deploys the next SSVAccount (at most 32) and sets its fee recipient in SSV.
    function addAccount() external returns (uint256 account);

    /// @notice Governance. Adds a cluster (at most 64) of 4, 7, 10 or 13 strictly ascending operator ids.
    function addCluster(
        uint256 account,
        uint64[] calldata operatorIds,
        bool requireDkg,
        uint32 cap
    ) external returns (uint256 cluster);

    /// @notice Governance. Opens or retires a cluster for new validators. Published batches of a retired cluster block their account's
    /// queue until the guardians drop it or the cluster opens again; anyone may take its unfunded validators out of SSV (`remove`).
    function setCluster(uint256 cluster, bool active, uint32 cap) external;

    /// @notice Anyone. Reads the cluster's fees from SSV, also done when it is added, and updates the burn rate the reserve's target is made of.
    function syncClusterFees(uint256 cluster) external;

    /// @notice Pool operator. Appends validators to the account's queue; `firstNonce` must equal `nonce + queued`.
    /// At most 80/40/30/20 for 4/7/10/13 operators a call (calldata fits 128 KB).
    /// @param dkgProofs only repeated in the event; present exactly when the cluster requires them
    function publish(
        uint256 cluster,
        uint256 firstNonce,
        bytes calldata data,
        bytes calldata dkgProofs
    ) external returns (uint256 batch);

    /// @notice Anyone, with the guardians' signatures. Batches are vetted in order.
    function vet(uint256 account, uint256 batch, bytes[] calldata signatures) external;

    /// @notice Anyone. Registers the next validators of the queue of the cluster's account in SSV; the reserve pays their runway.
    /// The cluster must be ready, and have the fewest validators of all that are. Ready is a cluster that its account has next in its
    /// vetted queue, that is active, below its cap, and that has fewer unfunded validators than `max(2, deposited)`: guardians
    /// fund two until one of them attests, so a cluster that is new or fails must not use up what all may have unfunded. SSV's own errors
    /// pass through; a stale snapshot is `IncorrectClusterState`. A ready cluster that SSV refuses for good (an operator left) holds up
    /// larger ones until it is retired or the guardians drop the queue.
    /// @param snapshot the cluster as SSV's newest event shows it
    function register(uint256 cluster, QueueItems calldata items, Cluster calldata snapshot) external;

    /// @notice Anyone, with the guardians' approval, which is checked first. 32 ETH each to the deposit contract, under the pool's
    /// credentials. What is registered may be funded although its cluster was retired since: guardians judge that.
    function deposit(
        uint256 cluster,
        bytes[] calldata publicKeys,
        bytes[] calldata depositSignatures,
        DepositAnchor calldata anchor,
        bytes[] calldata signatures
    ) external;

    /// @notice Anyone, with the guardians' signatures. Registered validators that must not be funded; they stay in SSV, and cost fees,
    /// until removed.
    function discard(bytes[] calldata publicKeys, bytes[] calldata signatures) external;

    /// @notice Anyone, with the guardians' signatures. Forgets the unregistered rest of an account's queue, vetted or not; the nonce stays and
    /// the keys may be published again.
    function dropQueue(uint256 account, bytes[] calldata signatures) external;

    /// @notice ValidatorExits only. Asks SSV's operators to exit validators of the cluster.
    function exitInSSV(uint256 cluster, bytes[] calldata publicKeys) external;

    /// @notice Anyone. Takes validators of one cluster out of SSV, which ends their fees: exited ones, as reports have it, and unfunded ones
    /// that are discarded or of a retired cluster. Their keys can never be used again.
    /// @param snapshot the cluster's latest in SSV, see {Cluster}
    function remove(uint256 cluster, bytes[] calldata publicKeys, Cluster calldata snapshot) external;

    /// @notice All zero for a key that was never registered.
    function validator(bytes calldata publicKey) external view returns (Validator memory);

    /// @notice Accounts are counted from 1.
    function account(uint256 account_) external view returns (AccountState memory);

    /// @notice Clusters are counted from 1.
    function cluster(uint256 cluster_) external view returns (ClusterState memory);

    function batch(uint256 account_, uint256 batch_) external view returns (Batch memory);

    /// @notice Number of accounts, clusters, validators ever registered, and of those not yet funded or discarded.
    function counts() external view returns (uint256 accounts, uint256 clusters, uint256 validators, uint256 unfunded);

    /// @notice Ready cluster (see `register`) with the fewest validators, and how many of its queue may be registered now; (0, 0) when
    /// nothing is due. Cluster ids start at 1.
    function nextRegistration() external view returns (uint256 cluster, uint256 count);

    /// @notice Clusters that governance has retired, in their order, and how many validators of each were ever funded.
    function retiredClusters() external view returns (uint256[] memory clusters, uint256[] memory deposited);

    /// @notice SSV Network, its views, and Ethereum's deposit contract.
    function externals() external view returns (address ssvNetwork, address ssvViews, address depositContract);

    function validatorExits() external view returns (address);

    /// @notice 0x01 || 11 zero bytes || WithdrawalVault.
    function withdrawalCredentials() external view returns (bytes32);
}
