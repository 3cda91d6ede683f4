import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecretKey } from "@chainsafe/blst";
import { expect } from "chai";
import fc from "fast-check";
import { concat, getBytes, hexlify, sha256, toBeHex } from "ethers";
import {
  assertGenesisForkVersion,
  creatingDeposits,
  DEPOSIT_GWEI,
  depositDataRoot,
  depositMessageRoot,
  depositSigningRoot,
  readDepositData,
  rememberingDepositVerifier,
  signDeposit,
  verifyDepositSignature,
  verifyDepositSignatures,
  withdrawalCredentials,
  writeDepositData,
} from "../../../oracle/keys/depositData.js";
import { KeysError } from "../../../oracle/keys/errors.js";
import { dkgFixtures } from "./support.js";

const vault = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494";
const credentials = withdrawalCredentials(vault);
const genesisForkVersion = "0x10000910";

function deposit(seed: number) {
  const key = SecretKey.fromKeygen(new Uint8Array(32).fill(seed));
  const signature = signDeposit(key.toBytes(), {
    withdrawalCredentials: credentials,
    amountGwei: DEPOSIT_GWEI,
    genesisForkVersion,
  });
  return {
    pubkey: hexlify(key.toPublicKey().toBytes()),
    withdrawalCredentials: credentials,
    amountGwei: DEPOSIT_GWEI,
    genesisForkVersion,
    signature: hexlify(signature),
  };
}

/** The computation of the deposit contract, written down from its source. */
function contractRoots({ pubkey, withdrawalCredentials: wc, amountGwei, signature }: ReturnType<typeof deposit>) {
  const zero = (length: number) => new Uint8Array(length);
  const node = (...parts: (string | Uint8Array)[]) => sha256(concat(parts));
  const amount = getBytes(toBeHex(amountGwei, 8)).reverse();
  const keyRoot = node(pubkey, zero(16));
  const signatureBytes = getBytes(signature);
  const signatureRoot = node(node(signatureBytes.slice(0, 64)), node(signatureBytes.slice(64), zero(32)));
  const amountChunk = concat([amount, zero(24)]);
  return {
    message: node(node(keyRoot, wc), node(amountChunk, zero(32))),
    data: node(node(keyRoot, wc), node(amountChunk, signatureRoot)),
  };
}

