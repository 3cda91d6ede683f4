import { generateKeyPairSync, randomBytes } from "node:crypto";
import { expect } from "chai";
import { hexlify, parseEther, toUtf8Bytes } from "ethers";
import { startLocalPool, type LocalCluster, type LocalPool } from "../../../devnet/pool.js";
import type { DkgProof } from "../../../oracle/keys/dkgProofs.js";
import { encodeEntries, type Entry } from "../../../oracle/keys/prepare.js";
import { recordingLogger, type LogRecord } from "./story.js";
import {
  depositsFor,
  dkgProofs,
  encryptShares,
  forceVetting,
  knownValidator,
  publicKeyOf,
  sendDeposit,
  startQuorum,
  Status,
  statusOf,
  swapped,
  withShares,
  type KnownValidator,
} from "./support.js";

/** What guardians give a cluster none of whose validators was seen to attest. */
const MOST_UNPROVEN = 2n;

/** Two operators of four get octets that are no share of theirs: more than f, so no quorum can ever sign. */
function withoutCiphertexts(validator: KnownValidator): Entry {
  const [, , ...others] = validator.shares.encryptedShares;
  const garbage = [randomBytes(256), randomBytes(256)].map((bytes) => Uint8Array.from(bytes));
  return withShares(validator, { ...validator.shares, encryptedShares: [...garbage, ...others] });
}

const proofsData = (proofs: readonly DkgProof[][]): string => hexlify(toUtf8Bytes(JSON.stringify(proofs)));

