// A page without a screen: the model that anywidget would give, and views that only remember.

import widget from "../../src/index";
import { Follower } from "../../src/follow";
import {
  cleanSince, cleanTimeline, LISTS, type ListName, type Model, type Plain, type Row,
} from "../../src/protocol";
import { Context } from "../../src/views/context";
import type { Filter } from "../../src/views/choosing/filter";
import { Lists } from "../../src/views/lists";

type Callback = (...args: unknown[]) => void;
type Range = [first: number, last: number];

export interface Act {
  what: string;
  list: ListName;
  index: number;
  other: number;
  value: number;
}

const NO_FILTER = { found: null, view: null } as unknown as Filter;
const TICK = 1_000; // ms, as in the real view

export class Page {
  readonly views = new Map<string, View>();
  /** The comm is closed: nothing can be sent. */
  closed = false;
  private traits: Plain = {};
  private callbacks = new Map<string, Set<Callback>>();
  private leave: () => void;

  constructor(
    state: Plain,
    cids: string[],
    frame: number,
    post: (content: Plain) => void,
  ) {
    const model: Model = {
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
        post(content);
      },
    };
    this.traits = state;
    this.leave = widget.initialize({ model } as never);
    for (const cid of cids) this.views.set(cid, new View(model, frame));
  }

  /** An update: set at once as in Jupyter, or name by name as in marimo. */
  update(state: Plain, byName: boolean): void {
    const changed = Object.keys(state).filter(
      (name) => JSON.stringify(this.traits[name]) !== JSON.stringify(state[name]),
    );
    if (!byName) Object.assign(this.traits, state);
    for (const name of changed) {
      this.traits[name] = state[name];
      this.emit(`change:${name}`);
    }
  }

  emit(event: string, ...args: unknown[]): void {
    for (const callback of [...(this.callbacks.get(event) ?? [])]) callback(...args);
  }

  close(): void {
    for (const view of this.views.values()) view.close();
    this.leave();
    if ([...this.callbacks.values()].some((set) => set.size > 0)) {
      throw new Error("a page that has gone still listens");
    }
  }
}

export class View {
  readonly context: Context;
  readonly lists: Lists;
  /** Drawn since it was last looked at. */
  drawn = false;
  /** Since when acts wait for their answers, in seconds. */
  private open = new Set<{ since: number }>();
  /** What was acted on. */
  private touched = new Set<string>();
  private follower: Follower;
  private range: Record<ListName, Range> = { running: [0, 0], pending: [0, 0], history: [0, 0] };
  private timer: ReturnType<typeof setInterval>;
  private frame: ReturnType<typeof setTimeout> | null = null;
  private epoch = "";

  constructor(model: Model, delay: number) {
    this.context = new Context(model, () => {
      this.frame ??= setTimeout(() => this.draw(), delay);
    });
    this.lists = new Lists(this.context, NO_FILTER);
    this.listen();
    this.follower = new Follower(model, this.context, (part) => {
      this.lists.push(part);
    });
    this.timer = setInterval(() => this.follower.tick(), TICK);
  }

  scroll(list: ListName, first: number, last: number): void {
    this.range[list] = [first, last];
    this.context.invalidate();
  }

  /** What a person does with the row that stands there; what was asked for, or null. */
  act({ what, list, index, other, value }: Act): Plain | null {
    const row = this.lists.row(list, index);
    const { context } = this;
    if (!context.enabled) return null;
    if (what === "pause") return this.did("togglePause", () => context.togglePause());
    if (what === "undo") return context.undo() ? { told: "undo" } : null;
    if (what === "clear") return this.did("clear", () => context.clearHistory());
    if (what === "find") {
      const view = { text: value > 3 ? "job" : "", status: value > 5 ? "failed" : "" };
      void context.ask("list", { view });
      void context.ask("rows", { list, start: index, end: index + 20, view });
      return null;
    }
    if (what === "kinds") {
      void context.ask("kinds");
      return null;
    }
    if (what === "open group") {
      const entry = this.lists.entry(list, index);
      if (entry?.group !== undefined) this.lists.toggle(entry.group);
      return null;
    }
    if (what === "cancel group" || what === "retry group") {
      const group = context.store.groups[index % Math.max(1, context.store.groups.length)];
      if (group === undefined) return null;
      const cancels = what === "cancel group";
      return this.did(`#${group.id}`, () => {
        if (cancels) context.cancelGroup(group);
        else context.retryGroup(group);
      });
    }
    if (what === "look back") {
      this.lookBack(1 + index, value);
      return null;
    }
    if (row === undefined) return null;
    if (what === "cancel") return this.did(row.id, () => context.cancel(row, value > 5));
    if (what === "remove") return this.did(row.id, () => context.remove(row));
    if (what === "release") return this.did(row.id, () => context.release(row));
    if (what === "retry") return this.did(row.id, () => context.retry(row, value > 7));
    if (what === "priority") {
      return this.asked("priority", { job: row.id, value }, "priority", row.id);
    }
    const anchor = this.lists.row(list, other);
    if (anchor === undefined) return null;
    const beside = value > 4 ? { after: anchor.id } : { before: anchor.id };
    const place = value > 7 ? { to: "top" } : beside;
    return this.did(row.id, () => context.move(row, place));
  }

