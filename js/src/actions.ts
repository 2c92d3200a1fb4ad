// Requests to the kernel: answers, repeats over a channel that loses, what is pending, liveness.

import { isPlain, num, text, type Answer, type Model, type Plain, type Problem } from "./protocol";

/** Seconds without an answer after which the page says that the kernel is busy. */
const LATE_AFTER = 1;
/** The same rid is sent again, first after these seconds, then each time that its age has doubled;
 * the server answers, but does not act, twice. */
const REPEAT_AFTER = 4;
const GIVE_UP_AFTER = 600;

export interface Clock {
  now(): number; // milliseconds, monotonic
  after(milliseconds: number, act: () => void): unknown;
  cancel(timer: unknown): void;
}

export const realClock: Clock = {
  now: () => performance.now(),
  after: (milliseconds, act) => setTimeout(act, milliseconds),
  cancel: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};

/** A request that was answered with an error, or could not be sent. */
export class RequestError extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

interface Waiting {
  message: Plain;
  act: boolean;
  sentAt: number;
  againAt: number;
  settle(answer: Answer): void;
}

export class Rpc {
  readonly cid: string;
  /** True since the model refused to send; a new flush clears it. */
  gone = false;
  /** The epoch of the state shown: the server refuses an act that was meant for another one. */
  epoch = "";
  #waiting = new Map<string, Waiting>();
  #next = 0;
  #timer: unknown = null;
  #closed = false;

  constructor(
    private model: Pick<Model, "send">,
    private changed: () => void,
    private clock: Clock = realClock,
    cid: string = randomId(),
  ) {
    this.cid = cid;
  }

  /** Ask for something. `act` marks what a user did: only those count as late. */
  request(op: string, a: Plain = {}, act = false): Promise<Plain> {
    const rid = `${this.cid}-${(this.#next += 1)}`;
    const message: Plain = { t: "req", cid: this.cid, rid, op, epoch: this.epoch, a };
    return new Promise((resolve, reject) => {
      const settle = (answer: Answer): void => {
        this.#waiting.delete(rid);
        if (answer.ok) resolve(answer.v);
        else reject(new RequestError(answer.e.code, answer.e.msg));
        this.changed();
      };
      const sentAt = this.clock.now();
      const againAt = sentAt + REPEAT_AFTER * 1000;
      this.#waiting.set(rid, { message, act, sentAt, againAt, settle });
      this.#post(rid);
      this.#arm();
    });
  }

  /** Take a custom message; false when it is not an answer to this view. */
  receive(message: unknown): boolean {
    if (!isPlain(message) || message["t"] !== "res" || message["cid"] !== this.cid) return false;
    const waiting = this.#waiting.get(text(message["rid"]));
    if (waiting === undefined) return true; // answered already
    this.gone = false;
    const now = this.clock.now();
    for (const older of this.#waiting.values()) {
      if (older === waiting) break;
      // Overtaken, so it was lost, or its answer.
      older.againAt = Math.min(older.againAt, now + (now - older.sentAt) / 16);
    }
    if (message["ok"] === true) {
      waiting.settle({ ok: true, v: isPlain(message["v"]) ? message["v"] : {} });
    } else {
      waiting.settle({ ok: false, e: problem(message["e"]) });
    }
    return true;
  }

  /** True while something that the user did is unanswered for more than a second. */
  get late(): boolean {
    const before = this.clock.now() - LATE_AFTER * 1000;
    return [...this.#waiting.values()].some((item) => item.act && item.sentAt <= before);
  }

  close(): void {
    this.#closed = true;
    this.clock.cancel(this.#timer);
    this.#waiting.clear();
  }

  #post(rid: string): void {
    const waiting = this.#waiting.get(rid);
    if (waiting === undefined) return;
    try {
      this.model.send(waiting.message);
    } catch {
      // The comm is closed: the kernel has gone. Said in the banner; the request ends here.
      this.gone = true;
      const e = { code: "no_kernel", msg: "the kernel has gone" };
      waiting.settle({ ok: false, e });
    }
  }

  #arm(): void {
    this.clock.cancel(this.#timer);
    if (this.#closed || this.#waiting.size === 0) return;
    const now = this.clock.now();
    for (const [rid, item] of [...this.#waiting]) {
      const age = now - item.sentAt;
      if (age > GIVE_UP_AFTER * 1000) {
        item.settle({ ok: false, e: { code: "busy", msg: "the kernel did not answer" } });
      } else if (now >= item.againAt) {
        item.againAt = now + age;
        this.#post(rid);
      }
    }
    this.#timer = this.clock.after(LATE_AFTER * 1000 + 5, () => {
      this.changed();
      this.#arm();
    });
  }
}

function problem(value: unknown): Problem {
  const given = isPlain(value) ? value : {};
  return { code: text(given["code"]) || "internal", msg: text(given["msg"]) };
}

export function randomId(): string {
  const words = crypto.getRandomValues(new Uint32Array(3));
  return [...words].map((word) => word.toString(36)).join("");
}

export interface PendingAct {
  kind: string; // "cancel", "force", "remove", "move", …
  at: number; // seconds, page clock
  rev: number | null; // the revision that shows it, once answered
}

/** What a user asked for and the state does not show yet, by job id. */
export class PendingActs {
  #acts = new Map<string, PendingAct>();

  set(id: string, kind: string, at: number): PendingAct {
    const act: PendingAct = { kind, at, rev: null };
    this.#acts.set(id, act);
    return act;
  }

  get(id: string): PendingAct | undefined {
    return this.#acts.get(id);
  }

  /** The act was answered: it stays pending until the state has that revision. */
  answered(id: string, act: PendingAct, answer: Plain): void {
    if (typeof answer["rev"] === "number") act.rev = num(answer["rev"]);
    else this.drop(id, act);
  }

  drop(id: string, act: PendingAct): void {
    if (this.#acts.get(id) === act) this.#acts.delete(id);
  }

  clear(): void {
    this.#acts.clear();
  }

  settle(rev: number): void {
    for (const [id, act] of this.#acts) {
      if (act.rev !== null && rev >= act.rev) this.#acts.delete(id);
    }
  }
}
