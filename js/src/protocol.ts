// Protocol 1: the shapes of what Python sends, and what is made of anything that does not fit.

import { count, instant, isPlain, num, text, type Plain } from "./checks";
import { columnsOf, type Row } from "./row";

export { isPlain, num, text, type Plain, type Row };

export type ListName = "running" | "pending" | "history";
export const LISTS: readonly ListName[] = ["running", "pending", "history"];
/** What windows are of: jobs of a section that are in no group, the jobs of one, or the groups. */
export type PartName = ListName | "group" | "groups";
const PARTS: readonly PartName[] = [...LISTS, "group", "groups"];

const MOST_GROUPS = 20;
const MOST_KINDS = 6;
const MOST_TOLD_KINDS = 20;
const MOST_BARS = 2_000;
const MOST_PAUSES = 200;

export interface Counts {
  pending: number;
  running: number;
  held: number;
  completed: number;
  failed: number; // and not tried again
  cancelled: number;
  retried: number; // after they failed
  history: number; // ended jobs that can be shown
  clearable: number; // all ended jobs that are kept, and not hidden
  groups: number;
}

/** One number for each section: running, queued, finished. */
export type Three = [number, number, number];

/** How much the list has: jobs in no group, and groups, of each section. */
export interface Sizes {
  singles: Three;
  groups: Three;
}

export interface Summary {
  epoch: string;
  seq: number;
  rev: number;
  t: number;
  name: string;
  phase: string;
  paused: { reason: string; since: number } | null;
  counts: Counts;
  /** `kept`: ended jobs that are listed: completed, failed, cancelled, and tried again. */
  listed: Sizes & { kept: [...Three, number] };
  /** How many rows were hidden, and until when (kernel's clock) that can be undone. */
  cleared: { count: number; until: number } | null;
  /** When all may be done, in seconds of the kernel's clock; null while nobody knows. */
  done_at: number | null;
  lag: number;
  beat: number;
  note: string;
  /** What becomes of jobs if the kernel is gone: those that go on, those that wait. */
  alone: string;
}

export interface Meter {
  name: string;
  used: number;
  reserved: number;
  unused: number; // of what is reserved
  total: number;
  unit: string;
}

export interface IdlePlugin {
  plugin: string;
  holds: number;
  unit: string;
}

/** How a group stands. `more`: its items that are no jobs yet; below 0: nobody knows. */
export interface Group {
  id: number;
  name: string;
  pending: number;
  running: number;
  completed: number;
  failed: number;
  cancelled: number;
  more: number;
  retriable: number;
  /** When all of it may be done, in seconds of the kernel's clock; null while nobody knows. */
  done_at: number | null;
  /** How many of its jobs are listed. */
  listed: number;
  /** The most frequent kinds of failures with an example; told to the cell of one group only. */
  kinds: string[];
}

/** Attempts on a lane; times are seconds after the timeline's `zero`. */
export interface Bar {
  lane: number;
  start: number;
  end: number;
  /** "completed", "failed", "cancelled", "running", or "mixed" for several that differ. */
  status: string;
  job: string; // "" for several, and for one whose job is no longer kept
  attempt: number; // 0 for several
  title: string; // "" for several, and where there are very many bars
  count: number;
  failed: number; // how many of them
  busy: number; // seconds of all of them
}

export interface Pause {
  start: number;
  end: number;
  reason: string;
  away: boolean; // no kernel had the queue
}

/** Answer to `timeline {from, to, limit?}`: epoch seconds of the kernel's clock, at most 2,000. */
export interface Timeline {
  zero: number; // epoch seconds
  now: number; // seconds after it
  lanes: number;
  bars: Bar[];
  pauses: Pause[];
}

/** Answer to `since {moment}`: what has ended since an instant of the kernel's clock. */
export interface Since {
  moment: number;
  now: number;
  completed: number;
  failed: number;
  cancelled: number;
  kinds: { kind: string; count: number }[]; // the most frequent ones first
  more_kinds: number; // how many failed of further kinds
  slowest: { job: string; title: string; seconds: number } | null;
  whole: boolean; // false: more has ended since than is kept
  restarted: boolean; // the queue came back from its journal since
}

export interface Resources {
  items: Meter[];
  idle: IdlePlugin[];
  at: number; // when the kernel looked, by its clock; 0: not told
}

export interface Part {
  epoch: string;
  rev: number;
  list: PartName;
  group: number;
  start: number;
  total: number;
  rows: (Row | Group)[];
}

