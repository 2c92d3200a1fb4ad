import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanSince } from "../../src/protocol";
import { wordsOf } from "../../src/views/away";
import { clock } from "../../src/ui/time";

const told = (given: object): string => wordsOf(cleanSince({ moment: 1.7e9, whole: true, ...given }));
const since = `Since ${clock(1.7e9)}: `;

test("what has ended is counted, failures by their kinds", () => {
  assert.equal(told({ completed: 28 }), `${since}28 done`);
  const kinds = [["ValueError", 10], ["time limit", 2]];
  assert.equal(
    told({ completed: 28, failed: 12, kinds }),
    `${since}28 done · 12 failed (10 ValueError, 2 time limit)`,
  );
  assert.equal(
    told({ failed: 12, kinds: [["A", 9]], more_kinds: 3, cancelled: 1 }),
    `${since}12 failed (9 A, 3 of other kinds) · 1 cancelled`,
  );
});

test("a restart is told, and that more has ended than is kept", () => {
  assert.equal(
    told({ completed: 2, restarted: true, whole: false }),
    `The kernel was restarted. ${since}2 done; more has ended than is kept`,
  );
});

test("whatever the kernel sends is drawn", () => {
  for (const given of [null, 7, {}, { kinds: [[1]], slowest: 3 }, { failed: -1, kinds: "no" }]) {
    assert.match(wordsOf(cleanSince(given)), /^Since /);
  }
});
