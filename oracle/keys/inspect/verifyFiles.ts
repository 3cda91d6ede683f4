import { availableParallelism } from "node:os";
import type { FileFinding } from "./collate.js";
import { inWorkers, type Work } from "../io/workers.js";
import type { JudgedValidator, ProofSubject } from "./judgeFiles.js";
import { verifyDkgProofs, verifySubjects, type Subject } from "../verify.js";

/** Validators whose signatures are verified in one batch. */
const BATCH = 32;

/** What is to be verified of one validator. */
export interface ToVerify {
  readonly subject: Subject | null;
  readonly proofs: ProofSubject | null;
}

export interface VerifyWork extends Work {
  readonly shared: null;
  readonly task: readonly ToVerify[];
  readonly result: FileFinding[][];
}

/** Signatures, shares and proofs of some validators. */
export function verifyParts(parts: readonly ToVerify[]): FileFinding[][] {
  const subjects = parts.flatMap(({ subject }) => subject ?? []);
  const found = verifySubjects(subjects);
  let next = 0;
  return parts.map(({ subject, proofs }) => [
    ...(subject === null ? [] : (found[next++] ?? [])),
    ...(proofs === null ? [] : verifyDkgProofs(proofs.entry, proofs.proofs, proofs.operatorKeys, proofs.owner)),
  ]);
}

/**
 * The judged validators with all that verification found too. Many are verified in threads.
 * @param onStep told how many more are done
 */
export async function verifyFiles(
  validators: readonly JudgedValidator[],
  onStep: (count: number) => void,
  threads = availableParallelism(),
): Promise<JudgedValidator[]> {
  const parts = validators.map(({ subject, proofs }): ToVerify => ({ subject, proofs }));
  const found = parts.length <= BATCH ? verifyParts(parts) : await verifyInThreads(parts, onStep, threads);
  if (parts.length <= BATCH) onStep(parts.length);
  return validators.map((validator, i) => ({
    ...validator,
    findings: [...validator.findings, ...(found[i] ?? [])],
  }));
}

async function verifyInThreads(
  parts: readonly ToVerify[],
  onStep: (count: number) => void,
  threads: number,
): Promise<FileFinding[][]> {
  const tasks = Array.from({ length: Math.ceil(parts.length / BATCH) }, (_, i) =>
    parts.slice(i * BATCH, (i + 1) * BATCH),
  );
  const results = await inWorkers<VerifyWork>({
    script: new URL("./verifyWorker.ts", import.meta.url),
    ...{ shared: null, tasks, threads },
    onStep: () => {
      onStep(1);
    },
  });
  return results.flat();
}
