import { constants, type KeyObject, verify as verifyRsa } from "node:crypto";
import { ByteListType, ByteVectorType, ContainerType } from "@chainsafe/ssz";
import { getBytes, hexlify, isHexString, keccak256, toUtf8Bytes } from "ethers";
import {
  PUBLIC_KEY_BYTES,
  publicKeyProblem,
  signatureProblem,
  type SignedMessage,
  verifyBls,
  verifyBlsBatch,
} from "./bls.js";
import { DEPOSIT_GWEI, depositSigningRoot } from "./depositData.js";
import type { DkgProof } from "./dkgProofs.js";
import { KeysError } from "./errors.js";
import {
  MAX_OWNER_NONCE,
  operatorPublicKey,
  ownerNonceDigest,
  parseSharesData,
  sharesDataLength,
} from "./keyshares.js";
import type { Entry } from "./prepare.js";
import { assertOperatorIds, onOnePolynomial, thresholdOf } from "./shamir.js";

export type FindingCode =
  | "PublicKeyInvalid"
  | "DepositSignatureInvalid"
  | "SharesDataLength"
  | "SharePublicKeyInvalid"
  | "SharesNotOnPolynomial"
  | "OwnerNonceOutOfRange"
  | "OwnerNonceSignatureInvalid"
  | "DuplicatePublicKey"
  | "OperatorKeyInvalid"
  | "ProofCount"
  | "ProofMismatch"
  | "ProofSignatureInvalid";

/** A reason not to vet a validator. */
export interface Finding {
  code: FindingCode;
  message: string;
}

export interface BatchFinding extends Finding {
  /** position in the batch */
  index: number;
  publicKey: string;
}

interface PoolContext {
  /** SSV owner: the pool's account */
  account: string;
  operatorIds: readonly bigint[];
  withdrawalCredentials: string;
  genesisForkVersion: string;
}

export interface EntryContext extends PoolContext {
  /** the owner nonce under which the entry will be registered */
  nonce: bigint;
}

export interface BatchContext extends PoolContext {
  /** the owner nonce of the first entry; the others follow without gap */
  firstNonce: bigint;
}

/** How far to look for the nonce that was really signed, to name it in the finding. */
const NEIGHBOURING_NONCES = 8n;

/** The message that ssv-dkg operators sign with their RSA key: "this ciphertext is the share of this key, made for this owner". */
const ProofType = new ContainerType({
  validator: new ByteVectorType(PUBLIC_KEY_BYTES),
  encryptedShare: new ByteListType(512),
  sharePublicKey: new ByteVectorType(PUBLIC_KEY_BYTES),
  owner: new ByteVectorType(20),
});

/**
 * Everything about a published validator that can be judged for ever without a chain. No findings mean: SSV nodes will accept
 * the registration under this nonce, any threshold of the operators can sign and no fewer, and the deposit is valid and the
 * pool's. They do not mean that the ciphertexts decrypt to the shares: only each operator can see that. DKG proofs are the
 * evidence for it from outside (`verifyDkgProofs`); otherwise the first attestations are.
 */
export function verifyEntry(
  entry: Entry,
  { nonce, ...context }: EntryContext,
  verify: VerifyBatch = verifyBatch,
): Finding[] {
  return verify([entry], { ...context, firstNonce: nonce }).map(({ code, message }) => ({ code, message }));
}

