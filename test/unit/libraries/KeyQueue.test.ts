import { expect } from "chai";
import { keccak256 } from "ethers";
import { network } from "hardhat";
import { maxKeysPerPublish } from "../../../oracle/keys/prepare.js";
import {
  IValidatorRegistry__factory,
  type LibrariesHarness,
  LibrariesHarness__factory,
} from "../../../types/ethers-contracts/index.js";
import { chainOf, dataOf, entriesOf, itemsOf } from "../registry/support.js";

const EMPTY = `0x${"00".repeat(26)}`;

describe("KeyQueue", () => {
  let library: LibrariesHarness;
  // the library reverts with the registry's errors
  const registryErrors = { interface: IValidatorRegistry__factory.createInterface() };
  before(async () => {
    const { ethers } = await network.create("osaka");
    const [deployer] = await ethers.getSigners();
    library = await new LibrariesHarness__factory(deployer).deploy();
  });

  for (const [operators, stride] of [
    [4, 1456n],
    [7, 2368n],
    [10, 3280n],
    [13, 4192n],
  ] as const) {
    it(`knows lengths and limits for ${operators} operators`, async () => {
      expect(await library.stride(operators)).to.equal(stride);
      expect(await library.mostPerBatch(operators)).to.equal(maxKeysPerPublish(operators));
    });

    it(`makes the documented chain of published data for ${operators} operators`, async () => {
      const entries = entriesOf("chain", 5, operators);
      for (let count = 0; count <= 5; count++) {
        const some = entries.slice(0, count);
        const head = await library.chainOfData(3, 17, dataOf(some), stride);
        expect(head).to.equal(chainOf(3n, 17n, some));
      }
    });
  }

  for (const [operators, stride, most] of [
    [4, 1456, 80],
    [7, 2368, 40],
    [10, 3280, 30],
    [13, 4192, 20],
  ] as const) {
    it(`reads published data of whole validators, up to the limit, for ${operators} operators`, async () => {
      const entries = entriesOf("read", most + 1, operators);
      for (const count of [1, 2, most]) {
        const some = entries.slice(0, count);
        expect([...(await library.read(3, 17, dataOf(some), operators))]).to.deep.equal([
          BigInt(count),
          chainOf(3n, 17n, some),
        ]);
      }
      await expect(library.read(3, 17, dataOf(entries), operators))
        .to.be.revertedWithCustomError(registryErrors, "TooManyValidators")
        .withArgs(most + 1, most);
      const one = dataOf(entries.slice(0, 1));
      for (const data of ["0x", one.slice(0, -2), `${one}00`]) {
        await expect(library.read(3, 17, data, operators))
          .to.be.revertedWithCustomError(registryErrors, "InvalidDataLength")
          .withArgs(data.length / 2 - 1, stride);
      }
    });
  }

  it("makes the same chain of items from the front, however many are taken", async () => {
    const entries = entriesOf("chain", 5);
    const batch = { account: 1n, cluster: 3n, batch: 0n, firstNonce: 17n, entries };
    for (let from = 0; from <= 5; from++) {
      for (let count = 0; count <= 5 - from; count++) {
        const [head, keyHashes] = await library.chainOfItems(3, 17 + from, itemsOf(batch, from, count));
        expect(head).to.equal(chainOf(3n, BigInt(17 + from), entries.slice(from)));
        expect([...keyHashes]).to.deep.equal(
          entries.slice(from, from + count).map(({ publicKey }) => keccak256(publicKey)),
        );
      }
    }
  });

  it("differs in whatever a validator differs in, and in its cluster, nonce and place", async () => {
    const entries = entriesOf("chain", 3);
    const changed = entriesOf("other", 3);
    const variants = (["publicKey", "signature", "shares"] as const).map((field) =>
      entries.map((entry, i) => (i === 1 ? { ...entry, [field]: changed[i]![field] } : entry)),
    );
    const [first, second, third] = entries;
    variants.push([second!, first!, third!], [first!, second!], [first!, second!, third!, third!]);
    const heads = [
      await library.chainOfData(3, 17, dataOf(entries), 1456),
      await library.chainOfData(4, 17, dataOf(entries), 1456),
      await library.chainOfData(3, 18, dataOf(entries), 1456),
    ];
    for (const variant of variants) heads.push(await library.chainOfData(3, 17, dataOf(variant), 1456));
    expect(new Set(heads).size).to.equal(heads.length);
  });

  it("is empty without validators", async () => {
    expect(await library.chainOfData(3, 17, "0x", 1456)).to.equal(EMPTY);
  });
});
