// A queue in the page: the model that anywidget would give, with the kernel's side of protocol 1.

import type { ListName, Model, PartName, Plain, Row } from "../../src/protocol";
import { columnsOf } from "../../src/row";

type Callback = (...args: unknown[]) => void;

export function makeRow(id: string, given: Partial<Row> = {}): Row {
  return {
    ...columnsOf({ id, title: "whisper", name: "whisper" }),
    created_at: Date.now() / 1000 - 600, progress: -1, can_kill: true,
    ...(given.title === undefined ? {} : { name: given.title }),
    ...given,
  };
}

const GROUP = [
  "id", "name", "done_at", "pending", "running", "completed", "failed", "cancelled", "retriable",
  "more", "kinds", "unlisted",
];
const STATUSES = ["pending", "running", "completed", "failed", "cancelled"];
const SECTIONS = ["running", "pending", "history"] as const;

/** What a list shows: rows of the three sections, and groups with their jobs. */
interface Listing {
  rows: Record<ListName, Row[]>;
  groups: Plain[][];
}

/** A group as the kernel sends it. */
export function sentGroup(group: Plain): unknown[] {
  return GROUP.map((name) => group[name] ?? 0);
}

/** Curves by job and name. */
type Measured = Record<string, Record<string, [x: number, y: number | null][]>>;

export class Kernel {
  running: Row[] = [];
  pending: Row[] = [];
  history: Row[] = [];
  groups: Plain[] = [];
  resources: Plain = {};
  paused: { reason: string; since: number } | null = null;
  phase = "started";
  bell = false;
  /** Since when (epoch seconds) nobody has looked, as a page that comes is told. */
  away: number | null = null;
  log = "";
  details: Record<string, Plain> = {};
  results: Record<string, Shown> = {};
  outputs: Record<string, Shown[]> = {};
  lost = 0;
  metrics: Measured = {};
  usage: Measured = {};
  /** Set to hold answers back, as a busy kernel does. */
  deaf = false;
  /** How many ended jobs are listed. */
  shown = Infinity;
  /** Set to tell nothing unasked, as when nothing runs. */
  quiet = false;
  /** Set to refuse to send, as a closed comm does. */
  closed = false;
  /** What was hidden last, and can be shown again. */
  hidden: Row[] = [];
  undoUntil = 0;
  private undoable: Row[] = [];
  readonly sent: Plain[] = [];
  private callbacks = new Map<string, Set<Callback>>();
  private traits: Plain = {};
  private seq = 0;
  private rev = 0;
  private epoch = "e1";
  private watched = new Map<string, { cid: string; list: PartName; group: number; start: number; end: number }>();

  constructor(
    readonly view: "queue" | "job" | "group" = "queue",
    readonly name = "",
  ) {}

  readonly model: Model = {
    get: (name) => this.traits[name],
    on: (event, callback) => {
      const set = this.callbacks.get(event) ?? new Set();
      this.callbacks.set(event, set.add(callback as unknown as Callback));
    },
    off: (event, callback) => {
      this.callbacks.get(event)?.delete(callback as unknown as Callback);
    },
    send: (content) => {
      if (this.closed) throw new Error("Cannot send");
      this.sent.push(content);
      if (!this.deaf) setTimeout(() => this.answer(content), 5);
    },
  };

  get listeners(): number {
    return [...this.callbacks.values()].reduce((sum, set) => sum + set.size, 0);
  }

  /** Another queue from now on, whose next flush has the revision that this one had last. */
  restart(): void {
    this.epoch += "+";
    this.rev -= 1;
    this.watched.clear();
  }

  /** Lose a flush on the way. */
  lose(): void {
    this.flush(false);
  }

