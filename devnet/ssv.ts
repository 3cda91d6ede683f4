import { readFile } from "node:fs/promises";
import path from "node:path";
import {
  type BytesLike,
  Contract,
  ContractFactory,
  type ContractTransactionReceipt,
  type ContractTransactionResponse,
  Interface,
  type Signer,
} from "ethers";
import { z } from "zod";
import { PoolError } from "../oracle/errors.js";
import {
  type ISSVNetwork,
  ISSVNetwork__factory,
  type ISSVNetworkViews,
  ISSVNetworkViews__factory,
  type SSVNetworkDouble,
  SSVNetworkDouble__factory,
  SSVNetworkViewsDouble__factory,
} from "../types/ethers-contracts/index.js";

export type SsvErrorCode =
  "SSV_ARTIFACT_UNREADABLE" | "SSV_ARTIFACT_INVALID" | "SSV_TRANSACTION_FAILED" | "SSV_OPERATOR_NOT_ADDED";

export class SsvError extends PoolError<SsvErrorCode> {
  override readonly name = "SsvError";
}

export interface SsvDeployment {
  network: ISSVNetwork;
  views: ISSVNetworkViews;
  /** The same contract as `network`, with its test controls; absent when real artifacts were deployed. */
  double?: SSVNetworkDouble;
}

export interface Mining {
  /** Makes a block of what has been sent. Leave out where blocks come by themselves. */
  mine?: () => Promise<void>;
}

export interface SsvOptions extends Mining {
  /** Folder of real SSV artifacts, see README-ssv.md; the environment's SSV_ARTIFACTS otherwise. */
  artifactsDir?: string;
}

export interface NewOperator {
  /** Bytes as nodes expect them: `abi.encode(string)` of the base64 PEM of the operator's RSA key. */
  publicKey: BytesLike;
  /** For each 32 ETH of effective balance; a multiple of 100,000. */
  feeWeiPerBlock: bigint;
}

/** Deploys SSV Network: the repository's double, or real artifacts where a folder of them is named. */
export async function deployOrLoadSsv(signer: Signer, options: SsvOptions = {}): Promise<SsvDeployment> {
  const artifactsDir = options.artifactsDir ?? process.env["SSV_ARTIFACTS"];
  if (artifactsDir !== undefined && artifactsDir !== "") return deployReal(signer, artifactsDir, options);
  const double = await new SSVNetworkDouble__factory(signer).deploy();
  await mined(double.deploymentTransaction(), options);
  const viewsDouble = await new SSVNetworkViewsDouble__factory(signer).deploy(await double.getAddress());
  await mined(viewsDouble.deploymentTransaction(), options);
  return {
    network: ISSVNetwork__factory.connect(await double.getAddress(), signer),
    views: ISSVNetworkViews__factory.connect(await viewsDouble.getAddress(), signer),
    double,
  };
}

/** Registers public operators of `signer`, in one block where blocks are made by hand; returns their ids in order. */
export async function registerOperators(
  network: ISSVNetwork,
  signer: Signer,
  operators: readonly NewOperator[],
  mining: Mining = {},
): Promise<bigint[]> {
  const connected = network.connect(signer);
  const sent: ContractTransactionResponse[] = [];
  for (const { publicKey, feeWeiPerBlock } of operators) {
    sent.push(await connected.registerOperator(publicKey, feeWeiPerBlock, false));
  }
  await mining.mine?.();
  const ids: bigint[] = [];
  for (const transaction of sent) ids.push(addedOperatorId(network, await mined(transaction, {})));
  return ids;
}

function addedOperatorId(network: ISSVNetwork, receipt: ContractTransactionReceipt): bigint {
  const topic = network.interface.getEvent("OperatorAdded").topicHash;
  const log = receipt.logs.find((candidate) => candidate.topics[0] === topic);
  if (log === undefined) {
    throw new SsvError(
      "SSV_OPERATOR_NOT_ADDED",
      `Transaction ${receipt.hash} added no operator. Check that ${receipt.to ?? "its target"} is SSV Network v2.`,
      { transaction: receipt.hash, target: receipt.to },
    );
  }
  return network.interface.decodeEventLog("OperatorAdded", log.data, log.topics).getValue("operatorId") as bigint;
}

async function mined(
  transaction: ContractTransactionResponse | null,
  mining: Mining,
): Promise<ContractTransactionReceipt> {
  await mining.mine?.();
  const receipt = await transaction?.wait();
  if (!receipt) {
    throw new SsvError(
      "SSV_TRANSACTION_FAILED",
      `SSV transaction ${transaction?.hash ?? ""} has no receipt. Check that the node keeps making blocks.`,
      { transaction: transaction?.hash },
    );
  }
  return receipt;
}

// ------------------------------------------------------------------------------------------------------ real artifacts

