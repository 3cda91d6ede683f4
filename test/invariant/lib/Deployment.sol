// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {PoolContracts, PoolParameters, StakeLimits} from "../../../contracts/interfaces/IPoolManager.sol";
import {IWithdrawalQueue} from "../../../contracts/interfaces/IWithdrawalQueue.sol";
import {FrameConfig, Frames} from "../../../contracts/libraries/Frames.sol";
import {PoolETH} from "../../../contracts/PoolETH.sol";
import {PoolManager} from "../../../contracts/PoolManager.sol";
import {RewardsVault} from "../../../contracts/RewardsVault.sol";
import {OperationsReserveMockForPool} from "../../../contracts/test/OperationsReserveMockForPool.sol";
import {WithdrawalQueue} from "../../../contracts/WithdrawalQueue.sol";
import {WithdrawalVault} from "../../../contracts/WithdrawalVault.sol";
import {vm} from "./Vm.sol";

/// @notice The pool's real contracts. Whoever inherits is its oracle, registry, guardians and governance.
abstract contract Deployment {
    using Frames for FrameConfig;

    uint256 internal constant START = 2_000_000_000;
    uint256 internal constant FRAME = 1 days;
    uint32 internal constant MARGIN = 768;
    uint256 internal constant INITIAL = 1 ether;
    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;
    address internal constant TREASURY = address(0x7EA5);

    PoolManager public manager;
    PoolETH public token;
    WithdrawalQueue public queue;
    WithdrawalVault public withdrawalVault;
    RewardsVault public rewardsVault;
    OperationsReserveMockForPool public reserve;

    constructor() {
        vm.warp(START);
        vm.deal(address(this), INITIAL);
        address authority = address(new AccessManager(address(this)));
        reserve = new OperationsReserveMockForPool();
        uint256 nonce = vm.getNonce(address(this));
        address managerAt = vm.computeCreateAddress(address(this), nonce + 7);
        address queueAt = vm.computeCreateAddress(address(this), nonce + 5);
        token = new PoolETH(managerAt, queueAt);
        rewardsVault = new RewardsVault(managerAt);
        withdrawalVault = WithdrawalVault(
            payable(
                new ERC1967Proxy(
                    address(new WithdrawalVault(managerAt, address(this))),
                    abi.encodeCall(WithdrawalVault.initialize, (authority))
                )
            )
        );
        queue = WithdrawalQueue(
            payable(
                new ERC1967Proxy(
                    address(new WithdrawalQueue(address(token), managerAt, _frames(), MARGIN)),
                    abi.encodeCall(IWithdrawalQueue.initialize, (authority))
                )
            )
        );
        PoolManager code = new PoolManager(
            PoolContracts({
                token: address(token),
                registry: address(this),
                reportOracle: address(this),
                guardians: address(this),
                withdrawalVault: address(withdrawalVault),
                rewardsVault: address(rewardsVault),
                reserve: address(reserve),
                withdrawalQueue: queueAt
            }),
            _frames()
        );
        PoolParameters memory parameters = PoolParameters({
            treasury: TREASURY,
            feeBps: 1_000,
            maxYearlyRateBps: 1_000,
            lossLimitBps: 500,
            lossWindow: 7 days,
            limits: StakeLimits({minStake: 0.001 ether, poolCap: 100_000 ether, dailyLimit: 20_000 ether})
        });
        manager = PoolManager(
            payable(
                new ERC1967Proxy{value: INITIAL}(
                    address(code),
                    abi.encodeCall(PoolManager.initialize, (authority, parameters))
                )
            )
        );
        require(address(manager) == managerAt && address(queue) == queueAt, "addresses");
    }

    function _frames() internal pure returns (FrameConfig memory) {
        return FrameConfig({genesisTime: uint64(START - 3 * FRAME), secondsPerSlot: 12, slotsPerFrame: 7_200});
    }

    function _frameAt(uint256 timestamp) internal pure returns (uint256) {
        return _frames().frameAt(timestamp);
    }
}
