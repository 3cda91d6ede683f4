import { getBytes, isHexString, keccak256, concat, TypedDataEncoder, verifyTypedData, type Signer } from "ethers";
import { z } from "zod";

/** The report of the ReportOracle; amounts in wei. */
export interface Report {
  readonly version: number;
  readonly refSlot: number;
  readonly beaconBlockRoot: string;
  readonly clBalance: bigint;
  readonly openPenalties: bigint;
  readonly withdrawnAtRef: bigint;
  /** registry ids, ascending */
  readonly exiting: readonly number[];
  readonly exited: readonly number[];
}

/** "This batch will run": what a guardian signs once for each publication. */
export interface Vetting {
  readonly account: number;
  readonly batch: number;
  /** link of the registry's hash chain over the whole batch */
  readonly head: string;
  readonly approvalEpoch: bigint;
}

/** "Fund exactly these, on this chain, before any other deposit." */
export interface DepositApproval {
  readonly cluster: number;
  /** registry ids of the validators, in order */
  readonly ids: readonly number[];
  readonly keysHash: string;
  readonly approvalEpoch: bigint;
  readonly blockNumber: bigint;
  readonly blockHash: string;
  readonly depositCount: bigint;
}

export type Message =
  | { readonly kind: "report"; readonly message: Report }
  | { readonly kind: "vetting"; readonly message: Vetting }
  | { readonly kind: "deposit"; readonly message: DepositApproval };

export type MessageKind = Message["kind"];
export type SignedMessage = Message & { readonly signature: string };

/** Where signatures count: nothing signed for one chain or contract is worth anything on another. */
export interface SigningDomains {
  readonly chainId: number;
  readonly reportOracle: string;
  readonly guardians: string;
}

const TYPES = {
  report: {
    Report: [
      { name: "version", type: "uint32" },
      { name: "refSlot", type: "uint64" },
      { name: "beaconBlockRoot", type: "bytes32" },
      { name: "clBalance", type: "uint128" },
      { name: "openPenalties", type: "uint128" },
      { name: "withdrawnAtRef", type: "uint128" },
      { name: "exiting", type: "uint32[]" },
      { name: "exited", type: "uint32[]" },
    ],
  },
  vetting: {
    Vetting: [
      { name: "account", type: "uint256" },
      { name: "batch", type: "uint256" },
      { name: "head", type: "bytes32" },
      { name: "approvalEpoch", type: "uint256" },
    ],
  },
  deposit: {
    DepositApproval: [
      { name: "cluster", type: "uint256" },
      { name: "keysHash", type: "bytes32" },
      { name: "approvalEpoch", type: "uint256" },
      { name: "blockNumber", type: "uint256" },
      { name: "blockHash", type: "bytes32" },
      { name: "depositCount", type: "uint256" },
    ],
  },
};

/** EIP-712 domain of the contract that checks messages of this kind. */
export function domainOf(
  kind: MessageKind,
  domains: SigningDomains,
): {
  name: string;
  version: string;
  chainId: number;
  verifyingContract: string;
} {
  const report = kind === "report";
  return {
    name: report ? "poolETH ReportOracle" : "poolETH Guardians",
    version: "1",
    chainId: domains.chainId,
    verifyingContract: report ? domains.reportOracle : domains.guardians,
  };
}

/** What `domainSeparator()` of the contract must answer. */
export function domainSeparator(kind: MessageKind, domains: SigningDomains): string {
  return TypedDataEncoder.hashDomain(domainOf(kind, domains));
}

export function digestOf({ kind, message }: Message, domains: SigningDomains): string {
  return TypedDataEncoder.hash(domainOf(kind, domains), TYPES[kind], valueOf(message));
}

export async function sign<M extends Message>(
  message: M,
  domains: SigningDomains,
  signer: Signer,
): Promise<M & { readonly signature: string }> {
  const { kind } = message;
  const signature = await signer.signTypedData(domainOf(kind, domains), TYPES[kind], valueOf(message.message));
  return { ...message, signature };
}

/** Address that signed; null for a malformed signature. */
export function recover({ kind, message, signature }: SignedMessage, domains: SigningDomains): string | null {
  try {
    return verifyTypedData(domainOf(kind, domains), TYPES[kind], valueOf(message), signature);
  } catch {
    return null; // ethers reports a signature that is no point of the curve only by throwing
  }
}

/** The encoder wants what EIP-712 signs and nothing else. */
function valueOf(message: Message["message"]): Record<string, unknown> {
  if (!("ids" in message)) return { ...message };
  const { ids: _ids, ...signed } = message;
  return signed;
}

/** keysHash of a deposit approval. */
export function depositKeysHash(
  validators: readonly { readonly publicKey: string; readonly depositSignature: string }[],
): string {
  return keccak256(
    concat(validators.map(({ publicKey, depositSignature }) => keccak256(concat([publicKey, depositSignature])))),
  );
}

/** bytes26 as the bytes32 that the contract signs. */
export function linkToBytes32(link: string): string {
  return `${link}${"00".repeat(32 - getBytes(link).length)}`;
}

const bytes = (length: number) =>
  z
    .string()
    .refine((text) => isHexString(text, length), `must be ${length} bytes of hex`)
    .transform((text) => text.toLowerCase());
const uint = (bits: number) =>
  z
    .string()
    .regex(/^\d{1,78}$/, "must be a decimal number")
    .transform(BigInt)
    .refine((value) => value < 1n << BigInt(bits), `must have at most ${bits} bits`);
const small = z.int().min(0).max(0xffff_ffff);
const slot = z.int().min(0);

const MAX_EXITS = 128;
const MAX_VALIDATORS = 64;

const signature = bytes(65);
const reportMessage = z.strictObject({
  version: small,
  refSlot: slot,
  beaconBlockRoot: bytes(32),
  clBalance: uint(128),
  openPenalties: uint(128),
  withdrawnAtRef: uint(128),
  exiting: z.array(small).max(MAX_EXITS),
  exited: z.array(small).max(MAX_EXITS),
});
const vettingMessage = z.strictObject({ account: small, batch: small, head: bytes(32), approvalEpoch: uint(256) });
const depositMessage = z.strictObject({
  cluster: small,
  ids: z.array(small).min(1).max(MAX_VALIDATORS),
  keysHash: bytes(32),
  approvalEpoch: uint(256),
  blockNumber: uint(64),
  blockHash: bytes(32),
  depositCount: uint(64),
});

/** The form in which messages travel; bigints are decimal strings. */
export const signedMessageSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("report"), message: reportMessage, signature }),
  z.strictObject({ kind: z.literal("vetting"), message: vettingMessage, signature }),
  z.strictObject({ kind: z.literal("deposit"), message: depositMessage, signature }),
]);

export function messageToJson(message: unknown): string {
  return JSON.stringify(message, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
}
