// Time as a number: what the page's clocks and timers become in a fuzz run.

interface Timer {
  at: number; // seconds
  order: number;
  act: () => void;
  every: number | null;
}

/** Node's own, for what must really happen later. */
export const really = globalThis.setImmediate;

class Time {
  now = 0;
  private timers = new Map<number, Timer>();
  private count = 0;

  /** All clocks and timers of this process follow `now` from here on. */
  takeOver(): void {
    const add = (act: () => void, milliseconds = 0, every = false): number => {
      const seconds = Math.max(0, milliseconds) / 1000;
      this.count += 1;
      const timer = { at: this.now + seconds, order: this.count, act, every: every ? seconds : null };
      this.timers.set(this.count, timer);
      return this.count;
    };
    const remove = (key: number | undefined): void => void this.timers.delete(key ?? 0);
    Object.assign(globalThis, {
      setTimeout: add,
      setInterval: (act: () => void, milliseconds: number) => add(act, milliseconds, true),
      clearTimeout: remove,
      clearInterval: remove,
    });
    Date.now = () => this.now * 1000;
    Object.defineProperty(performance, "now", { value: () => this.now * 1000 });
  }

  /** The instant of the next timer. */
  get next(): number | null {
    const first = this.first();
    return first === null ? null : first[1].at;
  }

  /** Go on to `now`, timer by timer; between two of them promises settle. */
  async goTo(now: number): Promise<void> {
    for (let due = this.first(); due !== null && due[1].at <= now; due = this.first()) {
      const [key, timer] = due;
      this.now = Math.max(this.now, timer.at);
      if (timer.every === null) this.timers.delete(key);
      else timer.at += timer.every;
      timer.act();
      await settled();
    }
    this.now = Math.max(this.now, now);
  }

  reset(): void {
    this.timers.clear();
    this.now = 0;
  }

  private first(): [number, Timer] | null {
    let best: [number, Timer] | null = null;
    for (const [key, timer] of this.timers) {
      const earlier = best === null || timer.at < best[1].at;
      if (earlier || (timer.at === best?.[1].at && timer.order < best[1].order)) best = [key, timer];
    }
    return best;
  }
}

export const time = new Time();

/** After every promise that can settle now. */
export function settled(): Promise<void> {
  return new Promise((resolve) => void really(resolve));
}
