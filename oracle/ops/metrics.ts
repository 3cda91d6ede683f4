import { Counter, Gauge, Registry } from "prom-client";

/** Every metric of the services, by name. A process may run several services: each has a registry of its own. */
export interface Metrics {
  readonly registry: Registry;
  readonly head: Gauge;
  readonly headTimestamp: Gauge;
  readonly rounds: Counter<"role" | "result">;
  readonly signaturesReceived: Counter<"result">;
  readonly signaturesPushed: Counter<"result">;
  readonly reportsSigned: Counter;
  readonly reportAbstentions: Counter<"reason">;
  readonly reportDisagreements: Counter<"field">;
  readonly guardianApprovals: Counter<"kind">;
  readonly guardianRefusals: Counter<"reason">;
  readonly alerts: Counter<"reason">;
  readonly beaconNodeReady: Gauge<"node">;
  readonly beaconNodeHeadSlot: Gauge<"node">;
  readonly beaconNodeFailures: Counter<"node" | "code">;
  readonly finalityLag: Gauge;
  readonly jobs: Counter<"job" | "result">;
  readonly exitDemand: Gauge<"part">;
  readonly validators: Gauge<"state">;
  readonly clusterRunway: Gauge<"cluster">;
  readonly clusterAttesting: Gauge<"cluster">;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> =>
    new Counter({ name: `pooleth_${name}`, help, labelNames: [...labelNames], registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> =>
    new Gauge({ name: `pooleth_${name}`, help, labelNames: [...labelNames], registers });
  return {
    registry,
    head: gauge("processed_head", "Number of the last execution block that was fully processed"),
    headTimestamp: gauge("processed_head_timestamp_seconds", "Timestamp of the last processed block"),
    rounds: counter("rounds_total", "Heads processed by a role: ok or failed", ["role", "result"]),
    signaturesReceived: counter("signatures_received_total", "Messages a collector judged", ["result"]),
    signaturesPushed: counter("signatures_pushed_total", "Messages sent to collectors, by their answer", ["result"]),
    reportsSigned: counter("reports_signed_total", "Reports this oracle signed"),
    reportAbstentions: counter("report_abstentions_total", "Frames this oracle could not sign yet", ["reason"]),
    reportDisagreements: counter("report_disagreements_total", "Fields in which a member differs from most", ["field"]),
    guardianApprovals: counter("guardian_approvals_total", "Batches and deposits this guardian signed", ["kind"]),
    guardianRefusals: counter("guardian_refusals_total", "Reasons for which this guardian did not sign", ["reason"]),
    alerts: counter("alerts_total", "Somebody must look now", ["reason"]),
    beaconNodeReady: gauge("beacon_node_ready", "1 for a beacon node that is in sync and asked in its turn", ["node"]),
    beaconNodeHeadSlot: gauge("beacon_node_head_slot", "Head of a beacon node when it was last asked", ["node"]),
    beaconNodeFailures: counter("beacon_node_failures_total", "Times a beacon node failed or lied, by error code", [
      "node",
      "code",
    ]),
    finalityLag: gauge(
      "finality_lag_slots",
      "Slots from the last finalised block to the head; two epochs or three is usual",
    ),
    jobs: counter("keeper_jobs_total", "What became of the keeper's transactions", ["job", "result"]),
    exitDemand: gauge(
      "exit_demand",
      "Exits that the withdrawal queue needs: needed beyond the confirmed ones, underway, due now",
      ["part"],
    ),
    validators: gauge("validators", "Validators of the registry by the last that happened to them", ["state"]),
    clusterRunway: gauge("cluster_runway_blocks", "Blocks until a cluster can be liquidated", ["cluster"]),
    clusterAttesting: gauge("cluster_attesting_ratio", "Share of a cluster's active validators that attest", [
      "cluster",
    ]),
  };
}
