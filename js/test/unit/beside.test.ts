import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Rpc } from "../../src/actions";
import { keepTable } from "../../src/beside";
import type { Model, Plain } from "../../src/protocol";

class Page extends EventTarget {
  visibilityState = "visible";
}

function make() {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const page = new Page();
  Object.assign(globalThis, { document: page });
  Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
  const listeners = new Map<string, () => void>();
  let summary: Plain = { epoch: "b0b", rev: 1, counts: { running: 0 } };
  const outputs: Plain[] = [
    { output_type: "stream", text: "b0b" },
    { data: { "text/html": "<table class=of-b0b>old", "text/plain": "old" } },
    { data: { "text/html": "<table class=of-another>" } },
  ];
  const cell = {
    outputs: {
      get length() { return outputs.length; },
      get: (at: number) => ({ toJSON: () => outputs[at]! }),
      set: (at: number, output: Plain) => { outputs[at] = output; },
    },
  };
  const model = {
    get: () => summary,
    on: (event: string, callback: () => void) => void listeners.set(event, callback),
    off: (event: string) => void listeners.delete(event),
    send: () => undefined,
    widget_manager: { context: { model: { cells: [{}, cell] } } },
  };
  let asked = 0;
  const table = { "text/html": "<table class=of-b0b>new", "text/plain": "new" };
  const rpc = { request: () => Promise.resolve((asked += 1) && table) } as unknown as Rpc;
  const stop = keepTable(model as Model, rpc);
  return {
    page,
    asked: () => asked,
    outputs,
    told(next: Plain): void {
      summary = { epoch: "b0b", ...next };
      listeners.get("change:summary")?.();
    },
    end(): void {
      stop();
      assert.equal(listeners.size, 0);
      mock.timers.reset();
    },
  };
}

test("at rest one table is asked for, and written where it belongs", async () => {
  const { asked, outputs, told, end } = make();
  for (let rev = 2; rev < 30; rev += 1) {
    told({ rev, counts: { running: 0 } });
    mock.timers.tick(100);
  }
  assert.equal(asked(), 0);
  mock.timers.tick(60_000);
  assert.equal(asked(), 1);
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  const { data } = outputs[1]!;
  assert.deepEqual(data, { "text/html": "<table class=of-b0b>new", "text/plain": "new" });
  assert.deepEqual(outputs[2], { data: { "text/html": "<table class=of-another>" } });
  assert.equal(outputs[0]!["text"], "b0b");
  end();
});

test("at work there is one at first, then two a minute, and one when it has ended", () => {
  const { asked, told, end } = make();
  let rev = 2;
  for (; rev < 2 + 1200; rev += 1) {
    told({ rev, counts: { running: 1 } });
    mock.timers.tick(100);
  }
  assert.equal(asked(), 4, "after 1.5, 31.5, 61.5 and 91.5 s");
  told({ rev, counts: { running: 0 } });
  mock.timers.tick(1_500);
  assert.equal(asked(), 5);
  end();
});

test("when the page is left there is one at once, if there is news", () => {
  const { page, asked, told, end } = make();
  told({ rev: 2, counts: { running: 1 } });
  page.visibilityState = "hidden";
  page.dispatchEvent(new Event("visibilitychange"));
  assert.equal(asked(), 1);
  page.dispatchEvent(new Event("visibilitychange"));
  assert.equal(asked(), 1);
  end();
});
