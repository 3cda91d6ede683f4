import { plot } from "asciichart";
import Table from "cli-table3";
import { formatEther, parseEther, parseUnits, type HDNodeWallet } from "ethers";
import { startLocalPool, type LocalPool } from "../devnet/pool.js";
import { DEAD } from "../test/model/accounting.js";
import { Auditor, type Audit } from "./audit.js";

/** With so few validators rewards are a thousand times mainnet's; slots of 384 s bring the yearly rate to about 45 %. */
const SECONDS_PER_SLOT = 384;
const MAX_YEARLY_RATE_BPS = 5_000;
/** Pays for registering six validators and leaves the reserve a little below its target, so that both parts of the fee are seen. */
const RESERVE_SEED_ETH = "0.1";
const VALIDATORS_PER_CLUSTER = 3;
/** Less than what is buffered then: the next report pays it without an exit. */
const REDEEMED_ETH = "10";
/** More than what is left: a validator has to exit. */
const REDEEMED_BY_EXIT_ETH = "30";
/** An exit takes three frames or four: asked and seen, withdrawable and swept, reported. */
const MOST_REPORTS = 8;
const SECONDS_PER_DAY = 86_400;
const GWEI = 1_000_000_000n;
const VALIDATOR_WEI = parseEther("32");
/** `Status` of the registry's validators. */
const REMOVED = 4n;
const TRAFFIC_FEES = { maxPriorityFeePerGas: parseUnits("3", "gwei"), maxFeePerGas: parseUnits("100", "gwei") };
/** Tables without a line between every two rows. */
const PLAIN = {
  chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  style: { head: [] as string[], border: [] as string[] },
};

interface Staker {
  name: string;
  wallet: HDNodeWallet;
  stakedWei: bigint;
  redeemedWei: bigint;
}

interface Redemption {
  staker: Staker;
  request: bigint;
  askedEth: string;
  shares: bigint;
  paidWei: bigint;
  paidFrom: string;
}

/** Runs everything once, prints what happened, and answers the exit code: 0 only if every figure agrees with the chain to the wei. */
export async function tour(): Promise<number> {
  const began = performance.now();
  const say = (message: string): void => {
    const seconds = ((performance.now() - began) / 1000).toFixed(1).padStart(6);
    console.log(`${seconds} s  ${pool === undefined ? "" : `slot ${String(pool.devnet.slot).padEnd(4)} `}${message}`);
  };
  let pool: LocalPool | undefined;
  try {
    pool = await startLocalPool({
      devnet: { secondsPerSlot: SECONDS_PER_SLOT },
      parameters: (same) => ({
        ...same,
        pool: { ...same.pool, maxYearlyRateBps: MAX_YEARLY_RATE_BPS },
        reserve: { ...same.reserve, seedEth: RESERVE_SEED_ETH },
      }),
      onProgress: say,
    });
    return await run(pool, say);
  } finally {
    await pool?.close();
  }
}

