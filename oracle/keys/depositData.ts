import { SecretKey } from "@chainsafe/blst";
import { networksChainConfig } from "@lodestar/config/networks";
import { DOMAIN_DEPOSIT } from "@lodestar/params";
import { ssz } from "@lodestar/types";
import { type BytesLike, concat, getAddress, getBytes, hexlify } from "ethers";
import { z } from "zod";
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verifierOf, verifyBls, verifyBlsBatch } from "./bls.js";
import { KeysError } from "./errors.js";
import {
  badFile,
  bareHex,
  fieldOf,
  fileItem,
  parseJson,
  readJson,
  valuesOf,
  writeJson,
  type FileItem,
} from "./files.js";

/** What the pool deposits for each validator. */
export const DEPOSIT_GWEI = 32_000_000_000n;
const ROOT_BYTES = 32;
const FORK_VERSION_BYTES = 4;
/** The release of the deposit tool whose file format this is; the launchpad asks for one. */
const DEPOSIT_CLI_VERSION = "2.7.0";

export interface DepositMessage {
  pubkey: BytesLike;
  withdrawalCredentials: BytesLike;
  amountGwei: bigint;
}

export interface DepositSigningInput extends DepositMessage {
  genesisForkVersion: BytesLike;
}

export interface SignedDeposit extends DepositSigningInput {
  signature: BytesLike;
}

/** `0x01` credentials: what is withdrawn goes to `vaultAddress`. */
export function withdrawalCredentials(vaultAddress: string): string {
  return concat(["0x01", new Uint8Array(11), getAddress(vaultAddress)]);
}

export function depositMessageRoot(pubkey: BytesLike, credentials: BytesLike, amountGwei: bigint): Uint8Array {
  return ssz.phase0.DepositMessage.hashTreeRoot(messageOf({ pubkey, withdrawalCredentials: credentials, amountGwei }));
}

/** The root that the deposit contract compares with. */
export function depositDataRoot(
  pubkey: BytesLike,
  credentials: BytesLike,
  amountGwei: bigint,
  signature: BytesLike,
): Uint8Array {
  return ssz.phase0.DepositData.hashTreeRoot({
    ...messageOf({ pubkey, withdrawalCredentials: credentials, amountGwei }),
    signature: sized("signature", signature, SIGNATURE_BYTES),
  });
}

/** Deposits are valid across forks: their domain has the genesis fork version and no validators root. */
export function depositSigningRoot(input: DepositSigningInput): Uint8Array {
  const forkDataRoot = ssz.phase0.ForkData.hashTreeRoot({
    currentVersion: sized("genesis fork version", input.genesisForkVersion, FORK_VERSION_BYTES),
    genesisValidatorsRoot: new Uint8Array(ROOT_BYTES),
  });
  const domain = new Uint8Array(ROOT_BYTES);
  domain.set(DOMAIN_DEPOSIT);
  domain.set(forkDataRoot.subarray(0, ROOT_BYTES - DOMAIN_DEPOSIT.length), DOMAIN_DEPOSIT.length);
  return ssz.phase0.SigningData.hashTreeRoot({
    objectRoot: depositMessageRoot(input.pubkey, input.withdrawalCredentials, input.amountGwei),
    domain,
  });
}

export function signDeposit(secretKey: Uint8Array, deposit: Omit<DepositSigningInput, "pubkey">): Uint8Array {
  const key = SecretKey.fromBytes(secretKey);
  return key.sign(depositSigningRoot({ ...deposit, pubkey: key.toPublicKey().toBytes() })).toBytes();
}

/** Whether consensus would accept the deposit as the first one for its key. */
export function verifyDepositSignature(deposit: SignedDeposit): boolean {
  return verifyBls(claimOf(deposit));
}

export function verifyDepositSignatures(deposits: readonly SignedDeposit[]): boolean[] {
  return verifyBlsBatch(deposits.map(claimOf));
}

export type VerifyDeposits = typeof verifyDepositSignatures;

/** Answers kept: somebody paid 1 ETH for each deposit, so few are asked about. */
const REMEMBERED = 2 ** 15;

