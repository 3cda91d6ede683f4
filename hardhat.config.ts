import { createRequire } from "node:module";
import hardhatEthers from "@nomicfoundation/hardhat-ethers";
import hardhatChaiMatchers from "@nomicfoundation/hardhat-ethers-chai-matchers";
import hardhatMocha from "@nomicfoundation/hardhat-mocha";
import hardhatNetworkHelpers from "@nomicfoundation/hardhat-network-helpers";
import hardhatTypechain from "@nomicfoundation/hardhat-typechain";
import hardhatIgnoreWarnings from "hardhat-ignore-warnings";
import { defineConfig } from "hardhat/config";

// The consensus types read this when they load; every test that touches the beacon chain runs the minimal preset.
process.env.LODESTAR_PRESET ??= "minimal";

const require = createRequire(import.meta.url);

export default defineConfig({
  plugins: [
    hardhatEthers,
    hardhatChaiMatchers,
    hardhatMocha,
    hardhatNetworkHelpers,
    hardhatTypechain,
    hardhatIgnoreWarnings,
  ],
  // OpenZeppelin's transient guard makes solc warn about tstore wherever it is inherited.
  warnings: { "*": { "transient-storage": "off" }, "npm/**/*": "off" },
  solidity: {
    // keeps *.t.sol out of artifacts and TypeChain
    splitTestsCompilation: true,
    version: "0.8.37",
    path: require.resolve("solc/soljson.js"), // the compiler comes from npm: no download
    // deployed as they are: their artifacts and types are needed
    npmFilesToBuild: [
      "@openzeppelin/contracts/access/manager/AccessManager.sol",
      "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol",
    ],
    settings: {
      evmVersion: "prague",
      optimizer: { enabled: true, runs: 200 },
      outputSelection: { "*": { "*": ["storageLayout"] } },
    },
  },
  typechain: { outDir: "./types/ethers-contracts" },
  networks: {
    osaka: { type: "edr-simulated", chainType: "l1", hardfork: "osaka" },
  },
  test: {
    mocha: { timeout: 120_000, parallel: true, jobs: 2 },
    solidity: {
      fuzz: { runs: 256, seed: process.env.CAMPAIGN_SEED ?? "0x706f6f6c" },
      // 100,000 actions; the handler requires, so that a revert is a finding
      invariant: { runs: Number(process.env.CAMPAIGN_RUNS ?? "1000"), depth: 100, failOnRevert: true },
    },
  },
  paths: { tests: { mocha: "./test", solidity: "./test" } },
});
