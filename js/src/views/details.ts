// Everything about one job, in tabs: what a tab shows is fetched when it is looked at.

import { cleanRow, isPlain, num, type Plain, type Row } from "../protocol";
import { attr, button, div, h, setText, show } from "../ui/dom";
import type { Context } from "./context";
import { Curves } from "./details/curves";
import { errorNode, note } from "./details/error";
import { LogView } from "./details/log";
import { Pieces } from "./details/pieces";
import { Overview, type Neighbour } from "./details/overview";

const TABS = ["Overview", "Curves", "Log", "Output", "Error", "Result"] as const;
export type Tab = (typeof TABS)[number];
const LOG_EVERY = 1; // seconds
const LOOK_EVERY = 2; // seconds between two looks at which tabs have content
const WHOLE = 40_000; // letters of a text

export class Details {
  readonly node: HTMLElement;
  /** The job that is shown. */
  row: Row | null = null;
  tab: Tab = "Overview";
  /** The tab that was chosen, though it may have no content yet. */
  #wanted: Tab = "Overview";
  /** The job that was opened, where another try of it is looked at. */
  #opened: Row | null = null;
  #visited: Row | null = null;
  #heading = h("b", { class: "jqw-title" });
  #back = button("←", "Back", () => this.#visit(null), "jqw-plain");
  #tabs = new Map<Tab, HTMLButtonElement>();
  #panel = h("div", { class: "jqw-panel", role: "tabpanel", tabindex: 0 });
  #overview: Overview;
  #curves: Curves[];
  #log: LogView;
  #error: Node | null = null;
  #output: Pieces;
  #result: Pieces;
  #outputDrawn = -1; // the revision of the outputs that was asked for last
  /** Which tabs have content, as the kernel said last. */
  #has: Plain = {};
  #logAt = 0;
  #lookAt = 0;

