import { expect } from "chai";
import { getBytes, hexlify, id, Wallet } from "ethers";
import { IValidatorRegistry__factory } from "../../../types/ethers-contracts/index.js";
import { decodeDkgProofs, type DkgProof } from "../../../oracle/keys/dkgProofs.js";
import { decodeEntries } from "../../../oracle/keys/prepare.js";
import { estimateAll, floorGas } from "../../../oracle/keys/publish/cost.js";
import {
  MAX_CALL_BYTES,
  planPublication,
  publishArguments,
  publishCall,
  splitBatch,
  type AccountOnChain,
  type KeyToPublish,
} from "../../../oracle/keys/publish/plan.js";
import { safeBatch, safeChecksum } from "../../../oracle/keys/publish/safe.js";

const octets = (seed: string, length: number): string => {
  const words = Array.from({ length: Math.ceil(length / 32) }, (_, i) => id(`${seed} ${i}`).slice(2)).join("");
  return `0x${words.slice(0, 2 * length)}`;
};

/** Octets of the right lengths: nothing here looks into them. */
function keysFrom(firstNonce: number, count: number, operators = 4): KeyToPublish[] {
  return Array.from({ length: count }, (_, i) => ({
    publicKey: octets(`key ${firstNonce + i}`, 48),
    depositSignature: octets(`deposit ${firstNonce + i}`, 96),
    sharesData: octets(`shares ${firstNonce + i}`, 96 + 304 * operators),
    ownerNonce: BigInt(firstNonce + i),
  }));
}

function proofsOf({ publicKey, sharesData }: KeyToPublish, operators: number): DkgProof[] {
  const part = (from: number, to: number): string => hexlify(getBytes(sharesData).slice(from, to)).slice(2);
  return Array.from({ length: operators }, () => ({
    proof: {
      validator: publicKey.slice(2),
      encrypted_share: part(0, 256),
      share_pub: part(256, 304),
      owner: "11".repeat(20),
    },
    signature: part(0, 256),
  }));
}

interface ChainState extends Partial<Omit<AccountOnChain, "byNonce" | "uses" | "everPublished">> {
  /** what the account has, from nonce 0 */
  readonly there?: readonly KeyToPublish[];
  readonly elsewhere?: readonly KeyToPublish[];
  readonly dropped?: readonly KeyToPublish[];
}

/** All that is there is queued, if nothing else is said. */
function chain({ there = [], elsewhere = [], dropped = [], ...state }: ChainState = {}): AccountOnChain {
  const entries = there.map((key, i) => ({ ...key, nonce: BigInt(i), stage: "unvetted" as const }));
  return {
    clusterId: 1n,
    isActive: true,
    requireDkg: false,
    nonce: 0n,
    queued: BigInt(there.length),
    byNonce: new Map(entries.map((entry) => [entry.nonce, entry])),
    uses: new Map([...there, ...elsewhere].map(({ publicKey }) => [publicKey, 1])),
    everPublished: new Set([...there, ...elsewhere, ...dropped].map(({ publicKey }) => publicKey)),
    ...state,
  };
}

const refusal = (act: () => unknown): [code: string, message: string] => {
  try {
    act();
  } catch (error) {
    return [(error as { code: string }).code, (error as Error).message];
  }
  throw new Error("it was not refused");
};

