import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { getAddress } from "ethers";
import {
  DEPOSIT_GWEI,
  readDepositData,
  withdrawalCredentials,
  writeDepositData,
} from "../../../oracle/keys/depositData.js";
import { readDkgProofs } from "../../../oracle/keys/dkgProofs.js";
import { importCeremony, type ImportOptions } from "../../../oracle/keys/inspect/importCeremony.js";
import { readKeyShares, writeKeyShares } from "../../../oracle/keys/keysharesJson.js";
import { prepareValidators } from "../../../oracle/keys/prepare.js";
import { dkgProofs } from "../../integration/stories/support.js";
import { dkgFixtures, testOperators } from "./support.js";

const account = getAddress(`0x${"81".repeat(20)}`);
const vault = getAddress(`0x${"33".repeat(20)}`);
const terms = {
  withdrawalCredentials: withdrawalCredentials(vault),
  genesisForkVersion: "0x00000000",
  networkName: "mainnet",
};
const FILES = ["deposit_data.json", "keyshares.json", "proofs.json"] as const;
const SILENT = { write: () => undefined };

describe("keys/ceremonyFolder", () => {
  const signers = testOperators(4);
  const operators = signers.map(({ id, publicKeyPem }) => ({ id, publicKeyPem }));
  const validators = prepareValidators({ ...terms, count: 3, account, firstNonce: 2n, operators });
  const names = validators.map(({ ownerNonce, publicKey }) => `00000${ownerNonce}-${publicKey}`);
  let root: string;
  let whole: string;
  let folder: string;
  let options: ImportOptions;

  before(async () => {
    root = mkdtempSync(join(tmpdir(), "pooleth-ceremony-"));
    whole = join(root, "whole");
    const parts: { [File in (typeof FILES)[number]]: unknown[] } = {
      "deposit_data.json": [],
      "keyshares.json": [],
      "proofs.json": [],
    };
    let shares: object = {};
    for (const [i, validator] of validators.entries()) {
      const place = join(whole, names[i]!);
      mkdirSync(place, { recursive: true });
      await writeDepositData(join(place, FILES[0]), [{ ...validator, ...terms, amountGwei: DEPOSIT_GWEI }]);
      await writeKeyShares(join(place, FILES[1]), [{ ...validator, ownerAddress: account, operators }], new Date(0));
      const proofs = dkgProofs(
        validator,
        account,
        signers.map(({ privateKey }) => privateKey),
      );
      writeFileSync(join(place, FILES[2]), JSON.stringify(proofs));
      parts["deposit_data.json"].push((read(place, FILES[0]) as unknown[])[0]);
      shares = read(place, FILES[1]) as object;
      parts["keyshares.json"].push((shares as { shares: unknown[] }).shares[0]);
      parts["proofs.json"].push(proofs);
    }
    writeFileSync(join(whole, FILES[0]), JSON.stringify(parts["deposit_data.json"]));
    writeFileSync(join(whole, FILES[1]), JSON.stringify({ ...shares, shares: parts["keyshares.json"] }));
    writeFileSync(join(whole, FILES[2]), JSON.stringify(parts["proofs.json"]));
  });
  after(() => {
    rmSync(root, { recursive: true });
  });
  beforeEach(() => {
    folder = join(root, "ceremony");
    cpSync(whole, folder, { recursive: true });
    options = { account, nonce: 2, withdrawalVault: vault, network: "mainnet", count: 3, out: join(root, "out") };
  });
  afterEach(() => {
    for (const name of ["ceremony", "out"]) rmSync(join(root, name), { recursive: true, force: true });
  });

  const read = (place: string, name: string): unknown => JSON.parse(readFileSync(join(place, name), "utf8"));
  const change = (path: string, by: (json: never) => unknown): void => {
    const json = JSON.parse(readFileSync(join(folder, path), "utf8")) as never;
    writeFileSync(join(folder, path), JSON.stringify(by(json) ?? json));
  };
  const run = async (changed: Partial<ImportOptions> = {}) => {
    const result = await importCeremony(folder, { ...options, ...changed }, null, SILENT, new Date(0));
    const { problems, validators: found } = result.report;
    return {
      ...result,
      said: [...problems, ...found.flatMap(({ findings }) => findings.map(({ message }) => message))],
    };
  };

  it("makes of a ceremony the files of a batch, for its owner alone", async () => {
    const { report, paths, said } = await run();
    expect(said).to.deep.equal([]);
    expect(report.validators.map(({ publicKey, nonce }) => [publicKey, nonce])).to.deep.equal(
      validators.map(({ publicKey, ownerNonce }) => [publicKey, ownerNonce]),
    );
    const [deposits, proofs, shares] = paths as [string, string, string];
    expect(paths.map((path) => statSync(path).mode & 0o777)).to.deep.equal([0o600, 0o600, 0o600]);
    expect((await readDepositData(deposits)).map(({ publicKey }) => publicKey)).to.deep.equal(
      validators.map(({ publicKey }) => publicKey),
    );
    expect(await readDkgProofs(proofs)).to.deep.equal(read(whole, FILES[2]));
    expect((await readKeyShares(shares)).map(({ sharesData }) => sharesData)).to.deep.equal(
      validators.map(({ sharesData }) => sharesData),
    );
    const again = await run().catch((error: unknown) => error);
    expect(again).to.have.property("code", "FileExists");
  });

  it("takes the folders of ssv-dkg", async function () {
    for (const { name, folder: validator } of dkgFixtures(this)) {
      folder = join(root, "ceremony");
      rmSync(folder, { recursive: true });
      cpSync(join(validator, ".."), folder, { recursive: true });
      const terms = {
        account: "0xDCc846fA10C7CfCE9e6Eb37e06eD93b666cFC5E9",
        withdrawalVault: "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494",
        operatorsFile: join(validator, "../../operators_info.json"),
        amount: name === "13-operators" ? 2_048_000_000_000n : DEPOSIT_GWEI,
        ...{ nonce: 1, count: 1, out: join(root, name) },
      };
      const { said, paths } = await run(terms);
      expect(said, name).to.deep.equal([]);
      expect(paths).to.have.length(3);
      const late = await run({ ...terms, nonce: 2, out: join(root, `${name} late`) });
      expect(late.said).to.have.length(1);
      expect(late.paths).to.deep.equal([]);
    }
  });

  const cases: [what: string, spoil: () => void, said: string][] = [
    [
      "a folder less",
      () => {
        rmSync(join(folder, names[2]!), { recursive: true });
      },
      "has 2 validators, not 3",
    ],
    [
      "a file that is not ssv-dkg's",
      () => {
        writeFileSync(join(folder, "notes.txt"), "");
      },
      "notes.txt: ssv-dkg writes no such",
    ],
    [
      "a folder that is no validator's",
      () => {
        mkdirSync(join(folder, "000005"));
      },
      "000005: ssv-dkg writes no such",
    ],
    [
      "a failed ceremony",
      () => {
        writeFileSync(join(folder, "FAILED"), "operator 3\nis offline");
      },
      "failed: operator 3 is offline",
    ],
    [
      "a missing file",
      () => {
        rmSync(join(folder, names[1]!, FILES[2]));
      },
      `${FILES[2]} cannot be read as JSON: ENOENT`,
    ],
    [
      "a missing file of all",
      () => {
        rmSync(join(folder, FILES[0]));
      },
      `${FILES[0]} cannot be read as JSON: ENOENT`,
    ],
    [
      "a validator in another's folder",
      () => {
        renameSync(
          join(folder, names[1]!),
          join(
            folder,
            names[1]!.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
          ),
        );
      },
      "it is of the validator",
    ],
    [
      "a folder of another nonce",
      () => {
        renameSync(join(folder, names[2]!), join(folder, names[2]!.replace("000004", "000009")));
      },
      "data.ownerNonce: it is 4, but that of the folder is 9",
    ],
    [
      "two validators in one folder",
      () => {
        change(join(names[0]!, FILES[0]), (json: unknown[]) => [...json, ...json]);
      },
      "it has 2 validators, and its folder is of one",
    ],
    [
      "an aggregate that is short",
      () => {
        change(FILES[2], (json: unknown[]) => json.slice(1));
      },
      "folders of 3",
    ],
    [
      "an aggregate that differs",
      () => {
        change(FILES[0], (json: Record<string, unknown>[]) => void (json[1]!.signature = json[0]!.signature));
      },
      "item 1: it is not what the validator's own folder has",
    ],
    [
      "an old deposit tool",
      () => {
        change(
          join(names[0]!, FILES[0]),
          (json: Record<string, unknown>[]) => void (json[0]!.deposit_cli_version = "2.6.9"),
        );
      },
      "deposit_cli_version: it is 2.6.9",
    ],
  ];
  for (const [what, spoil, expected] of cases) {
    it(`refuses ${what}, and writes nothing`, async () => {
      spoil();
      const { said, paths } = await run();
      expect(said.join("\n")).to.include(expected);
      expect(paths).to.deep.equal([]);
      expect(readdirSync(root)).to.not.include("out");
    });
  }

  it("refuses files beside the only validator's folder, and leaves those of file managers", async () => {
    for (const name of names.slice(1)) rmSync(join(folder, name), { recursive: true });
    expect((await run({ count: 1 })).said.join("\n")).to.include("has no files beside its folder");
    for (const name of FILES) rmSync(join(folder, name));
    writeFileSync(join(folder, ".DS_Store"), "");
    expect((await run({ count: 1 })).said).to.deep.equal([]);
  });

  it("refuses wrong content, and writes nothing", async () => {
    const place = join(names[1]!, FILES[2]);
    change(place, (json: Record<string, unknown>[]) => void (json[2]!.signature = json[1]!.signature));
    change(FILES[2], (json: Record<string, unknown>[][]) => void (json[1]![2]!.signature = json[1]![1]!.signature));
    const { report, paths } = await run();
    expect(report.problems).to.deep.equal([]);
    expect(report.validators.map(({ findings }) => findings.map(({ code }) => code))).to.deep.equal([
      [],
      ["ProofSignatureInvalid"],
      [],
    ]);
    expect(paths).to.deep.equal([]);
  });

  it("names a folder that is none, or of one validator", async () => {
    folder = join(root, "nowhere");
    expect(await run().catch((error: unknown) => error))
      .to.have.property("message")
      .that.includes("(ENOENT)");
    folder = join(whole, names[0]!);
    expect((await run({ count: 0 })).said.join("\n")).to.include("it has no folder of a validator");
  });
});
