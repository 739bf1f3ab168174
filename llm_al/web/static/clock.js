// Seconds that a person looked at a text; time with the page hidden does not count.

export class Clock {
  #began = performance.now();
  #spent = 0;
  #isRunning = true;

  constructor() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#pause() : this.#resume()));
  }

  /** Begin a new text, or go on with one that had been looked at for some seconds. */
  start(spent_s = 0) {
    this.#spent = spent_s * 1000;
    this.#began = performance.now();
    this.#isRunning = !document.hidden;
  }

  /** Seconds so far, rounded to milliseconds. */
  get seconds() {
    const running = this.#isRunning ? performance.now() - this.#began : 0;
    return Math.round(this.#spent + running) / 1000;
  }

  #pause() {
    if (this.#isRunning) this.#spent += performance.now() - this.#began;
    this.#isRunning = false;
  }

  #resume() {
    this.#began = performance.now();
    this.#isRunning = true;
  }
}
