// The list: which rows of its three sections are drawn, where they stand, what keeps the focus.

import { LISTS, type ListName, type Row } from "../protocol";
import { active, attr, css, div, h, setText, show, span } from "../ui/dom";
import { dragRows } from "../ui/drag";
import type { Command } from "../ui/keys";
import { GAP_ROWS, Layout, LEAST_GAP, place, ROW } from "../ui/list";
import type { Context } from "./context";
import type { Filter } from "./choosing/filter";
import { Nothing } from "./choosing/nothing";
import { GroupRow } from "./groups";
import type { Entry, Lists, Spot } from "./lists";
import type { Picks } from "./choosing/picks";
import { Places } from "./places";
import { RowView } from "./rows";

const NAMES: Record<ListName, string> = {
  running: "Running", pending: "Queued", history: "Finished",
};

type Drawn = RowView | GroupRow;
/** Width from which there is room for all words, in one line and in two. */
const [ROOMY, ROOMY_IN_TWO_LINES] = [700, 420];
const INDENT = "   "; // before words that stand over a job of a group
const MOST = 2_000; // rows that are picked one by one

interface Anchor {
  key: string;
  list: ListName;
  offset: number;
}

interface Part {
  header: HTMLElement;
  name: HTMLElement;
  canvas: HTMLElement;
  grid: HTMLElement;
  before: number; // the `aria-rowindex` of its first row
  time: number; // width of that column, in letters
}

export interface Current extends Spot {
  key: string;
}

