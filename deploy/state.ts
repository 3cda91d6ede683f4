import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { DeployError } from "./errors.js";

const hash = z.string().regex(/^0x[0-9a-f]{64}$/);
const step = z.strictObject({
  id: z.string(),
  /** Known before it is sent, when the deployer signs here. */
  transactionHash: hash,
  /** Once mined. */
  block: z.int().min(0).optional(),
  /** keccak256 of the code of the created contract. */
  codeHash: hash.optional(),
});
const schema = z.strictObject({
  chainId: z.int().positive(),
  deployer: z.string(),
  firstNonce: z.int().min(0),
  planDigest: hash,
  steps: z.array(step),
});

export type StepRecord = z.infer<typeof step>;
/** What survives the death of the program: which deployment, and every transaction of it that was or is about to be sent. */
export type DeploymentState = z.infer<typeof schema>;

export function readState(file: string): DeploymentState | null {
  if (!existsSync(file)) return null;
  try {
    return schema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (cause) {
    throw new DeployError(
      "STATE_INVALID",
      `The state file ${file} is damaged: restore it, or name another file to start a new deployment.`,
      { file },
      cause,
    );
  }
}

/** Replaces the file at once, so that no moment leaves half a file. */
export function writeState(file: string, state: DeploymentState): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
