import { type BaseWallet, type ContractTransactionResponse, id, parseEther, type Result, ZeroAddress } from "ethers";
import { network } from "hardhat";
import { deployPool } from "../../deploy/deploy.js";
import { parseParameters } from "../../deploy/parameters.js";
import { DEPOSIT_CONTRACT_ADDRESS } from "../../devnet/execution/predeploys.js";
import { registerOperators } from "../../devnet/ssv.js";
import { type Report, sign } from "../../oracle/signatures/messages.js";
import { addressOf, GENESIS_TIME, ground, wallet } from "../../test/unit/deploy/support.js";
import { setBeaconRoot } from "../../test/unit/oracle/support.js";
import {
  Actions,
  entriesOf,
  GuardianKeys,
  NEW_CLUSTER,
  OPERATOR_FEE,
  type Snapshot,
} from "../../test/unit/registry/support.js";
import {
  Guardians__factory,
  IDepositContract__factory,
  ISSVNetwork__factory,
  ISSVNetworkViews__factory,
  OperationsReserve__factory,
  PoolETH__factory,
  PoolManager__factory,
  ReportOracle__factory,
  ValidatorRegistry__factory,
  WithdrawalQueue__factory,
} from "../../types/ethers-contracts/index.js";

/**
 * Gas of whole transactions, on Osaka's rules, of a pool in daily operation: deployed as on mainnet (on SSV Network's double), with
 * 32 validators, a report every day that brings rewards, requests that come and are paid, so that no action pays for storage that
 * a running pool has long written. As a Markdown table, with the targets.
 */

const SLOTS_PER_FRAME = 7_200n;
const FRAME_SECONDS = SLOTS_PER_FRAME * 12n;
const OPERATORS = 4;
const VALIDATORS = 32;

/** What a day brings, wei: to the balances of validators, to the WithdrawalVault, to the RewardsVault. */
interface Day {
  earned?: bigint;
  skimmed?: bigint;
  tips?: bigint;
}
const REWARDS: Day = { skimmed: parseEther("0.6"), tips: parseEther("0.4") };

async function gas(sent: Promise<ContractTransactionResponse>): Promise<bigint> {
  const receipt = await (await sent).wait();
  if (receipt === null) throw new Error("not mined");
  return receipt.gasUsed;
}

const ascending = (signers: BaseWallet[]): BaseWallet[] =>
  [...signers].sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));

