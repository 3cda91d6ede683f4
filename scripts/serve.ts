import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import Table from "cli-table3";
import { formatEther } from "ethers";
import { startLocalPool } from "../devnet/pool.js";

const RPC_PORT = Number(process.env["RPC_PORT"] ?? 8545);
const BEACON_PORT = Number(process.env["BEACON_PORT"] ?? 9596);
const KEYS_PER_CLUSTER = 10;
/** A slot passes this often, in milliseconds of the machine; the chain's own time is virtual. */
const SLOT_MS = Number(process.env["SLOT_MS"] ?? 500);

/** Runs the chain, the pool and its services until interrupted. */
export async function serve(): Promise<void> {
  const pool = await startLocalPool({
    devnet: { rpcPort: RPC_PORT, beaconPort: BEACON_PORT },
    onProgress: (message) => {
      console.log(message);
    },
  }).catch((error: unknown) => {
    if (!isError(error, "EADDRINUSE")) throw error;
    console.error(`${error.message}. Stop what runs there, or set RPC_PORT and BEACON_PORT to free ports.`);
    process.exit(1); // the other port may be open already
  });
  for (const cluster of pool.clusters) await pool.publish(cluster, await pool.prepare(cluster, KEYS_PER_CLUSTER));
  await pool.startAll();
  const { devnet, deployment } = pool;

  const table = new Table({ style: { head: [], border: [] } });
  table.push(
    ["JSON-RPC", devnet.rpcUrl],
    ["Beacon API", devnet.beaconUrl],
    ["chain id", String(devnet.chainId)],
    ["SSV Network", await pool.ssv.network.getAddress()],
    ["SSV Network's views", await pool.ssv.views.getAddress()],
    ...pool.services.map(({ name, service }) => [name, service.url]),
    ...Object.entries(deployment.addresses).filter(([name]) => !name.endsWith("Implementation")),
  );
  console.log(table.toString());
  const accounts = new Table({ head: ["account", "private key", "ETH", ""], style: { head: [], border: [] } });
  const people = [0, 1, 2, 3, 4].map((i) => [pool.user(i), ""] as const);
  for (const [{ address, privateKey }, who] of [...people, [pool.poolOperator, "pool operator"] as const]) {
    accounts.push([address, privateKey, formatEther(await devnet.provider.getBalance(address)), who]);
  }
  console.log(accounts.toString());
  console.log(`Stake with any wallet: stake(receiver, referral) on the PoolManager. Keys of this chain are public: never use them elsewhere.
A slot passes every ${SLOT_MS} ms (SLOT_MS changes it). By hand, with curl -X POST:
  ${devnet.beaconUrl}/devnet/advance?slots=32
  ${devnet.beaconUrl}/devnet/skip
  ${devnet.beaconUrl}/devnet/slash?validator=<index>
  ${devnet.beaconUrl}/devnet/stop-operator?id=1
  ${devnet.beaconUrl}/devnet/start-operator?id=1
Ctrl-C stops everything.`);

  const stop = new AbortController();
  const interrupted = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]).then(() => {
    stop.abort();
  });
  while (!stop.signal.aborted) {
    await devnet.advance(1);
    await Promise.race([wait(SLOT_MS), interrupted]);
  }
  await pool.close();
}

function isError(error: unknown, code: string): error is Error {
  return error instanceof Error && "code" in error && error.code === code;
}
