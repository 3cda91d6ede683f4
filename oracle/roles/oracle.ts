import type { Signer } from "ethers";
import type { ExecutionBlock } from "../beacon/stateParts.js";
import { latestRefSlot, type Head } from "../clock.js";
import type { ChainReader, ChainView } from "../execution/chain.js";
import { readAncestor, readHead } from "../execution/provider.js";
import { ServiceError } from "../ops/errors.js";
import type { ServiceLogger } from "../ops/logging.js";
import type { Metrics } from "../ops/metrics.js";
import { REPORT_VERSION } from "../report/report.js";
import { tableHash } from "../report/table.js";
import type { SigningJournal } from "../signatures/journal.js";
import {
  digestOf,
  domainSeparator,
  recover,
  sign,
  type Report,
  type SignedMessage,
  type SigningDomains,
} from "../signatures/messages.js";
import type { SendSignatures } from "../signatures/push.js";
import { differences } from "../signatures/store.js";
import type { BeaconNodes } from "./beaconNodes.js";
import { messageOf, readReport } from "./readReport.js";
import {
  isProven,
  mayBecomeReference,
  readWithdrawn,
  referenceBlock,
  type Withdrawn,
  type WithdrawnRecord,
  type WithdrawnRecords,
} from "./reference.js";

export interface OracleParts {
  readonly chain: ChainReader;
  readonly beacon: BeaconNodes;
  readonly signer: Signer;
  readonly domains: SigningDomains;
  readonly journal: SigningJournal;
  readonly records: WithdrawnRecords;
  readonly send: SendSignatures;
  readonly metrics: Metrics;
  readonly logger: ServiceLogger;
}

/** What the chain says about the report that is due. */
export interface ReportSituation {
  readonly refSlot: number | null;
  readonly done: boolean;
  /** root of the reference block as the ReportOracle finds it; null while EIP-4788 does not answer */
  readonly beaconBlockRoot: string | null;
  readonly version: bigint;
  /** execution block of the reference block, and the last finalised one */
  readonly referenceNumber: number | null;
  readonly finalizedNumber: number | null;
}

/** Why this member signs nothing, whatever others do. */
export type AbstainReason = "UnknownVersion" | "NoRecord" | "VaultNotProven";

export type ReportDecision =
  | { readonly action: "nothing" }
  | { readonly action: "wait"; readonly reason: "NoRoot" | "NotFinal" }
  | { readonly action: "abstain"; readonly reason: AbstainReason }
  | { readonly action: "sign"; readonly refSlot: number; readonly beaconBlockRoot: string };

export function decideReport(situation: ReportSituation): ReportDecision {
  const { refSlot, done, beaconBlockRoot, version, referenceNumber, finalizedNumber } = situation;
  if (refSlot === null || done) return { action: "nothing" };
  if (version !== REPORT_VERSION) return { action: "abstain", reason: "UnknownVersion" };
  if (beaconBlockRoot === null) return { action: "wait", reason: "NoRoot" };
  // not before a block after it is final, too: until then a reorganisation may still put a later block at or before the reference slot
  if (referenceNumber === null || finalizedNumber === null || finalizedNumber <= referenceNumber) {
    return { action: "wait", reason: "NotFinal" };
  }
  return { action: "sign", refSlot, beaconBlockRoot };
}

type SignedReport = Extract<SignedMessage, { kind: "report" }>;

export interface OpposedField {
  /** Cold address of the other member, and the key it signed with. */
  readonly member: string;
  readonly signer: string;
  readonly field: string;
  readonly theirs: string;
  readonly ours: string;
}

/**
 * In what reports of other members differ from this member's. They come from collectors, which are not trusted: a report counts only if
 * a member signed it.
 *
 * @param committee cold addresses by signing key
 */
export function disagreeing(
  ours: SignedReport,
  opposing: readonly SignedMessage[],
  committee: ReadonlyMap<string, string>,
  domains: SigningDomains,
): OpposedField[] {
  return opposing.flatMap((other) => {
    if (other.kind !== "report" || other.message.refSlot !== ours.message.refSlot) return [];
    const signer = recover(other, domains);
    const member = signer === null ? undefined : committee.get(signer);
    if (signer === null || member === undefined) return [];
    return differences(other.message, ours.message).map(({ field, left, right }) => ({
      member,
      signer,
      field,
      theirs: left,
      ours: right,
    }));
  });
}

const NO_ROOT = `0x${"00".repeat(32)}`;

