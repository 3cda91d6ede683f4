import type { Duty } from "./duties.js";

export interface DutyCount {
  performed: number;
  missed: number;
}

export type DutyCounts = Readonly<Record<Duty["kind"], Readonly<DutyCount>>>;

const KINDS = ["attestation", "exit", "proposal", "randao", "sync"] as const;

/** How the duties of each validator went, by public key. A proposal without RANDAO reveal is not reached, so it counts under `randao`. */
export class DutyLog {
  readonly #counts = new Map<string, Record<Duty["kind"], DutyCount>>();

  record(duty: Duty, performed: boolean): void {
    let counts = this.#counts.get(duty.pubkey);
    if (counts === undefined) this.#counts.set(duty.pubkey, (counts = none()));
    if (performed) counts[duty.kind].performed++;
    else counts[duty.kind].missed++;
  }

  of(pubkey: string): DutyCounts {
    return this.#counts.get(pubkey.toLowerCase()) ?? none();
  }

  total(pubkey: string): DutyCount {
    const counts = this.of(pubkey);
    const sum = (field: keyof DutyCount): number => KINDS.reduce((total, kind) => total + counts[kind][field], 0);
    return { performed: sum("performed"), missed: sum("missed") };
  }
}

function none(): Record<Duty["kind"], DutyCount> {
  const zero = (): DutyCount => ({ performed: 0, missed: 0 });
  return { attestation: zero(), exit: zero(), proposal: zero(), randao: zero(), sync: zero() };
}
