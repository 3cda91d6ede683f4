import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecretKey } from "@chainsafe/blst";
import { getBytes } from "ethers";
import { signDeposit, withdrawalCredentials, DEPOSIT_GWEI } from "../oracle/keys/depositData.js";
import { decryptShare, operatorKeyToBase64, parseSharesData } from "../oracle/keys/keyshares.js";
import { readKeyShares } from "../oracle/keys/keysharesJson.js";
import { encryptKeystore, passwordOctets } from "../oracle/keys/keystore.js";
import { randomKey } from "../oracle/keys/prepare.js";
import { CLUSTER_SIZES } from "../oracle/keys/shamir.js";
import { splitKeys } from "../oracle/keys/split.js";
import { verifyBatch } from "../oracle/keys/verify.js";

/** `npm run interop`: KeyShares made here as ssv-keys reads them, and its own as they are read here. It needs a registry. */

const PACKAGE = {
  private: true,
  dependencies: { "ssv-keys": "1.1.0" },
  // one is named by a Git address, and with a later one of the other ssv-keys refuses every operator key
  overrides: { prompts: "2.4.2", "js-base64": "3.7.5" },
};
const PASSWORD = "a password for interoperation";
const ACCOUNT = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494";
const FIRST_NONCE = 41;
const TERMS = {
  networkName: "interop",
  genesisForkVersion: "0x00000001",
  withdrawalCredentials: withdrawalCredentials(ACCOUNT),
};

interface TheirOperator {
  readonly id: number;
  readonly operatorKey: string;
}

interface TheirItem {
  readonly error?: Error;
  update(data: object): void;
  buildPayload(data: object, toSign: object): Promise<unknown>;
}

interface SsvKeys {
  readonly SSVKeys: new () => {
    extractKeys(keystore: string, password: string): Promise<{ privateKey: string; publicKey: string }>;
    buildShares(privateKey: string, operators: readonly TheirOperator[]): Promise<unknown>;
  };
  readonly KeySharesItem: new () => TheirItem;
  readonly KeyShares: {
    new (): { add(item: TheirItem): void; toJson(): string };
    fromJson(text: string): Promise<{ list(): TheirItem[] }>;
  };
}

const folder = mkdtempSync(join(tmpdir(), "pooleth-interop-"));
try {
  writeFileSync(join(folder, "package.json"), JSON.stringify(PACKAGE));
  execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: folder, stdio: "ignore" });
  const theirs = createRequire(join(folder, "package.json"))("ssv-keys") as SsvKeys;
  for (const size of CLUSTER_SIZES) {
    const operators = Array.from({ length: size }, (_, i) => {
      const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
      return {
        id: BigInt(3 * i + 1),
        publicKeyPem: publicKey.export({ format: "pem", type: "spki" }).toString(),
        privateKey,
      };
    });
    const secretKeys = [randomKey(), randomKey()];
    const keystores = secretKeys.map((secretKey, i) => {
      const path = join(folder, `keystore-${size}-${i}.json`);
      const password = passwordOctets(new TextEncoder().encode(PASSWORD));
      writeFileSync(path, JSON.stringify(encryptKeystore(secretKey, password, { kdf: "pbkdf2", path: "" })));
      return path;
    });
    await oursByTheirs(theirs, keystores, operators);
    await theirsByOurs(theirs, keystores, secretKeys, operators);
    console.log(`${size} operators: ssv-keys 1.1.0 accepts our KeyShares, and its own pass here`);
  }
} finally {
  rmSync(folder, { recursive: true });
}

type Operators = Parameters<typeof splitKeys>[0]["operators"];

async function oursByTheirs({ KeyShares }: SsvKeys, keystores: string[], operators: Operators): Promise<void> {
  const { paths } = await splitKeys({
    ...{ keystores, account: ACCOUNT, firstNonce: BigInt(FIRST_NONCE), operators, terms: TERMS, force: true },
    password: passwordOctets(new TextEncoder().encode(PASSWORD)),
    folder: join(folder, "ours"),
    now: new Date(),
    progress: { write: () => undefined },
  });
  const file = JSON.parse(readFileSync(paths.at(-1) ?? "", "utf8")) as object;
  // it reads files of its own release alone; those of 1.1 and 1.2 are alike
  const read = await KeyShares.fromJson(JSON.stringify({ ...file, version: "v1.1.0" }));
  for (const { error } of read.list()) if (error !== undefined) throw error;
  if (read.list().length !== keystores.length) throw new Error("ssv-keys does not see all of our validators");
}

async function theirsByOurs(
  { SSVKeys, KeySharesItem, KeyShares }: SsvKeys,
  keystores: readonly string[],
  secretKeys: readonly Uint8Array[],
  operators: readonly (Operators[number] & { privateKey: Parameters<typeof decryptShare>[0] })[],
): Promise<void> {
  const list = operators.map(({ id, publicKeyPem }) => ({
    id: Number(id),
    operatorKey: operatorKeyToBase64(publicKeyPem),
  }));
  const file = new KeyShares();
  for (const [i, keystore] of keystores.entries()) {
    const tool = new SSVKeys();
    const { privateKey, publicKey } = await tool.extractKeys(readFileSync(keystore, "utf8"), PASSWORD);
    const encryptedShares = await tool.buildShares(privateKey, list);
    const item = new KeySharesItem();
    const owner = { ownerAddress: ACCOUNT, ownerNonce: FIRST_NONCE + i };
    item.update({ ...owner, operators: list, publicKey });
    await item.buildPayload({ publicKey, operators: list, encryptedShares }, { ...owner, privateKey });
    file.add(item);
  }
  const path = join(folder, "theirs.json");
  writeFileSync(path, file.toJson());

  const items = await readKeyShares(path);
  const entries = items.map((item, i) => {
    const depositSignature = signDeposit(secretKeys[i] ?? new Uint8Array(), { ...TERMS, amountGwei: DEPOSIT_GWEI });
    return { ...item, depositSignature: `0x${Buffer.from(depositSignature).toString("hex")}` };
  });
  const operatorIds = operators.map(({ id }) => id);
  const [finding] = verifyBatch(entries, { ...TERMS, account: ACCOUNT, firstNonce: BigInt(FIRST_NONCE), operatorIds });
  if (finding !== undefined) throw new Error(finding.message);
  for (const { sharesData } of items) {
    const { encryptedShares, sharePublicKeys } = parseSharesData(getBytes(sharesData), operators.length);
    operators.forEach(({ privateKey, id }, i) => {
      const share = decryptShare(privateKey, encryptedShares[i] ?? new Uint8Array());
      const expected = Buffer.from(sharePublicKeys[i] ?? []);
      if (share === null || !expected.equals(SecretKey.fromBytes(share).toPublicKey().toBytes())) {
        throw new Error(`operator ${id} cannot open its share of ssv-keys`);
      }
    });
  }
}
