// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IPoolETH} from "../../../contracts/interfaces/IPoolETH.sol";
import {
    Figures,
    IPoolManager,
    PoolParameters,
    StakeLimits,
    Totals
} from "../../../contracts/interfaces/IPoolManager.sol";
import {IRewardsVault, IWithdrawalVault} from "../../../contracts/interfaces/IVaults.sol";
import {IWithdrawalQueue, RequestStatus} from "../../../contracts/interfaces/IWithdrawalQueue.sol";
import {Deployment} from "./Deployment.sol";
import {vm} from "./Vm.sol";

/// @notice What can happen to the pool, one function an action, and what must hold across each of them.
///
/// To add an action: a function `(uint256 a, uint256 b)` with the modifier `asUser`, `asReport` or `asTime`, which sets `_done` once it
/// succeeded, books in the ghosts what it moved, and is listed in `actions`.
abstract contract PoolHandler is Deployment {
    uint256 public constant ACTORS = 4;

    struct Request {
        uint256 owner; // actor
        uint256 shares;
        uint256 frame; // from which a report may pay it
        uint256 amount; // once finalised
        bool claimed;
    }

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
    uint256 internal _openPenalties;
    uint256 internal _deposited; // ever
    uint256 internal _exited; // ever into the WithdrawalVault, gifts too
    uint256 internal _frame; // to which these belong: no report for the frame before saw them
    uint256 internal _depositedInFrame;
    uint256 internal _exitedInFrame;
    uint256 internal _exitedAtBeacon; // of _exitedInFrame, from the beacon chain

    // what came in and went out, wei
    uint256 public staked = INITIAL;
    int256 public gained; // by rewards and gifts less losses and open penalties, as far as a report for the last frame knows
    int256 public gainedApplied; // in the last applied report
    int256 internal _gainedPending;
    uint256 public executionApplied; // swept from the RewardsVault
    uint256 public paidToQueue;
    uint256 public claimable;
    uint256 public claimed;
    uint256 public strayManager; // forced upon it
    uint256 public strayQueue;
    mapping(uint256 actor => uint256) public claimableOf;
    mapping(uint256 actor => uint256) public queuedSharesOf;
    mapping(uint256 actor => uint256) public outOf; // claimed ETH
    mapping(uint256 actor => int256) internal _entitled; // by stakes, transfers, gains and losses, up to now
    Request[] internal _requests;
    uint256 public finalised;
    uint256 public pendingFrame;

    // as the last applied report left it
    uint256 internal _etherAtReport = INITIAL;
    uint256 internal _yearlyBpsAtReport = 1_000;
    bool internal _recovering;

    receive() external payable {} // as registry: what fundDeposits sends

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

    function actions() external pure returns (bytes4[] memory list) {
        list = new bytes4[](23);
        uint256 n;
        list[n++] = this.stake.selector;
        list[n++] = this.transfer.selector;
        list[n++] = this.transferShares.selector;
        list[n++] = this.giveTokens.selector;
        list[n++] = this.requestWithdrawal.selector;
        list[n++] = this.requestWithdrawalShares.selector;
        list[n++] = this.transferRequest.selector;
        list[n++] = this.claim.selector;
        list[n++] = this.claimWrongly.selector;
        list[n++] = this.claimMany.selector;
        list[n++] = this.trespass.selector;
        list[n++] = this.forceEther.selector;
        list[n++] = this.giveToVaults.selector;
        list[n++] = this.exit.selector;
        list[n++] = this.deposit.selector;
        list[n++] = this.reportGain.selector;
        list[n++] = this.reportLoss.selector;
        list[n++] = this.reportSlashing.selector;
        list[n++] = this.reportQuiet.selector;
        list[n++] = this.decideLoss.selector;
        list[n++] = this.pauseOrResume.selector;
        list[n++] = this.retune.selector;
        list[n++] = this.wait.selector;
    }

    // users

    function stake(uint256 a, uint256 b) external asUser {
        uint256 k = a % ACTORS;
        uint256 amount = _pick(b, 0.0009 ether, 8_000 ether);
        (bool open, uint256 available) = manager.stakingState();
        vm.deal(actor(k), amount);
        vm.prank(actor(k));
        (bool ok, ) = address(manager).call{value: amount}(abi.encodeCall(IPoolManager.stake, (actor(k), address(0))));
        require(ok == (open && amount >= 0.001 ether && amount <= available), "staking state");
        if (!ok) return;
        staked += amount;
        _entitled[k] += int256(amount);
        _done = true;
    }

    function transfer(uint256 a, uint256 b) external asUser {
        (uint256 from, uint256 to) = (a % ACTORS, (a / ACTORS) % ACTORS);
        uint256 amount = _pick(b, 0, token.balanceOf(actor(from)));
        vm.prank(actor(from));
        token.transfer(actor(to), amount);
        _moved(from, to, amount);
        _done = amount != 0;
    }

    function transferShares(uint256 a, uint256 b) external asUser {
        (uint256 from, uint256 to) = (a % ACTORS, (a / ACTORS) % ACTORS);
        uint256 shares = _pick(b, 0, token.sharesOf(actor(from)));
        vm.prank(actor(from));
        _moved(from, to, token.transferShares(actor(to), shares));
        _done = shares != 0;
    }

    /// Shares to contracts that have no use for them; the queue takes none.
    function giveTokens(uint256 a, uint256 b) external asUser {
        uint256 k = a % ACTORS;
        address to = (a / ACTORS) % 4 == 0 ? address(queue) : address(manager);
        uint256 shares = _pick(b, 0, token.sharesOf(actor(k)) / 100);
        vm.prank(actor(k));
        (bool ok, ) = address(token).call(abi.encodeCall(IPoolETH.transferShares, (to, shares)));
        require(ok == (to != address(queue)), "a transfer to the queue");
        if (!ok) return;
        _entitled[k] -= int256(token.getPooledEthByShares(shares));
        _done = shares != 0;
    }

    function requestWithdrawal(uint256 a, uint256 b) external asUser {
        (uint256 k, uint256 owner) = (a % ACTORS, (a / ACTORS) % ACTORS);
        uint256 held = token.balanceOf(actor(k));
        if (held < 0.001 ether) return;
        uint256 amount = _pick(b, 0.001 ether, held);
        vm.prank(actor(k));
        (uint256 first, uint256 last) = token.requestWithdrawal(amount, actor(owner));
        _requested(first, last, k, owner);
    }

    function requestWithdrawalShares(uint256 a, uint256 b) external asUser {
        (uint256 k, uint256 owner) = (a % ACTORS, (a / ACTORS) % ACTORS);
        uint256 shares = _pick(b, 0, token.sharesOf(actor(k)));
        bool enough = token.getPooledEthByShares(shares) >= 0.001 ether;
        vm.prank(actor(k));
        (bool ok, bytes memory data) = address(token).call(
            abi.encodeCall(IPoolETH.requestWithdrawalShares, (shares, actor(owner)))
        );
        require(ok == enough, "requests from the smallest on");
        if (!ok) return;
        (uint256 first, uint256 last) = abi.decode(data, (uint256, uint256));
        _requested(first, last, k, owner);
    }

    function transferRequest(uint256 a, uint256 b) external asUser {
        uint256 id = _find(a, false);
        if (id == 0) return;
        Request storage r = _requests[id - 1];
        (uint256 from, uint256 to) = (r.owner, b % ACTORS);
        vm.prank(actor(from));
        queue.transferRequest(id, actor(to));
        r.owner = to;
        if (id <= finalised) {
            claimableOf[from] -= r.amount;
            claimableOf[to] += r.amount;
            _moved(from, to, r.amount);
        } else {
            queuedSharesOf[from] -= r.shares;
            queuedSharesOf[to] += r.shares;
            _moved(from, to, token.getPooledEthByShares(r.shares));
        }
        _done = true;
    }

    /// I9: nothing stops the claim of a finalised request, and it pays what was set aside.
    function claim(uint256 a, uint256 b) external asUser {
        uint256 id = _find(a, true);
        if (id == 0) return;
        address owner = actor(_requests[id - 1].owner);
        uint256 held = owner.balance;
        uint256 paid;
        if (b % 2 == 0) {
            vm.prank(owner);
            paid = queue.claim(id, owner);
        } else {
            uint256 hint = queue.hints(_one(id))[0];
            vm.prank(owner);
            paid = queue.claim(id, owner, hint);
        }
        require(owner.balance == held + paid, "a claim sends what it says");
        _claimed(id, paid);
    }

    function claimMany(uint256 a, uint256 b) external asUser {
        uint256 first = _find(a, true);
        if (first == 0) return;
        uint256 k = _requests[first - 1].owner;
        uint256[] memory ids = new uint256[](1 + (b % 5));
        uint256 n;
        uint256 due;
        for (uint256 id = first; id <= finalised && n < ids.length; ++id) {
            if (_requests[id - 1].owner != k || _requests[id - 1].claimed) continue;
            ids[n++] = id;
            due += _requests[id - 1].amount;
        }
        assembly ("memory-safe") {
            mstore(ids, n)
        }
        uint256[] memory hints = queue.hints(ids);
        vm.prank(actor(k));
        require(queue.claimMany(ids, actor(k), hints) == due, "I9: many at once pay what each does");
        for (uint256 i; i < n; ++i) _claimed(ids[i], _requests[ids[i] - 1].amount);
    }

    /// Anybody claims anything with any hint: only what is his and due is paid.
    function claimWrongly(uint256 a, uint256 b) external asUser {
        uint256 id = a % (_requests.length + 3);
        (uint256 k, uint256 hint) = (b % ACTORS, (b / ACTORS) % (queue.state().checkpoints + 2));
        bool due = id != 0 && id <= finalised && _requests[id - 1].owner == k && !_requests[id - 1].claimed;
        bool right = due && queue.hints(_one(id))[0] == hint;
        vm.prank(actor(k));
        (bool ok, ) = address(queue).call(
            abi.encodeWithSignature("claim(uint256,address,uint256)", id, actor(k), hint)
        );
        require(ok == right, "a claim that is not due");
        if (ok) _claimed(id, _requests[id - 1].amount);
        else _done = true;
    }

    /// I12: what only the pool's own parts and governance may do.
    function trespass(uint256 a, uint256 b) external asUser {
        (address target, bytes memory call, bytes4 expected) = _forbidden(b % 26, actor(a % ACTORS));
        vm.prank(actor(a % ACTORS));
        (bool ok, bytes memory reason) = target.call(call);
        require(!ok && bytes4(reason) == expected, "I12: a stranger is let in, or refused for another reason");
        _done = true;
    }

    // what comes from outside

    /// ETH forced upon contracts that count only what they were sent.
    function forceEther(uint256 a, uint256 b) external asUser {
        uint256 amount = _pick(b, 1, 100 ether);
        address to = a % 2 == 0 ? address(manager) : address(queue);
        (bool sent, ) = to.call{value: 0}("");
        require(!sent, "ETH from anybody");
        vm.deal(to, to.balance + amount);
        if (a % 2 == 0) strayManager += amount;
        else strayQueue += amount;
        _done = true;
    }

    function giveToVaults(uint256 a, uint256 b) external asUser {
        uint256 amount = _pick(b, 1, 100 ether);
        if (a % 2 == 0) {
            vm.deal(address(rewardsVault), address(rewardsVault).balance + amount);
        } else {
            vm.deal(address(withdrawalVault), address(withdrawalVault).balance + amount);
            _exited += amount;
            _exitedInFrame += amount;
        }
        _done = true;
    }

    /// From the beacon chain to the WithdrawalVault: neither gain nor loss.
    function exit(uint256, uint256 b) external asUser {
        uint256 seen = beacon - _depositedInFrame;
        uint256 amount = _pick(b, 0, seen - Math.min(seen, 2 * _openPenalties));
        vm.deal(address(withdrawalVault), address(withdrawalVault).balance + amount);
        beacon -= amount;
        _exited += amount;
        _exitedInFrame += amount;
        _exitedAtBeacon += amount;
        _done = amount != 0;
    }

    function deposit(uint256, uint256 b) external asUser {
        uint256 most = manager.depositableEther() / 32 ether;
        uint256 validators = _pick(b, 1, most + 1);
        (, , bool stale) = manager.rate();
        bool current = !stale && pendingFrame == 0;
        (bool ok, ) = address(manager).call(abi.encodeCall(IPoolManager.fundDeposits, (validators)));
        require(ok == (current && validators <= most), "deposits of what is free");
        if (!ok) return;
        beacon += validators * 32 ether;
        _deposited += validators * 32 ether;
        _depositedInFrame += validators * 32 ether;
        _done = true;
    }

    // reports

    function reportGain(uint256 a, uint256 b) external asReport {
        _nextFrame(a);
        uint256 amount = _pick(b, 0, _seen() / 100);
        beacon += amount;
        gained += int256(amount);
        _report();
        _done = amount != 0;
    }

    function reportLoss(uint256 a, uint256 b) external asReport {
        _nextFrame(a);
        uint256 most = Math.min(_seen(), beacon - _depositedInFrame);
        uint256 amount = _pick(b, 0, most - Math.min(most, 2 * _openPenalties)) / (a % 4 == 0 ? 2 : 25);
        beacon -= amount;
        gained -= int256(amount);
        _report();
        _done = amount != 0;
    }

    /// Penalties become known before they are taken.
    function reportSlashing(uint256 a, uint256 b) external asReport {
        _nextFrame(a);
        uint256 most = Math.min(_seen(), beacon - _depositedInFrame);
        uint256 amount = _pick(b, 0, most / 10);
        gained += int256(_openPenalties) - int256(amount);
        _openPenalties = amount;
        _report();
        _done = amount != 0;
    }

    /// Nothing new, except that open penalties are taken.
    function reportQuiet(uint256 a, uint256) external asReport {
        _nextFrame(a);
        uint256 taken = Math.min(_openPenalties, beacon - _depositedInFrame);
        beacon -= taken;
        gained += int256(_openPenalties) - int256(taken);
        _openPenalties = 0;
        _report();
        _done = true;
    }

    function decideLoss(uint256 a, uint256) external asReport {
        if (pendingFrame == 0) {
            (bool ok, ) = address(manager).call(abi.encodeCall(IPoolManager.confirmLoss, (type(uint256).max)));
            require(!ok, "no loss waits");
            return;
        }
        if (a % 3 == 0) {
            manager.discardLoss(manager.pendingLoss().refSlot);
        } else {
            (Totals memory t, Rate memory rate) = (manager.totals(), _rate());
            uint256 execution = address(rewardsVault).balance;
            manager.confirmLoss(type(uint256).max);
            _applied(t, rate, _gainedPending, execution, pendingFrame);
        }
        pendingFrame = 0;
        _done = true;
    }

    // guardians and governance

    function pauseOrResume(uint256 a, uint256) external asUser {
        if (a % 4 == 0) manager.pauseStaking();
        else if (a % 4 == 1) manager.resumeStaking();
        else if (a % 4 == 2) manager.pauseFinalisation();
        else manager.resumeFinalisation();
        _done = true;
    }

    function retune(uint256 a, uint256 b) external asUser {
        if (a % 4 == 0) manager.setFee(uint16(b % 1_501));
        else if (a % 4 == 1) manager.setStreamLimit(uint16(100 + (b % 4_901)));
        else if (a % 4 == 2) manager.setLossLimit(uint16(10 + (b % 1_000)), uint32(1 days + (b % 89 days)));
        else reserve.setShortfall(_pick(b, 0, 10 ether));
        _done = true;
    }

    /// Seconds to weeks.
    function wait(uint256, uint256 b) external asTime {
        _warp(clock + _pick(b, 1, 30 days));
        _done = true;
    }

    // what the invariants read

    function actor(uint256 k) public pure returns (address) {
        return address(uint160(0xAC7000 + k));
    }

    /// Wei that the actor holds or could hold: claims taken, claims due, shares, shares in the queue.
    function wealth(uint256 k) public view returns (uint256) {
        return outOf[k] + claimableOf[k] + token.getPooledEthByShares(token.sharesOf(actor(k)) + queuedSharesOf[k]);
    }

    function knownShares() external view returns (uint256 sum) {
        sum = token.sharesOf(DEAD) + token.sharesOf(TREASURY) + token.sharesOf(address(queue));
        sum += token.sharesOf(address(manager));
        for (uint256 k; k < ACTORS; ++k) sum += token.sharesOf(actor(k));
    }

    function requestsMade() external view returns (uint256) {
        return _requests.length;
    }

    // ghosts

    function _enter() private {
        vm.warp(clock);
        _done = false;
        uint256 frame = _frameAt(clock);
        if (frame == _frame) return;
        // gifts to the WithdrawalVault are gains once a report can know of them
        gained += int256(_exitedInFrame - _exitedAtBeacon);
        (_frame, _depositedInFrame, _exitedInFrame, _exitedAtBeacon) = (frame, 0, 0, 0);
    }

    function _leave() private {
        if (_done) ++succeeded[msg.sig];
    }

    function _warp(uint256 timestamp) private {
        clock = timestamp;
        vm.warp(timestamp);
    }

    /// A frame is reported once.
    function _nextFrame(uint256 a) private {
        if (_frameAt(clock) <= manager.lastFrame() + 1)
            _warp(START + (_frameAt(clock) - 2) * FRAME + ((a >> 16) % (FRAME / 2)));
        bool done = _done;
        _enter();
        _done = done;
    }

    /// Beacon balance at the reference slot.
    function _seen() private view returns (uint256) {
        return beacon + _exitedAtBeacon - _depositedInFrame;
    }

    function _report() private {
        (Totals memory t, Rate memory rate) = (manager.totals(), _rate());
        uint256 execution = address(rewardsVault).balance;
        uint256 frame = _frameAt(clock) - 1;
        bool applied = manager.applyReport(
            Figures({
                frame: frame,
                refSlot: (frame + 1) * 7_200 - 1,
                clBalance: _seen(),
                openPenalties: _openPenalties,
                withdrawnAtRef: _exited - _exitedInFrame
            })
        );
        require(pendingFrame == 0 || !applied, "I10: a report passes a loss that waits");
        if (applied) {
            _applied(t, rate, gained, execution, frame);
        } else {
            (_gainedPending, pendingFrame) = (gained, frame);
            Rate memory later = _rate();
            require(later.total == rate.total && later.shares == rate.shares, "a loss that waits changes nothing");
        }
    }

    function _applied(Totals memory t, Rate memory rate, int256 known, uint256 execution, uint256 frame) private {
        int256 gain = known - gainedApplied + int256(execution);
        (gainedApplied, executionApplied) = (known, executionApplied + execution);
        uint256 loss = gain < 0 ? Math.saturatingSub(uint256(-gain), t.locked) : 0;
        _requireNotLower(rate, loss, "I3: the rate falls by more than the loss");
        Rate memory later = _rate();
        uint256 unit = Math.ceilDiv(later.total, later.shares);
        // I10: the loss is there at once, a gain is not
        require(
            later.total <= Math.ceilDiv((rate.total - loss) * later.shares, rate.shares) + 2 * unit + 2,
            "I10: a report raises the rate"
        );
        _finalised(frame, later);
        Totals memory now_ = manager.totals();
        _etherAtReport = now_.totalPooledEther;
        _yearlyBpsAtReport = manager.parameters().maxYearlyRateBps;
        _recovering = now_.uncoveredLoss != 0;
    }

    /// I9: in order, not before its time, at the report's rate, and none left behind that could be paid.
    function _finalised(uint256 frame, Rate memory rate) private {
        uint256 last = queue.state().lastFinalised;
        require(last >= finalised, "I9: order");
        uint256 sum;
        for (uint256 id = finalised + 1; id <= last; ++id) {
            Request storage r = _requests[id - 1];
            RequestStatus memory status = queue.request(id);
            require(status.finalised && !status.claimed && status.shares == r.shares, "I9: a request changes");
            require(status.owner == actor(r.owner) && r.frame <= frame, "I9: paid before its time");
            uint256 worth = (r.shares * rate.total) / rate.shares;
            // the wei that rounding leaves to the pool counts the more, the less of the pool stays
            uint256 rounding = 2 + Math.ceilDiv(r.shares, rate.shares);
            require(status.amount <= worth && status.amount + rounding >= worth, "I9: another price");
            r.amount = status.amount;
            sum += status.amount;
            queuedSharesOf[r.owner] -= r.shares;
            claimableOf[r.owner] += r.amount;
        }
        finalised = last;
        claimable += sum;
        uint256 received = address(queue).balance + claimed - strayQueue - paidToQueue;
        require(received >= sum, "I1: less set aside than claims take");
        paidToQueue += received;
        Totals memory t = manager.totals();
        if (manager.finalisationPaused() || last == _requests.length) return;
        Request storage next = _requests[last];
        if (next.frame > frame || frame + 1 != _frameAt(clock)) return;
        uint256 free = Math.saturatingSub(t.buffered, t.owed);
        require((next.shares * rate.total) / rate.shares + 2 > free, "I9: a request that could be paid waits");
    }

    function _requested(uint256 first, uint256 last, uint256 from, uint256 owner) private {
        require(first == _requests.length + 1 && last >= first, "I9: numbers");
        uint256 shares;
        for (uint256 id = first; id <= last; ++id) {
            RequestStatus memory status = queue.request(id);
            require(status.owner == actor(owner) && !status.finalised && status.shares != 0, "I9: a new request");
            _requests.push(Request(owner, status.shares, _frameAt(clock + MARGIN), 0, false));
            shares += status.shares;
        }
        queuedSharesOf[owner] += shares;
        _moved(from, owner, token.getPooledEthByShares(shares));
        _done = true;
    }

    function _claimed(uint256 id, uint256 paid) private {
        Request storage r = _requests[id - 1];
        require(paid == r.amount && !r.claimed, "I9: a claim pays what was set aside, once");
        r.claimed = true;
        claimable -= paid;
        claimed += paid;
        claimableOf[r.owner] -= paid;
        outOf[r.owner] += paid;
        _done = true;
    }

    function _moved(uint256 from, uint256 to, uint256 amount) private {
        _entitled[from] -= int256(amount);
        _entitled[to] += int256(amount);
    }

    function _rate() private view returns (Rate memory) {
        return Rate(token.totalPooledEther(), token.totalShares());
    }

    function _requireNotLower(Rate memory before, uint256 loss, string memory why) private view {
        Rate memory later = _rate();
        require(later.total * before.shares >= (before.total - loss) * later.shares, why);
    }

    /// A request that nobody claimed yet, from an arbitrary one on; 0 if there is none.
    function _find(uint256 a, bool due) private view returns (uint256) {
        uint256 n = due ? finalised : _requests.length;
        for (uint256 i; i < n; ++i) {
            uint256 id = 1 + addmod(a, i, n);
            if (!_requests[id - 1].claimed) return id;
        }
        return 0;
    }

    function _one(uint256 id) private pure returns (uint256[] memory ids) {
        ids = new uint256[](1);
        ids[0] = id;
    }

    /// From `low` to `high`, of every order of magnitude.
    function _pick(uint256 seed, uint256 low, uint256 high) private pure returns (uint256) {
        if (high <= low) return low;
        uint256 span = (high - low) >> ((seed % 4 == 0) ? (seed >> 2) % 64 : 0);
        return seed % 16 == 1 ? high : low + ((seed >> 8) % (span + 1));
    }

    function _forbidden(uint256 i, address who) private view returns (address, bytes memory, bytes4) {
        if (i < 5) {
            bytes4 e = IPoolManager.NotAuthorized.selector;
            address m = address(manager);
            Figures memory figures;
            if (i == 0) return (m, abi.encodeCall(IPoolManager.applyReport, (figures)), e);
            if (i == 1) return (m, abi.encodeCall(IPoolManager.fundDeposits, (1)), e);
            if (i == 2) return (m, abi.encodeCall(IPoolManager.pauseStaking, ()), e);
            if (i == 3) return (m, abi.encodeCall(IPoolManager.pauseFinalisation, ()), e);
            return (m, "", IPoolManager.UseStake.selector);
        }
        if (i < 17) {
            bytes4 e = IAccessManaged.AccessManagedUnauthorized.selector;
            address m = address(manager);
            StakeLimits memory limits;
            if (i == 5) return (m, abi.encodeCall(IPoolManager.resumeStaking, ()), e);
            if (i == 6) return (m, abi.encodeCall(IPoolManager.resumeFinalisation, ()), e);
            if (i == 7) return (m, abi.encodeCall(IPoolManager.confirmLoss, (1)), e);
            if (i == 8) return (m, abi.encodeCall(IPoolManager.discardLoss, (1)), e);
            if (i == 9) return (m, abi.encodeCall(IPoolManager.setFee, (1)), e);
            if (i == 10) return (m, abi.encodeCall(IPoolManager.setTreasury, (who)), e);
            if (i == 11) return (m, abi.encodeCall(IPoolManager.setStakeLimits, (limits)), e);
            if (i == 12) return (m, abi.encodeCall(IPoolManager.setStreamLimit, (100)), e);
            if (i == 13) return (m, abi.encodeCall(IPoolManager.setLossLimit, (10, 1 days)), e);
            bytes memory upgrade = abi.encodeCall(UUPSUpgradeable.upgradeToAndCall, (who, ""));
            if (i == 14) return (m, upgrade, e);
            return (i == 15 ? address(queue) : address(withdrawalVault), upgrade, e);
        }
        if (i < 20) {
            bytes4 e = Initializable.InvalidInitialization.selector;
            PoolParameters memory p;
            if (i == 17) return (address(manager), abi.encodeCall(IPoolManager.initialize, (who, p)), e);
            bytes memory call = abi.encodeCall(IWithdrawalQueue.initialize, (who));
            return (i == 18 ? address(queue) : address(withdrawalVault), call, e);
        }
        if (i == 20) return (address(token), abi.encodeCall(IPoolETH.mint, (who, 1)), IPoolETH.NotPoolManager.selector);
        if (i == 21)
            return (
                address(token),
                abi.encodeCall(IPoolETH.rebase, (1, 0, 0, who, 1, 0)),
                IPoolETH.NotPoolManager.selector
            );
        if (i == 22)
            return (
                address(queue),
                abi.encodeCall(IWithdrawalQueue.enqueue, (who, 1 ether, 1 ether)),
                IWithdrawalQueue.NotPoolETH.selector
            );
        if (i == 23)
            return (
                address(queue),
                abi.encodeCall(IWithdrawalQueue.finalise, (1, 1, 1, 1)),
                IWithdrawalQueue.NotPoolManager.selector
            );
        if (i == 24)
            return (
                address(withdrawalVault),
                abi.encodeCall(IWithdrawalVault.sweep, (1)),
                IWithdrawalVault.NotPoolManager.selector
            );
        return (address(rewardsVault), abi.encodeCall(IRewardsVault.sweep, ()), IRewardsVault.NotPoolManager.selector);
    }
}
