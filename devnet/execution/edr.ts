import { network } from "hardhat";

/** Ordered JSON-RPC to the node itself, past the lock and past every guard. */
export interface ExecutionNode {
  request(method: string, params?: unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

export interface ExecutionNodeOptions {
  chainId: number;
  genesisTime: number;
  mnemonic: string;
  accounts: number;
  accountBalanceWei: bigint;
}

/**
 * Hardhat's own node (EDR), in this process, on Osaka rules; it mines only when the consensus layer asks. It belongs to
 * the running Hardhat environment, so Solidity stack traces and coverage work in everything that runs on the devnet.
 */
export async function startExecutionNode(options: ExecutionNodeOptions): Promise<ExecutionNode> {
  const connection = await network.create({
    network: "osaka",
    override: {
      chainId: options.chainId,
      networkId: options.chainId,
      initialDate: new Date(options.genesisTime * 1000),
      blockGasLimit: 60_000_000n,
      initialBaseFeePerGas: 1_000_000_000n,
      allowBlocksWithSameTimestamp: false,
      throwOnTransactionFailures: false,
      mining: { auto: false, interval: 0, mempool: { order: "priority" } },
      accounts: {
        mnemonic: options.mnemonic,
        count: options.accounts,
        accountsBalance: options.accountBalanceWei,
      },
    },
  });
  return {
    request: (method, params = []) => connection.provider.request({ method, params }),
    close: () => connection.close(),
  };
}
