import { expect } from "chai";
import type { BaseWallet, Wallet } from "ethers";
import { id, MaxUint256, TypedDataEncoder, ZeroAddress, ZeroHash } from "ethers";
import { network } from "hardhat";
import { BEACON_ROOTS_ADDRESS } from "../../../devnet/execution/predeploys.js";
import { ReportOracle__factory, ReportRecorder__factory } from "../../../types/ethers-contracts/index.js";
import { installBeaconRoots, setBeaconRoot } from "./support.js";

const GENESIS = 1_800_000_000n;
const SECONDS_PER_SLOT = 12n;
const SLOTS_PER_FRAME = 225n * 32n;
const ETHER = 10n ** 18n;

const REPORT_TYPES = {
  Report: [
    { name: "version", type: "uint32" },
    { name: "refSlot", type: "uint64" },
    { name: "beaconBlockRoot", type: "bytes32" },
    { name: "clBalance", type: "uint128" },
    { name: "openPenalties", type: "uint128" },
    { name: "withdrawnAtRef", type: "uint128" },
    { name: "exiting", type: "uint32[]" },
    { name: "exited", type: "uint32[]" },
  ],
};

interface Report {
  version: bigint;
  refSlot: bigint;
  beaconBlockRoot: string;
  clBalance: bigint;
  openPenalties: bigint;
  withdrawnAtRef: bigint;
  exiting: number[];
  exited: number[];
}

/** Start of the slot that is `slots` after the reference slot of `frame`. */
const timeAfter = (frame: bigint, slots: bigint) => GENESIS + (refSlotOf(frame) + slots) * SECONDS_PER_SLOT;
const refSlotOf = (frame: bigint) => (frame + 1n) * SLOTS_PER_FRAME - 1n;

