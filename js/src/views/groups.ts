// Jobs that belong together, one row for all of them: how far they are, and the acts on all.

import type { Group, ListName } from "../protocol";
import { amount } from "../ui/amount";
import { active, attr, button, css, enable, h, setText, show, span } from "../ui/dom";
import { moment } from "../ui/time";
import { Banner } from "./banner";
import type { Context } from "./context";

const SOON = 60; // seconds; of an end that is nearer nothing is said
const PARTS = [
  ["completed", "good"], ["failed", "bad"], ["cancelled", "edge"], ["running", "brand"],
] as const; // what a bar shows, and the colour of it
/** Words of so many letters surely have room beside a bar, in a view of at least that `room`. */
const SHORT = 28;
const WIDE = 40;

/** How many items of a group have ended, and how many there are as far as is known. */
function sizes(group: Group): [ended: number, all: number] {
  const ended = group.completed + group.failed + group.cancelled;
  return [ended, ended + group.running + group.pending + Math.max(0, group.more)];
}

/** What the row says in words: "28 of 40 · 12 failed". */
export function wordsOfGroup(group: Group): string {
  const [ended, all] = sizes(group);
  const words = [`${amount(ended)} of ${amount(all)}${group.more < 0 ? " or more" : ""}`];
  if (group.failed) words.push(`${amount(group.failed)} failed`);
  if (group.cancelled) words.push(`${amount(group.cancelled)} cancelled`);
  if (group.running) words.push(`${amount(group.running)} running`);
  return words.join(" · ");
}

/** The colours of a bar, as a picture that fills it; what is queued is its ground. */
export function sharesOf(group: Group): string {
  const [, all] = sizes(group);
  const stops: string[] = [];
  let at = 0;
  for (const [kind, colour] of PARTS) {
    if (group[kind] === 0) continue;
    const from = at;
    at += group[kind];
    const [begin, end] = [from, at].map((items) => `${((items / all) * 100).toFixed(2)}%`);
    stops.push(`var(--jqw-${colour}) ${begin} ${end}`);
  }
  return stops.length > 0 ? `linear-gradient(90deg,${stops.join()},#0000 0)` : "";
}

/**
 * A bar of four colours. It is one element that always paints all of its box: where parts of it
 * grew and were clipped, the browser made the page's layers anew for each item that ended.
 */
class SharesBar {
  readonly node: HTMLElement;
  #track = h("span", { class: "jqw-track jqw-shares", role: "progressbar" });
  #amount = span("amount");

