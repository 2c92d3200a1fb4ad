// Which rows of a long part a view holds: the first ones from traits, others watched. No DOM.

import type { Group, Part, PartName, Plain, Row, View } from "./protocol";
import { cleanPart } from "./protocol";

const MARGIN = 40; // rows asked for beyond the visible ones, each side
const MOST = 200;
const RENEW_AFTER = 15; // seconds; the lease lasts 30

type Request = (op: string, a: Plain) => Promise<Plain>;

/** A part of the whole list, or of what was found for a view: that is not watched. */
export class ListWindow<T extends Row | Group = Row> {
  #rows: T[] = [];
  #start = 0;
  #rev = -1;
  #epoch = "";
  #watched: { start: number; end: number; at: number } | null = null;
  #asking = false;
  #where: Plain;

  constructor(
    readonly list: PartName,
    private request: Request,
    private changed: () => void,
    readonly group = 0,
    private view: View | null = null,
  ) {
    this.#where = group === 0 ? { list } : { list, group };
  }

  /** Forget the rows held: the queue is another one. */
  reset(epoch: string): void {
    this.#rows = [];
    this.#rev = -1;
    this.#epoch = epoch;
    this.#watched = null;
  }

  /** Ask anew when rows are shown next: there may be others. */
  renew(): void {
    if (this.#watched !== null) this.#watched.at = -Infinity;
  }

  /** The revision of the rows held; below 0: there are none. */
  get rev(): number {
    return this.#rev;
  }

  row(index: number): T | undefined {
    return this.#rows[index - this.#start];
  }

  /** Where a job or group is among the rows held; -1 when it is not. */
  indexOf(id: string | number): number {
    const at = this.#rows.findIndex((row) => row.id === id);
    return at < 0 ? -1 : this.#start + at;
  }

  /**
   * Note that the view shows rows first ≤ i < last; `covered` of them come from traits. Watch more
   * only when needed, and none when the view is hidden (`last` = 0). `now` in seconds.
   */
  show(first: number, last: number, covered: number, total: number, now: number): void {
    if (this.#asking) return; // what is repeated late must not undo a later question
    const held = this.#watched;
    if (last <= Math.min(covered, total) || last === 0) {
      this.#watched = null;
      if (held !== null && this.view === null) this.#await(this.request("unwatch", this.#where));
      return;
    }
    const lasts = this.view === null ? RENEW_AFTER : Infinity;
    const near = held !== null && first >= held.start && last <= held.end && now - held.at < lasts;
    if (near) return;
    const middle = Math.floor((first + last) / 2);
    const half = Math.min(MOST / 2, Math.ceil((last - first) / 2) + MARGIN);
    const start = Math.max(0, middle - half);
    const end = start + 2 * half;
    this.#watched = { start, end, at: now };
    const a = { ...this.#where, start, end };
    const view = this.view === null ? {} : { view: this.view };
    const rows = (): Promise<void> => this.request("rows", { ...a, ...view }).then((value) => {
      const part = cleanPart(value);
      if (part !== null) this.push(part);
    });
    if (this.view !== null) this.#await(rows());
    else this.#await(this.request("watch", a), rows());
  }

  /** Take a pushed slice of a list. */
  push(part: Part): void {
    if (part.epoch !== this.#epoch || part.list !== this.list || part.group !== this.group) return;
    this.#take(part);
  }

  /** Wait for the answers: one question at a time; one that fails is asked again when due. */
  #await(...questions: Promise<unknown>[]): void {
    this.#asking = true;
    void Promise.allSettled(questions).then(() => {
      this.#asking = false;
      this.changed();
    });
  }

  #take(part: Part): void {
    if (part.rev < this.#rev) return; // an answer that a newer push has overtaken
    this.#rev = part.rev;
    this.#start = part.start;
    this.#rows = part.rows as T[];
    this.changed();
  }
}
