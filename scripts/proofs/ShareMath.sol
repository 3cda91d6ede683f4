// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ShareMath} from "../../contracts/libraries/ShareMath.sol";

/// @notice Staking never lowers the rate: shares are minted rounded down.
contract StakeKeepsTheRate {
    function prove(uint88 amount, uint88 totalShares, uint88 totalEther) external pure {
        require(totalShares != 0 && totalEther != 0);
        uint256 shares = ShareMath.toShares(amount, totalShares, totalEther);
        assert((uint256(totalEther) + amount) * totalShares >= totalEther * (totalShares + shares));
    }
}

/// @notice Shares redeemed for what they are worth never lower the rate of those who stay.
contract RedeemKeepsTheRate {
    function prove(uint88 shares, uint88 totalShares, uint88 totalEther) external pure {
        require(totalShares != 0 && shares <= totalShares);
        uint256 amount = ShareMath.toEther(shares, totalShares, totalEther);
        assert(
            amount <= totalEther && (totalEther - amount) * totalShares >= uint256(totalEther) * (totalShares - shares)
        );
    }
}

/// @notice Who stakes and redeems at once never gets more than was staked.
contract NoGainFromARoundTrip {
    function prove(uint88 amount, uint88 totalShares, uint88 totalEther) external pure {
        require(totalShares != 0 && totalEther != 0);
        uint256 shares = ShareMath.toShares(amount, totalShares, totalEther);
        assert(ShareMath.toEther(shares, totalShares + shares, uint256(totalEther) + amount) <= amount);
    }
}

/// @notice What an allowance pays for shares is the least whole number of wei that covers their value.
contract RoundedUpIsTheLeastThatCovers {
    function prove(uint88 shares, uint88 totalShares, uint88 totalEther) external pure {
        require(totalShares != 0);
        uint256 up = ShareMath.toEtherUp(shares, totalShares, totalEther) * totalShares;
        uint256 exact = uint256(shares) * totalEther;
        assert(up >= exact && up < exact + totalShares);
    }
}
