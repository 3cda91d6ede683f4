import { createHash } from "node:crypto";
import { ContainerType } from "@chainsafe/ssz";
import {
  computeDescriptor,
  concatGindices,
  createProof,
  ProofType,
  Tree,
  type CompactMultiProof,
  type SingleProof,
} from "@chainsafe/persistent-merkle-tree";
import { ssz } from "@lodestar/types";
import { expect } from "chai";
import fc from "fast-check";
import { StateError } from "../../../oracle/beacon/errors.js";
import { SUPPORTED_FORKS, type SupportedFork } from "../../../oracle/beacon/forks.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import { headerRoot } from "../../../oracle/beacon/readVerified.js";
import {
  balanceIn,
  PROVABLE_LISTS,
  recordRoot,
  type ProofRequest,
  type ProofTarget,
  type StateProofs,
} from "../../../oracle/beacon/stateProofs.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import { verifyMultiproof, verifyProof, type Multiproof, type Proof } from "../../../oracle/beacon/verifyProof.js";
import { EMPTY_SHAPE, RANDOM_STATES, randomState, serialize, stateType, stateRoot, type AnyState } from "./states.js";

const VALIDATOR_FIELDS = Object.keys(ssz.phase0.Validator.fields) as (keyof typeof ssz.phase0.Validator.fields)[];
const DEPOSIT_FIELDS = Object.keys(
  ssz.electra.PendingDeposit.fields,
) as (keyof typeof ssz.electra.PendingDeposit.fields)[];

function prove(
  fork: SupportedFork,
  state: AnyState,
  request: ProofRequest,
  { pubkeys = new Set<string>(), sizes = [65_536] }: { pubkeys?: Set<string>; sizes?: readonly number[] } = {},
): StateProofs {
  const bytes = serialize(fork, state);
  const reader = new StateReader(fork, { pubkeys, prove: request });
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    reader.push(bytes.subarray(at, at + size));
    at += size;
  }
  reader.finish();
  return reader.proofs();
}

/** The library's tree of the block: its header, with the tree of the state in the place of the state's root. */
function libraryTree(fork: SupportedFork, state: AnyState): Tree {
  const header = ssz.phase0.BeaconBlockHeader.value_toTree(state.latestBlockHeader);
  const tree = new Tree(header);
  tree.setNode(11n, stateType(fork).value_toTree(state as never));
  return tree;
}

// the library does not go inside of records that it keeps as values: these are the same types without that
const VALIDATOR = new ContainerType(ssz.phase0.Validator.fields);
const DEPOSIT = new ContainerType(ssz.electra.PendingDeposit.fields);

/** Where the library says that the target is. */
function libraryGindex(fork: SupportedFork, target: ProofTarget): bigint {
  const { gindex } = stateType(fork).getPathInfo([target.list, target.index]);
  if (target.list === "balances" || target.field === undefined) return concatGindices([11n, gindex]);
  const record = target.list === "validators" ? VALIDATOR : DEPOSIT;
  return concatGindices([11n, gindex, record.getPathInfo([target.field]).gindex]);
}

function blockRootOf(fork: SupportedFork, state: AnyState): string {
  const { slot, proposerIndex, parentRoot, bodyRoot } = state.latestBlockHeader;
  return headerRoot({
    slot,
    proposerIndex,
    parentRoot: toHex(parentRoot),
    stateRoot: toHex(stateRoot(fork, state)),
    bodyRoot: toHex(bodyRoot),
  });
}

/** Many nodes, short enough for a message. */
function digest(nodes: readonly Uint8Array[]): string {
  return `${nodes.length} nodes ${createHash("sha256").update(Buffer.concat(nodes)).digest("hex")}`;
}

/** By the way down from the root. */
function leftToRight(a: bigint, b: bigint): number {
  return a.toString(2) < b.toString(2) ? -1 : 1;
}

/** The nodes of a multiproof as the library has them: leaves and helpers in one row, from left to right. */
function inOneRow(proof: Multiproof, helperGindices: readonly bigint[]): string {
  const nodes = [
    ...proof.gindices.map((gindex, i) => ({ gindex, node: proof.leaves.subarray(32 * i, 32 * i + 32) })),
    ...helperGindices.map((gindex, i) => ({ gindex, node: proof.helpers.subarray(32 * i, 32 * i + 32) })),
  ];
  return digest(nodes.sort((a, b) => leftToRight(a.gindex, b.gindex)).map(({ node }) => node));
}

