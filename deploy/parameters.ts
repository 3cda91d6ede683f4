import { readFileSync } from "node:fs";
import { getAddress, isAddress, parseEther, ZeroAddress } from "ethers";
import { z } from "zod";
import { DeployError } from "./errors.js";

const DAY = 86_400;
/** EIP-4788 remembers as many slots. */
const BEACON_ROOTS = 8_191;
const YEAR_OF_BLOCKS = 2_628_000;
const MAX_MEMBERS = 32;

// `abort`: what is wrong in itself is not also held against other fields
const address = z
  .string()
  .refine((text) => text !== "", {
    error: "must be filled in with an address (0x and 40 hex digits)",
    abort: true,
  })
  .refine((text) => isAddress(text), {
    error: "must be an address (0x and 40 hex digits, with a valid checksum)",
    abort: true,
  })
  .refine((text) => getAddress(text) !== ZeroAddress, { error: "must not be the zero address", abort: true })
  .transform((text) => getAddress(text));
const eth = z
  .string()
  .regex(/^\d{1,9}(\.\d{1,18})?$/, { error: 'must be an amount of ETH in decimals, such as "0.5"', abort: true })
  .transform((text) => parseEther(text));
const within = (lowest: number, highest: number) =>
  z.number().refine((value) => Number.isSafeInteger(value) && value >= lowest && value <= highest, {
    error: `must be a whole number from ${lowest} to ${highest}`,
    abort: true,
  });
/** Cold address, and the hot key it signs with. */
const members = z
  .array(z.strictObject({ member: address, signer: address }))
  .min(1, { error: "must name at least one member", abort: true })
  .max(MAX_MEMBERS, { error: `must name at most ${MAX_MEMBERS} members`, abort: true });
const seconds32 = within(0, 2 ** 32 - 1);

const schema = z
  .strictObject({
    chainId: within(1, Number.MAX_SAFE_INTEGER),
    frames: z.strictObject({
      /** Of the beacon chain, seconds. */
      genesisTime: within(1, 2 ** 40),
      secondsPerSlot: within(1, BEACON_ROOTS - 1),
      slotsPerFrame: within(1, BEACON_ROOTS - 1),
    }),
    /** Ethereum's. */
    depositContract: address,
    ssv: z.strictObject({ network: address, views: address }),
    governance: z.strictObject({
      address,
      /** Between scheduling and executing anything. */
      delaySeconds: seconds32,
    }),
    /** Publishes validators. */
    poolOperator: address,
    pool: z.strictObject({
      treasury: address,
      feeBps: within(0, 1_500),
      maxYearlyRateBps: within(100, 5_000),
      lossLimitBps: within(10, 5_000),
      lossWindowSeconds: within(DAY, 90 * DAY),
      minStakeEth: eth,
      poolCapEth: eth,
      dailyLimitEth: eth,
    }),
    withdrawals: z.strictObject({
      /** Before the end of a frame; what is requested later waits for the report of the next. */
      cutoffMarginSeconds: seconds32,
      /** Whole frames that SSV's operators have to exit a validator before anyone may force it. */
      exitGraceFrames: within(1, 30),
    }),
    oracles: z.strictObject({ members, quorum: within(1, MAX_MEMBERS) }),
    guardians: z.strictObject({
      members,
      quorum: within(1, MAX_MEMBERS),
      /** How long one guardian's pause of deposits lasts. */
      pauseSeconds: within(3_600, 14 * DAY),
    }),
    reserve: z.strictObject({
      /** Blocks that clusters are filled to, and refilled below, on top of SSV's liquidation threshold. */
      targetRunwayBlocks: within(2, YEAR_OF_BLOCKS),
      lowRunwayBlocks: within(1, YEAR_OF_BLOCKS),
      /** Put in by the deployer, so that the first validators can be registered. */
      seedEth: eth,
    }),
    /** Staked by the deployer for a dead address, in the transaction that opens the pool. */
    initialStakeEth: eth,
  })
  .superRefine((p, context) => {
    const fail = (path: string, message: string): void => {
      context.addIssue({ code: "custom", path: path.split("."), message });
    };
    for (const name of ["oracles", "guardians"] as const) {
      const set = p[name];
      const count = set.members.length;
      if (set.quorum * 2 <= count || set.quorum > count) {
        fail(`${name}.quorum`, `must be more than half of the ${count} members and at most all of them`);
      }
      const seen = new Set<string>();
      for (const [i, pair] of set.members.entries()) {
        for (const key of ["member", "signer"] as const) {
          if (seen.has(pair[key])) {
            fail(`${name}.members.${i}.${key}`, "must not appear twice: each member has one cold and one hot address");
          }
          seen.add(pair[key]);
        }
      }
    }
    if (p.reserve.lowRunwayBlocks >= p.reserve.targetRunwayBlocks) {
      fail("reserve.lowRunwayBlocks", "must be below reserve.targetRunwayBlocks");
    }
    if (p.withdrawals.cutoffMarginSeconds >= p.frames.secondsPerSlot * p.frames.slotsPerFrame) {
      fail("withdrawals.cutoffMarginSeconds", "must be shorter than a frame");
    }
    if (p.initialStakeEth < parseEther("0.001")) fail("initialStakeEth", "must be at least 0.001 ETH");
    if (p.pool.minStakeEth === 0n || p.pool.minStakeEth > parseEther("32")) {
      fail("pool.minStakeEth", "must be more than 0 and at most 32 ETH");
    }
    if (p.pool.dailyLimitEth < p.pool.minStakeEth) fail("pool.dailyLimitEth", "must be at least pool.minStakeEth");
    if (p.pool.poolCapEth <= p.initialStakeEth) fail("pool.poolCapEth", "must be more than initialStakeEth");
    if (p.chainId === 1 && p.governance.delaySeconds < DAY) {
      fail("governance.delaySeconds", "must be at least a day (86400) on mainnet");
    }
  });

/** What a deployment is made of, checked. Amounts in wei. */
export type Parameters = Readonly<z.output<typeof schema>>;
/** What a parameters file holds. */
export type ParametersInput = z.input<typeof schema>;

/** Checks parameters; the message of a refusal names every field that is wrong and what it must be. */
export function parseParameters(input: unknown, source = "The parameters"): Parameters {
  const result = schema.safeParse(input, {
    error: ({ code, input: given }) => (code === "invalid_type" && given === undefined ? "must be set" : undefined),
  });
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => `${[...issue.path, key].join(".")}: is not a parameter`)
      : [`${issue.path.join(".") || "(whole)"}: ${issue.message}`],
  );
  throw new DeployError("PARAMETERS_INVALID", `${source} cannot be used:\n  ${problems.join("\n  ")}`, { problems });
}

export function readParameters(file: string): Parameters {
  let input: unknown;
  try {
    input = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DeployError("PARAMETERS_INVALID", `${file} cannot be read as JSON: ${why}.`, { file }, cause);
  }
  return parseParameters(input, file);
}
