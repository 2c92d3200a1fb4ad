// Protocol 1: the shapes of what Python sends, and what is made of anything that does not fit.

export type ListName = "running" | "pending" | "history";
export const LISTS: readonly ListName[] = ["running", "pending", "history"];

export type Status = "pending" | "running" | "completed" | "failed" | "cancelled";

export interface Row {
  id: string;
  title: string;
  name: string;
  args: string;
  tags: string[];
  status: Status;
  priority: number;
  position: number | null;
  attempt: number;
  retry_of: string | null;
  created_at: number | null;
  started_at: number | null;
  completed_at: number | null;
  progress: number; // 0..1, -1 when unknown
  message: string;
  phase: string | null;
  where: string | null;
  cancel_phase: string | null;
  force_at: number | null;
  can_kill: boolean;
  note: string | null;
  differs: boolean; // its function is defined otherwise now
  held: boolean;
  hold_until: number | null;
  hold_then: string;
  block: string | null;
  error: string | null;
  cancel_reason: string | null;
  news_at: number | null;
}

export interface Counts {
  pending: number;
  running: number;
  held: number;
  completed: number;
  failed: number;
  cancelled: number;
  history: number; // ended jobs that can be shown
  clearable: number; // all ended jobs that are kept, and not hidden
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
  /** How many rows were hidden, and until when (kernel's clock) that can be undone. */
  cleared: { count: number; until: number } | null;
  lag: number;
  beat: number;
  max_running: number;
  note: string;
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

export interface Resources {
  items: Meter[];
  idle: IdlePlugin[];
}

export interface Part {
  epoch: string;
  rev: number;
  list: ListName;
  start: number;
  total: number;
  rows: Row[];
}

export interface Problem {
  code: string;
  msg: string;
}

export type Answer = { ok: true; v: Plain } | { ok: false; e: Problem };
export type Plain = Record<string, unknown>;

/** What anywidget gives of the model; traits are only read. */
export interface Model {
  get(name: string): unknown;
  on(event: string, callback: (...args: never[]) => void): void;
  off(event: string, callback?: ((...args: never[]) => void) | null): void;
  send(content: Plain): void;
}

/** Longest text taken into a row; Python clips earlier. */
const TEXT_LIMIT = 500;
const STATUSES: readonly string[] = ["pending", "running", "completed", "failed", "cancelled"];

export function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function num(value: unknown, otherwise = 0): number {
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}

export function count(value: unknown): number {
  return Math.max(0, Math.floor(num(value)));
}

export function text(value: unknown, limit = TEXT_LIMIT): string {
  if (typeof value !== "string") return "";
  return value.length > limit ? value.slice(0, limit).replace(/[\ud800-\udbff]$/, "") : value;
}

function instant(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? text(value) : null;
}

/** A row with every field of the right type, or null when it has no id; the usual is not sent. */
export function cleanRow(value: unknown): Row | null {
  if (!isPlain(value) || typeof value["id"] !== "string" || value["id"] === "") return null;
  const status = STATUSES.includes(value["status"] as string) ? value["status"] : "pending";
  const tags = Array.isArray(value["tags"]) ? value["tags"] : [];
  const title = text(value["title"]) || text(value["name"]) || "job";
  return {
    id: value["id"].slice(0, 64),
    title,
    name: text(value["name"]),
    args: text(value["args"]),
    tags: tags.filter((tag): tag is string => typeof tag === "string").slice(0, 8),
    status: status as Status,
    priority: num(value["priority"]),
    position: instant(value["position"]),
    attempt: num(value["attempt"], 1),
    retry_of: textOrNull(value["retry_of"]),
    created_at: instant(value["created_at"]),
    started_at: instant(value["started_at"]),
    completed_at: instant(value["completed_at"]),
    progress: Math.min(1, num(value["progress"] ?? 0, -1)),
    message: text(value["message"]),
    phase: textOrNull(value["phase"]),
    where: textOrNull(value["where"]),
    cancel_phase: textOrNull(value["cancel_phase"]),
    force_at: instant(value["force_at"]),
    can_kill: value["can_kill"] === true,
    note: textOrNull(value["note"]),
    differs: value["differs"] === true,
    held: value["held"] === true,
    hold_until: instant(value["hold_until"]),
    hold_then: text(value["hold_then"]) || "release",
    block: textOrNull(value["block"]),
    error: textOrNull(value["error"]),
    cancel_reason: textOrNull(value["cancel_reason"]),
    news_at: instant(value["news_at"]),
  };
}

/** `start`: the place of the first one, for rows that do not say theirs. */
export function cleanRows(value: unknown, most: number, start = 0): Row[] {
  if (!Array.isArray(value)) return [];
  const rows: Row[] = [];
  const seen = new Set<string>();
  for (const [at, item] of value.slice(0, most).entries()) {
    const row = cleanRow(item);
    if (row === null || seen.has(row.id)) continue;
    seen.add(row.id);
    if (row.status === "pending") row.position ??= start + at;
    rows.push(row);
  }
  return rows;
}

export function cleanSummary(value: unknown): Summary | null {
  if (!isPlain(value) || typeof value["epoch"] !== "string") return null;
  const counts = isPlain(value["counts"]) ? value["counts"] : {};
  const { paused, cleared } = value;
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
      history: count(counts["history"]),
      clearable: count(counts["clearable"]),
    },
    cleared: isPlain(cleared)
      ? { count: count(cleared["count"]), until: num(cleared["until"]) }
      : null,
    lag: num(value["lag"]),
    beat: Math.max(0.1, num(value["beat"], 1)),
    max_running: Math.max(1, num(value["max_running"], 1)),
    note: text(value["note"]),
  };
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
  };
}

/** A slice of a list as answered or pushed, or null when it does not fit. */
export function cleanPart(value: unknown): Part | null {
  if (!isPlain(value) || typeof value["epoch"] !== "string") return null;
  if (!LISTS.includes(value["list"] as ListName)) return null;
  const start = count(value["start"]);
  return {
    epoch: value["epoch"],
    rev: num(value["rev"]),
    list: value["list"] as ListName,
    start,
    total: count(value["total"]),
    rows: cleanRows(value["rows"], 200, start),
  };
}
