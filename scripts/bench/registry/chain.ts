import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { id, keccak256, toBeHex, toQuantity, type Interface } from "ethers";
import {
  ISSVNetwork__factory,
  IValidatorExits__factory,
  IValidatorRegistry__factory,
} from "../../../types/ethers-contracts/index.js";
import { addresses, CHAIN_ID, HEAD, POOL_FROM } from "./terms.js";

/** Reth's limit, and that of most providers is near it. */
const MOST_LOGS = 20_000;
const [validators = 0, foreign = 0] = process.argv.slice(2).map(Number);
const PER_CLUSTER = 100;
const PER_BATCH = 50;
const PER_REGISTRATION = 10;
const OPERATORS = [1n, 2n, 3n, 4n];
/** For four operators: the owner's signature, public keys and encrypted shares. */
const SHARES_BYTES = 96 + 4 * (48 + 256);

interface Log {
  readonly address: string;
  readonly topics: readonly string[];
  readonly data: string;
  readonly block: number;
}

const registry = IValidatorRegistry__factory.createInterface();
const exits = IValidatorExits__factory.createInterface();
const ssv = ISSVNetwork__factory.createInterface();
const logs: Log[] = [];

function emit(block: number, address: string, contract: Interface, name: string, values: readonly unknown[]): void {
  const event = contract.getEvent(name);
  if (event === null) throw new Error(`no event ${name}`);
  const { topics, data } = contract.encodeEventLog(event, values);
  logs.push({ address, topics, data, block });
}

/** Octets that look random, the same in every run. */
const octets = (name: string, length: number): string => {
  let hex = "";
  for (let i = 0; hex.length < 2 * length; i++) hex += id(`${name} ${i}`).slice(2);
  return `0x${hex.slice(0, 2 * length)}`;
};
const keyOf = (name: string): string => octets(`key of ${name}`, 48);
const SHARES = octets("shares", SHARES_BYTES);
const cluster = [1, 0, 0, true, 10n ** 18n];
/** An event with hundreds of octets is encoded once: the others differ in the key and its owner alone. */
const ADDED = (() => {
  const placeholder = `0x${"ab".repeat(48)}`;
  const values = [addresses.registry, OPERATORS, placeholder, SHARES, cluster];
  const { topics, data } = ssv.encodeEventLog("ValidatorAdded", values);
  const at = data.indexOf(placeholder.slice(2));
  return { topic: topics[0] ?? "", before: data.slice(0, at), after: data.slice(at + 96) };
})();

function emitAdded(block: number, owner: string, key: string): void {
  const topics = [ADDED.topic, toBeHex(owner, 32)];
  logs.push({ address: addresses.ssvNetwork, topics, data: `${ADDED.before}${key.slice(2)}${ADDED.after}`, block });
}

