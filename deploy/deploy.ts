import {
  BaseWallet,
  formatEther,
  isError,
  keccak256,
  type Provider,
  type Signer,
  type TransactionReceipt,
  type TransactionResponse,
} from "ethers";
import { DeployError } from "./errors.js";
import type { Parameters } from "./parameters.js";
import { type Addresses, type Plan, planDeployment, type Step } from "./plan.js";
import { type DeploymentState, readState, type StepRecord, writeState } from "./state.js";
import { verifyDeployment } from "./verify.js";

/** EIP-4788; without it no report could ever be accepted. */
const BEACON_ROOTS = "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02";
/** Gas of the whole deployment, generously, for the check that the deployer can pay for it. */
const DEPLOYMENT_GAS = 40_000_000n;

export interface Deployment {
  chainId: number;
  deployer: string;
  addresses: Addresses;
  /** Of the first transaction: no event of the pool is older. */
  block: number;
}

export interface StepReport {
  index: number;
  count: number;
  step: Step;
  /** `found`: an earlier run had sent it. */
  outcome: "sent" | "mined" | "found";
  transactionHash: string;
}

export interface DeployOptions {
  /** Makes the deployment resumable. Without it a run that breaks off has to start anew. */
  stateFile?: string;
  onStep?: (report: StepReport) => void;
  /** Waits for a transaction to be mined; where blocks are made on demand this is where they are made. */
  confirm?: (transaction: TransactionResponse) => Promise<TransactionReceipt | null>;
}

interface Run {
  readonly signer: Signer;
  readonly provider: Provider;
  readonly plan: Plan;
  readonly state: DeploymentState;
  readonly save: () => void;
  readonly report: (index: number, outcome: StepReport["outcome"], transactionHash: string) => void;
  readonly confirm: (transaction: TransactionResponse) => Promise<TransactionReceipt | null>;
}

/**
 * Deploys the pool, or what is left of it, gives its roles away and checks the result. Between any two transactions it may be
 * killed and run again with the same state file.
 */
export async function deployPool(
  signer: Signer,
  parameters: Parameters,
  options: DeployOptions = {},
): Promise<Deployment> {
  const { stateFile, onStep, confirm = waitMined } = options;
  const provider = signer.provider;
  if (provider === null) throw new DeployError("DEPLOYER_UNFIT", "The deployer must be connected to a node.");
  const deployer = await signer.getAddress();
  await checkChain(provider, parameters);
  checkDeployer(deployer, parameters);

  const found = stateFile === undefined ? null : readState(stateFile);
  const firstNonce = found?.firstNonce ?? (await unusedNonce(provider, deployer));
  const plan = await planDeployment(parameters, deployer, firstNonce);
  const fresh = { chainId: parameters.chainId, deployer, firstNonce, planDigest: plan.digest, steps: [] };
  const state: DeploymentState = found ?? fresh;
  checkState(state, fresh, stateFile);
  if (found === null) await checkBalance(provider, deployer, plan);

  const run: Run = {
    ...{ signer, provider, plan, state, confirm },
    save: () => {
      if (stateFile !== undefined) writeState(stateFile, state);
    },
    report: (index, outcome, transactionHash) => {
      const step = plan.steps[index];
      if (step !== undefined) onStep?.({ index, count: plan.steps.length, step, outcome, transactionHash });
    },
  };
  run.save();
  await resume(run);
  for (const [index, step] of plan.steps.entries()) {
    if (index >= state.steps.length) await execute(run, index, step);
  }

  const deployment = {
    chainId: parameters.chainId,
    deployer,
    addresses: plan.addresses,
    block: state.steps[0]?.block ?? 0,
  };
  await verifyDeployment(provider, deployment, parameters);
  return deployment;
}

const waitMined = (transaction: TransactionResponse): Promise<TransactionReceipt | null> => transaction.wait();