/** `verifyEntry` for consecutive nonces, with all signatures in one batch, and keys that occur twice. */
export function verifyBatch(entries: readonly Entry[], context: BatchContext): BatchFinding[] {
  assertOperatorIds(context.operatorIds);
  const { account, firstNonce, operatorIds, withdrawalCredentials, genesisForkVersion } = context;
  const subjects = entries.map(({ publicKey, depositSignature, sharesData }, index): Subject => {
    const signedFor = { account, nonce: firstNonce + BigInt(index) };
    const terms = { withdrawalCredentials, genesisForkVersion, amountGwei: DEPOSIT_GWEI };
    return {
      publicKey,
      deposit: { signature: depositSignature, ...terms },
      shares: { sharesData, operatorIds, signedFor },
    };
  });
  const duplicates = duplicatesOf(entries.map(({ publicKey }) => publicKey));
  return verifySubjects(subjects).flatMap((findings, index) => {
    const { publicKey } = entries[index] ?? { publicKey: "" };
    const earlier = duplicates.get(index);
    const twice: Finding[] =
      earlier === undefined
        ? []
        : [{ code: "DuplicatePublicKey", message: `The public key is also entry ${earlier} of the batch.` }];
    return [...twice, ...findings].map((finding) => ({ index, publicKey, ...finding }));
  });
}

/** By position of what is there again: the position of the first. */
export function duplicatesOf(publicKeys: readonly string[]): ReadonlyMap<number, number> {
  const firstSeen = new Map<string, number>();
  const duplicates = new Map<number, number>();
  publicKeys.forEach((publicKey, index) => {
    const key = publicKey.toLowerCase();
    const earlier = firstSeen.get(key);
    if (earlier === undefined) firstSeen.set(key, index);
    else duplicates.set(index, earlier);
  });
  return duplicates;
}

/** What is there of one validator, with what it must be good for; what is null is not judged. */
export interface Subject {
  readonly publicKey: string;
  readonly deposit: {
    readonly signature: string;
    readonly withdrawalCredentials: string;
    readonly genesisForkVersion: string;
    readonly amountGwei: bigint;
  } | null;
  readonly shares: {
    readonly sharesData: string;
    readonly operatorIds: readonly bigint[];
    /** SSV owner and owner nonce of the registration; null if they are not known */
    readonly signedFor: { readonly account: string; readonly nonce: bigint } | null;
  } | null;
}

/** What is wrong with each, all signatures in one batch. Operator ids must be those of a cluster, in order. */
export function verifySubjects(subjects: readonly Subject[]): Finding[][] {
  const claims: Claim[] = [];
  const found = subjects.map((subject) => {
    const findings: Finding[] = [];
    claims.push(
      ...inspect(subject, (code, message) => {
        findings.push({ code, message });
      }),
    );
    return findings;
  });
  verifyBlsBatch(claims.map(({ claim }) => claim)).forEach((holds, i) => {
    if (!holds) claims[i]?.report();
  });
  return found;
}

export type VerifyBatch = typeof verifyBatch;

/** Answers kept; a pool has fewer batches and unfunded validators than that. */
const REMEMBERED = 256;

/** `verifyBatch` that remembers its latest answers: they cost pairings, and what it says of a batch never changes. */
export function rememberingVerifier(): VerifyBatch {
  const answers = new Map<string, BatchFinding[]>();
  return (entries, context) => {
    const key = keccak256(toUtf8Bytes(JSON.stringify([entries.map(octetsOf), Object.entries(context).map(String)])));
    const found = answers.get(key) ?? verifyBatch(entries, context);
    answers.delete(key); // the newest is last
    answers.set(key, found);
    for (const oldest of answers.keys()) {
      if (answers.size <= REMEMBERED) break;
      answers.delete(oldest);
    }
    return found;
  };
}

const octetsOf = ({ publicKey, depositSignature, sharesData }: Entry): string[] => [
  publicKey,
  depositSignature,
  sharesData,
];

/**
 * Whether each operator signed, with its RSA key of SSV Network, that its ciphertext holds its share: the only evidence from
 * outside that the ciphertexts decrypt, and that nobody ever held the whole key.
 * @param proofs in the order of the operators
 * @param operatorKeys their public keys as PEM, from SSV Network, in the same order
 * @param owner the SSV account for which the ceremony was held
 */
