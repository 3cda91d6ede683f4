import { expect } from "chai";
import type { ExitRules } from "../../../oracle/beacon/schemas.js";
import { FAR_FUTURE_EPOCH, type StateParts, type ValidatorRecord } from "../../../oracle/beacon/stateParts.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import type { RegistryView, ValidatorView } from "../../../oracle/execution/registryView.js";
import { arrivalOf, onTheWay } from "../../../oracle/queue/onTheWay.js";
import { EMPTY_SHAPE, randomState, serialize } from "../beacon/states.js";
import { toHex } from "../../../oracle/beacon/hex.js";

const FRAMES = { genesisTime: 0n, secondsPerSlot: 12n, slotsPerFrame: 32n };
const RULES: ExitRules = {
  churnLimitQuotientGloas: 2n,
  churnLimitQuotient: 65_536n,
  minChurnGwei: 32_000_000_000n,
  maxExitChurnGwei: 32_000_000_000n,
  minValidatorWithdrawabilityDelay: 4,
  shardCommitteePeriod: 4,
};
const VAULT = `0x01${"00".repeat(11)}${"aa".repeat(20)}`;
const CREDENTIALS = new Set([VAULT]);

interface Given {
  readonly cluster?: number;
  readonly turn?: ValidatorView["exit"]["turn"];
  readonly record?: Partial<ValidatorRecord> | null;
}

/** Validators 1, 2, ... in the order of their deposits, of clusters 1, 2 (retired) and 3 (retired). */
function world(given: readonly Given[]): { registry: RegistryView; state: StateParts } {
  const state = randomState("fulu", { ...EMPTY_SHAPE, validators: given.length });
  const pubkeys = state.validators.map(({ pubkey }) => toHex(pubkey));
  const reader = new StateReader("fulu", { pubkeys: new Set(pubkeys) });
  reader.push(serialize("fulu", state));
  const parts = reader.finish();
  const records = new Map<string, ValidatorRecord>();
  const validators = new Map<number, ValidatorView>();
  given.forEach(({ cluster = 1, turn = "waits", record = {} }, i) => {
    const pubkey = pubkeys[i]!;
    const id = i + 1;
    validators.set(id, {
      id,
      cluster,
      account: 1,
      publicKey: pubkey,
      depositSignature: "0x",
      sharesData: "0x",
      nonce: 0n,
      status: "deposited",
      depositOrder: id,
      clusterOrder: null,
      exit: { turn, askedBlock: null, lastAskedBlock: null, forcedBlock: null, exiting: false, exited: false },
      removed: false,
    });
    if (record === null) return;
    records.set(pubkey, {
      ...parts.validators.get(pubkey)!,
      withdrawalCredentials: VAULT,
      effectiveBalanceGwei: 32_000_000_000n,
      balanceGwei: 32_000_000_001n,
      slashed: false,
      activationEpoch: 1,
      exitEpoch: FAR_FUTURE_EPOCH,
      withdrawableEpoch: FAR_FUTURE_EPOCH,
      ...record,
    });
  });
  const cluster = (number: number, active: boolean) => ({
    cluster: number,
    account: 1,
    operatorIds: [],
    requireDkg: false,
    active,
  });
  const clusters = [cluster(1, true), cluster(2, false), cluster(3, false)];
  return {
    registry: {
      accounts: new Map(),
      clusters: new Map(clusters.map((one) => [one.cluster, one])),
      validators,
      uses: new Map(),
    },
    state: { ...parts, validators: records },
  };
}

function find(given: readonly Given[], due = 0, overdue: readonly number[] = []) {
  const { registry, state } = world(given);
  const found = onTheWay(registry, state, CREDENTIALS, { due, overdue: new Set(overdue) }, RULES, FRAMES);
  return { found, epoch: state.epoch };
}
const stages = (given: readonly Given[], due = 0, overdue: readonly number[] = []) =>
  find(given, due, overdue).found.map(({ id, stage }) => [id, stage]);

describe("validators on their way back", () => {
  // every state of the generator with this seed is of the same epoch
  const { epoch } = find([{}]);

  it("have a stage each; those that stay, have arrived or are not the pool's are not among them", () => {
    const given: Given[] = [
      { record: { exitEpoch: epoch + 9, withdrawableEpoch: epoch + 13 } },
      { record: { exitEpoch: epoch, withdrawableEpoch: epoch + 4 } },
      { record: { exitEpoch: epoch - 4, withdrawableEpoch: epoch } },
      { record: { exitEpoch: epoch - 4, withdrawableEpoch: epoch, balanceGwei: 156_520n } },
      { turn: "asked" },
      {},
      { turn: "asked", record: null },
      { turn: "asked", record: { withdrawalCredentials: `0x01${"00".repeat(11)}${"bb".repeat(20)}` } },
      { turn: "passed over", record: { exitEpoch: epoch + 9, withdrawableEpoch: epoch + 14, slashed: true } },
    ];
    expect(new Map(stages(given) as [number, string][])).to.deep.equal(
      new Map([
        [1, "exiting"],
        [2, "exited"],
        [3, "withdrawable"],
        [5, "asked"],
        [9, "exiting"],
      ]),
    );
    expect(find(given).found.filter(({ isSlashed }) => isSlashed)).to.have.length(1);
    expect(find(given).found[0]?.wei).to.equal(32_000_000_001n * 10n ** 9n);
  });

  it("come by arrival; one that is not active yet comes last, without an estimate", () => {
    const { found } = find([
      { turn: "asked", record: { activationEpoch: FAR_FUTURE_EPOCH } },
      { turn: "asked" },
      { record: { exitEpoch: epoch - 4, withdrawableEpoch: epoch } },
    ]);
    expect(found.map(({ id }) => id)).to.deep.equal([3, 2, 1]);
    expect(found.map(arrivalOf)).to.deep.equal(found.map(arrivalOf).toSorted((a, b) => a - b));
    expect(found[2]?.estimate).to.equal(null);
  });

  it("are asked in the order of the contract: retired clusters first, then by age", () => {
    const given: Given[] = [{}, { cluster: 3 }, {}, { cluster: 2 }, { cluster: 2 }, { cluster: 3, turn: "asked" }];
    // an epoch lets one leave, so exits come one by one in the order in which they are asked for
    expect(stages(given, 4)).to.deep.equal([
      [6, "asked"],
      [4, "due"],
      [5, "due"],
      [2, "due"],
      [1, "due"],
    ]);
  });

  it("that were asked in vain may be forced instead of asking others", () => {
    const given: Given[] = [{ turn: "asked" }, { turn: "asked" }, {}, {}];
    expect(stages(given, 2, [1])).to.deep.equal([
      [1, "overdue"],
      [2, "asked"],
      [3, "due"],
    ]);
    expect(stages(given, 0, [1])).to.deep.equal([
      [1, "overdue"],
      [2, "asked"],
    ]);
  });
});
