// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title RequestQueue
/// @notice A queue of shares, paid first come, first served. Every request is one slot that keeps the sum of all shares up to it: any
/// number of requests is finalised by one binary search and one checkpoint.
///
/// Request 0 does not exist; its empty slot is where the sums begin. A claim clears the owner and leaves the sum: a request's
/// shares are the difference between its sum and that of the request before.
library RequestQueue {
    using SafeCast for uint256;

    struct Request {
        address owner; // zero once claimed
        uint96 cumulative; // shares of this request and all before it
    }

    /// The requests behind the checkpoint before, up to `last`: paid together, at one rate.
    struct Checkpoint {
        uint64 last;
        uint96 paid; // wei
        uint96 shares;
    }

    /// How many requests there are, and how many there were when their last frame and the one before it began.
    struct Arrivals {
        uint96 cumulative; // of the last request
        uint40 last;
        uint40 before; // when `frame` began
        uint40 beforePrevious; // when the frame before `frame` began
        uint40 frame; // of the last request
    }

    struct Progress {
        uint64 finalised; // last request that was
        uint64 checkpoints;
        uint96 cumulative; // of the last finalised request
    }

    struct Queue {
        Arrivals arrivals;
        Progress progress;
        mapping(uint256 id => Request) requests;
        mapping(uint256 index => Checkpoint) checkpoints; // from 1
    }

    /// @notice Requests come in `frame`, never earlier than the one before.
    function enter(Arrivals memory a, uint256 frame) internal pure {
        if (frame <= a.frame) return;
        a.beforePrevious = frame == uint256(a.frame) + 1 ? a.before : a.last;
        (a.before, a.frame) = (a.last, frame.toUint40());
    }

    /// @notice Appends a request to the queue that has had `a`, which the caller writes back.
    function append(
        Queue storage queue,
        Arrivals memory a,
        address owner,
        uint256 shares
    ) internal returns (uint256 id) {
        id = uint256(a.last) + 1;
        a.last = id.toUint40();
        a.cumulative = (a.cumulative + shares).toUint96();
        queue.requests[id] = Request(owner, a.cumulative);
    }

    /// @notice Shares of the first `i` of `parts` even requests.
    function part(uint256 shares, uint256 i, uint256 parts) internal pure returns (uint256) {
        return (shares * i) / parts;
    }

    /// @notice Last request that came no later than `frame`; 0, as if there were none, when requests came more than two frames later
    /// and nothing is known of so long ago any more.
    function lastOf(Arrivals memory a, uint256 frame) internal pure returns (uint256) {
        if (frame >= a.frame) return a.last;
        if (frame + 1 == a.frame) return a.before;
        return frame + 2 == a.frame ? a.beforePrevious : 0;
    }

    /// @notice Pays as many requests up to `cutoff` as `available` wei cover, in their order, at `totalEther / totalShares` a share.
    /// @param p how far the queue is, brought up to date
    /// @return paid wei, rounded down, never more than `available`
    /// @return shares of the requests that were finalised; 0 when none was
    function finalise(
        Queue storage queue,
        Progress memory p,
        uint256 cutoff,
        uint256 available,
        uint256 totalEther,
        uint256 totalShares
    ) internal returns (uint256 paid, uint256 shares) {
        if (cutoff <= p.finalised || totalEther == 0) return (0, 0);
        uint256 limit = p.cumulative + affordable(available, totalEther, totalShares);
        uint256 last = lastWithin(queue, p.finalised, cutoff, limit);
        if (last == p.finalised) return (0, 0);
        shares = queue.requests[last].cumulative - p.cumulative;
        paid = value(shares, totalEther, totalShares);
        _record(queue, p, Checkpoint(uint64(last), paid.toUint96(), uint96(shares)));
    }

    /// @notice Wei that `shares` are worth, rounded down.
    function value(uint256 shares, uint256 totalEther, uint256 totalShares) internal pure returns (uint256) {
        return (shares * totalEther) / totalShares;
    }

    /// @notice Most shares whose value, rounded down, is at most `available` wei.
    function affordable(uint256 available, uint256 totalEther, uint256 totalShares) internal pure returns (uint256) {
        return ((available + 1) * totalShares - 1) / totalEther;
    }

    /// @notice Last request from `low` to `high` whose sum is at most `limit`, which that of `low` is.
    function lastWithin(Queue storage queue, uint256 low, uint256 high, uint256 limit) internal view returns (uint256) {
        if (queue.requests[high].cumulative <= limit) return high;
        while (high - low > 1) {
            uint256 middle = Math.average(low, high);
            if (queue.requests[middle].cumulative <= limit) low = middle;
            else high = middle;
        }
        return low;
    }

    /// @notice Index of the checkpoint that paid the finalised request `id`.
    function checkpointOf(Queue storage queue, uint256 id) internal view returns (uint256) {
        (uint256 low, uint256 high) = (0, queue.progress.checkpoints);
        while (high - low > 1) {
            uint256 middle = Math.average(low, high);
            if (queue.checkpoints[middle].last < id) low = middle;
            else high = middle;
        }
        return high;
    }

    /// @notice What the request `id`, which is not 0, got of the checkpoint `index`, rounded down, wei; nothing if another or none
    /// paid it.
    function paidBy(Queue storage queue, uint256 id, uint256 index) internal view returns (bool paid, uint256 amount) {
        if (index == 0) return (false, 0);
        Checkpoint memory c = queue.checkpoints[index];
        if (id > c.last || id <= queue.checkpoints[index - 1].last) return (false, 0);
        return (true, share(c, sharesOf(queue, id)));
    }

    /// @notice Shares of the request `id`, which is not 0.
    function sharesOf(Queue storage queue, uint256 id) internal view returns (uint256) {
        return queue.requests[id].cumulative - queue.requests[id - 1].cumulative;
    }

    /// @notice Shares of the requests behind the last finalised one and before `id`.
    function sharesAhead(Queue storage queue, uint256 id) internal view returns (uint256) {
        Progress memory p = queue.progress;
        return id <= p.finalised ? 0 : queue.requests[id - 1].cumulative - p.cumulative;
    }

    /// @notice What a request of `shares` gets of its checkpoint, rounded down, wei.
    function share(Checkpoint memory checkpoint, uint256 shares) internal pure returns (uint256) {
        return (uint256(checkpoint.paid) * shares) / checkpoint.shares;
    }

    /// @dev A function of its own: with few variables on the stack the compiler writes each slot once.
    function _record(Queue storage queue, Progress memory p, Checkpoint memory c) private {
        (p.finalised, p.cumulative, p.checkpoints) = (c.last, p.cumulative + c.shares, p.checkpoints + 1);
        queue.progress = p;
        queue.checkpoints[p.checkpoints] = c;
    }
}