describe("stories: KeyShares", () => {
  let pool: LocalPool;
  let log: LogRecord[];
  let clusters: Record<"wrongNonce" | "spoiled" | "replacedKey" | "undecryptable" | "proven", LocalCluster>;

  let wrongNonce: string;
  let exchanged: KnownValidator;
  let crossed: KnownValidator;
  let replaced: KnownValidator;
  let undecryptable: Entry[];
  /** How many validators of the undecryptable cluster were funded, slot by slot. */
  const exposed = new Set<bigint>();

  const refusals = (publicKey: string): { reason: unknown; message: string }[] =>
    log
      .filter((line) => line.publicKey === publicKey && line.msg.startsWith("refused to sign: "))
      .map(({ reason, msg }) => ({ reason, message: msg.replace("refused to sign: ", "") }));
  const reasons = (publicKey: string): unknown[] => refusals(publicKey).map(({ reason }) => reason);
  const isActive = (publicKey: string): boolean =>
    pool.devnet.validatorByPubkey(publicKey)?.status === "active_ongoing";
  const isVetted = async ({ accountId }: LocalCluster): Promise<boolean> =>
    (await pool.registry.account(accountId)).vetted > 0n;
  const registered = async ({ clusterId }: LocalCluster): Promise<bigint> =>
    (await pool.registry.cluster(clusterId)).registered;
  const deposited = async ({ clusterId }: LocalCluster): Promise<bigint> =>
    (await pool.registry.cluster(clusterId)).deposited;
  /** What each node of the cluster made of the registration. */
  const handled = (publicKey: string, { operatorIds }: LocalCluster): string[] =>
    pool.devnet.operators.handled.flatMap(({ event, operatorId, outcome }) =>
      event.type === "ValidatorAdded" && event.publicKey === publicKey && operatorIds.includes(operatorId ?? 0n)
        ? [outcome.type === "malformed" ? outcome.reason : outcome.type]
        : [],
    );
  const attestations = (publicKey: string): { performed: number; missed: number } =>
    pool.devnet.operators.duties(publicKey).attestation;

  before(async () => {
    pool = await startLocalPool({ clusterSizes: [4] });
    const [first] = pool.clusters;
    if (first === undefined) throw new Error("the pool has no cluster");
    // the same operators, each cluster in an account of its own: what is wrong with one does not touch the others
    const { operators } = first;
    clusters = {
      wrongNonce: first,
      spoiled: await pool.addCluster(operators),
      replacedKey: await pool.addCluster(operators),
      undecryptable: await pool.addCluster(operators),
      proven: await pool.addCluster(operators, { requireDkg: true }),
    };
    await pool.stake(pool.user(0), parseEther("320"));
    const { logger, records } = recordingLogger();
    log = records;
    await startQuorum(pool, logger);
  });
  after(() => pool.close());

  it("for a wrong nonce, with exchanged shares or a replaced share key are refused, and nothing is registered", async () => {
    const [prepared] = await pool.prepare(clusters.wrongNonce, 1, 1n);
    if (prepared === undefined) throw new Error("nothing was prepared");
    wrongNonce = prepared.publicKey;
    await pool.publish(clusters.wrongNonce, [prepared]);

    const { spoiled, replacedKey } = clusters;
    exchanged = await knownValidator(pool, spoiled, 0n);
    crossed = await knownValidator(pool, spoiled, 1n);
    replaced = await knownValidator(pool, replacedKey, 0n);
    const [, ...otherKeys] = replaced.shares.sharePublicKeys;
    await pool.publish(spoiled, [
      // octets of two operators changed places: neither can decrypt what it got
      withShares(exchanged, {
        ...exchanged.shares,
        sharePublicKeys: swapped(exchanged.shares.sharePublicKeys),
        encryptedShares: swapped(exchanged.shares.encryptedShares),
      }),
      // each can decrypt, and has the share of the other
      withShares(crossed, {
        ...crossed.shares,
        sharePublicKeys: swapped(crossed.shares.sharePublicKeys),
        encryptedShares: encryptShares(spoiled, swapped(crossed.secretShares)),
      }),
    ]);
    await pool.publish(replacedKey, [
      // a point of the curve, and not this operator's
      withShares(replaced, { ...replaced.shares, sharePublicKeys: [publicKeyOf(replaced.secretKey), ...otherKeys] }),
    ]);

    await pool.devnet.advanceUntil(() => reasons(replaced.entry.publicKey).length > 0, 40);
    expect(refusals(wrongNonce)).to.deep.equal([
      {
        reason: "OwnerNonceSignatureInvalid",
        message: `The owner-nonce signature is for nonce 1 of ${clusters.wrongNonce.ssvAccount}, but the validator would be registered with nonce 0.`,
      },
    ]);
    for (const { entry } of [exchanged, crossed, replaced]) {
      expect(reasons(entry.publicKey)).to.deep.equal(["SharesNotOnPolynomial"]);
    }
    await pool.devnet.advanceEpochs(1);
    for (const cluster of [clusters.wrongNonce, spoiled, replacedKey]) {
      expect(await isVetted(cluster)).to.equal(false);
      expect(await registered(cluster)).to.equal(0n);
    }
  });

  it("that nobody can decrypt are refused where clusters must prove a DKG, which is what closes that hole", async () => {
    const { proven } = clusters;
    const validator = await knownValidator(pool, proven, 0n);
    const garbage = withoutCiphertexts(validator);
    const registry = pool.registry.connect(pool.poolOperator);
    await expect(registry.publish.staticCall(proven.clusterId, 0n, encodeEntries([garbage]), "0x"))
      .to.be.revertedWithCustomError(registry, "DkgProofsRequired")
      .withArgs(proven.clusterId);

    // whoever spoiled the ciphertexts can sign anything, but not with the operators' keys
    const forger = Array.from({ length: 4 }, () => generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey);
    await pool.publish(proven, [garbage], proofsData([dkgProofs(garbage, proven.ssvAccount, forger)]));
    await pool.devnet.advanceUntil(() => reasons(garbage.publicKey).length > 0, 10);
    expect(reasons(garbage.publicKey)).to.deep.equal(Array(4).fill("ProofSignatureInvalid"));

    // the proofs of the shares that were really dealt do not cover others
    const operatorKeys = proven.operators.map(({ privateKey }) => privateKey);
    const second = await knownValidator(pool, proven, 1n);
    const other = withoutCiphertexts(second);
    await pool.publish(proven, [other], proofsData([dkgProofs(second.entry, proven.ssvAccount, operatorKeys)]));
    await pool.devnet.advanceUntil(() => reasons(other.publicKey).length > 0, 10);
    expect(reasons(other.publicKey)).to.deep.equal(Array(2).fill("ProofMismatch"));
    expect(await isVetted(proven)).to.equal(false);

    // with nothing spoiled the same ceremony is good enough
    const sound = await pool.addCluster(proven.operators, { requireDkg: true });
    const third = await knownValidator(pool, sound, 0n);
    await pool.publish(sound, [third.entry], proofsData([dkgProofs(third.entry, sound.ssvAccount, operatorKeys)]));
    await pool.devnet.advanceUntil(() => isVetted(sound), 10);
  });

  describe("vetted all the same", () => {
    before(async () => {
      await forceVetting(pool, clusters.wrongNonce, 0n);
      await forceVetting(pool, clusters.spoiled, 0n);
      await forceVetting(pool, clusters.replacedKey, 0n);
      const bad = await Promise.all([0n, 1n, 2n].map((nonce) => knownValidator(pool, clusters.undecryptable, nonce)));
      undecryptable = bad.map(withoutCiphertexts);
      await pool.publish(clusters.undecryptable, undecryptable);
      pool.devnet.onSlot(async () => {
        exposed.add(await deposited(clusters.undecryptable));
      });
      // the money of somebody else shows what would have become of the pool's
      const withdrawalCredentials = await pool.registry.withdrawalCredentials();
      for (const { secretKey } of [exchanged, crossed]) {
        await sendDeposit(pool, pool.user(8), { secretKey, withdrawalCredentials, ether: 32n });
      }
      await pool.devnet.advanceUntil(async () => (await registered(clusters.spoiled)) === 2n, 20);
      await pool.devnet.advanceUntil(async () => (await registered(clusters.replacedKey)) === 1n, 20);
    });

    it("for a wrong nonce: registered, run by no operator, never funded by the guardians", async () => {
      const { devnet } = pool;
      await devnet.advanceUntil(async () => (await registered(clusters.wrongNonce)) === 1n, 20);
      await devnet.advanceUntil(() => handled(wrongNonce, clusters.wrongNonce).length > 0, 20);
      expect(handled(wrongNonce, clusters.wrongNonce)).to.deep.equal(Array(4).fill("SignatureVerification"));

      // others, registered later, are funded meanwhile
      await devnet.advanceUntil(async () => (await deposited(clusters.undecryptable)) > 0n, 60);
      const [refusedToVet, refusedToFund] = reasons(wrongNonce);
      expect([refusedToVet, refusedToFund]).to.deep.equal(Array(2).fill("OwnerNonceSignatureInvalid"));
      expect(await statusOf(pool, wrongNonce)).to.equal(Status.Registered);
      expect(await depositsFor(pool, wrongNonce)).to.deep.equal([]);
    });

    it("with swapped shares: the validators that strangers paid for never attest, the pool pays for none", async () => {
      const { devnet, registry } = pool;
      const keys = [exchanged, crossed].map(({ entry }) => entry.publicKey);
      await devnet.advanceUntil(() => keys.every(isActive), 160);
      await devnet.advanceEpochs(3);
      for (const key of keys) {
        const { performed, missed } = attestations(key);
        expect(performed).to.equal(0);
        expect(missed).to.be.at.least(2);
      }
      const decrypted = ({ entry }: KnownValidator, cluster = clusters.spoiled): string[] =>
        handled(entry.publicKey, cluster);
      expect(decrypted(exchanged)).to.have.members(["ShareDecryption", "ShareDecryption", "accepted", "accepted"]);
      expect(decrypted(crossed)).to.deep.equal(Array(4).fill("accepted"));
      // one bad share of four is within what a cluster tolerates, and still not what was promised
      expect(decrypted(replaced, clusters.replacedKey)).to.have.members([
        "ShareDecryption",
        "accepted",
        "accepted",
        "accepted",
      ]);

      const stranger = { ether: 32n, withdrawalCredentials: await registry.withdrawalCredentials() };
      for (const key of keys) expect(await depositsFor(pool, key)).to.deep.equal([stranger]);
      expect(await depositsFor(pool, replaced.entry.publicKey)).to.deep.equal([]);
      for (const cluster of [clusters.spoiled, clusters.replacedKey]) expect(await deposited(cluster)).to.equal(0n);
    });

    /*
     * From outside nobody can tell a ciphertext from noise, so vetting passes, and rightly. What protects is the limit: two validators
     * until one of the cluster attests, none while fewer than half do.
     */
    it("that nobody can decrypt: two validators are the most the pool ever risks", async () => {
      const { devnet, poolManager } = pool;
      const [first, second, third] = undecryptable.map(({ publicKey }) => publicKey);
      if (first === undefined || second === undefined || third === undefined) throw new Error("three were published");
      expect(await registered(clusters.undecryptable)).to.equal(3n);
      await devnet.advanceUntil(() => isActive(first) && isActive(second), 160);
      const isHeld = ({ reason, msg }: LogRecord): boolean =>
        reason === "ParticipationLow" &&
        /Of the 2 active validators of cluster \d+ 0 attest; 2 are funded\.$/.test(msg);
      await devnet.advanceUntil(() => log.some(isHeld), 64);
      await devnet.advanceEpochs(1);
      for (const key of [first, second]) {
        expect(attestations(key).performed).to.equal(0);
        expect(attestations(key).missed).to.be.at.least(4);
        expect(handled(key, clusters.undecryptable).filter((outcome) => outcome === "ShareDecryption")).to.have.length(
          2,
        );
      }

      expect(exposed).to.deep.equal(new Set([0n, MOST_UNPROVEN]));
      const ours = { ether: 32n, withdrawalCredentials: await pool.registry.withdrawalCredentials() };
      expect(await depositsFor(pool, first)).to.deep.equal([ours]);
      expect(await depositsFor(pool, second)).to.deep.equal([ours]);
      expect(await depositsFor(pool, third)).to.deep.equal([]);
      expect(await statusOf(pool, third)).to.equal(Status.Registered);
      // not for want of ETH: guardians alone hold it back
      expect((await poolManager.depositableEther()) >= parseEther("32")).to.equal(true);
    });
  });
});
