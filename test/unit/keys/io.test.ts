import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { ReadStream } from "node:tty";
import { expect } from "chai";
import { fileTime, OutputFiles, writeNewFile } from "../../../oracle/keys/io/output.js";
import { ProgressBar, progressLine } from "../../../oracle/keys/io/progress.js";
import { askSecret, readSecretFile } from "../../../oracle/keys/io/secrets.js";
import { inWorkers, sharedSecret } from "../../../oracle/keys/io/workers.js";

const text = (octets: Uint8Array): string => new TextDecoder().decode(octets);

describe("keys/io", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "pooleth-io-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  describe("output files", () => {
    const add = (files: OutputFiles, name: string, content: string): Promise<void> =>
      files.add(name, (path) => writeNewFile(path, content));

    it("appear all at once, for their owner alone", async () => {
      const out = join(folder, "a", "b");
      const files = await OutputFiles.open(out, false);
      await add(files, "one", "1");
      await add(files, "two", "2");
      expect(readdirSync(out).filter((name) => !name.startsWith("."))).to.deep.equal([]);
      expect(await files.commit()).to.deep.equal([join(out, "one"), join(out, "two")]);
      expect(readdirSync(out)).to.deep.equal(["one", "two"]);
      for (const name of ["one", "two"]) expect(statSync(join(out, name)).mode & 0o777).to.equal(0o600);
    });

    it("leave nothing when they are given up", async () => {
      const files = await OutputFiles.open(folder, false);
      await add(files, "one", "1");
      await files.discard();
      expect(readdirSync(folder)).to.deep.equal([]);
    });

    it("replace nothing that came meanwhile, and then none of them appears", async () => {
      const files = await OutputFiles.open(folder, false);
      await add(files, "one", "1");
      await add(files, "two", "2");
      writeFileSync(join(folder, "two"), "precious");
      const error = await files.commit().catch((e: unknown) => e);
      expect(error).to.have.property("code", "FileExists");
      await files.discard();
      expect(readdirSync(folder)).to.deep.equal(["two"]);
      expect(readFileSync(join(folder, "two"), "utf8")).to.equal("precious");
    });

    it("of two commands at once go to one of them", async () => {
      const both = await Promise.all([OutputFiles.open(folder, false), OutputFiles.open(folder, false)]);
      for (const [i, files] of both.entries()) await add(files, "one", String(i));
      const outcomes = await Promise.allSettled(both.map((files) => files.commit()));
      for (const files of both) await files.discard();
      const winners = outcomes.flatMap(({ status }, i) => (status === "fulfilled" ? [String(i)] : []));
      expect(winners).to.deep.equal([readFileSync(join(folder, "one"), "utf8")]);
    });

    it("say before the work what is in the way, and replace it with force", async () => {
      writeFileSync(join(folder, "one"), "old", { mode: 0o644 });
      const files = await OutputFiles.open(folder, false);
      const error = await files.assertFree("one").catch((e: unknown) => e);
      expect(error).to.have.property("message").that.includes("--force");
      await files.discard();
      const forced = await OutputFiles.open(folder, true);
      await add(forced, "one", "new");
      await forced.commit();
      expect(readFileSync(join(folder, "one"), "utf8")).to.equal("new");
      expect(statSync(join(folder, "one")).mode & 0o777).to.equal(0o600);
    });

    it("say which folder cannot be used", async () => {
      writeFileSync(join(folder, "file"), "");
      const error = await OutputFiles.open(join(folder, "file"), false).catch((e: unknown) => e);
      expect(error).to.have.property("code", "FolderUnusable");
    });

    it("are named by the second", () => {
      expect(fileTime(new Date("2026-04-13T10:00:00.999Z"))).to.equal("1776074400");
    });
  });

  describe("progress", () => {
    it("shows what is done and estimates what is left", () => {
      expect(progressLine("Keys", 0, 8, 0)).to.equal(`Keys [${" ".repeat(30)}] 0/8 0 %`);
      expect(progressLine("Keys", 2, 8, 10_000)).to.equal(`Keys [#######${" ".repeat(23)}] 2/8 25 % about 30 s left`);
      expect(progressLine("Keys", 1, 100, 60_000)).to.include("about 1 h 39 min left");
      expect(progressLine("Keys", 1, 3, 61_000)).to.include("about 2 min 2 s left");
      expect(progressLine("Keys", 8, 8, 100)).to.equal(`Keys [${"#".repeat(30)}] 8/8 100 % in 1 s`);
    });

    it("redraws a terminal, and writes a file a line now and then", () => {
      for (const [isTTY, expected] of [
        [true, 4],
        [false, 2],
      ] as const) {
        const written: string[] = [];
        let now = 0;
        const bar = new ProgressBar("Keys", 3, { isTTY, write: (line) => written.push(line) }, () => now);
        bar.advance(); // at once: not drawn
        now = 11_000;
        bar.advance();
        bar.advance();
        bar.end();
        expect(written).to.have.length(expected);
        expect(written.join("")).to.include("2/3 66 % about 6 s left").and.include("3/3 100 % in 11 s");
        expect(written.join("").includes("\r")).to.equal(isTTY);
        expect(written.join("").endsWith("\n")).to.be.true;
      }
    });
  });

  describe("secrets", () => {
    it("come from a file without its line end", async () => {
      const path = join(folder, "secret");
      for (const [content, secret] of [
        ["a b", "a b"],
        ["a b \n", "a b "],
        ["ä\r\n", "ä"],
        ["a\n\n", "a\n"],
      ]) {
        writeFileSync(path, content!, { mode: 0o600 });
        expect(text(await readSecretFile(path))).to.equal(secret);
      }
    });

    it("do not come from a file of others, nor from a folder", async () => {
      const path = join(folder, "secret");
      writeFileSync(path, "a");
      for (const mode of [0o604, 0o640, 0o610]) {
        chmodSync(path, mode);
        const error = await readSecretFile(path).catch((e: unknown) => e);
        expect(error).to.have.property("code", "SecretExposed");
      }
      mkdirSync(join(folder, "sub"));
      const error = await readSecretFile(join(folder, "sub")).catch((e: unknown) => e);
      expect(error).to.have.property("code", "BadSecretFile");
    });

    /** A terminal on which somebody types. */
    function terminal(): {
      input: ReadStream;
      modes: boolean[];
      shown: string[];
      output: { write: (t: string) => void };
    } {
      const modes: boolean[] = [];
      const shown: string[] = [];
      const stream = new PassThrough();
      const input = Object.assign(stream, {
        isTTY: true,
        setRawMode: (mode: boolean) => {
          modes.push(mode);
          shown.push(mode ? "raw" : "cooked");
          return stream;
        },
      }) as unknown as ReadStream;
      return { input, modes, shown, output: { write: (line) => shown.push(line) } };
    }

    it("are typed without being shown, corrected by character", async () => {
      const { input, modes, shown, output } = terminal();
      (input as unknown as PassThrough).write("pax\u007fssä🔑\u007f\u007f\u0008sé\r");
      expect(text(await askSecret("Password", input, output))).to.equal("passé");
      expect(modes).to.deep.equal([true, false]);
      expect(shown).to.deep.equal(["raw", "Password: ", "cooked", "\n"]);
    });

    it("may be typed ahead", async () => {
      const { input, output } = terminal();
      (input as unknown as PassThrough).write("one\ntwo\n");
      expect(text(await askSecret("1", input, output))).to.equal("one");
      expect(text(await askSecret("2", input, output))).to.equal("two");
    });

    it("are not asked for where nobody can type, and can be refused", async () => {
      const nobody = await askSecret("Password", new PassThrough() as unknown as ReadStream).catch((e: unknown) => e);
      expect(nobody).to.have.property("code", "NoTerminal");
      const { input, modes, output } = terminal();
      (input as unknown as PassThrough).write("half\u0003");
      const error = await askSecret("Password", input, output).catch((e: unknown) => e);
      expect(error).to.have.property("code", "Cancelled");
      expect(modes).to.deep.equal([true, false]);
    });
  });

  describe("worker threads", () => {
    const script = (code: string): URL => {
      const path = join(folder, "worker.mjs");
      writeFileSync(path, code);
      return new URL(`file://${path}`);
    };

    it("end all work with their error when they break", async () => {
      const error = await inWorkers({
        ...{ script: script("throw new Error('broken')"), shared: null, tasks: [1, 2, 3] },
        onStep: () => undefined,
      }).catch((e: unknown) => e);
      expect(error).to.have.property("message", "broken");
    });

    it("have no secret any more once it is overwritten", async () => {
      const typed = Uint8Array.of(1, 2, 3);
      const secret = sharedSecret(typed);
      expect([...typed, ...secret]).to.deep.equal([0, 0, 0, 1, 2, 3]);
      const results = await inWorkers({
        script: script(`
          import { parentPort, workerData } from "node:worker_threads";
          parentPort.on("message", () => {
            const result = [...workerData];
            parentPort.postMessage({ type: "step" });
            parentPort.postMessage({ type: "result", result });
          });
        `),
        ...{ shared: secret, tasks: ["before", "after"], threads: 1 },
        onStep: () => secret.fill(0),
      });
      expect(results).to.deep.equal([
        [1, 2, 3],
        [0, 0, 0],
      ]);
    });
  });
});