async function chainIdOf(provider: Provider): Promise<bigint> {
  try {
    return (await provider.getNetwork()).chainId;
  } catch (cause) {
    // the long form of ethers' messages holds the URL, and often a token with it
    const why = isError(cause, "SERVER_ERROR") ? cause.shortMessage : cause instanceof Error ? cause.message : "";
    throw new DeployError("NODE_UNREACHABLE", `The execution node does not answer (${why}): check its URL.`, {}, cause);
  }
}

/** The chain is the one meant, and what the pool stands on is there. */
export async function checkChain(provider: Provider, parameters: Parameters): Promise<void> {
  const chainId = await chainIdOf(provider);
  if (chainId !== BigInt(parameters.chainId)) {
    throw new DeployError(
      "WRONG_CHAIN",
      `The node is of chain ${chainId}, the parameters are for chain ${parameters.chainId}: use the right node or file.`,
      { chainId },
    );
  }
  const needed = {
    depositContract: parameters.depositContract,
    "ssv.network": parameters.ssv.network,
    "ssv.views": parameters.ssv.views,
    "EIP-4788": BEACON_ROOTS,
  };
  for (const [name, address] of Object.entries(needed)) {
    if ((await provider.getCode(address)) === "0x") {
      throw new DeployError("WRONG_CHAIN", `${name}: there is no contract at ${address} on chain ${chainId}.`, {
        name,
        address,
      });
    }
  }
}

/** The deployer keeps nothing, so it must not be anybody who is given something. */
function checkDeployer(deployer: string, parameters: Parameters): void {
  const roles = { "governance.address": parameters.governance.address, poolOperator: parameters.poolOperator };
  for (const [name, address] of Object.entries(roles)) {
    if (address === deployer) {
      throw new DeployError(
        "DEPLOYER_UNFIT",
        `${name} is the deploying account ${deployer}, which gives up every right: deploy from another one.`,
        { name, deployer },
      );
    }
  }
}

async function checkBalance(provider: Provider, deployer: string, plan: Plan): Promise<void> {
  const { maxFeePerGas, gasPrice } = await provider.getFeeData();
  const gas = DEPLOYMENT_GAS * (gasPrice ?? maxFeePerGas ?? 0n);
  const needed = plan.steps.reduce((sum, { valueWei }) => sum + valueWei, gas);
  const balance = await provider.getBalance(deployer);
  if (balance < needed) {
    throw new DeployError(
      "DEPLOYER_UNFIT",
      `The deployer ${deployer} has ${formatEther(balance)} ETH; the deployment may take ${formatEther(needed)} ETH: send it the rest.`,
      { deployer, balance, needed },
    );
  }
}

async function unusedNonce(provider: Provider, deployer: string): Promise<number> {
  const [mined, pending] = await Promise.all([
    provider.getTransactionCount(deployer, "latest"),
    provider.getTransactionCount(deployer, "pending"),
  ]);
  if (mined !== pending) {
    throw new DeployError(
      "NONCE_MOVED",
      `The deployer ${deployer} has ${pending - mined} transactions in flight: run again when they are mined.`,
      { deployer, mined, pending },
    );
  }
  return mined;
}

function checkState(found: DeploymentState, expected: DeploymentState, file: string | undefined): void {
  for (const [key, what] of [
    ["chainId", "chain"],
    ["deployer", "deployer"],
    ["planDigest", "set of parameters or version of the code"],
  ] as const) {
    if (found[key] !== expected[key]) {
      throw new DeployError(
        "STATE_INVALID",
        `The state file ${file ?? ""} is of another ${what} (${found[key]}, now ${expected[key]}): finish with what it was ` +
          `begun with, or name another file to start a new deployment.`,
        { found: found[key], expected: expected[key] },
      );
    }
  }
}

