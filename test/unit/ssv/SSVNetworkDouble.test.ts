import { expect } from "chai";
import {
  AbiCoder,
  type ContractTransactionResponse,
  concat,
  dataLength,
  hexlify,
  id as keccakText,
  keccak256,
  type LogDescription,
  solidityPackedKeccak256,
  toBeHex,
  ZeroAddress,
  ZeroHash,
} from "ethers";
import { network as hardhat } from "hardhat";
import { deployOrLoadSsv, registerOperators } from "../../../devnet/ssv.js";
import { SSVNetworkDouble__factory } from "../../../types/ethers-contracts/index.js";

const { ethers, networkHelpers, provider } = await hardhat.create("osaka");

interface Cluster {
  validatorCount: bigint;
  networkFeeIndex: bigint;
  index: bigint;
  active: boolean;
  balance: bigint;
}

const NEW_CLUSTER: Cluster = { validatorCount: 0n, networkFeeIndex: 0n, index: 0n, active: true, balance: 0n };
const NETWORK_FEE = 3_366_600_000n;
const OPERATOR_FEE = 1_770_000_000n;
const BURN = NETWORK_FEE + 4n * OPERATOR_FEE;
const THRESHOLD = 42_960n;
const MIN_BALANCE = 448_785_936_000_000n;
const MIN_COLLATERAL = 324_862_599_900_000n;
const ETH = 10n ** 18n;
const BASE_MAIN = 0xd56c4f4aab8ca22f9fde432777379f436593c6027698a6995e2daea890bed104n;
const BASE_EB = 0x390cbedbff243e70d145a8af984af2a57b7d76f69a06b091131b3e7df1c83452n;
const IMPLEMENTATION_SLOT = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc";

const abi = SSVNetworkDouble__factory.createInterface();
const coder = AbiCoder.defaultAbiCoder();

const key = (n: number): string => toBeHex(n, 48);
const keys = (first: number, count: number): string[] => Array.from({ length: count }, (_, i) => key(first + i));
const shares = (n: number): string => toBeHex(0xab00 + n, 1312);

function clusterId(owner: string, ids: readonly bigint[]): string {
  return keccak256(concat([owner, ...ids.map((id) => toBeHex(id, 32))]));
}

function clusterHash(c: Cluster): string {
  return solidityPackedKeccak256(
    ["uint32", "uint64", "uint64", "uint256", "bool"],
    [c.validatorCount, c.networkFeeIndex, c.index, c.balance, c.active],
  );
}

const mappingSlot = (k: string, base: bigint): string => keccak256(coder.encode(["bytes32", "uint256"], [k, base]));

/** OpenZeppelin's StandardMerkleTree leaf over (clusterId, whole ETH). */
const leafOf = (id: string, effectiveBalance: bigint): string =>
  keccak256(keccak256(coder.encode(["bytes32", "uint32"], [id, effectiveBalance])));

const parent = (a: string, b: string): string => keccak256(concat(BigInt(a) < BigInt(b) ? [a, b] : [b, a]));

function asCluster(value: Cluster): Cluster {
  const { validatorCount, networkFeeIndex, index, active, balance } = value;
  return { validatorCount, networkFeeIndex, index, active, balance };
}

async function eventsOf(sent: Promise<ContractTransactionResponse>): Promise<LogDescription[]> {
  const receipt = await (await sent).wait();
  return receipt!.logs.map((log) => abi.parseLog(log)!);
}

/** The cluster carried by the last event of a transaction, as a keeper tracks it. */
async function snapshotOf(sent: Promise<ContractTransactionResponse>): Promise<Cluster> {
  const last = (await eventsOf(sent)).at(-1)!;
  return asCluster(last.args.getValue("cluster") as Cluster);
}

async function deployFixture() {
  const [deployer, owner, stranger, operator] = await ethers.getSigners();
  const { double, views } = await deployOrLoadSsv(deployer!);
  const ids = await registerOperators(
    double!.connect(operator),
    operator!,
    Array.from({ length: 13 }, (_, i) => ({
      publicKey: hexlify(Buffer.from(`operator ${i}`)),
      feeWeiPerBlock: OPERATOR_FEE,
    })),
  );
  const ssv = double!.connect(owner);
  return {
    deployer: deployer!,
    owner: owner!,
    stranger: stranger!,
    operator: operator!,
    double: double!,
    ssv,
    views,
    ids,
  };
}

const load = () => networkHelpers.loadFixture(deployFixture);

/** A fixture with a cluster of operators 1 to 4 and `count` validators. */
async function withCluster(count = 1, value = ETH) {
  const f = await load();
  const ids4 = f.ids.slice(0, 4);
  const cluster = await snapshotOf(
    f.ssv.bulkRegisterValidator(
      keys(1, count),
      ids4,
      keys(1, count).map((_, i) => shares(i)),
      NEW_CLUSTER,
      { value },
    ),
  );
  const id = clusterId(f.owner.address, ids4);
  const stored = (): Promise<string> => ethers.provider.getStorage(f.double, mappingSlot(id, BASE_MAIN + 10n));
  return { ...f, ids4, cluster, id, stored };
}

const blockNumber = (): Promise<number> => ethers.provider.getBlockNumber();

