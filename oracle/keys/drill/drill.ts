import { createHash, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { SecretKey } from "@chainsafe/blst";
import { getBytes, hexlify, ZeroAddress } from "ethers";
import { verifyBls } from "../bls.js";
import { withdrawalCredentials } from "../depositData.js";
import { buildSharesData, decryptShare, encryptShare, parseSharesData } from "../keyshares.js";
import { prepareValidators, type PreparedValidator } from "../prepare.js";
import { combineSignatures, thresholdOf, type PartialSignature } from "../shamir.js";
import { verifyBatch, type BatchContext } from "../verify.js";

/** Up to here every combination is tried; a cluster of 13 has 2,002 of both kinds. */
const MOST_TRIED = 60;
/** Good for no network, so that what is signed in a drill can never be used. */
const DRILL_FORK_VERSION = "0x6472696c";
const RSA_BITS = 2_048;

/** Some operators that signed together. */
export interface Trial {
  readonly operators: readonly bigint[];
  readonly valid: boolean;
}

/** What came of combinations of so many signers. */
export interface Tally {
  readonly signers: number;
  /** how many combinations there are; of many a sample was tried */
  readonly combinations: number;
  readonly trials: readonly Trial[];
}

export interface Drill {
  readonly size: number;
  readonly threshold: number;
  readonly publicKey: string;
  readonly enough: Tally;
  readonly tooFew: Tally;
  /** one operator that has, and signs with, a share of another key */
  readonly badShare: {
    readonly operator: bigint;
    /** `threshold` signers, that one among them */
    readonly among: Tally;
    readonly without: Tally;
    /** what the check before publication says of it */
    readonly findings: readonly string[];
  };
  /** one operator whose ciphertext was made for another operator */
  readonly badCiphertext: {
    readonly operator: bigint;
    readonly decrypted: boolean;
    /** what the check before publication says of it */
    readonly findings: readonly string[];
  };
}

interface Operator {
  readonly id: bigint;
  readonly publicKeyPem: string;
  readonly privateKey: KeyObject;
}

/**
 * Splits a test key for `size` operators, exactly as a key of the pool is split, has them decrypt their shares, and tries who can sign
 * together. The keys live in this function only and are good for nothing.
 */
export async function runDrill(size: number): Promise<Drill> {
  const threshold = thresholdOf(size);
  const operators = await makeOperators(size);
  const context: BatchContext = {
    account: ZeroAddress,
    firstNonce: 0n,
    operatorIds: operators.map(({ id }) => id),
    withdrawalCredentials: withdrawalCredentials(ZeroAddress),
    genesisForkVersion: DRILL_FORK_VERSION,
  };
  const [validator] = prepareValidators({ ...context, count: 1, operators, networkName: "drill" }) as [
    PreparedValidator,
  ];
  const publicKey = getBytes(validator.publicKey);
  const message = createHash("sha256").update(validator.publicKey).digest();
  const partials = operators.map(({ id, privateKey }, i) => {
    const share = decryptShare(privateKey, sharesOf(validator, size).encryptedShares[i] ?? new Uint8Array());
    return { operatorId: id, signature: sign(share ?? new Uint8Array(), message) };
  });
  const tally = (signers: number, of: readonly PartialSignature[], and: readonly PartialSignature[] = []): Tally => {
    const all = combinations(of, signers - and.length);
    const trials = sampled(all).map((some) => {
      const together = [...some, ...and];
      return {
        operators: together.map(({ operatorId }) => operatorId),
        valid: verifyBls({ publicKey, message, signature: combineSignatures(together) }),
      };
    });
    return { signers, combinations: all.length, trials };
  };

  const others = partials.slice(0, -1);
  const { operator, withShare, withCiphertext, share } = spoilLast(validator, operators);
  const findings = (entry: PreparedValidator): string[] => verifyBatch([entry], context).map(({ code }) => code);
  const ciphertext = sharesOf(withCiphertext, size).encryptedShares.at(-1) ?? new Uint8Array();
  return {
    size,
    threshold,
    publicKey: validator.publicKey,
    enough: tally(threshold, partials),
    tooFew: tally(threshold - 1, partials),
    badShare: {
      operator: operator.id,
      among: tally(threshold, others, [{ operatorId: operator.id, signature: sign(share, message) }]),
      without: tally(threshold, others),
      findings: findings(withShare),
    },
    badCiphertext: {
      operator: operator.id,
      decrypted: decryptShare(operator.privateKey, ciphertext) !== null,
      findings: findings(withCiphertext),
    },
  };
}

/** Whether everything came out as it must. */
export function drillPassed({ enough, tooFew, badShare, badCiphertext }: Drill): boolean {
  const { among, without, findings } = badShare;
  return (
    [enough, without].every(({ trials }) => trials.every(({ valid }) => valid)) &&
    [tooFew, among].every(({ trials }) => trials.every(({ valid }) => !valid)) &&
    findings.includes("SharesNotOnPolynomial") &&
    !badCiphertext.decrypted
  );
}

/** All ways to take `count` of `items`, in their order. */
export function combinations<T>(items: readonly T[], count: number): T[][] {
  if (count === 0) return [[]];
  return items.flatMap((item, i) => combinations(items.slice(i + 1), count - 1).map((rest) => [item, ...rest]));
}

/** Evenly spread over all, the first and the last among them. */
function sampled<T>(all: readonly T[]): T[] {
  if (all.length <= MOST_TRIED) return [...all];
  const step = (all.length - 1) / (MOST_TRIED - 1);
  return all.filter((_, i) => Math.round(Math.round(i / step) * step) === i);
}

async function makeOperators(size: number): Promise<Operator[]> {
  const pairs = await Promise.all(
    Array.from({ length: size }, async () => promisify(generateKeyPair)("rsa", { modulusLength: RSA_BITS })),
  );
  return pairs.map(({ publicKey, privateKey }, i) => ({
    id: BigInt(i + 1),
    publicKeyPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
    privateKey,
  }));
}

/** The validator with a share of another key for the last operator, and with a ciphertext that the last one cannot decrypt. */
function spoilLast(
  validator: PreparedValidator,
  operators: readonly Operator[],
): { operator: Operator; withShare: PreparedValidator; withCiphertext: PreparedValidator; share: Uint8Array } {
  const [first, operator] = [operators[0], operators.at(-1)] as [Operator, Operator];
  const { sharePublicKeys, encryptedShares, ...shares } = sharesOf(validator, operators.length);
  const share = SecretKey.fromKeygen(createHash("sha256").update(validator.publicKey).digest()).toBytes();
  const endingWith = (list: readonly Uint8Array[], item: Uint8Array): Uint8Array[] => [...list.slice(0, -1), item];
  const withShare = buildSharesData({
    ...shares,
    sharePublicKeys: endingWith(sharePublicKeys, SecretKey.fromBytes(share).toPublicKey().toBytes()),
    encryptedShares: endingWith(encryptedShares, encryptShare(operator.publicKeyPem, share)),
  });
  const withCiphertext = buildSharesData({
    ...shares,
    sharePublicKeys,
    encryptedShares: endingWith(encryptedShares, encryptShare(first.publicKeyPem, share)),
  });
  return {
    operator,
    withShare: { ...validator, sharesData: hexlify(withShare) },
    withCiphertext: { ...validator, sharesData: hexlify(withCiphertext) },
    share,
  };
}

const sharesOf = ({ sharesData }: PreparedValidator, size: number) => parseSharesData(sharesData, size);

const sign = (secretKey: Uint8Array, message: Uint8Array): Uint8Array =>
  SecretKey.fromBytes(secretKey).sign(message).toBytes();
