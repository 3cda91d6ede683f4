// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Totals} from "../../../contracts/interfaces/IPoolManager.sol";
import {PoolHandler} from "./PoolHandler.sol";
import {SystemContracts} from "./SystemContracts.sol";
import {vm} from "./Vm.sol";

/// @notice What must hold at any moment.
abstract contract Invariants is PoolHandler {
    function holds() external {
        vm.warp(clock);
        Totals memory t = manager.totals();
        _conserves(t);
        _isSolvent(t);
        _isInOrder(t);
    }

    /// What came in is there, or went out: to the wei.
    function _conserves(Totals memory t) private view {
        uint256 reservePaid = reserve.balance() + paidToSSV - donated;
        int256 cameIn = int256(staked + executionApplied) + gainedApplied;
        uint256 wentOut = paidToQueue + reservePaid;
        require(int256(t.buffered + t.clBalance + t.inFlight + wentOut) == cameIn, "what came in is not what is there");
        require(address(manager).balance == t.buffered + strayManager, "ETH of the manager");
        require(address(queue).balance + claimed == paidToQueue + strayQueue, "ETH of the queue");
        require(knownShares() == t.totalShares, "shares");
        _holdsAllThereIs();
    }

    /// The same with nothing but balances, of contracts and of the beacon chain: nothing is lost anywhere, nothing comes from nowhere.
    function _holdsAllThereIs() private view {
        uint256 held = address(manager).balance + address(queue).balance;
        held += address(withdrawalVault).balance + address(rewardsVault).balance;
        held += address(reserve).balance + address(ssv).balance;
        held += beacon + claimed;
        require(int256(held) == brought, "all ETH there is");
        require(address(registry).balance + address(exits).balance == 0, "ETH passes through");
        require(address(ssv).balance == paidToSSV, "ETH in SSV");
        require(SystemContracts.DEPOSIT_CONTRACT.balance == deposited, "deposits");
    }

    /// I1
    function _isSolvent(Totals memory t) private view {
        uint256 assets = t.buffered + t.clBalance + t.inFlight;
        require(assets >= t.totalPooledEther + t.locked + t.owed + t.fee, "I1: shares are worth more than there is");
        uint256 held = address(queue).balance - strayQueue;
        require(held >= claimable, "I1: the queue holds less than claims take");
        // rounding: less than a wei a request
        require(held <= claimable + finalised, "the queue keeps what is not its own");
    }

    /// I9, and the actors' shares in the queue are all of them
    function _isInOrder(Totals memory t) private view {
        uint256 queued;
        uint256 due;
        for (uint256 k; k < ACTORS; ++k) {
            queued += queuedSharesOf[k];
            due += claimableOf[k];
        }
        require(queue.state().unfinalisedShares == queued, "I9: shares in the queue");
        require(queue.state().lastRequest == _requests.length, "I9: requests");
        require(queue.state().lastFinalised == finalised, "I9: finalised by a report alone");
        require(due == claimable, "claims of all");
        require(t.queued == token.getPooledEthByShares(queued), "value of the queue");
    }
}