export class Scroller {
  readonly node = div("scroller");
  selected: Current | null = null;
  wide = false;
  /** Height of a row, and of a header, in px. */
  row = ROW;
  head = ROW;
  /** Width without details, in px, were its letters of usual size. */
  width = 0;
  /** How many rows details under a row are high. */
  gapRows = GAP_ROWS;
  /** The scrollTop, in px. */
  top = 0;
  #tree = h("div", {
    role: "treegrid", "aria-label": "Jobs", "aria-multiselectable": "true", class: "jqw-tree",
  });
  #empty: Nothing;
  #parts = new Map<ListName, Part>();
  #views = new Map<string, Drawn>();
  #places = new Places(this.node);
  #layout = new Layout([], 0);
  #current: Current | null = null;
  #height = 0;
  #hovered: string | null = null;

  constructor(
    private context: Context,
    private filter: Filter,
    private lists: Lists,
    private picks: Picks,
    /** Called when the rows are drawn, to place what stands among them. */
    private drawn: () => void,
    signal: AbortSignal,
  ) {
    for (const list of LISTS) this.#addPart(list);
    this.#empty = new Nothing(context, filter);
    this.node.append(this.#tree, this.#empty.node);
    this.#listen(signal);
  }

  /** Where the current and the selected row are now: they keep their job, not their place. */
  follow(): void {
    for (const spot of [this.#current, this.selected]) {
      if (spot === null) continue;
      const id = spot.key;
      const found = this.lists.find(id);
      if (found !== null) {
        Object.assign(spot, found);
        continue;
      }
      const total = this.lists.total(spot.list);
      spot.index = Math.max(0, Math.min(spot.index, total - 1));
      const other = this.lists.entry(spot.list, spot.index);
      if (other === undefined || other.key === other.hole) continue; // it is only out of view
      // Another row has its place: that takes over; details of a row that a filter hides close.
      if (spot === this.selected) {
        if (this.filter.found !== null) spot.index = -1;
      } else if (!this.#rename(id, other.key)) spot.key = other.key;
    }
  }

  render(): void {
    this.#measure();
    const width = this.width * (this.wide && this.selected !== null ? 0.58 : 1);
    this.context.room = Math.max(1, (width - 320) / 16);
    const brief = width < (this.row > this.head ? ROOMY_IN_TWO_LINES : ROOMY);
    if (brief !== this.context.brief) {
      this.context.brief = brief;
      for (const part of this.#parts.values()) this.#widen(part, 0, true);
    }
    const anchor = this.#anchor();
    const { height } = this.#layout;
    this.#layout = new Layout(
      LISTS.map((list) => {
        const total = this.lists.total(list);
        const shown = total > 0;
        const here = !this.wide && this.selected?.list === list && total > 0;
        const gapAfter = here && this.selected ? this.selected.index : -1;
        return { total, shown, gapAfter, gap: this.gapRows * this.row };
      }),
      this.top + this.#height,
      this.row,
      this.head,
    );
    let before = 0;
    LISTS.forEach((list, at) => {
      this.#frame(list, at, before);
      const total = this.lists.total(list);
      before += total > 0 ? total + 1 : 0;
    });
    attr(this.#tree, "aria-rowcount", before);
    show(this.#tree, before > 0);
    this.#empty.update(before === 0);
    // Only where the lists end in view, what was written moves what was read.
    if (this.top + this.#height >= Math.min(height, this.#layout.height)) this.#measure();
    this.#restore(anchor);
    const seen = new Set<string>();
    const focused = this.#focusedRow();
    const wanted = LISTS.map((list, at) => this.#inView(list, at, seen));
    this.lists.shown();
    const focusedInside = this.#activeElement();
    LISTS.forEach((list, at) => {
      const grid = this.#parts.get(list)?.grid;
      const views = wanted[at] ?? [];
      if (grid !== undefined) place(grid, views.map((view) => view.node), focused?.node ?? null);
    });
    const stop = this.#tabKey(seen);
    for (const [key, view] of this.#views) {
      if (!seen.has(key)) this.#views.delete(key);
      else attr(view.node, "tabindex", key === stop ? 0 : -1);
    }
    this.#refocus(focused, focusedInside);
    this.drawn();
  }

  /** Take as many rows for details as are in view at once with their row; `most`: px in view. */
  fit(most: number): void {
    const rows = Math.floor((most - 2 * this.head) / this.row) - 1;
    const lines = (gap: number): number => Math.ceil((gap * this.head) / this.row);
    this.gapRows = Math.max(lines(LEAST_GAP), Math.min(lines(GAP_ROWS), rows));
    this.node.style.setProperty("--jqw-gap", String(this.gapRows));
  }

  /** Height of all lists, in view or not, in px. */
  get height(): number {
    return this.#layout.height;
  }

  /** Scroll so far that the row is in view, clear of the headers that stick. */
  bring(list: number, index: number): void {
    const scroller = this.node;
    const layout = this.#layout;
    const { row, head } = this;
    const top = layout.top(list, index);
    const gap = layout.blocks[list]?.gapAfter === index ? this.gapRows : 0;
    const highest = top - head;
    const lowest = top + (1 + gap) * row + this.#below(list) * head - scroller.clientHeight;
    if (scroller.scrollTop > highest || lowest > highest) scroller.scrollTop = Math.max(0, highest);
    else if (scroller.scrollTop < lowest) scroller.scrollTop = lowest;
  }

  /** Make another row the current one: any row, loaded or not. */
  go(command: Command): void {
    const totals = LISTS.map((list) => this.lists.total(list));
    const all = totals.reduce((sum, total) => sum + total, 0);
    if (all === 0) return;
    const current = this.#current;
    let at = 0;
    if (current !== null) {
      const list = LISTS.indexOf(current.list);
      at = totals.slice(0, list).reduce((sum, total) => sum + total, 0) + current.index;
    }
    const page = Math.max(1, Math.floor(this.#height / this.row) - 3);
    const steps: Partial<Record<Command, number>> = {
      up: -1, down: 1, "page-up": -page, "page-down": page, first: -all, last: all,
    };
    at = Math.max(0, Math.min(all - 1, at + (steps[command] ?? 0)));
    let list = 0;
    while (at >= (totals[list] ?? 0)) {
      at -= totals[list] ?? 0;
      list += 1;
    }
    const name = LISTS[list] ?? "running";
    const key = this.lists.entry(name, at)?.key ?? "";
    this.#current = { list: name, index: at, key };
    this.#hovered = null;
    this.bring(list, at);
    this.render();
    this.bring(list, at); // where it is only now known to be
    this.#views.get(this.#current.key)?.node.focus({ preventScroll: true });
  }

  /** The known jobs from one row to another. */
  between(one: Spot, other: Spot): Row[] {
    const place = ({ list }: Spot): number => LISTS.indexOf(list);
    const isBefore = place(one) - place(other) || one.index - other.index;
    const [begin, end] = isBefore <= 0 ? [one, other] : [other, one];
    const rows: Row[] = [];
    for (const list of LISTS.slice(place(begin), place(end) + 1)) {
      const last = list === end.list ? end.index : this.lists.total(list) - 1;
      let index = list === begin.list ? begin.index : 0;
      for (; index <= last && rows.length < MOST; index += 1) {
        const row = this.lists.row(list, index);
        if (row !== undefined) rows.push(row);
      }
    }
    return rows;
  }

  /** The row that keys are about. */
  get current(): Current | null {
    return this.#current;
  }

  /** Make the row of a place the current one. */
  goTo({ list, index }: Spot): void {
    const key = this.lists.entry(list, index)?.key;
    if (key === undefined) return;
    this.#current = { list, index, key };
    this.go("stay");
  }

  viewOf(target: EventTarget | null): Drawn | undefined {
    const node = target instanceof Element ? target.closest(".jqw-row") : null;
    if (node === null) return undefined;
    for (const view of this.#views.values()) if (view.node === node) return view;
    return undefined;
  }

  /** Where the row of a place ends, in px from the beginning of the list. */
  bottom({ list, index }: Spot): number {
    return this.#layout.top(LISTS.indexOf(list), index) + this.row;
  }

  /** The drawn row of a job or a group, or of a place where nobody knows yet what stands there. */
  view(key: string): Drawn | undefined {
    return this.#views.get(key);
  }

  // -- drawing ----------------------------------------------------------------------------------

  #addPart(list: ListName): void {
    const name = span("head-name");
    attr(name, "role", "gridcell");
    const header = h("div", {
      class: `jqw-header jqw-header-${list}`, role: "row",
      "aria-level": 1, "aria-label": NAMES[list],
    }, name);
    const grid = h("div", { role: "rowgroup", "aria-label": NAMES[list], class: "jqw-grid" });
    const canvas = h("div", { role: "presentation", class: "jqw-canvas" }, grid);
    if (list === "pending") canvas.append(this.#places.node);
    this.#tree.append(header, canvas);
    this.#parts.set(list, { header, name, canvas, grid, before: 0, time: 0 });
  }

  #frame(list: ListName, at: number, before: number): void {
    const block = this.#layout.blocks[at];
    const part = this.#parts.get(list);
    if (block === undefined || part === undefined) return;
    show(part.header, block.shown);
    show(part.canvas, block.total > 0);
    const bottom = block.shown ? this.#below(at) * this.head : 0;
    // Headers of lists further down stand at the bottom: one sees that there is more, and how much.
    css(part.header, "bottom", this.wide || list === "history" ? `${bottom}px` : "auto");
    css(part.canvas, "height", `${this.#layout.canvas(block)}px`);
    attr(part.header, "aria-rowindex", before + 1);
    part.before = before + 2;
    setText(part.name, `${NAMES[list]} ${this.filter.told(list)}`);
  }

  /** Lists below that one whose headers stand at the bottom. */
  #below(at: number): number {
    const shown = this.#layout.blocks.slice(at + 1).filter((block) => block.shown).length;
    return this.wide ? shown : Math.min(1, shown);
  }

  /** The rows of a list that are in view, and the current one wherever it is; up to date. */
  #inView(list: ListName, at: number, seen: Set<string>): Drawn[] {
    const [first, last] = this.#layout.range(at, this.top, this.#height);
    this.lists.show(list, first, last);
    const indices: number[] = [];
    for (let index = first; index < last; index += 1) indices.push(index);
    const current = this.#current;
    if (current?.list === list && !indices.includes(current.index) && this.lists.total(list) > 0) {
      if (current.index < first) indices.unshift(current.index);
      else indices.push(current.index);
    }
    const block = this.#layout.blocks[at];
    if (this.filter.found === null) this.#noteCommon(list, indices);
    const views: Drawn[] = [];
    let time = 0; // letters
    const ahead: string[] = new Array(last - first).fill("");
    const places = [...ahead];
    let end = 0; // px, of the row before
    for (const index of indices) {
      const entry = this.lists.entry(list, index);
      if (entry === undefined || block === undefined) continue;
      const isKnown = entry.key !== entry.hole;
      const away = !isKnown && current?.list === list && current.index === index;
      const key = away && current ? current.key : entry.key;
      if (seen.has(key)) continue;
      seen.add(key);
      if (isKnown) this.#rename(entry.hole, key);
      const view = this.#drawn(key, entry);
      const top = this.#layout.within(block, index);
      css(view.node, "marginTop", top === end ? "" : `${top - end}px`);
      end = top + this.row;
      const selected = this.selected?.key === key || this.picks.has(key);
      view.list = list;
      if (view instanceof GroupRow) {
        view.update(entry.group ?? view.group, entry.open);
        time = Math.max(time, view.line.time.textContent?.length ?? 0);
      } else {
        const beside = (by: number): Row | undefined => this.lists.row(list, index + by);
        view.update(entry.row ?? view.row, selected, this.lists.still.has(key), beside);
        time = Math.max(time, view.time.length);
        if (index >= first && index < last) {
          const isIn = entry.level > 2 && this.row > this.head;
          ahead[index - first] = `${isIn && view.ahead ? INDENT : ""}${view.ahead}`;
          places[index - first] = `${isIn && view.place ? INDENT : ""}${view.place}`;
        }
      }
      this.#place(view, index, entry);
      views.push(view);
    }
    if (list === "pending" && block !== undefined) {
      const top = this.#layout.within(block, first);
      this.#places.draw(top, places, ahead, block.gapAfter + 1 - first, this.gapRows);
    }
    const part = this.#parts.get(list);
    if (part !== undefined) this.#widen(part, time, views.length === 0);
    return views;
  }

  /** Look which arguments the jobs of a group share, before any row leaves them out. */
  #noteCommon(list: ListName, indices: number[]): void {
    for (const index of indices) {
      const { key, row } = this.lists.entry(list, index) ?? {};
      if (key === undefined || row === undefined || row.group <= 0) continue;
      if (this.#views.get(key)?.row?.args !== row.args) this.context.common.note(row);
    }
  }

  /** Make a column as wide as what it holds; it does not shrink while one scrolls. */
  #widen(part: Part, letters: number, anew: boolean): void {
    if (anew ? letters === part.time : letters <= part.time) return;
    part.time = letters;
    part.canvas.style.setProperty("--jqw-time", String(letters));
  }

  #drawn(key: string, entry: Entry): Drawn {
    const known = this.#views.get(key);
    if (known !== undefined && entry.isGroup === known instanceof GroupRow) return known;
    const view = entry.isGroup ? new GroupRow(this.context) : new RowView(this.context);
    view.key = key;
    this.#views.set(key, view);
    return view;
  }

  /** Say where a row stands, to us and to who does not see it. */
  #place(view: Drawn, index: number, entry: Entry): void {
    view.index = index;
    const { node } = view;
    attr(node, "aria-rowindex", (this.#parts.get(view.list)?.before ?? 1) + index);
    attr(node, "aria-level", entry.level);
    attr(node, "aria-posinset", entry.at + 1);
    attr(node, "aria-setsize", entry.of);
  }

  /** A row that was drawn before its job was known becomes that job's row. */
  #rename(from: string, to: string): boolean {
    const view = this.#views.get(from);
    if (!from.startsWith("#") || view === undefined || this.#views.has(to)) return false;
    this.#views.delete(from);
    this.#views.set(to, view);
    view.key = to;
    if (this.#current?.key === from) this.#current.key = to;
    return true;
  }

  // -- what stays in view -----------------------------------------------------------------------

  /** Where the lists stand; the page is laid out for it if anything was written before. */
  #measure(): void {
    this.top = this.node.scrollTop;
    this.#height = this.node.clientHeight;
  }

  /** The row that must not move on the screen: under the pointer, else focused, else the first. */
  #anchor(): Anchor | null {
    const busy = this.lists.pointerBusy && this.#hovered !== null;
    const key = busy ? this.#hovered : this.top > 0 ? this.#firstKey(this.top) : null;
    const view = key === null ? undefined : this.#views.get(key);
    if (key === null || view === undefined) return null;
    const { list } = view;
    const top = this.#layout.top(LISTS.indexOf(list), view.index);
    return { key, list, offset: top - this.top };
  }

  #firstKey(scrollTop: number): string | null {
    let best: [key: string, top: number] | null = null;
    for (const [key, view] of this.#views) {
      const at = LISTS.indexOf(view.list);
      const top = this.#layout.top(at, view.index);
      if (top >= scrollTop && (best === null || top < best[1])) best = [key, top];
    }
    return best?.[0] ?? null;
  }

  /** Do not follow a row that went to another list: that may be 100,000 rows away. */
  #restore(anchor: Anchor | null): void {
    const spot = anchor === null ? null : this.lists.find(anchor.key);
    if (anchor === null || spot === null || spot.list !== anchor.list) return;
    const top = this.#layout.top(LISTS.indexOf(spot.list), spot.index) - anchor.offset;
    if (Math.abs(top - this.top) < 1) return;
    this.node.scrollTop = Math.max(0, top);
    this.#measure();
  }

  #activeElement(): HTMLElement | null {
    const element = active(this.node);
    return element instanceof HTMLElement && this.node.contains(element) ? element : null;
  }

  #focusedRow(): Drawn | null {
    const element = this.#activeElement();
    if (element === null) return null;
    for (const view of this.#views.values()) if (view.node.contains(element)) return view;
    return null;
  }

  /** Move the focus along with a row that went to another list, or on to another if it is gone. */
  #refocus(view: Drawn | null, element: HTMLElement | null): void {
    if (view === null || element === null || this.#activeElement() === element) return;
    if (view.node.isConnected) element.focus({ preventScroll: true });
    else if (this.#current !== null) {
      this.#views.get(this.#current.key)?.node.focus({ preventScroll: true });
    }
  }

  #tabKey(seen: Set<string>): string {
    if (this.#current !== null && seen.has(this.#current.key)) return this.#current.key;
    return seen.values().next().value ?? "";
  }

  // -- pointer ----------------------------------------------------------------------------------

  #setCurrent(view: Drawn): void {
    for (const [key, item] of this.#views) {
      if (item !== view) continue;
      this.#current = { list: view.list, index: view.index, key };
      this.context.invalidate();
    }
  }

  #spotAt(y: number): { id: string; after: boolean; top: number } | null {
    const block = this.#layout.blocks[LISTS.indexOf("pending")];
    const high = this.row;
    if (block === undefined || y < -high || y > this.#layout.canvas(block) + high) return null;
    const index = Math.max(0, Math.min(block.total - 1, this.#layout.indexAt(block, y)));
    const row = this.lists.row("pending", index);
    if (row === undefined) return null;
    const top = this.#layout.within(block, index);
    const after = y > top + high / 2;
    return { id: row.id, after, top: after ? top + high : top };
  }

  #listen(signal: AbortSignal): void {
    const { context, lists, node } = this;
    node.addEventListener("scroll", context.invalidate, { signal, passive: true });
    node.addEventListener("pointermove", (event) => {
      this.#hovered = this.viewOf(event.target)?.key ?? null;
      lists.pointerMoved();
    }, { signal });
    node.addEventListener("pointerleave", () => {
      this.#hovered = null;
      lists.pointerLeft();
      context.invalidate();
    }, { signal });
    node.addEventListener("focusin", (event) => {
      const view = this.viewOf(event.target);
      if (view !== undefined) this.#setCurrent(view);
    }, { signal });
    const canvas = this.#parts.get("pending")?.canvas;
    if (canvas === undefined) return;
    dragRows({
      scroller: node,
      canvas,
      idOf: (target) => {
        const row = this.viewOf(target)?.row;
        return row?.status === "pending" ? row.id : null;
      },
      spotAt: (y) => this.#spotAt(y),
      drop: (id, to) => {
        const row = this.#views.get(id)?.row;
        if (row !== undefined) context.move(row, to);
      },
    }, signal);
  }
}
