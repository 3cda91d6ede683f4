import { expect } from "chai";
import { id, Wallet } from "ethers";
import { sign, type DepositApproval, type Report, type SignedMessage } from "../../../oracle/signatures/messages.js";
import { disagreements, quorumOf, SignatureStore } from "../../../oracle/signatures/store.js";
import {
  APPROVAL,
  addresses,
  context,
  DOMAINS,
  keysHash,
  members,
  REGISTRY,
  REPORT,
  VETTING,
} from "./messagesSupport.js";

describe("signature store", () => {
  const oracles = members("oracle");
  const guardians = members("guardian");
  const [oracle] = oracles as [Wallet];
  const [guardian] = guardians as [Wallet];
  let store: SignatureStore;
  beforeEach(() => {
    store = new SignatureStore();
    store.update(context());
  });

  const report = (signer: Wallet, changes: Partial<Report> = {}): Promise<SignedMessage> =>
    sign({ kind: "report", message: { ...REPORT, ...changes } }, DOMAINS, signer);
  const approval = (signer: Wallet, changes: Partial<DepositApproval> = {}): Promise<SignedMessage> =>
    sign({ kind: "deposit", message: { ...APPROVAL, ...changes } }, DOMAINS, signer);
  const vetting = (signer: Wallet): Promise<SignedMessage> =>
    sign({ kind: "vetting", message: VETTING }, DOMAINS, signer);

  it("keeps what members sign", async () => {
    expect(store.add(await report(oracle))).to.deep.equal({ kept: true, signer: oracle.address });
    expect(store.add(await vetting(guardian))).to.deep.equal({ kept: true, signer: guardian.address });
    expect(store.add(await approval(guardian))).to.deep.equal({ kept: true, signer: guardian.address });
    expect(store.reports(63).map(({ signer }) => signer)).to.deep.equal([oracle.address]);
    expect(store.reports(95)).to.deep.equal([]);
    expect(store.vettings(1, 0)).to.have.length(1);
    expect(store.vettings(1, 1)).to.deep.equal([]);
    expect(store.deposits(1)).to.have.length(1);
    expect(store.deposits(2)).to.deep.equal([]);
  });

  it("takes nothing before it knows the members", async () => {
    expect(new SignatureStore().add(await report(oracle))).to.deep.equal({ kept: false, reason: "NotReady" });
  });

  it("refuses strangers, and members of the other set", async () => {
    for (const signed of [await report(new Wallet(id("stranger"))), await report(guardian), await approval(oracle)]) {
      expect(store.add(signed)).to.deep.equal({ kept: false, reason: "NotAMember" });
    }
  });

  it("refuses what is no signature", async () => {
    const signed = { ...(await report(oracle)), signature: `0x${"ff".repeat(65)}` };
    expect(store.add(signed)).to.deep.equal({ kept: false, reason: "BadSignature" });
  });

  it("refuses other frames than the reportable one and the next", async () => {
    expect(store.add(await report(oracle, { refSlot: 95 })).kept).to.equal(true);
    for (const refSlot of [31, 127]) {
      expect(store.add(await report(oracle, { refSlot }))).to.deep.equal({ kept: false, reason: "WrongFrame" });
    }
  });

  it("refuses another approval epoch", async () => {
    expect(store.add(await approval(guardian, { approvalEpoch: 2n }))).to.deep.equal({
      kept: false,
      reason: "WrongApprovalEpoch",
    });
  });

  it("keeps a member's first report of a frame, not a second, different one", async () => {
    store.add(await report(oracle));
    expect(store.add(await report(oracle)).kept).to.equal(true);
    expect(store.add(await report(oracle, { clBalance: 1n }))).to.deep.equal({
      kept: false,
      reason: "AnotherReportSigned",
    });
    expect(store.reports(63).map(({ message }) => message.clBalance)).to.deep.equal([REPORT.clBalance]);
  });

  it("keeps a guardian's newest approval for each cluster and number of validators", async () => {
    store.add(await approval(guardian));
    store.add(await approval(guardian, { ids: [1], keysHash: keysHash(1) }));
    store.add(await approval(guardian, { blockNumber: 128n }));
    expect(store.size).to.equal(2);
    expect(store.deposits(1).map(({ message }) => message.blockNumber)).to.have.members([96n, 128n]);
  });

  it("lets nobody change what an approval is for, though its ids are not signed", async () => {
    const signed = await approval(guardian);
    for (const ids of [[1], [2, 1], [1, 3], [1, 9], [1, 2, 3]]) {
      const forged = { ...signed, message: { ...APPROVAL, ids } } as SignedMessage;
      expect(store.add(forged), String(ids)).to.deep.equal({ kept: false, reason: "WrongValidators" });
    }
    expect(store.size).to.equal(0);
    const elsewhere = await approval(guardian, { cluster: 2 });
    expect(store.add(elsewhere)).to.deep.equal({ kept: false, reason: "WrongValidators" });
    store.update(context({ registry: null }));
    expect(store.add(signed)).to.deep.equal({ kept: false, reason: "NotReady" });
  });

  it("does not let an approval that is sent again displace a newer one", async () => {
    const [older, newer] = [await approval(guardian), await approval(guardian, { blockNumber: 128n })];
    store.add(older);
    store.add(newer);
    expect(store.add(older)).to.deep.equal({ kept: false, reason: "Outdated" });
    expect(store.add(newer).kept).to.equal(true);
    expect(store.deposits(1).map(({ message }) => message.blockNumber)).to.deep.equal([128n]);
  });

  it("drops approvals of validators that are funded", async () => {
    store.add(await approval(guardian));
    const funded = new Map(REGISTRY.validators).set(2, { ...REGISTRY.validators.get(2)!, status: "deposited" });
    store.update(context({ registry: { ...REGISTRY, validators: funded } }));
    expect(store.size).to.equal(0);
    expect(store.add(await approval(guardian))).to.deep.equal({ kept: false, reason: "WrongValidators" });
  });

  it("drops what no longer counts: frames that passed, members who left, epochs that ended", async () => {
    const fill = async (): Promise<void> => {
      store.update(context());
      store.add(await report(oracle));
      store.add(await approval(guardian));
    };
    await fill();
    store.update(context({ refSlots: [95, 127] }));
    expect([store.reports(63).length, store.deposits(1).length]).to.deep.equal([0, 1]);
    await fill();
    store.update(context({ oracles: addresses(oracles.slice(1)) }));
    expect([store.reports(63).length, store.deposits(1).length]).to.deep.equal([0, 1]);
    await fill();
    store.update(context({ approvalEpoch: 4n }));
    expect([store.reports(63).length, store.deposits(1).length]).to.deep.equal([1, 0]);
  });

  it("keeps only so much of one member, whatever it signs", async () => {
    const subject = async (batch: number): Promise<SignedMessage> =>
      sign({ kind: "vetting", message: { ...VETTING, batch } }, DOMAINS, guardian);
    store = new SignatureStore(8);
    store.update(context());
    for (let batch = 0; batch < 8; batch++) store.add(await subject(batch));
    expect(store.add(await subject(8))).to.deep.equal({ kept: false, reason: "TooManyMessages" });
    expect(store.add(await subject(5)).kept).to.equal(true);
    expect(store.add(await vetting(guardians[1]!)).kept).to.equal(true);
  });

  describe("quorum", () => {
    it("is the largest agreeing group, ascending by signer, no more than needed", async () => {
      for (const member of [...oracles].reverse()) store.add(await report(member));
      const found = quorumOf(store.reports(63), 2)!;
      expect(found.message).to.deep.equal(REPORT);
      const expected = await Promise.all(oracles.slice(0, 2).map((member) => report(member)));
      expect(found.signatures).to.deep.equal(expected.map(({ signature }) => signature));
    });

    it("is not made of members who disagree", async () => {
      store.add(await report(oracles[0]!));
      store.add(await report(oracles[1]!, { clBalance: 1n }));
      expect(quorumOf(store.reports(63), 2)).to.equal(null);
      store.add(await report(oracles[2]!));
      expect(quorumOf(store.reports(63), 2)?.message.clBalance).to.equal(REPORT.clBalance);
    });

    it("is never zero signatures", () => {
      expect(quorumOf([], 0)).to.equal(null);
      expect(quorumOf([], 1)).to.equal(null);
    });
  });

  it("tells which member differs from most, in which field", async () => {
    store.add(await report(oracles[0]!));
    store.add(await report(oracles[1]!, { clBalance: 1n, exited: [] }));
    store.add(await report(oracles[2]!));
    expect(disagreements(store.reports(63))).to.deep.equal([
      { signer: oracles[1]!.address, field: "clBalance", theirs: "1", majority: REPORT.clBalance.toString() },
      { signer: oracles[1]!.address, field: "exited", theirs: "", majority: "1,4" },
    ]);
    expect(disagreements([])).to.deep.equal([]);
  });
});
