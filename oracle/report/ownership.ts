import { concat, getAddress, zeroPadValue } from "ethers";
import type { PendingDeposit, StateParts, ValidatorRecord } from "../beacon/stateParts.js";
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
}

/** The withdrawal credentials that pay to an address, in the form of EIP-7251's 0x01 and 0x02, as lower case hex. */
export function credentialsOf(withdrawalVault: string): ReadonlySet<string> {
  const address = zeroPadValue(getAddress(withdrawalVault), 31);
  return new Set(["0x01", "0x02"].map((prefix) => concat([prefix, address]).toLowerCase()));
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
  state: Pick<StateParts, "validators" | "pendingDeposits">,
  credentials: ReadonlySet<string>,
  genesisForkVersion: string,
): Holding[] {
  const queues = pubkeys.map((pubkey) => (state.validators.has(pubkey) ? [] : depositsOf(pubkey, state)));
  const creating = creatingDeposits(
    queues.map((queue) => queue.map((deposit) => ({ ...deposit, genesisForkVersion }))),
  );
  return pubkeys.map((pubkey, i) => {
    const validator = state.validators.get(pubkey);
    if (validator === undefined) return futureHolding(queues[i] ?? [], creating[i] ?? -1, credentials);
    if (!credentials.has(validator.withdrawalCredentials)) {
      return { standing: "foreign", validator, balanceGwei: 0n, pendingGwei: 0n };
    }
    const pendingGwei = sumGwei(depositsOf(pubkey, state));
    return { standing: "owned", validator, balanceGwei: validator.balanceGwei, pendingGwei };
  });
}

/** @param first place of the deposit that creates the validator, -1 for none */
function futureHolding(deposits: readonly PendingDeposit[], first: number, credentials: ReadonlySet<string>): Holding {
  const nothing = { validator: undefined, balanceGwei: 0n, pendingGwei: 0n };
  if (deposits.length === 0) return { ...nothing, standing: "absent" };
  const creating = deposits[first];
  if (creating === undefined) return { ...nothing, standing: "invalid" };
  if (!credentials.has(creating.withdrawalCredentials)) return { ...nothing, standing: "foreign" };
  return { ...nothing, standing: "pending", pendingGwei: sumGwei(deposits.slice(first)) };
}

function depositsOf(pubkey: string, state: Pick<StateParts, "pendingDeposits">): readonly PendingDeposit[] {
  return state.pendingDeposits.get(pubkey) ?? [];
}

function sumGwei(deposits: readonly PendingDeposit[]): bigint {
  return deposits.reduce((sum, { amountGwei }) => sum + amountGwei, 0n);
}
