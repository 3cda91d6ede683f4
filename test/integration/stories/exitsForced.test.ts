import { expect } from "chai";
import { WITHDRAWAL_REQUESTS_ADDRESS } from "../../../devnet/execution/predeploys.js";
import {
  asked,
  claimAll,
  expectStaying,
  forcedByKeeper,
  forceExit,
  GRACE_FRAMES,
  idOf,
  namedReport,
  openWithValidators,
  reportsUntil,
  request,
  stranger,
  told,
  unattended,
} from "./exits.js";
import { eth, expectNoDifference, type Story } from "./story.js";

/** Exit requests of others, in one block: it takes some time until the price has fallen back to a wei. */
const OTHERS_REQUESTS = 40;

describe("exits that are forced", () => {
  /** Epochs. A validator that is forced after the grace frames is too young, and old enough when they have passed once more. */
  const SHARD_COMMITTEE_PERIOD = 16;
  let story: Story;
  let key: string;
  let id: bigint;
  let requestId: bigint;

  before(async () => {
    const opened = await openWithValidators(eth("30"), eth("10"), 1, {
      devnet: { genesisValidators: 16, extraConfig: { SHARD_COMMITTEE_PERIOD } },
      keeper: { config: (given) => ({ ...given, exits: { maxFeeWei: 0 } }) },
    });
    [key = ""] = opened.keys;
    story = opened.story;
    id = await idOf(story, key);
  });
  after(() => story.pool.close());

  /** In one block, at a price that rises by it. */
  async function othersLeave(): Promise<void> {
    const passerby = story.pool.user(8);
    const nonce = await passerby.getNonce();
    for (let i = 0; i < OTHERS_REQUESTS; i++) {
      const data = `0x${(i + 1).toString(16).padStart(96, "0")}${"0".repeat(16)}`;
      const sent = { to: WITHDRAWAL_REQUESTS_ADDRESS, data, value: 1n, nonce: nonce + i, gasLimit: 200_000n };
      await passerby.sendTransaction(sent);
    }
    await story.pool.devnet.advance();
  }

  const ageInEpochs = (): number => {
    const { devnet } = story.pool;
    const { activationEpoch = Infinity } = devnet.validatorByPubkey(key)?.validator ?? {};
    return Math.floor(devnet.slot / devnet.slotsPerEpoch) - activationEpoch;
  };

  it("because SSV's operators ignore them, by a stranger, as the keeper does not pay: after the grace frames, for the fee of the moment", async () => {
    const { pool, cluster, alice } = story;
    const { devnet, validatorExits, deployment } = pool;
    for (const operator of cluster.operators.slice(0, 2)) operator.ignoreExits();
    requestId = await request(story, alice, eth("20"));
    await asked(story, [key]);
    const { askedFrame, forceableFrom } = await validatorExits.status(id);
    expect(forceableFrom).to.equal(askedFrame + BigInt(GRACE_FRAMES) + 1n);
    const exits = validatorExits.connect(stranger(story));
    const early = exits.forceExits.staticCall([key], 1n, { value: 1n });
    await expect(early).to.be.revertedWithCustomError(exits, "ExitsNotDue").withArgs(1n, 1n);

    await devnet.advanceUntil(async () => (await validatorExits.demand()).due === 1n, 200);
    // the keeper asked again: operators who do not want to have no more time
    const { exit, attestation } = devnet.operators.duties(key);
    expect(exit.performed === 0 && exit.missed >= 2).to.equal(true);
    expect(attestation.performed > 0 && attestation.missed === 0).to.equal(true);
    expect((await validatorExits.status(id)).forceableFrom).to.equal(forceableFrom);

    await othersLeave();
    expect((await forceExit(story, key)) > 1n).to.equal(true);
    const source = deployment.addresses.withdrawalVault.toLowerCase();
    expect(await told(story, key)).to.deep.equal({ source, key, amountGwei: 0n });
  });

  it("and dropped by the chain without a word, because the validator is too young, are booked by nobody", async () => {
    const { validatorExits } = story.pool;
    expect(ageInEpochs() < SHARD_COMMITTEE_PERIOD).to.equal(true);
    expectStaying(story, [key]);
    const waiting = await validatorExits.demand();
    expect([waiting.needed, waiting.underway, waiting.due]).to.deep.equal([1n, 1n, 0n]);
    await unattended(story, () => Promise.resolve()); // another keeper, one that pays
    for (let reports = 0; reports <= GRACE_FRAMES; reports++) {
      const { exiting, exited, lastFinalised } = await namedReport(story);
      expect([...exiting, ...exited, lastFinalised]).to.deep.equal([0n]);
    }
    const status = await validatorExits.status(id);
    expect([status.asked, status.exiting, status.exited]).to.deep.equal([true, false, false]);
    expectStaying(story, [key]);
  });

  it("are forced again when the grace frames have passed once more, by the keeper, and come", async () => {
    const { pool, alice } = story;
    const { devnet } = pool;
    await forcedByKeeper(story);
    await told(story, key);
    expect(ageInEpochs() >= SHARD_COMMITTEE_PERIOD).to.equal(true);
    expect(devnet.validatorByPubkey(key)?.status).to.equal("active_exiting");
    const seen = await reportsUntil(story, ({ exiting }) => exiting.length > 0);
    expect(seen.exiting).to.deep.equal([id]);
    const gone = await reportsUntil(story, ({ lastFinalised }) => lastFinalised === requestId);
    const [paid = 0n] = await claimAll(story, gone, [{ owner: alice, id: requestId }]);
    expect(paid > eth("20")).to.equal(true);
    await expectNoDifference(story);
  });
});
