import { createHash } from "node:crypto";
import { ByteVectorType, ContainerType, ListBasicType, ListCompositeType, UintNumberType } from "@chainsafe/ssz";
import { expect } from "chai";
import fc from "fast-check";
import { ContainerHasher, fieldRange } from "../../../oracle/beacon/containerHasher.js";
import { createFieldHasher } from "../../../oracle/beacon/fieldHashers.js";
import { BatchMerkleizer, merkleize, merkleizeChunks, treeDepth, zeroHash } from "../../../oracle/beacon/merkle.js";
import { describeWithEachHasher } from "./hashers.js";

const sha256 = (left: Uint8Array, right: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(left).update(right).digest());

/** The definition, level by level. */
function slowRoot(nodes: readonly Uint8Array[], depth: number): Uint8Array {
  let level = [...nodes];
  let zero: Uint8Array = new Uint8Array(32);
  for (let height = 0; height < depth; height++) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) above.push(sha256(level[i]!, level[i + 1] ?? zero));
    level = above;
    zero = sha256(zero, zero);
  }
  return level[0] ?? zero;
}

function nodesOf(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => sha256(new Uint8Array([i & 255, i >> 8]), new Uint8Array(0)));
}

describeWithEachHasher("Merkle trees", () => {
  it("have the root of the definition, for any number of nodes", () => {
    const counts = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1000, max: 3100 }));
    fc.assert(
      fc.property(counts, fc.integer({ min: 0, max: 3 }), (count, deeper) => {
        const nodes = nodesOf(count);
        const depth = treeDepth(count) + deeper;
        const expected = slowRoot(nodes, depth);
        const joined = new Uint8Array(Buffer.concat(nodes));
        expect(merkleize(joined, count, depth)).to.deep.equal(expected);
        expect(merkleizeChunks(joined, new BatchMerkleizer(depth))).to.deep.equal(expected);
      }),
      { seed: 6, numRuns: 40 },
    );
  });

  it("refuse what does not fit", () => {
    expect(() => merkleize(new Uint8Array(96), 3, 1)).to.throw(RangeError, /3 nodes/);
    expect(() => zeroHash(65)).to.throw(RangeError, /height 65/);
    const tree = new BatchMerkleizer(20);
    tree.add(new Uint8Array(32), 1);
    expect(() => {
      tree.add(new Uint8Array(32), 1);
    }).to.throw(RangeError, /last/);
  });

  it("of containers hash any fields of fixed size", () => {
    const type = new ContainerType(
      {
        tiny: new UintNumberType(1),
        odd: new ByteVectorType(7),
        root: new ByteVectorType(32),
        wide: new ByteVectorType(33),
        wider: new ByteVectorType(130),
      },
      { typeName: "Odd" },
    );
    const hasher = new ContainerHasher(type, 100);
    const records = Array.from({ length: 100 }, (_, i) => ({
      tiny: i,
      odd: new Uint8Array(7).fill(i + 1),
      root: new Uint8Array(32).fill(i + 2),
      wide: new Uint8Array(33).fill(i + 3),
      wider: new Uint8Array(130).fill(i + 4),
    }));
    const bytes = Buffer.concat([Buffer.from([9]), ...records.map((record) => type.serialize(record))]);
    hasher.load(new DataView(bytes.buffer, bytes.byteOffset), 1, 60, 0);
    hasher.load(new DataView(bytes.buffer, bytes.byteOffset), 1 + 60 * hasher.recordSize, 40, 60);
    expect(Buffer.from(hasher.roots(100))).to.deep.equal(Buffer.concat(records.map((r) => type.hashTreeRoot(r))));
  });

  it("say when a type is one they were not made for", () => {
    const uint64 = new UintNumberType(8);
    const inner = new ContainerType({ a: uint64 }, { typeName: "Inner" });
    const nested = new ContainerType({ inner }, { typeName: "Nested" });
    const variable = new ContainerType({ list: new ListBasicType(uint64, 2 ** 30) }, { typeName: "Variable" });
    expect(() => new ContainerHasher(nested)).to.throw(TypeError, /Nested\.inner/);
    expect(() => new ContainerHasher(variable)).to.throw(TypeError, /Variable\.list/);
    expect(() => fieldRange(inner, "b")).to.throw(TypeError, /no field b/);
    expect(() => createFieldHasher("lists", new ListCompositeType(variable, 5))).to.throw(TypeError, /field lists/);
  });
});
