const PUBKEY_PATTERN = /^0x[0-9a-f]{96}$/;
const PUBKEY_SIZE = 48;

// The first octets of a compressed public key carry flags; from the second word on it is as good as random.
const WORD_OFFSET = 4;

/** Of the bitmap for each key: one in 16 keys that are not ours gets past it. */
const BITS_PER_KEY = 16;
const MIN_BITS = 2 ** 16;

/**
 * Finds some public keys among millions of serialised records without making a string of each: a bitmap of the first bits of a word
 * of the key rules out nearly all, a table by that word the rest.
 */
export class PubkeyIndex {
  readonly size: number;
  readonly #bitmap: Uint32Array;
  readonly #mask: number;
  readonly #byWord = new Map<number, string[]>();

  /** @param pubkeys 48 octets each, as lower case hex with `0x` */
  constructor(pubkeys: ReadonlySet<string>) {
    this.size = pubkeys.size;
    const bits = Math.max(MIN_BITS, 2 ** Math.ceil(Math.log2(pubkeys.size * BITS_PER_KEY)));
    this.#mask = bits - 1;
    this.#bitmap = new Uint32Array(bits / 32);
    for (const hex of pubkeys) {
      if (!PUBKEY_PATTERN.test(hex)) throw new TypeError(`not a BLS public key in lower case hex: ${hex}`);
      const word = wordOf(hex);
      const bit = word & this.#mask;
      this.#bitmap[bit >>> 5] = (this.#bitmap[bit >>> 5] ?? 0) | (1 << (bit & 31));
      const sameWord = this.#byWord.get(word);
      if (sameWord === undefined) this.#byWord.set(word, [hex]);
      else sameWord.push(hex);
    }
  }

  /** The key that stands at `offset`, if it is one of ours. */
  find(view: DataView, offset: number): string | undefined {
    const word = view.getInt32(offset + WORD_OFFSET, true);
    const bit = word & this.#mask;
    if (((this.#bitmap[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return undefined;
    const candidates = this.#byWord.get(word);
    if (candidates === undefined) return undefined;
    const hex = hexAt(view, offset);
    return candidates.find((candidate) => candidate === hex);
  }
}

/** The word at WORD_OFFSET of a key in hex, as a signed number: those need no more room than others. */
function wordOf(hex: string): number {
  const at = 2 + 2 * WORD_OFFSET;
  const bigEndian = parseInt(hex.slice(at, at + 8), 16);
  return ((bigEndian & 0xff) << 24) | ((bigEndian & 0xff00) << 8) | ((bigEndian >>> 8) & 0xff00) | (bigEndian >>> 24);
}

function hexAt(view: DataView, offset: number): string {
  return `0x${Buffer.from(view.buffer, view.byteOffset + offset, PUBKEY_SIZE).toString("hex")}`;
}
