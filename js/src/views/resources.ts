// The machine: what is in use and reserved, how that was lately, and plugins that are idle.

import type { IdlePlugin, Meter } from "../protocol";
import { amount } from "../ui/amount";
import { attr, button, div, enable, h, setText, show, span, svg } from "../ui/dom";
import { clock } from "../ui/time";
import type { Context } from "./context";

const RENEW_AFTER = 10; // seconds; the kernel looks for 30 at what a page shows
const POINTS = 40;
const HIGH = 14; // px of a curve; it is as wide as it has points

export class ResourcesView {
  readonly node = h("div", { class: "jqw-resources", role: "group", "aria-label": "Resources" });
  #meters = new Map<string, MeterView>();
  #plugins = new Map<string, PluginView>();
  #asOf = span("as-of");
  #all = div("machine", this.#asOf);
  #askedAt = -Infinity; // page clock
  #asking = false;
  #drawnAt = 0; // as of when, by the kernel's clock

  constructor(private context: Context) {
    const { node } = this;
    node.append(this.#all);
    const sizes = new ResizeObserver(() => { // of many only two lines are in view
      attr(node, "tabindex", this.#all.offsetHeight > node.clientHeight ? 0 : null);
    });
    sizes.observe(this.#all);
    context.ending.signal.addEventListener("abort", () => sizes.disconnect());
  }

  update(): void {
    const { context } = this;
    const { store, enabled } = context;
    const { items, idle, at } = store.resources;
    const { running, pending } = store.summary.counts;
    const busy = running + pending > 0;
    if (busy && enabled) void this.#watch();
    show(this.node, items.length + idle.length > 0);
    const draw = (view: { node: Node }): void => this.#asOf.before(view.node);
    keep(this.#meters, items, ({ name }) => name, () => new MeterView(), draw);
    keep(this.#plugins, idle, ({ plugin }) => plugin, () => new PluginView(context), draw);
    if (at > this.#drawnAt) for (const view of this.#meters.values()) view.note();
    this.#drawnAt = at;
    setText(this.#asOf, busy || at === 0 ? "" : `as of ${clock(at)}`);
  }

  /** Have the kernel look at the machine, as long as this is shown. */
  async #watch(): Promise<void> {
    const now = this.context.page();
    if (this.#asking || now - this.#askedAt < RENEW_AFTER) return;
    this.#asking = true;
    this.#askedAt = now;
    await this.context.ask("machine");
    this.#asking = false;
  }
}

/** Keep a view for each of what is told: a button that is made anew has lost the focus. */
function keep<Told, View extends { node: HTMLElement; update(told: Told): void }>(
  views: Map<string, View>, all: Told[], keyOf: (told: Told) => string, make: () => View,
  draw: (view: View) => void,
): void {
  const keys = all.map(keyOf);
  for (const [key, view] of views) {
    if (keys.includes(key)) continue;
    view.node.remove();
    views.delete(key);
  }
  for (const told of all) {
    const key = keyOf(told);
    let view = views.get(key);
    if (view === undefined) {
      views.set(key, (view = make()));
      draw(view);
    }
    view.update(told);
  }
}

class MeterView {
  #text = h("span");
  #kept = span("meter-reserved");
  #taken = svg("path", { class: "jqw-taken" }); // what is used and reserved now
  #line = svg("path", { class: "jqw-stroke" });
  readonly node = span(
    "meter", h("span", {}, this.#text, this.#kept),
    svg("svg", { class: "jqw-course", viewBox: `0 0 ${POINTS} ${HIGH}`, "aria-hidden": "true" },
      this.#taken, this.#line),
  );
  #shares: number[] = [];
  #share = 0;

  update({ name, used, reserved, unused, total, unit }: Meter): void {
    const known = total > 0;
    const share = (value: number): number => Math.min(1, Math.max(0, known ? value / total : 0));
    this.#share = share(used);
    attr(this.#taken, "d", `M0 ${heightOf(share(used + unused))}H${POINTS}V${HIGH}H0`);
    setText(this.#text, `${name} ${rounded(used)}${known ? ` of ${rounded(total)}` : ""} ${unit}`);
    setText(this.#kept, reserved > 0 ? `, ${rounded(reserved)} reserved` : "");
    attr(this.node, "title", `${name}: in use and reserved, and how much was in use lately`);
  }

  /** Go on with the curve: this is a new reading. */
  note(): void {
    this.#shares = [...this.#shares, this.#share].slice(-POINTS);
    attr(this.#line, "d", courseOf(this.#shares));
  }
}

/** The path of a curve of shares, of which the last stands at the right; "" for one alone. */
export function courseOf(shares: number[]): string {
  if (shares.length < 2) return "";
  return `M${shares.map((share, at) =>
    `${POINTS - shares.length + at + 0.5} ${heightOf(share)}`).join("L")}`;
}

function heightOf(share: number): string {
  return (HIGH - 1 - share * (HIGH - 2)).toFixed(1);
}

class PluginView {
  #text = h("span");
  #plugin = "";
  #unload: HTMLButtonElement;
  readonly node: HTMLElement;

  constructor(private context: Context) {
    const act = (): void => void context.act("unload", { plugin: this.#plugin }, "unload");
    this.#unload = button("Unload", "", act);
    this.node = span("meter", this.#text, this.#unload);
  }

  update({ plugin, holds, unit }: IdlePlugin): void {
    this.#plugin = plugin;
    setText(this.#text, `${plugin} idle${holds > 0 ? ` holds ${rounded(holds)} ${unit}` : ""}`);
    attr(this.#unload, "aria-label", `Unload ${plugin}`);
    show(this.#unload, this.context.store.canUnload);
    enable(this.#unload, this.context.enabled);
  }
}

function rounded(value: number): string {
  return amount(+value.toFixed(value < 10 ? 1 : 0));
}
