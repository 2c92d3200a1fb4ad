import assert from "node:assert/strict";
import { test } from "node:test";
import { isCut, moved, shareOf, SHORTEST, ticks, zoomed } from "../../src/views/timeline/axis";

const WHOLE = { from: 1.7e9, to: 1.7e9 + 36_000 };

test("ticks stand on whole steps of the local clock, inside, and are not too many", () => {
  for (const length of [0.5, 7, 61, 599, 3_601, 50_000, 200_000, 3e6, 4e7]) {
    for (const most of [1, 3, 8]) {
      const span = { from: 1.7e9 + 123.4, to: 1.7e9 + 123.4 + length };
      const found = ticks(span, most);
      assert.ok(found.length <= most + 1, `${length} ${most}: ${found.length}`);
      assert.ok(found.every(({ at }) => at >= span.from && at <= span.to));
      const steps = new Set(found.slice(1).map(({ at }, index) => (at - (found[index]?.at ?? 0)).toFixed(3)));
      assert.ok(steps.size <= 1);
      if (length > 600) {
        assert.ok(found.every(({ at }) => new Date(at * 1000).getSeconds() === 0));
      }
    }
  }
});

test("texts of ticks tell them apart: seconds where they are near, the date where it changes", () => {
  const noon = new Date(2026, 10, 29, 12).getTime() / 1000;
  const textsOf = (length: number, today: number): string[] =>
    ticks({ from: noon, to: noon + length }, 6, today).map(({ text }) => text);
  for (const length of [0.3, 1, 3, 20, 200, 3_000, 40_000, 400_000, 4e6, 4e7]) {
    for (const today of [noon, noon + 86_400 * 3]) {
      const found = textsOf(length, today);
      assert.equal(new Set(found).size, found.length, found.join(" | "));
      const dated = found.filter((text) => /29/.test(text)).length;
      if (length < 43_200 && today === noon) assert.equal(dated, 0, found.join(" | "));
      if (length < 43_200 && today !== noon) assert.equal(dated, 1, found.join(" | "));
    }
  }
});

test("a text that would be cut at the end of the axis is left out", () => {
  const span = { from: 0, to: 100 };
  assert.deepEqual([0, 80, 86, 100].map((at) => isCut(at, "21:08:30", span, 400)), [false, false, true, true]);
});

test("zooming keeps what is under the pointer in its place, and stays inside", () => {
  let span = WHOLE;
  for (let times = 0; times < 60; times += 1) {
    const at = (times % 7) / 6;
    const before = span.from + (span.to - span.from) * at;
    span = zoomed(span, times % 5 === 4 ? 2 : 0.5, at, WHOLE);
    const after = shareOf(before, span);
    assert.ok(span.from >= WHOLE.from - 1e-6 && span.to <= WHOLE.to + 1e-6);
    assert.ok(span.to - span.from >= SHORTEST * 0.999);
    if (span.from > WHOLE.from && span.to < WHOLE.to) assert.ok(Math.abs(after - at) < 1e-3);
  }
  for (let times = 0; times < 30; times += 1) span = zoomed(span, 2, 0.3, WHOLE);
  assert.deepEqual(span, WHOLE);
});

test("moving keeps the length, and stops at the ends", () => {
  const span = { from: WHOLE.from + 100, to: WHOLE.from + 200 };
  assert.deepEqual(moved(span, 0.5, WHOLE), { from: WHOLE.from + 150, to: WHOLE.from + 250 });
  assert.deepEqual(moved(span, -9, WHOLE), { from: WHOLE.from, to: WHOLE.from + 100 });
  assert.deepEqual(moved(span, 1e6, WHOLE), { from: WHOLE.to - 100, to: WHOLE.to });
});
