import { expect } from "chai";
import { SecretKey } from "@chainsafe/blst";
import fc from "fast-check";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import type { CachedBeaconStateGloas } from "@lodestar/state-transition";
import { ssz, type electra } from "@lodestar/types";
import { VerificationError } from "../../../oracle/beacon/errors.js";
import { fromHex, toHex } from "../../../oracle/beacon/hex.js";
import { signDeposit } from "../../../oracle/keys/depositData.js";
import { ServiceError } from "../../../oracle/ops/errors.js";
import { ReportError } from "../../../oracle/report/errors.js";
import { credentialsOf } from "../../../oracle/report/ownership.js";
import { computeReport, type RegistryKey, type ReportResult } from "../../../oracle/report/report.js";
import { executionReference } from "../../../oracle/roles/payload.js";
import {
  FIRST_SLOT,
  FRAMES,
  GloasChain,
  ModelProvider,
  type BeaconBlockOfModel,
  type GenesisValidator,
  type SlotPlan,
} from "./gloasChain.js";

const VAULT = "0x00000000000000000000000000000000c0ffee42";
const [OURS, OURS_COMPOUNDING] = [...credentialsOf(VAULT)] as [string, string];
const FOREIGN = `0x01${"00".repeat(11)}${"bad0".repeat(10)}`;
const FORK_VERSION = "0x00000001";
const ETH = 10n ** 9n; // in gwei
const WEI = 10n ** 9n;
const EPOCH = FIRST_SLOT / SLOTS_PER_EPOCH;

const secretKeys = Array.from({ length: 12 }, (_, i) => SecretKey.deriveMasterEip2333(new Uint8Array(32).fill(i + 1)));
const pubkeys = secretKeys.map((key) => toHex(key.toPublicKey().toBytes()));

/** Memory of signatures: they are slow to make, and always the same. */
const made = new Map<string, electra.DepositRequest>();

interface DepositKind {
  readonly key: number;
  readonly credentials?: string;
  readonly amountGwei?: bigint;
  readonly isSigned?: boolean;
}

function deposit({ key, credentials = OURS, amountGwei = 32n * ETH, isSigned = true }: DepositKind) {
  const id = [key, credentials, amountGwei, isSigned].join();
  let request = made.get(id);
  if (request === undefined) {
    const signature = signDeposit(secretKeys[key]!.toBytes(), {
      withdrawalCredentials: credentials,
      amountGwei: isSigned ? amountGwei : amountGwei + 1n,
      genesisForkVersion: FORK_VERSION,
    });
    request = {
      pubkey: fromHex(pubkeys[key]!),
      withdrawalCredentials: fromHex(credentials),
      amount: Number(amountGwei),
      signature,
      index: 0n,
    };
    made.set(id, request);
  }
  return request;
}

/** Keys 0 to 5 are validators: two that earn, one that compounds, one that leaves, one slashed, one of a stranger. */
const VALIDATORS: readonly GenesisValidator[] = [
  { withdrawalCredentials: fromHex(OURS), balanceGwei: Number(32n * ETH + 5n) },
  { withdrawalCredentials: fromHex(OURS) },
  {
    withdrawalCredentials: fromHex(OURS_COMPOUNDING),
    effectiveBalance: Number(100n * ETH),
    balanceGwei: Number(100n * ETH),
  },
  { withdrawalCredentials: fromHex(OURS), exitEpoch: EPOCH - 9, withdrawableEpoch: EPOCH - 1 },
  { withdrawalCredentials: fromHex(OURS), slashed: true, exitEpoch: EPOCH - 9, withdrawableEpoch: EPOCH + 60 },
  { withdrawalCredentials: fromHex(FOREIGN), balanceGwei: Number(33n * ETH) },
].map((validator, i) => ({ ...validator, pubkey: fromHex(pubkeys[i]!) }));
const OWNED = [0, 1, 2, 3, 4];
/** Keys from here on are deposited for while the test runs. */
const FIRST_NEW = 6;

const registryOf = (keys: readonly number[]): RegistryKey[] =>
  keys.map((key) => ({ id: key + 1, pubkey: pubkeys[key]!, cluster: 1, isExiting: false, isExited: false }));

/** The report as a member makes it, from what nodes answer. */
async function reportOf(
  chain: GloasChain,
  block: BeaconBlockOfModel,
  refSlot: number,
  keysBy: (lastNumber: number) => readonly number[] = () => [...VALIDATORS.keys()],
): Promise<ReportResult & { readonly lastNumber: number; readonly executionHash: string }> {
  const provider = new ModelProvider(chain);
  try {
    const state = chain.read(block, pubkeys);
    const execution = await executionReference(provider, chain.beacon(block), state, FRAMES);
    const result = computeReport({
      refSlot: BigInt(refSlot),
      state,
      registry: registryOf(keysBy(execution.lastNumber)),
      withdrawalVault: VAULT,
      genesisForkVersion: FORK_VERSION,
      withdrawnAtRefWei: (chain.executionBlockBy(execution.block.hash).withdrawn.get(VAULT) ?? 0n) * WEI,
      payload: execution.payload,
    });
    return { ...result, lastNumber: execution.lastNumber, executionHash: execution.block.hash };
  } finally {
    provider.destroy();
  }
}

