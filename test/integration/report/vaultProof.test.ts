import { expect } from "chai";
import fastify, { type FastifyInstance } from "fastify";
import { hexlify, toQuantity } from "ethers";
import { parseConfig } from "../../../oracle/config.js";
import { connectPool, type PoolContracts } from "../../../oracle/execution/contracts.js";
import { FailoverProvider } from "../../../oracle/execution/provider.js";
import { provenWithdrawnWei, readVaultProof, type VaultProof } from "../../../oracle/execution/vaultProof.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { readWithdrawn } from "../../../oracle/roles/reference.js";
import {
  activate,
  eth,
  expectNoDifference,
  metric,
  nextReport,
  openStory,
  recordingLogger,
  type Story,
} from "../stories/story.js";

const SIGNED = "pooleth_reports_signed_total";
const ABSTENTIONS = "pooleth_report_abstentions_total";

/** Passes everything on, but says of one account that it has a wei more. */
async function startLyingExecutionNode(honestUrl: string, account: string): Promise<FastifyInstance> {
  const app = fastify({ forceCloseConnections: true });
  app.post("/", async (request) => {
    const body = JSON.stringify(request.body);
    const headers = { "content-type": "application/json" };
    const answer = (await (await fetch(honestUrl, { method: "POST", headers, body })).json()) as { result: string };
    const { method, params } = request.body as { method: string; params: unknown[] };
    const lies = method === "eth_getBalance" && String(params[0]).toLowerCase() === account.toLowerCase();
    return lies ? { ...answer, result: toQuantity(BigInt(answer.result) + 1n) } : answer;
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  return app;
}

describe("what has come to the vault", () => {
  let story: Story;
  let provider: FailoverProvider;
  let contracts: PoolContracts;

  before(async () => {
    story = await openStory();
    const { pool } = story;
    await pool.start("keeper", 0);
    const { executionUrls, chainId, poolManager } = parseConfig(pool.config("oracle", 0));
    provider = new FailoverProvider(executionUrls, chainId, createLogger("silent"));
    contracts = await connectPool(poolManager, provider);
    await pool.stake(story.alice, eth("70"));
    for (const position of [0, 1]) await pool.start("oracle", position);
    await activate(story, 2);
    await nextReport(story);
    await nextReport(story);
  });
  after(async () => {
    provider.destroy();
    await story.pool.close();
  });

  const payload = (): { hash: string; stateRoot: string } => {
    const { body } = story.pool.devnet.chain.head.signedBlock!.message;
    if (!("executionPayload" in body)) throw new Error("no payload");
    return { hash: hexlify(body.executionPayload.blockHash), stateRoot: hexlify(body.executionPayload.stateRoot) };
  };

  it("is proven by the state root in the beacon chain's payload: the vault's balance and what was swept", async () => {
    const { devnet, poolManager } = story.pool;
    const { addresses } = contracts;
    await devnet.advanceUntil(async () => (await poolManager.totals()).swept > 0n, 200);
    await devnet.advanceUntil(async () => (await devnet.provider.getBalance(addresses.withdrawalVault)) > 0n, 64);
    const { swept } = await poolManager.totals();
    expect(swept > 0n, "something was swept").to.equal(true);
    const { hash, stateRoot } = payload();
    const { withdrawnWei, proof } = await readWithdrawn(provider, contracts, hash);
    expect(withdrawnWei).to.equal((await devnet.provider.getBalance(addresses.withdrawalVault)) + swept);
    expect(await provenWithdrawnWei(stateRoot, addresses, proof!)).to.equal(withdrawnWei);
  });

  it("is not proven by anything else", async () => {
    const { addresses } = contracts;
    const { hash, stateRoot } = payload();
    const proof = await readVaultProof(provider, addresses, hash);
    const truth = await provenWithdrawnWei(stateRoot, addresses, proof);
    expect(truth).to.be.a("bigint");
    const flip = (node: string): string => `${node.slice(0, -1)}${node.endsWith("0") ? "1" : "0"}`;
    const forged = (["vault", "pool", "ledger"] as const).flatMap((part): VaultProof[] => [
      ...proof[part].map((_, i) => ({
        ...proof,
        [part]: proof[part].map((node, at) => (at === i ? flip(node) : node)),
      })),
      { ...proof, [part]: proof[part].slice(0, -1) },
      { ...proof, [part]: proof[part].slice(1) },
      { ...proof, [part]: [] },
    ]);
    expect(forged.length).to.be.greaterThan(10);
    for (const [i, one] of forged.entries()) {
      expect(await provenWithdrawnWei(stateRoot, addresses, one), `forgery ${i}`).to.equal(null);
    }
    expect(await provenWithdrawnWei(hash, addresses, proof)).to.equal(null);
    const swapped = { ...addresses, withdrawalVault: addresses.poolManager };
    expect(await provenWithdrawnWei(stateRoot, swapped, proof)).to.equal(null);
    const empty = { vault: [], pool: [], ledger: [] };
    expect(await provenWithdrawnWei(stateRoot, addresses, empty)).to.equal(null);
  });

  it("is not signed when an execution node lies about it: that member abstains and says why, the others report", async () => {
    const { pool } = story;
    const { addresses } = contracts;
    const liar = await startLyingExecutionNode(pool.devnet.rpcUrl, addresses.withdrawalVault);
    const { logger, records } = recordingLogger();
    const deceived = await pool.start("oracle", 2, {
      logger,
      config: (config) => ({ ...config, executionUrls: [liar.listeningOrigin] }),
    });
    await nextReport(story);
    expect(await metric(deceived.service.url, SIGNED)).to.equal(0);
    expect(await metric(deceived.service.url, ABSTENTIONS, { reason: "VaultNotProven" })).to.be.greaterThan(0);
    const [failure] = records.filter(({ msg }) => msg.startsWith("the round failed"));
    expect(failure?.["error"]).to.deep.include({ code: "VaultNotProven" });
    await deceived.stop();
    await liar.close();
    const honest = pool.services.filter(({ role }) => role === "oracle");
    for (const { service } of honest) expect(await metric(service.url, ABSTENTIONS)).to.equal(0);
    await expectNoDifference(story);
  });
});
