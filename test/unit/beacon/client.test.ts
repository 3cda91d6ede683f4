import { expect } from "chai";
import type { FastifyReply } from "fastify";
import { ssz } from "@lodestar/types";
import { BeaconClient } from "../../../oracle/beacon/client.js";
import { BeaconNodeError, StateError, VerificationError } from "../../../oracle/beacon/errors.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import { readDepositRequests } from "../../../oracle/beacon/readPayload.js";
import { readVerifiedState } from "../../../oracle/beacon/readVerified.js";
import { StateReader } from "../../../oracle/beacon/stateReader.js";
import { PoolError } from "../../../oracle/errors.js";
import { TestBeaconNode } from "./beaconNode.js";
import { EMPTY_SHAPE, expectedParts, randomState } from "./states.js";

const SPEC = {
  CONFIG_NAME: "testnet",
  PRESET_BASE: "minimal",
  SLOTS_PER_EPOCH: "8",
  GENESIS_FORK_VERSION: "0x00000001",
  DEPOSIT_CHAIN_ID: "31337",
  DEPOSIT_CONTRACT_ADDRESS: "0x00000000219ab540356cBB839Cbe05303d7705Fa",
};

async function failure(action: Promise<unknown>): Promise<PoolError> {
  try {
    await action;
  } catch (error) {
    if (error instanceof PoolError) return error;
    throw error;
  }
  throw new Error("did not fail");
}

