import { id, parseEther, type BaseWallet, type JsonRpcError, type JsonRpcPayload, type JsonRpcResult } from "ethers";
import { network } from "hardhat";
import { deployPool } from "../../../deploy/deploy.js";
import { parseParameters } from "../../../deploy/parameters.js";
import { DEPOSIT_CONTRACT_ADDRESS } from "../../../devnet/execution/predeploys.js";
import { registerOperators } from "../../../devnet/ssv.js";
import { frameAt } from "../../../oracle/clock.js";
import { parseConfig, type ConfigInput } from "../../../oracle/config.js";
import { ChainReader } from "../../../oracle/execution/chain.js";
import { connectPool } from "../../../oracle/execution/contracts.js";
import { EventStore } from "../../../oracle/execution/eventStore.js";
import { FailoverProvider, readHead } from "../../../oracle/execution/provider.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { createMetrics } from "../../../oracle/ops/metrics.js";
import { KeeperRole } from "../../../oracle/roles/keeper.js";
import { sign, type Report } from "../../../oracle/signatures/messages.js";
import { SignatureStore } from "../../../oracle/signatures/store.js";
import {
  Guardians__factory,
  IDepositContract__factory,
  ISSVNetworkViews__factory,
  OperationsReserve__factory,
  PoolETH__factory,
  PoolManager__factory,
  ReportOracle__factory,
  SSVNetworkDouble__factory,
  ValidatorExits__factory,
  ValidatorRegistry__factory,
} from "../../../types/ethers-contracts/index.js";
import { addressOf, ground, wallet, type Connection } from "../deploy/support.js";
import { setBeaconRoot } from "../oracle/support.js";
import { Actions, GuardianKeys, installWithdrawalRequests, OPERATOR_FEE, QUORUM } from "../registry/support.js";
import { temporaryFolder } from "./support.js";

/** The services' provider on Hardhat's chain in this process. */
class InProcessProvider extends FailoverProvider {
  readonly #chain: Connection["provider"];

  constructor(chain: Connection["provider"], chainId: number) {
    super(["http://127.0.0.1"], chainId, createLogger("silent"));
    this.#chain = chain;
  }

  override async _send(payload: JsonRpcPayload | JsonRpcPayload[]): Promise<(JsonRpcResult | JsonRpcError)[]> {
    return Promise.all(
      [payload].flat().map(async ({ id, method, params }: JsonRpcPayload) => {
        try {
          const result: unknown = await this.#chain.request({ method, params: params as unknown[] });
          return { id, result };
        } catch (error) {
          const { code, message, data } = error as { code: number; message: string; data: unknown };
          return { id, error: { code, message, data } };
        }
      }),
    );
  }
}

const ascending = (signers: BaseWallet[]): BaseWallet[] =>
  [...signers].sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));

