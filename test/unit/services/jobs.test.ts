import { expect } from "chai";
import { id, Wallet } from "ethers";
import { chainHead, type RegistryView } from "../../../oracle/execution/registryView.js";
import { planDeposit, type DepositSnapshot } from "../../../oracle/jobs/deposit.js";
import { planRegister } from "../../../oracle/jobs/register.js";
import { planReport } from "../../../oracle/jobs/submitReport.js";
import { planSyncFees } from "../../../oracle/jobs/syncFees.js";
import { planTopUp, spendableWei } from "../../../oracle/jobs/topUp.js";
import { planVet } from "../../../oracle/jobs/vet.js";
import { decideReport, disagreeing, type ReportSituation } from "../../../oracle/roles/oracle.js";
import { registryKeysAt } from "../../../oracle/roles/readReport.js";
import {
  depositKeysHash,
  digestOf,
  sign,
  type DepositApproval,
  type Message,
} from "../../../oracle/signatures/messages.js";
import type { Collected } from "../../../oracle/signatures/store.js";
import { APPROVAL, DOMAINS, members, REPORT, VETTING } from "./messagesSupport.js";
import { prepare, snapshot, Story } from "./support.js";

const ETHER = 10n ** 18n;

async function collected<M extends Message>(
  message: M,
  signers: readonly Wallet[],
): Promise<Collected<M["message"]>[]> {
  return Promise.all(
    signers.map(async (signer) => ({
      message: message.message,
      digest: digestOf(message, DOMAINS),
      signer: signer.address,
      signature: (await sign(message, DOMAINS, signer)).signature,
    })),
  );
}

