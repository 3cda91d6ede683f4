// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cluster, ISSVNetwork} from "../interfaces/ISSVNetwork.sol";
import {ISSVNetworkViews} from "../interfaces/ISSVNetworkViews.sol";

/// @title Calls to SSV Network
/// @notice The one place where they are encoded: SSV has changed its ABI before, and accounts only forward bytes.
library SSVCalls {
    /// @notice Registers validators; send it with the ETH that funds the cluster.
    /// @param cluster Latest snapshot, see {Cluster}.
    function registerCall(
        bytes[] calldata publicKeys,
        uint64[] memory operatorIds,
        bytes[] calldata sharesData,
        Cluster calldata cluster
    ) internal pure returns (bytes memory) {
        return abi.encodeCall(ISSVNetwork.bulkRegisterValidator, (publicKeys, operatorIds, sharesData, cluster));
    }

    /// @notice Asks the operators to exit validators of the account that sends it.
    function exitCall(bytes[] calldata publicKeys, uint64[] memory operatorIds) internal pure returns (bytes memory) {
        return abi.encodeCall(ISSVNetwork.bulkExitValidator, (publicKeys, operatorIds));
    }

    /// @notice Takes validators of the account that sends it out of SSV.
    /// @param cluster Latest snapshot, see {Cluster}.
    function removeCall(
        bytes[] calldata publicKeys,
        uint64[] memory operatorIds,
        Cluster calldata cluster
    ) internal pure returns (bytes memory) {
        return abi.encodeCall(ISSVNetwork.bulkRemoveValidator, (publicKeys, operatorIds, cluster));
    }

    /// @notice Sets the fee recipient of all validators of the account that sends it.
    function feeRecipientCall(address recipient) internal pure returns (bytes memory) {
        return abi.encodeCall(ISSVNetwork.setFeeRecipientAddress, (recipient));
    }

    /// @notice Adds the ETH it is sent with to a cluster of `clusterOwner`; anybody may send it.
    /// @param cluster Latest snapshot, see {Cluster}.
    function depositCall(
        address clusterOwner,
        uint64[] memory operatorIds,
        Cluster calldata cluster
    ) internal pure returns (bytes memory) {
        return abi.encodeCall(ISSVNetwork.deposit, (clusterOwner, operatorIds, cluster));
    }

    /// @notice What a validator of 32 ETH costs with these operators, in wei per block: network fee and operator fees.
    function burnPerValidator(
        ISSVNetworkViews views,
        uint64[] memory operatorIds
    ) internal view returns (uint256 weiPerBlock) {
        weiPerBlock = views.getNetworkFee();
        for (uint256 i; i < operatorIds.length; ++i) weiPerBlock += views.getOperatorFee(operatorIds[i]);
    }

    /// @notice Whether SSV takes these operators for a cluster: 4, 7, 10 or 13 strictly ascending ids.
    function isCommittee(uint64[] calldata operatorIds) internal pure returns (bool) {
        uint256 count = operatorIds.length;
        if (count < 4 || count > 13 || count % 3 != 1) return false;
        for (uint256 i = 1; i < count; ++i) {
            if (operatorIds[i] <= operatorIds[i - 1]) return false;
        }
        return true;
    }
}
