import { expect } from "chai";
import type { ValidatorRecord } from "../../../oracle/beacon/stateParts.js";
import type { ValidatorView } from "../../../oracle/execution/registryView.js";
import type { PreparedValidator } from "../../../oracle/keys/prepare.js";
import { anchorNumber, judgeCluster, participationOf, type ClusterSituation } from "../../../oracle/roles/approval.js";
import { ssvCodeOf } from "../../../oracle/ssv/code.js";
import {
  addressOf,
  emptyState,
  FOREIGN_CREDENTIALS,
  operatorIds,
  OWNER,
  prepare,
  RULES,
  snapshot,
  Story,
  validatorRecord,
} from "./support.js";

const ETHER = 10n ** 18n;

const funds: ClusterSituation["funds"] = {
  isLiquidated: false,
  balanceWei: 1_000_000n,
  burnWeiPerBlock: 1n,
  liquidationThresholdBlocks: 1_000n,
  minimumCollateralWei: 10n,
};

function situation(story: Story, changes: Partial<ClusterSituation> = {}): ClusterSituation {
  const view = story.view();
  return {
    cluster: view.registry.clusters.get(1)!,
    funds,
    view,
    state: emptyState,
    deposits: { count: 5n, deposits: [] },
    depositableWei: 1_000n * ETHER,
    rules: RULES,
    limits: { minRunwayBlocks: 216_000n, ssv: { versions: ["v2.0.0"] } },
    ssv: ssvCodeOf(story.events, "v2.0.0"),
    ...changes,
  };
}

