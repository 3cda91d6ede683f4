import { createLogger, type ServiceLogger } from "../../../oracle/ops/logging.js";

export interface LogRecord {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A logger whose records can be read. */
export function recordingLogger(): { logger: ServiceLogger; records: LogRecord[] } {
  const records: LogRecord[] = [];
  const write = (line: string): void => {
    records.push(JSON.parse(line) as LogRecord);
  };
  return { logger: createLogger("debug", { write }), records };
}
