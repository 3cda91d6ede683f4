import { expect } from "chai";
import {
  ContractFactory,
  Interface,
  Wallet,
  decodeRlp,
  getBytes,
  hexlify,
  keccak256,
  toQuantity,
  zeroPadValue,
} from "ethers";
import { interopSecretKey } from "@lodestar/state-transition";
import { startDevnet, type Devnet } from "../../../devnet/devnet.js";
import { DEFAULT_FEE_RECIPIENT } from "../../../devnet/consensus/chain.js";
import {
  BEACON_ROOTS_ADDRESS,
  DEPOSIT_CONTRACT_ADDRESS,
  WITHDRAWAL_REQUESTS_ADDRESS,
} from "../../../devnet/execution/predeploys.js";
import { credentials, deposit, depositContract, requestWithdrawal } from "./deposits.js";

interface Proof {
  balance: string;
  nonce: string;
  storageHash: string;
  codeHash: string;
  accountProof: string[];
}

interface RpcBlock {
  hash: string;
  number: string;
  stateRoot: string;
  parentBeaconBlockRoot: string;
  withdrawals: unknown[];
}

/** Walks a Merkle Patricia proof; answers the RLP of the account, or null when the proof shows it absent. */
function verifyAccountProof(root: string, address: string, proof: string[]): string | null {
  let expected = root;
  let path = keccak256(address).slice(2);
  for (const node of proof) {
    expect(keccak256(node)).to.equal(expected);
    const items = decodeRlp(node) as string[];
    if (items.length === 17) {
      expected = items[parseInt(path[0]!, 16)]!;
      path = path.slice(1);
    } else {
      const encoded = items[0]!.slice(2);
      const odd = parseInt(encoded[0]!, 16) % 2 === 1;
      const nibbles = encoded.slice(odd ? 1 : 2);
      if (!path.startsWith(nibbles)) return null;
      path = path.slice(nibbles.length);
      expected = items[1]!;
      if (parseInt(encoded[0]!, 16) >= 2) return expected;
    }
    if (expected === "0x") return null;
  }
  throw new Error("proof ends early");
}

