// The local Ethereum with the pool on it, kept running: see "npm run devnet" in the README.
process.env["LODESTAR_PRESET"] ??= "minimal"; // read when the consensus types load
const { serve } = await import("./serve.js");
await serve();
