import fastify, { type FastifyInstance } from "fastify";
import { toQuantity } from "ethers";

interface Asked {
  readonly id: number;
  readonly method: string;
  readonly params: unknown[];
}
type Told = Record<string, unknown>;
/** An execution node that passes everything on and changes some of the answers. */
export async function startExecutionNode(
  honestUrl: string,
  change: (asked: Asked, honest: Told) => Told,
): Promise<FastifyInstance> {
  const app = fastify({ forceCloseConnections: true });
  app.post("/", async (request) => {
    const body = JSON.stringify(request.body);
    const headers = { "content-type": "application/json" };
    const answer = (await (await fetch(honestUrl, { method: "POST", headers, body })).json()) as Told;
    return change(request.body as Asked, answer);
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  return app;
}

/** Says of one account that it has a wei more. */
export const overstating =
  (account: string) =>
  ({ method, params }: Asked, honest: Told): Told =>
    method === "eth_getBalance" && String(params[0]).toLowerCase() === account.toLowerCase()
      ? { ...honest, result: toQuantity(BigInt(String(honest["result"])) + 1n) }
      : honest;

/** Serves no proofs, as some providers do not. */
export const withoutProofs = ({ id, method }: Asked, honest: Told): Told =>
  method === "eth_getProof"
    ? { jsonrpc: "2.0", id, error: { code: -32601, message: "the method eth_getProof does not exist" } }
    : honest;
