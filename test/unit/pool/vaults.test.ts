import { expect } from "chai";
import { ZeroAddress } from "ethers";
import {
  ERC1967Proxy__factory,
  RewardsVault__factory,
  WithdrawalVault__factory,
} from "../../../types/ethers-contracts/index.js";
import { deployPool, ETHER } from "./support.js";

describe("WithdrawalVault", () => {
  it("accepts ether from anyone and gives it to the PoolManager alone", async () => {
    const { withdrawalVault: vault, users, connection } = await deployPool();
    const [stranger] = users;
    await stranger!.sendTransaction({ to: vault, value: ETHER });
    expect(await connection.ethers.provider.getBalance(vault)).to.equal(ETHER);
    await expect(vault.connect(stranger).sweep(1n))
      .to.be.revertedWithCustomError(vault, "NotPoolManager")
      .withArgs(stranger!.address);
  });

  it("sends what is asked for, and says so", async () => {
    const pool = await deployPool();
    const { withdrawalVault: vault, connection } = pool;
    await pool.setBalance(await vault.getAddress(), 5n);
    await connection.networkHelpers.time.increase(86_400);
    await expect(pool.report({ withdrawnAtRef: 3n }))
      .to.emit(vault, "Swept")
      .withArgs(3n);
    expect(await connection.ethers.provider.getBalance(vault)).to.equal(2n);
    expect((await pool.manager.totals()).buffered).to.equal(ETHER + 3n);
  });

  it("says when the PoolManager does not take it, or there is not enough", async () => {
    const { token, users, connection, setBalance, authority } = await deployPool();
    // the token takes no ether
    const taker = await connection.ethers.getImpersonatedSigner(await token.getAddress());
    await setBalance(taker.address, ETHER);
    const code = await new WithdrawalVault__factory(users[0]).deploy(taker.address, taker.address);
    const proxy = await new ERC1967Proxy__factory(users[0]).deploy(
      code,
      code.interface.encodeFunctionData("initialize", [authority]),
    );
    const vault = WithdrawalVault__factory.connect(await proxy.getAddress(), taker);
    await setBalance(await vault.getAddress(), 5n);
    await expect(vault.sweep(5n)).to.be.revertedWithCustomError(vault, "SendFailed").withArgs(5n);
    await expect(vault.sweep(6n)).to.be.revertedWithCustomError(vault, "SendFailed").withArgs(6n);
  });

  it("is initialised once, its code never, and upgraded by governance alone", async () => {
    const pool = await deployPool();
    const { withdrawalVault: vault, users, authority, manager } = pool;
    expect(await vault.authority()).to.equal(authority);
    await expect(vault.initialize(users[0]!)).to.be.revertedWithCustomError(vault, "InvalidInitialization");
    const code = await new WithdrawalVault__factory(users[0]).deploy(manager, users[0]!);
    await expect(code.initialize(users[0]!)).to.be.revertedWithCustomError(code, "InvalidInitialization");
    await expect(
      new ERC1967Proxy__factory(users[0]).deploy(code, code.interface.encodeFunctionData("initialize", [ZeroAddress])),
    ).to.be.revertedWithCustomError(vault, "ZeroAddress");
    await expect(vault.connect(users[0]).upgradeToAndCall(code, "0x"))
      .to.be.revertedWithCustomError(vault, "AccessManagedUnauthorized")
      .withArgs(users[0]!.address);
    await expect(vault.connect(pool.governance).upgradeToAndCall(code, "0x"))
      .to.emit(vault, "Upgraded")
      .withArgs(await code.getAddress());
  });
});

describe("RewardsVault", () => {
  it("accepts ether from anyone and gives all of it to the PoolManager alone", async () => {
    const pool = await deployPool();
    const { rewardsVault: vault, users, connection } = pool;
    const [stranger] = users;
    await stranger!.sendTransaction({ to: vault, value: ETHER });
    await expect(vault.connect(stranger).sweep())
      .to.be.revertedWithCustomError(vault, "NotPoolManager")
      .withArgs(stranger!.address);
    await connection.networkHelpers.time.increase(86_400);
    await expect(pool.report()).to.emit(vault, "Swept").withArgs(ETHER);
    expect(await connection.ethers.provider.getBalance(vault)).to.equal(0n);
  });

  it("says when the PoolManager does not take it", async () => {
    const { token, users, connection, setBalance } = await deployPool();
    const taker = await connection.ethers.getImpersonatedSigner(await token.getAddress());
    await setBalance(taker.address, ETHER);
    const vault = (await new RewardsVault__factory(users[0]).deploy(taker.address)).connect(taker);
    await setBalance(await vault.getAddress(), 5n);
    await expect(vault.sweep()).to.be.revertedWithCustomError(vault, "SendFailed").withArgs(5n);
  });
});