describe("SSV Network double", () => {
  describe("ABI", () => {
    const CLUSTER = "(uint32,uint64,uint64,bool,uint256)";
    const topics: Record<string, string> = {
      ClusterBalanceUpdated: "0x0cc301d13799ab915796eed462da724756a969f8e05d69ad2405eb3da7036b55",
      ClusterDeposited: "0x2bac1912f2481d12f0df08647c06bee174967c62d3a03cbc078eb215dc1bd9a2",
      ClusterLiquidated: "0x1fce24c373e07f89214e9187598635036111dbb363e99f4ce498488cdc66e688",
      ClusterReactivated: "0xc803f8c01343fcdaf32068f4c283951623ef2b3fa0c547551931356f456b6859",
      ClusterWithdrawn: "0x39d1320bbda24947e77f3560661323384aa0a1cb9d5e040e617e5cbf50b6dbe0",
      FeeRecipientAddressUpdated: "0x259235c230d57def1521657e7c7951d3b385e76193378bc87ef6b56bc2ec3548",
      LiquidationThresholdPeriodUpdated: "0x42af14411036d7a50e5e92daf825781450fc8fac8fb65cbdb04720ff08efb84f",
      MinimumLiquidationCollateralUpdated: "0xd363ab4392efaf967a89d8616cba1ff0c6f05a04c2f214671be365f0fab05960",
      ModuleUpgraded: "0xfdf54bf052398eb41c923eb1bd596351c5e72b99959d1ca529a7f13c0a2503d7",
      NetworkFeeUpdated: "0x8f49a76c5d617bd72673d92d3a019ff8f04f204536aae7a3d10e7ca85603f3cc",
      OperatorAdded: "0xd839f31c14bd632f424e307b36abff63ca33684f77f28e35dc13718ef338f7f4",
      OperatorFeeDeclarationCancelled: "0x5055fa347441172447637c015e80a3ee748b9382212ceb5dca5a3683298fd6f3",
      OperatorFeeDeclared: "0x796204296f2eb56d7432fa85961e9750d0cb21741873ebf7077e28263e327358",
      OperatorFeeExecuted: "0x513e931ff778ed01e676d55880d8db185c29b0094546ff2b3e9f5b6920d16bef",
      OperatorMaximumFeeUpdated: "0xbb018dc682e13c04ee4a5608c89a9f287c402c1aec96588d6dd85478179b4bba",
      OperatorRemoved: "0x0e0ba6c2b04de36d6d509ec5bd155c43a9fe862f8052096dd54f3902a74cca3e",
      RootCommitted: "0x6965b9c8509097ad68ba0eb17fcb9436f4a72a057fe5ac556737580bce80d840",
      ValidatorAdded: "0x48a3ea0796746043948f6341d17ff8200937b99262a0b48c2663b951ed7114e5",
      ValidatorExited: "0xb4b20ffb2eb1f020be3df600b2287914f50c07003526d3a9d89a9dd12351828c",
      ValidatorRemoved: "0xccf4370403e5fbbde0cd3f13426479dcd8a5916b05db424b7a2c04978cf8ce6e",
      // hashes of the published signatures, not measured
      MinBlocksBetweenUpdatesUpdated: "0x8794fa1a5292ace029a96ff5db5c03006669acdf358814c3f716ac098b99092e",
      MinimumOperatorEthFeeUpdated: "0x18d44c1ee4bcb1ecb7d57ca44a74ede64c7c9accda084b97d466e6a0998329b3",
      OperatorMultipleWhitelistRemoved: "0x589a71ef5bb37432c8ce279a4afc32783592f1764c6fcb07e3c437e80c80ab2e",
      OperatorMultipleWhitelistUpdated: "0x3d5869fa1ed68d6b7b5e2a1f44df8e1e7edd8ea7a6cc240e45c72e2eb3523962",
      OperatorPrivacyStatusUpdated: "0x7cae2703330c3f53308fb0fe3a9143f335997ba7e059b9ac8e4417ed8fbddbd3",
      OperatorWhitelistingContractUpdated: "0xf41d8ca981ff900f6db7f71d7e2ae866eae8e4327d23e5c692c13a6c43b39c3d",
      OwnershipTransferred: "0x8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e0",
      Upgraded: "0xbc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b",
    };

    it("has the topics of the deployed events", () => {
      const found: Record<string, string> = {};
      abi.forEachEvent((event) => (found[event.name] = event.topicHash));
      expect(found).to.deep.equal(topics);
    });

    it("indexes what the deployed events index", () => {
      const indexed: Record<string, string[]> = {};
      abi.forEachEvent((event) => {
        const names = event.inputs.filter((input) => input.indexed).map((input) => input.name);
        if (names.length > 0) indexed[event.name] = names;
      });
      const owner = ["owner"];
      expect(indexed).to.deep.equal({
        ClusterBalanceUpdated: ["owner", "blockNum"],
        ClusterDeposited: owner,
        ClusterLiquidated: owner,
        ClusterReactivated: owner,
        ClusterWithdrawn: owner,
        FeeRecipientAddressUpdated: owner,
        ModuleUpgraded: ["moduleId"],
        OperatorAdded: ["operatorId", "owner"],
        OperatorFeeDeclarationCancelled: ["owner", "operatorId"],
        OperatorFeeDeclared: ["owner", "operatorId"],
        OperatorFeeExecuted: ["owner", "operatorId"],
        OperatorRemoved: ["operatorId"],
        OwnershipTransferred: ["previousOwner", "newOwner"],
        RootCommitted: ["merkleRoot", "blockNum"],
        Upgraded: ["implementation"],
        ValidatorAdded: owner,
        ValidatorExited: owner,
        ValidatorRemoved: owner,
      });
    });

    it("has the selectors of the deployed errors", () => {
      const selectors: Record<string, string> = {
        CallerNotOwnerWithData: "0x8907fc65",
        CallerNotWhitelistedWithData: "0xb7f529fe",
        ClusterAlreadyEnabled: "0x3babafd2",
        ClusterDoesNotExist: "0x25d92f88",
        ClusterIsLiquidated: "0x95a0cf33",
        ClusterNotLiquidatable: "0x60300a8d",
        EBBelowMinimum: "0x9fecdce5",
        EBExceedsMaximum: "0xf5ca7cb9",
        ETHTransferFailed: "0xb12d13eb",
        EmptyPublicKeysList: "0xdf83e679",
        ExceedValidatorLimitWithData: "0x639f5851",
        FeeIncreaseNotAllowed: "0x410a2b6c",
        FeeTooHigh: "0xcd4e6167",
        FeeTooLow: "0x732f9413",
        FutureBlockNumber: "0x252f8a0e",
        IncorrectClusterState: "0x12e04c87",
        IncorrectValidatorStateWithData: "0x89307938",
        InsufficientBalance: "0xf4d678b8",
        InvalidOperatorIdsLength: "0x38186224",
        InvalidProof: "0x09bde339",
        InvalidPublicKeyLength: "0x637297a4",
        InvalidWhitelistAddressesLength: "0xcbb362dc",
        MaxPrecisionExceeded: "0x24756546",
        MaxValueExceeded: "0x91aa3017",
        MustUseLatestRoot: "0x4b3a0f08",
        NewBlockPeriodIsBelowMinimum: "0x6e6c9cac",
        OperatorAlreadyExists: "0x289c9494",
        OperatorDoesNotExist: "0x961e3e8c",
        OperatorsListNotUnique: "0xa5a1ff5d",
        PublicKeysSharesLengthMismatch: "0x9ad467b8",
        RootNotFound: "0x3033b0ff",
        StaleBlockNumber: "0x305c3e93",
        StaleUpdate: "0x666a2814",
        UnsortedOperatorsList: "0xdd020e25",
        UpdateTooFrequent: "0x53f7a6ee",
        ValidatorAlreadyExistsWithData: "0x388e7999",
        ValidatorDoesNotExist: "0xe51315d2",
        ZeroAddressNotAllowed: "0x8579befe",
      };
      const found: Record<string, string> = {};
      abi.forEachError((error) => (found[error.name] = error.selector));
      // OpenZeppelin's own, of the owner and the reentrancy guard
      delete found["OwnableInvalidOwner"];
      delete found["OwnableUnauthorizedAccount"];
      delete found["ReentrancyGuardReentrantCall"];
      expect(found).to.deep.equal(selectors);
    });

    it("has the selectors of the deployed functions", () => {
      for (const [name, selector] of [
        ["registerValidator", "0xb84319fd"],
        ["bulkRegisterValidator", "0xa1b483ca"],
        ["removeValidator", "0x12b3fc19"],
        ["bulkRemoveValidator", "0x5aed1142"],
        ["exitValidator", "0x3877322b"],
        ["bulkExitValidator", "0x32afd02f"],
        ["deposit", "0x45f47188"],
        ["withdraw", "0x686e682c"],
        ["reactivate", "0xea7844ff"],
        ["liquidate", "0xbf0f2fb2"],
        ["updateClusterBalance", "0x4f4d1209"],
        ["setFeeRecipientAddress", "0xdbcdc2cc"],
      ] as const) {
        expect(abi.getFunction(name).selector, name).to.equal(selector);
      }
      expect(abi.getFunction("deposit").format()).to.equal(`deposit(address,uint64[],${CLUSTER})`);
      expect(abi.getFunction("registerOperator").format()).to.equal("registerOperator(bytes,uint256,bool)");
    });
  });

  describe("parameters and costs", () => {
    it("starts with the parameters of mainnet", async () => {
      const { views, double } = await load();
      expect(await views.getNetworkFee()).to.equal(NETWORK_FEE);
      expect(await views.getLiquidationThresholdPeriod()).to.equal(THRESHOLD);
      expect(await views.getMinimumLiquidationCollateral()).to.equal(MIN_COLLATERAL);
      expect(await views.getValidatorsPerOperatorLimit()).to.equal(1000n);
      expect(await views.getVersion()).to.equal("v2.0.0");
      expect(await double.getVersion()).to.equal("v2.0.0");
    });

    const BLOCKS_PER_YEAR = 2_613_400n;
    for (const [size, burn, ethPerYear] of [
      [4, 10_446_600_000n, "0.0273"],
      [7, 15_756_600_000n, "0.0412"],
      [10, 21_066_600_000n, "0.0551"],
      [13, 26_376_600_000n, "0.0689"],
    ] as const) {
      it(`costs ${ethPerYear} ETH a year with ${size} operators at default fees`, async () => {
        const { ssv, views, ids, owner } = await load();
        const set = ids.slice(0, size);
        const cluster = await snapshotOf(ssv.registerValidator(key(1), set, shares(1), NEW_CLUSTER, { value: ETH }));
        expect(await views.getBurnRate(owner, set, cluster)).to.equal(burn);
        expect((Number(burn * BLOCKS_PER_YEAR) / 1e18).toFixed(4)).to.equal(ethPerYear);
        await networkHelpers.mine(1000);
        expect(await views.getBalance(owner, set, cluster)).to.equal(ETH - 1000n * burn);
      });
    }

    it("lets the owner change them, with the real events, from the block of the change on", async () => {
      const { double, views, cluster, owner, ids4 } = await withCluster();
      const start = BigInt(await blockNumber());
      await networkHelpers.mine(9);
      await expect(double.updateNetworkFee(5_000_000_000n))
        .to.emit(double, "NetworkFeeUpdated")
        .withArgs(NETWORK_FEE, 5_000_000_000n);
      const changed = BigInt(await blockNumber());
      await networkHelpers.mine(20);
      expect(await views.getNetworkFee()).to.equal(5_000_000_000n);
      expect(await views.getBalance(owner, ids4, cluster)).to.equal(
        ETH - (changed - start) * BURN - 20n * (5_000_000_000n + 4n * OPERATOR_FEE),
      );
      await expect(double.updateLiquidationThresholdPeriod(21_480n))
        .to.emit(double, "LiquidationThresholdPeriodUpdated")
        .withArgs(21_480n);
      expect(await views.getLiquidationThresholdPeriod()).to.equal(21_480n);
      await expect(double.updateMinimumLiquidationCollateral(700_000n))
        .to.emit(double, "MinimumLiquidationCollateralUpdated")
        .withArgs(700_000n);
      expect(await views.getMinimumLiquidationCollateral()).to.equal(700_000n);
      await expect(double.updateMaximumOperatorFee(300_000n))
        .to.emit(double, "OperatorMaximumFeeUpdated")
        .withArgs(300_000n);
      await expect(double.updateMinimumOperatorEthFee(200_000n))
        .to.emit(double, "MinimumOperatorEthFeeUpdated")
        .withArgs(200_000n);
      await expect(double.updateMinBlocksBetweenUpdates(5))
        .to.emit(double, "MinBlocksBetweenUpdatesUpdated")
        .withArgs(5n);
      await expect(double.registerOperator("0x01", 100_000n, false)).to.be.revertedWithCustomError(double, "FeeTooLow");
      await expect(double.registerOperator("0x01", 400_000n, false)).to.be.revertedWithCustomError(
        double,
        "FeeTooHigh",
      );
      await double.registerOperator("0x01", 300_000n, false);
    });

    it("refuses parameters out of range, and anyone but the owner", async () => {
      const { double, stranger } = await load();
      await expect(double.updateLiquidationThresholdPeriod(21_479n)).to.be.revertedWithCustomError(
        double,
        "NewBlockPeriodIsBelowMinimum",
      );
      await expect(double.updateNetworkFee(1n)).to.be.revertedWithCustomError(double, "MaxPrecisionExceeded");
      await expect(double.updateNetworkFee(2n ** 64n * 100_000n)).to.be.revertedWithCustomError(
        double,
        "MaxValueExceeded",
      );
      const foreign = double.connect(stranger);
      for (const call of [
        () => foreign.updateNetworkFee(0n),
        () => foreign.updateLiquidationThresholdPeriod(50_000n),
        () => foreign.updateMinimumLiquidationCollateral(0n),
        () => foreign.updateMaximumOperatorFee(0n),
        () => foreign.updateMinimumOperatorEthFee(0n),
        () => foreign.updateMinBlocksBetweenUpdates(0n),
        () => foreign.setOperatorFeeForTest(1n, 0n),
        () => foreign.setValidatorsPerOperatorLimitForTest(1n),
        () => foreign.commitRootForTest(ZeroHash, 1n),
        () => foreign.upgradeForTest(),
      ]) {
        await expect(call()).to.be.revertedWithCustomError(double, "OwnableUnauthorizedAccount");
      }
    });
  });

  describe("registration", () => {
    it("accepts the least balance, which is liquidatable one block later, and refuses one wei less", async () => {
      const { ssv, views, ids, owner, double } = await load();
      const set = ids.slice(0, 4);
      await expect(
        ssv.registerValidator(key(1), set, shares(1), NEW_CLUSTER, { value: MIN_BALANCE - 1n }),
      ).to.be.revertedWithCustomError(double, "InsufficientBalance");
      const sent = ssv.registerValidator(key(1), set, shares(1), NEW_CLUSTER, { value: MIN_BALANCE });
      const cluster = await snapshotOf(sent);
      const at = { blockTag: await blockNumber() };
      expect(await views.isLiquidatable(owner, set, cluster, at)).to.equal(false);
      await networkHelpers.mine(1);
      expect(await views.isLiquidatable(owner, set, cluster)).to.equal(true);
    });

    it("asks for the minimum collateral when fees ask for less", async () => {
      const { double, operator, ssv } = await load();
      const free = await registerOperators(
        double,
        operator,
        ["0x01", "0x02", "0x03", "0x04"].map((publicKey) => ({ publicKey, feeWeiPerBlock: 0n })),
      );
      const register = (value: bigint) => ssv.registerValidator(key(1), free, shares(1), NEW_CLUSTER, { value });
      await expect(register(MIN_COLLATERAL - 1n)).to.be.revertedWithCustomError(double, "InsufficientBalance");
      await register(MIN_COLLATERAL);
    });

    it("announces every key of a bulk with the final cluster and stores only its hash, at the real slot", async () => {
      const { ssv, owner, ids, double, views } = await load();
      const set = ids.slice(0, 4);
      const events = await eventsOf(
        ssv.bulkRegisterValidator(keys(1, 3), set, [shares(1), shares(2), "0x"], NEW_CLUSTER, { value: ETH }),
      );
      expect(events.map((event) => event.name)).to.deep.equal(["ValidatorAdded", "ValidatorAdded", "ValidatorAdded"]);
      const block = BigInt(await blockNumber());
      const cluster = asCluster(events[0]!.args.getValue("cluster") as Cluster);
      expect(cluster.validatorCount).to.equal(3n);
      expect(cluster.balance).to.equal(ETH);
      expect(cluster.active).to.equal(true);
      for (const [i, event] of events.entries()) {
        expect(event.args.getValue("owner")).to.equal(owner.address);
        expect([...(event.args.getValue("operatorIds") as bigint[])]).to.deep.equal(set);
        expect(event.args.getValue("publicKey")).to.equal(key(1 + i));
        expect(event.args.getValue("shares")).to.equal([shares(1), shares(2), "0x"][i]);
        expect(asCluster(event.args.getValue("cluster") as Cluster)).to.deep.equal(cluster);
        expect(await views.getValidator(owner, key(1 + i))).to.equal(true);
      }
      const slot = mappingSlot(clusterId(owner.address, set), BASE_MAIN + 10n);
      expect(await ethers.provider.getStorage(double, slot)).to.equal(clusterHash(cluster));
      // packed indices: the operators were added one block after another
      const added = (await double.queryFilter(double.filters.OperatorAdded())).slice(0, 4);
      const index = added.reduce((sum, log) => sum + (block - BigInt(log.blockNumber)) * (OPERATOR_FEE / 100_000n), 0n);
      expect(cluster.index).to.equal(index);
      const deployed = (await double.queryFilter(double.filters.OwnershipTransferred()))[0]!.blockNumber;
      expect(cluster.networkFeeIndex).to.equal((block - BigInt(deployed)) * (NETWORK_FEE / 100_000n));
      expect(await ethers.provider.getBalance(double)).to.equal(ETH);
    });

    it("settles fees before it adds to an existing cluster", async () => {
      const { ssv, ids4, cluster, views, owner, stored } = await withCluster();
      await networkHelpers.mine(99);
      const next = await snapshotOf(ssv.registerValidator(key(2), ids4, shares(2), cluster, { value: 5n }));
      expect(next.validatorCount).to.equal(2n);
      expect(next.balance).to.equal(ETH + 5n - 100n * BURN);
      expect(await stored()).to.equal(clusterHash(next));
      expect(await views.getBurnRate(owner, ids4, next)).to.equal(2n * BURN);
    });

    it("takes a debt out of what a registration brings", async () => {
      const { ssv, ids4, cluster, double } = await withCluster(1, MIN_BALANCE);
      await networkHelpers.mine(50_000);
      const need = 2n * MIN_BALANCE;
      const usage = 50_001n * BURN; // more than the cluster holds
      expect(usage > MIN_BALANCE).to.equal(true);
      const register = (value: bigint) => ssv.registerValidator(key(2), ids4, shares(2), cluster, { value });
      await expect(register(need)).to.be.revertedWithCustomError(double, "InsufficientBalance");
      const next = await snapshotOf(register(need + usage));
      expect(next.balance).to.equal(need + MIN_BALANCE);
    });

    it("accepts the same key of another owner, and KeyShares that are garbage", async () => {
      const { ssv, double, stranger, ids, views } = await load();
      const set = ids.slice(0, 4);
      await ssv.registerValidator(key(1), set, "0x00", NEW_CLUSTER, { value: ETH });
      await double.connect(stranger).registerValidator(key(1), set, shares(1), NEW_CLUSTER, { value: ETH });
      expect(await views.getValidator(stranger, key(1))).to.equal(true);
    });

    it("checks everything in the real order", async () => {
      const f = await withCluster();
      const { ssv, double, ids4, cluster, operator } = f;
      await double.connect(operator).removeOperator(8n);
      await double.connect(operator).setOperatorsPrivateUnchecked([9n]);
      await double.setValidatorsPerOperatorLimitForTest(1n);
      const stale = { ...cluster, balance: cluster.balance + 1n };
      const short = toBeHex(1, 47);
      const cases: [string, string[], bigint[], string[], Cluster, unknown[]?][] = [
        ["EmptyPublicKeysList", [], [1n], ["0x"], stale],
        ["PublicKeysSharesLengthMismatch", [short], [1n], [], stale],
        ["InvalidOperatorIdsLength", [short], [1n], ["0x"], stale],
        ["InvalidOperatorIdsLength", [short], [1n, 2n, 3n, 4n, 5n], ["0x"], stale],
        ["InvalidOperatorIdsLength", [short], Array.from({ length: 16 }, (_, i) => BigInt(i + 1)), ["0x"], stale],
        ["InvalidPublicKeyLength", [short, key(1)], ids4, ["0x", "0x"], stale],
        ["ValidatorAlreadyExistsWithData", [key(1), short], ids4, ["0x", "0x"], stale, [key(1)]],
        ["ValidatorAlreadyExistsWithData", [key(7), key(7)], ids4, ["0x", "0x"], cluster, [key(7)]],
        ["IncorrectClusterState", [key(2)], ids4, ["0x"], stale],
        ["IncorrectClusterState", [key(2)], [4n, 3n, 2n, 1n], ["0x"], cluster],
        ["UnsortedOperatorsList", [key(2)], [8n, 5n, 6n, 7n], ["0x"], NEW_CLUSTER],
        ["OperatorsListNotUnique", [key(2)], [8n, 8n, 9n, 10n], ["0x"], NEW_CLUSTER],
        ["OperatorDoesNotExist", [key(2)], [8n, 9n, 10n, 11n], ["0x"], NEW_CLUSTER],
        ["OperatorDoesNotExist", [key(2)], [10n, 11n, 12n, 99n], ["0x"], NEW_CLUSTER],
        ["CallerNotWhitelistedWithData", keys(2, 2), [9n, 10n, 11n, 12n], ["0x", "0x"], NEW_CLUSTER, [9n]],
        ["ExceedValidatorLimitWithData", keys(2, 2), [10n, 11n, 12n, 13n], ["0x", "0x"], NEW_CLUSTER, [10n]],
        ["ExceedValidatorLimitWithData", [key(2)], ids4, ["0x"], cluster, [1n]],
        ["InsufficientBalance", [key(2)], [10n, 11n, 12n, 13n], ["0x"], NEW_CLUSTER],
      ];
      for (const [error, pks, set, data, c, args] of cases) {
        const failed = expect(ssv.bulkRegisterValidator(pks, set, data, c), error).to.be.revertedWithCustomError(
          double,
          error,
        );
        await (args === undefined ? failed : failed.withArgs(...args));
      }
      await expect(ssv.registerValidator(key(1), ids4, "0x", cluster))
        .to.be.revertedWithCustomError(double, "ValidatorAlreadyExistsWithData")
        .withArgs(key(1));
      for (const change of [
        { validatorCount: 1n },
        { networkFeeIndex: 1n },
        { index: 1n },
        { active: false },
        { balance: 1n },
      ]) {
        await expect(
          ssv.registerValidator(key(2), [10n, 11n, 12n, 13n], "0x", { ...NEW_CLUSTER, ...change }, { value: ETH }),
        ).to.be.revertedWithCustomError(double, "IncorrectClusterState");
      }
    });

    it("refuses to add to a liquidated cluster, before it looks at the operators", async () => {
      const { ssv, double, ids4, cluster, owner, operator } = await withCluster();
      const liquidated = await snapshotOf(ssv.liquidate(owner, ids4, cluster));
      await double.connect(operator).removeOperator(1n);
      await expect(ssv.registerValidator(key(2), ids4, "0x", liquidated, { value: ETH })).to.be.revertedWithCustomError(
        double,
        "ClusterIsLiquidated",
      );
    });

    it("counts validators of all clusters against an operator's limit", async () => {
      const { ssv, double, views, stranger } = await withCluster(2);
      await double.setValidatorsPerOperatorLimitForTest(2n);
      await expect(
        double.connect(stranger).registerValidator(key(1), [4n, 5n, 6n, 7n], "0x", NEW_CLUSTER, { value: ETH }),
      )
        .to.be.revertedWithCustomError(double, "ExceedValidatorLimitWithData")
        .withArgs(4n);
      await ssv.registerValidator(key(9), [5n, 6n, 7n, 8n], "0x", NEW_CLUSTER, { value: ETH });
      expect((await views.getOperatorById(4n))[2]).to.equal(2n);
      expect((await views.getOperatorById(5n))[2]).to.equal(1n);
      expect(await views.getValidatorsPerOperatorLimit()).to.equal(2n);
    });
  });

  describe("deposit and withdraw", () => {
    it("lets a stranger add nothing, which changes nothing, or one wei, which makes the owner's snapshot stale", async () => {
      const { ssv, double, stranger, owner, ids4, cluster, stored, views } = await withCluster();
      const foreign = double.connect(stranger);
      const before = await stored();
      await foreign.deposit(owner, ids4, cluster);
      expect(await stored()).to.equal(before);
      const sent = foreign.deposit(owner, ids4, cluster, { value: 1n });
      const next = await snapshotOf(sent);
      // no settlement: the indices stay
      expect(next).to.deep.equal({ ...cluster, balance: cluster.balance + 1n });
      await expect(sent).to.emit(double, "ClusterDeposited").withArgs(owner.address, ids4, 1n, Object.values(next));
      expect(await stored()).to.equal(clusterHash(next));
      await expect(ssv.withdraw(ids4, 1n, cluster)).to.be.revertedWithCustomError(double, "IncorrectClusterState");
      await expect(views.getBalance(owner, ids4, cluster)).to.be.revertedWithCustomError(
        double,
        "IncorrectClusterState",
      );
      await expect(foreign.deposit(owner, [5n, 6n, 7n, 8n], NEW_CLUSTER)).to.be.revertedWithCustomError(
        double,
        "ClusterDoesNotExist",
      );
      await expect(foreign.deposit(owner, ids4, cluster)).to.be.revertedWithCustomError(
        double,
        "IncorrectClusterState",
      );
    });

    it("pays the owner down to the threshold, not below", async () => {
      const { ssv, double, ids4, cluster, owner, stored } = await withCluster();
      const most = ETH - BURN - MIN_BALANCE; // one block after the registration
      await expect(ssv.withdraw(ids4, most + 1n, cluster)).to.be.revertedWithCustomError(double, "InsufficientBalance");
      const sent = ssv.withdraw(ids4, most, cluster);
      await expect(sent).to.changeEtherBalances(ethers, [double, owner], [-most, most]);
      const next = await snapshotOf(sent);
      expect(next.balance).to.equal(MIN_BALANCE);
      expect(await stored()).to.equal(clusterHash(next));
      await expect(sent).to.emit(double, "ClusterWithdrawn").withArgs(owner.address, ids4, most, Object.values(next));
      await expect(ssv.withdraw(ids4, ETH, next)).to.be.revertedWithCustomError(double, "InsufficientBalance");
      await expect(ssv.withdraw([1n, 2n, 3n, 5n], 0n, next)).to.be.revertedWithCustomError(
        double,
        "ClusterDoesNotExist",
      );
    });

    it("pays everything out of an emptied and out of a liquidated cluster", async () => {
      const { ssv, double, ids4, cluster, owner } = await withCluster();
      const empty = await snapshotOf(ssv.removeValidator(key(1), ids4, cluster));
      await networkHelpers.mine(100);
      const sent = ssv.withdraw(ids4, empty.balance, empty);
      await expect(sent).to.changeEtherBalance(ethers, double, -empty.balance);
      const drained = await snapshotOf(sent);
      expect(drained.balance).to.equal(0n);
      const again = await snapshotOf(ssv.registerValidator(key(1), ids4, "0x", drained, { value: ETH }));
      const liquidated = await snapshotOf(ssv.liquidate(owner, ids4, again));
      const funded = await snapshotOf(double.deposit(owner, ids4, liquidated, { value: 7n }));
      expect(funded).to.deep.equal({ ...liquidated, balance: 7n });
      await networkHelpers.mine(100);
      await expect(ssv.withdraw(ids4, 8n, funded)).to.be.revertedWithCustomError(double, "InsufficientBalance");
      expect(await snapshotOf(ssv.withdraw(ids4, 7n, funded))).to.deep.equal(liquidated);
    });

    it("reverts when the receiver does", async () => {
      const { double, ids4, cluster, owner } = await withCluster();
      await networkHelpers.setCode(owner.address, "0x5f5ffd"); // revert(0, 0)
      const ssv = double.connect(await ethers.getImpersonatedSigner(owner.address));
      await expect(ssv.withdraw(ids4, 1n, cluster)).to.be.revertedWithCustomError(double, "ETHTransferFailed");
      await expect(ssv.liquidate(owner.address, ids4, cluster)).to.be.revertedWithCustomError(
        double,
        "ETHTransferFailed",
      );
    });
  });

  describe("exit and removal", () => {
    it("asks for exits without a snapshot, any number of times, also when liquidated", async () => {
      const { ssv, double, ids4, cluster, owner } = await withCluster(2);
      await expect(ssv.exitValidator(key(1), ids4))
        .to.emit(double, "ValidatorExited")
        .withArgs(owner.address, ids4, key(1));
      await ssv.liquidate(owner, ids4, cluster);
      const events = await eventsOf(ssv.bulkExitValidator(keys(1, 2), ids4));
      expect(events.map((event) => event.args.getValue("publicKey") as string)).to.deep.equal(keys(1, 2));
    });

    it("refuses exits of what the caller has not registered with these operators", async () => {
      const { ssv, double, ids4, stranger } = await withCluster();
      await expect(double.connect(stranger).exitValidator(key(1), ids4)).to.be.revertedWithCustomError(
        double,
        "ValidatorDoesNotExist",
      );
      await expect(ssv.exitValidator(key(1), [1n, 2n, 3n, 5n]))
        .to.be.revertedWithCustomError(double, "IncorrectValidatorStateWithData")
        .withArgs(key(1));
      await expect(ssv.bulkExitValidator([], ids4)).to.be.revertedWithCustomError(double, "EmptyPublicKeysList");
    });

    it("removes keys, settles, and ends their fees", async () => {
      const { ssv, double, ids4, cluster, owner, views, stored } = await withCluster(3);
      await networkHelpers.mine(9);
      const events = await eventsOf(ssv.bulkRemoveValidator(keys(1, 2), ids4, cluster));
      const [first, second] = events.map((event) => asCluster(event.args.getValue("cluster") as Cluster));
      expect(events.map((event) => event.name)).to.deep.equal(["ValidatorRemoved", "ValidatorRemoved"]);
      expect(first).to.deep.equal(second);
      expect(first!.validatorCount).to.equal(1n);
      expect(first!.balance).to.equal(ETH - 10n * 3n * BURN);
      expect(await stored()).to.equal(clusterHash(first!));
      expect(await views.getBurnRate(owner, ids4, first!)).to.equal(BURN);
      expect(await views.getValidator(owner, key(1))).to.equal(false);
      expect((await views.getOperatorById(1n))[2]).to.equal(1n);
      // a removed key can come back
      const back = await snapshotOf(ssv.registerValidator(key(1), ids4, "0x", first!));
      expect(back.validatorCount).to.equal(2n);
      await expect(ssv.bulkRemoveValidator([], ids4, cluster)).to.be.revertedWithCustomError(
        double,
        "EmptyPublicKeysList",
      );
      await expect(ssv.removeValidator(key(2), ids4, cluster)).to.be.revertedWithCustomError(
        double,
        "IncorrectClusterState",
      );
      await expect(ssv.removeValidator(key(2), ids4, back)).to.be.revertedWithCustomError(
        double,
        "ValidatorDoesNotExist",
      );
      await expect(ssv.bulkRemoveValidator([key(3), key(3)], ids4, back)).to.be.revertedWithCustomError(
        double,
        "ValidatorDoesNotExist",
      );
      await expect(ssv.removeValidator(key(2), [1n, 2n, 3n, 5n], back)).to.be.revertedWithCustomError(
        double,
        "ClusterDoesNotExist",
      );
    });

    it("refuses to remove a key from a cluster it is not in", async () => {
      const { ssv, double } = await withCluster();
      const other = await snapshotOf(
        ssv.registerValidator(key(2), [5n, 6n, 7n, 8n], "0x", NEW_CLUSTER, { value: ETH }),
      );
      await expect(ssv.removeValidator(key(1), [5n, 6n, 7n, 8n], other))
        .to.be.revertedWithCustomError(double, "IncorrectValidatorStateWithData")
        .withArgs(key(1));
    });

    it("works on a liquidated cluster, without fees", async () => {
      const { ssv, ids4, cluster, owner, views } = await withCluster(2);
      const liquidated = await snapshotOf(ssv.liquidate(owner, ids4, cluster));
      const less = await snapshotOf(ssv.removeValidator(key(1), ids4, liquidated));
      expect(less).to.deep.equal({ ...liquidated, validatorCount: 1n });
      expect((await views.getOperatorById(1n))[2]).to.equal(0n);
      const none = await snapshotOf(ssv.removeValidator(key(2), ids4, less));
      // an empty cluster needs no balance to be active
      const active = await snapshotOf(ssv.reactivate(ids4, none));
      expect(active.active).to.equal(true);
      expect(await views.isLiquidatable(owner, ids4, active)).to.equal(false);
    });
  });

  describe("liquidation and reactivation", () => {
    it("is open to anyone below the threshold, who gets what is left", async () => {
      const { double, ids4, cluster, owner, stranger, views, stored } = await withCluster(
        2,
        2n * MIN_BALANCE + 10n * 2n * BURN,
      );
      const foreign = double.connect(stranger);
      await networkHelpers.mine(9);
      await expect(foreign.liquidate(owner, ids4, cluster)).to.be.revertedWithCustomError(
        double,
        "ClusterNotLiquidatable",
      );
      await networkHelpers.mine(1);
      const bounty = 2n * MIN_BALANCE - 2n * BURN; // the eleventh block
      const sent = foreign.liquidate(owner, ids4, cluster);
      await expect(sent).to.changeEtherBalances(ethers, [double, stranger], [-bounty, bounty]);
      const next = await snapshotOf(sent);
      expect(next).to.deep.equal({ validatorCount: 2n, networkFeeIndex: 0n, index: 0n, active: false, balance: 0n });
      await expect(sent).to.emit(double, "ClusterLiquidated").withArgs(owner.address, ids4, Object.values(next));
      expect(await stored()).to.equal(clusterHash(next));
      expect(await views.isLiquidated(owner, ids4, next)).to.equal(true);
      expect(await views.isLiquidatable(owner, ids4, next)).to.equal(false);
      expect((await views.getOperatorById(1n))[2]).to.equal(0n);
      await expect(foreign.liquidate(owner, ids4, next)).to.be.revertedWithCustomError(double, "ClusterIsLiquidated");
      await expect(views.getBalance(owner, ids4, next)).to.be.revertedWithCustomError(double, "ClusterIsLiquidated");
      await expect(views.getEffectiveBalance(owner, ids4, next)).to.be.revertedWithCustomError(
        double,
        "ClusterIsLiquidated",
      );
      await expect(foreign.liquidate(owner, ids4, cluster)).to.be.revertedWithCustomError(
        double,
        "IncorrectClusterState",
      );
      await expect(foreign.liquidate(stranger, ids4, next)).to.be.revertedWithCustomError(
        double,
        "ClusterDoesNotExist",
      );
    });

    it("leaves nothing of a cluster that owes more than it has", async () => {
      const { double, ids4, cluster, owner, stranger, views } = await withCluster(1, MIN_BALANCE);
      await networkHelpers.mine(60_000);
      expect(await views.getBalance(owner, ids4, cluster)).to.equal(0n);
      await expect(double.connect(stranger).liquidate(owner, ids4, cluster)).to.changeEtherBalance(
        ethers,
        stranger,
        0n,
      );
    });

    it("is open to the owner at any time, and undone by reactivation", async () => {
      const { ssv, double, ids4, cluster, owner, views, stored } = await withCluster();
      await expect(ssv.reactivate(ids4, cluster)).to.be.revertedWithCustomError(double, "ClusterAlreadyEnabled");
      const sent = ssv.liquidate(owner, ids4, cluster);
      await expect(sent).to.changeEtherBalance(ethers, owner, ETH - BURN);
      const liquidated = await snapshotOf(sent);
      await networkHelpers.mine(1000);
      await expect(ssv.reactivate(ids4, liquidated, { value: MIN_BALANCE - 1n })).to.be.revertedWithCustomError(
        double,
        "InsufficientBalance",
      );
      const back = ssv.reactivate(ids4, liquidated, { value: MIN_BALANCE });
      const active = await snapshotOf(back);
      expect(active.balance).to.equal(MIN_BALANCE); // nothing is billed for the time in between
      expect(active.active).to.equal(true);
      expect(await stored()).to.equal(clusterHash(active));
      await expect(back).to.emit(double, "ClusterReactivated").withArgs(owner.address, ids4, Object.values(active));
      expect((await views.getOperatorById(1n))[2]).to.equal(1n);
      await networkHelpers.mine(7);
      expect(await views.getBalance(owner, ids4, active)).to.equal(MIN_BALANCE - 7n * BURN);
    });

    it("keeps a cluster down while an operator has no room for it", async () => {
      const { ssv, double, ids4, cluster, owner } = await withCluster(2);
      const liquidated = await snapshotOf(ssv.liquidate(owner, ids4, cluster));
      await double.setValidatorsPerOperatorLimitForTest(1n);
      await expect(ssv.reactivate(ids4, liquidated, { value: ETH }))
        .to.be.revertedWithCustomError(double, "ExceedValidatorLimitWithData")
        .withArgs(1n);
      await expect(ssv.reactivate(ids4, cluster)).to.be.revertedWithCustomError(double, "IncorrectClusterState");
      await expect(ssv.reactivate([1n, 2n, 3n, 5n], liquidated)).to.be.revertedWithCustomError(
        double,
        "ClusterDoesNotExist",
      );
    });
  });

  describe("effective balance", () => {
    async function commit(f: Awaited<ReturnType<typeof withCluster>>, effectiveBalance: bigint, clusterIdOf = f.id) {
      const sibling = keccakText("another cluster");
      const root = parent(leafOf(clusterIdOf, effectiveBalance), sibling);
      const block = BigInt(await blockNumber());
      await expect(f.double.commitRootForTest(root, block)).to.emit(f.double, "RootCommitted").withArgs(root, block);
      const update = (c: Cluster, eb = effectiveBalance, at = block, proof = [sibling]) =>
        f.double.connect(f.stranger).updateClusterBalance(at, f.owner, f.ids4, c, eb, proof);
      return { block, update };
    }

    it("bills the old figure up to the update and the new one from there", async () => {
      const f = await withCluster();
      const { views, owner, ids4, cluster, double } = f;
      const start = BigInt(await blockNumber());
      expect(await views.getEffectiveBalance(owner, ids4, cluster)).to.equal(32n);
      const { block, update } = await commit(f, 64n);
      const sent = update(cluster);
      const next = await snapshotOf(sent);
      const updated = BigInt(await blockNumber());
      expect(next.balance).to.equal(ETH - (updated - start) * 10_446_600_000n);
      await expect(sent)
        .to.emit(double, "ClusterBalanceUpdated")
        .withArgs(owner.address, ids4, block, 64n, Object.values(next));
      expect(await views.getBurnRate(owner, ids4, next)).to.equal(20_893_200_000n);
      expect(await views.getEffectiveBalance(owner, ids4, next)).to.equal(64n);
      expect(await f.stored()).to.equal(clusterHash(next));
      await networkHelpers.mine(50);
      expect(await views.getBalance(owner, ids4, next)).to.equal(next.balance - 50n * 20_893_200_000n);
      // where a keeper reads it of a liquidated cluster
      const word = BigInt(await ethers.provider.getStorage(double, mappingSlot(f.id, BASE_EB + 1n)));
      expect(word & (2n ** 64n - 1n)).to.equal(20_000n);
      expect((word >> 64n) & (2n ** 64n - 1n)).to.equal(block);
      expect(word >> 128n).to.equal(updated);
    });

    it("rounds units up, ETH down, and the two parts of the fee each down", async () => {
      const f = await withCluster();
      const { views, owner, ids4, cluster } = f;
      const { update } = await commit(f, 33n);
      const next = await snapshotOf(update(cluster));
      expect(await views.getEffectiveBalance(owner, ids4, next)).to.equal(33n);
      const vUnits = 10_313n; // 33 * 10000 / 32 = 10312.5
      const packed = (fee: bigint, blocks: bigint) => (((fee / 100_000n) * blocks * vUnits) / 10_000n) * 100_000n;
      await networkHelpers.mine(7);
      expect(await views.getBalance(owner, ids4, next)).to.equal(
        next.balance - packed(NETWORK_FEE, 7n) - packed(4n * OPERATOR_FEE, 7n),
      );
      expect(await views.getBurnRate(owner, ids4, next)).to.equal(packed(BURN, 1n));
    });

    it("liquidates a cluster that cannot carry the new figure, for the caller, and bills it on reactivation", async () => {
      const f = await withCluster(1, (2n * ETH) / 100n);
      const { ssv, double, owner, ids4, cluster, stranger, views } = f;
      const first = await snapshotOf((await commit(f, 64n)).update(cluster));
      const { update } = await commit(f, 2048n);
      const sent = update(first);
      await expect(sent).to.changeEtherBalance(ethers, stranger, first.balance - 2n * 20_893_200_000n);
      const events = await eventsOf(sent);
      expect(events.map((event) => event.name)).to.deep.equal(["ClusterLiquidated", "ClusterBalanceUpdated"]);
      const [a, b] = events.map((event) => asCluster(event.args.getValue("cluster") as Cluster));
      expect(a).to.deep.equal({ validatorCount: 1n, networkFeeIndex: 0n, index: 0n, active: false, balance: 0n });
      expect(b).to.deep.equal(a);
      expect(await views.getBurnRate(owner, ids4, a!)).to.equal(64n * BURN);
      const need = 28_722_299_904_000_000n;
      for (const value of [ETH / 100n, need - 1n]) {
        await expect(ssv.reactivate(ids4, a!, { value })).to.be.revertedWithCustomError(double, "InsufficientBalance");
      }
      const back = await snapshotOf(ssv.reactivate(ids4, a!, { value: need }));
      expect(await views.getEffectiveBalance(owner, ids4, back)).to.equal(2048n);
    });

    it("only records the figure of a liquidated cluster", async () => {
      const f = await withCluster();
      const liquidated = await snapshotOf(f.ssv.liquidate(f.owner, f.ids4, f.cluster));
      const { update } = await commit(f, 64n);
      expect(await snapshotOf(update(liquidated))).to.deep.equal(liquidated);
      const back = await snapshotOf(f.ssv.reactivate(f.ids4, liquidated, { value: ETH }));
      expect(await f.views.getEffectiveBalance(f.owner, f.ids4, back)).to.equal(64n);
    });

    it("adds and takes 32 ETH for a key until the next update, and forgets an empty cluster", async () => {
      const f = await withCluster(2, ETH);
      const { ssv, views, owner, ids4 } = f;
      const { update } = await commit(f, 100n); // one validator holds 68
      let c = await snapshotOf(update(f.cluster));
      c = await snapshotOf(ssv.registerValidator(key(3), ids4, "0x", c));
      expect(await views.getEffectiveBalance(owner, ids4, c)).to.equal(132n);
      c = await snapshotOf(ssv.bulkRemoveValidator(keys(1, 2), ids4, c));
      expect(await views.getEffectiveBalance(owner, ids4, c)).to.equal(68n);
      c = await snapshotOf(ssv.removeValidator(key(3), ids4, c));
      expect(await views.getEffectiveBalance(owner, ids4, c)).to.equal(0n);
      c = await snapshotOf(ssv.registerValidator(key(3), ids4, "0x", c));
      expect(await views.getEffectiveBalance(owner, ids4, c)).to.equal(32n);
    });

    it("refuses what is not proved by the latest root, in the real order", async () => {
      const f = await withCluster();
      const { double, cluster } = f;
      const stale = { ...cluster, balance: 1n };
      const old = await commit(f, 32n);
      const fails = (sent: Promise<unknown>, error: string) =>
        expect(sent).to.be.revertedWithCustomError(double, error);
      await fails(old.update(stale, 31n, old.block + 1n, []), "RootNotFound");
      const { update, block } = await commit(f, 33n);
      await fails(old.update(stale, 31n, old.block, []), "MustUseLatestRoot");
      await fails(update(stale, 34n), "InvalidProof");
      await fails(update(stale, 33n, block, []), "InvalidProof");
      await fails(update(stale), "IncorrectClusterState");
      const next = await snapshotOf(update(cluster));
      await fails(update(next), "StaleUpdate");
      await double.updateMinBlocksBetweenUpdates(10);
      const later = await commit(f, 34n);
      await fails(later.update(next), "UpdateTooFrequent");
      await networkHelpers.mine(10);
      await fails(later.update(cluster), "IncorrectClusterState");
      await later.update(next);
    });

    it("keeps to 32 and 2048 ETH a validator", async () => {
      const f = await withCluster(2);
      for (const [eb, error] of [
        [63n, "EBBelowMinimum"],
        [4097n, "EBExceedsMaximum"],
      ] as const) {
        const { update } = await commit(f, eb);
        await expect(update(f.cluster)).to.be.revertedWithCustomError(f.double, error);
      }
      const { update } = await commit(f, 4096n);
      await update(f.cluster);
    });

    it("refuses a proof for a cluster that does not exist", async () => {
      const f = await withCluster();
      const { update } = await commit(f, 32n, clusterId(f.stranger.address, f.ids4));
      await expect(update(f.cluster)).to.be.revertedWithCustomError(f.double, "InvalidProof");
      const proof = [keccakText("another cluster")];
      const block = (await f.double.queryFilter(f.double.filters.RootCommitted())).at(-1)!.args.blockNum;
      await expect(
        f.double.updateClusterBalance(block, f.stranger, f.ids4, f.cluster, 32n, proof),
      ).to.be.revertedWithCustomError(f.double, "ClusterDoesNotExist");
    });

    it("takes roots in order, of blocks that exist", async () => {
      const { double } = await load();
      const block = await blockNumber();
      await expect(double.commitRootForTest(ZeroHash, block + 2)).to.be.revertedWithCustomError(
        double,
        "FutureBlockNumber",
      );
      await double.commitRootForTest(keccakText("root"), block);
      await expect(double.commitRootForTest(ZeroHash, block)).to.be.revertedWithCustomError(double, "StaleBlockNumber");
    });
  });

  describe("operators", () => {
    it("registers operators under unlimited different keys, private ones too", async () => {
      const { double, operator, views } = await load();
      const o = double.connect(operator);
      const sent = o.registerOperator("0xaa", 10_000_000n, true);
      await expect(sent).to.emit(double, "OperatorAdded").withArgs(14n, operator.address, "0xaa", 10_000_000n);
      await expect(sent).to.emit(double, "OperatorPrivacyStatusUpdated").withArgs([14n], true);
      expect([...(await views.getOperatorById(14n))]).to.deep.equal([
        operator.address,
        10_000_000n,
        0n,
        ZeroAddress,
        true,
        true,
      ]);
      expect([...(await views.getOperatorById(15n))]).to.deep.equal([ZeroAddress, 0n, 0n, ZeroAddress, false, false]);
      expect(await views.getOperatorFee(1n)).to.equal(OPERATOR_FEE);
      await expect(double.registerOperator("0xaa", 0n, false)).to.be.revertedWithCustomError(
        double,
        "OperatorAlreadyExists",
      );
      await expect(o.registerOperator("0xbb", 9_900_000n, false)).to.be.revertedWithCustomError(double, "FeeTooLow");
      await expect(o.registerOperator("0xbb", 5_336_600_000n, false)).to.be.revertedWithCustomError(
        double,
        "FeeTooHigh",
      );
      await expect(o.registerOperator("0xbb", 10_000_001n, false)).to.be.revertedWithCustomError(
        double,
        "MaxPrecisionExceeded",
      );
      await o.registerOperator("0xbb", 5_336_500_000n, false);
      await o.registerOperator("0xcc", 0n, false);
    });

    it("lets a removed operator's clusters go on without its fee, but not grow", async () => {
      const { ssv, double, operator, ids4, cluster, owner, views, stranger } = await withCluster(2);
      const start = BigInt(await blockNumber());
      await double.connect(operator).setOperatorsPrivateUnchecked([2n]);
      await networkHelpers.mine(9);
      await expect(double.connect(operator).removeOperator(2n)).to.emit(double, "OperatorRemoved").withArgs(2n);
      const gone = BigInt(await blockNumber());
      await networkHelpers.mine(10);
      const less = BURN - OPERATOR_FEE;
      expect(await views.getBalance(owner, ids4, cluster)).to.equal(ETH - 2n * ((gone - start) * BURN + 10n * less));
      expect(await views.getBurnRate(owner, ids4, cluster)).to.equal(2n * less);
      expect(await views.getOperatorFee(2n)).to.equal(0n);
      expect([...(await views.getOperatorById(2n))]).to.deep.equal([
        operator.address,
        0n,
        0n,
        ZeroAddress,
        false,
        false,
      ]);
      await expect(ssv.registerValidator(key(3), ids4, "0x", cluster)).to.be.revertedWithCustomError(
        double,
        "OperatorDoesNotExist",
      );
      await ssv.exitValidator(key(1), ids4);
      let c = await snapshotOf(ssv.removeValidator(key(1), ids4, cluster));
      c = await snapshotOf(double.connect(stranger).deposit(owner, ids4, c, { value: 1n }));
      c = await snapshotOf(ssv.withdraw(ids4, 1n, c));
      c = await snapshotOf(ssv.liquidate(owner, ids4, c));
      c = await snapshotOf(ssv.reactivate(ids4, c, { value: ETH }));
      await networkHelpers.mine(10);
      expect(await views.getBalance(owner, ids4, c)).to.equal(ETH - 10n * less);
      c = await snapshotOf(ssv.removeValidator(key(2), ids4, c));
      await expect(ssv.withdraw(ids4, c.balance, c)).to.changeEtherBalance(ethers, owner, c.balance);
      const o = double.connect(operator);
      await expect(o.removeOperator(2n)).to.be.revertedWithCustomError(double, "OperatorDoesNotExist");
      await expect(o.registerOperator(hexlify(Buffer.from("operator 1")), 0n, false)).to.be.revertedWithCustomError(
        double,
        "OperatorAlreadyExists",
      );
      await expect(double.setOperatorFeeForTest(2n, 0n)).to.be.revertedWithCustomError(double, "OperatorDoesNotExist");
    });

    it("serves only whitelisted owners while private, and asks only when validators are added", async () => {
      const { ssv, double, operator, owner, ids4, cluster, stranger } = await withCluster();
      const o = double.connect(operator);
      await expect(o.setOperatorsPrivateUnchecked([1n, 2n]))
        .to.emit(double, "OperatorPrivacyStatusUpdated")
        .withArgs([1n, 2n], true);
      const register = () => ssv.registerValidator(key(2), ids4, "0x", cluster);
      await expect(register()).to.be.revertedWithCustomError(double, "CallerNotWhitelistedWithData").withArgs(1n);
      await expect(o.setOperatorsWhitelists([1n, 2n], [stranger, owner]))
        .to.emit(double, "OperatorMultipleWhitelistUpdated")
        .withArgs([1n, 2n], [stranger.address, owner.address]);
      let c = await snapshotOf(register());
      await o.setOperatorsPrivateUnchecked([3n]);
      c = await snapshotOf(ssv.liquidate(owner, ids4, c));
      c = await snapshotOf(ssv.reactivate(ids4, c, { value: ETH }));
      await expect(o.setOperatorsPublicUnchecked([3n]))
        .to.emit(double, "OperatorPrivacyStatusUpdated")
        .withArgs([3n], false);
      await ssv.registerValidator(key(3), ids4, "0x", c);
    });

    it("refuses changes by others and malformed lists", async () => {
      const { double, operator, stranger } = await load();
      const o = double.connect(operator);
      const foreign = double.connect(stranger);
      for (const call of [
        () => foreign.removeOperator(1n),
        () => foreign.reduceOperatorFee(1n, 0n),
        () => foreign.setOperatorsPrivateUnchecked([1n]),
        () => foreign.setOperatorsPublicUnchecked([1n]),
        () => foreign.setOperatorsWhitelists([1n], [stranger]),
      ]) {
        await expect(call())
          .to.be.revertedWithCustomError(double, "CallerNotOwnerWithData")
          .withArgs(stranger.address, operator.address);
      }
      await expect(o.setOperatorsPrivateUnchecked([99n])).to.be.revertedWithCustomError(double, "OperatorDoesNotExist");
      await expect(o.setOperatorsPublicUnchecked([])).to.be.revertedWithCustomError(double, "InvalidOperatorIdsLength");
      const whitelist = (set: bigint[], who: string[], error: string) =>
        expect(o.setOperatorsWhitelists(set, who)).to.be.revertedWithCustomError(double, error);
      await whitelist([], [], "InvalidOperatorIdsLength");
      await whitelist([1n], [], "InvalidWhitelistAddressesLength");
      await whitelist([2n, 1n], [stranger.address], "UnsortedOperatorsList");
      await whitelist([1n, 1n], [stranger.address], "OperatorsListNotUnique");
      await whitelist([1n], [ZeroAddress], "ZeroAddressNotAllowed");
    });

    it("changes fees from the block of the change on", async () => {
      const { double, operator, views, owner, ids4, cluster } = await withCluster();
      const o = double.connect(operator);
      const start = BigInt(await blockNumber());
      await networkHelpers.mine(5);
      const sent = o.reduceOperatorFee(1n, 10_000_000n);
      await sent;
      const reduced = BigInt(await blockNumber());
      await expect(sent).to.emit(double, "OperatorFeeExecuted").withArgs(operator.address, 1n, reduced, 10_000_000n);
      await networkHelpers.mine(5);
      await double.setOperatorFeeForTest(1n, 9_000_000_000n);
      const raised = BigInt(await blockNumber());
      await networkHelpers.mine(5);
      expect(await views.getOperatorFee(1n)).to.equal(9_000_000_000n);
      const rest = BURN - OPERATOR_FEE;
      expect(await views.getBalance(owner, ids4, cluster)).to.equal(
        ETH - (reduced - start) * BURN - (raised - reduced) * (rest + 10_000_000n) - 5n * (rest + 9_000_000_000n),
      );
      await expect(o.reduceOperatorFee(2n, OPERATOR_FEE)).to.be.revertedWithCustomError(
        double,
        "FeeIncreaseNotAllowed",
      );
      await expect(o.reduceOperatorFee(2n, 9_900_000n)).to.be.revertedWithCustomError(double, "FeeTooLow");
      await o.reduceOperatorFee(2n, 0n);
      expect(await views.getOperatorFee(2n)).to.equal(0n);
    });
  });

  describe("the rest", () => {
    it("announces fee recipients", async () => {
      const { ssv, double, owner, stranger } = await load();
      await expect(ssv.setFeeRecipientAddress(stranger))
        .to.emit(double, "FeeRecipientAddressUpdated")
        .withArgs(owner.address, stranger.address);
    });

    it("answers views only for the latest snapshot", async () => {
      const { views, double, owner, stranger, ids4, cluster } = await withCluster();
      expect(await views.getClusterAssetType(owner, ids4)).to.equal(1n);
      await expect(views.getClusterAssetType(stranger, ids4)).to.be.revertedWithCustomError(
        double,
        "ClusterDoesNotExist",
      );
      expect(await views.isLiquidated(owner, ids4, cluster)).to.equal(false);
      expect(await views.getValidator(stranger, key(1))).to.equal(false);
      const stale = { ...cluster, index: cluster.index + 1n };
      for (const read of [
        views.getBalance,
        views.getBurnRate,
        views.isLiquidatable,
        views.isLiquidated,
        views.getEffectiveBalance,
      ]) {
        await expect(read(owner, ids4, stale)).to.be.revertedWithCustomError(double, "IncorrectClusterState");
        await expect(read(stranger, ids4, cluster)).to.be.revertedWithCustomError(double, "ClusterDoesNotExist");
      }
    });

    it("can look as if its code had been replaced", async () => {
      const { double } = await load();
      const implementation = async () => BigInt(await ethers.provider.getStorage(double, IMPLEMENTATION_SLOT));
      expect(await implementation()).to.equal(BigInt(await double.getAddress()));
      const events = await eventsOf(double.upgradeForTest());
      expect(events.map((event) => event.name)).to.deep.equal(["ModuleUpgraded", "Upgraded"]);
      expect(events[0]!.args.getValue("moduleId")).to.equal(1n);
      expect(await implementation()).to.equal(BigInt(events[1]!.args.getValue("implementation") as string));
      const module = keccak256(coder.encode(["uint8", "uint256"], [1, BASE_MAIN + 3n]));
      expect(BigInt(await ethers.provider.getStorage(double, module))).to.equal(await implementation());
      const first = await implementation();
      await double.upgradeForTest();
      expect(await implementation()).not.to.equal(first);
    });

    describe("reentrancy", () => {
      /** Code that on receiving ETH calls the sender with `data`, and reverts if that does. */
      function callBack(data: string): string {
        const size = toBeHex(dataLength(data), 2).slice(2);
        const code = `61${size}601d5f395f5f61${size}5f5f335af115601957005b5f5ffd`;
        const padded = code.padEnd(2 * 0x1d, "0");
        return `0x${padded}${data.slice(2)}`;
      }

      /** Runs `outer` twice from the same state: first to learn its snapshot, then with the owner calling back. */
      async function reenter(
        owner: string,
        outer: () => Promise<ContractTransactionResponse>,
        inner: (latest: Cluster) => string,
      ): Promise<Promise<ContractTransactionResponse>> {
        const before = await networkHelpers.takeSnapshot();
        const latestSnapshot = await snapshotOf(outer());
        const data = inner(latestSnapshot);
        // on its own the inner call succeeds
        await provider.request({ method: "eth_call", params: [{ from: owner, to: target, data }] });
        await before.restore();
        await networkHelpers.setCode(owner, callBack(data));
        return outer();
      }

      let target = "";

      async function setup(count = 1) {
        const f = await withCluster(count);
        target = await f.double.getAddress();
        await networkHelpers.setCode(f.owner.address, "0x00"); // accepts ETH
        const ssv = f.double.connect(await ethers.getImpersonatedSigner(f.owner.address));
        return { ...f, ssv };
      }

      it("is refused by withdraw, liquidate and updateClusterBalance, not by deposit", async () => {
        const f = await setup();
        const root = leafOf(f.id, 64n);
        const block = await blockNumber();
        await f.double.commitRootForTest(root, block);
        const outer = () => f.ssv.withdraw(f.ids4, 1n, f.cluster);
        const clean = await networkHelpers.takeSnapshot();
        for (const inner of [
          (c: Cluster) => abi.encodeFunctionData("withdraw", [f.ids4, 1n, c]),
          (c: Cluster) => abi.encodeFunctionData("liquidate", [f.owner.address, f.ids4, c]),
          (c: Cluster) => abi.encodeFunctionData("updateClusterBalance", [block, f.owner.address, f.ids4, c, 64n, []]),
        ]) {
          const sent = reenter(f.owner.address, outer, inner);
          await expect(sent).to.be.revertedWithCustomError(f.double, "ETHTransferFailed");
          await clean.restore();
        }
        await reenter(f.owner.address, outer, (c) => abi.encodeFunctionData("deposit", [f.owner.address, f.ids4, c]));
      });

      it("is refused by reactivate", async () => {
        const f = await setup();
        const empty = await snapshotOf(f.ssv.removeValidator(key(1), f.ids4, f.cluster));
        const sent = reenter(
          f.owner.address,
          () => f.ssv.liquidate(f.owner.address, f.ids4, empty),
          (c) => abi.encodeFunctionData("reactivate", [f.ids4, c]),
        );
        await expect(sent).to.be.revertedWithCustomError(f.double, "ETHTransferFailed");
      });
    });
  });

  it("agrees with an independent reckoning of a cluster's life", async () => {
    const { ssv, double, operator, views, owner, ids4, cluster } = await withCluster(2);
    let c = cluster;
    let expected = ETH;
    let last = BigInt(await blockNumber());
    const fees = new Map(ids4.map((id) => [id, OPERATOR_FEE]));
    let networkFee = NETWORK_FEE;
    let validators = 2n;
    // every step happens in a block of its own; fees of that block are still the old ones
    const bill = async () => {
      const now = BigInt(await blockNumber());
      const operatorFees = [...fees.values()].reduce((sum, fee) => sum + fee, 0n);
      expected -= (now - last) * validators * (networkFee + operatorFees);
      last = now;
    };
    for (let round = 0; round < 6; ++round) {
      await networkHelpers.mine(3 + round);
      const fee = 100_000_000n * BigInt(round + 1);
      await double
        .connect(operator)
        .reduceOperatorFee(BigInt(1 + (round % 4)), 0n)
        .catch(() => undefined);
      await bill();
      fees.set(BigInt(1 + (round % 4)), 0n);
      await double.setOperatorFeeForTest(BigInt(1 + (round % 4)), fee);
      await bill();
      fees.set(BigInt(1 + (round % 4)), fee);
      await double.updateNetworkFee(fee * 2n);
      await bill();
      networkFee = fee * 2n;
      c = await snapshotOf(ssv.registerValidator(key(100 + round), ids4, "0x", c, { value: 3n }));
      await bill();
      expected += 3n;
      validators += 1n;
      expect(c.balance).to.equal(expected);
      c = await snapshotOf(ssv.withdraw(ids4, 1000n, c));
      await bill();
      expected -= 1000n;
      expect(c.balance).to.equal(expected);
      if (round % 2 === 1) {
        c = await snapshotOf(ssv.removeValidator(key(100 + round), ids4, c));
        await bill();
        validators -= 1n;
      }
      expect(await views.getBalance(owner, ids4, c)).to.equal(expected);
    }
    expect(c.validatorCount).to.equal(validators);
  });
});
