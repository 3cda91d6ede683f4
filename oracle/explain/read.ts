import { isCallException } from "ethers";
import { frameAt, latestRefSlot, slotAt, timeOfSlot, type FrameConfig, type Head } from "../clock.js";
import type { Config } from "../config.js";
import { beaconRootAt } from "../execution/beaconRoots.js";
import type { ChainReader } from "../execution/chain.js";
import { decodeRevert } from "../execution/contracts.js";
import { isNotServed, readHead } from "../execution/provider.js";
import { readOnly } from "../execution/readOnly.js";
import { ServiceError } from "../ops/errors.js";
import type { ServiceLogger } from "../ops/logging.js";
import { outlookOf, type Outlook } from "../report/outlook.js";
import { tableHash } from "../report/table.js";
import type { BeaconNodes } from "../roles/beaconNodes.js";
import { messageOf, readReport } from "../roles/readReport.js";
import { isProven, readWithdrawn, recordedWithdrawn } from "../roles/reference.js";
import type { Report } from "../signatures/messages.js";
import { differences, type Difference } from "../signatures/store.js";
import { ExplainError } from "./errors.js";
import { readTerms } from "./terms.js";
import type { Accepted, Arithmetic, ReportView, Verdict } from "./view.js";

/** Slots whose roots EIP-4788 remembers. */
const ROOTS_KEPT = 8191;

/**
 * The report of the frame that ends at a slot, computed as members do; nothing is signed, written or sent.
 *
 * @param slot null for the latest frame that has ended
 */
export function readReportView(config: Config, slot: number | null, logger: ServiceLogger): Promise<ReportView> {
  return readOnly(config, logger, (chain, beacon) => readAt(config, chain, beacon, slot));
}

async function readAt(
  { dataDir }: Config,
  chain: ChainReader,
  beacon: BeaconNodes,
  slot: number | null,
): Promise<ReportView> {
  const { provider, contracts } = chain;
  const { frames } = contracts;
  const [{ head, refSlot, root }, finalized] = await Promise.all([
    readReference(chain, slot),
    readHead(provider, "finalized"),
  ]);
  const view = await chain.view(head);
  let withdrawnFrom: ReportView["withdrawnFrom"] = "node";
  const { state, execution, report, table, warnings } = await readReport({
    refSlot,
    root,
    provider,
    view,
    contracts,
    beacon,
    withdrawnWei: async (block) => {
      const answer = recordedWithdrawn(dataDir, block.hash) ?? (await readWithdrawn(provider, contracts, block));
      if (answer === null) throw vaultForgotten(block.hash);
      const proven = await isProven(answer, block.stateRoot, contracts.addresses);
      withdrawnFrom = proven === null ? "node" : proven ? "proof" : "contradicted";
      return answer.withdrawnWei;
    },
  });
  const frame = frameAt(frames, timeOfSlot(frames, refSlot));
  const ours = messageOf(report);
  const accepted = await readAccepted(chain, frame, execution.lastNumber, head);
  const arithmetic = await readArithmetic(chain, frame, ours, accepted, head);
  return {
    head,
    frame,
    firstSlot: frame * Number(frames.slotsPerFrame),
    isFinal: finalized !== null && finalized.number > execution.lastNumber,
    reference: { ...state, executionBlock: execution.block, payload: execution.payload.kind },
    report: ours,
    withdrawnFrom,
    table,
    tableSha256: tableHash(table),
    warnings,
    accepted,
    differences: accepted === null ? [] : compare(accepted, ours, arithmetic?.outlook ?? null),
    arithmetic,
  };
}

/**
 * The reference slot of the frame that ends at a slot, and the root of its reference block, which the chain has.
 *
 * @param slot null for the latest frame that has ended
 */
export async function readReference(
  { provider, contracts: { frames } }: ChainReader,
  slot: number | null,
): Promise<{ head: Head; refSlot: number; root: string }> {
  const head = await readHead(provider, "latest");
  if (head === null) throw new ServiceError("HeadMoved", "The execution node has no head yet; try again later.");
  const refSlot = requireRefSlot(frames, head, slot);
  const root = await beaconRootAt(provider, frames, refSlot, head);
  if (root === null) throw noRoot(frames, head, refSlot);
  return { head, refSlot, root };
}

function requireRefSlot(frames: FrameConfig, head: Head, slot: number | null): number {
  const latest = latestRefSlot(frames, head.timestamp);
  const slotsPerFrame = Number(frames.slotsPerFrame);
  if (latest === null) {
    throw new ExplainError(
      "NoSuchFrame",
      `The first frame still runs, and is never reported; the first report is of slot ${2 * slotsPerFrame - 1}.`,
    );
  }
  if (slot === null) return latest;
  if ((slot + 1) % slotsPerFrame !== 0) {
    const before = slot - ((slot + 1) % slotsPerFrame);
    throw new ExplainError(
      "NoSuchFrame",
      `Slot ${slot} is not the last of a frame; those around it are ${before > 0 ? `${before} and ` : ""}${before + slotsPerFrame}.`,
      { slot },
    );
  }
  if (slot > latest) {
    throw new ExplainError(
      "NoSuchFrame",
      `The frame that ends at slot ${slot} still runs or has not begun; the latest that has ended ends at slot ${latest}.`,
      { slot, latest },
    );
  }
  return slot;
}

function noRoot(frames: FrameConfig, head: Head, refSlot: number): Error {
  if (slotAt(frames, head.timestamp) - refSlot < ROOTS_KEPT) {
    return new ServiceError("HeadMoved", `The chain has no block after slot ${refSlot} yet; try again later.`);
  }
  return new ExplainError(
    "FrameForgotten",
    `The chain remembers the roots of ${ROOTS_KEPT} slots (EIP-4788); slot ${refSlot} was before them.`,
    { refSlot },
  );
}

