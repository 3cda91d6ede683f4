import type { LogPosition, PoolEvent } from "../execution/events.js";

/** One `ValidatorAdded` with the owner nonce that SSV's nodes give it: the number of earlier ones of its owner. */
export interface Registration {
  readonly owner: string;
  readonly nonce: bigint;
  readonly added: LogPosition;
  readonly operatorIds: readonly bigint[];
  readonly publicKey: string;
  readonly sharesHash: string;
  readonly sharesLength: number;
  readonly ownerNonceSignature: string;
  readonly removed: LogPosition | null;
}

export interface Registrations {
  readonly byKey: ReadonlyMap<string, readonly Registration[]>;
  /** nonce of the owner's next registration */
  readonly nonceOf: (owner: string) => bigint;
}

/** All registrations in SSV Network, of every owner, in the order of the chain. */
export function registrationsOf(events: readonly PoolEvent[]): Registrations {
  const nonces = new Map<string, bigint>();
  const byKey = new Map<string, Registration[]>();
  for (const event of events) {
    const { block, transaction, log } = event;
    if (event.type === "ValidatorAdded") {
      const { owner, operatorIds, publicKey, sharesHash, sharesLength, ownerNonceSignature } = event;
      const nonce = nonces.get(owner) ?? 0n;
      nonces.set(owner, nonce + 1n);
      const registration: Registration = {
        owner,
        nonce,
        added: { block, transaction, log },
        operatorIds,
        publicKey,
        sharesHash,
        sharesLength,
        ownerNonceSignature,
        removed: null,
      };
      byKey.set(publicKey, [...(byKey.get(publicKey) ?? []), registration]);
    } else if (event.type === "ValidatorRemoved") {
      const entries = byKey.get(event.publicKey) ?? [];
      byKey.set(
        event.publicKey,
        entries.map((entry) =>
          entry.owner === event.owner && entry.removed === null
            ? { ...entry, removed: { block, transaction, log } }
            : entry,
        ),
      );
    }
  }
  return { byKey, nonceOf: (owner) => nonces.get(owner) ?? 0n };
}
