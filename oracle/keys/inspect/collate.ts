import type { DepositDataItem } from "../depositData.js";
import type { DkgProof } from "../dkgProofs.js";
import { KeysError } from "../errors.js";
import type { FileItem } from "../files.js";
import type { KeyFiles } from "./keyFiles.js";
import type { FoundKeyShares } from "../keysharesJson.js";
import { duplicatesOf } from "../verify.js";

/** A reason not to publish a validator. */
export interface FileFinding {
  readonly code: string;
  readonly message: string;
}

/** All that some files say of one validator. */
export interface FoundValidator {
  /** null where not even the key can be read */
  readonly publicKey: string | null;
  /** null where there is none, or none that can be used */
  readonly shares: FoundKeyShares | null;
  readonly deposit: DepositDataItem | null;
  readonly proofs: readonly DkgProof[] | null;
  readonly findings: readonly FileFinding[];
}

const MISSING = [
  ["shares", "KeySharesMissing", "No KeyShares file has the key."],
  ["deposits", "DepositDataMissing", "No deposit data has the key."],
  ["proofs", "DkgProofsMissing", "It has no DKG proofs, as others have."],
] as const;

/** Puts together by public key what belongs together, ordered by owner nonce, then as in the files. */
export function collate(files: KeyFiles): FoundValidator[] {
  const deposits = pileOf(files.deposits ?? []);
  const proofs = pileOf(files.proofs ?? []);
  const found = [
    ...(files.shares ?? []).map((shares) => ({
      shares,
      deposits: deposits.take(shares.publicKey),
      proofs: proofs.take(shares.publicKey),
    })),
    ...deposits.rest().map((item) => ({ shares: null, deposits: item, proofs: proofs.take(item.publicKey) })),
    ...proofs.rest().map((item) => ({ shares: null, deposits: null, proofs: item })),
  ].map((parts): FoundValidator => {
    const items = [parts.shares, parts.deposits, parts.proofs].filter((item) => item !== null);
    const malformed = items.flatMap(({ value }) =>
      value instanceof KeysError ? { code: "Malformed", message: value.message } : [],
    );
    const publicKey = items[0]?.publicKey ?? null;
    // of a key that cannot be read nothing else can be found
    const missing = MISSING.flatMap(([kind, code, message]) =>
      publicKey !== null && files[kind] !== null && parts[kind] === null ? { code, message } : [],
    );
    return {
      publicKey,
      shares: usable(parts.shares),
      deposit: usable(parts.deposits),
      proofs: usable(parts.proofs),
      findings: [...malformed, ...missing],
    };
  });
  return withDuplicates(found.sort((a, b) => compare(nonceOf(a), nonceOf(b))));
}

function withDuplicates(validators: readonly FoundValidator[]): FoundValidator[] {
  const duplicates = duplicatesOf(validators.map(({ publicKey }, i) => publicKey ?? `unreadable ${i}`));
  return validators.map((validator, index) => {
    const earlier = duplicates.get(index);
    if (earlier === undefined) return validator;
    const nonce = validators[earlier]?.shares?.ownerNonce;
    const which = nonce === undefined || nonce === null ? "" : `, with owner nonce ${nonce}`;
    const twice = { code: "DuplicatePublicKey", message: `The key is there before${which}: each validator once.` };
    return { ...validator, findings: [...validator.findings, twice] };
  });
}

const nonceOf = ({ shares }: FoundValidator): bigint | null => shares?.ownerNonce ?? null;

/** Unknown ones last. */
function compare(a: bigint | null, b: bigint | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return a < b ? -1 : a > b ? 1 : 0;
}

function usable<T>(item: FileItem<T> | null): T | null {
  return item === null || item.value instanceof KeysError ? null : item.value;
}

/** Items of a kind by key; each is taken once. */
function pileOf<T>(items: readonly FileItem<T>[]): {
  take: (publicKey: string | null) => FileItem<T> | null;
  rest: () => FileItem<T>[];
} {
  const byKey = new Map<string, FileItem<T>[]>();
  const left = new Set(items);
  for (const item of items) {
    if (item.publicKey !== null) byKey.set(item.publicKey, [...(byKey.get(item.publicKey) ?? []), item]);
  }
  return {
    take: (publicKey) => {
      const item = publicKey === null ? undefined : byKey.get(publicKey)?.shift();
      if (item === undefined) return null;
      left.delete(item);
      return item;
    },
    rest: () => [...left],
  };
}
