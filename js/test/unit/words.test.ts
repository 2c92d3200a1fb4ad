import assert from "node:assert/strict";
import { test } from "node:test";
import type { Plain } from "../../src/protocol";
import { columnsOf } from "../../src/row";
import type { Store } from "../../src/store";
import { moment } from "../../src/ui/time";
import { wordsOf } from "../../src/views/words";

const store = {} as unknown as Store;

function timesOf(row: Plain, now = 1_000_000): [time: string, brief: string] {
  const { time, brief } = wordsOf(columnsOf(row), "", store, now);
  return [time, brief];
}

function infoOf(row: object): string {
  return wordsOf(columnsOf({ status: "pending", position: 0, ...row }), "", store, 1000).info;
}

test("a job that waits for its time says when it starts, and why it failed before", () => {
  assert.equal(infoOf({ starts_at: 1012 }), "starts in 12 s");
  assert.equal(infoOf({ starts_at: 1300, attempt: 2, note: "OSError: gone" }),
    "tries again in 5 min · OSError: gone");
  assert.equal(infoOf({ starts_at: 990 }), "starts in 0 s");
});

test("what keeps it from starting is told first", () => {
  assert.equal(infoOf({ starts_at: 1012, block: "could not be started" }), "could not be started");
  assert.equal(infoOf({ starts_at: 1012, held: true }), "held");
});

test("a job that was tried again says so first, and why it had failed", () => {
  const failed = { status: "failed", error: "ValueError: no" };
  assert.equal(infoOf({ ...failed, note: "retried → 1a2b3c4d" }),
    "retried → 1a2b3c4d · ValueError: no");
  assert.equal(infoOf({ ...failed, note: "work differs now" }), "ValueError: no");
});

test("a job that runs says for how long, and of about how much where that is known", () => {
  const running = { status: "running", started_at: 1_000_000 - 180 };
  assert.deepEqual(timesOf(running), ["3:00", ""]);
  const known = { ...running, progress: 0.25, news_at: 1_000_000 };
  assert.deepEqual(timesOf(known), ["3:00 of about 12 min", "9 min left"]);
  assert.deepEqual(timesOf({ ...known, news_at: 1_000_000 - 60 }), ["3:00", ""]); // no news of late
  assert.deepEqual(timesOf({ ...known, phase: "starting" }), ["3:00", ""]);
  assert.deepEqual(timesOf({ ...known, started_at: 1_000_000 - 5 }), ["0:05", ""]); // just begun
});

test("a job that waits says when it starts, and one that has ended when that was", () => {
  const start = 1_000_000 + 7_200;
  const at = moment(start, 1_000_000);
  assert.deepEqual(timesOf({ start_about: start }), [`starts about ${at}`, `~${at}`]);
  const ended = (seconds: number): [string, string] =>
    timesOf({ status: "completed", completed_at: 1_000_000 - seconds });
  assert.deepEqual(ended(130), ["2 min ago", ""]);
  assert.deepEqual(ended(3_599), ["60 min ago", ""]);
  for (const seconds of [3_600, 90_000]) {
    const then = 1_000_000 - seconds;
    assert.deepEqual(ended(seconds), [moment(then, 1_000_000), moment(then, 1_000_000, true)]);
  }
});
