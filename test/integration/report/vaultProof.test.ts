import path from "node:path";
import { expect } from "chai";
import { hexlify } from "ethers";
import { parseConfig } from "../../../oracle/config.js";
import { connectPool, type PoolContracts } from "../../../oracle/execution/contracts.js";
import { FailoverProvider } from "../../../oracle/execution/provider.js";
import { provenWithdrawnWei, readVaultProof, type VaultProof } from "../../../oracle/execution/vaultProof.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { readWithdrawn } from "../../../oracle/roles/reference.js";
import { SLOTS_PER_FRAME } from "../../../devnet/pool.js";
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
import { overstating, startExecutionNode, withoutProofs } from "../stories/executionNode.js";

const SIGNED = "pooleth_reports_signed_total";
const ABSTENTIONS = "pooleth_report_abstentions_total";

interface Failure {
  readonly code: string;
  readonly message: string;
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
    const { withdrawnWei, proof } = (await readWithdrawn(provider, contracts, { hash }))!;
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

  /** The third member, over these execution nodes, with data of its own. */
  async function startThird(name: string, executionUrls: string[]): Promise<{ url: string; failures: Failure[] }> {
    const { logger, records } = recordingLogger();
    const { service } = await story.pool.start("oracle", 2, {
      logger,
      config: (config) => ({ ...config, executionUrls, dataDir: path.join(config.dataDir, name) }),
    });
    return {
      url: service.url,
      get failures() {
        return records.filter(({ msg }) => msg.startsWith("the round failed")).map(({ error }) => error as Failure);
      },
    };
  }

  it("is signed only if an execution node proves it: a member abstains, and says why, if its nodes give no proof or lie", async () => {
    const { pool } = story;
    const { rpcUrl } = pool.devnet;
    const liar = await startExecutionNode(rpcUrl, overstating(contracts.addresses.withdrawalVault));
    const proofless = await startExecutionNode(rpcUrl, withoutProofs);
    const [lied, untold] = [liar.listeningOrigin, proofless.listeningOrigin];
    const deceived = await startThird("deceived", [lied]);
    const unproven = await startThird("unproven", [untold]);
    const honest = [await startThird("after a lie", [lied, rpcUrl]), await startThird("after none", [untold, rpcUrl])];
    await nextReport(story);
    await pool.devnet.advance(2);
    for (const [member, reason, code] of [
      [deceived, "VaultNotProven", "VaultNotProven"],
      [unproven, "NoRecord", "RecordMissing"],
    ] as const) {
      expect(await metric(member.url, SIGNED)).to.equal(0);
      expect(await metric(member.url, ABSTENTIONS)).to.equal(1);
      expect(await metric(member.url, ABSTENTIONS, { reason })).to.equal(1);
      expect(member.failures.map((error) => error.code)).to.deep.equal([code]);
      expect(member.failures[0]?.message).to.match(
        /^This member abstains from the frame that ended at slot \d+: .*\.$/,
      );
    }
    for (const member of honest) {
      expect(await metric(member.url, SIGNED)).to.equal(1);
      expect(await metric(member.url, ABSTENTIONS)).to.equal(0);
    }
    for (const member of pool.services.filter(({ name }) => name === "oracle 3")) await member.stop();
    for (const node of [liar, proofless]) await node.close();
    await expectNoDifference(story);
  });

  it("is missing to oracles that start after the reference slot: they abstain from that frame, report the next, and nothing is lost", async () => {
    const { pool } = story;
    const { devnet, reportOracle } = pool;
    for (const member of pool.services.filter(({ role }) => role === "oracle")) await member.stop();
    await devnet.advance(SLOTS_PER_FRAME - (devnet.slot % SLOTS_PER_FRAME) + 1);
    const missed = (await reportOracle.reportable()).refSlot;
    for (const position of [0, 1]) await pool.start("oracle", position);
    const report = await nextReport(story);
    expect(report.refSlot).to.equal(Number(missed) + SLOTS_PER_FRAME);
    for (const { service } of pool.services.filter(({ role }) => role === "oracle")) {
      expect(await metric(service.url, ABSTENTIONS, { reason: "NoRecord" })).to.equal(1);
      expect(await metric(service.url, SIGNED)).to.equal(1);
    }
    await expectNoDifference(story);
  });
});
