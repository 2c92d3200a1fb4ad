// A row that is left alone shows what it must: what a new row of the same group shows.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { cleanGroups, type Group } from "../../src/protocol";
import type { Context } from "../../src/views/context";
import { GroupLine } from "../../src/views/groups";
import { sentGroup } from "../harness/kernel";
import { told, withoutBrowser } from "./nodes";

withoutBrowser();
const MIDNIGHT = new Date(2026, 5, 1).getTime() / 1000;

/** The page's clock, which `new Date()` asks. */
let now = MIDNIGHT;
class Clock extends Date {
  constructor(at = now * 1000) {
    super(at);
  }
}

function withClock(act: () => void): void {
  const usual = Date;
  globalThis.Date = Clock as DateConstructor;
  try {
    act();
  } finally {
    globalThis.Date = usual;
  }
}

/** Numbers that look random and are the same at each run. */
function numbers(seed: number): (below: number) => number {
  let at = seed;
  return (below) => {
    at = (Math.imul(at, 1664525) + 1013904223) >>> 0;
    return Math.floor((at / 2 ** 32) * below);
  };
}

class World {
  enabled = true;
  room = 60;
  act: string | undefined;
  given: Record<string, unknown> = { id: 3, name: "sweep", pending: 5 };

  readonly context = (() => {
    const world = this;
    return {
      now: () => now,
      get enabled() { return world.enabled; },
      get room() { return world.room; },
      pendingActs: { get: () => world.act === undefined ? undefined : { kind: world.act } },
      invalidate: () => undefined,
      live: { say: () => undefined },
      retryGroup: () => undefined,
      cancelGroup: () => undefined,
    } as unknown as Context;
  })();

  get group(): Group { // as it comes: another object each time
    return cleanGroups([sentGroup(this.given)])[0]!;
  }

  /** Let a row ask whether it is meant, as it may have begun to before it was disabled. */
  pressed(line: GroupLine): void {
    const { act, enabled } = this;
    [this.act, this.enabled] = [undefined, true];
    line.update(this.group);
    line.press();
    [this.act, this.enabled] = [act, enabled];
  }

  change(line: GroupLine, next: (below: number) => number): void {
    const counts = ["pending", "running", "completed", "failed", "cancelled", "retriable"];
    const one = next(12);
    if (one < 5) this.given[counts[next(6)]!] = next(3) === 0 ? 1000 * next(90) : next(3);
    else if (one === 5) this.given["more"] = next(3) - 1;
    else if (one === 6) this.given["name"] = next(2) ? "sweep" : "another";
    else if (one === 7) this.given["done_at"] = next(2) ? MIDNIGHT + 900 + 60 * next(3) : null;
    else if (one === 8) now += 200 * next(3);
    else if (one === 9) this.act = [undefined, "cancel_group", "retry_group"][next(3)];
    else if (one === 10) this.enabled = next(4) > 0;
    else if (next(2)) this.room = [30, 40, 60][next(3)]!;
    else line.press();
  }
}

const shown = (line: GroupLine): string =>
  [line.bar.node, line.name, line.info, line.time, line.retry, line.cancel].map(told).join("\n");

test("whatever changes in whatever order, a row shows what a new one would", () => withClock(() => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const next = numbers(seed);
    now = MIDNIGHT - 400;
    const world = new World();
    const line = new GroupLine(world.context);
    for (let step = 0; step < 80; step += 1) {
      line.update(world.group);
      line.update(world.group); // what a change of its own has asked for
      const fresh = new GroupLine(world.context);
      if (told(line.cancel).includes("jqw-asking")) world.pressed(fresh);
      fresh.update(world.group);
      assert.equal(shown(line), shown(fresh), `seed ${seed}, step ${step}`);
      world.change(line, next);
    }
  }
}));

test("a row that stands still is not written to, though its group comes anew", () => {
  const world = new World();
  const line = new GroupLine(world.context);
  line.update(world.group);
  const wrote = mock.method(line.bar, "update");
  line.update(world.group);
  assert.equal(wrote.mock.callCount(), 0);
  world.given["completed"] = 1;
  line.update(world.group);
  assert.equal(wrote.mock.callCount(), 1);
});

test("of an end that is told with its date the date goes at midnight", () => withClock(() => {
  const world = new World();
  world.given["done_at"] = MIDNIGHT + 900;
  const line = new GroupLine(world.context);
  const said = [MIDNIGHT - 10, MIDNIGHT + 10].map((at) => {
    now = at;
    line.update(world.group);
    return line.time.textContent ?? "";
  });
  assert.match(said[0]!, /^done about .*:15/);
  assert.match(said[1]!, /^done about \S*:15/);
  assert.ok(said[0]!.length > said[1]!.length, said.join());
}));
