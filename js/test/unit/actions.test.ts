import assert from "node:assert/strict";
import { test } from "node:test";
import { PendingActs, RequestError, Rpc } from "../../src/actions";
import type { Plain } from "../../src/protocol";
import { Ticks } from "./ticks";

function make(send?: (message: Plain) => void) {
  const sent: Plain[] = [];
  const clock = new Ticks();
  const post = send ?? ((message: Plain) => void sent.push(message));
  const rpc = new Rpc({ send: post }, () => undefined, clock, "c");
  return { sent, clock, rpc };
}

test("an answer goes to the request with its rid, once", async () => {
  const { sent, rpc } = make();
  rpc.epoch = "e";
  const asked = rpc.request("pause", {}, true);
  assert.deepEqual(sent, [{ t: "req", cid: "c", rid: "c-1", op: "pause", epoch: "e", a: {} }]);
  assert.equal(rpc.receive({ t: "res", cid: "other", rid: "c-1", ok: true, v: {} }), false);
  rpc.receive({ t: "res", cid: "c", rid: "c-1", ok: true, v: { rev: 3 } });
  rpc.receive({ t: "res", cid: "c", rid: "c-1", ok: false, e: { code: "busy" } });
  assert.deepEqual(await asked, { rev: 3 });
});

test("an act without an answer for a second is late, and sent again with the same rid", () => {
  const { sent, clock, rpc } = make();
  void rpc.request("pause", {}, true);
  clock.go(900);
  assert.equal(rpc.late, false);
  clock.go(200);
  assert.equal(rpc.late, true);
  clock.go(4_000);
  assert.deepEqual(sent.map((message) => message["rid"]), ["c-1", "c-1"]);
  rpc.close();
});

test("however long the channel is silent, what waits is sent in as much time again", async () => {
  const { sent, clock, rpc } = make();
  const asked = rpc.request("find");
  for (const silence of [10_000, 50_000, 250_000]) {
    clock.go(silence - clock.now());
    const before = sent.length;
    clock.go(silence + 1_100);
    assert.ok(sent.length > before, `after ${silence} ms`);
  }
  assert.ok(sent.length < 10, "seldom");
  clock.go(200_000);
  await assert.rejects(asked, (error) => error instanceof RequestError && error.code === "busy");
  rpc.close();
});

test("what an answer has overtaken is sent again soon, and seldom when that does not help", () => {
  const { sent, clock, rpc } = make();
  void rpc.request("find");
  void rpc.request("pause");
  void rpc.request("hello");
  clock.go(50_000);
  const answer = (rid: string): boolean => rpc.receive({ t: "res", cid: "c", rid, ok: true, v: {} });
  answer("c-2");
  sent.length = 0;
  clock.go(5_000);
  assert.deepEqual(sent.map((message) => message["rid"]), ["c-1"]);
  for (let number = 4; clock.now() < 580_000; number += 1) {
    void rpc.request("log");
    clock.go(500);
    answer(`c-${number}`);
  }
  const again = sent.filter((message) => message["rid"] === "c-1").length;
  assert.ok(again > 8 && again < 80, `${again}`);
  rpc.close();
});

test("other requests, however many, do not keep a lost one from being sent again", async () => {
  const { sent, clock, rpc } = make();
  const lost = rpc.request("cancel", {}, true);
  for (let number = 2; clock.now() < 601_000; number += 1) {
    rpc.request("log").catch(() => undefined); // some are given up
    clock.go(200);
    if (number % 2 === 0) continue;
    rpc.receive({ t: "res", cid: "c", rid: `c-${number}`, ok: true, v: {} });
  }
  assert.ok(sent.filter((message) => message["rid"] === "c-1").length > 8);
  await assert.rejects(lost, (error) => error instanceof RequestError && error.code === "busy");
  rpc.close();
});

test("reading late is not said to the user", () => {
  const { clock, rpc } = make();
  void rpc.request("rows", {});
  clock.go(3_000);
  assert.equal(rpc.late, false);
  rpc.close();
});

test("a comm that refuses means that the kernel has gone", async () => {
  const { rpc } = make(() => {
    throw new Error("Cannot send");
  });
  await assert.rejects(rpc.request("pause"), (error) =>
    error instanceof RequestError && error.code === "no_kernel");
  assert.equal(rpc.gone, true);
});

test("a pending act stays until the state has the revision of its answer", () => {
  const pendingActs = new PendingActs();
  const act = pendingActs.set("j", "cancel", 0);
  pendingActs.settle(100);
  assert.equal(pendingActs.get("j")?.kind, "cancel");
  pendingActs.answered("j", act, { rev: 7 });
  pendingActs.settle(6);
  assert.equal(pendingActs.get("j")?.kind, "cancel");
  pendingActs.settle(7);
  assert.equal(pendingActs.get("j"), undefined);
});
