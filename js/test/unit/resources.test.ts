import assert from "node:assert/strict";
import { test } from "node:test";
import { courseOf } from "../../src/views/resources";

test("a curve has its newest reading at the right, and one reading is none yet", () => {
  assert.equal(courseOf([]), "");
  assert.equal(courseOf([0.5]), "");
  assert.equal(courseOf([0, 1]), "M38.5 13.0L39.5 1.0");
  const full = courseOf(Array.from({ length: 40 }, () => 0.5));
  assert.ok(full.startsWith("M0.5 7.0L1.5 7.0") && full.endsWith("L39.5 7.0"));
  assert.equal(full.split("L").length, 40);
});
