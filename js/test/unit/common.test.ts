import assert from "node:assert/strict";
import { test } from "node:test";
import { Common } from "../../src/views/common";
import { makeRow } from "../harness/kernel";

const job = (id: string, args: string, group = 3): ReturnType<typeof makeRow> =>
  makeRow(id, { group, args, title: "train" });

function toldOf(...texts: string[]): string[] {
  const common = new Common();
  const rows = texts.map((args, at) => job(`j${at}`, args));
  for (const row of rows) common.note(row);
  return rows.map((row) => common.told(row));
}

test("rows of a group leave out the arguments that all its jobs have", () => {
  assert.deepEqual(
    toldOf("lr=0.1, depth=3, epochs=10", "lr=0.2, depth=3, epochs=10", "lr=0.1, depth=4, epochs=10"),
    ["lr=0.1, depth=3", "lr=0.2, depth=3", "lr=0.1, depth=4"],
  );
  assert.deepEqual(toldOf("0.1, 3, seed=1", "0.2, 3, seed=2"), ["0.1, seed=1", "0.2, seed=2"]);
  assert.deepEqual(toldOf("1, 2", "2, 1"), ["1, 2", "2, 1"]); // at other places
  assert.deepEqual(toldOf("5", "5"), ["", ""]);
});

test("an argument is one, whatever stands in it", () => {
  assert.deepEqual(toldOf("'a, b', [1, 2]", "'a, c', [1, 2]"), ["'a, b'", "'a, c'"]);
  assert.deepEqual(toldOf("\"it's, 1\", n={'a': (1, 2)}", "'x\\', 1', n={'a': (1, 2)}"),
    ["\"it's, 1\"", "'x\\', 1'"]);
  assert.deepEqual(toldOf("[1, 2…, b=1", "[1, 3…, b=1"), ["[1, 2…, b=1", "[1, 3…, b=1"]); // cut
});

test("by one job alone, and of a job in no group, nothing is known to be common", () => {
  const common = new Common();
  const row = job("a", "lr=0.1, depth=3");
  common.note(row);
  common.note(row);
  assert.equal(common.told(row), "lr=0.1, depth=3");
  common.note(job("b", "lr=0.2, depth=3"));
  assert.equal(common.told(row), "lr=0.1");
  common.note(job("c", "lr=0.2, depth=4")); // comes into view later
  assert.equal(common.told(row), "lr=0.1, depth=3");
  common.note(job("a", "lr=0.1, depth=4")); // the first of them is another now
  assert.equal(common.told(job("a", "lr=0.1, depth=4")), "lr=0.1, depth=4");
  assert.equal(common.told(job("d", "lr=0.2, depth=4", 0)), "lr=0.2, depth=4");
  common.reset();
  common.note(job("e", "depth=4"));
  assert.equal(common.told(row), "lr=0.1, depth=3");
});

test("a job with a label has its arguments in the details only", () => {
  const row = makeRow("a", { title: "transcribe garden.wav", name: "transcribe", args: "'g.wav'" });
  assert.equal(new Common().told(row), "");
  assert.equal(new Common().told({ ...row, title: "transcribe" }), "'g.wav'");
});
