import { expect } from "chai";
import { computeAddress, id, Signature, SigningKey, toBeHex, ZeroAddress } from "ethers";
import { network } from "hardhat";
import { SignerQuorumHarness__factory } from "../../../types/ethers-contracts/index.js";

const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const MEMBERS = [...Array(33).keys()].map((i) => computeAddress(new SigningKey(id(`member ${i}`))));
const KEYS = [...Array(33).keys()]
  .map((i) => new SigningKey(id(`signer ${i}`)))
  .sort((a, b) => (BigInt(computeAddress(a)) < BigInt(computeAddress(b)) ? -1 : 1));
const SIGNERS = KEYS.map((key) => computeAddress(key));
const DIGEST = id("what is signed");
const sign = (key: SigningKey) => key.sign(DIGEST).serialized;

describe("SignerQuorum", () => {
  let connection: Awaited<ReturnType<typeof network.create>>;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function empty() {
    const [deployer] = await connection.ethers.getSigners();
    return new SignerQuorumHarness__factory(deployer).deploy();
  }

  async function five() {
    const set = await empty();
    for (let i = 0; i < 5; i++) await set.add(MEMBERS[i]!, SIGNERS[i]!);
    return set;
  }

  const load = () => connection.networkHelpers.loadFixture(five);

  describe("members", () => {
    it("raises the quorum so that it stays more than half", async () => {
      const set = await empty();
      for (const [i, quorum] of [1n, 2n, 2n, 3n, 3n].entries()) {
        await expect(set.add(MEMBERS[i]!, SIGNERS[i]!))
          .to.emit(set, "MemberAdded")
          .withArgs(MEMBERS[i], SIGNERS[i], quorum);
      }
      const [members, signers, quorum] = await set.list();
      expect([...members]).to.deep.equal(MEMBERS.slice(0, 5));
      expect([...signers]).to.deep.equal(SIGNERS.slice(0, 5));
      expect(quorum).to.equal(3n);
    });

    it("keeps a higher quorum", async () => {
      const set = await load();
      await set.setQuorum(5);
      await expect(set.add(MEMBERS[5]!, SIGNERS[5]!)).to.emit(set, "MemberAdded").withArgs(MEMBERS[5], SIGNERS[5], 5n);
    });

    it("refuses nobody, a member twice, a key twice and no key", async () => {
      const set = await load();
      await expect(set.add(ZeroAddress, SIGNERS[6]!))
        .to.be.revertedWithCustomError(set, "NotMember")
        .withArgs(ZeroAddress);
      await expect(set.add(MEMBERS[1]!, SIGNERS[6]!))
        .to.be.revertedWithCustomError(set, "MemberExists")
        .withArgs(MEMBERS[1]);
      for (const signer of [SIGNERS[1]!, ZeroAddress]) {
        await expect(set.add(MEMBERS[6]!, signer)).to.be.revertedWithCustomError(set, "InvalidSigner").withArgs(signer);
      }
    });

    it("has at most 32", async () => {
      const set = await load();
      for (let i = 5; i < 32; i++) await set.add(MEMBERS[i]!, SIGNERS[i]!);
      await expect(set.add(MEMBERS[32]!, SIGNERS[32]!))
        .to.be.revertedWithCustomError(set, "TooManyMembers")
        .withArgs(32n);
    });

    it("removes the first, a middle and the last one", async () => {
      for (const index of [0, 2, 4]) {
        const set = await load();
        await expect(set.remove(MEMBERS[index]!)).to.emit(set, "MemberRemoved").withArgs(MEMBERS[index]);
        const [members] = await set.list();
        expect([...members].sort()).to.deep.equal(MEMBERS.slice(0, 5).toSpliced(index, 1).sort());
        await expect(set.recover(DIGEST, sign(KEYS[index]!), 0)).to.be.revertedWithCustomError(set, "UnknownSigner");
        // member and key are free again
        await set.add(MEMBERS[index]!, SIGNERS[index]!);
      }
    });

    it("removes no stranger, and nobody whom the quorum needs", async () => {
      const set = await load();
      await expect(set.remove(MEMBERS[7]!)).to.be.revertedWithCustomError(set, "NotMember").withArgs(MEMBERS[7]);
      await set.setQuorum(5);
      await expect(set.remove(MEMBERS[0]!)).to.be.revertedWithCustomError(set, "InvalidQuorum").withArgs(5n, 4n);
    });

    it("accepts quorums of more than half up to all", async () => {
      const set = await load();
      for (const quorum of [0n, 2n, 6n]) {
        await expect(set.setQuorum(quorum)).to.be.revertedWithCustomError(set, "InvalidQuorum").withArgs(quorum, 5n);
      }
      for (const quorum of [3n, 4n, 5n]) {
        await expect(set.setQuorum(quorum)).to.emit(set, "QuorumChanged").withArgs(quorum);
      }
      await set.setQuorum(3);
      await set.remove(MEMBERS[4]!);
      // half is not enough
      await expect(set.setQuorum(2)).to.be.revertedWithCustomError(set, "InvalidQuorum").withArgs(2n, 4n);
    });

    it("rotates a key: the old one is nobody's, the new one is the member's", async () => {
      const set = await load();
      await expect(set.rotate(MEMBERS[1]!, SIGNERS[9]!))
        .to.emit(set, "SignerRotated")
        .withArgs(MEMBERS[1], SIGNERS[1], SIGNERS[9]);
      expect(await set.recover(DIGEST, sign(KEYS[9]!), 0)).to.equal(SIGNERS[9]);
      await expect(set.recover(DIGEST, sign(KEYS[1]!), 3))
        .to.be.revertedWithCustomError(set, "UnknownSigner")
        .withArgs(3n, SIGNERS[1]);
      // the old key is free for another member
      await set.rotate(MEMBERS[2]!, SIGNERS[1]!);
      const [, signers] = await set.list();
      expect([...signers].slice(0, 3)).to.deep.equal([SIGNERS[0], SIGNERS[9], SIGNERS[1]]);
    });

    it("rotates only for members, and only to a free key", async () => {
      const set = await load();
      await expect(set.rotate(MEMBERS[7]!, SIGNERS[9]!))
        .to.be.revertedWithCustomError(set, "NotMember")
        .withArgs(MEMBERS[7]);
      for (const signer of [SIGNERS[0]!, SIGNERS[1]!, ZeroAddress]) {
        await expect(set.rotate(MEMBERS[1]!, signer))
          .to.be.revertedWithCustomError(set, "InvalidSigner")
          .withArgs(signer);
      }
    });
  });

  describe("signatures", () => {
    const some = (...indices: number[]) => indices.map((i) => sign(KEYS[i]!));

    it("accepts any quorum in ascending order, and more than a quorum", async () => {
      const set = await load();
      for (const signatures of [some(0, 1, 2), some(0, 2, 4), some(2, 3, 4), some(0, 1, 2, 3, 4)]) {
        await set.check(DIGEST, signatures);
      }
    });

    it("refuses fewer, and everything while there is no member", async () => {
      const set = await load();
      await expect(set.check(DIGEST, some(0, 1)))
        .to.be.revertedWithCustomError(set, "QuorumNotReached")
        .withArgs(2n, 3n);
      const none = await empty();
      await expect(none.check(DIGEST, [])).to.be.revertedWithCustomError(none, "QuorumNotReached").withArgs(0n, 0n);
    });

    it("refuses a signer twice and another order", async () => {
      const set = await load();
      await expect(set.check(DIGEST, some(0, 1, 1)))
        .to.be.revertedWithCustomError(set, "SignersNotAscending")
        .withArgs(2n);
      await expect(set.check(DIGEST, some(1, 0, 2)))
        .to.be.revertedWithCustomError(set, "SignersNotAscending")
        .withArgs(1n);
    });

    it("refuses strangers, also beside a quorum, and other digests", async () => {
      const set = await load();
      await expect(set.check(DIGEST, some(0, 1, 2, 9)))
        .to.be.revertedWithCustomError(set, "UnknownSigner")
        .withArgs(3n, SIGNERS[9]);
      await expect(set.check(id("another"), some(0, 1, 2))).to.be.revertedWithCustomError(set, "UnknownSigner");
    });

    it("refuses malformed and malleable signatures", async () => {
      const set = await load();
      const { r, s, v } = Signature.from(sign(KEYS[0]!));
      const highS = `${r}${toBeHex(CURVE_ORDER - BigInt(s), 32).slice(2)}${v === 27 ? "1c" : "1b"}`;
      const noKey = `${r}${s.slice(2)}05`;
      for (const malformed of ["0x", "0x1234", highS, noKey]) {
        await expect(set.recover(DIGEST, malformed, 2))
          .to.be.revertedWithCustomError(set, "UnknownSigner")
          .withArgs(2n, ZeroAddress);
      }
    });
  });
});
