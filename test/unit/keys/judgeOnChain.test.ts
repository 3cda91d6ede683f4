import { expect } from "chai";
import { hexlify } from "ethers";
import { SecretKey } from "@chainsafe/blst";
import type { FoundValidator } from "../../../oracle/keys/inspect/collate.js";
import { accountFor, judgeOnChain, nextNonce, type ChainState } from "../../../oracle/keys/inspect/judgeOnChain.js";
import {
  addressOf,
  emptyState,
  FOREIGN_CREDENTIALS,
  operatorIds,
  OWNER,
  prepare,
  RULES,
  Story,
  validDeposit,
  validatorRecord,
  type StatePart,
} from "../services/support.js";

const [first, second, third] = prepare(3) as [
  ReturnType<typeof prepare>[0],
  ReturnType<typeof prepare>[0],
  ReturnType<typeof prepare>[0],
];

function found(owner: string | null): FoundValidator {
  const { publicKey, sharesData, ownerNonce } = first;
  const shares = { publicKey, sharesData, ownerNonce, ownerAddress: owner, operators: [] };
  return { publicKey, shares, deposit: null, proofs: null, findings: [] };
}

const stateOf = (story: Story, state: StatePart | null = emptyState, since: StateSince = []): ChainState => ({
  view: story.view(),
  rules: RULES,
  beacon: state === null ? null : { state, since },
});
type StateSince = NonNullable<ChainState["beacon"]>["since"];

const judge = (state: ChainState, changes: Partial<Parameters<typeof judgeOnChain>[0]> = {}, hasProofs = false) =>
  judgeOnChain(
    { publicKey: first.publicKey, account: OWNER, operatorIds: operatorIds(), ...changes },
    hasProofs,
    state,
  ).map(({ code }) => code);

describe("keys/judgeOnChain", () => {
  it("has nothing against a new key", () => {
    expect(judge(stateOf(new Story()))).to.deep.equal([]);
    expect(judge(stateOf(new Story(), null))).to.deep.equal([]);
    expect(judge(stateOf(new Story().publish([second])))).to.deep.equal([]);
  });

  it("refuses a key that was published", () => {
    const story = new Story().publish([first]);
    expect(judge(stateOf(story))).to.deep.equal(["DuplicatePublicKey"]);
    story.vet().register([first]);
    expect(judge(stateOf(story))).to.deep.equal(["DuplicatePublicKey", "RegisteredInSSV"]);
  });

  it("refuses a key that the beacon chain, its queue or a later deposit has", () => {
    const { publicKey } = first;
    const record = { validators: new Map([[publicKey, validatorRecord(publicKey)]]) };
    expect(judge(stateOf(new Story(), { ...emptyState, ...record }))).to.deep.equal(["AlreadyDeposited"]);
    const secretKey = SecretKey.fromKeygen(new Uint8Array(32).fill(9));
    const other = hexlify(secretKey.toPublicKey().toBytes());
    const deposit = validDeposit(secretKey.toBytes(), other, FOREIGN_CREDENTIALS);
    const queue = { pendingDeposits: new Map([[other, [deposit]]]) };
    expect(judge(stateOf(new Story(), { ...emptyState, ...queue }), { publicKey: other })).to.deep.equal([
      "ForeignDeposit",
    ]);
    const since = [{ ...deposit, block: 9, publicKey: other }];
    expect(judge(stateOf(new Story(), emptyState, since), { publicKey: other })).to.deep.equal(["ForeignDeposit"]);
    expect(judge(stateOf(new Story(), emptyState, since))).to.deep.equal([]);
  });

  it("refuses what is for no account or cluster of the pool, for a retired one, or without the proofs it requires", () => {
    const state = stateOf(new Story());
    expect(judge(state, { account: addressOf("somebody") })).to.deep.equal(["AccountUnknown"]);
    expect(judge(state, { operatorIds: [1n, 2n, 3n, 4n] })).to.deep.equal(["ClusterUnknown"]);
    expect(judge(state, { account: null })).to.deep.equal([]);
    const proven = stateOf(new Story({ requireDkg: true }));
    expect(judge(proven)).to.deep.equal(["DkgProofsMissing"]);
    expect(judge(proven, {}, true)).to.deep.equal([]);
    const retired = stateOf(new Story().add({ type: "ClusterUpdated", cluster: 1, active: false, cap: 0 }));
    expect(judge(retired)).to.deep.equal(["ClusterRetired"]);
  });

  it("knows whom files are for, and which nonce comes next", () => {
    const story = new Story();
    const view = () => story.view();
    const account = (owners: (string | null)[], named: string | null = null) =>
      accountFor(owners.map(found), view().registry, named)?.address ?? null;
    expect(account([OWNER, OWNER])).to.equal(OWNER);
    expect(account([null])).to.equal(OWNER);
    expect(account([addressOf("somebody")])).to.equal(null);
    expect(account([OWNER, addressOf("somebody")])).to.equal(null);
    expect(account([addressOf("somebody")], OWNER)).to.equal(OWNER);
    expect(account([], addressOf("somebody"))).to.equal(null);

    const next = () => nextNonce(view().registry.accounts.get(1)!, view());
    expect(next()).to.equal(0n);
    story.publish([first, second]);
    expect(next()).to.equal(2n);
    story.vet().register([first]).publish([third]);
    expect(next()).to.equal(3n);
    // whoever has the account's right registers past the registry
    story.addToSSV(`0x${"ab".repeat(48)}`, "0x12");
    expect(next()).to.equal(4n);
    story.add({ type: "AccountAdded", account: 2, address: addressOf("SSV account 2") });
    expect(account([null])).to.equal(null);
  });
});