/** What a list is to show. */
export type View = { text: string; status: string; kind: string; sort?: string; down?: boolean };

/** What the kernel has found for a view: sizes, and the first rows of each part. */
export interface Found {
  rows: Record<ListName, Row[]>;
  groups: Group[];
  listed: Sizes;
  jobs: Three;
  rev: number;
}

export interface Problem {
  code: string;
  msg: string;
}

export type Answer = { ok: true; v: Plain } | { ok: false; e: Problem };

/** What anywidget gives of the model; traits are only read. */
export interface Model {
  get(name: string): unknown;
  on(event: string, callback: (...args: never[]) => void): void;
  off(event: string, callback?: ((...args: never[]) => void) | null): void;
  send(content: Plain): void;
}

/** A row with every field of the right type, or null when it has no id; the usual is not sent. */
export function cleanRow(value: unknown): Row | null {
  if (!isPlain(value) || typeof value["id"] !== "string" || value["id"] === "") return null;
  const row = columnsOf(value);
  row.title ||= row.name || "job";
  return row;
}

/** `start`: the place of the first one, for rows that do not say theirs; null where none is. */
export function cleanRows(value: unknown, most: number, start: number | null = 0): Row[] {
  if (!Array.isArray(value)) return [];
  const rows: Row[] = [];
  const seen = new Set<string>();
  for (const [at, item] of value.slice(0, most).entries()) {
    const row = cleanRow(item);
    if (row === null || seen.has(row.id)) continue;
    seen.add(row.id);
    if (row.status === "pending" && start !== null) row.position ??= start + at;
    rows.push(row);
  }
  return rows;
}

function three(value: unknown): Three {
  const [one, other, third] = Array.isArray(value) ? value.map(count) : [];
  return [one ?? 0, other ?? 0, third ?? 0];
}

function sizes(value: unknown): Sizes {
  const given = isPlain(value) ? value : {};
  return { singles: three(given["singles"]), groups: three(given["groups"]) };
}

export function cleanSummary(value: unknown): Summary | null {
  if (!isPlain(value) || typeof value["epoch"] !== "string") return null;
  const counts = isPlain(value["counts"]) ? value["counts"] : {};
  const { paused, cleared, listed } = value;
  const kept = isPlain(listed) && Array.isArray(listed["kept"]) ? listed["kept"] : [];
  return {
    epoch: value["epoch"],
    seq: num(value["seq"]),
    rev: num(value["rev"]),
    t: num(value["t"]),
    name: text(value["name"]),
    phase: text(value["phase"]),
    paused: isPlain(paused)
      ? { reason: text(paused["reason"]), since: num(paused["since"]) }
      : null,
    counts: {
      pending: count(counts["pending"]),
      running: count(counts["running"]),
      held: count(counts["held"]),
      completed: count(counts["completed"]),
      failed: count(counts["failed"]),
      cancelled: count(counts["cancelled"]),
      retried: count(counts["retried"]),
      history: count(counts["history"]),
      clearable: count(counts["clearable"]),
      groups: count(counts["groups"]),
    },
    listed: { ...sizes(listed), kept: [...three(kept), count(kept[3])] },
    cleared: isPlain(cleared)
      ? { count: count(cleared["count"]), until: num(cleared["until"]) }
      : null,
    done_at: instant(value["done_at"]),
    lag: num(value["lag"]),
    beat: Math.max(0.1, num(value["beat"], 1)),
    note: text(value["note"]),
    alone: text(value["alone"]),
  };
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.slice(0, MOST_KINDS).map((one) => text(one)) : [];
}

const plus = (one: number, other: number): number => one + other;

/** A group is sent as a list of values, without zeros at its end. */
export function cleanGroups(value: unknown, most = MOST_GROUPS): Group[] {
  const items = Array.isArray(value) ? value.filter(Array.isArray).slice(0, most) : [];
  return items.map(([id, name, end, ...counts]) => {
    const [pending, running, completed, failed, cancelled, retriable] = counts.map(count);
    return {
      id: count(id),
      name: text(name) || "group",
      pending: pending ?? 0,
      running: running ?? 0,
      completed: completed ?? 0,
      failed: failed ?? 0,
      cancelled: cancelled ?? 0,
      retriable: retriable ?? 0,
      more: Math.max(-1, Math.floor(num(counts[6]))),
      done_at: num(end) > 0 ? num(end) : null,
      kinds: texts(counts[7]),
      listed: Math.max(0, counts.slice(0, 5).map(count).reduce(plus, 0) - count(counts[8])),
    };
  });
}

