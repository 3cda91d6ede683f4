// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {FrameCounter} from "../../../contracts/libraries/FrameCounter.sol";
import {RewardStream} from "../../../contracts/libraries/RewardStream.sol";
import {ShareMath} from "../../../contracts/libraries/ShareMath.sol";

contract ShareMathTest {
    function testFuzz_RoundsDownAndNeverCreatesValue(uint88 amount, uint88 totalShares, uint88 totalEther) public pure {
        if (totalShares == 0 || totalEther == 0) return;
        uint256 shares = ShareMath.toShares(amount, totalShares, totalEther);
        uint256 value = ShareMath.toEther(shares, totalShares, totalEther);
        require(value <= amount, "a round trip gains");
        // value + one share's value > amount
        require((uint256(amount) - value) * totalShares < uint256(totalEther) + totalShares, "loses more than a share");
        uint256 up = ShareMath.toEtherUp(shares, totalShares, totalEther);
        require(up == value || up == value + 1, "up is at most one more");
        require(up * totalShares >= shares * totalEther, "up covers the value");
    }

    function testFuzz_WithoutSharesOneShareIsOneWei(uint256 amount) public pure {
        require(ShareMath.toShares(amount, 0, 0) == amount);
        require(ShareMath.toEther(amount, 0, 0) == amount);
        require(ShareMath.toEtherUp(amount, 0, 0) == amount);
    }

    function testFuzz_ArgumentsBeyondAnySupplyStayBeyondAnySupply(
        uint256 amount,
        uint88 shares,
        uint88 ether_
    ) public pure {
        if (shares == 0 || ether_ == 0 || amount < 1 << 176) return;
        require(ShareMath.toShares(amount, shares, ether_) > type(uint88).max);
        require(ShareMath.toEther(amount, shares, ether_) > type(uint88).max);
        require(ShareMath.toEtherUp(amount, shares, ether_) > type(uint88).max);
    }
}

