// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title RewardStream
/// @notice The linear release of a gain. A report locks a gross amount; from then until the stream's end it unlocks evenly, a fee on
/// it alongside. A gain beyond what the yearly limit lets through in ten years waits, locked, for the next report, unless it pays back
/// losses. What holders get each second is a whole number of 10,000 wei, so that it fits the token's slot; what does not divide
/// ("dust") stays locked until the next report, and a gain of less than that a second waits whole: no fee is worth its payment then.
///
/// At every moment `locked + fee unlocked + net unlocked + waiting = gross`, without a wei of difference.
library RewardStream {
    using RewardStream for Stream;

    /// What the token does not know of the running stream. Its net rate and its end are in the token's slot.
    struct Stream {
        uint88 fee; // fee on the whole stream, wei
        uint88 free; // part of what streams that pays back losses: no fee is due on it, wei
        uint32 duration; // seconds
        uint48 dust; // wei
    }

    /// @dev wei in one unit of the token's stream rate
    uint256 internal constant UNIT = 10_000;
    /// @dev the slowest stream
    uint256 internal constant LONGEST = 10 * 365 days;
    uint256 private constant BPS = 10_000;

    /// @notice Seconds left at `time`.
    function remaining(uint256 streamEnd, uint256 time) internal pure returns (uint256) {
        return streamEnd > time ? streamEnd - time : 0;
    }

    /// @notice Net gain still locked, dust aside, wei.
    function netLocked(uint256 streamRate, uint256 secondsLeft) internal pure returns (uint256) {
        return streamRate * UNIT * secondsLeft;
    }

    /// @notice What of `part`, spread over `duration` seconds, has unlocked when `secondsLeft` are left; rounded down.
    function unlocked(uint256 part, uint256 secondsLeft, uint256 duration) internal pure returns (uint256) {
        return secondsLeft == 0 ? part : part - Math.ceilDiv(part * secondsLeft, duration);
    }

    /// @notice Gross amount the stream has still locked, wei.
    function locked(Stream memory stream, uint256 streamRate, uint256 secondsLeft) internal pure returns (uint256) {
        return stream.fee - stream.feeUnlocked(secondsLeft) + netLocked(streamRate, secondsLeft) + stream.dust;
    }

    /// @notice Fee that has unlocked, wei.
    function feeUnlocked(Stream memory stream, uint256 secondsLeft) internal pure returns (uint256) {
        return unlocked(stream.fee, secondsLeft, stream.duration);
    }

    /// @notice Gain that has unlocked free of fee, wei.
    function freeUnlocked(Stream memory stream, uint256 secondsLeft) internal pure returns (uint256) {
        return unlocked(stream.free, secondsLeft, stream.duration);
    }

    /// @notice The stream that releases of `gross` wei from now on what `yearlyRateBps` lets through in ten years, or what pays back
    /// losses where that is more.
    /// @param uncovered losses not yet paid back: gains up to it are free of fee, wei
    /// @param totalEther pooled ether now, wei
    /// @param shortest seconds the stream takes at least
    /// @param yearlyRateBps highest gross rate as a share of `totalEther` a year; not 0. Only a stream that does nothing but pay back
    /// losses may be faster, if it would else take more than ten years
    /// @return stream its fee and terms
    /// @return streamRate net rate, units of 10,000 wei a second
    /// @return waiting what does not stream yet, wei
    function open(
        uint256 gross,
        uint256 uncovered,
        uint256 totalEther,
        uint256 shortest,
        uint256 yearlyRateBps,
        uint256 feeBps
    ) internal pure returns (Stream memory stream, uint256 streamRate, uint256 waiting) {
        uint256 allowed = Math.max((yearlyRateBps * totalEther * LONGEST) / (365 days * BPS), uncovered);
        waiting = Math.saturatingSub(gross, allowed);
        gross -= waiting;
        if (gross == 0) return (stream, 0, waiting);
        uint256 duration = LONGEST;
        if (totalEther != 0) {
            duration = Math.max(shortest, Math.ceilDiv(gross * 365 days * BPS, yearlyRateBps * totalEther));
            // above 2.8 ETH a second, more than half of all ether a year, only the width of the token's field sets the pace
            duration = Math.min(LONGEST, Math.max(duration, Math.ceilDiv(gross, UNIT * type(uint48).max)));
        }
        uint256 free = Math.min(gross, uncovered);
        uint256 fee = ((gross - free) * feeBps) / BPS;
        streamRate = (gross - fee) / (duration * UNIT);
        if (streamRate == 0) return (stream, 0, waiting + gross);
        uint256 dust = gross - fee - netLocked(streamRate, duration);
        // gross is below 2^88; dust is less than 10,000 wei for each of at most 10 years' seconds
        stream = Stream(uint88(fee), uint88(free), uint32(duration), uint48(dust));
    }
}
