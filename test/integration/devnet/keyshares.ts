import { hexlify } from "ethers";
import { SecretKey } from "@chainsafe/blst";
import { buildSharesData, encryptShare, signOwnerNonce } from "../../../oracle/keys/keyshares.js";
import { splitSecret } from "../../../oracle/keys/shamir.js";

export interface SharesOptions {
  secretKey: SecretKey;
  /** Ascending by id. */
  operators: readonly { id?: bigint | undefined; publicKeyPem: string }[];
  owner: string;
  nonce: bigint;
  /** Positions of operators whose ciphertext shall be garbage. */
  badCiphertexts?: number[];
  /** Positions of operators whose share (key and ciphertext alike) shall be of another polynomial. */
  foreignShares?: number[];
}

/** KeyShares as the pool operator prepares them, or spoiled on purpose. */
export function makeShares(options: SharesOptions): { publicKey: string; sharesData: string } {
  const { secretKey, operators, owner, nonce, badCiphertexts = [], foreignShares = [] } = options;
  const ids = operators.map(({ id }) => id!);
  const foreign = splitSecret(SecretKey.fromKeygen(new Uint8Array(32).fill(77)).toBytes(), ids);
  const shares = splitSecret(secretKey.toBytes(), ids).map((share, i) =>
    foreignShares.includes(i) ? foreign[i]! : share,
  );
  const sharesData = buildSharesData({
    ownerNonceSignature: signOwnerNonce(secretKey.toBytes(), owner, nonce),
    sharePublicKeys: shares.map((share) => SecretKey.fromBytes(share.secretKey).toPublicKey().toBytes()),
    encryptedShares: shares.map((share, i) =>
      badCiphertexts.includes(i)
        ? new Uint8Array(256).fill(1)
        : encryptShare(operators[i]!.publicKeyPem, share.secretKey),
    ),
  });
  return { publicKey: hexlify(secretKey.toPublicKey().toBytes()), sharesData: hexlify(sharesData) };
}
