import assert from "node:assert/strict";
import { test } from "node:test";
import { columnsOf } from "../../src/row";
import type { Store } from "../../src/store";
import { wordsOf } from "../../src/views/words";

const store = {} as unknown as Store;

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
