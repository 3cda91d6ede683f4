import { expect } from "chai";
import fc from "fast-check";
import { GRACE_FRAMES } from "../registry/support.js";
import { deployExits, type Funded, onOwnChain, START, VALIDATOR_WEI } from "./support.js";

const CLUSTERS = [1n, 2n, 3n];

type Step =
  | { kind: "fund"; cluster: bigint; count: number }
  | { kind: "turn"; cluster: bigint } // retires a cluster, or opens it again
  | { kind: "frames"; count: bigint }
  | { kind: "terms"; queuedWei: bigint; owedWei: bigint; bufferedWei: bigint }
  | { kind: "gift"; wei: bigint; rewards: boolean }
  // `right`: what the rules want next. Otherwise any, `picks` says which.
  | { kind: "request"; right: boolean; count: number; picks: number[] }
  | { kind: "force"; right: boolean; count: number; picks: number[] }
  | { kind: "report"; exiting: number[]; exited: number[] }
  | { kind: "remove"; right: boolean; picks: number[] };

const picks = fc.array(fc.nat(1_000), { minLength: 1, maxLength: 3 });
const wei = (validators: number) =>
  fc.tuple(fc.nat(validators), fc.integer({ min: -1, max: 1 })).map(([count, more]) => {
    const amount = BigInt(count) * VALIDATOR_WEI + BigInt(more);
    return amount < 0n ? 0n : amount;
  });
const cluster = fc.constantFrom(...CLUSTERS);
const right = fc.integer({ min: 0, max: 3 }).map((n) => n > 0);
const few = fc.integer({ min: 1, max: 3 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("fund" as const), cluster, count: few }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("turn" as const), cluster }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("frames" as const), count: fc.bigInt({ min: 1n, max: 5n }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("terms" as const),
      queuedWei: wei(16),
      owedWei: wei(1),
      bufferedWei: wei(2),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("gift" as const), wei: wei(1), rewards: fc.boolean() }) },
  { weight: 11, arbitrary: fc.record({ kind: fc.constant("request" as const), right, count: few, picks }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("force" as const), right, count: few, picks }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("report" as const),
      exiting: fc.array(fc.nat(14), { maxLength: 3 }),
      exited: fc.array(fc.nat(14), { maxLength: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), right, picks }) },
);

interface Exit extends Funded {
  takenTurn: boolean;
  asked: bigint | undefined; // frame of the request, or of the last time it was forced
  forced: number; // times
  exiting: boolean;
  exited: boolean;
  removed: boolean;
}

/** The rules in words of lists; no counters, no bitmaps. A rule that is broken is told by the contract's name for it. */
class Model {
  readonly validators: Exit[] = [];
  readonly retired = new Set<bigint>();
  frame = START;
  wanted = 0n;
  liquid = 0n;
  gifts = 0n;

  add(funded: Funded[]): void {
    const none = { takenTurn: false, asked: undefined, forced: 0, exiting: false, exited: false, removed: false };
    this.validators.push(...funded.map((validator) => ({ ...validator, ...none })));
  }

  of(cluster: bigint): Exit[] {
    return this.validators.filter((v) => v.cluster === cluster);
  }

  demand() {
    const missing = this.wanted - this.liquid - this.gifts;
    const shortageWei = missing > 0n ? missing : 0n;
    let validators = 0n;
    while (validators * VALIDATOR_WEI < shortageWei) validators++;
    const confirmed = BigInt(this.validators.filter(({ exiting, exited }) => exiting && !exited).length);
    const needed = validators > confirmed ? validators - confirmed : 0n;
    const counts = (v: Exit) => !leaves(v) && v.asked !== undefined && v.forced < 2;
    const underway = BigInt(this.validators.filter((v) => counts(v) && this.frame <= v.asked! + GRACE_FRAMES).length);
    return { shortageWei, confirmed, needed, underway, due: needed > underway ? needed - underway : 0n };
  }

  /** The validator whose turn is next, if there is one, and the cluster that is retired and has it. */
  next(): { retired: bigint; order: bigint; validator: Exit | undefined } {
    for (const cluster of CLUSTERS.filter((c) => this.retired.has(c))) {
      const validator = this.of(cluster).find(({ takenTurn }) => !takenTurn);
      if (validator !== undefined) return { retired: cluster, order: validator.clusterOrder, validator };
    }
    const validator = this.validators.find(({ takenTurn }) => !takenTurn);
    return { retired: 0n, order: validator?.depositOrder ?? BigInt(this.validators.length + 1), validator };
  }

  /** Up to so many whose turns follow each other in one cluster. */
  turns(count: number): Exit[] {
    const chosen: Exit[] = [];
    while (chosen.length < count) {
      const { validator } = this.next();
      if (validator === undefined || (chosen[0] !== undefined && validator.cluster !== chosen[0].cluster)) break;
      validator.takenTurn = true;
      chosen.push(validator);
    }
    for (const validator of chosen) validator.takenTurn = false;
    return chosen;
  }

