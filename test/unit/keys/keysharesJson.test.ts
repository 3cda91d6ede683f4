import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  parseKeyShares,
  readKeyShares,
  writeKeyShares,
  type KeySharesItem,
} from "../../../oracle/keys/keysharesJson.js";
import { operatorKeyFromBase64, operatorKeyToBase64, sharesDataLength } from "../../../oracle/keys/keyshares.js";
import { dkgFixtures, testOperators } from "./support.js";

const createdAt = new Date("2026-04-13T10:00:00.000Z");

function items(count: number, size = 4): KeySharesItem[] {
  const operators = testOperators(size).map(({ id, publicKeyPem }) => ({
    id,
    publicKeyPem: operatorKeyFromBase64(operatorKeyToBase64(publicKeyPem)),
  }));
  return Array.from({ length: count }, (_, i) => ({
    ownerNonce: BigInt(i + 5),
    ownerAddress: "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494",
    publicKey: `0x${String(i).padStart(2, "0").repeat(48)}`,
    operators,
    sharesData: `0x${"ab".repeat(sharesDataLength(size))}`,
  }));
}

interface File {
  version: unknown;
  createdAt: unknown;
  shares: { data: Record<string, unknown>; payload: Record<string, unknown> }[];
}

describe("keys/keysharesJson", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "pooleth-keyshares-"));
    path = join(folder, "keyshares.json");
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** Writes two items, lets `spoil` change the JSON and gives the refusal. */
  async function refusal(spoil: (file: File) => void): Promise<Error> {
    await writeKeyShares(path, items(2), createdAt);
    const file = JSON.parse(readFileSync(path, "utf8")) as File;
    spoil(file);
    writeFileSync(path, JSON.stringify(file));
    return readKeyShares(path).then(
      () => expect.fail("the file was accepted"),
      (error: unknown) => error as Error,
    );
  }

  for (const size of [4, 7, 10, 13]) {
    it(`reads what it writes for ${size} operators`, async () => {
      await writeKeyShares(path, items(3, size), createdAt);
      expect(await readKeyShares(path)).to.deep.equal(items(3, size));
    });
  }

  it("writes the format of ssv-keys", async () => {
    await writeKeyShares(path, items(1), createdAt);
    const [item] = items(1);
    const operators = item!.operators.map(({ id, publicKeyPem }) => ({
      id: Number(id),
      operatorKey: operatorKeyToBase64(publicKeyPem),
    }));
    expect(JSON.parse(readFileSync(path, "utf8"))).to.deep.equal({
      version: "v1.2.0",
      createdAt: "2026-04-13T10:00:00.000Z",
      shares: [
        {
          data: { ownerNonce: 5, ownerAddress: item!.ownerAddress, publicKey: item!.publicKey, operators },
          payload: {
            publicKey: item!.publicKey,
            operatorIds: operators.map(({ id }) => id),
            sharesData: item!.sharesData,
          },
        },
      ],
    });
    const again = await writeKeyShares(path, items(1), createdAt).catch((e: unknown) => e);
    expect(again).to.have.property("code", "FileExists");
  });

  it("writes no operator id that JSON numbers cannot hold", async () => {
    const [item] = items(1);
    const operators = item!.operators.map((operator) => ({ ...operator, id: operator.id + 2n ** 60n }));
    const error = await writeKeyShares(path, [{ ...item!, operators }], createdAt).catch((e: unknown) => e);
    expect(error).to.have.property("code", "BadFile");
  });

  it("reads every v1 and refuses other majors", async () => {
    for (const version of ["v1.1.0", "1.2.3", "v1.9.0-beta"]) {
      await writeKeyShares(path, items(1), createdAt);
      writeFileSync(path, readFileSync(path, "utf8").replace("v1.2.0", version));
      expect(await readKeyShares(path)).to.have.length(1);
      rmSync(path);
    }
    for (const version of ["v2.0.0", "0.9.1", "v10.0.0", "latest", 1]) {
      const error = await refusal((file) => (file.version = version));
      expect(error).to.have.property("code", "BadFile");
      expect(error.message).to.include("keyshares.json, field version:");
      rmSync(path);
    }
  });

  const refusals: [what: string, spoil: (file: File) => void, named: string][] = [
    ["no shares (ssv-keys 1.0)", (file) => Object.assign(file, { shares: undefined }), ", field shares"],
    ["an empty list", (file) => (file.shares = []), ", field shares"],
    ["no creation time", (file) => (file.createdAt = 5), ", field createdAt"],
    ["a creation time that is none", (file) => (file.createdAt = "2026-13-13"), ", field createdAt"],
    ["a nonce that is a text", (file) => (file.shares[1]!.data.ownerNonce = "6"), ", item 1, field data.ownerNonce"],
    [
      "a nonce that SSV cannot count",
      (file) => (file.shares[1]!.data.ownerNonce = 65_536),
      ", item 1, field data.ownerNonce",
    ],
    [
      "an owner that is no address",
      (file) => (file.shares[1]!.data.ownerAddress = "0x12"),
      ", item 1, field data.ownerAddress",
    ],
    [
      "a public key without 0x",
      (file) => (file.shares[1]!.data.publicKey = "01".repeat(48)),
      ", item 1, field data.publicKey",
    ],
    [
      "two public keys",
      (file) => (file.shares[1]!.payload.publicKey = `0x${"02".repeat(48)}`),
      ", item 1, field payload.publicKey",
    ],
    [
      "operators in another order",
      (file) => (file.shares[1]!.data.operators as unknown[]).reverse(),
      ", item 1, field data.operators",
    ],
    [
      "operator ids that do not ascend",
      (file) => (file.shares[1]!.payload.operatorIds as unknown[]).reverse(),
      ", item 1, field payload.operatorIds",
    ],
    [
      "five operators",
      (file) => (file.shares[1]!.payload.operatorIds as unknown[]).push(99),
      ", item 1, field payload.operatorIds",
    ],
    [
      "KeyShares of another length",
      (file) => (file.shares[0]!.payload.sharesData = "0x1234"),
      ", item 0, field payload.sharesData",
    ],
    [
      "KeyShares that are no hex",
      (file) => (file.shares[0]!.payload.sharesData = "0x123"),
      ", item 0, field payload.sharesData",
    ],
    [
      "an operator key that is none",
      (file) => Object.assign((file.shares[1]!.data.operators as object[])[2]!, { operatorKey: "AAAA" }),
      ", item 1, field data.operators.2.operatorKey",
    ],
  ];
  for (const [what, spoil, named] of refusals) {
    it(`refuses ${what} and names where`, async () => {
      const error = await refusal(spoil);
      expect(error).to.have.property("code", "BadFile");
      expect(error.message).to.include(`keyshares.json${named}:`);
    });
  }

  it("reads the one validator of ssv-keys 1.0, which does not tell its owner", async () => {
    await writeKeyShares(path, items(1), createdAt);
    const { shares } = JSON.parse(readFileSync(path, "utf8")) as File;
    const { ownerNonce, ownerAddress, ...data } = shares[0]!.data;
    const payload = { ...shares[0]!.payload, amount: "Amount of SSV tokens ...", cluster: "The latest ..." };
    const single = { version: "v1.0.1", createdAt, data, payload };
    const { operators, publicKey, sharesData } = items(1)[0]!;
    const read = (json: unknown) => parseKeyShares(path, JSON.parse(JSON.stringify(json))).map(({ value }) => value);
    expect(read(single)).to.deep.equal([{ publicKey, operators, sharesData, ownerNonce: null, ownerAddress: null }]);
    expect(read({ ...single, data: { ...data, ownerNonce, ownerAddress } })).to.deep.equal(items(1));
    expect(read({ ...single, data: { ...data, ownerNonce } })[0])
      .to.have.property("message")
      .that.includes("item 0, field data.ownerAddress:");
    expect(read({ ...single, payload: { ...payload, sharesData: "0x" } })[0])
      .to.have.property("message")
      .that.includes("item 0, field payload.sharesData:");

    writeFileSync(path, JSON.stringify(single));
    const error = await readKeyShares(path).catch((e: unknown) => e);
    expect(error).to.have.property("message").that.includes("it tells no owner");
  });

  it("tells of each item by itself what is wrong", async () => {
    await writeKeyShares(path, items(3), createdAt);
    const file = JSON.parse(readFileSync(path, "utf8")) as File;
    file.shares[1]!.payload.sharesData = "0x1234";
    file.shares.push(null as never);
    const [first, second, third, fourth] = parseKeyShares(path, file);
    expect([first, third].map((item) => item!.value)).to.deep.equal([items(3)[0], items(3)[2]]);
    expect(second).to.include({ file: path, index: 1, publicKey: items(2)[1]!.publicKey });
    expect(second!.value).to.have.property("message").that.includes("item 1, field payload.sharesData:");
    expect(fourth).to.include({ index: 3, publicKey: null });
    expect(fourth!.value).to.have.property("code", "BadFile");
  });

  it("reads the files of ssv-dkg", async function () {
    for (const { name, folder: ceremony } of dkgFixtures(this)) {
      const [item] = await readKeyShares(join(ceremony, "keyshares.json"));
      expect(item!.operators.length).to.equal(Number(name.split("-")[0]));
      await writeKeyShares(join(folder, `${name}.json`), [item!], createdAt);
      expect(await readKeyShares(join(folder, `${name}.json`))).to.deep.equal([item]);
    }
  });
});
