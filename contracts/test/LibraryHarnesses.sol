// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {QueueItems} from "../interfaces/IValidatorRegistry.sol";
import {DepositData} from "../libraries/DepositData.sol";
import {ExitOrder} from "../libraries/ExitOrder.sol";
import {KeyQueue} from "../libraries/KeyQueue.sol";
import {SignerQuorum} from "../libraries/SignerQuorum.sol";

/// @notice The pure libraries as functions that tests can call.
contract LibrariesHarness {
    function depositDataRoot(
        bytes calldata publicKey,
        bytes32 withdrawalCredentials,
        bytes calldata signature
    ) external view returns (bytes32) {
        return DepositData.root(publicKey, withdrawalCredentials, signature);
    }

    function stride(uint256 operators) external pure returns (uint256) {
        return KeyQueue.stride(operators);
    }

    function mostPerBatch(uint256 operators) external pure returns (uint256) {
        return KeyQueue.mostPerBatch(operators);
    }

    function read(
        uint256 cluster,
        uint256 firstNonce,
        bytes calldata data,
        uint256 operators
    ) external pure returns (uint256, bytes26) {
        return KeyQueue.read(cluster, firstNonce, data, operators);
    }

    function chainOfData(
        uint256 cluster,
        uint256 firstNonce,
        bytes calldata data,
        uint256 stride_
    ) external pure returns (bytes26) {
        return KeyQueue.chain(cluster, firstNonce, data, stride_);
    }

    function chainOfItems(
        uint256 cluster,
        uint256 firstNonce,
        QueueItems calldata items
    ) external pure returns (bytes26, bytes32[] memory) {
        return KeyQueue.chain(cluster, firstNonce, items);
    }
}

/// @notice One order of exits.
contract ExitOrderHarness {
    using ExitOrder for ExitOrder.Turns;

    ExitOrder.Turns private _turns;

    function take(uint256 cluster, uint256[] calldata orders) external {
        for (uint256 i; i < orders.length; ++i) _turns.take(cluster, orders[i]);
    }

    function next() external view returns (uint256) {
        return _turns.next();
    }

    function nextOf(uint256 cluster) external view returns (uint256) {
        return _turns.nextOf(cluster);
    }
}

/// @notice One set of signers.
contract SignerQuorumHarness {
    using SignerQuorum for SignerQuorum.Set;

    SignerQuorum.Set private _set;

    function add(address member, address signer) external {
        _set.add(member, signer);
    }

    function remove(address member) external {
        _set.remove(member);
    }

    function setQuorum(uint256 quorum) external {
        _set.setQuorum(quorum);
    }

    function rotate(address member, address signer) external {
        _set.rotate(member, signer);
    }

    function check(bytes32 digest, bytes[] calldata signatures) external view {
        _set.check(digest, signatures);
    }

    function recover(bytes32 digest, bytes calldata signature, uint256 index) external view returns (address) {
        return _set.recover(digest, signature, index);
    }

    function list() external view returns (address[] memory, address[] memory, uint256) {
        return _set.list();
    }
}
