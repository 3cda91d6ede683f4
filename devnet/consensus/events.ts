import type { routes } from "@lodestar/api";

export type BeaconEvent = routes.events.BeaconEvent;

/** Fan-out of chain events to the open event streams. */
export class BeaconEvents {
  readonly #listeners = new Set<(event: BeaconEvent) => void>();

  subscribe(listener: (event: BeaconEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(event: BeaconEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
