import type { VerifiedState } from "../beacon/readVerified.js";
import type { ExecutionBlock } from "../beacon/stateParts.js";
import type { ChainView } from "../execution/chain.js";
import type { PoolContracts } from "../execution/contracts.js";
import type { FailoverProvider } from "../execution/provider.js";
import { registryView } from "../execution/registryView.js";
import type { BeaconNodes } from "./beaconNodes.js";
import { executionReference, type ExecutionReference } from "./payload.js";
import type { Report as ReportMessage } from "../signatures/messages.js";
import { computeReport, type RegistryKey, type Report, type ReportResult } from "../report/report.js";

/** The deposited validators as the registry had them at a block. */
export function registryKeysAt(view: ChainView, block: number): RegistryKey[] {
  const registry = registryView(view.events.filter((event) => event.block <= block));
  return [...registry.validators.values()]
    .filter(({ status }) => status === "deposited")
    .map(({ id, publicKey, cluster, exit }) => ({
      id,
      pubkey: publicKey,
      cluster,
      isExiting: exit.exiting,
      isExited: exit.exited,
    }));
}

/** What the report of a frame is made from, and where. */
export interface ReportSource {
  readonly refSlot: number;
  /** Root of the reference block. */
  readonly root: string;
  readonly provider: FailoverProvider;
  readonly view: ChainView;
  readonly contracts: PoolContracts;
  readonly beacon: BeaconNodes;
  /** What had ever come to the vault by the latest execution block that the state of the reference block has. */
  readonly withdrawnWei: (block: ExecutionBlock) => Promise<bigint>;
}

export interface ReadReport extends ReportResult {
  readonly state: VerifiedState;
  readonly execution: ExecutionReference;
}

/** Reads the state of the reference block, verified against its root, and computes the report from it. */
export async function readReport(source: ReportSource): Promise<ReadReport> {
  const { refSlot, root, provider, view, contracts, beacon, withdrawnWei } = source;
  const pubkeys = new Set([...view.registry.validators.values()].map(({ publicKey }) => publicKey));
  const [state, genesis] = await Promise.all([beacon.readState(root, pubkeys), beacon.genesis()]);
  const execution = await executionReference(provider, beacon, state, contracts.frames);
  const result = computeReport({
    refSlot: BigInt(refSlot),
    state,
    registry: registryKeysAt(view, execution.lastNumber),
    withdrawalVault: contracts.addresses.withdrawalVault,
    genesisForkVersion: genesis.genesisForkVersion,
    withdrawnAtRefWei: await withdrawnWei(execution.block),
    payload: execution.payload,
  });
  return { ...result, state, execution };
}

/** As members sign it. */
export function messageOf(report: Report): ReportMessage {
  return {
    version: Number(report.version),
    refSlot: Number(report.refSlot),
    beaconBlockRoot: report.beaconBlockRoot,
    clBalance: report.clBalanceWei,
    openPenalties: report.openPenaltiesWei,
    withdrawnAtRef: report.withdrawnAtRefWei,
    exiting: report.exiting.map(Number),
    exited: report.exited.map(Number),
  };
}
