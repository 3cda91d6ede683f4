import { expect } from "chai";
import { id, toBeHex, toQuantity } from "ethers";
import { BEACON_ROOTS_ADDRESS, predeploys } from "../../../devnet/execution/predeploys.js";
import { timeOfSlot, type FrameConfig, type Head } from "../../../oracle/clock.js";
import { beaconRootAt } from "../../../oracle/execution/beaconRoots.js";
import { readHead } from "../../../oracle/execution/provider.js";
import { referenceBlock } from "../../../oracle/roles/reference.js";
import { startNode, type LocalNode } from "./node.js";

/** EIP-4788 keeps times and roots in two rings of this length. */
const RING = 8191;
/** Slots that have a block; block 0 is far before them. */
const SLOTS = [1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 20];

describe("reference block", () => {
  let node: LocalNode;
  let frames: FrameConfig;
  let numbers: Map<number, number>;

  before(async () => {
    node = await startNode();
    const genesis = (await readHead(node.provider, "latest"))!;
    frames = { genesisTime: BigInt(genesis.timestamp + 1_000), secondsPerSlot: 12n, slotsPerFrame: 4n };
    numbers = new Map();
    const roots = predeploys().find(({ address }) => address === BEACON_ROOTS_ADDRESS)!;
    await node.send("hardhat_setCode", roots.address, roots.code);
    for (const [i, slot] of SLOTS.entries()) {
      const time = timeOfSlot(frames, slot);
      const word = (at: number, value: string): Promise<unknown> =>
        node.send("hardhat_setStorageAt", BEACON_ROOTS_ADDRESS, toQuantity(at), value);
      await word(time % RING, toBeHex(time, 32));
      await word((time % RING) + RING, id(`root of slot ${SLOTS[i - 1] ?? 0}`));
      await node.send("evm_setNextBlockTimestamp", time);
      await node.send("evm_mine");
      numbers.set(slot, (await readHead(node.provider, "latest"))!.number);
    }
  });
  after(() => node.close());

  const headAt = async (slot: number): Promise<Head> => (await readHead(node.provider, numbers.get(slot)!))!;

  it("is the last execution block at or before the reference slot, however many slots were missed", async () => {
    for (const [refSlot, expected] of [
      [3, 3],
      [5, 3],
      [7, 7],
      [11, 8],
      [15, 15],
      [19, 15],
    ] as const) {
      for (const slot of SLOTS.filter((candidate) => candidate >= refSlot)) {
        const head = await headAt(slot);
        const found = await referenceBlock(node.provider, frames, refSlot, head);
        expect(found.number, `slot ${refSlot} at head ${slot}`).to.equal(numbers.get(expected));
      }
    }
  });

  it("is found from any guess, right, wrong or beyond the head", async () => {
    const head = await headAt(15);
    for (let guess = 0; guess <= head.number + 2; guess++) {
      const { number } = await referenceBlock(node.provider, frames, 11, head, guess);
      expect(number, `guess ${guess}`).to.equal(numbers.get(8));
    }
  });

  it("has the beacon root that the next block was given", async () => {
    const head = await headAt(20);
    for (const [slot, expected] of [
      [3, 3],
      [4, 3],
      [5, 3],
      [11, 8],
      [15, 15],
      [19, 15],
    ] as const) {
      expect(await beaconRootAt(node.provider, frames, slot, head), `slot ${slot}`).to.equal(
        id(`root of slot ${expected}`),
      );
    }
  });

  it("has no root before there is a next block", async () => {
    expect(await beaconRootAt(node.provider, frames, 20, await headAt(20))).to.equal(null);
    expect(await beaconRootAt(node.provider, frames, 15, await headAt(15))).to.equal(null);
    // the ring knows more than the head that is looked at
    expect(await beaconRootAt(node.provider, frames, 8, await headAt(8))).to.equal(null);
  });

  it("is not looked for without end", async () => {
    const head = { ...(await headAt(20)), timestamp: timeOfSlot(frames, 100_000) };
    expect(await beaconRootAt(node.provider, frames, 20, head)).to.equal(null);
  });
});
