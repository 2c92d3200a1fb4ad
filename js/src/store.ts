// The state of one model as last told by Python, and what follows from it. No DOM.

import {
  cleanResources, cleanRow, cleanRows, cleanSummary, isPlain,
  type ListName, type Resources, type Row, type Summary,
} from "./protocol";

export const TRAITS = [
  "view", "job_id", "summary", "running", "head", "history", "job", "resources", "features",
] as const;

const BEATS_MISSED = 3;
/** A flush is this late at most for reasons of the network alone. */
const GRACE = 1;
const DURATIONS_KEPT = 200;

const NOTHING = cleanSummary({ epoch: "" }) as Summary;

export class Store {
  summary: Summary = NOTHING;
  running: Row[] = [];
  head: Row[] = [];
  history: Row[] = [];
  job: Row | null = null;
  resources: Resources = { items: [], idle: [] };
  canUnload = false;
  /** Kernel clock minus page clock, in seconds. */
  offset = 0;
  /** Page time in seconds of the last flush; null before the first. */
  heardAt: number | null = null;
  #lastSeq = -1;
  #lastEpoch = "";
  #base = 0; // ended when the present batch of jobs began
  #durations = new Map<string, { name: string; took: number }>();
  #means = new Map<string, number>(); // of the durations, by function
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
    this.job = cleanRow(get("job"));
    this.resources = cleanResources(get("resources"));
    const features = get("features");
    this.canUnload = isPlain(features) && features["unload"] === true;
    if (other) {
      this.#base = 0;
      this.#durations.clear();
      this.#askedAt.clear();
    }
    this.#learn();
    return other;
  }

  rows(list: ListName): Row[] {
    return list === "running" ? this.running : list === "pending" ? this.head : this.history;
  }

  /** How many jobs a list has. */
  total(list: ListName): number {
    return Math.max(this.summary.counts[list], this.rows(list).length);
  }

  get ended(): number {
    const { counts } = this.summary;
    return counts.completed + counts.failed + counts.cancelled;
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

  /** Seconds until all is done if jobs go on as the last ones did; null when not known. */
  secondsLeft(kernelNow: number): number | null {
    return this.secondsUntil(this.summary.counts.pending, kernelNow);
  }

  /** Seconds until the job with that many pending ones before it can start; null if not known. */
  secondsUntil(ahead: number, kernelNow: number): number | null {
    if (this.summary.paused !== null || this.running.length === 0) return null;
    let work = 0;
    for (const row of this.running) {
      const usual = this.#usual(row.name, kernelNow);
      const spent = kernelNow - (row.started_at ?? kernelNow);
      const left = secondsLeftOf(row, kernelNow) ?? (usual === null ? null : usual - spent);
      if (left === null || left < -spent / 2) return null; // it is not like the others
      work += Math.max(0, left);
    }
    let queued = 0;
    const known = this.head.slice(0, ahead);
    for (const row of known) {
      const usual = this.#usual(row.name, kernelNow);
      if (usual === null) return null;
      queued += usual;
    }
    if (ahead > 0) queued *= ahead / Math.max(1, known.length);
    return (work + queued) / this.summary.max_running;
  }

  /** Seconds that a job of this function takes: as those that ended, or as one that runs. */
  #usual(name: string, kernelNow: number): number | null {
    const mean = this.#means.get(name);
    if (mean !== undefined) return mean;
    for (const row of this.running) {
      const left = row.name === name ? secondsLeftOf(row, kernelNow) : null;
      if (left !== null) return kernelNow - (row.started_at ?? kernelNow) + left;
    }
    return null;
  }

  #learn(): void {
    const { counts } = this.summary;
    if (counts.running + counts.pending === 0) this.#base = this.ended;
    else if (this.ended < this.#base) this.#base = 0;
    for (const row of this.history) {
      if (row.status !== "completed" || row.started_at === null || row.completed_at === null) {
        continue;
      }
      const took = Math.max(0, row.completed_at - row.started_at);
      this.#durations.set(row.id, { name: row.name, took });
    }
    for (const id of this.#durations.keys()) {
      if (this.#durations.size <= DURATIONS_KEPT) break;
      this.#durations.delete(id);
    }
    const sums = new Map<string, { took: number; jobs: number }>();
    for (const { name, took } of this.#durations.values()) {
      const sum = sums.get(name) ?? { took: 0, jobs: 0 };
      sum.took += took;
      sum.jobs += 1;
      sums.set(name, sum);
    }
    this.#means.clear();
    for (const [name, { took, jobs }] of sums) this.#means.set(name, took / jobs);
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
