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
        assert(MathStandIn.saturatingSub(a, b) == Math.saturatingSub(a, b));
        assert(MathStandIn.average(a, b) == Math.average(a, b));
        if (b != 0) assert(MathStandIn.ceilDiv(a, b) == Math.ceilDiv(a, b));
    }

    function testFuzzConversionsAreTheSame(uint40 a, uint64 b, uint96 c) external pure {
        assert(SafeCastStandIn.toUint40(a) == SafeCast.toUint40(a));
        assert(SafeCastStandIn.toUint96(c) == SafeCast.toUint96(c));
        assert(Narrow.toUint64(b) == uint64(uint256(b)));
        assert(Narrow.toUint96(c) == uint96(uint256(c)));
    }
}
