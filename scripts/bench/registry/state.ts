import type { VerifiedState } from "../../../oracle/beacon/readVerified.js";
import { FAR_FUTURE_EPOCH } from "../../../oracle/beacon/stateParts.js";

const ZERO = `0x${"00".repeat(32)}`;

/** What the reader takes from a state in which all these validators are active, each with a small reward; one in a hundred has just been slashed. */
export function stateOf(pubkeys: readonly string[], vault: string): VerifiedState {
  const epoch = 400_000;
  const slot = 32 * epoch + 31;
  const header = { slot, proposerIndex: 0, parentRoot: ZERO, stateRoot: ZERO, bodyRoot: ZERO };
  return {
    fork: "fulu",
    stateRoot: ZERO,
    blockRoot: ZERO,
    header,
    latestBlockHeader: header,
    genesisTime: 1_606_824_023,
    genesisValidatorsRoot: ZERO,
    slot,
    epoch,
    forkVersion: { previous: "0x05000000", current: "0x06000000", epoch: 0 },
    finalizedCheckpoint: { epoch: epoch - 2, root: ZERO },
    slashingsSumGwei: BigInt(Math.ceil(pubkeys.length / 100)) * 32_000_000_000n,
    totalActiveBalanceGwei: 36_000_000n * 1_000_000_000n,
    slashedActiveBalanceGwei: 0n,
    validatorCount: 2_000_000,
    earliestExitEpoch: epoch + 5,
    exitBalanceToConsumeGwei: 0n,
    sweep: { nextIndex: 0, payable: 1_000_000, funded: 1_100_000, payableAhead: new Map() },
    executionBlock: { number: 1, hash: ZERO, stateRoot: ZERO, timestamp: 0 },
    pubkeys: new Set(pubkeys),
    validators: new Map(
      pubkeys.map((pubkey, i) => [
        pubkey,
        {
          index: 1_000_000 + i,
          pubkey,
          withdrawalCredentials: `0x01${"00".repeat(11)}${vault.slice(2)}`,
          effectiveBalanceGwei: 32_000_000_000n,
          slashed: i % 100 === 0,
          activationEligibilityEpoch: 1,
          activationEpoch: 2,
          exitEpoch: i % 100 === 0 ? epoch + 5 : FAR_FUTURE_EPOCH,
          withdrawableEpoch: i % 100 === 0 ? epoch + 8_192 : FAR_FUTURE_EPOCH,
          balanceGwei: 32_010_000_000n,
          previousParticipation: 7,
          currentParticipation: 7,
          inactivityScore: 0n,
        },
      ]),
    ),
    pendingDeposits: new Map(),
    pendingPartialWithdrawals: [],
    payloadExpectedWithdrawals: [],
  };
}
