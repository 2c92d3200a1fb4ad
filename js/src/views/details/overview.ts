// What a job is and how it stands: acts, facts, its other tries, and its parameters.

import type { RequestError } from "../../actions";
import { isPlain, text, type Plain, type Row } from "../../protocol";
import { active, attr, button, div, enable, h, setText, show, span } from "../../ui/dom";
import { day, rough, took } from "../../ui/time";
import type { Context } from "../context";
import { knownProgress, wordsOf } from "../words";
import { copyButton } from "./copy";
import { preNode } from "./error";
import { Parameters } from "./parameters";

const WHOLE = 40_000; // letters of a text
const MOST_TRIES = 40;
const ENDED: readonly string[] = ["completed", "failed", "cancelled"];

type Fact = [name: string, value: string | (Node | string)[]];
export type Neighbour = (row: Row, by: number) => string | undefined;

export class Overview {
  readonly node: HTMLElement;
  #row: Row | null = null;
  #told: Plain = {};
  #facts = h("dl", { class: "jqw-facts" });
  #later = h("dl", { class: "jqw-facts" }); // what is looked for less
  #acts: [node: HTMLElement, when: (row: Row) => boolean, verb: (row: Row) => string][] = [];
  #latest: HTMLButtonElement;
  #priority = h("input", { type: "number", step: 1, class: "jqw-input jqw-number" });
  #priorityLabel = h("label", { class: "jqw-field" }, "Priority ", this.#priority);
  #tries = span("tries");
  #asking = false;
  #parameters: Parameters;
  #where: HTMLButtonElement;
  #stack = div("stack");

  constructor(
    private context: Context,
    /** Returns the queued job so many places after that one, if it is known. */
    neighbour: Neighbour,
    /** Shows another job in these details. */
    private visit: (job: string) => void,
  ) {
    this.#latest = button("", "", () => this.#row && context.retry(this.#row, true));
    this.#where = button("Where is it?", "", () => void this.#ask());
    this.#parameters = new Parameters(context, visit);
    this.node = h(
      "div", {}, this.#makeActs(neighbour), this.#stack, this.#facts, this.#parameters.node,
      this.#later,
    );
  }

  /** Take what the kernel told of the job, once. */
  tell(row: Row, told: Plain): void {
    if (row.id !== this.#row?.id) this.#stack.replaceChildren();
    this.#row = row;
    this.#told = told;
    this.#writeTries(row, told["tries"]);
    this.#parameters.tell(row, told);
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
    show(this.#where, row.status === "running");
    enable(this.#where, context.enabled && !this.#asking);
    this.#parameters.update(row);
    writeFacts(this.#facts, this.#factsOf(row));
    writeFacts(this.#later, this.#timesOf(row));
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
    return div("details-acts", this.#where, ...nodes, this.#latest, this.#priorityLabel);
  }

  /** Ask where the job is right now, as Python shows tracebacks. */
  async #ask(): Promise<void> {
    const job = this.#row?.id;
    this.#asking = true;
    this.context.invalidate();
    const told = await this.context.rpc.request("stack", { job }, true).then(
      (answer) => text(answer["text"], WHOLE), (error: RequestError) => error.message,
    );
    this.#asking = false;
    this.context.invalidate();
    if (job !== this.#row?.id) return;
    const pre = preNode("Where it is", told);
    const hide = button("✕", "Hide where it is", () => this.#stack.replaceChildren(), "jqw-plain");
    const title = h("h4", {}, `Where it was at ${day(this.context.page())}`);
    const copy = copyButton("where it is", () => pre);
    this.#stack.replaceChildren(div("part-head", title, copy, hide), pre);
    this.context.live.say("Where it is stands in the details", true);
  }

  #setPriority(): void {
    const value = Math.round(this.#priority.valueAsNumber);
    const row = this.#row;
    if (row === null || !Number.isFinite(value) || value === row.priority) return;
    void this.context.act("priority", { job: row.id, value }, "move", row.id);
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
    if (!this.#parameters.node.hasChildNodes()) add("Arguments", told("kwargs_text") || row.args);
    add("Memory", told("memory"));
    add("Tags", row.tags.join(", "));
    add("Where", row.where ?? "");
    if (row.attempt > 1) add("Attempt", String(row.attempt));
    if (this.#tries.hasChildNodes()) facts.push(["Tries", [this.#tries]]);
    return facts;
  }

  #timesOf(row: Row): Fact[] {
    const now = this.context.now();
    const facts: Fact[] = [];
    const add = (name: string, value: string): void => void facts.push([name, value]);
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
}

function writeFacts(list: HTMLElement, facts: Fact[]): void {
  while (list.childElementCount < facts.length * 2) list.append(h("dt"), h("dd"));
  const cells = [...list.children] as HTMLElement[];
  cells.forEach((cell, index) => {
    const fact = facts[Math.floor(index / 2)];
    show(cell, fact !== undefined);
    const value = fact?.[index % 2] ?? "";
    if (typeof value === "string") setText(cell, value);
    else if (cell.firstChild !== value[0]) cell.replaceChildren(...value);
  });
}