/** The specification's helper indices, by its own definition (ssz/merkle-proofs.md). */
function specHelpers(gindices: readonly bigint[]): bigint[] {
  const helpers = new Set<bigint>();
  const onPath = new Set<bigint>();
  for (const leaf of gindices) {
    for (let on = leaf; on > 1n; on >>= 1n) {
      helpers.add(on ^ 1n);
      onPath.add(on);
    }
  }
  return [...helpers].filter((gindex) => !onPath.has(gindex)).sort(leftToRight);
}

interface Lengths {
  readonly validators: number;
  readonly balances: number;
  readonly pendingDeposits: number;
}

/** Any leaf of a state with lists of those lengths. */
function targetsOf(lengths: Lengths): fc.Arbitrary<ProofTarget> {
  const index = (list: keyof Lengths) =>
    fc.oneof(fc.nat({ max: lengths[list] - 1 }), fc.constantFrom(0, lengths[list] - 1));
  const choices: fc.Arbitrary<ProofTarget>[] = [];
  if (lengths.validators > 0) {
    choices.push(
      fc.record({
        list: fc.constant("validators" as const),
        index: index("validators"),
        field: fc.constantFrom(...VALIDATOR_FIELDS),
      }),
      fc.record({ list: fc.constant("balances" as const), index: index("balances") }),
    );
  }
  if (lengths.pendingDeposits > 0) {
    choices.push(
      fc.record({
        list: fc.constant("pendingDeposits" as const),
        index: index("pendingDeposits"),
        field: fc.constantFrom(...DEPOSIT_FIELDS),
      }),
    );
  }
  return fc.oneof(...choices);
}

/** The record that a target's field is in. */
function withoutField(target: ProofTarget): ProofTarget {
  return { list: target.list, index: target.index };
}

function checkSingle(tree: Tree, fork: SupportedFork, proofs: StateProofs, target: ProofTarget): void {
  const proof = proofs.proof(target);
  const gindex = libraryGindex(fork, target);
  const library = createProof(tree.rootNode, { type: ProofType.single, gindex }) as SingleProof;
  expect(proof.gindex).to.equal(gindex);
  expect(toHex(proof.leaf)).to.equal(toHex(library.leaf));
  expect(toHex(proof.branch)).to.equal(toHex(Buffer.concat(library.witnesses)));
  expect(verifyProof(tree.root, proof)).to.equal(true);
}

function checkMulti(tree: Tree, fork: SupportedFork, proofs: StateProofs, targets: readonly ProofTarget[]): void {
  const proof = proofs.multiproof(targets);
  const expected = new Set(targets.map((target) => libraryGindex(fork, target)));
  expect(new Set(proof.gindices)).to.deep.equal(expected);
  expect(proof.gindices.length).to.equal(expected.size);
  const descriptor = computeDescriptor([...expected]);
  const library = createProof(tree.rootNode, { type: ProofType.compactMulti, descriptor }) as CompactMultiProof;
  expect(inOneRow(proof, specHelpers(proof.gindices))).to.equal(digest(library.leaves));
  expect(verifyMultiproof(tree.root, proof)).to.equal(true);
}

/** Lengths around those at which chunks and the binary trees of a progressive list (1, 4, 16, 64, 256) begin and end. */
const LENGTHS = [0, 1, 2, 3, 4, 5, 6, 20, 21, 22, 31, 32, 33, 84, 85, 86, 127, 128, 129];

