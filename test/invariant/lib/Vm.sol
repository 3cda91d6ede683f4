// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The cheat codes the campaign uses.
interface Vm {
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);

    function deal(address account, uint256 balance) external;

    function getNonce(address account) external view returns (uint64);

    function prank(address sender) external;

    function warp(uint256 timestamp) external;
}

Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

/// Which functions of which contract the runner calls.
struct FuzzSelector {
    address addr;
    bytes4[] selectors;
}
