import type { RegistryView } from "../execution/registryView.js";
import {
  depositKeysHash,
  digestOf,
  recover,
  type DepositApproval,
  type Message,
  type Report,
  type SignedMessage,
  type SigningDomains,
  type Vetting,
} from "./messages.js";

/** What the chain says about who may sign and for what, at the head the collector last saw. */
export interface CollectorContext {
  readonly domains: SigningDomains;
  /** signing keys of the current members, checksummed */
  readonly oracles: ReadonlySet<string>;
  readonly guardians: ReadonlySet<string>;
  /** reference slots of the latest completed frame and of the one that runs */
  readonly refSlots: readonly number[];
  readonly approvalEpoch: bigint;
  /** null before the first round: until then no approval of a deposit can be judged */
  readonly registry: RegistryView | null;
}

/** Of one member: two reports, approvals of 16 sizes for 64 clusters, and vettings. */
const MAX_PER_MEMBER = 2_048;

export type Refusal =
  | "NotReady"
  | "BadSignature"
  | "NotAMember"
  | "WrongFrame"
  | "WrongApprovalEpoch"
  | "WrongValidators"
  | "Outdated"
  | "AnotherReportSigned"
  | "TooManyMessages";

export type Added =
  { readonly kept: true; readonly signer: string } | { readonly kept: false; readonly reason: Refusal };

export interface Collected<T> {
  readonly message: T;
  readonly digest: string;
  readonly signer: string;
  readonly signature: string;
}

interface Entry extends Collected<Message["message"]> {
  readonly kind: Message["kind"];
}

/** Approvals differ by how many validators they fund, so that a quorum can form on fewer than the most eager guardian allows. */
function subjectOf({ kind, message }: Message): string {
  switch (kind) {
    case "report":
      return `report:${message.refSlot}`;
    case "vetting":
      return `vetting:${message.account}:${message.batch}`;
    case "deposit":
      return `deposit:${message.cluster}:${message.ids.length}`;
  }
}

/**
 * Signatures that members pushed: one for each member and subject, and only what could still be used. Anybody may send, so nothing
 * is kept that is not by a current member, and only so much of each: a member can fill its own part of the memory, no other's.
 */
export class SignatureStore {
  #context: CollectorContext | null = null;
  readonly #entries = new Map<string, Entry>();
  readonly #maxPerMember: number;

  constructor(maxPerMember = MAX_PER_MEMBER) {
    this.#maxPerMember = maxPerMember;
  }

  /** Adopts the chain's newest word on members, frames and epoch; drops what no longer counts. */
  update(context: CollectorContext): void {
    this.#context = context;
    for (const [key, entry] of this.#entries) {
      if (refusalOf(entry as Entry & Message, entry.signer, context) !== null) this.#entries.delete(key);
    }
  }

  add(signed: SignedMessage): Added {
    const context = this.#context;
    if (context === null) return { kept: false, reason: "NotReady" };
    const signer = recover(signed, context.domains);
    if (signer === null) return { kept: false, reason: "BadSignature" };
    const reason = refusalOf(signed, signer, context);
    if (reason !== null) return { kept: false, reason };
    const key = `${signer}:${subjectOf(signed)}`;
    const digest = digestOf(signed, context.domains);
    // A report is signed once for ever; approvals follow the head.
    const earlier = this.#entries.get(key);
    if (signed.kind === "report" && earlier !== undefined && earlier.digest !== digest) {
      return { kept: false, reason: "AnotherReportSigned" };
    }
    // whoever saw an approval can send it again: it must not take the place of a newer one
    if (signed.kind === "deposit" && anchorOf(earlier) > signed.message.blockNumber) {
      return { kept: false, reason: "Outdated" };
    }
    if (earlier === undefined && this.#countOf(signer) >= this.#maxPerMember)
      return { kept: false, reason: "TooManyMessages" };
    const { kind, message, signature } = signed;
    this.#entries.set(key, { kind, message, digest, signer, signature });
    return { kept: true, signer };
  }

  reports(refSlot: number): Collected<Report>[] {
    return this.#all<Report>("report").filter(({ message }) => message.refSlot === refSlot);
  }

  vettings(account: number, batch: number): Collected<Vetting>[] {
    return this.#all<Vetting>("vetting").filter(
      ({ message }) => message.account === account && message.batch === batch,
    );
  }

