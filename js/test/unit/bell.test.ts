import assert from "node:assert/strict";
import { test } from "node:test";
import { askToRing, canRing, keepBell, mayRing } from "../../src/bell";
import type { Model, Plain } from "../../src/protocol";

class Shown {
  static permission = "default";
  static answer = "granted";
  static all: Shown[] = [];
  static requestPermission(): Promise<string> {
    Shown.permission = Shown.answer;
    return Promise.resolve(Shown.answer);
  }
  onclick: (() => void) | null = null;
  constructor(readonly title: string, readonly options: { tag: string }) {
    Shown.all.push(this);
  }
  close(): void {
    Shown.all = Shown.all.filter((one) => one !== this);
  }
}

const page = { visibilityState: "hidden" };
Object.assign(globalThis, { Notification: Shown, document: page, focus: () => undefined });

type Counts = Partial<Record<
  "running" | "pending" | "held" | "completed" | "failed" | "retried", number
>>;

/** A widget with a bell, whose page nobody looks at. */
async function made(start: Counts, epoch = "a") {
  const listeners = new Set<() => void>();
  const traits: Plain = { bell: true };
  let rev = 0;
  const set = (counts: Counts, of: string): void => {
    traits["summary"] = { epoch: of, rev: (rev += 1), name: "sweep 7", counts };
  };
  set(start, epoch);
  page.visibilityState = "hidden";
  Shown.permission = "default";
  Shown.answer = "granted";
  Shown.all = [];
  assert.equal(await askToRing(), true);
  const model = {
    get: (name: string) => traits[name],
    on: (_: string, callback: () => void) => void listeners.add(callback),
    off: (_: string, callback: () => void) => void listeners.delete(callback),
    send: () => undefined,
  } as unknown as Model;
  const ends = [keepBell(model)];
  return {
    traits,
    /** Another tab with the same widget. */
    again: () => void ends.push(keepBell(model)),
    told(counts: Counts, of = epoch): void {
      set(counts, of);
      for (const one of listeners) one();
    },
    end(): void {
      for (const one of ends) one();
      assert.equal(listeners.size, 0);
    },
  };
}

const titles = (): string[] => Shown.all.map((one) => one.title);

test("the end of all is told once, with how it ended", async () => {
  const { told, end } = await made({ running: 1, pending: 3 });
  told({ running: 1, completed: 3 });
  assert.deepEqual(titles(), []);
  told({ completed: 4 });
  told({ completed: 4 });
  assert.deepEqual(titles(), ["sweep 7: 4 done"]);
  end();
});

test("the first failure of a batch is told, and no other of it", async () => {
  const { told } = await made({ running: 2, pending: 2, failed: 5 });
  told({ running: 2, pending: 1, failed: 6 });
  told({ running: 2, failed: 7 });
  told({ completed: 1, failed: 8 });
  assert.deepEqual(titles(), ["sweep 7: a job has failed", "sweep 7: 1 done, 8 failed"]);
  told({ running: 1, completed: 1, failed: 8 });
  told({ running: 1, pending: 1, completed: 1, failed: 9 });
  assert.equal(titles().length, 3, "the next batch has its own first failure");
});

test("a failure is told after failed ones were tried again, and the end tells what is left", async () => {
  const { told } = await made({ completed: 28, failed: 12 });
  told({ pending: 12, completed: 28, retried: 12 });
  told({ running: 3, pending: 9, completed: 28, retried: 12 });
  assert.deepEqual(titles(), []);
  told({ running: 2, pending: 9, completed: 28, failed: 1, retried: 12 });
  told({ completed: 39, failed: 1, retried: 12 });
  assert.deepEqual(titles(), ["sweep 7: a job has failed", "sweep 7: 39 done, 1 failed"]);
});

test("a job that was so quick that nobody saw it run is told if it failed", async () => {
  const { told } = await made({});
  told({ failed: 1 });
  assert.deepEqual(titles(), ["sweep 7: a job has failed"]);
});

test("held jobs keep nothing from being done", async () => {
  const { told } = await made({ running: 1, pending: 2, held: 2 });
  told({ pending: 2, held: 2, completed: 1 });
  assert.deepEqual(titles(), ["sweep 7: 1 done"]);
});

test("in several tabs each event has one tag, and each event another", async () => {
  const { told, again } = await made({ running: 3 });
  again();
  told({ running: 1, completed: 1, failed: 1 });
  told({ completed: 2, failed: 1 });
  assert.equal(Shown.all.length, 4);
  assert.equal(new Set(Shown.all.map((note) => note.options.tag)).size, 2);
});

test("the same end of two batches has two tags", async () => {
  const { told } = await made({ running: 1, failed: 2 });
  told({ failed: 3 });
  told({ running: 1, failed: 3 });
  told({ running: 1, pending: 1, failed: 4 });
  told({ running: 1, failed: 4, completed: 1 });
  told({ failed: 4, completed: 2 });
  assert.equal(new Set(Shown.all.map((note) => note.options.tag)).size, Shown.all.length);
});

test("nothing is told while somebody looks, without the bell, or without leave", async () => {
  const { told, traits } = await made({ running: 1 });
  page.visibilityState = "visible";
  told({ completed: 1 });
  page.visibilityState = "hidden";
  for (const bell of [false, "yes", undefined]) {
    traits["bell"] = bell;
    told({ running: 1, completed: 1 });
    told({ completed: 2 });
  }
  traits["bell"] = true;
  Shown.permission = "denied";
  told({ running: 1, completed: 2 });
  told({ completed: 3 });
  assert.deepEqual(titles(), []);
});

test("a kernel that comes back with another epoch does not count as an end", async () => {
  const { told } = await made({ running: 1 });
  told({ failed: 7 }, "b");
  assert.deepEqual(titles(), []);
});

test("the user is asked, and may refuse", async () => {
  await made({});
  Shown.answer = "denied";
  assert.equal(await askToRing(), false);
  assert.equal(canRing(), false);
  assert.equal(mayRing(), false);
});

test("a click brings the page to the front", async () => {
  const { told } = await made({ running: 1 });
  told({ completed: 1 });
  Shown.all[0]!.onclick?.();
  assert.deepEqual(titles(), []);
});
