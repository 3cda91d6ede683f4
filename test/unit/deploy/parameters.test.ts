import { expect } from "chai";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEther, ZeroAddress } from "ethers";
import { DeployError } from "../../../deploy/errors.js";
import { type ParametersInput, parseParameters, readParameters } from "../../../deploy/parameters.js";
import { addressOf, filledInput, readInput } from "./support.js";

const SSV = { network: addressOf("ssv network"), views: addressOf("ssv views") };
const filled = (): ParametersInput => filledInput(1337, SSV);

/** The problems that parsing names, one a line. */
function problems(input: unknown): string[] {
  try {
    parseParameters(input);
  } catch (error) {
    if (error instanceof DeployError && error.code === "PARAMETERS_INVALID") return error.meta["problems"] as string[];
    throw error;
  }
  return [];
}

describe("deployment parameters", () => {
  it("are read with amounts in wei and checksummed addresses", () => {
    const input = filled();
    const p = parseParameters({ ...input, poolOperator: input.poolOperator.toLowerCase(), initialStakeEth: "1.5" });
    expect(p.poolOperator).to.equal(input.poolOperator);
    expect(p.initialStakeEth).to.equal(parseEther("1.5"));
    expect(p.pool.minStakeEth).to.equal(parseEther("0.001"));
  });

  it("of mainnet and Hoodi name exactly what a deployer has to fill in", () => {
    const people = ["governance.address", "poolOperator", "pool.treasury"];
    const members = (set: string, count: number) =>
      [...Array(count).keys()].flatMap((i) => [`${set}.members.${i}.member`, `${set}.members.${i}.signer`]);
    for (const [name, count] of [
      ["mainnet", 5],
      ["hoodi", 3],
    ] as const) {
      const fields = [...people, ...members("oracles", count), ...members("guardians", count)];
      expect(problems(readInput(name)), name).to.deep.equal(
        fields.map((field) => `${field}: must be filled in with an address (0x and 40 hex digits)`),
      );
    }
  });

  it("of mainnet and Hoodi are whole once filled in", () => {
    const { governance, poolOperator, pool, oracles, guardians } = filled();
    for (const name of ["mainnet", "hoodi"]) {
      const file = readInput(name);
      const p = parseParameters({
        ...file,
        governance: { ...file.governance, address: governance.address },
        poolOperator,
        pool: { ...file.pool, treasury: pool.treasury },
        oracles,
        guardians: { ...file.guardians, members: guardians.members, quorum: guardians.quorum },
      });
      expect(p.frames.secondsPerSlot, name).to.equal(12);
      expect(p.frames.slotsPerFrame % 32, name).to.equal(0);
    }
  });

  it("are refused field by field", () => {
    const input = filled();
    const { governance, frames, withdrawals, pool, reserve, oracles, guardians, ssv } = input;
    const [first, second, third] = oracles.members as [Member, Member, Member];
    const cases: [change: object, problem: string][] = [
      [{ chainId: 0 }, "chainId: must be a whole number from 1 to 9007199254740991"],
      [{ chainId: 1.5 }, "chainId: must be a whole number from 1 to 9007199254740991"],
      [{ frames: { ...frames, slotsPerFrame: 8191 } }, "frames.slotsPerFrame: must be a whole number from 1 to 8190"],
      [{ frames: { ...frames, secondsPerSlot: 0 } }, "frames.secondsPerSlot: must be a whole number from 1 to 8190"],
      [{ depositContract: "" }, "depositContract: must be filled in with an address (0x and 40 hex digits)"],
      [
        { ssv: { ...ssv, views: ssv.views.slice(0, -1) } },
        "ssv.views: must be an address (0x and 40 hex digits, with a valid checksum)",
      ],
      [{ poolOperator: ZeroAddress }, "poolOperator: must not be the zero address"],
      [
        { governance: { ...governance, delaySeconds: -1 } },
        "governance.delaySeconds: must be a whole number from 0 to 4294967295",
      ],
      [
        { chainId: 1, governance: { ...governance, delaySeconds: 86_399 } },
        "governance.delaySeconds: must be at least a day (86400) on mainnet",
      ],
      [{ pool: { ...pool, feeBps: 1_501 } }, "pool.feeBps: must be a whole number from 0 to 1500"],
      [{ pool: { ...pool, maxYearlyRateBps: 99 } }, "pool.maxYearlyRateBps: must be a whole number from 100 to 5000"],
      [{ pool: { ...pool, lossLimitBps: 9 } }, "pool.lossLimitBps: must be a whole number from 10 to 5000"],
      [
        { pool: { ...pool, lossWindowSeconds: 1 } },
        "pool.lossWindowSeconds: must be a whole number from 86400 to 7776000",
      ],
      [
        { pool: { ...pool, minStakeEth: "1 ether" } },
        'pool.minStakeEth: must be an amount of ETH in decimals, such as "0.5"',
      ],
      [{ pool: { ...pool, minStakeEth: "0" } }, "pool.minStakeEth: must be more than 0 and at most 32 ETH"],
      [{ pool: { ...pool, minStakeEth: "33" } }, "pool.minStakeEth: must be more than 0 and at most 32 ETH"],
      [{ pool: { ...pool, dailyLimitEth: "0.0001" } }, "pool.dailyLimitEth: must be at least pool.minStakeEth"],
      [{ pool: { ...pool, poolCapEth: "1" } }, "pool.poolCapEth: must be more than initialStakeEth"],
      [
        { withdrawals: { ...withdrawals, cutoffMarginSeconds: frames.secondsPerSlot * frames.slotsPerFrame } },
        "withdrawals.cutoffMarginSeconds: must be shorter than a frame",
      ],
      [
        { withdrawals: { ...withdrawals, exitGraceFrames: 0 } },
        "withdrawals.exitGraceFrames: must be a whole number from 1 to 30",
      ],
      [{ initialStakeEth: "0.0009" }, "initialStakeEth: must be at least 0.001 ETH"],
      [
        { oracles: { ...oracles, quorum: 1 } },
        "oracles.quorum: must be more than half of the 3 members and at most all of them",
      ],
      [
        { oracles: { ...oracles, quorum: 4 } },
        "oracles.quorum: must be more than half of the 3 members and at most all of them",
      ],
      [{ oracles: { quorum: 1, members: [] } }, "oracles.members: must name at least one member"],
      [
        { oracles: { ...oracles, members: [first, second, { ...third, signer: first.member }] } },
        "oracles.members.2.signer: must not appear twice: each member has one cold and one hot address",
      ],
      [
        { guardians: { ...guardians, pauseSeconds: 60 } },
        "guardians.pauseSeconds: must be a whole number from 3600 to 1209600",
      ],
      [
        { reserve: { ...reserve, lowRunwayBlocks: reserve.targetRunwayBlocks } },
        "reserve.lowRunwayBlocks: must be below reserve.targetRunwayBlocks",
      ],
      [{ reserve: { ...reserve, seed: "1" } }, "reserve.seed: is not a parameter"],
      [{ initalStake: "1" }, "initalStake: is not a parameter"],
    ];
    for (const [change, problem] of cases) expect(problems({ ...input, ...change })).to.deep.equal([problem]);
    expect(problems([])[0]).to.match(/^\(whole\): /);
    const many = [...Array(33).keys()].map((i) => ({ member: addressOf(`m${i}`), signer: addressOf(`s${i}`) }));
    expect(problems({ ...input, oracles: { quorum: 17, members: many } })).to.deep.equal([
      "oracles.members: must name at most 32 members",
    ]);
  });

  it("come from a file, which errors name", () => {
    const folder = mkdtempSync(join(tmpdir(), "pooleth-parameters-"));
    const file = join(folder, "p.json");
    expect(() => readParameters(file)).to.throw(DeployError, `${file} cannot be read as JSON`);
    writeFileSync(file, "{");
    expect(() => readParameters(file)).to.throw(DeployError, `${file} cannot be read as JSON`);
    writeFileSync(file, JSON.stringify({ ...filled(), poolOperator: "" }));
    expect(() => readParameters(file)).to.throw(
      DeployError,
      `${file} cannot be used:\n  poolOperator: must be filled in`,
    );
    writeFileSync(file, JSON.stringify(filled()));
    expect(readParameters(file)).to.deep.equal(parseParameters(filled()));
  });
});

type Member = ParametersInput["oracles"]["members"][number];