/** One oracle member: at each head it signs the report that is due, once its figures are final, and sends it until it is accepted. */
export class OracleRole {
  readonly #parts: OracleParts;
  /** block of the last reference slot asked for */
  #referenceNumber: number | undefined;
  /** reference block of which the block before was asked about */
  #recordedBefore: string | null = null;
  #signed: { refSlot: number; message: SignedReport } | null = null;
  /** the frame for which no proof of the vault was found, and the block that it is wanted for */
  #abstained: { refSlot: number; block: ExecutionBlock } | null = null;
  /** reference slot of the report that was sent once more after one was accepted */
  #sentAfter: number | null = null;
  readonly #toldDifferences = new Set<string>();

  constructor(parts: OracleParts) {
    this.#parts = parts;
  }

  async processHead(head: Head): Promise<void> {
    const { chain, logger } = this.#parts;
    const { contracts, provider } = chain;
    if (mayBecomeReference(contracts.frames, head)) await this.#record(head.hash);
    const refSlot = latestRefSlot(contracts.frames, head.timestamp);
    if (refSlot === null) return;
    const at = { blockTag: head.hash };
    const reportable = await contracts.reportOracle.reportable(at);
    if (reportable.done) {
      await this.#sendOnceMore(Number(reportable.refSlot), head);
      return;
    }
    const reference = await referenceBlock(provider, contracts.frames, refSlot, head, this.#referenceNumber);
    this.#referenceNumber = reference.number;
    // whatever becomes of the report, this must be written down while nodes have the state
    await this.#recordReference(reference);
    const [version, finalized] = await Promise.all([
      contracts.reportOracle.versionAt(refSlot, at),
      readHead(provider, "finalized"),
    ]);
    const decision = decideReport({
      refSlot: Number(reportable.refSlot),
      done: reportable.done,
      beaconBlockRoot: reportable.beaconBlockRoot === NO_ROOT ? null : reportable.beaconBlockRoot,
      version,
      referenceNumber: reference.number,
      finalizedNumber: finalized?.number ?? null,
    });
    if (decision.action === "abstain") {
      this.#countAbstention(decision.reason);
      logger.error(
        { refSlot, version },
        "the report's version is not one this program knows: update it to go on reporting",
      );
    }
    if (decision.action === "wait") logger.debug({ refSlot, reason: decision.reason }, "the report cannot be made yet");
    if (decision.action !== "sign") return;
    if (this.#signed?.refSlot !== decision.refSlot) {
      if (this.#abstained?.refSlot === refSlot && !(await this.#findProof(this.#abstained.block)).record) return;
      const view = await chain.view(head);
      const message = await this.#sign(view, decision.refSlot, decision.beaconBlockRoot);
      this.#signed = { refSlot: decision.refSlot, message };
    }
    await this.#send(this.#signed.message, head);
  }

  /** Only when a report was accepted have collectors the others', which tell this member whether it was alone. */
  async #sendOnceMore(refSlot: number, head: Head): Promise<void> {
    if (this.#signed?.refSlot !== refSlot || this.#sentAfter === refSlot) return;
    await this.#send(this.#signed.message, head);
    this.#sentAfter = refSlot;
  }

  async #send(signed: SignedReport, head: Head): Promise<void> {
    const { chain, domains, send, metrics, logger } = this.#parts;
    const opposing = await send([signed]);
    if (opposing.length === 0) return;
    const { members_: members, signers } = await chain.contracts.reportOracle.members({ blockTag: head.hash });
    const committee = new Map(signers.map((signer, i) => [signer, members[i] ?? signer]));
    const { refSlot } = signed.message;
    for (const told of disagreeing(signed, opposing, committee, domains)) {
      const key = Object.values({ refSlot, ...told }).join();
      if (this.#toldDifferences.has(key)) continue;
      this.#toldDifferences.add(key);
      metrics.reportDisagreements.inc({ field: told.field });
      logger.error({ refSlot, ...told }, "another member's report differs from this one's: compare `pooleth report`");
    }
  }

  async #sign(view: ChainView, refSlot: number, root: string): Promise<SignedReport> {
    const { domains, signer, journal, metrics, logger } = this.#parts;
    const { report, tableSha256 } = await this.#compute(view, refSlot, root);
    const message = { kind: "report", message: report } as const;
    journal.record({
      signer: await signer.getAddress(),
      domain: domainSeparator("report", domains),
      refSlot,
      digest: digestOf(message, domains),
      tableSha256,
    });
    const signed = await sign(message, domains, signer);
    metrics.reportsSigned.inc();
    logger.info(
      {
        refSlot,
        clBalance: report.clBalance.toString(),
        withdrawnAtRef: report.withdrawnAtRef.toString(),
        tableSha256,
      },
      "signed the report",
    );
    return signed;
  }

  async #compute(view: ChainView, refSlot: number, root: string): Promise<{ report: Report; tableSha256: string }> {
    const { chain, beacon, metrics, logger } = this.#parts;
    const { report, table, warnings } = await readReport({
      refSlot,
      root,
      provider: chain.provider,
      view,
      contracts: chain.contracts,
      beacon,
      withdrawnWei: (block) => this.#provenWithdrawnWei(refSlot, block),
    });
    for (const { code, id, message } of warnings) {
      const level = code === "EXITED_WITH_BALANCE" ? "warn" : "alert";
      if (level === "alert") metrics.alerts.inc({ reason: code });
      logger[level]({ code, id }, message);
    }
    return { report: messageOf(report), tableSha256: tableHash(table) };
  }

