import { expect } from "chai";
import fc from "fast-check";
import { network } from "hardhat";
import { ExitOrderHarness__factory } from "../../../types/ethers-contracts/index.js";

describe("ExitOrder", () => {
  let connection: Awaited<ReturnType<typeof network.create>>;
  before(async () => {
    connection = await network.create("osaka");
  });

  async function fresh() {
    const [deployer] = await connection.ethers.getSigners();
    return new ExitOrderHarness__factory(deployer).deploy();
  }

  const range = (first: number, last: number) => [...Array(last - first + 1).keys()].map((i) => first + i);

  it("starts with the first, over all and in each cluster", async () => {
    const turns = await fresh();
    expect([await turns.next(), await turns.nextOf(1), await turns.nextOf(2)]).to.deep.equal([1n, 1n, 1n]);
  });

  it("counts clusters apart, and finds the oldest whose turn has not come", async () => {
    const turns = await fresh();
    await turns.take(7, [2, 3, 5]);
    expect([await turns.next(), await turns.nextOf(7), await turns.nextOf(8)]).to.deep.equal([1n, 4n, 1n]);
    await turns.take(8, [1]);
    expect([await turns.next(), await turns.nextOf(7), await turns.nextOf(8)]).to.deep.equal([4n, 4n, 2n]);
    await turns.take(8, [4]);
    expect([await turns.next(), await turns.nextOf(7), await turns.nextOf(8)]).to.deep.equal([6n, 4n, 3n]);
  });

  it("goes on from word to word of 256, over those that were filled before", async () => {
    const turns = await fresh();
    await turns.take(1, range(257, 511));
    await turns.take(1, range(513, 600));
    expect(await turns.next()).to.equal(1n);
    await turns.take(1, range(1, 255));
    expect(await turns.next()).to.equal(256n);
    // the second word has its last bit free
    await turns.take(1, [256]);
    expect(await turns.next()).to.equal(512n);
    await turns.take(1, [512]);
    expect(await turns.next()).to.equal(601n);
    // two words and a part of the next are full before the one that they follow
    await turns.take(1, range(769, 1_300));
    await turns.take(1, range(601, 767));
    expect(await turns.next()).to.equal(768n);
    await turns.take(1, [768]);
    expect(await turns.next()).to.equal(1_301n);
    expect(await turns.nextOf(1)).to.equal(1_301n);
  });

  it("finds the lowest order not taken, whatever was taken", async () => {
    // runs of deposits, taken oldest first in each of three clusters that were funded in turns
    const step = fc.record({ cluster: fc.nat(2), count: fc.integer({ min: 1, max: 90 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 9, maxLength: 9 }),
        fc.array(step, { minLength: 8, maxLength: 24 }),
        async (runs, steps) => {
          const turns = await fresh();
          const left: number[][] = [[], [], []];
          let deposits = 0;
          for (const [i, length] of runs.entries()) {
            left[i % 3]!.push(...range(deposits + 1, deposits + length));
            deposits += length;
          }
          const taken = [0, 0, 0];
          for (const { cluster, count } of steps) {
            const orders = left[cluster]!.splice(0, count);
            taken[cluster]! += orders.length;
            await turns.take(cluster, orders);
            expect(await turns.next()).to.equal(BigInt(Math.min(...left.flat(), deposits + 1)));
            for (const [of, count] of taken.entries()) expect(await turns.nextOf(of)).to.equal(BigInt(count + 1));
          }
        },
      ),
      { numRuns: 12, seed: 20_261_120, endOnFailure: true },
    );
  });
});
