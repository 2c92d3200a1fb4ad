// What a job is and how it stands: acts, facts, its other tries, and its parameters.

import { isPlain, text, type Plain, type Row } from "../../protocol";
import { active, attr, button, div, enable, h, setText, show, span } from "../../ui/dom";
import { day, rough, took } from "../../ui/time";
import type { Context } from "../context";
import { knownProgress, wordsOf } from "../words";
import { copyButton } from "./copy";

const WHOLE = 40_000; // letters of a text
const MOST_PARAMETERS = 100;
const MOST_TRIES = 40;
const ENDED: readonly string[] = ["completed", "failed", "cancelled"];

type Fact = [name: string, value: string | (Node | string)[]];
export type Neighbour = (row: Row, by: number) => string | undefined;

export interface Parameter {
  name: string;
  value: string;
  /** The target takes it under its name. */
  named: boolean;
  /** The text is the whole value, and can be read as one. */
  literal: boolean;
}

export function parametersOf(told: Plain): Parameter[] {
  const given = told["parameters"];
  const items = Array.isArray(given) ? given.filter(Array.isArray).slice(0, MOST_PARAMETERS) : [];
  return items.map(([name, value, named, literal]) => ({
    name: text(name, 400), value: text(value, WHOLE), named: named === true,
    literal: literal === true,
  }));
}

export class Overview {
  readonly node: HTMLElement;
  #row: Row | null = null;
  #told: Plain = {};
  #facts = h("dl", { class: "jqw-facts" });
  #acts: [node: HTMLElement, when: (row: Row) => boolean, verb: (row: Row) => string][] = [];
  #latest: HTMLButtonElement;
  #priority = h("input", { type: "number", step: 1, class: "jqw-input jqw-number" });
  #priorityLabel = h("label", { class: "jqw-field" }, "Priority ", this.#priority);
  #tries = span("tries");
  #parameters = div("parameters");

  constructor(
    private context: Context,
    /** Returns the queued job so many places after that one, if it is known. */
    neighbour: Neighbour,
    /** Shows another job in these details. */
    private visit: (job: string) => void,
  ) {
    this.#latest = button("", "", () => this.#row && context.retry(this.#row, true));
    this.node = h("div", {}, this.#makeActs(neighbour), this.#facts, this.#parameters);
  }

  /** Take what the kernel told of the job, once. */
  tell(row: Row, told: Plain): void {
    this.#row = row;
    this.#told = told;
    this.#writeTries(row, told["tries"]);
    this.#writeParameters(parametersOf(told), told["more_parameters"] === true);
  }

  update(row: Row): void {
    this.#row = row;
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
    this.#writeFacts(this.#factsOf(row));
  }

  #makeActs(neighbour: Neighbour): HTMLElement {
    const { context } = this;
    const add = (label: string, act: (row: Row) => void, when: (row: Row) => boolean): Node => {
      const node = button(label, label, () => this.#row && when(this.#row) && act(this.#row));
      const [verb = label, way = ""] = label.split(" ");
      this.#acts.push([node, when, (row) => `${verb} ${row.title} ${way}`.trim()]);
      return node;
    };
    const queued = (row: Row): boolean => row.status === "pending";
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
      add("Retry", (row) => context.retry(row), (row) => ENDED.includes(row.status)),
    ];
    const now = (row: Row): string => `Retry ${row.title} with ${row.name} as it is now`;
    this.#acts.push([this.#latest, (row) => row.differs, now]);
    this.#priority.addEventListener("change", () => this.#setPriority());
    return div("details-acts", ...nodes, this.#latest, this.#priorityLabel);
  }

  #setPriority(): void {
    const value = Math.round(this.#priority.valueAsNumber);
    const row = this.#row;
    if (row === null || !Number.isFinite(value) || value === row.priority) return;
    void this.context.act("priority", { job: row.id, value }, "move", row.id);
  }

  #writeFacts(facts: Fact[]): void {
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
    if (!this.#parameters.hasChildNodes()) add("Arguments", told("kwargs_text") || row.args);
    add("Memory", told("memory"));
    add("Tags", row.tags.join(", "));
    add("Where", row.where ?? "");
    if (row.attempt > 1) add("Attempt", String(row.attempt));
    if (this.#tries.hasChildNodes()) facts.push(["Tries", [this.#tries]]);
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

  /** The same job tried before and after, each a link to it. */
  #writeTries(row: Row, given: unknown): void {
    const tries = Array.isArray(given) ? given.filter(isPlain).slice(0, MOST_TRIES) : [];
    this.#tries.replaceChildren(...tries.map((one, at) => {
      const id = text(one["id"], 64);
      const words = `${at + 1}: ${text(one["status"], 20)}`;
      if (id === row.id) return h("b", { "aria-current": "true" }, words);
      return button(words, `Show try ${words}`, () => this.visit(id), "jqw-link");
    }));
  }

  #writeParameters(parameters: Parameter[], more: boolean): void {
    const rows = parameters.map(({ name, value }) => {
      const cell = h("td", { class: "jqw-value" }, value);
      const copy = h("td", {}, copyButton(name, () => cell));
      return h("tr", {}, h("th", { scope: "row" }, name), cell, copy);
    });
    const table = h(
      "table", { class: "jqw-table jqw-params", "aria-label": "Parameters" },
      h("tbody", {}, ...rows),
    );
    const rest = more ? [h("p", { class: "jqw-note" }, "More parameters are not shown.")] : [];
    this.#parameters.replaceChildren(...(rows.length > 0 ? [table, ...rest] : []));
  }
}