async function run(pool: LocalPool, say: (message: string) => void): Promise<number> {
  const { devnet, clusters } = pool;
  const auditor = await Auditor.create(pool);
  const rates: number[] = [];
  devnet.onSlot(async () => {
    const { value } = await pool.poolManager.rate();
    rates.push(Number(value) / 1e18);
  });

  // other people use the chain as well: whoever proposes their transactions earns the priority fees
  const passerby = pool.user(9);
  devnet.onSlot(async () => {
    await passerby.sendTransaction({ to: passerby.address, value: 1n, ...TRAFFIC_FEES });
  });

  for (const cluster of clusters) {
    const validators = await pool.prepare(cluster, VALIDATORS_PER_CLUSTER);
    await pool.publish(cluster, validators);
    say(
      `${validators.length} validators prepared and published for cluster ${cluster.clusterId}, keys split for ${cluster.operators.length} operators`,
    );
  }
  await pool.startAll();
  say("running: 3 oracle nodes, 3 guardians, 1 keeper");

  const stakers: Staker[] = [];
  const stake = async (name: string, position: number, eth: string): Promise<void> => {
    const wallet = pool.user(position);
    const stakedWei = parseEther(eth);
    await pool.stake(wallet, stakedWei);
    stakers.push({ name, wallet, stakedWei, redeemedWei: 0n });
    say(`${name} stakes ${eth} ETH`);
  };
  await stake("Alice", 0, "100");
  await stake("Bob", 1, "60.5");
  const [alice, bob] = stakers;

  const active = (): number => ownValidators(pool).filter(({ status }) => status === "active_ongoing").length;
  await devnet.advanceUntil(async () => (await pool.registry.counts()).validators >= 4n, 100);
  say("first validators vetted by the guardians and registered in SSV by the keeper");
  await devnet.advanceUntil(() => ownValidators(pool).length + pendingDeposits(pool) > 0, 200);
  say("guardians approve: 32 ETH go to the deposit contract for the first of them");
  await devnet.advanceUntil(() => active() > 0, 400);
  say(`${active()} validators are active`);

  const stoppedOperator = clusters[0]?.operatorIds[0] ?? 1n;
  devnet.operators.stop(stoppedOperator);
  say(`SSV operator ${stoppedOperator} is stopped: its cluster goes on with three of four`);
  const oracle = pool.services.find(({ role }) => role === "oracle");
  await oracle?.stop();
  say(`${oracle?.name ?? "an oracle"} is stopped: two of three still sign`);
  await devnet.skipSlot();
  say("one slot is missed");
  await devnet.advanceUntil(async () => (await pool.poolManager.totals()).locked > 0n, 200);
  say("the first rewards are reported: they stream in from now on");
  await devnet.advance(devnet.slotsPerEpoch);
  await stake("Carol", 2, "47.25");

  await devnet.advanceUntil(() => active() >= 5, 600);
  say(`${active()} validators are active`);
  await devnet.advanceUntil(async () => (await pool.poolManager.totals()).buffered < VALIDATOR_WEI, 100);
  let finalised = 0n;
  const first = await redeem(pool, bob, REDEEMED_ETH, "what was buffered");
  say(`Bob asks for ${REDEEMED_ETH} ETH back: request ${first.request} waits for a report`);
  const second = await redeem(pool, alice, REDEEMED_BY_EXIT_ETH, "what was left, and the validator that exited");
  const { shortageWei, needed } = await pool.validatorExits.demand();
  say(
    `Alice asks for ${REDEEMED_BY_EXIT_ETH} ETH back: request ${second.request}; ${eth(shortageWei)} more than there is, so ${needed} validator has to exit`,
  );
  const exit = await followExit(pool, say);
  for (let reports = 0; !exit.isOver(); reports++) {
    if (reports === MOST_REPORTS) throw new Error(`the exit is not over after ${MOST_REPORTS} reports`);
    const before = await pool.reportOracle.lastFrame();
    await devnet.advanceUntil(async () => exit.isOver() || (await pool.reportOracle.lastFrame()) > before, 200);
    const frame = await pool.reportOracle.lastFrame();
    if (frame === before) continue;
    const totals = await pool.poolManager.totals();
    const { lastFinalised } = await pool.withdrawalQueue.state();
    say(
      `report of frame ${frame}: beacon chain ${eth(totals.clBalance)}, locked ${eth(totals.locked)}, rate ${(rates.at(-1) ?? 1).toFixed(9)}` +
        (lastFinalised > finalised ? `; request ${lastFinalised} is finalised` : ""),
    );
    finalised = lastFinalised;
    for (const redemption of [first, second]) {
      if (redemption.paidWei > 0n || redemption.request > lastFinalised) continue;
      await claim(pool, redemption);
      say(
        `${redemption.staker.name} claims ${eth(redemption.paidWei)}: what the requested shares were worth in that report`,
      );
    }
  }
  await devnet.advance(devnet.slotsPerEpoch);

  const audit = await auditor.audit([...stakers.map(({ wallet }) => wallet.address), pool.treasury.address]);
  await print(pool, stakers, [first, second], audit, rates, stoppedOperator);
  if (audit.differences.length > 0) {
    console.log(`\n${audit.differences.length} of ${audit.checked} figures DISAGREE with the chain:`);
    for (const difference of audit.differences) console.log(`  ${difference}`);
    return 1;
  }
  console.log(
    `\n${audit.checked} figures compared with the beacon chain and the execution chain: all equal to the wei.`,
  );
  return 0;
}

/** Hands poolETH to the withdrawal queue. */
async function redeem(
  pool: LocalPool,
  staker: Staker | undefined,
  askedEth: string,
  paidFrom: string,
): Promise<Redemption> {
  if (staker === undefined) throw new Error("nobody redeems");
  const token = pool.poolETH.connect(staker.wallet);
  await pool.devnet.mineTx(token.requestWithdrawal(parseEther(askedEth), staker.wallet.address), token.interface);
  const { lastRequest: request } = await pool.withdrawalQueue.state();
  const { shares } = await pool.withdrawalQueue.request(request);
  return { staker, request, askedEth, shares, paidWei: 0n, paidFrom };
}

