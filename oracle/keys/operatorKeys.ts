import { createHash } from "node:crypto";
import { toBeHex } from "ethers";
import { z } from "zod";
import { decodeSSVEvent } from "../execution/events.js";
import { getLogsInRanges } from "../execution/eventStore.js";
import type { FailoverProvider } from "../execution/provider.js";
import { operatorsOf } from "../ssv/operators.js";
import { ISSVNetwork__factory } from "../../types/ethers-contracts/index.js";
import { KeysError } from "./errors.js";
import { badFile, readJson, writeJson } from "./files.js";
import { decodeOperatorKey, operatorKeyFromBase64, operatorKeyToBase64 } from "./keyshares.js";
import type { ClusterOperator } from "./keysharesJson.js";

export type OperatorKey = ClusterOperator;

const MAX_FILE_BYTES = 2 ** 20;
const MAX_ID = 2n ** 64n - 1n;

const id = z
  .union([z.int().positive(), z.string().regex(/^[1-9]\d{0,19}$/)], "must be an operator id")
  .transform(BigInt)
  .refine((value) => value <= MAX_ID, "must be an operator id");
const key = z.string();

/** `operatorKey` in ssv-keys and in KeyShares, `public_key` in ssv-dkg and SSV's API. */
const Entry = z.union(
  [
    z.object({ id, operatorKey: key }).transform((entry) => ({ id: entry.id, base64: entry.operatorKey })),
    z.object({ id, public_key: key }).transform((entry) => ({ id: entry.id, base64: entry.public_key })),
  ],
  "must have an id and an operatorKey (or public_key)",
);
const OperatorsJson = z.preprocess(
  (json) => (typeof json === "object" && json !== null && "operators" in json ? json.operators : json),
  z.array(Entry, "must be a list of operators").min(1, "has no operators"),
);

/**
 * Operators by ascending id from a file of ssv-dkg, of SSV's API or of ssv-keys' shape.
 * @param operatorIds which ones; all of the file when left out
 */
export async function readOperators(path: string, operatorIds?: readonly bigint[]): Promise<OperatorKey[]> {
  const entries = await readJson(path, OperatorsJson, MAX_FILE_BYTES);
  const operators = new Map<bigint, OperatorKey>();
  entries.forEach((entry, index) => {
    if (operators.has(entry.id)) throw badFile(path, index, "id", `operator ${entry.id} is there twice`);
    let publicKeyPem: string;
    try {
      publicKeyPem = operatorKeyFromBase64(entry.base64);
    } catch (cause) {
      if (!(cause instanceof KeysError)) throw cause;
      throw badFile(path, index, "operatorKey", cause.message, cause);
    }
    operators.set(entry.id, { id: entry.id, publicKeyPem });
  });
  const chosen = (operatorIds ?? [...operators.keys()]).map((wanted) => {
    const operator = operators.get(wanted);
    if (operator !== undefined) return operator;
    throw new KeysError("OperatorUnknown", `${path} has no operator ${wanted}: add its key, or name another file.`, {
      path,
      operatorId: wanted,
    });
  });
  return distinct(chosen.sort((a, b) => (a.id < b.id ? -1 : 1)));
}

/** The same as a file, which `readOperators` and ssv-dkg read. */
export async function writeOperators(path: string, operators: readonly OperatorKey[]): Promise<void> {
  const json = operators.map(({ id: operatorId, publicKeyPem }) => ({
    id: Number(operatorId),
    public_key: operatorKeyToBase64(publicKeyPem),
  }));
  await writeJson(path, json);
}

/** The keys with which SSV Network knows the operators, from its events up to a block. */
export async function operatorKeysAt(
  provider: FailoverProvider,
  ssvNetwork: string,
  operatorIds: readonly bigint[],
  fromBlock: number,
  toBlock: number,
): Promise<OperatorKey[]> {
  const contract = ISSVNetwork__factory.createInterface();
  const names = ["OperatorAdded", "OperatorRemoved"] as const;
  const topics = [
    names.map((name) => contract.getEvent(name).topicHash),
    operatorIds.map((operatorId) => toBeHex(operatorId, 32)),
  ];
  const logs = await getLogsInRanges(provider, { address: ssvNetwork, topics }, fromBlock, toBlock);
  const known = operatorsOf(logs.flatMap((log) => decodeSSVEvent(log) ?? []));
  return distinct(
    operatorIds.map((operatorId) => {
      const operator = known.get(operatorId);
      if (operator !== undefined && !operator.removed) {
        return { id: operatorId, publicKeyPem: decodeOperatorKey(operator.publicKey) };
      }
      const why = operator === undefined ? "SSV Network's events do not have it" : "it has left SSV Network";
      throw new KeysError(
        "OperatorUnknown",
        `Operator ${operatorId} cannot be given a share: ${why} (from block ${fromBlock} to ${toBlock}).`,
        { operatorId, fromBlock, toBlock },
      );
    }),
  );
}

/** Refuses operators that two sources tell differently. */
export function sameOperators(one: readonly OperatorKey[], other: readonly OperatorKey[], who: string): void {
  const text = ({ id: operatorId, publicKeyPem }: OperatorKey): string =>
    `${operatorId} ${operatorKeyToBase64(publicKeyPem)}`;
  const at = one.findIndex((operator, i) => {
    const told = other[i];
    return told === undefined || text(told) !== text(operator);
  });
  if (at < 0 && one.length === other.length) return;
  throw new KeysError(
    "OperatorsDiffer",
    `Operators as ${who} have them differ, first at operator ${one[at]?.id ?? other[one.length]?.id ?? 0n}: find out which is right before a share is encrypted.`,
    { one: one.map(text), other: other.map(text) },
  );
}

/** What people compare: SHA-256 of the text form that SSV shows of a key. */
export function fingerprint({ publicKeyPem }: OperatorKey): string {
  return createHash("sha256").update(operatorKeyToBase64(publicKeyPem)).digest("hex");
}

/** Two operators with one key are one operator. */
function distinct(operators: OperatorKey[]): OperatorKey[] {
  const seen = new Map<string, bigint>();
  for (const operator of operators) {
    const print = fingerprint(operator);
    const twin = seen.get(print);
    if (twin !== undefined) {
      throw new KeysError(
        "DuplicateKey",
        `The operators ${twin} and ${operator.id} have the same RSA key, so one of them could read both shares: choose others.`,
        { operators: [twin, operator.id] },
      );
    }
    seen.set(print, operator.id);
  }
  return operators;
}