describe("what is due", () => {
  const oracles = members("oracle");
  const guardians = members("guardian");
  const validators = prepare(4);

  describe("oracle", () => {
    const ready: ReportSituation = {
      refSlot: 63,
      done: false,
      beaconBlockRoot: id("root"),
      version: 1n,
      referenceNumber: 60,
      finalizedNumber: 61,
    };
    it("signs when a block after the reference block is final", () => {
      expect(decideReport(ready)).to.deep.equal({ action: "sign", refSlot: 63, beaconBlockRoot: id("root") });
    });
    it("waits for finality and for the root", () => {
      expect(decideReport({ ...ready, finalizedNumber: 60 })).to.deep.equal({ action: "wait", reason: "NotFinal" });
      expect(decideReport({ ...ready, finalizedNumber: null })).to.deep.equal({ action: "wait", reason: "NotFinal" });
      expect(decideReport({ ...ready, referenceNumber: null })).to.deep.equal({ action: "wait", reason: "NotFinal" });
      expect(decideReport({ ...ready, beaconBlockRoot: null })).to.deep.equal({ action: "wait", reason: "NoRoot" });
    });
    it("does nothing in the first frame and when the report is in", () => {
      expect(decideReport({ ...ready, refSlot: null })).to.deep.equal({ action: "nothing" });
      expect(decideReport({ ...ready, done: true })).to.deep.equal({ action: "nothing" });
    });
    it("abstains from a version it does not know", () => {
      expect(decideReport({ ...ready, version: 2n })).to.deep.equal({ action: "abstain", reason: "UnknownVersion" });
    });
    it("names the member, the field and both values when another signed something else, whoever tells it", async () => {
      const [us, them] = oracles as [Wallet, Wallet];
      const committee = new Map(oracles.map(({ address }, i) => [address, `cold ${i}`]));
      const ours = await sign({ kind: "report", message: REPORT }, DOMAINS, us);
      const other = { ...REPORT, clBalance: 1n, exited: [4] };
      const theirs = await sign({ kind: "report", message: other }, DOMAINS, them);
      expect(disagreeing(ours, [theirs], committee, DOMAINS)).to.deep.equal([
        { member: "cold 1", signer: them.address, field: "clBalance", theirs: "1", ours: String(REPORT.clBalance) },
        { member: "cold 1", signer: them.address, field: "exited", theirs: "4", ours: "1,4" },
      ]);
      // a collector cannot make it up, nor is another frame's report one
      const forged = { ...theirs, message: { ...other, clBalance: 2n } };
      const stranger = await sign({ kind: "report", message: other }, DOMAINS, guardians[0]!);
      const later = await sign({ kind: "report", message: { ...other, refSlot: 95 } }, DOMAINS, them);
      expect(disagreeing(ours, [forged, stranger, later], committee, DOMAINS)).to.deep.equal([]);
    });
    it("reports the validators that were funded at the reference block, and exits known by then", () => {
      const story = new Story().publish(validators).vet().register(validators);
      story.add({ type: "Deposited", cluster: 1, ids: [1, 2] });
      const atRef = story.block;
      story.add({ type: "Deposited", cluster: 1, ids: [3] }).add({ type: "Exited", id: 1 });
      const view = story.view();
      expect(registryKeysAt(view, atRef).map((key) => [key.id, key.isExited])).to.deep.equal([
        [1, false],
        [2, false],
      ]);
      expect(registryKeysAt(view, story.block).map((key) => [key.id, key.isExited])).to.deep.equal([
        [1, true],
        [2, false],
        [3, false],
      ]);
    });
  });

  it("oracle counts the balance of a validator that was removed from SSV, and knows what earlier reports said of it", () => {
    const story = new Story().publish(validators).vet().register(validators);
    story
      .add({ type: "Deposited", cluster: 1, ids: [1, 2] })
      .add({ type: "Exiting", id: 1 })
      .add({ type: "Exited", id: 1 });
    story.add({ type: "Removed", cluster: 1, id: 1 }).add({ type: "Exiting", id: 2 });
    const keys = registryKeysAt(story.view(), story.block);
    expect(keys.map(({ id, isExiting, isExited }) => [id, isExiting, isExited])).to.deep.equal([
      [1, true, true],
      [2, true, false],
    ]);
  });

  describe("submit-report", () => {
    const base = async (count: number) => ({
      done: false,
      rootKnown: true,
      quorum: 2,
      collected: await collected({ kind: "report", message: REPORT }, oracles.slice(0, count)),
    });
    it("once a quorum agrees", async () => {
      const plan = planReport(await base(3));
      expect(plan?.report).to.deep.equal(REPORT);
      expect(plan?.signatures).to.have.length(2);
      expect(planReport(await base(1))).to.equal(null);
    });
    it("not when it is in already, or the chain does not know the root yet", async () => {
      expect(planReport({ ...(await base(3)), done: true })).to.equal(null);
      expect(planReport({ ...(await base(3)), rootKnown: false })).to.equal(null);
    });
  });

  describe("vet", () => {
    it("the first batch of each account that is not vetted, once a quorum signed", async () => {
      const story = new Story().publish(validators.slice(0, 1)).publish(validators.slice(1)).vet(0);
      const signatures = await collected({ kind: "vetting", message: { ...VETTING, batch: 1 } }, guardians);
      const plan = (quorum: number) =>
        planVet({
          registry: story.view().registry,
          quorum,
          collected: (account, batch) => (account === 1 && batch === 1 ? signatures : []),
        });
      expect(plan(2).map(({ account, batch, signatures: s }) => [account, batch, s.length])).to.deep.equal([[1, 1, 2]]);
      expect(plan(4)).to.deep.equal([]);
      story.vet(1);
      expect(plan(2)).to.deep.equal([]);
    });
  });

  describe("register", () => {
    const story = new Story().publish(validators).vet();
    const base = {
      next: { cluster: 1, count: 3 },
      registry: story.view().registry,
      spendableWei: 100n,
      costWei: 10n,
    };
    const entries = base.registry.accounts.get(1)!.queue[0]!.entries;

    it("takes as many as the registry says from the front, and the chain of the rest", () => {
      const plan = planRegister(base)!;
      expect(plan.entries).to.deep.equal(entries.slice(0, 3));
      expect(plan.next).to.equal(chainHead(1, entries.slice(3)));
      const whole = planRegister({ ...base, next: { cluster: 1, count: 4 } })!;
      expect(BigInt(whole.next)).to.equal(0n);
    });
    it("takes no more than the reserve can pay", () => {
      expect(planRegister({ ...base, spendableWei: 29n })!.entries).to.have.length(2);
      expect(planRegister({ ...base, spendableWei: 9n })).to.equal(null);
      expect(planRegister({ ...base, costWei: 0n })!.entries).to.have.length(3);
    });
    it("continues in the middle of a batch", () => {
      const { registry } = new Story().publish(validators).vet().register(validators.slice(0, 1)).view();
      expect(planRegister({ ...base, registry })!.entries).to.deep.equal(entries.slice(1));
    });
    it("does nothing when nothing is due or nothing is vetted", () => {
      expect(planRegister({ ...base, next: { cluster: 0, count: 0 } })).to.equal(null);
      expect(planRegister({ ...base, registry: new Story().publish(validators).view().registry })).to.equal(null);
      expect(planRegister({ ...base, registry: new Story().view().registry })).to.equal(null);
    });
  });

  describe("deposit", () => {
    const story = new Story().publish(validators).vet().register(validators);
    const { registry } = story.view();
    const approval = (ids: readonly number[], changes: Partial<DepositApproval> = {}): DepositApproval => ({
      ...APPROVAL,
      ids,
      keysHash: depositKeysHash(ids.map((i) => registry.validators.get(i)!)),
      ...changes,
    });
    const plan = async (
      approvals: readonly DepositApproval[],
      changes: Partial<DepositSnapshot> = {},
      signers = guardians,
    ) => {
      const all = await Promise.all(approvals.map((message) => collected({ kind: "deposit", message }, signers)));
      return planDeposit({
        headNumber: 100,
        depositsPaused: false,
        depositCount: 7n,
        depositableWei: 128n * ETHER,
        registry,
        quorum: 2,
        collected: () => all.flat(),
        ...changes,
      });
    };

    it("takes the most validators that a quorum approved and the pool can pay for", async () => {
      const approvals = [approval([1]), approval([1, 2]), approval([1, 2, 3])];
      expect((await plan(approvals))!.approval.ids).to.deep.equal([1, 2, 3]);
      expect((await plan(approvals, { depositableWei: 95n * ETHER }))!.approval.ids).to.deep.equal([1, 2]);
      expect(await plan(approvals, { depositableWei: 31n * ETHER })).to.equal(null);
      expect(await plan(approvals, {}, guardians.slice(0, 1))).to.equal(null);
    });
    it("passes the keys in the approved order", async () => {
      const found = (await plan([approval([3, 1])]))!;
      expect(found.validators.map((validator) => validator.id)).to.deep.equal([3, 1]);
    });
    it("leaves what the contract would refuse", async () => {
      expect(await plan([approval([1])], { depositsPaused: true })).to.equal(null);
      expect(await plan([approval([1])], { depositCount: 8n })).to.equal(null);
      expect(await plan([approval([1], { blockNumber: 101n })])).to.equal(null);
      expect(await plan([approval([1])], { headNumber: 96 + 255 })).to.equal(null);
      expect(await plan([approval([1])], { headNumber: 96 + 254 })).not.to.equal(null);
      expect(await plan([approval([1], { keysHash: id("other keys") })])).to.equal(null);
      const funded: RegistryView = story.add({ type: "Deposited", cluster: 1, ids: [1] }).view().registry;
      expect(await plan([approval([1])], { registry: funded })).to.equal(null);
      expect(await plan([{ ...approval([1]), ids: [77] }])).to.equal(null);
    });
  });

  describe("top-up", () => {
    const base = {
      cluster: new Story().view().registry.clusters.get(1)!,
      snapshot: snapshot(2),
      funds: {
        isLiquidated: false,
        balanceWei: 1_000n,
        burnWeiPerBlock: 1n,
        liquidationThresholdBlocks: 100n,
        minimumCollateralWei: 0n,
      },
      removable: 0,
      lowBlocks: 901n,
      targetBlocks: 2_000n,
      reserveWei: 5n,
    };
    it("below the low mark", () => {
      const plan = { cluster: 1, snapshot: base.snapshot, runway: 900n, missingWei: 1_100n };
      expect(planTopUp(base)).to.deep.equal(plan);
      const funds = { ...base.funds, burnWeiPerBlock: 2n, minimumCollateralWei: 700n };
      expect(planTopUp({ ...base, funds })).to.deep.equal({ ...plan, runway: 150n, missingWei: 3_700n });
      expect(planTopUp({ ...base, lowBlocks: 900n })).to.equal(null);
    });
    it("not for an empty or liquidated cluster, one that costs nothing, or from an empty reserve", () => {
      expect(planTopUp({ ...base, snapshot: snapshot(0) })).to.equal(null);
      expect(planTopUp({ ...base, funds: { ...base.funds, isLiquidated: true } })).to.equal(null);
      expect(planTopUp({ ...base, funds: { ...base.funds, burnWeiPerBlock: 0n } })).to.equal(null);
      expect(planTopUp({ ...base, reserveWei: 0n })).to.equal(null);
    });
    it("not for validators that are only there to be removed", () => {
      expect(planTopUp({ ...base, removable: 1 })).not.to.equal(null);
      expect(planTopUp({ ...base, removable: 2 })).to.equal(null);
    });
    it("comes before registrations, which get what is left, also when it is too little for the cluster that needs it", () => {
      const topUp = planTopUp(base)!;
      const story = new Story().publish(validators).vet();
      const register = (reserveWei: bigint, topUps = [topUp]) =>
        planRegister({
          next: { cluster: 1, count: 3 },
          registry: story.view().registry,
          spendableWei: spendableWei(reserveWei, topUps),
          costWei: 10n,
        })?.entries.length ?? 0;
      expect(register(1_129n)).to.equal(2);
      expect(register(1_109n)).to.equal(0);
      expect(register(1_099n)).to.equal(0);
      expect(register(2_229n, [topUp, { ...topUp, cluster: 2 }])).to.equal(2);
      expect(register(29n, [])).to.equal(2);
    });
  });

  describe("sync-fees", () => {
    const operatorFeesWei = new Map([1n, 2n, 3n, 4n, 5n].map((id) => [id, 10n * id]));
    const cluster = (id: number, operatorIds: readonly bigint[], burnPerValidatorWei: bigint) => ({
      cluster: id,
      operatorIds,
      burnPerValidatorWei,
    });
    const clusters = [cluster(1, [1n, 2n, 3n, 4n], 107n), cluster(2, [2n, 3n, 4n, 5n], 147n)];
    const base = { networkFeeWei: 7n, operatorFeesWei, clusters };
    it("of each cluster whose fees the registry does not have", () => {
      expect(planSyncFees(base)).to.deep.equal([]);
      expect(planSyncFees({ ...base, operatorFeesWei: new Map([...operatorFeesWei, [5n, 51n]]) })).to.deep.equal([
        { cluster: 2, burnPerValidatorWei: 148n },
      ]);
      // one that left costs nothing
      expect(planSyncFees({ ...base, operatorFeesWei: new Map([...operatorFeesWei, [1n, 0n]]) })).to.deep.equal([
        { cluster: 1, burnPerValidatorWei: 97n },
      ]);
      expect(planSyncFees({ ...base, networkFeeWei: 6n })).to.deep.equal([
        { cluster: 1, burnPerValidatorWei: 106n },
        { cluster: 2, burnPerValidatorWei: 146n },
      ]);
    });
  });
});
