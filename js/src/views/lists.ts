// The one list as shown: in each section its groups, the jobs of open ones, and all other jobs.

import { ListWindow } from "../list_window";
import {
  LISTS, type Found, type Group, type ListName, type Part, type PartName, type Row, type Sizes,
  type View,
} from "../protocol";
import type { Context } from "./context";
import type { Filter } from "./choosing/filter";

/** How long after a move of the pointer over the lists a click is to be expected. */
const HOLD_FOR = 3; // seconds
/** A group of fewer jobs is open until somebody closes it. */
const SMALL = 20;

/** A place in a section, whose rows are counted from 0 whatever they are. */
export interface Spot {
  list: ListName;
  index: number;
}

/** What stands in a place: a job or a group. `at` of `of` on its level. */
export interface Entry {
  key: string;
  /** The key of the place while nobody knows what stands there. */
  hole: string;
  row?: Row;
  group?: Group;
  open: boolean;
  level: 2 | 3;
  at: number;
  of: number;
  /** It is a group, known or not. */
  isGroup: boolean;
}

/** Rows of a section that come from one part. */
interface Segment {
  part: PartName;
  group: number;
  start: number; // in the section
  size: number;
  from: number; // in the part
}

/** The first rows of all parts, and how much there is of each. */
interface Source {
  rows(list: ListName): Row[];
  groups: Group[];
  sizes: Sizes;
}

type Windows = Map<string, ListWindow<Row | Group>>;

