// One hidden status line for screen readers: at most one sentence in five seconds.

import { h } from "./dom";

const PAUSE = 5_000;

export class Live {
  readonly node = h("div", { role: "status", class: "jqw-hidden" });
  #urgent: string[] = [];
  #other = "";
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** Own acts and failures come first; of other news only the latest is worth saying. */
  say(sentence: string, urgent = false): void {
    if (urgent) {
      if (!this.#urgent.includes(sentence)) this.#urgent.push(sentence);
      this.#urgent = this.#urgent.slice(-3);
    } else this.#other = sentence;
    if (this.#timer === null) this.#next();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #next(): void {
    this.#timer = null;
    let sentence = this.#urgent.shift();
    if (sentence === undefined) {
      sentence = this.#other;
      this.#other = "";
    }
    if (sentence === "") return;
    this.node.textContent = sentence;
    this.#timer = setTimeout(() => this.#next(), PAUSE);
  }
}
