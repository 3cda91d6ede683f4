import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";

/**
 * As much of a beacon node as is needed: it serves the files of the folder it is started with, each of which is ready, so that no
 * time of its own is measured.
 */

const FILES: readonly [pattern: RegExp, file: string, type: string][] = [
  [/^\/eth\/v2\/debug\/beacon\/states\//, "state.ssz", "application/octet-stream"],
  [/^\/eth\/v1\/beacon\/states\/[^/]+\/validators$/, "validators.json", "application/json"],
  [/^\/eth\/v1\/beacon\/headers\//, "header.json", "application/json"],
];

const [folder = "."] = process.argv.slice(2);

const server = createServer((request, response) => {
  const [, name, type] = FILES.find(([pattern]) => pattern.test(request.url ?? "")) ?? [];
  if (name === undefined || type === undefined) {
    response.writeHead(404).end();
    return;
  }
  const file = path.join(folder, name);
  response.writeHead(200, {
    "content-type": type,
    "content-length": statSync(file).size,
    "eth-consensus-version": "fulu",
  });
  createReadStream(file, { highWaterMark: 2 ** 18 }).pipe(response);
});

server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address !== "string") process.stdout.write(`http://127.0.0.1:${address.port}\n`);
});
