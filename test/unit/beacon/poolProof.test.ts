import { expect } from "chai";
import { SUPPORTED_FORKS, type SupportedFork } from "../../../oracle/beacon/forks.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import { checkPoolProof, makePoolProof, poolProofSchema, type PoolProof } from "../../../oracle/proof/poolProof.js";
import { EMPTY_SHAPE, randomState, serialize } from "./states.js";

/** Validators next to each other and far apart; the pending deposits are for keys of the registry. */
const OWNED = [4, 5, 6, 70, 199];

function makeProof(fork: SupportedFork) {
  const state = randomState(fork, { ...EMPTY_SHAPE, seed: 12, validators: 200, pendingDeposits: 60 });
  const pubkeys = new Set(OWNED.map((index) => toHex(state.validators[index]!.pubkey)));
  const prove = { validators: "asked", balances: "asked", pendingDeposits: "asked" } as const;
  const reader = new StateReader(fork, { pubkeys, prove });
  reader.push(serialize(fork, state));
  reader.finish();
  return { state, pubkeys, proof: makePoolProof(fork, 319, reader.proofs()) };
}

/** Another digit at a place of hex. */
function changed(hex: string, digit: number): string {
  const other = hex[digit] === "a" ? "b" : "a";
  return hex.slice(0, digit) + other + hex.slice(digit + 1);
}

describe("A file of proofs", () => {
  for (const fork of SUPPORTED_FORKS) {
    it(`${fork}: goes through JSON and proves what the state has`, () => {
      const { state, pubkeys, proof } = makeProof(fork);
      const file = poolProofSchema.parse(JSON.parse(JSON.stringify(proof)));
      const { validators, pendingDeposits } = checkPoolProof(file);
      expect(validators).to.deep.equal(
        OWNED.map((index) => ({
          index,
          pubkey: toHex(state.validators[index]!.pubkey),
          withdrawalCredentials: toHex(state.validators[index]!.withdrawalCredentials),
          slashed: state.validators[index]!.slashed,
          balanceGwei: BigInt(state.balances[index]!),
        })),
      );
      const deposits = state.pendingDeposits.flatMap((deposit, index) =>
        pubkeys.has(toHex(deposit.pubkey))
          ? [
              {
                index,
                pubkey: toHex(deposit.pubkey),
                withdrawalCredentials: toHex(deposit.withdrawalCredentials),
                amountGwei: BigInt(deposit.amount),
              },
            ]
          : [],
      );
      expect(deposits).to.have.length.greaterThan(0);
      expect(pendingDeposits).to.deep.equal(deposits);
    });

    it(`${fork}: proves nothing with any part of it changed, left out, repeated or moved`, () => {
      const { proof } = makeProof(fork);
      const [first, second, ...others] = proof.validators;
      const [deposit, ...deposits] = proof.pendingDeposits;
      const forgeries: [what: string, file: PoolProof][] = [
        ["another root", { ...proof, blockRoot: changed(proof.blockRoot, 9) }],
        ["other helpers", { ...proof, helpers: changed(proof.helpers, 9) }],
        ["a helper less", { ...proof, helpers: proof.helpers.slice(0, -64) }],
        ["a helper more", { ...proof, helpers: `${proof.helpers}${"00".repeat(32)}` }],
        ["a validator less", { ...proof, validators: [first!, ...others] }],
        ["a deposit less", { ...proof, pendingDeposits: deposits }],
        ["a validator twice", { ...proof, validators: [first!, second!, first!, ...others] }],
        ["a deposit twice", { ...proof, pendingDeposits: [deposit!, deposit!, ...deposits] }],
        ["another index", { ...proof, validators: [{ ...first!, index: 3 }, second!, ...others] }],
        [
          "two validators in each other's place",
          {
            ...proof,
            validators: [{ ...first!, index: second!.index }, { ...second!, index: first!.index }, ...others],
          },
        ],
        [
          "two balances for one chunk",
          { ...proof, validators: [first!, { ...second!, balances: changed(second!.balances, 30) }, ...others] },
        ],
        ["a deposit at another index", { ...proof, pendingDeposits: [{ ...deposit!, index: 59 }, ...deposits] }],
        ...SUPPORTED_FORKS.filter((other) => (other === "gloas") !== (fork === "gloas")).map(
          (other): [string, PoolProof] => [`as ${other}`, { ...proof, fork: other }],
        ),
      ];
      // every octet of a record and of a chunk counts
      for (let digit = 2; digit < first!.record.length; digit += 2) {
        const validators = [{ ...first!, record: changed(first!.record, digit) }, second!, ...others];
        forgeries.push([`digit ${digit} of a validator`, { ...proof, validators }]);
      }
      for (let digit = 2; digit < 66; digit += 2) {
        const forged = others.map((entry, i) =>
          i === 1 ? { ...entry, balances: changed(entry.balances, digit) } : entry,
        );
        forgeries.push([`digit ${digit} of a balance`, { ...proof, validators: [first!, second!, ...forged] }]);
      }
      for (let digit = 2; digit < deposit!.record.length; digit += 2) {
        const record = changed(deposit!.record, digit);
        forgeries.push([
          `digit ${digit} of a deposit`,
          { ...proof, pendingDeposits: [{ ...deposit!, record }, ...deposits] },
        ]);
      }
      for (const [what, file] of forgeries) {
        expect(() => checkPoolProof(file), what).to.throw(/^What the file says does not lead to the root/);
      }
    });
  }

  it("of nothing is not written", () => {
    const state = randomState("fulu", { ...EMPTY_SHAPE, seed: 1, validators: 20 });
    const prove = { validators: "asked", balances: "asked", pendingDeposits: "asked" } as const;
    const reader = new StateReader("fulu", { pubkeys: new Set<string>(), prove });
    reader.push(serialize("fulu", state));
    reader.finish();
    const proofs = reader.proofs();
    expect(() => makePoolProof("fulu", 31, proofs)).to.throw(/^At slot 31 the beacon chain has nothing of the pool/);
  });

  it("with an index that no list has is refused before any of it is looked at", () => {
    const { proof } = makeProof("fulu");
    const [first, ...others] = proof.validators;
    for (const index of [-1, 0.5, 2 ** 24, 2 ** 40 + 4]) {
      const file = { ...proof, validators: [{ ...first!, index }, ...others] };
      expect(poolProofSchema.safeParse(file).success, String(index)).to.equal(false);
    }
  });
});