/** `verifyDepositSignatures` that remembers its answers, which never change: whoever looks at a queue at every head pays for it once. */
export function rememberingDepositVerifier(verify: VerifyDeposits = verifyDepositSignatures): VerifyDeposits {
  let answers = new Map<string, boolean>();
  return (deposits) => {
    const keys = deposits.map(depositKey);
    const results = keys.map((key) => answers.get(key));
    const unknown = results.flatMap((result, i) => (result === undefined ? i : []));
    const verified = verify(deposits.filter((_, i) => results[i] === undefined));
    unknown.forEach((i, n) => {
      results[i] = verified[n];
      answers.set(keys[i] ?? "", verified[n] === true);
    });
    if (answers.size > REMEMBERED) answers = new Map([...answers].slice(-REMEMBERED / 2));
    return results.map((result) => result === true);
  };
}

function depositKey({
  pubkey,
  withdrawalCredentials,
  amountGwei,
  genesisForkVersion,
  signature,
}: SignedDeposit): string {
  const octets = [pubkey, withdrawalCredentials, genesisForkVersion, signature].map((value) => hexlify(value));
  return [...octets, String(amountGwei)].join();
}

/**
 * Which deposit of each queue of one key creates the validator: the first with a valid signature, -1 if none has one. Those at the
 * front are verified together, which is cheap when all are valid, as they are unless somebody pays 1 ETH for each that is not; behind
 * such a one each costs a verification, until the first valid one, and what stands behind that is not looked at.
 */
export function creatingDeposits(queues: readonly (readonly SignedDeposit[])[]): number[] {
  const atFront = verifyDepositSignatures(queues.flatMap((queue) => queue.slice(0, 1)));
  let next = 0;
  return queues.map((queue) => {
    const [front] = queue;
    if (front === undefined) return -1;
    if (atFront[next++] === true) return 0;
    const verify = verifierOf(getBytes(front.pubkey));
    return queue.findIndex((deposit, i) => i > 0 && verify(depositSigningRoot(deposit), getBytes(deposit.signature)));
  });
}

/** Refuses a genesis fork version that a well-known network does not have: deposits signed with it would be burnt there. */
export function assertGenesisForkVersion(networkName: string, genesisForkVersion: BytesLike): void {
  const known = Object.entries(networksChainConfig).find(([name]) => name === networkName)?.[1].GENESIS_FORK_VERSION;
  if (known === undefined || hexlify(known) === hexlify(genesisForkVersion)) return;
  throw new KeysError(
    "BadForkVersion",
    `The genesis fork version of ${networkName} is ${hexlify(known)}, not ${hexlify(genesisForkVersion)}: deposits signed for it would be lost. Correct the network or the version.`,
    { networkName, expected: hexlify(known), genesisForkVersion: hexlify(genesisForkVersion) },
  );
}

/** Whether deposits signed for this fork version are good on a network that everybody uses. */
export function isPublicNetwork(genesisForkVersion: BytesLike): boolean {
  return publicNetworksOf(genesisForkVersion).length > 0;
}

/** The well-known networks that have a genesis fork version. */
export function publicNetworksOf(genesisForkVersion: BytesLike): string[] {
  const version = hexlify(genesisForkVersion);
  return Object.entries(networksChainConfig).flatMap(([name, config]) =>
    hexlify(config.GENESIS_FORK_VERSION) === version ? name : [],
  );
}

/** An item of the launchpad's `deposit_data.json`. */
const DepositJson = z.object({
  pubkey: bareHex(PUBLIC_KEY_BYTES),
  withdrawal_credentials: bareHex(ROOT_BYTES),
  amount: z.int().positive(),
  signature: bareHex(SIGNATURE_BYTES),
  deposit_message_root: bareHex(ROOT_BYTES),
  deposit_data_root: bareHex(ROOT_BYTES),
  fork_version: bareHex(FORK_VERSION_BYTES),
  network_name: z.string().min(1),
  deposit_cli_version: z.string(),
});

export interface DepositDataItem {
  publicKey: string;
  withdrawalCredentials: string;
  amountGwei: bigint;
  depositSignature: string;
  genesisForkVersion: string;
  networkName: string;
}

