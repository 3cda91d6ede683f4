// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

/// The exchange rate as it lies in one storage slot.
struct Rate {
    uint88 totalShares;
    // pooled ether once the running stream has ended, wei; more than the ETH supply fits
    uint88 pooledEther;
    // net gain that becomes available each second until `streamEnd`, in units of 10,000 wei
    uint48 streamRate;
    // seconds since 1970; valid until 2106
    uint32 streamEnd;
}

/// @title poolETH
/// @notice Rebasing ERC-20: a ledger of shares, and the rate that turns shares into ether. `balanceOf` follows every report and
/// every second of the reward stream without a transaction. Immutable; only the PoolManager writes the rate. Also the way out: a
/// withdrawal is requested here, so that the queue needs no approval and can pull nobody's shares.
///
/// Value of a share: `totalPooledEther() / totalShares()`, with
/// `totalPooledEther() = pooledEther - streamRate * 10,000 wei * max(0, streamEnd - now)`.
/// Everything rounds down for the holder: shares minted, shares moved by an amount, ether shown for shares.
///
/// As with every share-based rebasing token, `transfer(amount)` moves the whole number of shares at or below `amount`, so the
/// recipient may see up to one share's value less; `transferShares` is exact.
interface IPoolETH is IERC20Metadata, IERC20Permit {
    /// @notice Emitted beside every ERC-20 `Transfer`, also for mints.
    event TransferShares(address indexed from, address indexed to, uint256 shares);
    /// @notice The PoolManager wrote a new rate.
    event RateUpdated(uint256 totalShares, uint256 pooledEther, uint256 streamRate, uint256 streamEnd);

    /// @notice Only the PoolManager may call this.
    error NotPoolManager(address caller);
    /// @notice A transfer or approval named an address that cannot hold poolETH (zero, the token itself, or
    /// the withdrawal queue, which takes shares only as requests).
    error InvalidAddress(address account);
    /// @notice `account` holds `shares`, the operation needs `needed`.
    error InsufficientShares(address account, uint256 shares, uint256 needed);
    /// @notice `spender` may take `allowance` wei, the operation needs `needed`.
    error InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
    /// @notice A permit was used after `deadline` (seconds).
    error PermitExpired(uint256 deadline);
    /// @notice Neither an ECDSA nor an ERC-1271 signature of `owner`.
    error InvalidPermit(address owner);
    /// @notice There are shares but no ether behind them: nothing can be minted or priced.
    error NoPooledEther();
    /// @notice The amount is worth less than one share.
    error ZeroShares(uint256 amount);

    /// @notice Shares of `account`.
    function sharesOf(address account) external view returns (uint256);

    /// @notice All shares.
    function totalShares() external view returns (uint256);

    /// @notice Ether behind all shares now, in wei; equals `totalSupply()`.
    function totalPooledEther() external view returns (uint256);

    /// @notice The slot that holds the rate.
    function rate() external view returns (Rate memory);

    /// @notice Ether that `shares` are worth now, rounded down, wei.
    function getPooledEthByShares(uint256 shares) external view returns (uint256);

    /// @notice Shares that `amount` wei are worth now, rounded down.
    function getSharesByPooledEth(uint256 amount) external view returns (uint256);

    /// @notice Moves exactly `shares`.
    /// @return amount their value now, wei
    function transferShares(address to, uint256 shares) external returns (uint256 amount);

    /// @notice Moves exactly `shares` of `from`; spends the allowance by their value rounded up.
    /// @return amount their value now, wei, rounded down
    function transferSharesFrom(address from, address to, uint256 shares) external returns (uint256 amount);

    /// @notice ERC-2612 with any signature. The owner's key is tried first, then, if the owner has code, ERC-1271: an account that has
    /// both (EIP-7702) may use either. The same holds for the form with `v, r, s`.
    function permit(address owner, address spender, uint256 value, uint256 deadline, bytes calldata signature) external;

    /// @notice Mints shares worth `amount` wei to `to` and adds `amount` to the pooled ether. PoolManager only.
    /// The very first mint gives one share a wei.
    /// @return shares rounded down, never 0
    /// @return etherAfter pooled ether with it, wei
    function mint(address to, uint256 amount) external returns (uint256 shares, uint256 etherAfter);

    /// @notice Hands shares worth `amount` wei to the withdrawal queue, for `owner` to claim their ETH once a report has finalised the
    /// request. Until then they gain and lose with the pool. It cannot be cancelled. Nothing pauses it. See {IWithdrawalQueue} for the errors.
    /// @param amount at least 0.001 ether; above 1,000 ether it becomes several requests, at most 64
    /// @return firstId of the requests made
    /// @return lastId the same unless it was split
    function requestWithdrawal(uint256 amount, address owner) external returns (uint256 firstId, uint256 lastId);

    /// @notice The same for exactly `shares`.
    function requestWithdrawalShares(uint256 shares, address owner) external returns (uint256 firstId, uint256 lastId);

    /// @notice Writes the rate after a report, mints `feeShares` to `feeRecipient` and burns `burnedShares` of the withdrawal queue, whose
    /// ether `pooledEther` does not contain any more. PoolManager only.
    /// @param pooledEther wei once the stream has ended
    /// @param streamRate units of 10,000 wei a second
    /// @param streamEnd seconds since 1970
    function rebase(
        uint256 pooledEther,
        uint256 streamRate,
        uint256 streamEnd,
        address feeRecipient,
        uint256 feeShares,
        uint256 burnedShares
    ) external;
}