describe("Proofs from a state that is read once", () => {
  const cases = fc
    .record({
      shape: fc.record({
        seed: fc.nat(),
        validators: fc.constantFrom(...LENGTHS),
        pendingDeposits: fc.constantFrom(...LENGTHS),
        partialWithdrawals: fc.nat({ max: 3 }),
        consolidations: fc.nat({ max: 3 }),
        eth1Votes: fc.nat({ max: 2 }),
        historicalSummaries: fc.nat({ max: 2 }),
        historicalRoots: fc.nat({ max: 2 }),
      }),
      sizes: fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 70_000 })), {
        minLength: 1,
        maxLength: 8,
      }),
    })
    .chain(({ shape, sizes }) => {
      const lengths = { ...shape, balances: shape.validators };
      const isEmpty = shape.validators + shape.pendingDeposits === 0;
      return fc.record({
        shape: fc.constant(shape),
        sizes: fc.constant(sizes),
        targets: isEmpty
          ? fc.constant<ProofTarget[]>([])
          : fc.uniqueArray(targetsOf(lengths), { minLength: 1, maxLength: 12 }),
      });
    });

  for (const fork of SUPPORTED_FORKS) {
    it(`${fork}: are the library's, of any leaves, alone and together`, () => {
      fc.assert(
        fc.property(cases, ({ shape, sizes, targets }) => {
          const state = randomState(fork, shape);
          const wanted = (list: string) => targets.filter((target) => target.list === list).map(({ index }) => index);
          const request = Object.fromEntries(PROVABLE_LISTS.map((list) => [list, wanted(list)]));
          const proofs = prove(fork, state, request, { sizes });
          const tree = libraryTree(fork, state);
          expect(toHex(tree.root)).to.equal(blockRootOf(fork, state));
          expect(toHex(proofs.blockRoot)).to.equal(toHex(tree.root));
          for (const target of targets) {
            checkSingle(tree, fork, proofs, target);
            checkSingle(tree, fork, proofs, withoutField(target));
          }
          if (targets.length > 0) {
            checkMulti(tree, fork, proofs, targets);
            checkMulti(tree, fork, proofs, targets.map(withoutField));
          }
        }),
        { seed: 20_261_120, numRuns: RANDOM_STATES },
      );
    });

    // batches of 1,024 nodes, and the lists of a pool: one after another, and scattered
    for (const [what, validators] of [
      ["one batch", 1024],
      ["one batch and one", 1025],
      ["a batch of balances and one", 4097],
      ["several batches", 5470],
    ] as const) {
      it(`${fork}: are the library's across ${what}`, () => {
        const state = randomState(fork, { ...EMPTY_SHAPE, seed: 3, validators, pendingDeposits: 1026 });
        const contiguous = Array.from({ length: 60 }, (_, i) => validators - 60 + i);
        const scattered = Array.from({ length: 40 }, (_, i) => Math.floor((i * validators) / 40));
        const indices = [...contiguous, ...scattered, 1023].filter((index) => index < validators);
        const deposits = [0, 1, 1023, 1024, 1025];
        const request = { validators: indices, balances: indices, pendingDeposits: deposits };
        const proofs = prove(fork, state, request, { sizes: [65_536, 7, 50_001] });
        const tree = libraryTree(fork, state);
        const targets: ProofTarget[] = [...new Set(indices)].flatMap((index) => [
          { list: "validators", index } as const,
          { list: "balances", index } as const,
        ]);
        targets.push(...deposits.map((index) => ({ list: "pendingDeposits", index }) as const));
        for (const target of targets.filter((_, i) => i % 9 === 0)) checkSingle(tree, fork, proofs, target);
        checkMulti(tree, fork, proofs, targets);
        checkMulti(tree, fork, proofs, targets.slice(0, 60));
      });
    }

    it(`${fork}: of the keys asked for, with what the leaves say`, () => {
      const state = randomState(fork, { ...EMPTY_SHAPE, seed: 9, validators: 200, pendingDeposits: 60 });
      const owned = state.validators.flatMap((_, index) => (index % 7 === 3 ? [index] : []));
      const pubkeys = new Set(owned.map((index) => toHex(state.validators[index]!.pubkey)));
      const request = { validators: "asked", balances: "asked", pendingDeposits: "asked" } as const;
      const proofs = prove(fork, state, request, { pubkeys });
      expect(proofs.indices("validators")).to.deep.equal(owned);
      expect(proofs.indices("balances")).to.deep.equal(owned);
      const deposits = state.pendingDeposits.flatMap(({ pubkey }, i) => (pubkeys.has(toHex(pubkey)) ? [i] : []));
      expect(deposits).to.have.length.greaterThan(0);
      expect(proofs.indices("pendingDeposits")).to.deep.equal(deposits);
      for (const index of owned) {
        const record = proofs.record("validators", index);
        expect(toHex(record)).to.equal(toHex(ssz.phase0.Validator.serialize(state.validators[index]!)));
        expect(proofs.proof({ list: "validators", index }).leaf).to.deep.equal(recordRoot("validators", record));
        const { leaf } = proofs.proof({ list: "balances", index });
        expect(balanceIn(leaf, index)).to.equal(BigInt(state.balances[index]!));
        const credentials = proofs.proof({ list: "validators", index, field: "withdrawalCredentials" });
        expect(toHex(credentials.leaf)).to.equal(toHex(state.validators[index]!.withdrawalCredentials));
      }
      for (const index of deposits) {
        const record = proofs.record("pendingDeposits", index);
        expect(toHex(record)).to.equal(toHex(ssz.electra.PendingDeposit.serialize(state.pendingDeposits[index]!)));
        const { leaf } = proofs.proof({ list: "pendingDeposits", index });
        expect(leaf).to.deep.equal(recordRoot("pendingDeposits", record));
      }
    });
  }

  describe("fail with any bit changed", () => {
    const state = randomState("fulu", { ...EMPTY_SHAPE, seed: 4, validators: 70, pendingDeposits: 6 });
    const proofs = prove("fulu", state, { validators: [5, 6, 40], balances: [5, 6, 40], pendingDeposits: [4] });
    const root = proofs.blockRoot;
    const targets: ProofTarget[] = [
      { list: "validators", index: 5, field: "withdrawalCredentials" },
      { list: "validators", index: 6 },
      { list: "balances", index: 40 },
      { list: "pendingDeposits", index: 4, field: "amount" },
    ];

    function flip(bytes: Uint8Array, bit: number): Uint8Array {
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      return flipped;
    }

    it("of a single proof: leaf, branch, index, root", () => {
      for (const target of targets) {
        const proof = proofs.proof(target);
        expect(verifyProof(root, proof)).to.equal(true);
        for (let bit = 0; bit < 256; bit++) {
          expect(verifyProof(root, { ...proof, leaf: flip(proof.leaf, bit) })).to.equal(false);
          expect(verifyProof(flip(root, bit), proof)).to.equal(false);
        }
        for (let bit = 0; bit < proof.branch.length * 8; bit += 5) {
          expect(verifyProof(root, { ...proof, branch: flip(proof.branch, bit) })).to.equal(false);
        }
        for (let level = 0n; level < 70n; level++) {
          expect(verifyProof(root, { ...proof, gindex: proof.gindex ^ (1n << level) }), `${level}`).to.equal(false);
        }
      }
    });

    it("of a multiproof: leaves, helpers, indices, root", () => {
      const proof = proofs.multiproof(targets);
      expect(verifyMultiproof(root, proof)).to.equal(true);
      for (let bit = 0; bit < proof.leaves.length * 8; bit++) {
        expect(verifyMultiproof(root, { ...proof, leaves: flip(proof.leaves, bit) })).to.equal(false);
      }
      for (let bit = 0; bit < proof.helpers.length * 8; bit += 5) {
        expect(verifyMultiproof(root, { ...proof, helpers: flip(proof.helpers, bit) })).to.equal(false);
      }
      for (let bit = 0; bit < 256; bit++) expect(verifyMultiproof(flip(root, bit), proof)).to.equal(false);
      for (let i = 0; i < proof.gindices.length; i++) {
        for (let level = 0n; level < 70n; level++) {
          const gindices = proof.gindices.map((gindex, k) => (k === i ? gindex ^ (1n << level) : gindex));
          expect(verifyMultiproof(root, { ...proof, gindices }), `${i} ${level}`).to.equal(false);
        }
      }
    });

    it("and with anything too much, missing or out of order", () => {
      const { gindex, leaf, branch } = proofs.proof(targets[0]!);
      const node = new Uint8Array(32);
      const singles: Proof[] = [
        { gindex, leaf, branch: branch.slice(32) },
        { gindex, leaf, branch: branch.slice(0, -1) },
        { gindex, leaf, branch: Buffer.concat([branch, node]) },
        { gindex, leaf: Buffer.concat([leaf, node]), branch },
        { gindex, leaf: leaf.slice(1), branch },
        { gindex: gindex << 1n, leaf, branch },
        { gindex: 0n, leaf, branch },
        { gindex: 0n, leaf: root, branch: new Uint8Array(0) },
        { gindex: -gindex, leaf, branch },
        { gindex: 1n << 100_000n, leaf, branch },
        { gindex: 1n, leaf, branch },
      ];
      for (const [i, proof] of singles.entries()) expect(verifyProof(root, proof), `single ${i}`).to.equal(false);
      const { gindices, leaves, helpers } = proofs.multiproof(targets);
      const reversed = [...gindices].reverse();
      const multis: Multiproof[] = [
        { gindices, leaves, helpers: helpers.slice(32) },
        { gindices, leaves, helpers: Buffer.concat([helpers, node]) },
        { gindices, leaves: leaves.slice(32), helpers },
        { gindices, leaves: Buffer.concat([leaves, node]), helpers },
        { gindices: reversed, leaves, helpers },
        { gindices: [...gindices.slice(1), gindices[0]!], leaves, helpers },
        { gindices: [gindices[0]!, ...gindices], leaves: Buffer.concat([leaves.slice(0, 32), leaves]), helpers },
        { gindices: [gindices[0]! >> 1n, ...gindices], leaves: Buffer.concat([node, leaves]), helpers },
        { gindices: [], leaves: new Uint8Array(0), helpers: root },
        { gindices: [], leaves: new Uint8Array(0), helpers: new Uint8Array(0) },
        { gindices: [1n << 100_000n], leaves: node, helpers: new Uint8Array(0) },
      ];
      for (const [i, proof] of multis.entries()) expect(verifyMultiproof(root, proof), `multi ${i}`).to.equal(false);
    });
  });

  it("have the generalized indices and sizes that are documented", () => {
    const state = randomState("electra", { ...EMPTY_SHAPE, validators: 8, pendingDeposits: 2 });
    const proofs = prove("electra", state, { validators: [0, 5], balances: [0, 5], pendingDeposits: [1] });
    const inState = (gindex: bigint) => BigInt(`0b1${gindex.toString(2).slice(4)}`);
    expect(inState(proofs.gindex({ list: "validators", index: 0 }))).to.equal(0x960000000000n);
    expect(proofs.proof({ list: "validators", index: 5 }).branch.length).to.equal(50 * 32);
    expect(proofs.proof({ list: "validators", index: 5, field: "slashed" }).branch.length).to.equal(53 * 32);
    expect(proofs.proof({ list: "balances", index: 5 }).branch.length).to.equal(48 * 32);
    expect(proofs.proof({ list: "pendingDeposits", index: 1 }).branch.length).to.equal(37 * 32);
  });

  it("of Gloas are as deep as the number of their element wants", () => {
    const state = randomState("gloas", { ...EMPTY_SHAPE, validators: 86, pendingDeposits: 2 });
    const indices = [0, 1, 5, 21, 85];
    const proofs = prove("gloas", state, { validators: indices, balances: indices, pendingDeposits: [0, 1] });
    const levels = (target: ProofTarget) => proofs.proof(target).branch.length / 32;
    // 3 to the state's root, 8 to the list of validators or balances and 11 to that of deposits, 3 s + 2 within
    expect(indices.map((index) => levels({ list: "validators", index }))).to.deep.equal([13, 16, 19, 22, 25]);
    expect(indices.map((index) => levels({ list: "balances", index }))).to.deep.equal([13, 13, 16, 19, 22]);
    expect([0, 1].map((index) => levels({ list: "pendingDeposits", index }))).to.deep.equal([16, 19]);
  });

  describe("are refused", () => {
    const state = randomState("fulu", { ...EMPTY_SHAPE, validators: 8, pendingDeposits: 2 });

    it("of what was not asked for, or is not there", () => {
      const proofs = prove("fulu", state, { validators: [1, 9], pendingDeposits: [] });
      expect(() => proofs.proof({ list: "validators", index: 2 })).to.throw(RangeError, /\[2\].*not asked for/);
      expect(() => proofs.proof({ list: "validators", index: 9 })).to.throw(RangeError, /8 elements/);
      expect(() => proofs.proof({ list: "pendingDeposits", index: 0 })).to.throw(RangeError, /not asked for/);
      expect(() => proofs.proof({ list: "balances", index: 1 })).to.throw(RangeError, /no balances/);
      expect(() => proofs.multiproof([])).to.throw(RangeError, /one leaf or more/);
      const inside = { list: "validators", index: 1, field: "slashed" } as const;
      expect(() => proofs.multiproof([{ list: "validators", index: 1 }, inside])).to.throw(RangeError, /inside/);
      expect(() => prove("fulu", state, { validators: [-1] })).to.throw(RangeError, /-1/);
    });

    it("before the state was read, and when nothing was asked for", () => {
      const reader = new StateReader("fulu", { pubkeys: new Set(), prove: {} });
      expect(() => reader.proofs()).to.throw(TypeError);
      const plain = new StateReader("fulu", { pubkeys: new Set() });
      plain.push(serialize("fulu", state));
      plain.finish();
      expect(() => plain.proofs()).to.throw(TypeError);
    });

    it("of a state that went on past its block: STATE_BETWEEN_BLOCKS", () => {
      const later = randomState("fulu", EMPTY_SHAPE);
      later.latestBlockHeader.stateRoot = new Uint8Array(32).fill(1);
      expect(() => prove("fulu", later, { validators: [] }))
        .to.throw(StateError)
        .with.property("code", "STATE_BETWEEN_BLOCKS");
    });
  });
});
