// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Totals} from "../../../contracts/interfaces/IPoolManager.sol";
import {Deployment} from "./Deployment.sol";
import {vm} from "./Vm.sol";

/// @notice Time, the beacon chain's ETH and what everybody is entitled to, kept apart from the contracts, and what must hold across every
/// action.
abstract contract World is Deployment {
    uint256 public constant ACTORS = 4;

    struct Rate {
        uint256 total;
        uint256 shares;
    }

    /// How often an action did what it is there for.
    mapping(bytes4 action => uint256) public succeeded;
    bool internal _done;

    // time and beacon chain, as they really are
    uint256 public clock = START;
    uint256 public beacon; // all ETH there, seen by a report or not
    uint256 internal _slashedEther; // of it, slashed validators'
    uint256 internal _strayEther; // of it, of validators that were empty before
    uint256 internal _openPenalties;
    uint256 public deposited; // ever
    uint256 internal _exited; // ever into the WithdrawalVault, gifts too
    uint256 internal _frame; // to which these belong: no report for the frame before saw them
    uint256 internal _depositedInFrame;
    uint256 internal _exitedInFrame;
    uint256 internal _exitedAtBeacon; // of _exitedInFrame, from the beacon chain

    // what came in and went out, wei
    int256 public brought = int256(INITIAL); // stakes, gifts and rewards less losses, when they happened
    uint256 public staked = INITIAL;
    int256 public gained; // by rewards and gifts less losses and open penalties, as far as a report for the last frame knows
    uint256 public donated; // to the reserve
    uint256 public claimed;
    mapping(uint256 actor => uint256) public claimableOf;
    mapping(uint256 actor => uint256) public queuedSharesOf;
    mapping(uint256 actor => uint256) public outOf; // claimed ETH
    mapping(uint256 actor => int256) internal _entitled; // by stakes, transfers, gains and losses, up to now

    // as the last applied report left it
    uint256 internal _etherAtReport = INITIAL;
    uint256 internal _yearlyBpsAtReport = 1_000;
    bool internal _recovering;

    /// Whatever users do at one moment: no share loses value, nobody gains.
    modifier asUser() {
        _enter();
        Rate memory rate = _rate();
        for (uint256 k; k < ACTORS; ++k) _entitled[k] = int256(wealth(k));
        _;
        _requireNotLower(rate, 0, "I3: an action lowers the rate");
        uint256 rounding = 2 * Math.ceilDiv(token.totalPooledEther(), token.totalShares()) + 2;
        for (uint256 k; k < ACTORS; ++k)
            require(int256(wealth(k)) <= _entitled[k] + int256(rounding), "I2: an actor gains by an action");
        _leave();
    }

    /// A report or what governance does with one.
    modifier asReport() {
        _enter();
        _;
        _leave();
    }

    modifier asTime() {
        _enter();
        Totals memory t = manager.totals();
        uint256 since = clock;
        _;
        uint256 growth = token.totalPooledEther() - t.totalPooledEther; // reverts if time takes
        require(growth <= t.locked, "I10: more streams than is locked");
        uint256 most = (_etherAtReport * _yearlyBpsAtReport * (clock - since)) / (365 days * 10_000) + 1;
        require(_recovering || growth <= most, "I10: faster than the yearly limit");
        _leave();
    }

    function actor(uint256 k) public pure returns (address) {
        return address(uint160(0xAC7000 + k));
    }

    /// Wei that the actor holds or could hold: claims taken, claims due, shares, shares in the queue.
    function wealth(uint256 k) public view returns (uint256) {
        return outOf[k] + claimableOf[k] + token.getPooledEthByShares(token.sharesOf(actor(k)) + queuedSharesOf[k]);
    }

    function _enter() internal {
        vm.warp(clock);
        vm.roll(BLOCK);
        _done = false;
        uint256 frame = _frameAt(clock);
        if (frame == _frame) return;
        // gifts to the WithdrawalVault are gains once a report can know of them
        gained += int256(_exitedInFrame - _exitedAtBeacon);
        (_frame, _depositedInFrame, _exitedInFrame, _exitedAtBeacon) = (frame, 0, 0, 0);
    }

    function _leave() internal {
        if (_done) ++succeeded[msg.sig];
    }

    function _warp(uint256 timestamp) internal {
        clock = timestamp;
        vm.warp(timestamp);
    }

    /// A frame is reported once.
    function _nextFrame(uint256 a) internal {
        uint256 frame = _frameAt(clock);
        if (frame <= reportOracle.lastFrame() + 1) _warp(_startOf(frame + 1) + ((a >> 16) % (FRAME / 2)));
        bool done = _done;
        _enter();
        _done = done;
    }

    /// The chain holds more for the pool, as a report for the last frame knows.
    function _gain(uint256 amount) internal {
        beacon += amount;
        gained += int256(amount);
        brought += int256(amount);
    }

    /// The chain takes what no report has expected, or more.
    function _lose(uint256 amount) internal {
        beacon -= amount;
        gained -= int256(amount);
        brought -= int256(amount);
    }

    /// From the beacon chain to the WithdrawalVault: neither gain nor loss.
    function _sweep(uint256 amount) internal {
        vm.deal(address(withdrawalVault), address(withdrawalVault).balance + amount);
        beacon -= amount;
        _exited += amount;
        _exitedInFrame += amount;
        _exitedAtBeacon += amount;
    }

    /// Beacon balance at the reference slot.
    function _seen() internal view returns (uint256) {
        return beacon + _exitedAtBeacon - _depositedInFrame;
    }

    /// What validators that were never slashed hold, arrived deposits only.
    function _ordinary() internal view returns (uint256) {
        return beacon - _depositedInFrame - _slashedEther - _strayEther;
    }

    function _moved(uint256 from, uint256 to, uint256 amount) internal {
        _entitled[from] -= int256(amount);
        _entitled[to] += int256(amount);
    }

    function _rate() internal view returns (Rate memory) {
        return Rate(token.totalPooledEther(), token.totalShares());
    }

    function _requireNotLower(Rate memory before, uint256 loss, string memory why) internal view {
        Rate memory later = _rate();
        require(later.total * before.shares >= (before.total - loss) * later.shares, why);
    }

    /// From `low` to `high`, of every order of magnitude.
    function _pick(uint256 seed, uint256 low, uint256 high) internal pure returns (uint256) {
        if (high <= low) return low;
        uint256 span = (high - low) >> ((seed % 4 == 0) ? (seed >> 2) % 64 : 0);
        return seed % 16 == 1 ? high : low + ((seed >> 8) % (span + 1));
    }
}
