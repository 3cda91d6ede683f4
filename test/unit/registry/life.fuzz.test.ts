import { expect } from "chai";
import { AbiCoder } from "ethers";
import fc from "fast-check";
import { network } from "hardhat";
import { ISSVNetwork__factory } from "../../../types/ethers-contracts/index.js";
import {
  Actions,
  bytesOf,
  chainOf,
  dataOf,
  type Deployed,
  deployRegistry,
  depositsHash,
  type Entry,
  ETHER,
  itemsOf,
  keysHash,
  NEW_CLUSTER,
  type PublishedBatch,
} from "./support.js";

const CAP = 9;
const KEYS = 48;
const BUFFERED_VALIDATORS = 16n;

// What is done next. `wrong` picks one way to do it wrong; 0 and what has no meaning for a step is right.
interface Step {
  kind: "publish" | "vet" | "register" | "deposit" | "discard" | "drop";
  cluster: number;
  count: number;
  keys: number[];
  wrong: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.oneof(
    ...(["publish", "vet", "register", "register", "deposit", "discard", "drop"] as const).map((kind, i) => ({
      arbitrary: fc.constant(kind),
      weight: [5, 8, 8, 4, 6, 1, 2][i]!,
    })),
  ),
  cluster: fc.nat(2),
  count: fc.integer({ min: 1, max: 4 }),
  keys: fc.array(fc.nat(KEYS - 1), { minLength: 1, maxLength: 4 }),
  wrong: fc.oneof({ arbitrary: fc.constant(0), weight: 5 }, { arbitrary: fc.integer({ min: 1, max: 6 }), weight: 1 }),
});

/** The rules, said again without the contract's data structures. */
class Model {
  readonly clusters = [
    { id: 1n, account: 1n, registered: 0 },
    { id: 2n, account: 2n, registered: 0 },
    { id: 3n, account: 1n, registered: 0 },
  ];
  readonly queues = new Map<bigint, { batch: PublishedBatch; left: Entry[]; vetted: boolean }[]>([
    [1n, []],
    [2n, []],
  ]);
  readonly batches = new Map([
    [1n, 0n],
    [2n, 0n],
  ]);
  /** KeyShares in the order in which SSV must have seen them, so the nonce is their place */
  readonly shares = new Map<bigint, string[]>([
    [1n, []],
    [2n, []],
  ]);
  readonly status = new Map<string, { status: "registered" | "deposited" | "discarded"; cluster: bigint }>();
  readonly vetted = new Set<string>();
  buffered = BUFFERED_VALIDATORS;

  queued(account: bigint): number {
    return this.queues.get(account)!.reduce((sum, { left }) => sum + left.length, 0);
  }

  nextNonce(account: bigint): bigint {
    return BigInt(this.shares.get(account)!.length + this.queued(account));
  }

  unfunded(): bigint {
    return BigInt([...this.status.values()].filter(({ status }) => status === "registered").length);
  }

  /** Validators of a cluster in a status. */
  count(cluster: bigint, wanted: "registered" | "deposited"): number {
    return [...this.status.values()].filter(({ status, cluster: c }) => status === wanted && c === cluster).length;
  }

  /** How many more a cluster may have, apart from what the pool can fund. */
  room({ id, registered }: { id: bigint; registered: number }): number {
    const unfunded = this.count(id, "registered");
    return Math.min(CAP - registered, Math.max(2, this.count(id, "deposited")) - unfunded);
  }

  /** Clusters with vetted keys and room. */
  ready() {
    const heads = [...this.queues.values()].map(([head]) => head).filter((head) => head?.vetted === true);
    return this.clusters.filter((c) => this.room(c) > 0 && heads.some((head) => head!.batch.cluster === c.id));
  }

  /** Place in `clusters` of what would be registered next, if anything. */
  next(): number | undefined {
    const [fewest] = this.ready().toSorted((a, b) => a.registered - b.registered);
    return fewest === undefined ? undefined : this.clusters.indexOf(fewest);
  }

  /** How many the pool can fund, apart from what a cluster may have. */
  fundable(): bigint {
    return (this.buffered < 20n ? this.buffered : 20n) - this.unfunded();
  }

  mayRegister(cluster: bigint, count: number): boolean {
    const own = this.clusters.find(({ id }) => id === cluster)!;
    const smaller = this.ready().some(({ registered }) => registered < own.registered);
    return count <= this.room(own) && BigInt(count) <= this.fundable() && !smaller;
  }
}

