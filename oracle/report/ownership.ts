import { concat, getAddress, zeroPadValue } from "ethers";
import type { DepositRequest, StateParts, ValidatorRecord } from "../beacon/stateParts.js";
import { creatingDeposits } from "../keys/depositData.js";

/** What the pool has on the beacon chain under one of its keys. */
export type Standing =
  /** In the beacon registry with the pool's credentials. */
  | "owned"
  /** Not there yet, and the deposit that will create the validator has the pool's credentials. */
  | "pending"
  /** Someone deposited for the key first, with other credentials: nothing of it is the pool's, and never will be. */
  | "foreign"
  /** The queue has deposits for the key, none with a valid signature: the chain will drop them. */
  | "invalid"
  /** Neither in the registry nor in the queue. */
  | "absent";

export interface Holding {
  readonly standing: Standing;
  readonly validator: ValidatorRecord | undefined;
  /** Counts only what is the pool's. */
  readonly balanceGwei: bigint;
  readonly pendingGwei: bigint;
  /** Has left the balance and is not in the vault yet: the next execution payload brings it (EIP-7732). */
  readonly expectedWithdrawalsGwei: bigint;
}

/** What of a state decides who owns what. */
export interface HoldingsState extends Pick<StateParts, "validators" | "payloadExpectedWithdrawals"> {
  readonly pendingDeposits: DepositQueues;
}

/** Deposits that wait, by public key, in their order. */
type DepositQueues = ReadonlyMap<string, readonly DepositRequest[]>;

/** The withdrawal credentials that pay to an address, in the form of EIP-7251's 0x01 and 0x02, as lower case hex. */
export function credentialsOf(withdrawalVault: string): ReadonlySet<string> {
  const address = zeroPadValue(getAddress(withdrawalVault), 31);
  return new Set(["0x01", "0x02"].map((prefix) => concat([prefix, address]).toLowerCase()));
}

/** The state's queue of deposits, by public key, with those behind it that the next beacon block appends. */
export function appendDeposits(queue: DepositQueues, more: readonly DepositRequest[]): DepositQueues {
  const appended = new Map(queue);
  for (const deposit of more) appended.set(deposit.pubkey, [...(appended.get(deposit.pubkey) ?? []), deposit]);
  return appended;
}

/**
 * What is the pool's under each of some keys.
 *
 * A validator in the registry is the pool's if its credentials are; then so is every pending deposit for it, whoever made it,
 * whatever it says: the chain looks at neither credentials nor signature of a top-up. For a key that is not in the registry the
 * chain takes the first deposit with a valid signature, with its credentials, and drops what stands before it; what stands after
 * it is a top-up.
 */
export function holdingsOf(
  pubkeys: readonly string[],
  state: HoldingsState,
  withdrawalVault: string,
  genesisForkVersion: string,
): Holding[] {
  const credentials = credentialsOf(withdrawalVault);
  const queueOf = (pubkey: string): readonly DepositRequest[] => state.pendingDeposits.get(pubkey) ?? [];
  const queues = pubkeys.map((pubkey) => (state.validators.has(pubkey) ? [] : queueOf(pubkey)));
  const creating = creatingDeposits(
    queues.map((queue) => queue.map((deposit) => ({ ...deposit, genesisForkVersion }))),
  );
  const expected = expectedByIndex(state, withdrawalVault);
  return pubkeys.map((pubkey, i): Holding => {
    const validator = state.validators.get(pubkey);
    if (validator === undefined) return futureHolding(queues[i] ?? [], creating[i] ?? -1, credentials);
    if (!credentials.has(validator.withdrawalCredentials)) return { ...NOTHING, standing: "foreign", validator };
    return {
      standing: "owned",
      validator,
      balanceGwei: validator.balanceGwei,
      pendingGwei: sumGwei(queueOf(pubkey)),
      expectedWithdrawalsGwei: expected.get(validator.index) ?? 0n,
    };
  });
}

const NOTHING = { validator: undefined, balanceGwei: 0n, pendingGwei: 0n, expectedWithdrawalsGwei: 0n };

/** @param first place of the deposit that creates the validator, -1 for none */
function futureHolding(deposits: readonly DepositRequest[], first: number, credentials: ReadonlySet<string>): Holding {
  if (deposits.length === 0) return { ...NOTHING, standing: "absent" };
  const creating = deposits[first];
  if (creating === undefined) return { ...NOTHING, standing: "invalid" };
  if (!credentials.has(creating.withdrawalCredentials)) return { ...NOTHING, standing: "foreign" };
  return { ...NOTHING, standing: "pending", pendingGwei: sumGwei(deposits.slice(first)) };
}

/** By validator, what is on its way to the vault. */
function expectedByIndex(
  { payloadExpectedWithdrawals }: Pick<StateParts, "payloadExpectedWithdrawals">,
  withdrawalVault: string,
): ReadonlyMap<number, bigint> {
  const sums = new Map<number, bigint>();
  for (const { validatorIndex, address, amountGwei } of payloadExpectedWithdrawals) {
    if (getAddress(address) !== getAddress(withdrawalVault)) continue;
    sums.set(validatorIndex, (sums.get(validatorIndex) ?? 0n) + amountGwei);
  }
  return sums;
}

function sumGwei(deposits: readonly DepositRequest[]): bigint {
  return deposits.reduce((sum, { amountGwei }) => sum + amountGwei, 0n);
}
