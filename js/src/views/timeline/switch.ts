// What stands in the body of a queue's view: the list, or the timeline.

import { attr, h } from "../../ui/dom";

export type Which = "List" | "Timeline";
const ALL: readonly Which[] = ["List", "Timeline"];

export class Switch {
  readonly node = h("div", { class: "jqw-which", role: "tablist", "aria-label": "View" });
  which: Which = "List";
  #tabs = new Map<Which, HTMLButtonElement>();

  constructor(private changed: () => void) {
    for (const name of ALL) {
      const tab = h("button", { type: "button", role: "tab", class: "jqw-tab" }, name);
      tab.addEventListener("click", () => this.choose(name));
      this.#tabs.set(name, tab);
      this.node.append(tab);
    }
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      event.preventDefault();
      event.stopPropagation();
      this.choose(this.which === "List" ? "Timeline" : "List");
      this.#tabs.get(this.which)?.focus();
    });
    this.#write();
  }

  choose(which: Which): void {
    this.which = which;
    this.#write();
    this.changed();
  }

  #write(): void {
    for (const [name, tab] of this.#tabs) {
      attr(tab, "aria-selected", String(name === this.which));
      attr(tab, "tabindex", name === this.which ? 0 : -1);
    }
  }
}
