// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The libraries import OpenZeppelin's SafeCast, but no function that is proven calls it.
library SafeCast {}
