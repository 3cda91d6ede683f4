import { expect } from "chai";
import { readHeader } from "../../../oracle/execution/header.js";
import { ServiceError } from "../../../oracle/ops/errors.js";
import { startNode } from "./node.js";

/** Two blocks of a chain of Reth 2.7.0 as the node answers them: the last of Osaka and the first of Amsterdam. */
const COMMON = {
  baseFeePerGas: "0x7",
  blobGasUsed: "0x0",
  difficulty: "0x0",
  excessBlobGas: "0x0",
  extraData: "0x726574682f76322e372e302f6c696e7578",
  gasLimit: "0xbebc200",
  gasUsed: "0x0",
  logsBloom: `0x${"00".repeat(256)}`,
  miner: "0x8943545177806ed17b9f23f0a21ee5948ecaa776",
  nonce: "0x0000000000000000",
  receiptsRoot: "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
  requestsHash: "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  sha3Uncles: "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
  transactionsRoot: "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
  withdrawalsRoot: "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
};
const OSAKA = {
  ...COMMON,
  hash: "0x2648510bb7819909b36373a3a2ccda82a51a0c8b154d03ff7710ef8d64b689e6",
  mixHash: "0x879d6ebf21224bb92a05f0c4d50a2823ae85c1bfda76dd171381184d6f4070c5",
  number: "0xbf",
  parentBeaconBlockRoot: "0x9bdd621d2614dc45107bc9f80a2221de691a899d7740569523c6e0cc24f4ffd6",
  parentHash: "0x74f90ca1c71db6591cc4510eb6e831bdf7fcc7beabcdcbfaa1e7cb0788840153",
  stateRoot: "0xd430244510b470423f038afbfb318f1e8b458357727dd4959845e6b0182fbae8",
  timestamp: "0x6abd0dc7",
};
const AMSTERDAM = {
  ...COMMON,
  blockAccessListHash: "0x1d33a17375e8dd0aef5da65c3f51422043f1c40d52eceaaca238cc92501aa32e",
  hash: "0x86e1583ca604ce5de648b44c41fb309b8dfe72ab21b57ad9f12eb0d92ac991f8",
  mixHash: "0x27184df4d2e2182675a2310a546d32e0d74a7accd4fbeafa84a903cd489dd40c",
  number: "0xc0",
  parentBeaconBlockRoot: "0x1214de134cf32c261ff3c2b6f96435016e9b98bf7dcd4870ad0009a2acf79974",
  parentHash: OSAKA.hash,
  slotNumber: "0xc0",
  stateRoot: "0x2338ab0cb5b76db31251fc2352e9142fd8b2bf19de6ac4a3c201b84d6ba737d3",
  timestamp: "0x6abd0dcb",
};

describe("execution header", () => {
  let answer: unknown;
  const provider = { send: () => Promise.resolve(answer) };

  const refusal = async (block: unknown, hash: string): Promise<ServiceError> => {
    answer = block;
    const error: unknown = await readHeader(provider, hash).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(ServiceError);
    return error as ServiceError;
  };

  for (const [fork, block] of Object.entries({ Osaka: OSAKA, Amsterdam: AMSTERDAM })) {
    it(`of a real block of ${fork} hashes to its hash`, async () => {
      answer = { ...block, size: "0x26c", transactions: [], uncles: [], withdrawals: [] };
      expect(await readHeader(provider, block.hash)).to.deep.equal({
        number: Number(block.number),
        hash: block.hash,
        stateRoot: block.stateRoot,
        timestamp: Number(block.timestamp),
      });
    });

    it(`of ${fork} of which any member is another, or is missing, is refused`, async () => {
      for (const name of Object.keys(block).filter((member) => member !== "hash")) {
        const value = block[name as keyof typeof block];
        const other = `${value.slice(0, -1)}${value.endsWith("1") ? "2" : "1"}`;
        expect((await refusal({ ...block, [name]: other }, block.hash)).code, name).to.equal("HeaderMismatch");
        expect((await refusal({ ...block, [name]: undefined }, block.hash)).code, name).to.equal("HeaderMismatch");
      }
    });
  }

  it("of Hardhat's node hashes to its hash", async () => {
    const node = await startNode();
    try {
      await node.send("hardhat_mine");
      const { hash, timestamp, number } = (await node.control.getBlock("latest"))!;
      expect(await readHeader(node.provider, hash!)).to.include({ hash, timestamp, number });
    } finally {
      await node.close();
    }
  });

  it("of another block is refused, whatever hash it says it has", async () => {
    expect((await refusal({ ...OSAKA, hash: AMSTERDAM.hash }, AMSTERDAM.hash)).code).to.equal("HeaderMismatch");
  });

  it("with members of a fork that is not known is refused by their names", async () => {
    const { message } = await refusal({ ...AMSTERDAM, inclusionListHash: "0x00", gasUsed: "0x1" }, AMSTERDAM.hash);
    expect(message).to.match(/inclusionListHash.*update this program/);
    expect((await refusal({ ...OSAKA, gasUsed: "0x1" }, OSAKA.hash)).message).to.match(/use another execution node/);
  });

  it("that is no header, or that the node does not have, is refused", async () => {
    expect((await refusal({ ...OSAKA, miner: "somebody" }, OSAKA.hash)).code).to.equal("HeaderMismatch");
    expect((await refusal(null, OSAKA.hash)).code).to.equal("HeadMoved");
  });
});