  deposits(cluster: number): Collected<DepositApproval>[] {
    return this.#all<DepositApproval>("deposit").filter(({ message }) => message.cluster === cluster);
  }

  /** What members signed that says something else about the same frame; nothing for a message that is no report. */
  opposing({ kind, message }: SignedMessage): SignedMessage[] {
    if (kind !== "report" || this.#context === null) return [];
    const digest = digestOf({ kind, message }, this.#context.domains);
    return this.reports(message.refSlot)
      .filter((other) => other.digest !== digest)
      .map((other) => ({ kind, message: other.message, signature: other.signature }));
  }

  get size(): number {
    return this.#entries.size;
  }

  #countOf(signer: string): number {
    return [...this.#entries.values()].filter((entry) => entry.signer === signer).length;
  }

  #all<T extends Message["message"]>(kind: Message["kind"]): Collected<T>[] {
    return [...this.#entries.values()].filter((entry) => entry.kind === kind) as (Entry & Collected<T>)[];
  }
}

function refusalOf({ kind, message }: Message, signer: string, context: CollectorContext): Refusal | null {
  const members = kind === "report" ? context.oracles : context.guardians;
  if (!members.has(signer)) return "NotAMember";
  if (kind === "report") return context.refSlots.includes(message.refSlot) ? null : "WrongFrame";
  if (message.approvalEpoch !== context.approvalEpoch) return "WrongApprovalEpoch";
  if (kind === "vetting") return null;
  if (context.registry === null) return "NotReady";
  return namesItsValidators(message, context.registry) ? null : "WrongValidators";
}

/** The ids are not signed, only the hash of the keys is: anybody can send an approval again with other ids. */
function namesItsValidators({ cluster, ids, keysHash }: DepositApproval, { validators }: RegistryView): boolean {
  const named = ids.flatMap((id) => validators.get(id) ?? []);
  return (
    named.length === ids.length &&
    named.every((validator) => validator.cluster === cluster && validator.status === "registered") &&
    depositKeysHash(named) === keysHash
  );
}

function anchorOf(entry: Entry | undefined): bigint {
  return entry !== undefined && "ids" in entry.message ? entry.message.blockNumber : 0n;
}

/**
 * The largest set of signatures over one digest, ordered as the contracts want them (ascending signer), cut to the quorum; null
 * while no digest has a quorum.
 */
export function quorumOf<T>(
  collected: readonly Collected<T>[],
  quorum: number,
): { message: T; signatures: string[] } | null {
  if (quorum === 0) return null;
  for (const group of groupByDigest(collected)) {
    const [first] = group;
    if (first === undefined || group.length < quorum) continue;
    const signatures = [...group]
      .sort((a, b) => (BigInt(a.signer) < BigInt(b.signer) ? -1 : 1))
      .slice(0, quorum)
      .map(({ signature }) => signature);
    return { message: first.message, signatures };
  }
  return null;
}

/** Largest group first. */
function groupByDigest<T>(collected: readonly Collected<T>[]): Collected<T>[][] {
  const groups = new Map<string, Collected<T>[]>();
  for (const item of collected) groups.set(item.digest, [...(groups.get(item.digest) ?? []), item]);
  return [...groups.values()].sort((a, b) => b.length - a.length);
}

export interface Disagreement {
  readonly signer: string;
  readonly field: string;
  readonly theirs: string;
  readonly majority: string;
}

/** Which member differs from most of the others, and in which field. */
export function disagreements<T extends object>(collected: readonly Collected<T>[]): Disagreement[] {
  const [majority, ...others] = groupByDigest(collected);
  const expected = majority?.[0]?.message;
  if (expected === undefined) return [];
  return others.flat().flatMap(({ signer, message }) =>
    differences(message, expected).map(({ field, left, right }) => ({
      signer,
      field,
      theirs: left,
      majority: right,
    })),
  );
}

export interface Difference {
  readonly field: string;
  readonly left: string;
  readonly right: string;
}

/** The fields in which two messages of a kind differ, with what each of them says. */
export function differences<T extends object>(left: T, right: T): Difference[] {
  return (Object.keys(right) as (keyof T & string)[])
    .map((field) => ({ field, left: String(left[field]), right: String(right[field]) }))
    .filter((pair) => pair.left !== pair.right);
}
