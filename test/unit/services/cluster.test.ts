import { expect } from "chai";
import { snapshotsOf, NEW_CLUSTER, runwayBlocks } from "../../../oracle/ssv/cluster.js";
import { ssvCodeOf, unknownCode } from "../../../oracle/ssv/code.js";
import { operatorsOf } from "../../../oracle/ssv/operators.js";
import { registrationsOf } from "../../../oracle/ssv/registrations.js";
import { addressOf, operatorIds, OWNER, prepare, snapshot, Story } from "./support.js";

describe("SSV as its events tell it", () => {
  const [validator] = prepare(1) as [ReturnType<typeof prepare>[0]];

  describe("cluster snapshot", () => {
    it("is that of a new cluster before the first event", () => {
      expect(snapshotsOf(new Story().events).latest(OWNER, operatorIds())).to.equal(NEW_CLUSTER);
    });

    it("is the newest by block, transaction and log, of this owner and these operators", () => {
      const event = (
        block: number,
        transaction: number,
        log: number,
        balance: bigint,
        owner = OWNER,
        ids = operatorIds(),
      ) =>
        ({
          type: "ClusterChanged",
          block,
          transaction,
          log,
          owner,
          operatorIds: ids,
          snapshot: snapshot(1, balance),
        }) as const;
      const events = [
        event(7, 1, 9, 1n),
        event(7, 2, 3, 5n),
        event(7, 2, 2, 2n),
        event(6, 9, 9, 3n),
        event(8, 0, 0, 8n, addressOf("stranger")),
        event(9, 0, 0, 9n, OWNER, [1n, 2n, 3n, 4n]),
      ];
      expect(snapshotsOf(events).latest(OWNER, operatorIds()).balance).to.equal(5n);
    });
  });

  describe("runway", () => {
    const terms = {
      balanceWei: 1_000n,
      burnWeiPerBlock: 3n,
      liquidationThresholdBlocks: 100n,
      minimumCollateralWei: 10n,
    };
    it("is what is above the liquidation threshold, in whole blocks", () => {
      expect(runwayBlocks(terms)).to.equal(233n);
    });
    it("keeps the minimum collateral when that is more", () => {
      expect(runwayBlocks({ ...terms, minimumCollateralWei: 997n })).to.equal(1n);
    });
    it("is nothing at the threshold and below", () => {
      expect(runwayBlocks({ ...terms, balanceWei: 300n })).to.equal(0n);
      expect(runwayBlocks({ ...terms, balanceWei: 1n })).to.equal(0n);
    });
    it("does not end where nothing is burnt", () => {
      expect(runwayBlocks({ ...terms, burnWeiPerBlock: 0n })).to.equal(null);
    });
  });

  it("gives owner nonces as SSV's nodes count them: by owner, over all clusters, garbage included", () => {
    const stranger = addressOf("stranger");
    const story = new Story()
      .addToSSV("0x01", "0x")
      .addToSSV("0x02", "0xff", stranger)
      .addToSSV("0x03", "0x")
      .addToSSV("0x01", "0x", stranger);
    const { byKey, nonceOf } = registrationsOf(story.events);
    expect([nonceOf(OWNER), nonceOf(stranger), nonceOf(addressOf("nobody"))]).to.deep.equal([2n, 2n, 0n]);
    expect(byKey.get("0x01")!.map(({ owner, nonce }) => [owner, nonce])).to.deep.equal([
      [OWNER, 0n],
      [stranger, 1n],
    ]);
    expect(byKey.get("0x03")![0]!.nonce).to.equal(1n);
  });

  it("marks a registration as removed for its own owner only, and when", () => {
    const stranger = addressOf("stranger");
    const { publicKey, sharesData } = validator;
    const story = new Story()
      .addToSSV(publicKey, sharesData)
      .addToSSV(publicKey, sharesData, stranger)
      .add({
        type: "ValidatorRemoved",
        owner: stranger,
        operatorIds: operatorIds(),
        publicKey,
        snapshot: snapshot(0),
      });
    expect(
      registrationsOf(story.events)
        .byKey.get(publicKey)!
        .map(({ removed }) => removed),
    ).to.deep.equal([null, { block: story.block, transaction: 0, log: 0 }]);
  });

  it("knows operators and those who left", () => {
    const [gone, stays] = operatorIds();
    const operators = operatorsOf(new Story().add({ type: "OperatorRemoved", operatorId: gone! }).events);
    expect(operators.get(gone!)!.removed).to.equal(true);
    expect(operators.get(stays!)!.removed).to.equal(false);
    expect(operatorsOf(new Story().add({ type: "OperatorRemoved", operatorId: 999n }).events).has(999n)).to.equal(
      false,
    );
  });

  describe("code", () => {
    const limits = { versions: ["v2.0.0"] };
    it("is known at a known version without an upgrade since the pool adopted it", () => {
      expect(unknownCode(ssvCodeOf(new Story().events, "v2.0.0"), limits)).to.equal(null);
      const before = new Story().events.map((event) => ({ ...event, block: event.block + 5 }));
      const upgrade = { type: "Upgraded", block: 1, transaction: 0, log: 0 } as const;
      expect(unknownCode(ssvCodeOf([upgrade, ...before], "v2.0.0"), limits)).to.equal(null);
    });
    it("is not known at another version", () => {
      expect(unknownCode(ssvCodeOf(new Story().events, "v2.1.0"), limits))
        .to.include("v2.1.0")
        .and.include("ssv.versions");
    });
    it("is not known after an upgrade, until that was reviewed", () => {
      const story = new Story().add({ type: "Upgraded" });
      const code = ssvCodeOf(story.events, "v2.0.0");
      expect(unknownCode(code, limits)).to.include(`block ${story.block}`).and.include("ssv.reviewedBlock");
      expect(unknownCode(code, { ...limits, reviewedBlock: story.block })).to.equal(null);
      expect(unknownCode(code, { ...limits, reviewedBlock: story.block - 1 })).not.to.equal(null);
    });
  });
});
