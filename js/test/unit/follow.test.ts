import assert from "node:assert/strict";
import { test } from "node:test";
import { PendingActs, Rpc } from "../../src/actions";
import { Follower } from "../../src/follow";
import type { Model, Plain } from "../../src/protocol";
import { Store } from "../../src/store";
import { Ticks } from "./ticks";

function make() {
  let summary: Plain = { epoch: "e", seq: 1, rev: 1 };
  let now = 0;
  const sent: Plain[] = [];
  const listeners = new Map<string, (message?: unknown) => void>();
  const model: Model = {
    get: (name) => (name === "summary" ? summary : undefined),
    on: (event, callback) => void listeners.set(event, callback as () => void),
    off: (event) => void listeners.delete(event),
    send: (message) => void sent.push(message),
  };
  const clock = new Ticks();
  const rpc = new Rpc(model, () => undefined, clock);
  const context = {
    store: new Store(), pendingActs: new PendingActs(), rpc, page: () => now, invalidate: () => undefined,
    trouble: null,
    awaySince: null, unheard: null as number | null,
    ask: (op: string) => rpc.request(op).catch(() => null),
  };
  const follower = new Follower(model, context, () => undefined);
  const told = (next: Plain): void => {
    summary = { epoch: "e", ...next };
    listeners.get("change:summary")?.();
  };
  const close = (): void => {
    follower.close();
    rpc.close();
  };
  return { clock, context, follower, listeners, sent, told, close, wait: (s: number) => (now += s) };
}

test("a pending act goes also when the answer comes after the state that shows its act", () => {
  const { context, follower, told, close } = make();
  const act = context.pendingActs.set("j", "remove", 0);
  told({ seq: 2, rev: 7 });
  follower.read();
  context.pendingActs.answered("j", act, { rev: 7 });
  follower.read();
  assert.equal(context.pendingActs.get("j"), undefined);
  close();
});

test("pending acts go with the kernel that was asked", () => {
  const { context, follower, told, close } = make();
  follower.read();
  const act = context.pendingActs.set("j", "cancel", 0);
  context.pendingActs.answered("j", act, { rev: 70 });
  told({ epoch: "f", seq: 1, rev: 1 });
  follower.read();
  assert.equal(context.pendingActs.get("j"), undefined);
  close();
});

test("a request says which state it was made from, as it was shown", () => {
  const { context, follower, sent, told, close } = make();
  const asked = (): unknown => {
    void context.rpc.request("pause", {}, true);
    return sent.at(-1)?.["epoch"];
  };
  assert.equal(asked(), "");
  follower.read();
  assert.equal(asked(), "e");
  told({ epoch: "f", seq: 1, rev: 1 });
  assert.equal(asked(), "e");
  follower.read();
  assert.equal(asked(), "f");
  close();
});

test("a view asks for the state when it comes, after a gap, and when a busy kernel is silent", () => {
  const { follower, listeners, sent, told, close, wait } = make();
  const hellos = (): number => sent.filter((message) => message["op"] === "hello").length;
  assert.equal(hellos(), 1);
  wait(2);
  told({ seq: 2, rev: 1, counts: { running: 1 } });
  assert.equal(hellos(), 1);
  told({ seq: 4, rev: 1, counts: { running: 1 } });
  assert.equal(hellos(), 2);
  follower.read();
  wait(3);
  follower.tick();
  assert.equal(hellos(), 2);
  wait(3);
  follower.tick();
  assert.equal(hellos(), 3);
  close();
  assert.equal(listeners.size, 0);
});

test("a kernel that is busy for an hour is not given thousands of questions to answer", () => {
  const { clock, follower, sent, told, close, wait } = make();
  told({ seq: 2, rev: 1, counts: { running: 1 } });
  follower.read();
  for (let second = 0; second < 3_600; second += 1) {
    wait(1);
    clock.go(1_000);
    follower.tick();
  }
  close();
  assert.ok(sent.length > 20 && sent.length < 120, `${sent.length}`);
});

test("a kernel is unheard from the first question on until anything comes", () => {
  const { context, listeners, told, close, wait } = make();
  wait(8);
  assert.equal(context.unheard, 0);
  told({ seq: 2, rev: 1 });
  assert.equal(context.unheard, null);
  wait(2);
  listeners.get("comm_live_update")?.();
  assert.equal(context.unheard, 10);
  close();
});
