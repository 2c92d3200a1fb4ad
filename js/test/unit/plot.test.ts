// Curves over one abscissa: the quick way for those that share theirs gives what the other one does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { joined } from "../../src/views/details/plot.ts";

type Values = (number | null)[];

const series = (...all: [number[], Values][]): Parameters<typeof joined>[0] =>
  all.map(([x, y], at) => (
    { name: String(at), x, y, size: 9, swatch: null as unknown as HTMLElement }
  ));

for (const [what, given, log, expected] of [
  ["nothing", series(), false, [[]]],
  ["one", series([[0, 1], [5, null]]), false, [[0, 1], [5, null]]],
  ["the same", series([[0, 1], [5, 6]], [[0, 1], [7, 8]]), false, [[0, 1], [5, 6], [7, 8]]],
  ["the same, of powers", series([[0, 1, 2], [5, 0, -1]], [[0, 1, 2], [null, 8, 9]]), true,
    [[0, 1, 2], [5, null, null], [null, 8, 9]]],
  ["not ascending", series([[1, 0], [6, 5]], [[1, 0], [8, 7]]), false, [[0, 1], [5, 6], [7, 8]]],
  ["twice", series([[0, 0], [5, 6]]), false, [[0], [6]]],
  ["others", series([[0, 2], [5, 6]], [[0, 1], [7, 8]]), false,
    [[0, 1, 2], [5, undefined, 6], [7, 8, undefined]]],
  ["fewer", series([[0, 1], [5, 6]], [[0], [7]]), false, [[0, 1], [5, 6], [7, undefined]]],
  ["others, of powers", series([[0, 2], [0, 6]], [[1], [-1]]), true,
    [[0, 1, 2], [null, undefined, 6], [undefined, null, undefined]]],
] as const) {
  test(`the data of curves: ${what}`, () => {
    assert.deepEqual(joined(given, log), expected);
  });
}
