import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { dataLength, dataSlice, getAddress, hexlify, id, keccak256 } from "ethers";
import type { VerifiedState } from "../../../oracle/beacon/readVerified.js";
import type { PendingDeposit, ValidatorRecord } from "../../../oracle/beacon/stateParts.js";
import type { ChainView } from "../../../oracle/execution/chain.js";
import type { PoolEvent } from "../../../oracle/execution/events.js";
import { registryView } from "../../../oracle/execution/registryView.js";
import { signDeposit, withdrawalCredentials } from "../../../oracle/keys/depositData.js";
import { encodeOperatorKey } from "../../../oracle/keys/keyshares.js";
import { encodeEntries, prepareValidators, type PreparedValidator } from "../../../oracle/keys/prepare.js";
import type { DepositRules } from "../../../oracle/roles/vetting.js";
import type { Cluster } from "../../../oracle/ssv/cluster.js";
import { snapshotsOf } from "../../../oracle/ssv/cluster.js";
import { operatorsOf } from "../../../oracle/ssv/operators.js";
import { registrationsOf } from "../../../oracle/ssv/registrations.js";
import { testOperators } from "../keys/support.js";

/** A folder that is gone after the test. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const folder = mkdtempSync(path.join(tmpdir(), "pooleth-"));
  return {
    path: folder,
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const addressOf = (name: string): string => getAddress(dataSlice(id(name), 12));

export const VAULT = addressOf("withdrawal vault");
export const OWNER = addressOf("SSV account 1");
export const RULES: DepositRules = {
  withdrawalCredentials: withdrawalCredentials(VAULT).toLowerCase(),
  genesisForkVersion: "0x00000001",
};
export const FOREIGN_CREDENTIALS = withdrawalCredentials(addressOf("thief")).toLowerCase();

const operators = () => testOperators(4);
export const operatorIds = (): bigint[] => operators().map((operator) => operator.id);

export function prepare(count: number, firstNonce = 0n, account = OWNER): PreparedValidator[] {
  return prepareValidators({
    count,
    account,
    firstNonce,
    operators: operators(),
    ...RULES,
    networkName: "devnet",
  });
}

/** A cluster's tuple that changes with every event. */
export const snapshot = (validatorCount: number, balance = 10n ** 18n): Cluster => ({
  validatorCount: BigInt(validatorCount),
  networkFeeIndex: 1n,
  index: 2n,
  active: true,
  balance,
});

/** Writes the events of a registry with account 1 and cluster 1, one block each. */
export class Story {
  readonly events: PoolEvent[] = [];
  #block = 0;
  #batches = 0;
  #ids = 0;
  #nonce = 0n;
  #registered = 0;

  constructor({ requireDkg = false } = {}) {
    for (const { id: operatorId, publicKeyPem } of operators()) {
      this.add({ type: "OperatorAdded", operatorId, publicKey: encodeOperatorKey(publicKeyPem) });
    }
    this.add({ type: "AccountAdded", account: 1, address: OWNER });
    this.add({ type: "ClusterAdded", cluster: 1, account: 1, operatorIds: operatorIds(), requireDkg, cap: 100 });
  }

  get block(): number {
    return this.#block;
  }

  /** The event in a block of its own. */
  add(event: DistributiveOmit<PoolEvent, "block" | "transaction" | "log">): this {
    this.#block += 1;
    this.events.push({ block: this.#block, transaction: 0, log: 0, ...event });
    return this;
  }

  publish(validators: readonly PreparedValidator[], { dkgProofs = "0x" } = {}): this {
    const firstNonce = validators[0]?.ownerNonce ?? 0n;
    const data = hexlify(encodeEntries(validators));
    const batch = this.#batches++;
    return this.add({
      type: "Published",
      account: 1,
      cluster: 1,
      batch,
      firstNonce,
      count: validators.length,
      data,
      dkgProofs,
    });
  }

  vet(batch = 0): this {
    return this.add({ type: "BatchVetted", account: 1, cluster: 1, batch });
  }

  /** Both contracts' events of a registration. */
  register(validators: readonly PreparedValidator[]): this {
    const count = validators.length;
    this.add({
      type: "Registered",
      account: 1,
      cluster: 1,
      firstId: this.#ids + 1,
      firstNonce: this.#nonce,
      count,
    });
    this.#ids += count;
    this.#nonce += BigInt(count);
    this.#registered += count;
    for (const { publicKey, sharesData } of validators) this.addToSSV(publicKey, sharesData);
    return this;
  }

  addToSSV(publicKey: string, sharesData: string, owner = OWNER): this {
    return this.add({
      type: "ValidatorAdded",
      owner,
      operatorIds: operatorIds(),
      publicKey,
      sharesHash: keccak256(sharesData),
      sharesLength: dataLength(sharesData),
      ownerNonceSignature: dataSlice(sharesData, 0, Math.min(96, dataLength(sharesData))),
      snapshot: snapshot(this.#registered),
    });
  }

  view(finalized = this.#block): ChainView {
    const { events } = this;
    return {
      head: { number: this.#block, hash: id("head"), timestamp: 1_000 },
      finalized: { number: finalized, hash: id("finalized"), timestamp: 900 },
      events,
      registry: registryView(events),
      registrations: registrationsOf(events),
      operators: operatorsOf(events),
      snapshots: snapshotsOf(events),
    };
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export type StatePart = Pick<VerifiedState, "validators" | "pendingDeposits" | "epoch">;

export const emptyState: StatePart = { epoch: 10, validators: new Map(), pendingDeposits: new Map() };

export function validatorRecord(pubkey: string, changes: Partial<ValidatorRecord> = {}): ValidatorRecord {
  return {
    index: 1,
    pubkey,
    withdrawalCredentials: RULES.withdrawalCredentials,
    effectiveBalanceGwei: 32_000_000_000n,
    slashed: false,
    activationEligibilityEpoch: 1,
    activationEpoch: 2,
    exitEpoch: Infinity,
    withdrawableEpoch: Infinity,
    balanceGwei: 32_000_000_000n,
    previousParticipation: 7,
    currentParticipation: 7,
    inactivityScore: 0n,
    ...changes,
  };
}

/** A deposit that consensus accepts, by whoever has the key. */
export function validDeposit(secretKey: Uint8Array, pubkey: string, credentials: string): PendingDeposit {
  const amountGwei = 1_000_000_000n;
  const { genesisForkVersion } = RULES;
  const signature = signDeposit(secretKey, { withdrawalCredentials: credentials, amountGwei, genesisForkVersion });
  return { pubkey, withdrawalCredentials: credentials, amountGwei, signature: hexlify(signature), slot: 5 };
}
