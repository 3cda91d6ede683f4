import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { encodeOperatorKey } from "../../oracle/keys/keyshares.js";

interface RsaKeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

/** RSA keys are slow to make, and every devnet of a process can have the same ones. */
const keyPairs: RsaKeyPair[] = [];

function keyPair(position: number): RsaKeyPair {
  return (keyPairs[position] ??= generateKeyPairSync("rsa", { modulusLength: 2048 }));
}

/** One SSV operator: an RSA key, and an id once it is registered. */
export class Operator {
  /** Given by SSV Network: through `assign`, or when the network's followers see the registration. */
  id: bigint | undefined;
  readonly privateKey: KeyObject;
  readonly publicKeyPem: string;
  /** The bytes for `registerOperator`. */
  readonly publicKeyForSsv: string;
  #running = true;
  #signsExits = true;

  /** @param position which of the process's key pairs it has */
  constructor(position: number) {
    const { publicKey, privateKey } = keyPair(position);
    this.privateKey = privateKey;
    this.publicKeyPem = publicKey.export({ type: "spki", format: "pem" }).toString();
    this.publicKeyForSsv = encodeOperatorKey(this.publicKeyPem);
  }

  get running(): boolean {
    return this.#running;
  }

  /** Signs nothing until it is started again; goes on following events, as a node that restarts catches up. */
  stop(): void {
    this.#running = false;
  }

  start(): void {
    this.#running = true;
  }

  get signsExits(): boolean {
    return this.#signsExits;
  }

  /** Goes on with every other duty. */
  ignoreExits(): void {
    this.#signsExits = false;
  }
}