describe("deposit approval", () => {
  const validators = prepare(5);
  const registered = (count = 5): Story =>
    new Story().publish(validators.slice(0, count)).vet().register(validators.slice(0, count));
  const judge = (story: Story, changes: Partial<ClusterSituation> = {}) => {
    const { fit, refusals } = judgeCluster(situation(story, changes));
    return { ids: fit.map(({ id }) => id), reasons: refusals.map(({ reason }) => reason), refusals };
  };

  it("starts with two validators, the first ones", () => {
    expect(judge(registered())).to.deep.include({ ids: [1, 2], reasons: [] });
  });

  it("has nothing to say when nothing waits", () => {
    expect(judge(new Story().publish(validators))).to.deep.include({ ids: [], reasons: [] });
    expect(judge(registered(1).add({ type: "Deposited", cluster: 1, ids: [1] }))).to.deep.include({
      ids: [],
      reasons: [],
    });
    expect(judge(registered(1).add({ type: "Discarded", cluster: 1, id: 1 }))).to.deep.include({
      ids: [],
      reasons: [],
    });
  });

  it("funds no more than the pool can pay for", () => {
    expect(judge(registered(), { depositableWei: 63n * ETHER }).ids).to.deep.equal([1]);
    expect(judge(registered(), { depositableWei: 31n * ETHER }).ids).to.deep.equal([]);
  });

  describe("refuses the whole cluster", () => {
    const cases: [reason: string, make: () => [Story, Partial<ClusterSituation>]][] = [
      ["ClusterLiquidated", () => [registered(), { funds: { ...funds, isLiquidated: true, burnWeiPerBlock: 0n } }]],
      ["RunwayTooShort", () => [registered(), { funds: { ...funds, balanceWei: 216_999n } }]],
      ["OperatorRemoved", () => [registered().add({ type: "OperatorRemoved", operatorId: operatorIds()[0]! }), {}]],
      ["ClusterRetired", () => [registered().add({ type: "ClusterUpdated", cluster: 1, active: false, cap: 100 }), {}]],
      ["SSVCodeUnknown", () => [registered(), { ssv: ssvCodeOf([], "v3.0.0") }]],
      ["SSVCodeUnknown", () => [registered().add({ type: "Upgraded" }), {}]],
    ];
    for (const [reason, make] of cases) {
      it(reason, () => {
        const [story, changes] = make();
        expect(judge(story, changes)).to.deep.include({ ids: [], reasons: [reason] });
      });
    }

    it("not at exactly the runway asked for", () => {
      expect(judge(registered(), { funds: { ...funds, balanceWei: 217_000n } }).ids).to.deep.equal([1, 2]);
    });
  });

  describe("refuses one validator, and takes the next ones", () => {
    const [bad] = validators as [PreparedValidator];
    const rest = validators.slice(1);

    it("whose registration is not final", () => {
      const story = registered();
      const finalized = story.block - 4; // the block of the first ValidatorAdded
      const { ids, reasons } = judge(story, { view: story.view(finalized) });
      expect(ids).to.deep.equal([1]);
      expect(new Set(reasons)).to.deep.equal(new Set(["RegistrationNotFinal"]));
      const { finalized: _, ...withoutFinality } = story.view();
      expect(judge(story, { view: { ...withoutFinality, finalized: null } }).ids).to.deep.equal([]);
    });

    it("that was removed from SSV", () => {
      const { publicKey } = bad;
      const story = registered().add({
        type: "ValidatorRemoved",
        owner: OWNER,
        operatorIds: operatorIds(),
        publicKey,
        snapshot: snapshot(4),
      });
      expect(judge(story)).to.deep.include({ ids: [2, 3], reasons: ["NotInSSV"] });
    });

    it("whose shares in SSV are not those published", () => {
      const story = new Story().publish(validators).vet();
      story.add({ type: "Registered", account: 1, cluster: 1, firstId: 1, firstNonce: 0n, count: 5 });
      story.addToSSV(bad.publicKey, rest[0]!.sharesData);
      for (const { publicKey, sharesData } of rest) story.addToSSV(publicKey, sharesData);
      expect(judge(story)).to.deep.include({ ids: [2, 3], reasons: ["SharesDiffer"] });
    });

    it("that SSV's nodes gave another nonce", () => {
      const story = new Story().publish(validators).vet().addToSSV("0xff", "0x").register(validators);
      expect(judge(story).ids).to.deep.equal([]);
      expect(new Set(judge(story).reasons)).to.deep.equal(new Set(["WrongNonce"]));
    });

    it("whose KeyShares could never work, even if a quorum vetted them", () => {
      const broken = { ...bad, depositSignature: rest[0]!.depositSignature };
      const all = [broken, ...rest];
      expect(judge(new Story().publish(all).vet().register(all))).to.deep.include({
        ids: [2, 3],
        reasons: ["DepositSignatureInvalid"],
      });
    });

    it("that is a validator already; under foreign credentials with an alert", () => {
      const record = validatorRecord(bad.publicKey, { withdrawalCredentials: FOREIGN_CREDENTIALS });
      const state = { ...emptyState, validators: new Map([[bad.publicKey, record]]) };
      const { ids, refusals } = judge(registered(), { state });
      expect(ids).to.deep.equal([2, 3]);
      expect(refusals[0]).to.deep.include({ reason: "ForeignDeposit", alert: true });
    });

    it("that SSV's nodes had for another owner when it was registered, though he removed it since", () => {
      const stranger = addressOf("stranger");
      const [theirs] = prepare(1, 0n, stranger) as [PreparedValidator];
      const own = { ...bad, publicKey: theirs.publicKey };
      const removal = {
        type: "ValidatorRemoved",
        owner: stranger,
        operatorIds: operatorIds(),
        publicKey: theirs.publicKey,
        snapshot: snapshot(0),
      } as const;
      const begin = (): Story =>
        new Story().publish([own]).vet().addToSSV(theirs.publicKey, theirs.sharesData, stranger);
      const ignored = judge(begin().register([own]).add(removal));
      expect(ignored.refusals.filter(({ alert }) => alert).map(({ reason }) => reason)).to.deep.equal([
        "RegisteredInSSV",
      ]);
      const free = judge(begin().add(removal).register([own]));
      expect(free.reasons).not.to.include("RegisteredInSSV");
    });

    it("not for a copy of its registration by a stranger who has not the key", () => {
      const story = new Story().publish(validators).vet();
      story.addToSSV(bad.publicKey, bad.sharesData, addressOf("stranger")).register(validators);
      expect(judge(story)).to.deep.include({ ids: [1, 2], reasons: [] });
    });
  });

  describe("participation", () => {
    const story = registered(4).add({ type: "Deposited", cluster: 1, ids: [1, 2] });
    const withRecords = (...changes: (Partial<ValidatorRecord> | null)[]) => ({
      ...emptyState,
      validators: new Map(
        changes.flatMap((change, i) => {
          const { publicKey } = validators[i]!;
          return change === null ? [] : [[publicKey, validatorRecord(publicKey, change)] as const];
        }),
      ),
    });
    const MISSED = { previousParticipation: 0 };

    it("allows no third validator before one of the two was seen to attest", () => {
      expect(judge(story)).to.deep.include({ ids: [], reasons: ["UnprovenLimit"] });
      expect(judge(story, { state: withRecords(MISSED, MISSED) })).to.deep.include({
        ids: [],
        reasons: ["ParticipationLow"],
      });
      // active, but not yet in the epoch that the flags are of
      expect(judge(story, { state: withRecords({ activationEpoch: 10 }, { activationEpoch: 10 }) }).ids).to.deep.equal(
        [],
      );
    });

    it("opens as validators are proven: as many unproven ones as attest, or two", () => {
      expect(judge(story, { state: withRecords({}, {}) }).ids).to.deep.equal([3, 4]);
      expect(judge(story, { state: withRecords({}, MISSED) }).ids).to.deep.equal([3]);
      const view = registered(4).view();
      const deposited = (count: number): ValidatorView[] =>
        Array.from({ length: count }, (_, i) => ({
          ...view.registry.validators.get(1)!,
          publicKey: `0x${i}`,
          status: "deposited",
        }));
      const state = (attesting: number, missing: number) => ({
        ...emptyState,
        validators: new Map(
          Array.from({ length: attesting + missing }, (_, i) => [
            `0x${i}`,
            validatorRecord(`0x${i}`, i < attesting ? {} : MISSED),
          ]),
        ),
      });
      expect(participationOf(deposited(5), state(5, 0)).room).to.equal(5);
      expect(participationOf(deposited(9), state(5, 0)).room).to.equal(1);
      expect(participationOf(deposited(10), state(5, 0)).room).to.equal(0);
      expect(participationOf(deposited(8), state(5, 2)).room).to.equal(2);
    });

    it("closes when fewer than half attest", () => {
      const three = registered(4).add({ type: "Deposited", cluster: 1, ids: [1, 2, 3] });
      expect(judge(three, { state: withRecords({}, MISSED, MISSED) })).to.deep.include({
        ids: [],
        reasons: ["ParticipationLow"],
      });
    });

    it("takes the target vote for attesting, nothing less", () => {
      expect(judge(story, { state: withRecords({ previousParticipation: 1 }, MISSED) }).ids).to.deep.equal([]);
      expect(judge(story, { state: withRecords({ previousParticipation: 2 }, MISSED) }).ids).to.deep.equal([3]);
    });

    it("counts neither slashed nor exited validators as active", () => {
      const view = story.view();
      const all = [...view.registry.validators.values()];
      expect(participationOf(all, withRecords({ slashed: true, ...MISSED }, {}))).to.deep.include({
        active: 1,
        attesting: 1,
      });
      expect(participationOf(all, withRecords({ exitEpoch: 9, ...MISSED }, {}))).to.deep.include({
        active: 1,
        attesting: 1,
      });
      const exited = story.events.concat({ type: "Exited", id: 1, block: 99, transaction: 0, log: 0 });
      const after = new Story();
      after.events.splice(0, Infinity, ...exited);
      const later = [...after.view().registry.validators.values()];
      expect(participationOf(later, emptyState)).to.deep.equal({ deposited: 1, active: 0, attesting: 0, room: 1 });
    });
  });

  describe("participation of validators that leave", () => {
    const changed = (...events: Parameters<Story["add"]>[0][]) => {
      const story = registered(4).add({ type: "Deposited", cluster: 1, ids: [1, 2, 3, 4] });
      for (const event of events) story.add(event);
      return [...story.view().registry.validators.values()];
    };
    const state = (...records: Partial<ValidatorRecord>[]) => ({
      ...emptyState,
      validators: new Map(
        records.map((record, i) => [validators[i]!.publicKey, validatorRecord(validators[i]!.publicKey, record)]),
      ),
    });
    const MISSED = { previousParticipation: 0 };

    it("counts them as long as they have to attest: a cluster that fails must not look sound because its validators were told to leave", () => {
      const leaving = changed(
        { type: "ExitRequested", cluster: 1, id: 1, repeated: false },
        { type: "Exiting", id: 1 },
        { type: "Exiting", id: 2 },
        { type: "Exiting", id: 3 },
      );
      const later = { exitEpoch: 12 };
      expect(participationOf(leaving, state(later, later, later, {}))).to.deep.include({ active: 4, attesting: 4 });
      const failing = { ...later, ...MISSED };
      expect(participationOf(leaving, state(failing, failing, failing, {}))).to.deep.include({ attesting: 1, room: 0 });
    });
    it("does not take those for failing that have left, before and after a report says so and when they are removed", () => {
      const gone = { exitEpoch: 9, ...MISSED };
      const left = state(gone, gone, gone, {});
      const sound = { active: 1, attesting: 1, room: 2 };
      expect(participationOf(changed(), left)).to.deep.include(sound);
      const exited = [1, 2, 3].map((id) => ({ type: "Exited", id }) as const);
      expect(participationOf(changed(...exited), left)).to.deep.include(sound);
      const removed = [1, 2, 3].map((id) => ({ type: "Removed", cluster: 1, id }) as const);
      expect(participationOf(changed(...exited, ...removed), left)).to.deep.include(sound);
    });
  });

  describe("anchor", () => {
    const seen = (...blocks: number[]) => ({
      count: 9n,
      deposits: blocks.map((block) => ({
        block,
        publicKey: "0x",
        withdrawalCredentials: "0x",
        amountGwei: 1n,
        signature: "0x",
      })),
    });

    it("is the same for guardians at nearby heads", () => {
      for (const head of [129, 140, 160]) expect(anchorNumber(head, seen(7))).to.equal(128);
      expect(anchorNumber(161, seen(7))).to.equal(160);
    });

    it("is never before the last deposit, or a reorganisation could put another in its place", () => {
      expect(anchorNumber(140, seen(3, 135))).to.equal(135);
    });

    it("waits for the next block when the last deposit is in the head", () => {
      expect(anchorNumber(140, seen(140))).to.equal(null);
      expect(anchorNumber(141, seen(140))).to.equal(140);
    });
  });
});
