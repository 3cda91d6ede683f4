import { readFileSync, statSync, writeFileSync } from "node:fs";
import { formatEther, formatUnits } from "ethers";
import { credentialsOf } from "../report/ownership.js";
import { registryKeysAt } from "../roles/readReport.js";
import { referenceBlock } from "../roles/reference.js";
import { frameAt, timeOfSlot, type Head } from "../clock.js";
import type { Config } from "../config.js";
import { beaconRootAt } from "../execution/beaconRoots.js";
import type { ChainReader } from "../execution/chain.js";
import { readChain, readOnly } from "../execution/readOnly.js";
import { readHead } from "../execution/provider.js";
import type { RegistryKey } from "../report/report.js";
import { readReference } from "../explain/read.js";
import { codeOf, ConfigError, ServiceError } from "../ops/errors.js";
import type { ServiceLogger } from "../ops/logging.js";
import { aligned } from "../queue/print.js";
import { checkPoolProof, makePoolProof, poolProofSchema, type PoolProof, type ProvenHoldings } from "./poolProof.js";
import { ProofFileError } from "./errors.js";

/** 100,000 scattered validators have some 90 MB. */
const MAX_FILE_SIZE = 256 * 2 ** 20;

/** What a file proves, beside what the pool has and reported. */
export interface CheckedProof {
  readonly refSlot: number;
  readonly blockRoot: string;
  /** What vouches for the root. */
  readonly rootFrom: "EIP-4788" | "the accepted report";
  readonly holdings: ProvenHoldings;
  /** Ids of the pool's deposited validators for which the file has nothing. */
  readonly missing: readonly number[];
  /** Public keys in the file that are not the pool's. */
  readonly strangers: readonly string[];
  /** Balances of the pool's validators that have the pool's credentials. */
  readonly balancesGwei: bigint;
  /** Pending deposits for the pool's keys, whatever they are worth: which of them count `pooleth report` says. */
  readonly pendingGwei: bigint;
  /** Of the report of this frame; null when there was none. */
  readonly reportedWei: bigint | null;
}

/**
 * Writes proofs of all that the pool's keys have in the state of a frame's reference block.
 *
 * @param slot reference slot; null for that of the latest frame that has ended
 */
export function writePoolProof(
  config: Config,
  slot: number | null,
  file: string,
  logger: ServiceLogger,
): Promise<PoolProof> {
  return readOnly(config, logger, async (chain, beacon) => {
    const { head, refSlot, root } = await readReference(chain, slot);
    const keys = await poolKeys(chain, refSlot, head);
    const { state, proofs } = await beacon.readProven(root, new Set(keys.map(({ pubkey }) => pubkey)));
    const proof = makePoolProof(state.fork, refSlot, proofs);
    checkPoolProof(proof);
    try {
      writeFileSync(file, `${JSON.stringify(proof)}\n`);
    } catch (cause) {
      throw new ConfigError("ConfigInvalid", `${file} cannot be written (${codeOf(cause)}).`, { file }, cause);
    }
    return proof;
  });
}

/** What a file proves of the pool. The chain alone is asked, for the root and for what the pool's keys are; no beacon node. */
export function readPoolProof(config: Config, file: string, logger: ServiceLogger): Promise<CheckedProof> {
  const proof = parse(file);
  const holdings = checkPoolProof(proof);
  return readChain(config, logger, async (chain) => {
    const { refSlot, blockRoot } = proof;
    const head = await readHead(chain.provider, "latest");
    if (head === null) throw new ServiceError("HeadMoved", "The execution node has no head yet; try again later.");
    const keys = await poolKeys(chain, refSlot, head);
    const { root, rootFrom, reportedWei } = await vouchedFor(chain, refSlot, head);
    if (root !== blockRoot) {
      throw new ProofFileError(
        "PROOF_WRONG",
        `The file is about block ${blockRoot}; the last block at or before slot ${refSlot} is ${root}, says ${rootFrom}. It proves nothing.`,
        { blockRoot, root, refSlot },
      );
    }
    const credentials = credentialsOf(chain.contracts.addresses.withdrawalVault);
    const ids = new Map(keys.map(({ pubkey, id }) => [pubkey, id]));
    const { validators, pendingDeposits } = holdings;
    const there = new Set([...validators, ...pendingDeposits].map(({ pubkey }) => pubkey));
    const ours = validators.filter(
      ({ pubkey, withdrawalCredentials }) => ids.has(pubkey) && credentials.has(withdrawalCredentials),
    );
    return {
      refSlot,
      blockRoot,
      rootFrom,
      holdings,
      missing: keys.filter(({ pubkey }) => !there.has(pubkey)).map(({ id }) => id),
      strangers: [...there].filter((pubkey) => !ids.has(pubkey)),
      balancesGwei: ours.reduce((sum, { balanceGwei }) => sum + balanceGwei, 0n),
      pendingGwei: pendingDeposits
        .filter(({ pubkey }) => ids.has(pubkey))
        .reduce((sum, { amountGwei }) => sum + amountGwei, 0n),
      reportedWei,
    };
  });
}

