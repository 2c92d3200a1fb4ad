// What every part of a view shares: the state, the requests to the kernel, the acts of the user.

import { PendingActs, RequestError, Rpc } from "../actions";
import { num, type Group, type Model, type Plain, type Row } from "../protocol";
import { Store } from "../store";
import { amount } from "../ui/amount";
import { Live } from "../ui/live";
import { Common } from "./common";

/** Removing a queued job holds it for these seconds, so that it can be undone. */
const UNDO_SECONDS = 8;
const TROUBLE_SHOWN = 8; // seconds
const MANY = "#many";
const HISTORY = "#history"; // among the pending acts, and among what was removed

export class Context {
  readonly store = new Store();
  readonly pendingActs = new PendingActs();
  readonly live = new Live();
  readonly rpc: Rpc;
  /** Aborts when the view ends. */
  readonly ending = new AbortController();
  /** Why the last act failed; shown for a while. */
  trouble: { text: string; at: number } | null = null;
  /** Since when (page clock) the kernel was asked for its state and nothing at all has come. */
  unheard: number | null = null;
  /** When (page clock) the kernel last did what the user asked for. */
  actedAt = 0;
  /** Since when (kernel's clock) nobody has looked, as somebody has come back; else null. */
  awaySince: number | null = null;
  /** How many letters of a row's name surely have room. */
  room = 0;
  /** There is room for short words only. */
  brief = false;
  readonly common = new Common();
  /** What was done to many jobs last, and until when (page clock) it can be undone. */
  done: { told: string; until: number } | null = null;
  #removed: string[] = [];
  #held = new Set<string>(); // of those that were removed

  constructor(
    model: Model,
    readonly invalidate: () => void,
  ) {
    this.rpc = new Rpc(model, invalidate);
  }

  /** The page's clock in seconds. */
  page(): number {
    return Date.now() / 1000;
  }

  /** The kernel's clock in seconds; of its last sign of life, once it has gone while jobs ran. */
  now(): number {
    const { busy, heardAt } = this.store;
    return this.store.kernelTime((!this.enabled && busy && heardAt) || this.page());
  }

  get enabled(): boolean {
    return !this.rpc.gone;
  }

  async ask(op: string, a: Plain = {}): Promise<Plain | null> {
    try {
      return await this.rpc.request(op, a);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return null; // the banner tells when the kernel is gone; a lost job shows as such
    }
  }

  /** Do what the user asked; a pending act shows it until the state does. */
  act(op: string, a: Plain, kind: string, id = ""): Promise<Plain | null> {
    if (!this.enabled) return Promise.resolve(null);
    const pending = id === "" ? null : this.pendingActs.set(id, kind, this.page());
    const answer = this.rpc.request(op, a, true).then(
      (value) => {
        this.actedAt = this.page();
        if (pending !== null) this.pendingActs.answered(id, pending, value);
        return value;
      },
      (error: unknown) => {
        if (pending !== null) this.pendingActs.drop(id, pending);
        if (!(error instanceof RequestError)) throw error;
        if (error.code !== "no_kernel") this.tell(`${sentence(kind)}: ${reason(error)}`);
        return null;
      },
    );
    this.invalidate();
    return answer;
  }

  cancel(row: Row, force = false): void {
    this.live.say(`${force ? "Forcing" : "Asking"} ${row.title} to stop`, true);
    const a = force ? { job: row.id, force } : { job: row.id };
    void this.act("cancel", a, force ? "force" : "cancel", row.id);
  }

  remove(row: Row): void {
    this.#removed.push(row.id);
    if (row.held) this.#held.add(row.id);
    else this.#held.delete(row.id);
    this.live.say(`Removed ${row.title}; Undo within ${UNDO_SECONDS} seconds`, true);
    const a = { job: row.id, seconds: UNDO_SECONDS, then: "cancel" };
    void this.act("hold", a, "remove", row.id);
  }

  release(row: Row): void {
    this.#removed = this.#removed.filter((id) => id !== row.id);
    if (row.hold_then === "cancel" && this.#held.delete(row.id)) {
      this.live.say(`${row.title} is held again`, true);
      void this.act("hold", { job: row.id }, "release", row.id);
      return;
    }
    this.live.say(`${row.title} is queued again`, true);
    void this.act("release", { job: row.id }, "release", row.id);
  }

