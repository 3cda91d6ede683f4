import axios from "axios";
import type { Metrics } from "../ops/metrics.js";
import { publicUrl, type ServiceLogger } from "../ops/logging.js";
import { answerSchema, MAX_MESSAGES, SIGNATURES_PATH } from "./collector.js";
import { messageToJson, type SignedMessage } from "./messages.js";

/** How a member's messages reach the keepers; resolves to the reports that, by their word, other members signed against them. */
export type SendSignatures = (messages: readonly SignedMessage[]) => Promise<readonly SignedMessage[]>;

const TIMEOUT_MS = 10_000;
/** Of one answer: as many reports as a collector may tell of, each with as many validators as it may name. */
const MAX_ANSWER_OCTETS = 512 * 1024;

/**
 * Sends messages to every collector. One that is down or refuses changes nothing for the others: members send what is still valid
 * again at every head, so a keeper that comes back has everything after one round.
 */
export async function pushSignatures(
  collectors: readonly string[],
  messages: readonly SignedMessage[],
  metrics: Metrics,
  logger: ServiceLogger,
): Promise<SignedMessage[]> {
  const told = await Promise.all(
    collectors.map(async (collector) => {
      const opposing: SignedMessage[] = [];
      for (let from = 0; from < messages.length; from += MAX_MESSAGES) {
        opposing.push(...(await pushSome(collector, messages.slice(from, from + MAX_MESSAGES), metrics, logger)));
      }
      return opposing;
    }),
  );
  return told.flat();
}

async function pushSome(
  collector: string,
  messages: readonly SignedMessage[],
  metrics: Metrics,
  logger: ServiceLogger,
): Promise<readonly SignedMessage[]> {
  const url = publicUrl(collector);
  try {
    const response = await axios.post<unknown>(new URL(SIGNATURES_PATH, collector).href, messageToJson({ messages }), {
      headers: { "content-type": "application/json" },
      timeout: TIMEOUT_MS,
      maxRedirects: 0,
      maxContentLength: MAX_ANSWER_OCTETS,
    });
    const { results, opposing } = answerSchema.parse(response.data);
    results.forEach((result, i) => {
      metrics.signaturesPushed.inc({ result });
      if (result !== "Kept") logger.warn({ url, kind: messages[i]?.kind, result }, "a collector refused a signature");
    });
    return opposing;
  } catch (error) {
    metrics.signaturesPushed.inc({ result: "Unreachable" });
    logger.warn({ url, error }, "a collector cannot be reached; the signatures are sent again at the next head");
    return [];
  }
}
