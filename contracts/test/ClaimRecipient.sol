// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @notice An account that requests and claims withdrawals, or forces exits, and takes the ETH it gets in bad ways.
contract ClaimRecipient {
    enum Manner {
        Takes,
        Refuses,
        BurnsGas,
        ClaimsAgain,
        PaysAgain
    }

    error NotToday();

    Manner public manner;
    address private _target;
    bytes private _again;

    receive() external payable {
        _take();
    }

    function behave(Manner manner_, address target, bytes calldata again) external {
        (manner, _target, _again) = (manner_, target, again);
    }

    function execute(address target, bytes calldata data) external payable {
        Address.functionCallWithValue(target, data, msg.value);
    }

    function _take() private {
        if (manner == Manner.Refuses) revert NotToday();
        if (manner == Manner.BurnsGas) while (true) {}
        if (manner == Manner.ClaimsAgain) Address.functionCall(_target, _again);
        if (manner == Manner.PaysAgain) Address.functionCallWithValue(_target, _again, msg.value);
    }
}