/** Writes a new file; an existing one is never replaced. */
export async function writeDepositData(path: string, items: readonly DepositDataItem[]): Promise<void> {
  const json = items.map((item) => {
    const { publicKey, withdrawalCredentials: credentials, amountGwei, depositSignature } = item;
    return {
      pubkey: bare(publicKey),
      withdrawal_credentials: bare(credentials),
      amount: Number(amountGwei),
      signature: bare(depositSignature),
      deposit_message_root: bare(depositMessageRoot(publicKey, credentials, amountGwei)),
      deposit_data_root: bare(depositDataRoot(publicKey, credentials, amountGwei, depositSignature)),
      fork_version: bare(item.genesisForkVersion),
      network_name: item.networkName,
      deposit_cli_version: DEPOSIT_CLI_VERSION,
    };
  });
  await writeJson(path, json);
}

/** Reads a deposit file and believes nothing in it: every root and signature is computed again. */
export async function readDepositData(path: string): Promise<DepositDataItem[]> {
  const items = valuesOf(parseDepositData(path, await readJson(path, z.unknown())));
  const badSignature = verifyDepositSignatures(
    items.map((item) => ({ ...item, pubkey: item.publicKey, signature: item.depositSignature })),
  ).indexOf(false);
  if (badSignature >= 0) {
    throw badFile(path, badSignature, "signature", "the validator key did not sign this deposit for this fork version");
  }
  return items;
}

/** The same, item by item; signatures are left to the caller. */
export function parseDepositData(path: string, json: unknown): FileItem<DepositDataItem>[] {
  return parseJson(path, json, z.array(z.unknown()).min(1)).map((item, index) =>
    fileItem(path, index, fieldOf(item, "pubkey"), () =>
      parseItem(path, index, parseJson(path, item, DepositJson, index)),
    ),
  );
}

function parseItem(path: string, index: number, item: z.infer<typeof DepositJson>): DepositDataItem {
  const amountGwei = BigInt(item.amount);
  const [publicKey, credentials, signature] = [item.pubkey, item.withdrawal_credentials, item.signature].map(
    prefixed,
  ) as [string, string, string];
  const checkRoot = (field: "deposit_message_root" | "deposit_data_root", root: Uint8Array): void => {
    if (item[field].toLowerCase() !== bare(root)) {
      throw badFile(path, index, field, `it is ${item[field]} but the item's values give ${bare(root)}`);
    }
  };
  checkRoot("deposit_message_root", depositMessageRoot(publicKey, credentials, amountGwei));
  checkRoot("deposit_data_root", depositDataRoot(publicKey, credentials, amountGwei, signature));
  try {
    assertGenesisForkVersion(item.network_name, prefixed(item.fork_version));
  } catch (cause) {
    throw badFile(path, index, "fork_version", `it is not that of ${item.network_name}`, cause);
  }
  return {
    publicKey,
    withdrawalCredentials: credentials,
    amountGwei,
    depositSignature: signature,
    genesisForkVersion: prefixed(item.fork_version),
    networkName: item.network_name,
  };
}

function claimOf(deposit: SignedDeposit) {
  return {
    publicKey: getBytes(deposit.pubkey),
    message: depositSigningRoot(deposit),
    signature: getBytes(deposit.signature),
  };
}

function messageOf({ pubkey, withdrawalCredentials: credentials, amountGwei }: DepositMessage) {
  // the SSZ library keeps gwei in a double, exact up to nine million ETH
  if (amountGwei <= 0n || amountGwei > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new KeysError("BadAmount", `${amountGwei} gwei is no amount for one deposit: use ${DEPOSIT_GWEI}.`, {
      amountGwei,
    });
  }
  return {
    pubkey: sized("public key", pubkey, PUBLIC_KEY_BYTES),
    withdrawalCredentials: sized("withdrawal credentials", credentials, ROOT_BYTES),
    amount: Number(amountGwei),
  };
}

function sized(what: string, value: BytesLike, length: number): Uint8Array {
  const bytes = getBytes(value);
  if (bytes.length !== length) {
    throw new KeysError("BadLength", `The ${what} must have ${length} bytes, not ${bytes.length}.`, {
      what,
      length: bytes.length,
    });
  }
  return bytes;
}

function bare(value: BytesLike): string {
  return hexlify(value).slice(2);
}

function prefixed(hex: string): string {
  return `0x${hex.toLowerCase()}`;
}
