import { Signature, type SecretKey } from "@chainsafe/blst";

/** What a validator is asked to sign. Lazy, because most validators of a devnet need not really sign. */
export interface Duty {
  kind: "attestation" | "exit" | "proposal" | "randao" | "sync";
  slot: number;
  epoch: number;
  validatorIndex: number;
  pubkey: string;
  signingRoot: () => Uint8Array;
}

/** Whoever runs validators: answers the signature, `null` when there is none, `undefined` when it does not run that validator. */
export interface ValidatorClient {
  sign(duty: Duty): Uint8Array | null | undefined;
  /** Where the priority fees of a block of this validator go. */
  feeRecipient(pubkey: string): string | undefined;
}

/** BLS signature of nothing: the point at infinity. */
export const EMPTY_SIGNATURE = Uint8Array.from({ length: 96 }, (_, i) => (i === 0 ? 0xc0 : 0));

export function isSignature(bytes: Uint8Array): boolean {
  try {
    Signature.fromBytes(bytes, true);
    return true;
  } catch {
    return false; // blst says what is no signature only by throwing
  }
}

/**
 * The validators that the devnet runs itself: those of genesis, and deposited ones that `run` names. They always do their duty
 * unless set offline, and sign only what is worth a signature (RANDAO and blocks); the state transition of the devnet does not verify the signatures of attestations.
 */
export class OwnValidators implements ValidatorClient {
  readonly #keys = new Map<string, SecretKey>();
  #offline = new Set<number>();

  run(secretKey: SecretKey): void {
    this.#keys.set(secretKey.toPublicKey().toHex(), secretKey);
  }

  setOffline(indices: Iterable<number>): void {
    this.#offline = new Set(indices);
  }

  sign(duty: Duty): Uint8Array | null | undefined {
    const key = this.#keys.get(duty.pubkey);
    if (key === undefined) return undefined;
    if (this.#offline.has(duty.validatorIndex)) return null;
    return duty.kind === "randao" || duty.kind === "proposal"
      ? key.sign(duty.signingRoot()).toBytes()
      : EMPTY_SIGNATURE;
  }

  feeRecipient(): undefined {
    return undefined;
  }
}
