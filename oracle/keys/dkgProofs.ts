import { hexlify, toUtf8Bytes, toUtf8String } from "ethers";
import { z } from "zod";
import { PUBLIC_KEY_BYTES } from "./bls.js";
import { bareHex, fieldOf, fileItem, parseJson, readJson, valuesOf, type FileItem } from "./files.js";
import { ENCRYPTED_SHARE_BYTES } from "./keyshares.js";

/** One operator's proof as ssv-dkg writes it (hex without 0x). */
export const DkgProofJson = z.object({
  proof: z.object({
    validator: bareHex(PUBLIC_KEY_BYTES),
    encrypted_share: bareHex(ENCRYPTED_SHARE_BYTES),
    share_pub: bareHex(PUBLIC_KEY_BYTES),
    owner: bareHex(20),
  }),
  signature: bareHex(ENCRYPTED_SHARE_BYTES),
});

export type DkgProof = z.infer<typeof DkgProofJson>;

const OneValidator = z.array(DkgProofJson).min(1);

/** Reads `proofs.json`: of one validator, or of a whole ceremony. Gives a list of proofs, in operator order, per validator. */
export async function readDkgProofs(path: string): Promise<DkgProof[][]> {
  return valuesOf(parseDkgProofs(path, await readJson(path, z.unknown())));
}

/** The same, validator by validator. */
export function parseDkgProofs(path: string, json: unknown): FileItem<DkgProof[]>[] {
  const list = parseJson(path, json, z.array(z.unknown()).min(1));
  const isCeremony = Array.isArray(list[0]);
  return (isCeremony ? list : [list]).map((item, index) => {
    const [first] = Array.isArray(item) ? (item as unknown[]) : [];
    return fileItem(path, index, fieldOf(fieldOf(first, "proof"), "validator"), () =>
      parseJson(path, item, OneValidator, isCeremony ? index : undefined),
    );
  });
}

/** `dkgProofs` of a publication: the JSON of a ceremony's `proofs.json`, for each validator one of each operator, in order. */
export function encodeDkgProofs(proofs: readonly (readonly DkgProof[])[]): string {
  return hexlify(toUtf8Bytes(JSON.stringify(proofs)));
}

/** Null for anything else: published bytes can be anything, and whatever is wrong with them, they prove nothing. */
export function decodeDkgProofs(bytes: string): DkgProof[][] | null {
  try {
    return z.array(z.array(DkgProofJson)).parse(JSON.parse(toUtf8String(bytes)));
  } catch {
    return null;
  }
}
