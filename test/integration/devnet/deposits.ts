import { interopSecretKey, computeDomain, computeSigningRoot } from "@lodestar/state-transition";
import { DOMAIN_DEPOSIT } from "@lodestar/params";
import { ssz } from "@lodestar/types";
import { Contract, getBytes, hexlify, zeroPadValue, type ContractRunner, type TransactionReceipt } from "ethers";
import type { Devnet } from "../../../devnet/devnet.js";
import { DEPOSIT_CONTRACT_ADDRESS, WITHDRAWAL_REQUESTS_ADDRESS } from "../../../devnet/execution/predeploys.js";

const ABI = [
  "function deposit(bytes pubkey, bytes withdrawal_credentials, bytes signature, bytes32 deposit_data_root) payable",
  "function get_deposit_count() view returns (bytes)",
];

export const depositContract = (runner: ContractRunner): Contract =>
  new Contract(DEPOSIT_CONTRACT_ADDRESS, ABI, runner);

export const credentials = (prefix: "01" | "02", address: string): Uint8Array =>
  getBytes(`0x${prefix}${"00".repeat(11)}${address.slice(2)}`);

export interface DepositOptions {
  keyIndex: number;
  withdrawalCredentials: Uint8Array;
  amountGwei?: number;
  badSignature?: boolean;
}

/** Deposits for an interop key from account 0 and mines it; answers the public key. */
export async function deposit(
  devnet: Devnet,
  options: DepositOptions,
): Promise<{ pubkey: string; receipt: TransactionReceipt }> {
  const { keyIndex, withdrawalCredentials, amountGwei = 32e9, badSignature = false } = options;
  const secretKey = interopSecretKey(keyIndex);
  const message = { pubkey: secretKey.toPublicKey().toBytes(), withdrawalCredentials, amount: amountGwei };
  const domain = computeDomain(DOMAIN_DEPOSIT, getBytes(devnet.genesisForkVersion), new Uint8Array(32));
  const root = computeSigningRoot(ssz.phase0.DepositMessage, message, domain);
  const signature = (badSignature ? interopSecretKey(keyIndex + 1) : secretKey).sign(root).toBytes();
  const dataRoot = ssz.phase0.DepositData.hashTreeRoot({ ...message, signature });
  const contract = depositContract(devnet.accounts[0]!);
  const receipt = await devnet.mineTx(
    contract.getFunction("deposit").send(message.pubkey, withdrawalCredentials, signature, dataRoot, {
      value: BigInt(amountGwei) * 10n ** 9n,
    }),
  );
  return { pubkey: hexlify(message.pubkey), receipt };
}

/** EIP-7002 request from account 0; 0 gwei is a full exit. */
export function requestWithdrawal(devnet: Devnet, pubkey: string, amountGwei: bigint): Promise<TransactionReceipt> {
  const data = pubkey + zeroPadValue(`0x${amountGwei.toString(16).padStart(16, "0")}`, 8).slice(2);
  return devnet.mineTx(devnet.accounts[0]!.sendTransaction({ to: WITHDRAWAL_REQUESTS_ADDRESS, data, value: 10n }));
}
