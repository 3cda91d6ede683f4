import { PublicKey, type SecretKey } from "@chainsafe/blst";
import { getBytes, hexlify } from "ethers";
import { parseSharesData, sharesDataLength } from "../../oracle/keys/keyshares.js";
import type { NetworkEvent } from "./events.js";

/** A validator as one node knows it. */
export interface Share {
  owner: string;
  operatorIds: readonly bigint[];
  liquidated: boolean;
  /** No duty before this epoch. */
  participatesFrom: number;
  /** This operator's part of the key; `null` when the operator is not in the cluster and only takes note. */
  own: { secretKey: SecretKey; publicKey: string } | null;
}

/** Why a node takes no notice of an event; the names are those of ssv-node's errors. */
export type Malformed =
  | "operators"
  | "IncorrectSharesLength"
  | "SignatureVerification"
  | "ShareBelongsToDifferentOwner"
  | "publicKey"
  | "ShareDecryption"
  | "unknownValidator";

export type Outcome =
  | { type: "accepted" }
  | { type: "malformed"; reason: Malformed }
  /** The node has to sign the exit of this validator. */
  | { type: "exit" };

/** The two cryptographic operations of a node, so that the rules below stay pure. */
export interface NodeCrypto {
  verifyOwnerNonce(publicKey: Uint8Array, signature: Uint8Array, owner: string, nonce: bigint): boolean;
  /** The share inside a ciphertext for this operator, `null` when there is none. */
  decrypt(ciphertext: Uint8Array): SecretKey | null;
}

/** 3f + 1; fewer or more is no committee. */
const CLUSTER_SIZES = [4, 7, 10, 13];
const ACCEPTED: Outcome = { type: "accepted" };
const malformed = (reason: Malformed): Outcome => ({ type: "malformed", reason });

/**
 * The event handling of one ssv-node (v2.3.7), rule by rule: what a node makes of the network's events alone. Nodes can disagree, when a ciphertext
 * is bad for one of them.
 */
export class OperatorNode {
  readonly #operatorId: () => bigint | undefined;
  readonly #crypto: NodeCrypto;
  readonly #operators = new Set<bigint>();
  readonly #nonces = new Map<string, bigint>();
  readonly #feeRecipients = new Map<string, string>();
  readonly #shares = new Map<string, Share>();

  constructor(operatorId: () => bigint | undefined, crypto: NodeCrypto) {
    this.#operatorId = operatorId;
    this.#crypto = crypto;
  }

  share(publicKey: string): Readonly<Share> | undefined {
    return this.#shares.get(publicKey);
  }

  nonceOf(owner: string): bigint {
    return this.#nonces.get(owner) ?? 0n;
  }

  /** The owner itself, until it names another. */
  feeRecipientOf(owner: string): string {
    return this.#feeRecipients.get(owner) ?? owner;
  }

  /** @param epoch the current one, when the event is handled */
  handle(event: NetworkEvent, epoch: number): Outcome {
    switch (event.type) {
      case "OperatorAdded":
        this.#operators.add(event.operatorId);
        return ACCEPTED;
      case "OperatorRemoved":
        this.#operators.delete(event.operatorId);
        return ACCEPTED;
      case "ValidatorAdded": {
        const nonce = this.nonceOf(event.owner);
        this.#nonces.set(event.owner, nonce + 1n); // also when the event turns out malformed
        return this.#addValidator(event, nonce, epoch);
      }
      case "ValidatorRemoved": {
        const share = this.#ownedShare(event);
        if (share === null) return malformed("unknownValidator");
        this.#shares.delete(event.publicKey);
        return ACCEPTED;
      }
      case "ValidatorExited": {
        const share = this.#ownedShare(event);
        if (share === null) return malformed("unknownValidator");
        return share.own === null ? ACCEPTED : { type: "exit" };
      }
      case "ClusterLiquidated":
        for (const share of this.#sharesOf(event)) share.liquidated = true;
        return ACCEPTED;
      case "ClusterReactivated":
        for (const share of this.#sharesOf(event)) {
          share.liquidated = false;
          share.participatesFrom = epoch + 1;
        }
        return ACCEPTED;
      case "FeeRecipientAddressUpdated":
        this.#feeRecipients.set(event.owner, event.recipient);
        return ACCEPTED;
    }
  }

  #addValidator(event: NetworkEvent & { type: "ValidatorAdded" }, nonce: bigint, epoch: number): Outcome {
    const { owner, operatorIds, publicKey } = event;
    const known = operatorIds.every((id) => this.#operators.has(id));
    if (!known || !CLUSTER_SIZES.includes(operatorIds.length) || new Set(operatorIds).size !== operatorIds.length) {
      return malformed("operators");
    }
    const sharesData = getBytes(event.sharesData);
    if (sharesData.length !== sharesDataLength(operatorIds.length)) return malformed("IncorrectSharesLength");
    const { ownerNonceSignature, sharePublicKeys, encryptedShares } = parseSharesData(sharesData, operatorIds.length);
    if (!this.#crypto.verifyOwnerNonce(getBytes(publicKey), ownerNonceSignature, owner, nonce)) {
      return malformed("SignatureVerification");
    }
    const existing = this.#shares.get(publicKey);
    if (existing !== undefined) return existing.owner === owner ? ACCEPTED : malformed("ShareBelongsToDifferentOwner");
    if (!sharePublicKeys.every(isPoint)) return malformed("publicKey");

    const place = operatorIds.findIndex((id) => id === this.#operatorId());
    let key: Share["own"] = null;
    const [ciphertext, sharePublicKey] = [encryptedShares[place], sharePublicKeys[place]];
    if (ciphertext !== undefined && sharePublicKey !== undefined) {
      const secretKey = this.#crypto.decrypt(ciphertext);
      key = secretKey === null ? null : { secretKey, publicKey: hexlify(secretKey.toPublicKey().toBytes()) };
      // for this operator alone: the others do not see it
      if (key?.publicKey !== hexlify(sharePublicKey)) return malformed("ShareDecryption");
    }
    this.#shares.set(publicKey, { owner, operatorIds, liquidated: false, participatesFrom: epoch + 1, own: key });
    return ACCEPTED;
  }

  #ownedShare(event: { owner: string; publicKey: string }): Share | null {
    const share = this.#shares.get(event.publicKey);
    return share?.owner === event.owner ? share : null;
  }

  #sharesOf({ owner, operatorIds }: { owner: string; operatorIds: readonly bigint[] }): Share[] {
    const ids = operatorIds.join();
    return [...this.#shares.values()].filter((share) => share.owner === owner && share.operatorIds.join() === ids);
  }
}

function isPoint(bytes: Uint8Array): boolean {
  try {
    PublicKey.fromBytes(bytes);
    return true;
  } catch {
    return false; // blst says what is no point only by throwing
  }
}
