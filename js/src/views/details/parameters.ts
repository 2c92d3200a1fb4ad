// The parameters of a job: to copy one by one, as the call in code, and to try again with others.

import { num, text, type Plain, type Row } from "../../protocol";
import { attr, button, div, enable, h, setText, show } from "../../ui/dom";
import type { Context } from "../context";
import { copyButton } from "./copy";

const MOST = 100;
const LONGEST = 40_000; // letters of one

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
  const items = Array.isArray(given) ? given.filter(Array.isArray).slice(0, MOST) : [];
  return items.map(([name, value, named, literal]) => ({
    name: text(name, 400), value: text(value, LONGEST), named: named === true,
    literal: literal === true,
  }));
}

/** The call as code: what is no literal stands there as a name. */
export function callOf(target: string, parameters: Parameter[]): string {
  const last = parameters.map(({ named }) => named).lastIndexOf(false);
  const given = parameters.map(({ name, value, literal }, at) => {
    const written = literal ? value : name.replace(/\W/g, "_");
    return at <= last ? written : `${name}=${written}`;
  });
  return `queue.submit_nowait(${[target, ...given].join(", ")})`;
}

export class Parameters {
  readonly node = div("parameters");
  #row: Row | null = null;
  #parameters: Parameter[] = [];
  #target = "";
  #more = false;
  #inputs = new Map<string, HTMLTextAreaElement>();
  #code = h("pre", { class: "jqw-pre jqw-scrolls", "aria-label": "The call as code", tabindex: 0 });
  #problem = h("p", { class: "jqw-note jqw-problem", role: "alert" });
  #edit: HTMLButtonElement;
  #submit: HTMLButtonElement;
  #stop: HTMLButtonElement;

  constructor(private context: Context, private visit: (job: string) => void) {
    this.#edit = button("Retry with changes…", "", () => this.#write(true));
    this.#submit = button("Queue with these", "", () => void this.#retry());
    this.#stop = button("As they were", "Leave the parameters as they were", () => this.#leave());
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#inputs.size === 0) return;
      event.stopPropagation();
      this.#leave();
    });
  }

  tell(row: Row, told: Plain): void {
    this.#row = row;
    this.#parameters = parametersOf(told);
    this.#target = text(told["target"], 400) || row.name;
    this.#more = told["more_parameters"] === true;
    this.#write(false);
  }

  update(row: Row): void {
    this.#row = row;
    const editing = this.#inputs.size > 0;
    const ended = row.completed_at !== null;
    const some = this.#parameters.some(({ literal }) => literal);
    show(this.#edit, ended && some && !editing);
    attr(this.#edit, "aria-label", `Retry with changes…: ${row.title}`);
    attr(this.#submit, "aria-label", `Queue with these: ${row.title}`);
    for (const node of [this.#submit, this.#stop]) show(node, editing);
    for (const node of [this.#edit, this.#submit]) enable(node, this.context.enabled);
  }

  #leave(): void {
    this.#write(false);
    this.#edit.focus();
  }

  #write(editing: boolean): void {
    this.#inputs.clear();
    setText(this.#problem, "");
    if (this.#parameters.length === 0) {
      this.node.replaceChildren();
      return;
    }
    const rows = this.#parameters.map((parameter) => {
      const { name, value, literal } = parameter;
      const cell = h("td", { class: "jqw-value" });
      if (editing && literal) cell.append(this.#inputOf(parameter));
      else cell.textContent = value;
      const copy = copyButton(name, () => cell, () => this.#inputs.get(name)?.value ?? value);
      return h("tr", {}, h("th", { scope: "row" }, name), cell, h("td", {}, copy));
    });
    const table = h(
      "table", { class: "jqw-table jqw-params", "aria-label": "Parameters" },
      h("tbody", {}, ...rows),
    );
    const head = div(
      "part-head", h("h4", {}, "The call as code"), copyButton("the call", () => this.#code),
    );
    const acts = div("details-acts", this.#edit, this.#submit, this.#stop);
    const rest = this.#more ? [h("p", { class: "jqw-note" }, "More are not shown.")] : [];
    this.node.replaceChildren(table, ...rest, this.#problem, acts, head, this.#code);
    this.#writeCode();
    if (this.#row !== null) this.update(this.#row);
    if (editing) [...this.#inputs.values()][0]?.focus();
  }

  #inputOf({ name, value }: Parameter): HTMLTextAreaElement {
    const input = h("textarea", {
      class: "jqw-input jqw-code-input", rows: Math.min(6, Math.ceil(value.length / 30)),
      spellcheck: "false", maxlength: LONGEST,
      "aria-label": `Value of ${name}`,
    });
    input.value = value;
    input.addEventListener("input", () => this.#writeCode());
    this.#inputs.set(name, input);
    return input;
  }

  #writeCode(): void {
    const shown = this.#parameters.map((one) => {
      const value = this.#inputs.get(one.name)?.value.trim() ?? one.value;
      return { ...one, value };
    });
    setText(this.#code, callOf(this.#target, shown));
  }

  async #retry(): Promise<void> {
    const row = this.#row;
    if (row === null) return;
    const changes: Plain = {};
    for (const { name, value } of this.#parameters) {
      const typed = this.#inputs.get(name)?.value;
      if (typed !== undefined && typed.trim() !== value.trim()) changes[name] = typed.trim();
    }
    if (Object.keys(changes).length === 0) {
      setText(this.#problem, "No parameter has changed.");
      return;
    }
    const before = num(this.context.trouble?.at);
    const answer = await this.context.act("retry_with", { job: row.id, changes }, "retry", row.id);
    if (this.#row?.id !== row.id) return;
    const { trouble } = this.context;
    if (answer !== null) {
      this.#write(false);
      this.visit(text(answer["job"], 64));
    } else if (trouble !== null && trouble.at > before) setText(this.#problem, trouble.text);
  }
}
