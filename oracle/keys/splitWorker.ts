import { serveTasks, type Work } from "./io/workers.js";
import { decryptKeystore, type Keystore } from "./keystore.js";
import type { ClusterOperator } from "./keysharesJson.js";
import type { PoolTerms } from "./poolTerms.js";
import { assertVerified, prepareEntry, type PreparedValidator } from "./prepare.js";

export interface SplitWork extends Work {
  readonly shared: {
    readonly password: Uint8Array;
    readonly account: string;
    /** ascending by id */
    readonly operators: readonly ClusterOperator[];
    readonly terms: PoolTerms;
  };
  /** some keystores with consecutive nonces */
  readonly task: {
    readonly firstNonce: bigint;
    readonly keystores: readonly { readonly name: string; readonly keystore: Keystore }[];
  };
  readonly result: PreparedValidator[];
}

serveTasks<SplitWork>(({ password, account, operators, terms }, { firstNonce, keystores }, onStep) => {
  const { withdrawalCredentials, genesisForkVersion } = terms;
  const prepared = keystores.map(({ name, keystore }, i) => {
    const secretKey = decryptKeystore(name, keystore, password);
    try {
      const ownerNonce = firstNonce + BigInt(i);
      return prepareEntry(secretKey, { account, ownerNonce, operators, withdrawalCredentials, genesisForkVersion });
    } finally {
      secretKey.fill(0);
      onStep();
    }
  });
  const operatorIds = operators.map(({ id }) => id);
  assertVerified(prepared, { account, firstNonce, operatorIds, withdrawalCredentials, genesisForkVersion });
  return prepared;
});
