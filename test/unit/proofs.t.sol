// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Math as MathStandIn} from "../../scripts/proofs/standins/Math.sol";
import {Narrow} from "../../scripts/proofs/standins/Narrow.sol";
import {SafeCast as SafeCastStandIn} from "../../scripts/proofs/standins/SafeCast.sol";

/// @notice What `npm run prove` sees in place of OpenZeppelin and of narrowing conversions, against the originals.
contract ProofStandInsTest {
    bool public constant IS_TEST = true;

    function testFuzzMathIsTheSame(uint128 a, uint128 b) external pure {
        assert(MathStandIn.saturatingMul(a, b) == Math.saturatingMul(a, b));
        assert(MathStandIn.average(a, b) == Math.average(a, b));
        if (b != 0) assert(MathStandIn.ceilDiv(a, b) == Math.ceilDiv(a, b));
    }

    function testFuzzConversionsAreTheSame(uint64 a, uint96 b, uint40 c) external pure {
        assert(SafeCastStandIn.toUint40(c) == SafeCast.toUint40(c));
        assert(SafeCastStandIn.toUint96(b) == SafeCast.toUint96(b));
        assert(Narrow.toUint64(a) == uint64(uint256(a)));
        assert(Narrow.toUint96(b) == uint96(uint256(b)));
    }
}
