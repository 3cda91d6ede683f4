import { expect } from "chai";
import { validatorByPubkey } from "../../../devnet/consensus/state.js";
import type { Service } from "../../../oracle/service.js";
import { follow, SLOTS_PER_FRAME, startPool, type Pool } from "./harness.js";

describe("services over the devnet", () => {
  let pool: Pool;
  let keeper: Service;
  let members: Service[];

  before(async () => {
    pool = await startPool();
    keeper = await pool.start("keeper", 0, []);
    members = [];
    for (const role of ["oracle", "guardian"] as const) {
      for (const i of [0, 1, 2]) members.push(await pool.start(role, i, [keeper.url]));
    }
  });
  after(() => pool.close());

  it("take validators from publication to attesting, and report them to the wei", async () => {
    const { devnet, poolManager } = pool;
    await pool.stake("100");
    const validators = await pool.prepare(2);
    await pool.publish(validators);
    const keys = validators.map(({ publicKey }) => publicKey);
    const areActive = (): boolean => keys.every((key) => devnet.validatorByPubkey(key)?.status === "active_ongoing");
    const failed = await follow(pool, members, [keeper], areActive);
    expect(failed.flatMap(({ failures }) => failures.map(({ error }) => String(error)))).to.deep.equal([]);

    const frame = await poolManager.lastFrame();
    await follow(pool, members, [keeper], async () => (await poolManager.lastFrame()) > frame + 2n);
    const refSlot = (Number(await poolManager.lastFrame()) + 1) * SLOTS_PER_FRAME - 1;
    const state = devnet.chain.stateAtSlot(refSlot);
    const balancesGwei = keys.map((key) => validatorByPubkey(state, key)?.balanceGwei ?? 0n);
    const { clBalance, swept } = await poolManager.totals();
    expect(clBalance).to.equal(balancesGwei.reduce((sum, gwei) => sum + gwei, 0n) * 10n ** 9n);
    expect(swept > 0n).to.equal(true);
    for (const key of keys) expect(devnet.operators.dutiesMissed(key)).to.equal(0);
  });
});
