import { join } from "node:path";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { expect } from "chai";
import { getAddress } from "ethers";
import { DEPOSIT_GWEI, withdrawalCredentials, writeDepositData } from "../../../oracle/keys/depositData.js";
import { fieldOf } from "../../../oracle/keys/files.js";
import { inspectFiles, isGood, type InspectOptions, type KeyReport } from "../../../oracle/keys/inspect/inspect.js";
import { readKeyFiles, withFile, type KeyFiles } from "../../../oracle/keys/inspect/keyFiles.js";
import { printReport, reportJson } from "../../../oracle/keys/inspect/print.js";
import { operatorKeyToBase64 } from "../../../oracle/keys/keyshares.js";
import { writeKeyShares } from "../../../oracle/keys/keysharesJson.js";
import { prepareValidators } from "../../../oracle/keys/prepare.js";
import { KeysError } from "../../../oracle/keys/errors.js";
import { dkgFixtures, testOperators, type DkgFixture } from "./support.js";

type Json = null | string | number | boolean | Json[] | { [name: string]: Json };
interface Files {
  keyshares: Json;
  deposits: Json;
  proofs: Json;
}

const NONE: KeyFiles = { shares: null, deposits: null, proofs: null, problems: [] };
const SILENT = { write: () => undefined };

/** As `readKeyFiles` does, of what is in memory. */
function inMemory(files: Partial<Files>): KeyFiles {
  let read = NONE;
  for (const [name, json] of Object.entries(files)) {
    try {
      read = withFile(read, `${name}.json`, json);
    } catch (error) {
      if (!(error instanceof KeysError)) throw error;
      read = { ...read, problems: [...read.problems, error] };
    }
  }
  return read;
}

const inspect = (files: KeyFiles, options: InspectOptions = {}): Promise<KeyReport> =>
  inspectFiles(files, options, null, SILENT);
const codes = ({ validators }: KeyReport): string[][] =>
  validators.map(({ findings }) => findings.map(({ code }) => code));
const messages = ({ validators, problems }: KeyReport): string =>
  [...problems, ...validators.flatMap(({ findings }) => findings.map(({ message }) => message))].join("\n");

/** Every string and number of a JSON value, with a way to put another there. */
function leaves(json: Json, path: string[] = []): { path: string[]; value: string | number }[] {
  if (typeof json === "string" || typeof json === "number") return [{ path, value: json }];
  if (typeof json !== "object" || json === null) return [];
  return Object.entries(json).flatMap(([name, value]) => leaves(value, [...path, name]));
}

function withLeaf(json: Json, [name, ...rest]: readonly string[], value: Json): Json {
  if (name === undefined) return value;
  if (Array.isArray(json)) return json.map((item, i) => (String(i) === name ? withLeaf(item, rest, value) : item));
  if (typeof json !== "object" || json === null) throw new Error("no such path");
  return { ...json, [name]: withLeaf(json[name] ?? null, rest, value) };
}