  /** What `requestExits` does to it: the rule that is broken, or what is told. */
  request(cluster: bigint, list: Exit[]): { broken: string } | { told: string[] } {
    const { needed, due } = this.demand();
    if (needed === 0n) return { broken: "ExitsNotDue" };
    const { retired } = this.next();
    const told: string[] = [];
    let first = 0n;
    const before = list.map((v) => ({ ...v }));
    const fail = (broken: string) => {
      for (const [i, v] of before.entries()) Object.assign(list[i]!, v);
      return { broken };
    };
    for (const v of list) {
      if (v.cluster !== cluster) return fail("WrongCluster");
      if (v.asked !== undefined) {
        if (leaves(v)) return fail("AlreadyExiting");
        told.push(`ExitRequested ${cluster} ${v.id} true`);
        continue;
      }
      if (retired !== 0n && retired !== cluster) return fail("RetiredClusterFirst");
      if (this.next().validator !== v) return fail("NotNext");
      v.takenTurn = true;
      if (leaves(v)) told.push(`ExitPassedOver ${v.id}`);
      else {
        if (++first > due) return fail("ExitsNotDue");
        v.asked = this.frame;
        told.push(`ExitRequested ${cluster} ${v.id} false`);
      }
    }
    return { told };
  }

  force(list: Exit[]): { broken: string } | { told: string[] } {
    if (BigInt(list.length) > this.demand().due) return { broken: "ExitsNotDue" };
    for (const [i, v] of list.entries()) {
      if (v.asked === undefined) return { broken: "NotRequested" };
      if (leaves(v)) return { broken: "AlreadyExiting" };
      if (this.frame <= v.asked + GRACE_FRAMES || list.indexOf(v) < i) return { broken: "InGracePeriod" };
    }
    for (const v of list) {
      v.asked = this.frame;
      v.forced++;
    }
    return { told: list.map(({ id }) => `ExitForced ${id} 1`) };
  }

  forceable(count: number): Exit[] {
    return this.validators
      .filter((v) => v.asked !== undefined && !leaves(v) && this.frame > v.asked + GRACE_FRAMES)
      .slice(0, Math.min(count, Number(this.demand().due)));
  }

  report(exiting: bigint[], exited: bigint[]): string[] {
    const told: string[] = [];
    const known = (id: bigint) => this.validators.find((v) => v.id === id);
    for (const v of exiting.map(known)) {
      if (v === undefined || leaves(v)) continue;
      v.exiting = true;
      told.push(`Exiting ${v.id}`);
    }
    for (const v of exited.map(known)) {
      if (v?.exited !== false) continue;
      v.exited = true;
      told.push(`Exited ${v.id}`);
    }
    return told;
  }

  remove(cluster: bigint, list: Exit[]): { broken: string } | { told: string[] } {
    for (const [i, v] of list.entries()) {
      if (!v.exited || v.removed || list.indexOf(v) < i) return { broken: "NotRemovable" };
      if (v.cluster !== cluster) return { broken: "WrongCluster" };
    }
    for (const v of list) v.removed = true;
    return { told: list.map(({ id }) => `Removed ${cluster} ${id}`) };
  }
}

const leaves = ({ exiting, exited }: Exit): boolean => exiting || exited;

