import type { JsonRpcServer } from "hardhat/types/network";
import { network } from "hardhat";
import { JsonRpcProvider, JsonRpcSigner } from "ethers";
import { FailoverProvider } from "../../../oracle/execution/provider.js";
import { createLogger } from "../../../oracle/ops/logging.js";

/** Hardhat's node over HTTP, with the provider of the services and one that controls the chain. */
export interface LocalNode {
  readonly url: string;
  readonly provider: FailoverProvider;
  readonly control: JsonRpcProvider;
  readonly accounts: readonly JsonRpcSigner[];
  send(method: string, ...params: unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

export const CHAIN_ID = 31_337;

export async function startNode(): Promise<LocalNode> {
  const server: JsonRpcServer = await network.createServer("osaka", "127.0.0.1", 0);
  const { address, port } = await server.listen();
  const url = `http://${address}:${port}`;
  const provider = new FailoverProvider([url], CHAIN_ID, createLogger("silent"));
  const control = new JsonRpcProvider(url, CHAIN_ID, {
    staticNetwork: true,
    cacheTimeout: -1,
    batchMaxCount: 1,
    pollingInterval: 20,
  });
  return {
    url,
    provider,
    control,
    accounts: await control.listAccounts(),
    send: (method, ...params) => control.send(method, params),
    async close() {
      provider.destroy();
      control.destroy();
      await server.close();
    },
  };
}
