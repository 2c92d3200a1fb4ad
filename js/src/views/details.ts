// Everything about one job, in four tabs; log, error and result are fetched when looked at.

import { isPlain, num, text, type Plain, type Row } from "../protocol";
import { active, attr, button, div, enable, h, setText, show } from "../ui/dom";
import { day, rough, took } from "../ui/time";
import type { Context } from "./context";
import { LogView, writeSpans } from "./log";
import { AnsiLines } from "../ui/ansi";
import { knownProgress, wordsOf } from "./words";

const TABS = ["Progress", "Log", "Error", "Result"] as const;
export type Tab = (typeof TABS)[number];
const LOG_EVERY = 1; // seconds
type Fact = [name: string, value: string | (Node | string)[]];
const WHOLE = 40_000; // letters of a text

export class Details {
  readonly node: HTMLElement;
  row: Row | null = null;
  tab: Tab = "Progress";
  #heading = h("b", { class: "jqw-title" });
  #tabs = new Map<Tab, HTMLButtonElement>();
  #panel = h("div", { class: "jqw-panel", role: "tabpanel", tabindex: 0 });
  #facts = h("dl", { class: "jqw-facts" });
  #acts: [node: HTMLElement, when: (row: Row) => boolean, verb: (row: Row) => string][] = [];
  #latest: HTMLButtonElement;
  #priority = h("input", { type: "number", step: 1, class: "jqw-input jqw-number" });
  #priorityLabel = h("label", { class: "jqw-field" }, "Priority ", this.#priority);
  #progress: HTMLElement;
  #log: LogView;
  #fetched = new Map<string, Node>();
  /** The whole texts of the job, of which rows show a part. */
  #told: Plain = {};
  #arguments = h("span");
  #copied: (Node | string)[] = [this.#arguments, " ", copyButton("arguments", this.#arguments)];
  #logAt = 0;

