// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The two calls of the reserve that the PoolManager makes, with a shortfall a test can set.
contract OperationsReserveMockForPool {
    uint256 public shortfall;

    function setShortfall(uint256 shortfall_) external {
        shortfall = shortfall_;
    }

    function fund() external payable {}
}
