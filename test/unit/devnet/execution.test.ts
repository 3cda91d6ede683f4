import { setTimeout as delay } from "node:timers/promises";
import { AbiCoder, Interface, toBeHex } from "ethers";
import { expect } from "chai";
import { decodeDepositEvent } from "../../../devnet/execution/executionLayer.js";
import { ReadWriteLock } from "../../../devnet/execution/lock.js";
import { predeploys } from "../../../devnet/execution/predeploys.js";
import { resolveTags } from "../../../devnet/execution/rpcServer.js";
import { readSystemCall } from "../../../devnet/execution/systemCalls.js";
import { describeRevert } from "../../../devnet/transactions.js";

describe("devnet: lock", () => {
  const turn = (): Promise<void> => delay(0);

  it("lets readers run together and a writer alone", async () => {
    const lock = new ReadWriteLock();
    const log: string[] = [];
    const read = (name: string) =>
      lock.read(async () => {
        log.push(`${name}+`);
        await turn();
        log.push(`${name}-`);
      });
    const write = (name: string) =>
      lock.write(async () => {
        log.push(`${name}+`);
        await turn();
        log.push(`${name}-`);
      });
    await Promise.all([read("a"), read("b"), write("w"), read("c"), write("x")]);
    expect(log.slice(0, 4).sort()).to.deep.equal(["a+", "a-", "b+", "b-"]);
    expect(log.indexOf("w-") - log.indexOf("w+")).to.equal(1);
    expect(log.indexOf("x-") - log.indexOf("x+")).to.equal(1);
    expect(log.indexOf("w+")).to.be.lessThan(log.indexOf("c+")); // a reader that came later waits for the writer
  });

  it("is free again after a failure", async () => {
    const lock = new ReadWriteLock();
    const fail = (): Promise<never> => Promise.reject(new Error("no"));
    expect(await lock.write(fail).catch(() => "failed")).to.equal("failed");
    expect(await lock.read(fail).catch(() => "failed")).to.equal("failed");
    expect(await lock.write(async () => "done")).to.equal("done");
  });
});

describe("devnet: system calls", () => {
  const step = (op: string, ...stack: string[]) => ({ op, stack });

  it("keeps the last write of a slot and drops writes of what was read", () => {
    const call = readSystemCall("0x7002", {
      failed: false,
      returnValue: "0a",
      structLogs: [
        step("SLOAD", "0x1"),
        step("PUSH0", "0x5"),
        step("SLOAD", "0x2"),
        step("PUSH0", "0x6"),
        step("SSTORE", "0x5", "0x1"), // unchanged
        step("SSTORE", "0x7", "0x2"),
        step("SSTORE", "0x8", "0x2"),
        step("SSTORE", "0x0", "0x3"), // never read: written
        step("STOP"),
      ],
    });
    expect(call.output).to.equal("0x0a");
    expect(call.writes).to.deep.equal([
      ["0x02", toBeHex(8, 32)],
      ["0x03", toBeHex(0, 32)],
    ]);
  });

  it("refuses a failed call", () => {
    expect(() => readSystemCall("0x7002", { failed: true, returnValue: "", structLogs: [] })).to.throw("0x7002");
  });
});

describe("devnet: execution details", () => {
  it("reads little-endian amounts and indices of deposit events", () => {
    const data = AbiCoder.defaultAbiCoder().encode(
      ["bytes", "bytes", "bytes", "bytes", "bytes"],
      [
        `0x${"11".repeat(48)}`,
        `0x${"22".repeat(32)}`,
        "0x0040597307000000",
        `0x${"33".repeat(96)}`,
        "0x0201000000000000",
      ],
    );
    const request = decodeDepositEvent(data);
    expect(BigInt(request.amount)).to.equal(32_000_000_000n);
    expect(request.index).to.equal(258n);
    expect([request.pubkey.length, request.withdrawalCredentials.length, request.signature.length]).to.deep.equal([
      48, 32, 96,
    ]);
  });

  it("resolves tags in positions and in filters, and nowhere else", () => {
    const tags = { safe: 20, finalized: 10 };
    expect(resolveTags("eth_getBalance", ["0xaa", "finalized"], tags)).to.deep.equal(["0xaa", "0xa"]);
    expect(
      resolveTags("eth_getLogs", [{ fromBlock: "finalized", toBlock: "safe", address: "0xbb" }], tags),
    ).to.deep.equal([{ fromBlock: "0xa", toBlock: "0x14", address: "0xbb" }]);
    expect(resolveTags("eth_call", [{ data: "safe" }, "latest"], tags)).to.deep.equal([{ data: "safe" }, "latest"]);
  });

  it("has code for every predeploy", () => {
    for (const { code } of predeploys()) expect(code.length).to.be.greaterThan(100);
  });

  it("reads revert data", () => {
    const abi = AbiCoder.defaultAbiCoder();
    const custom = new Interface(["error TooLate(uint256 at)"]);
    expect(describeRevert("0x")).to.equal("no reason given");
    expect(describeRevert(`0x08c379a0${abi.encode(["string"], ["no"]).slice(2)}`)).to.equal("no");
    expect(describeRevert(`0x4e487b71${abi.encode(["uint256"], [17n]).slice(2)}`)).to.equal("panic 0x11");
    const data = custom.encodeErrorResult("TooLate", [7n]);
    expect(describeRevert(data, [custom])).to.equal("TooLate(7)");
    expect(describeRevert(data)).to.contain(data);
  });
});
