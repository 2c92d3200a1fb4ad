// The first line: what goes on, how far it is, and the acts on the whole queue.

import { askToRing, canRing, mayRing } from "../bell";
import { amount } from "../ui/amount";
import {
  active, attr, button, div, enable, h, icon, setIcon, setText, show, span,
} from "../ui/dom";
import { guess } from "../ui/time";
import { hiddenText, type Context } from "./context";
import { Bar } from "./rows";

const RINGS = "You will be notified when all is done, and of the first failure";

export class Toolbar {
  readonly node: HTMLElement;
  #icon = icon();
  #counts = span("counts");
  #bar = new Bar();
  #left = span("left");
  #pause: HTMLButtonElement;
  #start: HTMLButtonElement;
  #choices: HTMLButtonElement[];
  #all: Question;
  #hide: HTMLButtonElement;
  #clear: Question;
  #bell: HTMLButtonElement;
  #hidden = h("span");
  #undo = div("ask", this.#hidden, " · ");

  constructor(private context: Context) {
    this.#pause = button("Pause", "Pause queue", () => context.togglePause());
    this.#start = button("Start", "Start queue", () => void context.act("start", {}, "start"));
    this.#choices = ["pending", "running", "all"].map((scope) =>
      button("", scope, () => this.#cancelMany(scope), "jqw-danger"));
    this.#all = new Question("Cancel all", "Cancel:", this.#choices, "Keep all");
    this.#hide = button("", "", () => {
      this.#clear.ask(false);
      context.clearHistory();
    });
    const told = "Hidden, not deleted:";
    this.#clear = new Question("Clear history", told, [this.#hide], "Leave them");
    this.#undo.append(button("Undo", "Undo", () => context.undoClear()));
    this.#bell = button("", "Notify when done", () => void this.#toggleBell(), "jqw-bell");
    const picture = icon();
    setIcon(picture, "bell", "");
    attr(picture, "aria-hidden", "true");
    this.#bell.append(picture);
    const state = span("state", this.#icon, this.#counts);
    const { opener } = this.#clear;
    const acts =
      span("buttons", this.#start, this.#pause, this.#all.opener, opener, this.#bell);
    const line = div("toolbar", state, this.#bar.node, this.#left, acts);
    this.node = h("div", {}, line, this.#all.node, this.#clear.node, this.#undo);
  }

  update(): void {
    const { store, enabled } = this.context;
    const { counts, paused, phase, name } = store.summary;
    const isClosed = phase === "closed";
    const busy = counts.running ? "running" : counts.pending ? "queued" : "";
    const shape = paused && !isClosed ? "held" : busy;
    const past = counts.failed ? "failed" : counts.completed ? "completed" : "waiting";
    setIcon(this.#icon, shape || past);
    const parts = [`${counts.running} running`];
    if (counts.pending) parts.push(`${amount(counts.pending)} queued`);
    parts.push(`${amount(counts.completed)} done`);
    if (counts.failed) parts.push(`${amount(counts.failed)} failed`);
    if (counts.cancelled) parts.push(`${amount(counts.cancelled)} cancelled`);
    setText(this.#counts, (name ? `${name}: ` : "") + parts.join(" · "));
    const share = store.share();
    show(this.#bar.node, share !== null);
    if (share !== null) this.#bar.update("All jobs", share);
    const left = share === null ? null : store.secondsLeft(this.context.now());
    setText(this.#left, left === null ? "" : `about ${guess(left)} left`);
    setText(this.#pause, paused ? "Resume" : "Pause");
    attr(this.#pause, "aria-label", paused ? "Resume queue" : "Pause queue");
    show(this.#pause, !isClosed);
    show(this.#start, phase === "not started");
    const both = counts.running + counts.pending;
    enable(this.#pause, enabled);
    enable(this.#start, enabled);
    this.#all.update(enabled && both > 0, both > 0);
    this.#clear.update(enabled && counts.clearable > 0, counts.clearable > 0);
    const rows = `Hide ${amount(counts.clearable)} ended`;
    setText(this.#hide, rows);
    enable(this.#hide, enabled);
    const rings = this.#rings;
    attr(this.#bell, "aria-pressed", String(rings));
    attr(this.#bell, "title", rings ? RINGS : "Notify when done");
    show(this.#bell, canRing());
    enable(this.#bell, enabled);
    const { hidden } = this.context;
    if (hidden > 0) setText(this.#hidden, hiddenText(hidden));
    else if (this.#undo.contains(active(this.node))) this.#clear.opener.focus();
    show(this.#undo, hidden > 0);
    const told = [`${amount(counts.pending)} queued`, parts[0] ?? "", `${amount(both)} both`];
    this.#choices.forEach((node, index) => {
      const label = told[index] ?? "";
      setText(node, label);
      attr(node, "aria-label", `Cancel ${label}`);
      enable(node, enabled && !label.startsWith("0 "));
    });
  }

  get #rings(): boolean {
    return this.context.store.bell && mayRing();
  }

  async #toggleBell(): Promise<void> {
    const { context } = this;
    const on = !this.#rings;
    if (on && !(await askToRing())) {
      context.tell("The browser does not let this page notify you");
      return;
    }
    await context.act("bell", { on }, "bell");
    context.live.say(on ? RINGS : "You will not be notified", true);
  }

  #cancelMany(scope: string): void {
    this.#all.ask(false);
    void this.context.act("cancel_many", { scope }, "cancel_all").then((answer) => {
      if (answer === null) return;
      this.context.live.say(`Cancelling ${Number(answer["count"])} jobs`, true);
    });
  }
}

/** What a button of the toolbar asks before it acts, in a line of its own. */
class Question {
  readonly opener: HTMLButtonElement;
  readonly node: HTMLElement;
  #asking = false;

  constructor(name: string, told: string, private choices: HTMLButtonElement[], no: string) {
    this.opener = button(`${name}…`, `${name}…`, () => this.ask(!this.#asking));
    const leave = button(no, no, () => this.ask(false));
    this.node = div("ask", h("span", {}, told), ...choices, leave);
    attr(this.node, "role", "group");
    attr(this.node, "aria-label", name);
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.ask(false);
    });
    show(this.node, false);
  }

  /** Bring the question up to date; `possible`: there is something to ask about. */
  update(enabled: boolean, possible: boolean): void {
    enable(this.opener, enabled);
    if (this.#asking && !possible) this.ask(false);
  }

  ask(asking: boolean): void {
    const inside = this.node.contains(active(this.node));
    this.#asking = asking;
    show(this.node, asking);
    attr(this.opener, "aria-expanded", String(asking));
    if (asking) this.choices[0]?.focus();
    else if (inside) this.opener.focus();
  }
}
