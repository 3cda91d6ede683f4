import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { expect } from "chai";
import fc from "fast-check";
import type { FastifyReply } from "fastify";
import { BeaconClient, type BeaconClientOptions } from "../../../oracle/beacon/client.js";
import { BeaconNodeError, StateError, VerificationError } from "../../../oracle/beacon/errors.js";
import { toHex } from "../../../oracle/beacon/hex.js";
import { readVerifiedState } from "../../../oracle/beacon/readVerified.js";
import { PoolError } from "../../../oracle/errors.js";
import { TestBeaconNode } from "./beaconNode.js";
import { applied, claimingValidators, damage } from "./damage.js";
import { EMPTY_SHAPE, expectedParts, randomState } from "./states.js";

const STATE_HEADERS = { "content-type": "application/octet-stream", "eth-consensus-version": "fulu" };
const MEGABYTE = 2 ** 20;

/** Content codings, and what each makes of octets. */
const CODINGS = {
  identity: (octets: Uint8Array) => Buffer.from(octets),
  gzip: gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
} as const;
type Coding = keyof typeof CODINGS;

async function failure(action: Promise<unknown>): Promise<PoolError> {
  try {
    await action;
  } catch (error) {
    if (error instanceof PoolError) return error;
    throw error;
  }
  throw new Error("did not fail");
}

