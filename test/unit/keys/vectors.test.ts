import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecretKey } from "@chainsafe/blst";
import { expect } from "chai";
import { getBytes, hexlify, toBeHex } from "ethers";
import { isPublicKey, verifyBls, verifyBlsBatch } from "../../../oracle/keys/bls.js";
import { DEPOSIT_GWEI, readDepositData, signDeposit, withdrawalCredentials } from "../../../oracle/keys/depositData.js";
import { decryptKeystore, parseKeystore, passwordOctets } from "../../../oracle/keys/keystore.js";
import { deriveKey, seedOf, signingPath } from "../../../oracle/keys/mnemonic.js";
import { readKeyShares } from "../../../oracle/keys/keysharesJson.js";
import { splitSecret } from "../../../oracle/keys/shamir.js";
import { verifySubjects } from "../../../oracle/keys/verify.js";
import blsTests from "../../fixtures/keys/bls12-381-tests.json" with { type: "json" };
import eips from "../../fixtures/keys/eip-2333-2335.json" with { type: "json" };
import depositTool from "../../fixtures/keys/staking-deposit-cli.json" with { type: "json" };

const octets = (text: string): Uint8Array => new TextEncoder().encode(text);
const bytes = (hex: string): Uint8Array => getBytes(hex.startsWith("0x") ? hex : `0x${hex}`);

describe("keys: what others computed", () => {
  describe("Ethereum's BLS tests", () => {
    for (const [name, { input, output }] of Object.entries(blsTests.deserialization_G1)) {
      it(name, () => {
        // infinity is a point of G1 and no public key
        const isInfinity = name.startsWith("deserialization_succeeds_infinity");
        expect(isPublicKey(bytes(input.pubkey))).to.equal(output && !isInfinity);
      });
    }

    for (const [name, { input, output }] of Object.entries(blsTests.deserialization_G2)) {
      if (output) continue; // the points alone are signatures of nothing known
      it(name, () => {
        const publicKey = SecretKey.fromKeygen(new Uint8Array(32)).toPublicKey().toBytes();
        const claim = { publicKey, message: new Uint8Array(32), signature: bytes(input.signature) };
        expect(verifyBls(claim)).to.be.false;
        expect(verifyBlsBatch([claim])).to.deep.equal([false]);
      });
    }

    for (const [name, { input, output }] of Object.entries(blsTests.sign)) {
      it(name, () => {
        const secretKey = bytes(input.privkey);
        if (output === null) {
          expect(() => splitSecret(secretKey, [1n, 2n, 3n, 4n]))
            .to.throw()
            .with.property("code", "BadSecretKey");
          return;
        }
        const key = SecretKey.fromBytes(secretKey);
        const signature = key.sign(bytes(input.message)).toBytes();
        expect(hexlify(signature)).to.equal(output);
        const claim = { publicKey: key.toPublicKey().toBytes(), message: bytes(input.message), signature };
        expect(verifyBls(claim)).to.be.true;
      });
    }

    for (const [name, { input, output }] of Object.entries(blsTests.verify)) {
      it(name, () => {
        const [publicKey, message, signature] = [input.pubkey, input.message, input.signature].map(bytes);
        const claim = { publicKey: publicKey!, message: message!, signature: signature! };
        expect(verifyBls(claim)).to.equal(output);
        expect(verifyBlsBatch([claim])).to.deep.equal([output]);
      });
    }

    for (const [name, { input, output }] of Object.entries(blsTests.batch_verify)) {
      it(name, () => {
        const claims = input.pubkeys.map((pubkey, i) => ({
          publicKey: bytes(pubkey),
          message: bytes(input.messages[i]!),
          signature: bytes(input.signatures[i]!),
        }));
        expect(verifyBlsBatch(claims).every(Boolean)).to.equal(output);
      });
    }
  });

  eips.eip2333.forEach(({ seed, master_SK, child_index, child_SK }, i) => {
    it(`derives the keys of EIP-2333, test case ${i}`, () => {
      expect(deriveKey(bytes(seed), "m").toHex()).to.equal(toBeHex(BigInt(master_SK), 32));
      expect(deriveKey(bytes(seed), `m/${child_index}`).toHex()).to.equal(toBeHex(BigInt(child_SK), 32));
    });
  });

  for (const keystore of eips.eip2335.keystores) {
    it(`opens the ${keystore.crypto.kdf.function} keystore of EIP-2335`, () => {
      const password = passwordOctets(octets(eips.eip2335.password));
      const secret = decryptKeystore("test", parseKeystore("test", keystore), password);
      expect(hexlify(secret)).to.equal(`0x${eips.eip2335.secret}`);
    });
  }

  it("reads a password as EIP-2335 does", () => {
    expect(hexlify(passwordOctets(octets(eips.eip2335.password)))).to.equal("0x7465737470617373776f7264f09f9491");
    expect(passwordOctets(octets("a\u0000b\u001f\u007f\u0085 c"))).to.deep.equal(octets("ab c"));
  });

  describe("the official deposit tool", () => {
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), "pooleth-vectors-"));
    });
    after(() => {
      rmSync(folder, { recursive: true });
    });

    for (const [network, { startIndex, deposit_data, keystores }] of Object.entries(depositTool.networks)) {
      it(`makes the same keys, deposits and keystores for ${network}`, async () => {
        const path = join(folder, `${network}.json`);
        writeFileSync(path, JSON.stringify(deposit_data));
        const read = await readDepositData(path);
        const credentials = withdrawalCredentials(depositTool.withdrawalAddress);
        const seed = seedOf(octets(depositTool.mnemonic));
        read.forEach((theirs, i) => {
          const key = deriveKey(seed, signingPath(startIndex + i));
          const genesisForkVersion = theirs.genesisForkVersion;
          const terms = { withdrawalCredentials: credentials, amountGwei: DEPOSIT_GWEI, genesisForkVersion };
          expect(theirs).to.deep.equal({
            ...terms,
            publicKey: key.toPublicKey().toHex(),
            depositSignature: hexlify(signDeposit(key.toBytes(), terms)),
            networkName: network,
          });
          expect(keystores[i]!.path).to.equal(signingPath(startIndex + i));
          expect(keystores[i]!.pubkey).to.equal(key.toPublicKey().toHex().slice(2));
        });
        const opened = decryptKeystore("theirs", parseKeystore("theirs", keystores[0]), octets(depositTool.password));
        expect(hexlify(opened)).to.equal(deriveKey(seed, signingPath(startIndex)).toHex());
      });
    }

    it("makes the same keys of mnemonics of other languages, however they are typed", () => {
      for (const [mnemonic, first] of Object.entries(depositTool.firstKeyOfMnemonic)) {
        for (const typed of [mnemonic, ` ${mnemonic.toUpperCase().replaceAll(" ", "  ")}\n`]) {
          const key = deriveKey(seedOf(octets(typed)), signingPath(0));
          expect(key.toPublicKey().toHex()).to.equal(`0x${first}`);
        }
      }
    });
  });

  it("takes the KeyShares of ssv-keys", async () => {
    const items = await readKeyShares(join(import.meta.dirname, "../../fixtures/keys/ssv-keys.json"));
    const subjects = items.map(({ publicKey, sharesData, operators, ownerAddress: account, ownerNonce: nonce }) => {
      const operatorIds = operators.map(({ id }) => id);
      return { publicKey, deposit: null, shares: { sharesData, operatorIds, signedFor: { account, nonce } } };
    });
    expect(subjects.map(({ shares }) => shares.signedFor.nonce)).to.deep.equal([41n, 42n]);
    expect(verifySubjects(subjects)).to.deep.equal([[], []]);
  });
});
