// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {IOperationsReserve} from "../../../contracts/interfaces/IOperationsReserve.sol";
import {PoolContracts, PoolParameters, StakeLimits} from "../../../contracts/interfaces/IPoolManager.sol";
import {ExitsContracts, IValidatorExits} from "../../../contracts/interfaces/IValidatorExits.sol";
import {RegistryContracts} from "../../../contracts/interfaces/IValidatorRegistry.sol";
import {IWithdrawalQueue} from "../../../contracts/interfaces/IWithdrawalQueue.sol";
import {FrameConfig, Frames} from "../../../contracts/libraries/Frames.sol";
import {Guardians} from "../../../contracts/Guardians.sol";
import {OperationsReserve} from "../../../contracts/OperationsReserve.sol";
import {PoolETH} from "../../../contracts/PoolETH.sol";
import {PoolManager} from "../../../contracts/PoolManager.sol";
import {ReportOracle} from "../../../contracts/ReportOracle.sol";
import {RewardsVault} from "../../../contracts/RewardsVault.sol";
import {SSVAccount} from "../../../contracts/SSVAccount.sol";
import {SSVNetworkDouble} from "../../../contracts/test/SSVNetworkDouble.sol";
import {ValidatorExits} from "../../../contracts/ValidatorExits.sol";
import {ValidatorRegistry} from "../../../contracts/ValidatorRegistry.sol";
import {WithdrawalQueue} from "../../../contracts/WithdrawalQueue.sol";
import {WithdrawalVault} from "../../../contracts/WithdrawalVault.sol";
import {SystemContracts} from "./SystemContracts.sol";
import {vm} from "./Vm.sol";

