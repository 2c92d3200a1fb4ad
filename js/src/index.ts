// What anywidget loads: asks for the state when the model comes, draws each view of it.

import { Line } from "./actions";
import { cleanPart, isPlain, type Model } from "./protocol";
import { TRAITS } from "./store";
import { Context } from "./views/context";
import { JobView } from "./views/job";
import { QueueView } from "./views/queue";

const TICK = 1_000; // ms; what elapses is drawn anew
const IDLE_TICKS = 15; // when nothing elapses but "2 min ago"
const ASK_AGAIN = 5; // seconds between questions to a silent kernel
const ASK_GAP = 1; // seconds between questions after lost messages

type Cleanup = () => void;

function initialize({ model }: { model: Model }): Cleanup {
  // Messages sent before this are lost on some hosts: a page that asks, converges.
  const line = new Line(model, () => undefined);
  const receive = (message: unknown): void => void line.receive(message);
  model.on("msg:custom", receive);
  line.request("hello").catch(() => undefined); // a view says when there is no kernel
  return () => {
    model.off("msg:custom", receive);
    line.close();
  };
}

function render({ model, el }: { model: Model; el: HTMLElement }): Cleanup {
  const ending = new AbortController();
  const { signal } = ending;
  let frame = 0;
  let shown = true; // until an observer tells otherwise: `el` is not in the page yet
  let fresh = true;
  let ticks = 0;
  let askedAt = -Infinity;
  let later: ReturnType<typeof setTimeout> | undefined;

  const context = new Context(model, () => {
    if (frame === 0 && !signal.aborted) frame = requestAnimationFrame(draw);
  });
  const { store, line } = context;
  const view = model.get("view") === "job"
    ? new JobView(context, signal)
    : new QueueView(context, signal);

  function draw(): void {
    frame = 0;
    if (!shown) return;
    if (fresh) {
      fresh = false;
      store.read((name) => model.get(name));
      context.marks.settle(store.summary.rev);
    }
    view.render();
  }

  /** Ask for the whole state, but not within `gap` seconds of the last time: then a bit later. */
  function hello(gap: number): void {
    const early = askedAt + gap - context.page();
    clearTimeout(later);
    if (early > 0) {
      later = setTimeout(() => hello(0), early * 1000);
      return;
    }
    askedAt = context.page();
    void context.ask("hello");
  }

  const told = (): void => {
    const lost = store.arrived(model.get("summary"), context.page());
    if (line.gone) line.gone = false;
    if (lost) hello(ASK_GAP);
    changed();
  };
  const changed = (): void => {
    fresh = true;
    context.invalidate();
  };
  const receive = (message: unknown): void => {
    if (line.receive(message) || !isPlain(message)) return;
    const mine = message["t"] === "rows" && message["cid"] === line.cid;
    const part = mine ? cleanPart(message) : null;
    if (part !== null && view instanceof QueueView) view.push(part);
  };
  const ended = (): void => {
    line.gone = true;
    context.invalidate();
  };
  for (const name of TRAITS) model.on(`change:${name}`, name === "summary" ? told : changed);
  model.on("msg:custom", receive);
  model.on("comm:close", ended);

  const timer = setInterval(() => {
    if (!shown || document.visibilityState === "hidden") return;
    ticks += 1;
    const silent = store.silent(context.page()) && !line.gone;
    if (silent && context.page() - askedAt > ASK_AGAIN) hello(0);
    const { running, held } = store.summary.counts;
    const lively = running + held > 0 || context.trouble !== null || line.late;
    if (lively || ticks % IDLE_TICKS === 0) context.invalidate();
  }, TICK);
  const sizes = new ResizeObserver((entries) => {
    const width = entries[0]?.contentRect.width ?? 0;
    if (width > 0 && view instanceof QueueView) view.resized(width);
  });
  sizes.observe(view.node);
  const sight = new IntersectionObserver((entries) => {
    shown = entries.at(-1)?.isIntersecting ?? true;
    if (shown) context.invalidate();
    else if (view instanceof QueueView) view.hide();
  });
  sight.observe(view.node);
  const seen = (): void => context.invalidate();
  document.addEventListener("visibilitychange", seen, { signal });

  el.append(view.node);
  store.arrived(model.get("summary"), context.page());
  hello(0);
  context.invalidate();

  return () => {
    ending.abort();
    cancelAnimationFrame(frame);
    clearInterval(timer);
    clearTimeout(later);
    sizes.disconnect();
    sight.disconnect();
    for (const name of TRAITS) model.off(`change:${name}`, name === "summary" ? told : changed);
    model.off("msg:custom", receive);
    model.off("comm:close", ended);
    context.close();
    view.node.remove();
  };
}

export default { initialize, render };
