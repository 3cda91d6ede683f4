import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { id, Wallet } from "ethers";
import { loadConfig, openKey, parseConfig, type ConfigInput } from "../../../oracle/config.js";
import { ConfigError } from "../../../oracle/ops/errors.js";

const POOL = "0x52908400098527886E0F7030069857D2E4169EE7";

const valid = (changes: Partial<ConfigInput> = {}): ConfigInput => ({
  chainId: 1,
  poolManager: POOL,
  executionUrls: ["http://127.0.0.1:8545"],
  beaconUrls: ["http://127.0.0.1:5052"],
  roles: ["oracle", "keeper"],
  collectors: ["http://127.0.0.1:9600"],
  dataDir: "data",
  ...changes,
});

function refusal(action: () => unknown): ConfigError {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("configuration", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "pooleth-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });
  const write = (text: string, mode = 0o600): string => {
    const file = path.join(folder, "file");
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
  };

  it("fills in what may be left out, and spends nothing unless told to", () => {
    const config = parseConfig(valid());
    expect(config.dryRun).to.equal(true);
    expect(config.preset).to.equal("mainnet");
    expect(config.guardian.minRunwayBlocks).to.equal(216_000);
    expect(config.exits).to.deep.equal({ maxFeeWei: 10n ** 15n });
    expect(config.ssv).to.deep.equal({ versions: ["v2.0.0"] });
    expect(config.listen).to.deep.equal({ host: "127.0.0.1", port: 9_600 });
  });

  const wrong: [field: string, input: unknown, must: string][] = [
    ["chainId", valid({ chainId: 0 }), "expected number to be >0"],
    ["poolManager", valid({ poolManager: "0x1234" }), "must be an Ethereum address"],
    ["poolManager", valid({ poolManager: POOL.replace("E", "e") }), "valid checksum"],
    ["executionUrls", valid({ executionUrls: [] }), "expected array to have >=1 items"],
    ["executionUrls.0", valid({ executionUrls: ["ftp://node"] }), "must be a URL that begins with http"],
    ["beaconUrls", valid({ beaconUrls: [] }), "at least one beacon node for the role oracle"],
    ["collectors", valid({ roles: ["guardian"], collectors: [] }), "push the signatures of the role guardian to"],
    ["roles", valid({ roles: [] }), "expected array to have >=1 items"],
    ["roles", valid({ roles: ["keeper", "keeper"] }), "must name each role once"],
    ["roles.0", { ...valid(), roles: ["bystander"] }, "expected one of"],
    ["listen.port", valid({ listen: { host: "::", port: 70_000 } }), "<=65535"],
    ["keys.oracle", { ...valid(), keys: { oracle: "0xabc" } }, "must name where the key is"],
    ["logLevel", { ...valid(), logLevel: "loud" }, "expected one of"],
    ["pollSeconds", valid({ pollSeconds: 0 }), ">0"],
    ["preset", { ...valid(), preset: "gnosis" }, "expected one of"],
    ["exits.maxFeeWei", valid({ exits: { maxFeeWei: "0.001" } }), "must be an amount in wei"],
    ["exits.maxFeeWei", valid({ exits: { maxFeeWei: 0.5 } }), "must be an amount in wei"],
    ["ssv.versions", valid({ ssv: { versions: [] } }), ">=1 items"],
    ["colour", { ...valid(), colour: "green" }, "is not a field of the configuration"],
    ["guardian.colour", { ...valid(), guardian: { colour: "green" } }, "is not a field of the configuration"],
  ];
  for (const [field, input, must] of wrong) {
    it(`names ${field} when it ${must}`, () => {
      const { code, message } = refusal(() => parseConfig(input));
      expect(code).to.equal("ConfigInvalid");
      expect(message).to.match(
        new RegExp(`(^|\\s)${field.replaceAll(".", "\\.")}: .*${must.replaceAll(/[()]/g, "\\$&")}`),
      );
    });
  }

  it("names every wrong field at once", () => {
    const { meta } = refusal(() => parseConfig(valid({ chainId: -1, dataDir: "" })));
    expect(meta["problems"]).to.have.length(2);
  });

  it("needs neither beacon nodes nor collectors for a keeper, nor collectors beside one", () => {
    parseConfig(valid({ roles: ["guardian", "keeper"], collectors: [] }));
    parseConfig(valid({ roles: ["keeper"], beaconUrls: [], collectors: [] }));
  });

  it("lays the environment over the file", () => {
    const file = write(JSON.stringify(valid({ listen: { host: "::1", port: 1 } })));
    const config = loadConfig(file, {
      HOME: "/root",
      POOLETH_CHAIN_ID: "560048",
      POOLETH_DRY_RUN: "false",
      POOLETH_LISTEN_PORT: "7",
      POOLETH_EXECUTION_URLS: "http://a:1, http://b:2",
      POOLETH_ORACLE_KEY: "secret",
      POOLETH_KEEPER_KEY_FILE: "/keys/keeper",
      POOLETH_SSV_REVIEWED_BLOCK: "12",
      POOLETH_MAX_EXIT_FEE_WEI: "10000000000000000000",
    });
    expect(config.chainId).to.equal(560_048);
    expect(config.dryRun).to.equal(false);
    expect(config.listen).to.deep.equal({ host: "::1", port: 7 });
    expect(config.executionUrls).to.deep.equal(["http://a:1", "http://b:2"]);
    expect(config.keys).to.deep.equal({ oracle: { env: "POOLETH_ORACLE_KEY" }, keeper: { file: "/keys/keeper" } });
    expect(config.ssv.reviewedBlock).to.equal(12);
    expect(config.exits.maxFeeWei).to.equal(10n ** 19n);
  });

  it("reads everything from the environment when there is no file", () => {
    const config = loadConfig(undefined, {
      POOLETH_CHAIN_ID: "1",
      POOLETH_POOL_MANAGER: POOL,
      POOLETH_EXECUTION_URLS: "http://a:1",
      POOLETH_ROLES: "keeper",
      POOLETH_DATA_DIR: "data",
    });
    expect(config.roles).to.deep.equal(["keeper"]);
  });

  it("takes a port alone from the environment, and the rest of the section from its defaults", () => {
    const config = loadConfig(write(JSON.stringify(valid())), { POOLETH_LISTEN_PORT: "7" });
    expect(config.listen).to.deep.equal({ host: "127.0.0.1", port: 7 });
  });

  it("says what must be set", () => {
    expect(refusal(() => loadConfig(undefined, { POOLETH_CHAIN_ID: "1", POOLETH_ROLES: "keeper" })).meta).to.deep.equal(
      {
        problems: ["poolManager", "executionUrls", "dataDir"].map(
          (field) => `${field}: must be set, in the file or in the environment`,
        ),
      },
    );
  });

  it("refuses what the environment gets wrong by the field's name, and a variable it does not know", () => {
    const wrongNumber = { ...valid(), POOLETH_CHAIN_ID: "one" } as unknown as NodeJS.ProcessEnv;
    expect(
      refusal(() => loadConfig(undefined, { POOLETH_CHAIN_ID: String(wrongNumber["POOLETH_CHAIN_ID"]) })).message,
    ).to.include("chainId: Invalid input: expected number, received string");
    expect(refusal(() => loadConfig(undefined, { POOLETH_CHAINID: "1" })).message).to.include("POOLETH_CHAINID");
  });

  it("says which file cannot be read", () => {
    expect(refusal(() => loadConfig(path.join(folder, "none"), {})).code).to.equal("ConfigUnreadable");
    expect(refusal(() => loadConfig(write("{"), {})).code).to.equal("ConfigUnreadable");
    expect(refusal(() => loadConfig(write("[]"), {})).message).to.include("must hold one JSON object");
  });

  describe("keys", () => {
    const key = id("a key");
    const { address } = new Wallet(key);

    it("come from a file or a variable, with or without 0x", () => {
      expect(openKey("oracle", { file: write(`${key}\n`) }, {}).address).to.equal(address);
      expect(openKey("oracle", { env: "KEY" }, { KEY: key.slice(2) }).address).to.equal(address);
    });

    it("are refused from a file that others can read", () => {
      const error = refusal(() => openKey("keeper", { file: write(key, 0o644) }, {}));
      expect(error.code).to.equal("KeyExposed");
      expect(error.message).to.include("keys.keeper").and.include("chmod 600");
    });

    it("are named, not shown, when they cannot be used", () => {
      const short = key.slice(0, 40);
      const cases = [
        () => openKey("guardian", { file: path.join(folder, "none") }, {}),
        () => openKey("guardian", { file: write(short) }, {}),
        () => openKey("guardian", { env: "KEY" }, { KEY: short }),
        () => openKey("guardian", { env: "KEY" }, {}),
      ];
      for (const open of cases) {
        const { code, message, meta } = refusal(open);
        expect(code).to.equal("KeyUnreadable");
        expect(message).to.include("keys.guardian");
        expect(JSON.stringify([message, meta])).not.to.include(short);
      }
    });
  });
});