  hold(row: Row): void {
    this.live.say(`${row.title} is held`, true);
    void this.act("hold", { job: row.id }, "hold", row.id);
  }

  /** Do something to many jobs: those of these ids, all that a view finds, or what has failed. */
  many(act: string, whose: Plain, told: (count: number) => string): Promise<void> {
    return this.act("many_jobs", { "act": act, ...whose }, act).then((answer) => {
      if (answer === null) return;
      const said = told(num(answer["count"]));
      this.done = { told: said, until: this.page() + UNDO_SECONDS };
      this.#removed.push(MANY);
      this.live.say(`${said}; Undo within ${UNDO_SECONDS} seconds`, true);
      this.invalidate();
    });
  }

  get canUndoMany(): boolean {
    return this.done !== null && this.done.until > this.page();
  }

  undoMany(): void {
    this.done = null;
    this.live.say("That is undone", true);
    void this.act("undo_many", {}, "undo");
  }

  /** Bring back what this view removed last and can still be brought back. */
  undo(): boolean {
    for (let id = this.#removed.pop(); id !== undefined; id = this.#removed.pop()) {
      if (id === MANY) {
        if (!this.canUndoMany) continue;
        this.undoMany();
        return true;
      }
      if (id === HISTORY) {
        if (this.hidden > 0) break;
        continue;
      }
      const row = this.store.find(id);
      if (row !== null && (row.status !== "pending" || !row.held)) continue;
      if (row !== null) this.release(row);
      else void this.act("release", { job: id }, "release", id);
      return true;
    }
    return this.undoClear();
  }

  /** Hide what has ended; for some seconds the kernel can undo it. */
  clearHistory(): void {
    this.#removed.push(HISTORY);
    void this.act("clear_history", {}, "clear_history").then((answer) => {
      if (answer === null) return;
      this.live.say(`${hiddenText(num(answer["count"]))}; Undo within 10 seconds`, true);
    });
  }

  /** How many rows were hidden, here or elsewhere, and can be shown again. */
  get hidden(): number {
    const { cleared } = this.store.summary;
    const undone = this.pendingActs.get(HISTORY) !== undefined;
    return cleared !== null && !undone && cleared.until > this.now() ? cleared.count : 0;
  }

  undoClear(): boolean {
    if (this.hidden === 0) return false;
    this.live.say("What was hidden is shown again", true);
    void this.act("undo_clear", {}, "undo", HISTORY);
    return true;
  }

  /** Queue the job again; `latest`: with its function as it is now. */
  retry(row: Row, latest = false): void {
    this.live.say(`Queued ${row.title} again`, true);
    void this.act("retry", latest ? { job: row.id, latest } : { job: row.id }, "retry", row.id);
  }

  /** Cancel all of a group that has not ended. */
  cancelGroup(group: Group): void {
    this.live.say(`Cancelling ${group.name}`, true);
    void this.act("cancel_group", { group: group.id }, "cancel_group", `#${group.id}`);
  }

  /** Queue what has failed of a group again. */
  retryGroup(group: Group): void {
    this.live.say(`Queued ${group.retriable} failed jobs of ${group.name} again`, true);
    void this.act("retry_group", { group: group.id }, "retry_group", `#${group.id}`);
  }

  move(row: Row, place: Plain): void {
    void this.act("move", { job: row.id, ...place }, "move", row.id);
  }

  togglePause(): void {
    const paused = this.store.summary.paused !== null;
    this.live.say(paused ? "Queue resumed" : "Queue paused", true);
    void this.act(paused ? "resume" : "pause", {}, paused ? "resume" : "pause");
  }

  tell(text: string): void {
    this.trouble = { text, at: this.page() };
    this.live.say(text, true);
    this.invalidate();
  }

  /** The trouble to show now, or "". */
  troubleText(): string {
    if (this.trouble !== null && this.page() - this.trouble.at > TROUBLE_SHOWN) this.trouble = null;
    return this.trouble?.text ?? "";
  }

  close(): void {
    this.ending.abort();
    this.rpc.close();
    this.live.close();
  }
}

export function hiddenText(count: number): string {
  return `${amount(count)} ${count === 1 ? "row" : "rows"} hidden`;
}

function sentence(kind: string): string {
  return `Could not ${kind.replace("_", " ")}`;
}

function reason(error: RequestError): string {
  return error.message || error.code.replace("_", " ");
}