describe("ReportOracle", () => {
  let connection: Awaited<ReturnType<typeof network.create>>;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function deployed() {
    const { ethers, networkHelpers, provider } = connection;
    const [deployer, governance, keeper, ...rest] = await ethers.getSigners();
    const cold = rest.slice(0, 3);
    const wallets = [...Array(6).keys()].map((i) => new ethers.Wallet(id(`oracle ${i}`)));
    const hot = wallets.slice(0, 3);
    await networkHelpers.time.setNextBlockTimestamp(GENESIS + 5n);
    await installBeaconRoots(provider);
    const manager = await ethers.deployContract("AccessManager", [governance!.address]);
    const pool = await new ReportRecorder__factory(deployer).deploy();
    const exits = await new ReportRecorder__factory(deployer).deploy();
    const frames = { genesisTime: GENESIS, secondsPerSlot: SECONDS_PER_SLOT, slotsPerFrame: SLOTS_PER_FRAME };
    const implementation = await new ReportOracle__factory(deployer).deploy(pool.target, exits.target, frames);
    const initialize = (members: string[], signers: string[], quorum: bigint, authority = manager.target) =>
      ethers.deployContract("ERC1967Proxy", [
        implementation.target,
        implementation.interface.encodeFunctionData("initialize", [authority, members, signers, quorum]),
      ]);
    const proxy = await initialize(
      cold.map((s) => s.address),
      hot.map((w) => w.address),
      2n,
    );
    const oracle = ReportOracle__factory.connect(proxy.target as string, keeper);
    const governed = oracle.connect(governance);
    const domain = {
      name: "poolETH ReportOracle",
      version: "1",
      chainId: (await ethers.provider.getNetwork()).chainId,
      verifyingContract: proxy.target as string,
    };
    return {
      ...{ deployer: deployer!, governance: governance!, keeper: keeper!, stranger: rest[3]!, cold, hot, wallets },
      ...{ manager, pool, exits, frames, implementation, initialize, oracle, governed, domain },
    };
  }

  type Deployed = Awaited<ReturnType<typeof deployed>>;

  const load = () => connection.networkHelpers.loadFixture(deployed);

  /** A block at `timestamp` as the newest; its parent's root is kept by EIP-4788. */
  async function block(timestamp: bigint, parentRoot = id(`root before ${timestamp}`)): Promise<string> {
    await connection.networkHelpers.time.increaseTo(timestamp);
    await setBeaconRoot(connection.provider, timestamp, parentRoot);
    return parentRoot;
  }

  /** The reported frame has just ended, the first block of the next one is there. */
  async function reportFor(frame: bigint, values: Partial<Report> = {}): Promise<Report> {
    const beaconBlockRoot = await block(timeAfter(frame, 1n));
    return report(frame, { beaconBlockRoot, ...values });
  }

  const report = (frame: bigint, values: Partial<Report> = {}): Report => ({
    version: 1n,
    refSlot: refSlotOf(frame),
    beaconBlockRoot: ZeroHash,
    clBalance: 3_200n * ETHER,
    openPenalties: ETHER,
    withdrawnAtRef: 7n * ETHER,
    exiting: [],
    exited: [],
    ...values,
  });

  async function sign({ domain }: Deployed, signers: BaseWallet[], message: Report): Promise<string[]> {
    const ordered = [...signers].sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));
    return Promise.all(ordered.map((signer) => signer.signTypedData(domain, REPORT_TYPES, message)));
  }

  async function submit(d: Deployed, message: Report, signers: BaseWallet[] = d.hot) {
    return d.oracle.submitReport(message, await sign(d, signers, message));
  }

  describe("deployment", () => {
    it("keeps its frames, targets, members and version 1", async () => {
      const d = await load();
      expect(await d.oracle.frameConfig()).to.deep.equal([GENESIS, SECONDS_PER_SLOT, SLOTS_PER_FRAME]);
      expect(await d.oracle.targets()).to.deep.equal([d.pool.target, d.exits.target]);
      expect(await d.oracle.members()).to.deep.equal([d.cold.map((s) => s.address), d.hot.map((w) => w.address), 2n]);
      expect(await d.oracle.isSigner(d.hot[0]!.address)).to.equal(true);
      expect(await d.oracle.isSigner(d.cold[0]!.address)).to.equal(false);
      expect(await d.oracle.versionAt(0n)).to.equal(1n);
      expect(await d.oracle.versionAt(refSlotOf(1_000_000n))).to.equal(1n);
      expect(await d.oracle.lastFrame()).to.equal(0n);
      expect(await d.oracle.authority()).to.equal(d.manager.target);
    });

    it("keeps its state in the ERC-7201 slot of its name", async () => {
      const d = await load();
      const base = BigInt(id("pooleth.storage.ReportOracle")) - 1n;
      const { ethers } = connection;
      const slot = BigInt(ethers.keccak256(ethers.toBeHex(base, 32))) & ~0xffn;
      expect(BigInt(await ethers.provider.getStorage(d.oracle.target, slot))).to.equal(3n); // members.length
      for (let i = 0n; i < 8n; ++i) expect(BigInt(await ethers.provider.getStorage(d.oracle.target, i))).to.equal(0n);
    });

    it("is initialized once, and its implementation never", async () => {
      const d = await load();
      for (const target of [d.oracle, d.implementation])
        await expect(target.initialize(d.manager.target, [], [], 0n)).to.be.revertedWithCustomError(
          d.oracle,
          "InvalidInitialization",
        );
    });

    it("refuses zero addresses, unequal lists, a bad quorum and frames EIP-4788 cannot prove", async () => {
      const { ethers } = connection;
      const d = await load();
      const { implementation } = d;
      const one = d.cold[0]!.address;
      const deploy = (pool: unknown, registry: unknown, frames: object) =>
        ethers.deployContract("ReportOracle", [pool, registry, { ...d.frames, ...frames }]);
      await expect(deploy(ZeroAddress, d.exits.target, {})).to.be.revertedWithCustomError(
        implementation,
        "ZeroAddress",
      );
      await expect(deploy(d.pool.target, ZeroAddress, {})).to.be.revertedWithCustomError(implementation, "ZeroAddress");
      for (const [seconds, slots] of [
        [0, 32],
        [8191, 32],
        [2 * 8191, 32],
        [12, 0],
        [12, 8191],
      ])
        await expect(deploy(d.pool.target, d.exits.target, { secondsPerSlot: seconds, slotsPerFrame: slots }))
          .to.be.revertedWithCustomError(implementation, "InvalidFrameConfig")
          .withArgs(seconds, slots);
      await deploy(d.pool.target, d.exits.target, { slotsPerFrame: 8190 });
      await expect(d.initialize([one], [], 1n))
        .to.be.revertedWithCustomError(implementation, "LengthMismatch")
        .withArgs(1, 0);
      await expect(d.initialize([], [], 0n, ZeroAddress)).to.be.revertedWithCustomError(implementation, "ZeroAddress");
      await expect(d.initialize([], [], 0n))
        .to.be.revertedWithCustomError(implementation, "InvalidQuorum")
        .withArgs(0, 0);
      await expect(d.initialize([one], [one], 2n))
        .to.be.revertedWithCustomError(implementation, "InvalidQuorum")
        .withArgs(2, 1);
      await expect(d.initialize([one], [ZeroAddress], 1n))
        .to.be.revertedWithCustomError(implementation, "InvalidSigner")
        .withArgs(ZeroAddress);
    });
  });

  describe("a report", () => {
    it("goes to the pool and to ValidatorExits, signed by a quorum", async () => {
      const d = await load();
      const message = await reportFor(1n, { exiting: [9], exited: [7, 3, 3] });
      const submission = submit(d, message, d.hot.slice(0, 2));
      await expect(submission)
        .to.emit(d.oracle, "ReportAccepted")
        .withArgs(1, refSlotOf(1n), message.beaconBlockRoot, 3_200n * ETHER, ETHER, 7n * ETHER, 1, 3, true);
      await expect(submission)
        .to.emit(d.pool, "Applied")
        .withArgs([1n, refSlotOf(1n), 3_200n * ETHER, ETHER, 7n * ETHER]);
      await expect(submission).to.emit(d.exits, "ExitsRecorded").withArgs([9n], [7n, 3n, 3n]);
      expect([await d.oracle.lastFrame(), await d.oracle.lastAppliedFrame()]).to.deep.equal([1n, 1n]);
    });

    it("says nothing of exits when there are none, and both kinds or one", async () => {
      const d = await load();
      await expect(submit(d, await reportFor(1n))).not.to.emit(d.exits, "ExitsRecorded");
      await expect(submit(d, await reportFor(2n, { exiting: [2] })))
        .to.emit(d.exits, "ExitsRecorded")
        .withArgs([2n], []);
      await expect(submit(d, await reportFor(3n, { exited: [2] })))
        .to.emit(d.exits, "ExitsRecorded")
        .withArgs([], [2n]);
    });

    it("whose loss waits for governance takes the frame but marks no exit", async () => {
      const d = await load();
      await submit(d, await reportFor(1n));
      await d.pool.setLossPending(true);
      const message = await reportFor(2n, { exiting: [2, 3], exited: [1] });
      const submission = submit(d, message);
      await expect(submission)
        .to.emit(d.oracle, "ReportAccepted")
        .withArgs(2, refSlotOf(2n), message.beaconBlockRoot, 3_200n * ETHER, ETHER, 7n * ETHER, 2, 1, false);
      await expect(submission).not.to.emit(d.exits, "ExitsRecorded");
      expect([await d.oracle.lastFrame(), await d.oracle.lastAppliedFrame()]).to.deep.equal([2n, 1n]);
      await expect(submit(d, message)).to.be.revertedWithCustomError(d.oracle, "AlreadyReported").withArgs(2);
    });

    it("is digested as EIP-712 says", async () => {
      const d = await load();
      const message = report(3n, { beaconBlockRoot: id("root"), exiting: [8], exited: [4, 2 ** 32 - 1], version: 9n });
      expect(await d.oracle.digest(message)).to.equal(TypedDataEncoder.hash(d.domain, REPORT_TYPES, message));
      const { name, version, chainId, verifyingContract } = await d.oracle.eip712Domain();
      expect({ name, version, chainId, verifyingContract }).to.deep.equal(d.domain);
    });

    it("is accepted once a frame", async () => {
      const d = await load();
      const message = await reportFor(1n);
      await submit(d, message);
      await expect(submit(d, message)).to.be.revertedWithCustomError(d.oracle, "AlreadyReported").withArgs(1);
      const other = { ...message, clBalance: 1n };
      await expect(submit(d, other)).to.be.revertedWithCustomError(d.oracle, "AlreadyReported").withArgs(1);
    });

    it("cannot be delivered again from inside", async () => {
      const d = await load();
      const message = await reportFor(1n);
      const signatures = await sign(d, d.hot, message);
      await d.pool.setCallback(
        ReportOracle__factory.createInterface().encodeFunctionData("submitReport", [message, signatures]),
      );
      await expect(d.oracle.submitReport(message, signatures))
        .to.be.revertedWithCustomError(d.oracle, "AlreadyReported")
        .withArgs(1);
      expect(await d.oracle.lastFrame()).to.equal(0n);
    });

    it("may leave frames out", async () => {
      const d = await load();
      await submit(d, await reportFor(1n));
      await submit(d, await reportFor(4n));
      expect(await d.oracle.lastFrame()).to.equal(4n);
    });

    it("is refused for any frame but the latest completed one", async () => {
      const d = await load();
      const late = await reportFor(2n);
      const lateSignatures = await sign(d, d.hot, late);
      await connection.networkHelpers.time.setNextBlockTimestamp(timeAfter(3n, 1n));
      await expect(d.oracle.submitReport(late, lateSignatures))
        .to.be.revertedWithCustomError(d.oracle, "FrameNotReportable")
        .withArgs(refSlotOf(2n), refSlotOf(3n));
      for (const refSlot of [refSlotOf(4n), refSlotOf(3n) + 1n, refSlotOf(3n) - 1n, 0n])
        await expect(submit(d, report(3n, { refSlot })))
          .to.be.revertedWithCustomError(d.oracle, "FrameNotReportable")
          .withArgs(refSlot, refSlotOf(3n));
    });

    it("is accepted up to the last second before the next frame has ended", async () => {
      const d = await load();
      const message = await reportFor(2n);
      await connection.networkHelpers.time.setNextBlockTimestamp(timeAfter(3n, 1n) - 1n);
      await submit(d, message);
      expect(await d.oracle.lastFrame()).to.equal(2n);
    });

    it("is refused before the reference slot is over", async () => {
      const d = await load();
      await connection.networkHelpers.time.setNextBlockTimestamp(timeAfter(2n, 1n) - 1n);
      await expect(submit(d, report(2n)))
        .to.be.revertedWithCustomError(d.oracle, "FrameNotReportable")
        .withArgs(refSlotOf(2n), refSlotOf(1n));
    });

    it("is never for frame 0", async () => {
      const d = await load();
      const { networkHelpers } = connection;
      const message = report(0n, { beaconBlockRoot: id("genesis") });
      await expect(submit(d, message)).to.be.revertedWithCustomError(d.oracle, "AlreadyReported").withArgs(0);
      expect(await d.oracle.reportable()).to.deep.equal([refSlotOf(0n), true, ZeroHash]);
      await block(timeAfter(0n, 1n), message.beaconBlockRoot);
      await expect(submit(d, message)).to.be.revertedWithCustomError(d.oracle, "AlreadyReported").withArgs(0);
      await networkHelpers.mine();
      expect(await d.oracle.reportable()).to.deep.equal([refSlotOf(0n), true, id("genesis")]);
    });

    it("names at most 128 validators that leave and 128 that are gone", async () => {
      const d = await load();
      const ids = [...Array(129).keys()];
      const message = await reportFor(1n);
      for (const list of [{ exiting: ids }, { exited: ids }]) {
        await expect(submit(d, { ...message, ...list }))
          .to.be.revertedWithCustomError(d.oracle, "TooManyExits")
          .withArgs(129, 128);
      }
      await submit(d, { ...message, exiting: ids.slice(1), exited: ids.slice(1) });
    });

    it("reverts as the pool reverts, and can then be replaced", async () => {
      const d = await load();
      const message = await reportFor(1n);
      await d.pool.setCallback("0x12345678");
      await expect(submit(d, message)).to.be.revertedWithoutReason(connection.ethers);
      await d.pool.setCallback("0x");
      await submit(d, message);
    });
  });

  describe("the reference block", () => {
    it("is the last one before the first block after the reference slot, however many slots are empty", async () => {
      for (const slots of [1n, 2n, 3n, 40n, 128n]) {
        const d = await load();
        const beaconBlockRoot = await block(timeAfter(1n, slots));
        await block(timeAfter(1n, slots + 1n)); // a later block answers too, and must not be taken
        expect(await d.oracle.reportable()).to.deep.equal([refSlotOf(1n), false, beaconBlockRoot]);
        await submit(d, report(1n, { beaconBlockRoot }));
        expect(await d.oracle.reportable()).to.deep.equal([refSlotOf(1n), true, beaconBlockRoot]);
      }
    });

    it("is unknown when more than 128 slots are empty", async () => {
      const d = await load();
      const beaconBlockRoot = await block(timeAfter(1n, 129n));
      expect(await d.oracle.reportable()).to.deep.equal([refSlotOf(1n), false, ZeroHash]);
      for (const root of [beaconBlockRoot, ZeroHash])
        await expect(submit(d, report(1n, { beaconBlockRoot: root })))
          .to.be.revertedWithCustomError(d.oracle, "BeaconRootNotFound")
          .withArgs(refSlotOf(1n));
    });

    it("is unknown until a block follows the reference slot, even if EIP-4788 already holds its word", async () => {
      const d = await load();
      const { networkHelpers, provider } = connection;
      await networkHelpers.time.increaseTo(timeAfter(1n, 2n) - 1n);
      await setBeaconRoot(provider, timeAfter(1n, 2n), id("too early"));
      expect(await d.oracle.reportable()).to.deep.equal([refSlotOf(1n), false, ZeroHash]);
      const message = report(1n, { beaconBlockRoot: id("too early") });
      await expect(d.oracle.submitReport.staticCall(message, await sign(d, d.hot, message)))
        .to.be.revertedWithCustomError(d.oracle, "BeaconRootNotFound")
        .withArgs(refSlotOf(1n));
      await networkHelpers.time.setNextBlockTimestamp(timeAfter(1n, 2n));
      await submit(d, message);
    });

    it("is not taken from another turn of EIP-4788's ring", async () => {
      const d = await load();
      const { provider } = connection;
      await setBeaconRoot(provider, timeAfter(1n, 1n) - 8191n * SECONDS_PER_SLOT, id("old"));
      await setBeaconRoot(provider, timeAfter(1n, 2n) + 8191n, id("new"));
      const beaconBlockRoot = await block(timeAfter(1n, 3n));
      expect(await d.oracle.reportable()).to.deep.equal([refSlotOf(1n), false, beaconBlockRoot]);
    });

    it("must be the one reported", async () => {
      const d = await load();
      const message = await reportFor(1n);
      await expect(submit(d, { ...message, beaconBlockRoot: id("fork") }))
        .to.be.revertedWithCustomError(d.oracle, "BeaconRootMismatch")
        .withArgs(id("fork"), message.beaconBlockRoot);
    });

    it("is unknown on a chain without EIP-4788", async () => {
      const d = await load();
      const message = await reportFor(1n);
      await connection.networkHelpers.setCode(BEACON_ROOTS_ADDRESS, "0x");
      await expect(submit(d, message)).to.be.revertedWithCustomError(d.oracle, "BeaconRootNotFound");
    });
  });

  describe("signatures", () => {
    const byAddress = (a: BaseWallet, b: BaseWallet) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1);

    it("need a quorum, in ascending order, each signer once", async () => {
      const d = await load();
      const message = await reportFor(1n);
      const [a, b, c] = (await sign(d, d.hot, message)) as [string, string, string];
      const refused = (signatures: string[]) => expect(d.oracle.submitReport(message, signatures)).to.be;
      await refused([]).revertedWithCustomError(d.oracle, "QuorumNotReached").withArgs(0, 2);
      await refused([a]).revertedWithCustomError(d.oracle, "QuorumNotReached").withArgs(1, 2);
      await refused([b, a]).revertedWithCustomError(d.oracle, "SignersNotAscending").withArgs(1);
      await refused([a, a]).revertedWithCustomError(d.oracle, "SignersNotAscending").withArgs(1);
      await refused([a, c, b]).revertedWithCustomError(d.oracle, "SignersNotAscending").withArgs(2);
      await d.oracle.submitReport(message, [a, b, c]);
    });

    it("must all be of current signers over exactly this report", async () => {
      const d = await load();
      const message = await reportFor(1n);
      const [first, foreign] = [d.hot[0]!, d.wallets[4]!].sort(byAddress) as [Wallet, Wallet];
      const index = [first, foreign].findIndex((w) => w.address === d.wallets[4]!.address);
      await expect(submit(d, message, [first, foreign]))
        .to.be.revertedWithCustomError(d.oracle, "UnknownSigner")
        .withArgs(index, d.wallets[4]!.address);

      const signatures = await sign(d, d.hot, message);
      for (const [key, value] of Object.entries({
        clBalance: 1n,
        openPenalties: 2n,
        withdrawnAtRef: 3n,
        exiting: [1],
        exited: [1],
      }))
        await expect(
          d.oracle.submitReport({ ...message, [key]: value }, signatures),
          key,
        ).to.be.revertedWithCustomError(d.oracle, "UnknownSigner");
      for (const broken of ["0x", "0x1234", `${signatures[0]!.slice(0, -2)}00`])
        await expect(d.oracle.submitReport(message, [broken, signatures[1]!]))
          .to.be.revertedWithCustomError(d.oracle, "UnknownSigner")
          .withArgs(0, ZeroAddress);
    });

    it("do not carry over to another chain, contract or version", async () => {
      const d = await load();
      const message = await reportFor(1n);
      for (const change of [
        { chainId: 1n },
        { verifyingContract: d.implementation.target as string },
        { name: "poolETH Guardians" },
        { version: "2" },
      ]) {
        const foreign = { ...d, domain: { ...d.domain, ...change } };
        await expect(d.oracle.submitReport(message, await sign(foreign, d.hot, message))).to.be.revertedWithCustomError(
          d.oracle,
          "UnknownSigner",
        );
      }
    });

    it("follow a member's new key at once", async () => {
      const d = await load();
      const [, , member] = d.cold;
      const [one, two, old, fresh] = d.wallets as [Wallet, Wallet, Wallet, Wallet];
      await expect(d.oracle.connect(d.stranger).rotateSigner(fresh.address))
        .to.be.revertedWithCustomError(d.oracle, "NotMember")
        .withArgs(d.stranger.address);
      await expect(d.oracle.connect(member).rotateSigner(one.address))
        .to.be.revertedWithCustomError(d.oracle, "InvalidSigner")
        .withArgs(one.address);
      await expect(d.oracle.connect(member).rotateSigner(fresh.address))
        .to.emit(d.oracle, "SignerRotated")
        .withArgs(member!.address, old.address, fresh.address);
      const message = await reportFor(1n);
      await expect(submit(d, message, [one, two, old])).to.be.revertedWithCustomError(d.oracle, "UnknownSigner");
      await submit(d, message, [one, fresh]);
    });

    it("of a removed member no longer count", async () => {
      const d = await load();
      await expect(d.governed.removeMember(d.cold[0]!.address))
        .to.emit(d.oracle, "MemberRemoved")
        .withArgs(d.cold[0]!.address);
      const message = await reportFor(1n);
      await expect(submit(d, message, d.hot.slice(0, 2))).to.be.revertedWithCustomError(d.oracle, "UnknownSigner");
      await submit(d, message, d.hot.slice(1));
    });
  });

  describe("members", () => {
    it("are admitted by governance, the quorum staying more than half", async () => {
      const d = await load();
      const [, , , fourth] = d.wallets;
      await expect(d.governed.addMember(d.stranger.address, fourth!.address))
        .to.emit(d.oracle, "MemberAdded")
        .withArgs(d.stranger.address, fourth!.address, 3);
      expect((await d.oracle.members())[2]).to.equal(3n);
      const message = await reportFor(1n);
      await expect(submit(d, message, d.hot.slice(0, 2)))
        .to.be.revertedWithCustomError(d.oracle, "QuorumNotReached")
        .withArgs(2, 3);
      await submit(d, message, [d.hot[0]!, d.hot[2]!, fourth!]);
    });

    it("are refused twice, without an address or a key of their own, and beyond 32", async () => {
      const d = await load();
      const free = d.wallets[4]!.address;
      await expect(d.governed.addMember(d.cold[0]!.address, free))
        .to.be.revertedWithCustomError(d.oracle, "MemberExists")
        .withArgs(d.cold[0]!.address);
      await expect(d.governed.addMember(ZeroAddress, free))
        .to.be.revertedWithCustomError(d.oracle, "NotMember")
        .withArgs(ZeroAddress);
      await expect(d.governed.addMember(d.stranger.address, d.hot[0]!.address))
        .to.be.revertedWithCustomError(d.oracle, "InvalidSigner")
        .withArgs(d.hot[0]!.address);
      for (let i = 3; i < 32; ++i) {
        const address = connection.ethers.getAddress(id(`member ${i}`).slice(0, 42));
        await d.governed.addMember(address, address);
      }
      await expect(d.governed.addMember(d.stranger.address, free))
        .to.be.revertedWithCustomError(d.oracle, "TooManyMembers")
        .withArgs(32);
    });

    it("leave only while the quorum can still be reached", async () => {
      const d = await load();
      await expect(d.governed.removeMember(d.stranger.address))
        .to.be.revertedWithCustomError(d.oracle, "NotMember")
        .withArgs(d.stranger.address);
      await d.governed.setQuorum(3);
      await expect(d.governed.removeMember(d.cold[1]!.address))
        .to.be.revertedWithCustomError(d.oracle, "InvalidQuorum")
        .withArgs(3, 2);
      await d.governed.setQuorum(2);
      await d.governed.removeMember(d.cold[1]!.address);
      expect(await d.oracle.members()).to.deep.equal([
        [d.cold[0]!.address, d.cold[2]!.address],
        [d.hot[0]!.address, d.hot[2]!.address],
        2n,
      ]);
    });

    it("have a quorum of more than half and at most all", async () => {
      const d = await load();
      for (const quorum of [0n, 1n, 4n])
        await expect(d.governed.setQuorum(quorum))
          .to.be.revertedWithCustomError(d.oracle, "InvalidQuorum")
          .withArgs(quorum, 3);
      await expect(d.governed.setQuorum(3)).to.emit(d.oracle, "QuorumChanged").withArgs(3);
    });
  });

  describe("versions", () => {
    it("switch with the scheduled frame and not before", async () => {
      const d = await load();
      await connection.networkHelpers.time.increaseTo(timeAfter(1n, 1n)); // in frame 2
      await expect(d.governed.scheduleVersion(2, 3)).to.emit(d.oracle, "VersionScheduled").withArgs(2, 3);
      expect(await d.oracle.versionAt(refSlotOf(2n))).to.equal(1n);
      expect(await d.oracle.versionAt(refSlotOf(3n) - SLOTS_PER_FRAME + 1n)).to.equal(2n);
      expect(await d.oracle.versionAt(refSlotOf(3n))).to.equal(2n);

      const old = await reportFor(2n);
      await expect(submit(d, { ...old, version: 2n }))
        .to.be.revertedWithCustomError(d.oracle, "UnsupportedVersion")
        .withArgs(2, 1);
      await submit(d, old);
      const next = await reportFor(3n);
      await expect(submit(d, next)).to.be.revertedWithCustomError(d.oracle, "UnsupportedVersion").withArgs(1, 2);
      await submit(d, { ...next, version: 2n });
    });

    it("cannot change for a frame that has ended", async () => {
      const d = await load();
      await connection.networkHelpers.time.increaseTo(timeAfter(1n, 1n));
      await expect(d.governed.scheduleVersion(2, 1))
        .to.be.revertedWithCustomError(d.oracle, "InvalidFrame")
        .withArgs(1, 2);
      await d.governed.scheduleVersion(2, 2); // still running
      expect(await d.oracle.versionAt(refSlotOf(1n))).to.equal(1n);
      expect(await d.oracle.versionAt(refSlotOf(2n))).to.equal(2n);
    });

    it("replace a switch that lies ahead, and follow one that has happened", async () => {
      const d = await load();
      const { networkHelpers } = connection;
      const at = (frame: bigint) => d.oracle.versionAt(refSlotOf(frame));
      await networkHelpers.time.increaseTo(timeAfter(1n, 1n)); // in frame 2
      await d.governed.scheduleVersion(2, 4);
      await d.governed.scheduleVersion(3, 5); // instead
      expect([await at(4n), await at(5n)]).to.deep.equal([1n, 3n]);
      await networkHelpers.time.increaseTo(timeAfter(4n, 1n)); // in frame 5: no report of it can exist yet
      await d.governed.scheduleVersion(4, 6);
      expect([await at(4n), await at(5n), await at(6n)]).to.deep.equal([1n, 1n, 4n]);
      await networkHelpers.time.increaseTo(timeAfter(6n, 1n)); // in frame 7: frame 6 is reported by version 4
      await d.governed.scheduleVersion(5, 7);
      expect([await at(6n), await at(7n)]).to.deep.equal([4n, 5n]);
    });
  });

  describe("governance", () => {
    it("alone may change anything", async () => {
      const d = await load();
      const stranger = d.oracle.connect(d.stranger);
      for (const call of [
        () => stranger.scheduleVersion(2, 5),
        () => stranger.addMember(d.stranger.address, d.stranger.address),
        () => stranger.removeMember(d.cold[0]!.address),
        () => stranger.setQuorum(3),
        () => stranger.upgradeToAndCall(d.implementation.target, "0x"),
      ])
        await expect(call())
          .to.be.revertedWithCustomError(d.oracle, "AccessManagedUnauthorized")
          .withArgs(d.stranger.address);
    });

    it("upgrades the code and keeps the state", async () => {
      const { ethers } = connection;
      const d = await load();
      await submit(d, await reportFor(1n));
      const next = await ethers.deployContract("ReportOracle", [d.exits.target, d.pool.target, d.frames]);
      await expect(d.governed.upgradeToAndCall(next.target, "0x")).to.emit(d.oracle, "Upgraded").withArgs(next.target);
      expect(await d.oracle.targets()).to.deep.equal([d.exits.target, d.pool.target]);
      expect(await d.oracle.lastFrame()).to.equal(1n);
      await expect(d.implementation.upgradeToAndCall(next.target, "0x")).to.be.revertedWithCustomError(
        d.implementation,
        "UUPSUnauthorizedCallContext",
      );
    });
  });

  it("keeps every figure whole up to its type's end", async () => {
    const d = await load();
    const most = MaxUint256 >> 128n;
    const message = await reportFor(1n, { clBalance: most, openPenalties: most, withdrawnAtRef: most });
    await expect(submit(d, message))
      .to.emit(d.pool, "Applied")
      .withArgs([1n, refSlotOf(1n), most, most, most]);
  });
});
