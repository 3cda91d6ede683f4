import { expect } from "chai";
import { shareExits, type ForceExitsSnapshot } from "../../../oracle/jobs/forceExits.js";
import { planRemovals, removable } from "../../../oracle/jobs/remove.js";
import { planRepeats, planRequestExits, type RequestExitsPlan } from "../../../oracle/jobs/requestExits.js";
import type { ExitView, RegistryView, ValidatorView } from "../../../oracle/execution/registryView.js";
import { REGISTRY } from "./messagesSupport.js";

type Change = Partial<Omit<ValidatorView, "exit">> & { readonly exit?: Partial<ExitView> };

const EXITING = { exit: { exiting: true } };
const PASSED: Change = { exit: { turn: "passed over", exiting: true } };
const asked = (block: number, exit: Partial<ExitView> = {}): Change => ({
  exit: { turn: "asked", askedBlock: block, lastAskedBlock: block, ...exit },
});

/** Funded validators, in the order of their deposits, of the given clusters; `retired` are not active. */
function pool(clusters: readonly number[], changes: Record<number, Change> = {}, retired: number[] = []): RegistryView {
  const orders = new Map<number, number>();
  const template = REGISTRY.validators.get(1)!;
  const validators = clusters.map((cluster, i): ValidatorView => {
    const id = i + 1;
    const clusterOrder = (orders.get(cluster) ?? 0) + 1;
    orders.set(cluster, clusterOrder);
    const { exit, ...rest } = changes[id] ?? {};
    const funded = { ...template, id, cluster, status: "deposited" as const, depositOrder: id, clusterOrder };
    return { ...funded, publicKey: `0x${id}`, exit: { ...template.exit, ...exit }, ...rest };
  });
  const cluster = (id: number) => ({ cluster: id, account: 1, operatorIds: [], requireDkg: false });
  return {
    ...REGISTRY,
    clusters: new Map([...new Set(clusters)].map((id) => [id, { ...cluster(id), active: !retired.includes(id) }])),
    validators: new Map(validators.map((validator) => [validator.id, validator])),
  };
}

const shown = (plan: Pick<RequestExitsPlan, "cluster" | "validators"> | null) =>
  plan === null ? null : [plan.cluster, plan.validators.map(({ id }) => id)];