function vaultForgotten(hash: string): ExplainError {
  return new ExplainError(
    "FrameForgotten",
    `The vault's balance at block ${hash} is not recorded in dataDir, and no execution node has that state any more.`,
    { hash },
  );
}

async function readAccepted(
  { provider, contracts }: ChainReader,
  frame: number,
  after: number,
  head: Head,
): Promise<Accepted | null> {
  const { reportOracle, poolManager, addresses } = contracts;
  const [event] = await reportOracle.queryFilter(reportOracle.filters.ReportAccepted(frame), after + 1, head.number);
  if (event === undefined) return null;
  const { refSlot, beaconBlockRoot, clBalance, openPenalties, withdrawnAtRef, exiting, exited, applied } = event.args;
  const [transaction, [rebased]] = await Promise.all([
    provider.getTransaction(event.transactionHash),
    poolManager.queryFilter(poolManager.filters.Rebased(refSlot), event.blockNumber, event.blockNumber),
  ]);
  const sent = transaction?.to === addresses.reportOracle ? reportOracle.interface.parseTransaction(transaction) : null;
  const report = sent?.name === "submitReport" ? (sent.args[0] as ReportTuple) : null;
  const told = { refSlot, beaconBlockRoot, clBalance, openPenalties, withdrawnAtRef };
  const rest =
    report === null
      ? { "exiting, count": exiting, "exited, count": exited }
      : { version: report.version, exiting: report.exiting.join(), exited: report.exited.join() };
  return {
    block: event.blockNumber,
    transaction: event.transactionHash,
    applied,
    figures: Object.fromEntries(Object.entries({ ...told, ...rest }).map(([name, value]) => [name, String(value)])),
    gainWei: rebased?.args.gain ?? null,
  };
}

/** As the interface of the contract decodes it. */
interface ReportTuple {
  readonly version: bigint;
  readonly exiting: readonly bigint[];
  readonly exited: readonly bigint[];
}

function compare({ figures, gainWei }: Accepted, report: Report, outlook: Outlook | null): Difference[] {
  const ours: Record<string, unknown> = {
    ...report,
    "exiting, count": report.exiting.length,
    "exited, count": report.exited.length,
  };
  const found = differences(
    figures,
    Object.fromEntries(Object.keys(figures).map((name) => [name, String(ours[name])])),
  );
  if (gainWei === null || outlook === null || gainWei === outlook.gainWei) return found;
  return [...found, { field: "gain", left: String(gainWei), right: String(outlook.gainWei) }];
}

async function readArithmetic(
  chain: ChainReader,
  frame: number,
  report: Report,
  accepted: Accepted | null,
  head: Head,
): Promise<Arithmetic | null> {
  const { provider, contracts } = chain;
  const { poolManager, reserve, frames } = contracts;
  if (accepted === null && frame !== frameAt(frames, head.timestamp) - 1) return null;
  const at = accepted === null ? head : await readHead(provider, accepted.block - 1);
  if (at === null) return null;
  const tag = { blockTag: at.hash };
  try {
    const rewardsVaultWei = await executionRewards(chain, accepted, at);
    const terms = await readTerms(poolManager, reserve, rewardsVaultWei, frame, tag);
    const outlook = outlookOf(
      {
        clBalanceWei: report.clBalance,
        openPenaltiesWei: report.openPenalties,
        withdrawnAtRefWei: report.withdrawnAtRef,
      },
      terms,
    );
    const verdict = accepted === null ? await simulate(chain, frame, report, outlook, head) : null;
    return { block: at.number, terms, outlook, verdict };
  } catch (error) {
    if (accepted === null || (error instanceof ServiceError && !isNotServed(error))) throw error;
    return null; // nodes have forgotten the state before the report
  }
}

/** What was in the RewardsVault when the report came: its block may have filled it. */
async function executionRewards(
  { provider, contracts: { poolManager, addresses } }: ChainReader,
  accepted: Accepted | null,
  at: Head,
): Promise<bigint> {
  if (accepted !== null) {
    const [settled] = await poolManager.queryFilter(poolManager.filters.Settled(), accepted.block, accepted.block);
    if (settled !== undefined) return settled.args.executionRewards;
  }
  return provider.getBalance(addresses.rewardsVault, at.hash);
}

/** What the contracts would do now, had the report a quorum. */
async function simulate(
  { contracts }: ChainReader,
  frame: number,
  report: Report,
  outlook: Outlook,
  head: Head,
): Promise<Verdict> {
  const { poolManager, withdrawalQueue, addresses } = contracts;
  const { refSlot, clBalance, openPenalties, withdrawnAtRef } = report;
  const nothing = { error: null, finalisedWei: 0n, finalisedShares: 0n };
  try {
    const applied = await poolManager.applyReport.staticCall(
      { frame, refSlot, clBalance, openPenalties, withdrawnAtRef },
      { from: addresses.reportOracle, blockTag: head.hash },
    );
    if (!applied) return { ...nothing, outcome: "waits for governance" };
  } catch (error) {
    if (!isCallException(error)) throw error;
    return { ...nothing, outcome: "refused", error: decodeRevert(error.data ?? "0x") ?? error.shortMessage };
  }
  if (outlook.etherWei === 0n || (await poolManager.finalisationPaused({ blockTag: head.hash }))) {
    return { ...nothing, outcome: "applied" };
  }
  const [finalisedWei, finalisedShares] = await withdrawalQueue.finalise.staticCall(
    frame,
    outlook.liquidWei,
    outlook.etherWei,
    outlook.shares,
    { from: addresses.poolManager, blockTag: head.hash },
  );
  return { outcome: "applied", error: null, finalisedWei, finalisedShares };
}