describe("keys/depositData", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "pooleth-deposit-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it("makes 0x01 credentials of the vault's address", () => {
    expect(credentials).to.equal(`0x010000000000000000000000${vault.slice(2).toLowerCase()}`);
    expect(() => withdrawalCredentials("0x1234")).to.throw();
  });

  it("computes the roots of the deposit contract", () => {
    const item = deposit(1);
    const roots = contractRoots(item);
    const { pubkey, signature } = item;
    expect(hexlify(depositMessageRoot(pubkey, credentials, DEPOSIT_GWEI))).to.equal(roots.message);
    expect(hexlify(depositDataRoot(pubkey, credentials, DEPOSIT_GWEI, signature))).to.equal(roots.data);
  });

  it("signs under the deposit domain of mainnet (known answer)", () => {
    const domain = "0x03000000f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a9";
    const item = { ...deposit(1), genesisForkVersion: "0x00000000" };
    const root = sha256(concat([contractRoots(item).message, domain]));
    expect(hexlify(depositSigningRoot(item))).to.equal(root);
  });

  it("verifies a deposit only as it was signed", () => {
    const item = deposit(1);
    expect(verifyDepositSignature(item)).to.be.true;
    const changes = [
      { withdrawalCredentials: withdrawalCredentials(`0x${"22".repeat(20)}`) },
      { amountGwei: DEPOSIT_GWEI - 1n },
      { genesisForkVersion: "0x00000000" },
      { pubkey: deposit(2).pubkey },
      { signature: deposit(2).signature },
      { signature: `0x${"00".repeat(96)}` },
    ];
    for (const change of changes) expect(verifyDepositSignature({ ...item, ...change })).to.be.false;
    expect(verifyDepositSignatures([item, { ...item, amountGwei: 1n }, deposit(3)])).to.deep.equal([true, false, true]);
  });

  describe("finds the deposit that creates each validator", () => {
    const garbage = (seed: number) => ({ ...deposit(seed), signature: deposit(seed + 9).signature });

    it("as whoever verifies each deposit of each queue by itself", () => {
      const kinds = { valid: deposit(1), garbage: garbage(1), malformed: { ...deposit(1), signature: "0x00" } };
      const queue = fc.array(fc.constantFrom(...(["valid", "garbage", "malformed"] as const)), { maxLength: 4 });
      fc.assert(
        fc.property(fc.array(queue, { maxLength: 4 }), (queues) => {
          const found = creatingDeposits(queues.map((queue) => queue.map((kind) => kinds[kind])));
          expect(found).to.deep.equal(queues.map((queue) => queue.indexOf("valid")));
        }),
        { numRuns: 40, seed: 4 },
      );
    });

    it("and does not look at what stands behind it: for an amount that is none it would throw", () => {
      const never = { ...deposit(1), amountGwei: 0n };
      expect(
        creatingDeposits([
          [deposit(1), never],
          [garbage(2), deposit(2), never],
        ]),
      ).to.deep.equal([0, 1]);
      expect(() => creatingDeposits([[garbage(1), never]])).to.throw(KeysError);
    });

    it("behind hundreds that somebody wasted 1 ETH each on", () => {
      const wasted = Array.from({ length: 300 }, (_, i) => ({ ...garbage(1), amountGwei: 10n ** 9n + BigInt(i) }));
      expect(creatingDeposits([[...wasted, deposit(1)], [deposit(2)]])).to.deep.equal([300, 0]);
    });
  });

  it("remembers which signatures are valid, of each deposit by all it says", () => {
    let verified = 0;
    const verify = rememberingDepositVerifier((deposits) => {
      verified += deposits.length;
      return verifyDepositSignatures(deposits);
    });
    const item = deposit(1);
    const others = [
      { ...item, amountGwei: 1n },
      { ...item, withdrawalCredentials: deposit(2).withdrawalCredentials.replace(/.$/, "9") },
      { ...item, genesisForkVersion: "0x00000009" },
      { ...item, pubkey: deposit(2).pubkey },
      { ...item, signature: deposit(2).signature },
    ];
    for (let round = 0; round < 2; round++) {
      expect(verify([item, ...others])).to.deep.equal([true, ...others.map(() => false)]);
    }
    expect(verify([others[0]!, deposit(3), item])).to.deep.equal([false, true, true]);
    expect(verified).to.equal(others.length + 2);
  });

  it("refuses parts of wrong length and amounts that are none", () => {
    const item = deposit(1);
    expect(() => depositMessageRoot(item.pubkey.slice(0, -2), credentials, DEPOSIT_GWEI))
      .to.throw("public key")
      .with.property("code", "BadLength");
    expect(() => depositMessageRoot(item.pubkey, vault, DEPOSIT_GWEI)).to.throw("withdrawal credentials");
    expect(() => depositDataRoot(item.pubkey, credentials, DEPOSIT_GWEI, "0x")).to.throw("signature");
    expect(() => depositSigningRoot({ ...item, genesisForkVersion: "0x00" })).to.throw("genesis fork version");
    for (const amountGwei of [0n, -1n, 2n ** 53n]) {
      expect(() => depositMessageRoot(item.pubkey, credentials, amountGwei))
        .to.throw("gwei")
        .with.property("code", "BadAmount");
    }
  });

  it("knows the genesis fork versions of public networks and leaves others alone", () => {
    for (const [name, version] of [
      ["mainnet", "0x00000000"],
      ["hoodi", "0x10000910"],
      ["sepolia", "0x90000069"],
      ["a devnet", "0x00000001"],
    ] as const) {
      expect(() => {
        assertGenesisForkVersion(name, version);
      }).to.not.throw();
    }
    expect(() => {
      assertGenesisForkVersion("hoodi", "0x00000000");
    })
      .to.throw("lost")
      .with.property("code", "BadForkVersion");
  });

  describe("deposit_data.json", () => {
    const items = [1, 2].map((seed) => {
      const { pubkey, signature, ...rest } = deposit(seed);
      return { ...rest, publicKey: pubkey, depositSignature: signature, networkName: "hoodi" };
    });

    /** Writes the two items, spoils one field of the second and gives the refusal. */
    async function refusal(field: string, value: unknown): Promise<Error> {
      const path = join(folder, "deposit_data.json");
      await writeDepositData(path, items);
      const json = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>[];
      json[1]![field] = value;
      writeFileSync(path, JSON.stringify(json));
      return readDepositData(path).then(
        () => expect.fail(`${field} was accepted`),
        (error: unknown) => error as Error,
      );
    }

    it("reads what it writes, in the format of the deposit tool", async () => {
      const path = join(folder, "deposit_data.json");
      await writeDepositData(path, items);
      expect(await readDepositData(path)).to.deep.equal(items);
      const [first] = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>[];
      expect(first).to.deep.equal({
        pubkey: items[0]!.publicKey.slice(2),
        withdrawal_credentials: credentials.slice(2),
        amount: 32_000_000_000,
        signature: items[0]!.depositSignature.slice(2),
        deposit_message_root: contractRoots(deposit(1)).message.slice(2),
        deposit_data_root: contractRoots(deposit(1)).data.slice(2),
        fork_version: "10000910",
        network_name: "hoodi",
        deposit_cli_version: "2.7.0",
      });
    });

    it("replaces no file", async () => {
      const path = join(folder, "deposit_data.json");
      writeFileSync(path, "precious");
      const error = await writeDepositData(path, items).catch((e: unknown) => e);
      expect(error).to.have.property("code", "FileExists");
      expect(readFileSync(path, "utf8")).to.equal("precious");
      const elsewhere = await writeDepositData(join(folder, "no", "folder.json"), items).catch((e: unknown) => e);
      expect(elsewhere).to.have.property("code", "ENOENT");
    });

    for (const [field, value, named] of [
      ["pubkey", items[0]!.publicKey.slice(2), "deposit_message_root"],
      ["pubkey", items[1]!.publicKey, "pubkey"],
      ["withdrawal_credentials", "00".repeat(32), "deposit_message_root"],
      ["amount", 31_000_000_000, "deposit_message_root"],
      ["amount", 0, "amount"],
      ["amount", "32000000000", "amount"],
      ["signature", items[0]!.depositSignature.slice(2), "deposit_data_root"],
      ["signature", "zz", "signature"],
      ["deposit_message_root", "11".repeat(32), "deposit_message_root"],
      ["deposit_data_root", "11".repeat(32), "deposit_data_root"],
      ["fork_version", "00000000", "fork_version"],
      ["network_name", "mainnet", "fork_version"],
      ["network_name", "", "network_name"],
      ["deposit_cli_version", undefined, "deposit_cli_version"],
    ] as const) {
      it(`names ${named} when ${field} is ${String(value).slice(0, 12)}`, async () => {
        const error = await refusal(field, value);
        expect(error).to.have.property("code", "BadFile");
        expect(error.message).to.include(`deposit_data.json, item 1, field ${named}:`);
      });
    }

    it("finds a signature that does not verify though all roots agree", async () => {
      const path = join(folder, "deposit_data.json");
      const swapped = [items[0]!, { ...items[1]!, depositSignature: items[0]!.depositSignature }];
      await writeDepositData(path, swapped);
      const error = await readDepositData(path).catch((e: unknown) => e);
      expect(error).to.have.property("message").that.includes("item 1, field signature");
    });

    it("says which file is no JSON, not there or empty", async () => {
      const path = join(folder, "x.json");
      for (const write of [
        () => undefined,
        () => {
          writeFileSync(path, "{");
        },
        () => {
          writeFileSync(path, "[]");
        },
      ]) {
        write();
        const error = await readDepositData(path).catch((e: unknown) => e);
        expect(error).to.have.property("code", "BadFile");
        expect(error).to.have.property("message").that.includes("x.json");
      }
    });

    it("accepts the files of ssv-dkg", async function () {
      for (const { folder: ceremony } of dkgFixtures(this)) {
        const [item] = await readDepositData(join(ceremony, "deposit_data.json"));
        expect(item).to.include({ networkName: "mainnet", genesisForkVersion: "0x00000000" });
      }
    });
  });
});