const artifactSchema = z.object({
  abi: z.array(z.looseObject({ type: z.string() })),
  bytecode: z.string().regex(/^0x([0-9a-fA-F]{2})+$/, "must be linked bytecode"),
});

interface Artifact {
  abi: Interface;
  bytecode: string;
}

const ARTIFACTS = [
  "Token",
  "ERC1967Proxy",
  "SSVNetwork",
  "SSVOperators",
  "SSVClusters",
  "SSVDAO",
  "SSVViews",
  "SSVOperatorsWhitelist",
  "SSVStaking",
  "SSVValidators",
  "SSVNetworkViews",
] as const;

type ArtifactName = (typeof ARTIFACTS)[number];

// The parameters of mainnet, which the double has too; those of the initialiser concern clusters that pay in SSV tokens.
const INITIALIZE = [
  100_240n, // liquidation threshold, blocks
  385_800_000_000_000_000n, // liquidation collateral
  1000n, // validators per operator
  604_800n, // declare period, seconds
  604_800n, // execute period, seconds
  1000n, // operator fee increase limit, bps
  [1n, 2n, 3n, 4n], // oracle ids
  7500n, // quorum, bps
] as const;

const DAO_CALLS: readonly (readonly [method: string, value: bigint])[] = [
  ["updateNetworkFee", 3_366_600_000n],
  ["updateLiquidationThresholdPeriod", 42_960n],
  ["updateMinimumLiquidationCollateral", 324_862_599_900_000n],
  ["updateMinimumOperatorEthFee", 10_000_000n],
  ["updateMaximumOperatorFee", 5_336_500_000n],
];

const LATER_MODULES: readonly (readonly [name: ArtifactName, moduleId: bigint])[] = [
  ["SSVOperatorsWhitelist", 4n],
  ["SSVStaking", 5n],
  ["SSVValidators", 6n],
];

async function deployReal(signer: Signer, artifactsDir: string, mining: Mining): Promise<SsvDeployment> {
  // everything is read before anything is sent
  const read = await Promise.all(
    ARTIFACTS.map(async (name) => [name, await readArtifact(artifactsDir, name)] as const),
  );
  const artifacts = Object.fromEntries(read) as Record<ArtifactName, Artifact>;

  const deploy = async (name: ArtifactName, args: readonly unknown[]): Promise<string> => {
    const { abi, bytecode } = artifacts[name];
    const contract = await new ContractFactory(abi, bytecode, signer).deploy(...args);
    await mined(contract.deploymentTransaction(), mining);
    return contract.getAddress();
  };
  const token = await deploy("Token", []);
  // implementations take the address of the cSSV token, if anything
  const deployModule = (name: ArtifactName): Promise<string> =>
    deploy(
      name,
      artifacts[name].abi.deploy.inputs.map(() => token),
    );
  const deployProxied = async (name: ArtifactName): Promise<Contract> =>
    new Contract(await deploy("ERC1967Proxy", [await deployModule(name), "0x"]), artifacts[name].abi, signer);
  const send = async (contract: Contract, method: string, args: readonly unknown[]): Promise<void> => {
    await mined(await contract.getFunction(method).send(...args), mining);
  };

  const network = await deployProxied("SSVNetwork");
  await send(network, "initialize", [
    token,
    await deployModule("SSVOperators"),
    await deployModule("SSVClusters"),
    await deployModule("SSVDAO"),
    await deployModule("SSVViews"),
    INITIALIZE,
  ]);
  for (const [name, moduleId] of LATER_MODULES) {
    await send(network, "updateModule", [moduleId, await deployModule(name)]);
  }
  for (const [method, value] of DAO_CALLS) await send(network, method, [value]);

  const views = await deployProxied("SSVNetworkViews");
  await send(views, "initialize", [await network.getAddress()]);
  return {
    network: ISSVNetwork__factory.connect(await network.getAddress(), signer),
    views: ISSVNetworkViews__factory.connect(await views.getAddress(), signer),
  };
}

async function readArtifact(artifactsDir: string, name: ArtifactName): Promise<Artifact> {
  const file = path.join(artifactsDir, `${name}.json`);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new SsvError(
      "SSV_ARTIFACT_UNREADABLE",
      `Cannot read ${file}. Put the Hardhat artifact of ${name} there (devnet/README-ssv.md), or name no folder to use the double.`,
      { file },
      cause,
    );
  }
  try {
    const { abi, bytecode } = artifactSchema.parse(JSON.parse(text));
    return { abi: new Interface(JSON.stringify(abi)), bytecode };
  } catch (cause) {
    throw new SsvError(
      "SSV_ARTIFACT_INVALID",
      `${file} is no Hardhat artifact with an abi and linked bytecode. Build ${name} again and copy its artifact there.`,
      { file },
      cause,
    );
  }
}
