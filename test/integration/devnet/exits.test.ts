import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { interopSecretKey } from "@lodestar/state-transition";
import { expect } from "chai";
import { startDevnet, type Devnet } from "../../../devnet/devnet.js";
import { BeaconClient } from "../../../oracle/beacon/client.js";
import { estimateReturns, type ReturnEstimate } from "../../../oracle/beacon/exits.js";
import { readVerifiedState } from "../../../oracle/beacon/readVerified.js";
import { credentials, deposit, requestWithdrawal } from "./deposits.js";

const VALIDATORS = 4;

/** Over HTTP, of validators that wait for each other: an epoch lets 24 ETH leave. */
describe("devnet: exits come when the program says", () => {
  let devnet: Devnet;
  let client: BeaconClient;
  const pubkeys: string[] = [];

  before(async () => {
    devnet = await startDevnet({
      extraConfig: { CHURN_LIMIT_QUOTIENT: 65_536, MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA: 24_000_000_000 },
    });
    client = new BeaconClient(devnet.beaconUrl);
  });
  after(() => devnet.close());

  async function estimate(): Promise<ReturnEstimate[]> {
    const [{ root }, rules] = await Promise.all([client.header("head"), client.exitRules()]);
    const state = await readVerifiedState(client, root, { pubkeys: new Set(pubkeys) });
    const frames = {
      genesisTime: BigInt(devnet.genesisTime),
      secondsPerSlot: BigInt(devnet.secondsPerSlot),
      slotsPerFrame: 32n,
    };
    const records = pubkeys.map((pubkey) => state.validators.get(pubkey)!);
    return estimateReturns(state, records, rules, frames).map((found) => found!);
  }
  const decided = (estimates: readonly ReturnEstimate[]) =>
    estimates.map(({ exitEpoch, withdrawableEpoch }) => ({ exitEpoch, withdrawableEpoch }));

  it("exit and withdrawable epochs to the epoch, the sweep about when it likely would and within the bounds", async () => {
    const withdrawalCredentials = credentials("01", devnet.accounts[0]!.address);
    for (let i = 0; i < VALIDATORS; i++) {
      devnet.run(interopSecretKey(3000 + i));
      pubkeys.push((await deposit(devnet, { keyIndex: 3000 + i, withdrawalCredentials })).pubkey);
    }
    await devnet.advanceUntil(
      () => pubkeys.every((pubkey) => devnet.validatorByPubkey(pubkey)?.status === "active_ongoing"),
      400,
    );
    await devnet.advanceEpochs(5); // SHARD_COMMITTEE_PERIOD, and all of an epoch for the requests
    await devnet.advanceUntil(() => devnet.slot % SLOTS_PER_EPOCH === 0);

    const before = await estimate();
    expect(new Set(before.map(({ exitEpoch }) => exitEpoch)).size).to.equal(VALIDATORS);
    for (const pubkey of pubkeys) await requestWithdrawal(devnet, pubkey, 0n);
    const after = await estimate();
    expect(decided(after)).to.deep.equal(decided(before));

    const paid = new Map<string, number>();
    const end = Math.max(...after.map(({ latest }) => latest.slot)) - devnet.slot;
    await devnet.advanceUntil(() => {
      for (const pubkey of pubkeys) {
        const { validator, balanceGwei } = devnet.validatorByPubkey(pubkey)!;
        // not 0: who still is in a sync committee goes on earning
        if (balanceGwei > 1_000_000_000n || paid.has(pubkey)) continue;
        paid.set(pubkey, devnet.slot);
        const i = pubkeys.indexOf(pubkey);
        expect(validator.exitEpoch).to.equal(before[i]!.exitEpoch);
      }
      return paid.size === VALIDATORS;
    }, end);
    for (const estimates of [before, after]) {
      for (const [i, { earliest, likely, latest }] of estimates.entries()) {
        const slot = paid.get(pubkeys[i]!)!;
        expect(slot).to.be.within(earliest.slot, latest.slot);
        expect(Math.abs(slot - likely.slot)).to.be.at.most(2);
        expect(likely.timestamp).to.equal(devnet.genesisTime + likely.slot * devnet.secondsPerSlot);
      }
    }
  });
});