/** A pool as it is deployed, on SSV Network's double, with 2,000 ETH staked; and a keeper of which each round is one block. */
export async function deployForKeeper() {
  const connection = await network.create("osaka");
  const { ethers, networkHelpers, provider } = connection;
  const { input, deployer, ssvNetwork } = await ground(connection);
  await installWithdrawalRequests(provider);
  const chainId = Number((await ethers.provider.getNetwork()).chainId);
  const guardians = new GuardianKeys(BigInt(chainId), ethers.ZeroAddress).wallets.map(({ address }, i) => ({
    member: addressOf(`guardian ${i}, cold`),
    signer: address,
  }));
  const { addresses } = await deployPool(
    deployer,
    parseParameters({ ...input, guardians: { ...input.guardians, members: guardians, quorum: QUORUM } }),
  );
  const [stranger] = await ethers.getSigners();
  const governance = await ethers.getImpersonatedSigner(addressOf("governance"));
  await networkHelpers.setBalance(stranger!.address, parseEther("100000"));
  const ssv = {
    network: SSVNetworkDouble__factory.connect(await ssvNetwork.getAddress(), deployer),
    views: ISSVNetworkViews__factory.connect(input.ssv.views, stranger),
  };
  const operatorIds = await registerOperators(
    ssv.network,
    deployer,
    [...Array(7).keys()].map((i) => ({ publicKey: id(`operator ${i}`), feeWeiPerBlock: OPERATOR_FEE })),
  );
  const registry = ValidatorRegistry__factory.connect(addresses.registry, stranger);
  const reserve = OperationsReserve__factory.connect(addresses.reserve, stranger);
  const manager = PoolManager__factory.connect(addresses.poolManager, stranger);
  const oracle = ReportOracle__factory.connect(addresses.reportOracle, stranger);
  const actions = new Actions({
    ...{ registry, operatorIds, ssv, governance, provider: ethers.provider },
    poolOperator: await ethers.getImpersonatedSigner(addressOf("pool operator")),
    guardians: Guardians__factory.connect(addresses.guardians, stranger),
    depositContract: IDepositContract__factory.connect(DEPOSIT_CONTRACT_ADDRESS, stranger),
    keys: new GuardianKeys(BigInt(chainId), addresses.guardians),
  });
  await reserve.fund({ value: parseEther("20") });
  await manager.stake(stranger!.address, ethers.ZeroAddress, { value: parseEther("2000") });

  const services = new InProcessProvider(provider, chainId);
  const contracts = await connectPool(addresses.poolManager, services);
  const { frames } = contracts;
  const folders: ReturnType<typeof temporaryFolder>[] = [];
  const { genesisTime, secondsPerSlot, slotsPerFrame } = frames;
  const running = async () => frameAt(frames, await networkHelpers.time.latest());

  /** The running frame ends, and its report says who leaves and is gone, and what has come to the vault. */
  const report = async ({ exiting = [] as number[], exited = [] as number[], arrivedWei = 0n } = {}) => {
    const frame = BigInt(await running());
    const end = genesisTime + (frame + 1n) * slotsPerFrame * secondsPerSlot;
    await networkHelpers.time.increaseTo(end + 1n);
    await setBeaconRoot(provider, end, id(`root of ${frame}`));
    const vault = await ethers.provider.getBalance(addresses.withdrawalVault);
    await networkHelpers.setBalance(addresses.withdrawalVault, vault + arrivedWei);
    const { clBalance, deposited, inFlight, swept } = await manager.totals();
    const sinceReference = (await manager.depositedAt(frame)) - (deposited - inFlight);
    const message: Report = {
      ...{ version: 1, refSlot: Number((frame + 1n) * slotsPerFrame - 1n), beaconBlockRoot: id(`root of ${frame}`) },
      ...{ clBalance: clBalance + sinceReference - arrivedWei, openPenalties: 0n },
      ...{ withdrawnAtRef: swept + arrivedWei, exiting, exited },
    };
    const oracles = ascending([1, 2].map((i) => wallet(`oracle ${i}, hot`)));
    const domains = { ...addresses, chainId };
    const signed = await Promise.all(oracles.map((key) => sign({ kind: "report", message }, domains, key)));
    await oracle.submitReport(
      { ...message, exiting, exited },
      signed.map(({ signature }) => signature),
    );
    if ((await manager.lastFrame()) !== frame) throw new Error(`the report of frame ${frame} was not applied`);
  };

  /** A keeper with its own key and memory. */
  const startKeeper = async (changes: Partial<ConfigInput> = {}) => {
    const metrics = createMetrics();
    const folder = temporaryFolder();
    folders.push(folder);
    const config = parseConfig({
      ...{ chainId, poolManager: addresses.poolManager, executionUrls: ["http://127.0.0.1"], roles: ["keeper"] },
      ...{ dataDir: folder.path, dryRun: false, ...changes },
    });
    const key = wallet("keeper").connect(services);
    await networkHelpers.setBalance(key.address, parseEther("10"));
    const said: string[] = [];
    const logger = createLogger("warn", { write: (line) => said.push((JSON.parse(line) as { msg: string }).msg) });
    const store = new EventStore({
      ...{ provider: services, chainId, fromBlock: 0, logger },
      ...{
        registry: addresses.registry,
        validatorExits: addresses.validatorExits,
        ssvNetwork: ssvNetwork.target as string,
      },
      dataDir: folder.path,
    });
    const role = new KeeperRole({
      chain: new ChainReader(services, contracts, store),
      signer: config.dryRun ? null : key,
      domains: { ...addresses, chainId },
      store: new SignatureStore(),
      ...{ config, metrics, logger },
    });
    const jobs = async (): Promise<Record<string, number>> =>
      Object.fromEntries(
        (await metrics.jobs.get()).values.map(({ labels, value }) => [
          `${String(labels.job)} ${String(labels.result)}`,
          value,
        ]),
      );
    /** One head: what it sends is in the next block. Answers what became of its transactions in it. */
    const round = async (): Promise<Record<string, number>> => {
      const before = await jobs();
      await provider.request({ method: "evm_setAutomine", params: [false] });
      try {
        await role.processHead((await readHead(services, "latest"))!);
      } finally {
        await provider.request({ method: "evm_mine", params: [] });
        await provider.request({ method: "evm_setAutomine", params: [true] });
      }
      const block = await ethers.provider.getBlock("latest");
      const receipts = await Promise.all(
        block!.transactions.map((hash) => ethers.provider.getTransactionReceipt(hash)),
      );
      if (receipts.some((receipt) => receipt?.status !== 1)) throw new Error("a transaction of the keeper reverted");
      const after = await jobs();
      const changed = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
      return Object.fromEntries(changed.filter(([name, count]) => count !== 0 && !name.endsWith(" done")));
    };
    return { round, said, metrics, key };
  };

  return {
    ...{ ethers, networkHelpers, provider },
    ...{ actions, addresses, governance, manager, operatorIds, registry, report, reserve, ssv },
    ...{ startKeeper, stranger: stranger!, frame: running, deployer },
    exits: ValidatorExits__factory.connect(addresses.validatorExits, stranger),
    token: PoolETH__factory.connect(addresses.poolETH, stranger),
    close: async () => {
      services.destroy();
      await connection.close();
      for (const folder of folders) folder.remove();
    },
  };
}
