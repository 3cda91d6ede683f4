// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// Compiled here so that tests and the deployment find their artifacts.
// solhint-disable no-unused-import
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
