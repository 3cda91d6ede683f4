import fastify, { type FastifyInstance } from "fastify";
import type { Head } from "../clock.js";
import type { NodeHealth } from "../roles/nodeHealth.js";
import type { Metrics } from "./metrics.js";

/** A member's request is there in an instant. Who sends one octet at a time holds a connection no longer than this. */
const REQUEST_TIMEOUT_MS = 15_000;
/** Connections at once; others are refused, so that strangers leave file descriptors for the nodes' connections. */
const MAX_CONNECTIONS = 256;

/** What a service says of itself. */
export interface Health {
  readonly roles: readonly string[];
  /** last head that every role has processed; null before the first */
  readonly processedHead: Head | null;
  /** what failed in the last round, by role */
  readonly failures: Readonly<Record<string, string>>;
  /** what is wrong with the chain itself; a restart does not mend it */
  readonly alarms: Readonly<Record<string, string>>;
  readonly beaconNodes: readonly NodeHealth[];
}

/** The service's own web server: health, metrics, and whatever its roles add before it listens. */
export function createHttpServer(metrics: Metrics, health: () => Health): FastifyInstance {
  const app = fastify({ forceCloseConnections: true, requestTimeout: REQUEST_TIMEOUT_MS });
  app.server.maxConnections = MAX_CONNECTIONS;
  app.get("/health", async (_request, reply) => {
    const now = health();
    const isHealthy = now.processedHead !== null && Object.keys(now.failures).length === 0;
    return reply.status(isHealthy ? 200 : 503).send({ status: isHealthy ? "ok" : "failing", ...now });
  });
  app.get("/metrics", async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
  return app;
}
