// The rows of the three lists as shown: from traits, from windows, or found by the filter.

import { ListWindow } from "../list_window";
import { LISTS, type ListName, type Row } from "../protocol";
import type { Context } from "./context";
import type { Filter } from "./filter";

/** How long after a move of the pointer over the lists a click is to be expected. */
const HOLD_FOR = 3; // seconds

export interface Spot {
  list: ListName;
  index: number;
}

export class Lists {
  readonly windows: Record<ListName, ListWindow>;
  /** Ids of ended jobs that still stand among the running ones, under the pointer. */
  readonly still = new Set<string>();
  #runningRows: Row[] = [];
  #pointerAt = -Infinity;

  constructor(
    private context: Context,
    private filter: Filter,
  ) {
    const request = context.rpc.request.bind(context.rpc);
    const make = (list: ListName): ListWindow => new ListWindow(list, request, context.invalidate);
    this.windows = {
      running: make("running"), pending: make("pending"), history: make("history"),
    };
  }

  pointerMoved(): void {
    this.#pointerAt = this.context.page();
  }

  pointerLeft(): void {
    this.#pointerAt = -Infinity;
  }

  get pointerBusy(): boolean {
    return this.context.page() - this.#pointerAt < HOLD_FOR;
  }

  /** Keep a finished row in its place under the pointer until the pointer has gone. */
  refresh(): void {
    const { filter } = this;
    const { store } = this.context;
    const running = filter.covers("running") ? filter.rows("running") : store.running;
    this.still.clear();
    if (!this.pointerBusy) {
      this.#runningRows = running;
      return;
    }
    const history = store.history.concat(filter.rows("history"));
    const rows: Row[] = [];
    for (const old of this.#runningRows) {
      const row = running.find((item) => item.id === old.id);
      const over = row === undefined ? history.find((item) => item.id === old.id) : undefined;
      if (over !== undefined) this.still.add(over.id);
      const kept = row ?? over;
      if (kept !== undefined) rows.push(kept);
    }
    const known = new Set(rows.map((row) => row.id));
    this.#runningRows = rows.concat(running.filter((row) => !known.has(row.id)));
  }

  total(list: ListName): number {
    if (this.filter.covers(list)) return this.covered(list).length;
    const { store } = this.context;
    const total = store.total(list);
    if (list === "running") return total + this.still.size;
    return list === "pending" ? total : Math.max(0, total - this.still.size);
  }

  /** The first rows, which come with the traits. */
  covered(list: ListName): Row[] {
    if (list === "running") return this.#runningRows;
    const rows = this.filter.covers(list) ? this.filter.rows(list) : this.context.store.rows(list);
    return list === "pending" ? rows : rows.filter((row) => !this.still.has(row.id));
  }

  row(list: ListName, index: number): Row | undefined {
    const first = this.covered(list);
    if (index < first.length || this.filter.covers(list)) return first[index];
    return this.windows[list].row(index + this.#shift(list));
  }

  find(id: string): Spot | null {
    for (const list of LISTS) {
      const near = this.covered(list).findIndex((row) => row.id === id);
      if (near >= 0) return { list, index: near };
    }
    for (const list of LISTS) {
      if (this.filter.covers(list)) continue;
      const far = this.windows[list].indexOf(id) - this.#shift(list);
      if (far >= this.covered(list).length && far < this.total(list)) return { list, index: far };
    }
    return null;
  }

  /** Tell the windows what is in view. */
  show(list: ListName, first: number, last: number): void {
    const known = this.filter.covers(list) ? Infinity : this.covered(list).length;
    const shift = this.#shift(list);
    const from = Math.max(0, first + shift);
    const to = last === 0 ? 0 : last + shift;
    const now = this.context.page();
    this.windows[list].show(from, to, known + shift, this.total(list) + shift, now);
  }

  reset(epoch: string): void {
    for (const list of LISTS) this.windows[list].reset(epoch);
    this.#runningRows = [];
  }

  /** How many rows of the server's list stand in another one here. */
  #shift(list: ListName): number {
    return list === "history" ? this.still.size : list === "running" ? -this.still.size : 0;
  }
}