describe("exits that are due", () => {
  describe("request-exits", () => {
    const ask = (registry: RegistryView, due: number) => shown(planRequestExits(registry, due));

    it("the oldest first, as many as are due", () => {
      const registry = pool([1, 1, 1]);
      expect(ask(registry, 2)).to.deep.equal([1, [1, 2]]);
      expect(ask(registry, 9)).to.deep.equal([1, [1, 2, 3]]);
      expect(ask(registry, 0)).to.equal(null);
    });
    it("by the order of deposits, whatever the order of registration", () => {
      const registry = pool([1, 1, 1], { 1: { depositOrder: 3 }, 3: { depositOrder: 1 } });
      expect(ask(registry, 2)).to.deep.equal([1, [3, 2]]);
    });
    it("no more of one transaction than 32", () => {
      const [, ids] = ask(pool(Array<number>(40).fill(1)), 40)!;
      expect(ids).to.deep.equal(Array.from({ length: 32 }, (_, i) => i + 1));
    });
    it("a run of one cluster, and the next when it has gone through", () => {
      const clusters = [2, 2, 1, 2];
      expect(ask(pool(clusters), 4)).to.deep.equal([2, [1, 2]]);
      expect(ask(pool(clusters, { 1: asked(5), 2: asked(5) }), 2)).to.deep.equal([1, [3]]);
      expect(ask(pool(clusters, { 1: asked(5), 2: asked(5), 3: asked(6) }), 1)).to.deep.equal([2, [4]]);
      expect(ask(pool(clusters, { 1: asked(5), 2: asked(5), 3: asked(6), 4: asked(7) }), 1)).to.equal(null);
    });
    it("those of retired clusters before all others, of the lowest of them first", () => {
      const clusters = [1, 3, 2, 1, 3, 2];
      expect(ask(pool(clusters, {}, [3]), 9)).to.deep.equal([3, [2, 5]]);
      expect(ask(pool(clusters, {}, [3, 2]), 9)).to.deep.equal([2, [3, 6]]);
      expect(ask(pool(clusters, { 3: asked(5), 6: asked(5) }, [3, 2]), 1)).to.deep.equal([3, [2]]);
      const left = pool(clusters, { 2: asked(5), 5: asked(5) }, [3]);
      expect(ask(left, 9)).to.deep.equal([1, [1]]);
    });
    it("names those that are leaving on its way, which do not count", () => {
      expect(ask(pool([1, 1, 1, 1], { 1: EXITING, 3: { exit: { exited: true } } }), 2)).to.deep.equal([
        1,
        [1, 2, 3, 4],
      ]);
      expect(ask(pool([1, 1, 1], { 2: EXITING }), 1)).to.deep.equal([1, [1]]);
    });
    it("passes over those of one cluster that lie before another's, and those removed from SSV", () => {
      expect(ask(pool([1, 1, 2], { 1: EXITING, 2: { ...EXITING, removed: true } }), 1)).to.deep.equal([1, [1, 2]]);
      expect(ask(pool([1, 1, 2], { 1: PASSED, 2: PASSED }), 1)).to.deep.equal([2, [3]]);
      // a retired cluster from which all leave holds up the others on chain until their turn was passed over
      expect(ask(pool([1, 2], { 2: EXITING }, [2]), 1)).to.deep.equal([2, [2]]);
    });
    it("nothing when all leave already, or none is funded", () => {
      expect(ask(pool([1, 1], { 1: EXITING, 2: EXITING }), 1)).to.equal(null);
      expect(ask(pool([]), 1)).to.equal(null);
      expect(ask(pool([1], { 1: { status: "registered", depositOrder: null, clusterOrder: null } }), 1)).to.equal(null);
    });
    it("keeps the order within a retired cluster, which is that of its deposits", () => {
      const registry = pool([2, 1, 2], { 1: { depositOrder: 3 }, 3: { depositOrder: 1 } }, [2]);
      expect(ask(registry, 9)).to.deep.equal([2, [3, 1]]);
    });
  });

  describe("request-exits, repeated", () => {
    const base = { needed: 9, headNumber: 132, slotsPerFrame: 32 };
    const repeat = (registry: RegistryView, changes: Partial<typeof base> = {}) =>
      planRepeats({ ...base, registry, ...changes }).map((plan) => [plan.repeated, ...shown(plan)!]);

    it("a frame after they were last asked, of each cluster", () => {
      const registry = pool([1, 2, 1, 1], { 1: asked(100), 2: asked(99), 3: asked(101) });
      expect(repeat(registry)).to.deep.equal([
        [true, 1, [1]],
        [true, 2, [2]],
      ]);
      expect(repeat(registry, { headNumber: 131 })).to.deep.equal([[true, 2, [2]]]);
      expect(repeat(pool([1], { 1: asked(60, { lastAskedBlock: 101 }) }))).to.deep.equal([]);
    });
    it("not those that a report has seen leave", () => {
      expect(repeat(pool([1, 1], { 1: asked(50, { exiting: true }), 2: asked(50, { exited: true }) }))).to.deep.equal(
        [],
      );
    });
    it("no more than are needed, those first that nobody has forced", () => {
      const registry = pool([1, 1, 1], { 1: asked(50, { forcedBlock: 80 }), 2: asked(50), 3: asked(50) });
      expect(repeat(registry, { needed: 0 })).to.deep.equal([]);
      expect(repeat(registry, { needed: 2 })).to.deep.equal([[true, 1, [2, 3]]]);
      expect(repeat(registry, { needed: 3 })).to.deep.equal([[true, 1, [2, 3, 1]]]);
      // one that was asked lately may still come: no other is asked in its place
      expect(repeat(pool([1, 1], { 1: asked(120), 2: asked(50) }), { needed: 1 })).to.deep.equal([]);
    });
    it("no more of one transaction than 32", () => {
      const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [i + 1, asked(50)]));
      const [plan] = planRepeats({ ...base, registry: pool(Array<number>(40).fill(1), many), needed: 40 });
      expect(plan!.validators).to.have.length(32);
    });
  });

  describe("force-exits", () => {
    const all = [...pool(Array<number>(40).fill(1)).validators.values()];
    const base: ForceExitsSnapshot = {
      due: 5,
      forceable: { never: all.slice(0, 3), inVain: [] },
      askable: 9,
      feeWei: 1n,
      maxFeeWei: 1_000n,
    };
    const share = (changes: Partial<ForceExitsSnapshot>) => {
      const { force, toAsk } = shareExits({ ...base, ...changes });
      return [force?.validators.map(({ id }) => id) ?? [], toAsk];
    };

    it("before others are asked for, who get what is left of those due", () => {
      expect(share({})).to.deep.equal([[1, 2, 3], 2]);
      expect(share({ due: 2 })).to.deep.equal([[1, 2], 0]);
      expect(share({ due: 0 })).to.deep.equal([[], 0]);
      expect(share({ forceable: { never: [], inVain: [] } })).to.deep.equal([[], 5]);
    });
    it("again only what others cannot cover: who can never exit must not stand in their way", () => {
      const forceable = { never: all.slice(0, 1), inVain: all.slice(1, 4) };
      expect(share({ forceable })).to.deep.equal([[1], 4]);
      expect(share({ forceable, askable: 2 })).to.deep.equal([[1, 2, 3], 4]);
      expect(share({ forceable, askable: 0 })).to.deep.equal([[1, 2, 3, 4], 4]);
    });
    it("no more of one transaction than 16; the rest keeps its share", () => {
      const [ids, toAsk] = share({ forceable: { never: all, inVain: [] }, due: 30 });
      expect(ids).to.deep.equal(Array.from({ length: 16 }, (_, i) => i + 1));
      expect(toAsk).to.equal(0);
    });
    it("with room for a fee that rises, up to the limit", () => {
      expect(shareExits(base).force!.maxFeeWei).to.equal(3n);
      expect(shareExits({ ...base, feeWei: 500n }).force!.maxFeeWei).to.equal(1_000n);
      expect(shareExits({ ...base, feeWei: 1_000n }).force!.maxFeeWei).to.equal(1_000n);
    });
    it("not above the limit, nor when the fee is not known: others are asked for instead", () => {
      expect(share({ feeWei: 1_001n })).to.deep.equal([[], 5]);
      expect(share({ feeWei: null })).to.deep.equal([[], 5]);
    });
  });

  describe("remove", () => {
    const EXITED = { exit: { exited: true } };

    it("what a report has seen exited, and what was discarded, of each cluster", () => {
      const discarded = { status: "discarded" as const, depositOrder: null, clusterOrder: null };
      const registry = pool([1, 2, 1, 2, 2, 1], { 1: EXITED, 3: EXITING, 4: discarded, 5: EXITED, 6: asked(5) });
      expect(planRemovals(registry).map(shown)).to.deep.equal([
        [1, [1]],
        [2, [4, 5]],
      ]);
      expect(removable(registry, 2)).to.have.length(2);
    });
    it("unfunded, of a retired cluster", () => {
      const registered = { status: "registered", depositOrder: null, clusterOrder: null } as const;
      const registry = (retired: number[]) => pool([1, 2, 2], { 1: registered, 2: registered }, retired);
      expect(planRemovals(registry([])).map(shown)).to.deep.equal([]);
      expect(planRemovals(registry([2])).map(shown)).to.deep.equal([[2, [2]]]);
    });
    it("once", () => {
      expect(planRemovals(pool([1, 1], { 1: { ...EXITED, removed: true } }))).to.deep.equal([]);
    });
    it("no more of one transaction than 50", () => {
      const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [i + 1, EXITED]));
      const registry = pool(Array<number>(60).fill(1), many);
      expect(planRemovals(registry)[0]!.validators).to.have.length(50);
      expect(removable(registry, 1)).to.have.length(60);
    });
  });
});
