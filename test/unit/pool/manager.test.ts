import { expect } from "chai";
import { deployPool, ETHER, FRAME_SECONDS } from "./support.js";

describe("PoolManager", () => {
  it("a stake, a deposit and its reward", async () => {
    const pool = await deployPool();
    const { manager, token, users } = pool;
    const [alice, bob] = users;
    await manager.connect(alice).stake(alice!, bob!, { value: 40n * ETHER });
    await manager.connect(pool.registry).fundDeposits(1n);
    await pool.connection.networkHelpers.time.increase(FRAME_SECONDS);
    await pool.report({ clBalance: 33n * ETHER });
    expect(await token.totalSupply()).to.equal(41n * ETHER);
    await pool.connection.networkHelpers.time.increase(365n * 86_400n);
    expect(await token.totalSupply()).to.be.closeTo(41n * ETHER + (9n * ETHER) / 10n, 10n ** 12n);
  });
});
