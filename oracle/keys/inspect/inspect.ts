import type { Config } from "../../config.js";
import { operatorPem } from "../../roles/vetting.js";
import { accountFor, judgeOnChain, nextNonce } from "./judgeOnChain.js";
import { collate, type FoundValidator } from "./collate.js";
import { readChainState, type ReadState } from "./chainState.js";
import { DEPOSIT_GWEI, publicNetworksOf, withdrawalCredentials } from "../depositData.js";
import { KeysError } from "../errors.js";
import { ProgressBar, type ProgressStream } from "../io/progress.js";
import { judgeFiles, type FileTerms, type JudgedValidator } from "./judgeFiles.js";
import type { KeyFiles } from "./keyFiles.js";
import { encodeOperatorKey } from "../keyshares.js";
import { readOperators, sameOperators, type OperatorKey } from "../operatorKeys.js";
import { operatorsFromAll, withPoolChain, type ChainOptions, type PoolChain } from "../poolChain.js";
import { networkOf, poolTerms, type TermOptions } from "../poolTerms.js";
import { verifyFiles } from "./verifyFiles.js";

export interface InspectOptions extends ChainOptions, TermOptions {
  readonly account?: string;
  readonly nonce?: number;
  readonly operatorsFile?: string;
  readonly amount?: bigint;
}

export interface KeyReport {
  readonly validators: readonly JudgedValidator[];
  /** of files that cannot be used at all */
  readonly problems: readonly string[];
  /** what nobody may believe to be checked */
  readonly notChecked: readonly string[];
}

/** Fewer are verified before a bar could be read. */
const BAR_FROM = 100;

/** Everything that can be wrong with key files, as far as the options let it be seen. */
export async function inspectFiles(
  files: KeyFiles,
  options: InspectOptions,
  config: Config | null,
  progress: ProgressStream,
): Promise<KeyReport> {
  const found = collate(files);
  const { terms, state } = await withPoolChain(options, config, (chain) => termsOf(found, options, config, chain));
  const judged = judgeFiles(found, terms);
  const verified = await verify(judged, progress);
  const validators =
    state === null
      ? verified
      : verified.map((validator, i) => {
          const onChain = judgeOnChain(validator, found[i]?.proofs !== null, state);
          return { ...validator, findings: [...validator.findings, ...onChain] };
        });
  return {
    validators,
    problems: files.problems.map(({ message }) => message),
    notChecked: notChecked(files, found, options, terms, state),
  };
}

/** Whether there is nothing against publishing what was found. */
export function isGood({ validators, problems }: KeyReport): boolean {
  return validators.length > 0 && problems.length === 0 && validators.every(({ findings }) => findings.length === 0);
}

async function verify(judged: readonly JudgedValidator[], progress: ProgressStream): Promise<JudgedValidator[]> {
  if (judged.length < BAR_FROM) return verifyFiles(judged, () => undefined);
  const bar = new ProgressBar("Verified", judged.length, progress);
  try {
    return await verifyFiles(judged, (count) => {
      bar.advance(count);
    });
  } finally {
    bar.end();
  }
}

interface Known {
  readonly terms: FileTerms;
  readonly state: ReadState | null;
}

async function termsOf(
  found: readonly FoundValidator[],
  options: InspectOptions,
  config: Config | null,
  chain: PoolChain | null,
): Promise<Known> {
  const { operatorsFile, withdrawalVault, network, genesisForkVersion, amount: amountGwei = DEPOSIT_GWEI } = options;
  const listed = operatorsFile === undefined ? null : await readOperators(operatorsFile);
  if (chain !== null) return termsOnChain(found, options, config, chain, listed, amountGwei);
  const named = network === undefined && genesisForkVersion === undefined ? null : await networkOf(options, null);
  return {
    terms: {
      account: options.account ?? null,
      firstNonce: options.nonce === undefined ? null : BigInt(options.nonce),
      withdrawalCredentials: withdrawalVault === undefined ? null : withdrawalCredentials(withdrawalVault),
      networkName: named?.networkName ?? null,
      genesisForkVersion: named?.genesisForkVersion ?? null,
      amountGwei,
      operators:
        listed === null
          ? null
          : new Map(
              listed.map(({ id, publicKeyPem }) => [
                id,
                { operatorId: id, publicKey: encodeOperatorKey(publicKeyPem), removed: false },
              ]),
            ),
    },
    state: null,
  };
}

