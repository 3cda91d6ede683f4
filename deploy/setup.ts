import type { ContractTransactionResponse, Signer, TransactionReceipt, TransactionResponse } from "ethers";
import { ValidatorRegistry__factory } from "../types/ethers-contracts/index.js";
import type { Deployment } from "./deploy.js";
import { DeployError } from "./errors.js";

export interface NewCluster {
  operatorIds: readonly bigint[];
  requireDkg: boolean;
  /** Most validators it may run. */
  cap: number;
}

export interface Lane {
  accountId: bigint;
  /** The SSVAccount: owner of the clusters in SSV. */
  ssvAccount: string;
  /** In the order asked for. */
  clusterIds: bigint[];
}

/** Adds an account and its clusters, as a governance without delay; with a delay these calls are scheduled one by one. */
export async function addAccountAndClusters(
  governance: Signer,
  deployment: Deployment,
  clusters: readonly NewCluster[],
  confirm: (transaction: TransactionResponse) => Promise<TransactionReceipt | null> = (transaction) =>
    transaction.wait(),
): Promise<Lane> {
  const registry = ValidatorRegistry__factory.connect(deployment.addresses.registry, governance);
  const mined = async (sent: Promise<ContractTransactionResponse>): Promise<void> => {
    const receipt = await confirm(await sent);
    if (receipt?.status !== 1) {
      throw new DeployError("TRANSACTION_FAILED", `Transaction ${receipt?.hash ?? "?"} of governance was not mined.`);
    }
  };
  await mined(registry.addAccount());
  const { accounts: accountId } = await registry.counts();
  const clusterIds: bigint[] = [];
  for (const { operatorIds, requireDkg, cap } of clusters) {
    await mined(registry.addCluster(accountId, [...operatorIds], requireDkg, cap));
    clusterIds.push((await registry.counts()).clusters);
  }
  const { account: ssvAccount } = await registry.account(accountId);
  return { accountId, ssvAccount, clusterIds };
}
