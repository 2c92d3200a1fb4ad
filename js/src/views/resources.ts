// Memory and processors in use and reserved, and idle plugins that could give theirs back.

import type { Meter } from "../protocol";
import { amount } from "../ui/amount";
import { attr, button, enable, h, setText, show, span } from "../ui/dom";
import type { Context } from "./context";

export class ResourcesView {
  readonly node = h("div", { class: "jqw-resources", role: "group", "aria-label": "Resources" });
  #shown = "";

  constructor(private context: Context) {}

  update(): void {
    const { store, enabled } = this.context;
    const { items, idle } = store.resources;
    show(this.node, items.length + idle.length > 0);
    const now = JSON.stringify([items, idle, store.canUnload, enabled]);
    if (now === this.#shown) return;
    this.#shown = now;
    this.node.replaceChildren(...items.map(meter), ...idle.map((plugin) => this.#idle(plugin)));
  }

  #idle({ plugin, holds, unit }: { plugin: string; holds: number; unit: string }): Node {
    const held = holds > 0 ? ` holds ${rounded(holds)} ${unit}` : "";
    const node = span("meter", `${plugin} idle${held}`);
    if (this.context.store.canUnload) {
      const act = (): void => void this.context.act("unload", { plugin }, "unload");
      const unload = button("Unload", `Unload ${plugin}`, act);
      enable(unload, this.context.enabled);
      node.append(unload);
    }
    return node;
  }
}

function meter({ name, used, reserved, unused, total, unit }: Meter): Node {
  const track = h("span", { class: "jqw-track jqw-meter-track", "aria-hidden": "true" });
  const known = total > 0;
  const part = (value: number, kind: string): Node => {
    const node = h("span", { class: kind });
    node.style.width = `${Math.min(100, Math.max(0, (value / total) * 100))}%`;
    return node;
  };
  if (known) track.append(part(used + unused, "jqw-reserved"), part(used, "jqw-fill-bar"));
  const text = h("span", {});
  const of = known ? ` of ${rounded(total)}` : "";
  setText(text, `${name} ${rounded(used)}${of} ${unit}`);
  const kept = reserved > 0 ? `, ${rounded(reserved)} reserved` : "";
  if (kept) text.append(span("meter-reserved", kept));
  const node = span("meter", ...(known ? [track] : []), text);
  attr(node, "title", `${name}: in use and reserved`);
  return node;
}

function rounded(value: number): string {
  return amount(+value.toFixed(value < 10 ? 1 : 0));
}
