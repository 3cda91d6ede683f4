import { toBeHex } from "ethers";
import { DevnetError } from "../errors.js";

/** The caller of system operations (EIP-4788, EIP-7002, EIP-7251). */
export const SYSTEM_ADDRESS = "0xfffffffffffffffffffffffffffffffffffffffe";

interface TraceStep {
  op: string;
  stack: string[];
}

export interface CallTrace {
  failed: boolean;
  returnValue: string;
  structLogs: TraceStep[];
}

export interface SystemCall {
  /** What the contract returned: the concatenated requests, which is also their SSZ list. */
  output: string;
  /** Storage the call changed. */
  writes: [slot: string, value: string][];
}

const with0x = (hex: string): string => (hex.startsWith("0x") ? hex : `0x${hex}`);

/** Parameters of the `debug_traceCall` that runs the end-of-block operation of a predeploy on the latest state. */
export function systemCallTrace(contract: string): unknown[] {
  const call = { from: SYSTEM_ADDRESS, to: contract, data: "0x", gas: toBeHex(16_000_000), gasPrice: "0x0" };
  return [call, "latest", { disableMemory: true, disableStorage: true, enableMemory: false }];
}

/**
 * What a traced system call did to storage. The trace is a simulation, so its writes still have to be applied; a write of the value
 * that the call had read is left out (in most blocks nothing is queued and nothing changes).
 */
export function readSystemCall(contract: string, trace: CallTrace): SystemCall {
  if (trace.failed) {
    throw new DevnetError("DEVNET_EXECUTION", `the end-of-block call of ${contract} failed; no block can follow`, {
      contract,
    });
  }
  const read = new Map<bigint, bigint>();
  const written = new Map<bigint, bigint>();
  trace.structLogs.forEach((step, i) => {
    const [top, second] = [step.stack.at(-1), step.stack.at(-2)];
    if (top === undefined) return;
    const slot = BigInt(with0x(top));
    if (step.op === "SLOAD") {
      const loaded = trace.structLogs[i + 1]?.stack.at(-1);
      if (loaded !== undefined && !read.has(slot)) read.set(slot, BigInt(with0x(loaded)));
    } else if (step.op === "SSTORE" && second !== undefined) {
      written.set(slot, BigInt(with0x(second)));
    }
  });
  return {
    output: with0x(trace.returnValue),
    writes: [...written]
      .filter(([slot, value]) => read.get(slot) !== value)
      .map(([slot, value]) => [toBeHex(slot), toBeHex(value, 32)]),
  };
}
