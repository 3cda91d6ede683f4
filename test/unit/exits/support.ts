import { concat, type ContractTransactionResponse, type Log, toBeHex } from "ethers";
import { network } from "hardhat";
import { WITHDRAWAL_REQUESTS_ADDRESS } from "../../../devnet/execution/predeploys.js";
import {
  ISSVNetwork__factory,
  ValidatorExits__factory,
  ValidatorRegistry__factory,
} from "../../../types/ethers-contracts/index.js";
import {
  Actions,
  bytesOf,
  type Deployed,
  deployRegistry,
  entriesOf,
  ETHER,
  FRAMES,
  processWithdrawalRequests,
} from "../registry/support.js";

export const VALIDATOR_WEI = 32n * ETHER;
export const FRAME_SECONDS = FRAMES.secondsPerSlot * FRAMES.slotsPerFrame;
/** Tests begin here, a frame of the year 2034: they do not depend on the day they run. */
export const START = 5_000n;

export interface Funded {
  publicKey: string;
  id: bigint;
  cluster: bigint;
  depositOrder: bigint;
  clusterOrder: bigint;
}

export interface Terms {
  queued?: bigint;
  owed?: bigint;
  buffered?: bigint;
}

export type Connection = Awaited<ReturnType<typeof network.create>>;

/** Loads what `build` makes on a chain of its own: no other fixture leaves a trace in its time and balances. */
export function onOwnChain<T>(build: (connection: Connection) => Promise<T>): () => Promise<T> {
  let chain: Promise<Connection> | undefined;
  const fixture = async () => build(await chain!);
  return async () => {
    chain ??= network.create("osaka");
    return (await chain).networkHelpers.loadFixture(fixture);
  };
}

/** The registry and all it stands on, at the start of a frame, with ether for thousands of validators. No cluster yet. */
export async function deployExits(connection: Connection) {
  const on = await deployRegistry(connection);
  const pool = await on.pool.getAddress();
  await connection.networkHelpers.setBalance(pool, 100_000n * ETHER);
  await connection.networkHelpers.setStorageAt(pool, 0, toBeHex(100_000n * ETHER, 32));
  const exiting = new Exiting(on, connection);
  await exiting.enter(START);
  return Object.assign(exiting, on, { connection, helpers: connection.networkHelpers });
}

/** What becomes of funded validators, on a deployed registry. */
export class Exiting {
  readonly actions: Actions;
  readonly #on: Deployed;
  readonly #connection: Connection;

  constructor(on: Deployed, connection: Connection) {
    this.actions = new Actions(on);
    this.#on = on;
    this.#connection = connection;
  }

  /** Time of a frame's first second, or so many later. */
  static time(frame: bigint, seconds = 0n): bigint {
    return FRAMES.genesisTime + frame * FRAME_SECONDS + seconds;
  }

  /** A block in the first second of a frame. */
  async enter(frame: bigint): Promise<void> {
    await this.#connection.networkHelpers.time.increaseTo(Exiting.time(frame));
  }

  /** Puts new validators of a cluster into SSV, two at first, then as many as may wait. */
  async register(cluster: bigint, count: number) {
    const { registry } = this.#on;
    const [, , validators] = await registry.counts();
    const { operatorIds } = await registry.cluster(cluster);
    const entries = entriesOf(`${cluster} from ${validators}`, count, operatorIds.length);
    await this.actions.register(await this.actions.publishAndVet(cluster, entries));
    return entries;
  }

  /** Funds new validators of a cluster, the youngest key first: neither ids nor queues are the order of deposits. */
  async fund(cluster: bigint, count: number): Promise<Funded[]> {
    const { registry } = this.#on;
    const funded: Funded[] = [];
    while (funded.length < count) {
      const { deposited } = await registry.cluster(cluster);
      const some = Math.min(Math.max(2, Number(deposited)), 20, count - funded.length);
      const entries = (await this.register(cluster, some)).toReversed();
      await this.actions.deposit(cluster, entries);
      for (const { publicKey } of entries) {
        const { id, depositOrder, clusterOrder } = await registry.validator(publicKey);
        funded.push({ publicKey, id, cluster, depositOrder, clusterOrder });
      }
    }
    return funded;
  }

