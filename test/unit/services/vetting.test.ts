import { expect } from "chai";
import { hexlify, id, toUtf8Bytes } from "ethers";
import { SecretKey } from "@chainsafe/blst";
import { encryptShare, signOwnerNonce, buildSharesData } from "../../../oracle/keys/keyshares.js";
import type { PreparedValidator } from "../../../oracle/keys/prepare.js";
import { splitSecret } from "../../../oracle/keys/shamir.js";
import { signDeposit } from "../../../oracle/keys/depositData.js";
import { isValid, judgeBatch, judgeEarlierDeposits, type Refusal } from "../../../oracle/roles/vetting.js";
import { testOperators } from "../keys/support.js";
import {
  addressOf,
  emptyState,
  FOREIGN_CREDENTIALS,
  operatorIds,
  OWNER,
  prepare,
  RULES,
  Story,
  validatorRecord,
  validDeposit,
  type StatePart,
} from "./support.js";

/** A validator whose secret key the test holds, as an attacker who made it would. */
function withSecret(nonce: bigint, owner = OWNER): PreparedValidator & { secretKey: Uint8Array } {
  const key = SecretKey.fromKeygen(Buffer.from(id(`secret ${nonce}`).slice(2), "hex"));
  const secretKey = key.toBytes();
  const operators = testOperators(4);
  const shares = splitSecret(secretKey, operatorIds());
  const sharesData = buildSharesData({
    ownerNonceSignature: signOwnerNonce(secretKey, owner, nonce),
    sharePublicKeys: shares.map((share) => SecretKey.fromBytes(share.secretKey).toPublicKey().toBytes()),
    encryptedShares: shares.map((share, i) => encryptShare(operators[i]!.publicKeyPem, share.secretKey)),
  });
  const depositSignature = signDeposit(secretKey, { ...RULES, amountGwei: 32_000_000_000n });
  return {
    publicKey: hexlify(key.toPublicKey().toBytes()),
    depositSignature: hexlify(depositSignature),
    sharesData: hexlify(sharesData),
    ownerNonce: nonce,
    secretKey,
  };
}

function judge(story: Story, state: StatePart = emptyState, batchIndex = 0): Refusal[] {
  const view = story.view();
  const { queue } = view.registry.accounts.get(1)!;
  const batch = queue[batchIndex]!;
  const queuedBefore = queue.slice(0, batchIndex).reduce((sum, { entries, taken }) => sum + entries.length - taken, 0);
  const cluster = view.registry.clusters.get(1)!;
  return judgeBatch({ batch, cluster, owner: OWNER, queuedBefore, view, state, rules: RULES });
}

const reasons = (refusals: readonly Refusal[]): string[] => refusals.map(({ reason }) => reason);

