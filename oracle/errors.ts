/**
 * Base of every error the services throw on purpose: a stable `code` for programs, a message that tells an operator what
 * happened and what to do, and the facts in `meta` for the log.
 */
export class PoolError<C extends string = string> extends Error {
  readonly code: C;
  readonly meta: Readonly<Record<string, unknown>>;

  constructor(code: C, message: string, meta: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "PoolError";
    this.code = code;
    this.meta = meta;
  }
}
