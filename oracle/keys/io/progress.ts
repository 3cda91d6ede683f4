/** What a bar is drawn on, such as standard error. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const WIDTH = 30;
/** A terminal is redrawn this often at most, and a file gets a line this often at most. */
const REDRAW_MS = 100;
const LINE_MS = 10_000;

/** How far a long task is and how long it will still take, for a person at a terminal or who reads a log. */
export class ProgressBar {
  readonly #label: string;
  readonly #total: number;
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  readonly #start: number;
  #done = 0;
  #drawn: number;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(label: string, total: number, stream: ProgressStream, now: () => number = () => performance.now()) {
    this.#label = label;
    this.#total = total;
    this.#stream = stream;
    this.#now = now;
    this.#start = now();
    this.#drawn = this.#start;
    if (this.#stream.isTTY === true) this.#draw();
  }

  advance(count = 1): void {
    this.#done += count;
    const interval = this.#stream.isTTY === true ? REDRAW_MS : LINE_MS;
    if (this.#done === this.#total || this.#now() - this.#drawn >= interval) this.#draw();
  }

  /** The last state stays on the screen, whether the task is complete or not. */
  end(): void {
    if (this.#stream.isTTY === true) this.#stream.write("\n");
  }

  #draw(): void {
    this.#drawn = this.#now();
    const line = progressLine(this.#label, this.#done, this.#total, this.#drawn - this.#start);
    this.#stream.write(this.#stream.isTTY === true ? `\r\x1b[K${line}` : `${line}\n`);
  }
}

export function progressLine(label: string, done: number, total: number, elapsedMs: number): string {
  const full = Math.floor((WIDTH * done) / total);
  const bar = `[${"#".repeat(full)}${" ".repeat(WIDTH - full)}]`;
  const percent = `${Math.floor((100 * done) / total)} %`;
  const time =
    done === total
      ? `in ${duration(elapsedMs)}`
      : done === 0
        ? ""
        : `about ${duration((elapsedMs / done) * (total - done))} left`;
  return `${label} ${bar} ${done}/${total} ${percent} ${time}`.trimEnd();
}

function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
