import { getAddress, isAddress } from "ethers";
import { z } from "zod";
import { PUBLIC_KEY_BYTES } from "./bls.js";
import { badFile, parseJson, prefixedHex, readJson, writeJson } from "./files.js";
import { MAX_OWNER_NONCE, operatorKeyFromBase64, operatorKeyToBase64, parseSharesData } from "./keyshares.js";
import { assertOperatorIds } from "./shamir.js";

/** The release of ssv-keys whose format is written; every v1 with a list of shares is read. */
const WRITTEN_VERSION = "v1.2.0";
const READ_MAJOR = "1";

const Versioned = z.object({ version: z.string().regex(/^v?\d+\.\d+\.\d+/, "must be a version such as v1.2.0") });

/** `keyshares.json` of ssv-keys (1.1, 1.2) and of ssv-dkg. */
export const KeySharesJson = z.object({
  version: z.string(),
  createdAt: z.string(),
  shares: z
    .array(
      z.object({
        data: z.object({
          ownerNonce: z.int().min(0).max(Number(MAX_OWNER_NONCE)),
          ownerAddress: z.string().refine(isAddress, "must be an Ethereum address"),
          publicKey: prefixedHex(PUBLIC_KEY_BYTES),
          operators: z.array(z.object({ id: z.int().positive(), operatorKey: z.string() })),
        }),
        payload: z.object({
          publicKey: prefixedHex(PUBLIC_KEY_BYTES),
          operatorIds: z.array(z.int().positive()),
          sharesData: prefixedHex(),
        }),
      }),
    )
    .min(1),
});

export interface ClusterOperator {
  id: bigint;
  publicKeyPem: string;
}

export interface KeySharesItem {
  ownerNonce: bigint;
  /** the SSV account, checksummed */
  ownerAddress: string;
  publicKey: string;
  operators: ClusterOperator[];
  sharesData: string;
}

/** Writes a new file; an existing one is never replaced. */
export async function writeKeyShares(path: string, items: readonly KeySharesItem[], createdAt: Date): Promise<void> {
  const json: z.infer<typeof KeySharesJson> = {
    version: WRITTEN_VERSION,
    createdAt: createdAt.toISOString(),
    shares: items.map((item) => ({
      data: {
        ownerNonce: Number(item.ownerNonce),
        ownerAddress: getAddress(item.ownerAddress),
        publicKey: item.publicKey,
        operators: item.operators.map(({ id, publicKeyPem }) => ({
          id: Number(id),
          operatorKey: operatorKeyToBase64(publicKeyPem),
        })),
      },
      payload: {
        publicKey: item.publicKey,
        operatorIds: item.operators.map(({ id }) => Number(id)),
        sharesData: item.sharesData,
      },
    })),
  };
  await writeJson(path, parseJson(path, json, KeySharesJson));
}

/** Reads a KeyShares file and checks that it is whole and does not contradict itself. What is signed is checked by `verifyBatch`. */
export async function readKeyShares(path: string): Promise<KeySharesItem[]> {
  const raw = await readJson(path, z.unknown());
  const { version } = parseJson(path, raw, Versioned);
  if (/^v?(\d+)/.exec(version)?.[1] !== READ_MAJOR) {
    throw badFile(path, undefined, "version", `${version} is not known here, only v${READ_MAJOR}.x`);
  }
  return parseJson(path, raw, KeySharesJson).shares.map(({ data, payload }, index) => {
    const check = <T>(field: string, decode: () => T): T => {
      try {
        return decode();
      } catch (cause) {
        throw badFile(path, index, field, cause instanceof Error ? cause.message : String(cause), cause);
      }
    };
    const operatorIds = payload.operatorIds.map(BigInt);
    check("payload.operatorIds", () => {
      assertOperatorIds(operatorIds);
    });
    if (data.operators.map(({ id }) => id).join() !== payload.operatorIds.join()) {
      throw badFile(path, index, "data.operators", "they are not the operators of payload.operatorIds, in that order");
    }
    if (data.publicKey.toLowerCase() !== payload.publicKey.toLowerCase()) {
      throw badFile(path, index, "payload.publicKey", "it differs from data.publicKey");
    }
    check("payload.sharesData", () => parseSharesData(payload.sharesData, operatorIds.length));
    return {
      ownerNonce: BigInt(data.ownerNonce),
      ownerAddress: getAddress(data.ownerAddress),
      publicKey: data.publicKey.toLowerCase(),
      operators: data.operators.map(({ id, operatorKey }, at) => ({
        id: BigInt(id),
        publicKeyPem: check(`data.operators.${at}.operatorKey`, () => operatorKeyFromBase64(operatorKey)),
      })),
      sharesData: payload.sharesData.toLowerCase(),
    };
  });
}