export class Lists {
  /** Ids of ended jobs that still stand among the running ones, under the pointer. */
  readonly still = new Set<string>();
  /** What is shown of each section, by where it comes from. */
  readonly windows: Windows = new Map();
  #found: { windows: Windows; of: Found | null; view: View | null } = {
    windows: new Map(), of: null, view: null,
  };
  #source: Source;
  #segments: Record<ListName, Segment[]> = { running: [], pending: [], history: [] };
  #totals: Record<ListName, number> = { running: 0, pending: 0, history: 0 };
  /** Groups that somebody has opened or closed. */
  #opened = new Map<number, boolean>();
  /** Where groups that are not among the first ones were seen last, with how many jobs. */
  #seen = new Map<number, { at: number; listed: number }>();
  #runningRows: Row[] = [];
  #pointerAt = -Infinity;
  #leaving: ReturnType<typeof setTimeout> | undefined;
  #epoch = "";
  #wanted = new Map<string, [first: number, last: number]>();

  constructor(
    private context: Context,
    private filter: Filter,
  ) {
    this.#source = this.#all();
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

  /** Take a pushed slice. */
  push(part: Part): void {
    this.windows.get(keyOf(part.list, part.group))?.push(part);
  }

  /** Lay the list out anew, by what has come. */
  refresh(): void {
    const { found, view } = this.filter;
    if (view !== this.#found.view) this.#found = { windows: new Map(), of: null, view };
    if (found !== this.#found.of) {
      for (const window of this.#found.windows.values()) window.renew();
      this.#found.of = found;
    }
    this.#source = found === null ? this.#all() : {
      rows: (list) => found.rows[list], groups: found.groups, sizes: found.listed,
    };
    this.#keepStill();
    this.#arrange();
  }

  /** How many rows a section has. */
  total(list: ListName): number {
    return this.#totals[list];
  }

  /** What stands in a place of a section. */
  entry(list: ListName, index: number): Entry | undefined {
    const segment = this.#segments[list].find((one) => index < one.start + one.size);
    if (segment === undefined || index < 0) return undefined;
    const { part, group, from } = segment;
    const offset = index - segment.start + from;
    const place = LISTS.indexOf(list);
    const groups = this.#source.sizes.groups[place] ?? 0;
    const of = groups + this.#singles(list);
    const hole = `#${part} ${group}:${offset}`;
    const isGroup = part === "groups";
    const entry: Entry = {
      key: hole, hole, open: false, level: part === "group" ? 3 : 2, at: offset, of, isGroup,
    };
    if (isGroup) {
      const found = this.#group(offset);
      entry.at -= this.#before(place);
      if (found === undefined) return entry;
      return { ...entry, key: `group:${found.id}`, open: this.isOpen(found), group: found };
    }
    if (part === "group") entry.of = segment.size;
    else entry.at += groups;
    const row = part === "group" ? this.#member(group, offset) : this.#single(list, offset);
    return row === undefined ? entry : { ...entry, key: row.id, row };
  }

  /** The job that stands in a place, if it is one and known. */
  row(list: ListName, index: number): Row | undefined {
    return this.entry(list, index)?.row;
  }

  /** Where a job or a group (`group:7`) is, if that is known. */
  find(key: string): Spot | null {
    const number = key.startsWith("group:") ? Number(key.slice(6)) : 0;
    for (const list of LISTS) {
      for (const segment of this.#segments[list]) {
        const offset = number > 0 ? this.#indexOfGroup(segment, number)
          : this.#indexOfJob(list, segment, key);
        const at = offset - segment.from;
        if (offset >= 0 && at >= 0 && at < segment.size) return { list, index: segment.start + at };
      }
    }
    return null;
  }

  /** Where the group stands that a place is in or below. */
  parentOf({ list, index }: Spot): Spot | null {
    const segment = this.#segments[list].find((one) => index < one.start + one.size);
    return segment?.part === "group" ? this.find(`group:${segment.group}`) : null;
  }

  /** Small ones are open at first, as far as they are among the first groups of all. */
  isOpen({ id, listed }: Group): boolean {
    const isFirst = (): boolean => this.#source.groups.some((one) => one.id === id);
    return this.#opened.get(id) ?? (listed > 0 && listed < SMALL && isFirst());
  }

  /** What somebody has opened or closed. */
  opened(): [group: number, open: boolean][] {
    return [...this.#opened];
  }

  toggle(group: Group): void {
    this.#opened.set(group.id, !this.isOpen(group));
    this.context.invalidate();
  }

  /** Note what is in view of a section; `shown` tells the windows once all is noted. */
  show(list: ListName, first: number, last: number): void {
    for (const { part, group, start, size, from } of this.#segments[list]) {
      const begin = Math.max(first, start) - start + from;
      const end = Math.min(last, start + size) - start + from;
      if (begin >= end) continue;
      const shift = part === list ? this.#shift(list) : 0;
      const key = keyOf(part, group);
      const [least, most] = this.#wanted.get(key) ?? [Infinity, 0];
      const low = Math.max(0, begin + shift);
      this.#wanted.set(key, [Math.min(least, low), Math.max(most, end + shift)]);
    }
  }

  /** Tell the windows what is in view, as far as it was noted. */
  shown(): void {
    const wanted = this.#wanted;
    this.#wanted = new Map();
    const now = this.context.page();
    const here = this.#windows;
    for (const [key, [first, last]] of wanted) {
      const [covered, total] = this.#covered(key);
      if (last <= covered && !here.has(key)) continue;
      this.#window(key).show(first, last, covered, total, now);
    }
    for (const windows of [this.windows, this.#found.windows]) {
      for (const [key, window] of windows) {
        if (windows !== here || !wanted.has(key)) window.show(0, 0, 0, 0, now);
      }
    }
  }

  reset(epoch: string): void {
    this.#epoch = epoch;
    for (const window of this.windows.values()) window.reset(epoch);
    this.#found = { windows: new Map(), of: null, view: null };
    this.#runningRows = [];
    this.#opened.clear();
    this.#seen.clear();
  }

  // -- where rows come from ---------------------------------------------------------------------

  #all(): Source {
    const { store } = this.context;
    return { rows: (list) => store.rows(list), groups: store.groups, sizes: store.summary.listed };
  }

  get #windows(): Windows {
    return this.filter.found === null ? this.windows : this.#found.windows;
  }

  #window(key: string): ListWindow<Row | Group> {
    const windows = this.#windows;
    let window = windows.get(key);
    if (window === undefined) {
      const { rpc, invalidate } = this.context;
      const [part, group] = key.split(" ") as [PartName, string];
      const view = windows === this.windows ? null : this.#found.view;
      const request = rpc.request.bind(rpc);
      window = new ListWindow<Row | Group>(part, request, invalidate, Number(group), view);
      window.reset(this.#epoch);
      windows.set(key, window);
    }
    return window;
  }

  /** How many rows of a part are here without a window, and how many there are. */
  #covered(key: string): [covered: number, total: number] {
    const [part, group] = key.split(" ") as [PartName, string];
    const { groups } = this.#source;
    if (part === "groups") return [groups.length, this.#before(LISTS.length)];
    if (part === "group") return [0, this.#sizeOf(Number(group))];
    const shift = this.#shift(part);
    return [this.#firstOf(part).length + shift, this.#singles(part) + shift];
  }

  /** Count the groups of the sections before. */
  #before(place: number): number {
    return this.#source.sizes.groups.slice(0, place).reduce((sum, count) => sum + count, 0);
  }

  #group(offset: number): Group | undefined {
    const first = this.#source.groups;
    if (offset < first.length) return first[offset];
    return this.#windows.get("groups 0")?.row(offset) as Group | undefined;
  }

  #member(group: number, offset: number): Row | undefined {
    return this.#windows.get(keyOf("group", group))?.row(offset) as Row | undefined;
  }

  #single(list: ListName, offset: number): Row | undefined {
    const first = this.#firstOf(list);
    if (offset < first.length) return first[offset];
    const window = this.#windows.get(keyOf(list, 0));
    return window?.row(offset + this.#shift(list)) as Row | undefined;
  }

  /** The first jobs of a section that are in no group, which are here without a window. */
  #firstOf(list: ListName): Row[] {
    if (list === "running") return this.#runningRows;
    const rows = this.#source.rows(list);
    return list === "pending" || this.still.size === 0 ? rows
      : rows.filter((row) => !this.still.has(row.id));
  }

  /** How many jobs of a section are in no group. */
  #singles(list: ListName): number {
    const total = this.#source.sizes.singles[LISTS.indexOf(list)] ?? 0;
    if (list === "running") return total + this.still.size;
    return list === "pending" ? total : Math.max(0, total - this.still.size);
  }

  /** How many rows of the server's list stand in another one here. */
  #shift(list: ListName): number {
    return list === "history" ? this.still.size : list === "running" ? -this.still.size : 0;
  }

  #sizeOf(group: number): number {
    const known = this.#source.groups.find((one) => one.id === group);
    return known?.listed ?? this.#seen.get(group)?.listed ?? 0;
  }

  #indexOfGroup(segment: Segment, number: number): number {
    if (segment.part !== "groups") return -1;
    const near = this.#source.groups.findIndex((one) => one.id === number);
    return near >= 0 ? near : this.#windows.get("groups 0")?.indexOf(number) ?? -1;
  }

  #indexOfJob(list: ListName, { part, group }: Segment, id: string): number {
    if (part === "groups") return -1;
    const window = this.#windows.get(keyOf(part, group));
    if (part === "group") return window?.indexOf(id) ?? -1;
    const first = this.#firstOf(list);
    const near = first.findIndex((row) => row.id === id);
    if (near >= 0) return near;
    const far = (window?.indexOf(id) ?? -1) - this.#shift(list);
    return far >= first.length ? far : -1;
  }

  // -- how they stand ---------------------------------------------------------------------------

  /** Keep a finished row in its place under the pointer until the pointer has gone. */
  #keepStill(): void {
    const running = this.#source.rows("running");
    this.still.clear();
    if (!this.pointerBusy) {
      this.#runningRows = running;
      return;
    }
    const history = this.context.store.history.concat(this.#source.rows("history"));
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
    if (this.still.size === 0) return;
    this.#leaving ??= setTimeout(() => { // nothing else may happen by then
      this.#leaving = undefined;
      this.context.invalidate();
    }, HOLD_FOR * 1000);
  }

  /** Cut each section into what comes from one part: between open groups, their jobs, the rest. */
  #arrange(): void {
    const open = this.#openGroups();
    LISTS.forEach((list, place) => {
      const segments: Segment[] = [];
      let start = 0;
      const add = (part: PartName, group: number, from: number, size: number): void => {
        if (size > 0) segments.push({ part, group, start, size, from });
        start += Math.max(0, size);
      };
      const first = this.#before(place);
      const last = first + (this.#source.sizes.groups[place] ?? 0);
      let from = first;
      for (const { id, at, listed } of open) {
        if (at < first || at >= last) continue;
        add("groups", 0, from, at + 1 - from);
        add("group", id, 0, listed);
        from = at + 1;
      }
      add("groups", 0, from, last - from);
      add(list, 0, 0, this.#singles(list));
      this.#segments[list] = segments;
      this.#totals[list] = start;
    });
  }

  /** The open groups by their places among all groups. */
  #openGroups(): { id: number; at: number; listed: number }[] {
    const { groups } = this.#source;
    const open: { id: number; at: number; listed: number }[] = [];
    groups.forEach((group, at) => {
      if (this.isOpen(group)) open.push({ id: group.id, at, listed: group.listed });
    });
    const window = this.#windows.get("groups 0");
    for (const [id, isOpen] of this.#opened) {
      if (!isOpen || groups.some((group) => group.id === id)) continue;
      const at = window?.indexOf(id) ?? -1;
      const known = at < 0 ? undefined : window?.row(at) as Group | undefined;
      if (known !== undefined) this.#seen.set(id, { at, listed: known.listed });
      const seen = this.#seen.get(id);
      if (seen !== undefined && seen.at >= groups.length) open.push({ id, ...seen });
    }
    return open.sort((one, other) => one.at - other.at);
  }
}

function keyOf(part: PartName, group: number): string {
  return `${part} ${group}`;
}
