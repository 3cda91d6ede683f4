import type { FastifyInstance } from "fastify";
import { PoolError } from "../oracle/errors.js";
import type { Devnet } from "./devnet.js";

interface ControlRequest {
  Querystring: Record<string, string | undefined>;
}

/** `POST /devnet/...` beside the Beacon API, for a person with curl. Arguments are query parameters, answers the new head. */
export function addControls(app: FastifyInstance, devnet: Devnet): void {
  const control = (name: string, run: (argument: (key: string, fallback?: number) => number) => unknown): void => {
    app.post<ControlRequest>(`/devnet/${name}`, async (request, reply) => {
      try {
        await run((key, fallback) => integer(key, request.query[key], fallback));
        return { slot: devnet.slot, head: devnet.chain.head.root, finalizedEpoch: devnet.chain.finalized.epoch };
      } catch (error) {
        if (!(error instanceof PoolError)) throw error;
        return reply.status(400).send({ code: 400, message: error.message });
      }
    });
  };
  control("advance", (argument) => devnet.advance(argument("slots", 1)));
  control("skip", async (argument) => {
    for (let left = argument("slots", 1); left > 0; left--) await devnet.skipSlot();
  });
  control("stop-operator", (argument) => {
    devnet.operators.stop(argument("id"));
  });
  control("start-operator", (argument) => {
    devnet.operators.start(argument("id"));
  });
  control("slash", (argument) => devnet.slash(argument("validator")));
}

function integer(key: string, value: string | undefined, fallback: number | undefined): number {
  const parsed = value === undefined ? fallback : Number(value);
  if (parsed === undefined || !Number.isSafeInteger(parsed) || parsed < 0) {
    throw new PoolError("DEVNET_INVALID", `?${key}= must be a whole number, e.g. ?${key}=1`);
  }
  return parsed;
}
