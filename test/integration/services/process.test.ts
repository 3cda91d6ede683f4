import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as forward } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { expect } from "chai";
import { id, parseEther, Wallet } from "ethers";
import { committeeKey, startLocalPool, type LocalPool } from "../../../devnet/pool.js";
import type { ConfigInput, Role } from "../../../oracle/config.js";
import { startExecutionNode, withoutProofs } from "../stories/executionNode.js";
import { pooleth, ServiceProcess } from "./process.js";

describe("pooleth as a process of its own", () => {
  let pool: LocalPool;
  let folder: string;

  before(async () => {
    pool = await startLocalPool({ clusterSizes: [4] });
    folder = mkdtempSync(path.join(tmpdir(), "pooleth-"));
  });
  after(async () => {
    await pool.close();
    rmSync(folder, { recursive: true });
  });

  const write = (name: string, content: string): string => {
    const file = path.join(folder, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  };
  const keyOf = (role: Role): Wallet => (role === "keeper" ? new Wallet(id("a keeper")) : committeeKey(role, 0));
  const configFile = (role: Role, changes: Partial<ConfigInput> = {}): string => {
    const keys = { [role]: { file: write(`${role}.key`, keyOf(role).privateKey) } };
    const config = { ...pool.config(role, 0), dataDir: path.join(folder, role), logLevel: "info", keys, ...changes };
    return write(`${role}.json`, JSON.stringify(config));
  };
  const fundKeeper = async (): Promise<void> => {
    const { devnet } = pool;
    await devnet.mineTx(pool.user(9).sendTransaction({ to: keyOf("keeper").address, value: parseEther("10") }));
  };

  describe("check", () => {
    it("finds nothing wrong with members' configurations", async () => {
      for (const role of ["oracle", "guardian"] as const) {
        const { exitCode, lines } = await pooleth(
          "check",
          "--config",
          configFile(role, { collectors: [pool.devnet.beaconUrl] }),
        );
        expect(lines.filter((line) => !line.startsWith("OK   "))).to.deep.equal([]);
        expect(lines.join("\n")).to.include(`key of the ${role}: ${keyOf(role).address} is a member's signer`);
        expect(exitCode).to.equal(0);
      }
    });

    it("says what is wrong and what to do, and fails", async () => {
      const proofless = await startExecutionNode(pool.devnet.rpcUrl, withoutProofs);
      const { listeningOrigin } = proofless;
      const stranger = write("stranger.key", new Wallet(id("stranger")).privateKey);
      const file = configFile("oracle", {
        keys: { oracle: { file: stranger } },
        executionUrls: [pool.devnet.rpcUrl, listeningOrigin, "http://127.0.0.1:1"],
        beaconUrls: [pool.devnet.beaconUrl, pool.devnet.rpcUrl],
        collectors: ["http://127.0.0.1:1"],
        ssv: { versions: ["v1.2.0"] },
      });
      const { exitCode, lines } = await pooleth("check", "--config", file);
      await proofless.close();
      const failed = lines.filter((line) => line.startsWith("FAIL ")).map((line) => line.slice(5, line.indexOf(": ")));
      expect(failed).to.deep.equal([
        "execution node http://127.0.0.1:1",
        "SSV version",
        `proofs of execution node ${listeningOrigin}`,
        `beacon node ${pool.devnet.rpcUrl}`,
        "key of the oracle",
        "collector http://127.0.0.1:1",
      ]);
      expect(lines.join("\n"))
        .to.include("rotateSigner")
        .and.include("It cannot be reached (connect ECONNREFUSED 127.0.0.1:1). Start that keeper, or mend collectors.");
      expect(exitCode).to.equal(1);
    });

    it("tells a keeper without ETH from one with, and needs no key for a dry run", async () => {
      const poor = { keeper: { file: write("poor.key", new Wallet(id("a poor keeper")).privateKey) } };
      const check = async (changes: Partial<ConfigInput>): Promise<string> =>
        (await pooleth("check", "--config", configFile("keeper", changes))).lines.join("\n");
      expect(await check({ keys: poor }))
        .to.include("FAIL key of the keeper")
        .and.include("has no ETH");
      await fundKeeper();
      expect(await check({}))
        .to.include("OK   key of the keeper")
        .and.not.include("FAIL");
      expect(await check({ keys: {}, dryRun: true })).to.include("not needed for a dry run");
    });
  });

  it("refuses a configuration in one line that names the field", async () => {
    const file = configFile("oracle", { chainId: -1 });
    const { exitCode, lines } = await pooleth("run", "--config", file);
    expect(exitCode).to.equal(1);
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include("chainId: ");
  });

  it("says in one line what else keeps it from starting: a folder, a port, an address", async () => {
    const taken = Number(new URL(pool.devnet.rpcUrl).port);
    const cases: [field: string, changes: Partial<ConfigInput>][] = [
      ["dataDir", { dataDir: write("a file", "") }],
      ["listen", { listen: { host: "127.0.0.1", port: taken } }],
      ["poolManager", { poolManager: pool.deployment.addresses.poolETH }],
      ["poolManager", { poolManager: pool.user(0).address }],
    ];
    for (const [field, changes] of cases) {
      const { exitCode, lines } = await pooleth("run", "--config", configFile("keeper", changes));
      expect(exitCode, field).to.equal(1);
      expect(lines, field).to.have.length(1);
      expect(lines[0]).to.match(new RegExp(`^${field}: `));
    }
  });

  it("is not healthy while it cannot read the head, and is again when it can", async () => {
    let isDown = false;
    const proxy = createServer((request, response) => {
      if (isDown) return void response.destroy();
      const { rpcUrl } = pool.devnet;
      void pipeline(
        request,
        forward(rpcUrl, { method: "POST", headers: request.headers }, (answer) => {
          answer.pipe(response);
        }),
      );
    });
    await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
    const executionUrls = [`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`];
    await fundKeeper();
    const { service } = await pool.start("keeper", 5, { config: (config) => ({ ...config, executionUrls }) });
    const health = async (): Promise<[status: number, failures: string[]]> => {
      const answer = await fetch(`${service.url}/health`);
      return [answer.status, Object.keys(((await answer.json()) as { failures: object }).failures)];
    };
    await service.sync();
    expect(await health()).to.deep.equal([200, []]);
    isDown = true;
    expect(await service.sync().then(String, (error: unknown) => (error as { code: string }).code)).to.equal(
      "ExecutionUnreachable",
    );
    expect(await health()).to.deep.equal([503, ["head"]]);
    isDown = false;
    await service.sync();
    expect(await health()).to.deep.equal([200, []]);
    await service.stop();
    proxy.close();
  });

  it("ends when it is asked to", async () => {
    const service = await ServiceProcess.start(configFile("keeper"));
    expect(await service.end("SIGTERM")).to.equal(0);
  });

  it("is oracle, guardian and keeper at once, and with one more of each brings a report in and a batch through vetting", async () => {
    const { devnet, registry, clusters } = pool;
    await fundKeeper();
    const roles = ["oracle", "guardian", "keeper"] as const;
    const keys = Object.fromEntries(
      roles.map((role) => [role, { file: write(`${role}.key`, keyOf(role).privateKey) }]),
    );
    const all = await ServiceProcess.start(configFile("keeper", { roles: [...roles], keys, pollSeconds: 0.05 }));
    const collectors = [all.url];
    for (const role of ["oracle", "guardian"] as const) {
      await pool.start(role, 1, { config: (config) => ({ ...config, collectors }) });
    }
    const stop = devnet.onSlot(async () => {
      await all.processed((await devnet.provider.getBlock("latest"))?.hash ?? "", () => false);
    });
    const [cluster] = clusters as [(typeof clusters)[0]];
    await pool.publish(cluster, await pool.prepare(cluster, 1));
    await devnet.advanceUntil(async () => (await registry.account(cluster.accountId)).vetted === 1n, 100);
    const frame = await pool.reportOracle.lastFrame();
    await devnet.advanceUntil(async () => (await pool.reportOracle.lastFrame()) > frame, 100);
    stop();
    await all.end("SIGTERM");
  });
});
