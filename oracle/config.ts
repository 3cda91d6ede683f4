import { readFileSync, statSync } from "node:fs";
import { getAddress, isAddress, Wallet } from "ethers";
import { z } from "zod";
import { ConfigError } from "./ops/errors.js";
import { LOG_LEVELS } from "./ops/logging.js";

export const ROLES = ["oracle", "guardian", "keeper"] as const;
export type Role = (typeof ROLES)[number];

/** Prefix of environment variables: `chainId` is POOLETH_CHAIN_ID. They win over the file. */
const PREFIX = "POOLETH_";
/** 30 days of 12 second blocks. */
const MIN_RUNWAY_BLOCKS = 216_000;
/** 0.001 ETH. EIP-7002 asks for 1 wei, unless many requests wait. */
const MAX_EXIT_FEE_WEI = 10 ** 15;

const url = z.url({ protocol: /^https?$/, error: "must be a URL that begins with http:// or https://" });
const address = z
  .string()
  .refine((text) => isAddress(text), "must be an Ethereum address (0x and 40 hex digits, with a valid checksum)")
  .transform((text) => getAddress(text));
const natural = z.int().min(0);
const WEI = "must be an amount in wei: a whole number, in quotes if it is long";
const wei = z.union([z.int(WEI).min(0, WEI), z.string().regex(/^\d+$/, WEI)], WEI).transform(BigInt);

/** A signing key is named, never written, in the configuration. */
const keySource = z.union(
  [z.strictObject({ file: z.string().min(1) }), z.strictObject({ env: z.string().min(1) })],
  'must name where the key is: {"file": "<path>"} or {"env": "<variable>"}',
);

const schema = z
  .strictObject({
    chainId: z.int().positive(),
    /** The root: every other contract is read from it. */
    poolManager: address,
    executionUrls: z.array(url).min(1),
    beaconUrls: z.array(url).default([]),
    /** Seconds of the machine after which a beacon node is given up. */
    beaconTimeouts: z
      .strictObject({
        /** For an answer; within a state, for a pause. */
        requestSeconds: z.number().positive().max(600).default(15),
        /** For a whole state. */
        stateSeconds: z.number().positive().max(86_400).default(600),
      })
      .prefault({}),
    roles: z
      .array(z.enum(ROLES))
      .min(1)
      .refine((roles) => new Set(roles).size === roles.length, "must name each role once"),
    keys: z
      .strictObject({ oracle: keySource.optional(), guardian: keySource.optional(), keeper: keySource.optional() })
      .default({}),
    /** Keepers to which an oracle or a guardian pushes what it signed, besides a keeper in the same process. */
    collectors: z.array(url).default([]),
    listen: z
      .strictObject({
        host: z.string().min(1).default("127.0.0.1"),
        port: z.int().min(0).max(65_535).default(9_600),
      })
      .prefault({}),
    dataDir: z.string().min(1),
    /** A keeper that only says what it would send. */
    dryRun: z.boolean().default(true),
    logLevel: z.enum(LOG_LEVELS).default("info"),
    /** How often the head is asked for when no event arrives, in seconds of the machine. */
    pollSeconds: z.number().positive().max(3_600).default(6),
    /** Execution block from which events are read: the deployment of SSV Network, or later if all our operators are younger. */
    logsFromBlock: natural.default(0),
    /** Preset of the consensus types. */
    preset: z.enum(["mainnet", "minimal"]).default("mainnet"),
    guardian: z
      .strictObject({
        /** Blocks of SSV runway below which nothing is deposited to a cluster. */
        minRunwayBlocks: natural.default(MIN_RUNWAY_BLOCKS),
      })
      .prefault({}),
    exits: z
      .strictObject({
        /** Most that a keeper pays to force one exit (EIP-7002), besides gas. */
        maxFeeWei: wei.prefault(MAX_EXIT_FEE_WEI),
      })
      .prefault({}),
    ssv: z
      .strictObject({
        /** Versions of SSV Network whose rules this program knows. */
        versions: z.array(z.string().min(1)).min(1).default(["v2.0.0"]),
        /** Block up to which SSV Network's upgrades were reviewed; after a later one nothing is registered, removed or approved. */
        reviewedBlock: natural.optional(),
      })
      .prefault({}),
  })
  .superRefine((config, context) => {
    const fail = (path: string, message: string): void => {
      context.addIssue({ code: "custom", path: path.split("."), message });
    };
    for (const role of config.roles) {
      if (role !== "keeper" && config.beaconUrls.length === 0) {
        fail("beaconUrls", `must name at least one beacon node for the role ${role}`);
      }
      if (role !== "keeper" && config.collectors.length === 0 && !config.roles.includes("keeper")) {
        fail("collectors", `must name at least one keeper to push the signatures of the role ${role} to`);
      }
    }
  });

export type Config = Readonly<z.infer<typeof schema>>;
export type KeySource = z.infer<typeof keySource>;
/** What a file holds, before defaults. */
export type ConfigInput = z.input<typeof schema>;

const number = (text: string): unknown => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : text);
const boolean = (text: string): unknown => (text === "true" ? true : text === "false" ? false : text);
const list = (text: string): string[] => text.split(",").map((item) => item.trim());
const same = (text: string): unknown => text;

