import http from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";

const ROOM_SIZE = 256 * 1024;

/**
 * Where sockets that bring states read into. Otherwise Node takes fresh memory for every piece, twice, and a state of mainnet is 300 MB
 * of them: most of the time was spent on that, and memory grew by 100 MB before they were collected. One place is enough for all
 * sockets, since the HTTP parser copies what it passes on before the next read.
 */
const room = new Uint8Array(ROOM_SIZE);

interface IntoRoom {
  readonly onread: { readonly buffer: Uint8Array; readonly callback: (size: number) => boolean };
}

function readIntoRoom<S extends Duplex | null | undefined>(connect: (options: IntoRoom) => S): S {
  const callback = (size: number): boolean => {
    socket?.emit("data", room.subarray(0, size)); // to the HTTP parser, which knows nothing of this way to read
    return true;
  };
  const socket = connect({ onread: { buffer: room, callback } });
  return socket;
}

class StateAgent extends http.Agent {
  override createConnection: http.Agent["createConnection"] = (options, callback) =>
    readIntoRoom((intoRoom) => super.createConnection({ ...options, ...intoRoom }, callback));
}

class SecureStateAgent extends https.Agent {
  override createConnection: https.Agent["createConnection"] = (options, callback) =>
    readIntoRoom((intoRoom) => super.createConnection({ ...options, ...intoRoom }, callback));
}

/** For requests of states: none of their memory has to be collected as garbage. */
export const STATE_AGENTS = { httpAgent: new StateAgent(), httpsAgent: new SecureStateAgent() };

/** Gives the memory of a piece back at once. It is empty from then on. */
export function release(piece: Uint8Array): void {
  const { buffer } = piece;
  // what shares its memory with others is left to the collector
  if (buffer instanceof ArrayBuffer && piece.byteLength === buffer.byteLength) buffer.transfer(0);
}
