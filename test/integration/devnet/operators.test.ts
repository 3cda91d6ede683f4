import { Signature, verify, type SecretKey } from "@chainsafe/blst";
import { DOMAIN_BEACON_PROPOSER } from "@lodestar/params";
import { computeSigningRoot, interopSecretKey } from "@lodestar/state-transition";
import { expect } from "chai";
import { hexlify } from "ethers";
import { startDevnet, type Devnet } from "../../../devnet/devnet.js";
import type { Operator } from "../../../devnet/operators/operator.js";
import { deployOrLoadSsv, registerOperators } from "../../../devnet/ssv.js";
import type { ISSVNetwork } from "../../../types/ethers-contracts/index.js";
import { credentials, deposit } from "./deposits.js";
import { makeShares, type SharesOptions } from "./keyshares.js";

const EMPTY_CLUSTER = { validatorCount: 0n, networkFeeIndex: 0n, index: 0n, active: true, balance: 0n };
const FEE_WEI = 1_000_000_000n;

describe("devnet: SSV operators", () => {
  let devnet: Devnet;
  let network: ISSVNetwork;
  let operators: Operator[];
  let ids: bigint[];
  let cluster = EMPTY_CLUSTER;
  let nonce = 0n;
  const owner = (): string => devnet.accounts[1]!.address;
  const key = (index: number): SecretKey => interopSecretKey(index);
  const pubkey = (index: number): string => hexlify(key(index).toPublicKey().toBytes());

  /** Registers in one bulk, remembers the cluster's snapshot. */
  async function register(entries: (Partial<SharesOptions> & { index: number })[]): Promise<void> {
    const made = entries.map(({ index, ...options }) =>
      makeShares({ secretKey: key(index), operators, owner: owner(), nonce: nonce++, ...options }),
    );
    const receipt = await devnet.mineTx(
      network.bulkRegisterValidator(
        made.map((entry) => entry.publicKey),
        ids,
        made.map((entry) => entry.sharesData),
        cluster,
        { value: 10n ** 18n },
      ),
    );
    readCluster(receipt.logs);
  }

  function readCluster(logs: readonly { topics: readonly string[]; data: string }[]): void {
    for (const log of logs) {
      const parsed = network.interface.parseLog(log);
      if (parsed?.fragment.inputs.some((input) => input.name === "cluster") !== true) continue;
      const [validatorCount, networkFeeIndex, index, active, balance] = parsed.args.getValue("cluster") as [
        bigint,
        bigint,
        bigint,
        boolean,
        bigint,
      ];
      cluster = { validatorCount, networkFeeIndex, index, active, balance };
    }
  }

  const attestations = (index: number) => devnet.operators.duties(pubkey(index)).attestation;
  /** Attestations done and missed by the validator in the next epochs. */
  async function overEpochs(index: number, epochs: number): Promise<{ performed: number; missed: number }> {
    const before = { ...attestations(index) };
    await devnet.advanceEpochs(epochs);
    const after = attestations(index);
    return { performed: after.performed - before.performed, missed: after.missed - before.missed };
  }

  before(async () => {
    devnet = await startDevnet();
    const admin = devnet.accounts[0]!;
    const mine = (): Promise<void> => devnet.advance();
    const ssv = await deployOrLoadSsv(admin, { mine });
    operators = devnet.operators.create(4);
    ids = await registerOperators(
      ssv.network,
      admin,
      operators.map(({ publicKeyForSsv }) => ({ publicKey: publicKeyForSsv, feeWeiPerBlock: FEE_WEI })),
      { mine },
    );
    operators.forEach((operator, i) => {
      devnet.operators.assign(operator, ids[i]!);
    });
    network = ssv.network.connect(devnet.accounts[1]);
    devnet.operators.follow(await network.getAddress());

    // 1000 is sound, 1001 has one bad ciphertext, 1002 one share of another polynomial, 1003 two bad ciphertexts, 1004 the nonce of another
    await register([
      { index: 1000 },
      { index: 1001, badCiphertexts: [3] },
      { index: 1002, foreignShares: [1] },
      { index: 1003, badCiphertexts: [0, 2] },
      { index: 1004, nonce: 99n },
    ]);
    for (let index = 1000; index < 1005; index++) {
      await deposit(devnet, { keyIndex: index, withdrawalCredentials: credentials("01", owner()) });
    }
    await devnet.advanceUntil(() => devnet.validatorByPubkey(pubkey(1004))?.status === "active_ongoing");
    await devnet.advanceUntil(() => devnet.slot % devnet.slotsPerEpoch === devnet.slotsPerEpoch - 1);
  });
  after(() => devnet.close());

  it("act on an event when it is eight blocks deep, not before", async () => {
    const seen = devnet.operators.handled.length;
    const { blockNumber } = await devnet.mineTx(network.setFeeRecipientAddress(devnet.accounts[5]!.address));
    await devnet.advanceUntil(() => devnet.chain.head.executionBlockNumber === blockNumber + 7);
    expect(devnet.operators.handled.length).to.equal(seen);
    await devnet.advanceUntil(() => devnet.chain.head.executionBlockNumber === blockNumber + 8);
    expect(devnet.operators.handled.length).to.equal(seen + operators.length);
    await devnet.advanceUntil(() => devnet.slot % devnet.slotsPerEpoch === devnet.slotsPerEpoch - 1);
  });

  it("attest with sound KeyShares, and with one bad ciphertext", async () => {
    expect(await overEpochs(1000, 4)).to.deep.equal({ performed: 4, missed: 0 });
    expect(attestations(1001).missed).to.equal(0);
    const balance = (index: number): bigint => devnet.validatorByPubkey(pubkey(index))!.balanceGwei;
    expect(balance(1000) > balance(1003)).to.equal(true);
  });

  it("miss what KeyShares do not allow", async () => {
    const mixed = await overEpochs(1002, 8);
    expect(mixed.missed).to.be.greaterThan(0); // whenever the foreign share is in the first quorum
    expect(attestations(1003).performed).to.equal(0);
    expect(attestations(1004).performed).to.equal(0);
    expect(devnet.validatorByPubkey(pubkey(1003))!.balanceGwei < 32_000_000_000n).to.equal(true);
    const reasons = devnet.operators.handled.flatMap(({ outcome }) =>
      outcome.type === "malformed" ? [outcome.reason] : [],
    );
    expect(reasons.filter((reason) => reason === "ShareDecryption").length).to.equal(3);
    expect(reasons.filter((reason) => reason === "SignatureVerification").length).to.equal(4);
  });

  it("carry on with one operator down, not with two", async () => {
    devnet.operators.stop(ids[0]!);
    expect(await overEpochs(1000, 3)).to.deep.equal({ performed: 3, missed: 0 });
    const fragile = await overEpochs(1001, 3); // its fourth operator never had a share
    expect(fragile.performed).to.equal(0);
    const response = await fetch(`${devnet.beaconUrl}/devnet/stop-operator?id=${ids[1]!}`, { method: "POST" });
    expect(response.status).to.equal(200);
    expect(await overEpochs(1000, 3)).to.deep.equal({ performed: 0, missed: 3 });
    devnet.operators.start(ids[0]!);
    devnet.operators.start(ids[1]!);
    expect(await overEpochs(1000, 3)).to.deep.equal({ performed: 3, missed: 0 });
  });

  it("propose with signatures that verify, and pay the owner's fee recipient", async () => {
    const recipient = devnet.accounts[5]!.address;
    const proposer = (): string => {
      const { proposerIndex } = devnet.chain.head.header;
      return hexlify(devnet.state().validators.getReadonly(proposerIndex).pubkey);
    };
    const before = devnet.operators.duties(pubkey(1000));
    const proposed = before.proposal.performed;
    await devnet.advanceUntil(() => proposer() === pubkey(1000));
    expect(devnet.operators.duties(pubkey(1000)).proposal.performed).to.equal(proposed + 1);
    const signed = devnet.chain.head.signedBlock!;
    const { config } = devnet.chain;
    const { BeaconBlock } = config.getForkTypes(signed.message.slot);
    const root = computeSigningRoot(
      BeaconBlock,
      signed.message,
      config.getDomain(signed.message.slot, DOMAIN_BEACON_PROPOSER),
    );
    const validatorKey = key(1000).toPublicKey();
    expect(verify(root, validatorKey, Signature.fromBytes(signed.signature))).to.equal(true);
    const block = await devnet.provider.getBlock("latest");
    expect(block!.miner).to.equal(recipient);
    expect(devnet.operators.dutiesPerformed(pubkey(1000))).to.be.greaterThan(0);
    expect(devnet.operators.dutiesMissed(pubkey(1000))).to.be.greaterThan(0);
  });

  it("miss the slots of a validator that they cannot run", async () => {
    const randao = () => devnet.operators.duties(pubkey(1003)).randao;
    const slots: number[] = [];
    const stop = devnet.onSlot(async (slot) => {
      if (devnet.chain.head.slot !== slot) slots.push(slot);
    });
    const before = randao().missed;
    await devnet.advanceUntil(() => randao().missed > before);
    stop();
    expect(slots.at(-1)).to.equal(devnet.slot);
  });

  it("stop for a liquidated cluster, and come back with it", async () => {
    readCluster((await devnet.mineTx(network.liquidate(owner(), ids, cluster))).logs);
    await devnet.advanceEpochs(2);
    const down = await overEpochs(1000, 2);
    expect(down).to.deep.equal({ performed: 0, missed: 2 });
    readCluster((await devnet.mineTx(network.reactivate(ids, cluster, { value: 10n ** 18n }))).logs);
    await devnet.advanceEpochs(3);
    expect(await overEpochs(1000, 2)).to.deep.equal({ performed: 2, missed: 0 });
  });

  it("sign an exit once, when the owner asks", async () => {
    expect(devnet.validatorByPubkey(pubkey(1000))!.status).to.equal("active_ongoing");
    await devnet.mineTx(network.bulkExitValidator([pubkey(1000), pubkey(1003)], ids));
    await devnet.advanceUntil(() => devnet.validatorByPubkey(pubkey(1000))!.status !== "active_ongoing", 16);
    expect(devnet.validatorByPubkey(pubkey(1000))!.status).to.equal("active_exiting");
    expect(devnet.operators.duties(pubkey(1000)).exit).to.deep.equal({ performed: 1, missed: 0 });
    expect(devnet.operators.duties(pubkey(1003)).exit).to.deep.equal({ performed: 0, missed: 1 });
    expect(devnet.validatorByPubkey(pubkey(1003))!.status).to.equal("active_ongoing");
  });

  it("leave a removed validator alone", async () => {
    readCluster((await devnet.mineTx(network.bulkRemoveValidator([pubkey(1001)], ids, cluster))).logs);
    await devnet.advanceEpochs(2);
    expect((await overEpochs(1001, 2)).performed).to.equal(0);
  });
});