/** Holds every recorded transaction against the chain, and drops the last record if its transaction never left. */
async function resume(run: Run): Promise<void> {
  const { state, plan, provider } = run;
  const last = state.steps.length - 1;
  for (const [index, record] of state.steps.entries()) {
    const step = plan.steps[index];
    if (step?.id !== record.id) throw foreign(index, record, "the state file's steps are out of order");
    const transaction = await provider.getTransaction(record.transactionHash);
    if (transaction === null && index === last && record.block === undefined) {
      state.steps.pop();
      break;
    }
    if (transaction === null) throw foreign(index, record, "the chain does not know its transaction");
    const sent = { from: plan.deployer, nonce: plan.firstNonce + index, to: step.to, data: step.data };
    for (const [key, value] of Object.entries(sent)) {
      if (transaction[key as keyof typeof sent] !== value) {
        throw foreign(index, record, `its transaction has another ${key}`);
      }
    }
    await settle(run, index, step, record, transaction);
    run.report(index, "found", record.transactionHash);
  }
  run.save();
}

async function execute(run: Run, index: number, step: Step): Promise<void> {
  const { provider, plan, state, signer } = run;
  const nonce = plan.firstNonce + index;
  const next = await provider.getTransactionCount(plan.deployer, "pending");
  if (next !== nonce) {
    throw new DeployError(
      "NONCE_MOVED",
      `Step ${index + 1}, ${step.id}, needs nonce ${nonce} of the deployer ${plan.deployer}, whose next one is ${next}: it was used ` +
        `elsewhere meanwhile and the planned addresses are lost. Start a new deployment with another state file.`,
      { step: step.id, nonce, next },
    );
  }
  const request = { to: step.to, data: step.data, value: step.valueWei, nonce };
  let transaction: TransactionResponse;
  const record = (transactionHash: string): void => {
    state.steps.push({ id: step.id, transactionHash });
    run.save();
  };
  try {
    if (signer instanceof BaseWallet) {
      // recorded before it leaves, so that a death in between is recognised
      const raw = await signer.signTransaction(await signer.populateTransaction(request));
      record(keccak256(raw));
      transaction = await provider.broadcastTransaction(raw);
    } else {
      transaction = await signer.sendTransaction(request);
      record(transaction.hash);
    }
  } catch (cause) {
    throw failed(index, step, cause);
  }
  run.report(index, "sent", transaction.hash);
  const mined = state.steps[index];
  if (mined === undefined) throw new Error(`step ${step.id} was not recorded`);
  await settle(run, index, step, mined, transaction);
  run.report(index, "mined", transaction.hash);
}

/** Waits until the step is mined and holds its result against the plan and against what an earlier run saw. */
async function settle(
  run: Run,
  index: number,
  step: Step,
  record: StepRecord,
  transaction: TransactionResponse,
): Promise<void> {
  const { provider } = run;
  let receipt = await provider.getTransactionReceipt(transaction.hash);
  try {
    receipt ??= await run.confirm(transaction);
  } catch (cause) {
    throw failed(index, step, cause);
  }
  if (receipt === null) throw failed(index, step, `transaction ${transaction.hash} was not mined`);
  if (receipt.status !== 1) throw failed(index, step, `transaction ${transaction.hash} reverted`);
  if (step.creates !== null) {
    const code = await provider.getCode(step.creates);
    if (receipt.contractAddress !== step.creates || code === "0x") {
      throw foreign(index, record, `there is no code of ours at ${step.creates}`);
    }
    const codeHash = keccak256(code);
    if (record.codeHash !== undefined && record.codeHash !== codeHash) {
      throw foreign(index, record, `the code at ${step.creates} is not what was deployed`);
    }
    record.codeHash = codeHash;
  }
  record.block = receipt.blockNumber;
  run.save();
}

function foreign(index: number, record: StepRecord, why: string): DeployError {
  return new DeployError(
    "FOREIGN_CODE",
    `Step ${index + 1}, ${record.id}, is not ours: ${why}. Is this the node, and the state file, of this deployment?`,
    { step: record.id, transactionHash: record.transactionHash },
  );
}

function failed(index: number, step: Step, cause: unknown): DeployError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DeployError(
    "TRANSACTION_FAILED",
    `Step ${index + 1}, ${step.id} (${step.title}), failed: ${why}. Run again with the same state file; if it fails again, ` +
      `mend the cause and start a new deployment with another one.`,
    { step: step.id },
    cause,
  );
}
