// What has ended while nobody looked: one line, when somebody comes back.

import { cleanSince, type Since } from "../protocol";
import { amount } from "../ui/amount";
import { button, h, setText, show, span } from "../ui/dom";
import { clock, took } from "../ui/time";
import type { Context } from "./context";

const LONG = 600; // seconds without anybody, after which there is something to tell

/** "28 done · 12 failed (10 ValueError, 2 time limit)" */
export function wordsOf(told: Since): string {
  const parts: string[] = [];
  if (told.completed > 0) parts.push(`${amount(told.completed)} done`);
  if (told.failed > 0) {
    const kinds = told.kinds.map(({ kind, count }) => `${amount(count)} ${kind}`);
    if (told.more_kinds > 0) kinds.push(`${amount(told.more_kinds)} of other kinds`);
    parts.push(`${amount(told.failed)} failed (${kinds.join(", ")})`);
  }
  if (told.cancelled > 0) parts.push(`${amount(told.cancelled)} cancelled`);
  const more = told.whole ? "" : "; more has ended than is kept";
  const restarted = told.restarted ? "The kernel was restarted. " : "";
  return `${restarted}Since ${clock(told.moment)}: ${parts.join(" · ")}${more}`;
}

export class Away {
  readonly node = h("div", {
    class: "jqw-ask jqw-while-away", role: "note", "aria-label": "While you were away",
  });
  #words = span("away-words");
  #failed: HTMLButtonElement;
  #slowest: HTMLButtonElement;
  #told: Since | null = null;
  #leftAt: number | null = null; // page clock
  #asking = false;

  constructor(
    private context: Context,
    showFailed: () => void,
    open: (job: string) => void,
    signal: AbortSignal,
  ) {
    this.#failed = button("Show failed", "Show failed", showFailed);
    this.#slowest = button("", "Show the slowest", () => {
      if (this.#told?.slowest) open(this.#told.slowest.job);
    }, "jqw-link");
    const shut = button("✕", "Dismiss", () => this.#shut(), "jqw-plain");
    this.node.append(this.#words, this.#slowest, this.#failed, shut);
    show(this.node, false);
    document.addEventListener("visibilitychange", () => this.#looked(), { signal });
  }

  update(): void {
    const { awaySince } = this.context;
    if (awaySince === null || this.#asking) return;
    this.context.awaySince = null;
    void this.#ask(awaySince);
  }

  /** Forget what was told: the queue is another one. */
  reset(): void {
    this.#shut();
  }

  #looked(): void {
    const now = this.context.page();
    if (document.visibilityState === "hidden") this.#leftAt = now;
    else if (this.#leftAt !== null) {
      if (now - this.#leftAt > LONG) {
        this.context.awaySince = this.context.store.kernelTime(this.#leftAt);
      }
      this.#leftAt = null;
    }
  }

  async #ask(moment: number): Promise<void> {
    this.#asking = true;
    const answer = await this.context.ask("since", { moment });
    this.#asking = false;
    if (answer === null) return;
    const told = cleanSince(answer);
    if (told.completed + told.failed + told.cancelled === 0) return;
    this.#told = told;
    setText(this.#words, wordsOf(told));
    const { slowest } = told;
    show(this.#slowest, slowest !== null);
    if (slowest !== null) {
      setText(this.#slowest, `slowest ${slowest.title} ${took(slowest.seconds)}`);
    }
    show(this.#failed, told.failed > 0);
    show(this.node, true);
    this.context.live.say(wordsOf(told), true);
  }

  #shut(): void {
    this.#told = null;
    show(this.node, false);
  }
}