describe("keys/publish", () => {
  describe("plan", () => {
    it("splits by the registry's limits", () => {
      const sizes = (count: number, operators: number): number[] =>
        splitBatch(keysFrom(0, count, operators), operators).map(({ keys }) => keys.length);
      expect(sizes(161, 4)).to.deep.equal([80, 80, 1]);
      expect(sizes(80, 7)).to.deep.equal([40, 40]);
      expect(sizes(31, 10)).to.deep.equal([30, 1]);
      expect(sizes(41, 13)).to.deep.equal([20, 20, 1]);
      expect(sizes(0, 4)).to.deep.equal([]);
    });

    it("splits by what fits a transaction, where there are DKG proofs", async () => {
      for (const [operators, most] of [
        [4, 17],
        [7, 10],
        [10, 7],
        [13, 5],
      ] as const) {
        const keys = keysFrom(0, 2 * most, operators).map((key) => ({ ...key, dkgProofs: proofsOf(key, operators) }));
        const chunks = splitBatch(keys, operators);
        expect(
          chunks.map((chunk) => chunk.keys.length),
          `${operators} operators`,
        ).to.deep.equal([most, most]);
        const registry = IValidatorRegistry__factory.connect(Wallet.createRandom().address);
        for (const chunk of chunks) {
          const { data } = await publishCall(registry, 3n, publishArguments(chunk));
          expect(chunk.callBytes).to.equal(getBytes(data).length);
          expect(chunk.callBytes).to.be.at.most(MAX_CALL_BYTES);
          const [cluster, firstNonce, entries, proofs] = registry.interface.decodeFunctionData("publish", data);
          expect([cluster, firstNonce]).to.deep.equal([3n, chunk.firstNonce]);
          expect(decodeEntries(entries as string, operators)).to.deep.equal(
            chunk.keys.map(({ publicKey, depositSignature, sharesData }) => ({
              ...{ publicKey, depositSignature, sharesData },
            })),
          );
          expect(decodeDkgProofs(proofs as string)).to.deep.equal(chunk.keys.map(({ dkgProofs }) => dkgProofs));
        }
        const more = publishCall(registry, 3n, publishArguments({ firstNonce: 0n, keys: keys.slice(0, most + 1) }));
        expect(getBytes((await more).data).length, "one key more").to.be.above(MAX_CALL_BYTES);
      }
    });

    it("refuses proofs that no transaction can carry", () => {
      const [key] = keysFrom(0, 1) as [KeyToPublish];
      const dkgProofs = Array.from({ length: 100 }, () => proofsOf(key, 4)).flat();
      expect(refusal(() => splitBatch([{ ...key, dkgProofs }], 4))[0]).to.equal("TooLarge");
    });

    it("is the whole batch where nothing is there, and what is left wherever it was interrupted", () => {
      const keys = keysFrom(0, 100);
      for (const count of [0, 1, 79, 80, 99]) {
        const { published, stages, chunks } = planPublication(keys, 4, chain({ there: keys.slice(0, count) }));
        expect(published).to.equal(count);
        expect([...stages]).to.deep.equal(count === 0 ? [] : [["unvetted", count]]);
        expect(chunks.flatMap((chunk) => chunk.keys)).to.deep.equal(keys.slice(count));
        expect(chunks[0]?.firstNonce).to.equal(BigInt(count));
      }
      expect(planPublication(keys, 4, chain({ there: keys })).chunks).to.deep.equal([]);
    });

    it("knows what was registered since, and what others published after it", () => {
      const keys = keysFrom(0, 4);
      const all = [...keys, ...keysFrom(4, 3)];
      const { published, chunks } = planPublication(keys, 4, chain({ there: all, nonce: 6n, queued: 1n }));
      expect([published, chunks]).to.deep.equal([4, []]);
    });

    it("refuses a gap before the batch, and says which nonce is next", () => {
      const [code, message] = refusal(() =>
        planPublication(keysFrom(12, 2), 4, chain({ there: keysFrom(0, 10), nonce: 8n, queued: 2n })),
      );
      expect(code).to.equal("NonceGap");
      expect(message).to.include("begins at owner nonce 12").and.include("nonce 8 with 2 queued, so that 10 is next");
    });

    it("refuses nonces that others have, naming both keys", () => {
      const mine = keysFrom(0, 3);
      const other = { ...mine[1]!, publicKey: octets("other", 48) };
      const [code, message] = refusal(() => planPublication(mine, 4, chain({ there: [mine[0]!, other] })));
      expect(code).to.equal("NonceTaken");
      expect(message).to.include(mine[1]!.publicKey).and.include(other.publicKey).and.include("again from nonce 2");
      for (const part of ["sharesData", "depositSignature"] as const) {
        const changed = { ...mine[0]!, [part]: octets("other", getBytes(mine[0]![part]).length) };
        expect(refusal(() => planPublication(mine, 4, chain({ there: [changed] })))[1]).to.include("other KeyShares");
      }
    });

    it("never publishes a key twice, wherever it is", () => {
      const keys = keysFrom(0, 3);
      const [code, message] = refusal(() => planPublication(keys, 4, chain({ elsewhere: [keys[2]!] })));
      expect(code).to.equal("KeyUsed");
      expect(message).to.include(keys[2]!.publicKey);
      const twice = [
        keys[0]!,
        { ...keys[0]!, publicKey: keys[0]!.publicKey.toUpperCase().replace("X", "x"), ownerNonce: 1n },
      ];
      expect(refusal(() => planPublication(twice, 4, chain()))[0]).to.equal("KeyTwice");
    });

    it("publishes again what guardians dropped, and counts it", () => {
      const keys = keysFrom(0, 3);
      const { published, dropped, chunks } = planPublication(
        keys,
        4,
        chain({ there: keys.slice(0, 1), dropped: keys.slice(1), nonce: 1n, queued: 0n }),
      );
      expect([published, dropped]).to.deep.equal([1, 2]);
      expect(chunks[0]?.keys).to.deep.equal(keys.slice(1));
    });

    it("refuses a batch that is not whole, a retired cluster, and nonces that SSV's nodes cannot count", () => {
      const keys = keysFrom(0, 3);
      expect(refusal(() => planPublication([keys[0]!, keys[2]!], 4, chain()))).to.deep.equal([
        "NonceGap",
        `${keys[2]!.publicKey} was split for owner nonce 2 where 1 must follow: the batch is not whole. Complete it, or split it again.`,
      ]);
      expect(refusal(() => planPublication(keys, 4, chain({ isActive: false })))[0]).to.equal("ClusterRetired");
      const last = chain({ nonce: 65_534n });
      expect(planPublication(keysFrom(65_534, 2), 4, last).chunks).to.have.length(1);
      expect(refusal(() => planPublication(keysFrom(65_534, 3), 4, last))[0]).to.equal("AccountExhausted");
    });

    it("asks for DKG proofs where the cluster does, and there alone", () => {
      const [key] = keysFrom(0, 1) as [KeyToPublish];
      const proven = { ...key, dkgProofs: proofsOf(key, 4) };
      const plan = (some: KeyToPublish, requireDkg: boolean) => planPublication([some], 4, chain({ requireDkg }));
      expect(refusal(() => plan(key, true))[0]).to.equal("DkgProofsMissing");
      expect(refusal(() => plan(proven, false))[0]).to.equal("DkgProofsNotExpected");
      expect(plan(proven, true).chunks).to.have.length(1);
    });
  });

  describe("cost", () => {
    it("is the floor of EIP-7623, or so many times it as the first transaction", () => {
      expect(floorGas("0x")).to.equal(21_000n);
      expect(floorGas("0x0001ff")).to.equal(21_000n + 10n + 40n + 40n);
      const calls = [`0x${"ff".repeat(1_000)}`, `0x${"ff".repeat(100)}`];
      expect(estimateAll(calls, null)).to.deep.equal([61_000n, 25_000n]);
      expect(estimateAll(calls, 122_000n)).to.deep.equal([122_000n, 50_000n]);
      expect(estimateAll([], null)).to.deep.equal([]);
    });
  });

  describe("Safe", () => {
    /** Of a file that Safe's Transaction Builder 1.18.2 wrote. */
    const approval = {
      version: "1.0",
      chainId: "1",
      createdAt: 1761326849944,
      meta: {
        name: "Transactions Batch",
        description: "",
        txBuilderVersion: "1.18.2",
        createdFromSafeAddress: "0xA77DE01e157f9f57C7c4A326eeE9C4874D0598b6",
        createdFromOwnerAddress: "",
        checksum: "0x8b5032f716845c8b08bab3d63dbd9ba92e056f3557793cd041e59b84e16aa989",
      },
      transactions: [
        {
          to: "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
          value: "0",
          data: null,
          contractMethod: {
            inputs: [
              { internalType: "address", name: "spender", type: "address" },
              { internalType: "uint256", name: "value", type: "uint256" },
            ],
            name: "approve",
            payable: false,
          },
          contractInputsValues: { spender: "0x474e5Ded6b5D078163BFB8F6dBa355C3aA5478C8", value: "100000000000" },
        },
      ],
    };

    it("has the checksum that its Transaction Builder computes", () => {
      expect(safeChecksum(approval)).to.equal(approval.meta.checksum);
      expect(safeChecksum({ ...approval, meta: { ...approval.meta, name: "renamed" } })).to.equal(
        approval.meta.checksum,
      );
      expect(safeChecksum({ ...approval, ...{ chainId: "2" } })).not.to.equal(approval.meta.checksum);
    });

    it("has one call, as it was simulated", () => {
      const [safe, to] = [Wallet.createRandom().address, Wallet.createRandom().address];
      const createdAt = new Date(1_800_000_000_000);
      const call = { chainId: 5, safe, name: "a name", description: "what it does", to, data: "0x1234", createdAt };
      const batch = safeBatch(call);
      expect(batch).to.deep.equal({
        version: "1.0",
        chainId: "5",
        createdAt: 1_800_000_000_000,
        meta: {
          name: "a name",
          description: "what it does",
          txBuilderVersion: "1.18.2",
          createdFromSafeAddress: safe,
          createdFromOwnerAddress: "",
          checksum: safeChecksum(batch),
        },
        transactions: [{ to, value: "0", data: "0x1234", contractMethod: null, contractInputsValues: null }],
      });
      expect(safeChecksum(JSON.parse(JSON.stringify(batch)) as typeof batch)).to.equal(batch.meta.checksum);
    });
  });
});
