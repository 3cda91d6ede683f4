// The whole product on a local Ethereum, from nothing to rebased balances: see "npm start" in the README.
process.env["LODESTAR_PRESET"] ??= "minimal"; // read when the consensus types load
const { tour } = await import("./tour.js");
process.exitCode = await tour();