  constructor(
    private context: Context,
    close: () => void,
    neighbour: Neighbour,
  ) {
    const list = h("div", { role: "tablist", "aria-label": "Details", class: "jqw-tabs" });
    const group = Math.random().toString(36).slice(2);
    attr(this.#panel, "id", `jqw-panel-${group}`);
    for (const name of TABS) {
      const tab = h("button", { type: "button", role: "tab", class: "jqw-tab" }, name);
      attr(tab, "id", `jqw-tab-${name}-${group}`);
      attr(tab, "aria-controls", this.#panel.id);
      tab.addEventListener("click", () => this.choose(name));
      this.#tabs.set(name, tab);
      list.append(tab);
    }
    list.addEventListener("keydown", (event) => this.#key(event));
    const shut = button("✕", "Close details", close, "jqw-plain");
    const head = div("details-head", this.#back, this.#heading, list, shut);
    this.#log = new LogView(context);
    this.#curves = [new Curves(context), new Curves(context, "usage")];
    this.#output = new Pieces(context, "output");
    this.#result = new Pieces(context, "result");
    this.#overview = new Overview(context, neighbour, (job) => void this.#goTo(job));
    this.node = h("section", { class: "jqw-details" }, head, this.#panel);
    show(this.#back, false);
    this.choose("Overview");
  }

  /** Show another job, or the present state of the same one. */
  show(row: Row): void {
    if (this.#opened?.id !== row.id) this.#visited = null;
    this.#opened = row;
    const visited = this.#visited;
    if (visited !== null) this.#visited = this.context.store.find(visited.id) ?? visited;
    this.#turnTo(this.#visited ?? row);
  }

  #turnTo(row: Row): void {
    const before = this.row;
    this.row = row;
    if (before?.id !== row.id) {
      this.#forget(row, {});
      this.#log.reset(row.id, row.title);
      void this.#fetchJob(row);
      this.choose(row.status === "failed" ? "Error" : this.#wanted);
    } else if (before.status !== row.status) {
      this.#error = null;
      this.#outputDrawn = -1;
      this.#log.atEnd = false; // what it said last has come since
      for (const part of this.#curves) part.again();
      void this.#fetchJob(row);
      this.#fill();
    }
  }

  #forget(row: Row, has: Plain): void {
    this.#error = null;
    this.#outputDrawn = -1;
    this.#overview.tell(row, {});
    this.#has = has;
  }

  /** Look at another try of the job, or (null) at the job itself again. */
  #visit(row: Row | null): void {
    this.#visited = row;
    const shown = row ?? this.#opened;
    if (shown !== null) this.#turnTo(shown);
    this.#tabs.get(this.tab)?.focus();
    this.context.invalidate();
  }

  async #goTo(job: string): Promise<void> {
    const { store } = this.context;
    const known = store.find(job);
    const answer = known === null ? await this.context.ask("job", { job }) : null;
    const row = known ?? cleanRow(answer?.["row"]);
    if (row === null) return;
    this.#wanted = "Overview";
    this.#visit(row.id === this.#opened?.id ? null : row);
  }

  update(): void {
    const { row, context } = this;
    if (row === null) return;
    setText(this.#heading, row.title);
    attr(this.node, "aria-label", `Details of ${row.title}`);
    show(this.#back, this.#visited !== null);
    this.#look(row);
    if (this.tab === "Overview") this.#overview.update(row);
    if (this.tab === "Curves") for (const part of this.#curves) part.update(row);
    if (this.tab === "Output") this.#loadOutput(row);
    if (this.tab === "Output") this.#output.update();
    if (this.tab === "Result") this.#result.update();
    if (this.tab === "Log") {
      const due = context.page() - this.#logAt > LOG_EVERY;
      if (due && (row.status === "running" || !this.#log.atEnd)) {
        this.#logAt = context.page();
        void this.#log.readOn();
      }
    }
  }

  choose(name: Tab): void {
    this.#wanted = name;
    this.#turn(true);
  }

  #isThere(tab: Tab): boolean {
    if (tab === "Overview") return true;
    if (tab === "Error") return this.row?.status === "failed" || this.#has["error"] === true;
    const told = this.#has[tab.toLowerCase()];
    return told === true || num(told) > 0;
  }

  /** Show the tab that was chosen, if it has content by now. */
  #turn(anew = false): void {
    const tab = this.#isThere(this.#wanted) ? this.#wanted : "Overview";
    for (const [name, node] of this.#tabs) show(node, this.#isThere(name));
    if (tab === this.tab && !anew) return;
    this.tab = tab;
    for (const [name, node] of this.#tabs) {
      attr(node, "aria-selected", String(name === tab));
      attr(node, "tabindex", name === tab ? 0 : -1);
      if (name === tab) attr(this.#panel, "aria-labelledby", node.id);
    }
    this.#fill();
    this.context.invalidate();
  }

  #key(event: KeyboardEvent): void {
    const shown = TABS.filter((name) => this.#isThere(name));
    const at = shown.indexOf(this.tab);
    const places: Record<string, number> = {
      ArrowRight: (at + 1) % shown.length, ArrowLeft: (at - 1 + shown.length) % shown.length,
      Home: 0, End: shown.length - 1,
    };
    const next = shown[places[event.key] ?? -1];
    if (next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.choose(next);
    this.#tabs.get(next)?.focus();
  }

  #fill(): void {
    const { row, tab } = this;
    if (tab !== "Curves") for (const part of this.#curves) part.rest();
    if (tab === "Overview") this.#panel.replaceChildren(this.#overview.node);
    else if (tab === "Curves") {
      this.#panel.replaceChildren(...this.#curves.map(({ node }) => node));
    } else if (tab === "Log") {
      this.#panel.replaceChildren(this.#log.node);
      this.#log.follow();
      this.#logAt = 0;
    } else if (tab === "Error") this.#panel.replaceChildren(this.#error ?? note("Loading…"));
    else if (row !== null) {
      const part = tab === "Output" ? this.#output : this.#result;
      this.#panel.replaceChildren(part.node);
      if (tab === "Output") this.#loadOutput(row);
      else void part.load(row);
    }
  }

  #loadOutput(row: Row): void {
    const revision = num(this.#has["output_revision"]);
    if (revision === this.#outputDrawn) return;
    this.#outputDrawn = revision;
    void this.#output.load(row);
  }

  /** Ask again and again which tabs there are of a job that goes on. */
  #look(row: Row): void {
    const now = this.context.page();
    const goesOn = row.status === "running" || this.#visited !== null && row.status === "pending";
    if (!goesOn || now - this.#lookAt < LOOK_EVERY) return;
    this.#lookAt = now;
    const isVisited = this.#visited !== null;
    void this.context.ask(isVisited ? "job" : "has", { job: row.id }).then((answer) => {
      if (answer === null || this.row?.id !== row.id) return;
      const later = isVisited ? cleanRow(answer["row"]) : null;
      if (later !== null && this.#visited !== null) this.#turnTo(this.#visited = later);
      this.#take(isVisited ? answer["has"] : answer);
    });
  }

  #take(has: unknown): void {
    this.#has = isPlain(has) ? has : {};
    this.#turn();
  }

  async #fetchJob(row: Row): Promise<void> {
    this.#lookAt = this.context.page();
    const answer = await this.context.ask("job", { job: row.id });
    if (this.row?.id !== row.id || this.row.status !== row.status) return;
    this.#overview.tell(this.row, answer ?? {});
    this.#error = errorNode(this.row, answer, WHOLE);
    this.#take(answer?.["has"]);
    if (this.tab === "Error") this.#fill();
    this.context.invalidate();
  }
}
