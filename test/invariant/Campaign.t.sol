// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Totals} from "../../contracts/interfaces/IPoolManager.sol";
import {PoolHandler} from "./lib/PoolHandler.sol";
import {FuzzSelector, vm} from "./lib/Vm.sol";

/// The runner knows the functions of contracts of a test's own file alone.
contract Handler is PoolHandler {}

/// @notice The whole pool under arbitrary sequences of everything that can happen to it. What must hold across an action is required by
/// the handler, what must hold at any moment below.
contract CampaignTest {
    bool public constant IS_TEST = true;

    Handler private _handler;

    function setUp() public {
        _handler = new Handler();
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(_handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        list[0] = FuzzSelector(address(_handler), _handler.actions());
    }

    function invariant_HoldsAtAnyMoment() external {
        _holds();
    }

    /// A campaign whose actions all fail would find nothing: a walk of the same actions shows that each of them works.
    function test_EveryActionSucceedsOften() external {
        bytes4[] memory actions = _handler.actions();
        for (uint256 i; i < 4_000; ++i) {
            (uint256 a, uint256 b) = (uint256(keccak256(abi.encode(i, "a"))), uint256(keccak256(abi.encode(i, "b"))));
            (bool ok, bytes memory reason) = address(_handler).call(
                abi.encodeWithSelector(actions[(a >> 128) % actions.length], a, b)
            );
            if (!ok)
                assembly ("memory-safe") {
                    revert(add(reason, 32), mload(reason))
                }
            if (i % 20 == 0) _holds();
        }
        for (uint256 i; i < actions.length; ++i)
            require(_handler.succeeded(actions[i]) >= 20, string.concat("never succeeds: ", _hex(actions[i])));
    }

    function _holds() private {
        vm.warp(_handler.clock());
        Totals memory t = _handler.manager().totals();
        _conserves(t);
        _isSolvent(t);
        _isInOrder(t);
    }

    /// What came in is there, or went out: to the wei.
    function _conserves(Totals memory t) private view {
        uint256 reservePaid = address(_handler.reserve()).balance;
        int256 cameIn = int256(_handler.staked() + _handler.executionApplied()) + _handler.gainedApplied();
        uint256 wentOut = _handler.paidToQueue() + reservePaid;
        require(int256(t.buffered + t.clBalance + t.inFlight + wentOut) == cameIn, "what came in is not what is there");
        require(address(_handler.manager()).balance == t.buffered + _handler.strayManager(), "ETH of the manager");
        require(
            address(_handler.queue()).balance + _handler.claimed() == _handler.paidToQueue() + _handler.strayQueue(),
            "ETH of the queue"
        );
        require(_handler.knownShares() == t.totalShares, "shares");
    }

    /// I1
    function _isSolvent(Totals memory t) private view {
        uint256 assets = t.buffered + t.clBalance + t.inFlight;
        require(assets >= t.totalPooledEther + t.locked + t.owed + t.fee, "I1: shares are worth more than there is");
        uint256 held = address(_handler.queue()).balance - _handler.strayQueue();
        require(held >= _handler.claimable(), "I1: the queue holds less than claims take");
        // rounding: less than a wei a request
        require(held <= _handler.claimable() + _handler.finalised(), "the queue keeps what is not its own");
    }

    /// I9, and the actors' shares in the queue are all of them
    function _isInOrder(Totals memory t) private view {
        uint256 queued;
        uint256 claimable;
        for (uint256 k; k < _handler.ACTORS(); ++k) {
            queued += _handler.queuedSharesOf(k);
            claimable += _handler.claimableOf(k);
        }
        require(_handler.queue().state().unfinalisedShares == queued, "I9: shares in the queue");
        require(_handler.queue().state().lastRequest == _handler.requestsMade(), "I9: requests");
        require(_handler.queue().state().lastFinalised == _handler.finalised(), "I9: finalised by a report alone");
        require(claimable == _handler.claimable(), "claims of all");
        require(t.queued == _handler.token().getPooledEthByShares(queued), "value of the queue");
    }

    function _hex(bytes4 selector) private pure returns (string memory) {
        bytes16 digits = "0123456789abcdef";
        bytes memory out = new bytes(8);
        for (uint256 i; i < 8; ++i) out[i] = digits[uint8(selector[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 15];
        return string(out);
    }
}
