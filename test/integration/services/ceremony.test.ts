import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { hexlify, parseEther, Wallet, type TransactionRequest } from "ethers";
import { startLocalPool, type LocalCluster, type LocalPool } from "../../../devnet/pool.js";
import { PoolError } from "../../../oracle/errors.js";
import { clusterCommand } from "../../../oracle/keys/commands/cluster.js";
import { publishCommand } from "../../../oracle/keys/commands/publish.js";
import { DEPOSIT_GWEI, writeDepositData } from "../../../oracle/keys/depositData.js";
import { writeKeyShares } from "../../../oracle/keys/keysharesJson.js";
import { decodeEntries, encodeEntries, type PreparedValidator } from "../../../oracle/keys/prepare.js";
import { safeChecksum, type SafeBatch } from "../../../oracle/keys/publish/safe.js";
import { dkgProofs, HIGH_FEES } from "../stories/support.js";
import { dkgFixtures } from "../../unit/keys/support.js";
import { CommandProcess, pooleth } from "./process.js";

const PASSWORD = "correct horse battery staple";
/** Of 13 operators 20 keys go into a transaction: two transactions. */
const KEYS = 21;

describe("the key ceremony, by pooleth as a process", () => {
  let pool: LocalPool;
  let folder: string;
  let wide: LocalCluster;
  let narrow: LocalCluster;
  let proven: LocalCluster;
  let config: string[];
  let keyFile: string[];

  before(async () => {
    pool = await startLocalPool({ clusterSizes: [13, 4] });
    [wide, narrow] = pool.clusters as [LocalCluster, LocalCluster];
    proven = await pool.addCluster(narrow.operators, { requireDkg: true });
    folder = mkdtempSync(path.join(tmpdir(), "pooleth-"));
    config = [
      "--config",
      write("config.json", JSON.stringify({ ...pool.config("keeper", 0), dataDir: folder, pollSeconds: 0.02 })),
    ];
    keyFile = ["--key-file", write("operator.key", pool.poolOperator.privateKey)];
  });
  after(async () => {
    await pool.close();
    rmSync(folder, { recursive: true });
  });

  const write = (name: string, content: string): string => {
    const file = path.join(folder, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  };
  /** Runs a command to its end, with a slot for each transaction that it sends. */
  const follow = async (command: CommandProcess): Promise<{ exitCode: number | null; lines: string[] }> => {
    while (await command.until(isWaiting)) await pool.devnet.advance(1);
    return command.done();
  };
  const nonces = async (): Promise<[mined: number, pending: number]> => {
    const { provider } = pool.devnet;
    const { address } = pool.poolOperator;
    return Promise.all([provider.getTransactionCount(address), provider.getTransactionCount(address, "pending")]);
  };
  /** Whether a transaction of the pool operator waits for a block. */
  const isWaiting = async (): Promise<boolean> => {
    const [mined, pending] = await nonces();
    return pending > mined;
  };
  const published = async ({ clusterId }: LocalCluster): Promise<string[]> => {
    const { registry } = pool;
    const events = await registry.queryFilter(registry.filters.Published(undefined, clusterId));
    const { operatorIds } = await registry.cluster(clusterId);
    return events.flatMap(({ args }) => decodeEntries(args.data, operatorIds.length).map(({ publicKey }) => publicKey));
  };
  const publish = (files: readonly string[], ...options: string[]): CommandProcess =>
    new CommandProcess("keys", "publish", ...files, ...config, ...options);
  /** For commands in this process, whose environment is that of the tests. */
  const onChain = (): string[] => {
    const { rpcUrl, genesisForkVersion } = pool.devnet;
    const { poolManager } = pool.deployment.addresses;
    return ["--rpc", rpcUrl, "--pool-manager", poolManager, "--genesis-fork-version", hexlify(genesisForkVersion)];
  };
  /** The files of a batch, as tools write them. */
  const batchFiles = async (
    name: string,
    cluster: LocalCluster,
    validators: readonly PreparedValidator[],
  ): Promise<string[]> => {
    const operators = cluster.operators.map(({ publicKeyPem }, i) => ({
      id: cluster.operatorIds[i] ?? 0n,
      publicKeyPem,
    }));
    const [shares, deposits] = [
      path.join(folder, `keyshares-${name}.json`),
      path.join(folder, `deposit_data-${name}.json`),
    ];
    const terms = {
      withdrawalCredentials: await pool.registry.withdrawalCredentials(),
      genesisForkVersion: pool.devnet.genesisForkVersion,
      networkName: "pooleth-devnet",
      amountGwei: DEPOSIT_GWEI,
    };
    const items = validators.map((validator) => ({ ...validator, ownerAddress: cluster.ssvAccount, operators }));
    await writeKeyShares(shares, items, new Date(0));
    await writeDepositData(
      deposits,
      validators.map((validator) => ({ ...validator, ...terms })),
    );
    return [shares, deposits];
  };

  it("from generate to deposits: publishing is killed in the middle, and resumed", async () => {
    const keystores = path.join(folder, "keys");
    const password = ["--password-file", write("password", PASSWORD)];
    const made = await pooleth(
      ...["keys", "generate", "--count", String(KEYS), "--random", "--kdf", "pbkdf2", "--out", keystores],
      ...[...password, ...config],
    );
    expect(made.exitCode, made.lines.join("\n")).to.equal(0);
    const batch = path.join(folder, "batch");
    const split = await pooleth(
      ...["keys", "split", keystores, "--cluster", String(wide.clusterId), "--out", batch],
      ...[...password, ...config],
    );
    expect(split.exitCode, split.lines.join("\n")).to.equal(0);
    const files = readdirSync(batch).map((name) => path.join(batch, name));

    const dry = publish(files, ...keyFile);
    expect(await dry.exit, dry.lines.join("\n")).to.equal(0);
    expect(dry.lines.join("\n"))
      .to.match(/to publish +21 +in 2 transactions/)
      .and.match(/A key costs [\d,]+ gas, 0\.\d+ ETH, at [\d.]+ gwei a gas\./)
      .and.include("Dry run: nothing was sent");
    expect(await nonces()).to.deep.equal([0, 0]);

    const first = publish(files, ...keyFile, "--no-dry-run");
    expect(await first.until(isWaiting), first.lines.join("\n")).to.equal(true);
    await first.kill();
    // whoever resumes too early waits for what is on its way
    const second = publish(files, ...keyFile, "--no-dry-run");
    await second.until(() => second.lines.some((line) => line.includes("to publish")));
    expect(await nonces()).to.deep.equal([0, 1]);
    await pool.devnet.advance(1);
    expect(await second.until(isWaiting), second.lines.join("\n")).to.equal(true);
    await second.kill();
    await pool.devnet.advance(1);
    const third = await follow(publish(files, ...keyFile, "--no-dry-run"));
    expect(third.exitCode, third.lines.join("\n")).to.equal(0);
    expect(third.lines.at(-1)).to.include("All keys of the batch are published");
    expect(await nonces()).to.deep.equal([2, 2]);
    const keys = await published(wide);
    expect([keys.length, new Set(keys).size]).to.deep.equal([KEYS, KEYS]);

    await pool.stake(pool.user(0), parseEther("100"));
    await pool.startAll();
    const { registry, devnet } = pool;
    await devnet.advanceUntil(async () => (await registry.account(wide.accountId)).vetted === 2n, 64);
    // guardians fund two of a cluster before one of them has attested
    await devnet.advanceUntil(async () => (await registry.cluster(wide.clusterId)).deposited === 2n, 200);
    const { lines } = await publish(files, ...keyFile).done();
    expect(lines.join("\n"))
      .to.match(/vetted, wait for their turn +19\b/)
      .and.match(/funded +2\b/);
  }).timeout(240_000);

  it("offline: with the options that `keys cluster` prints, a batch that can be published", async () => {
    const lines: string[] = [];
    const say = (line: string): void => void lines.push(...line.split("\n"));
    const io = { print: say, warn: () => undefined, progress: { write: () => true } };
    const terms = path.join(folder, "terms");
    await clusterCommand(io).parseAsync([String(narrow.clusterId), ...onChain(), "--out", terms], { from: "user" });
    expect(lines).to.include(`Cluster ${narrow.clusterId} on chain-${pool.devnet.chainId} takes split keys.`);
    const optionsOf = (command: string): string[] =>
      lines
        .find((line) => line.startsWith(`  pooleth keys ${command} `))!
        .split(" --")
        .slice(1)
        .flatMap((option) => `--${option}`.split(" "));
    const secret = ["--password-file", write("password", PASSWORD)];
    const [keystores, batch] = [path.join(folder, "offline"), path.join(folder, "offline-batch")];
    const [, , ...generate] = optionsOf("generate"); // without the count
    for (const command of [
      ["generate", ...generate, "--count", "1", "--random", "--kdf", "pbkdf2", "--out", keystores],
      ["split", keystores, ...optionsOf("split"), "--out", batch],
    ]) {
      const done = await pooleth("keys", ...command, ...secret);
      expect(done.exitCode, done.lines.join("\n")).to.equal(0);
    }
    const files = readdirSync(batch).map((name) => path.join(batch, name));
    await publishCommand(io).parseAsync([...files, ...onChain(), ...keyFile], { from: "user" });
    expect(lines.join("\n"))
      .to.match(/to publish +1 +in 1 transaction/)
      .and.include("Dry run: nothing was sent");

    lines.length = 0;
    await clusterCommand(io).parseAsync([String(proven.clusterId), ...onChain(), "--out", terms, "--force"], {
      from: "user",
    });
    expect(lines.join("\n"))
      .to.include("takes only keys of a DKG ceremony")
      .and.include(
        `--owner ${proven.ssvAccount} --nonce 0 --withdrawAddress ${pool.deployment.addresses.withdrawalVault} `,
      );
  });

  it("two at once, replaced transactions and others of the same key: every key is published once", async () => {
    const validators = await pool.prepare(narrow, 3);
    const files = await batchFiles("raced", narrow, validators);
    const { provider } = pool.devnet;
    const other: TransactionRequest = { to: pool.poolOperator.address, ...HIGH_FEES };

    // another transaction takes the place of the publication
    const raced = publish(files, ...keyFile, "--no-dry-run");
    await raced.until(isWaiting);
    await pool.poolOperator.sendTransaction({ ...other, nonce: (await nonces())[0] });
    await pool.devnet.advance(1);
    expect(await published(narrow)).to.deep.equal([]);
    // it is sent again, and then another process publishes the same first
    await raced.until(isWaiting);
    const { nonce, queued } = await pool.registry.account(narrow.accountId);
    const entries = encodeEntries(validators);
    await pool.poolOperator.sendTransaction({
      ...(await pool.registry.publish.populateTransaction(narrow.clusterId, nonce + queued, entries, "0x")),
      ...HIGH_FEES,
      gasLimit: 1_000_000, // to estimate it would be refused: the node reckons with what waits
      nonce: (await nonces())[0],
    });
    await pool.devnet.advance(1);
    const { exitCode, lines } = await follow(raced);
    expect(exitCode, lines.join("\n")).to.equal(0);
    expect(await published(narrow)).to.deep.equal(validators.map(({ publicKey }) => publicKey));

    const mined = await provider.getTransactionCount(pool.poolOperator.address);
    const again = await publish(files, ...keyFile, "--no-dry-run").done();
    expect(again.exitCode, again.lines.join("\n")).to.equal(0);
    expect(again.lines.join("\n")).to.include("All keys of the batch are published");
    expect(await nonces()).to.deep.equal([mined, mined]);
  });

  it("a batch for nonces that others took, or that are not next, is refused with the nonce that is", async () => {
    const next = 3;
    const late = await pool.prepare(narrow, 2, -2n);
    const taken = await publish(await batchFiles("taken", narrow, late), ...keyFile, "--no-dry-run").done();
    expect(taken.exitCode).to.equal(1);
    expect(taken.lines).to.have.length(1);
    expect(taken.lines[0]).to.include(`${late[0]!.publicKey} was split for owner nonce 1, which 0x`);
    expect(taken.lines[0]).to.include(`split the keys again from nonce ${next}`);
    const early = await batchFiles("early", narrow, await pool.prepare(narrow, 1, 4n));
    const gap = await publish(early, ...keyFile, "--no-dry-run").done();
    expect([gap.exitCode, gap.lines.length]).to.deep.equal([1, 1]);
    expect(gap.lines[0]).to.include("begins at owner nonce 7").and.include(`so that ${next} is next`);
  });

  it("through a Safe: a file for each transaction, which its Transaction Builder takes, once", async () => {
    const safe = pool.poolOperator.address; // the registry asks for an address, whatever is behind it
    const validators = await pool.prepare(narrow, 81);
    const files = await batchFiles("safe", narrow, validators);
    const out = path.join(folder, "safe");
    const options = ["--safe", safe, "--out", out];
    const { exitCode, lines } = await publish(files, ...options).done();
    expect(exitCode, lines.join("\n")).to.equal(0);
    const names = ["publish-nonce-000003.json", "publish-nonce-000083.json"];
    expect(readdirSync(out)).to.deep.equal(names);
    const before = await published(narrow);
    for (const name of names) {
      const batch = JSON.parse(readFileSync(path.join(out, name), "utf8")) as SafeBatch;
      expect(batch.meta.checksum).to.equal(safeChecksum(batch));
      expect([batch.chainId, batch.meta.createdFromSafeAddress]).to.deep.equal([String(pool.devnet.chainId), safe]);
      const [{ to, data, value }] = batch.transactions as [SafeBatch["transactions"][0]];
      await pool.devnet.mineTx(pool.poolOperator.sendTransaction({ to, data, value }), pool.registry.interface);
    }
    expect(await published(narrow)).to.deep.equal([...before, ...validators.map(({ publicKey }) => publicKey)]);
    const again = await publish(files, ...options).done();
    expect(again.lines.join("\n")).to.include("All keys of the batch are published");

    // half of another batch: the files of what is left must not replace those of the whole
    const more = await batchFiles("more", narrow, await pool.prepare(narrow, 1));
    writeFileSync(path.join(out, "publish-nonce-000084.json"), "");
    const refused = await publish(more, ...options).done();
    expect(refused.exitCode).to.equal(1);
    expect(refused.lines.at(-1)).to.include("publish-nonce-000084.json exists and is not replaced");
    expect(readdirSync(out)).to.have.length(3);
  });

  it("of a DKG ceremony: its proofs go along, guardians vet them, and without them nothing is sent", async () => {
    const validators = await pool.prepare(proven, 2);
    const files = await batchFiles("dkg", proven, validators);
    const keys = proven.operators.map(({ privateKey }) => privateKey);
    const proofs = validators.map((entry) => dkgProofs(entry, proven.ssvAccount, keys));
    const bare = await publish(files, ...keyFile, "--no-dry-run").done();
    expect([bare.exitCode, bare.lines.length]).to.deep.equal([1, 1]);
    expect(bare.lines[0]).to.include("takes only keys of a DKG ceremony");

    const [first, second] = proofs as [(typeof proofs)[0], (typeof proofs)[0]];
    const forged = write(
      "proofs-forged.json",
      JSON.stringify([first, second.map((proof) => ({ ...proof, signature: first[0]!.signature }))]),
    );
    const refused = await publish([...files, forged], ...keyFile, "--no-dry-run").done();
    expect([refused.exitCode, refused.lines.length]).to.deep.equal([1, 1]);
    expect(refused.lines[0]).to.include(validators[1]!.publicKey).and.include("did not sign its DKG proof");

    const good = write("proofs.json", JSON.stringify(proofs));
    const { exitCode, lines } = await follow(publish([...files, good], ...keyFile, "--no-dry-run"));
    expect(exitCode, lines.join("\n")).to.equal(0);
    const { registry, devnet } = pool;
    await devnet.advanceUntil(async () => (await registry.account(proven.accountId)).vetted === 1n, 64);
  });

  it("of ssv-dkg's fixtures: refused in one line, as they were made for another pool", async function () {
    for (const fixture of dkgFixtures(this)) {
      const files = ["keyshares.json", "deposit_data.json", "proofs.json"].map((name) =>
        path.join(fixture.folder, name),
      );
      const { exitCode, lines } = await publish(files, ...keyFile, "--no-dry-run").done();
      expect([exitCode, lines.length], lines.join("\n")).to.deep.equal([1, 1]);
      expect(lines[0]).to.include("The KeyShares were made for 0x").and.include("which is no account of this pool");
    }
  });

  it("malformed input is refused in one line each, and nothing is sent or written", async () => {
    const before = await nonces();
    const validators = await pool.prepare(narrow, 2);
    const [shares, deposits] = (await batchFiles("sound", narrow, validators)) as [string, string];
    const [other] = await batchFiles("strange", narrow, await pool.prepare(narrow, 1));
    const spoiled = validators.map((validator) => ({
      ...validator,
      sharesData: `${validator.sharesData.slice(0, 2 + 192)}${validators[0]!.sharesData.slice(2 + 192 + 96, 2 + 192 + 192)}${validator.sharesData.slice(2 + 192 + 96)}`,
    }));
    const stranger = write("stranger.key", Wallet.createRandom().privateKey);
    const open = write("open.key", pool.poolOperator.privateKey);
    chmodSync(open, 0o644);
    const send = ["--no-dry-run"];
    const out = path.join(folder, "nowhere");
    const cases: [args: string[], said: string][] = [
      [[path.join(folder, "missing.json"), ...keyFile, ...send], "missing.json"],
      [[write("empty.json", ""), deposits, ...keyFile, ...send], "empty.json"],
      [[write("list.json", "[]"), shares, ...keyFile, ...send], "list.json"],
      [[shares, ...keyFile, ...send], "deposit"],
      [[deposits, ...keyFile, ...send], "KeyShares"],
      [[other!, deposits, ...keyFile, ...send], "deposit"],
      [[...(await batchFiles("spoiled", narrow, spoiled)), ...keyFile, ...send], "not on one polynomial"],
      [[shares, deposits, "--key-file", path.join(folder, "no.key"), ...send], "--key-file: the file"],
      [[shares, deposits, "--key-file", shares, ...send], "holds no private key"],
      [[shares, deposits, "--key-file", open, ...send], "run chmod 600 on it"],
      [[shares, deposits, "--key-file", stranger, ...send], "is not the pool operator"],
      [[shares, deposits, "--safe", Wallet.createRandom().address, "--out", out], "is not the pool operator"],
    ];
    for (const [args, said] of cases) {
      const lines: string[] = [];
      const say = (line: string): void => void lines.push(line);
      const io = { print: say, warn: say, progress: { write: say } };
      const error = await publishCommand(io)
        .parseAsync([...args, ...onChain()], { from: "user" })
        .then(
          () => null,
          (thrown: unknown) => thrown,
        );
      expect(error, said).to.be.instanceOf(PoolError);
      // what the program prints of it
      expect([...lines, ...(error as PoolError).message.split("\n")]).to.have.length(1);
      expect((error as PoolError).message).to.include(said);
    }
    const nobody = await publish([shares, deposits], ...send).done();
    expect(nobody.exitCode).to.equal(1);
    expect(nobody.lines.at(-1)).to.include("Who sends it?");
    expect(await nonces()).to.deep.equal(before);
    expect(existsSync(out)).to.equal(false);
  });
});
