const PUBKEY_PATTERN = /^0x[0-9a-f]{96}$/;
const PUBKEY_SIZE = 48;

// The first octets of a compressed public key carry flags; from the second word on it is as good as random.
const FILTER_OFFSET = 4;

/**
 * Finds a few public keys among millions of serialised records without making a string of each: a bitmap of 16 bits of the
 * key rules out nearly all, a table by one word of the key the rest.
 */
export class PubkeyIndex {
  readonly size: number;
  readonly #bitmap = new Uint8Array(2 ** 16 / 8);
  readonly #byWord = new Map<number, { readonly hex: string; readonly bytes: Uint8Array }[]>();

  /** @param pubkeys 48 octets each, as lower case hex with `0x` */
  constructor(pubkeys: Iterable<string>) {
    let size = 0;
    for (const hex of pubkeys) {
      if (!PUBKEY_PATTERN.test(hex)) throw new TypeError(`not a BLS public key in lower case hex: ${hex}`);
      const bytes = new Uint8Array(Buffer.from(hex.slice(2), "hex"));
      const word = readWord(bytes, FILTER_OFFSET);
      const bit = word & 0xffff;
      this.#bitmap[bit >> 3] = (this.#bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
      const sameWord = this.#byWord.get(word);
      if (sameWord === undefined) this.#byWord.set(word, [{ hex, bytes }]);
      else sameWord.push({ hex, bytes });
      size++;
    }
    this.size = size;
  }

  /** The key that stands at `offset`, if it is one of ours. */
  find(bytes: Uint8Array, offset: number): string | undefined {
    const at = offset + FILTER_OFFSET;
    const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    if (((this.#bitmap[low >> 3] ?? 0) & (1 << (low & 7))) === 0) return undefined;
    const candidates = this.#byWord.get(readWord(bytes, at));
    return candidates?.find((candidate) => equalAt(candidate.bytes, bytes, offset))?.hex;
  }
}

function readWord(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0
  );
}

function equalAt(key: Uint8Array, bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < PUBKEY_SIZE; i++) if (key[i] !== bytes[offset + i]) return false;
  return true;
}