/** The life of the pool, evenly over its blocks: in every cluster batches are published, vetted, registered and funded; one in twenty exits. */
function writePool(): void {
  const clusters = Math.ceil(validators / PER_CLUSTER);
  const span = (HEAD - 1_000 - POOL_FROM) / clusters;
  let nextId = 1;
  for (let number = 1; number <= clusters; number++) {
    const start = Math.floor(POOL_FROM + span * (number - 1));
    const owner = `0x${keccak256(toBeHex(number)).slice(26)}`;
    emit(start, addresses.registry, registry, "AccountAdded", [number, owner]);
    emit(start + 1, addresses.registry, registry, "ClusterAdded", [number, number, OPERATORS, false, PER_CLUSTER]);
    const count = Math.min(PER_CLUSTER, validators - PER_CLUSTER * (number - 1));
    for (let first = 0, batch = 0; first < count; first += PER_BATCH, batch++) {
      const entries = Array.from({ length: Math.min(PER_BATCH, count - first) }, (_, i) =>
        keyOf(`${number} ${first + i}`),
      );
      const data = entries.map((key) => key.slice(2) + SHARES.slice(2, 194) + SHARES.slice(2)).join("");
      const block = start + 10 + 20 * batch;
      const published = [number, number, batch, first, entries.length, `0x${data}`, "0x"];
      emit(block, addresses.registry, registry, "Published", published);
      emit(block + 1, addresses.registry, registry, "BatchVetted", [number, number, batch]);
      for (let at = 0; at < entries.length; at += PER_REGISTRATION) {
        const keys = entries.slice(at, at + PER_REGISTRATION);
        const ids = keys.map((_, i) => nextId + i);
        const when = block + 2 + at / PER_REGISTRATION;
        emit(when, addresses.registry, registry, "Registered", [number, number, nextId, first + at, keys.length, 0]);
        for (const key of keys) emitAdded(when, owner, key);
        emit(when + 1, addresses.registry, registry, "Deposited", [number, ids]);
        nextId += keys.length;
      }
    }
    for (let gone = nextId - Math.floor(count / 20); gone < nextId; gone++) {
      emit(start + 100, addresses.validatorExits, exits, "ExitRequested", [number, gone, false]);
      emit(start + 200, addresses.validatorExits, exits, "Exiting", [gone]);
      emit(start + 300, addresses.validatorExits, exits, "Exited", [gone]);
    }
  }
}

for (const operator of OPERATORS) {
  emit(1, addresses.ssvNetwork, ssv, "OperatorAdded", [
    operator,
    addresses.registry,
    octets(`operator ${operator}`, 400),
    0,
  ]);
}
for (let i = 0; i < foreign; i++) {
  emitAdded(
    2 + Math.floor((i / foreign) * (HEAD - 10)),
    `0x${keccak256(toBeHex(i % 3_000)).slice(26)}`,
    keyOf(`stranger ${i}`),
  );
}
writePool();
logs.sort((a, b) => a.block - b.block);

const header = (number: number): object => ({
  number: toQuantity(number),
  hash: id(`block ${number}`),
  timestamp: toQuantity(1_700_000_000 + 12 * number),
});

function firstAt(block: number): number {
  let [low, high] = [0, logs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((logs[middle]?.block ?? 0) < block) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Filter {
  readonly address: string;
  readonly topics: readonly (readonly string[])[];
  readonly fromBlock: string;
  readonly toBlock: string;
}

function serve(method: string, params: readonly unknown[]): object {
  if (method === "eth_chainId") return { result: toQuantity(CHAIN_ID) };
  if (method === "eth_getBlockByNumber") {
    const tag = String(params[0]);
    return { result: header(tag === "latest" ? HEAD : tag === "finalized" ? HEAD - 64 : Number(tag)) };
  }
  if (method !== "eth_getLogs") return { error: { code: -32601, message: "the method does not exist" } };
  const { address, topics, fromBlock, toBlock } = params[0] as Filter;
  const wanted = new Set(topics[0]);
  const found = logs
    .slice(firstAt(Number(fromBlock)), firstAt(Number(toBlock) + 1))
    .filter((log) => log.address === address && wanted.has(log.topics[0] ?? ""));
  if (found.length > MOST_LOGS) {
    return { error: { code: -32602, message: `query exceeds max results ${MOST_LOGS}` } };
  }
  return {
    result: found.map(({ block, ...log }, i) => ({
      ...log,
      blockNumber: toQuantity(block),
      transactionIndex: "0x0",
      logIndex: toQuantity(i),
    })),
  };
}

const server = createServer((request, response) => {
  const pieces: Buffer[] = [];
  request.on("data", (piece: Buffer) => pieces.push(piece));
  request.on("end", () => {
    const body = JSON.parse(Buffer.concat(pieces).toString()) as { id: number; method: string; params: unknown[] };
    response.end(JSON.stringify({ jsonrpc: "2.0", id: body.id, ...serve(body.method, body.params) }));
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`http://127.0.0.1:${port} ${logs.length}\n`);
});
