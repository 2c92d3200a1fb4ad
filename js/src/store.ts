// The state of one model as last told by Python, and what follows from it. No DOM.

import {
  cleanGroups, cleanResources, cleanRow, cleanRows, cleanSummary, isPlain,
  type Group, type ListName, type Resources, type Row, type Summary,
} from "./protocol";

export const TRAITS = [
  "view", "job_id", "summary", "running", "head", "history", "groups", "job", "resources",
  "features", "bell",
] as const;

const BEATS_MISSED = 3;
/** A flush is this late at most for reasons of the network alone. */
const GRACE = 1;

const NOTHING = cleanSummary({ epoch: "" }) as Summary;

export class Store {
  summary: Summary = NOTHING;
  running: Row[] = [];
  head: Row[] = [];
  history: Row[] = [];
  groups: Group[] = [];
  job: Row | null = null;
  resources: Resources = { items: [], idle: [], at: 0 };
  canUnload = false;
  /** Whether a page that nobody looks at shall tell of the end. */
  bell = false;
  /** Kernel clock minus page clock, in seconds. */
  offset = 0;
  /** Page time in seconds of the last flush; null before the first. */
  heardAt: number | null = null;
  #lastSeq = -1;
  #lastEpoch = "";
  #base = 0; // ended when the present batch of jobs began
  #askedAt = new Map<string, number>();

  /**
   * Note that a flush arrived; called for each, while `read` comes once per frame.
   * True when one before it was lost and the whole state must be asked for.
   */
  arrived(summary: unknown, now: number): boolean {
    const told = cleanSummary(summary);
    if (told === null) return false;
    const known = told.epoch === this.#lastEpoch;
    const lost = known && told.seq > this.#lastSeq + 1;
    if (!known || told.seq > this.#lastSeq) {
      this.#lastSeq = told.seq;
      this.#lastEpoch = told.epoch;
      this.heardAt = now;
      if (told.t > 0) this.offset = told.t - now;
    }
    return lost;
  }

  /** Take all traits at once. True when the kernel's queue is another one than before. */
  read(get: (name: string) => unknown): boolean {
    const summary = cleanSummary(get("summary"));
    if (summary === null) return false;
    const other = summary.epoch !== this.summary.epoch;
    if (!other && summary.seq < this.summary.seq) return false;
    this.summary = summary;
    this.running = cleanRows(get("running"), 64);
    this.head = cleanRows(get("head"), 200);
    this.history = cleanRows(get("history"), 200);
    this.groups = cleanGroups(get("groups"));
    this.job = cleanRow(get("job"));
    this.resources = cleanResources(get("resources"));
    this.bell = get("bell") === true;
    const features = get("features");
    this.canUnload = isPlain(features) && features["unload"] === true;
    if (other) {
      this.#base = 0;
      this.#askedAt.clear();
    }
    this.#learn();
    return other;
  }

  /** The first jobs of a section that are in no group. */
  rows(list: ListName): Row[] {
    const rows = list === "running" ? this.running : list === "pending" ? this.head : this.history;
    return rows.filter((row) => row.group === 0);
  }

  get ended(): number {
    const { counts } = this.summary;
    return counts.completed + counts.failed + counts.cancelled + counts.retried;
  }

  get busy(): boolean {
    return this.summary.counts.running > 0;
  }

  find(id: string): Row | null {
    for (const rows of [this.running, this.head, this.history]) {
      const row = rows.find((item) => item.id === id);
      if (row !== undefined) return row;
    }
    return this.job?.id === id ? this.job : null;
  }

  /** The kernel's time for a time of the page, both in seconds. */
  kernelTime(now: number): number {
    return now + this.offset;
  }

  /** True when jobs run but heartbeats do not come. */
  silent(now: number): boolean {
    if (!this.busy || this.heardAt === null) return false;
    return now - this.heardAt > BEATS_MISSED * this.summary.beat + GRACE;
  }

  /** Seconds since the job was first seen asked to stop. */
  askedFor(row: Row, kernelNow: number): number {
    const since = this.#askedAt.get(row.id) ?? kernelNow;
    return Math.max(0, kernelNow - since);
  }

  /** Part of the present batch that is done, or null when there is no batch. */
  share(): number | null {
    const { counts } = this.summary;
    const left = counts.running + counts.pending;
    if (left === 0) return null;
    const done = Math.max(0, this.ended - this.#base);
    const partly = this.running.reduce((sum, row) => sum + Math.max(0, row.progress), 0);
    return Math.min(1, (done + partly) / (done + left));
  }

  /** Seconds until all is done, as the kernel estimates; null when not known. */
  secondsLeft(kernelNow: number): number | null {
    const { done_at: end, paused } = this.summary;
    return end === null || paused !== null || !this.busy ? null : end - kernelNow;
  }

  #learn(): void {
    const { counts } = this.summary;
    if (counts.running + counts.pending === 0) this.#base = this.ended;
    else if (this.ended < this.#base) this.#base = 0;
    const stopping = [...this.running, ...(this.job ? [this.job] : [])];
    const asked = new Map<string, number>();
    for (const row of stopping) {
      if (row.cancel_phase !== null) {
        asked.set(row.id, this.#askedAt.get(row.id) ?? this.summary.t);
      }
    }
    this.#askedAt = asked;
  }
}

const JUST_BEGUN = 10; // seconds in which a share says nothing of the rest: it loads its data

/** Seconds a running job still takes at the pace so far; null when that says nothing. */
export function secondsLeftOf(row: Row, kernelNow: number): number | null {
  if (row.started_at === null || row.progress < 0.02 || row.progress > 1) return null;
  const told = row.news_at ?? kernelNow;
  const spent = told - row.started_at;
  if (spent < JUST_BEGUN) return null;
  const left = (spent * (1 - row.progress)) / row.progress - (kernelNow - told);
  return Math.max(0, left);
}
