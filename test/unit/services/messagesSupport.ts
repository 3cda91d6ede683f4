import { id, Wallet, type HDNodeWallet } from "ethers";
import type { RegistryView, ValidatorView } from "../../../oracle/execution/registryView.js";
import {
  depositKeysHash,
  type DepositApproval,
  type Report,
  type SigningDomains,
  type Vetting,
} from "../../../oracle/signatures/messages.js";
import type { CollectorContext } from "../../../oracle/signatures/store.js";
import { addressOf } from "./support.js";

export const DOMAINS: SigningDomains = {
  chainId: 1337,
  reportOracle: addressOf("report oracle"),
  guardians: addressOf("guardians"),
};

export const REPORT: Report = {
  version: 1,
  refSlot: 63,
  beaconBlockRoot: id("root"),
  clBalance: 64n * 10n ** 18n,
  openPenalties: 1n,
  withdrawnAtRef: 2n,
  exiting: [2],
  exited: [1, 4],
};

export const VETTING: Vetting = { account: 1, batch: 0, head: id("head"), approvalEpoch: 3n };

const registered = (validator: number): ValidatorView => ({
  id: validator,
  account: 1,
  cluster: 1,
  status: "registered",
  depositOrder: null,
  clusterOrder: null,
  exit: { turn: "waits", askedBlock: null, lastAskedBlock: null, forcedBlock: null, exiting: false, exited: false },
  removed: false,
  publicKey: id(`public key ${validator}`),
  depositSignature: id(`deposit signature ${validator}`),
  sharesData: "0x",
  nonce: BigInt(validator),
});

/** Three validators of cluster 1 that wait for their deposits. */
export const REGISTRY: RegistryView = {
  accounts: new Map(),
  clusters: new Map(),
  validators: new Map([1, 2, 3].map((validator) => [validator, registered(validator)])),
  uses: new Map(),
};

export const keysHash = (...ids: number[]): string => depositKeysHash(ids.map(registered));

export const APPROVAL: DepositApproval = {
  cluster: 1,
  ids: [1, 2],
  keysHash: keysHash(1, 2),
  approvalEpoch: 3n,
  blockNumber: 96n,
  blockHash: id("block 96"),
  depositCount: 7n,
};

/** Ascending by address, as the contracts want signatures. */
export const members = (set: string): Wallet[] =>
  [0, 1, 2].map((i) => new Wallet(id(`${set} ${i}`))).sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));

export const addresses = (wallets: readonly (Wallet | HDNodeWallet)[]): Set<string> =>
  new Set(wallets.map(({ address }) => address));

export const context = (changes: Partial<CollectorContext> = {}): CollectorContext => ({
  domains: DOMAINS,
  oracles: addresses(members("oracle")),
  guardians: addresses(members("guardian")),
  refSlots: [63, 95],
  approvalEpoch: 3n,
  registry: REGISTRY,
  ...changes,
});
