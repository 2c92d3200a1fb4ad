import assert from "node:assert/strict";
import { test } from "node:test";
import protocol from "../../../jobqueue_widget/widget/protocol.json";
import { cleanRow, type Plain, type Row } from "../../src/protocol";
import { secondsLeftOf, Store } from "../../src/store";
import { moment } from "../../src/ui/time";
import { knownProgress, wordsOf } from "../../src/views/words";
import { makeRow } from "../harness/kernel";

const COUNTS = {
  pending: 0, running: 0, held: 0, completed: 0, failed: 0, cancelled: 0, history: 0,
};

function traits(given: Record<string, unknown>, lists: Record<string, Row[]> = {}) {
  const summary = {
    epoch: "a", seq: 1, rev: 1, t: 1000, phase: "started", paused: null, counts: COUNTS,
    beat: 1, max_running: 1, ...given,
  };
  return (name: string): unknown => (name === "summary" ? summary : lists[name]);
}

function storeWith(given: Record<string, unknown>, lists: Record<string, Row[]> = {}): Store {
  const store = new Store();
  store.read(traits(given, lists));
  return store;
}

test("what a row does not tell is as the kernel left it out", () => {
  const usual = Object.entries<object>(protocol.row)
    .flatMap(([name, column]) => ("default" in column ? [[name, column.default]] : []));
  const told = { id: "j1", title: "whisper", name: "whisper" };
  assert.deepEqual(cleanRow({ id: "j1", name: "whisper" }), { ...Object.fromEntries(usual), ...told });
});

test("an older flush never replaces a newer one", () => {
  const store = storeWith({ seq: 5, rev: 9 });
  store.read(traits({ seq: 4, rev: 8 }));
  assert.equal(store.summary.rev, 9);
});

test("another epoch replaces everything, whatever its seq", () => {
  const store = storeWith({ seq: 5 });
  assert.equal(store.read(traits({ seq: 1, epoch: "b" })), true);
  assert.equal(store.summary.epoch, "b");
});

test("a gap in seq is noticed, a repeat is not one", () => {
  const store = new Store();
  const summary = traits({ seq: 1 })("summary") as object;
  assert.equal(store.arrived({ ...summary, seq: 7 }, 0), false); // the first one seen
  assert.equal(store.arrived({ ...summary, seq: 8 }, 0), false);
  assert.equal(store.arrived({ ...summary, seq: 8 }, 0), false);
  assert.equal(store.arrived({ ...summary, seq: 10 }, 0), true);
});

test("three missed heartbeats while jobs run are silence; none are when idle", () => {
  const busy = storeWith({ counts: { ...COUNTS, running: 1 } });
  busy.arrived(busy.summary, 100);
  assert.equal(busy.silent(103), false);
  assert.equal(busy.silent(104.5), true);
  const idle = storeWith({});
  idle.arrived(idle.summary, 100);
  assert.equal(idle.silent(1000), false);
});

test("rows of jobs that are in a group stand below it, not beside", () => {
  const head = [makeRow("one"), makeRow("two", { group: 3 }), makeRow("three")];
  const store = storeWith({});
  store.read(traits({ seq: 2 }, { head }));
  assert.deepEqual(store.rows("pending").map((row) => row.id), ["one", "three"]);
  assert.deepEqual(store.rows("pending").map((row) => row.position), [0, 2]);
});

test("the share done counts the present batch only", () => {
  const store = storeWith({ counts: { ...COUNTS, completed: 50 } });
  assert.equal(store.share(), null);
  const counts = { ...COUNTS, completed: 51, pending: 2, running: 1 };
  store.read(traits({ seq: 2, counts }, { running: [makeRow("r", { progress: 0.5 })] }));
  assert.equal(store.share(), 1.5 / 4);
});

test("what is tried again is a batch of its own: the failures before it have ended all the same", () => {
  const store = storeWith({ counts: { ...COUNTS, completed: 28, failed: 12 } });
  const counts = { ...COUNTS, completed: 31, failed: 1, retried: 12, pending: 8 };
  store.read(traits({ seq: 2, counts }));
  assert.equal(store.ended, 44);
  assert.equal(store.share(), 4 / 12);
});

test("rows that do not fit are dropped or mended", () => {
  const rows = [makeRow("a"), 7, { id: 3 }, { id: "__proto__", progress: "x" }, makeRow("a")];
  const store = storeWith({}, { head: rows as Row[] });
  assert.deepEqual(store.head.map((row) => [row.id, row.progress]), [["a", -1], ["__proto__", -1]]);
});

