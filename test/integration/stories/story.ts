import axios from "axios";
import { expect } from "chai";
import { parseEther, parseUnits, type HDNodeWallet } from "ethers";
import {
  committeeKey,
  SLOTS_PER_FRAME,
  startLocalPool,
  type LocalCluster,
  type LocalPool,
  type LocalPoolOptions,
  type RunningService,
} from "../../../devnet/pool.js";
import type { BlockRecord } from "../../../devnet/consensus/blockStore.js";
import { SIGNATURES_PATH } from "../../../oracle/signatures/collector.js";
import { messageToJson, sign, type Report } from "../../../oracle/signatures/messages.js";
import { Auditor, type Audit } from "../../../scripts/audit.js";

export { recordingLogger, type LogRecord } from "../../unit/services/log.js";

export const WEI_PER_GWEI = 10n ** 9n;
export const COMMITTEE = [0, 1, 2] as const;
const TRAFFIC_FEES = { maxPriorityFeePerGas: parseUnits("3", "gwei"), maxFeePerGas: parseUnits("100", "gwei") };

/** A running pool with one cluster of four, and somebody who compares all of it with the chain. */
export interface Story {
  readonly pool: LocalPool;
  readonly auditor: Auditor;
  readonly cluster: LocalCluster;
  /** Alice and Bob. */
  readonly alice: HDNodeWallet;
  readonly bob: HDNodeWallet;
}

/** A slot of 384 s: a few validators earn about what mainnet's do in 12 s. */
export async function openStory(options: LocalPoolOptions = {}): Promise<Story> {
  const pool = await startLocalPool({
    clusterSizes: [4],
    ...options,
    devnet: { secondsPerSlot: 384, ...options.devnet },
  });
  const [cluster] = pool.clusters;
  if (cluster === undefined) throw new Error("the pool has no cluster");
  return { pool, auditor: await Auditor.create(pool), cluster, alice: pool.user(0), bob: pool.user(1) };
}

/** Starts a keeper and the oracles. */
export async function startReporting({ pool }: Story): Promise<void> {
  await pool.start("keeper", 0);
  for (const position of COMMITTEE) await pool.start("oracle", position);
}

/** New validators, run by the cluster until they attest. The guardians leave when all are deposited. */
export async function activate({ pool, cluster }: Story, count: number): Promise<string[]> {
  const keys = (await pool.publish(cluster, await pool.prepare(cluster, count)), pool.ownPubkeys.slice(-count));
  const guardians = [await pool.start("guardian", 0), await pool.start("guardian", 1)];
  const deposited = (key: string): boolean => pool.devnet.validatorByPubkey(key) !== null || waitsInQueue(pool, key);
  await pool.devnet.advanceUntil(() => keys.every(deposited), 400);
  for (const guardian of guardians) await guardian.stop();
  await pool.devnet.advanceUntil(() => keys.every((key) => isActive(pool, key)), 400);
  return keys;
}

export function isActive(pool: LocalPool, key: string): boolean {
  return pool.devnet.validatorByPubkey(key)?.status === "active_ongoing";
}

function waitsInQueue({ devnet }: LocalPool, key: string): boolean {
  const queue = devnet.state().pendingDeposits.getAllReadonlyValues();
  return queue.some(({ pubkey }) => `0x${Buffer.from(pubkey).toString("hex")}` === key);
}

/** Somebody else uses the chain in every slot and pays the proposer for it. */
export function traffic({ pool }: Story): () => void {
  const passerby = pool.user(9);
  return pool.devnet.onSlot(async () => {
    await passerby.sendTransaction({ to: passerby.address, value: 1n, ...TRAFFIC_FEES });
  });
}

export interface Accepted {
  readonly block: number;
  readonly frame: bigint;
  readonly refSlot: number;
  readonly beaconBlockRoot: string;
  readonly clBalance: bigint;
  readonly openPenalties: bigint;
  readonly applied: boolean;
}

/** Lets time pass until the next report is accepted. */
export async function nextReport({ pool }: Story, maxSlots = 3 * SLOTS_PER_FRAME): Promise<Accepted> {
  const { reportOracle, devnet } = pool;
  const before = await reportOracle.lastFrame();
  await devnet.advanceUntil(async () => (await reportOracle.lastFrame()) > before, maxSlots);
  const block = await devnet.provider.getBlockNumber();
  const [event] = await reportOracle.queryFilter(reportOracle.filters.ReportAccepted(), block, block);
  if (event === undefined) throw new Error(`block ${block} accepted no report`);
  const { frame, refSlot, beaconBlockRoot, clBalance, openPenalties, applied } = event.args;
  return { block, frame, refSlot: Number(refSlot), beaconBlockRoot, clBalance, openPenalties, applied };
}

/** The first slot after a report that is not the last of its frame: frames are long enough for anything done here. */
export async function advanceTo({ pool }: Story, slot: number): Promise<void> {
  await pool.devnet.advance(slot - pool.devnet.slot);
}

export const lastSlotOfFrame = (slot: number): number => slot - (slot % SLOTS_PER_FRAME) + SLOTS_PER_FRAME - 1;

export function referenceBlock({ pool }: Story, refSlot: number): BlockRecord {
  return pool.devnet.chain.blocks.referenceOf(refSlot);
}

/** Everything agrees with the beacon chain and the execution chain. */
export async function expectNoDifference(story: Story): Promise<Audit> {
  const { pool, auditor, alice, bob } = story;
  const audit = await auditor.audit([alice.address, bob.address, pool.treasury.address]);
  expect(audit.differences).to.deep.equal([]);
  return audit;
}

/** Well signed by these members for the frame that can be reported now, pushed to the keeper, and wrong by so much. */
export async function falseReport(
  { pool, auditor }: Story,
  keeper: RunningService,
  liars: readonly number[],
  byWei: bigint,
): Promise<Report> {
  const { reportOracle, guardians } = pool.deployment.addresses;
  const { refSlot, beaconBlockRoot } = await pool.reportOracle.reportable();
  const { clBalanceWei, vaultWei, sweptWei } = auditor.truthAt(Number(refSlot));
  const message: Report = {
    version: 1,
    refSlot: Number(refSlot),
    beaconBlockRoot,
    clBalance: clBalanceWei + byWei,
    openPenalties: 0n,
    withdrawnAtRef: vaultWei + sweptWei,
    exiting: [],
    exited: [],
  };
  const domains = { chainId: pool.devnet.chainId, reportOracle, guardians };
  for (const liar of liars) {
    const signed = await sign({ kind: "report", message }, domains, committeeKey("oracle", liar));
    const url = new URL(SIGNATURES_PATH, keeper.service.url).href;
    const headers = { "content-type": "application/json" };
    const { data } = await axios.post<unknown>(url, messageToJson({ messages: [signed] }), { headers });
    expect(data).to.deep.equal({ results: ["Kept"] });
  }
  return message;
}

export const eth = (amount: string): bigint => parseEther(amount);

/** The value of a service's metric, as anybody reads it, summed over all labels but those given; 0 while nothing was counted. */
export async function metric(
  url: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const text = await (await fetch(new URL("/metrics", url))).text();
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return text
    .split("\n")
    .filter((line) => /^\w+/.exec(line)?.[0] === name && wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}
