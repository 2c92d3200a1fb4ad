// A clock that goes when a test says so.

import type { Clock } from "../../src/actions";

export class Ticks implements Clock {
  time = 0;
  private due: { at: number; act: () => void }[] = [];
  now = (): number => this.time;
  after = (ms: number, act: () => void): unknown => {
    const timer = { at: this.time + ms, act };
    this.due.push(timer);
    return timer;
  };
  cancel = (timer: unknown): void => void (this.due = this.due.filter((item) => item !== timer));
  go(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = this.due.filter((item) => item.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.cancel(next);
      this.time = next.at;
      next.act();
    }
    this.time = end;
  }
}
