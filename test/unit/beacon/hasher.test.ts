import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { hasherWarning, hashInto, nativeHasher, portableHasher, useHasher } from "../../../oracle/beacon/hasher.js";
import { Random } from "./states.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** A platform that the addon is not built for: the package with its binary is not there. */
const WITHOUT_ADDON = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from "node:module";
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier.startsWith("@chainsafe/hashtree-")) throw new Error("no such package: " + specifier);
      return next(specifier, context);
    },
  });
`)}`;

/** What `pooleth run` logs, where there is no addon and no execution node either, which ends it. */
async function runWithoutAddon(folder: string): Promise<string> {
  const config = {
    chainId: 1,
    poolManager: "0x00000000000000000000000000000000000c1a1E",
    executionUrls: ["http://127.0.0.1:1"],
    beaconUrls: ["http://127.0.0.1:1"],
    roles: ["oracle"],
    keys: { oracle: { env: "NOBODY" } },
    collectors: ["http://127.0.0.1:1"],
    dataDir: folder,
  };
  const file = path.join(folder, "config.json");
  writeFileSync(file, JSON.stringify(config));
  const args = ["--import", WITHOUT_ADDON, "--import", "tsx", "oracle/cli.ts", "run", "--config", file];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("POOLETH_")));
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: ROOT, env }, (_error, stdout, stderr) => {
      resolve(stdout + stderr);
    });
  });
}

describe("Hashing", () => {
  after(() => {
    useHasher(nativeHasher ?? portableHasher);
  });

  it("gives SHA-256 of any number of pairs, with the addon and without", () => {
    const random = new Random(1);
    for (const hasher of [nativeHasher, portableHasher]) {
      if (hasher === undefined) continue;
      useHasher(hasher);
      for (const count of [0, 1, 3, 4, 5, 16, 63, 1024]) {
        const pairs = random.bytes(64 * count);
        const hashes = new Uint8Array(32 * count);
        hashInto(pairs, hashes);
        for (let i = 0; i < count; i++) {
          const expected = createHash("sha256").update(pairs.subarray(64 * i, 64 * (i + 1)));
          expect(Buffer.from(hashes.subarray(32 * i, 32 * (i + 1))).equals(expected.digest()), hasher.name).to.equal(
            true,
          );
        }
      }
    }
  });

  it("warns if and only if the addon does not load", () => {
    expect(hasherWarning === undefined).to.equal(nativeHasher !== undefined);
  });

  it("without the addon the service starts all the same and says so once", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "pooleth-hasher-"));
    try {
      const said = await runWithoutAddon(folder);
      expect(said.match(/SLOW HASHING/g), said).to.have.length(1);
      expect(said).to.include("no such package: @chainsafe/hashtree-");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