/** Environment variables: where each goes and how it is read. */
const ENVIRONMENT: Readonly<Record<string, readonly [path: string, read: (text: string) => unknown]>> = {
  CHAIN_ID: ["chainId", number],
  POOL_MANAGER: ["poolManager", same],
  EXECUTION_URLS: ["executionUrls", list],
  BEACON_URLS: ["beaconUrls", list],
  BEACON_REQUEST_SECONDS: ["beaconTimeouts.requestSeconds", number],
  BEACON_STATE_SECONDS: ["beaconTimeouts.stateSeconds", number],
  ROLES: ["roles", list],
  COLLECTORS: ["collectors", list],
  LISTEN_HOST: ["listen.host", same],
  LISTEN_PORT: ["listen.port", number],
  DATA_DIR: ["dataDir", same],
  DRY_RUN: ["dryRun", boolean],
  LOG_LEVEL: ["logLevel", same],
  POLL_SECONDS: ["pollSeconds", number],
  LOGS_FROM_BLOCK: ["logsFromBlock", number],
  PRESET: ["preset", same],
  MIN_RUNWAY_BLOCKS: ["guardian.minRunwayBlocks", number],
  MAX_EXIT_FEE_WEI: ["exits.maxFeeWei", same],
  SSV_VERSIONS: ["ssv.versions", list],
  SSV_REVIEWED_BLOCK: ["ssv.reviewedBlock", number],
  ORACLE_KEY_FILE: ["keys.oracle.file", same],
  GUARDIAN_KEY_FILE: ["keys.guardian.file", same],
  KEEPER_KEY_FILE: ["keys.keeper.file", same],
  ORACLE_KEY: ["keys.oracle.env", () => `${PREFIX}ORACLE_KEY`],
  GUARDIAN_KEY: ["keys.guardian.env", () => `${PREFIX}GUARDIAN_KEY`],
  KEEPER_KEY: ["keys.keeper.env", () => `${PREFIX}KEEPER_KEY`],
};

/** Checks a configuration; the message of a refusal names every field that is wrong and what it must be. */
export function parseConfig(input: unknown): Config {
  const result = schema.safeParse(input, {
    error: ({ code, input: given }) =>
      code === "invalid_type" && given === undefined ? "must be set, in the file or in the environment" : undefined,
  });
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => `${[...issue.path, key].join(".")}: is not a field of the configuration`)
      : [`${issue.path.join(".") || "(whole)"}: ${issue.message}`],
  );
  throw new ConfigError("ConfigInvalid", `The configuration cannot be used. ${problems.join("; ")}.`, { problems });
}

/** Reads the file, if one is named, lays the environment over it, and checks the whole. */
export function loadConfig(file: string | undefined, environment: NodeJS.ProcessEnv): Config {
  const input = file === undefined ? {} : readFile(file);
  for (const [name, text] of Object.entries(environment)) {
    if (text === undefined || !name.startsWith(PREFIX)) continue;
    const entry = ENVIRONMENT[name.slice(PREFIX.length)];
    if (entry === undefined) {
      throw new ConfigError("ConfigInvalid", `${name}: is not a setting of this program; remove it or mend its name.`, {
        name,
      });
    }
    const [path, read] = entry;
    setPath(input, path.split("."), read(text));
  }
  return parseConfig(input);
}

function readFile(file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(
      "ConfigUnreadable",
      `The configuration file ${file} cannot be read: ${why}.`,
      { file },
      cause,
    );
  }
  if (!isRecord(value)) {
    throw new ConfigError("ConfigUnreadable", `The configuration file ${file} must hold one JSON object.`, { file });
  }
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function setPath(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [name, ...rest] = path;
  if (name === undefined) return;
  if (rest.length === 0) {
    target[name] = value;
    return;
  }
  const inner = target[name];
  const next = isRecord(inner) ? inner : {};
  target[name] = next;
  setPath(next, rest, value);
}

/** Opens a signing key. Its file must be readable by its owner alone. */
export function openKey(role: Role, source: KeySource, environment: NodeJS.ProcessEnv): Wallet {
  const what = `keys.${role}`;
  if ("file" in source) return openKeyFile(what, source.file);
  return walletOf(what, source.env, environment[source.env]);
}

/** @param what the setting that names the file */
export function openKeyFile(what: string, file: string): Wallet {
  return walletOf(what, file, readKeyFile(what, file));
}

function walletOf(what: string, where: string, text: string | undefined): Wallet {
  const key = text?.trim();
  if (key === undefined || !/^(0x)?[0-9a-fA-F]{64}$/.test(key)) {
    throw new ConfigError(
      "KeyUnreadable",
      `${what}: ${where} holds no private key (32 bytes in hex). Generate one and have its address made a signer.`,
      { what, where },
    );
  }
  return new Wallet(key.startsWith("0x") ? key : `0x${key}`);
}

function readKeyFile(what: string, file: string): string {
  try {
    const exposed = (statSync(file).mode & 0o077) !== 0;
    if (!exposed) return readFileSync(file, "utf8");
  } catch (cause) {
    throw new ConfigError("KeyUnreadable", `${what}: the file ${file} cannot be read.`, { what, file }, cause);
  }
  throw new ConfigError(
    "KeyExposed",
    `${what}: other users of this machine can read ${file}; run chmod 600 on it, and if others had access replace the key.`,
    { what, file },
  );
}
