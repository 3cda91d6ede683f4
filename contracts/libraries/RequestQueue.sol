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
    }

    struct Queue {
        Arrivals arrivals;
        Progress progress;
        mapping(uint256 id => Request) requests;
        mapping(uint256 index => Checkpoint) checkpoints; // from 1
    }

    /// @notice Appends `parts` requests of `owner` with `shares` in all, evenly.
    /// @param frame in which they came, never earlier than the one before
    /// @param parts at least 1, at most `shares`
    function append(
        Queue storage queue,
        uint256 frame,
        address owner,
        uint256 shares,
        uint256 parts
    ) internal returns (uint256 firstId, uint256 lastId) {
        Arrivals memory a = queue.arrivals;
        uint256 sum = a.cumulative;
        firstId = uint256(a.last) + 1;
        lastId = a.last + parts;
        for (uint256 i = 1; i <= parts; ++i)
            queue.requests[a.last + i] = Request(owner, (sum + part(shares, i, parts)).toUint96());
        if (frame > a.frame) {
            a.beforePrevious = frame == uint256(a.frame) + 1 ? a.before : a.last;
            (a.before, a.frame) = (a.last, frame.toUint40());
        }
        a.last = lastId.toUint40();
        a.cumulative = (sum + shares).toUint96();
        queue.arrivals = a;
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
    /// @return paid wei, rounded down, never more than `available`
    /// @return shares of the requests that were finalised; 0 when none was
    function finalise(
        Queue storage queue,
        uint256 cutoff,
        uint256 available,
        uint256 totalEther,
        uint256 totalShares
    ) internal returns (uint256 paid, uint256 shares) {
        Progress memory p = queue.progress;
        if (cutoff <= p.finalised || totalEther == 0) return (0, 0);
        uint256 start = queue.requests[p.finalised].cumulative;
        uint256 last = lastWithin(queue, p.finalised, cutoff, start + affordable(available, totalEther, totalShares));
        if (last == p.finalised) return (0, 0);
        shares = queue.requests[last].cumulative - start;
        paid = value(shares, totalEther, totalShares);
        (p.finalised, p.checkpoints) = (uint64(last), p.checkpoints + 1);
        queue.progress = p;
        queue.checkpoints[p.checkpoints] = Checkpoint(uint64(last), paid.toUint96(), uint96(shares));
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

    /// @notice Whether the checkpoint `index` paid the request `id`, which is not 0.
    function paidBy(Queue storage queue, uint256 id, uint256 index) internal view returns (bool) {
        return index != 0 && id <= queue.checkpoints[index].last && id > queue.checkpoints[index - 1].last;
    }

    /// @notice Shares of the request `id`, which is not 0.
    function sharesOf(Queue storage queue, uint256 id) internal view returns (uint256) {
        return queue.requests[id].cumulative - queue.requests[id - 1].cumulative;
    }

    /// @notice Shares of the requests behind the last finalised one and before `id`.
    function sharesAhead(Queue storage queue, uint256 id) internal view returns (uint256) {
        uint256 finalised = queue.progress.finalised;
        if (id <= finalised) return 0;
        return queue.requests[id - 1].cumulative - queue.requests[finalised].cumulative;
    }

    /// @notice What a request of `shares` gets of its checkpoint, rounded down, wei.
    function share(Checkpoint memory checkpoint, uint256 shares) internal pure returns (uint256) {
        return (uint256(checkpoint.paid) * shares) / checkpoint.shares;
    }
}
