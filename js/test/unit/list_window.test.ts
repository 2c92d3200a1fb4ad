import assert from "node:assert/strict";
import { test } from "node:test";
import type { Part, Plain } from "../../src/protocol";
import { Layout, ROW } from "../../src/ui/list";
import { ListWindow } from "../../src/list_window";
import { makeRow } from "../harness/kernel";

function part(start: number, end: number, rev: number, epoch = "a"): Part {
  const rows = Array.from({ length: end - start }, (_, i) => makeRow(`j${start + i}-${rev}`));
  return { epoch, rev, list: "pending", group: 0, start, total: 1000, rows };
}

function make(): { asked: [string, Plain][]; window: ListWindow; settle(): Promise<void> } {
  const asked: [string, Plain][] = [];
  const request = (op: string, a: Plain): Promise<Plain> => {
    asked.push([op, a]);
    const v = op === "rows" ? part(Number(a["start"]), Number(a["end"]), 1) : {};
    return Promise.resolve(v as Plain);
  };
  const window = new ListWindow("pending", request, () => undefined);
  window.reset("a");
  return { asked, window, settle: () => new Promise((resolve) => setImmediate(resolve)) };
}

test("what traits cover is not asked for", () => {
  const { asked, window } = make();
  window.show(0, 20, 25, 1000, 0);
  assert.deepEqual(asked, []);
});

test("a window beyond them is watched once and renewed after 15 s", async () => {
  const { asked, window, settle } = make();
  window.show(500, 520, 25, 1000, 0);
  window.show(501, 521, 25, 1000, 0);
  await settle();
  assert.equal(window.row(510)?.id, "j510-1");
  window.show(502, 522, 25, 1000, 14);
  assert.deepEqual(asked.map(([op]) => op), ["watch", "rows"]);
  window.show(502, 522, 25, 1000, 16);
  assert.equal(asked.length, 4);
  await settle();
  window.show(0, 20, 25, 1000, 17);
  assert.equal(asked.at(-1)?.[0], "unwatch");
});

test("no question asks for more than 200 rows", async () => {
  const { asked, window } = make();
  window.show(100, 500, 25, 1000, 0);
  const a = asked[0]?.[1] ?? {};
  assert.ok(Number(a["end"]) - Number(a["start"]) <= 200);
});

test("an older slice and one of another epoch are not taken", () => {
  const { window } = make();
  window.push(part(0, 10, 5));
  window.push(part(0, 10, 4));
  window.push(part(0, 10, 9, "b"));
  assert.equal(window.row(3)?.id, "j3-5");
});

test("at most 56 rows of a list are drawn, whatever the height", () => {
  const block = { total: 100_000, shown: true, gapAfter: -1, gap: 0 };
  const [first, last] = new Layout([block], 0).range(0, 1_000_000, 9_000);
  assert.ok(last - first <= 56);
});

test("rows after open details stand below them", () => {
  const block = { total: 10, shown: true, gapAfter: 2, gap: 200 };
  const layout = new Layout([block], 0);
  assert.equal(layout.within(block, 2), 2 * ROW);
  assert.equal(layout.within(block, 3), 3 * ROW + 200);
  assert.equal(layout.indexAt(block, 3 * ROW + 100), 2);
  assert.equal(layout.indexAt(block, 3 * ROW + 201), 3);
});

test("a header has one line where rows have two", () => {
  const blocks = [3, 2].map((total) => ({ total, shown: true, gapAfter: -1, gap: 0 }));
  const layout = new Layout(blocks, 1_000, 44, 28);
  assert.deepEqual(layout.tops, [28, 28 + 3 * 44 + 28]);
  assert.equal(layout.height, 2 * 28 + 5 * 44);
  assert.equal(layout.top(1, 1), 28 + 3 * 44 + 28 + 44);
});

test("nothing is asked before the last question is answered: repeats come in order", async () => {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const window = new ListWindow("pending", (op) => {
    asked.push(op);
    return new Promise((resolve) => answers.push(() => resolve({})));
  }, () => undefined);
  const settle = async (): Promise<void> => {
    answers.splice(0).forEach((answer) => answer());
    await new Promise((resolve) => setImmediate(resolve));
  };
  window.show(500, 520, 25, 1000, 0);
  window.show(700, 720, 25, 1000, 1);
  window.show(0, 20, 25, 1000, 2);
  assert.deepEqual(asked, ["watch", "rows"]);
  await settle();
  window.show(0, 20, 25, 1000, 3);
  window.show(700, 720, 25, 1000, 4);
  assert.deepEqual(asked, ["watch", "rows", "unwatch"]);
  await settle();
  window.show(700, 720, 25, 1000, 5);
  assert.deepEqual(asked, ["watch", "rows", "unwatch", "watch", "rows"]);
});

test("a question that fails is not asked again at once: the kernel may have gone", async () => {
  let asked = 0;
  const window = new ListWindow("pending", () => {
    asked += 1;
    return Promise.reject(new Error("gone"));
  }, () => undefined);
  for (const now of [0, 1, 2]) {
    window.show(500, 520, 25, 1000, now);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(asked, 2);
});
