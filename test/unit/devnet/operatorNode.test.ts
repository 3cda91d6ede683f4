import { SecretKey } from "@chainsafe/blst";
import { expect } from "chai";
import { getAddress, hexlify } from "ethers";
import { decryptShare, verifyOwnerNonceSignature } from "../../../oracle/keys/keyshares.js";
import { OperatorNode, type Outcome } from "../../../devnet/operators/node.js";
import { Operator } from "../../../devnet/operators/operator.js";
import { makeShares, type SharesOptions } from "../../integration/devnet/keyshares.js";

const OWNER = getAddress("0x00000000000000000000000000000000000000aa");
const OTHER = getAddress("0x00000000000000000000000000000000000000bb");
const IDS = [1n, 2n, 3n, 4n];

describe("devnet: SSV node", () => {
  const operators = IDS.map((id, i) => Object.assign(new Operator(i), { id }));
  const secretKey = SecretKey.fromKeygen(new Uint8Array(32).fill(5));
  const publicKey = hexlify(secretKey.toPublicKey().toBytes());
  let nodes: OperatorNode[];

  const nodeOf = (operator: Operator): OperatorNode =>
    new OperatorNode(() => operator.id, {
      verifyOwnerNonce: verifyOwnerNonceSignature,
      decrypt(ciphertext) {
        const secret = decryptShare(operator.privateKey, ciphertext);
        return secret === null ? null : SecretKey.fromBytes(secret);
      },
    });
  const shares = (options: Partial<SharesOptions> = {}) =>
    makeShares({ secretKey, operators, owner: OWNER, nonce: 0n, ...options });
  const add = (
    node: OperatorNode,
    options: Partial<SharesOptions> & { operatorIds?: bigint[]; sharesData?: string } = {},
  ): Outcome => {
    const { owner = OWNER, operatorIds = IDS } = options;
    const made = shares(options);
    const sharesData = options.sharesData ?? made.sharesData;
    return node.handle({ type: "ValidatorAdded", owner, operatorIds, publicKey: made.publicKey, sharesData }, 10);
  };
  const refused = (reason: string): Outcome => ({ type: "malformed", reason }) as Outcome;

  beforeEach(() => {
    nodes = operators.map(nodeOf);
    for (const node of nodes) {
      for (const operator of operators) {
        node.handle({ type: "OperatorAdded", operatorId: operator.id, publicKey: operator.publicKeyForSsv }, 0);
      }
    }
  });

  it("takes its own share and works from the next epoch", () => {
    for (const node of nodes) expect(add(node)).to.deep.equal({ type: "accepted" });
    const own = nodes.map((node) => node.share(publicKey)!);
    expect(new Set(own.map((share) => share.own!.secretKey.toHex())).size).to.equal(4);
    expect(own.every((share) => share.participatesFrom === 11 && share.owner === OWNER)).to.equal(true);
  });

  it("takes note without a share when it is not in the cluster", () => {
    const outsider = new Operator(4);
    const node = nodeOf(outsider);
    for (const operatorId of IDS) node.handle({ type: "OperatorAdded", operatorId, publicKey: "0x" }, 0);
    expect(add(node)).to.deep.equal({ type: "accepted" });
    expect(node.share(publicKey)!.own).to.equal(null);
    expect(node.handle({ type: "ValidatorExited", owner: OWNER, publicKey }, 10)).to.deep.equal({ type: "accepted" });
  });

  it("counts every registration of an owner, garbage too", () => {
    const node = nodes[0]!;
    expect(add(node, { sharesData: "0x1234" })).to.deep.equal(refused("IncorrectSharesLength"));
    expect(node.nonceOf(OWNER)).to.equal(1n);
    expect(add(node)).to.deep.equal(refused("SignatureVerification")); // was signed for nonce 0
    expect(node.nonceOf(OWNER)).to.equal(2n);
    expect(add(node, { nonce: 2n })).to.deep.equal({ type: "accepted" });
    expect(node.nonceOf(OTHER)).to.equal(0n);
  });

  it("refuses the signature of another owner", () => {
    const { sharesData } = shares({ owner: OTHER });
    expect(add(nodes[0]!, { sharesData })).to.deep.equal(refused("SignatureVerification"));
  });

  it("refuses unknown, repeated and too few operators", () => {
    const node = nodes[0]!;
    expect(add(node, { operatorIds: [1n, 2n, 3n, 9n] })).to.deep.equal(refused("operators"));
    expect(add(node, { operatorIds: [1n, 2n, 3n, 3n] })).to.deep.equal(refused("operators"));
    expect(add(node, { operatorIds: [1n, 2n, 3n] })).to.deep.equal(refused("operators"));
    node.handle({ type: "OperatorRemoved", operatorId: 4n }, 0);
    expect(add(node, { nonce: 3n })).to.deep.equal(refused("operators"));
  });

  it("disagrees with the others about a ciphertext that is bad for it alone", () => {
    const made = shares({ badCiphertexts: [2] });
    const outcomes = nodes.map((node) => add(node, { sharesData: made.sharesData }));
    expect(outcomes.map(({ type }) => type)).to.deep.equal(["accepted", "accepted", "malformed", "accepted"]);
    expect(outcomes[2]).to.deep.equal(refused("ShareDecryption"));
    expect(nodes[2]!.share(publicKey)).to.equal(undefined);
  });

  it("refuses a share that is not the one of its share public key", () => {
    const [good, foreign] = [shares().sharesData, shares({ foreignShares: [0] }).sharesData];
    // ciphertexts of one, share public keys of the other
    const sharesData = foreign.slice(0, 2 + 2 * (96 + 48)) + good.slice(2 + 2 * (96 + 48));
    expect(add(nodes[0]!, { sharesData })).to.deep.equal(refused("ShareDecryption"));
  });

  it("refuses a share public key that is no point", () => {
    const { sharesData } = shares();
    const at = 2 + 2 * 96;
    const spoiled = sharesData.slice(0, at) + "ff".repeat(48) + sharesData.slice(at + 96);
    expect(add(nodes[1]!, { sharesData: spoiled })).to.deep.equal(refused("publicKey"));
  });

  it("keeps the first valid registration of a key, until its owner removes it", () => {
    const node = nodes[0]!;
    add(node);
    expect(add(node, { owner: OTHER })).to.deep.equal(refused("ShareBelongsToDifferentOwner"));
    const first = node.share(publicKey);
    expect(add(node, { nonce: 1n })).to.deep.equal({ type: "accepted" });
    expect(node.share(publicKey)).to.equal(first); // same owner: kept as it was
    expect(node.handle({ type: "ValidatorRemoved", owner: OTHER, publicKey }, 10)).to.deep.equal(
      refused("unknownValidator"),
    );
    expect(node.handle({ type: "ValidatorRemoved", owner: OWNER, publicKey }, 10)).to.deep.equal({ type: "accepted" });
    expect(node.share(publicKey)).to.equal(undefined);
    expect(add(node, { owner: OTHER, nonce: 1n })).to.deep.equal({ type: "accepted" });
  });

  it("pauses the validators of a liquidated cluster, and waits an epoch after its return", () => {
    const node = nodes[0]!;
    add(node);
    node.handle({ type: "ClusterLiquidated", owner: OTHER, operatorIds: IDS }, 12);
    expect(node.share(publicKey)!.liquidated).to.equal(false);
    node.handle({ type: "ClusterLiquidated", owner: OWNER, operatorIds: IDS }, 12);
    expect(node.share(publicKey)!.liquidated).to.equal(true);
    node.handle({ type: "ClusterReactivated", owner: OWNER, operatorIds: IDS }, 20);
    expect(node.share(publicKey)!.liquidated).to.equal(false);
    expect(node.share(publicKey)!.participatesFrom).to.equal(21);
  });

  it("signs exits for the owner alone", () => {
    const node = nodes[0]!;
    expect(node.handle({ type: "ValidatorExited", owner: OWNER, publicKey }, 10)).to.deep.equal(
      refused("unknownValidator"),
    );
    add(node);
    expect(node.handle({ type: "ValidatorExited", owner: OTHER, publicKey }, 10)).to.deep.equal(
      refused("unknownValidator"),
    );
    expect(node.handle({ type: "ValidatorExited", owner: OWNER, publicKey }, 10)).to.deep.equal({ type: "exit" });
  });

  it("pays the owner, or whom the owner names", () => {
    const node = nodes[0]!;
    expect(node.feeRecipientOf(OWNER)).to.equal(OWNER);
    node.handle({ type: "FeeRecipientAddressUpdated", owner: OWNER, recipient: OTHER }, 0);
    expect(node.feeRecipientOf(OWNER)).to.equal(OTHER);
  });
});