describe("BeaconClient, whatever comes over HTTP", () => {
  const state = randomState("fulu", { ...EMPTY_SHAPE, seed: 21, validators: 60, pendingDeposits: 9, eth1Votes: 1 });
  const pubkeys = new Set(state.validators.slice(0, 5).map(({ pubkey }) => toHex(pubkey)));
  const expected = expectedParts("fulu", state, pubkeys);
  let node: TestBeaconNode;
  let url: string;

  before(async () => {
    node = new TestBeaconNode("fulu", state);
    url = await node.start();
  });
  after(() => node.stop());

  const read = (limits: Partial<BeaconClientOptions> = {}) =>
    readVerifiedState(new BeaconClient(url, limits), node.blockRoot, { pubkeys });

  /** Octets that go on for ever, as fast as they are taken. Resolves when the client is gone. */
  function endless(reply: FastifyReply, headers: Record<string, string>, start: Uint8Array, more: Uint8Array) {
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, headers);
    raw.write(start);
    const send = (): void => {
      while (raw.write(more));
    };
    raw.on("drain", send);
    send();
    return once(raw, "close");
  }

  describe("a state", () => {
    it("that is damaged, cut off, or announced wrong: a typed error, or the very figures", async () => {
      const outcomes = { refused: 0, same: 0 };
      const transport = fc.record({
        damages: fc.array(damage, { maxLength: 2 }),
        coding: fc.constantFrom<Coding>("identity", "identity", "gzip", "deflate", "br"),
        /** What `content-length` is too much, or too little; null for none. */
        lengthError: fc.constantFrom(null, null, 0, 0, 1, -1, 5_000, -5_000),
        /** The connection is reset after this part of it. */
        resetAt: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 4 }),
      });
      await fc.assert(
        fc.asyncProperty(transport, async ({ damages, coding, lengthError, resetAt }) => {
          const octets = damages.reduce<Uint8Array>((sent, one) => applied("fulu", sent, one), node.octets);
          const body = CODINGS[coding](octets);
          node.replace("state", (_, reply) => {
            reply.hijack();
            reply.raw.writeHead(200, {
              ...STATE_HEADERS,
              ...(coding === "identity" ? {} : { "content-encoding": coding }),
              ...(lengthError === null ? {} : { "content-length": Math.max(0, body.length + lengthError) }),
            });
            // one that announced more has nothing more to say
            if (resetAt === null) reply.raw.end(body, () => reply.raw.socket?.end());
            else {
              reply.raw.write(body.subarray(0, Math.floor(resetAt * body.length)), () => {
                reply.raw.socket?.resetAndDestroy();
              });
            }
          });
          try {
            const { blockRoot, header, ...parts } = await read();
            expect(blockRoot).to.equal(node.blockRoot);
            expect(header).to.deep.equal(node.header);
            expect(parts).to.deep.equal(expected);
            outcomes.same++;
          } catch (error) {
            const isTyped =
              error instanceof BeaconNodeError || error instanceof StateError || error instanceof VerificationError;
            if (!isTyped) throw error;
            expect(error.message).to.contain(url).and.not.contain("\n");
            expect(error.meta["node"]).to.equal(url);
            outcomes.refused++;
          }
        }),
        { seed: 7, numRuns: 250 },
      );
      expect(outcomes.refused).to.be.greaterThan(100);
      expect(outcomes.same).to.be.greaterThan(10);
    });

    it("that is compressed though nobody asked for it is read, of whatever coding", async () => {
      for (const [coding, compress] of Object.entries(CODINGS)) {
        node.replace("state", (_, reply) =>
          reply.headers({ ...STATE_HEADERS, "content-encoding": coding }).send(compress(node.octets)),
        );
        expect((await read()).stateRoot, coding).to.equal(expected.stateRoot);
      }
      node.replace("state", (_, reply) =>
        reply.headers({ ...STATE_HEADERS, "content-encoding": "exotic" }).send(Buffer.from(node.octets)),
      );
      const error = await failure(read());
      expect(error.code).to.equal("BEACON_BAD_ANSWER");
      expect(error.message).to.contain('"exotic"').and.contain(url);
    });

    const types: readonly [string, boolean][] = [
      ["application/octet-stream", true],
      ["Application/Octet-Stream", true],
      ["application/octet-stream; charset=utf-8", true],
      ["application/octet-stream ;x=y", true],
      ["application/x-octet-stream", false],
      ["application/json, application/octet-stream", false],
      ["", false],
    ];
    for (const [type, isTaken] of types) {
      it(`of content type "${type}" is ${isTaken ? "taken" : "refused"}`, async () => {
        node.replace("state", (_, reply) => {
          reply.hijack();
          reply.raw.writeHead(200, { ...STATE_HEADERS, "content-type": type }).end(node.octets);
        });
        if (isTaken) expect((await read()).stateRoot).to.equal(expected.stateRoot);
        else expect((await failure(read())).code).to.equal("BEACON_BAD_ANSWER");
      });
    }

    it("that a node has not verified is refused by what the headers say", async () => {
      node.replace("state", (_, reply) =>
        node.sendState(reply.header("Eth-Execution-Optimistic", "true"), "fulu", node.octets),
      );
      expect((await failure(read())).code).to.equal("BEACON_EXECUTION_OPTIMISTIC");
    });

    it("of an unknown fork: the error names the node", async () => {
      node.replace("state", (_, reply) => node.sendState(reply, "later", node.octets));
      const error = await failure(read());
      expect(error.code).to.equal("STATE_FORK_UNSUPPORTED");
      expect(error.message).to.contain(url);
      expect(error.meta["node"]).to.equal(url);
    });

    for (const status of [400, 404, 500, 501]) {
      it(`whose root the node answers with ${status} is asked for by its slot, and by nothing else`, async () => {
        const asked: string[] = [];
        node.replace("state", (request, reply) => {
          const { id } = request.params as { id: string };
          asked.push(id);
          return id === String(node.header.slot)
            ? node.sendState(reply, "fulu", node.octets)
            : reply.code(status).send({});
        });
        expect((await read()).stateRoot).to.equal(expected.stateRoot);
        node.replace("state", (request, reply) => {
          asked.push((request.params as { id: string }).id);
          return reply.code(status).send({});
        });
        await failure(read());
        const { stateRoot, slot } = node.header;
        expect(asked).to.deep.equal([stateRoot, String(slot), stateRoot, String(slot)]);
      });
    }

    for (const status of [401, 406, 429, 503]) {
      it(`that the node refuses with ${status} is not asked for again`, async () => {
        let asked = 0;
        node.replace("state", (_, reply) => {
          asked++;
          return reply.code(status).send({});
        });
        expect((await failure(read())).code).to.equal("BEACON_NODE_REFUSED");
        expect(asked).to.equal(1);
      });
    }

    describe("without end", () => {
      const zeros = new Uint8Array(MEGABYTE / 4);
      const streams: readonly [string, () => Uint8Array, Record<string, string>, Uint8Array, string][] = [
        ["a state and more", () => node.octets, {}, zeros, "STATE_TOO_LARGE|STATE_EXTENDED|STATE_OFFSET_INVALID"],
        ["nothing but zeros", () => zeros, {}, zeros, "STATE_OFFSET_INVALID"],
        [
          "as many validators as a state may have",
          () => claimingValidators("fulu", node.octets, 2 ** 22),
          {},
          zeros,
          "BEACON_NODE_TIMEOUT",
        ],
        [
          "a small download that becomes a large one",
          () => gzipSync(claimingValidators("fulu", node.octets, 2 ** 22)),
          { "content-encoding": "gzip" },
          gzipSync(new Uint8Array(16 * MEGABYTE)),
          "BEACON_NODE_TIMEOUT",
        ],
      ];
      for (const [what, start, headers, more, codes] of streams) {
        it(`${what}: ${codes}, in bounded memory, and the connection ends`, async () => {
          const before = process.memoryUsage().arrayBuffers;
          let most = 0;
          const watch = setInterval(() => {
            most = Math.max(most, process.memoryUsage().arrayBuffers - before);
          }, 5);
          const gone = new Promise<void>((resolve, reject) => {
            node.replace("state", (_, reply) => {
              endless(reply, { ...STATE_HEADERS, ...headers }, start(), more).then(() => {
                resolve();
              }, reject);
            });
          });
          const error = await failure(read({ stateTimeoutMs: 300 }));
          await gone;
          clearInterval(watch);
          expect(error.code).to.be.oneOf(codes.split("|"));
          expect(error.message).to.contain(url);
          expect(most).to.be.lessThan(64 * MEGABYTE);
        });
      }
    });

    describe("that comes in small pieces", () => {
      let sent: number;

      function drip(pieceSize: number, everyMs: number): void {
        sent = 0;
        node.replace("state", (_, reply) => {
          reply.hijack();
          reply.raw.writeHead(200, STATE_HEADERS);
          const timer = setInterval(() => {
            reply.raw.write(node.octets.subarray(sent, sent + pieceSize));
            sent += pieceSize;
            if (sent >= node.octets.length) reply.raw.end();
          }, everyMs);
          reply.raw.on("close", () => {
            clearInterval(timer);
          });
        });
      }

      it("is given up after the whole time, though it never pauses for long", async () => {
        drip(1, 1);
        const error = await failure(read({ requestTimeoutMs: 5_000, stateTimeoutMs: 60 }));
        expect(error.code).to.equal("BEACON_NODE_TIMEOUT");
        expect(sent).to.be.lessThan(node.octets.length);
      });

      it("is given up after the first pause that is too long", async () => {
        drip(1, 2_000);
        const error = await failure(read({ requestTimeoutMs: 60, stateTimeoutMs: 60_000 }));
        expect(error.code).to.equal("BEACON_NODE_TIMEOUT");
      });

      it("is read when no pause is too long, however long all of it takes", async () => {
        drip(Math.ceil(node.octets.length / 30), 20);
        expect((await read({ requestTimeoutMs: 400, stateTimeoutMs: 60_000 })).stateRoot).to.equal(expected.stateRoot);
      });
    });
  });

  describe("a JSON answer", () => {
    it("that is compressed though nobody asked for it is read", async () => {
      const text = Buffer.from(JSON.stringify({ data: { version: "Test/v2" } }));
      for (const [coding, compress] of Object.entries(CODINGS)) {
        node.replace("version", (_, reply) =>
          reply.headers({ "content-type": "application/json", "content-encoding": coding }).send(compress(text)),
        );
        expect(await new BeaconClient(url).version(), coding).to.equal("Test/v2");
      }
    });

    for (const [what, headers, more] of [
      ["without end", {}, Buffer.alloc(MEGABYTE / 4, " ")],
      [
        "that is small until it is unpacked",
        { "content-encoding": "gzip" },
        gzipSync(Buffer.alloc(64 * MEGABYTE, " ")),
      ],
    ] as const) {
      it(`${what}: BEACON_BAD_ANSWER, and the connection ends`, async () => {
        const gone = new Promise<void>((resolve, reject) => {
          node.replace("version", (_, reply) => {
            const type = { "content-type": "application/json" };
            endless(reply, { ...type, ...headers }, new Uint8Array(), more).then(() => {
              resolve();
            }, reject);
          });
        });
        const error = await failure(new BeaconClient(url).version());
        await gone;
        expect(error.code).to.equal("BEACON_BAD_ANSWER");
        expect(error.message).to.contain("maxContentLength");
      });
    }

    it("that comes one octet at a time is given up", async () => {
      node.replace("version", (_, reply) => {
        reply.hijack();
        reply.raw.writeHead(200, { "content-type": "application/json" });
        const timer = setInterval(() => reply.raw.write(" "), 1);
        reply.raw.on("close", () => {
          clearInterval(timer);
        });
      });
      const error = await failure(new BeaconClient(url, { requestTimeoutMs: 60 }).version());
      expect(error.code).to.equal("BEACON_NODE_TIMEOUT");
    });
  });

  describe("no HTTP", () => {
    let server: Server;
    let say: (socket: Socket) => void;
    let address: string;

    before(async () => {
      server = createServer((socket) => {
        socket.on("error", () => undefined);
        socket.once("data", () => {
          say(socket);
        });
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    after(() => {
      server.close();
    });

    const repeat = (socket: Socket, text: string): void => {
      const send = (): void => {
        while (socket.write(text));
      };
      socket.on("drain", send);
      send();
    };
    const answers: readonly [string, (socket: Socket) => void, string][] = [
      ["noise", (socket) => socket.end("\u0000\u0001SSH-2.0-x\r\n\r\n"), "BEACON_NODE_UNREACHABLE"],
      ["a connection that closes", (socket) => socket.end(), "BEACON_NODE_UNREACHABLE"],
      ["a connection that is reset", (socket) => socket.resetAndDestroy(), "BEACON_NODE_UNREACHABLE"],
      [
        "headers without end",
        (socket) => {
          socket.write("HTTP/1.1 200 OK\r\n");
          repeat(socket, `x-more: ${"y".repeat(1_000)}\r\n`);
        },
        "BEACON_NODE_UNREACHABLE",
      ],
      [
        "preliminary answers without end",
        (socket) => {
          repeat(socket, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100));
        },
        "BEACON_NODE_TIMEOUT",
      ],
      [
        "chunks of impossible size",
        (socket) => {
          socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc");
        },
        "BEACON_NODE_UNREACHABLE|BEACON_BAD_ANSWER", // with no content type it is no state
      ],
      [
        "two lengths",
        (socket) => {
          socket.end("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}");
        },
        "BEACON_NODE_UNREACHABLE",
      ],
    ];
    for (const [what, answer, codes] of answers) {
      it(`${what}: ${codes}`, async () => {
        say = answer;
        const client = new BeaconClient(address, { requestTimeoutMs: 150, stateTimeoutMs: 150 });
        for (const request of [client.version(), client.streamState(1)]) {
          const error = await failure(request);
          expect(error.code).to.be.oneOf(codes.split("|"));
          expect(error.message).to.contain(address).and.not.contain("\n");
        }
      });
    }
  });
});