function parse(file: string): PoolProof {
  let json: unknown;
  try {
    const { size } = statSync(file);
    if (size > MAX_FILE_SIZE) throw new RangeError(`it has ${size} octets, at most ${MAX_FILE_SIZE} are read`);
    json = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ProofFileError("PROOF_FILE_UNREADABLE", `${file} cannot be read as JSON: ${why}.`, { file }, cause);
  }
  const result = poolProofSchema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue?.path.join(".") ?? "";
  throw new ProofFileError(
    "PROOF_FILE_UNREADABLE",
    `${file} is no file of \`pooleth prove\`: ${where === "" ? "" : `${where}: `}${issue?.message ?? "it has another shape"}.`,
    { file },
  );
}

/** The pool's validators whose deposits were made by the reference slot. */
async function poolKeys(chain: ChainReader, refSlot: number, head: Head): Promise<RegistryKey[]> {
  const { number } = await referenceBlock(chain.provider, chain.contracts.frames, refSlot, head);
  return registryKeysAt(await chain.view(head), number);
}

/** The root of the reference block: EIP-4788 has it for 8,191 slots, the event of an accepted report for ever. */
async function vouchedFor(
  { provider, contracts: { reportOracle, frames } }: ChainReader,
  refSlot: number,
  head: Head,
): Promise<Pick<CheckedProof, "rootFrom" | "reportedWei"> & { readonly root: string }> {
  const frame = frameAt(frames, timeOfSlot(frames, refSlot));
  const { number } = await referenceBlock(provider, frames, refSlot, head);
  const blocks = 2 * Number(frames.slotsPerFrame);
  const [[event], root] = await Promise.all([
    reportOracle.queryFilter(
      reportOracle.filters.ReportAccepted(frame),
      number,
      Math.min(head.number, number + blocks),
    ),
    beaconRootAt(provider, frames, refSlot, head),
  ]);
  const reportedWei = event?.args.clBalance ?? null;
  if (root !== null) return { root, rootFrom: "EIP-4788", reportedWei };
  if (event !== undefined) return { root: event.args.beaconBlockRoot, rootFrom: "the accepted report", reportedWei };
  throw new ProofFileError(
    "PROOF_FRAME_UNKNOWN",
    `Nothing on the chain vouches for a root at slot ${refSlot}: its frame was not reported, and EIP-4788 remembers 8,191 slots.`,
    { refSlot },
  );
}

/** For people. Amounts are exact, in ETH. */
export function printPoolProof({ holdings, ...proof }: CheckedProof): string[] {
  const { refSlot, blockRoot, rootFrom, missing, strangers, balancesGwei, pendingGwei, reportedWei } = proof;
  const gwei = (amount: bigint): string => formatUnits(amount, "gwei");
  return [
    `Proven to be in the state of block ${blockRoot}, the last one at or before slot ${refSlot}, says ${rootFrom}:`,
    ...aligned([
      ["validators", String(holdings.validators.length), `${gwei(balancesGwei)} ETH with the pool's credentials`],
      [
        "pending deposits",
        String(holdings.pendingDeposits.length),
        `${gwei(pendingGwei)} ETH, whether they count or not`,
      ],
    ]),
    reportedWei === null
      ? "The frame was not reported."
      : `The accepted report has ${formatEther(reportedWei)} ETH: balances and the deposits that count.`,
    ...(missing.length === 0 ? [] : [`! Nothing is proven of the pool's validators ${missing.join(", ")}.`]),
    ...strangers.map((pubkey) => `! ${pubkey} is not a key of the pool and is not counted.`),
  ];
}
