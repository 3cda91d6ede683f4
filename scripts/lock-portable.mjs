// npm leaves out an optional package whose `engines` reject the Node that runs npm, even when every script later runs
// under the pinned Node of node_modules/.bin. EDR ships its native bindings that way, so under a Node 20 npm Hardhat
// would start without its engine. Entries without `engines` are kept.
//
//   node scripts/lock-portable.mjs           rewrites package-lock.json
//   node scripts/lock-portable.mjs --check   fails when a rewrite is due
import { readFileSync, writeFileSync } from "node:fs";

const path = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(path, "utf8"));
const due = Object.entries(lock.packages).filter(
  ([name, entry]) => entry.engines && /\/@nomicfoundation\/edr-[a-z0-9-]+$/.test(name),
);
if (process.argv.includes("--check")) {
  if (due.length > 0) {
    console.error(`package-lock.json: ${due.length} entries to rewrite; run: node scripts/lock-portable.mjs`);
    process.exit(1);
  }
} else {
  for (const [, entry] of due) delete entry.engines;
  writeFileSync(path, JSON.stringify(lock, null, 2) + "\n");
}
