// The live progress cell of one job: one row, its banner, and its log on demand.

import type { Row } from "../protocol";
import { attr, button, h, icon, setIcon, setText, show, span } from "../ui/dom";
import { takesText } from "../ui/keys";
import { Banner } from "./banner";
import type { Context } from "./context";
import { Details } from "./details";
import { ActButton, Bar, writeArguments } from "./rows";
import { argumentsOf, knownProgress, wordsOf } from "./words";

export class JobView {
  readonly node = h("div", { class: "jqw jqw-job", role: "group" });
  #banner: Banner;
  #details: Details;
  #icon = icon();
  #title = h("b", { class: "jqw-title" });
  #same = span("same");
  #args = span("args");
  #bar = new Bar();
  #info = span("info");
  #time = span("time");
  #act: ActButton;
  #more: HTMLButtonElement;
  #opened = false;
  #status = "";

  constructor(
    private context: Context,
    signal: AbortSignal,
    /** Its log is open from the beginning, and its error once it has failed. */
    private opens = false,
  ) {
    this.#banner = new Banner(context);
    this.#details = new Details(context, () => this.#toggle(), () => undefined);
    this.#act = new ActButton(context);
    attr(this.#act.node, "tabindex", 0);
    this.#more = button("Log", "Log", () => this.#toggle());
    const what = h("span", { class: "jqw-what jqw-name" }, this.#title, this.#same, this.#args);
    const line = h(
      "div",
      { class: "jqw-job-line" },
      this.#icon, what, this.#bar.node, this.#info, this.#time, this.#act.node,
      this.#more,
    );
    this.node.append(line, this.#banner.node, context.live.node);
    this.node.addEventListener("keydown", (event) => this.#key(event), { signal });
  }

  render(): void {
    const { context } = this;
    const row = context.store.job;
    this.#banner.update();
    this.node.classList.toggle("jqw-dim", context.rpc.gone);
    if (row === null) {
      attr(this.node, "aria-label", "Job");
      return;
    }
    const requested = context.pendingActs.get(row.id)?.kind ?? "";
    const words = wordsOf(row, requested, context.store, context.now());
    attr(this.node, "aria-label", `Job ${row.title}`);
    attr(this.node, "data-job-id", row.id);
    attr(this.node, "data-status", words.state);
    setIcon(this.#icon, words.icon, words.state);
    setText(this.#title, row.title);
    writeArguments(this.#same, this.#args, row, argumentsOf, () => undefined);
    show(this.#bar.node, words.bar);
    if (words.bar) this.#bar.update(row.title, knownProgress(row));
    setText(this.#info, words.info || words.ahead);
    setText(this.#time, words.time);
    this.#act.update(row, words, context.enabled);
    attr(this.#more, "aria-label", `Log of ${row.title}`);
    attr(this.#more, "aria-expanded", String(this.#opened));
    if (this.opens && this.#status === "") this.#toggle();
    const failed = row.status === "failed" && this.#status !== "failed";
    if (this.opens && this.#opened && failed) this.#details.choose("Error");
    this.#announce(row);
    if (this.#opened) {
      this.#details.show(row);
      this.#details.update();
    }
  }

  #toggle(): void {
    this.#opened = !this.#opened;
    const row = this.context.store.job;
    if (this.#opened && row !== null) {
      this.#details.show(row);
      this.#details.choose("Log");
      this.node.append(this.#details.node);
    } else {
      this.#details.node.remove();
      this.#more.focus();
    }
    this.context.invalidate();
  }

  #announce(row: Row): void {
    if (this.#status !== "" && this.#status !== row.status) {
      this.context.live.say(`${row.title}: ${row.status}`, row.status === "failed");
    }
    this.#status = row.status;
  }

  #key(event: KeyboardEvent): void {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
    const row = this.context.store.job;
    if (event.key === "Escape" && this.#opened) this.#toggle();
    if (event.key !== "Delete" || takesText(event.target) || row === null) return;
    event.preventDefault();
    if (event.shiftKey && row.status === "running") this.context.cancel(row, true);
    else if (!row.status.match(/ed$/) && !row.held) this.#act.press();
  }
}
