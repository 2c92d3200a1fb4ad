// Several rows picked at once, and the bar of what can be done to all of them.

import type { Plain, Row, View } from "../../protocol";
import { amount } from "../../ui/amount";
import { active, attr, button, div, enable, h, setText, show } from "../../ui/dom";
import type { Context } from "../context";
import type { Filter } from "./filter";

const MOST = 2_000; // rows that are named one by one

type Act = "retry" | "cancel" | "hold" | "release";
type Counts = Record<Act, number>;

const VERBS: Record<Act, [button: string, done: string]> = {
  retry: ["Retry failed", "queued again"],
  cancel: ["Cancel selected", "cancelled or asked to stop"],
  hold: ["Hold selected", "held"],
  release: ["Release selected", "released"],
};

export class Picks {
  readonly node = h("div", { class: "jqw-picks", role: "group", "aria-label": "Selection" });
  /** Jobs by id, as they were seen last. */
  readonly rows = new Map<string, Row>();
  /** All that the filter finds is picked: this is its view then. */
  all: View | null = null;
  #told = h("span");
  #buttons = new Map<Act, HTMLButtonElement>();
  #none: HTMLButtonElement;
  #done = h("span");
  #undo: HTMLButtonElement;

  constructor(
    private context: Context,
    private filter: Filter,
  ) {
    for (const act of Object.keys(VERBS) as Act[]) {
      const kind = act === "cancel" ? "jqw-danger" : "";
      this.#buttons.set(act, button("", act, () => this.#do(act), kind));
    }
    this.#none = button("Select none", "Select none", () => this.clear());
    this.#undo = button("Undo", "Undo", () => context.undoMany());
    this.node.append(
      this.#told, ...this.#buttons.values(), this.#none, div("done", this.#done, this.#undo),
    );
  }

  /** True while more than one row is picked. */
  get several(): boolean {
    return this.all !== null || this.rows.size > 1;
  }

  has(id: string): boolean {
    return this.all !== null || this.rows.has(id);
  }

  /** Pick a row, or leave it out again. */
  toggle(row: Row): void {
    this.all = null;
    if (!this.rows.delete(row.id) && this.rows.size < MOST) this.rows.set(row.id, row);
    this.context.invalidate();
  }

  /** Pick these rows and no others. */
  set(rows: Row[]): void {
    this.all = null;
    this.rows.clear();
    for (const row of rows.slice(0, MOST)) this.rows.set(row.id, row);
    this.context.invalidate();
  }

  /** Pick all that the list shows, in view or not. */
  pickAll(): void {
    this.rows.clear();
    this.all = this.filter.wanted;
    this.context.live.say(`${amount(this.filter.count)} jobs selected`, true);
    this.context.invalidate();
  }

  clear(): void {
    this.set([]);
  }

  update(): void {
    const { context, filter } = this;
    if (this.all !== null && !filter.isSame(this.all)) this.all = null; // it shows other jobs now
    for (const id of this.rows.keys()) {
      const row = context.store.find(id);
      if (row !== null) this.rows.set(id, row);
    }
    const { several } = this;
    const counts = this.#counts();
    const failures = !several && filter.failures > 0;
    const { done } = context;
    const undoable = context.canUndoMany;
    const inside = this.node.contains(active(this.node));
    show(this.node, several || failures || undoable);
    if (inside && this.node.hidden) filter.input.focus();
    const size = this.all === null ? this.rows.size : filter.count;
    setText(this.#told, several ? `${amount(size)} selected` : "");
    show(this.#none, several);
    for (const [act, node] of this.#buttons) {
      const count = failures && act === "retry" ? filter.failures : several ? counts[act] : 0;
      show(node, count > 0);
      setText(node, `${VERBS[act][0]} (${amount(count)})`);
      attr(node, "aria-label", null);
      enable(node, context.enabled);
    }
    show(this.#undo.parentElement as HTMLElement, undoable);
    setText(this.#done, done === null ? "" : `${done.told} · `);
    attr(this.#undo, "title", "Undo (Ctrl+Z)");
  }

  #counts(): Counts {
    if (this.all !== null) return this.filter.acts;
    const counts: Counts = { retry: 0, cancel: 0, hold: 0, release: 0 };
    for (const row of this.rows.values()) {
      const waits = row.status === "pending";
      counts.retry += Number(row.status === "failed" && !row.note?.startsWith("retried → "));
      counts.cancel += Number(waits || row.status === "running");
      counts.hold += Number(waits && !row.held);
      counts.release += Number(waits && row.held);
    }
    return counts;
  }

  #do(act: Act): void {
    const whose: Plain = this.several && this.all === null
      ? { "jobs": [...this.rows.keys()] } : { view: this.all ?? this.filter.wanted };
    void this.context.many(act, whose, (count) => `${amount(count)} ${VERBS[act][1]}`);
    this.clear();
  }
}
