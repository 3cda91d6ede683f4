import { expect } from "chai";
import { concat, toBeHex } from "ethers";
import { WITHDRAWAL_REQUESTS_ADDRESS } from "../../../devnet/execution/predeploys.js";
import { bytesOf, ETHER, processWithdrawalRequests } from "../registry/support.js";
import { type Connection, deployExits, onOwnChain } from "./support.js";

const KEYS = [bytesOf("first", 48), bytesOf("second", 48)];

describe("WithdrawalVault, as the owner of credentials", () => {
  /** The ValidatorExits as a sender of transactions. */
  async function asExits(connection: Connection) {
    const on = await deployExits(connection);
    const sender = await connection.ethers.getImpersonatedSigner(await on.exits.getAddress());
    await connection.networkHelpers.setBalance(sender.address, ETHER);
    return Object.assign(on, { asExits: on.vault.connect(sender) });
  }

  const load = onOwnChain(asExits);

  it("knows the fee of this block", async () => {
    const on = await load();
    expect(await on.vault.exitFee()).to.equal(1n);
    const fee = await on.raiseFee(40);
    // EIP-7002: e^(38 / 17), as 38 requests were more than the two a block that cost nothing extra
    expect(fee).to.equal(9n);
    for (let i = 0; i < 20; i++) await processWithdrawalRequests(on.connection.provider);
    expect(await on.vault.exitFee()).to.equal(1n);
  });

  it("does not know the fee where EIP-7002 is not, or not yet active", async () => {
    const { vault, asExits, helpers } = await load();
    await helpers.setStorageAt(WITHDRAWAL_REQUESTS_ADDRESS, 0, toBeHex(2n ** 256n - 1n, 32));
    await expect(vault.exitFee()).to.be.revertedWithCustomError(vault, "ExitFeeUnknown");
    await expect(asExits.requestExits(KEYS, { value: 2n })).to.be.revertedWithCustomError(vault, "ExitFeeUnknown");
    await helpers.setCode(WITHDRAWAL_REQUESTS_ADDRESS, "0x");
    await expect(vault.exitFee()).to.be.revertedWithCustomError(vault, "ExitFeeUnknown");
    await expect(asExits.requestExits(KEYS, { value: 2n })).to.be.revertedWithCustomError(vault, "ExitFeeUnknown");
    // something else is there: it answers with 64 bytes
    await helpers.setCode(WITHDRAWAL_REQUESTS_ADDRESS, "0x60406000f3");
    await expect(vault.exitFee()).to.be.revertedWithCustomError(vault, "ExitFeeUnknown");
  });

  it("requests exits for the ValidatorExits alone", async () => {
    const { vault, stranger, governance } = await load();
    for (const caller of [stranger, governance]) {
      await expect(vault.connect(caller).requestExits(KEYS, { value: 2n }))
        .to.be.revertedWithCustomError(vault, "NotValidatorExits")
        .withArgs(caller.address);
    }
  });

  it("requests each in order, in full, from what came with the call", async () => {
    const on = await load();
    const { vault, asExits, connection, deployer } = on;
    const fee = await on.raiseFee(40);
    // drains the strangers' requests, by sixteen a block
    while ((await processWithdrawalRequests(connection.provider)) !== "0x");
    const now = await vault.exitFee();
    expect(now).to.be.lessThan(fee).and.greaterThan(1n);
    await deployer.sendTransaction({ to: vault, value: 5n * ETHER });
    const sent = await asExits.requestExits(KEYS, { value: 2n * now });
    await expect(sent).to.changeEtherBalances(connection.ethers, [vault, WITHDRAWAL_REQUESTS_ADDRESS], [0n, 2n * now]);
    const address = await vault.getAddress();
    expect(await processWithdrawalRequests(connection.provider)).to.equal(
      concat(KEYS.flatMap((key) => [address, key, toBeHex(0, 8)])),
    );
  });

  it("takes the exact fee, and never pays from what it holds", async () => {
    const on = await load();
    const { vault, asExits, deployer } = on;
    await deployer.sendTransaction({ to: vault, value: 5n * ETHER });
    for (const value of [0n, 1n, 3n]) {
      await expect(asExits.requestExits(KEYS, { value }))
        .to.be.revertedWithCustomError(vault, "WrongFee")
        .withArgs(value, 2n);
    }
    await expect(asExits.requestExits([], { value: 1n }))
      .to.be.revertedWithCustomError(vault, "WrongFee")
      .withArgs(1n, 0n);
    expect(await on.told(asExits.requestExits([]))).to.deep.equal([]);
  });

  it("says which request EIP-7002 refuses, and makes none", async () => {
    const on = await load();
    const { vault, asExits, connection } = on;
    for (const bad of ["0x", bytesOf("short", 47), bytesOf("long", 49)]) {
      await expect(asExits.requestExits([KEYS[0]!, bad], { value: 2n }))
        .to.be.revertedWithCustomError(vault, "ExitRefused")
        .withArgs(bad);
    }
    expect(await processWithdrawalRequests(connection.provider)).to.equal("0x");
  });
});