describe("keys/inspect", () => {
  describe("ceremonies of ssv-dkg", () => {
    const amounts: Readonly<Record<string, bigint>> = { "13-operators": 2_048_000_000_000n };

    const filesOf = ({ read }: DkgFixture): Files => ({
      keyshares: read("keyshares.json") as Json,
      deposits: read("deposit_data.json") as Json,
      proofs: read("proofs.json") as Json,
    });
    const optionsOf = ({ name, folder }: DkgFixture): InspectOptions => ({
      account: "0xDCc846fA10C7CfCE9e6Eb37e06eD93b666cFC5E9",
      nonce: 1,
      withdrawalVault: "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494",
      network: "mainnet",
      operatorsFile: join(folder, "../../operators_info.json"),
      amount: amounts[name] ?? DEPOSIT_GWEI,
    });

    it("are good", async function () {
      for (const fixture of dkgFixtures(this)) {
        const report = await inspect(inMemory(filesOf(fixture)), optionsOf(fixture));
        expect(codes(report), fixture.name).to.deep.equal([[]]);
        expect(isGood(report)).to.equal(true);
        expect(report.notChecked)
          .to.have.length(2)
          .and.to.satisfy(([nonce, used]: string[]) => {
            return nonce?.includes("the account's next") === true && used?.includes("used before") === true;
          });
      }
    });

    it("are wrong under other terms than theirs", async function () {
      for (const fixture of dkgFixtures(this)) {
        const [files, options] = [inMemory(filesOf(fixture)), optionsOf(fixture)];
        const other = getAddress(`0x${"44".repeat(20)}`);
        const found = async (changed: InspectOptions) => codes(await inspect(files, { ...options, ...changed }));
        expect(await found({ nonce: 2 })).to.deep.equal([["NonceDiffers"]]);
        expect(await found({ nonce: 0 })).to.deep.equal([["NonceDiffers"]]);
        expect(await found({ account: other })).to.deep.equal([["OwnerDiffers"]]);
        expect(await found({ withdrawalVault: other })).to.deep.equal([["CredentialsDiffer"]]);
        expect(await found({ network: "hoodi" })).to.deep.equal([["ForkVersionDiffers", "NetworkDiffers"]]);
        expect(await found({ amount: 1n })).to.deep.equal([["AmountDiffers"]]);
      }
    });

    it("are wrong with another nonce or owner, swapped shares, and another operator's share", async function () {
      const HEX = { signature: 2 * 96, key: 2 * 48, ciphertext: 2 * 256 };
      for (const fixture of dkgFixtures(this)) {
        const files = filesOf(fixture);
        const item = ["shares", "0"];
        const found = async (keyshares: Json) =>
          codes(await inspect(inMemory({ ...files, keyshares }), { amount: optionsOf(fixture).amount! }));
        expect(await found(withLeaf(files.keyshares, [...item, "data", "ownerNonce"], 2))).to.deep.equal([
          ["OwnerNonceSignatureInvalid"],
        ]);
        const owner = getAddress(`0x${"44".repeat(20)}`);
        const size = Number(fixture.name.split("-")[0]);
        expect(await found(withLeaf(files.keyshares, [...item, "data", "ownerAddress"], owner))).to.deep.equal([
          ["OwnerNonceSignatureInvalid", ...Array<string>(size).fill("ProofMismatch")],
        ]);

        const shares = leaves(files.keyshares).find(({ path }) => path.at(-1) === "sharesData")!;
        const hex = String(shares.value);
        const at = { keys: 2 + HEX.signature, ciphertexts: 2 + HEX.signature + size * HEX.key };
        const swap = (from: number, length: number, count = 1): Json => {
          const [a, b] = [hex.slice(from, from + length), hex.slice(from + length, from + 2 * length)];
          return withLeaf(
            files.keyshares,
            shares.path,
            hex.slice(0, from) + b.repeat(count) + a.repeat(2 - count) + hex.slice(from + 2 * length),
          );
        };
        expect(await found(swap(at.keys, HEX.key))).to.deep.equal([
          ["SharesNotOnPolynomial", "ProofMismatch", "ProofMismatch"],
        ]);
        expect(await found(swap(at.ciphertexts, HEX.ciphertext))).to.deep.equal([["ProofMismatch", "ProofMismatch"]]);
        // the second operator's share for both
        expect(await found(swap(at.keys, HEX.key, 2))).to.deep.equal([["SharesNotOnPolynomial", "ProofMismatch"]]);
        expect(await found(swap(at.ciphertexts, HEX.ciphertext, 2))).to.deep.equal([["ProofMismatch"]]);
      }
    });

    it("are wrong with proofs of other operators, and without some", async function () {
      for (const fixture of dkgFixtures(this)) {
        const files = filesOf(fixture);
        const proofs = files.proofs as Json[];
        const found = async (changed: Json) =>
          codes(await inspect(inMemory({ ...files, proofs: changed }), { amount: optionsOf(fixture).amount! }));
        expect(await found(proofs.slice(1))).to.deep.equal([["ProofCount"]]);
        expect(await found([proofs[1]!, proofs[0]!, ...proofs.slice(2)])).to.deep.equal([
          ["ProofMismatch", "ProofMismatch"],
        ]);
        const ours = { amount: optionsOf(fixture).amount!, operatorsFile: optionsOf(fixture).operatorsFile! };
        const key = leaves(files.keyshares).filter(({ path }) => path.at(-1) === "operatorKey");
        const keyshares = withLeaf(files.keyshares, key[0]!.path, key[1]!.value);
        // they are of the operators' own keys, whatever the file says
        expect(codes(await inspect(inMemory({ ...files, keyshares }), ours))).to.deep.equal([
          ["OperatorKeyDiffers", "OperatorKeyTwice"],
        ]);
        const signatures = withLeaf(proofs, ["0", "signature"], fieldOf(proofs[1], "signature") as Json);
        expect(await found(signatures)).to.deep.equal([["ProofSignatureInvalid"]]);
      }
    });

    it("are wrong with one bit flipped in any field that says something", async function () {
      // who made the file, when, and with what is written for people
      const DESCRIPTIVE = ["version", "createdAt", "deposit_cli_version"];
      for (const fixture of dkgFixtures(this).filter(({ name }) => name === "4-operators")) {
        const files = filesOf(fixture);
        const options = optionsOf(fixture);
        const good: string[] = [];
        let flipped = 0;
        for (const kind of ["keyshares", "deposits", "proofs"] as const) {
          for (const { path, value } of leaves(files[kind])) {
            if (DESCRIPTIVE.includes(path.at(-1) ?? "")) continue;
            for (const changed of flips(path.at(-1) ?? "", value)) {
              flipped++;
              const report = await inspect(
                inMemory({ ...files, [kind]: withLeaf(files[kind], path, changed) }),
                options,
              );
              if (isGood(report)) good.push(`${kind} ${path.join(".")}`);
            }
          }
        }
        expect(good).to.deep.equal([]);
        expect(flipped).to.be.above(140);
      }
    });

    function flips(name: string, value: string | number): (string | number)[] {
      if (typeof value === "number") return [value ^ 1];
      const last = value.length - 1;
      const positions =
        name === "sharesData"
          ? Array.from({ length: 40 }, (_, i) => Math.floor((i * last) / 39)) // signature, every key, every ciphertext
          : name === "operatorKey"
            ? [0, last >> 1] // the text of the key ends with line ends
            : [0, last >> 1, last];
      return positions.map(
        (at) => value.slice(0, at) + String.fromCharCode(value.charCodeAt(at) ^ 1) + value.slice(at + 1),
      );
    }
  });

  describe("batches", () => {
    const account = getAddress(`0x${"81".repeat(20)}`);
    const vault = getAddress(`0x${"33".repeat(20)}`);
    const operators = testOperators(4).map(({ id, publicKeyPem }) => ({ id, publicKeyPem }));
    const terms = {
      withdrawalCredentials: withdrawalCredentials(vault),
      genesisForkVersion: "0x10000910",
      networkName: "hoodi",
    };
    const validators = prepareValidators({ ...terms, count: 4, account, firstNonce: 7n, operators });
    let folder: string;
    let paths: { shares: string; deposits: string; operators: string };
    let files: Pick<Files, "keyshares" | "deposits">;
    let options: InspectOptions;
    beforeEach(async () => {
      folder = mkdtempSync(join(tmpdir(), "pooleth-inspect-"));
      paths = {
        shares: join(folder, "keyshares.json"),
        deposits: join(folder, "deposit_data.json"),
        operators: join(folder, "operators.json"),
      };
      const items = validators.map((validator) => ({ ...validator, ownerAddress: account, operators }));
      await writeKeyShares(paths.shares, items, new Date(0));
      const deposits = validators.map((validator) => ({ ...validator, ...terms, amountGwei: DEPOSIT_GWEI }));
      await writeDepositData(paths.deposits, deposits);
      const keys = operators.map(({ id, publicKeyPem }) => ({
        id: Number(id),
        operatorKey: operatorKeyToBase64(publicKeyPem),
      }));
      writeFileSync(paths.operators, JSON.stringify(keys));
      files = {
        keyshares: JSON.parse(readFileSync(paths.shares, "utf8")) as Json,
        deposits: JSON.parse(readFileSync(paths.deposits, "utf8")) as Json,
      };
      options = { account, nonce: 7, withdrawalVault: vault, network: "hoodi", operatorsFile: paths.operators };
    });
    afterEach(() => {
      rmSync(folder, { recursive: true });
    });

    const item = (json: Json, at: number): Json => (fieldOf(json, "shares") as Json[])[at]!;
    const withShares = (change: (shares: Json[]) => Json[]): Pick<Files, "keyshares" | "deposits"> => ({
      ...files,
      keyshares: { ...(files.keyshares as object), shares: change(fieldOf(files.keyshares, "shares") as Json[]) },
    });
    const found = async (changed: Partial<Files>, more: InspectOptions = {}) =>
      codes(await inspect(inMemory(changed), { ...options, ...more }));

    it("of our own are good, in files in any order", async () => {
      const report = await inspect(await readKeyFiles([paths.deposits, paths.shares]), options);
      expect(codes(report)).to.deep.equal([[], [], [], []]);
      expect(report.validators.map(({ nonce }) => nonce)).to.deep.equal([7n, 8n, 9n, 10n]);
      const reversed = withShares((shares) => shares.toReversed());
      expect((await inspect(inMemory(reversed), options)).validators.map(({ publicKey }) => publicKey)).to.deep.equal(
        validators.map(({ publicKey }) => publicKey),
      );
    });

    it("of ssv-keys 1.0, a file each, get the nonces that follow", async () => {
      const single = (at: number): Json => {
        const { data, payload } = item(files.keyshares, at) as { data: Record<string, Json>; payload: Json };
        const { ownerNonce, ownerAddress, ...rest } = data;
        expect([ownerNonce, ownerAddress]).to.deep.equal([7 + at, account]);
        return { version: "v1.0.1", createdAt: "2023-12-10T09:46:49.972Z", data: rest, payload };
      };
      const read = [0, 1, 2, 3].reduce(
        (all, at) => withFile(all, `keyshares-${at}.json`, single(at)),
        withFile(NONE, "deposit_data.json", files.deposits),
      );
      const report = await inspect(read, options);
      expect(codes(report)).to.deep.equal([[], [], [], []]);
      expect(report.validators.map(({ nonce }) => nonce)).to.deep.equal([7n, 8n, 9n, 10n]);
      expect(codes(await inspect(read, { ...options, nonce: 8 }))).to.deep.equal(
        Array(4).fill(["OwnerNonceSignatureInvalid"]),
      );
      // nothing tells for whom they are signed
      const { account: _account, nonce: _nonce, ...unknown } = options;
      const blind = await inspect(read, unknown);
      expect(codes(blind)).to.deep.equal([[], [], [], []]);
      expect(blind.notChecked.join("\n")).to.include("nor the signatures over it").and.include("(--account)");
    });

    it("with a gap, with a nonce twice and from another nonce are refused from there on", async () => {
      const without = (at: number) => ({
        ...withShares((shares) => shares.toSpliced(at, 1)),
        deposits: (files.deposits as Json[]).toSpliced(at, 1),
      });
      expect(await found(without(1))).to.deep.equal([[], ["NonceDiffers"], ["NonceDiffers"]]);
      expect(await found(without(0))).to.deep.equal([["NonceDiffers"], ["NonceDiffers"], ["NonceDiffers"]]);
      expect(await found(without(3))).to.deep.equal([[], [], []]);
      expect(await found(files, { nonce: 9 })).to.deep.equal([["NonceDiffers"], ["NonceDiffers"], [], []]);
      const twice = withLeaf(files.keyshares, ["shares", "1", "data", "ownerNonce"], 7);
      expect(await found({ ...files, keyshares: twice })).to.deep.equal([
        [],
        ["NonceTwice", "OwnerNonceSignatureInvalid"],
        ["NonceDiffers"],
        ["NonceDiffers"],
      ]);
      const { account: _account, nonce: _nonce, ...unknown } = options;
      expect(codes(await inspect(inMemory(without(1)), unknown))).to.deep.equal([
        [],
        ["NonceDiffers"],
        ["NonceDiffers"],
      ]);
    });

    it("say of each validator what is malformed, and judge the others", async () => {
      const keyshares = withLeaf(files.keyshares, ["shares", "1", "payload", "sharesData"], "0x1234");
      const deposits = withLeaf(files.deposits, ["2", "deposit_data_root"], "11".repeat(32));
      const report = await inspect(inMemory({ keyshares, deposits }), options);
      const { publicKey } = validators[1]!;
      expect(report.validators.find((validator) => validator.publicKey === publicKey)!.findings).to.have.length(1);
      expect(codes(report).flat()).to.deep.equal(["Malformed", "Malformed"]);
      expect(messages(report))
        .to.include("keyshares.json, item 1, field payload.sharesData:")
        .and.include("deposits.json, item 2, field deposit_data_root:");
      const unreadable = withLeaf(files.keyshares, ["shares", "3"], null);
      const rest = await inspect(inMemory({ ...files, keyshares: unreadable }), options);
      expect(codes(rest)).to.deep.equal([[], [], [], ["Malformed"], ["KeySharesMissing"]]);
    });

    it("miss what a validator has no part of", async () => {
      const [first] = files.deposits as Json[];
      expect(await found({ ...files, deposits: [first!] })).to.deep.equal([
        [],
        ...Array<string[]>(3).fill(["DepositDataMissing"]),
      ]);
      expect(await found(withShares((shares) => shares.slice(0, 3)))).to.deep.equal([[], [], [], ["KeySharesMissing"]]);
    });

    it("may be deposits alone or KeyShares alone, which is said", async () => {
      for (const [part, what] of [
        ["keyshares", "deposits: no deposit data"],
        ["deposits", "shares: no KeyShares"],
      ] as const) {
        const report = await inspect(inMemory({ [part]: files[part] }), options);
        expect(codes(report)).to.deep.equal([[], [], [], []]);
        expect(report.notChecked.join("\n")).to.include(what);
      }
    });

    it("with a key twice are refused", async () => {
      const twice = withShares((shares) => [...shares, shares[0]!]);
      const report = await inspect(inMemory({ ...twice, deposits: [...(files.deposits as Json[])] }), options);
      expect(codes(report)[1]).to.include("DuplicatePublicKey").and.include("NonceTwice");
      const deposits = [...(files.deposits as Json[]), (files.deposits as Json[])[2]!];
      expect((await found({ ...files, deposits })).at(-1)).to.deep.equal(["KeySharesMissing", "DuplicatePublicKey"]);
    });

    it("are compared with the operators' keys", async () => {
      const [one, two, ...rest] = JSON.parse(readFileSync(paths.operators, "utf8")) as {
        id: number;
        operatorKey: string;
      }[];
      const listed = (operatorsOf: object[]) => {
        writeFileSync(paths.operators, JSON.stringify(operatorsOf));
        return found(files);
      };
      const [other] = testOperators(5).slice(4);
      const operatorKey = operatorKeyToBase64(other!.publicKeyPem);
      expect(await listed([{ ...one!, operatorKey }, two!, ...rest])).to.deep.equal(
        Array(4).fill(["OperatorKeyDiffers"]),
      );
      expect(await listed([two!, ...rest])).to.deep.equal(Array(4).fill(["OperatorUnknown"]));
      const shared = withLeaf(
        files.keyshares,
        ["shares", "0", "data", "operators", "1", "operatorKey"],
        one!.operatorKey,
      );
      const { operatorsFile: _file, ...unknown } = options;
      const report = await inspect(inMemory({ ...files, keyshares: shared }), unknown);
      expect(codes(report)).to.deep.equal([["OperatorKeyTwice"], [], [], []]);
      expect(report.notChecked.join("\n")).to.include("(--operators-file)");
    });

    it("name the network that their fork version is of", async () => {
      const { network: _network, ...unknown } = options;
      const deposits = withLeaf(files.deposits, ["0", "network_name"], "hoodie");
      expect(codes(await inspect(inMemory({ ...files, deposits }), unknown))).to.deep.equal([
        ["NetworkDiffers"],
        [],
        [],
        [],
      ]);
    });

    it("in which nothing can be read are one line each", async () => {
      const write = (name: string, text: string | Buffer): string => {
        writeFileSync(join(folder, name), text);
        return join(folder, name);
      };
      const shares = readFileSync(paths.shares, "utf8");
      const huge = write("huge.json", "[");
      truncateSync(huge, 2 ** 27 + 1);
      const cases: [path: string, why: string][] = [
        [write("text.json", "not JSON"), "it is not JSON"],
        [write("empty.json", ""), "it is not JSON"],
        [write("cut.json", shares.slice(0, -20)), "it is not JSON"],
        [write("deep.json", "[".repeat(200_000)), "it is not JSON"],
        [write("octets.json", Buffer.from([0xff, 0xfe, 0x00])), "it is not JSON"],
        [huge, "it has 134217729 octets"],
        [join(folder, "none.json"), "ENOENT"],
        [folder, "it is no file"],
        [write("null.json", "null"), "neither KeyShares nor deposit data nor DKG proofs"],
        [write("object.json", "{}"), "neither KeyShares nor deposit data nor DKG proofs"],
        [write("list.json", "[]"), "Too small"],
        [write("nested.json", `${"[".repeat(5_000)}${"]".repeat(5_000)}`), "item 0"],
        [write("version.json", shares.replace("v1.2.0", "v2.0.0")), "v2.0.0 is not known here"],
        [write("unversioned.json", shares.replace('"version": "v1.2.0",', "")), "field version"],
        [write("repeated.json", shares.replace('"version"', '"version": "v1.2.0", "version"')), '"version" is twice'],
        [write("keystore.json", '{"crypto":{},"pubkey":"00"}'), "it is a keystore"],
      ];
      const report = await inspect(await readKeyFiles(cases.map(([path]) => path)), options);
      const lines = printReport(report, (line) => line).filter((line) => line.startsWith("WRONG"));
      expect(lines).to.have.length(cases.length);
      for (const [path, why] of cases) {
        const line = lines.find((text) => text.includes(path) && text.includes(why));
        expect(line, `${path}: ${why}\n${lines.join("\n")}`).to.be.a("string");
        expect(line).to.not.include("\n");
      }
      expect(isGood(report)).to.equal(false);
    });

    it("with points, keys and numbers of every wrong kind are refused by what is wrong", async () => {
      const shares = String(leaves(files.keyshares).find(({ path }) => path.at(-1) === "sharesData")!.value);
      const key = (hex: string): Json => `${shares.slice(0, 2 + 192)}${hex}${shares.slice(2 + 192 + 96)}`;
      const point = (head: string, tail: string): string => `${head}${"00".repeat(46)}${tail}`;
      const fieldOrder =
        "9a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
      const operator = ["shares", "0", "data", "operators", "0", "operatorKey"];
      const ec = Buffer.from("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").toString("base64");
      const cases: [path: string[], value: Json, why: string][] = [
        [["shares", "0", "payload", "sharesData"], key(point("80", "01")), "not on the curve"],
        [["shares", "0", "payload", "sharesData"], key(point("80", "04")), "not in the subgroup"],
        [["shares", "0", "payload", "sharesData"], key(point("c0", "00")), "the point at infinity"],
        [["shares", "0", "payload", "sharesData"], key(point("c0", "01")), "encoding"],
        [["shares", "0", "payload", "sharesData"], key(fieldOrder), "encoding"],
        [["shares", "0", "payload", "sharesData"], `${shares}0`, "must be hex with 0x"],
        [["shares", "0", "payload", "sharesData"], `${shares}00`, "bytes, not"],
        [["shares", "0", "payload", "sharesData"], shares.slice(2), "must be hex with 0x"],
        [["shares", "0", "payload", "operatorIds"], [3, 3, 4, 7], "distinct"],
        [["shares", "0", "payload", "operatorIds", "0"], 2 ** 60, "payload.operatorIds.0"],
        [["shares", "0", "data", "ownerNonce"], 65_536, "data.ownerNonce"],
        [["shares", "0", "data", "ownerNonce"], 7.5, "data.ownerNonce"],
        [operator, "AAAA", "data.operators.0.operatorKey"],
        [operator, ec, "data.operators.0.operatorKey"],
      ];
      for (const [path, value, why] of cases) {
        const keyshares = withLeaf(files.keyshares, path, value);
        const report = await inspect(inMemory({ ...files, keyshares }), options);
        expect(isGood(report), why).to.equal(false);
        expect(messages(report), why).to.include(why);
      }
    });

    it("are printed, a line a validator, what is wrong marked", async () => {
      const keyshares = withLeaf(files.keyshares, ["shares", "1", "data", "ownerNonce"], 60_000);
      const bad = withLeaf(keyshares, ["version"], "v1.2.0");
      const report = await inspect(inMemory({ ...files, keyshares: bad }), options);
      const lines = printReport(report, (line) => `<${line}>`);
      expect(lines.filter((line) => line.startsWith("good"))).to.have.length(1); // those after the gap are wrong too
      expect(lines.filter((line) => line.startsWith("<WRONG  nonce"))).to.have.length(3);
      expect(lines[0]).to.equal(
        `good   nonce 7  ${validators[0]!.publicKey.slice(0, 12)}..${validators[0]!.publicKey.slice(-6)}  operators 3,4,7,12`,
      );
      expect(lines.join("\n"))
        .to.include("4 validators: 1 good, 3 wrong")
        .and.include("Not checked: whether keys were used");
      const json = JSON.parse(reportJson(report)) as { good: boolean; validators: { good: boolean; nonce: string }[] };
      expect(json.good).to.equal(false);
      expect(json.validators.map(({ good, nonce }) => [good, nonce])).to.deep.equal([
        [true, "7"],
        [false, "9"],
        [false, "10"],
        [false, "60000"],
      ]);
    });

    it("quote nothing of a file that moves the cursor", async () => {
      const deposits = withLeaf(files.deposits, ["0", "network_name"], "hoodi\u001b[2K\n");
      const lines = printReport(await inspect(inMemory({ ...files, deposits }), options), (line) => line);
      expect(Array.from(lines.join("|")).filter((character) => character < " ")).to.deep.equal([]);
    });

    it("are verified in threads when they are many, with the same result", async () => {
      const { verifyFiles } = await import("../../../oracle/keys/inspect/verifyFiles.js");
      const { judgeFiles } = await import("../../../oracle/keys/inspect/judgeFiles.js");
      const { collate } = await import("../../../oracle/keys/inspect/collate.js");
      const unknown = { account, firstNonce: 7n, withdrawalCredentials: null, networkName: null };
      const terms = { ...unknown, genesisForkVersion: null, amountGwei: DEPOSIT_GWEI, operators: null };
      const [first, second] = judgeFiles(collate(inMemory(files)), terms);
      const broken = { ...first!, subject: { ...first!.subject!, publicKey: second!.publicKey! } };
      const many = Array.from({ length: 70 }, (_, i) => (i === 66 ? broken : first!));
      let done = 0;
      const verified = await verifyFiles(many, (count) => (done += count), 2);
      expect(done).to.equal(70);
      expect(verified.flatMap(({ findings }, i) => (findings.length > 0 ? i : []))).to.deep.equal([66]);
      expect(verified[66]!.findings.map(({ code }) => code)).to.have.members([
        "DepositSignatureInvalid",
        "SharesNotOnPolynomial",
        "OwnerNonceSignatureInvalid",
      ]);
    });
  });
});
