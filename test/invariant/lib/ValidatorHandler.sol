// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {DepositAnchor} from "../../../contracts/interfaces/IGuardians.sol";
import {Totals} from "../../../contracts/interfaces/IPoolManager.sol";
import {Cluster} from "../../../contracts/interfaces/ISSVNetwork.sol";
import {ExitDemand, ExitStatus, IValidatorExits} from "../../../contracts/interfaces/IValidatorExits.sol";
import {IValidatorRegistry, QueueItems, Status} from "../../../contracts/interfaces/IValidatorRegistry.sol";
import {SystemContracts} from "./SystemContracts.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice The life of validators, from their keys to their removal from SSV, in the contracts and on the beacon chain.
abstract contract ValidatorHandler is World {
    enum Stage {
        Registered,
        Discarded,
        Active,
        Leaving,
        Slashed,
        Gone
    }

    struct Key {
        uint8 cluster;
        Stage stage;
        bool turn; // its turn to exit has come
        bool asked;
        bool exiting; // a report has said so
        bool exited; // a report has said so
        bool removed;
        bool wasSlashed;
        uint8 forced; // times, up to 2
        uint16 order; // of all deposits
        uint16 clusterOrder; // of its cluster's
        uint32 since; // frame in which it came to its stage
        uint32 requested; // frame in which it was first asked for or last forced
    }

    struct Slashing {
        uint128 balance;
        uint128 open; // penalties that are known and not taken
    }

    /// What the queue of exits should look like.
    struct Survey {
        uint256 confirmed;
        uint256 underway;
        uint256 retired; // cluster that exits first
        uint256 next; // id
        uint256 shortage;
        uint256 needed;
        uint256 due;
    }

    bytes32 private constant EXITS = 0x2e9a146d4de1bb76e1f415e3230fd598acfd9a86b6d6f13dac4fa81562360e00;
    uint256 private constant UNDERWAY = 7; // slot of the requests by frame, behind EXITS

    uint256 public appliedFrame; // of the last report that was applied when it came
    uint256 public lastId;
    mapping(uint256 id => Key) internal _keyOf;
    mapping(uint256 id => Slashing) internal _slashing;
    uint256[] internal _byOrder; // ids
    mapping(uint256 cluster => uint256[]) internal _unfunded; // ids
    mapping(uint256 cluster => uint256) internal _depositedOf;
    mapping(uint256 cluster => uint256) internal _inSSV;
    mapping(uint256 cluster => uint256) internal _etherInSSV;
    mapping(uint256 cluster => bool) internal _retired;
    uint256 public paidToSSV;
    uint256[] internal _forced; // ids, as the predeploy got them
    uint256 internal _taken; // of _forced, by the consensus layer
    uint256[] internal _askedFrames; // in which anything was asked for

    // from key to deposit

    /// Publishes, has vetted and registers new validators of a cluster.
    function register(uint256 a, uint256 b) external asUser {
        uint256 cluster = 1 + (a % CLUSTERS);
        uint256 room = _mostNew(cluster);
        if (room == 0) return;
        _register(cluster, _pick(b, 1, Math.min(room, 6)));
        _done = true;
    }

    /// Of what waits, or of new ones.
    function deposit(uint256 a, uint256 b) external asUser {
        uint256 cluster = 1 + (a % CLUSTERS);
        uint256 room = Math.min(_mostNew(cluster), 6);
        if (_unfunded[cluster].length == 0 && room != 0) _register(cluster, room);
        uint256 waiting = _unfunded[cluster].length;
        if (waiting == 0) return;
        uint256 count = b % 4 == 0 ? _pick(a >> 8, 1, waiting) : waiting;
        (, , bool stale) = manager.rate();
        bool open = !stale && manager.pendingLoss().frame == 0 && clock >= guardians.depositsPausedUntil();
        bool free = count * 32 ether <= manager.depositableEther();
        bool ok = _deposit(cluster, count, a >> 8);
        require(ok == (open && free), "deposits of what is free");
        _done = ok;
    }

    function discard(uint256 a, uint256) external asUser {
        uint256 cluster = 1 + (a % CLUSTERS);
        uint256[] storage waiting = _unfunded[cluster];
        if (waiting.length == 0) return;
        uint256 id = waiting[(a >> 8) % waiting.length];
        bytes[] memory keys = _keys(id);
        bytes32 hash = keccak256(abi.encodePacked(keccak256(keys[0])));
        bytes32 digest = _guardianDigest(
            abi.encode(keccak256("Discard(bytes32 keysHash,uint256 approvalEpoch)"), hash, guardians.approvalEpoch())
        );
        registry.discard(keys, _signed(digest));
        _discard(id);
        _done = true;
    }

    /// Governance retires a cluster, or opens it again.
    function retire(uint256 a, uint256 b) external asUser {
        uint256 cluster = 1 + (a % CLUSTERS);
        _retired[cluster] = b % 3 == 0;
        registry.setCluster(cluster, b % 3 != 0, 60);
        _done = true;
    }

    // exits, on chain

    /// Asks for the next in the order, sometimes with one that was asked for before: as many as are due, no more.
    function askExits(uint256 a, uint256 b) external asUser {
        Survey memory s = _survey();
        if (s.next == 0) return;
        uint256 cluster = _keyOf[s.next].cluster;
        uint256[] memory ids = _nextIds(s, b % 3 == 0 ? Math.max(s.due, 1) : 1 + (b % 5));
        uint256 again = a % 4 == 0 ? _findAsked(a >> 8, cluster) : 0;
        uint256 first;
        for (uint256 i; i < ids.length; ++i) if (!_seenLeaving(ids[i])) ++first;
        bool ok = _ask(cluster, again == 0 ? _keys(ids) : _keys(ids, again));
        require(ok == (s.needed != 0 && first <= s.due), "exits that are due, and no others");
        if (!ok) return;
        for (uint256 i; i < ids.length; ++i) {
            Key storage key = _keyOf[ids[i]];
            key.turn = true;
            if (_seenLeaving(ids[i])) continue;
            (key.asked, key.requested) = (true, uint32(_frame));
        }
        if (first != 0) _askedFrames.push(_frame);
        _requireWithinNeed(s.shortage, first);
        _done = first != 0;
    }

    /// Out of order, of the wrong cluster, never funded, gone.
    function askWrongly(uint256 a, uint256 b) external asUser {
        Survey memory s = _survey();
        (uint256 cluster, uint256 id, bytes4 expected) = _wrong(s, a % 6, b);
        if (expected == 0) return;
        bytes[] memory keys = a % 6 == 0 ? new bytes[](0) : _keys(id);
        if (a % 6 != 0 && s.needed == 0) expected = IValidatorExits.ExitsNotDue.selector;
        (bool ok, bytes memory reason) = address(exits).call(
            abi.encodeCall(IValidatorExits.requestExits, (cluster, keys))
        );
        require(!ok && bytes4(reason) == expected, "a wrong exit is asked for, or refused for another reason");
        _done = true;
    }

    /// The same once more: changes nothing.
    function askAgain(uint256 a, uint256) external asUser {
        uint256 id = _findAsked(a, 0);
        if (id == 0) return;
        bool ok = _ask(_keyOf[id].cluster, _keys(id));
        require(ok == (_survey().needed != 0), "the same again, while exits are needed");
        _done = ok;
    }

    /// As anybody who pays the fee: what was asked for and did not come in time.
    function forceExits(uint256 a, uint256 b) external asUser {
        Survey memory s = _survey();
        uint256[] memory ids = _findForceable(a, 1 + (b % 3));
        if (ids.length == 0) return;
        bool right = ids.length <= s.due;
        for (uint256 i; i < ids.length; ++i) right = right && _isForceable(_keyOf[ids[i]]);
        uint256 fee = withdrawalVault.exitFee();
        uint256 spare = (b >> 16) % 1 ether;
        uint256 value = fee * ids.length + spare;
        if (b % 16 == 5) (value, right) = (fee * ids.length - 1, false);
        uint256 most = b % 16 == 6 ? fee - 1 : fee;
        bytes[] memory keys = _keys(ids);
        address caller = actor(a % ACTORS);
        uint256 held = caller.balance;
        vm.deal(caller, held + value);
        vm.prank(caller);
        (bool ok, ) = address(exits).call{value: value}(abi.encodeCall(IValidatorExits.forceExits, (keys, most)));
        require(ok == (right && most == fee), "forced exits that are due, and no others");
        require(caller.balance == held + (ok ? spare : value), "a forced exit costs its fee");
        vm.deal(caller, held);
        if (!ok) return;
        for (uint256 i; i < ids.length; ++i) {
            Key storage key = _keyOf[ids[i]];
            key.requested = uint32(_frame);
            if (key.forced < 2) ++key.forced;
            _forced.push(ids[i]);
        }
        _askedFrames.push(_frame);
        _requireWithinNeed(s.shortage, ids.length);
        _done = true;
    }

    /// Exited, as reports have it, or never to be funded: leaves SSV, once; nothing else does.
    function remove(uint256 a, uint256 b) external asUser {
        uint256 id = _findRemovable(a);
        if (id == 0 || b % 8 == 0) {
            if (lastId == 0) return;
            id = 1 + (b % lastId);
        }
        bool right = _isRemovable(id);
        uint256 cluster = _keyOf[id].cluster;
        Cluster memory snapshot = _snapshot(cluster);
        (bool ok, bytes memory reason) = address(registry).call(
            abi.encodeCall(IValidatorRegistry.remove, (cluster, _keys(id), snapshot))
        );
        require(ok == right, "what has ended leaves SSV, once");
        if (!ok) {
            require(bytes4(reason) == IValidatorRegistry.NotRemovable.selector, "refused for another reason");
            return;
        }
        if (_keyOf[id].stage == Stage.Registered) _discard(id);
        _keyOf[id].removed = true;
        --_inSSV[cluster];
        _checkCluster(cluster);
        _done = true;
    }

    // the beacon chain

    /// End of a block: EIP-7002 requests begin exits or are dropped.
    function takeRequests(uint256, uint256 b) external asUser {
        bytes memory taken = SystemContracts.takeRequests();
        uint256 count = taken.length / 76;
        require(count == Math.min(_forced.length - _taken, 16), "requests of the pool alone");
        for (uint256 i; i < count; ++i) {
            bytes memory expected = abi.encodePacked(address(withdrawalVault), _publicKey(_forced[_taken]), uint64(0));
            for (uint256 j; j < 76; ++j) require(taken[i * 76 + j] == expected[j], "a full exit of what was forced");
            if ((b >> i) % 2 == 0) _begin(_forced[_taken]);
            ++_taken;
        }
        _done = count != 0;
    }

    /// Operators do what they were asked for, or a validator leaves by itself.
    function beginExit(uint256 a, uint256 b) external asUser {
        if (_byOrder.length == 0 || b % 2 == 0) return;
        uint256 id = b % 16 == 1 ? _byOrder[a % _byOrder.length] : _findAsked(a, 0);
        _done = id != 0 && _begin(id);
    }

    /// Whole balances arrive in the WithdrawalVault: of those that leave, and of slashed ones once their penalties are taken.
    function complete(uint256 a, uint256 b) external asUser {
        uint256 n = _byOrder.length;
        uint256 left = 1 + (b % 4);
        for (uint256 i; i < n && left != 0; ++i) {
            uint256 id = _byOrder[addmod(a, i, n)];
            Key storage key = _keyOf[id];
            if (key.stage == Stage.Leaving) {
                _sweep(_ordinary() / _ordinaryCount());
            } else if (key.stage == Stage.Slashed && _slashing[id].open == 0 && key.since < _frame) {
                _slashedEther -= _slashing[id].balance;
                _sweep(_slashing[id].balance);
                _slashing[id].balance = 0;
            } else continue;
            (key.stage, key.since) = (Stage.Gone, uint32(_frame));
            --left;
            _done = true;
        }
    }

    /// What is above 32 ETH, and what validators hold that were empty.
    function skim(uint256, uint256 b) external asUser {
        uint256 amount = _pick(b, 0, _strayEther + _ordinary() / 256);
        _strayEther -= Math.min(_strayEther, amount);
        _sweep(amount);
        _done = amount != 0;
    }

    // what the invariants read

    /// All that is counted in passing, counted again.
    function checkExits() external {
        _enter();
        Survey memory s = _survey();
        uint256[] memory given = new uint256[](CLUSTERS + 1);
        for (uint256 i; i < _byOrder.length; ++i) {
            Key memory key = _keyOf[_byOrder[i]];
            require(key.order == i + 1, "orders");
            if (key.turn) require(++given[key.cluster] == key.clusterOrder, "turns are a prefix of every cluster");
            ExitStatus memory status = exits.status(_byOrder[i]);
            require(
                status.asked == key.asked && status.exiting == key.exiting && status.exited == key.exited,
                "what is known of an exit"
            );
            require(!key.asked || status.askedFrame == key.requested, "frame of a request");
            require(!key.removed || key.exited, "removed before the end");
        }
        for (uint256 i; i < _askedFrames.length; ++i)
            require(_underwayIn(_askedFrames[i]) == _requestsOf(_askedFrames[i]), "requests of a frame");
        require(uint256(vm.load(address(exits), bytes32(uint256(EXITS) + 5))) == s.confirmed, "confirmed exits");
        for (uint256 cluster = 1; cluster <= CLUSTERS; ++cluster) _checkCluster(cluster);
    }

    // for reports

    /// What a report for the last frame names: who leaves, unless it was slashed, and who is gone, each until an applied report said so.
    /// Sometimes nothing, as if the quorum saw it late, and sometimes what is known, unknown and impossible beside it.
    function _named(uint256 seed) internal view returns (uint32[] memory exiting, uint32[] memory exited) {
        uint256 n = _byOrder.length;
        bool noise = seed % 8 == 1;
        (exiting, exited) = (new uint32[](n + 3), new uint32[](n + 3));
        (uint256 i, uint256 j) = (0, 0);
        if (noise) (exiting[i++], exited[j++]) = (0, 0);
        for (uint256 id = 1; id <= lastId && seed % 8 != 0; ++id) {
            Key memory key = _keyOf[id];
            if (key.stage < Stage.Leaving || key.since == _frame) continue;
            bool repeated = noise && id % 2 == 0;
            if (!key.wasSlashed && (repeated || !(key.exiting || key.exited))) exiting[i++] = uint32(id);
            if (key.stage == Stage.Gone && (repeated || !key.exited)) exited[j++] = uint32(id);
        }
        if (noise) (exiting[i++], exited[j++]) = (uint32(lastId + 1), type(uint32).max);
        assembly ("memory-safe") {
            mstore(exiting, i)
            mstore(exited, j)
        }
    }

    /// The report was applied.
    function _mark(uint32[] memory exiting, uint32[] memory exited) internal {
        for (uint256 i; i < exiting.length; ++i) {
            Key storage key = _keyOf[exiting[i]];
            if (key.order != 0 && !key.exited) key.exiting = true;
        }
        for (uint256 i; i < exited.length; ++i) {
            Key storage key = _keyOf[exited[i]];
            if (key.order != 0) key.exited = true;
        }
    }

    /// A validator that stakes and is neither new nor slashed; 0 if there is none.
    function _findOrdinary(uint256 seed) internal view returns (uint256) {
        uint256 n = _byOrder.length;
        for (uint256 i; i < n; ++i) {
            uint256 id = _byOrder[addmod(seed, i, n)];
            Key memory key = _keyOf[id];
            if (key.stage == Stage.Leaving || (key.stage == Stage.Active && key.since < _frame)) return id;
        }
        return 0;
    }

    function _ordinaryCount() internal view returns (uint256 count) {
        for (uint256 i; i < _byOrder.length; ++i) {
            Key memory key = _keyOf[_byOrder[i]];
            if (key.stage == Stage.Leaving || (key.stage == Stage.Active && key.since < _frame)) ++count;
        }
    }

    // acting

    function _register(uint256 cluster, uint256 count) internal {
        uint256 account = cluster < 3 ? 1 : 2;
        uint256 nonce = registry.account(account).nonce;
        QueueItems memory items = QueueItems(new bytes[](count), new bytes32[](count), new bytes[](count), 0);
        bytes memory data;
        for (uint256 i; i < count; ++i) {
            uint256 id = lastId + i + 1;
            (items.publicKeys[i], items.shares[i]) = (_publicKey(id), new bytes(96 + 4 * 304));
            items.depositSignatureHashes[i] = keccak256(_depositSignature(id));
            data = bytes.concat(data, items.publicKeys[i], _depositSignature(id), items.shares[i]);
        }
        uint256 batch = registry.publish(cluster, nonce, data, "");
        _vet(account, batch);
        uint256 cost = reserve.registrationCost(registry.cluster(cluster).burnPerValidator, count);
        _donate(cost - Math.min(cost, reserve.balance()));
        registry.register(cluster, items, _snapshot(cluster));
        for (uint256 i; i < count; ++i) {
            uint256 id = ++lastId;
            (_keyOf[id].cluster, _keyOf[id].stage) = (uint8(cluster), Stage.Registered);
            _unfunded[cluster].push(id);
        }
        _inSSV[cluster] += count;
        _etherInSSV[cluster] += cost;
        paidToSSV += cost;
        _checkCluster(cluster);
    }

    /// Any `count` that wait, in any order.
    function _deposit(uint256 cluster, uint256 count, uint256 seed) internal returns (bool ok) {
        uint256[] storage waiting = _unfunded[cluster];
        uint256 n = waiting.length;
        uint256[] memory ids = new uint256[](count);
        bytes[] memory signatures = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            ids[i] = waiting[addmod(seed, i, n)];
            signatures[i] = _depositSignature(ids[i]);
        }
        DepositAnchor memory anchor = DepositAnchor(
            uint64(BLOCK - 1),
            blockhash(BLOCK - 1),
            uint64(deposited / 32 ether)
        );
        bytes[] memory approvals = _signed(_depositDigest(cluster, ids, anchor));
        (ok, ) = address(registry).call(
            abi.encodeCall(IValidatorRegistry.deposit, (cluster, _keys(ids), signatures, anchor, approvals))
        );
        if (!ok) return false;
        for (uint256 i; i < count; ++i) _funded(ids[i], cluster);
        beacon += count * 32 ether;
        deposited += count * 32 ether;
        _depositedInFrame += count * 32 ether;
    }

    function _donate(uint256 amount) internal {
        vm.deal(address(this), amount);
        reserve.fund{value: amount}();
        donated += amount;
        brought += int256(amount);
    }

    /// New validators that the cluster may have registered now.
    function _mostNew(uint256 cluster) internal view returns (uint256) {
        if (_retired[cluster]) return 0;
        uint256 unfunded;
        for (uint256 i = 1; i <= CLUSTERS; ++i) unfunded += _unfunded[i].length;
        uint256 fundable = Math.min(20, manager.depositableEther() / 32 ether);
        uint256 own = Math.max(2, _depositedOf[cluster]);
        return
            Math.min(
                60 - _inSSV[cluster],
                Math.min(Math.saturatingSub(fundable, unfunded), Math.saturatingSub(own, _unfunded[cluster].length))
            );
    }

    function _vet(uint256 account, uint256 batch) private {
        bytes32 digest = _guardianDigest(
            abi.encode(
                keccak256("Vetting(uint256 account,uint256 batch,bytes32 head,uint256 approvalEpoch)"),
                account,
                batch,
                registry.batch(account, batch).head,
                guardians.approvalEpoch()
            )
        );
        registry.vet(account, batch, _signed(digest));
    }

    function _depositDigest(
        uint256 cluster,
        uint256[] memory ids,
        DepositAnchor memory anchor
    ) private view returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](ids.length);
        for (uint256 i; i < ids.length; ++i)
            hashes[i] = keccak256(bytes.concat(_publicKey(ids[i]), _depositSignature(ids[i])));
        return
            _guardianDigest(
                abi.encode(
                    keccak256(
                        "DepositApproval(uint256 cluster,bytes32 keysHash,uint256 approvalEpoch,uint256 blockNumber,bytes32 blockHash,uint256 depositCount)"
                    ),
                    cluster,
                    keccak256(abi.encodePacked(hashes)),
                    guardians.approvalEpoch(),
                    anchor
                )
            );
    }

    function _funded(uint256 id, uint256 cluster) private {
        _drop(id);
        _byOrder.push(id);
        Key storage key = _keyOf[id];
        (key.stage, key.since) = (Stage.Active, uint32(_frame));
        (key.order, key.clusterOrder) = (uint16(_byOrder.length), uint16(++_depositedOf[cluster]));
    }

    /// A validator begins to leave, if it can: one that arrived in an earlier frame.
    function _begin(uint256 id) private returns (bool) {
        Key storage key = _keyOf[id];
        if (key.stage != Stage.Active || key.since >= _frame) return false;
        (key.stage, key.since) = (Stage.Leaving, uint32(_frame));
        return true;
    }

    function _ask(uint256 cluster, bytes[] memory keys) private returns (bool ok) {
        (ok, ) = address(exits).call(abi.encodeCall(IValidatorExits.requestExits, (cluster, keys)));
    }

    function _discard(uint256 id) private {
        _drop(id);
        _keyOf[id].stage = Stage.Discarded;
    }

    /// It no longer waits for funds.
    function _drop(uint256 id) private {
        uint256[] storage waiting = _unfunded[_keyOf[id].cluster];
        uint256 place;
        while (waiting[place] != id) ++place;
        waiting[place] = waiting[waiting.length - 1];
        waiting.pop();
    }

    // looking

    /// Counted one by one, and compared with what the contract says.
    function _survey() internal view returns (Survey memory s) {
        uint256 ofRetired;
        for (uint256 i; i < _byOrder.length; ++i) {
            uint256 id = _byOrder[i];
            Key memory key = _keyOf[id];
            if (key.exiting && !key.exited) ++s.confirmed;
            if (_isUnderway(key) && key.requested + GRACE >= _frame) ++s.underway;
            if (key.turn) continue;
            if (s.next == 0) s.next = id;
            if (_retired[key.cluster] && (s.retired == 0 || key.cluster < s.retired))
                (s.retired, ofRetired) = (key.cluster, id);
        }
        if (s.retired != 0) s.next = ofRetired;
        Totals memory t = manager.totals();
        s.shortage = Math.saturatingSub(
            t.queued + t.owed,
            t.buffered + address(withdrawalVault).balance + address(rewardsVault).balance
        );
        s.needed = Math.saturatingSub(Math.ceilDiv(s.shortage, 32 ether), s.confirmed);
        // without the last frame's report nobody knows which exits have begun
        if (appliedFrame + 1 >= _frame) s.due = Math.saturatingSub(Math.min(s.needed, 128), s.underway);
        ExitDemand memory d = exits.demand();
        require(d.confirmed == s.confirmed && d.underway == s.underway, "exits on their way");
        require(d.shortageWei == s.shortage && d.needed == s.needed && d.due == s.due, "exits that are needed");
        (uint256 retired, uint256 order) = exits.next();
        require(retired == s.retired, "retired clusters exit first");
        if (s.next == 0) require(order == _byOrder.length + 1, "nobody is left");
        else require(order == (retired == 0 ? _keyOf[s.next].order : _keyOf[s.next].clusterOrder), "oldest first");
    }

    /// At no moment is more asked for than the shortage of that moment takes.
    function _requireWithinNeed(uint256 shortage, uint256 asked) private view {
        Survey memory s = _survey();
        require(asked == 0 || (s.confirmed + s.underway) * 32 ether < shortage + 32 ether, "beyond what is needed");
    }

    /// The next in the order, at most `most` and only of the cluster of the first.
    function _nextIds(Survey memory s, uint256 most) private view returns (uint256[] memory ids) {
        ids = new uint256[](most);
        uint256 count;
        uint256 cluster = _keyOf[s.next].cluster;
        for (uint256 i; i < _byOrder.length && count < most; ++i) {
            Key memory key = _keyOf[_byOrder[i]];
            if (key.turn) continue;
            if (key.cluster == cluster) ids[count++] = _byOrder[i];
            else if (s.retired == 0) break;
        }
        assembly ("memory-safe") {
            mstore(ids, count)
        }
    }

    /// No error if there is nothing of the kind.
    function _wrong(
        Survey memory s,
        uint256 kind,
        uint256 seed
    ) private view returns (uint256 cluster, uint256 id, bytes4 expected) {
        if (kind == 0) return (1, 0, IValidatorExits.EmptyList.selector);
        if (kind == 1) {
            uint256 unknown = seed % 2 == 0 || _unfunded[1].length == 0 ? lastId + 1 : _unfunded[1][0];
            return (1, unknown, IValidatorExits.NotFunded.selector);
        }
        if (kind == 2 && s.next != 0) {
            return ((_keyOf[s.next].cluster % CLUSTERS) + 1, s.next, IValidatorExits.WrongCluster.selector);
        }
        for (uint256 i; i < _byOrder.length && kind > 2; ++i) {
            id = _byOrder[addmod(seed, i, _byOrder.length)];
            Key memory key = _keyOf[id];
            cluster = key.cluster;
            if (kind == 3 && key.asked && _seenLeaving(id)) {
                return (cluster, id, IValidatorExits.AlreadyExiting.selector);
            }
            if (kind == 3 || key.asked) continue;
            if (s.retired != 0 && s.retired != cluster) {
                return (cluster, id, IValidatorExits.RetiredClusterFirst.selector);
            }
            if (id != s.next) return (cluster, id, IValidatorExits.NotNext.selector);
        }
        return (0, 0, 0);
    }

    /// Asked for, of any cluster or this one, and no report has seen it leave; 0 if there is none.
    function _findAsked(uint256 seed, uint256 cluster) private view returns (uint256) {
        uint256 n = _byOrder.length;
        for (uint256 i; i < n; ++i) {
            uint256 id = _byOrder[addmod(seed, i, n)];
            Key memory key = _keyOf[id];
            if (key.asked && !key.exiting && !key.exited && (cluster == 0 || key.cluster == cluster)) return id;
        }
        return 0;
    }

    /// Up to `most` that may be forced; if there are none, or sometimes, others.
    function _findForceable(uint256 seed, uint256 most) private view returns (uint256[] memory ids) {
        uint256 n = _byOrder.length;
        ids = new uint256[](most);
        uint256 count;
        for (uint256 i; i < n && count < most; ++i) {
            uint256 id = _byOrder[addmod(seed, i, n)];
            if (seed % 8 == 0 || _isForceable(_keyOf[id])) ids[count++] = id;
        }
        if (count == 0 && n != 0) ids[count++] = _byOrder[seed % n];
        assembly ("memory-safe") {
            mstore(ids, count)
        }
    }

    /// For as long as the grace period lasts; whoever was forced twice no longer counts.
    function _isUnderway(Key memory key) private pure returns (bool) {
        return key.asked && key.forced < 2 && !key.exiting && !key.exited;
    }

    function _isForceable(Key memory key) private view returns (bool) {
        return key.asked && !key.exiting && !key.exited && _frame > key.requested + GRACE;
    }

    function _findRemovable(uint256 seed) private view returns (uint256) {
        for (uint256 i; i < lastId; ++i) {
            uint256 id = 1 + addmod(seed, i, lastId);
            if (_isRemovable(id)) return id;
        }
        return 0;
    }

    function _isRemovable(uint256 id) private view returns (bool) {
        Key memory key = _keyOf[id];
        bool unfunded = key.stage == Stage.Discarded || (key.stage == Stage.Registered && _retired[key.cluster]);
        return !key.removed && (key.exited || unfunded);
    }

    function _seenLeaving(uint256 id) private view returns (bool) {
        return _keyOf[id].exiting || _keyOf[id].exited;
    }

    /// As SSV's newest event shows it: no block has passed, so no fees were taken.
    function _snapshot(uint256 cluster) private view returns (Cluster memory) {
        return Cluster(uint32(_inSSV[cluster]), 0, 0, true, _etherInSSV[cluster]);
    }

    function _checkCluster(uint256 cluster) private view {
        require(registry.cluster(cluster).registered == _inSSV[cluster], "validators in SSV");
        uint256 burn;
        for (uint256 i = 1; i <= CLUSTERS; ++i) burn += _inSSV[i] * registry.cluster(i).burnPerValidator;
        require(reserve.totalBurnRate() == burn, "burn rate");
    }

    /// What the contract counts as asked for in a frame, unconfirmed, however long ago.
    function _underwayIn(uint256 frame) private view returns (uint256) {
        return uint256(vm.load(address(exits), keccak256(abi.encode(frame, uint256(EXITS) + UNDERWAY))));
    }

    function _requestsOf(uint256 frame) private view returns (uint256 count) {
        for (uint256 i; i < _byOrder.length; ++i) {
            Key memory key = _keyOf[_byOrder[i]];
            if (_isUnderway(key) && key.requested == frame) ++count;
        }
    }

    // keys

    function _publicKey(uint256 id) internal pure returns (bytes memory) {
        return abi.encodePacked(id, bytes16("of the campaign"));
    }

    function _depositSignature(uint256 id) private pure returns (bytes memory) {
        return abi.encodePacked(id, id, id);
    }

    function _keys(uint256 id) internal pure returns (bytes[] memory keys) {
        keys = new bytes[](1);
        keys[0] = _publicKey(id);
    }

    function _keys(uint256[] memory ids) private pure returns (bytes[] memory keys) {
        keys = new bytes[](ids.length);
        for (uint256 i; i < ids.length; ++i) keys[i] = _publicKey(ids[i]);
    }

    function _keys(uint256[] memory ids, uint256 last) private pure returns (bytes[] memory keys) {
        keys = new bytes[](ids.length + 1);
        for (uint256 i; i < ids.length; ++i) keys[i] = _publicKey(ids[i]);
        keys[ids.length] = _publicKey(last);
    }
}