  constructor() {
    this.node = span("bar", this.#track, this.#amount);
  }

  update(group: Group): void {
    const [ended, all] = sizes(group);
    const known = all > 0 && group.more >= 0;
    const percent = Math.floor((ended / Math.max(1, all)) * 100);
    attr(this.#track, "aria-label", group.name);
    attr(this.#track, "aria-valuenow", known ? percent : null);
    attr(this.#track, "aria-valuetext", wordsOfGroup(group));
    setText(this.#amount, known ? `${percent} %` : "");
    css(this.#track, "backgroundImage", sharesOf(group));
  }
}

/** What stands in the row of a group, and in its own cell. */
export class GroupLine {
  readonly bar = new SharesBar();
  readonly name = h("b", { class: "jqw-title" });
  readonly info = span("info");
  readonly time = span("time");
  readonly retry: HTMLButtonElement;
  readonly cancel: HTMLButtonElement;
  #asking = false;
  #group: Group | null = null;
  #drawn = "";

  constructor(private context: Context) {
    this.retry = button("", "", () => this.#group && context.retryGroup(this.#group));
    this.cancel = button("", "", () => undefined, "jqw-act");
    this.cancel.addEventListener("click", (event) => {
      if (event.detail < 2) this.press(); // a double click was meant as one
    });
    this.cancel.addEventListener("blur", () => this.#ask(false));
    this.cancel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.#asking) return;
      this.#ask(false);
      event.stopPropagation();
    });
  }

  update(group: Group): void {
    this.#group = group;
    const { context } = this;
    const [ended, all] = sizes(group);
    const left = all - ended;
    const act = context.pendingActs.get(`#${group.id}`)?.kind;
    const { done_at: end } = group;
    const told = end !== null && left > 0 && end - context.now() > SOON;
    const time = told ? `${context.brief ? "~" : "done about "}${moment(end, context.now())}` : "";
    const wide = context.room >= WIDE;
    const open = left > 0 || group.more !== 0;
    if (!open && this.#asking) this.#ask(false);
    const drawn = JSON.stringify([group, act, time, wide, context.enabled, this.#asking]);
    if (drawn === this.#drawn) return; // most groups stand still from one state to the next
    this.#drawn = drawn;
    const words = wordsOfGroup(group);
    this.bar.update(group);
    setText(this.name, group.name);
    setText(this.info, act === undefined ? words : `${SAID[act] ?? act}…`);
    const isWhole = act === undefined && wide && words.length <= SHORT;
    attr(this.info, "title", isWhole ? null : words); // what has one is clipped
    setText(this.time, time);
    show(this.retry, group.retriable > 0);
    setText(this.retry, `Retry ${amount(group.retriable)}`);
    attr(this.retry, "aria-label", `Retry ${amount(group.retriable)} failed of ${group.name}`);
    enable(this.retry, context.enabled && act === undefined);
    show(this.cancel, open);
    setText(this.cancel, this.#asking ? `Stop ${amount(left)}?` : "✕");
    const asked = this.#asking ? `: stop ${amount(left)} jobs?` : "";
    attr(this.cancel, "aria-label", `Cancel ${group.name}${asked}`);
    attr(this.cancel, "title", "Cancel what has not ended");
    this.cancel.classList.toggle("jqw-asking", this.#asking);
    enable(this.cancel, context.enabled && act === undefined);
  }

  /** Cancel all that has not ended; it is asked about in place first. */
  press(): void {
    const group = this.#group;
    if (group === null || this.cancel.getAttribute("aria-disabled") === "true") return;
    if (this.cancel.hidden) return;
    if (this.#asking) {
      this.#ask(false);
      this.context.cancelGroup(group);
      return;
    }
    this.#ask(true);
    this.cancel.focus();
    this.context.live.say(`Stop all of ${group.name}? Enter stops them, Escape keeps them`, true);
  }

  #ask(asking: boolean): void {
    if (this.#asking === asking) return;
    this.#asking = asking;
    this.context.invalidate();
  }
}

const SAID: Record<string, string> = { cancel_group: "cancelling", retry_group: "queueing again" };

/** The row of a group in the list: it opens to its jobs. */
export class GroupRow {
  readonly line: GroupLine;
  readonly node: HTMLElement;
  readonly row = undefined;
  key = "";
  list: ListName = "running";
  index = -1;
  group: Group | undefined;
  #acts: HTMLButtonElement[];

  constructor(private context: Context) {
    const line = (this.line = new GroupLine(context));
    const cell = (kind: string, ...parts: Node[]): HTMLElement =>
      h("div", { class: `jqw-${kind}`, role: "gridcell" }, ...parts);
    this.#acts = [line.retry, line.cancel];
    for (const node of this.#acts) attr(node, "tabindex", -1);
    attr(line.bar.node, "role", "gridcell");
    attr(line.info, "role", "gridcell");
    attr(line.time, "role", "gridcell");
    const mark = h("span", { class: "jqw-mark", "aria-hidden": "true" });
    this.node = h(
      "div", { class: "jqw-row jqw-group-row", role: "row", tabindex: -1 },
      cell("lead", mark), cell("what jqw-name", line.name), line.bar.node, line.info, line.time,
      cell("group-acts", ...this.#acts),
    );
  }

  update(group: Group | undefined, open: boolean): void {
    this.group = group;
    this.node.classList.toggle("jqw-empty", group === undefined);
    if (group === undefined) {
      setText(this.line.name, "…");
      return;
    }
    this.line.update(group);
    const isLarge = group.name.length > this.context.room * 0.8;
    this.node.classList.toggle("jqw-says", isLarge);
    this.node.classList.toggle("jqw-column", !isLarge);
    attr(this.node, "aria-expanded", String(open));
    attr(this.node, "data-group-id", group.id);
  }

  /** Focus the first of its buttons, or the one after that which has the focus. */
  focusAct(): void {
    const shown = this.#acts.filter((node) => node.checkVisibility({ visibilityProperty: true }));
    const at = shown.findIndex((node) => node === active(this.node));
    shown[at + 1]?.focus();
  }
}

/** The live cell of one group: its line, its banner, and what has failed by kind. */
export class GroupView {
  readonly node = h("div", { class: "jqw jqw-job", role: "group", "aria-label": "Group" });
  #banner: Banner;
  #line: GroupLine;
  #kinds = h("ul", { class: "jqw-kinds" });
  #failed = -1;
  #open = -1;

  constructor(
    private context: Context,
    signal: AbortSignal,
  ) {
    this.#banner = new Banner(context);
    const line = (this.#line = new GroupLine(context));
    const acts = h("span", { class: "jqw-group-acts" }, line.retry, line.cancel);
    this.node.append(
      h(
        "div", { class: "jqw-job-line" },
        h("span", { class: "jqw-what jqw-name" }, line.name), line.bar.node, line.info, line.time,
        acts,
      ),
      this.#kinds, this.#banner.node, context.live.node,
    );
    this.node.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
      if (event.key !== "Delete") return;
      event.preventDefault();
      line.press();
    }, { signal });
  }

  render(): void {
    const { context } = this;
    const [group] = context.store.groups;
    this.#banner.update();
    this.node.classList.toggle("jqw-dim", context.rpc.gone);
    if (group === undefined) return;
    attr(this.node, "aria-label", `Group ${group.name}`);
    this.#line.update(group);
    this.#list(group.kinds);
    this.#announce(group);
  }

  #list(kinds: string[]): void {
    show(this.#kinds, kinds.length > 0);
    while (this.#kinds.children.length > kinds.length) this.#kinds.lastChild?.remove();
    kinds.forEach((text, at) => {
      const known = this.#kinds.children[at];
      const node = known instanceof HTMLElement ? known : this.#kinds.appendChild(h("li"));
      setText(node, text);
    });
  }

  #announce(group: Group): void {
    const open = group.pending + group.running;
    const firstFailure = this.#failed === 0 && group.failed > 0;
    const justDone = this.#open > 0 && open === 0;
    if (firstFailure || justDone) {
      this.context.live.say(`${group.name}: ${wordsOfGroup(group)}`, firstFailure);
    }
    [this.#failed, this.#open] = [group.failed, open];
  }
}
