import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanGroups, type Group } from "../../src/protocol";
import { sharesOf, wordsOfGroup } from "../../src/views/groups";
import { sentGroup } from "../harness/kernel";

const group = (given: Partial<Group>): Group =>
  cleanGroups([sentGroup({ id: 1, name: "sweep", ...given })])[0]!;

test("what a group does not tell is zero, and garbage is made of the right type", () => {
  const none = { pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0, retriable: 0 };
  const unknown = { more: 0, done_at: null, kinds: [], listed: 0 };
  assert.deepEqual(group({}), { id: 1, name: "sweep", ...none, ...unknown });
  assert.deepEqual(cleanGroups([[1, "sweep"]]), [group({})]);
  const odd = { id: "x", name: 7, pending: -3, failed: "<b>", more: -9.5, done_at: NaN };
  assert.deepEqual(cleanGroups([sentGroup(odd), null, "x"]), [
    { id: 0, name: "group", ...none, ...unknown, more: -1 },
  ]);
  const kinds = ["1 of ValueError", 7, ...new Array(9).fill("and more")];
  assert.deepEqual(group({ kinds: kinds as string[] }).kinds.length, 6);
  assert.deepEqual(group({ kinds: kinds as string[] }).kinds.slice(0, 3), [kinds[0], "", "and more"]);
  assert.deepEqual(group({ kinds: "all" as never }).kinds, []);
  assert.deepEqual(cleanGroups("x"), []);
  assert.equal(cleanGroups(new Array(50).fill([1])).length, 20);
});

test("a group says how many have ended, and what of them is not as usual", () => {
  assert.equal(wordsOfGroup(group({ completed: 3 })), "3 of 3");
  const mixed = { pending: 9, running: 2, completed: 24, failed: 4, cancelled: 1 };
  assert.equal(wordsOfGroup(group(mixed)), "29 of 40 · 4 failed · 1 cancelled · 2 running");
});

test("items that are no jobs yet are counted as far as they are known", () => {
  assert.equal(wordsOfGroup(group({ completed: 1, pending: 9, more: 90 })), "1 of 100");
  assert.equal(wordsOfGroup(group({ completed: 1, pending: 9, more: -1 })), "1 of 10 or more");
});

test("a bar's colours stand in order and end where its items do; nothing stands for none", () => {
  assert.equal(sharesOf(group({ pending: 4 })), "");
  const mixed = { pending: 4, running: 1, completed: 2, failed: 0, cancelled: 1 };
  const colours = [
    "var(--jqw-good) 0.00% 25.00%", "var(--jqw-edge) 25.00% 37.50%",
    "var(--jqw-brand) 37.50% 50.00%", "#0000 0",
  ];
  assert.equal(sharesOf(group(mixed)), `linear-gradient(90deg,${colours.join()})`);
});