describe("vetting", () => {
  const validators = prepare(3) as [PreparedValidator, PreparedValidator, PreparedValidator];
  const [first, second, third] = validators;

  it("finds nothing wrong with what is right", () => {
    expect(judge(new Story().publish(validators))).to.deep.equal([]);
  });

  it("judges a later batch by the nonces that those before it will use", () => {
    const story = new Story().publish([first, second]).publish([third]);
    expect(judge(story, emptyState, 1)).to.deep.equal([]);
    story.vet(0).register([first]);
    expect(judge(story, emptyState, 1)).to.deep.equal([]);
  });

  it("refuses KeyShares for another nonce", () => {
    // published as if it were the first, signed as the second
    const story = new Story().publish([{ ...second, ownerNonce: 0n }]);
    expect(reasons(judge(story))).to.deep.equal(["OwnerNonceSignatureInvalid"]);
  });

  it("refuses swapped shares and broken deposit signatures by the key concerned", () => {
    const bytes = Buffer.from(second.sharesData.slice(2), "hex");
    const swapped = Buffer.concat([
      bytes.subarray(0, 96),
      bytes.subarray(144, 192),
      bytes.subarray(96, 144),
      bytes.subarray(192),
    ]);
    const story = new Story().publish([first, { ...second, sharesData: hexlify(swapped) }]);
    const found = judge(story);
    expect(reasons(found)).to.deep.equal(["SharesNotOnPolynomial"]);
    expect(found[0]!.publicKey).to.equal(second.publicKey);
    const broken = new Story().publish([{ ...first, depositSignature: second.depositSignature }]);
    expect(reasons(judge(broken))).to.deep.equal(["DepositSignatureInvalid"]);
  });

  it("refuses when SSV's count of nonces is not the registry's", () => {
    const story = new Story().publish([first]).addToSSV("0xff", "0x");
    const found = judge(story);
    expect(reasons(found)).to.include("NonceDrift");
    expect(found.find(({ reason }) => reason === "NonceDrift")!.alert).to.equal(true);
  });

  it("refuses a key that is anywhere else in the registry", () => {
    const story = new Story()
      .publish([first])
      .vet()
      .register([first])
      .publish([{ ...first, ownerNonce: 1n }]);
    expect(reasons(judge(story))).to.include("DuplicatePublicKey");
    const queuedTwice = new Story().publish([first]).publish([{ ...first, ownerNonce: 1n }]);
    expect(reasons(judge(queuedTwice))).to.include("DuplicatePublicKey");
  });

  describe("operators", () => {
    const ids = operatorIds();
    it("must be in SSV", () => {
      const story = new Story().publish([first]);
      const view = story.view();
      const cluster = { ...view.registry.clusters.get(1)!, operatorIds: [...ids.slice(0, 3), 99_999n] };
      const batch = view.registry.accounts.get(1)!.queue[0]!;
      const situation = { batch, cluster, owner: OWNER, queuedBefore: 0, view, state: emptyState, rules: RULES };
      expect(reasons(judgeBatch(situation))).to.include("OperatorUnknown");
    });
    it("must not have left", () => {
      const story = new Story().publish([first]).add({ type: "OperatorRemoved", operatorId: ids[2]! });
      expect(reasons(judge(story))).to.deep.equal(["OperatorRemoved"]);
    });
    it("must have a key that shares can be encrypted to", () => {
      const story = new Story()
        .publish([first])
        .add({ type: "OperatorAdded", operatorId: ids[2]!, publicKey: "0x1234" });
      expect(reasons(judge(story))).to.deep.equal(["OperatorKeyInvalid"]);
    });
  });

  describe("registrations of the key by others", () => {
    const stranger = addressOf("stranger");

    it("are ignored when SSV's nodes ignore them: anybody can copy what we publish", () => {
      const story = new Story()
        .publish([first])
        .addToSSV(first.publicKey, first.sharesData, stranger) // signed for us, not for the stranger
        .addToSSV(first.publicKey, "0x00", stranger);
      expect(judge(story)).to.deep.equal([]);
    });

    it("are an alert when the key itself signed them", () => {
      const ours = withSecret(0n);
      const theirs = withSecret(0n, stranger);
      const story = new Story().publish([ours]).addToSSV(ours.publicKey, theirs.sharesData, stranger);
      const [refusal, ...others] = judge(story);
      expect(others).to.deep.equal([]);
      expect(refusal).to.deep.include({ reason: "RegisteredInSSV", alert: true, publicKey: ours.publicKey });
    });

    it("of an owner with more validators than SSV's nodes can count are judged by the count they then have", () => {
      const theirs = withSecret(1n, stranger);
      const story = new Story().publish([withSecret(0n)]).addToSSV(theirs.publicKey, theirs.sharesData, stranger);
      const base = story.view().registrations.byKey.get(theirs.publicKey)![0]!;
      expect(isValid({ ...base, nonce: 65_537n })).to.equal(true);
      expect(isValid({ ...base, nonce: 65_536n })).to.equal(false);
    });

    it("count as SSV's nodes count them", () => {
      const base = new Story()
        .addToSSV(first.publicKey, first.sharesData)
        .view()
        .registrations.byKey.get(first.publicKey)![0]!;
      expect(isValid(base)).to.equal(true);
      expect(isValid({ ...base, nonce: 1n })).to.equal(false);
      expect(isValid({ ...base, owner: stranger })).to.equal(false);
      expect(isValid({ ...base, removed: base.added })).to.equal(false);
      expect(isValid({ ...base, sharesLength: base.sharesLength - 1 })).to.equal(false);
      expect(isValid({ ...base, operatorIds: [1n, 2n, 3n, 4n, 5n] })).to.equal(false);
    });
  });

  describe("earlier deposits", () => {
    const ours = withSecret(0n);
    const { publicKey, secretKey } = ours;
    const log = (deposit: ReturnType<typeof validDeposit>) => ({ ...deposit, publicKey: deposit.pubkey, block: 7 });

    it("are refused in the beacon registry, in its queue, and after the finalised state", () => {
      const owned = validDeposit(secretKey, publicKey, RULES.withdrawalCredentials);
      const found = [
        judgeEarlierDeposits(
          publicKey,
          { ...emptyState, validators: new Map([[publicKey, validatorRecord(publicKey)]]) },
          [],
          RULES,
        ),
        judgeEarlierDeposits(publicKey, { ...emptyState, pendingDeposits: new Map([[publicKey, [owned]]]) }, [], RULES),
        judgeEarlierDeposits(publicKey, emptyState, [log(owned)], RULES),
      ];
      for (const refusals of found) expect(reasons(refusals)).to.deep.equal(["AlreadyDeposited"]);
      expect(found.flat().some(({ alert }) => alert)).to.equal(false);
    });

    it("are an alert under foreign credentials", () => {
      const foreign = validDeposit(secretKey, publicKey, FOREIGN_CREDENTIALS);
      const record = validatorRecord(publicKey, { withdrawalCredentials: FOREIGN_CREDENTIALS });
      const found = [
        judgeEarlierDeposits(publicKey, { ...emptyState, validators: new Map([[publicKey, record]]) }, [], RULES),
        judgeEarlierDeposits(
          publicKey,
          { ...emptyState, pendingDeposits: new Map([[publicKey, [foreign]]]) },
          [],
          RULES,
        ),
        judgeEarlierDeposits(publicKey, emptyState, [log(foreign)], RULES),
      ];
      for (const refusals of found) {
        expect(reasons(refusals)).to.deep.equal(["ForeignDeposit"]);
        expect(refusals[0]!.alert).to.equal(true);
      }
    });

    it("are ignored with a signature that consensus ignores, and for other keys", () => {
      const garbage = { ...validDeposit(secretKey, publicKey, FOREIGN_CREDENTIALS), amountGwei: 2_000_000_000n };
      const other = withSecret(1n);
      const since = [log(garbage), log(validDeposit(other.secretKey, other.publicKey, FOREIGN_CREDENTIALS))];
      const pendingDeposits = new Map([[publicKey, [garbage]]]);
      expect(judgeEarlierDeposits(publicKey, { ...emptyState, pendingDeposits }, since, RULES)).to.deep.equal([]);
    });

    it("are looked for when a batch is vetted", () => {
      const state = {
        ...emptyState,
        pendingDeposits: new Map([[publicKey, [validDeposit(secretKey, publicKey, FOREIGN_CREDENTIALS)]]]),
      };
      expect(reasons(judge(new Story().publish([ours]), state))).to.deep.equal(["ForeignDeposit"]);
    });
  });

  describe("DKG proofs, where the cluster requires them", () => {
    const publish = (proofs: string): Refusal[] =>
      judge(new Story({ requireDkg: true }).publish([first], { dkgProofs: hexlify(toUtf8Bytes(proofs)) }));

    it("must be readable, one list for each validator", () => {
      for (const proofs of ["", "{", "{}", "[]", "[[],[]]", '[[{"proof":1}]]']) {
        expect(reasons(publish(proofs)), proofs).to.deep.equal(["DkgProofsMalformed"]);
      }
    });

    it("must be one of each operator, of this validator", () => {
      expect(reasons(publish("[[]]"))).to.deep.equal(["ProofCount"]);
      const hex = (length: number): string => "11".repeat(length);
      const proof = { validator: hex(48), encrypted_share: hex(256), share_pub: hex(48), owner: hex(20) };
      const list = Array.from({ length: 4 }, () => ({ proof, signature: hex(256) }));
      expect(new Set(reasons(publish(JSON.stringify([list]))))).to.deep.equal(new Set(["ProofMismatch"]));
    });
  });
});
