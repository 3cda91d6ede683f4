import { availableParallelism } from "node:os";
import { parentPort, Worker, workerData } from "node:worker_threads";
import { KeysError, type KeysErrorCode } from "../errors.js";

/** Of a thread: enough for a batch, and little enough that what is done with is collected soon. */
const MEMORY = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 8 };

/** Opening a keystore of scrypt takes 256 MiB, so even a machine of many cores uses no more at once. */
const MOST_THREADS = 8;

type Report<R> =
  | { readonly type: "step" }
  | { readonly type: "result"; readonly result: R }
  | { readonly type: "refused"; readonly code: KeysErrorCode; readonly message: string };

/** What a kind of thread is given and gives back. */
export interface Work {
  /** what every task needs; copied to each thread */
  readonly shared: unknown;
  readonly task: unknown;
  readonly result: unknown;
}

export interface WorkOptions<W extends Work> {
  /** Module that calls `serveTasks`. */
  readonly script: URL;
  readonly shared: W["shared"];
  readonly tasks: readonly W["task"][];
  /** Threads to use; `defaultThreads` when left out. */
  readonly threads?: number;
  /** A step of a task is done. */
  readonly onStep: () => void;
}

export function defaultThreads(): number {
  return Math.min(availableParallelism(), MOST_THREADS);
}

/** Does the tasks in worker threads, one at a time each, and gives the results in the order of the tasks. The first refusal ends all. */
export async function inWorkers<W extends Work>(options: WorkOptions<W>): Promise<W["result"][]> {
  const { script, shared, tasks, onStep } = options;
  const results = new Array<W["result"]>(tasks.length);
  const threads = Math.min(options.threads ?? defaultThreads(), tasks.length);
  let next = 0;
  const workers = Array.from(
    { length: threads },
    () => new Worker(script, { workerData: shared, resourceLimits: MEMORY }),
  );
  const work = async (worker: Worker): Promise<void> =>
    new Promise((resolve, reject) => {
      let current = -1;
      const proceed = (): void => {
        current = next++;
        if (current < tasks.length) worker.postMessage(tasks[current]);
        else resolve();
      };
      worker.on("error", reject);
      worker.on("exit", (code) => {
        reject(new Error(`a worker thread ended with code ${code}`));
      });
      worker.on("message", (report: Report<W["result"]>) => {
        if (report.type === "step") onStep();
        else if (report.type === "refused") reject(new KeysError(report.code, report.message));
        else {
          results[current] = report.result;
          proceed();
        }
      });
      proceed();
    });
  try {
    await Promise.all(workers.map(work));
    return results;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** A secret that threads share instead of copying: when whoever made it overwrites it, it is gone everywhere. The given one is overwritten. */
export function sharedSecret(secret: Uint8Array): Uint8Array {
  const shared = new Uint8Array(new SharedArrayBuffer(secret.length));
  shared.set(secret);
  secret.fill(0);
  return shared;
}

/** The other side, in a worker thread. */
export function serveTasks<W extends Work>(
  perform: (shared: W["shared"], task: W["task"], onStep: () => void) => W["result"],
): void {
  const report = (message: Report<W["result"]>): void => {
    parentPort?.postMessage(message);
  };
  parentPort?.on("message", (task: W["task"]) => {
    try {
      const result = perform(workerData as W["shared"], task, () => {
        report({ type: "step" });
      });
      report({ type: "result", result });
    } catch (error) {
      if (!(error instanceof KeysError)) throw error;
      report({ type: "refused", code: error.code, message: error.message });
    }
  });
}