contract RewardStreamTest {
    using RewardStream for RewardStream.Stream;

    struct Terms {
        uint88 gross;
        uint88 uncovered;
        uint88 totalEther;
        uint32 frame;
        uint16 rateBps;
        uint16 feeBps;
        uint8 smaller;
        uint8 lost;
    }

    function _open(
        Terms memory t
    ) private pure returns (RewardStream.Stream memory stream, uint256 streamRate, uint256 waiting) {
        // pools, losses and gifts of every order of magnitude
        t.totalEther >>= t.smaller % 89;
        t.uncovered >>= t.lost % 89;
        t.frame = uint32(t.frame % 30 days) + 1;
        t.rateBps = (t.rateBps % 4_901) + 100;
        t.feeBps %= 1_501;
        return RewardStream.open(t.gross, t.uncovered, t.totalEther, t.frame, t.rateBps, t.feeBps);
    }

    function testFuzz_FitsItsFieldsAndLocksExactlyTheGross(Terms memory t) public pure {
        (RewardStream.Stream memory stream, uint256 streamRate, uint256 waiting) = _open(t);
        require(streamRate <= type(uint48).max, "rate fits");
        require(stream.locked(streamRate, stream.duration) + waiting == t.gross, "locked at once");
        require(stream.feeUnlocked(stream.duration) == 0, "no fee at once");
        uint256 streams = t.gross - waiting;
        require(stream.fee <= (streams * t.feeBps) / 10_000, "fee");
        require(stream.free <= streams && stream.free <= t.uncovered, "free");
        if (streams == 0) return;
        require(stream.duration <= RewardStream.LONGEST, "ends");
        require(stream.duration >= t.frame || stream.duration == RewardStream.LONGEST, "at least a frame");
        require(stream.dust < uint256(stream.duration) * RewardStream.UNIT, "dust");
    }

    function testFuzz_ExceedsTheYearlyRateOnlyToPayLossesBack(Terms memory t) public pure {
        (RewardStream.Stream memory stream, , uint256 waiting) = _open(t);
        uint256 streams = t.gross - waiting;
        if (streams * 365 days * 10_000 > uint256(t.rateBps) * t.totalEther * stream.duration)
            require(stream.free == streams && stream.duration == RewardStream.LONGEST, "faster than the yearly rate");
    }

    function testFuzz_KeepsBackNothingThatMayStream(Terms memory t) public pure {
        (, , uint256 waiting) = _open(t);
        if (waiting == 0) return;
        uint256 streams = t.gross - waiting;
        if (streams == 0) {
            // nothing may, or less than a unit a second
            uint256 allowed = (uint256(t.rateBps) * t.totalEther * 10) / 10_000;
            uint256 most = Math.min(t.gross, Math.max(allowed, t.uncovered));
            require(most * (10_000 - t.feeBps) <= RewardStream.LONGEST * RewardStream.UNIT * 10_000, "a unit a second");
            return;
        }
        require(streams >= t.uncovered, "losses");
        require((streams + 1) * 10_000 > uint256(t.rateBps) * t.totalEther * 10, "ten years of the yearly rate");
    }

    function testFuzz_NothingIsLostOrCreatedOnTheWay(Terms memory t, uint32 a, uint32 b) public pure {
        (RewardStream.Stream memory stream, uint256 streamRate, uint256 waiting) = _open(t);
        uint256 streams = t.gross - waiting;
        if (stream.duration == 0) {
            require(streams == 0, "no time without a stream alone");
            return;
        }
        (uint256 early, uint256 late) = (a % (uint256(stream.duration) + 1), b % (uint256(stream.duration) + 1));
        if (early < late) (early, late) = (late, early); // seconds left
        uint256 netEarly = streamRate * RewardStream.UNIT * (stream.duration - early);
        require(stream.locked(streamRate, early) + stream.feeUnlocked(early) + netEarly == streams, "identity");
        require(stream.locked(streamRate, late) <= stream.locked(streamRate, early), "locked only falls");
        require(stream.feeUnlocked(late) >= stream.feeUnlocked(early), "fee only rises");
        require(stream.freeUnlocked(late) >= stream.freeUnlocked(early), "free only rises");
        require(stream.locked(streamRate, 0) == stream.dust, "dust is what stays");
        require(stream.feeUnlocked(0) == stream.fee && stream.freeUnlocked(0) == stream.free, "all at the end");
    }

    function testFuzz_NoStreamLocksNothing(uint32 secondsLeft) public pure {
        RewardStream.Stream memory none;
        uint256 streamRate;
        uint256 waiting;
        (none, streamRate, waiting) = RewardStream.open(0, 1, 1, 1, 100, 100);
        require(streamRate == 0 && none.locked(0, 0) == 0 && none.feeUnlocked(0) == 0 && none.duration == 0);
        require(waiting == 0);
        // a pool of nothing has nothing to measure a gain against: all waits
        (none, streamRate, waiting) = RewardStream.open(7, 0, 0, 1, 5_000, 100);
        require(streamRate == 0 && none.locked(0, 0) == 0 && none.feeUnlocked(0) == 0 && none.duration == 0);
        require(waiting == 7);
        // so does what gives holders less than a unit a second, without a fee
        uint256 least = RewardStream.UNIT * 1 days;
        (none, streamRate, waiting) = RewardStream.open(least - 1, 0, 1e24, 1 days, 5_000, 0);
        require(streamRate == 0 && none.locked(0, 0) == 0 && none.feeUnlocked(0) == 0 && none.duration == 0);
        require(waiting == least - 1);
        (none, streamRate, waiting) = RewardStream.open(least, 0, 1e24, 1 days, 5_000, 0);
        require(streamRate == 1 && none.duration == 1 days && waiting == 0);
        require(RewardStream.remaining(secondsLeft, uint256(secondsLeft) + 1) == 0);
        require(RewardStream.remaining(uint256(secondsLeft) + 7, secondsLeft) == 7);
    }
}

contract FrameCounterTest {
    using FrameCounter for FrameCounter.Counter;

    FrameCounter.Counter private _counter;

    function testFuzz_KnowsTheTotalAtTheEndOfTheLatestCompletedFrame(
        uint64[8] memory gaps,
        uint88[8] memory added
    ) public {
        uint256 frame;
        uint256 total;
        for (uint256 i; i < 8; ++i) {
            uint256 gap = gaps[i] % 3;
            if (gap != 0) {
                frame += gap;
                require(_counter.atEndOf(frame - 1) == total, "before the frame's additions");
            }
            total += added[i];
            require(_counter.add(frame, added[i]) == total);
            if (frame != 0) require(_counter.atEndOf(frame - 1) == total - _sinceFrameBegan(gaps, added, i));
            require(_counter.atEndOf(frame) == total, "and after");
        }
    }

    function _sinceFrameBegan(
        uint64[8] memory gaps,
        uint88[8] memory added,
        uint256 last
    ) private pure returns (uint256 sum) {
        for (uint256 i = last; ; --i) {
            sum += added[i];
            if (gaps[i] % 3 != 0 || i == 0) return sum;
        }
    }
}
