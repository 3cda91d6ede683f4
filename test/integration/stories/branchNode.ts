import fastify from "fastify";
import { toQuantity } from "ethers";

export interface BranchNode {
  readonly url: string;
  /** Hash of the block in whose place the node has another one; null while it follows the chain. */
  replaced: string | null;
  close(): Promise<void>;
}

/** An execution node that may follow a branch: one block there has another hash, and an account a wei more in it. */
export async function startBranchNode(honestUrl: string, account: string): Promise<BranchNode> {
  const app = fastify({ forceCloseConnections: true });
  const otherHash = (hash: string): string => hash.replace(/^0x..../, "0xb0b0");
  app.post("/", async (request, reply) => {
    const { method, params } = request.body as { method: string; params: unknown[] };
    const asked = JSON.stringify(request.body);
    const { replaced } = node;
    const body = replaced === null ? asked : asked.replaceAll(otherHash(replaced), replaced);
    const headers = { "content-type": "application/json" };
    const text = await (await fetch(honestUrl, { method: "POST", headers, body })).text();
    void reply.type("application/json");
    if (replaced === null) return text;
    const answer = JSON.parse(text.replaceAll(replaced, otherHash(replaced))) as Record<string, unknown>;
    const isRicher = method === "eth_getBalance" && String(params[0]).toLowerCase() === account.toLowerCase();
    return isRicher ? { ...answer, result: toQuantity(BigInt(String(answer["result"])) + 1n) } : answer;
  });
  const node = {
    url: await app.listen({ host: "127.0.0.1", port: 0 }),
    replaced: null as string | null,
    close: () => app.close(),
  };
  return node;
}
