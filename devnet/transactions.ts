import { AbiCoder, type Interface, type JsonRpcProvider, type TransactionReceipt } from "ethers";
import { DevnetError } from "./errors.js";

const ERROR_STRING = "0x08c379a0";
const PANIC = "0x4e487b71";

/** Revert data as text: the two built-in errors by themselves, custom ones by any of `interfaces`, else the bare data. */
export function describeRevert(data: string, interfaces: readonly Interface[] = []): string {
  if (data === "0x") return "no reason given";
  const abi = AbiCoder.defaultAbiCoder();
  const payload = `0x${data.slice(10)}`;
  if (data.startsWith(ERROR_STRING)) return String(abi.decode(["string"], payload)[0]);
  if (data.startsWith(PANIC)) return `panic 0x${(abi.decode(["uint256"], payload)[0] as bigint).toString(16)}`;
  for (const candidate of interfaces) {
    const error = candidate.parseError(data);
    if (error !== null) return `${error.name}(${error.args.map(String).join(", ")})`;
  }
  return `custom error, data ${data}`;
}

/** Throws, with the reason, when the transaction of the receipt reverted. */
export async function requireSuccess(
  provider: JsonRpcProvider,
  receipt: TransactionReceipt,
  interfaces: readonly Interface[],
): Promise<TransactionReceipt> {
  if (receipt.status === 1) return receipt;
  const trace = (await provider.send("debug_traceTransaction", [
    receipt.hash,
    { disableMemory: true, disableStorage: true, disableStack: true },
  ])) as { returnValue?: string };
  const returned = trace.returnValue ?? "";
  const data = returned.startsWith("0x") ? returned : `0x${returned}`;
  const reason = describeRevert(data, interfaces);
  throw new DevnetError("DEVNET_TRANSACTION", `transaction ${receipt.hash} reverted: ${reason}`, {
    hash: receipt.hash,
    gasUsed: receipt.gasUsed,
    data,
  });
}