export function verifyDkgProofs(
  entry: Pick<Entry, "publicKey" | "sharesData">,
  proofs: readonly DkgProof[],
  operatorKeys: readonly string[],
  owner: string,
): Finding[] {
  const count = operatorKeys.length;
  if (proofs.length !== count) {
    const message = `There are ${proofs.length} DKG proofs for ${count} operators; each operator must give one.`;
    return [{ code: "ProofCount", message }];
  }
  const sharesData = bytesOf(entry.sharesData);
  if (sharesData?.length !== sharesDataLength(count)) return [sharesLengthFinding(count, sharesData)];
  const { sharePublicKeys, encryptedShares } = parseSharesData(sharesData, count);

  return proofs.flatMap(({ proof, signature }, i): Finding[] => {
    const sharePublicKey = sharePublicKeys[i] ?? new Uint8Array();
    const encryptedShare = encryptedShares[i] ?? new Uint8Array();
    const expected = {
      validator: entry.publicKey,
      share_pub: hexlify(sharePublicKey),
      encrypted_share: hexlify(encryptedShare),
      owner,
    };
    for (const field of ["validator", "share_pub", "encrypted_share", "owner"] as const) {
      if (`0x${proof[field]}`.toLowerCase() === expected[field].toLowerCase()) continue;
      const message = `The DKG proof of the operator at position ${i} is for another ${field}: 0x${proof[field]} instead of ${expected[field]}.`;
      return [{ code: "ProofMismatch", message }];
    }
    const root = ProofType.hashTreeRoot({
      validator: getBytes(entry.publicKey),
      encryptedShare,
      sharePublicKey,
      owner: getBytes(owner),
    });
    let key: KeyObject;
    try {
      key = operatorPublicKey(operatorKeys[i] ?? "");
    } catch (error) {
      if (!(error instanceof KeysError)) throw error;
      return [{ code: "OperatorKeyInvalid", message: `Operator at position ${i}: ${error.message}` }];
    }
    const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO };
    if (verifyRsa("sha256", root, { key, ...padding }, Buffer.from(signature, "hex"))) return [];
    const message = `The operator at position ${i} did not sign its DKG proof with its key of SSV Network.`;
    return [{ code: "ProofSignatureInvalid", message }];
  });
}

/** A signature still to be verified, and what to say if it is not one. */
interface Claim {
  readonly claim: SignedMessage;
  readonly report: () => void;
}

type Report = (code: FindingCode, message: string) => void;

/** Reports what is wrong by itself and returns the signatures that are still to be verified. */
function inspect({ publicKey: hex, deposit, shares }: Subject, report: Report): Claim[] {
  const bytes = bytesOf(hex);
  const problem = bytes === null ? "it is not hex" : publicKeyProblem(bytes);
  if (problem !== null) report("PublicKeyInvalid", `${hex} is no compressed point of G1: ${problem}.`);
  const publicKey = problem === null ? bytes : null;
  return [
    ...(deposit === null ? [] : inspectDeposit(publicKey, deposit, report)),
    ...(shares === null ? [] : inspectShares(publicKey, shares, report)),
  ];
}

function inspectDeposit(
  publicKey: Uint8Array | null,
  { signature: hex, ...terms }: NonNullable<Subject["deposit"]>,
  report: Report,
): Claim[] {
  const { withdrawalCredentials, genesisForkVersion, amountGwei } = terms;
  const signature = bytesOf(hex);
  const problem = signature === null ? "it is not hex" : signatureProblem(signature);
  const reportDeposit = (): void => {
    report(
      "DepositSignatureInvalid",
      `The deposit signature is not the validator key's for ${amountGwei} gwei under the credentials ${withdrawalCredentials} and the fork version ${genesisForkVersion}${because(problem)}.`,
    );
  };
  if (signature === null || problem !== null) {
    reportDeposit();
    return [];
  }
  if (publicKey === null) return [];
  const message = depositSigningRoot({ pubkey: publicKey, ...terms });
  return [{ claim: { publicKey, message, signature }, report: reportDeposit }];
}

