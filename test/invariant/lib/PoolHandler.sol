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
import {Report} from "../../../contracts/interfaces/IReportOracle.sol";
import {IValidatorExits} from "../../../contracts/interfaces/IValidatorExits.sol";
import {IValidatorRegistry} from "../../../contracts/interfaces/IValidatorRegistry.sol";
import {IRewardsVault, IWithdrawalVault} from "../../../contracts/interfaces/IVaults.sol";
import {IWithdrawalQueue, RequestStatus} from "../../../contracts/interfaces/IWithdrawalQueue.sol";
import {SystemContracts} from "./SystemContracts.sol";
import {ValidatorHandler} from "./ValidatorHandler.sol";
import {vm} from "./Vm.sol";

/// @notice What can happen to the pool, one function an action, and what must hold across each of them. It begins with validators and
/// stakers, so that a hundred actions suffice for whole lives of both.
///
/// To add an action: a function `(uint256 a, uint256 b)` with the modifier `asUser`, `asReport` or `asTime`, which sets `_done` once it
/// succeeded, books in the ghosts what it moved, and is listed in `actions`.
abstract contract PoolHandler is ValidatorHandler {
    struct Request {
        uint256 owner; // actor
        uint256 shares;
        uint256 frame; // from which a report may pay it
        uint256 amount; // once finalised
        bool claimed;
    }

    int256 public gainedApplied; // as the last applied report knew
    int256 internal _gainedPending;
    uint256 public executionApplied; // swept from the RewardsVault
    uint256 public paidToQueue;
    uint256 public claimable;
    uint256 public strayManager; // forced upon it
    uint256 public strayQueue;
    Request[] internal _requests;
    uint256 public finalised;
    uint256 public pendingFrame;

    constructor() {
        _enter();
        for (uint256 k; k < ACTORS; ++k) _stake(k, 155 ether);
        for (uint256 round; round < 3; ++round) {
            for (uint256 cluster = 1; cluster <= CLUSTERS; ++cluster) {
                _register(cluster, 2);
                require(_deposit(cluster, 2, 0), "the first validators");
            }
        }
    }

    receive() external payable {}

    function actions() external pure returns (bytes4[] memory list) {
        list = new bytes4[](34);
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
        list[n++] = this.register.selector;
        list[n++] = this.deposit.selector;
        list[n++] = this.discard.selector;
        list[n++] = this.retire.selector;
        list[n++] = this.askExits.selector;
        list[n++] = this.askWrongly.selector;
        list[n++] = this.askAgain.selector;
        list[n++] = this.forceExits.selector;
        list[n++] = this.takeRequests.selector;
        list[n++] = this.beginExit.selector;
        list[n++] = this.complete.selector;
        list[n++] = this.skim.selector;
        list[n++] = this.remove.selector;
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
        uint256 amount = _pick(b, 0.0009 ether, 250 ether);
        (bool open, uint256 available) = manager.stakingState();
        bool ok = _stake(k, amount);
        require(ok == (open && amount >= 0.001 ether && amount <= available), "staking state");
        _done = ok;
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

    /// Sometimes a stranger tries.
    function transferRequest(uint256 a, uint256 b) external asUser {
        uint256 id = _find(a, false);
        if (id == 0) return;
        Request storage r = _requests[id - 1];
        (uint256 from, uint256 to) = (r.owner, b % ACTORS);
        uint256 caller = b % 8 < 4 ? from : a % ACTORS;
        vm.prank(actor(caller));
        (bool ok, ) = address(queue).call(abi.encodeCall(IWithdrawalQueue.transferRequest, (id, actor(to))));
        require(ok == (caller == from), "I9: only its owner gives a request away");
        if (!ok) return;
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
        (address target, bytes memory call, bytes4 expected) = _forbidden(b % 29, actor(a % ACTORS));
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
        brought += int256(amount);
        _done = true;
    }

    function giveToVaults(uint256 a, uint256 b) external asUser {
        uint256 amount = _pick(b, 1, 5 ether);
        if (a % 2 == 0) {
            vm.deal(address(rewardsVault), address(rewardsVault).balance + amount);
        } else {
            vm.deal(address(withdrawalVault), address(withdrawalVault).balance + amount);
            _exited += amount;
            _exitedInFrame += amount;
        }
        brought += int256(amount);
        _done = true;
    }

    // reports

    /// Rewards, or ETH for a validator that was empty.
    function reportGain(uint256 a, uint256 b) external asReport {
        _nextFrame(a);
        uint256 amount = _pick(b, 0, _seen() / 100);
        if (a % 8 == 0 || _findOrdinary(0) == 0) _strayEther += amount;
        _gain(amount);
        _report(a >> 8);
        _done = amount != 0;
    }

    function reportLoss(uint256 a, uint256 b) external asReport {
        _nextFrame(a);
        uint256 amount = _pick(b, 0, _ordinary()) / (a % 8 == 0 ? 2 : 200);
        _lose(amount);
        _report(a >> 8);
        _done = amount != 0;
    }

    /// A part is taken at once, the rest becomes known before it is taken.
    function reportSlashing(uint256 a, uint256 b) external asReport {
        _nextFrame(a);
        uint256 id = a % 3 == 0 ? _findOrdinary(a >> 40) : 0;
        if (id != 0) {
            uint256 balance = _ordinary() / _ordinaryCount();
            uint256 initial = balance / 32;
            uint256 open = _pick(b, 0, a % 4 == 0 ? balance - initial : balance / 8);
            _lose(initial);
            gained -= int256(open);
            _openPenalties += open;
            _slashedEther += balance - initial;
            _slashing[id] = Slashing(uint128(balance - initial), uint128(open));
            Key storage key = _keyOf[id];
            (key.stage, key.since, key.wasSlashed) = (Stage.Slashed, uint32(_frame), true);
        }
        _report(a >> 8);
        _done = id != 0;
    }

    /// Nothing new, except that open penalties are taken, by more or by less than was expected.
    function reportQuiet(uint256 a, uint256 b) external asReport {
        _nextFrame(a);
        for (uint256 id = 1; id <= lastId && _openPenalties != 0; ++id) {
            Slashing memory slashing = _slashing[id];
            if (slashing.open == 0) continue;
            uint256 taken = a % 2 == 0 ? slashing.open : _pick(b, 0, slashing.balance);
            gained += int256(uint256(slashing.open));
            _openPenalties -= slashing.open;
            _slashedEther -= taken;
            _slashing[id] = Slashing(uint128(slashing.balance - taken), 0);
            _lose(taken);
            break;
        }
        _report(a >> 8);
        _done = true;
    }

    function decideLoss(uint256 a, uint256) external asReport {
        if (pendingFrame == 0) {
            (bool ok, ) = address(manager).call(abi.encodeCall(IPoolManager.confirmLoss, (type(uint256).max)));
            require(!ok, "no loss waits");
            return;
        }
        if (a % 4 == 0) {
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

    function pauseOrResume(uint256 a, uint256 b) external asUser {
        if (a % 8 == 0) {
            guardians.pauseStaking(guardians.approvalEpoch(), _signed(_pauseDigest("PauseStaking")));
        } else if (a % 8 == 1) {
            guardians.pauseFinalisation(guardians.approvalEpoch(), _signed(_pauseDigest("PauseFinalisation")));
        } else if (a % 8 == 2) {
            bytes memory signature = _signedBy(b % 2, _pauseDigest("PauseDeposits"));
            guardians.rearm(_member(b % 2));
            guardians.pauseDeposits(guardians.approvalEpoch(), signature);
        } else if (a % 8 < 5) {
            manager.resumeStaking();
        } else if (a % 8 < 7) {
            manager.resumeFinalisation();
        } else {
            guardians.resumeDeposits();
        }
        _done = true;
    }

    function retune(uint256 a, uint256 b) external asUser {
        if (a % 4 == 0) manager.setFee(uint16(b % 1_501));
        else if (a % 4 == 1) manager.setStreamLimit(uint16(100 + (b % 4_901)));
        else if (a % 4 == 2)
            manager.setLossLimit(uint16(b % 8 == 0 ? 10 : 100 + (b % 1_000)), uint32(1 days + (b % 89 days)));
        else reserve.setRunway(uint32(_pick(b, 2, 2_628_000)), 1);
        _done = true;
    }

    /// Seconds to weeks.
    function wait(uint256, uint256 b) external asTime {
        _warp(clock + _pick(b, 1, b % 3 == 0 ? 30 days : 1 days));
        _done = true;
    }

    // what the invariants read

    function knownShares() internal view returns (uint256 sum) {
        sum = token.sharesOf(DEAD) + token.sharesOf(TREASURY) + token.sharesOf(address(queue));
        sum += token.sharesOf(address(manager));
        for (uint256 k; k < ACTORS; ++k) sum += token.sharesOf(actor(k));
    }

    // ghosts

    function _stake(uint256 k, uint256 amount) private returns (bool ok) {
        vm.deal(actor(k), amount);
        vm.prank(actor(k));
        (ok, ) = address(manager).call{value: amount}(abi.encodeCall(IPoolManager.stake, (actor(k), address(0))));
        vm.deal(actor(k), 0);
        if (!ok) return false;
        staked += amount;
        brought += int256(amount);
        _entitled[k] += int256(amount);
    }

    function _pauseDigest(string memory kind) private view returns (bytes32) {
        bytes32 typeHash = keccak256(bytes.concat(bytes(kind), "(uint256 approvalEpoch)"));
        return _guardianDigest(abi.encode(typeHash, guardians.approvalEpoch()));
    }

    function _report(uint256 seed) private {
        (Totals memory t, Rate memory rate) = (manager.totals(), _rate());
        uint256 execution = address(rewardsVault).balance;
        uint256 frame = _frameAt(clock) - 1;
        (uint32[] memory exiting, uint32[] memory exited) = _named(seed);
        _submit(frame, exiting, exited);
        bool applied = manager.lastFrame() == frame;
        require(pendingFrame == 0 || !applied, "I10: a report passes a loss that waits");
        if (applied) {
            _applied(t, rate, gained, execution, frame);
            appliedFrame = frame;
            _mark(exiting, exited);
        } else {
            (_gainedPending, pendingFrame) = (gained, frame);
            Rate memory later = _rate();
            require(later.total == rate.total && later.shares == rate.shares, "a loss that waits changes nothing");
        }
        _survey();
    }

    /// What the beacon chain held at the end of the frame, signed by two members.
    function _submit(uint256 frame, uint32[] memory exiting, uint32[] memory exited) private {
        Report memory report = Report({
            version: 1,
            refSlot: uint64((frame + 1) * 7_200 - 1),
            beaconBlockRoot: keccak256(abi.encode(frame)),
            clBalance: uint128(_seen()),
            openPenalties: uint128(_openPenalties),
            withdrawnAtRef: uint128(_exited - _exitedInFrame),
            exiting: exiting,
            exited: exited
        });
        SystemContracts.setBeaconRoot(_startOf(frame + 1), report.beaconBlockRoot, clock);
        reportOracle.submitReport(report, _signed(reportOracle.digest(report)));
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
            address[6] memory others = [
                address(queue),
                address(withdrawalVault),
                address(registry),
                address(exits),
                address(reportOracle),
                address(guardians)
            ];
            return (others[3 * (i - 15) + (uint160(who) % 3)], upgrade, e);
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
        if (i == 25)
            return (
                address(rewardsVault),
                abi.encodeCall(IRewardsVault.sweep, ()),
                IRewardsVault.NotPoolManager.selector
            );
        bytes[] memory keys = _keys(1);
        if (i == 26)
            return (
                address(withdrawalVault),
                abi.encodeCall(IWithdrawalVault.requestExits, (keys)),
                IWithdrawalVault.NotValidatorExits.selector
            );
        if (i == 27)
            return (
                address(registry),
                abi.encodeCall(IValidatorRegistry.exitInSSV, (1, keys)),
                IValidatorRegistry.NotAuthorized.selector
            );
        uint32[] memory ids = new uint32[](1);
        return (
            address(exits),
            abi.encodeCall(IValidatorExits.recordExits, (ids, ids)),
            IValidatorExits.NotAuthorized.selector
        );
    }
}
