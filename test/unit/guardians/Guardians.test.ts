import { expect } from "chai";
import { concat, id, toBeHex, TypedDataEncoder, Wallet, ZeroAddress, ZeroHash } from "ethers";
import { network } from "hardhat";
import { DEPOSIT_CONTRACT_ADDRESS } from "../../../devnet/execution/predeploys.js";
import { depositDataRoot } from "../../../oracle/keys/depositData.js";
import { ERC1967Proxy__factory, Guardians__factory } from "../../../types/ethers-contracts/index.js";
import { bytesOf, deployRegistry, ETHER, GuardianKeys, PAUSE_SECONDS, QUORUM } from "../registry/support.js";

const HOUR = 3_600n;
const DAY = 86_400n;

describe("Guardians", () => {
  let connection: Awaited<ReturnType<typeof network.create>>;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function deployed() {
    const on = await deployRegistry(connection);
    return { ...on, governed: on.guardians.connect(on.governance), first: on.keys.wallets[0]! };
  }

  const load = () => connection.networkHelpers.loadFixture(deployed);
  type Deployed = Awaited<ReturnType<typeof deployed>>;

  async function pause(on: Deployed, index = 0) {
    const approvalEpoch = await on.guardians.approvalEpoch();
    const signature = await on.keys.signOne("PauseDeposits", { approvalEpoch }, on.keys.wallets[index]!);
    return on.guardians.pauseDeposits(approvalEpoch, signature);
  }

  /** A stranger's deposit: the deposit contract's count goes up. */
  async function deposit({ depositContract, keeper }: Deployed, seed = "stranger"): Promise<void> {
    const [key, signature] = [bytesOf(`${seed} key`, 48), bytesOf(`${seed} signature`, 96)];
    const credentials = concat(["0x010000000000000000000000", keeper.address]);
    const root = depositDataRoot(key, credentials, 1_000_000_000n, signature);
    await depositContract.deposit(key, credentials, signature, root, { value: ETHER });
  }

  /** The newest block, with another one on it: a call runs as in the newest block, which knows the hashes of earlier ones. */
  async function anchorOf({ provider, depositContract }: Deployed) {
    const block = (await provider.getBlock("latest"))!;
    const count = Buffer.from((await depositContract.get_deposit_count()).slice(2), "hex").readBigUInt64LE();
    await connection.networkHelpers.mine(1);
    return { blockNumber: BigInt(block.number), blockHash: block.hash!, depositCount: count };
  }

  describe("setting up", () => {
    it("starts with its members, quorum, pause duration, authority and epoch 0", async () => {
      const { guardians, cold, keys, manager } = await load();
      const [members, signers, quorum] = await guardians.members();
      expect([...members]).to.deep.equal(cold.map(({ address }) => address));
      expect([...signers]).to.deep.equal(keys.wallets.map(({ address }) => address));
      expect(quorum).to.equal(QUORUM);
      expect(await guardians.pauseDuration()).to.equal(PAUSE_SECONDS);
      expect(await guardians.authority()).to.equal(manager.target);
      expect(await guardians.approvalEpoch()).to.equal(0n);
      expect(await guardians.depositsPausedUntil()).to.equal(0n);
      for (const { address } of keys.wallets) expect(await guardians.isSigner(address)).to.be.true;
      for (const { address } of cold) {
        expect(await guardians.isSigner(address)).to.be.false;
        expect(await guardians.pauseUsed(address)).to.be.false;
      }
    });

    it("signs under the documented domain", async () => {
      const { guardians, provider } = await load();
      const { chainId } = await provider.getNetwork();
      const domain = {
        name: "poolETH Guardians",
        version: "1",
        chainId,
        verifyingContract: await guardians.getAddress(),
      };
      expect(await guardians.domainSeparator()).to.equal(TypedDataEncoder.hashDomain(domain));
    });

    it("refuses bad parts, lists and durations", async () => {
      const { guardiansImplementation: implementation, deployer, manager, pool, cold, keys, guardians } = await load();
      const factory = new Guardians__factory(deployer);
      for (const parts of [
        [ZeroAddress, DEPOSIT_CONTRACT_ADDRESS],
        [await pool.getAddress(), ZeroAddress],
      ] as const) {
        await expect(factory.deploy(parts[0], parts[1])).to.be.revertedWithCustomError(factory, "ZeroAddress");
      }
      const [members, signers] = [cold.map(({ address }) => address), keys.wallets.map(({ address }) => address)];
      const initialize = async (authority: string, duration: bigint, m: string[], s: string[], quorum: number) =>
        new ERC1967Proxy__factory(deployer).deploy(
          implementation,
          implementation.interface.encodeFunctionData("initialize", [authority, duration, m, s, quorum]),
        );
      const authority = await manager.getAddress();
      await expect(initialize(ZeroAddress, HOUR, members, signers, 3)).to.be.revertedWithCustomError(
        implementation,
        "ZeroAddress",
      );
      await expect(initialize(authority, HOUR, members, signers.slice(1), 3))
        .to.be.revertedWithCustomError(implementation, "LengthMismatch")
        .withArgs(5n, 4n);
      await expect(initialize(authority, HOUR, members, signers, 2))
        .to.be.revertedWithCustomError(implementation, "InvalidQuorum")
        .withArgs(2n, 5n);
      await expect(initialize(authority, HOUR, [], [], 0)).to.be.revertedWithCustomError(
        implementation,
        "InvalidQuorum",
      );
      for (const duration of [HOUR - 1n, 14n * DAY + 1n]) {
        await expect(initialize(authority, duration, members, signers, 3))
          .to.be.revertedWithCustomError(implementation, "InvalidPauseDuration")
          .withArgs(duration, HOUR, 14n * DAY);
      }
      for (const contract of [implementation, guardians]) {
        await expect(contract.initialize(authority, HOUR, members, signers, 3)).to.be.revertedWithCustomError(
          implementation,
          "InvalidInitialization",
        );
      }
    });

    it("lets only governance set, and upgrade", async () => {
      const on = await load();
      const { guardians, governed, stranger, guardiansImplementation, cold } = on;
      const as = guardians.connect(stranger);
      const member = cold[0]!.address;
      for (const call of [
        as.resumeDeposits(),
        as.rearm(member),
        as.setPauseDuration(HOUR),
        as.addMember(stranger.address, stranger.address),
        as.removeMember(member),
        as.setQuorum(4),
        as.upgradeToAndCall(guardiansImplementation, "0x"),
      ]) {
        await expect(call)
          .to.be.revertedWithCustomError(guardians, "AccessManagedUnauthorized")
          .withArgs(stranger.address);
      }
      await expect(governed.upgradeToAndCall(guardiansImplementation, "0x")).to.emit(guardians, "Upgraded");
    });
  });

  describe("set and epoch", () => {
    it("raises the epoch when members come and go and the quorum changes", async () => {
      const { guardians, governed, stranger, cold } = await load();
      const newcomer = Wallet.createRandom().address;
      await expect(governed.addMember(stranger.address, newcomer))
        .to.emit(guardians, "ApprovalEpochRaised")
        .withArgs(1n)
        .and.to.emit(guardians, "MemberAdded");
      expect(await guardians.isSigner(newcomer)).to.be.true;
      await expect(governed.setQuorum(5)).to.emit(guardians, "ApprovalEpochRaised").withArgs(2n);
      await expect(governed.removeMember(cold[0]!.address))
        .to.emit(guardians, "ApprovalEpochRaised")
        .withArgs(3n)
        .and.to.emit(guardians, "MemberRemoved")
        .withArgs(cold[0]!.address);
      expect(await guardians.approvalEpoch()).to.equal(3n);
    });

    it("rotates a member's key for the member alone, once a day, and raises the epoch", async () => {
      const { guardians, cold, keys, stranger } = await load();
      const { networkHelpers } = connection;
      const as = guardians.connect(cold[0]);
      const [second, third] = [Wallet.createRandom().address, Wallet.createRandom().address];
      await expect(as.rotateSigner(second))
        .to.emit(guardians, "SignerRotated")
        .withArgs(cold[0]!.address, keys.wallets[0]!.address, second)
        .and.to.emit(guardians, "ApprovalEpochRaised")
        .withArgs(1n);
      expect(await guardians.isSigner(second)).to.be.true;
      expect(await guardians.isSigner(keys.wallets[0]!.address)).to.be.false;

      const next = BigInt(await networkHelpers.time.latest()) + DAY;
      await networkHelpers.time.setNextBlockTimestamp(next - 1n);
      await expect(as.rotateSigner(third))
        .to.be.revertedWithCustomError(guardians, "RotatedRecently")
        .withArgs(cold[0]!.address, next);
      await networkHelpers.time.setNextBlockTimestamp(next);
      await as.rotateSigner(third);
      // others are not held up
      await guardians.connect(cold[1]).rotateSigner(Wallet.createRandom().address);
      await expect(guardians.connect(stranger).rotateSigner(second))
        .to.be.revertedWithCustomError(guardians, "NotMember")
        .withArgs(stranger.address);
    });

    it("sets how long a pause lasts, within bounds", async () => {
      const { guardians, governed } = await load();
      for (const duration of [HOUR, 14n * DAY]) {
        await expect(governed.setPauseDuration(duration)).to.emit(guardians, "PauseDurationChanged").withArgs(duration);
        expect(await guardians.pauseDuration()).to.equal(duration);
      }
      for (const duration of [HOUR - 1n, 14n * DAY + 1n]) {
        await expect(governed.setPauseDuration(duration)).to.be.revertedWithCustomError(
          guardians,
          "InvalidPauseDuration",
        );
      }
    });
  });

  describe("pausing deposits", () => {
    it("takes one guardian's signature, whoever delivers it, and ends by itself", async () => {
      const on = await load();
      const { guardians, cold } = on;
      const { time } = connection.networkHelpers;
      const at = BigInt(await time.latest()) + 10n;
      await time.setNextBlockTimestamp(at);
      await expect(pause(on))
        .to.emit(guardians, "DepositsPaused")
        .withArgs(cold[0]!.address, at + PAUSE_SECONDS, 1n)
        .and.to.emit(guardians, "ApprovalEpochRaised")
        .withArgs(1n);
      expect(await guardians.depositsPausedUntil()).to.equal(at + PAUSE_SECONDS);
      expect(await guardians.pauseUsed(cold[0]!.address)).to.be.true;

      const anchor = await anchorOf(on);
      const message = { cluster: 1n, keysHash: id("keys"), approvalEpoch: 1n, ...anchor };
      const signatures = await on.keys.sign("DepositApproval", message);
      const check = () => guardians.checkDeposit(1, id("keys"), anchor, signatures);
      await time.increaseTo(at + PAUSE_SECONDS - 1n);
      await expect(check())
        .to.be.revertedWithCustomError(guardians, "DepositsArePaused")
        .withArgs(at + PAUSE_SECONDS);
      await time.increaseTo(at + PAUSE_SECONDS);
      await check();
    });

    it("lets each guardian do it once until governance re-arms it, also after a rotation", async () => {
      const on = await load();
      const { guardians, governed, cold, keys } = on;
      await pause(on);
      await expect(pause(on)).to.be.revertedWithCustomError(guardians, "PauseAlreadyUsed").withArgs(cold[0]!.address);
      const rotated = new Wallet(id("rotated"));
      await guardians.connect(cold[0]).rotateSigner(rotated.address);
      const epoch = await guardians.approvalEpoch();
      const signature = await keys.signOne("PauseDeposits", { approvalEpoch: epoch }, rotated);
      await expect(guardians.pauseDeposits(epoch, signature)).to.be.revertedWithCustomError(
        guardians,
        "PauseAlreadyUsed",
      );
      await expect(governed.rearm(cold[0]!.address)).to.emit(guardians, "GuardianRearmed").withArgs(cold[0]!.address);
      await guardians.pauseDeposits(epoch, signature);
    });

    it("re-arms members only", async () => {
      const { guardians, governed, stranger } = await load();
      await expect(governed.rearm(stranger.address))
        .to.be.revertedWithCustomError(guardians, "NotMember")
        .withArgs(stranger.address);
    });

    it("is prolonged, never shortened, by the next guardian", async () => {
      const on = await load();
      const { guardians, governed } = on;
      await pause(on);
      const until = await guardians.depositsPausedUntil();
      await governed.setPauseDuration(HOUR);
      await expect(pause(on, 1)).to.emit(guardians, "DepositsPaused").withArgs(on.cold[1]!.address, until, 2n);
      expect(await guardians.depositsPausedUntil()).to.equal(until);
      await governed.setPauseDuration(14n * DAY);
      await pause(on, 2);
      expect(await guardians.depositsPausedUntil()).to.be.greaterThan(until);
    });

    it("refuses another epoch, strangers, other messages and other contracts", async () => {
      const { guardians, keys, stranger, first, provider } = await load();
      const signed = await keys.signOne("PauseDeposits", { approvalEpoch: 1n }, first);
      await expect(guardians.pauseDeposits(1, signed))
        .to.be.revertedWithCustomError(guardians, "WrongApprovalEpoch")
        .withArgs(1n, 0n);
      await expect(guardians.pauseDeposits(0, signed)).to.be.revertedWithCustomError(guardians, "UnknownSigner");
      const unknown = new Wallet(id("unknown"));
      await expect(guardians.pauseDeposits(0, await keys.signOne("PauseDeposits", { approvalEpoch: 0n }, unknown)))
        .to.be.revertedWithCustomError(guardians, "UnknownSigner")
        .withArgs(0n, unknown.address);
      const staking = await keys.signOne("PauseStaking", { approvalEpoch: 0n }, first);
      await expect(guardians.pauseDeposits(0, staking)).to.be.revertedWithCustomError(guardians, "UnknownSigner");
      const { chainId } = await provider.getNetwork();
      const address = await guardians.getAddress();
      for (const other of [new GuardianKeys(chainId + 1n, address), new GuardianKeys(chainId, stranger.address)]) {
        const elsewhere = await other.signOne("PauseDeposits", { approvalEpoch: 0n }, first);
        await expect(guardians.pauseDeposits(0, elsewhere)).to.be.revertedWithCustomError(guardians, "UnknownSigner");
      }
    });

    it("is ended early by governance", async () => {
      const on = await load();
      const { guardians, governed } = on;
      await pause(on);
      await expect(governed.resumeDeposits()).to.emit(guardians, "DepositsResumed").withArgs(1n);
      expect(await guardians.depositsPausedUntil()).to.equal(0n);
    });
  });

  for (const [what, name, type, relayed, pauses] of [
    ["staking", "pauseStaking", "PauseStaking", "StakingPauseRelayed", "stakingPauses"],
    [
      "the finalising of withdrawals",
      "pauseFinalisation",
      "PauseFinalisation",
      "FinalisationPauseRelayed",
      "finalisationPauses",
    ],
  ] as const)
    describe(`pausing ${what}`, () => {
      it("takes a quorum, and the signatures work once", async () => {
        const { guardians, keys, pool } = await load();
        const signatures = await keys.sign(type, { approvalEpoch: 0n });
        await expect(guardians[name](0, signatures.slice(1)))
          .to.be.revertedWithCustomError(guardians, "QuorumNotReached")
          .withArgs(2n, 3n);
        await expect(guardians[name](0, signatures))
          .to.emit(guardians, relayed)
          .withArgs(1n)
          .and.to.emit(guardians, "ApprovalEpochRaised")
          .withArgs(1n);
        expect(await pool[pauses]()).to.equal(1n);
        await expect(guardians[name](0, signatures))
          .to.be.revertedWithCustomError(guardians, "WrongApprovalEpoch")
          .withArgs(0n, 1n);
        await expect(guardians[name](1, signatures)).to.be.revertedWithCustomError(guardians, "UnknownSigner");
      });

      it("takes signatures for nothing else", async () => {
        const { guardians, keys } = await load();
        const other = name === "pauseStaking" ? "PauseFinalisation" : "PauseStaking";
        const signatures = await keys.sign(other, { approvalEpoch: 0n });
        await expect(guardians[name](0, signatures)).to.be.revertedWithCustomError(guardians, "UnknownSigner");
      });
    });

  describe("what a quorum signs", () => {
    const HEAD = concat([bytesOf("head", 26), "0x000000000000"]);
    const checks = {
      Vetting: {
        message: { account: 1n, batch: 2n, head: HEAD },
        call: (on: Deployed, s: string[]) => on.guardians.checkVetting(1, 2, HEAD, s),
        others: [{ account: 2n }, { batch: 3n }, { head: id("other") }],
      },
      Discard: {
        message: { keysHash: id("keys") },
        call: (on: Deployed, s: string[]) => on.guardians.checkDiscard(id("keys"), s),
        others: [{ keysHash: id("other") }],
      },
      DropQueue: {
        message: { account: 1n, nonce: 7n, batches: 2n },
        call: (on: Deployed, s: string[]) => on.guardians.checkDropQueue(1, 7, 2, s),
        others: [{ account: 2n }, { nonce: 8n }, { batches: 3n }],
      },
    } as const;

    for (const [kind, { message, call, others }] of Object.entries(checks)) {
      it(`accepts ${kind} with exactly what was signed, in its epoch`, async () => {
        const on = await load();
        const { guardians, governed, keys } = on;
        const sign = async (changes: Record<string, unknown>, epoch = 0n) =>
          keys.sign(kind as keyof typeof checks, { ...message, ...changes, approvalEpoch: epoch });
        await call(on, await sign({}));
        await expect(call(on, (await sign({})).slice(1))).to.be.revertedWithCustomError(guardians, "QuorumNotReached");
        for (const change of others) {
          await expect(call(on, await sign(change))).to.be.revertedWithCustomError(guardians, "UnknownSigner");
        }
        await governed.setQuorum(3);
        await expect(call(on, await sign({}))).to.be.revertedWithCustomError(guardians, "UnknownSigner");
        await call(on, await sign({}, 1n));
      });
    }

    it("accepts DepositApproval with exactly what was signed, in its epoch", async () => {
      const on = await load();
      const { guardians, governed, keys } = on;
      const anchor = await anchorOf(on);
      const sign = (changes: Record<string, unknown>, approvalEpoch = 0n) =>
        keys.sign("DepositApproval", { cluster: 1n, keysHash: id("keys"), approvalEpoch, ...anchor, ...changes });
      const check = (signatures: string[]) => guardians.checkDeposit(1, id("keys"), anchor, signatures);
      await check(await sign({}));
      for (const change of [
        { cluster: 2n },
        { keysHash: id("other") },
        { blockNumber: anchor.blockNumber - 1n },
        { blockHash: id("other") },
        { depositCount: anchor.depositCount + 1n },
      ]) {
        await expect(check(await sign(change))).to.be.revertedWithCustomError(guardians, "UnknownSigner");
      }
      await governed.setQuorum(3);
      await expect(check(await sign({}))).to.be.revertedWithCustomError(guardians, "UnknownSigner");
      await check(await sign({}, 1n));
    });
  });

  describe("anchor of a deposit approval", () => {
    /** Signed for whatever the anchor says: only the anchor itself is in question. */
    async function check(on: Deployed, anchor: { blockNumber: bigint; blockHash: string; depositCount: bigint }) {
      const message = { cluster: 1n, keysHash: id("keys"), approvalEpoch: 0n, ...anchor };
      return on.guardians.checkDeposit(1, id("keys"), anchor, await on.keys.sign("DepositApproval", message));
    }

    it("holds in the next 256 blocks", async () => {
      const on = await load();
      const anchor = await anchorOf(on);
      await connection.networkHelpers.mine(255);
      await check(on, anchor);
      await connection.networkHelpers.mine(1);
      await expect(check(on, anchor))
        .to.be.revertedWithCustomError(on.guardians, "AnchorNotCanonical")
        .withArgs(anchor.blockNumber, anchor.blockHash, ZeroHash);
    });

    it("is refused with another hash, also of zeros, and in the future", async () => {
      const on = await load();
      const { guardians } = on;
      const anchor = await anchorOf(on);
      const { blockNumber, blockHash } = anchor;
      await expect(check(on, { ...anchor, blockHash: id("fork") }))
        .to.be.revertedWithCustomError(guardians, "AnchorNotCanonical")
        .withArgs(blockNumber, id("fork"), blockHash);
      for (const [number, hash] of [
        [blockNumber + 1_000n, ZeroHash],
        [blockNumber + 1_000n, blockHash],
        [blockNumber, ZeroHash],
      ] as const) {
        await expect(check(on, { ...anchor, blockNumber: number, blockHash: hash })).to.be.revertedWithCustomError(
          guardians,
          "AnchorNotCanonical",
        );
      }
    });

    it("is refused once anybody deposited", async () => {
      const on = await load();
      await deposit(on, "earlier");
      const anchor = await anchorOf(on);
      expect(anchor.depositCount).to.equal(1n);
      await check(on, anchor);
      await deposit(on);
      await expect(check(on, anchor))
        .to.be.revertedWithCustomError(on.guardians, "DepositCountChanged")
        .withArgs(1n, 2n);
    });

    it("reads all bytes of the count, least significant first", async () => {
      const on = await load();
      // the contract's count is its storage slot 32
      const count = 0x01020304n;
      await connection.networkHelpers.setStorageAt(DEPOSIT_CONTRACT_ADDRESS, 32, toBeHex(count, 32));
      const anchor = await anchorOf(on);
      expect(anchor.depositCount).to.equal(count);
      await check(on, anchor);
      await expect(check(on, { ...anchor, depositCount: 0x04030201n }))
        .to.be.revertedWithCustomError(on.guardians, "DepositCountChanged")
        .withArgs(0x04030201n, count);
    });
  });
});
