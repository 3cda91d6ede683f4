// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPoolETH, Rate} from "../interfaces/IPoolETH.sol";
import {IPoolManager, PendingLoss, Totals} from "../interfaces/IPoolManager.sol";
import {IWithdrawalQueue, QueueState, RequestStatus} from "../interfaces/IWithdrawalQueue.sol";

/// Everything that can be seen of the pool's accounting, in one call of one block.
struct Observation {
    Totals totals;
    Rate rate;
    PendingLoss pending;
    uint256[] shares;
    uint256[] balances;
    uint256 totalSupply;
    uint256 managerBalance;
    uint256 depositable;
    bool stakingOpen;
    uint256 stakeable;
    uint256 rateValue;
    uint256 reportAge;
    bool stale;
    uint256 lastFrame;
    uint256 depositedAt;
    bool finalisationPaused;
    uint256 queueShares;
    uint256 queueBalance;
    QueueState queue;
    RequestStatus[] requests;
    uint256[] hints;
    uint256[] ahead;
    uint256[] etherAhead;
    uint256 timestamp;
}

/// @title PoolProbe
/// @notice Lets tests read the whole pool after every step without dozens of calls.
contract PoolProbe {
    /// @param ids of the requests to look at
    /// @param frame whose end `depositedAt` is asked for
    function observe(
        IPoolManager manager,
        address[] calldata accounts,
        uint256[] calldata ids,
        uint256 frame
    ) external view returns (Observation memory o) {
        IPoolETH token = IPoolETH(manager.contracts().token);
        o.totals = manager.totals();
        o.rate = token.rate();
        o.pending = manager.pendingLoss();
        o.shares = new uint256[](accounts.length);
        o.balances = new uint256[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            o.shares[i] = token.sharesOf(accounts[i]);
            o.balances[i] = token.balanceOf(accounts[i]);
        }
        o.totalSupply = token.totalSupply();
        o.managerBalance = address(manager).balance;
        o.depositable = manager.depositableEther();
        (o.stakingOpen, o.stakeable) = manager.stakingState();
        (o.rateValue, o.reportAge, o.stale) = manager.rate();
        o.lastFrame = manager.lastFrame();
        o.depositedAt = manager.depositedAt(frame);
        o.timestamp = block.timestamp;
        o.finalisationPaused = manager.finalisationPaused();
        _observeQueue(o, token, IWithdrawalQueue(manager.contracts().withdrawalQueue), ids);
    }

    function _observeQueue(
        Observation memory o,
        IPoolETH token,
        IWithdrawalQueue queue,
        uint256[] calldata ids
    ) private view {
        o.queueShares = token.sharesOf(address(queue));
        o.queueBalance = address(queue).balance;
        o.queue = queue.state();
        o.hints = queue.hints(ids);
        o.requests = new RequestStatus[](ids.length);
        (o.ahead, o.etherAhead) = (new uint256[](ids.length), new uint256[](ids.length));
        for (uint256 i; i < ids.length; ++i) {
            o.requests[i] = queue.request(ids[i]);
            (o.ahead[i], o.etherAhead[i]) = queue.position(ids[i]);
        }
    }
}
