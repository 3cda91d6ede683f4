import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { Contract, id, parseEther, Wallet } from "ethers";
import { committeeKey, startLocalPool, type LocalCluster, type LocalPool } from "../../../devnet/pool.js";
import { registerOperators } from "../../../devnet/ssv.js";
import type { ConfigInput, Role } from "../../../oracle/config.js";
import { SigningJournal } from "../../../oracle/signatures/journal.js";
import type { Cluster } from "../../../oracle/ssv/cluster.js";
import { ServiceProcess } from "../services/process.js";
import { metric, recordingLogger, type LogRecord } from "./story.js";
import {
  depositsFor,
  forceVetting,
  HIGH_FEES,
  HoldingServer,
  pendingTransactions,
  startQuorum,
  Status,
  statusOf,
} from "./support.js";

/** An estimate of gas, up to where its block could stand. */
const ESTIMATE = /("method":"eth_estimateGas","params":\[\{[^}]*\})\]/;

/** What the devnet answers. */
async function forward({ devnet }: LocalPool, body: string): Promise<string> {
  const headers = { "content-type": "application/json" };
  return (await fetch(devnet.rpcUrl, { method: "POST", body, headers })).text();
}

/** Validators in each of the two clusters. */
const EACH = 2;

/** Two clusters of four, two validators published for each, ETH for all of them. */
async function openPool(): Promise<LocalPool> {
  const pool = await startLocalPool({ clusterSizes: [4] });
  await pool.addCluster(pool.clusters[0]!.operators);
  for (const cluster of pool.clusters) await pool.publish(cluster, await pool.prepare(cluster, EACH));
  await pool.stake(pool.user(0), parseEther("300"));
  return pool;
}

/** Until everything published is deposited and a report was accepted. */
async function finish(pool: LocalPool): Promise<void> {
  const { devnet, registry, reportOracle } = pool;
  const isDone = async (): Promise<boolean> => {
    const [{ validators, unfunded }, reports] = await Promise.all([
      registry.counts(),
      reportOracle.queryFilter(reportOracle.filters.ReportAccepted()),
    ]);
    return validators === BigInt(pool.ownPubkeys.length) && unfunded === 0n && reports.length > 0;
  };
  await devnet.advanceUntil(isDone, 120);
}

/** All that the keepers' transactions left behind, without the time at which they did. */
async function outcome(pool: LocalPool): Promise<unknown> {
  const { registry, reserve, reportOracle, ssv } = pool;
  const [vetted, registered, deposited, paid, reports, added] = await Promise.all([
    registry.queryFilter(registry.filters.BatchVetted()),
    registry.queryFilter(registry.filters.Registered()),
    registry.queryFilter(registry.filters.Deposited()),
    reserve.queryFilter(reserve.filters.Paid()),
    reportOracle.queryFilter(reportOracle.filters.ReportAccepted()),
    ssv.network.queryFilter(ssv.network.filters.ValidatorAdded()),
  ]);
  const frames = reports.map(({ args }) => args.frame);
  expect(new Set(frames).size).to.equal(frames.length);
  return {
    counts: [...(await registry.counts())],
    vetted: vetted.map(({ args }) => [args.account, args.batch]).sort(),
    registered: registered.reduce((sum, { args }) => sum + args.count, 0n),
    deposited: deposited.flatMap(({ args }) => args.ids).sort(),
    paidWei: paid.reduce((sum, { args }) => sum + args.amount, 0n),
    accounts: await Promise.all(
      pool.clusters.map(async ({ accountId, ssvAccount }) => {
        const { nonce, queued, nextBatch, batches } = await registry.account(accountId);
        const inSsv = BigInt(added.filter(({ args }) => args.owner === ssvAccount).length);
        expect(nonce).to.equal(inSsv);
        return { nonce, queued, nextBatch, batches };
      }),
    ),
    validators: await Promise.all(
      pool.ownPubkeys.map(async (key) => {
        const { status, id: registryId, cluster } = await registry.validator(key);
        return { status, registryId, cluster, deposits: (await depositsFor(pool, key)).map(({ ether }) => ether) };
      }),
    ),
  };
}

