// The handle below a view that sets how high it may grow.

import { attr, h } from "../ui/dom";

/** px that a view takes at most, unless it was dragged. */
export const HEIGHT = 400;
const LOWEST = 160;
const HIGHEST = 1200;
const STEP = 40;

export function sizeHandle(changed: (height: number) => void): HTMLElement {
  const node = h("div", {
    role: "separator", tabindex: 0, class: "jqw-size", "aria-orientation": "horizontal",
    "aria-label": "Greatest height", "aria-valuemin": LOWEST, "aria-valuemax": HIGHEST,
    "aria-valuenow": HEIGHT,
  });
  const set = (height: number): void => {
    const kept = Math.round(Math.max(LOWEST, Math.min(HIGHEST, height)));
    attr(node, "aria-valuenow", kept);
    changed(kept);
  };
  let from: { y: number; height: number } | null = null;
  node.addEventListener("pointerdown", (event) => {
    from = { y: event.clientY, height: node.parentElement?.offsetHeight ?? HEIGHT };
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => {
    if (from !== null) set(from.height + event.clientY - from.y);
  });
  const stop = (): void => void (from = null);
  node.addEventListener("pointerup", stop);
  node.addEventListener("pointercancel", stop);
  node.addEventListener("keydown", (event) => {
    const step = event.key === "ArrowDown" ? STEP : event.key === "ArrowUp" ? -STEP : 0;
    if (step === 0) return;
    event.preventDefault();
    set(Number(node.getAttribute("aria-valuenow")) + step);
  });
  return node;
}
