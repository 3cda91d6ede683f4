import { expect } from "chai";
import { deployPool, ETHER, FRAME_SECONDS } from "./support.js";

describe("PoolManager", () => {
  it("smoke", async () => {
    const pool = await deployPool();
    const { manager, token, users, connection: { networkHelpers } } = pool;
    const gas = async (tx: { wait(): Promise<{ gasUsed: bigint } | null> }) => (await tx.wait())!.gasUsed;
    const [alice, bob, carol] = users;
    console.log("stake first", await gas(await manager.connect(alice).stake(alice!.address, alice!.address, { value: 3n * ETHER })));
    await manager.connect(bob).stake(bob!.address, alice!.address, { value: 3n * ETHER });
    console.log("stake again", await gas(await manager.connect(alice).stake(alice!.address, alice!.address, { value: 3n * ETHER })));
    console.log("transfer holder", await gas(await token.connect(alice).transfer(bob!, ETHER)));
    console.log("transfer new", await gas(await token.connect(alice).transfer(carol!, ETHER)));
    await manager.connect(alice).stake(alice!.address, alice!.address, { value: 64n * ETHER });
    await manager.connect(pool.registry).fundDeposits(2n);
    for (let i = 0n; i < 6n; i++) {
      await networkHelpers.time.increase(FRAME_SECONDS);
      const { clBalance } = await pool.figures();
      await pool.setBalance(await pool.rewardsVault.getAddress(), i > 2n ? 10n ** 15n : 0n);
      console.log("report", i, await gas(await pool.report({ clBalance: BigInt(clBalance) + (i==0n ? 0n : 10n ** 16n) })));
    }
    console.log(await manager.totals());
    expect(await token.totalSupply()).to.be.greaterThan(71n * ETHER);
  });
});
