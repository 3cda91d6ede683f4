import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { expect } from "chai";
import type { Command } from "commander";
import { getBytes } from "ethers";
import { generateCommand } from "../../../oracle/keys/commands/generate.js";
import type { CommandIo } from "../../../oracle/keys/commands/options.js";
import { splitCommand } from "../../../oracle/keys/commands/split.js";
import { readDepositData, withdrawalCredentials } from "../../../oracle/keys/depositData.js";
import { KeysError } from "../../../oracle/keys/errors.js";
import { decryptShare, operatorKeyToBase64, parseSharesData } from "../../../oracle/keys/keyshares.js";
import { readKeyShares } from "../../../oracle/keys/keysharesJson.js";
import { encryptKeystore } from "../../../oracle/keys/keystore.js";
import { fingerprint, readOperators } from "../../../oracle/keys/operatorKeys.js";
import { verifyBatch } from "../../../oracle/keys/verify.js";
import depositTool from "../../fixtures/keys/staking-deposit-cli.json" with { type: "json" };
import { dkgFixtures, testOperators } from "./support.js";

const PASSWORD = "a password of some length";
const ACCOUNT = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494";
const VAULT = depositTool.withdrawalAddress;

interface Outcome {
  readonly printed: string;
  readonly error: KeysError | null;
}