  /** Ask for the timeline and the curves; what comes must be what was asked for. */
  private lookBack(limit: number, value: number): void {
    const { context } = this;
    const to = context.store.summary.t;
    const from = to - 10 ** (value - 4);
    const asked = context.rpc.request("timeline", { from, to, limit });
    void asked.then((answer) => {
      const told = cleanTimeline(answer);
      const fits = told.bars.every((bar) =>
        bar.lane < told.lanes && bar.start <= to - from + 0.001 && bar.end >= -0.001
        && bar.count >= Math.max(1, bar.failed) && (bar.count === 1 || bar.job === ""));
      if (!fits || told.bars.length > limit || told.zero !== from) {
        throw new Error(`a timeline that nobody asked for: ${JSON.stringify(answer)}`);
      }
    }, () => undefined);
    void context.rpc.request("since", { moment: from }).then((answer) => {
      const told = cleanSince(answer);
      const kinds = told.kinds.reduce((sum, one) => sum + one.count, told.more_kinds);
      if (told.moment !== from || kinds !== told.failed || told.restarted) {
        throw new Error(`it tells of another time: ${JSON.stringify(answer)}`);
      }
    }, () => undefined);
    const row = this.lists.row("history", value);
    if (row === undefined) return;
    const curves = context.rpc.request("metrics", { job: row.id });
    void curves.then((answer) => {
      const { series } = answer;
      if (!Array.isArray(series) || (series.length === 0 && row.status === "completed")) {
        throw new Error(`no curve of a job that measures: ${JSON.stringify(answer)}`);
      }
    }, () => undefined);
  }

  /** What is on the screen, briefly, and what is known of it. */
  seen(): Plain {
    const { store, rpc, pendingActs } = this.context;
    const { summary } = store;
    const shown = this.onScreen();
    const lists = LISTS.map((list) => shown[list].map((row) =>
      row && "status" in row ? [row.id, row.status, row.attempt] : null));
    const oldest = Math.min(...[...this.open].map(({ since }) => since));
    return {
      epoch: summary.epoch, seq: summary.seq, rev: summary.rev, lists,
      windows: LISTS.map((list) => this.lists.windows.get(`${list} 0`)?.rev ?? -1), busy: store.busy, gone: rpc.gone,
      pendingActs: [...this.touched].filter((id) => pendingActs.get(id) !== undefined),
      waits: this.open.size > 0 ? this.context.page() - oldest : 0, late: rpc.late,
    };
  }

  /** The same in full. */
  everything(): Plain {
    const { store } = this.context;
    const totals = Object.fromEntries(LISTS.map((list) => [list, this.lists.total(list)]));
    return {
      ...this.seen(), summary: store.summary, totals, range: this.ranges(), rows: this.onScreen(),
      traits: { running: store.running, head: store.head, history: store.history },
      groups: store.groups, opened: this.lists.opened(),
    };
  }

  close(): void {
    clearInterval(this.timer);
    if (this.frame !== null) clearTimeout(this.frame);
    this.follower.close();
    this.context.close();
  }

  /** Note how long acts wait. */
  private listen(): void {
    const { rpc } = this.context;
    const request = rpc.request.bind(rpc);
    rpc.request = (op, a, act) => {
      const wait = { since: this.context.page() };
      if (act === true) this.open.add(wait);
      return request(op, a, act).finally(() => this.open.delete(wait));
    };
  }

  private did(told: string, act: () => void): Plain {
    this.touched.add(told);
    act();
    return { told };
  }

  private asked(op: string, a: Plain, kind: string, id: string): Plain {
    return this.did(op, () => void this.context.act(op, a, kind, id));
  }

  /** What is in view: a list that got shorter than the place scrolled to shows its end. */
  private ranges(): Record<ListName, Range> {
    const entries = LISTS.map((list): [ListName, Range] => {
      const [first, last] = this.range[list];
      const total = this.lists.total(list);
      const start = Math.max(0, Math.min(first, total - (last - first)));
      return [list, [start, Math.min(total, start + last - first)]];
    });
    return Object.fromEntries(entries) as Record<ListName, Range>;
  }

  /** Jobs as they are known; of groups who they are, and whether they are open. */
  private onScreen(): Record<ListName, (Row | Plain | null)[]> {
    const ranges = this.ranges();
    const entries = LISTS.map((list) => {
      const [first, last] = ranges[list];
      const places = Array.from({ length: last - first }, (_, at) => first + at);
      return [list, places.map((place) => {
        const { row, group, open } = this.lists.entry(list, place) ?? {};
        return row ?? (group === undefined ? null : { group: group.id, open });
      })];
    });
    return Object.fromEntries(entries) as Record<ListName, (Row | Plain | null)[]>;
  }

  private draw(): void {
    this.frame = null;
    this.drawn = true;
    this.follower.read();
    const { epoch } = this.context.store.summary;
    if (epoch !== this.epoch) {
      this.epoch = epoch;
      this.lists.reset(epoch);
    }
    this.lists.refresh();
    const ranges = this.ranges();
    for (const list of LISTS) this.lists.show(list, ...ranges[list]);
    this.lists.shown();
  }
}