describe("the life of validators", () => {
  let connection: Awaited<ReturnType<typeof network.create>>;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function deployed() {
    const on = await deployRegistry(connection);
    const actions = new Actions(on);
    await actions.addCluster(4, { cap: CAP });
    await actions.addCluster(4, { cap: CAP });
    await on.registry.connect(on.governance).addCluster(1, on.operatorIds.slice(0, 7), false, CAP);
    await connection.networkHelpers.setStorageAt(
      await on.pool.getAddress(),
      0,
      `0x${(BUFFERED_VALIDATORS * 32n * ETHER).toString(16).padStart(64, "0")}`,
    );
    return on;
  }

  /** Whether the transaction went through; anything but a revert is an error of the test. */
  async function succeeds(sent: Promise<unknown>): Promise<boolean> {
    try {
      await sent;
      return true;
    } catch (error) {
      if (error instanceof Error && /revert/i.test(error.message)) return false;
      throw error;
    }
  }

  /** Does the step, rightly or wrongly; says whether the rules allow it and whether it happened. */
  async function take(on: Deployed, model: Model, { kind, cluster: anywhere, count, keys, wrong }: Step) {
    const { registry, guardians, keys: guardianKeys } = on;
    const actions = new Actions(on);
    const index = kind === "register" && wrong !== 5 ? (model.next() ?? anywhere) : anywhere;
    const { id: cluster, account } = model.clusters[index]!;
    const operators = cluster === 3n ? 7 : 4;
    const queue = model.queues.get(account)!;
    const approvalEpoch = await guardians.approvalEpoch();

    switch (kind) {
      case "publish": {
        const firstNonce = model.nextNonce(account);
        const entries = keys.map((key, i) => ({
          publicKey: bytesOf(`key ${key}`, 48),
          signature: bytesOf(`signature ${key}`, 96),
          shares: bytesOf(`shares ${key} ${account} ${firstNonce + BigInt(i)}`, 96 + 304 * operators),
        }));
        // one too far, one too early
        const given = firstNonce + (wrong === 0 ? 0n : wrong % 2 === 1 ? 1n : -1n);
        if (given < 0n) return { allowed: false, done: false };
        const batch = { account, cluster, batch: model.batches.get(account)!, firstNonce, entries };
        const allowed = given === firstNonce;
        const done = await succeeds(registry.connect(on.poolOperator).publish(cluster, given, dataOf(entries), "0x"));
        if (done) {
          queue.push({ batch, left: entries, vetted: false });
          model.batches.set(account, batch.batch + 1n);
        }
        return { allowed, done };
      }
      case "vet": {
        const next = queue.find(({ vetted }) => !vetted);
        if (next === undefined) return { allowed: false, done: await succeeds(registry.vet(account, 0, [])) };
        const { batch } = next;
        const signedFor = wrong === 1 ? { ...batch, firstNonce: batch.firstNonce + 1n } : batch;
        const signatures = await actions.vettingSignatures(signedFor);
        const place = batch.batch + (wrong === 2 ? 1n : 0n);
        const sent = registry.vet(account, place, wrong === 3 ? signatures.slice(1) : signatures);
        const done = await succeeds(sent);
        if (done) {
          next.vetted = true;
          for (const { shares } of batch.entries) model.vetted.add(shares);
        }
        return { allowed: ![1, 2, 3].includes(wrong), done };
      }
      case "register": {
        const head = queue[0];
        if (head === undefined) {
          const [entry] = keys.map((key) => ({ publicKey: bytesOf(`key ${key}`, 48), signature: "0x", shares: "0x" }));
          const items = itemsOf({ account, cluster, batch: 0n, firstNonce: 0n, entries: [entry!] });
          return { allowed: false, done: await succeeds(registry.register(cluster, items, NEW_CLUSTER)) };
        }
        const { batch, left } = head;
        const from = batch.entries.length - left.length;
        const skip = wrong === 1 ? 1 : 0; // leaves a nonce out
        const taken = batch.entries.slice(from + skip, from + skip + count);
        const items = itemsOf(batch, from + skip, taken.length);
        if (wrong === 2) items.shares = items.shares.with(0, bytesOf("foreign shares", 96 + 304 * operators));
        if (wrong === 3) items.next = chainOf(batch.cluster, batch.firstNonce, batch.entries);
        if (wrong === 4) items.publicKeys = items.publicKeys.toReversed();
        const used = taken.some(
          ({ publicKey }, i) => model.status.has(publicKey) || taken.slice(0, i).some((e) => e.publicKey === publicKey),
        );
        const reversed = wrong === 4 && items.publicKeys.join() !== taken.map(({ publicKey }) => publicKey).join();
        const allowed =
          head.vetted &&
          batch.cluster === cluster &&
          taken.length > 0 &&
          ![1, 2, 3].includes(wrong) &&
          !reversed &&
          !used &&
          model.mayRegister(cluster, taken.length);
        const done = await succeeds(registry.register(cluster, items, await actions.snapshot(cluster)));
        if (done) {
          head.left = batch.entries.slice(from + taken.length);
          if (head.left.length === 0) queue.shift();
          model.clusters[index]!.registered += taken.length;
          model.shares.get(account)!.push(...taken.map(({ shares }) => shares));
          for (const { publicKey } of taken) model.status.set(publicKey, { status: "registered", cluster });
        }
        return { allowed, done };
      }
      case "deposit": {
        const chosen = keys.map((key) => ({
          publicKey: bytesOf(`key ${key}`, 48),
          signature: bytesOf(`signature ${key}`, 96),
        }));
        const known = [...model.status].filter(
          ([, { status, cluster: c }]) => status === "registered" && c === cluster,
        );
        // usually keys that can be funded; else any
        const fundable = known.slice(0, count).map(([publicKey]) => {
          const key = [...Array(KEYS).keys()].find((k) => bytesOf(`key ${k}`, 48) === publicKey)!;
          return { publicKey, signature: bytesOf(`signature ${key}`, 96) };
        });
        const list = wrong === 1 || fundable.length === 0 ? chosen : fundable;
        const anchor = await actions.anchor();
        if (wrong === 2) anchor.depositCount += 1n;
        const approved = wrong === 3 ? list.toReversed() : list;
        const message = { cluster, keysHash: depositsHash(approved), approvalEpoch, ...anchor };
        const signatures = await guardianKeys.sign("DepositApproval", message);
        const publicKeys = list.map(({ publicKey }) => publicKey);
        const fit = publicKeys.every((key, i) => {
          const { status, cluster: c } = model.status.get(key) ?? {};
          return status === "registered" && c === cluster && !publicKeys.slice(0, i).includes(key);
        });
        const other = wrong === 3 && depositsHash(list) !== depositsHash(approved);
        const allowed = fit && wrong !== 2 && !other && model.buffered >= BigInt(list.length);
        const sent = registry.deposit(
          cluster,
          publicKeys,
          list.map(({ signature }) => signature),
          anchor,
          signatures,
        );
        const done = await succeeds(sent);
        if (done) {
          model.buffered -= BigInt(list.length);
          for (const key of publicKeys) model.status.set(key, { status: "deposited", cluster });
        }
        return { allowed, done };
      }
      case "discard": {
        const [last] = [...model.status].filter(([, { status }]) => status === "registered").slice(-1);
        const publicKeys = [last === undefined || wrong === 2 ? bytesOf(`key ${keys[0]!}`, 48) : last[0]];
        const signed = wrong === 1 ? [bytesOf("other", 48)] : publicKeys;
        const signatures = await guardianKeys.sign("Discard", { keysHash: keysHash(signed), approvalEpoch });
        const allowed = model.status.get(publicKeys[0]!)?.status === "registered" && wrong !== 1;
        const done = await succeeds(registry.discard(publicKeys, signatures));
        if (done) model.status.set(publicKeys[0]!, { ...model.status.get(publicKeys[0]!)!, status: "discarded" });
        return { allowed, done };
      }
      case "drop": {
        const nonce = BigInt(model.shares.get(account)!.length) + (wrong === 1 ? 1n : 0n);
        const batches = model.batches.get(account)! - (wrong === 2 ? 1n : 0n);
        const message = { account, nonce, batches, approvalEpoch };
        const allowed = model.queued(account) > 0 && ![1, 2].includes(wrong);
        const done =
          batches >= 0n && (await succeeds(registry.dropQueue(account, await guardianKeys.sign("DropQueue", message))));
        if (done) queue.length = 0;
        return { allowed, done };
      }
    }
  }

  /** The rules that must always hold, read from the events of SSV and of the deposit contract. */
  async function check(on: Deployed, model: Model): Promise<void> {
    const { registry, ssv, provider, parts, depositContract } = on;
    const parser = ISSVNetwork__factory.createInterface();
    const registeredKeys: string[] = [];
    for (const account of [1n, 2n]) {
      const { account: owner, nonce, queued } = await registry.account(account);
      const added = await ssv.network.queryFilter(ssv.network.filters.ValidatorAdded(owner));
      const shares = added.map(({ data, topics }) => parser.parseLog({ data, topics: [...topics] })!.args);
      // I8: the KeyShares that SSV nodes saw as the i-th are those published for nonce i, and the registry counts as they do
      expect(shares.map((args) => args["shares"] as string)).to.deep.equal(model.shares.get(account));
      expect(nonce).to.equal(BigInt(added.length));
      expect(queued).to.equal(BigInt(model.queued(account)));
      registeredKeys.push(...shares.map((args) => args["publicKey"] as string));
      // I7: vetted before registered
      for (const args of shares) expect(model.vetted.has(args["shares"] as string)).to.be.true;
    }
    // I6: in one cluster of one account
    expect(new Set(registeredKeys).size).to.equal(registeredKeys.length);
    const logs = await provider.getLogs({ address: parts.depositContract, fromBlock: startBlock });
    const deposits = logs.map(
      ({ data }) =>
        AbiCoder.defaultAbiCoder().decode(["bytes", "bytes", "bytes", "bytes", "bytes"], data) as unknown as string[],
    );
    const funded = deposits.map(([publicKey]) => publicKey!);
    // I6: funded once; I7: only what is registered in SSV and was not discarded
    expect(new Set(funded).size).to.equal(funded.length);
    expect([...funded].sort()).to.deep.equal(
      [...model.status]
        .filter(([, { status }]) => status === "deposited")
        .map(([key]) => key)
        .sort(),
    );
    for (const key of funded) expect(registeredKeys).to.include(key);
    // I5: the pool's credentials, 32 ETH
    for (const [, credentials, amount] of deposits) {
      expect([credentials, amount]).to.deep.equal([await registry.withdrawalCredentials(), "0x0040597307000000"]);
    }
    expect(BigInt(await depositContract.get_deposit_count())).to.equal(
      BigInt(`0x${Buffer.from(BigInt(funded.length).toString(16).padStart(16, "0"), "hex").reverse().toString("hex")}`),
    );
    expect(await provider.getBalance(registry)).to.equal(0n);
    const [, , validators, unfunded] = await registry.counts();
    expect([validators, unfunded]).to.deep.equal([BigInt(registeredKeys.length), model.unfunded()]);
    for (const { id, registered } of model.clusters) {
      const cluster = await registry.cluster(id);
      expect([cluster.registered, cluster.unfunded, cluster.deposited]).to.deep.equal([
        BigInt(registered),
        BigInt(model.count(id, "registered")),
        BigInt(model.count(id, "deposited")),
      ]);
    }
    // it finds what may be registered, and all of it, whenever there is any
    const [next, most] = await registry.nextRegistration();
    expect(next !== 0n).to.equal(model.fundable() > 0n && model.next() !== undefined);
    if (next !== 0n) {
      expect(model.mayRegister(next, Number(most))).to.be.true;
      const left = [...model.queues.values()].find(([head]) => head?.batch.cluster === next)![0]!.left.length;
      expect(Number(most) === left || !model.mayRegister(next, Number(most) + 1)).to.be.true;
    }
  }

  let startBlock = 0;

  it("keeps I5 to I8 through random right and wrong steps, each allowed exactly when the rules allow it", async () => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 50, maxLength: 50 }), async (steps) => {
        const on = await connection.networkHelpers.loadFixture(deployed);
        startBlock = (await on.provider.getBlockNumber()) + 1;
        const model = new Model();
        for (const taken of steps) {
          const { allowed, done } = await take(on, model, taken);
          expect(done, JSON.stringify(taken)).to.equal(allowed);
          seen.set(`${taken.kind} ${done}`, (seen.get(`${taken.kind} ${done}`) ?? 0) + 1);
          if (done) await check(on, model);
        }
      }),
      { numRuns: 12, seed: 20_261_120, endOnFailure: true },
    );
    // the walk must not be vacuous
    for (const kind of ["publish", "vet", "register", "deposit", "discard", "drop"]) {
      for (const done of [true, false]) expect(seen.get(`${kind} ${done}`) ?? 0, `${kind} ${done}`).to.be.at.least(3);
    }
  });
});