/** Claims a finalised request. */
async function claim(pool: LocalPool, redemption: Redemption): Promise<void> {
  const { staker, request } = redemption;
  const queue = pool.withdrawalQueue.connect(staker.wallet);
  const before = { blockTag: await pool.devnet.provider.getBlockNumber() };
  redemption.paidWei = await queue["claim(uint256,address)"].staticCall(request, staker.wallet.address, before);
  await pool.devnet.mineTx(queue["claim(uint256,address)"](request, staker.wallet.address), queue.interface);
  staker.redeemedWei += redemption.paidWei;
}

/** Says what becomes of the exit of the oldest validator, each step in the slot in which it happens. */
async function followExit(
  { devnet, registry, validatorExits, ownPubkeys }: LocalPool,
  say: (message: string) => void,
): Promise<{ isOver: () => boolean }> {
  const records = await Promise.all(ownPubkeys.map((pubkey) => registry.validator(pubkey)));
  const oldest = records.findIndex(({ depositOrder }) => depositOrder === 1n);
  const [pubkey, record] = [ownPubkeys[oldest], records[oldest]];
  if (pubkey === undefined || record === undefined) throw new Error("nothing was deposited");
  const { id, cluster } = record;
  const validator = (): { exitEpoch: number; balanceGwei: bigint } => {
    const found = devnet.validatorByPubkey(pubkey);
    return { exitEpoch: found?.validator.exitEpoch ?? Infinity, balanceGwei: found?.balanceGwei ?? 0n };
  };
  let heldGwei = 0n;
  const steps: { happened: () => boolean | Promise<boolean>; what: () => string }[] = [
    {
      happened: async () => (await validatorExits.status(id)).asked,
      what: () => `the keeper asks the SSV operators of cluster ${cluster} to exit the oldest validator, ${id}`,
    },
    {
      happened: () => validator().exitEpoch !== Infinity,
      what: () => `its operators have signed together: validator ${id} exits in epoch ${validator().exitEpoch}`,
    },
    {
      happened: async () => (await validatorExits.status(id)).exiting,
      what: () => `a report has seen it: the ETH of validator ${id} is on its way, nobody else has to exit`,
    },
    {
      happened: () => validator().balanceGwei < GWEI,
      what: () => `the beacon chain sweeps ${eth(heldGwei * GWEI)} of validator ${id} to the WithdrawalVault`,
    },
    {
      happened: async () => (await validatorExits.status(id)).exited,
      what: () => `a report takes its ETH from the vault, names validator ${id} as exited and pays who waited`,
    },
    {
      happened: async () => (await registry.validator(pubkey)).status === REMOVED,
      what: () => `the keeper removes validator ${id} from SSV: its fees end`,
    },
  ];
  const stop = devnet.onSlot(async () => {
    for (let [next] = steps; next !== undefined && (await next.happened()); [next] = steps) {
      say(next.what());
      steps.shift();
    }
    heldGwei = validator().balanceGwei;
    if (steps.length === 0) stop();
  });
  return { isOver: () => steps.length === 0 };
}

const eth = (wei: bigint): string => `${formatEther(wei)} ETH`;

function ownValidators(pool: LocalPool): { pubkey: string; status: string }[] {
  return pool.ownPubkeys.flatMap((pubkey) => {
    const found = pool.devnet.validatorByPubkey(pubkey);
    return found === null ? [] : [{ pubkey, status: found.status }];
  });
}

function pendingDeposits(pool: LocalPool): number {
  return pool.devnet.state().pendingDeposits.length;
}

