// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// A request as it stands now.
struct RequestStatus {
    address owner; // zero once claimed
    uint256 shares;
    uint256 amount; // wei: what it was paid, what can be claimed, or what it would be paid at this moment's rate
    bool finalised;
    bool claimed;
}

/// The queue as a whole. `lastFinalised` and every request before it can be claimed.
struct QueueState {
    uint256 lastRequest;
    uint256 lastFinalised;
    uint256 checkpoints;
    uint256 unfinalisedShares;
}

/// @title WithdrawalQueue
/// @notice Where poolETH becomes ETH again, first come, first served. A request hands shares to the queue through
/// `PoolETH.requestWithdrawal`; its owner keeps gaining and losing with the pool until a report finalises it: then the shares are burned for
/// their value at that moment, and the ETH lies here until it is claimed. A request cannot be cancelled, but given away.
///
/// Requests are made in frames: those made less than `cutoffMargin` seconds before a frame's end, or later, are not finalised by
/// that frame's report but by the next, so that nobody leaves on news that a report does not know.
///
/// Claims cannot be stopped: no role, pause, pending loss or old report matters here, and neither does the AccessManager, which only
/// authorises upgrades. The queue can pull nobody's shares. A single share, of the very first request, stays in it for ever: it keeps the
/// queue's balance from being cleared, which would make the next request dearer. What rounding leaves of a checkpoint stays as well, less
/// than a wei a request.
///
/// Roles: `PoolETH` brings requests, `PoolManager` finalises; owners of requests do the rest.
interface IWithdrawalQueue {
    /// @notice `shares` worth `amount` wei now wait for `owner`.
    event WithdrawalRequested(uint256 indexed id, address indexed owner, uint256 amount, uint256 shares);
    event RequestTransferred(uint256 indexed id, address indexed from, address indexed to);
    /// @notice The requests from `firstId` to `lastId` got `amount` wei for their `shares`, in checkpoint `checkpoint`.
    event WithdrawalsFinalised(
        uint256 indexed firstId,
        uint256 indexed lastId,
        uint256 checkpoint,
        uint256 amount,
        uint256 shares
    );
    event WithdrawalClaimed(uint256 indexed id, address indexed owner, address indexed recipient, uint256 amount);

    /// @notice Requests are made through `PoolETH.requestWithdrawal`.
    error NotPoolETH(address caller);
    /// @notice Only the PoolManager finalises and sends ETH here.
    error NotPoolManager(address caller);
    /// @notice There is no such request; the last one is `lastRequest`.
    error UnknownRequest(uint256 id, uint256 lastRequest);
    error NotRequestOwner(uint256 id, address owner, address caller);
    /// @notice The request waits: up to `lastFinalised` they can be claimed.
    error RequestNotFinalised(uint256 id, uint256 lastFinalised);
    error RequestClaimed(uint256 id);
    /// @notice The checkpoint `hint` did not pay the request; ask `hints`, or claim without.
    error InvalidHint(uint256 id, uint256 hint);
    /// @notice Less than `minimum` wei, or less than a share for every request it is split into.
    error RequestTooSmall(uint256 amount, uint256 minimum);
    /// @notice More than `maximum` wei at once: make several.
    error RequestTooLarge(uint256 amount, uint256 maximum);
    error ZeroAddress();
    error EmptyList();
    error LengthMismatch(uint256 ids, uint256 hints);
    /// @notice `recipient` did not take the ETH; the request can still be claimed, to another.
    error SendFailed(address recipient, uint256 amount);
    /// @notice The margin must be shorter than a frame of `frameSeconds`.
    error InvalidMargin(uint256 margin, uint256 frameSeconds);

    /// @notice Once.
    /// @param authority AccessManager, which authorises upgrades and nothing else
    function initialize(address authority) external;

    /// @notice PoolETH only, which has just moved `shares` worth `amount` wei here. More than 1,000 ETH are split evenly into as
    /// many requests as it takes, at most 64, so that nobody blocks the head of the queue for long.
    /// @param owner who may claim
    /// @param shares rounded for the pool; at least one for each request
    /// @param amount wei, at least 0.001 ether
    /// @return firstId of the requests made
    /// @return lastId the same unless it was split
    function enqueue(address owner, uint256 shares, uint256 amount) external returns (uint256 firstId, uint256 lastId);

    /// @notice PoolManager only, in a report for `frame`. Finalises what came in time and `available` wei can pay, at
    /// `totalEther / totalShares` a share; the PoolManager then burns the shares and sends the ETH. Costs the same for any number of requests, and
    /// never reverts. If requests came more than two frames later, as when governance confirms a loss late, it cannot tell any more who
    /// came in time, and finalises none.
    /// @return paid wei, rounded down, at most `available`
    /// @return shares to burn
    function finalise(
        uint256 frame,
        uint256 available,
        uint256 totalEther,
        uint256 totalShares
    ) external returns (uint256 paid, uint256 shares);

    /// @notice Gives the request to `to`. Its owner only; also when it is finalised.
    function transferRequest(uint256 id, address to) external;

    /// @notice Sends what the finalised request `id` was paid to `recipient`. Its owner only.
    /// @return amount wei
    function claim(uint256 id, address recipient) external returns (uint256 amount);

    /// @notice The same for less gas.
    /// @param hint checkpoint that paid it, as `hints` tells
    function claim(uint256 id, address recipient, uint256 hint) external returns (uint256 amount);

    /// @notice Several at once, in one payment.
    /// @param hints_ one for each id
    function claimMany(
        uint256[] calldata ids,
        address recipient,
        uint256[] calldata hints_
    ) external returns (uint256 amount);

    /// @notice A request and what it is worth.
    function request(uint256 id) external view returns (RequestStatus memory);

    /// @notice Requests of `owner` that are not claimed, among `fromId` to `toId`. For calls from outside: it reads every request between.
    function requestsOf(address owner, uint256 fromId, uint256 toId) external view returns (uint256[] memory ids);

    /// @notice Shares waiting ahead of the request, and their value now, wei; 0 once it is finalised.
    function position(uint256 id) external view returns (uint256 sharesAhead, uint256 etherAhead);

    /// @notice For every request the checkpoint that paid it; 0 while it waits.
    function hints(uint256[] calldata ids) external view returns (uint256[] memory);

    function state() external view returns (QueueState memory);

    /// @notice Seconds before the end of a frame from which on requests wait for the report of the next.
    function cutoffMargin() external view returns (uint256);

    /// @notice Must equal the PoolManager's.
    function frameConfig() external view returns (uint64 genesisTime, uint32 secondsPerSlot, uint32 slotsPerFrame);

    /// @notice The contracts it knows.
    function targets() external view returns (address poolETH, address poolManager);
}
