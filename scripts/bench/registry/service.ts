import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { ChainReader } from "../../../oracle/execution/chain.js";
import type { PoolContracts } from "../../../oracle/execution/contracts.js";
import { EventStore } from "../../../oracle/execution/eventStore.js";
import { FailoverProvider, readHead } from "../../../oracle/execution/provider.js";
import { createLogger } from "../../../oracle/ops/logging.js";
import { computeReport } from "../../../oracle/report/report.js";
import { registryKeysAt } from "../../../oracle/roles/readReport.js";
import { stateOf } from "./state.js";
import { addresses, CHAIN_ID, HEAD } from "./terms.js";

/** What one process of the service takes for it, in ms, MiB and bytes. */
export interface Taken {
  readonly openMs: number;
  readonly firstViewMs: number;
  readonly quietHeadMs: number;
  readonly keysMs: number;
  readonly reportMs: number;
  readonly events: number;
  readonly validators: number;
  readonly memoryMiB: number;
  readonly fileBytes: number;
}

const [url = "", dataDir = "", logLevel = "silent"] = process.argv.slice(2);
const vault = `0x${"11".repeat(20)}`;

async function timed<T>(work: () => T | Promise<T>): Promise<[ms: number, T]> {
  const begun = performance.now();
  const result = await work();
  return [performance.now() - begun, result];
}

const logger = createLogger(logLevel === "info" ? "info" : "silent", process.stderr);
const provider = new FailoverProvider([url], CHAIN_ID, logger);
const options = { provider, chainId: CHAIN_ID, ...addresses, fromBlock: 0, dataDir, logger };
const [openMs, store] = await timed(() => new EventStore(options));
const reader = new ChainReader(provider, {} as PoolContracts, store);
const head = await readHead(provider, HEAD - 1);
const next = await readHead(provider, HEAD);
if (head === null || next === null) throw new Error("the chain has no head");
const [firstViewMs] = await timed(() => reader.view(head));
const [quietHeadMs, view] = await timed(() => reader.view(next));
const [keysMs, registry] = await timed(() => registryKeysAt(view, HEAD));
const state = stateOf(
  registry.map(({ pubkey }) => pubkey),
  vault,
);
const [reportMs, { table }] = await timed(() =>
  computeReport({
    refSlot: BigInt(state.slot),
    state,
    registry,
    withdrawalVault: vault,
    genesisForkVersion: "0x00000000",
    withdrawnAtRefWei: 0n,
    payload: { kind: "processed" },
  }),
);
provider.destroy();
const [file = ""] = readdirSync(dataDir);
const taken: Taken = {
  openMs,
  firstViewMs,
  quietHeadMs,
  keysMs,
  reportMs,
  events: view.events.length,
  validators: table.length,
  memoryMiB: process.resourceUsage().maxRSS / 1_024,
  fileBytes: statSync(path.join(dataDir, file)).size,
};
process.stdout.write(JSON.stringify(taken));