test("words follow a cancel from asking to ending", () => {
  const store = storeWith({ t: 1000, counts: { ...COUNTS, running: 1 } }, {
    running: [makeRow("r", { status: "running", cancel_phase: "asked" })],
  });
  const row = makeRow("r", { status: "running", started_at: 990, force_at: 1005 });
  const say = (given: Partial<Row>, now: number, requested = ""): string => {
    const words = wordsOf({ ...row, ...given }, requested, store, now);
    return `${words.info}|${words.act}|${words.ready}`;
  };
  assert.equal(say({}, 1000, "cancel"), "stop requested…|cancel|false");
  assert.equal(say({ cancel_phase: "asked" }, 1001), "asked to stop… 1 s|force|false");
  assert.equal(say({ cancel_phase: "asked" }, 1002), "forcing in 3 s|force|true");
  assert.equal(say({ cancel_phase: "forcing" }, 1006), "ending process|cancel|false");
  const note = { can_kill: false, note: "asked to stop; a thread cannot be forced" };
  assert.match(say({ ...note, cancel_phase: "asked" }, 1002), /cannot be forced · 2 s\|cancel\|false/);
});

test("words of queued jobs say what they wait for", () => {
  const store = storeWith({});
  const info = (given: Partial<Row>): string => {
    const words = wordsOf(makeRow("p", given), "", store, 1000);
    assert.ok(words.info === "" || words.ahead === "");
    return words.info || words.ahead;
  };
  assert.equal(info({ position: 0 }), "next");
  assert.equal(info({ position: 3 }), "3 ahead");
  assert.equal(info({ block: "needs 4 GB" }), "needs 4 GB");
  const removed = { held: true, hold_then: "cancel", hold_until: 1006.5 };
  assert.equal(info(removed), "removed, undo 7 s");
});

test("a job without news says so only if it tells news", () => {
  const store = storeWith({});
  const info = (given: Partial<Row>): string =>
    wordsOf(makeRow("r", { status: "running", started_at: 900, ...given }), "", store, 1000).info;
  assert.equal(info({ note: "GPU memory not checked" }), "GPU memory not checked");
  assert.equal(info({ note: "GPU memory not checked", message: "1 of 2" }), "1 of 2");
  assert.equal(info({ progress: 0.5, news_at: 988 }), "last sign of life 12 s ago");
  assert.equal(info({ progress: 0.5, news_at: 995 }), "");
  assert.equal(info({ news_at: 900 }), "");
  assert.equal(info({ progress: 0, news_at: 900 }), ""); // as it began
});

test("a job that has told nothing is not said to stand at 0 %", () => {
  assert.equal(knownProgress(makeRow("r", { status: "running", progress: 0 })), -1);
  assert.equal(knownProgress(makeRow("r", { status: "running", progress: 0, message: "a" })), 0);
  assert.equal(knownProgress(makeRow("r", { status: "running", progress: 0.1 })), 0.1);
  assert.equal(knownProgress(makeRow("r", { status: "running", progress: -1, message: "a" })), -1);
});

test("when jobs start and all are done is what the kernel says", () => {
  const counts = { ...COUNTS, running: 1, pending: 1 };
  const left = (given: Plain): number | null =>
    storeWith({ counts, done_at: 1090, ...given }).secondsLeft(1000);
  assert.equal(left({}), 90);
  assert.equal(left({ done_at: null }), null);
  assert.equal(left({ done_at: "soon" }), null);
  assert.equal(left({ paused: { reason: "", since: 0 } }), null);
  assert.equal(left({ counts: COUNTS }), null); // nothing runs
  const time = (given: Partial<Row>): string =>
    wordsOf(makeRow("p", given), "", storeWith({ counts }), 1000).time;
  assert.equal(time({ start_about: 1180 }), `starts about ${moment(1180, 1000)}`);
  assert.equal(time({ start_about: 1010 }), `starts about ${moment(1010, 1000)}`);
  assert.equal(time({ start_about: 1009 }), ""); // soon
  assert.equal(time({}), "");
  assert.equal(time({ start_about: 1180, block: "needs 4 GB" }), "");
  assert.equal(time({ start_about: 1180, held: true }), "");
});

test("a share says nothing of the rest while a job has just begun", () => {
  const left = (spent: number): number | null =>
    secondsLeftOf(makeRow("r", { started_at: 1000 - spent, progress: 0.5 }), 1000);
  assert.deepEqual([0, 2, 9.9, 10, 60].map(left), [null, null, null, 10, 60]);
});
