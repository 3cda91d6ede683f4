import { constants, randomBytes, sign as signRsa, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { SecretKey } from "@chainsafe/blst";
import { ByteListType, ByteVectorType, ContainerType } from "@chainsafe/ssz";
import { getBytes, hexlify, parseEther, type HDNodeWallet, type TransactionResponse } from "ethers";
import { committeeKey, type LocalCluster, type LocalPool, type RunningService } from "../../../devnet/pool.js";
import { decodeDepositEvent } from "../../../devnet/execution/executionLayer.js";
import { depositDataRoot, DEPOSIT_GWEI, signDeposit } from "../../../oracle/keys/depositData.js";
import type { DkgProof } from "../../../oracle/keys/dkgProofs.js";
import {
  buildSharesData,
  encryptShare,
  parseSharesData,
  signOwnerNonce,
  type SharesData,
} from "../../../oracle/keys/keyshares.js";
import type { Entry } from "../../../oracle/keys/prepare.js";
import { splitSecret } from "../../../oracle/keys/shamir.js";
import type { ServiceLogger } from "../../../oracle/ops/logging.js";
import { linkToBytes32, sign } from "../../../oracle/signatures/messages.js";
import { IDepositContract__factory } from "../../../types/ethers-contracts/index.js";

/** `Status` of the registry's validators. */
export const Status = { None: 0n, Registered: 1n, Deposited: 2n, Discarded: 3n, Removed: 4n } as const;

/** Above every service's, so that a transaction is earlier in its block. */
export const HIGH_FEES = { maxPriorityFeePerGas: 50n * 10n ** 9n, maxFeePerGas: 500n * 10n ** 9n };

const GWEI = 10n ** 9n;

/** A validator whose whole secret the test keeps, and what of it is published. */
export interface KnownValidator {
  readonly entry: Entry;
  readonly secretKey: Uint8Array;
  /** what each operator should get, in the order of the cluster */
  readonly secretShares: readonly Uint8Array[];
  readonly shares: SharesData;
}

/** As `LocalPool.prepare`, one validator, with its secret. */
export async function knownValidator(pool: LocalPool, cluster: LocalCluster, nonce: bigint): Promise<KnownValidator> {
  const key = SecretKey.fromKeygen(randomBytes(32));
  const secretKey = key.toBytes();
  const secretShares = splitSecret(secretKey, cluster.operatorIds).map((share) => share.secretKey);
  const shares: SharesData = {
    ownerNonceSignature: signOwnerNonce(secretKey, cluster.ssvAccount, nonce),
    sharePublicKeys: secretShares.map(publicKeyOf),
    encryptedShares: encryptShares(cluster, secretShares),
  };
  const depositSignature = signDeposit(secretKey, {
    withdrawalCredentials: await pool.registry.withdrawalCredentials(),
    amountGwei: DEPOSIT_GWEI,
    genesisForkVersion: pool.devnet.genesisForkVersion,
  });
  const entry = {
    publicKey: hexlify(key.toPublicKey().toBytes()),
    depositSignature: hexlify(depositSignature),
    sharesData: hexlify(buildSharesData(shares)),
  };
  return { entry, secretKey, secretShares, shares };
}

/** The message that ssv-dkg has each operator sign. */
const ProofType = new ContainerType({
  validator: new ByteVectorType(48),
  encryptedShare: new ByteListType(512),
  sharePublicKey: new ByteVectorType(48),
  owner: new ByteVectorType(20),
});

/** The proofs of a ceremony, signed by `signers`. */
export function dkgProofs({ publicKey, sharesData }: Entry, owner: string, signers: readonly KeyObject[]): DkgProof[] {
  const shares = parseSharesData(sharesData, signers.length);
  return signers.map((key, i) => {
    const encryptedShare = shares.encryptedShares[i] ?? new Uint8Array();
    const sharePublicKey = shares.sharePublicKeys[i] ?? new Uint8Array();
    const root = ProofType.hashTreeRoot({
      validator: getBytes(publicKey),
      encryptedShare,
      sharePublicKey,
      owner: getBytes(owner),
    });
    const bare = (bytes: string | Uint8Array): string => hexlify(bytes).slice(2);
    return {
      proof: {
        validator: bare(publicKey),
        encrypted_share: bare(encryptedShare),
        share_pub: bare(sharePublicKey),
        owner: bare(owner),
      },
      signature: signRsa("sha256", root, { key, padding: constants.RSA_PKCS1_PSS_PADDING }).toString("hex"),
    };
  });
}

export function publicKeyOf(secretKey: Uint8Array): Uint8Array {
  return SecretKey.fromBytes(secretKey).toPublicKey().toBytes();
}

/** For each operator its share, encrypted to its key. */
export function encryptShares({ operators }: LocalCluster, secretShares: readonly Uint8Array[]): Uint8Array[] {
  return operators.map(({ publicKeyPem }, i) => encryptShare(publicKeyPem, secretShares[i] ?? new Uint8Array()));
}

/** The first two of a list exchanged. */
export function swapped<T>([first, second, ...others]: readonly T[]): T[] {
  return [second, first, ...others].flatMap((item) => item ?? []);
}

/** The same validator, published with other shares. */
export function withShares({ entry }: KnownValidator, shares: SharesData): Entry {
  return { ...entry, sharesData: hexlify(buildSharesData(shares)) };
}

/** What a quorum of guardians would sign if it did not look. */
export async function forceVetting(pool: LocalPool, { accountId }: LocalCluster, batch: bigint): Promise<void> {
  const { registry, guardians, devnet, deployment } = pool;
  const [{ head }, approvalEpoch] = await Promise.all([registry.batch(accountId, batch), guardians.approvalEpoch()]);
  const domains = {
    chainId: devnet.chainId,
    reportOracle: deployment.addresses.reportOracle,
    guardians: deployment.addresses.guardians,
  };
  const message = { account: Number(accountId), batch: Number(batch), head: linkToBytes32(head), approvalEpoch };
  const signers = [0, 1]
    .map((i) => committeeKey("guardian", i))
    .sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));
  const signed = await Promise.all(signers.map((signer) => sign({ kind: "vetting", message }, domains, signer)));
  const anyone = pool.user(9);
  await devnet.mineTx(
    registry.connect(anyone).vet(
      accountId,
      batch,
      signed.map(({ signature }) => signature),
    ),
    registry.interface,
  );
}

