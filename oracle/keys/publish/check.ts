import { sameOperators, type OperatorKey } from "../operatorKeys.js";
import { verifyBatch, verifyDkgProofs, type Finding } from "../verify.js";
import type { Batch, DepositTerms } from "./batch.js";
import { PublishError } from "./errors.js";

/**
 * Refuses what guardians would refuse: what is published and never vetted holds up the account's queue until they drop it.
 * @param operators the keys with which SSV Network knows the operators
 */
export function assertVerified(batch: Batch, terms: DepositTerms, operators: readonly OperatorKey[]): void {
  sameOperators(operators, batch.operators, "SSV Network and the KeyShares");
  const { account, keys } = batch;
  const operatorIds = operators.map(({ id }) => id);
  const firstNonce = keys[0]?.ownerNonce ?? 0n;
  const found: { publicKey: string; finding: Finding }[] = [
    ...verifyBatch(keys, { account, operatorIds, firstNonce, ...terms }).map((finding) => ({
      publicKey: finding.publicKey,
      finding,
    })),
    ...keys.flatMap((key) =>
      (key.dkgProofs === undefined
        ? []
        : verifyDkgProofs(
            key,
            key.dkgProofs,
            operators.map(({ publicKeyPem }) => publicKeyPem),
            account,
          )
      ).map((finding) => ({ publicKey: key.publicKey, finding })),
    ),
  ];
  const [first] = found;
  if (first === undefined) return;
  throw new PublishError(
    "NotVerified",
    `The batch has ${found.length} faults, and nothing of it is published. The first, of ${first.publicKey}: ${first.finding.message} \`pooleth keys verify\` tells all.`,
    { found },
  );
}
