import { expect } from "chai";
import { hexlify, type HDNodeWallet } from "ethers";
import { NEW_CLUSTER, type Cluster } from "../../../oracle/ssv/cluster.js";
import { WITHDRAWAL_REQUESTS_ADDRESS } from "../../../devnet/execution/predeploys.js";
import { SLOTS_PER_FRAME, type LocalPoolOptions, type ServiceOptions } from "../../../devnet/pool.js";
import { eth, isActive, nextReport, openStory, type Accepted, type Story } from "./story.js";
import { startQuorum, Status, statusOf } from "./support.js";

/**
 * A pool whose stakers' ETH is in validators that attest, with one keeper and a quorum of oracles from then on. While the validators wait for
 * their activation nobody looks: that is long, and other stories tell it.
 */
export async function openWithValidators(
  aliceWei: bigint,
  bobWei: bigint,
  validators: number,
  options: LocalPoolOptions & { keeper?: ServiceOptions } = {},
): Promise<{ story: Story; keys: string[] }> {
  const story = await openStory({
    ...options,
    parameters: (given) => {
      const changed = options.parameters?.(given) ?? given;
      return {
        ...changed,
        pool: { ...changed.pool, maxYearlyRateBps: 5000, lossLimitBps: 1000 },
        withdrawals: { ...changed.withdrawals, exitGraceFrames: GRACE_FRAMES },
      };
    },
  });
  const { pool, cluster, alice, bob } = story;
  await pool.stake(alice, aliceWei);
  await pool.stake(bob, bobWei);
  await pool.publish(cluster, await pool.prepare(cluster, validators));
  const keys = [...pool.ownPubkeys];
  await startQuorum(pool);
  const statuses = async (): Promise<bigint[]> => Promise.all(keys.map((key) => statusOf(pool, key)));
  await pool.devnet.advanceUntil(async () => (await statuses()).every((status) => status === Status.Deposited), 200);
  const active = (): boolean => keys.every((key) => isActive(pool, key));
  await unattended(story, () => pool.devnet.advanceUntil(active, 400), options.keeper);
  await nextReport(story);
  return { story, keys };
}

/** Something happens while no service runs. Then a keeper and a quorum of oracles do. */
export async function unattended(
  { pool }: Story,
  happens: () => Promise<void>,
  keeper: ServiceOptions = {},
): Promise<void> {
  for (const service of [...pool.services]) await service.stop();
  await happens();
  await pool.start("keeper", 0, keeper);
  for (const position of [0, 1]) await pool.start("oracle", position);
}

/** Whole frames that operators have, after the one in which they are asked. */
export const GRACE_FRAMES = 1;

/** Whoever does what anybody may. */
export const stranger = ({ pool }: Story): HDNodeWallet => pool.user(7);

/** Hands shares worth so much to the queue. Answers the request's id. */
export async function request({ pool }: Story, from: HDNodeWallet, wei: bigint): Promise<bigint> {
  const token = pool.poolETH.connect(from);
  await pool.devnet.mineTx(token.requestWithdrawal(wei, from.address), token.interface);
  return (await pool.withdrawalQueue.state()).lastRequest;
}

/** Hands all of somebody's shares to the queue. Answers the request's id. */
export async function requestAll({ pool }: Story, from: HDNodeWallet): Promise<bigint> {
  const token = pool.poolETH.connect(from);
  const shares = await token.sharesOf(from.address);
  await pool.devnet.mineTx(token.requestWithdrawalShares(shares, from.address), token.interface);
  return (await pool.withdrawalQueue.state()).lastRequest;
}

/** Claims a finalised request. Answers the wei that came. */
async function claim({ pool }: Story, owner: HDNodeWallet, id: bigint): Promise<bigint> {
  const { devnet, withdrawalQueue } = pool;
  const recipient = `0x${"c1a1".repeat(9)}${id.toString(16).padStart(4, "0")}`;
  const before = await devnet.provider.getBalance(recipient);
  await devnet.mineTx(
    withdrawalQueue.connect(owner)["claim(uint256,address)"](id, recipient),
    withdrawalQueue.interface,
  );
  return (await devnet.provider.getBalance(recipient)) - before;
}

/** A report, and the validators that it names. */
export interface Named extends Accepted {
  readonly exiting: readonly bigint[];
  readonly exited: readonly bigint[];
  /** The last request that was finalised by now. */
  readonly lastFinalised: bigint;
}