describe("exits", () => {
  const load = onOwnChain(async (connection) => {
    const on = await deployExits(connection);
    for (let i = 0; i < CLUSTERS.length; i++) await on.actions.addCluster(4, { cap: 1_000 });
    return on;
  });

  type On = Awaited<ReturnType<typeof load>>;

  const ownWords = /^(Exit|Removed)/;

  /** The name of the contract's error, or what was told. */
  async function outcome(on: On, sent: () => ReturnType<On["request"]>) {
    try {
      return { told: (await on.told(sent())).filter((words) => ownWords.test(words)) };
    } catch (error) {
      const broken = error instanceof Error ? /custom error '(\w+)\(/.exec(error.message)?.[1] : undefined;
      if (broken === undefined) throw error;
      return { broken };
    }
  }

  /** Does the step on both sides and says what came of it. */
  async function take(on: On, model: Model, taken: Step): Promise<string> {
    const any = (list: number[], from = model.validators) => list.map((n) => from[n % from.length]!);
    const compare = async (
      expected: { broken: string } | { told: string[] },
      sent: () => ReturnType<On["request"]>,
    ) => {
      const got = await outcome(on, sent);
      expect(
        got,
        JSON.stringify(taken, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v)),
      ).to.deep.equal(expected);
      return "broken" in expected ? `${taken.kind} ${expected.broken}` : taken.kind;
    };
    switch (taken.kind) {
      case "fund":
        if (model.retired.has(taken.cluster)) return "";
        model.add(await on.fund(taken.cluster, taken.count));
        return "fund";
      case "turn": {
        const open = model.retired.delete(taken.cluster);
        if (!open) model.retired.add(taken.cluster);
        await on.setActive(taken.cluster, open);
        return open ? "open" : "retire";
      }
      case "frames":
        model.frame += taken.count;
        await on.enter(model.frame);
        return "frames";
      case "terms":
        model.wanted = taken.queuedWei === 0n ? 0n : taken.queuedWei + taken.owedWei;
        model.liquid = taken.bufferedWei;
        await on.setTerms({ queued: taken.queuedWei, owed: taken.owedWei, buffered: taken.bufferedWei });
        return "terms";
      case "gift": {
        const { withdrawalVault, rewardsVault } = on.parts;
        const vault = taken.rewards ? rewardsVault : withdrawalVault;
        model.gifts += taken.wei - (await on.provider.getBalance(vault));
        await on.helpers.setBalance(vault, taken.wei);
        return "gift";
      }
      case "request": {
        if (model.validators.length === 0) return "";
        const turns = model.turns(taken.count);
        const list = taken.right && turns.length > 0 ? turns : any(taken.picks);
        // a wrong one may also name another cluster than that of its first
        const { cluster } = list[0]!;
        const passed = list.filter((v) => v.asked === undefined && leaves(v)).length;
        const word = await compare(model.request(cluster, list), () =>
          on.exits.requestExits(
            cluster,
            list.map(({ publicKey }) => publicKey),
          ),
        );
        return word === "request" && passed > 0 ? "request, passing over" : word;
      }
      case "force": {
        if (model.validators.length === 0) return "";
        const forceable = model.forceable(taken.count);
        // rather those that were asked for: there is more to be wrong with them
        const rather = [...model.validators, ...model.validators.filter(({ asked }) => asked !== undefined)];
        const list = taken.right && forceable.length > 0 ? forceable : any(taken.picks, rather);
        return compare(model.force(list), () => on.force(list));
      }
      case "report": {
        const [exiting, exited] = [taken.exiting.map(BigInt), taken.exited.map(BigInt)];
        const told = model.report(exiting, exited);
        expect(await on.told(on.report(exiting, exited))).to.deep.equal(told);
        return told.length > 0 ? "report" : "";
      }
      case "remove": {
        if (model.validators.length === 0) return "";
        const gone = model.validators.filter((v) => v.exited && !v.removed);
        const list = taken.right && gone.length > 0 ? gone.slice(0, 1) : any(taken.picks);
        const { cluster } = list[0]!;
        const snapshot = await on.actions.snapshot(cluster);
        return compare(model.remove(cluster, list), () =>
          on.registry.remove(
            cluster,
            list.map(({ publicKey }) => publicKey),
            snapshot,
          ),
        );
      }
    }
  }

  async function check(on: On, model: Model): Promise<void> {
    const { shortageWei, confirmed, needed, underway, due } = model.demand();
    expect(await on.demand()).to.deep.equal([shortageWei, confirmed, needed, underway, due]);
    const { retired, order } = model.next();
    expect(await on.next()).to.deep.equal([retired, order]);
    for (const v of model.validators) {
      const frames =
        v.asked === undefined ? [undefined, undefined] : [v.asked - START, v.asked - START + GRACE_FRAMES + 1n];
      expect(await on.status(v), `${v.id}`).to.deep.equal([v.asked !== undefined, v.exiting, v.exited, ...frames]);
    }
    // in each cluster the turns that have come are those of its oldest
    for (const cluster of CLUSTERS) {
      const own = model.of(cluster).map(({ takenTurn }) => takenTurn);
      expect(own.lastIndexOf(true)).to.equal(own.filter(Boolean).length - 1);
    }
  }

  it("follow the rules through random deposits, retirements, requests, reports and removals", async () => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 60, maxLength: 60 }), async (steps) => {
        const on = await load();
        const model = new Model();
        for (const taken of steps) {
          const came = await take(on, model, taken);
          if (came === "") continue;
          seen.set(came, (seen.get(came) ?? 0) + 1);
          await check(on, model);
        }
      }),
      { numRuns: 14, seed: 20_261_120, endOnFailure: true },
    );
    // the walk must not be vacuous
    for (const came of [
      ...["fund", "retire", "open", "frames", "terms", "gift", "request", "request, passing over", "force", "report"],
      ...["ExitsNotDue", "WrongCluster", "AlreadyExiting", "RetiredClusterFirst", "NotNext"].map((e) => `request ${e}`),
      ...["ExitsNotDue", "NotRequested", "AlreadyExiting", "InGracePeriod"].map((error) => `force ${error}`),
      ...["remove", "remove NotRemovable"],
    ]) {
      expect(seen.get(came) ?? 0, came).to.be.at.least(2);
    }
  });
});
