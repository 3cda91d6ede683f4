import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Metrics } from "../ops/metrics.js";
import type { ServiceLogger } from "../ops/logging.js";
import { messageToJson, signedMessageSchema, type SignedMessage } from "./messages.js";
import type { SignatureStore } from "./store.js";

export const SIGNATURES_PATH = "/v1/signatures";
/** A report with 128 validators that leave and 128 that are gone is under 4 kB. */
const BODY_LIMIT = 128 * 1024;
/** In one request. */
export const MAX_MESSAGES = 64;

/** Of one request. A member sends only what it signed itself; to recover each signer of a stranger's request costs 3 ms. */
const MAX_STRANGERS = 2;

const body = z.strictObject({ messages: z.array(signedMessageSchema).min(1).max(MAX_MESSAGES) });

/** More members than any set has. */
const MAX_OPPOSING = 64;

/**
 * What a collector answers: one result for each message, in order, and the reports of other members that say something else than one
 * that it kept. Members only push: this is how one learns that it is alone, and with which figure.
 */
export const answerSchema = z.object({
  results: z.array(z.string()),
  opposing: z.array(signedMessageSchema).max(MAX_OPPOSING).default([]),
});

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
    const opposing: SignedMessage[] = [];
    const results = parsed.data.messages.map((message) => {
      if (strangers === MAX_STRANGERS) {
        metrics.signaturesReceived.inc({ result: "NotJudged" });
        return "NotJudged";
      }
      const added = store.add(message);
      const result = added.kept ? "Kept" : added.reason;
      if (result === "BadSignature" || result === "NotAMember") strangers += 1;
      metrics.signaturesReceived.inc({ result });
      if (added.kept) opposing.push(...store.opposing(message));
      if (!added.kept && added.reason === "AnotherReportSigned") {
        logger.alert(
          { message: message.kind, refSlot: "refSlot" in message.message ? message.message.refSlot : undefined },
          "a member signed two different reports for one reference slot",
        );
      }
      return result;
    });
    return reply
      .type("application/json")
      .send(
        messageToJson({ results, ...(opposing.length === 0 ? {} : { opposing: opposing.slice(0, MAX_OPPOSING) }) }),
      );
  });
}
