import { isCallException } from "ethers";
import { frameAt, type Head } from "../clock.js";
import type { Config } from "../config.js";
import type { ChainReader, ChainView } from "../execution/chain.js";
import { unconfirmedExits, type ExitView, type RegistryView, type ValidatorView } from "../execution/registryView.js";
import { forceExitsAction, shareExits, type ForceableExits } from "../jobs/forceExits.js";
import type { Action } from "../jobs/job.js";
import { askable, planRepeats, planRequestExits, requestExitsAction } from "../jobs/requestExits.js";
import type { ServiceLogger } from "../ops/logging.js";
import type { Metrics } from "../ops/metrics.js";

export interface ExitParts {
  readonly chain: ChainReader;
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: ServiceLogger;
}

/** Says something if nothing was said under this key before. */
export type Once = (key: string, say: () => void) => void;

/** The keeper's part in exits: those forced first, as they take their share of what is due from those asked for. */
export async function exitActions(parts: ExitParts, { head, registry }: ChainView, once: Once): Promise<Action[]> {
  const { chain, config, metrics } = parts;
  const { validatorExits, frames } = chain.contracts;
  const demand = await validatorExits.demand({ blockTag: head.hash });
  const [needed, due] = [Number(demand.needed), Number(demand.due)];
  metrics.exitDemand.set({ part: "needed" }, needed);
  metrics.exitDemand.set({ part: "confirmed" }, Number(demand.confirmed));
  metrics.exitDemand.set({ part: "underway" }, Number(demand.underway));
  metrics.exitDemand.set({ part: "due" }, due);
  if (needed === 0) return [];

  const forceable = due === 0 ? { never: [], inVain: [] } : await readForceable(chain, head, registry, due);
  const isForcing = forceable.never.length + forceable.inVain.length > 0;
  const feeWei = isForcing ? await readExitFee(parts, head, once) : null;
  const { maxFeeWei } = config.exits;
  const { force, toAsk } = shareExits({ due, forceable, askable: askable(registry), feeWei, maxFeeWei });
  const next = planRequestExits(registry, toAsk);
  const slotsPerFrame = Number(frames.slotsPerFrame);
  const repeats = planRepeats({ registry, needed, headNumber: head.number, slotsPerFrame });
  const requests = next === null ? repeats : [next, ...repeats];
  return [
    ...(force === null ? [] : [await forceExitsAction(force, chain.contracts)]),
    ...(await Promise.all(requests.map((plan) => requestExitsAction(plan, chain.contracts)))),
  ];
}

/** Validators whose operators had their time, those first whose time began first; of each kind no more than are due. */
async function readForceable(
  { contracts: { validatorExits, frames } }: ChainReader,
  head: Head,
  registry: RegistryView,
  due: number,
): Promise<ForceableExits> {
  const frame = frameAt(frames, head.timestamp);
  const begun = ({ askedBlock, forcedBlock }: ExitView): number => forcedBlock ?? askedBlock ?? 0;
  const unconfirmed = unconfirmedExits(registry).sort((a, b) => begun(a.exit) - begun(b.exit));
  // in this order the first that may not be forced yet is followed by no other that may
  const firstForceable = async (validators: readonly ValidatorView[]): Promise<ValidatorView[]> => {
    const found: ValidatorView[] = [];
    for (const validator of validators.slice(0, due)) {
      const { forceableFrom } = await validatorExits.status(validator.id, { blockTag: head.hash });
      if (Number(forceableFrom) > frame) break;
      found.push(validator);
    }
    return found;
  };
  return {
    never: await firstForceable(unconfirmed.filter(({ exit }) => exit.forcedBlock === null)),
    inVain: await firstForceable(unconfirmed.filter(({ exit }) => exit.forcedBlock !== null)),
  };
}

/** Wei that forcing an exit costs in this block; null, which is told once a frame, when it cannot be had or is above the limit. */
async function readExitFee({ chain, config, logger }: ExitParts, head: Head, once: Once): Promise<bigint | null> {
  const { withdrawalVault, frames } = chain.contracts;
  const { maxFeeWei } = config.exits;
  const feeWei = await withdrawalVault.exitFee({ blockTag: head.hash }).catch((error: unknown) => {
    if (isCallException(error)) return null;
    throw error;
  });
  if (feeWei !== null && feeWei <= maxFeeWei) return feeWei;
  once(`exit-fee:${frameAt(frames, head.timestamp)}`, () => {
    const facts = { feeWei: feeWei?.toString(), maxFeeWei: maxFeeWei.toString() };
    logger.warn(
      facts,
      feeWei === null
        ? "exits are due to be forced, and the chain's EIP-7002 contract tells no fee; the next validators are asked for instead"
        : "exits are due to be forced, and a request costs more than exits.maxFeeWei; it waits for a lower fee, and the next validators are asked for instead",
    );
  });
  return null;
}