async function termsOnChain(
  found: readonly FoundValidator[],
  options: InspectOptions,
  config: Config | null,
  chain: PoolChain,
  listed: readonly OperatorKey[] | null,
  amountGwei: bigint,
): Promise<Known> {
  const terms = await poolTerms(options, chain);
  const { genesisForkVersion, networkName } = terms;
  const keys = new Set(found.flatMap(({ publicKey }) => publicKey ?? []));
  const state = await readChainState(chain, terms, keys, config);
  const { registry, operators } = state.view;
  const account = accountFor(found, registry, options.account ?? null);
  if (options.account !== undefined && account === null) {
    throw new KeysError("OptionMismatch", `--account: ${options.account} is no account of the pool.`, {
      account: options.account,
    });
  }
  await assertSameOperators(found, chain, state.view, listed);
  const given = options.nonce === undefined ? null : BigInt(options.nonce);
  return {
    terms: {
      account: account?.address ?? null,
      firstNonce: given ?? (account === null ? null : nextNonce(account, state.view)),
      withdrawalCredentials: terms.withdrawalCredentials,
      // a network of which nobody knows has any name
      networkName: publicNetworksOf(genesisForkVersion).includes(networkName) ? networkName : null,
      genesisForkVersion,
      amountGwei,
      operators,
    },
    state,
  };
}

/** The operators' keys decide who can read the shares, and no signature vouches for them: all who tell them must agree. */
async function assertSameOperators(
  found: readonly FoundValidator[],
  chain: PoolChain,
  { operators, head }: ReadState["view"],
  listed: readonly OperatorKey[] | null,
): Promise<void> {
  const used = new Set(found.flatMap(({ shares }) => shares?.operators.map(({ id }) => id) ?? []));
  const known = [...used].sort(byId).flatMap((id): OperatorKey[] => {
    const operator = operators.get(id);
    const publicKeyPem = operator === undefined || operator.removed ? null : operatorPem(operator);
    return publicKeyPem === null ? [] : [{ id, publicKeyPem }];
  });
  const ids = known.map(({ id }) => id);
  if (listed !== null) {
    const inFile = listed.filter(({ id }) => ids.includes(id));
    const onChain = known.filter(({ id }) => inFile.some((operator) => operator.id === id));
    sameOperators(onChain, inFile, "the chain and the file");
  }
  if (chain.executionUrls.length > 1 && ids.length > 0) {
    sameOperators(known, await operatorsFromAll(chain, ids, head.number), "the execution nodes");
  }
}

const byId = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

function notChecked(
  { shares, deposits, proofs }: KeyFiles,
  found: readonly FoundValidator[],
  options: InspectOptions,
  terms: FileTerms,
  state: ReadState | null,
): string[] {
  const lines: string[] = [];
  const told = (read: (validator: FoundValidator) => string | null | undefined): string =>
    [...new Set(found.flatMap((validator) => read(validator) ?? []))].join(", ") || "nothing";
  if (deposits === null) lines.push("deposits: no deposit data was named");
  else {
    if (terms.withdrawalCredentials === null) {
      const credentials = told(({ deposit }) => deposit?.withdrawalCredentials);
      lines.push(`whether the credentials are the pool's: the files say ${credentials} (--withdrawal-vault)`);
    }
    if (terms.genesisForkVersion === null) {
      lines.push(
        `whether the network is the pool's: the files say ${told(({ deposit }) => deposit?.networkName)} (--network)`,
      );
    }
  }
  if (shares === null) lines.push("shares: no KeyShares were named");
  else {
    if (terms.account === null) {
      const owners = told((validator) => validator.shares?.ownerAddress);
      lines.push(`whether the account is the pool's: the files say ${owners} (--account)`);
    }
    lines.push(...notCheckedNonces(found, options, terms, state));
    if (terms.operators === null) lines.push("whether the operators' keys are those of SSV Network (--operators-file)");
    if (proofs === null) lines.push("whether shares decrypt: without DKG proofs each operator alone can tell");
  }
  if (state === null) {
    lines.push("whether keys were used before, in the pool, in SSV Network or on the beacon chain (--config)");
  } else if (state.beacon === null) {
    lines.push("whether somebody deposited for the keys before: no beacon node is named, or none has a final block");
  }
  return lines;
}

function notCheckedNonces(
  found: readonly FoundValidator[],
  { nonce }: InspectOptions,
  { firstNonce, account }: FileTerms,
  state: ReadState | null,
): string[] {
  const isUnowned = found.some(({ shares }) => shares !== null && shares.ownerNonce === null);
  if (firstNonce === null || account === null) {
    const signatures = isUnowned ? "; nor the signatures over it where a file leaves it out (ssv-keys 1.0)" : "";
    return [`whether the owner nonce is the account's next${signatures} (--nonce)`];
  }
  if (state === null) return ["whether the owner nonce given is the account's next (--config)"];
  const owner = [...state.view.registry.accounts.values()].find(({ address }) => address === account);
  const next = owner === undefined ? null : nextNonce(owner, state.view);
  return nonce === undefined || next === null || BigInt(nonce) === next
    ? []
    : [`whether the owner nonce given comes next: the account is at ${next} now`];
}
