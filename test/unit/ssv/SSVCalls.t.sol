// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cluster, ISSVNetwork} from "../../../contracts/interfaces/ISSVNetwork.sol";
import {SSVCalls} from "../../../contracts/libraries/SSVCalls.sol";
import {SSVNetworkDouble} from "../../../contracts/test/SSVNetworkDouble.sol";

/// @dev Sends what the library encodes, as an account does.
contract SSVCallsTest {
    error Different(bytes32 actual, bytes32 expected);
    error CallFailed();

    Cluster private newCluster = Cluster(0, 0, 0, true, 0);
    SSVNetworkDouble private ssv;
    uint64[] private ids;

    function setUp() public {
        ssv = new SSVNetworkDouble();
        for (uint8 i = 1; i <= 4; ++i) ids.push(ssv.registerOperator(abi.encode(i), i * 1e8, false));
    }

    function register(
        bytes[] calldata keys,
        bytes[] calldata shares,
        Cluster calldata cluster
    ) external view returns (bytes memory) {
        return SSVCalls.registerCall(keys, ids, shares, cluster);
    }

    function deposit(Cluster calldata cluster) external view returns (bytes memory) {
        return SSVCalls.depositCall(address(this), ids, cluster);
    }

    function testRegistersAndDeposits() public {
        bytes[] memory keys = new bytes[](2);
        bytes[] memory shares = new bytes[](2);
        for (uint8 i; i < 2; ++i) {
            keys[i] = abi.encodePacked(new bytes(47), i);
            shares[i] = abi.encodePacked("shares", i);
        }
        bytes memory call = this.register(keys, shares, newCluster);
        _same(call, abi.encodeCall(ISSVNetwork.bulkRegisterValidator, (keys, ids, shares, newCluster)));
        _send(call, 1 ether);
        if (!ssv.getValidator(address(this), keys[1])) revert CallFailed();

        // the deployment, the operators and the registration share a block: no index has moved
        Cluster memory cluster = Cluster(2, 0, 0, true, 1 ether);
        call = this.deposit(cluster);
        _same(call, abi.encodeCall(ISSVNetwork.deposit, (address(this), ids, cluster)));
        _send(call, 1 wei);
        cluster.balance += 1 wei;
        if (ssv.getBalance(address(this), ids, cluster) != 1 ether + 1 wei) revert CallFailed();
    }

    function testSetsTheFeeRecipient(address recipient) public {
        bytes memory call = SSVCalls.feeRecipientCall(recipient);
        _same(call, abi.encodeCall(ISSVNetwork.setFeeRecipientAddress, (recipient)));
        _send(call, 0);
    }

    function testBurnIsNetworkFeeAndOperatorFees() public view {
        uint256 burn = SSVCalls.burnPerValidator(ssv, ids);
        if (burn != 3_366_600_000 + 10e8) revert Different(bytes32(burn), bytes32(uint256(3_366_600_000 + 10e8)));
    }

    function _send(bytes memory call, uint256 value) private {
        (bool ok, ) = address(ssv).call{value: value}(call);
        if (!ok) revert CallFailed();
    }

    function _same(bytes memory actual, bytes memory expected) private pure {
        if (keccak256(actual) != keccak256(expected)) revert Different(keccak256(actual), keccak256(expected));
    }
}
