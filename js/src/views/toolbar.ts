// The first line: what goes on, how far it is, and the acts on the whole queue.

import { amount } from "../ui/amount";
import {
  active, attr, button, div, enable, h, icon, setIcon, setText, show, span,
} from "../ui/dom";
import { guess } from "../ui/time";
import type { Context } from "./context";
import { Bar } from "./rows";

export class Toolbar {
  readonly node: HTMLElement;
  #icon = icon();
  #counts = span("counts");
  #bar = new Bar();
  #left = span("left");
  #pause: HTMLButtonElement;
  #start: HTMLButtonElement;
  #all: HTMLButtonElement;
  #panel = h("div", { class: "jqw-ask", role: "group", "aria-label": "Cancel all" });
  #choices: HTMLButtonElement[];
  #asking = false;

  constructor(private context: Context) {
    this.#pause = button("Pause", "Pause queue", () => context.togglePause());
    this.#start = button("Start", "Start queue", () => void context.act("start", {}, "start"));
    this.#all = button("Cancel all…", "Cancel all…", () => this.#ask(!this.#asking));
    this.#choices = ["pending", "running", "all"].map((scope) =>
      button("", scope, () => this.#cancelMany(scope), "jqw-danger"));
    this.#panel.append(
      h("span", {}, "Cancel:"),
      ...this.#choices,
      button("Keep all", "Keep all", () => this.#ask(false)),
    );
    this.#panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.#ask(false);
    });
    show(this.#panel, false);
    const state = span("state", this.#icon, this.#counts);
    const acts = span("buttons", this.#start, this.#pause, this.#all);
    const line = div("toolbar", state, this.#bar.node, this.#left, acts);
    this.node = h("div", {}, line, this.#panel);
  }

  update(): void {
    const { store, enabled } = this.context;
    const { counts, paused, phase, name } = store.summary;
    const shape = paused ? "held" : counts.running ? "running" : counts.pending ? "queued" : "";
    setIcon(this.#icon, shape || (counts.failed ? "failed" : "completed"));
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
    show(this.#start, phase === "not started");
    const both = counts.running + counts.pending;
    enable(this.#pause, enabled);
    enable(this.#start, enabled);
    enable(this.#all, enabled && both > 0);
    if (this.#asking && !both) this.#ask(false);
    const told = [`${amount(counts.pending)} queued`, parts[0] ?? "", `${amount(both)} both`];
    this.#choices.forEach((node, index) => {
      const label = told[index] ?? "";
      setText(node, label);
      attr(node, "aria-label", `Cancel ${label}`);
      enable(node, enabled && !label.startsWith("0 "));
    });
  }

  #ask(asking: boolean): void {
    const inside = this.#panel.contains(active(this.node));
    this.#asking = asking;
    show(this.#panel, asking);
    attr(this.#all, "aria-expanded", String(asking));
    if (asking) this.#choices[0]?.focus();
    else if (inside) this.#all.focus();
  }

  #cancelMany(scope: string): void {
    this.#ask(false);
    void this.context.act("cancel_many", { scope }, "cancel_all").then((answer) => {
      if (answer === null) return;
      this.context.live.say(`Cancelling ${Number(answer["count"])} jobs`, true);
    });
  }
}
