import { readFileSync, statSync } from "node:fs";
import Table from "cli-table3";
import { Command } from "commander";
import { formatEther, JsonRpcProvider, Wallet } from "ethers";
import { checkChain, deployPool, type StepReport } from "./deploy.js";
import { DeployError } from "./errors.js";
import { readParameters } from "./parameters.js";
import { planDeployment } from "./plan.js";
import { readState } from "./state.js";
import { type RoleHolder, roleHolders } from "./roles.js";
import { currentRoleHolders } from "./verify.js";

interface Options {
  parameters: string;
  rpc: string;
  keyFile: string;
  state?: string;
  dryRun?: true;
}

/** The deployment from the command line. `print` takes one text at a time. */
export async function runDeploy(argv: readonly string[], print: (text: string) => void): Promise<void> {
  const program = new Command("deploy")
    .description("Deploys the pool, gives its roles away and checks the result. May be stopped and run again.")
    .requiredOption("--parameters <file>", "parameters, see deploy/parameters/")
    .requiredOption("--rpc <url>", "JSON-RPC of an execution node")
    .requiredOption("--key-file <file>", "private key of the deployer, hex, readable by its owner alone")
    .option("--state <file>", "what was sent so far (default: deployment-<chain id>.json)")
    .option("--dry-run", "check and show what would be sent, send nothing")
    .configureOutput({ writeOut: print, writeErr: print })
    .exitOverride();
  const options = program.parse(argv, { from: "user" }).opts<Options>();
  const parameters = readParameters(options.parameters);
  const stateFile = options.state ?? `deployment-${parameters.chainId}.json`;
  const provider = new JsonRpcProvider(options.rpc, undefined, {
    staticNetwork: true,
    cacheTimeout: -1,
    batchMaxCount: 1,
  });
  provider.pollingInterval = 1_000;
  try {
    const deployer = new Wallet(readKey(options.keyFile), provider);
    await checkChain(provider, parameters);
    if (options.dryRun === true) {
      const begun = readState(stateFile);
      const firstNonce = begun?.firstNonce ?? (await provider.getTransactionCount(deployer.address));
      const plan = await planDeployment(parameters, deployer.address, firstNonce);
      const done = begun?.steps.length ?? 0;
      for (const [i, { title, valueWei }] of plan.steps.entries()) {
        const value = valueWei === 0n ? "" : `, with ${formatEther(valueWei)} ETH`;
        print(`${i + 1}/${plan.steps.length} ${i < done ? "sent before" : "to send"}: ${title}${value}`);
      }
      print(addressTable(plan.addresses));
      print(roleTable(roleHolders(parameters)));
      print("Dry run: nothing was sent.");
      return;
    }
    const onStep = ({ index, count, step, outcome, transactionHash }: StepReport): void => {
      print(`${index + 1}/${count} ${outcome}: ${step.title} (${transactionHash})`);
    };
    const deployment = await deployPool(deployer, parameters, { stateFile, onStep });
    print(addressTable(deployment.addresses));
    print(roleTable(await currentRoleHolders(provider, deployment)));
    print(`Deployed in block ${deployment.block}. The deployer ${deployment.deployer} holds no right any more.`);
  } finally {
    provider.destroy();
  }
}

function addressTable(addresses: Readonly<Record<string, string>>): string {
  const table = new Table({ head: ["contract", "address"], style: { head: [], border: [] } });
  table.push(...Object.entries(addresses));
  return table.toString();
}

function roleTable(holders: readonly RoleHolder[]): string {
  const table = new Table({ head: ["role", "holder", "delay"], style: { head: [], border: [] } });
  table.push(...holders.map(({ role, holder, delaySeconds }) => [role, holder, `${delaySeconds} s`]));
  return table.toString();
}

function readKey(file: string): string {
  const refuse = (why: string, cause?: unknown) =>
    new DeployError("DEPLOYER_UNFIT", `--key-file ${file}: ${why}.`, { file }, cause);
  let text: string;
  try {
    if ((statSync(file).mode & 0o077) !== 0)
      throw refuse("other users of this machine can read it; run chmod 600 on it");
    text = readFileSync(file, "utf8").trim();
  } catch (cause) {
    if (cause instanceof DeployError) throw cause;
    throw refuse("cannot be read", cause);
  }
  if (!/^(0x)?[0-9a-fA-F]{64}$/.test(text)) throw refuse("holds no private key (32 bytes in hex)");
  return text.startsWith("0x") ? text : `0x${text}`;
}
