// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Invariants} from "./lib/Invariants.sol";
import {FuzzSelector, vm} from "./lib/Vm.sol";

/// The runner knows the functions of contracts of a test's own file alone.
contract Handler is Invariants {}

/// @notice The whole pool under arbitrary sequences of everything that can happen to it. {PoolHandler} and {ValidatorHandler} know the
/// actions and what must hold across each, {Invariants} what must hold at any moment.
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
        _handler.holds();
    }

    /// At the end of every run.
    function afterInvariant() external {
        _handler.checkExits();
    }

    /// A campaign whose actions all fail would find nothing: a walk of the same actions shows that each of them works. What reads the
    /// environment is not replayed step by step when it fails, which would take more memory than there is.
    function test_EveryActionSucceedsOften() external {
        bytes4[] memory actions = _handler.actions();
        uint256 steps = vm.envOr("CAMPAIGN_WALK", 4_000);
        for (uint256 i; i < steps; ++i) {
            (uint256 a, uint256 b) = (uint256(keccak256(abi.encode(i, "a"))), uint256(keccak256(abi.encode(i, "b"))));
            (bool ok, bytes memory reason) = address(_handler).call(
                abi.encodeWithSelector(actions[(a >> 128) % actions.length], a, b)
            );
            if (!ok)
                assembly ("memory-safe") {
                    revert(add(reason, 32), mload(reason))
                }
            if (i % 20 != 0) continue;
            _handler.holds();
            _handler.checkExits();
        }
        for (uint256 i; i < actions.length; ++i)
            require(_handler.succeeded(actions[i]) >= 5, string.concat("hardly ever succeeds: ", _hex(actions[i])));
    }

    function _hex(bytes4 selector) private pure returns (string memory) {
        bytes16 digits = "0123456789abcdef";
        bytes memory out = new bytes(8);
        for (uint256 i; i < 8; ++i) out[i] = digits[uint8(selector[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 15];
        return string(out);
    }
}