  /** The last block of the frame and the one before it: from Gloas on the state of the reference block may have either. */
  async #recordReference(reference: Head): Promise<void> {
    await this.#record(reference.hash);
    if (reference.number === 0 || this.#recordedBefore === reference.hash) return;
    const before = await readAncestor(this.#parts.chain.provider, reference.number - 1, reference);
    await this.#record(before.hash);
    this.#recordedBefore = reference.hash;
  }

  /** Writes down what a node says and proves of a block that is, or may become, the reference block. */
  async #record(hash: string): Promise<void> {
    const { chain, records } = this.#parts;
    if (records.get(hash) !== undefined) return;
    const answer = await readWithdrawn(chain.provider, chain.contracts, { hash });
    if (answer !== null && answer.proof !== null) records.put(hash, { ...answer, proof: answer.proof });
  }

  async #provenWithdrawnWei(refSlot: number, block: ExecutionBlock): Promise<bigint> {
    const { record, contradicted } = await this.#findProof(block);
    if (record !== null) return record.withdrawnWei;
    this.#abstained = { refSlot, block };
    this.#countAbstention(contradicted === null ? "NoRecord" : "VaultNotProven");
    throw contradicted === null ? notRecorded(refSlot, block) : notProven(refSlot, block, contradicted);
  }

  /** What is proven by the state root of the verified state: as written down, or as any node still proves it. */
  async #findProof(block: ExecutionBlock): Promise<{ record: WithdrawnRecord | null; contradicted: Withdrawn | null }> {
    const { chain, records } = this.#parts;
    const { addresses } = chain.contracts;
    const known = records.get(block.hash);
    if (known !== undefined && (await isProven(known, block.stateRoot, addresses)) === true) {
      return { record: known, contradicted: null };
    }
    const late = await readWithdrawn(chain.provider, chain.contracts, block);
    const proof = late?.proof ?? null;
    if (late === null || proof === null) return { record: null, contradicted: known ?? null };
    if ((await isProven(late, block.stateRoot, addresses)) !== true) return { record: null, contradicted: late };
    const record = { ...late, proof };
    records.put(block.hash, record);
    return { record, contradicted: null };
  }

  #countAbstention(reason: AbstainReason): void {
    this.#parts.metrics.reportAbstentions.inc({ reason });
  }
}

function notRecorded(refSlot: number, { hash }: ExecutionBlock): ServiceError {
  return new ServiceError(
    "RecordMissing",
    `This member abstains from the frame that ended at slot ${refSlot}: it wrote down no proof of what had come to the vault by the reference ` +
      `block ${hash} (it did not run then, or its execution nodes gave none), and none of them proves it now. The next frame needs nothing; if ` +
      "this comes in every frame, use an execution node that serves eth_getProof.",
    { refSlot, hash },
  );
}

function notProven(refSlot: number, { hash, stateRoot }: ExecutionBlock, { withdrawnWei }: Withdrawn): ServiceError {
  return new ServiceError(
    "VaultNotProven",
    `This member abstains from the frame that ended at slot ${refSlot}: what an execution node said has come to the vault by the reference block ` +
      `${hash} is not what the state root ${stateRoot} in the verified beacon state has. Replace that node.`,
    { refSlot, hash, stateRoot, withdrawnWei },
  );
}
