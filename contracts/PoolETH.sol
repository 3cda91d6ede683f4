// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {IPoolETH, Rate} from "./interfaces/IPoolETH.sol";
import {IWithdrawalQueue} from "./interfaces/IWithdrawalQueue.sol";
import {RewardStream} from "./libraries/RewardStream.sol";
import {ShareMath} from "./libraries/ShareMath.sol";

/// @title PoolETH
/// @notice See {IPoolETH}.
contract PoolETH is IPoolETH, EIP712, Nonces {
    using SafeCast for uint256;

    bytes32 private constant PERMIT_TYPEHASH = keccak256(
        "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
    );

    address private immutable _poolManager;
    IWithdrawalQueue private immutable _withdrawalQueue;

    Rate private _rate;
    mapping(address account => uint256) private _shares;
    mapping(address owner => mapping(address spender => uint256)) private _allowances;

    constructor(address poolManager, address withdrawalQueue) EIP712("poolETH", "1") {
        _poolManager = poolManager;
        _withdrawalQueue = IWithdrawalQueue(withdrawalQueue);
    }

    modifier onlyPoolManager() {
        if (msg.sender != _poolManager) revert NotPoolManager(msg.sender);
        _;
    }

    /// @inheritdoc IPoolETH
    function mint(address to, uint256 amount) external onlyPoolManager returns (uint256 shares, uint256 etherAfter) {
        _checkAddress(to);
        Rate memory r = _rate;
        uint256 total = _total(r);
        if (total == 0 && r.totalShares != 0) revert NoPooledEther();
        shares = ShareMath.toShares(amount, r.totalShares, total);
        if (shares == 0) revert ZeroShares(amount);
        r.totalShares = (r.totalShares + shares).toUint88();
        r.pooledEther = (r.pooledEther + amount).toUint88();
        _rate = r;
        _credit(to, shares, amount);
        return (shares, total + amount);
    }

    /// @inheritdoc IPoolETH
    function rebase(
        uint256 pooledEther,
        uint256 streamRate,
        uint256 streamEnd,
        address feeRecipient,
        uint256 feeShares,
        uint256 burnedShares
    ) external onlyPoolManager {
        Rate memory r = Rate({
            totalShares: (_rate.totalShares + feeShares - burnedShares).toUint88(),
            pooledEther: pooledEther.toUint88(),
            streamRate: streamRate.toUint48(),
            streamEnd: streamEnd.toUint32()
        });
        _rate = r;
        emit RateUpdated(r.totalShares, pooledEther, streamRate, streamEnd);
        if (feeShares != 0) _credit(feeRecipient, feeShares, ShareMath.toEther(feeShares, r.totalShares, _total(r)));
        if (burnedShares != 0) {
            _shares[address(_withdrawalQueue)] -= burnedShares;
            emit Transfer(
                address(_withdrawalQueue),
                address(0),
                ShareMath.toEther(burnedShares, r.totalShares, _total(r))
            );
            emit TransferShares(address(_withdrawalQueue), address(0), burnedShares);
        }
    }

    /// @inheritdoc IPoolETH
    function requestWithdrawal(uint256 amount, address owner) external returns (uint256 firstId, uint256 lastId) {
        return _requestWithdrawal(getSharesByPooledEth(amount), amount, owner);
    }

    /// @inheritdoc IPoolETH
    function requestWithdrawalShares(uint256 shares, address owner) external returns (uint256 firstId, uint256 lastId) {
        return _requestWithdrawal(shares, getPooledEthByShares(shares), owner);
    }

    /// @inheritdoc IERC20
    function transfer(address to, uint256 amount) external returns (bool) {
        _transfer(msg.sender, to, getSharesByPooledEth(amount), amount);
        return true;
    }

    /// @inheritdoc IERC20
    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _spendAllowance(from, amount);
        _transfer(from, to, getSharesByPooledEth(amount), amount);
        return true;
    }

    /// @inheritdoc IPoolETH
    function transferShares(address to, uint256 shares) external returns (uint256 amount) {
        amount = getPooledEthByShares(shares);
        _transfer(msg.sender, to, shares, amount);
    }

    /// @inheritdoc IPoolETH
    function transferSharesFrom(address from, address to, uint256 shares) external returns (uint256 amount) {
        Rate memory r = _rate;
        uint256 total = _total(r);
        _spendAllowance(from, ShareMath.toEtherUp(shares, r.totalShares, total));
        amount = ShareMath.toEther(shares, r.totalShares, total);
        _transfer(from, to, shares, amount);
    }

    /// @inheritdoc IERC20
    function approve(address spender, uint256 amount) external returns (bool) {
        _approve(msg.sender, spender, amount);
        return true;
    }

    /// @inheritdoc IERC20Permit
    function permit(
        address owner,
        address spender,
        uint256 value,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        _permit(owner, spender, value, deadline, abi.encodePacked(r, s, v));
    }

    /// @inheritdoc IPoolETH
    function permit(
        address owner,
        address spender,
        uint256 value,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _permit(owner, spender, value, deadline, signature);
    }

    /// @inheritdoc IERC20Metadata
    function name() external pure returns (string memory) {
        return "poolETH";
    }

    /// @inheritdoc IERC20Metadata
    function symbol() external pure returns (string memory) {
        return "poolETH";
    }

    /// @inheritdoc IERC20Metadata
    function decimals() external pure returns (uint8) {
        return 18;
    }

    /// @inheritdoc IERC20
    function balanceOf(address account) external view returns (uint256) {
        return getPooledEthByShares(_shares[account]);
    }

    /// @inheritdoc IERC20
    function totalSupply() external view returns (uint256) {
        return _total(_rate);
    }

    /// @inheritdoc IERC20
    function allowance(address owner, address spender) external view returns (uint256) {
        return _allowances[owner][spender];
    }

    /// @inheritdoc IPoolETH
    function sharesOf(address account) external view returns (uint256) {
        return _shares[account];
    }

    /// @inheritdoc IPoolETH
    function totalShares() external view returns (uint256) {
        return _rate.totalShares;
    }

    /// @inheritdoc IPoolETH
    function totalPooledEther() external view returns (uint256) {
        return _total(_rate);
    }

    /// @inheritdoc IPoolETH
    function rate() external view returns (Rate memory) {
        return _rate;
    }

    /// @inheritdoc IERC20Permit
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IERC20Permit
    function nonces(address owner) public view override(IERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    /// @inheritdoc IPoolETH
    function getPooledEthByShares(uint256 shares) public view returns (uint256) {
        Rate memory r = _rate;
        return ShareMath.toEther(shares, r.totalShares, _total(r));
    }

    /// @inheritdoc IPoolETH
    function getSharesByPooledEth(uint256 amount) public view returns (uint256) {
        Rate memory r = _rate;
        uint256 total = _total(r);
        if (total == 0 && r.totalShares != 0) revert NoPooledEther();
        return ShareMath.toShares(amount, r.totalShares, total);
    }

    /// @dev The recipient of a rebase's fee is not checked: news must not fail on an address.
    function _credit(address to, uint256 shares, uint256 amount) private {
        unchecked {
            _shares[to] += shares; // the sum of all is totalShares
        }
        emit Transfer(address(0), to, amount);
        emit TransferShares(address(0), to, shares);
    }

    function _requestWithdrawal(uint256 shares, uint256 amount, address owner) private returns (uint256, uint256) {
        _move(msg.sender, address(_withdrawalQueue), shares, amount);
        return _withdrawalQueue.enqueue(owner, shares, amount);
    }

    function _transfer(address from, address to, uint256 shares, uint256 amount) private {
        _checkAddress(to);
        _move(from, to, shares, amount);
    }

    function _move(address from, address to, uint256 shares, uint256 amount) private {
        uint256 held = _shares[from];
        if (held < shares) revert InsufficientShares(from, held, shares);
        unchecked {
            _shares[from] = held - shares;
            _shares[to] += shares; // read after the write: a transfer to oneself changes nothing
        }
        emit Transfer(from, to, amount);
        emit TransferShares(from, to, shares);
    }

    function _approve(address owner, address spender, uint256 amount) private {
        _checkAddress(spender);
        _allowances[owner][spender] = amount;
        emit Approval(owner, spender, amount);
    }

    function _spendAllowance(address owner, uint256 amount) private {
        uint256 allowed = _allowances[owner][msg.sender];
        if (allowed == type(uint256).max) return;
        if (allowed < amount) revert InsufficientAllowance(msg.sender, allowed, amount);
        unchecked {
            _allowances[owner][msg.sender] = allowed - amount;
        }
    }

    /// @dev An account may have a key and code at once (EIP-7702); its key is tried first.
    function _permit(address owner, address spender, uint256 value, uint256 deadline, bytes memory signature) private {
        if (block.timestamp > deadline) revert PermitExpired(deadline);
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(PERMIT_TYPEHASH, owner, spender, value, _useNonce(owner), deadline))
        );
        (address signer, ECDSA.RecoverError err, ) = ECDSA.tryRecover(digest, signature);
        if (
            (err != ECDSA.RecoverError.NoError || signer != owner) &&
            !SignatureChecker.isValidERC1271SignatureNow(owner, digest, signature)
        ) revert InvalidPermit(owner);
        _approve(owner, spender, value);
    }

    function _checkAddress(address account) private view {
        if (account == address(0) || account == address(this) || account == address(_withdrawalQueue))
            revert InvalidAddress(account);
    }

    function _total(Rate memory r) private view returns (uint256) {
        uint256 locked = RewardStream.netLocked(r.streamRate, RewardStream.remaining(r.streamEnd, block.timestamp));
        return r.pooledEther > locked ? r.pooledEther - locked : 0;
    }
}
