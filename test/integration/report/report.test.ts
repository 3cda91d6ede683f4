import { expect } from "chai";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { interopSecretKey } from "@lodestar/state-transition";
import { hexlify } from "ethers";
import { startDevnet, type Devnet } from "../../../devnet/devnet.js";
import { BeaconClient } from "../../../oracle/beacon/client.js";
import { readVerifiedState } from "../../../oracle/beacon/readVerified.js";
import { computeReport, type RegistryKey, type ReportResult } from "../../../oracle/report/report.js";
import { credentials, deposit } from "../devnet/deposits.js";

const WEI_PER_GWEI = 10n ** 9n;
const ETH = 10n ** 18n;

/** Across the fork from Electra to Fulu, over HTTP, against what the chain makes of the same deposits. */
describe("report of a living chain", () => {
  let devnet: Devnet;
  let client: BeaconClient;
  let vault: string;
  let registry: RegistryKey[];

  const FIRST_KEY = 2000;
  const ours = (prefix: "01" | "02") => credentials(prefix, vault);
  const stranger = () => credentials("01", devnet.accounts[5]!.address);

  before(async () => {
    devnet = await startDevnet({ fulu: 4 });
    client = new BeaconClient(devnet.beaconUrl);
    vault = devnet.accounts[3]!.address;
    registry = Array.from({ length: 6 }, (_, i) => ({
      id: i + 1,
      pubkey: hexlify(
        interopSecretKey(FIRST_KEY + i)
          .toPublicKey()
          .toBytes(),
      ),
      cluster: 0,
      isExiting: false,
      isExited: false,
    }));
    for (let i = 0; i < registry.length; i++) devnet.run(interopSecretKey(FIRST_KEY + i));
  });
  after(() => devnet.close());

  async function report(): Promise<ReportResult & { fork: string; epoch: number }> {
    const { root } = await client.header("head");
    const state = await readVerifiedState(client, root, { pubkeys: new Set(registry.map(({ pubkey }) => pubkey)) });
    const result = computeReport({
      refSlot: BigInt(state.slot),
      state,
      registry,
      withdrawalVault: vault,
      genesisForkVersion: devnet.genesisForkVersion,
      payload: { kind: "processed" },
      withdrawnAtRefWei: 0n,
    });
    return { ...result, fork: state.fork, epoch: state.epoch };
  }

  it("reads what the node says about itself and its chain", async () => {
    expect((await client.genesis()).genesisForkVersion).to.equal(devnet.genesisForkVersion);
    expect(await client.spec()).to.deep.include({ presetBase: "minimal", slotsPerEpoch: SLOTS_PER_EPOCH });
    expect((await client.syncing()).isSyncing).to.equal(false);
    expect(await client.version()).to.be.a("string");
    expect((await client.finalityCheckpoints()).finalized.epoch).to.equal(0);
  });

  it("hears of heads and finality", async () => {
    const heads: number[] = [];
    const finalized = new Promise<number>((resolve, reject) => {
      const subscription = client.subscribe({
        onHead: ({ slot }) => heads.push(slot),
        onFinalizedCheckpoint: ({ epoch }) => {
          subscription.close();
          resolve(epoch);
        },
        onError: reject,
      });
    });
    // the stream may open a little later than the first slots pass
    while (heads.length === 0) await devnet.advance();
    await devnet.advanceUntil(() => devnet.chain.finalized.epoch > 0);
    expect(await finalized).to.be.greaterThan(0);
    expect(heads).to.deep.equal(heads.toSorted((a, b) => a - b));
  });

  it("expects of waiting deposits what the chain then makes of them", async () => {
    const send = (key: number, withdrawalCredentials: Uint8Array, amountGwei: number, badSignature = false) =>
      deposit(devnet, { keyIndex: FIRST_KEY + key, withdrawalCredentials, amountGwei, badSignature });
    await send(0, ours("01"), 32e9);
    await send(1, ours("02"), 64e9);
    await send(2, stranger(), 1e9, true); // dropped
    await send(2, ours("01"), 32e9);
    await send(2, stranger(), 2e9, true); // a top-up
    await send(3, stranger(), 1e9); // makes it the stranger's
    await send(3, ours("01"), 32e9);
    await send(4, ours("01"), 32e9, true); // dropped

    const waiting = await report();
    expect(waiting.table.map(({ standing }) => standing)).to.deep.equal([
      "pending",
      "pending",
      "pending",
      "foreign",
      "invalid",
      "absent",
    ]);
    expect(waiting.report.clBalanceWei).to.equal((32n + 64n + 34n) * ETH);

    await devnet.advanceUntil(() => devnet.state().pendingDeposits.length === 0);
    const arrived = await report();
    expect(arrived.fork).to.equal("fulu");
    expect(arrived.table.map(({ standing }) => standing)).to.deep.equal([
      "owned",
      "owned",
      "owned",
      "foreign",
      "absent",
      "absent",
    ]);
    expect(arrived.report.clBalanceWei).to.equal(waiting.report.clBalanceWei);
    for (const { pubkey, standing, balanceGwei } of arrived.table) {
      if (standing === "owned") expect(balanceGwei).to.equal(devnet.validatorByPubkey(pubkey)!.balanceGwei);
    }
  });

  it("has a slashing's whole cost in the first report after it, and the exit in the end", async () => {
    const { pubkey, id } = registry[0]!;
    await devnet.advanceUntil(() => devnet.validatorByPubkey(pubkey)!.status === "active_ongoing");
    await devnet.slash(devnet.validatorByPubkey(pubkey)!.index);
    const row = ({ table }: ReportResult) => table.find((candidate) => candidate.id === id)!;

    const first = await report();
    expect(first.warnings.map(({ code }) => code)).to.include("SLASHED");
    const leftGwei = row(first).balanceGwei - row(first).openPenaltyGwei;
    expect(first.report.openPenaltiesWei).to.equal(row(first).openPenaltyGwei * WEI_PER_GWEI);

    // until the sweep pays it out, the value in the reports never falls below that of the first
    let lastGwei = 0n;
    for (let latest = first; !row(latest).isExited; latest = await report()) {
      const { balanceGwei, openPenaltyGwei } = row(latest);
      expect(balanceGwei - openPenaltyGwei >= leftGwei, `epoch ${latest.epoch}`).to.equal(true);
      lastGwei = balanceGwei;
      await devnet.advanceEpochs(1);
    }
    expect(lastGwei - leftGwei < (32n * 10n ** 9n) / 10n, "the margin was a small part").to.equal(true);
    const last = await report();
    expect(last.report.exited).to.deep.equal([BigInt(id)]);
    expect(last.report.openPenaltiesWei).to.equal(0n);
  });
});