const codeOf = (report: Promise<unknown>): Promise<unknown> =>
  report.then(
    () => null,
    (error: unknown) => (error instanceof ReportError || error instanceof ServiceError ? error.code : error),
  );

describe("report of Gloas", () => {
  const empty: SlotPlan = { hasBlock: true, isDelivered: true, deposits: [] };
  const withheld = { ...empty, isDelivered: false };
  const missed = { ...empty, hasBlock: false };
  const depositing = (...deposits: DepositKind[]): SlotPlan => ({ ...empty, deposits: deposits.map(deposit) });

  function chainOf(...plans: readonly SlotPlan[]): GloasChain {
    const chain = new GloasChain(VALIDATORS);
    for (const plan of plans) chain.next(plan);
    return chain;
  }

  describe("neither gains nor loses by when payloads come, at any slot", () => {
    const kinds: fc.Arbitrary<DepositKind | "pool"> = fc.oneof(
      { weight: 2, arbitrary: fc.constant("pool" as const) },
      fc.constant({ key: 1, amountGwei: ETH, credentials: FOREIGN, isSigned: false }),
      fc.constant({ key: 5, amountGwei: ETH }),
      fc.constant({ key: FIRST_NEW, amountGwei: ETH, credentials: FOREIGN, isSigned: false }),
    );
    const plans = fc.array(
      fc.record({
        hasBlock: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
        isDelivered: fc.integer({ min: 0, max: 2 }).map((n) => n > 0),
        deposits: fc.array(kinds, { maxLength: 2 }),
        rewardGwei: fc.nat({ max: 900 }),
        takesGwei: fc.constantFrom(0, 0, 0, 1_000_000_000),
      }),
      { minLength: 3, maxLength: 14 },
    );

    it("whatever is missed, withheld, deposited, earned and withdrawn", async () => {
      let [delivered, late] = [0, 0];
      const property = fc.asyncProperty(plans, async (slots) => {
        const chain = new GloasChain(VALIDATORS);
        const earned = new Map<BeaconBlockOfModel, bigint>([[chain.blocks[0]!, 0n]]);
        let nextKey = FIRST_NEW;
        for (const { deposits, rewardGwei, takesGwei, ...plan } of slots) {
          const requests = deposits.flatMap((kind) => {
            if (kind !== "pool") return deposit(kind);
            return nextKey < pubkeys.length ? deposit({ key: nextKey++ }) : [];
          });
          const keysIfWithheld = nextKey - requests.filter(isPools).length;
          const parent = chain.blocks.at(-1)!;
          chain.next({ ...plan, deposits: requests }, (state) => {
            earn(state, rewardGwei);
            if (takesGwei > 0) request(state, takesGwei);
          });
          const block = chain.blocks.at(-1)!;
          if (block === parent || block.payload === null) nextKey = keysIfWithheld; // the pool deposits in a later block
          if (block !== parent) earned.set(block, (earned.get(parent) ?? 0n) + BigInt(rewardGwei));
        }
        const initial = OWNED.reduce((sum, i) => sum + BigInt(VALIDATORS[i]!.balanceGwei ?? 32n * ETH), 0n);
        for (let slot = FIRST_SLOT; slot < chain.slot; slot++) {
          const block = chain.referenceOf(slot);
          if (block === null) continue;
          const onChain = (last: number) =>
            chain.executionBlocks.filter(({ number }) => number <= last).flatMap(({ deposits }) => deposits);
          const keysBy = (last: number): number[] => [
            ...VALIDATORS.keys(),
            ...onChain(last)
              .filter(isPools)
              .map(({ pubkey }) => pubkeys.indexOf(toHex(pubkey))),
          ];
          const { report, lastNumber, table } = await reportOf(chain, block, slot, keysBy);
          // what the contracts count as deposited at the end of the frame
          const inFrame = chain.executionBlocks.filter((one) => one.slot <= slot).flatMap(({ deposits }) => deposits);
          const poolsGwei = BigInt(inFrame.filter(isPools).length) * 32n * ETH;
          // to owned ones, and behind ours to new ones
          const hasKey = (key: number): boolean => table.some(({ pubkey }) => pubkey === pubkeys[key]);
          const order = inFrame.findIndex((one) => isPools(one) && toHex(one.pubkey) === pubkeys[FIRST_NEW]);
          const giftsGwei = inFrame.reduce((sum, one, i) => {
            const key = pubkeys.indexOf(toHex(one.pubkey));
            const counts = key === 1 || (key === FIRST_NEW && hasKey(key) && i > order && !isPools(one));
            return counts ? sum + BigInt(one.amount) : sum;
          }, 0n);
          const valueGwei = (report.clBalanceWei + report.withdrawnAtRefWei) / WEI;
          expect(valueGwei - poolsGwei - giftsGwei - earned.get(block)!, `slot ${slot}`).to.equal(initial);
          expect(chain.executionBlocks.filter((one) => one.slot <= slot).at(-1)!.number).to.equal(lastNumber);
          if (block.payload !== null) delivered++;
          if (block.slot > slot) late++;
        }
      });
      await fc.assert(property, { numRuns: 60, seed: 7732 });
      expect(delivered).to.be.greaterThan(50);
      expect(late).to.be.greaterThan(10);
    });

    const isPools = ({ amount, withdrawalCredentials }: electra.DepositRequest): boolean =>
      amount === Number(32n * ETH) && toHex(withdrawalCredentials) === OURS;

    /** Validator 0 has more than it keeps: the sweep takes it. */
    function earn(state: CachedBeaconStateGloas, gwei: number): void {
      state.balances.set(0, state.balances.get(0) + gwei);
    }

    function request(state: CachedBeaconStateGloas, gwei: number): void {
      const type = ssz.electra.PendingPartialWithdrawal;
      const amount = BigInt(gwei);
      state.pendingPartialWithdrawals.push(type.toViewDU({ validatorIndex: 2, amount, withdrawableEpoch: 0 }));
    }
  });

  it("counts a deposit in the payload of the reference block, whose requests the next block brings", async () => {
    const chain = chainOf(empty, depositing({ key: 6 }), empty);
    const block = chain.referenceOf(FIRST_SLOT + 2)!;
    const { table, executionHash } = await reportOf(chain, block, FIRST_SLOT + 2, () => [6]);
    expect(table[0]).to.include({ standing: "pending", pendingGwei: 32n * ETH });
    expect(executionHash).to.equal(chain.executionBlocks.at(-3)!.hash);
    expect(chain.read(block, pubkeys).pendingDeposits.size).to.equal(0);
  });

  it("knows who deposited first when a stranger's deposit is in the state and the pool's in the payload", async () => {
    const stranger = { key: 6, credentials: FOREIGN, amountGwei: ETH };
    const standings = [];
    for (const first of [stranger, { ...stranger, isSigned: false }]) {
      const chain = chainOf(depositing(first), depositing({ key: 6 }), empty);
      const { table } = await reportOf(chain, chain.referenceOf(FIRST_SLOT + 2)!, FIRST_SLOT + 2, () => [6]);
      standings.push(table[0]!.standing);
    }
    expect(standings).to.deep.equal(["foreign", "pending"]);
    const together = chainOf(empty, depositing({ key: 6 }, stranger), empty);
    const { table } = await reportOf(together, together.referenceOf(FIRST_SLOT + 2)!, FIRST_SLOT + 2, () => [6]);
    expect(table[0]).to.include({ standing: "pending", pendingGwei: 33n * ETH });
  });

  it("does not count what a withheld payload would have brought, and takes no deposit twice", async () => {
    const lost = chainOf({ ...depositing({ key: 6 }), isDelivered: false }, empty);
    const { table } = await reportOf(lost, lost.referenceOf(FIRST_SLOT + 1)!, FIRST_SLOT + 1, () => [6]);
    expect(table[0]!.standing).to.equal("absent");
    const chain = chainOf(depositing({ key: 6 }), empty, empty);
    const later = await reportOf(chain, chain.referenceOf(FIRST_SLOT + 2)!, FIRST_SLOT + 2, () => [6]);
    expect(later.table[0]!.pendingGwei).to.equal(32n * ETH);
  });

  describe("of what the sweep has taken and the vault does not have yet", () => {
    it("counts it, names the validator as exiting until it has come, and as exited then", async () => {
      const chain = chainOf(withheld, withheld, empty, empty, empty);
      // the bid of the first block was not built on, so the sweep began in the block after the first payload that came
      const rows = [];
      for (const { slot } of chain.blocks.slice(1, -1)) {
        const { table, report } = await reportOf(
          chain,
          chain.blocks.find((block) => block.slot === slot)!,
          slot,
        );
        const { balanceGwei, expectedWithdrawalsGwei, isExiting, isExited } = table[3]!;
        rows.push([balanceGwei, expectedWithdrawalsGwei, report.withdrawnAtRefWei, isExiting, isExited]);
      }
      const both = 32n * ETH + 5n; // with what validator 0 has above 32 ETH
      expect(rows).to.deep.equal([
        [32n * ETH, 0n, 0n, true, false],
        [32n * ETH, 0n, 0n, true, false],
        [32n * ETH, 0n, 0n, true, false],
        [0n, 32n * ETH, 0n, true, false],
      ]);
      const { table, report } = await reportOf(chain, chain.blocks.at(-1)!, FIRST_SLOT + 5);
      expect(table[3]).to.include({ balanceGwei: 0n, expectedWithdrawalsGwei: 0n, isExiting: false, isExited: true });
      expect(report.withdrawnAtRefWei).to.equal(both * WEI);
    });

    it("only if it goes to the vault: not of a stranger's validator, not to another address, not a builder's", async () => {
      const chain = chainOf(empty, withheld);
      const { state } = chain.blocks.at(-1)!;
      const to = (validatorIndex: number, address: string, amount: bigint) =>
        ssz.capella.Withdrawal.toViewDU({ index: 0, validatorIndex, address: fromHex(address), amount });
      const elsewhere = `0x${"ee".repeat(20)}`;
      state.payloadExpectedWithdrawals = ssz.gloas.Withdrawals.toViewDU([]);
      for (const one of [to(0, VAULT, 3n), to(0, VAULT, 4n), to(0, elsewhere, 100n), to(5, VAULT, 1_000n)]) {
        state.payloadExpectedWithdrawals.push(one);
      }
      state.payloadExpectedWithdrawals.push(to(2 ** 40, VAULT, 10_000n));
      state.commit();
      const { table } = await reportOf(chain, chain.blocks.at(-1)!, FIRST_SLOT + 2);
      expect(table.map(({ expectedWithdrawalsGwei }) => expectedWithdrawalsGwei)).to.deep.equal([
        7n,
        0n,
        0n,
        0n,
        0n,
        0n,
      ]);
    });
  });

  describe("of a reference block after the reference slot", () => {
    it("is made when all payloads since were withheld", async () => {
      const chain = chainOf(empty, missed, withheld, withheld, empty);
      const refSlot = FIRST_SLOT + 2;
      const block = chain.referenceOf(refSlot)!;
      expect(block.slot).to.equal(refSlot + 2);
      expect((await reportOf(chain, block, refSlot)).report.refSlot).to.equal(BigInt(refSlot));
    });

    it("is refused when its own payload came, or one between the slot and it", async () => {
      const chain = chainOf(empty, withheld, empty, withheld, empty);
      for (const slot of [FIRST_SLOT + 3, FIRST_SLOT + 4]) {
        const block = chain.blocks.find((one) => one.slot === slot)!;
        expect(await codeOf(reportOf(chain, block, FIRST_SLOT + 1)), `block of slot ${slot}`).to.equal(
          "REPORT_STATE_AFTER_REFERENCE",
        );
      }
      expect(await codeOf(reportOf(chain, chain.referenceOf(FIRST_SLOT + 1)!, FIRST_SLOT + 1))).to.equal(null);
    });

    it("is made for as many slots as the ReportOracle looks ahead, and no more", async () => {
      const chain = chainOf(empty, ...Array.from({ length: 130 }, () => withheld));
      const refSlot = FIRST_SLOT + 1;
      const at = (slot: number) =>
        reportOf(
          chain,
          chain.blocks.find((block) => block.slot === slot)!,
          refSlot,
        );
      expect((await at(refSlot + 127)).report.refSlot).to.equal(BigInt(refSlot));
      expect(await codeOf(at(refSlot + 128))).to.equal("REPORT_STATE_AFTER_REFERENCE");
    });
  });

  describe("is refused", () => {
    it("when the beacon node's payload is not the one that the block commits to", async () => {
      const chain = chainOf(empty, depositing({ key: 6 }), empty);
      const block = chain.referenceOf(FIRST_SLOT + 2)!;
      const forged = { ...block, requests: { ...block.requests, deposits: [deposit({ key: 7 })] } };
      const error = await codeOf(chain.beacon(forged).depositRequests(chain.read(block, pubkeys)));
      expect(error).to.be.instanceOf(VerificationError).with.property("code", "REQUESTS_ROOT_MISMATCH");
    });

    it("when the execution node has another chain", async () => {
      const chain = chainOf(empty, empty, empty);
      const block = chain.referenceOf(FIRST_SLOT + 1)!;
      const [known, next] = chain.executionBlocks;
      chain.executionBlocks.unshift({ ...next!, header: { ...next!.header, number: known!.header["number"]! } });
      expect(await codeOf(reportOf(chain, block, FIRST_SLOT + 1))).to.equal("HeadMoved");
    });
  });
});
