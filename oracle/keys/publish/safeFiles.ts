import { writeJson } from "../files.js";
import { OutputFiles } from "../io/output.js";
import { describe, type PublishView } from "./publish.js";
import { safeBatch } from "./safe.js";

export interface SafeOptions {
  readonly chainId: number;
  readonly safe: string;
  readonly folder: string;
  readonly force: boolean;
  readonly now: Date;
}

/**
 * A file for each transaction, all or none. Not one for all: what a file has becomes one transaction of the Safe, and two publications
 * together do not fit into one.
 */
export async function writeSafeFiles({ calls, account }: PublishView, options: SafeOptions): Promise<string[]> {
  const { chainId, safe, folder, force, now } = options;
  const files = await OutputFiles.open(folder, force);
  try {
    for (const [i, call] of calls.entries()) {
      const batch = safeBatch({
        ...{ chainId, safe, createdAt: now },
        name: `poolETH: cluster ${account.clusterId}, ${i + 1} of ${calls.length}`,
        description: describe(call),
        to: call.transaction.to,
        data: call.transaction.data,
      });
      const name = `publish-nonce-${String(call.firstNonce).padStart(6, "0")}.json`;
      await files.add(name, async (path) => writeJson(path, batch));
    }
    return await files.commit();
  } finally {
    await files.discard();
  }
}
