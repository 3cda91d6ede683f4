/**
 * Readers run together, a writer runs alone. A waiting writer goes before readers that come after it, so a busy client
 * cannot keep a block from being made.
 */
export class ReadWriteLock {
  #readers = 0;
  #writing = false;
  #waiters: (() => void)[] = [];

  async read<T>(work: () => Promise<T>): Promise<T> {
    while (this.#writing) await this.#change();
    this.#readers++;
    try {
      return await work();
    } finally {
      this.#readers--;
      this.#wake();
    }
  }

  async write<T>(work: () => Promise<T>): Promise<T> {
    while (this.#writing) await this.#change();
    this.#writing = true;
    try {
      while (this.#readers > 0) await this.#change();
      return await work();
    } finally {
      this.#writing = false;
      this.#wake();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
