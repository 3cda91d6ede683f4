import { setHasher, type Hasher } from "@chainsafe/persistent-merkle-tree";
import { hasher as portable } from "@chainsafe/persistent-merkle-tree/hasher/as-sha256";

export type { Hasher };

/** WebAssembly, of four hashes at a time: what there is where the addon is not. */
export const portableHasher: Hasher = portable;

/** The addon, which uses the processor's own instructions for SHA-256; or why it is not there. */
const native = await import("@chainsafe/persistent-merkle-tree/hasher/hashtree").then(
  ({ hasher }) => ({ hasher }),
  (reason: unknown) => ({ reason }),
);

export const nativeHasher: Hasher | undefined = "hasher" in native ? native.hasher : undefined;

/** What whoever runs this should know when states are hashed slowly. */
export const hasherWarning =
  "reason" in native
    ? `SLOW HASHING: the native addon @chainsafe/hashtree does not load on ${process.platform} ${process.arch} (${describe(native.reason)}), ` +
      "states are hashed with WebAssembly, several times slower. Figures are the same. Run npm ci on this machine, or use a platform that the addon is built for."
    : undefined;

/** The addon's loader gives as cause why each place where it looked has none; the package of the platform is the last of them. */
function describe(reason: unknown): string {
  if (!(reason instanceof Error)) return String(reason);
  const last: unknown = Array.isArray(reason.cause) ? reason.cause.at(-1) : undefined;
  const { message } = last instanceof Error ? last : reason;
  return message.split("\n", 1).join();
}

let current = nativeHasher ?? portableHasher;
setHasher(current);

/** Hashes with this one from now on, here and in the SSZ library. All give the same. */
export function useHasher(hasher: Hasher): void {
  current = hasher;
  setHasher(hasher);
}

/** SHA-256 of each 64 octets of `pairs`, one after another. */
export function hashInto(pairs: Uint8Array, hashes: Uint8Array): void {
  current.hashInto(pairs, hashes);
}
