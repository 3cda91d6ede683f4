import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Metrics } from "../ops/metrics.js";
import type { ServiceLogger } from "../ops/logging.js";
import { signedMessageSchema } from "./messages.js";
import type { SignatureStore } from "./store.js";

export const SIGNATURES_PATH = "/v1/signatures";
/** A report with 128 validators that leave and 128 that are gone is under 4 kB. */
const BODY_LIMIT = 128 * 1024;
/** In one request. */
export const MAX_MESSAGES = 64;

/** Of one request. A member sends only what it signed itself; to recover each signer of a stranger's request costs 3 ms. */
const MAX_STRANGERS = 2;

const body = z.strictObject({ messages: z.array(signedMessageSchema).min(1).max(MAX_MESSAGES) });

/** What a collector answers: one result for each message, in order. */
export const answerSchema = z.object({ results: z.array(z.string()) });

/** Accepts signatures from members; each is judged by itself, so one that is outdated does not cost the others. */
export function registerCollector(
  app: FastifyInstance,
  store: SignatureStore,
  metrics: Metrics,
  logger: ServiceLogger,
): void {
  app.post(SIGNATURES_PATH, { bodyLimit: BODY_LIMIT }, async (request, reply) => {
    const parsed = body.safeParse(request.body);
    if (!parsed.success) {
      metrics.signaturesReceived.inc({ result: "Malformed" });
      const problems = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
      return reply.status(400).send({ error: "Malformed", problems });
    }
    let strangers = 0;
    const results = parsed.data.messages.map((message) => {
      if (strangers === MAX_STRANGERS) {
        metrics.signaturesReceived.inc({ result: "NotJudged" });
        return "NotJudged";
      }
      const added = store.add(message);
      const result = added.kept ? "Kept" : added.reason;
      if (result === "BadSignature" || result === "NotAMember") strangers += 1;
      metrics.signaturesReceived.inc({ result });
      if (!added.kept && added.reason === "AnotherReportSigned") {
        logger.alert(
          { message: message.kind, refSlot: "refSlot" in message.message ? message.message.refSlot : undefined },
          "a member signed two different reports for one reference slot",
        );
      }
      return result;
    });
    return reply.send({ results });
  });
}
