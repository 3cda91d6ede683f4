import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { id, parseEther } from "ethers";
import { startLocalPool, type LocalCluster, type LocalPool } from "../../../devnet/pool.js";
import { splitCommand } from "../../../oracle/keys/commands/split.js";
import { readDepositData } from "../../../oracle/keys/depositData.js";
import { KeysError } from "../../../oracle/keys/errors.js";
import { operatorKeyToBase64 } from "../../../oracle/keys/keyshares.js";
import { readKeyShares } from "../../../oracle/keys/keysharesJson.js";
import { fingerprint } from "../../../oracle/keys/operatorKeys.js";
import { SSVNetworkDouble__factory } from "../../../types/ethers-contracts/index.js";
import { startExecutionNode } from "../stories/executionNode.js";
import { startQuorum } from "../stories/support.js";
import { pooleth } from "./process.js";

const OPERATOR_ADDED = SSVNetworkDouble__factory.createInterface().getEvent("OperatorAdded").topicHash;

describe("the key ceremony with a pool", () => {
  let pool: LocalPool;
  let cluster: LocalCluster;
  let folder: string;
  const file = (name: string): string => path.join(folder, name);
  const write = (name: string, content: unknown): string => {
    writeFileSync(file(name), typeof content === "string" ? content : JSON.stringify(content), { mode: 0o600 });
    return file(name);
  };
  const only = (name: string, start: string): string => {
    const found = readdirSync(file(name)).filter((entry) => entry.startsWith(start));
    expect(found).to.have.length(1);
    return path.join(file(name), found[0] ?? "");
  };

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), "pooleth-ceremony-"));
    pool = await startLocalPool({ clusterSizes: [4] });
    const [first] = pool.clusters;
    if (first === undefined) throw new Error("the pool has no cluster");
    cluster = first;
    write("config.json", pool.config("keeper", 0));
    write("password", id("password"));
  });
  after(async () => {
    await pool.close();
    rmSync(folder, { recursive: true });
  });

  const password = (): string[] => ["--password-file", file("password")];

  it("makes keys, and KeyShares for the cluster's operators and next nonces", async () => {
    // one is in the queue: its nonce is taken, though not registered
    await pool.publish(cluster, await pool.prepare(cluster, 1));
    const config = ["--config", file("config.json")];

    // the same keys in every run: they decide who proposes
    const mnemonic = [
      "--mnemonic-file",
      write("mnemonic", "legal winner thank year wave sausage worth useful legal winner thank yellow"),
    ];
    const generate = ["keys", "generate", "-n", "2", ...mnemonic, "--kdf", "pbkdf2", ...config, ...password()];
    const generated = await pooleth(...generate, "-o", file("keys"));
    expect(generated).to.deep.include({ exitCode: 0 });
    const split = ["keys", "split", file("keys"), "--cluster", String(cluster.clusterId), ...config, ...password()];
    const { exitCode, lines } = await pooleth(...split, "-o", file("shares"));
    expect(exitCode).to.equal(0);
    expect(lines.join("\n"))
      .to.include(`account ${cluster.ssvAccount}, owner nonces 1 to 2`)
      .and.include("existed whole");
    cluster.operators.forEach(({ publicKeyPem }, i) => {
      const print = fingerprint({ id: 0n, publicKeyPem });
      expect(lines).to.include(`operator ${cluster.operatorIds[i] ?? 0n}: RSA key with SHA-256 ${print}`);
    });

    const deposits = await readDepositData(only("shares", "deposit_data"));
    expect(deposits).to.deep.equal(await readDepositData(only("keys", "deposit_data")));
  });

  it("has made what guardians vet and operators attest with", async () => {
    const deposits = await readDepositData(only("shares", "deposit_data"));
    const shares = await readKeyShares(only("shares", "keyshares"));
    const entries = shares.map(({ publicKey, sharesData }, i) => {
      return { publicKey, sharesData, depositSignature: deposits[i]?.depositSignature ?? "" };
    });
    await startQuorum(pool);
    await pool.stake(pool.user(0), parseEther("97"));
    await pool.publish(cluster, entries);
    const attested = (publicKey: string): number => pool.devnet.operators.duties(publicKey).attestation.performed;
    await pool.devnet.advanceUntil(() => entries.every(({ publicKey }) => attested(publicKey) > 0));
  });

  describe("keys split", () => {
    before(() => {
      rmSync(file("shares"), { recursive: true, force: true });
    });

    /** What a split for a cluster is refused with. */
    async function refusal(of: bigint, urls: readonly string[], ...args: string[]): Promise<[string, string]> {
      const quiet = (): undefined => undefined;
      const command = splitCommand({ print: quiet, warn: quiet, progress: { write: quiet } });
      const root = ["--rpc", urls.join(","), "--pool-manager", pool.deployment.addresses.poolManager];
      const given = [
        file("keys"),
        "--cluster",
        String(of),
        ...root,
        "--genesis-fork-version",
        pool.devnet.genesisForkVersion,
      ];
      try {
        await command.parseAsync([...given, ...password(), "-o", file("shares"), ...args], { from: "user" });
      } catch (error) {
        if (!(error instanceof KeysError)) throw error;
        expect(readdirSync(folder)).to.not.include("shares");
        return [error.code, error.message];
      }
      throw new Error("nothing was refused");
    }

    it("refuses clusters that are unknown, retired, or take only keys that never existed whole", async () => {
      const proven = await pool.addCluster(cluster.operators, { requireDkg: true });
      const retired = await pool.addCluster(cluster.operators);
      const registry = pool.registry.connect(pool.governance);
      await pool.devnet.mineTx(registry.setCluster(retired.clusterId, false, 1n));
      const url = [pool.devnet.rpcUrl];
      for (const [of, code, words] of [
        [proven.clusterId, "DkgRequired", "never existed whole"],
        [retired.clusterId, "ClusterRetired", "is retired"],
        [99n, "ClusterUnknown", "clusters 1 to 3 and no 99"],
      ] as const) {
        const [actual, message] = await refusal(of, url);
        expect(actual).to.equal(code);
        expect(message).to.include(words);
      }
    });

    it("refuses operators' keys that nodes, or a node and a file, tell differently", async () => {
      const [first, second] = cluster.operators.map(({ publicKeyForSsv }) => publicKeyForSsv.slice(2));
      // a node that would have the second operator read the first one's share
      const lying = await startExecutionNode(pool.devnet.rpcUrl, ({ method }, honest) =>
        method === "eth_getLogs"
          ? (JSON.parse(JSON.stringify(honest).replaceAll(first ?? "", second ?? "")) as Record<string, unknown>)
          : honest,
      );
      try {
        const [twins] = await refusal(cluster.clusterId, [lying.listeningOrigin]);
        expect(twins).to.equal("DuplicateKey");
      } finally {
        await lying.close();
      }

      const others = cluster.operators.map((_, i) => ({
        id: Number(cluster.operatorIds[i] ?? 0n),
        operatorKey: operatorKeyToBase64(cluster.operators[(i + 1) % 4]?.publicKeyPem ?? ""),
      }));
      const [code, message] = await refusal(
        ...([cluster.clusterId, [pool.devnet.rpcUrl]] as const),
        ...["--operators-file", write("operators.json", others)],
      );
      expect(code).to.equal("OperatorsDiffer");
      expect(message).to.include("the chain and the file");
    });

    it("believes no node alone when several are named", async () => {
      const strangers = await startExecutionNode(pool.devnet.rpcUrl, ({ method, params }, honest) => {
        const isOperators = method === "eth_getLogs" && JSON.stringify(params).includes(OPERATOR_ADDED);
        if (!isOperators || !Array.isArray(honest["result"])) return honest;
        const [one, two, ...rest] = (honest["result"] as { data: string }[]).map((log) => ({ ...log }));
        if (one === undefined || two === undefined) return honest;
        [one.data, two.data] = [two.data, one.data];
        return { ...honest, result: [one, two, ...rest] };
      });
      try {
        for (const urls of [
          [pool.devnet.rpcUrl, strangers.listeningOrigin],
          [strangers.listeningOrigin, pool.devnet.rpcUrl],
        ]) {
          const [code, message] = await refusal(cluster.clusterId, urls);
          expect(code).to.equal("OperatorsDiffer");
          expect(message).to.include("the execution nodes have them differ");
        }
      } finally {
        await strangers.close();
      }
    });

    it("refuses another vault than the pool's, and operators that have left", async () => {
      const url = [pool.devnet.rpcUrl];
      const [code, message] = await refusal(cluster.clusterId, url, "--withdrawal-vault", pool.user(1).address);
      expect(code).to.equal("OptionMismatch");
      expect(message).to.include("the pool's are 0x01");

      const ssv = SSVNetworkDouble__factory.connect(await pool.ssv.network.getAddress(), pool.ssvOwner);
      const [leaving = 0n] = cluster.operatorIds;
      await pool.devnet.mineTx(ssv.removeOperator(leaving));
      const [left, why] = await refusal(cluster.clusterId, url);
      expect(left).to.equal("OperatorUnknown");
      expect(why).to.include(`Operator ${leaving} cannot be given a share: it has left SSV Network`);
    });
  });
});
