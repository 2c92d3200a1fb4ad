import assert from "node:assert/strict";
import { test } from "node:test";
import { AnsiLines, visible } from "../../src/ui/ansi";
import { commandOf } from "../../src/ui/keys";
import { ago, clock, elapsed, guess, moment, rough, took } from "../../src/ui/time";

function plain(...pieces: string[]): string[] {
  const lines = new AnsiLines();
  for (const piece of pieces) lines.write(piece);
  return lines.lines.map((spans) => spans.map((span) => span.text).join(""));
}

test("colours become styles and end where they end", () => {
  const lines = new AnsiLines();
  lines.write("\x1b[1;31mbad\x1b[0m ok \x1b[38;5;196mred\x1b[38;2;1;2;3mrgb\x1b[39mno");
  const spans = (lines.lines[0] ?? []).map(({ text, style }) => [text, style.fg, style.bold]);
  assert.deepEqual(spans, [
    ["bad", "1", true], [" ok ", "", false], ["red", "#ff0000", false], ["rgb", "#010203", false],
    ["no", "", false],
  ]);
});

test("every other sequence is dropped, also when cut in two", () => {
  assert.deepEqual(plain("a\x1b[2Jb\x1b]0;title\x07c\x1b]8;;http://x\x1b\\d\x1b]8;;\x1b\\"), ["abcd"]);
  assert.deepEqual(plain("a\x1b[3", "1mb\x1b]0;ti", "tle\x07c"), ["abc"]);
});

test("a carriage return begins the line anew", () => {
  assert.deepEqual(plain("10 %\r20 %", "\r30 %\nnext\r\nlast"), ["30 %", "next", "last"]);
});

test("characters that hide or turn text are shown or dropped", () => {
  assert.equal(visible("a\u202eb\u0000c\u0007"), "a\\u202ebc");
});

test("lines and their number are bounded", () => {
  const lines = new AnsiLines();
  lines.write("x\n".repeat(5_000));
  assert.equal(lines.lines.length, 2_000);
  assert.equal(lines.dropped, 3_001);
  assert.ok((plain("y".repeat(50_000))[0] ?? "").length < 10_010);
});

test("times are short and no finer than they are known", () => {
  assert.deepEqual([rough(4), rough(200), rough(7_500), rough(200_000)],
    ["4 s", "3 min", "2 h 05 min", "2 d"]);
  assert.deepEqual([elapsed(7), elapsed(751), elapsed(3_723)], ["0:07", "12:31", "1:02:03"]);
  // Ticks of an axis: each other than the one before, however near.
  for (const step of [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 5, 60]) {
    const ticks = Array.from({ length: 40 }, (_, at) => elapsed(at * step, step));
    assert.equal(new Set(ticks).size, 40, String(step));
  }
  assert.deepEqual([0, 0.5, 61.25].map((x) => elapsed(x, 0.5)), ["0:00.0", "0:00.5", "1:01.2"]);
  assert.deepEqual([took(0.001), took(0.25), took(3.14), took(61)],
    ["<0.01 s", "0.25 s", "3.1 s", "1 min"]);
  assert.deepEqual([guess(3), guess(31), guess(57), guess(720)],
    ["10 s", "40 s", "1 min", "12 min"]);
  assert.deepEqual([ago(2), ago(130)], ["just now", "2 min ago"]);
});

test("keys mean what the contract says", () => {
  const key = (name: string, held = "", onRow = true): string | null => commandOf({
    key: name, altKey: held.includes("a"), ctrlKey: held.includes("c"),
    metaKey: held.includes("m"), shiftKey: held.includes("s"),
  }, onRow);
  assert.deepEqual([key("ArrowUp"), key("ArrowUp", "a"), key("End", "a")],
    ["up", "move-up", "move-bottom"]);
  assert.deepEqual([key("Delete"), key("Delete", "s"), key("z", "c"), key("z", "m")],
    ["remove", "force", "undo", "undo"]);
  assert.deepEqual([key("s", "c"), key("a"), key("Z", "cs")], [null, null, null]);
  assert.deepEqual([key("Enter", "", false), key("p", "", false)], [null, "pause"]);
});

test("a clock that is not of today has its date", () => {
  const now = new Date();
  const of = (days: number): string =>
    clock(new Date(now.getFullYear(), now.getMonth(), now.getDate() - days, 22, 37).getTime() / 1000);
  assert.equal(of(0), "22:37");
  for (const days of [1, 2, 40, 365, 366]) {
    const year = new Date(now.getFullYear(), now.getMonth(), now.getDate() - days).getFullYear();
    assert.match(of(days), /22:37/);
    assert.ok(of(days).includes(String(year)), of(days));
  }
});

test("a moment has its date where it is not of that day, and its year where it is not of that", () => {
  const now = new Date(2026, 10, 30, 7, 12).getTime() / 1000;
  const at = (...given: [number, number, number]): number =>
    new Date(...given, 22, 37).getTime() / 1000;
  assert.equal(moment(at(2026, 10, 30), now), "22:37");
  assert.equal(moment(at(2026, 10, 30), now, true), "22:37");
  const yesterday = moment(at(2026, 10, 29), now);
  assert.match(yesterday, /29/);
  assert.match(yesterday, /22:37/);
  assert.doesNotMatch(yesterday, /2026/);
  const brief = moment(at(2026, 10, 29), now, true);
  assert.ok(brief.length < yesterday.length && brief.includes("29") && !brief.includes(":"));
  assert.match(moment(at(2025, 10, 30), now), /2025.*22:37/);
  assert.match(moment(at(2027, 0, 1), now, true), /2027/);
});
