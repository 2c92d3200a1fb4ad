// What stands in place of rows where there are none.

import { button, div, h, setText, show } from "../../ui/dom";
import type { Context } from "../context";
import { copyButton } from "../details/copy";
import type { Filter } from "./filter";

const FIRST_LINES = `import time
queue.submit_nowait(time.sleep, 10)   # a function and its arguments
queue.map(time.sleep, range(10))      # one job for each item`;

export class Nothing {
  readonly node = div("nothing");
  #text = h("p", { class: "jqw-note" });
  #clear: HTMLButtonElement;
  #first: HTMLElement;

  constructor(
    private context: Context,
    private filter: Filter,
  ) {
    this.#clear = button("Clear", "Clear search and filter", () => filter.clear());
    const code = h("pre", {}, FIRST_LINES);
    this.#first = div("first", code, copyButton("these lines", () => code));
    this.node.append(this.#text, this.#clear, this.#first);
  }

  update(empty: boolean): void {
    show(this.node, empty);
    if (!empty) return;
    const isNew = !this.filter.active && this.context.store.ended === 0;
    const none = isNew ? "No jobs yet. In a cell:" : "No jobs to show";
    setText(this.#text, this.filter.active ? "No job is like that" : none);
    show(this.#clear, this.filter.active);
    show(this.#first, isNew);
  }
}