export function cleanResources(value: unknown): Resources {
  const given = isPlain(value) ? value : {};
  const list = (name: string): Plain[] => {
    const items = given[name];
    return Array.isArray(items) ? items.filter(isPlain).slice(0, 12) : [];
  };
  return {
    items: list("items").map((item) => ({
      name: text(item["name"], 40),
      used: num(item["used"]),
      reserved: num(item["reserved"]),
      unused: num(item["unused"]),
      total: num(item["total"]),
      unit: text(item["unit"], 10),
    })),
    idle: list("idle").map((item) => ({
      plugin: text(item["plugin"], 80),
      holds: num(item["holds"]),
      unit: text(item["unit"], 10),
    })),
    at: num(given["at"]),
  };
}

/** A slice of a list as answered or pushed, or null when it does not fit. */
export function cleanPart(value: unknown): Part | null {
  if (!isPlain(value) || typeof value["epoch"] !== "string") return null;
  const list = value["list"] as PartName;
  if (!PARTS.includes(list)) return null;
  const start = count(value["start"]);
  return {
    epoch: value["epoch"],
    rev: num(value["rev"]),
    list,
    group: count(value["group"]),
    start,
    total: count(value["total"]),
    rows: list === "groups" ? cleanGroups(value["rows"], 200)
      : cleanRows(value["rows"], 200, list === "pending" ? start : null),
  };
}

/** A bar is sent as a list; one of a single attempt ends with its title. */
function cleanBar(given: unknown[]): Bar {
  const [lane, start, end, status, job, attempt, title, many, failed, busy] = given;
  const from = num(start);
  const until = Math.max(from, num(end));
  const single = many === undefined;
  return {
    lane: count(lane),
    start: from,
    end: until,
    status: text(status, 20),
    job: text(job, 64),
    attempt: count(attempt),
    title: text(title, 80),
    count: single ? 1 : count(many),
    failed: single ? Number(status === "failed") : count(failed),
    busy: single ? until - from : Math.max(0, num(busy)),
  };
}

export function cleanTimeline(value: unknown): Timeline {
  const given = isPlain(value) ? value : {};
  const lists = (name: string, most: number): unknown[][] => {
    const items = given[name];
    return Array.isArray(items) ? items.filter(Array.isArray).slice(0, most) : [];
  };
  return {
    zero: num(given["zero"]),
    now: num(given["now"]),
    lanes: count(given["lanes"]),
    bars: lists("bars", MOST_BARS).map(cleanBar),
    pauses: lists("pauses", MOST_PAUSES).map(([start, end, reason, away]) => ({
      start: num(start),
      end: num(end),
      reason: text(reason),
      away: away === true,
    })),
  };
}

export function cleanSince(value: unknown): Since {
  const given = isPlain(value) ? value : {};
  const { kinds, slowest } = given;
  const told = Array.isArray(kinds) ? kinds.filter(Array.isArray).slice(0, MOST_TOLD_KINDS) : [];
  return {
    moment: num(given["moment"]),
    now: num(given["now"]),
    completed: count(given["completed"]),
    failed: count(given["failed"]),
    cancelled: count(given["cancelled"]),
    kinds: told.map(([kind, many]) => ({ kind: text(kind), count: count(many) })),
    more_kinds: count(given["more_kinds"]),
    slowest: isPlain(slowest)
      ? {
          job: text(slowest["job"], 64),
          title: text(slowest["title"]),
          seconds: Math.max(0, num(slowest["seconds"])),
        }
      : null,
    whole: given["whole"] === true,
    restarted: given["restarted"] === true,
  };
}

export function cleanFound(value: Plain): Found {
  const rows = (list: ListName): Row[] => cleanRows(value[list], 200, null);
  const { listed } = value;
  return {
    rows: { running: rows("running"), pending: rows("pending"), history: rows("history") },
    groups: cleanGroups(value["groups"]),
    listed: sizes(listed),
    jobs: three(isPlain(listed) ? listed["jobs"] : null),
    rev: num(value["rev"]),
  };
}

/** Names of metrics. */
export function cleanNames(value: unknown): string[] {
  return Array.isArray(value) ? value.slice(0, 50).map((one) => text(one, 80)) : [];
}

/** Kinds of failures with how many there are of each. */
export function cleanKinds(value: unknown): [kind: string, count: number][] {
  const items = Array.isArray(value) ? value.filter(Array.isArray).slice(0, 50) : [];
  return items.map(([kind, number]) => [text(kind, 80), count(number)]);
}