export async function namedReport(story: Story): Promise<Named> {
  const accepted = await nextReport(story);
  const { validatorExits, withdrawalQueue } = story.pool;
  const { Exiting, Exited } = validatorExits.filters;
  const exiting = await validatorExits.queryFilter(Exiting(), accepted.block, accepted.block);
  const exited = await validatorExits.queryFilter(Exited(), accepted.block, accepted.block);
  return {
    ...accepted,
    exiting: exiting.map(({ args }) => args.id),
    exited: exited.map(({ args }) => args.id),
    lastFinalised: (await withdrawalQueue.state()).lastFinalised,
  };
}

/** Reports follow each other until one is as asked. */
export async function reportsUntil(
  story: Story,
  found: (report: Named) => boolean,
  each: (report: Named) => void = () => undefined,
  maxReports = 8,
): Promise<Named> {
  for (let count = 0; count < maxReports; count++) {
    const report = await namedReport(story);
    if (found(report)) return report;
    each(report);
  }
  throw new Error(`none of ${maxReports} reports was as expected`);
}

/** Somebody's request in the queue. */
export interface Request {
  readonly owner: HDNodeWallet;
  readonly id: bigint;
}

/**
 * All that one report finalised is claimed, and each request gets what its shares were worth in that report, by the report's own figures: total
 * and shares before any were burned. Answers the wei that came to each.
 */
export async function claimAll(story: Story, { block }: Accepted, requests: readonly Request[]): Promise<bigint[]> {
  const { poolManager, withdrawalQueue } = story.pool;
  const [rebased] = await poolManager.queryFilter(poolManager.filters.Rebased(), block, block);
  const filter = withdrawalQueue.filters.WithdrawalsFinalised();
  const [finalised] = await withdrawalQueue.queryFilter(filter, block, block);
  if (rebased === undefined || finalised === undefined) throw new Error(`block ${block} finalised nothing`);
  const { firstId, lastId, amount, shares } = finalised.args;
  expect(requests.map(({ id }) => id)).to.deep.equal(
    Array.from({ length: Number(lastId - firstId) + 1 }, (_, i) => firstId + BigInt(i)),
  );
  const { etherAfter, sharesAfter } = rebased.args;
  const worth = (some: bigint): bigint => (some * (etherAfter + amount)) / (sharesAfter + shares);
  expect(amount).to.equal(worth(shares));
  const claims: bigint[] = [];
  for (const { owner, id } of requests) {
    const { shares: own } = await withdrawalQueue.request(id);
    const paid = await claim(story, owner, id);
    // rounded twice: together, and each
    expect(paid).to.equal((amount * own) / shares);
    expect(worth(own) - paid <= 1n).to.equal(true);
    claims.push(paid);
  }
  return claims;
}

/** Waits until the keeper has asked SSV's operators for these exits. */
export async function asked({ pool }: Story, keys: readonly string[], maxSlots = 2): Promise<void> {
  const { devnet, registry, validatorExits } = pool;
  const ids = await Promise.all(keys.map(async (key) => (await registry.validator(key)).id));
  const all = async (): Promise<boolean> => {
    const statuses = await Promise.all(ids.map((id) => validatorExits.status(id)));
    return statuses.every((status) => status.asked);
  };
  await devnet.advanceUntil(all, maxSlots);
}

/**
 * Forces an exit with more ETH than the fee, which neither more nor less than the contract that takes it asks for is taken of. Answers the fee.
 */
export async function forceExit(story: Story, key: string): Promise<bigint> {
  const { devnet, validatorExits } = story.pool;
  const { provider } = devnet;
  const wallet = stranger(story);
  const exits = validatorExits.connect(wallet);
  const fee = BigInt(await provider.call({ to: WITHDRAWAL_REQUESTS_ADDRESS }));
  const tooMuch = exits.forceExits.staticCall([key], fee - 1n, { value: eth("1") });
  await expect(tooMuch)
    .to.be.revertedWithCustomError(exits, "FeeTooHigh")
    .withArgs(fee, fee - 1n);
  const tooLittle = exits.forceExits.staticCall([key], fee, { value: fee - 1n });
  await expect(tooLittle)
    .to.be.revertedWithCustomError(exits, "NotEnoughForFee")
    .withArgs(fee - 1n, fee);

  const balances = (): Promise<bigint[]> =>
    Promise.all([wallet.address, WITHDRAWAL_REQUESTS_ADDRESS].map((address) => provider.getBalance(address)));
  const [had = 0n, taken = 0n] = await balances();
  const receipt = await devnet.mineTx(exits.forceExits([key], fee, { value: eth("1") }), exits.interface);
  const [has = 0n, takes = 0n] = await balances();
  expect(had - has).to.equal(fee + receipt.gasUsed * receipt.gasPrice);
  expect(takes - taken).to.equal(fee);
  return fee;
}

