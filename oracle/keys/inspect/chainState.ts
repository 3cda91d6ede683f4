import type { Config } from "../../config.js";
import type { ChainReader, ChainView } from "../../execution/chain.js";
import { DepositReader } from "../../execution/deposits.js";
import { executionBlockOf } from "../../execution/header.js";
import { readHead } from "../../execution/provider.js";
import { withEvents } from "../../execution/readOnly.js";
import { ServiceError } from "../../ops/errors.js";
import { createLogger } from "../../ops/logging.js";
import { createMetrics } from "../../ops/metrics.js";
import { connectBeacon, type BeaconNodes } from "../../roles/beaconNodes.js";
import { readFinalizedState } from "../../roles/finalizedState.js";
import type { DepositRules } from "../../roles/vetting.js";
import type { ChainState } from "./judgeOnChain.js";
import type { PoolChain } from "../poolChain.js";

export interface ReadState extends ChainState {
  readonly view: ChainView;
}

/**
 * What both chains know of some keys. The events of the execution chain are believed as its node tells them; the beacon state is
 * verified, and deposits after it are proven complete.
 * @param config whose beacon nodes are asked, and whose cache of events saves time
 */
export async function readChainState(
  chain: PoolChain,
  rules: DepositRules,
  publicKeys: ReadonlySet<string>,
  config: Config | null,
): Promise<ReadState> {
  const logger = createLogger("silent");
  return withEvents(chain, config?.dataDir ?? null, logger, async (reader) => {
    const head = await readHead(chain.provider, "latest");
    if (head === null) throw new ServiceError("HeadMoved", "The execution node has no head yet; try again later.");
    const view = await reader.view(head);
    if (config === null || config.beaconUrls.length === 0) return { view, rules, beacon: null };
    const nodes = connectBeacon(config, chain.contracts, createMetrics(), logger);
    return { view, rules, beacon: await readBeacon(reader, view, nodes, publicKeys) };
  });
}

async function readBeacon(
  reader: ChainReader,
  view: ChainView,
  beacon: BeaconNodes,
  publicKeys: ReadonlySet<string>,
): Promise<ChainState["beacon"]> {
  const state = await readFinalizedState(reader, beacon, view, publicKeys);
  if (state === null) return null;
  const { provider, contracts } = reader;
  const from = await executionBlockOf(provider, state);
  const { deposits } = await new DepositReader(provider, contracts).read(from, view.head);
  return { state, since: deposits };
}