  flush(deliver = true): void {
    const all = [...this.history, ...this.hidden];
    const ended = (status: string): number =>
      all.filter((row) => row.status === status && !isRetried(row)).length;
    this.seq += 1;
    this.rev += 1;
    this.pending.forEach((row, index) => (row.position = index));
    const counts = {
      pending: this.pending.length, running: this.running.length,
      held: this.pending.filter((row) => row.held).length, completed: ended("completed"),
      failed: ended("failed"), cancelled: ended("cancelled"), retried: all.filter(isRetried).length,
      history: Math.min(this.shown, this.history.length), clearable: this.history.length,
      groups: this.groups.length,
    };
    const undoable = this.hidden.length > 0 && this.undoUntil > Date.now() / 1000;
    const summary = {
      proto: 1, epoch: this.epoch, seq: this.seq, rev: this.rev, t: Date.now() / 1000, name: this.name,
      phase: this.phase, paused: this.paused, counts,
      cleared: undoable ? { count: this.hidden.length, until: this.undoUntil } : null, lag: 0, beat: 1, max_running: 1,
      cancel_timeout: 5, note: "", alone: "", listed: this.listed(),
    };
    const rows = (list: Row[], most: number): Plain[] =>
      list.slice(0, most).map((row) => ({ ...row }));
    const job = this.view === "job" ? this.running[0] ?? this.pending[0] ?? this.history[0] : {};
    const queue = this.view === "queue";
    const next: Plain = {
      view: this.view, job_id: "", summary, running: queue ? rows(this.running, 8) : [],
      head: queue ? rows(this.pending, 25) : [], history: queue ? rows(this.history, Math.min(20, this.shown)) : [],
      groups: queue ? this.sentGroups(this.listing()) : this.view === "group" ? this.groups.map(sentGroup) : [],
      job: { ...job }, resources: this.resources, features: { unload: true },
      bell: this.bell,
    };
    if (!deliver) return;
    this.traits = next;
    for (const name of Object.keys(next)) this.emit(`change:${name}`);
    for (const { cid, list, group, start, end } of this.watched.values()) {
      this.emit("msg:custom", { t: "rows", cid, ...this.part(list, group, start, end) });
    }
  }

  private emit(event: string, ...args: unknown[]): void {
    for (const callback of this.callbacks.get(event) ?? []) callback(...args);
  }

  /** All that a list shows, or what a view leaves of it. */
  private listing(view: Plain = {}): Listing {
    const words = String(view["text"] ?? "").toLowerCase();
    const status = String(view["status"] ?? "");
    const kind = String(view["kind"] ?? "");
    const fits = (row: Row): boolean =>
      (status === "" || row.status === status) && (kind === "" || kindOf(row) === kind) &&
      `${row.title} ${row.args} ${row.status} ${row.error ?? ""}`.toLowerCase().includes(words);
    const all = Object.keys(view).length === 0;
    const by = (row: Row): number => view["sort"] === "start" ? row.started_at ?? 0
      : (row.completed_at ?? 0) - (row.started_at ?? 0);
    const sign = view["down"] === true ? -1 : 1;
    const of = (list: ListName): Row[] => {
      if (all) return this[list];
      const found = this[list].filter(fits);
      return view["sort"] === undefined ? found
        : found.sort((one, other) => sign * (by(one) - by(other)));
    };
    const rows = { running: of("running"), pending: of("pending"), history: of("history") };
    const has = (group: Plain, list: ListName): boolean =>
      rows[list].some((row) => row.group === group["id"]);
    const groups: Plain[][] = [[], [], []];
    for (const group of this.groups) {
      const at = all
        ? (Number(group["running"]) > 0 ? 0 : Number(group["pending"]) > 0 || group["more"] ? 1 : 2)
        : SECTIONS.findIndex((list) => has(group, list));
      if (at >= 0) groups[at]?.push(group);
    }
    return { rows, groups };
  }

  private sentGroups({ rows, groups }: Listing, start = 0, end = 20): unknown[] {
    return groups.flat().slice(start, end).map((group) =>
      sentGroup({
        ...group,
        unlisted: STATUSES.reduce((sum, status) => sum + Number(group[status] ?? 0), 0) -
          members(rows, Number(group["id"])).length,
      }));
  }

  private listed(): Plain {
    const kept = ["completed", "failed", "cancelled"].map((status) =>
      this.history.filter((row) => row.status === status && !isRetried(row)).length);
    return { ...sizes(this.listing()), kept: [...kept, this.history.filter(isRetried).length] };
  }

  private part(list: PartName, group: number, start: number, end: number, view?: Plain): Plain {
    const listing = this.listing(view);
    const where = { epoch: this.epoch, rev: this.rev, list, start };
    if (list === "groups") {
      const groups = this.sentGroups(listing, start, end);
      return { ...where, total: listing.groups.flat().length, rows: groups };
    }
    const all = list === "group" ? members(listing.rows, group)
      : listing.rows[list].filter((row) => row.group === 0);
    const rows = all.slice(start, end).map((row) => ({ ...row }));
    return { ...where, ...(group && { group }), total: all.length, rows };
  }