/** What SSV Network has of a cluster now. */
async function snapshotOf({ ssv, devnet }: LocalPool, { ssvAccount }: LocalCluster): Promise<Cluster> {
  const logs = await devnet.provider.getLogs({ address: await ssv.network.getAddress(), fromBlock: 0 });
  for (const log of logs.reverse()) {
    const event = ssv.network.interface.parseLog(log);
    if (event?.args["owner"] !== ssvAccount || event.fragment.inputs.every(({ name }) => name !== "cluster")) continue;
    const tuple = event.args.getValue("cluster") as [bigint, bigint, bigint, boolean, bigint];
    const [validatorCount, networkFeeIndex, index, active, balance] = tuple;
    return { validatorCount, networkFeeIndex, index, active, balance };
  }
  throw new Error("no event of the cluster");
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

const alarming = (records: readonly LogRecord[]): LogRecord[] =>
  records.filter(({ level }) => ["error", "alert", "fatal"].includes(level));

describe("stories: keepers", () => {
  /** What one keeper leaves that nobody disturbs. */
  let undisturbed: unknown;

  before(async () => {
    const pool = await openPool();
    try {
      await startQuorum(pool);
      await finish(pool);
      undisturbed = await outcome(pool);
    } finally {
      await pool.close();
    }
  });

  describe("beside others", () => {
    let pool: LocalPool;
    const first = recordingLogger();
    const second = recordingLogger();

    before(async () => {
      pool = await openPool();
    });
    after(() => pool.close());

    it("two that run all the time do everything once, pay nothing twice and find nothing wrong", async () => {
      await pool.start("keeper", 0, { logger: first.logger });
      // the nodes of the second have not heard of what the first has just sent
      const node = new HoldingServer((body) => forward(pool, body.replace(ESTIMATE, '$1,"latest"]')));
      const executionUrls = [await node.listen()];
      const other = await pool.start("keeper", 1, {
        logger: second.logger,
        config: (config) => ({ ...config, executionUrls }),
      });
      for (const position of [0, 1]) {
        await pool.start("oracle", position);
        await pool.start("guardian", position);
      }
      await finish(pool);
      expect(await outcome(pool)).to.deep.equal(undisturbed);
      expect(alarming([...first.records, ...second.records])).to.deep.equal([]);
      // both sent everything: of each two transactions one was faster, the other reverted
      const keepers = pool.services.filter(({ role }) => role === "keeper");
      const count = (result: string): Promise<number[]> =>
        Promise.all(keepers.map(({ service }) => metric(service.url, "pooleth_keeper_jobs_total", { result })));
      const [sent, done, overtaken] = [await count("sent"), await count("done"), await count("overtaken")];
      for (const sentByOne of sent) expect(sentByOne).to.be.at.least(7);
      expect(sum(done)).to.be.at.least(6);
      expect(sum(overtaken)).to.be.at.least(6);
      await other.stop();
      await node.close();
    });

    it("a stranger's 1 wei to the cluster, each time a registration is on its way, only delays it", async () => {
      const { devnet, registry, ssv, reserve } = pool;
      const cluster = pool.clusters[0]!;
      const keeper = pool.services.find(({ role }) => role === "keeper")!;
      const stranger = pool.user(7);
      const times = 4;
      const { address: keeperAddress } = devnet.accounts[5]!;
      const overtaken = (): Promise<number> =>
        metric(keeper.service.url, "pooleth_keeper_jobs_total", { job: "register", result: "overtaken" });
      const [overtakenBefore, reserveBefore] = [await overtaken(), await reserve.balance()];
      const register = registry.interface.getFunction("register").selector;
      let gifts = 0;
      const stop = devnet.onSlot(async () => {
        const isSent = (await pendingTransactions(pool)).some(({ input }) => input.startsWith(register));
        if (!isSent || gifts === times) return;
        gifts += 1;
        await ssv.network
          .connect(stranger)
          .deposit(cluster.ssvAccount, [...cluster.operatorIds], await snapshotOf(pool, cluster), {
            value: 1n,
            gasLimit: 300_000n,
            ...HIGH_FEES,
          });
      });

      const validators = await pool.prepare(cluster, EACH);
      await pool.publish(cluster, validators);
      const { registered } = await registry.cluster(cluster.clusterId);
      const isRegistered = async (): Promise<boolean> =>
        (await registry.cluster(cluster.clusterId)).registered === registered + BigInt(EACH);
      await devnet.advanceUntil(isRegistered, 40);
      stop();

      expect(gifts).to.equal(times);
      expect((await overtaken()) - overtakenBefore).to.equal(times);
      const cost = await reserve.registrationCost((await registry.cluster(cluster.clusterId)).burnPerValidator, EACH);
      expect(reserveBefore - (await reserve.balance())).to.equal(cost);
      expect(await devnet.provider.getTransactionCount(keeperAddress, "pending")).to.equal(
        await devnet.provider.getTransactionCount(keeperAddress, "latest"),
      );
      expect(alarming(first.records)).to.deep.equal([]);
    });

    it("an operator leaves SSV before the registration: guardians refuse, the keeper says so and sends nothing", async () => {
      const { devnet, registry, ssv, ssvOwner } = pool;
      const operators = devnet.operators.create(4);
      const operatorIds = await registerOperators(
        ssv.network,
        ssvOwner,
        operators.map(({ publicKeyForSsv }) => ({ publicKey: publicKeyForSsv, feeWeiPerBlock: 1_770_000_000n })),
        { mine: () => devnet.advance() },
      );
      operators.forEach((operator, i) => {
        devnet.operators.assign(operator, operatorIds[i] ?? 0n);
      });
      const cluster = await pool.addCluster(operators);
      const guardianLog = recordingLogger();
      await pool.start("guardian", 2, { logger: guardianLog.logger });

      const network = new Contract(await ssv.network.getAddress(), ["function removeOperator(uint64)"], ssvOwner);
      await network.getFunction("removeOperator").send(operatorIds[1]);
      const batch = await pool.publish(cluster, await pool.prepare(cluster, 1)); // in the same block
      await devnet.advanceEpochs(1);
      expect(guardianLog.records.map(({ reason }) => reason)).to.include("OperatorRemoved");
      expect((await registry.account(cluster.accountId)).vetted).to.equal(0n);

      await forceVetting(pool, cluster, batch);
      const { address } = devnet.accounts[5]!;
      const nonce = await devnet.provider.getTransactionCount(address, "pending");
      first.records.length = 0;
      await devnet.advance(4);
      const refused = first.records.filter(({ job }) => job === "register");
      expect(refused.map(({ revert }) => revert)).to.deep.equal(Array(4).fill("OperatorDoesNotExist()"));
      expect(await devnet.provider.getTransactionCount(address, "pending")).to.equal(nonce);
      expect(alarming(first.records)).to.deep.equal([]);

      // it is the smallest cluster, so the others wait for it until governance closes it
      const [other] = await pool.prepare(pool.clusters[1]!, 1);
      await pool.publish(pool.clusters[1]!, [other!]);
      const isVetted = async (): Promise<boolean> => {
        const { vetted, batches } = await registry.account(pool.clusters[1]!.accountId);
        return vetted === batches;
      };
      await devnet.advanceUntil(isVetted, 10);
      await devnet.advance(4);
      expect(await statusOf(pool, other!.publicKey)).to.equal(Status.None);
      await devnet.mineTx(registry.connect(pool.governance).setCluster(cluster.clusterId, false, 1));
      await devnet.advanceUntil(async () => (await statusOf(pool, other!.publicKey)) === Status.Registered, 20);
      expect((await registry.cluster(cluster.clusterId)).registered).to.equal(0n);
    });
  });

  describe("killed (-9)", () => {
    let pool: LocalPool;
    let folder: string;

    const write = (name: string, content: string): string => {
      const file = path.join(folder, name);
      writeFileSync(file, content, { mode: 0o600 });
      return file;
    };
    const configFile = (role: Role, key: Wallet, changes: Partial<ConfigInput>): string => {
      const keys = { [role]: { file: write(`${role}.key`, key.privateKey) } };
      const config = { ...pool.config(role, 2), dataDir: path.join(folder, role), logLevel: "info", keys, ...changes };
      return write(`${role}.json`, JSON.stringify({ ...config, pollSeconds: 0.05 }));
    };

    before(async () => {
      pool = await openPool();
      folder = mkdtempSync(path.join(tmpdir(), "pooleth-"));
    });
    after(async () => {
      await pool.close();
      rmSync(folder, { recursive: true });
    });

    it("a keeper, after each transaction and before it hears of it: all is done once, as if nothing had happened", async () => {
      const { devnet } = pool;
      const key = new Wallet(id("a keeper"));
      await devnet.mineTx(pool.user(9).sendTransaction({ to: key.address, value: parseEther("10") }));
      const node = new HoldingServer(async (body) => {
        const answer = await forward(pool, body);
        return body.includes("eth_sendRawTransaction") ? null : answer;
      });
      const executionUrls = [await node.listen()];
      let keeper = await ServiceProcess.start(configFile("keeper", key, { executionUrls }));
      const listen = { host: "127.0.0.1", port: Number(new URL(keeper.url).port) };
      const collectors = [keeper.url];
      for (const role of ["oracle", "guardian"] as const) {
        for (const position of [0, 1]) {
          await pool.start(role, position, { config: (config) => ({ ...config, collectors }) });
        }
      }
      let kills = 0;
      const stop = devnet.onSlot(async () => {
        const head = (await devnet.provider.getBlock("latest"))?.hash ?? "";
        while ((await keeper.processed(head, () => node.held.length > kills)) === "interrupted") {
          await keeper.end("SIGKILL");
          kills += 1;
          keeper = await ServiceProcess.start(configFile("keeper", key, { executionUrls, listen }));
        }
      });
      try {
        await finish(pool);
      } finally {
        stop();
        await keeper.end("SIGKILL");
        await node.close();
      }
      expect(kills).to.be.at.least(7); // two vettings, registrations and deposits, a report
      expect(await devnet.provider.getTransactionCount(key.address)).to.equal(kills);
      expect(await outcome(pool)).to.deep.equal(undisturbed);
    });

    it("an oracle, between writing down what it signs and sending it: it sends the same, and signs nothing else for the slot", async () => {
      const { devnet } = pool;
      for (const running of [...pool.services]) await running.stop();
      const kept = JSON.stringify({ results: ["Kept"] });
      const collector = new HoldingServer((_body, { held }) => Promise.resolve(held.length === 0 ? null : kept));
      const changes = { collectors: [await collector.listen()] };
      let oracle = await ServiceProcess.start(configFile("oracle", committeeKey("oracle", 2), changes));
      let killed = false;
      const stop = devnet.onSlot(async () => {
        const head = (await devnet.provider.getBlock("latest"))?.hash ?? "";
        while ((await oracle.processed(head, () => !killed && collector.held.length > 0)) === "interrupted") {
          await oracle.end("SIGKILL");
          killed = true;
          oracle = await ServiceProcess.start(configFile("oracle", committeeKey("oracle", 2), changes));
        }
      });
      try {
        await devnet.advanceUntil(() => collector.answered.length > 0, 80);
      } finally {
        stop();
        await oracle.end("SIGKILL");
        await collector.close();
      }
      const [lost] = collector.held;
      const [sent] = collector.answered;
      expect(killed).to.equal(true);
      expect(sent).to.equal(lost);

      const dataDir = path.join(folder, "oracle");
      const [written] = readFileSync(path.join(dataDir, "signed-reports.jsonl"), "utf8").trim().split("\n");
      const intent = JSON.parse(written ?? "") as Parameters<SigningJournal["record"]>[0];
      const another = { ...intent, digest: id("another report") };
      expect(() => {
        new SigningJournal(dataDir).record(another);
      }).to.throw("A different report was already signed");
    });
  });
});
