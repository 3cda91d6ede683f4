import { getAddress, isAddress } from "ethers";
import { z } from "zod";
import { PUBLIC_KEY_BYTES } from "./bls.js";
import {
  badFile,
  fieldOf,
  fileItem,
  parseJson,
  prefixedHex,
  readJson,
  valuesOf,
  writeJson,
  type FileItem,
} from "./files.js";
import { MAX_OWNER_NONCE, operatorKeyFromBase64, operatorKeyToBase64, parseSharesData } from "./keyshares.js";
import { assertOperatorIds } from "./shamir.js";

/** The release of ssv-keys whose format is written; every v1 is read. */
const WRITTEN_VERSION = "v1.2.0";
const READ_MAJOR = "1";

const Versioned = z.object({ version: z.string().regex(/^v?\d+\.\d+\.\d+/, "must be a version such as v1.2.0") });

const Payload = z.object({
  publicKey: prefixedHex(PUBLIC_KEY_BYTES),
  operatorIds: z.array(z.int().positive()),
  sharesData: prefixedHex(),
});
const Operators = z.array(z.object({ id: z.int().positive(), operatorKey: z.string() }));
const Owner = z.object({
  ownerNonce: z.int().min(0).max(Number(MAX_OWNER_NONCE)),
  ownerAddress: z.string().refine(isAddress, "must be an Ethereum address"),
});
const Validator = z.object({ publicKey: prefixedHex(PUBLIC_KEY_BYTES), operators: Operators });

const createdAt = z.string().refine((text) => !Number.isNaN(Date.parse(text)), "must be a time");
/** One validator as ssv-keys 1.0 has it, which does not tell for whom it is signed. */
const ItemJson = z.object({ data: Validator, payload: Payload });
/** One validator as ssv-keys 1.1 and 1.2 and ssv-dkg have it. */
const OwnedItemJson = z.object({ data: Validator.extend(Owner.shape), payload: Payload });
/** `keyshares.json` of ssv-keys (1.1, 1.2) and of ssv-dkg. */
const ListJson = z.object({ version: z.string(), createdAt, shares: z.array(z.unknown()).min(1) });
/** The file of ssv-keys 1.0; early 1.1 tells the owner in it too. */
const SingleJson = z.object({ version: z.string(), createdAt });
const KeySharesJson = ListJson.extend({ shares: z.array(OwnedItemJson) });

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

/** What a file says of a validator; that of ssv-keys 1.0 leaves out for whom it is signed. */
export interface FoundKeyShares extends Omit<KeySharesItem, "ownerNonce" | "ownerAddress"> {
  ownerNonce: bigint | null;
  ownerAddress: string | null;
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

/**
 * Reads a KeyShares file and checks that it is whole and does not contradict itself. What is signed is checked by `verifyBatch`. Files of
 * ssv-keys 1.0 are refused, as they do not tell the owner.
 */
export async function readKeyShares(path: string): Promise<KeySharesItem[]> {
  const items = valuesOf(parseKeyShares(path, await readJson(path, z.unknown())));
  return items.map(({ ownerNonce, ownerAddress, ...item }, index) => {
    if (ownerNonce !== null && ownerAddress !== null) return { ...item, ownerNonce, ownerAddress };
    throw badFile(path, index, "data", "it tells no owner and nonce");
  });
}

/** The same of every known release, item by item. */
export function parseKeyShares(path: string, json: unknown): FileItem<FoundKeyShares>[] {
  const { version } = parseJson(path, json, Versioned);
  if (/^v?(\d+)/.exec(version)?.[1] !== READ_MAJOR) {
    throw badFile(path, undefined, "version", `${version} is not known here, only v${READ_MAJOR}.x`);
  }
  const isSingle = fieldOf(json, "shares") === undefined && fieldOf(json, "payload") !== undefined;
  if (isSingle) parseJson(path, json, SingleJson);
  const items = isSingle ? [json] : parseJson(path, json, ListJson).shares;
  return items.map((item, index) =>
    fileItem(path, index, fieldOf(fieldOf(item, "payload"), "publicKey"), () => {
      const data = fieldOf(item, "data");
      const isUnowned =
        isSingle && fieldOf(data, "ownerNonce") === undefined && fieldOf(data, "ownerAddress") === undefined;
      if (isUnowned) {
        return {
          ...parseItem(path, index, parseJson(path, item, ItemJson, index)),
          ownerNonce: null,
          ownerAddress: null,
        };
      }
      const owned = parseJson(path, item, OwnedItemJson, index);
      const { ownerNonce, ownerAddress } = owned.data;
      return {
        ...parseItem(path, index, owned),
        ownerNonce: BigInt(ownerNonce),
        ownerAddress: getAddress(ownerAddress),
      };
    }),
  );
}

function parseItem(
  path: string,
  index: number,
  { data, payload }: z.infer<typeof ItemJson>,
): Omit<FoundKeyShares, "ownerNonce" | "ownerAddress"> {
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
    publicKey: data.publicKey.toLowerCase(),
    operators: data.operators.map(({ id, operatorKey }, at) => ({
      id: BigInt(id),
      publicKeyPem: check(`data.operators.${at}.operatorKey`, () => operatorKeyFromBase64(operatorKey)),
    })),
    sharesData: payload.sharesData.toLowerCase(),
  };
}