function inspectShares(
  publicKey: Uint8Array | null,
  { sharesData: hex, operatorIds, signedFor }: NonNullable<Subject["shares"]>,
  report: Report,
): Claim[] {
  const count = operatorIds.length;
  const sharesData = bytesOf(hex);
  if (sharesData?.length !== sharesDataLength(count)) {
    const { code, message } = sharesLengthFinding(count, sharesData);
    report(code, message);
    return [];
  }
  const { sharePublicKeys, ownerNonceSignature } = parseSharesData(sharesData, count);
  inspectShareKeys(publicKey, sharePublicKeys, operatorIds, report);

  if (signedFor === null) return [];
  const { account, nonce } = signedFor;
  if (nonce < 0n || nonce > MAX_OWNER_NONCE) {
    report(
      "OwnerNonceOutOfRange",
      `SSV nodes count owner nonces up to ${MAX_OWNER_NONCE}; ${nonce} cannot be registered.`,
    );
    return [];
  }
  if (publicKey === null) return [];
  const claim = { publicKey, message: ownerNonceDigest(account, nonce), signature: ownerNonceSignature };
  const reportNonce = (): void => {
    report("OwnerNonceSignatureInvalid", explainNonce(publicKey, ownerNonceSignature, account, nonce));
  };
  return [{ claim, report: reportNonce }];
}

function inspectShareKeys(
  publicKey: Uint8Array | null,
  sharePublicKeys: readonly Uint8Array[],
  operatorIds: readonly bigint[],
  report: Report,
): void {
  const keys = operatorIds.map((operatorId, i) => ({ operatorId, publicKey: sharePublicKeys[i] ?? new Uint8Array() }));
  const bad = keys.flatMap(({ operatorId, publicKey: share }) => {
    const problem = publicKeyProblem(share);
    return problem === null ? [] : [{ operatorId, problem }];
  });
  const [first] = bad;
  if (first !== undefined) {
    const which = bad.map(({ operatorId }) => operatorId).join(", ");
    report(
      "SharePublicKeyInvalid",
      `The share public keys of operators ${which} are no points of G1; of operator ${first.operatorId}: ${first.problem}.`,
    );
  } else if (publicKey !== null && !onOnePolynomial(publicKey, keys)) {
    const threshold = thresholdOf(operatorIds.length);
    report(
      "SharesNotOnPolynomial",
      `The share public keys and the validator key are not on one polynomial of degree ${threshold - 1}: some operators could not sign, or fewer than ${threshold} could.`,
    );
  }
}

function sharesLengthFinding(count: number, sharesData: Uint8Array | null): Finding {
  const length = sharesData === null ? "not even hex" : `not ${sharesData.length}`;
  const message = `The KeyShares of ${count} operators are ${sharesDataLength(count)} bytes, ${length}; SSV nodes would ignore the validator.`;
  return { code: "SharesDataLength", message };
}

function explainNonce(publicKey: Uint8Array, signature: Uint8Array, account: string, nonce: bigint): string {
  const problem = signatureProblem(signature);
  if (problem !== null) return `The owner-nonce signature is no signature${because(problem)}.`;
  const lowest = nonce > NEIGHBOURING_NONCES ? nonce - NEIGHBOURING_NONCES : 0n;
  const highest = nonce + NEIGHBOURING_NONCES < MAX_OWNER_NONCE ? nonce + NEIGHBOURING_NONCES : MAX_OWNER_NONCE;
  for (let other = lowest; other <= highest; other++) {
    if (verifyBls({ publicKey, message: ownerNonceDigest(account, other), signature })) {
      return `The owner-nonce signature is for nonce ${other} of ${account}, but the validator would be registered with nonce ${nonce}.`;
    }
  }
  return `The owner-nonce signature is for another nonce or account: it is for none of the nonces ${lowest} to ${highest} of ${account}, and nonce ${nonce} is due.`;
}

const because = (problem: string | null): string => (problem === null ? "" : `: ${problem}`);

function bytesOf(hex: string): Uint8Array | null {
  return isHexString(hex, true) ? getBytes(hex) : null;
}