/** Waits until the keeper has taken validators out of SSV. */
export async function removed({ pool }: Story, keys: readonly string[]): Promise<void> {
  const all = async (): Promise<boolean> =>
    (await Promise.all(keys.map((key) => statusOf(pool, key)))).every((status) => status === Status.Removed);
  await pool.devnet.advanceUntil(all, 4);
}

/** The cluster as SSV Network's newest event has it. */
export async function latestCluster({ pool, cluster }: Story): Promise<Cluster> {
  const { network } = pool.ssv;
  const logs = await pool.devnet.provider.getLogs({ address: await network.getAddress(), fromBlock: 0 });
  for (const log of logs.reverse()) {
    const parsed = network.interface.parseLog(log);
    if (parsed?.args[0] !== cluster.ssvAccount || !parsed.fragment.inputs.some(({ name }) => name === "cluster"))
      continue;
    const { validatorCount, networkFeeIndex, index, active, balance } = parsed.args.getValue("cluster") as Cluster;
    return { validatorCount, networkFeeIndex, index, active, balance };
  }
  return NEW_CLUSTER;
}

/** What SSV takes from the cluster in one block. */
export async function feesOfABlock(story: Story): Promise<bigint> {
  const { pool, cluster } = story;
  const snapshot = await latestCluster(story);
  const balance = (): Promise<bigint> =>
    pool.ssv.views.getBalance(cluster.ssvAccount, [...cluster.operatorIds], snapshot);
  const before = await balance();
  await pool.devnet.advance();
  return before - (await balance());
}

/** The id that the registry gave to a key. */
export async function idOf({ pool }: Story, key: string): Promise<bigint> {
  return (await pool.registry.validator(key)).id;
}

/** What the chain has paid out of a validator in blocks after a slot. */
export function paidOutGwei({ pool }: Story, key: string, since: number): bigint {
  const { chain, slot } = pool.devnet;
  const index = pool.devnet.validatorByPubkey(key)?.index;
  let gwei = 0n;
  for (let at = since + 1; at <= slot; at++) {
    const body = chain.blocks.bySlot(at)?.signedBlock?.message.body;
    if (body === undefined || !("executionPayload" in body) || !("withdrawals" in body.executionPayload)) continue;
    for (const { validatorIndex, amount } of body.executionPayload.withdrawals) {
      if (validatorIndex === index) gwei += amount;
    }
  }
  return gwei;
}

/** Waits until a keeper forces an exit. */
export async function forcedByKeeper({ pool }: Story, maxSlots = 4 * SLOTS_PER_FRAME): Promise<void> {
  const { devnet, validatorExits } = pool;
  const from = devnet.chain.head.executionBlockNumber + 1;
  const forced = async (): Promise<boolean> =>
    (await validatorExits.queryFilter(validatorExits.filters.ExitForced(), from)).length > 0;
  await devnet.advanceUntil(forced, maxSlots);
}

/** An exit request as the consensus layer gets it (EIP-7002). */
export interface ExitRequest {
  readonly source: string;
  readonly key: string;
  readonly amountGwei: bigint;
}

/** Waits until a block brings the request for this key to the consensus layer. */
export async function told({ pool }: Story, key: string): Promise<ExitRequest> {
  const { devnet } = pool;
  const inHead = (): ExitRequest | undefined => {
    const body = devnet.chain.head.signedBlock?.message.body;
    if (body === undefined || !("executionRequests" in body)) return undefined;
    return body.executionRequests.withdrawals
      .map(({ sourceAddress, validatorPubkey, amount }) => ({
        source: hexlify(sourceAddress),
        key: hexlify(validatorPubkey),
        amountGwei: amount,
      }))
      .find((request) => request.key === key);
  };
  await devnet.advanceUntil(() => inHead() !== undefined, 8);
  const found = inHead();
  if (found === undefined) throw new Error("the request is gone");
  return found;
}

/** Nobody's exit has begun on the beacon chain. */
export function expectStaying({ pool }: Story, keys: readonly string[]): void {
  for (const key of keys) expect(pool.devnet.validatorByPubkey(key)?.validator.exitEpoch).to.equal(Infinity);
}