describe("beacon node", () => {
  const state = randomState("fulu", { ...EMPTY_SHAPE, seed: 5, validators: 700, pendingDeposits: 20 });
  const pubkeys = new Set(state.validators.slice(0, 5).map(({ pubkey }) => toHex(pubkey)));
  let node: TestBeaconNode;
  let client: BeaconClient;
  let url: string;

  beforeEach(async () => {
    node = new TestBeaconNode("fulu", state);
    url = await node.start();
    client = new BeaconClient(url, { requestTimeoutMs: 5_000 });
  });
  afterEach(() => node.stop());

  const read = () => readVerifiedState(client, node.blockRoot, { pubkeys });

  describe("readVerifiedState", () => {
    it("gives what the state has, down from the block's root", async () => {
      const { blockRoot, header, ...parts } = await read();
      expect(parts).to.deep.equal(expectedParts("fulu", state, pubkeys));
      expect(blockRoot).to.equal(node.blockRoot);
      expect(header).to.deep.equal(node.header);
    });

    it("several at a time, although all their sockets read into one place", async () => {
      const expected = expectedParts("fulu", state, pubkeys);
      for (const { stateRoot, validators } of await Promise.all([read(), read(), read(), read()])) {
        expect(stateRoot).to.equal(expected.stateRoot);
        expect(validators).to.deep.equal(expected.validators);
      }
    });

    it("gives the memory of each piece back once the next is asked for", async () => {
      const { octets } = await client.streamState(node.header.stateRoot);
      const pieces: Uint8Array[] = [];
      let size = 0;
      for await (const piece of octets) {
        pieces.push(piece);
        size += piece.length;
      }
      expect(size).to.equal(node.octets.length);
      expect(pieces.map(({ length }) => length)).to.deep.equal(pieces.map(() => 0));
    });

    it("asks for octets only, and not compressed", async () => {
      await read();
      const { headers } = node.requests.find(({ url: path }) => path.includes("/debug/"))!;
      expect(headers.accept).to.equal("application/octet-stream");
      expect(headers["accept-encoding"]).to.equal("identity");
    });

    it("falls back to the slot when the node does not find the root", async () => {
      node.replace("state", (request, reply) => {
        const { id } = request.params as { id: string };
        return id === String(node.header.slot)
          ? node.sendState(reply, "fulu", node.octets)
          : reply.code(404).send({ message: "State not found" });
      });
      expect((await read()).stateRoot).to.equal(node.header.stateRoot);
    });

    it("refuses a header that does not hash to the block's root", async () => {
      node.replace("header", () => node.headerAnswer({ stateRoot: `0x${"11".repeat(32)}` }));
      const error = await failure(read());
      expect(error).to.be.instanceOf(VerificationError);
      expect(error.code).to.equal("BLOCK_ROOT_MISMATCH");
      expect(error.message).to.contain("forged or corrupted block header").and.contain(node.blockRoot);
    });

    it("refuses a state with one balance changed", async () => {
      const forged = structuredClone(state);
      forged.balances[0]! += 1;
      const lying = new TestBeaconNode("fulu", forged);
      node.replace("state", (_, reply) => node.sendState(reply, "fulu", lying.octets));
      const error = await failure(read());
      expect(error).to.be.instanceOf(VerificationError);
      expect(error.code).to.equal("STATE_ROOT_MISMATCH");
      expect(error.message).to.contain("forged or corrupted state").and.contain(lying.header.stateRoot);
    });

    const states: readonly [string, (reply: FastifyReply) => unknown, string][] = [
      ["an HTML page", (reply) => reply.type("text/html").send("<html>sign in</html>"), "BEACON_BAD_ANSWER"],
      ["JSON", (reply) => reply.header("eth-consensus-version", "fulu").send({ data: {} }), "BEACON_BAD_ANSWER"],
      [
        "octets of no named fork",
        (reply) => reply.type("application/octet-stream").send(Buffer.from(node.octets)),
        "BEACON_BAD_ANSWER",
      ],
      ["a fork to come", (reply) => node.sendState(reply, "heze", node.octets), "STATE_FORK_UNSUPPORTED"],
      ["the wrong fork", (reply) => node.sendState(reply, "electra", node.octets), "STATE_OFFSET_INVALID"],
      ["nothing", (reply) => node.sendState(reply, "fulu", new Uint8Array(0)), "STATE_TRUNCATED"],
      ["half of it", (reply) => node.sendState(reply, "fulu", node.octets.subarray(0, 99_999)), "STATE_TRUNCATED"],
      [
        "noise",
        (reply) => node.sendState(reply, "fulu", new Uint8Array(node.octets.length).fill(0xa5)),
        "STATE_OFFSET_INVALID",
      ],
      ["not acceptable", (reply) => reply.code(406).send({}), "BEACON_NODE_REFUSED"],
      ["not found", (reply) => reply.code(404).send({}), "BEACON_NOT_FOUND"],
    ];
    for (const [what, answer, code] of states) {
      it(`refuses ${what}: ${code}`, async () => {
        node.replace("state", (_, reply) => answer(reply));
        expect((await failure(read())).code).to.equal(code);
      });
    }

    it("names the node that served no state", async () => {
      node.replace("state", (_, reply) => node.sendState(reply, "fulu", new Uint8Array(0)));
      const error = await failure(read());
      expect(error).to.be.instanceOf(StateError);
      expect(error.message).to.contain(url);
      expect(error.meta.node).to.equal(url);
    });

    it("names a connection that breaks in the middle", async () => {
      node.replace("state", (_, reply) => {
        reply.hijack();
        reply.raw.writeHead(200, {
          "content-type": "application/octet-stream",
          "eth-consensus-version": "fulu",
          "content-length": node.octets.length,
        });
        reply.raw.write(node.octets.subarray(0, 50_000), () => reply.raw.socket?.resetAndDestroy());
      });
      const error = await failure(read());
      expect(error.code).to.equal("BEACON_STREAM_BROKEN");
      expect(error.meta).to.deep.equal({ node: url, path: `/eth/v2/debug/beacon/states/${node.header.stateRoot}` });
    });

    it("gives up on a node that stops sending, and on one that trickles for too long", async () => {
      node.replace("state", (_, reply) => {
        reply.hijack();
        reply.raw.writeHead(200, { "content-type": "application/octet-stream", "eth-consensus-version": "fulu" });
        reply.raw.write(node.octets.subarray(0, 50_000));
      });
      for (const limits of [{ requestTimeoutMs: 60 }, { stateTimeoutMs: 60 }]) {
        client = new BeaconClient(url, limits);
        const request = client.header(node.blockRoot).then(read);
        expect((await failure(request)).code).to.equal("BEACON_NODE_TIMEOUT");
      }
    });
  });

  describe("readDepositRequests", () => {
    const { ExecutionRequests, SignedExecutionPayloadEnvelope } = ssz.gloas;
    const deposit = { ...ssz.electra.DepositRequest.defaultValue(), amount: 32_000_000_000, index: 77n };
    const envelope = SignedExecutionPayloadEnvelope.defaultValue();
    envelope.message.executionRequests.deposits = [deposit, { ...deposit, pubkey: new Uint8Array(48).fill(3) }];
    envelope.message.payload.transactions = [new Uint8Array(1_000).fill(5)];
    const octets = SignedExecutionPayloadEnvelope.serialize(envelope);
    const rootOf = (requests: typeof envelope.message.executionRequests) =>
      toHex(ExecutionRequests.hashTreeRoot(requests));
    const readDeposits = (executionRequestsRoot = rootOf(envelope.message.executionRequests)) => {
      const reader = new StateReader("gloas", { pubkeys: new Set() });
      reader.push(ssz.gloas.BeaconState.serialize(ssz.gloas.BeaconState.defaultValue()));
      const { header, blockRoot } = node;
      const bid = { blockHash: node.blockRoot, executionRequestsRoot };
      return readDepositRequests(client, { ...reader.finish(), header, blockRoot, bid });
    };

    it("gives the deposits of a block's payload, in their order", async () => {
      node.replace("payload", (request, reply) => {
        const { id } = request.params as { id: string };
        return id === node.blockRoot ? node.sendState(reply, "gloas", octets) : reply.code(404).send({});
      });
      const deposits = await readDeposits();
      expect(deposits.map(({ pubkey, amountGwei }) => [pubkey.slice(0, 4), amountGwei])).to.deep.equal([
        ["0x00", 32_000_000_000n],
        ["0x03", 32_000_000_000n],
      ]);
    });

    it("does not ask for a payload without requests", async () => {
      expect(await readDeposits(rootOf(ExecutionRequests.defaultValue()))).to.deep.equal([]);
      expect(node.requests).to.deep.equal([]);
    });

    const forged = structuredClone(envelope);
    forged.message.executionRequests.deposits.reverse();
    const answers: readonly [string, (reply: FastifyReply) => unknown, string][] = [
      [
        "one with the deposits in another order",
        (reply) => node.sendState(reply, "gloas", SignedExecutionPayloadEnvelope.serialize(forged)),
        "REQUESTS_ROOT_MISMATCH",
      ],
      ["half of it", (reply) => node.sendState(reply, "gloas", octets.subarray(0, 500)), "BEACON_BAD_ANSWER"],
      ["nothing", (reply) => node.sendState(reply, "gloas", new Uint8Array(0)), "BEACON_BAD_ANSWER"],
      ["more than any", (reply) => node.sendState(reply, "gloas", new Uint8Array(2 ** 25 + 1)), "BEACON_BAD_ANSWER"],
      ["that it does not have", (reply) => reply.code(404).send({}), "BEACON_NOT_FOUND"],
    ];
    for (const [what, answer, code] of answers) {
      it(`refuses a payload, ${what}: ${code}`, async () => {
        node.replace("payload", (_, reply) => answer(reply));
        expect((await failure(readDeposits())).code).to.equal(code);
      });
    }
  });

  describe("JSON answers", () => {
    it("come as values", async () => {
      expect(await client.genesis()).to.deep.equal({
        genesisTime: 1_700_000_000,
        genesisValidatorsRoot: toHex(state.genesisValidatorsRoot),
        genesisForkVersion: "0x00000001",
      });
      expect(await client.version()).to.equal("Test/v1.0.0");
      expect(await client.syncing()).to.deep.equal({
        headSlot: 123,
        syncDistance: 4,
        isSyncing: true,
        isOptimistic: false,
        isExecutionOffline: false,
      });
      expect(await client.header(node.header.slot)).to.deep.equal({
        root: node.blockRoot,
        canonical: true,
        header: node.header,
      });
      expect((await client.finalityCheckpoints()).finalized).to.deep.equal({
        epoch: state.finalizedCheckpoint.epoch,
        root: toHex(state.finalizedCheckpoint.root),
      });
    });

    it("give the rules of exits, amounts as they are", async () => {
      const rules = {
        CHURN_LIMIT_QUOTIENT: "65536",
        MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA: "128000000000",
        MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT: "256000000000",
        MIN_VALIDATOR_WITHDRAWABILITY_DELAY: "256",
        SHARD_COMMITTEE_PERIOD: "255",
      };
      node.replace("spec", () => ({ data: { ...SPEC, ...rules } }));
      expect(await client.exitRules()).to.deep.equal({
        churnLimitQuotient: 65_536n,
        churnLimitQuotientGloas: 32_768n, // mainnet's, while the node does not know that fork
        minChurnGwei: 128_000_000_000n,
        maxExitChurnGwei: 256_000_000_000n,
        minValidatorWithdrawabilityDelay: 256,
        shardCommitteePeriod: 255,
      });
      node.replace("spec", () => ({ data: { ...SPEC, ...rules, CHURN_LIMIT_QUOTIENT_GLOAS: "16" } }));
      expect(await client.exitRules()).to.include({ churnLimitQuotient: 65_536n, churnLimitQuotientGloas: 16n });
      node.replace("spec", () => ({ data: { ...SPEC, ...rules, CHURN_LIMIT_QUOTIENT: "0" } }));
      expect((await failure(client.exitRules())).message).to.contain("CHURN_LIMIT_QUOTIENT");
    });

    it("give the length of a slot from either member of the spec", async () => {
      for (const length of [{ SECONDS_PER_SLOT: "12" }, { SLOT_DURATION_MS: "12000" }]) {
        node.replace("spec", () => ({ data: { ...SPEC, ...length } }));
        expect(await client.spec()).to.deep.equal({
          configName: "testnet",
          presetBase: "minimal",
          slotsPerEpoch: 8,
          secondsPerSlot: 12,
          genesisForkVersion: "0x00000001",
          depositChainId: 31_337,
          depositContractAddress: "0x00000000219ab540356cbb839cbe05303d7705fa",
        });
      }
      node.replace("spec", () => ({ data: { ...SPEC, SLOT_DURATION_MS: "500" } }));
      expect((await failure(client.spec())).message).to.contain("SLOT_DURATION_MS");
    });

    it("are refused when the node is optimistic", async () => {
      node.replace("header", () => node.headerAnswer({}, true));
      const error = await failure(client.header("head"));
      expect(error).to.be.instanceOf(BeaconNodeError);
      expect(error.code).to.equal("BEACON_EXECUTION_OPTIMISTIC");
    });

    const answers: readonly [string, (reply: FastifyReply) => unknown, string, RegExp][] = [
      ["HTML", (reply) => reply.type("text/html").send("<!doctype html>"), "BEACON_BAD_ANSWER", /not JSON, .*doctype/],
      ["other JSON", (reply) => reply.send({ data: { version: 5 } }), "BEACON_BAD_ANSWER", /data\.version/],
      ["no end of JSON", (reply) => reply.send(`"${"x".repeat(2 ** 20)}"`), "BEACON_BAD_ANSWER", /maxContentLength/],
      ["a redirect", (reply) => reply.redirect("http://127.0.0.1:9/"), "BEACON_NODE_REFUSED", /302.*redirects/],
      ["no permission", (reply) => reply.code(401).send({}), "BEACON_NODE_REFUSED", /401.*credentials/],
      ["too many requests", (reply) => reply.code(429).send({}), "BEACON_NODE_REFUSED", /429.*limit/],
      ["syncing", (reply) => reply.code(503).send({}), "BEACON_NODE_REFUSED", /503.*wait/],
      ["a failure", (reply) => reply.code(500).send({}), "BEACON_NODE_REFUSED", /500.*log/],
      ["not found", (reply) => reply.code(404).send({}), "BEACON_NOT_FOUND", /404/],
    ];
    for (const [what, answer, code, text] of answers) {
      it(`${what}: ${code}`, async () => {
        node.replace("version", (_, reply) => answer(reply));
        const error = await failure(client.version());
        expect(error.code).to.equal(code);
        expect(error.message).to.match(text).and.contain(url);
      });
    }

    it("that never come: BEACON_NODE_TIMEOUT", async () => {
      node.replace("version", (_, reply) => {
        reply.hijack();
      });
      const error = await failure(new BeaconClient(url, { requestTimeoutMs: 30 }).version());
      expect(error.code).to.equal("BEACON_NODE_TIMEOUT");
    });

    it("from nobody: BEACON_NODE_UNREACHABLE", async () => {
      await node.stop();
      expect((await failure(client.version())).code).to.equal("BEACON_NODE_UNREACHABLE");
    });
  });

  describe("credentials", () => {
    it("are sent, with the path and query of the address, and are in no error", async () => {
      const secret = url.replace("http://", "http://user:p%40ss@");
      const withKey = new BeaconClient(`${secret}/key-in-path/?apikey=123`);
      const error = await failure(withKey.version()); // no such path here
      const request = node.requests.at(-1)!;
      expect(request.headers.authorization).to.equal(`Basic ${Buffer.from("user:p@ss").toString("base64")}`);
      expect(request.url).to.equal("/key-in-path/eth/v1/node/version?apikey=123");
      const told = `${error.message} ${JSON.stringify(error.meta)} ${String(error.cause)}`;
      expect(told)
        .to.contain(url)
        .and.not.match(/user|p%40ss|p@ss|apikey|key-in-path/);
    });

    it("are not repeated from an address that cannot be used", async () => {
      for (const address of ["ftp://user:secret@host", "secret"]) {
        expect(() => new BeaconClient(address))
          .to.throw(BeaconNodeError)
          .with.property("code", "BEACON_URL_INVALID");
        expect(() => new BeaconClient(address)).to.throw(/^((?!secret).)*$/);
      }
    });
  });

  describe("events", () => {
    const head = {
      slot: "10",
      block: `0x${"01".repeat(32)}`,
      state: `0x${"02".repeat(32)}`,
      epoch_transition: false,
      execution_optimistic: false,
    };
    const finalized = {
      block: `0x${"03".repeat(32)}`,
      state: `0x${"04".repeat(32)}`,
      epoch: "3",
      execution_optimistic: false,
    };

    function serveEvents(...events: readonly [string, unknown][]): void {
      node.replace("events", (_, reply) => {
        reply.hijack();
        reply.raw.writeHead(200, { "content-type": "text/event-stream" });
        for (const [name, data] of events) reply.raw.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
      });
    }

    it("come as values, and only those asked for", async () => {
      serveEvents(["head", head], ["finalized_checkpoint", finalized]);
      const withCredentials = new BeaconClient(url.replace("http://", "http://user:pass@"));
      const seen: unknown[] = [];
      await new Promise<void>((resolve, reject) => {
        const subscription = withCredentials.subscribe({
          onHead: (event) => seen.push(event),
          onFinalizedCheckpoint: (event) => {
            seen.push(event);
            subscription.close();
            resolve();
          },
          onError: reject,
        });
      });
      expect(seen).to.deep.equal([
        {
          slot: 10,
          blockRoot: head.block,
          stateRoot: head.state,
          isEpochTransition: false,
          isExecutionOptimistic: false,
        },
        { epoch: 3, blockRoot: finalized.block, stateRoot: finalized.state, isExecutionOptimistic: false },
      ]);
      const request = node.requests.at(-1)!;
      expect(request.url).to.equal("/eth/v1/events?topics=head%2Cfinalized_checkpoint");
      expect(request.headers.authorization).to.match(/^Basic /);
    });

    const refused: readonly [string, unknown, string][] = [
      ["optimistic ones", { ...finalized, execution_optimistic: true }, "BEACON_EXECUTION_OPTIMISTIC"],
      ["malformed ones", { ...finalized, epoch: -1 }, "BEACON_BAD_ANSWER"],
    ];
    for (const [what, data, code] of refused) {
      it(`refuses ${what}: ${code}`, async () => {
        serveEvents(["finalized_checkpoint", data]);
        const error = await new Promise<BeaconNodeError>((resolve, reject) => {
          const subscription = client.subscribe({
            onFinalizedCheckpoint: () => {
              reject(new Error("was accepted"));
            },
            onError: (failed) => {
              subscription.close();
              resolve(failed);
            },
          });
        });
        expect(error.code).to.equal(code);
      });
    }

    const ends: readonly [string, (reply: FastifyReply) => unknown, string, boolean][] = [
      ["a node without events", (reply) => reply.code(404).send({}), "BEACON_NODE_REFUSED", true],
      [
        "a connection that breaks",
        (reply) => {
          reply.hijack();
          reply.raw.writeHead(200, { "content-type": "text/event-stream" });
          reply.raw.end();
        },
        "BEACON_STREAM_BROKEN",
        false,
      ],
    ];
    for (const [what, answer, code, isClosed] of ends) {
      it(`${what}: ${code}`, async () => {
        node.replace("events", (_, reply) => answer(reply));
        const error = await new Promise<BeaconNodeError>((resolve) => {
          const subscription = client.subscribe({
            onHead: () => undefined,
            onError: (failed) => {
              subscription.close();
              resolve(failed);
            },
          });
        });
        expect(error.code).to.equal(code);
        expect(error.meta.isClosed).to.equal(isClosed);
      });
    }
  });
});
