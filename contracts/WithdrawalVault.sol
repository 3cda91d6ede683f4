// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IWithdrawalVault} from "./interfaces/IVaults.sol";

/// @title WithdrawalVault
/// @notice See {IWithdrawalVault}.
contract WithdrawalVault is IWithdrawalVault, UUPSUpgradeable, AccessManagedUpgradeable {
    /// EIP-7002
    address private constant WITHDRAWAL_REQUESTS = 0x00000961Ef480Eb55e80D19ad83579A64c007002;
    uint64 private constant FULL_EXIT = 0; // gwei to withdraw

    address private immutable _poolManager;
    address private immutable _validatorExits;

    constructor(address poolManager, address validatorExits) {
        _poolManager = poolManager;
        _validatorExits = validatorExits;
        _disableInitializers();
    }

    receive() external payable {}

    /// @inheritdoc IWithdrawalVault
    function initialize(address authority) external initializer {
        if (authority == address(0)) revert ZeroAddress();
        __AccessManaged_init(authority);
    }

    /// @inheritdoc IWithdrawalVault
    function sweep(uint256 amount) external {
        if (msg.sender != _poolManager) revert NotPoolManager(msg.sender);
        emit Swept(amount);
        (bool sent, ) = msg.sender.call{value: amount}("");
        if (!sent) revert SendFailed(amount);
    }

    /// @inheritdoc IWithdrawalVault
    function requestExits(bytes[] calldata publicKeys) external payable {
        if (msg.sender != _validatorExits) revert NotValidatorExits(msg.sender);
        uint256 fee = exitFee();
        if (msg.value != fee * publicKeys.length) revert WrongFee(msg.value, fee * publicKeys.length);
        for (uint256 i; i < publicKeys.length; ++i) {
            (bool accepted, ) = WITHDRAWAL_REQUESTS.call{value: fee}(abi.encodePacked(publicKeys[i], FULL_EXIT));
            if (!accepted) revert ExitRefused(publicKeys[i]);
        }
    }

    /// @inheritdoc IWithdrawalVault
    function exitFee() public view returns (uint256) {
        (bool answered, bytes memory fee) = WITHDRAWAL_REQUESTS.staticcall("");
        if (!answered || fee.length != 32) revert ExitFeeUnknown();
        return uint256(bytes32(fee));
    }

    function _authorizeUpgrade(address) internal override restricted {}
}