describe("keys generate and keys split", () => {
  let folder: string;
  const file = (name: string): string => join(folder, name);
  const write = (name: string, content: unknown, mode = 0o600): string => {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    writeFileSync(file(name), text);
    chmodSync(file(name), mode);
    return file(name);
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "pooleth-keys-"));
    write("password", `${PASSWORD}\n`);
    write("mnemonic", `${depositTool.mnemonic}\n`);
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  async function run(make: (io: CommandIo) => Command, args: readonly string[]): Promise<Outcome> {
    const lines: string[] = [];
    const say = (line: string): void => {
      lines.push(line);
    };
    const command = make({ print: say, warn: say, progress: { write: say } })
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    try {
      await command.parseAsync(args, { from: "user" });
      return { printed: lines.join("\n"), error: null };
    } catch (error) {
      if (!(error instanceof KeysError)) throw error;
      return { printed: lines.join("\n"), error };
    }
  }

  const terms = ["--network", "mainnet", "--withdrawal-vault", VAULT];
  const password = (): string[] => ["--password-file", file("password")];
  const generate = async (...args: string[]): Promise<Outcome> =>
    run(generateCommand, ["--kdf", "pbkdf2", ...terms, ...password(), "--out", file("keys"), ...args]);
  const fromMnemonic = (): string[] => ["--mnemonic-file", file("mnemonic")];

  function operatorsFile(size: number): string {
    const list = testOperators(size).map(({ id, publicKeyPem }) => ({
      id: Number(id),
      public_key: operatorKeyToBase64(publicKeyPem),
    }));
    return write("operators.json", list.toReversed());
  }
  const split = async (keystores: string, ...args: string[]): Promise<Outcome> =>
    run(splitCommand, [
      ...[keystores, "--account", ACCOUNT, "--nonce", "7", ...terms, ...password(), "--out", file("shares")],
      ...args,
    ]);
  const only = (path: string, start: string): string => {
    const found = readdirSync(path).filter((name) => name.startsWith(start));
    expect(found).to.have.length(1);
    return join(path, found[0]!);
  };

  /** A keystore of 1 iteration, which opens at once. */
  function quickKeystore(seed = 1): Record<string, unknown> {
    const keystore = encryptKeystore(new Uint8Array(32).fill(seed), new TextEncoder().encode(PASSWORD), {
      kdf: "pbkdf2",
      path: "",
    });
    return JSON.parse(JSON.stringify(keystore)) as Record<string, unknown>;
  }

  it("makes of a mnemonic what the official tool makes, readable by its owner alone", async () => {
    const { printed, error } = await generate("--count", "2", ...fromMnemonic());
    expect(error).to.equal(null);
    const names = readdirSync(file("keys")).sort();
    expect(names.map((name) => name.replace(/\d{10}/, "TIME"))).to.deep.equal([
      "deposit_data-TIME.json",
      "keystore-m_12381_3600_0_0_0-TIME.json",
      "keystore-m_12381_3600_1_0_0-TIME.json",
    ]);
    for (const name of names) expect(statSync(join(file("keys"), name)).mode & 0o777).to.equal(0o600);
    expect(statSync(file("keys")).mode & 0o777).to.equal(0o700);

    const ours = JSON.parse(readFileSync(only(file("keys"), "deposit_data"), "utf8")) as Record<string, unknown>[];
    const theirs = depositTool.networks.mainnet.deposit_data;
    expect(ours.map((item) => ({ ...item, deposit_cli_version: "" }))).to.deep.equal(
      theirs.map((item) => ({ ...item, deposit_cli_version: "" })),
    );
    expect(printed).to.include("2 keys for mainnet");
    for (const secret of [PASSWORD, "abandon"]) expect(printed).to.not.include(secret);
  });

  it("makes keys of no mnemonic, which nobody can make again", async () => {
    await generate("--count", "2", "--random");
    rmSync(file("password"));
    const keystores = readdirSync(file("keys")).filter((name) => name.startsWith("keystore"));
    expect(keystores).to.have.length(2);
    const deposits = await readDepositData(only(file("keys"), "deposit_data"));
    for (const { publicKey } of deposits) {
      const name = keystores.find((keystore) => keystore.includes(publicKey));
      const keystore = JSON.parse(readFileSync(join(file("keys"), name!), "utf8")) as Record<string, unknown>;
      expect(keystore).to.include({ pubkey: publicKey.slice(2), path: "", version: 4 });
    }
    expect(new Set(deposits.map(({ publicKey }) => publicKey))).to.have.property("size", 2);
  });

  it("signs what generate signs, and prints no secret", async () => {
    await generate("--count", "2", "--start-index", "7", ...fromMnemonic());
    const { error, printed } = await split(file("keys"), "--operators-file", operatorsFile(4));
    expect(error).to.equal(null);
    expect(printed).to.include("existed whole").and.include("owner nonces 7 to 8").and.not.include(PASSWORD);
    // signatures have no randomness
    const deposits = await readDepositData(only(file("shares"), "deposit_data"));
    expect(deposits).to.deep.equal(await readDepositData(only(file("keys"), "deposit_data")));
    const theirs = depositTool.networks.sepolia; // from index 7
    expect(deposits.map(({ publicKey }) => publicKey.slice(2))).to.deep.equal(
      theirs.keystores.map(({ pubkey }) => pubkey),
    );
  });

  for (const size of [4, 7, 10, 13]) {
    it(`splits keystores for ${size} operators, who can all open their share`, async () => {
      const keystores = [1, 2].map((seed) => write(`keystore-${seed}.json`, quickKeystore(seed)));
      await split(keystores[0]!, keystores[1]!, "--operators-file", operatorsFile(size));
      const deposits = await readDepositData(only(file("shares"), "deposit_data"));
      const items = await readKeyShares(only(file("shares"), "keyshares"));
      expect(items.map(({ ownerNonce, ownerAddress }) => [ownerNonce, ownerAddress])).to.deep.equal([
        [7n, ACCOUNT],
        [8n, ACCOUNT],
      ]);
      expect(items.map(({ publicKey }) => publicKey)).to.deep.equal(deposits.map(({ publicKey }) => publicKey));
      const operators = testOperators(size);
      const findings = verifyBatch(
        items.map((item, i) => ({ ...item, depositSignature: deposits[i]!.depositSignature })),
        {
          account: ACCOUNT,
          firstNonce: 7n,
          operatorIds: operators.map(({ id }) => id),
          withdrawalCredentials: withdrawalCredentials(VAULT),
          genesisForkVersion: "0x00000000",
        },
      );
      expect(findings).to.deep.equal([]);
      for (const { sharesData } of items) {
        const { encryptedShares } = parseSharesData(getBytes(sharesData), size);
        operators.forEach(({ privateKey }, i) => {
          expect(decryptShare(privateKey, encryptedShares[i]!)).to.not.equal(null);
        });
      }
    });
  }

  it("knows the operators of ssv-dkg's files and of KeyShares by the same keys", async function () {
    for (const { folder: ceremony, read } of dkgFixtures(this)) {
      const { shares } = read("keyshares.json") as { shares: { data: { operators: { id: number }[] } }[] };
      const { operators } = shares[0]!.data;
      const info = join(ceremony, "../../operators_info.json");
      const fromInfo = await readOperators(info, operators.map(({ id }) => BigInt(id)).toReversed());
      const fromShares = await readOperators(write("operators.json", { operators }));
      expect(fromInfo.map(fingerprint)).to.deep.equal(fromShares.map(fingerprint));
      expect(fromInfo.map(({ id }) => Number(id))).to.deep.equal(operators.map(({ id }) => id));
    }
  });

  it("splits with fresh coefficients every time", async () => {
    write("keystore.json", quickKeystore());
    const shares: string[] = [];
    for (const out of ["a", "b"]) {
      await split(file("keystore.json"), "--operators-file", operatorsFile(4), "--out", file(out));
      shares.push((await readKeyShares(only(file(out), "keyshares")))[0]!.sharesData);
    }
    const keys = shares.map((text) =>
      parseSharesData(text, 4).sharePublicKeys.map((key) => Buffer.from(key).toString("hex")),
    );
    for (const key of keys[0]!) expect(keys[1]).to.not.include(key);
  });

  it("takes keystores in the order in which people count", async () => {
    mkdirSync(file("many"));
    for (const [index, seed] of [
      [10, 3],
      [2, 2],
      [1, 1],
    ] as const) {
      writeFileSync(
        join(file("many"), `keystore-m_12381_3600_${index}_0_0-1.json`),
        JSON.stringify(quickKeystore(seed)),
      );
    }
    writeFileSync(join(file("many"), "deposit_data-1.json"), "not looked at");
    await split(file("many"), "--operators-file", operatorsFile(4));
    const items = await readKeyShares(only(file("shares"), "keyshares"));
    const inOrder = [1, 2, 3].map((seed) => `0x${String(quickKeystore(seed)["pubkey"])}`);
    expect(items.map(({ publicKey }) => publicKey)).to.deep.equal(inOrder);
    expect(items.map(({ ownerNonce }) => ownerNonce)).to.deep.equal([7n, 8n, 9n]);
  });

  /** The refusal must be one line that names no secret, and leave nothing behind. */
  async function refused(outcome: Promise<Outcome>, code: string, words: string): Promise<void> {
    const { error } = await outcome;
    expect(error, "nothing was refused").to.not.equal(null);
    expect([error?.code, error?.message].join(": ")).to.include(`${code}: `).and.include(words);
    expect(error?.message).to.not.include("\n");
    expect(error?.message).to.not.include(PASSWORD).and.not.include("abandon");
    for (const out of ["keys", "shares"]) {
      const names = readdirSync(folder).includes(out) ? readdirSync(file(out)) : [];
      expect(names, "something was left behind").to.deep.equal([]);
    }
  }

  describe("refuses in one line, and leaves nothing half-written,", () => {
    const keystore = (change: (json: Record<string, never>) => void): (() => Promise<Outcome>) => {
      return () => {
        const json = quickKeystore();
        change(json as Record<string, never>);
        write("keystore-b.json", json);
        return split(file("keystore-b.json"), "--operators-file", operatorsFile(4));
      };
    };
    interface Crypto {
      kdf: { function: unknown; params: Record<string, unknown> };
      checksum: { function: unknown; message: unknown };
      cipher: { function: unknown; params: Record<string, unknown>; message: unknown };
    }
    const crypto = (change: (crypto: Crypto) => void): (() => Promise<Outcome>) =>
      keystore((json) => {
        change(json["crypto"] as unknown as Crypto);
      });
    const scrypt = { dklen: 32, n: 2, r: 8, p: 1, salt: "00" };

    for (const [what, attempt, words, code = "BadFile"] of [
      ["another version", keystore((json) => Object.assign(json, { version: 3 })), "field version: must be 4"],
      ["no crypto", keystore((json) => delete json["crypto"]), "field crypto"],
      [
        "another pubkey",
        keystore((json) => Object.assign(json, { pubkey: "ab".repeat(48) })),
        "field pubkey: it is 0xabab",
      ],
      [
        "a pubkey that is no hex",
        keystore((json) => Object.assign(json, { pubkey: "zz" })),
        "field pubkey: must be 96 hex digits",
      ],
      ["an unknown KDF", crypto(({ kdf }) => (kdf.function = "md5")), "kdf.function: must be scrypt or pbkdf2"],
      ["PBKDF2 of another hash", crypto(({ kdf }) => (kdf.params["prf"] = "hmac-sha1")), "prf: must be hmac-sha256"],
      ["years of PBKDF2", crypto(({ kdf }) => (kdf.params["c"] = 2 ** 40)), "params.c"],
      [
        "scrypt that fills the memory",
        crypto(({ kdf }) => Object.assign(kdf, { function: "scrypt", params: { ...scrypt, n: 2 ** 30 } })),
        "more than 1 GiB of memory",
      ],
      [
        "scrypt of no power of two",
        crypto(({ kdf }) => Object.assign(kdf, { function: "scrypt", params: { ...scrypt, n: 1_000 } })),
        "power of two",
      ],
      ["a salt that is no hex", crypto(({ kdf }) => (kdf.params["salt"] = "0x12")), "params.salt"],
      ["another cipher", crypto(({ cipher }) => (cipher.function = "aes-256-gcm")), "must be aes-128-ctr"],
      ["a short IV", crypto(({ cipher }) => (cipher.params["iv"] = "12")), "params.iv: must be 32 hex digits"],
      ["a long secret", crypto(({ cipher }) => (cipher.message = "12".repeat(33))), "cipher.message"],
      ["a changed secret", crypto(({ cipher }) => (cipher.message = "12".repeat(32))), "the password", "WrongPassword"],
    ] as const) {
      it(`a keystore with ${what}`, () => refused(attempt(), code, words));
    }

    it("a keystore that holds a number above the group order, or zero", async () => {
      for (const octet of [0, 0xff]) {
        // blst does not sign with such a key, so its keystore is made by hand
        const json = quickKeystore();
        const { cipher, checksum, kdf } = json["crypto"] as {
          cipher: { message: string; params: { iv: string } };
          checksum: { message: string };
          kdf: { params: { salt: string; c: number } };
        };
        const { createCipheriv, createHash, pbkdf2Sync } = await import("node:crypto");
        const derived = pbkdf2Sync(PASSWORD, Buffer.from(kdf.params.salt, "hex"), kdf.params.c, 32, "sha256");
        const stream = createCipheriv("aes-128-ctr", derived.subarray(0, 16), Buffer.from(cipher.params.iv, "hex"));
        const message = stream.update(Buffer.alloc(32, octet));
        cipher.message = message.toString("hex");
        checksum.message = createHash("sha256").update(derived.subarray(16)).update(message).digest("hex");
        write("keystore-b.json", json);
        const attempt = split(file("keystore-b.json"), "--operators-file", operatorsFile(4));
        await refused(attempt, "BadFile", "no BLS secret key");
      }
    });

    it("a keystore that is not JSON, and does not show what it is", async () => {
      const attempt = split(file("mnemonic"), "--operators-file", operatorsFile(4));
      await refused(attempt, "BadFile", "mnemonic cannot be read as JSON: it is not JSON");
    });

    it("a keystore that is huge, missing, a folder without any, or there twice", async () => {
      write("keystore-b.json", `"${"x".repeat(2 ** 16)}"`);
      mkdirSync(file("empty"));
      write("keystore-c.json", quickKeystore());
      write("keystore-d.json", quickKeystore());
      const operators = ["--operators-file", operatorsFile(4)];
      await refused(split(file("keystore-b.json"), ...operators), "BadFile", "more than any such file");
      await refused(split(file("none.json"), ...operators), "NoKeystores", "ENOENT");
      await refused(split(file("empty"), ...operators), "NoKeystores", "has no keystores");
      const twice = split(file("keystore-c.json"), file("keystore-d.json"), ...operators);
      await refused(twice, "DuplicateKey", "keystore-d.json hold the same key");
    });

    it("keystores of the same key that do not say so", async () => {
      for (const name of ["keystore-b.json", "keystore-c.json"]) write(name, { ...quickKeystore(), pubkey: "" });
      const attempt = split(file("keystore-b.json"), file("keystore-c.json"), "--operators-file", operatorsFile(4));
      await refused(attempt, "DuplicateKey", "hold the same key");
    });

    it("the wrong password for the last of many", async () => {
      mkdirSync(file("many"));
      for (let i = 1; i <= 6; i++) {
        const json = quickKeystore(i) as { crypto: { checksum: { message: string } } };
        if (i === 6) json.crypto.checksum.message = "00".repeat(32);
        writeFileSync(join(file("many"), `keystore-${i}.json`), JSON.stringify(json));
      }
      await refused(split(file("many"), "--operators-file", operatorsFile(4)), "WrongPassword", "keystore-6.json");
    });

    it("operators that SSV would not have, or whose keys are none", async () => {
      write("keystore.json", quickKeystore());
      const { generateKeyPairSync } = await import("node:crypto");
      const pem = (options: { modulusLength: number; publicExponent?: number }): string => {
        const { publicKey } = generateKeyPairSync("rsa", options);
        return publicKey.export({ format: "pem", type: "spki" }).toString();
      };
      const good = testOperators(4).map(({ id, publicKeyPem }) => ({
        id: Number(id),
        operatorKey: operatorKeyToBase64(publicKeyPem),
      }));
      const withKey = (operatorKey: string): unknown => [...good.slice(0, 3), { id: 999, operatorKey }];
      const base64 = (text: string): string => Buffer.from(text).toString("base64");
      const { publicKey } = generateKeyPairSync("ed25519");
      for (const [content, code, words] of [
        ["[", "BadFile", "it is not JSON"],
        [{}, "BadFile", "must be a list of operators"],
        [[], "BadFile", "has no operators"],
        [[{ id: 0, operatorKey: "" }], "BadFile", "item 0: must have an id and an operatorKey"],
        [{ operators: [{ id: 1 }] }, "BadFile", "item 0: must have an id and an operatorKey"],
        [good.slice(0, 3), "BadClusterSize", "not 3"],
        [[...good.slice(0, 3), good[0]], "BadFile", "operator 3 is there twice"],
        [withKey(good[0]!.operatorKey), "DuplicateKey", "operators 3 and 999 have the same RSA key"],
        [
          withKey("?"),
          "BadFile",
          "item 3, field operatorKey: The operator's public key cannot be used: it is not a PEM",
        ],
        [withKey(base64(pem({ modulusLength: 1024 }))), "BadFile", "it is not RSA with 2048 bits"],
        [withKey(base64(pem({ modulusLength: 2048, publicExponent: 3 }))), "BadFile", "its exponent is below 65537"],
        [
          withKey(base64(publicKey.export({ format: "pem", type: "spki" }).toString())),
          "BadFile",
          "it is not RSA with 2048 bits",
        ],
      ] as const) {
        const attempt = split(file("keystore.json"), "--operators-file", write("operators.json", content));
        await refused(attempt, code, words);
      }
      const unknown = split(file("keystore.json"), "--operators-file", operatorsFile(4), "--operators", "3,4,7,1000");
      await refused(unknown, "OperatorUnknown", "has no operator 1000");
    });

    it("nonces that SSV cannot count, and what is missing", async () => {
      write("keystore.json", quickKeystore());
      const all = [file("keystore.json"), "--operators-file", operatorsFile(4)] as const;
      await refused(split(...all, "--nonce", "65536"), "BadNonce", "65536");
      const bare = (...args: string[]): Promise<Outcome> =>
        run(splitCommand, [file("keystore.json"), ...password(), "--out", file("shares"), ...args]);
      await refused(bare(...terms), "MissingOption", "For whom?");
      await refused(bare(...terms, "--cluster", "1"), "MissingOption", "--config");
      await refused(bare(...terms, "--rpc", "http://127.0.0.1:1"), "MissingOption", "--pool-manager");
      const target = ["--account", ACCOUNT, "--nonce", "0", ...all.slice(1)];
      await refused(bare(...target, "--network", "mainnet"), "MissingOption", "--withdrawal-vault");
      await refused(bare(...target, "--withdrawal-vault", VAULT), "MissingOption", "--network");
      await refused(
        bare(...target, "--withdrawal-vault", VAULT, "--network", "x"),
        "UnknownNetwork",
        "x is none of mainnet",
      );
      const forged = bare(...target, ...terms, "--genesis-fork-version", "0x00000001");
      await refused(forged, "BadForkVersion", "deposits signed for it would be lost");
    });

    it("a mnemonic of which a word is wrong", async () => {
      write("mnemonic", depositTool.mnemonic.replace(/about$/, "abandon"));
      await refused(generate("--count", "1", ...fromMnemonic()), "BadMnemonic", "of 12 words");
    });

    it("secrets that others can read, that are too short, or not there", async () => {
      write("password", PASSWORD, 0o640);
      await refused(generate("--count", "1", "--random"), "SecretExposed", "chmod 600");
      write("password", "short\n");
      await refused(generate("--count", "1", "--random"), "BadPassword", "12 characters");
      write("password", "\n");
      await refused(generate("--count", "1", "--random"), "BadSecretFile", "is empty");
      write("password", "x".repeat(5_000));
      await refused(generate("--count", "1", "--random"), "BadSecretFile", "no file of one line");
      rmSync(file("password"));
      await refused(generate("--count", "1", "--random"), "BadSecretFile", "ENOENT");
    });

    it("no keys, and too many", async () => {
      await refused(generate("--count", "0", "--random"), "BadCount", "0 is no number");
      await refused(generate("--count", "10001", "--random"), "BadCount", "10001 is no number");
      const beyond = generate("--count", "2", "--start-index", "4294967295", ...fromMnemonic());
      await refused(beyond, "BadPath", "m/12381/3600/4294967296/0/0");
    });
  });

  it("replaces no file but with --force", async () => {
    const { generateKeys } = await import("../../../oracle/keys/generate.js");
    const make = async (force: boolean): Promise<unknown> =>
      generateKeys({
        ...{ count: 1, startIndex: 0, seed: null, kdf: "pbkdf2" as const, force },
        password: new TextEncoder().encode(PASSWORD),
        terms: {
          networkName: "mainnet",
          genesisForkVersion: "0x00000000",
          withdrawalCredentials: withdrawalCredentials(VAULT),
        },
        folder: file("keys"),
        now: new Date("2026-04-13T10:00:00.000Z"),
        progress: { write: () => undefined },
      }).catch((error: unknown) => error);
    const deposits = write("deposit_data-1776074400.json", "precious");
    mkdirSync(file("keys"));
    const kept = join(file("keys"), basename(deposits));
    writeFileSync(kept, "precious");
    expect(await make(false)).to.have.property("code", "FileExists");
    expect(readFileSync(kept, "utf8")).to.equal("precious");
    expect(readdirSync(file("keys"))).to.have.length(1);
    expect(await make(true)).to.have.property("paths");
    expect(await readDepositData(kept)).to.have.length(1);
  });
});