  private answer(message: Plain): void {
    const { cid, rid, op } = message;
    const a = (message["a"] ?? {}) as Plain;
    const outcome = this.carryOut(String(op), a, String(cid));
    this.emit("msg:custom", { t: "res", cid, rid, ...outcome });
    if (!QUIET.includes(String(op))) this.flush();
  }

  private carryOut(op: string, a: Plain, cid: string): Plain {
    const id = String(a["job"] ?? "");
    const at = this.pending.findIndex((row) => row.id === id);
    const queued = this.pending[at];
    const row = queued ?? this.running.find((item) => item.id === id) ??
      this.history.find((item) => item.id === id);
    const done = { ok: true, v: { rev: this.rev + 1 } };
    const now = Date.now() / 1000;
    const list = a["list"] as PartName;
    const group = Number(a["group"] ?? 0);
    const view = a["view"] as Plain | undefined;
    if (op === "rows") {
      return { ok: true, v: this.part(list, group, Number(a["start"]), Number(a["end"]), view) };
    }
    if (op === "watch") {
      const window = { cid, list, group, start: Number(a["start"]), end: Number(a["end"]) };
      this.watched.set(`${cid}${list}${group}`, window);
    } else if (op === "unwatch") this.watched.delete(`${cid}${list}${group}`);
    else if (op === "script") return { ok: true, v: { text: textOf(`${String(a["name"])}.js`) } };
    else if (op === "measured") return { ok: true, v: { names: ["loss", "<b>accuracy"] } };
    else if (op === "list") {
      const listing = this.listing(view);
      const first = (name: ListName): Plain[] =>
        listing.rows[name].filter((item) => item.group === 0).slice(0, 25).map((item) => ({ ...item }));
      return { ok: true, v: {
        running: first("running"), pending: first("pending"), history: first("history"),
        groups: this.sentGroups(listing), listed: sizes(listing), rev: this.rev,
      } };
    } else if (op === "kinds") {
      const counts = new Map<string, number>();
      for (const item of this.history) {
        if (item.status === "failed") counts.set(kindOf(item), (counts.get(kindOf(item)) ?? 0) + 1);
      }
      return { ok: true, v: { kinds: [...counts].sort((one, other) => other[1] - one[1]) } };
    } else if (op === "pause") this.paused = { reason: "in the widget", since: now };
    else if (op === "resume") this.paused = null;
    else if (op === "start") this.phase = "started";
    else if (op === "cancel_many") {
      const count = this.pending.length;
      this.pending.forEach((item) => Object.assign(item, { status: "cancelled", completed_at: now }));
      this.history.unshift(...this.pending.splice(0));
      return { ok: true, v: { count } };
    } else if (op === "many_jobs") {
      const found = view === undefined ? null : this.listing(view).rows;
      const ids = new Set((a["jobs"] as string[] | undefined) ?? []);
      const all = [...this.running, ...this.pending, ...this.history];
      const jobs = a["from"] !== undefined
        ? this.history.filter((item) => (item.completed_at ?? 0) >= Number(a["from"]))
        : found === null ? all.filter((item) => ids.has(item.id))
        : SECTIONS.flatMap((name) => found[name]);
      return { ok: true, v: { count: this.many(String(a["act"]), jobs, now), rev: this.rev + 1 } };
    } else if (op === "undo_many") {
      const count = this.undoable.length;
      this.undoable.splice(0).forEach((item) => Object.assign(item, { held: false, hold_until: null }));
      return { ok: true, v: { count, rev: this.rev + 1 } };
    } else if (op === "clear_history") {
      this.hidden = this.history.splice(0);
      this.undoUntil = now + 10;
      return { ok: true, v: { count: this.hidden.length, rev: this.rev + 1 } };
    } else if (op === "bell") this.bell = a["on"] === true;
    else if (op === "undo_clear") {
      if (this.undoUntil < now) return { ok: false, e: { code: "stale", msg: "too late" } };
      this.history.push(...this.hidden.splice(0));
      return done;
    } else if (op === "cancel_group" || op === "retry_group") {
      const group = this.groups.find((item) => item["id"] === a["group"]);
      if (group === undefined) return { ok: false, e: { code: "not_found", msg: "not kept" } };
      if (op === "retry_group") {
        Object.assign(group, { pending: group["failed"], failed: 0, retriable: 0 });
      } else {
        const ended = Number(group["pending"] ?? 0) + Number(group["running"] ?? 0);
        Object.assign(group, { pending: 0, running: 0, cancelled: ended });
      }
    } else if (op === "hello") return { ok: true, v: { epoch: this.epoch, away: this.away } };
    else if (op === "machine") return { ok: true, v: {} };
    else if (op === "since") return { ok: true, v: this.since(Number(a["moment"])) };
    else if (op === "log") {
      const bytes = new TextEncoder().encode(this.log);
      const from = Number(a["from"]) < 0 ? Math.max(0, bytes.length - 65536) : Number(a["from"]);
      const text = new TextDecoder().decode(bytes.slice(from, from + 65536));
      const next = Math.min(bytes.length, from + 65536);
      const times = from === 0 && text !== "" ? [[0, 1_800_000_000]] : [];
      return { ok: true, v: { from, next, text, end: next === bytes.length, times } };
    } else if (row === undefined) return { ok: false, e: { code: "not_found", msg: "not kept" } };
    else if (op === "job") {
      const more = this.details[id] ?? { traceback: "", failure: null };
      const parameters = row.args === "" ? [] : [["given", row.args, true, true]];
      const told = { row, kwargs_text: row.args, parameters, target: row.name, ...more };
      return { ok: true, v: { ...told, has: this.contents(row) } };
    } else if (op === "has") return { ok: true, v: this.contents(row) };
    else if (op === "result") {
      return { ok: true, v: listed([this.results[id] ?? { forms: [["text", "'done'"]] }]) };
    } else if (op === "outputs") {
      return { ok: true, v: { ...listed(this.outputs[id] ?? []), lost: this.lost } };
    } else if (op === "metrics") {
      const series = Object.entries(this.measured(a)).map(([name, points]) => {
        const values = points.flatMap(([, value]) => value ?? []);
        return [
          name, values.at(-1) ?? null, values.length ? Math.min(...values) : null,
          values.length ? Math.max(...values) : null, points.length, String(points.length),
        ];
      });
      return { ok: true, v: { series, by: a["of"] === "usage" ? "seconds" : "step" } };
    } else if (op === "curve") {
      const points = Object.values(this.measured(a))[Number(a["at"])] ?? [];
      return { ok: true, v: { x: points.map(([x]) => x), y: points.map(([, y]) => y) } };
    } else if (op === "form") {
      const pieces = a["of"] === "output" ? this.outputs[id] : [this.results[id] as Shown];
      const forms = pieces?.[Number(a["at"])]?.forms ?? [];
      const body = forms.find(([kind]) => kind === a["form"])?.[1];
      if (body === undefined) return { ok: false, e: { code: "not_found", msg: "not shown" } };
      const [from, size] = [Number(a["from"]), body.length];
      const next = Math.min(size, from + 262_144);
      return { ok: true, v: { from, next, size, body: body.slice(from, next) } };
    } else if (op === "retry") {
      this.pending.push(makeRow(`${id}r`, { title: row.title, args: row.args, retry_of: row.id }));
      return { ok: true, v: { job: `${id}r`, rev: this.rev + 1 } };
    } else if (op === "retry_with") {
      const changes = a["changes"] as Plain;
      const wrong = Object.entries(changes).find(([, value]) => /[a-z]\(/.test(String(value)));
      if (wrong !== undefined) {
        return { ok: false, e: { code: "bad_request", msg: `${wrong[0]}: is no literal` } };
      }
      const args = Object.entries(changes).map(([name, value]) => `${name}=${value}`).join(", ");
      this.pending.push(makeRow(`${id}r`, { title: row.title, args, retry_of: row.id }));
      return { ok: true, v: { job: `${id}r`, rev: this.rev + 1 } };
    } else if (op === "stack") {
      if (row.status !== "running") return { ok: false, e: { code: "gone", msg: "no stack now" } };
      return { ok: true, v: { text: '  File "run.py", line 12, in whisper\n    model(batch)\n' } };
    } else if (op === "cancel" && row.status === "running") {
      row.cancel_phase = a["force"] === true ? "forcing" : "asked";
      row.force_at = a["force"] === true ? null : now + 5;
    } else if (queued === undefined) {
      return { ok: false, e: { code: "stale", msg: "the job has gone on meanwhile" } };
    } else if (op === "hold") {
      Object.assign(queued, {
        held: true, hold_until: now + Number(a["seconds"]), hold_then: a["then"],
      });
    } else if (op === "release") Object.assign(queued, { held: false, hold_until: null });
    else if (op === "priority") queued.priority = Number(a["value"]);
    else if (op === "move") this.move(at, queued, a);
    return done;
  }

  private since(moment: number): Plain {
    const ended = this.history.filter((row) => (row.completed_at ?? 0) >= moment && !isRetried(row));
    const of = (status: string): Row[] => ended.filter((row) => row.status === status);
    const kinds = new Map<string, number>();
    for (const row of of("failed")) kinds.set(kindOf(row), (kinds.get(kindOf(row)) ?? 0) + 1);
    const [slowest] = ended;
    return {
      moment, now: Date.now() / 1000, completed: of("completed").length, failed: of("failed").length,
      cancelled: of("cancelled").length, kinds: [...kinds], more_kinds: 0, whole: true,
      slowest: slowest ? { job: slowest.id, title: slowest.title, seconds: 2_460 } : null,
    };
  }

  private many(act: string, jobs: Row[], now: number): number {
    let count = 0;
    for (const row of jobs) {
      if (act === "retry" && row.status === "failed" && !isRetried(row)) {
        row.note = `retried → ${row.id}r`;
        this.pending.push(makeRow(`${row.id}r`, { title: row.title, retry_of: row.id }));
      } else if (act === "cancel" && row.status === "running") row.cancel_phase = "asked";
      else if (act !== "retry" && row.status === "pending") {
        const removed = act === "cancel" ? { hold_until: now + 8, hold_then: "cancel" } : {};
        Object.assign(row, { held: act !== "release", ...removed });
        this.undoable.push(row);
      } else continue;
      count += 1;
    }
    return count;
  }

  /** Which tabs of a job have content. */
  /** The curves that a page asks for. */
  private measured(a: Plain): Measured[string] {
    return (a["of"] === "usage" ? this.usage : this.metrics)[String(a["job"])] ?? {};
  }

  private contents(row: Row): Plain {
    const ended = row.completed_at !== null;
    const failed = row.status === "failed" || this.details[row.id]?.["failure"] != null;
    const output = this.outputs[row.id]?.length ?? 0;
    const curves = [this.metrics, this.usage].flatMap((of) => Object.keys(of[row.id] ?? {})).length;
    const shown = { curves, output, output_revision: output };
    return { ...shown, log: this.log !== "", error: failed, result: ended && row.status === "completed" };
  }

  private move(at: number, row: Row, a: Plain): void {
    this.pending.splice(at, 1);
    const place = (id: unknown): number => this.pending.findIndex((item) => item.id === id);
    const to = a["to"] === "top" ? 0 : a["to"] === "bottom" ? this.pending.length
      : a["before"] !== undefined ? place(a["before"]) : place(a["after"]) + 1;
    this.pending.splice(to, 0, row);
  }
}

function textOf(file: string): string {
  const request = new XMLHttpRequest();
  request.open("GET", file, false);
  request.send();
  return request.responseText;
}

function kindOf(row: Row): string {
  return (row.error ?? "").split(":", 1)[0] ?? "";
}

function isRetried(row: Row): boolean {
  return row.note?.startsWith("retried → ") === true;
}

function members(rows: Record<ListName, Row[]>, group: number): Row[] {
  return SECTIONS.flatMap((list) => rows[list]).filter((row) => row.group === group);
}

function sizes({ rows, groups }: Listing): Plain {
  return {
    singles: SECTIONS.map((list) => rows[list].filter((row) => row.group === 0).length),
    groups: groups.map((some) => some.length),
    jobs: SECTIONS.map((list) => rows[list].length),
  };
}

/** What a job displays or returns: its forms by kind, each with its text and mime type. */
export interface Shown {
  forms: [kind: string, body: string, mime?: string][];
  said?: string;
  too_large?: string[];
}

function listed(pieces: Shown[]): Plain {
  return {
    items: pieces.map(({ forms, said = "", too_large = [] }) => ({
      said, too_large,
      forms: forms.map(([kind, body, mime = ""]) => [kind, body.length, mime, body.slice(0, 99)]),
      ...((forms[0]?.[1].length ?? 0) < 50_000 ? { body: forms[0]?.[1] } : {}),
    })),
  };
}

const QUIET = [
  "snapshot", "rows", "log", "job", "has", "outputs", "form", "metrics", "curve", "stack", "result",
  "list", "kinds", "machine", "measured", "script", "since", "unwatch",
];
