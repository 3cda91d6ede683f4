import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { hexlify } from "ethers";
import { loadConfig } from "../../../oracle/config.js";
import { startLocalPool, type LocalCluster, type LocalPool } from "../../../devnet/pool.js";
import { DEPOSIT_GWEI, depositDataRoot, writeDepositData } from "../../../oracle/keys/depositData.js";
import { inspectFiles, type KeyReport } from "../../../oracle/keys/inspect/inspect.js";
import { readKeyFiles } from "../../../oracle/keys/inspect/keyFiles.js";
import { operatorKeyToBase64 } from "../../../oracle/keys/keyshares.js";
import { writeKeyShares } from "../../../oracle/keys/keysharesJson.js";
import type { PreparedValidator } from "../../../oracle/keys/prepare.js";
import { IDepositContract__factory } from "../../../types/ethers-contracts/index.js";
import { dkgProofs, HIGH_FEES } from "../stories/support.js";
import { pooleth } from "./process.js";

describe("pooleth keys verify, against a pool", () => {
  let pool: LocalPool;
  let cluster: LocalCluster;
  let proven: LocalCluster;
  let folder: string;
  let config: string;
  let credentials: string;

  before(async () => {
    pool = await startLocalPool({ clusterSizes: [4] });
    [cluster] = pool.clusters as [LocalCluster];
    proven = await pool.addCluster(cluster.operators, { requireDkg: true });
    folder = mkdtempSync(path.join(tmpdir(), "pooleth-"));
    config = path.join(folder, "config.json");
    writeFileSync(config, JSON.stringify({ ...pool.config("keeper", 0), dataDir: folder }), { mode: 0o600 });
    credentials = await pool.registry.withdrawalCredentials();
    // until a block is final
    await pool.devnet.advance(5 * 8);
  });
  after(async () => {
    await pool.close();
    rmSync(folder, { recursive: true });
  });

  /** The files of a batch in a folder of their own. */
  async function write(
    name: string,
    { operators, operatorIds, ssvAccount }: LocalCluster,
    validators: readonly PreparedValidator[],
  ): Promise<string[]> {
    const place = path.join(folder, name);
    mkdirSync(place, { recursive: true });
    const [shares, deposits] = [path.join(place, "keyshares.json"), path.join(place, "deposit_data.json")];
    const named = operators.map(({ publicKeyPem }, i) => ({ id: operatorIds[i] ?? 0n, publicKeyPem }));
    const items = validators.map((validator) => ({ ...validator, ownerAddress: ssvAccount, operators: named }));
    const terms = {
      withdrawalCredentials: credentials,
      genesisForkVersion: pool.devnet.genesisForkVersion,
      networkName: "pooleth-devnet",
      amountGwei: DEPOSIT_GWEI,
    };
    await writeKeyShares(shares, items, new Date(0));
    await writeDepositData(
      deposits,
      validators.map((validator) => ({ ...validator, ...terms })),
    );
    return [shares, deposits];
  }

  async function verify(...files: string[]): Promise<KeyReport & { codes: string[][] }> {
    const report = await inspectFiles(await readKeyFiles(files), {}, loadConfig(config, {}), {
      write: () => undefined,
    });
    return { ...report, codes: report.validators.map(({ findings }) => findings.map(({ code }) => code)) };
  }

  it("finds nothing against a new batch, and checks everything", async () => {
    const files = await write("new", cluster, await pool.prepare(cluster, 2));
    const { exitCode, lines } = await pooleth("keys", "verify", ...files, "--config", config, "--json");
    const { good, validators, notChecked } = JSON.parse(lines.join("\n")) as {
      good: boolean;
      validators: { publicKey: string; nonce: string; good: boolean; findings: unknown[] }[];
      notChecked: string[];
    };
    expect({ exitCode, good }).to.deep.equal({ exitCode: 0, good: true });
    expect(validators.map((validator) => [validator.good, validator.nonce, validator.findings])).to.deep.equal([
      [true, "0", []],
      [true, "1", []],
    ]);
    expect(notChecked).to.deep.equal(["whether shares decrypt: without DKG proofs each operator alone can tell"]);
  });

  it("finds a deposit that somebody made, in the queue of the beacon chain or on its way there", async () => {
    const [validator, other] = (await pool.prepare(cluster, 2)) as [PreparedValidator, PreparedValidator];
    const files = await write("deposited", cluster, [validator, other]);
    const { publicKey, depositSignature } = validator;
    const { depositContract } = await pool.registry.externals();
    const deposit = IDepositContract__factory.connect(depositContract, pool.user(0));
    const root = depositDataRoot(publicKey, credentials, DEPOSIT_GWEI, depositSignature);
    const value = DEPOSIT_GWEI * 10n ** 9n;
    await pool.devnet.mineTx(
      deposit.deposit(publicKey, credentials, depositSignature, root, { value, ...HIGH_FEES }),
      deposit.interface,
    );
    expect((await verify(...files)).codes).to.deep.equal([["AlreadyDeposited"], []]);
  });

  it("finds what was published, and nonces that are not next", async () => {
    const validators = await pool.prepare(cluster, 2);
    const files = await write("published", cluster, validators);
    await pool.publish(cluster, validators);
    const { codes } = await verify(...files);
    expect(codes).to.deep.equal(Array(2).fill(["NonceDiffers", "DuplicatePublicKey"]));
    const { codes: next } = await verify(...(await write("next", cluster, await pool.prepare(cluster, 1))));
    expect(next).to.deep.equal([[]]);
  });

  it("asks for DKG proofs where the cluster does", async () => {
    const [validator] = (await pool.prepare(proven, 1)) as [PreparedValidator];
    const files = await write("proven", proven, [validator]);
    expect((await verify(...files)).codes).to.deep.equal([["DkgProofsMissing"]]);
    const keys = proven.operators.map(({ privateKey }) => privateKey);
    const proofs = path.join(folder, "proven", "proofs.json");
    writeFileSync(proofs, JSON.stringify([dkgProofs(validator, proven.ssvAccount, keys)]));
    const { codes, notChecked } = await verify(...files, proofs);
    expect(codes).to.deep.equal([[]]);
    expect(notChecked).to.deep.equal([]);
  });

  it("compares operators' keys with SSV Network's, and marks nothing red where nobody looks", async () => {
    const [validator] = (await pool.prepare(cluster, 1)) as [PreparedValidator];
    const [first, second, ...rest] = cluster.operators;
    const swapped = { ...cluster, operators: [second!, first!, ...rest] } as LocalCluster;
    const files = await write("swapped", swapped, [validator]);
    const { exitCode, lines } = await pooleth("keys", "verify", ...files, "--config", config);
    expect(exitCode).to.equal(1);
    expect(lines[0])
      .to.match(/^WRONG {2}nonce \d+ {2}0x/)
      .and.include("another RSA key than the operator's");
    expect(lines.join("\n")).to.include("1 validator: 0 good, 1 wrong").and.not.include("\u001b");
  });

  it("has all who tell operators' keys agree: execution nodes, and a file", async () => {
    const files = await write("agreed", cluster, await pool.prepare(cluster, 1));
    const input = loadConfig(config, {});
    const twice = { ...input, executionUrls: [...input.executionUrls, ...input.executionUrls] };
    const list = (changed: object): string => {
      const listed = cluster.operators.map(({ publicKeyPem }, i) => ({
        id: Number(cluster.operatorIds[i]),
        operatorKey: operatorKeyToBase64(publicKeyPem),
      }));
      const file = path.join(folder, "operators.json");
      // of operators that the batch does not have it may say anything
      writeFileSync(
        file,
        JSON.stringify([
          { ...listed[0], ...changed },
          { ...listed[1], id: 999 },
        ]),
      );
      return file;
    };
    const inspect = async (operatorsFile: string): Promise<KeyReport> =>
      inspectFiles(await readKeyFiles(files), { operatorsFile }, twice, { write: () => undefined });
    expect((await inspect(list({}))).validators.map(({ findings }) => findings)).to.deep.equal([[]]);
    const other = operatorKeyToBase64(cluster.operators[2]?.publicKeyPem ?? "");
    const refused = await inspect(list({ operatorKey: other })).catch((error: unknown) => error);
    expect(refused).to.have.property("code", "OperatorsDiffer");
  });

  it("does with an execution node alone what that one knows, and says so", async () => {
    const files = await write("rpc", cluster, await pool.prepare(cluster, 1));
    const { executionUrls, poolManager } = pool.config("keeper", 0);
    const { exitCode, lines } = await pooleth(
      ...["keys", "verify", ...files, "--rpc", executionUrls[0]!, "--pool-manager", poolManager],
      ...["--genesis-fork-version", hexlify(pool.devnet.genesisForkVersion)],
    );
    expect(exitCode, lines.join("\n")).to.equal(0);
    expect(lines.join("\n")).to.include("Not checked: whether somebody deposited");
  });
});
