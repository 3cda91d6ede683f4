import { Command, InvalidArgumentError } from "commander";
import { getAddress, isAddress, isHexString } from "ethers";
import { loadConfig, type Config } from "../../config.js";
import type { ProgressStream } from "../io/progress.js";
import type { ChainOptions } from "../poolChain.js";
import type { TermOptions } from "../poolTerms.js";

/** Where a command says what. */
export interface CommandIo {
  readonly print: (line: string) => void;
  /** for people, not for programs that read the output */
  readonly warn: (line: string) => void;
  readonly progress: ProgressStream;
}

export const TERMINAL: CommandIo = {
  print: (line) => {
    console.log(line);
  },
  warn: (line) => {
    console.error(line);
  },
  progress: process.stderr,
};

export interface PoolOptions extends ChainOptions, TermOptions {
  readonly config?: string;
}

/** The pool, by its configuration or root address; offline what would be read from it. */
export function withPool(command: Command): Command {
  return command
    .option("-c, --config <file>", "configuration of a service of the pool, whose chain is read")
    .option("--rpc <urls>", "or execution nodes, separated by commas; each is asked, and all must agree", list)
    .option("--pool-manager <address>", "and the pool's root address", address)
    .option("--withdrawal-vault <address>", "offline: the pool's WithdrawalVault", address)
    .option("--network <name>", "offline: mainnet, hoodi, ...")
    .option("--genesis-fork-version <hex>", "of a network that is not known", forkVersion);
}

export interface OutputOptions {
  readonly out: string;
  readonly force?: boolean;
}

export function withOutput(command: Command): Command {
  return command
    .option("-o, --out <folder>", "where the files go, readable by you alone", "validator_keys")
    .option("--force", "replace files that exist");
}

export interface PasswordOptions {
  readonly passwordFile?: string;
}

export function withPassword(command: Command): Command {
  return command.option(
    "--password-file <file>",
    "holds the password of the keystores; asked for at the terminal otherwise",
  );
}

/** The configuration that a command names; with it goes the preset that the consensus types read when they are loaded. */
export function configOf({ config }: PoolOptions): Config | null {
  if (config === undefined) return null;
  const loaded = loadConfig(config, process.env);
  process.env.LODESTAR_PRESET = loaded.preset;
  return loaded;
}

export function list(text: string): string[] {
  return text.split(",").map((item) => item.trim());
}

export function address(text: string): string {
  if (isAddress(text)) return getAddress(text);
  throw new InvalidArgumentError("It is an address: 0x and 40 hex digits, with a valid checksum.");
}

export function natural(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a whole number.");
}

function forkVersion(text: string): string {
  if (isHexString(text, 4)) return text.toLowerCase();
  throw new InvalidArgumentError("It is 0x and 8 hex digits.");
}