export interface DirectDeposit {
  readonly secretKey: Uint8Array;
  readonly withdrawalCredentials: string;
  readonly ether: bigint;
  /** Signed by some other key: consensus ignores it, and so must the pool. */
  readonly badSignature?: boolean;
}

/** Somebody's own deposit, past the pool. Sent, not mined. */
export async function sendDeposit(
  { devnet, registry }: LocalPool,
  sender: HDNodeWallet,
  { secretKey, withdrawalCredentials, ether, badSignature = false }: DirectDeposit,
): Promise<TransactionResponse> {
  const { depositContract } = await registry.externals();
  const amountGwei = parseEther(String(ether)) / GWEI;
  const publicKey = publicKeyOf(secretKey);
  const signer = badSignature ? SecretKey.fromKeygen(new Uint8Array(32).fill(7)).toBytes() : secretKey;
  const { genesisForkVersion } = devnet;
  const signature = signDeposit(signer, { withdrawalCredentials, amountGwei, genesisForkVersion });
  return IDepositContract__factory.connect(depositContract, sender).deposit(
    publicKey,
    withdrawalCredentials,
    signature,
    depositDataRoot(publicKey, withdrawalCredentials, amountGwei, signature),
    // an estimate is of the block as it would be without the other transactions in it
    { value: amountGwei * GWEI, gasLimit: 200_000n, ...HIGH_FEES },
  );
}

/** ETH that ever went to the deposit contract for a key, and with which credentials, in order. */
export async function depositsFor(
  { devnet, registry }: LocalPool,
  publicKey: string,
): Promise<{ ether: bigint; withdrawalCredentials: string }[]> {
  const { depositContract } = await registry.externals();
  const logs = await devnet.provider.getLogs({ address: depositContract, fromBlock: 0 });
  return logs
    .map(({ data }) => decodeDepositEvent(data))
    .filter(({ pubkey }) => hexlify(pubkey) === publicKey)
    .map(({ amount, withdrawalCredentials }) => ({
      ether: BigInt(amount) / GWEI,
      withdrawalCredentials: hexlify(withdrawalCredentials),
    }));
}

/** A transaction that waits for a block. */
export interface PendingTransaction {
  readonly hash: string;
  readonly from: string;
  readonly to: string | null;
  readonly input: string;
}

export async function pendingTransactions({ devnet }: LocalPool): Promise<PendingTransaction[]> {
  return (await devnet.provider.send("eth_pendingTransactions", [])) as PendingTransaction[];
}

/** Status of a key in the registry. */
export async function statusOf(pool: LocalPool, publicKey: string): Promise<bigint> {
  return (await pool.registry.validator(publicKey)).status;
}

/**
 * Oracles and guardians, as many as a quorum needs, and their keeper; answers a guardian. Without reports deposits would close after
 * two frames.
 */
export async function startQuorum(pool: LocalPool, guardianLogger?: ServiceLogger): Promise<RunningService> {
  await pool.start("keeper", 0);
  for (const position of [0, 1]) await pool.start("oracle", position);
  await pool.start("guardian", 1);
  return pool.start("guardian", 0, guardianLogger === undefined ? {} : { logger: guardianLogger });
}

/** A web server that can leave a request without an answer for ever, so that whoever asked can be killed before it hears of it. */
export class HoldingServer {
  /** requests without an answer */
  readonly held: string[] = [];
  readonly answered: string[] = [];
  readonly #server: Server;

  /** @param handle the answer to a request, null for none */
  constructor(handle: (body: string, server: HoldingServer) => Promise<string | null>) {
    this.#server = createServer((request, response) => {
      const respond = async (): Promise<void> => {
        const body = await text(request);
        const answer = await handle(body, this);
        (answer === null ? this.held : this.answered).push(body);
        if (answer !== null) response.setHeader("content-type", "application/json").end(answer);
      };
      respond().catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