/// @notice All of the pool's contracts, on the real deposit contract and predeploys; only SSV Network is a double. Whoever inherits is
/// governance, and holds the keys of two of three oracle members and of two of three guardians.
abstract contract Deployment {
    using Frames for FrameConfig;

    uint256 internal constant START = 2_000_000_000;
    uint256 internal constant BLOCK = 25_000_000;
    uint256 internal constant FRAME = 1 days;
    uint32 internal constant MARGIN = 768;
    uint256 internal constant GRACE = 1; // frame
    uint256 internal constant CLUSTERS = 3;
    uint256 internal constant INITIAL = 1 ether;
    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;
    address internal constant TREASURY = address(0x7EA5);

    PoolManager public manager;
    PoolETH public token;
    WithdrawalQueue public queue;
    WithdrawalVault public withdrawalVault;
    RewardsVault public rewardsVault;
    OperationsReserve public reserve;
    ValidatorRegistry public registry;
    ValidatorExits public exits;
    ReportOracle public reportOracle;
    Guardians public guardians;
    SSVNetworkDouble public ssv;

    uint256[] private _keys; // of the members, by ascending address
    uint256 private _firstNonce;

    constructor() {
        vm.warp(START);
        vm.roll(BLOCK);
        vm.deal(address(this), INITIAL);
        SystemContracts.install();
        ssv = new SSVNetworkDouble();
        for (uint256 i = 1; i <= 4 * CLUSTERS; ++i) ssv.registerOperator(abi.encode(i), 5_000_000_000, false);
        _makeKeys();
        _deploy(address(new AccessManager(address(this))));
        _addClusters();
    }

    function _frames() internal pure returns (FrameConfig memory) {
        return FrameConfig({genesisTime: uint64(START - 3 * FRAME), secondsPerSlot: 12, slotsPerFrame: 7_200});
    }

    function _frameAt(uint256 timestamp) internal pure returns (uint256) {
        return _frames().frameAt(timestamp);
    }

    function _startOf(uint256 frame) internal pure returns (uint256) {
        return START + frame * FRAME - 3 * FRAME;
    }

    /// Of two members; the oracle's have the same keys as the guardians.
    function _signed(bytes32 digest) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](2);
        for (uint256 i; i < 2; ++i) signatures[i] = _signedBy(i, digest);
    }

    function _signedBy(uint256 member, bytes32 digest) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(_keys[member], digest);
        return abi.encodePacked(r, s, v);
    }

    /// What guardians sign.
    function _guardianDigest(bytes memory structure) internal view returns (bytes32) {
        return keccak256(abi.encodePacked("\x19\x01", guardians.domainSeparator(), keccak256(structure)));
    }

    function _operatorsOf(uint256 cluster) internal pure returns (uint64[] memory ids) {
        ids = new uint64[](4);
        for (uint256 i; i < 4; ++i) ids[i] = uint64(4 * cluster + i - 3);
    }

    function _member(uint256 i) internal pure returns (address) {
        return address(uint160(0xC01D + i));
    }

    function _makeKeys() private {
        for (uint256 key = 1; key <= 3; ++key) _keys.push(key);
        for (uint256 i; i < 9; ++i) {
            (uint256 left, uint256 right) = (_keys[i % 2], _keys[(i % 2) + 1]);
            if (vm.addr(left) > vm.addr(right)) (_keys[i % 2], _keys[(i % 2) + 1]) = (right, left);
        }
    }

    function _deploy(address authority) private {
        _firstNonce = vm.getNonce(address(this));
        token = new PoolETH(_at(18), _at(5));
        rewardsVault = new RewardsVault(_at(18));
        withdrawalVault = WithdrawalVault(
            _proxy(
                address(new WithdrawalVault(_at(18), _at(14))),
                abi.encodeCall(WithdrawalVault.initialize, (authority))
            )
        );
        queue = WithdrawalQueue(
            _proxy(
                address(new WithdrawalQueue(address(token), _at(18), _frames(), MARGIN)),
                abi.encodeCall(IWithdrawalQueue.initialize, (authority))
            )
        );
        (address[] memory members, address[] memory signers) = _members();
        guardians = Guardians(
            _proxy(
                address(new Guardians(_at(18), SystemContracts.DEPOSIT_CONTRACT)),
                abi.encodeCall(Guardians.initialize, (authority, 3 days, members, signers, 2))
            )
        );
        reserve = OperationsReserve(
            _proxy(
                address(new OperationsReserve(_at(12), address(ssv), address(ssv))),
                abi.encodeCall(OperationsReserve.initialize, (authority, 648_000, 216_000))
            )
        );
        _deployRegistry(authority);
        exits = ValidatorExits(
            _proxy(
                address(
                    new ValidatorExits(
                        ExitsContracts(_at(12), _at(18), _at(16), address(withdrawalVault), address(rewardsVault)),
                        _frames(),
                        GRACE
                    )
                ),
                abi.encodeCall(IValidatorExits.initialize, (authority))
            )
        );
        reportOracle = ReportOracle(
            _proxy(
                address(new ReportOracle(_at(18), _at(14), _frames())),
                abi.encodeCall(ReportOracle.initialize, (authority, members, signers, 2))
            )
        );
        _deployManager(authority);
        require(address(manager) == _at(18) && address(queue) == _at(5) && address(registry) == _at(12), "addresses");
        require(address(exits) == _at(14) && address(reportOracle) == _at(16), "addresses");
    }

    function _deployRegistry(address authority) private {
        address account = address(new SSVAccount(_at(12), address(ssv)));
        registry = ValidatorRegistry(
            _proxy(
                address(
                    new ValidatorRegistry(
                        RegistryContracts({
                            poolManager: _at(18),
                            guardians: address(guardians),
                            reserve: address(reserve),
                            validatorExits: _at(14),
                            withdrawalVault: address(withdrawalVault),
                            rewardsVault: address(rewardsVault),
                            ssvNetwork: address(ssv),
                            ssvViews: address(ssv),
                            depositContract: SystemContracts.DEPOSIT_CONTRACT,
                            accountImplementation: account
                        })
                    )
                ),
                abi.encodeCall(ValidatorRegistry.initialize, (authority))
            )
        );
    }

    function _deployManager(address authority) private {
        PoolManager code = new PoolManager(
            PoolContracts({
                token: address(token),
                registry: address(registry),
                reportOracle: address(reportOracle),
                guardians: address(guardians),
                withdrawalVault: address(withdrawalVault),
                rewardsVault: address(rewardsVault),
                reserve: address(reserve),
                withdrawalQueue: address(queue)
            }),
            _frames()
        );
        PoolParameters memory parameters = PoolParameters({
            treasury: TREASURY,
            feeBps: 1_000,
            maxYearlyRateBps: 1_000,
            lossLimitBps: 500,
            lossWindow: 7 days,
            limits: StakeLimits({minStake: 0.001 ether, poolCap: 20_000 ether, dailyLimit: 4_000 ether})
        });
        manager = PoolManager(
            payable(
                new ERC1967Proxy{value: INITIAL}(
                    address(code),
                    abi.encodeCall(PoolManager.initialize, (authority, parameters))
                )
            )
        );
    }

    /// Two clusters in the first account, one in the second.
    function _addClusters() private {
        registry.addAccount();
        registry.addAccount();
        for (uint256 i = 1; i <= CLUSTERS; ++i) registry.addCluster(i < 3 ? 1 : 2, _operatorsOf(i), false, 60);
    }

    function _members() private view returns (address[] memory members, address[] memory signers) {
        (members, signers) = (new address[](3), new address[](3));
        for (uint256 i; i < 3; ++i) (members[i], signers[i]) = (_member(i), vm.addr(_keys[i]));
    }

    /// Address of the contract that is created so many after the first.
    function _at(uint256 position) private view returns (address) {
        return vm.computeCreateAddress(address(this), _firstNonce + position);
    }

    function _proxy(address code, bytes memory initialisation) private returns (address payable) {
        return payable(address(new ERC1967Proxy(code, initialisation)));
    }
}