async function deploy() {
  const connection = await network.create("osaka");
  const { ethers, networkHelpers, provider } = connection;
  const { input, deployer } = await ground(connection);
  await networkHelpers.time.increase(FRAME_SECONDS); // frame 0 is never reported
  const { chainId } = await ethers.provider.getNetwork();
  const guardianWallets = new GuardianKeys(chainId, ZeroAddress).wallets;
  const { addresses } = await deployPool(
    deployer,
    parseParameters({
      ...input,
      frames: { ...input.frames, slotsPerFrame: Number(SLOTS_PER_FRAME) },
      withdrawals: { ...input.withdrawals, cutoffMarginSeconds: 768 },
      oracles: { ...input.oracles, quorum: 3 },
      guardians: {
        ...input.guardians,
        members: guardianWallets.map(({ address }, i) => ({
          member: addressOf(`guardian ${i}, cold`),
          signer: address,
        })),
        quorum: 3,
      },
    }),
  );
  const [keeper, alice, bob, carol, dave] = await ethers.getSigners();
  if (!keeper || !alice || !bob || !carol || !dave) throw new Error("the network has no accounts");
  await networkHelpers.setBalance(alice.address, parseEther("20000"));

  const ssv = {
    network: ISSVNetwork__factory.connect(input.ssv.network, keeper),
    views: ISSVNetworkViews__factory.connect(input.ssv.views, keeper),
  };
  const operatorIds = await registerOperators(
    ssv.network,
    deployer,
    [...Array(OPERATORS).keys()].map((i) => ({ publicKey: id(`operator ${i}`), feeWeiPerBlock: OPERATOR_FEE })),
  );
  const registry = ValidatorRegistry__factory.connect(addresses.registry, keeper);
  const actions = new Actions({
    ...{ registry, operatorIds, ssv, provider: ethers.provider },
    governance: await ethers.getImpersonatedSigner(addressOf("governance")),
    poolOperator: await ethers.getImpersonatedSigner(addressOf("pool operator")),
    guardians: Guardians__factory.connect(addresses.guardians, keeper),
    depositContract: IDepositContract__factory.connect(DEPOSIT_CONTRACT_ADDRESS, keeper),
    keys: new GuardianKeys(chainId, addresses.guardians),
  });
  const manager = PoolManager__factory.connect(addresses.poolManager, keeper);
  const oracle = ReportOracle__factory.connect(addresses.reportOracle, keeper);
  const oracles = ascending([1, 2, 3].map((i) => wallet(`oracle ${i}, hot`)));
  const domains = { ...addresses, chainId: Number(chainId) };
  const balanceOf = (address: string) => ethers.provider.getBalance(address);

  /** The running frame ends, and its report with three signatures is delivered: gas. */
  async function report({ earned = 0n, skimmed = 0n, tips = 0n }: Day = {}): Promise<bigint> {
    const frame = (BigInt(await networkHelpers.time.latest()) - BigInt(GENESIS_TIME)) / FRAME_SECONDS;
    const end = BigInt(GENESIS_TIME) + (frame + 1n) * FRAME_SECONDS;
    const beaconBlockRoot = id(`root of ${frame}`);
    await networkHelpers.time.increaseTo(end + 1_000n);
    await setBeaconRoot(provider, end, beaconBlockRoot);
    const { withdrawalVault, rewardsVault } = addresses;
    await networkHelpers.setBalance(withdrawalVault, (await balanceOf(withdrawalVault)) + skimmed);
    await networkHelpers.setBalance(rewardsVault, (await balanceOf(rewardsVault)) + tips);
    const { clBalance, deposited, inFlight, swept } = await manager.totals();
    const sinceReference = (await manager.depositedAt(frame)) - (deposited - inFlight);
    const message: Report = {
      ...{ version: 1, refSlot: Number((frame + 1n) * SLOTS_PER_FRAME - 1n), beaconBlockRoot },
      ...{ clBalance: clBalance + sinceReference + earned, openPenalties: 0n },
      ...{ withdrawnAtRef: swept + skimmed, exiting: [], exited: [] },
    };
    const signed = await Promise.all(oracles.map((key) => sign({ kind: "report", message }, domains, key)));
    const signatures = signed.map(({ signature }) => signature);
    const used = await gas(oracle.submitReport({ ...message, exiting: [], exited: [] }, signatures));
    if ((await manager.lastFrame()) !== frame) throw new Error(`the report of frame ${frame} was not applied`);
    return used;
  }

  return {
    ...{ connection, keeper, alice, bob, carol, dave, ssv, operatorIds, registry, actions, manager, report },
    token: PoolETH__factory.connect(addresses.poolETH, alice),
    queue: WithdrawalQueue__factory.connect(addresses.withdrawalQueue, alice),
    reserve: OperationsReserve__factory.connect(
      addresses.reserve,
      await ethers.getImpersonatedSigner(addressOf("governance")),
    ),
  };
}
type Deployed = Awaited<ReturnType<typeof deploy>>;

/** What registering `count` keys costs an ordinary owner who calls SSV himself, in a cluster that has validators. */
async function registerDirectly({ ssv, operatorIds, dave }: Deployed, count: number): Promise<bigint> {
  const add = async (seed: string, size: number, snapshot: Snapshot) => {
    const entries = entriesOf(seed, size, OPERATORS);
    return ssv.network.connect(dave).bulkRegisterValidator(
      entries.map(({ publicKey }) => publicKey),
      operatorIds,
      entries.map(({ shares }) => shares),
      snapshot,
      { value: parseEther("1") },
    );
  };
  const { topicHash } = ssv.network.interface.getEvent("ValidatorAdded");
  const receipt = await (await add(`first of ${count}`, 1, NEW_CLUSTER)).wait();
  const added = receipt?.logs.find(({ topics }) => topics[0] === topicHash);
  if (added === undefined) throw new Error("SSV added no validator");
  const event = ssv.network.interface.decodeEventLog("ValidatorAdded", added.data, added.topics);
  const snapshot = (event.getValue("cluster") as Result).toObject() as unknown as Snapshot;
  return gas(add(`direct ${count}`, count, snapshot));
}

type Row = readonly [action: string, gas: bigint, target?: bigint];

