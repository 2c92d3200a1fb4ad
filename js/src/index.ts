// What anywidget loads: asks for the state when the model comes, draws each view of it.

import { Rpc } from "./actions";
import { keepBell } from "./bell";
import { keepTable } from "./beside";
import { Follower } from "./follow";
import type { Model } from "./protocol";
import { keepKeys } from "./ui/keys";
import { Context } from "./views/context";
import { GroupView } from "./views/groups";
import { JobView } from "./views/job";
import { QueueView } from "./views/queue";

const TICK = 1_000; // ms
const RECENT = 200; // ms: what elapses has just been drawn, and will be again with the next flush

type Cleanup = () => void;

function initialize({ model }: { model: Model }): Cleanup {
  // Messages sent before this are lost on some hosts: a page that asks, converges.
  const rpc = new Rpc(model, () => undefined);
  const receive = (message: unknown): void => void rpc.receive(message);
  model.on("msg:custom", receive);
  rpc.request("hello").catch(() => undefined); // a view says when there is no kernel
  const endings = [keepTable(model, rpc)];
  if (model.get("view") === "queue") endings.push(keepBell(model));
  return () => {
    for (const end of endings) end();
    model.off("msg:custom", receive);
    rpc.close();
  };
}

function render({ model, el }: { model: Model; el: HTMLElement }): Cleanup {
  const ending = new AbortController();
  const { signal } = ending;
  let frame = 0;
  let drawn = 0;
  let shown = true; // until an observer tells otherwise: `el` is not in the page yet

  const context = new Context(model, () => {
    if (frame === 0 && !signal.aborted) frame = requestAnimationFrame(draw);
  });
  const kind = model.get("view");
  const view = kind === "job" ? new JobView(context, signal, model.get("open_log") === true)
    : kind === "group" ? new GroupView(context, signal)
    : new QueueView(context, signal);

  function draw(): void {
    frame = 0;
    if (!shown) return;
    drawn = performance.now();
    follower.read();
    view.render();
  }

  const timer = setInterval(() => {
    if (!view.node.isConnected) {
      follower.sleep();
      return;
    }
    follower.read();
    const busy = performance.now() - drawn < RECENT;
    if (shown && !busy && document.visibilityState !== "hidden") follower.tick();
  }, TICK);
  const letter = context.live.node; // of one em: a host may change the size of its letters
  const sizes = new ResizeObserver(() => {
    const width = view.node.clientWidth;
    if (width > 0 && view instanceof QueueView) view.resized(width, letter.offsetWidth);
  });
  sizes.observe(view.node);
  sizes.observe(letter);
  const sight = new IntersectionObserver((entries) => {
    shown = entries.at(-1)?.isIntersecting ?? true;
    if (shown) {
      follower.wake();
      context.invalidate();
    } else if (view instanceof QueueView) view.hide();
  });
  sight.observe(view.node);
  const seen = (): void => context.invalidate();
  document.addEventListener("visibilitychange", seen, { signal });

  keepKeys(view.node, signal);
  el.append(view.node);
  const follower = new Follower(model, context, (part) => {
    if (view instanceof QueueView) view.push(part);
  });

  return () => {
    ending.abort();
    cancelAnimationFrame(frame);
    clearInterval(timer);
    follower.close();
    sizes.disconnect();
    sight.disconnect();
    context.close();
    view.node.remove();
  };
}

export default { initialize, render };
