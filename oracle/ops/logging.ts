import { pino, type DestinationStream, type Logger } from "pino";
import { PoolError } from "../errors.js";

export type { Logger } from "pino";

export const LOG_LEVELS = ["fatal", "alert", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type ServiceLogger = Logger<"alert">;

/** Between pino's error (50) and fatal (60): somebody is attacking, or a validator of ours is lost; a person must look now. */
const ALERT = 55;

/** Anything that could hold a secret, wherever it stands in a record. */
const SECRETS = ["key", "keys", "privateKey", "secretKey", "password", "mnemonic", "authorization"];

export function createLogger(level: LogLevel, destination?: DestinationStream): ServiceLogger {
  const options = {
    level,
    customLevels: { alert: ALERT },
    base: undefined,
    redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: "[secret]" },
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: describeError },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** URLs of nodes often carry a token: only the origin may be shown. */
export function publicUrl(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : "(not a URL)";
}

/** What a log line says of an error: typed ones by their code and facts, others by their message. */
export function describeError(error: unknown): Record<string, unknown> {
  if (error instanceof PoolError) {
    const cause = error.cause === undefined ? {} : { cause: describeError(error.cause) };
    return { name: error.name, code: error.code, message: error.message, meta: toPlain(error.meta), ...cause };
  }
  if (error instanceof Error) return { name: error.name, message: error.message, stack: error.stack };
  return { message: String(error) };
}

/** JSON has no bigint: amounts are written as decimal strings. */
function toPlain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, item: unknown) => (typeof item === "bigint" ? item.toString() : item)),
  ) as unknown;
}
