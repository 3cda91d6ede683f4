import { expect } from "chai";
import { network } from "hardhat";
import { hexlify } from "ethers";
import { chainHead, registryView, remaining } from "../../../oracle/execution/registryView.js";
import { encodeEntries } from "../../../oracle/keys/prepare.js";
import { ServiceError } from "../../../oracle/ops/errors.js";
import { LibrariesHarness__factory } from "../../../types/ethers-contracts/index.js";
import { OWNER, prepare, Story } from "./support.js";

describe("registry view", () => {
  const validators = prepare(4);
  const [first, second, third, fourth] = validators as [
    (typeof validators)[0],
    (typeof validators)[0],
    (typeof validators)[0],
    (typeof validators)[0],
  ];

  it("follows validators from publication to exit", () => {
    const story = new Story().publish([first, second]).publish([third]).vet(0).register([first]);
    const { accounts, validators: registered, clusters } = registryView(story.events);
    const account = accounts.get(1)!;
    expect(account.address).to.equal(OWNER);
    expect(account.queue.map(({ batch, vetted, taken }) => ({ batch, vetted, taken }))).to.deep.equal([
      { batch: 0, vetted: true, taken: 1 },
      { batch: 1, vetted: false, taken: 0 },
    ]);
    expect(account.queue.flatMap(remaining).map(({ publicKey, nonce }) => [publicKey, nonce])).to.deep.equal([
      [second.publicKey, 1n],
      [third.publicKey, 2n],
    ]);
    expect(clusters.get(1)).to.deep.include({ account: 1, active: true, requireDkg: false });
    expect(registered.get(1)).to.deep.include({
      publicKey: first.publicKey,
      depositSignature: first.depositSignature,
      sharesData: first.sharesData,
      nonce: 0n,
      status: "registered",
      depositOrder: null,
      clusterOrder: null,
    });

    story
      .vet(1)
      .register([second, third])
      .add({ type: "Deposited", cluster: 1, ids: [1, 3] });
    story.add({ type: "Discarded", cluster: 1, id: 2 }).add({ type: "Exited", id: 3 });
    const later = registryView(story.events);
    expect(later.accounts.get(1)!.queue).to.deep.equal([]);
    expect([...later.validators.values()].map(({ status, exit }) => [status, exit.exited])).to.deep.equal([
      ["deposited", false],
      ["discarded", false],
      ["deposited", true],
    ]);
  });

  it("forgets a dropped queue, whose validators may be published again with new nonces", () => {
    const story = new Story().publish([first, second]);
    expect(registryView(story.events).uses.get(first.publicKey)).to.equal(1);
    story.add({ type: "QueueDropped", account: 1, nonce: 0n, count: 2 });
    expect(registryView(story.events).uses.size).to.equal(0);
    const [again] = prepare(1);
    const { accounts } = registryView(story.publish([again!]).events);
    expect(accounts.get(1)!.queue.map(({ batch }) => batch)).to.deep.equal([1]);
  });

  it("counts every place of a key", () => {
    const story = new Story()
      .publish([first])
      .vet()
      .register([first])
      .publish([{ ...first, ownerNonce: 1n }, second]);
    const { uses } = registryView(story.events);
    expect(uses.get(first.publicKey)).to.equal(2);
    expect(uses.get(second.publicKey)).to.equal(1);
  });

  it("follows a cluster that is retired", () => {
    const story = new Story().add({ type: "ClusterUpdated", cluster: 1, active: false, cap: 3 });
    expect(registryView(story.events).clusters.get(1)!.active).to.equal(false);
  });

  it("does not guess when events are missing", () => {
    const gaps: Story[] = [
      new Story().register([first]),
      new Story().publish([second]).vet().register([first]), // published for nonce 1, registered with nonce 0
      new Story().add({ type: "Deposited", cluster: 1, ids: [1] }),
      new Story().add({ type: "Exited", id: 7 }),
      new Story().add({ type: "ClusterUpdated", cluster: 9, active: true, cap: 1 }),
    ];
    for (const { events } of gaps) {
      expect(() => registryView(events)).to.throw(ServiceError, "events before it: some are missing");
    }
  });

  it("computes the hash chain that the contract keeps", async () => {
    const { ethers } = await network.create("osaka");
    const [deployer] = await ethers.getSigners();
    const library = await new LibrariesHarness__factory(deployer).deploy();
    const entries = [first, second, third, fourth].map((validator) => ({ ...validator, nonce: validator.ownerNonce }));
    const stride = await library.stride(4);
    for (let taken = 0; taken <= 4; taken++) {
      const left = entries.slice(taken);
      const onChain = await library.chainOfData(1, taken, hexlify(encodeEntries(left)), stride);
      expect(chainHead(1, left)).to.equal(onChain);
    }
    expect(chainHead(1, entries)).to.equal(chainHead(1, entries.slice(0, 2), chainHead(1, entries.slice(2))));
  });
});