  constructor(
    private context: Context,
    close: () => void,
    /** Returns the queued job so many places after that one, if it is known. */
    neighbour: (row: Row, by: number) => string | undefined,
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
    list.addEventListener("keydown", (event) => this.#arrows(event));
    const shut = button("✕", "Close details", close, "jqw-plain");
    const head = div("details-head", this.#heading, list, shut);
    this.#log = new LogView(context);
    this.#latest = button("", "", () => this.row && context.retry(this.row, true));
    this.#progress = h("div", {}, this.#makeActs(neighbour), this.#facts);
    this.node = h("section", { class: "jqw-details" }, head, this.#panel);
    this.choose("Progress");
  }

  /** Show another job, or the present state of the same one. */
  show(row: Row): void {
    if (this.row?.id !== row.id) {
      this.#fetched.clear();
      this.#told = {};
      this.#log.reset(row.id);
      this.row = row;
      void this.#fetchJob(row);
      this.choose(row.status === "failed" ? "Error" : this.tab);
    } else if (this.row.status !== row.status) {
      this.#fetched.clear();
      this.#log.atEnd = false; // what it said last has come since
      this.row = row;
      void this.#fetchJob(row);
      this.#fill();
    }
    this.row = row;
  }

  update(): void {
    const { row, context } = this;
    if (row === null) return;
    setText(this.#heading, row.title);
    attr(this.node, "aria-label", `Details of ${row.title}`);
    if (this.tab === "Progress") this.#updateProgress(row);
    if (this.tab === "Log") {
      const due = context.page() - this.#logAt > LOG_EVERY;
      if (due && (row.status === "running" || !this.#log.atEnd)) {
        this.#logAt = context.page();
        void this.#log.readOn();
      }
    }
  }

  choose(name: Tab): void {
    this.tab = name;
    for (const [tab, node] of this.#tabs) {
      attr(node, "aria-selected", String(tab === name));
      attr(node, "tabindex", tab === name ? 0 : -1);
      if (tab === name) attr(this.#panel, "aria-labelledby", node.id);
    }
    this.#fill();
    this.context.invalidate();
  }

  #arrows(event: KeyboardEvent): void {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    event.stopPropagation();
    const next = TABS[(TABS.indexOf(this.tab) + step + TABS.length) % TABS.length] ?? "Progress";
    this.choose(next);
    this.#tabs.get(next)?.focus();
  }

  #fill(): void {
    const { row, tab } = this;
    if (tab === "Progress") this.#panel.replaceChildren(this.#progress);
    else if (tab === "Log") {
      this.#panel.replaceChildren(this.#log.node);
      this.#log.follow();
      this.#logAt = 0;
    } else if (row !== null) {
      const known = this.#fetched.get(tab);
      this.#panel.replaceChildren(known ?? note("Loading…"));
      if (known === undefined && tab === "Result") void this.#fetchResult(row); // `show` the other
    }
  }

  #makeActs(neighbour: (row: Row, by: number) => string | undefined): HTMLElement {
    const { context } = this;
    const add = (label: string, act: (row: Row) => void, when: (row: Row) => boolean): Node => {
      const node = button(label, label, () => this.row && when(this.row) && act(this.row));
      const [verb = label, way = ""] = label.split(" ");
      this.#acts.push([node, when, (row) => `${verb} ${row.title} ${way}`.trim()]);
      return node;
    };
    const queued = (row: Row): boolean => row.status === "pending";
    const isRemoved = (row: Row): boolean => row.held && row.hold_then === "cancel";
    const isHeld = (row: Row): boolean => queued(row) && row.held && !isRemoved(row);
    const step = (way: string, side: "before" | "after", by: number): Node =>
      add(
        `Move ${way}`,
        (row) => context.move(row, { [side]: neighbour(row, by) }),
        (row) => queued(row) && neighbour(row, by) !== undefined,
      );
    const nodes = [
      add("Move top", (row) => context.move(row, { to: "top" }), queued),
      step("up", "before", -1),
      step("down", "after", 1),
      add("Move bottom", (row) => context.move(row, { to: "bottom" }), queued),
      add("Hold", (row) => context.hold(row), (row) => queued(row) && !row.held),
      add("Release", (row) => context.release(row), isHeld),
      add("Remove", (row) => context.remove(row), (row) => queued(row) && !isRemoved(row)),
      add("Retry", (row) => context.retry(row), (row) => ENDED.includes(row.status)),
    ];
    const now = (row: Row): string => `Retry ${row.title} with ${row.name} as it is now`;
    this.#acts.push([this.#latest, (row) => row.differs, now]);
    this.#priority.addEventListener("change", () => this.#setPriority());
    return div("details-acts", ...nodes, this.#latest, this.#priorityLabel);
  }

  #setPriority(): void {
    const value = Math.round(this.#priority.valueAsNumber);
    const { row } = this;
    if (row === null || !Number.isFinite(value) || value === row.priority) return;
    void this.context.act("priority", { job: row.id, value }, "move", row.id);
  }

  #updateProgress(row: Row): void {
    const { context } = this;
    for (const [node, when, name] of this.#acts) {
      show(node, when(row));
      attr(node, "aria-label", name(row));
      enable(node, context.enabled);
    }
    setText(this.#latest, `Retry with ${row.name} as it is now`);
    show(this.#priorityLabel, row.status === "pending");
    attr(this.#priority, "aria-label", `Priority of ${row.title}`);
    this.#priority.disabled = !context.enabled;
    const typing = active(this.node) === this.#priority;
    if (!typing) this.#priority.value = String(row.priority);
    const facts = this.#factsOf(row);
    while (this.#facts.childElementCount < facts.length * 2) {
      this.#facts.append(h("dt"), h("dd"));
    }
    const cells = [...this.#facts.children] as HTMLElement[];
    cells.forEach((cell, index) => {
      const fact = facts[Math.floor(index / 2)];
      show(cell, fact !== undefined);
      const value = fact?.[index % 2] ?? "";
      if (typeof value === "string") setText(cell, value);
      else if (cell.firstChild !== value[0]) cell.replaceChildren(...value);
    });
  }

  #factsOf(row: Row): Fact[] {
    const { context } = this;
    const now = context.now();
    const words = wordsOf(row, "", context.store, now);
    const facts: Fact[] = [];
    const add = (name: string, value: string): void => {
      if (value !== "") facts.push([name, value]);
    };
    const told = (name: string): string => text(this.#told[name], WHOLE);
    const isPart = words.info.split("…").every((part) => told("said").includes(part));
    const said = isPart ? told("said") : words.info;
    add("State", [words.state, said || words.ahead].filter(Boolean).join(": "));
    if (row.status === "running" && knownProgress(row) >= 0) {
      const rate = row.started_at === null ? 0 : row.progress / Math.max(1, now - row.started_at);
      const pace = rate > 1e-6 ? `, ${+(rate * 6000).toPrecision(2)} % a minute` : "";
      add("Progress", `${Math.floor(row.progress * 100)} %${pace}`);
    }
    if (row.name !== row.title) {
      add("Label", told("title") || row.title);
      add("Function", row.name);
    }
    setText(this.#arguments, told("kwargs_text") || row.args);
    if (this.#arguments.textContent !== "") facts.push(["Arguments", this.#copied]);
    add("Memory", told("memory"));
    add("Tags", row.tags.join(", "));
    add("Where", row.where ?? "");
    if (row.attempt > 1 || row.retry_of !== null) add("Attempt", String(row.attempt));
    if (row.created_at !== null) add("Queued", day(row.created_at));
    if (row.started_at !== null) {
      add("Started", day(row.started_at));
      const end = row.completed_at ?? now;
      const spent = end - row.started_at;
      if (row.completed_at !== null) add("Took", took(spent));
      else if (row.status === "running") add("Running for", rough(spent));
    }
    if (row.completed_at !== null) add("Ended", day(row.completed_at));
    add("Id", row.id);
    return facts;
  }

  async #fetchJob(row: Row): Promise<void> {
    const answer = await this.context.ask("job", { job: row.id });
    if (this.row?.id !== row.id || this.row.status !== row.status) return;
    this.#told = answer ?? {};
    this.#fetched.set("Error", errorNode(this.row, answer));
    if (this.tab === "Error") this.#fill();
    this.context.invalidate();
  }

  async #fetchResult(row: Row): Promise<void> {
    const done = row.status === "completed";
    const answer = done ? await this.context.ask("result", { job: row.id }) : {};
    if (this.row?.id !== row.id || this.row.status !== row.status) return;
    this.#fetched.set("Result", resultNode(row, answer));
    if (this.tab === "Result") this.#fill();
  }
}

const ENDED: readonly string[] = ["completed", "failed", "cancelled"];

function note(sentence: string): HTMLElement {
  return h("p", { class: "jqw-note" }, sentence);
}

function errorNode(row: Row, answer: Plain | null): Node {
  if (answer === null) return note(row.error ?? "The kernel does not know this job any more.");
  const said = text(answer["said"], WHOLE);
  const failure = answer["failure"];
  const trace = text(answer["traceback"], 200_000);
  if (!isPlain(failure) && trace === "") return note(said || "No error.");
  const told = isPlain(failure) ? failure : {};
  const heading = [text(told["type"]), text(told["message"], 4_000)].filter(Boolean).join(": ");
  const node = h("div", {}, h("p", { class: "jqw-failure" }, heading));
  const code = told["exit_code"];
  if (typeof code === "number") node.append(note(`Exit code ${num(code)}`));
  if (text(told["signal"]) !== "") node.append(note(`Ended by ${text(told["signal"])}`));
  if (trace !== "") {
    const pre = h("pre", { class: "jqw-pre", "aria-label": "Traceback" });
    const lines = new AnsiLines();
    lines.write(trace);
    writeSpans(pre, lines.lines);
    node.append(div("details-acts", copyButton("traceback", pre)), pre);
  }
  return node;
}

/** A button that copies a text, or selects it where a page may not write to the clipboard. */
function copyButton(what: string, shown: HTMLElement): HTMLElement {
  const node = button("Copy", `Copy ${what}`, () => {
    const written = navigator.clipboard?.writeText(shown.textContent ?? "") ?? Promise.reject();
    written.then(
      () => setText(node, "Copied"),
      () => getSelection()?.selectAllChildren(shown),
    );
  });
  return node;
}

function resultNode(row: Row, answer: Plain | null): Node {
  if (answer === null) return note("The result could not be fetched.");
  const kind = answer["kind"];
  if (kind === "text") return h("pre", { class: "jqw-pre" }, text(answer["text"], 200_000));
  if (kind === "png" && /^[A-Za-z0-9+/=\s]+$/.test(String(answer["png"]))) {
    const source = `data:image/png;base64,${String(answer["png"])}`;
    return h("img", { class: "jqw-image", src: source, alt: `Result of ${row.title}` });
  }
  if (kind === "table") return tableNode(answer);
  return note(row.status === "completed" ? "No result to show." : "No result yet.");
}

function tableNode(answer: Plain): Node {
  const columns = Array.isArray(answer["columns"]) ? answer["columns"].slice(0, 60) : [];
  const rows = Array.isArray(answer["rows"]) ? answer["rows"].slice(0, 200) : [];
  const head = h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, String(name))));
  const body = rows.map((row: unknown) => {
    const cells = Array.isArray(row) ? row.slice(0, 60) : [];
    return h("tr", {}, ...cells.map((cell) => h("td", {}, String(cell))));
  });
  const table = h("table", { class: "jqw-table" }, h("thead", {}, head), h("tbody", {}, ...body));
  return h("div", {}, table, note(text(answer["text"])));
}
