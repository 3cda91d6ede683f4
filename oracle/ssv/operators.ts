import type { PoolEvent } from "../execution/events.js";

/** An operator as SSV Network's events leave it. */
export interface Operator {
  readonly operatorId: bigint;
  /** octets of OperatorAdded: the ABI encoding of its RSA key's text form */
  readonly publicKey: string;
  readonly removed: boolean;
}

export function operatorsOf(events: readonly PoolEvent[]): ReadonlyMap<bigint, Operator> {
  const operators = new Map<bigint, Operator>();
  for (const event of events) {
    if (event.type === "OperatorAdded") {
      const { operatorId, publicKey } = event;
      operators.set(operatorId, { operatorId, publicKey, removed: false });
    } else if (event.type === "OperatorRemoved") {
      const operator = operators.get(event.operatorId);
      if (operator !== undefined) operators.set(event.operatorId, { ...operator, removed: true });
    }
  }
  return operators;
}