describe("devnet: execution layer", () => {
  let devnet: Devnet;
  const send = (method: string, ...params: unknown[]): Promise<unknown> => devnet.provider.send(method, params);
  const block = async (tag: string): Promise<RpcBlock> => (await send("eth_getBlockByNumber", tag, false)) as RpcBlock;
  const payload = () => {
    const body = devnet.chain.head.signedBlock!.message.body;
    if (!("executionPayload" in body) || !("withdrawals" in body.executionPayload)) throw new Error("no payload");
    return body.executionPayload;
  };
  const rejection = async (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => "did not fail",
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );

  before(async () => {
    devnet = await startDevnet();
    await devnet.advanceEpochs(5);
  });
  after(() => devnet.close());

  it("answers the parent beacon root by EIP-4788", async () => {
    const latest = await block("latest");
    const time = devnet.genesisTime + devnet.chain.head.slot * devnet.secondsPerSlot;
    const call = (tag: string): Promise<unknown> =>
      send("eth_call", { to: BEACON_ROOTS_ADDRESS, data: zeroPadValue(toQuantity(time), 32) }, tag);
    const parent = hexlify(devnet.chain.head.header.parentRoot);
    expect(await call("latest")).to.equal(parent);
    expect(latest.parentBeaconBlockRoot).to.equal(parent);
  });

  it("keeps no entry for a missed slot", async () => {
    await devnet.skipSlot();
    const missed = devnet.genesisTime + devnet.slot * devnet.secondsPerSlot;
    await devnet.advance(1);
    const query = send("eth_call", { to: BEACON_ROOTS_ADDRESS, data: zeroPadValue(toQuantity(missed), 32) }, "latest");
    expect(await rejection(query)).to.contain("revert");
  });

  it("proves every account against the state root in the consensus payload, by block hash", async () => {
    // a slot with withdrawals, so that the root has to include writes made after the block
    await devnet.advanceUntil(() => payload().withdrawals.length > 0);
    const withdrawal = payload().withdrawals[0]!;
    const address = hexlify(withdrawal.address);
    const blockHash = hexlify(payload().blockHash);
    const proof = (await send("eth_getProof", address, [], { blockHash })) as Proof;
    const account = verifyAccountProof(hexlify(payload().stateRoot), address, proof.accountProof);
    const [nonce, balance, storageHash, codeHash] = decodeRlp(account!) as string[];
    expect(BigInt(balance!)).to.equal(BigInt(proof.balance));
    expect([nonce === "0x" ? 0n : BigInt(nonce!), storageHash, codeHash]).to.deep.equal([
      BigInt(proof.nonce),
      proof.storageHash,
      proof.codeHash,
    ]);
    expect(BigInt((await send("eth_getBalance", address, { blockHash })) as string)).to.equal(BigInt(balance!));
    expect((await block("latest")).stateRoot).to.equal(hexlify(payload().stateRoot));
    const count = {
      to: DEPOSIT_CONTRACT_ADDRESS,
      data: depositContract(devnet.provider).interface.encodeFunctionData("get_deposit_count"),
    };
    expect(await send("eth_call", count, { blockHash })).to.equal(await send("eth_call", count, "latest"));

    await devnet.advance(1);
    expect(await rejection(send("eth_getProof", address, [], { blockHash }))).to.contain("head only");
    expect(BigInt((await send("eth_getBalance", address, { blockHash })) as string)).to.equal(BigInt(balance!));
  });

  it("credits withdrawals in their own block, not in the one before", async () => {
    await devnet.advanceUntil(() => payload().withdrawals.length > 0);
    const { withdrawals, blockNumber } = payload();
    const { address, amount } = withdrawals[0]!;
    const at = async (number: number): Promise<bigint> => devnet.provider.getBalance(hexlify(address), number);
    expect((await at(blockNumber)) - (await at(blockNumber - 1))).to.equal(amount * 10n ** 9n);
    expect((await block(toQuantity(blockNumber))).withdrawals.length).to.equal(withdrawals.length);
  });

  it("takes requests out in the block of their transaction", async () => {
    const { receipt } = await deposit(devnet, {
      keyIndex: 1000,
      withdrawalCredentials: credentials("02", devnet.accounts[0]!.address),
    });
    expect(receipt.blockNumber).to.equal(devnet.chain.head.executionBlockNumber);
    const requests = () => {
      const body = devnet.chain.head.signedBlock!.message.body;
      if (!("executionRequests" in body)) throw new Error("no requests");
      return body.executionRequests;
    };
    expect(requests().deposits.map((d) => hexlify(d.pubkey))).to.deep.equal([
      hexlify(interopSecretKey(1000).toPublicKey().toBytes()),
    ]);
    await requestWithdrawal(devnet, hexlify(interopSecretKey(3).toPublicKey().toBytes()), 0n);
    expect(requests().withdrawals.length).to.equal(1);
    expect(hexlify(requests().withdrawals[0]!.sourceAddress)).to.equal(devnet.accounts[0]!.address.toLowerCase());
    await devnet.advance(1);
    expect(requests().withdrawals.length).to.equal(0);
    // the dequeue was really written: the queue is empty and the fee is back at its minimum
    expect(BigInt((await send("eth_call", { to: WITHDRAWAL_REQUESTS_ADDRESS }, "latest")) as string)).to.equal(1n);
  });

  it("has the official deposit contract", async () => {
    const contract = depositContract(devnet.provider);
    expect(await contract.getFunction("get_deposit_count")()).to.equal("0x0100000000000000");
  });

  it("pays priority fees to the fee recipient, equal to the wei", async () => {
    const before = await devnet.provider.getBalance(DEFAULT_FEE_RECIPIENT);
    const tips = [1n, 3n, 7n].map((gwei) => gwei * 10n ** 9n);
    const [sender, receiver] = [devnet.accounts[1]!, Wallet.createRandom().address];
    const sent = [];
    for (const tip of tips) {
      const fees = { maxPriorityFeePerGas: tip, maxFeePerGas: 100n * 10n ** 9n };
      sent.push(await sender.sendTransaction({ to: receiver, value: 1n, ...fees }));
    }
    await devnet.mineTx(sent.at(-1)!);
    const earned = tips.reduce((sum, tip) => sum + tip * 21_000n, 0n);
    expect((await devnet.provider.getBalance(DEFAULT_FEE_RECIPIENT)) - before).to.equal(earned);
  });

  it("lets finalized and safe follow the consensus chain", async () => {
    const { finalized, justified } = devnet.chain;
    expect(Number((await block("finalized")).number)).to.equal(finalized.block.executionBlockNumber);
    expect(Number((await block("safe")).number)).to.equal(justified.block.executionBlockNumber);
    expect(justified.block.executionBlockNumber).to.be.greaterThan(finalized.block.executionBlockNumber);
    const latest = Number((await block("latest")).number);
    expect(latest).to.be.greaterThan(justified.block.executionBlockNumber);
    const logs = (await send("eth_getLogs", { fromBlock: "0x0", toBlock: "finalized" })) as unknown[];
    expect(logs.length).to.equal(0); // the deposit of this file is newer than that
  });

  it("refuses from outside what belongs to the consensus layer", async () => {
    for (const method of ["evm_mine", "hardhat_mine", "evm_increaseTime", "evm_revert", "hardhat_setCoinbase"]) {
      expect(await rejection(send(method)), method).to.contain("/devnet/advance");
    }
  });

  it("shows all of a block or nothing of it", async () => {
    let advancing = true;
    const observe = async (): Promise<void> => {
      while (advancing) {
        const head = await block("latest");
        const proof = (await send("eth_getProof", BEACON_ROOTS_ADDRESS, [], "latest")) as Proof;
        const after = await block("latest");
        if (after.number !== head.number) continue; // a block came between the requests
        expect(keccak256(proof.accountProof[0]!)).to.equal(head.stateRoot);
      }
    };
    const observer = observe();
    await devnet.advance(40);
    advancing = false;
    await observer;
  });

  it("answers a batch in its order", async () => {
    const ids = Array.from({ length: 20 }, (_, i) => i);
    const body = ids.map((id) => ({
      jsonrpc: "2.0",
      id,
      method: id % 2 === 0 ? "eth_blockNumber" : "eth_chainId",
      params: [],
    }));
    const response = await fetch(devnet.rpcUrl, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify([...body, 7]),
    });
    const answers = (await response.json()) as { id: unknown; result?: string; error?: { code: number } }[];
    expect(answers.slice(0, 20).map((answer) => answer.id)).to.deep.equal(ids);
    expect(answers[1]!.result).to.equal(toQuantity(devnet.chainId));
    expect(answers[20]!.error!.code).to.equal(-32600);
  });

  it("tells why a transaction reverted, and when none took it", async () => {
    // PUSH4 selector, PUSH1 224, SHL, PUSH0, MSTORE, PUSH1 4, PUSH0, REVERT: reverts with a custom error
    const custom = new Interface(["error NotToday()"]);
    const selector = custom.getError("NotToday")!.selector.slice(2);
    const code = `63${selector}60e01b5f5260045ffd`;
    const init = `0x6${(code.length / 2 - 1).toString(16)}${code}5f52600e6012f3`;
    const factory = new ContractFactory([], getBytes(init), devnet.accounts[2]);
    const created = await factory.getDeployTransaction();
    const receipt = await devnet.mineTx(devnet.accounts[2]!.sendTransaction(created));
    const to = receipt.contractAddress!;
    const call = () => devnet.accounts[2]!.sendTransaction({ to, gasLimit: 100_000 });
    expect(await rejection(devnet.mineTx(call(), custom))).to.contain("NotToday()");
    expect(await rejection(devnet.mineTx(call()))).to.contain(selector);
    // ethers finds the revert data in what estimating answers
    const estimate = devnet.accounts[2]!.estimateGas({ to }).catch(
      (error: unknown) => error as { code: string; data: string },
    );
    expect(await estimate).to.include({ code: "CALL_EXCEPTION", data: `0x${selector}` });
    const future = { to, nonce: 999, gasLimit: 21_000 };
    expect(await rejection(devnet.mineTx(devnet.accounts[2]!.sendTransaction(future)))).to.contain("no block took");
  });
});
