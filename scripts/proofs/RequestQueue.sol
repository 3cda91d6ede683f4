// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RequestQueue} from "../../contracts/libraries/RequestQueue.sol";

/// @notice The parts of a split request sum to the whole: they begin at 0 and end at all of its shares.
contract PartsSumToTheWhole {
    function prove(uint96 shares, uint256 parts) external pure {
        require(parts != 0 && parts <= 64);
        assert(RequestQueue.part(shares, 0, parts) == 0 && RequestQueue.part(shares, parts, parts) == shares);
    }
}

/// @notice Every part is the even share, rounded down or up: no two differ by more than one unit.
contract PartsDifferByAtMostOne {
    function prove(uint96 shares, uint256 i, uint256 parts) external pure {
        require(i < parts && parts <= 64);
        uint256 size = RequestQueue.part(shares, i + 1, parts) - RequestQueue.part(shares, i, parts);
        assert(size * parts < uint256(shares) + parts && size * parts + parts > shares);
    }
}

/// @notice No part is empty.
contract NoPartIsEmpty {
    function prove(uint96 shares, uint256 i, uint256 parts) external pure {
        require(i < parts && parts <= 64 && parts <= shares);
        assert(RequestQueue.part(shares, i + 1, parts) > RequestQueue.part(shares, i, parts));
    }
}

/// @notice The most shares that `available` affords are worth no more than that, and so are fewer.
contract FinalisePaysAtMostWhatIsAvailable {
    function prove(uint96 available, uint96 shares, uint96 totalEther, uint96 totalShares) external pure {
        require(totalEther != 0 && totalShares != 0);
        uint256 most = RequestQueue.affordable(available, totalEther, totalShares);
        require(shares <= most);
        uint256 paid = RequestQueue.value(shares, totalEther, totalShares);
        // two products that are natural numbers, which Z3 would not think of
        (paid > available ? (paid - available - 1) * totalShares : 0, (most - shares) * totalEther);
        assert(paid <= available);
    }
}

/// @notice One share more than is afforded would cost more than is available.
contract NoAffordableShareIsLeftOut {
    function prove(uint96 available, uint96 totalEther, uint96 totalShares) external pure {
        require(totalEther != 0 && totalShares != 0);
        uint256 most = RequestQueue.affordable(available, totalEther, totalShares);
        uint256 cost = RequestQueue.value(most + 1, totalEther, totalShares);
        // a product that is a natural number, which Z3 would not think of
        (cost <= available ? (available - cost) * totalShares : 0);
        assert(cost > available);
    }
}

/// @notice Finalising at the report's rate never lowers the rate of those who stay: what is paid for all shares finalised is no more than
/// their part of the whole, so what stays is no less than the part of those who stay.
contract FinaliseKeepsTheRate {
    function prove(uint96 shares, uint96 totalShares, uint96 totalEther) external pure {
        require(totalShares != 0 && shares <= totalShares);
        uint256 paid = RequestQueue.value(shares, totalEther, totalShares);
        assert(paid * totalShares <= uint256(shares) * totalEther);
    }
}

/// @notice A claim leaves its checkpoint enough for the claims that are left: together they never get more than the checkpoint's ether. It
/// holds at the first claim, of which `left` is `paid` and `sharesLeft` is `all`, and at any claim if it held at the one before.
contract ClaimsNeverExceedTheirCheckpoint {
    function prove(uint96 paid, uint96 all, uint96 left, uint96 sharesLeft, uint96 shares) external pure {
        require(all != 0 && shares <= sharesLeft && sharesLeft <= all);
        require(uint256(left) * all >= uint256(paid) * sharesLeft);
        uint256 claimed = RequestQueue.share(RequestQueue.Checkpoint(0, paid, all), shares);
        assert(claimed <= left && (left - claimed) * all >= uint256(paid) * (sharesLeft - shares));
    }
}

/// @notice A claim is never more than its shares were worth in the report that paid them.
contract AClaimIsAtMostItsValue {
    function prove(uint96 batch, uint96 shares, uint96 totalEther, uint96 totalShares, uint96 paid) external pure {
        require(totalShares != 0 && batch != 0 && shares <= batch);
        require(paid == RequestQueue.value(batch, totalEther, totalShares));
        uint256 claimed = RequestQueue.share(RequestQueue.Checkpoint(0, paid, batch), shares);
        assert(claimed * totalShares <= uint256(shares) * totalEther);
    }
}

/// @notice Neither the checkpoint's rounding nor the claim's takes a whole wei.
contract EachRoundingTakesLessThanAWei {
    function prove(uint96 batch, uint96 shares, uint96 totalEther, uint96 totalShares, uint96 paid) external pure {
        require(totalShares != 0 && batch != 0 && shares <= batch);
        uint256 value = RequestQueue.value(batch, totalEther, totalShares);
        uint256 claimed = RequestQueue.share(RequestQueue.Checkpoint(0, paid, batch), shares);
        assert(
            (value + 1) * totalShares > uint256(batch) * totalEther && (claimed + 1) * batch > uint256(paid) * shares
        );
    }
}

/// @notice A new request's sum is that of the one before and its own shares: sums never fall.
contract TheSumsGrow is RequestQueue {
    function prove(uint96 sum, uint40 last, uint96 shares) external {
        Arrivals memory a = Arrivals(sum, last, 0, 0, 0);
        queue.requests[last].cumulative = sum;
        uint256 id = append(a, address(1), shares);
        assert(queue.requests[id].cumulative == uint256(queue.requests[id - 1].cumulative) + shares);
    }
}

/// @notice The search for what can be paid finds a request whose sum is within the limit, and the one behind it is not, whatever is in the queue.
contract TheLastWithinTheLimitIsFound is RequestQueue {
    function fill(uint256 id, uint96 cumulative) external {
        queue.requests[id].cumulative = cumulative;
    }

    function prove(uint64 low, uint64 high, uint256 limit) external view {
        require(low < high && queue.requests[low].cumulative <= limit);
        uint256 found = lastWithin(low, high, limit);
        assert(low <= found && found <= high && queue.requests[found].cumulative <= limit);
        assert(found == high || queue.requests[found + 1].cumulative > limit);
    }
}
