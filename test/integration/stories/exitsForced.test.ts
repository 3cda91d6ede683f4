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
} from "./exits.js";
import { eth, expectNoDifference, type Story } from "./story.js";

/** Exit requests of others, in one block: it takes some time until the price has fallen back to a wei. */
const OTHERS_REQUESTS = 40;

describe("exits that are forced", () => {
  let story: Story;
  let key: string;
  let id: bigint;
  afterEach(() => story.pool.close());

  async function open(options: Parameters<typeof openWithValidators>[3]): Promise<void> {
    const devnet = { genesisValidators: 16, ...options?.devnet };
    const opened = await openWithValidators(eth("30"), eth("10"), 1, { ...options, devnet });
    [key = ""] = opened.keys;
    story = opened.story;
    id = await idOf(story, key);
  }

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

  it("by a stranger, when SSV's operators ignore them and the keeper does not pay: after the grace frames, for the fee of the moment", async () => {
    await open({ keeper: { config: (given) => ({ ...given, exits: { maxFeeWei: 0 } }) } });
    const { pool, cluster, alice } = story;
    const { devnet, validatorExits, deployment } = pool;
    for (const operator of cluster.operators.slice(0, 2)) operator.ignoreExits();
    const requestId = await request(story, alice, eth("20"));
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
    expectStaying(story, [key]);

    await othersLeave();
    expect((await forceExit(story, key)) > 1n).to.equal(true);
    expectStaying(story, [key]); // behind the others
    const source = deployment.addresses.withdrawalVault.toLowerCase();
    expect(await told(story, key)).to.deep.equal({ source, key, amountGwei: 0n });
    expect(devnet.validatorByPubkey(key)?.status).to.equal("active_exiting");

    const seen = await reportsUntil(story, ({ exiting }) => exiting.length > 0);
    expect(seen.exiting).to.deep.equal([id]);
    const gone = await reportsUntil(story, ({ lastFinalised }) => lastFinalised === requestId);
    const [paid = 0n] = await claimAll(story, gone, [{ owner: alice, id: requestId }]);
    expect(paid > eth("20")).to.equal(true);
    await expectNoDifference(story);
  });

  it("by the keeper, when the validator is too young: dropped by the chain without a word, booked by nobody, forced again", async () => {
    // epochs: when it is forced it is too young, a grace period later it is old enough
    const SHARD_COMMITTEE_PERIOD = 16;
    await open({ devnet: { extraConfig: { SHARD_COMMITTEE_PERIOD } } });
    const { pool, cluster, alice } = story;
    const { devnet, validatorExits } = pool;
    const ageInEpochs = (): number =>
      Math.floor(devnet.slot / devnet.slotsPerEpoch) -
      (devnet.validatorByPubkey(key)?.validator.activationEpoch ?? Infinity);
    for (const operator of cluster.operators) operator.ignoreExits();
    const requestId = await request(story, alice, eth("20"));
    await asked(story, [key]);

    await forcedByKeeper(story);
    await told(story, key);
    expect(ageInEpochs() < SHARD_COMMITTEE_PERIOD).to.equal(true);
    expectStaying(story, [key]);
    const waiting = await validatorExits.demand();
    expect([waiting.needed, waiting.underway, waiting.due]).to.deep.equal([1n, 1n, 0n]);
    const { askedFrame, forceableFrom } = await validatorExits.status(id);
    expect(forceableFrom).to.equal(askedFrame + BigInt(GRACE_FRAMES) + 1n);
    for (let reports = 0; reports <= GRACE_FRAMES; reports++) {
      const { exiting, exited, lastFinalised } = await namedReport(story);
      expect([...exiting, ...exited, lastFinalised]).to.deep.equal([0n]);
    }
    const status = await validatorExits.status(id);
    expect([status.asked, status.exiting, status.exited]).to.deep.equal([true, false, false]);
    expectStaying(story, [key]);

    await forcedByKeeper(story);
    await told(story, key);
    expect(ageInEpochs() >= SHARD_COMMITTEE_PERIOD).to.equal(true);
    expect(devnet.validatorByPubkey(key)?.status).to.equal("active_exiting");
    const gone = await reportsUntil(story, ({ lastFinalised }) => lastFinalised === requestId);
    await claimAll(story, gone, [{ owner: alice, id: requestId }]);
    expect((await validatorExits.status(id)).exiting).to.equal(true);
    await expectNoDifference(story);
  });
});
