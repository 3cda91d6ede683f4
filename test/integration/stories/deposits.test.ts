import { expect } from "chai";
import { hexlify, parseEther } from "ethers";
import { startLocalPool, type LocalCluster, type LocalPool, type RunningService } from "../../../devnet/pool.js";
import { requireSuccess } from "../../../devnet/transactions.js";
import { withdrawalCredentials } from "../../../oracle/keys/depositData.js";
import { metric, recordingLogger, type LogRecord } from "./story.js";
import {
  depositsFor,
  knownValidator,
  pendingTransactions,
  sendDeposit,
  startQuorum,
  Status,
  statusOf,
  type KnownValidator,
} from "./support.js";

const STAKED_WEI = parseEther("320");

describe("stories: deposits by strangers", () => {
  let pool: LocalPool;
  let guardian: RunningService;
  let log: LogRecord[];
  let foreign: string;

  const alerts = (publicKey: string): LogRecord[] =>
    log.filter((line) => line.level === "alert" && line.publicKey === publicKey);
  const isDeposited = async ({ entry }: KnownValidator): Promise<boolean> =>
    (await statusOf(pool, entry.publicKey)) === Status.Deposited;

  /** Published and registered, at most two of a new cluster; the guardians wait for finality. */
  async function registered(cluster: LocalCluster, count: number): Promise<KnownValidator[]> {
    const nonces = Array.from({ length: count }, (_, i) => BigInt(i));
    const validators = await Promise.all(nonces.map((nonce) => knownValidator(pool, cluster, nonce)));
    await pool.publish(
      cluster,
      validators.map(({ entry }) => entry),
    );
    const isRegistered = async (): Promise<boolean> =>
      (await pool.registry.cluster(cluster.clusterId)).registered === BigInt(count);
    await pool.devnet.advanceUntil(isRegistered, 60);
    return validators;
  }

  /** Whoever leaked the key, every wei of the pool is where the pool can claim it. */
  async function expectNothingLost(): Promise<void> {
    const { buffered, inFlight, clBalance } = await pool.poolManager.totals();
    expect(buffered + inFlight + clBalance).to.equal(STAKED_WEI + parseEther("1"));
  }

  before(async () => {
    pool = await startLocalPool({ clusterSizes: [4] });
    foreign = withdrawalCredentials(pool.user(7).address);
    await pool.stake(pool.user(0), STAKED_WEI);
    const { logger, records } = recordingLogger();
    log = records;
    guardian = await startQuorum(pool, logger);
  });
  after(() => pool.close());

  it("who has a key and deposited for it first: that key is refused with an alert, the other is funded", async () => {
    const { devnet, clusters, registry } = pool;
    const [leaked, second] = await registered(clusters[0]!, 2);
    const { secretKey } = leaked!;
    await devnet.mineTx(sendDeposit(pool, pool.user(7), { secretKey, withdrawalCredentials: foreign, ether: 1n }));
    await devnet.advanceUntil(() => isDeposited(second!), 60);

    const ours = { ether: 32n, withdrawalCredentials: await registry.withdrawalCredentials() };
    expect(await depositsFor(pool, second!.entry.publicKey)).to.deep.equal([ours]);
    expect(alerts(second!.entry.publicKey)).to.deep.equal([]);
    await devnet.advanceEpochs(2);
    const { publicKey } = leaked!.entry;
    expect(await statusOf(pool, publicKey)).to.equal(Status.Registered);
    expect(await depositsFor(pool, publicKey)).to.deep.equal([{ ether: 1n, withdrawalCredentials: foreign }]);
    // once for the deposit, once for the validator that it became
    const [deposited, validator, ...others] = alerts(publicKey);
    expect(others).to.deep.equal([]);
    expect([deposited?.reason, validator?.reason]).to.deep.equal(["ForeignDeposit", "ForeignDeposit"]);
    expect(deposited?.msg).to.include(`1000000000 gwei were deposited for the key under ${foreign}`);
    expect(validator?.msg).to.include(`The key is a validator under ${foreign}`);
    expect(await metric(guardian.service.url, "pooleth_alerts_total", { reason: "ForeignDeposit" })).to.equal(2);
    await expectNothingLost();
  });

  it("in the block of the pool's own deposit, after the guardians approved it: the chain refuses the deposit, then the guardians the key", async () => {
    const { devnet, guardians } = pool;
    const cluster = await pool.addCluster(pool.clusters[0]!.operators);
    const [leaked, second] = await registered(cluster, 2);
    const { secretKey, entry } = leaked!;
    const sent: string[] = [];
    const stop = devnet.onSlot(async () => {
      for (const { hash, input } of await pendingTransactions(pool)) {
        if (!input.includes(entry.publicKey.slice(2))) continue;
        sent.push(hash);
        if (sent.length > 1) continue;
        await sendDeposit(pool, pool.user(7), { secretKey, withdrawalCredentials: foreign, ether: 1n });
      }
    });
    await devnet.advanceUntil(() => isDeposited(second!), 60);
    stop();

    expect(sent).to.have.length(1);
    const receipt = await devnet.provider.getTransactionReceipt(sent[0]!);
    const outcome = await requireSuccess(devnet.provider, receipt!, [guardians.interface]).catch(String);
    expect(outcome).to.match(/reverted: DepositCountChanged\(\d+, \d+\)/);
    expect(await statusOf(pool, entry.publicKey)).to.equal(Status.Registered);
    expect(await depositsFor(pool, entry.publicKey)).to.deep.equal([{ ether: 1n, withdrawalCredentials: foreign }]);
    expect(alerts(entry.publicKey).map(({ reason }) => reason)).to.deep.equal(["ForeignDeposit"]);
    await expectNothingLost();
  });

  it("with a garbage signature for our next key: ignored by the guardians as by consensus, and the validator is the pool's", async () => {
    const { devnet, registry } = pool;
    const cluster = await pool.addCluster(pool.clusters[0]!.operators);
    const [validator] = await registered(cluster, 1);
    const { secretKey, entry } = validator!;
    const garbage = { secretKey, withdrawalCredentials: foreign, ether: 1n, badSignature: true };
    await devnet.mineTx(sendDeposit(pool, pool.user(7), garbage));
    await devnet.advanceUntil(() => isDeposited(validator!), 60);
    expect(alerts(entry.publicKey)).to.deep.equal([]);

    await devnet.advanceUntil(() => devnet.validatorByPubkey(entry.publicKey) !== null, 60);
    const ours = await registry.withdrawalCredentials();
    expect(await depositsFor(pool, entry.publicKey)).to.deep.equal([
      { ether: 1n, withdrawalCredentials: foreign },
      { ether: 32n, withdrawalCredentials: ours },
    ]);
    const found = devnet.validatorByPubkey(entry.publicKey)!;
    expect(hexlify(found.validator.withdrawalCredentials)).to.equal(ours);
    expect(found.balanceGwei).to.equal(32_000_000_000n);
  });
});