async function users({ manager, token, queue, alice, bob, carol, dave, report }: Deployed): Promise<Row[]> {
  const value = parseEther("10");
  const rows: Row[] = [
    ["stake, returning", await gas(manager.connect(alice).stake(alice, ZeroAddress, { value })), 54_000n],
    ["stake, first time", await gas(manager.connect(bob).stake(bob, ZeroAddress, { value })), 71_000n],
    ["transfer to a holder", await gas(token.transfer(bob, parseEther("1"))), 40_000n],
    ["transfer to a new holder", await gas(token.transfer(carol, parseEther("1"))), 57_000n],
    ["request a withdrawal", await gas(token.requestWithdrawal(parseEther("2"), alice)), 80_000n],
  ];
  const { lastRequest, checkpoints } = await queue.state();
  await token.connect(bob).requestWithdrawal(parseEther("1"), dave);
  await report(REWARDS);
  return [
    ...rows,
    ["claim", await gas(queue["claim(uint256,address,uint256)"](lastRequest, alice, checkpoints + 1n)), 50_000n],
    ["claim without a hint", await gas(queue.connect(dave)["claim(uint256,address)"](lastRequest + 1n, dave))],
  ];
}

async function reports({ token, alice, reserve, report }: Deployed): Promise<Row[]> {
  await report(REWARDS);
  const feeAlone = await report({ earned: parseEther("1") });
  await report(REWARDS);
  const swept = await report(REWARDS);
  await token.requestWithdrawal(parseEther("2"), alice);
  const finalising = await report(REWARDS);
  await reserve.setRunway(2_000_000n, 288_000n);
  const toReserve = await report(REWARDS);
  await reserve.setRunway(648_000n, 288_000n);
  await report(); // settles what still streams
  await report();
  const quiet = await report();
  return [
    ["report: quiet", quiet, 116_000n],
    ["report: fee to the treasury", feeAlone],
    ["report: sweeps, fee to the treasury", swept, 157_000n],
    ["report: sweeps, fee to the reserve", toReserve],
    ["report: sweeps, fee, finalises", finalising, 213_000n],
  ];
}

async function validators(pool: Deployed, cluster: bigint): Promise<Row[]> {
  const { registry, actions, connection } = pool;
  const entries = entriesOf("measured", 50, OPERATORS);
  const published = await actions.publish(cluster, entries);
  const block = await connection.ethers.provider.getBlock("latest");
  if (block === null) throw new Error("no block");
  const vetted = await gas(actions.vet(published));
  const register = (from: number, count: number) => gas(actions.register(published, from, count));
  const deposit = (from: number, to: number) => gas(actions.deposit(cluster, entries.slice(from, to)));
  const ten = await register(0, 10);
  const one = await deposit(0, 1);
  await deposit(1, 10);
  const twenty = await register(10, 20);
  const depositTen = await deposit(10, 20);
  const directTen = await registerDirectly(pool, 10);
  const { unfunded } = await registry.counts();
  if (unfunded !== 10n) throw new Error(`${unfunded} validators are unfunded`);
  return [
    ["publish, a key of 50", block.gasUsed / 50n, 59_000n],
    ["vet a batch", vetted],
    ["register, a key of 10", ten / 10n],
    ["register, over SSV's own cost, a key of 10", (ten - directTen) / 10n, 36_000n],
    ["register, a key of 20", twenty / 20n],
    ["deposit 1", one, 150_000n],
    ["deposit 10", depositTen, 505_000n],
  ];
}

function print(rows: readonly Row[]): void {
  const width = Math.max(...rows.map(([action]) => action.length));
  const number = (value?: bigint) => (value?.toLocaleString("en") ?? "").padStart(8);
  const lines = rows.map(
    ([action, used, target]) => `| ${action.padEnd(width)} | ${number(used)} | ${number(target)} |`,
  );
  const rule = `| ${"-".repeat(width)} | -------: | -------: |`;
  process.stdout.write([`| ${"action".padEnd(width)} |      gas |   target |`, rule, ...lines, ""].join("\n"));
}

const pool = await deploy();
await pool.manager.connect(pool.alice).stake(pool.alice, ZeroAddress, { value: parseEther("10000") });
const cluster = await pool.actions.addCluster(OPERATORS, { cap: 500 });
await pool.actions.grow(cluster, VALIDATORS);
for (let day = 0; day < 3; day++) {
  await pool.token.requestWithdrawal(parseEther("1"), pool.alice);
  await pool.report(REWARDS);
}
print([...(await users(pool)), ...(await reports(pool)), ...(await validators(pool, cluster))]);