  async setActive(cluster: bigint, active: boolean): Promise<void> {
    const { registry, governance } = this.#on;
    await registry.connect(governance).setCluster(cluster, active, 1_000);
  }

  /** The PoolManager's totals; what exits have nothing to do with is anything. */
  async setTerms({ queued = 0n, owed = 0n, buffered = 0n }: Terms): Promise<void> {
    const [clBalance, inFlight, locked, fee] = [801n * ETHER, 77n * ETHER, 5n * ETHER, 9n * ETHER];
    const [totalPooledEther, totalShares, uncoveredLoss] = [900n * ETHER, 850n * ETHER, 11n * ETHER];
    await this.#on.pool.setTotals({
      ...{ buffered, clBalance, inFlight, locked, owed, fee, totalPooledEther, totalShares, uncoveredLoss },
      ...{ deposited: 960n * ETHER, swept: 13n * ETHER, queued },
    });
  }

  /** Withdrawals wait that are worth so many validators. */
  async need(validators: bigint): Promise<void> {
    await this.setTerms({ queued: validators * VALIDATOR_WEI });
  }

  /** Asks for validators of one cluster, in this order. */
  async request(...validators: Pick<Funded, "cluster" | "publicKey">[]) {
    const keys = validators.map(({ publicKey }) => publicKey);
    return this.#on.exits.requestExits(validators[0]!.cluster, keys);
  }

  /** Forces exits, paying `value` or exactly the fee. */
  async force(validators: readonly Pick<Funded, "publicKey">[], value?: bigint) {
    const fee = await this.#on.vault.exitFee();
    const keys = validators.map(({ publicKey }) => publicKey);
    return this.#on.exits.forceExits(keys, fee, { value: value ?? fee * BigInt(keys.length) });
  }

  async report(exiting: readonly bigint[], exited: readonly bigint[] = []) {
    const { exits, reportOracle } = this.#on;
    return exits.connect(reportOracle).recordExits([...exiting], [...exited]);
  }

  /** [shortage in wei, confirmed, needed, underway, due] */
  async demand(): Promise<bigint[]> {
    return [...(await this.#on.exits.demand())];
  }

  /** [retired cluster, order] */
  async next(): Promise<bigint[]> {
    return [...(await this.#on.exits.next())];
  }

  /** [asked, exiting, exited, frame asked, forceable from], frames counted from the start. */
  async status({ id }: Pick<Funded, "id">): Promise<unknown[]> {
    const { asked, exiting, exited, askedFrame, forceableFrom } = await this.#on.exits.status(id);
    const frames = [askedFrame, forceableFrom].map((frame) => (frame === 0n ? undefined : frame - START));
    return [asked, exiting, exited, ...frames];
  }

  /** Everything that a transaction said, in order, as words. */
  async told(sent: ContractTransactionResponse | Promise<ContractTransactionResponse>): Promise<string[]> {
    const receipt = (await (await sent).wait())!;
    return receipt.logs.map((log) => wordsOf(log));
  }

  /** Makes the EIP-7002 fee leave 1 wei, by `requests` of strangers. */
  async raiseFee(requests: number): Promise<bigint> {
    const { stranger, vault } = this.#on;
    const fee = await vault.exitFee();
    for (let i = 0; i < requests; i++) {
      const data = concat([bytesOf(`stranger ${i}`, 48), toBeHex(1, 8)]);
      await stranger.sendTransaction({ to: WITHDRAWAL_REQUESTS_ADDRESS, data, value: fee });
    }
    await processWithdrawalRequests(this.#connection.provider);
    return vault.exitFee();
  }
}

const INTERFACES = [
  ValidatorExits__factory.createInterface(),
  ValidatorRegistry__factory.createInterface(),
  ISSVNetwork__factory.createInterface(),
];

function wordsOf(log: Log): string {
  if (log.address === WITHDRAWAL_REQUESTS_ADDRESS) return `EIP-7002 ${log.data}`;
  for (const parser of INTERFACES) {
    const parsed = parser.parseLog(log);
    if (parsed !== null) return [parsed.name, ...parsed.args.map((arg) => `${arg as bigint}`)].join(" ");
  }
  throw new Error(`a log nobody knows: ${log.address} ${log.topics.join()}`);
}
