// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IPoolETH} from "./interfaces/IPoolETH.sol";
import {IWithdrawalQueue, QueueState, RequestStatus} from "./interfaces/IWithdrawalQueue.sol";
import {FrameConfig, Frames} from "./libraries/Frames.sol";
import {RequestQueue} from "./libraries/RequestQueue.sol";

/// @title WithdrawalQueue
/// @notice See {IWithdrawalQueue}.
contract WithdrawalQueue is IWithdrawalQueue, UUPSUpgradeable, AccessManagedUpgradeable, ReentrancyGuardTransient {
    using Frames for FrameConfig;
    using RequestQueue for RequestQueue.Queue;
    using RequestQueue for RequestQueue.Arrivals;
    using RequestQueue for RequestQueue.Checkpoint;

    /// @custom:storage-location erc7201:pooleth.storage.WithdrawalQueue
    struct Layout {
        RequestQueue.Queue queue;
    }

    // keccak256(abi.encode(uint256(keccak256("pooleth.storage.WithdrawalQueue")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant LAYOUT = 0x64ddc5b52498f2aa4f9483c5ded8c31727da7ce25fc75870fc8992b41b7c5600;

    uint256 private constant MIN_REQUEST = 0.001 ether;
    uint256 private constant MAX_REQUEST = 1_000 ether;
    uint256 private constant MOST_PARTS = 64;
    uint256 private constant DUST = 1;

    IPoolETH private immutable TOKEN;
    address private immutable POOL_MANAGER;
    uint64 private immutable GENESIS_TIME;
    uint32 private immutable SECONDS_PER_SLOT;
    uint32 private immutable SLOTS_PER_FRAME;
    uint32 private immutable MARGIN;

    /// @param margin seconds before the end of a frame in which requests already wait for the next
    constructor(address poolETH, address poolManager, FrameConfig memory frames, uint32 margin) {
        if (poolETH == address(0) || poolManager == address(0)) revert ZeroAddress();
        if (margin >= frames.duration()) revert InvalidMargin(margin, frames.duration());
        (TOKEN, POOL_MANAGER, MARGIN) = (IPoolETH(poolETH), poolManager, margin);
        (GENESIS_TIME, SECONDS_PER_SLOT, SLOTS_PER_FRAME) = (
            frames.genesisTime,
            frames.secondsPerSlot,
            frames.slotsPerFrame
        );
        _disableInitializers();
    }

    receive() external payable {
        if (msg.sender != POOL_MANAGER) revert NotPoolManager(msg.sender);
    }

    /// @inheritdoc IWithdrawalQueue
    function initialize(address authority) external initializer {
        if (authority == address(0)) revert ZeroAddress();
        __AccessManaged_init(authority);
    }

    /// @inheritdoc IWithdrawalQueue
    function enqueue(address owner, uint256 shares, uint256 amount) external returns (uint256 firstId, uint256 lastId) {
        if (msg.sender != address(TOKEN)) revert NotPoolETH(msg.sender);
        if (owner == address(0)) revert ZeroAddress();
        uint256 parts = Math.ceilDiv(amount, MAX_REQUEST);
        if (parts > MOST_PARTS) revert RequestTooLarge(amount, MOST_PARTS * MAX_REQUEST);
        if (amount < MIN_REQUEST || shares < parts + DUST) revert RequestTooSmall(amount, MIN_REQUEST);
        RequestQueue.Queue storage queue = _queue();
        RequestQueue.Arrivals memory arrivals = queue.arrivals;
        if (arrivals.last == 0) shares -= DUST; // once
        firstId = uint256(arrivals.last) + 1;
        arrivals.enter(_frames().frameAt(block.timestamp + MARGIN));
        (uint256 amountBefore, uint256 sharesBefore) = (0, 0);
        for (uint256 i = 1; i <= parts; ++i) {
            uint256 amountUpTo = RequestQueue.part(amount, i, parts);
            uint256 sharesUpTo = RequestQueue.part(shares, i, parts);
            lastId = queue.append(arrivals, owner, sharesUpTo - sharesBefore);
            emit WithdrawalRequested(lastId, owner, amountUpTo - amountBefore, sharesUpTo - sharesBefore);
            (amountBefore, sharesBefore) = (amountUpTo, sharesUpTo);
        }
        queue.arrivals = arrivals;
    }

    /// @inheritdoc IWithdrawalQueue
    function finalise(
        uint256 frame,
        uint256 available,
        uint256 totalEther,
        uint256 totalShares
    ) external returns (uint256 paid, uint256 shares) {
        if (msg.sender != POOL_MANAGER) revert NotPoolManager(msg.sender);
        RequestQueue.Queue storage queue = _queue();
        RequestQueue.Progress memory p = queue.progress;
        uint256 firstId = uint256(p.finalised) + 1;
        (paid, shares) = queue.finalise(p, queue.arrivals.lastOf(frame), available, totalEther, totalShares);
        if (shares == 0) return (0, 0);
        emit WithdrawalsFinalised(firstId, p.finalised, p.checkpoints, paid, shares);
    }

    /// @inheritdoc IWithdrawalQueue
    function transferRequest(uint256 id, address to) external {
        if (to == address(0)) revert ZeroAddress();
        RequestQueue.Queue storage queue = _queue();
        _checkOwner(queue, id);
        queue.requests[id].owner = to;
        emit RequestTransferred(id, msg.sender, to);
    }

    /// @inheritdoc IWithdrawalQueue
    function claim(uint256 id, address recipient) external nonReentrant returns (uint256 amount) {
        RequestQueue.Queue storage queue = _queue();
        amount = _close(queue, id, recipient, queue.checkpointOf(id));
        _send(recipient, amount);
    }

    /// @inheritdoc IWithdrawalQueue
    function claim(uint256 id, address recipient, uint256 hint) external nonReentrant returns (uint256 amount) {
        amount = _close(_queue(), id, recipient, hint);
        _send(recipient, amount);
    }

    /// @inheritdoc IWithdrawalQueue
    function claimMany(
        uint256[] calldata ids,
        address recipient,
        uint256[] calldata hints_
    ) external nonReentrant returns (uint256 amount) {
        if (ids.length == 0) revert EmptyList();
        if (ids.length != hints_.length) revert LengthMismatch(ids.length, hints_.length);
        RequestQueue.Queue storage queue = _queue();
        for (uint256 i; i < ids.length; ++i) amount += _close(queue, ids[i], recipient, hints_[i]);
        _send(recipient, amount);
    }

    /// @inheritdoc IWithdrawalQueue
    function request(uint256 id) external view returns (RequestStatus memory status) {
        RequestQueue.Queue storage queue = _queue();
        _checkKnown(queue, id);
        status.owner = queue.requests[id].owner;
        status.shares = queue.sharesOf(id);
        status.finalised = id <= queue.progress.finalised;
        status.claimed = status.owner == address(0);
        status.amount =
            status.finalised
                ? queue.checkpoints[queue.checkpointOf(id)].share(status.shares)
                : TOKEN.getPooledEthByShares(status.shares);
    }

    /// @inheritdoc IWithdrawalQueue
    function requestsOf(address owner, uint256 fromId, uint256 toId) external view returns (uint256[] memory ids) {
        RequestQueue.Queue storage queue = _queue();
        if (owner == address(0)) revert ZeroAddress();
        (fromId, toId) = (Math.max(fromId, 1), Math.min(toId, queue.arrivals.last));
        if (fromId > toId) return ids;
        ids = new uint256[](toId - fromId + 1);
        uint256 count;
        for (uint256 id = fromId; id <= toId; ++id) if (queue.requests[id].owner == owner) ids[count++] = id;
        assembly ("memory-safe") {
            mstore(ids, count)
        }
    }

    /// @inheritdoc IWithdrawalQueue
    function position(uint256 id) external view returns (uint256 sharesAhead, uint256 etherAhead) {
        RequestQueue.Queue storage queue = _queue();
        _checkKnown(queue, id);
        sharesAhead = queue.sharesAhead(id);
        etherAhead = TOKEN.getPooledEthByShares(sharesAhead);
    }

    /// @inheritdoc IWithdrawalQueue
    function hints(uint256[] calldata ids) external view returns (uint256[] memory found) {
        RequestQueue.Queue storage queue = _queue();
        found = new uint256[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            _checkKnown(queue, ids[i]);
            if (ids[i] <= queue.progress.finalised) found[i] = queue.checkpointOf(ids[i]);
        }
    }

    /// @inheritdoc IWithdrawalQueue
    function state() external view returns (QueueState memory) {
        RequestQueue.Queue storage queue = _queue();
        uint256 last = queue.arrivals.last;
        return
            QueueState({
                lastRequest: last,
                lastFinalised: queue.progress.finalised,
                checkpoints: queue.progress.checkpoints,
                unfinalisedShares: queue.sharesAhead(last + 1)
            });
    }

    /// @inheritdoc IWithdrawalQueue
    function cutoffMargin() external view returns (uint256) {
        return MARGIN;
    }

    /// @inheritdoc IWithdrawalQueue
    function frameConfig() external view returns (uint64 genesisTime, uint32 secondsPerSlot, uint32 slotsPerFrame) {
        return (GENESIS_TIME, SECONDS_PER_SLOT, SLOTS_PER_FRAME);
    }

    /// @inheritdoc IWithdrawalQueue
    function targets() external view returns (address poolETH, address poolManager) {
        return (address(TOKEN), POOL_MANAGER);
    }

    function _authorizeUpgrade(address) internal override restricted {}

    /// @dev A valid hint proves that the request is finalised.
    function _close(
        RequestQueue.Queue storage queue,
        uint256 id,
        address recipient,
        uint256 hint
    ) private returns (uint256 amount) {
        if (recipient == address(0)) revert ZeroAddress();
        _checkOwner(queue, id);
        bool paid;
        (paid, amount) = queue.paidBy(id, hint);
        if (!paid) {
            uint256 finalised = queue.progress.finalised;
            if (id > finalised) revert RequestNotFinalised(id, finalised);
            revert InvalidHint(id, hint);
        }
        queue.requests[id].owner = address(0);
        emit WithdrawalClaimed(id, msg.sender, recipient, amount);
    }

    function _send(address recipient, uint256 amount) private {
        (bool sent, ) = recipient.call{value: amount}("");
        if (!sent) revert SendFailed(recipient, amount);
    }

    function _checkOwner(RequestQueue.Queue storage queue, uint256 id) private view {
        address owner = queue.requests[id].owner;
        if (owner == msg.sender) return;
        _checkKnown(queue, id);
        if (owner == address(0)) revert RequestClaimed(id);
        revert NotRequestOwner(id, owner, msg.sender);
    }

    function _checkKnown(RequestQueue.Queue storage queue, uint256 id) private view {
        uint256 last = queue.arrivals.last;
        if (id == 0 || id > last) revert UnknownRequest(id, last);
    }

    function _frames() private view returns (FrameConfig memory) {
        return FrameConfig(GENESIS_TIME, SECONDS_PER_SLOT, SLOTS_PER_FRAME);
    }

    function _queue() private view returns (RequestQueue.Queue storage) {
        Layout storage $;
        assembly ("memory-safe") {
            $.slot := LAYOUT
        }
        return $.queue;
    }
}
