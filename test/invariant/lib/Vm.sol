// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The cheat codes the campaign uses.
interface Vm {
    function addr(uint256 privateKey) external pure returns (address);

    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);

    function deal(address account, uint256 balance) external;

    function envOr(string calldata name, uint256 otherwise) external view returns (uint256);

    function etch(address account, bytes calldata code) external;

    function getNonce(address account) external view returns (uint64);

    function load(address account, bytes32 slot) external view returns (bytes32);

    function prank(address sender) external;

    function roll(uint256 blockNumber) external;

    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);

    function store(address account, bytes32 slot, bytes32 value) external;

    function warp(uint256 timestamp) external;
}

Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

/// Which functions of which contract the runner calls.
struct FuzzSelector {
    address addr;
    bytes4[] selectors;
}
