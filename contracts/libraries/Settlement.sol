// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Rate} from "../interfaces/IPoolETH.sol";
import {Figures, IPoolManager, PendingLoss} from "../interfaces/IPoolManager.sol";
import {RewardStream} from "./RewardStream.sol";
import {ShareMath} from "./ShareMath.sol";

/// @title Settlement
/// @notice The arithmetic of a report between what the pool knew and what it is told: settle what has unlocked, weigh gain and loss,
/// pay what is owed. docs/accounting.md explains every step.
library Settlement {
    using RewardStream for RewardStream.Stream;
    using SafeCast for uint256;

    struct Ledger {
        uint96 swept; // ever, from the WithdrawalVault
        uint96 owed;
        uint16 feeBps;
        uint16 maxYearlyRateBps;
    }

    struct Losses {
        uint88 uncovered;
        uint88 recent; // at `recentAt`; decays from there to 0 within `window`
        uint32 recentAt;
        uint32 window;
        uint16 limitBps;
    }

    /// A report as it stands at this moment. Wei.
    struct Verdict {
        Ledger ledger;
        Losses losses;
        uint256 buffered; // with what is about to be swept
        uint256 sharesBefore;
        uint256 etherBefore;
        uint256 gross; // buffered + reported value + in flight
        uint256 locked; // streaming or waiting
        uint256 withdrawals;
        uint256 executionRewards;
        int256 gain;
        uint256 loss; // fall of totalPooledEther
    }

    /// What a report pays: what is owed, and withdrawals. Wei.
    struct Payment {
        uint256 reserveFee;
        uint256 treasuryFee;
        uint256 treasuryShares;
        uint256 withdrawn;
        uint256 burnedShares;
    }

    uint256 private constant BPS = 10_000;

    /// @notice A report as it is judged, now or once governance has decided; reverts on figures that no chain can produce.
    /// @param swept wei ever swept from the WithdrawalVault, which holds `held` wei more
    function take(
        Figures calldata figures,
        uint256 swept,
        uint256 held,
        uint256 depositedAtRef,
        uint256 time
    ) internal pure returns (PendingLoss memory) {
        (uint256 balance, uint256 withdrawn) = (figures.clBalance, figures.withdrawnAtRef);
        if (balance > type(uint88).max) revert IPoolManager.FigureTooLarge("clBalance", balance);
        if (withdrawn < swept) revert IPoolManager.WithdrawnDecreased(withdrawn, swept);
        if (withdrawn - swept > held) revert IPoolManager.WithdrawalsNotInVault(withdrawn - swept, held);
        return
            PendingLoss({
                frame: figures.frame.toUint64(),
                refSlot: figures.refSlot.toUint64(),
                value: uint96(Math.saturatingSub(balance, figures.openPenalties)),
                withdrawnAtRef: withdrawn.toUint96(),
                depositedAtRef: uint96(depositedAtRef),
                reportedAt: uint64(time),
                loss: 0
            });
    }

    /// @notice Step 1: the fee that has unlocked becomes owed, losses are forgotten as far as they were paid back, and only what is
    /// still locked, what waited with it, is left to stream. The total does not change by it.
    function settle(
        Verdict memory v,
        RewardStream.Stream memory stream,
        uint256 waiting,
        Rate memory rate,
        uint256 time
    ) internal pure {
        uint256 left = RewardStream.remaining(rate.streamEnd, time);
        v.sharesBefore = rate.totalShares;
        v.etherBefore = Math.saturatingSub(rate.pooledEther, RewardStream.netLocked(rate.streamRate, left));
        v.ledger.owed += uint96(stream.feeUnlocked(left));
        v.losses.uncovered = uint88(Math.saturatingSub(v.losses.uncovered, stream.freeUnlocked(left)));
        v.locked = stream.locked(rate.streamRate, left) + waiting;
        v.losses.recent = remembered(v.losses, time);
    }

    /// @notice What of past losses still counts against the limit.
    function remembered(Losses memory losses, uint256 time) internal pure returns (uint88) {
        if (losses.recent == 0) return 0; // a new pool has no window yet
        uint256 left = RewardStream.remaining(uint256(losses.recentAt) + losses.window, time);
        return uint88(Math.ceilDiv(losses.recent * left, losses.window));
    }

    /// @notice Under new terms, what the old window has forgotten stays so; the rest fades over the new one.
    function renewed(
        Losses memory losses,
        uint16 limitBps,
        uint32 window,
        uint256 time
    ) internal pure returns (Losses memory) {
        return Losses(losses.uncovered, remembered(losses, time), uint32(time), window, limitBps);
    }

    /// @notice Step 2: a gain is locked; a loss first eats what is locked, the rest lowers the total.
    /// @param value reported beacon balance less open penalties
    /// @param inFlight deposits the report cannot have seen
    /// @param expected what `value` would be had nothing been gained, lost or withdrawn
    function weigh(Verdict memory v, uint256 value, uint256 inFlight, int256 expected) internal pure {
        uint256 income = v.withdrawals + v.executionRewards;
        v.buffered += income;
        v.gross = v.buffered + value + inFlight;
        v.gain = int256(value + income) - expected;
        if (v.gain >= 0) {
            v.locked += uint256(v.gain);
        } else {
            uint256 fall = uint256(-v.gain);
            uint256 eaten = Math.min(v.locked, fall);
            v.locked -= eaten;
            v.loss = fall - eaten;
        }
    }

    /// @notice Most by which the total may fall within the window without governance.
    function lossLimit(Verdict memory v) internal pure returns (uint256) {
        return (v.etherBefore * v.losses.limitBps) / BPS;
    }

    /// @notice The loss is there: gains pay it back free of fee, and it counts against the limit until the window has passed.
    function remember(Verdict memory v, uint256 time) internal pure {
        v.losses.uncovered = _saturate(v.losses.uncovered + v.loss);
        v.losses.recent = _saturate(v.losses.recent + v.loss);
        v.losses.recentAt = uint32(time);
    }

    /// @notice Step 3: the reserve gets what it lacks, in ETH and as far as ETH is there; the treasury gets new shares at the
    /// current rate for the rest.
    function pay(Verdict memory v, uint256 shortfall) internal pure returns (Payment memory paid) {
        uint256 owed = v.ledger.owed;
        uint256 toReserve = Math.min(owed, shortfall);
        paid.reserveFee = Math.min(toReserve, v.buffered);
        uint256 total = totalEther(v);
        if (total != 0) {
            uint256 room = type(uint88).max - v.sharesBefore;
            uint256 amount = Math.min(owed - toReserve, ShareMath.toEther(room, v.sharesBefore, total));
            paid.treasuryShares = ShareMath.toShares(amount, v.sharesBefore, total);
            if (paid.treasuryShares != 0) paid.treasuryFee = amount;
        }
        v.ledger.owed = uint96(owed - paid.reserveFee - paid.treasuryFee);
        v.buffered -= paid.reserveFee;
        v.gross -= paid.reserveFee;
    }

    /// @notice Pooled ether at this moment of the report.
    function totalEther(Verdict memory v) internal pure returns (uint256) {
        return Math.saturatingSub(v.gross, v.ledger.owed + v.locked);
    }

    /// @notice Tells the world.
    function announce(
        Verdict memory v,
        uint256 refSlot,
        Payment memory paid,
        uint256 etherAfter,
        uint256 elapsed,
        uint256 streamEnd
    ) internal {
        emit IPoolManager.Rebased(
            refSlot,
            v.sharesBefore,
            v.etherBefore,
            v.sharesBefore + paid.treasuryShares - paid.burnedShares,
            etherAfter,
            v.gain,
            paid.reserveFee,
            paid.treasuryFee,
            paid.treasuryShares,
            elapsed
        );
        emit IPoolManager.Settled(
            refSlot,
            v.withdrawals,
            v.executionRewards,
            v.locked,
            v.ledger.owed,
            v.losses.uncovered,
            streamEnd
        );
    }

    function _saturate(uint256 value) private pure returns (uint88) {
        return uint88(Math.min(value, type(uint88).max));
    }
}