async function print(
  pool: LocalPool,
  stakers: readonly Staker[],
  redemptions: readonly Redemption[],
  audit: Audit,
  rates: readonly number[],
  stoppedOperator: bigint,
): Promise<void> {
  const sum = (pick: (report: Audit["reports"][number]) => bigint): bigint =>
    audit.reports.reduce((total, report) => total + pick(report), 0n);
  const holder = (address: string): { shares: bigint; balanceWei: bigint } =>
    audit.holders.get(address) ?? { shares: 0n, balanceWei: 0n };
  const { value: rate } = await pool.poolManager.rate();

  const who = new Table({
    head: ["holder", "staked ETH", "redeemed ETH", "shares", "balance poolETH", "gained", "why"],
    colAligns: ["left", "right", "right", "right", "right", "right", "left"],
    ...PLAIN,
  });
  const row = (name: string, address: string, stakedWei: bigint, redeemedWei: bigint, why: string): void => {
    const { shares, balanceWei } = holder(address);
    who.push([
      name,
      formatEther(stakedWei),
      formatEther(redeemedWei),
      formatEther(shares),
      formatEther(balanceWei),
      formatEther(balanceWei + redeemedWei - stakedWei),
      why,
    ]);
  };
  for (const { name, wallet, stakedWei, redeemedWei } of stakers) {
    row(name, wallet.address, stakedWei, redeemedWei, `shares x rate ${formatEther(rate)}`);
  }
  row("treasury", pool.treasury.address, 0n, 0n, "fee, minted as shares");
  const dead = holder(DEAD);
  row("dead first stake", DEAD, dead.shares, 0n, "belongs to nobody, for ever");

  const withdrawals = new Table({
    head: ["request", "of", "asked for ETH", "shares", "a share was worth", "paid ETH", "from"],
    colAligns: ["right", "left", "right", "right", "right", "right", "left"],
    ...PLAIN,
  });
  for (const { request, staker, askedEth, shares, paidWei, paidFrom } of redemptions) {
    const worth = formatEther((paidWei * parseEther("1")) / shares);
    withdrawals.push([
      String(request),
      staker.name,
      askedEth,
      formatEther(shares),
      worth,
      formatEther(paidWei),
      paidFrom,
    ]);
  }

  const totals = await pool.poolManager.totals();
  const terms = new Table({
    head: ["the pool", "ETH"],
    colAligns: ["left", "right"],
    ...PLAIN,
  });
  terms.push(
    ["buffered, ready for the next validator", formatEther(totals.buffered)],
    ["+ validators on the beacon chain, as reported", formatEther(totals.clBalance)],
    ["+ deposits on their way there", formatEther(totals.inFlight)],
    ["- gains that still stream in", formatEther(totals.locked)],
    ["- fee settled, not yet paid", formatEther(totals.owed)],
    ["- fee on what has streamed since the report", formatEther(totals.fee)],
    ["= total pooled ether", formatEther(totals.totalPooledEther)],
    ["", ""],
    [`gains in ${audit.reports.length} reports`, formatEther(sum(({ gainWei }) => gainWei))],
    ["  of which priority fees", formatEther(sum(({ executionRewardsWei }) => executionRewardsWei))],
    ["fee paid to the reserve, which pays SSV", formatEther(sum(({ reserveFeeWei }) => reserveFeeWei))],
    ["fee paid to the treasury", formatEther(sum(({ treasuryFeeWei }) => treasuryFeeWei))],
  );

  const duties = new Table({
    head: ["validator", "cluster", "status", "balance ETH", "duties done", "missed"],
    colAligns: ["left", "left", "left", "right", "right", "right"],
    ...PLAIN,
  });
  for (const pubkey of pool.ownPubkeys) {
    const found = pool.devnet.validatorByPubkey(pubkey);
    if (found === null) continue;
    const { cluster } = await pool.registry.validator(pubkey);
    duties.push([
      `${pubkey.slice(0, 18)}…`,
      String(cluster),
      found.status,
      formatEther(found.balanceGwei * GWEI),
      pool.devnet.operators.dutiesPerformed(pubkey),
      pool.devnet.operators.dutiesMissed(pubkey),
    ]);
  }

  const days = (rates.length * SECONDS_PER_SLOT) / SECONDS_PER_DAY;
  const width = 72;
  const sampled = Array.from(
    { length: width },
    (_, i) => rates[Math.floor((i * (rates.length - 1)) / (width - 1))] ?? 1,
  );
  console.log(`\n${duties.toString()}`);
  console.log(`operator ${stoppedOperator} was stopped, one slot was missed, one oracle node was stopped\n`);
  console.log(terms.toString());
  console.log(`\nvalue of one share in ETH over ${days.toFixed(1)} days (virtual time)\n`);
  console.log(plot(sampled, { height: 10, format: (x: number) => x.toFixed(7).padStart(11) }));
  console.log(`\n${withdrawals.toString()}`);
  console.log(`\n${who.toString()}`);
}
