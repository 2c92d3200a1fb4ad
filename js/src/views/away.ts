// What has ended while nobody looked: one line, when somebody comes back.

import { cleanSince, type Since } from "../protocol";
import { amount } from "../ui/amount";
import { active, attr, button, enable, h, setText, show, span } from "../ui/dom";
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
  #retry: HTMLButtonElement;
  #failed: HTMLButtonElement;
  #slowest: HTMLButtonElement;
  #dismiss: HTMLButtonElement;
  #told: Since | null = null;
  #retried = 0; // how many failed jobs had been tried again, when it was told
  #leftAt: number | null = null; // page clock
  #asking = false;
  #acting = false;

  /** `leave`: give the focus to something else. */
  constructor(
    private context: Context,
    showFailed: () => void,
    open: (job: string) => void,
    private leave: () => void,
    signal: AbortSignal,
  ) {
    this.#retry = button("", "", () => void this.#again());
    this.#failed = button("Show failed", "Show failed", showFailed);
    this.#slowest = button("", "", () => {
      if (this.#told?.slowest) open(this.#told.slowest.job);
    }, "jqw-link");
    this.#dismiss = button("✕", "Dismiss", () => this.#shut(), "jqw-plain");
    this.node.append(this.#words, this.#slowest, this.#retry, this.#failed, this.#dismiss);
    show(this.node, false);
    document.addEventListener("visibilitychange", () => this.#looked(), { signal });
  }

  update(): void {
    const { awaySince, store, enabled } = this.context;
    enable(this.#retry, enabled && !this.#acting);
    if (this.#asking) return;
    if (awaySince !== null) {
      this.context.awaySince = null;
      void this.#ask(awaySince, true);
    } else if (this.#told !== null && store.summary.counts.retried !== this.#retried) {
      void this.#ask(this.#told.moment, false); // what is told to have failed may not need a click
    }
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

  async #ask(moment: number, first: boolean): Promise<void> {
    this.#asking = true;
    this.#retried = this.context.store.summary.counts.retried;
    const answer = await this.context.ask("since", { moment });
    this.#asking = false;
    if (answer === null || (!first && this.#told === null)) return;
    const told = cleanSince(answer);
    if (told.completed + told.failed + told.cancelled === 0) {
      if (!first) this.#shut();
      return;
    }
    this.#told = told;
    setText(this.#words, wordsOf(told));
    const { slowest } = told;
    show(this.#slowest, slowest !== null);
    if (slowest !== null) {
      const words = `slowest ${slowest.title} ${took(slowest.seconds)}`;
      setText(this.#slowest, words);
      attr(this.#slowest, "aria-label", `Show the ${words}`);
    }
    setText(this.#retry, `Retry failed (${amount(told.failed)})`);
    const focused = active(this.node);
    for (const node of [this.#retry, this.#failed]) {
      if (told.failed === 0 && node === focused) this.#dismiss.focus();
      show(node, told.failed > 0);
    }
    show(this.node, true);
    if (first) this.context.live.say(wordsOf(told), true);
  }

  /** Queue again what is told to have failed, and nothing that has failed after it was told. */
  async #again(): Promise<void> {
    const told = this.#told;
    if (told === null) return;
    this.#acting = true;
    const when = { from: told.moment, to: told.now };
    await this.context.many("retry", when, (count) => `${amount(count)} queued again`);
    this.#acting = false;
    this.context.invalidate();
  }

  #shut(): void {
    this.#told = null;
    if (this.node.contains(active(this.node))) this.leave();
    show(this.node, false);
  }
}
